/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The checks of a VM entry (SDM 3C, chapter "VM Entries": 28, in older editions 27): does the
 * processor enter this VMCS, and if not, which rule is broken, and how does the entry fail? The
 * fields come from a reader, so that a VMCS can be judged that is not the current one, by the
 * capabilities of a processor that is not this one. Runs after a VM entry that has failed and
 * before state from outside is used, never on the exit path.
 */
#ifndef VMM_VMX_RULES_H
#define VMM_VMX_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/x86/vmx.h"

/* In the order in which a processor checks. */
enum vmcs_refusal {
	VMCS_ACCEPTED,
	VMCS_BAD_CONTROLS, /* VMfail with instruction error 7 */
	VMCS_BAD_HOST,	   /* VMfail with instruction error 8 */
	VMCS_BAD_GUEST,	   /* exit with reason 33 */
	VMCS_BAD_MSR_AREA, /* exit with reason 34 */
};

struct vmcs_verdict {
	enum vmcs_refusal refusal;
	uint64_t qualification; /* of the exit with reason 33 or 34 */
	const char *rule;	/* in words; NULL with VMCS_ACCEPTED */
};

/* What the rules ask of a processor beside its VMX capability MSRs. */
struct vmcs_processor {
	uint64_t physical_mask;	  /* bits of a physical address */
	unsigned int linear_bits; /* of a linear address */
	bool in_ia32e_mode;	  /* EFER.LMA at the VM entry */
	/* Bits that may be 1 in these MSRs. */
	uint64_t efer, debugctl, perf_global_ctrl, spec_ctrl;
	bool has_cet, has_lam, has_rtm, has_bus_lock_detection, has_sgx;
};

struct vmcs_reader {
	uint64_t (*field)(const struct vmcs_reader *reader, enum vmcs_field field);
	/* A VMX capability MSR. */
	uint64_t (*msr)(const struct vmcs_reader *reader, uint32_t msr);
	/* Would WRMSR take this? For the VM-entry MSR-load area. */
	bool (*msr_accepts)(const struct vmcs_reader *reader, uint32_t msr, uint64_t value);
	/*
	 * Memory that a rule looks at: MSR-load area, PDPTEs without EPT, the virtual-APIC page,
	 * the VMCS that the link pointer names. NULL: it cannot be read, and the rule counts as
	 * kept.
	 */
	const void *(*memory)(const struct vmcs_reader *reader, uint64_t address, size_t size);
	const struct vmcs_processor *processor;
	uint64_t vmcs; /* physical address of the VMCS; the link pointer must not name it */
};

/* What a VM entry makes of the VMCS: the first rule that is broken. */
struct vmcs_verdict vmcs_judge(const struct vmcs_reader *reader);

/*
 * Only the rules of the event that the VMCS injects, and of FRED in the guest that is to take it;
 * NULL: they are kept.
 */
const char *vmcs_check_event(const struct vmcs_reader *reader);

/* The current VMCS and this processor, which is described in *processor. */
struct vmcs_reader vmcs_reader_current(struct vmcs_processor *processor);

/* The first rule that the current VMCS breaks, in words; NULL when there is none. */
const char *vmcs_check(void);

#endif
