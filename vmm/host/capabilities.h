/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this machine's processor can do, read once at start-up, and the choices
 * that follow from it.
 */
#ifndef VMM_HOST_CAPABILITIES_H
#define VMM_HOST_CAPABILITIES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/mtrr.h"
#include "vmm/fred/native.h"

/* VM-execution controls with what this processor demands worked in; per-vcpu bits come on top. */
struct vmx_controls {
	uint32_t pin, proc, proc2, exit, entry;
};

#define MACHINE_CONTROL_MSRS  10
#define MACHINE_CPUID_CHOICES 9

struct machine {
	uint64_t vmx_basic;
	uint64_t vmx_misc;
	uint64_t ept_vpid_cap;
	uint64_t cr0_fixed0, cr0_fixed1;
	uint64_t cr4_fixed0, cr4_fixed1;
	uint64_t xcr0_supported; /* what guests may have of extended state: see capabilities.c */
	uint64_t xss_supported;	 /* ... of guests with CET */
	uint32_t xsave_size;	 /* of all in xcr0_supported, in the standard format */
	uint64_t physical_mask;	 /* bits of a physical address */
	uint64_t control_capabilities[MACHINE_CONTROL_MSRS]; /* as the first processor has them */
	uint32_t cpuid_choices[MACHINE_CPUID_CHOICES];	     /* the same of CPUID */
	struct vmx_controls controls;
	bool has_preemption_timer; /* with saving of its value */
	bool has_monitor_trap;
	bool has_cet; /* shadow stacks and IBT, and the controls to switch their state */
	bool has_xfd;
	bool has_1g_pages;
	bool tables_in_memory; /* a VT-d unit looks for EPT entries past the caches */
	enum fred_method fred_method;
	unsigned int linear_bits; /* of a linear address */
	struct mtrr_state mtrr;
};

extern struct machine machine;

/* Read the processor's capabilities; ends the boot with every missing one named. */
void machine_probe(void);

/* Has this processor VMX, and does firmware allow VMXON? Opens VMX where firmware left that open.
 */
bool machine_can_use_vmx(void);

/*
 * What of VMX, or of CPUID as far as the VMM chooses by it, is other on this processor than on the
 * first one, so that it cannot share guests with it; NULL: nothing.
 */
const char *machine_difference(void);

/* May this control of a 32-bit field be 1? By its capability MSR. */
bool machine_may_set(uint32_t capability_msr, uint32_t bit);

/*
 * Enter VMX root operation on this processor, by its own capabilities. NULL, or why it cannot, as
 * the rest of a sentence that begins with the processor.
 */
const char *vmx_enable(void);

/* Leave it again, so that the machine can be reset or turned off from a plain processor. */
void vmx_disable(void);

#endif
