/* SPDX-License-Identifier: BSD-2-Clause */
/* Which I/O ports of a guest exit. */
#ifndef VMM_VCPU_IO_POLICY_H
#define VMM_VCPU_IO_POLICY_H

#include <stdint.h>

struct vm;

/* Fill a VM's I/O bitmaps (two pages): all ports exit, or those that end the machine. */
void io_bitmaps_fill(const struct vm *vm, uint8_t *bitmaps);

#endif
