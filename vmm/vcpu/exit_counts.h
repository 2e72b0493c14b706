/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VMM_VCPU_EXIT_COUNTS_H
#define VMM_VCPU_EXIT_COUNTS_H

#include <stdint.h>

struct vcpu;

/* Exits by reason and interrupts, as lines of the log. */
void exit_statistics_print(const struct vcpu *vcpu);

/* Exits of all reasons together. */
uint64_t exit_count(const struct vcpu *vcpu);

#endif
