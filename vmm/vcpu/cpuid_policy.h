/* SPDX-License-Identifier: BSD-2-Clause */
/* The processor that a guest sees. */
#ifndef VMM_VCPU_CPUID_POLICY_H
#define VMM_VCPU_CPUID_POLICY_H

#include <stdint.h>

#include "vmm/host/x86.h"

struct vm;

/* CPUID's answer for a guest whose CR4 has this value (OSXSAVE and OSPKE mirror it). */
struct cpuid_leaf guest_cpuid(const struct vm *vm, uint32_t leaf, uint32_t subleaf,
			      uint64_t guest_cr4);

/* The CR4 bits that a guest may set: those whose feature CPUID shows it. */
uint64_t guest_cr4_allowed(const struct vm *vm);

/*
 * The machine's secondary controls without those that would let instructions run which CPUID hides
 * from this guest.
 */
uint32_t guest_secondary_controls(const struct vm *vm);

#endif
