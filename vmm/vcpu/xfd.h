/* SPDX-License-Identifier: BSD-2-Clause */
/* Extended feature disable (XFD): which #NM is its own. */
#ifndef VMM_VCPU_XFD_H
#define VMM_VCPU_XFD_H

#include <stdint.h>

struct vm;

/*
 * After an exit by #NM of the current vcpu: the state components that XFD disables, as the event's
 * data has them. 0: the #NM is one of CR0.TS or CR0.EM.
 */
uint64_t xfd_of_exit(const struct vm *vm);

#endif
