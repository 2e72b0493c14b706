/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's CR0 and CR4 with their masks and read shadows. Owns those six fields. */
#ifndef VMM_VCPU_CONTROL_REGISTERS_H
#define VMM_VCPU_CONTROL_REGISTERS_H

#include <stdint.h>

struct vcpu;

/* Bits of CR0 that the guest does not own: a change of one of them exits. */
uint64_t cr0_owned(void);

/* Let the guest have this value, as it reads it; the VMCS gets what VMX demands beside. */
void cr_set_cr0(uint64_t value);
void cr_set_cr4(const struct vcpu *vcpu, uint64_t value);

/* Forget translations of guests' linear addresses, as a change of paging does in hardware. */
void cr_flush_tlb(void);

#endif
