/* SPDX-License-Identifier: BSD-2-Clause */
/* Every boot ends here, with one machine-readable line. */
#ifndef VMM_END_H
#define VMM_END_H

#include "lib/boot_info.h"
#include "vmm/vcpu/end_request.h"

void end_init(const struct boot_info *boot);

/*
 * The boot ends here: stop the other processors, so that there is one report. A processor for which
 * another is ahead with that stops here itself.
 */
void machine_end_begin(void);

/*
 * Print statistics and "manfred: end status=... reason=... exits=N", then power
 * off, reboot or halt, as manfred.cfg says. reason: words with dashes.
 */
void machine_end(enum end_status status, const char *reason) __attribute__((noreturn));
void machine_end_as_guest_wished(enum end_wish wish, const char *reason) __attribute__((noreturn));

#endif
