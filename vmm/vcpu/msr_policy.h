/* SPDX-License-Identifier: BSD-2-Clause */
/* The MSRs of a guest. */
#ifndef VMM_VCPU_MSR_POLICY_H
#define VMM_VCPU_MSR_POLICY_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;
struct vm;

/* Fill an MSR bitmap (one page) for a vcpu of this VM from the policy table. */
void msr_bitmap_fill(const struct vm *vm, uint8_t *bitmap);

/* Make a vcpu's reads and writes of an MSR that is in the policy exit, or as the policy says again.
 */
void msr_set_exits(const struct vcpu *vcpu, uint32_t msr, bool exits);
/* The same for writes alone. */
void msr_set_write_exits(const struct vcpu *vcpu, uint32_t msr, bool exits);

/* A guest's write has no effect, and no fault: why, in words. */
bool msr_write_is_dropped(uint32_t msr, const char **why);

#endif
