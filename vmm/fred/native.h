/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Native FRED: what the processor offers, the method by which a guest gets its FRED MSRs, and the
 * MSRs that neither the VMCS nor the MSR areas switch. See docs/fred.md.
 */
#ifndef VMM_FRED_NATIVE_H
#define VMM_FRED_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/x86/vmx.h"

struct vcpu;
struct vm;

/* In the order in which they are tried, the last first. */
enum fred_method {
	FRED_METHOD_NONE,      /* not at all: guests get FRED by software */
	FRED_METHOD_MSR_AREAS, /* through the VM-entry and VM-exit MSR areas */
	FRED_METHOD_VMCS,      /* through fields of the VMCS */
};

/*
 * Choose the best method by the capability MSRs, and log the choice with the reason for not having
 * a better one. The self-test may lower it later.
 */
void fred_probe(void);

/* The fields of the VMCS for one of FRED's MSRs that entry and exit switch. */
enum vmcs_field fred_guest_field(uint32_t msr);
enum vmcs_field fred_host_field(uint32_t msr);

/* The method was tried and fails: take the next one. Says why. */
void fred_lower_method(const char *why);

/* Give the guest what manfred.cfg wishes (fred = ...). Ends the boot when that is impossible. */
void fred_choose(struct vm *vm);

/* Controls, MSR areas, guest and host FRED state of the current VMCS. */
void fred_vmcs_init(struct vcpu *vcpu);

/* The guest's FRED MSRs as they are now: of the current VMCS, or of its MSR area. */
struct fred_state {
	uint64_t config, stklvls;
	uint64_t rsp[4];
	uint64_t ssp[4]; /* [0] is IA32_PL0_SSP */
};
/* Where the state has this MSR; NULL when it is none of FRED's. */
uint64_t *fred_state_of(struct fred_state *state, uint32_t msr);
void fred_read_state(struct vcpu *vcpu, struct fred_state *state);
/* False, and nothing is changed, when WRMSR would refuse one of the values. */
bool fred_write_state(struct vcpu *vcpu, const struct fred_state *state);

/*
 * IA32_FRED_RSP0 and IA32_PL0_SSP: no VM entry or exit switches them. Before `vcpu` runs on this
 * processor: see that the MSRs hold its values. They are accessed only when they may differ.
 */
void fred_load(struct vcpu *vcpu);
/* The vcpu goes away. */
void fred_forget(const struct vcpu *vcpu);

/* A line that says whether the guest uses FRED: for the end of the boot. */
void fred_log_use(struct vcpu *vcpu);

#endif
