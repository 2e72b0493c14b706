/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A test of the rules of VM entry (vmm/vmx/rules.h) against the processor: in the VMCSs of small
 * guests every bit of every field is flipped, and what the rules say is compared with what the VM
 * entry does.
 */
#ifndef VMM_SELFTEST_FLIPS_H
#define VMM_SELFTEST_FLIPS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/x86/vmx.h"

struct boot_info;
struct vcpu;

/* With debug = flip-vmcs, in VMX operation, before there is a guest. Takes some seconds. */
void flip_vmcs(const struct boot_info *boot);

/* A guest in which bits are flipped. */
struct flip_guest {
	const char *name;
	/* Changes the 64-bit guest of flip_guest_reset(). False: this processor cannot have it. */
	bool (*make)(const struct vcpu *vcpu);
};
extern const struct flip_guest flip_guests[];
extern const unsigned int flip_guest_count;

/* Pages that a VMCS points to; flips of an address' low bits stay in them. */
struct flip_pages {
	uint64_t msr_area; /* FLIP_MSR_PAGES of them, all entries the same harmless MSR */
	uint64_t scratch;
};
#define FLIP_MSR_PAGES 2U

/* The 64-bit guest in ring 0 that the others are made of. */
void flip_guest_reset(const struct vcpu *vcpu, const struct flip_pages *pages);

/*
 * Why the flip of this bit, which makes this value of the field, is left out when the rules accept
 * it; NULL: it is tried.
 */
const char *flip_is_unsafe(enum vmcs_field field, unsigned int bit, uint64_t value);

#endif
