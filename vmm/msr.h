/* SPDX-License-Identifier: BSD-2-Clause */
/* The MSRs of a guest. */
#ifndef VMM_MSR_H
#define VMM_MSR_H

#include <stdint.h>

struct vm;

/* Fill a VM's MSR bitmap (one page) from the policy table. */
void msr_bitmap_fill(const struct vm *vm, uint8_t *bitmap);

#endif
