/* SPDX-License-Identifier: BSD-2-Clause */
/* The MSRs of a guest. */
#ifndef VMM_MSR_H
#define VMM_MSR_H

#include <stdbool.h>
#include <stdint.h>

struct vm;

/* Fill a VM's MSR bitmap (one page) from the policy table. */
void msr_bitmap_fill(const struct vm *vm, uint8_t *bitmap);

/* Make reads and writes of an MSR that is in the policy exit, or as the policy says again. */
void msr_set_exits(const struct vm *vm, uint32_t msr, bool exits);

#endif
