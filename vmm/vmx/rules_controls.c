// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rules of VM entry for the controls (SDM 3C, 28.2.1): each field by its capability MSR, what one
 * control demands of others, and the addresses that they make valid. The event to be injected is in
 * rules_event.c.
 */
#include "vmm/vmx/rule.h"

#define VTPR_OFFSET	 0x80
#define MSR_ENTRY_ALIGN	 (sizeof(struct vmx_msr_entry) - 1)
#define DESCRIPTOR_ALIGN 63U
#define TABLE_ALIGN	 7U
#define HLAT_RESERVED	 0xfe7ULL /* all of the low 12 but PWT and PCD */
#define WALK_4		 3U
#define WALK_5		 4U

/* ---- The values that each field may have ---- */

/* 32-bit fields: the low half of the MSR must be 1, the high half may be. */
static const struct {
	enum control_word word;
	uint32_t msr, true_msr;
	const char *rule;
} allowed[] = {
	{ CONTROL_PIN, MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS,
	  "a pin-based control has a value that this processor does not allow" },
	{ CONTROL_PROC, MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
	  "a processor-based control has a value that this processor does not allow" },
	{ CONTROL_EXIT, MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS,
	  "a VM-exit control has a value that this processor does not allow" },
	{ CONTROL_ENTRY, MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS,
	  "a VM-entry control has a value that this processor does not allow" },
};

static bool is_allowed(uint64_t value, uint64_t msr)
{
	return is_fixed(value, (uint32_t)msr, msr >> 32);
}

static const char *check_allowed(const struct judged *v)
{
	const bool true_msrs = capability(v, MSR_IA32_VMX_BASIC) & VMX_BASIC_TRUE_CONTROLS;

	for (size_t i = 0; i < LENGTH_OF(allowed); i++)
		RULE(is_allowed(v->controls[allowed[i].word],
				capability(v, true_msrs ? allowed[i].true_msr : allowed[i].msr)),
		     allowed[i].rule);
	/* These exist only where the control that activates them may be 1. */
	RULE(!has(v, CONTROL_PROC, PROC_SECONDARY) ||
		     is_allowed(v->controls[CONTROL_PROC2],
				capability(v, MSR_IA32_VMX_PROCBASED_CTLS2)),
	     "a secondary processor-based control has a value that this processor does not allow");
	RULE(!has(v, CONTROL_PROC, PROC_TERTIARY) ||
		     !(v->controls[CONTROL_PROC3] & ~capability(v, MSR_IA32_VMX_PROCBASED_CTLS3)),
	     "a tertiary processor-based control has a value that this processor does not allow");
	RULE(!has(v, CONTROL_EXIT, EXIT_SECONDARY) ||
		     !(v->controls[CONTROL_EXIT2] & ~capability(v, MSR_IA32_VMX_EXIT_CTLS2)),
	     "a secondary VM-exit control has a value that this processor does not allow");
	RULE(!has(v, CONTROL_PROC2, PROC2_VM_FUNCTIONS) ||
		     !(field(v, VMCS_VM_FUNCTION_CONTROLS) & ~capability(v, MSR_IA32_VMX_VMFUNC)),
	     "a VM function is enabled that this processor does not have");
	return NULL;
}

/* ---- What one control demands of another ---- */

static const struct {
	enum control_word word;
	uint64_t control;
	enum control_word needed_word;
	uint64_t needed;
	const char *rule;
} dependencies[] = {
	{ CONTROL_PIN, PIN_VIRTUAL_NMI, CONTROL_PIN, PIN_NMI, "virtual NMIs need NMI exiting" },
	{ CONTROL_PROC, PROC_NMI_WINDOW, CONTROL_PIN, PIN_VIRTUAL_NMI,
	  "NMI-window exiting needs virtual NMIs" },
	{ CONTROL_PROC2, PROC2_X2APIC, CONTROL_PROC, PROC_TPR_SHADOW,
	  "virtualize x2APIC mode needs the TPR shadow" },
	{ CONTROL_PROC2, PROC2_APIC_REGISTERS, CONTROL_PROC, PROC_TPR_SHADOW,
	  "APIC-register virtualization needs the TPR shadow" },
	{ CONTROL_PROC2, PROC2_VIRTUAL_INTERRUPTS, CONTROL_PROC, PROC_TPR_SHADOW,
	  "virtual-interrupt delivery needs the TPR shadow" },
	{ CONTROL_PROC3, PROC3_IPI, CONTROL_PROC, PROC_TPR_SHADOW,
	  "IPI virtualization needs the TPR shadow" },
	{ CONTROL_PROC2, PROC2_VIRTUAL_INTERRUPTS, CONTROL_PIN, PIN_EXTERNAL_INTERRUPT,
	  "virtual-interrupt delivery needs external-interrupt exiting" },
	{ CONTROL_PIN, PIN_POSTED_INTERRUPTS, CONTROL_PROC2, PROC2_VIRTUAL_INTERRUPTS,
	  "posted interrupts need virtual-interrupt delivery" },
	{ CONTROL_PIN, PIN_POSTED_INTERRUPTS, CONTROL_EXIT, EXIT_ACK_INTERRUPT,
	  "posted interrupts need \"acknowledge interrupt on exit\"" },
	{ CONTROL_PROC2, PROC2_UNRESTRICTED_GUEST, CONTROL_PROC2, PROC2_EPT,
	  "unrestricted guest needs EPT" },
	{ CONTROL_PROC2, PROC2_PML, CONTROL_PROC2, PROC2_EPT,
	  "the page-modification log needs EPT" },
	{ CONTROL_PROC2, PROC2_MODE_BASED_EXECUTE, CONTROL_PROC2, PROC2_EPT,
	  "mode-based execute control needs EPT" },
	{ CONTROL_PROC2, PROC2_SUBPAGE_WRITE, CONTROL_PROC2, PROC2_EPT,
	  "sub-page write permissions need EPT" },
	{ CONTROL_PROC2, PROC2_PT_IN_GUEST, CONTROL_PROC2, PROC2_EPT,
	  "guest-physical addresses for Intel PT need EPT" },
	{ CONTROL_PROC2, PROC2_PT_IN_GUEST, CONTROL_ENTRY, ENTRY_LOAD_RTIT,
	  "guest-physical addresses for Intel PT need \"load IA32_RTIT_CTL\"" },
	{ CONTROL_PROC2, PROC2_PT_IN_GUEST, CONTROL_EXIT, EXIT_CLEAR_RTIT,
	  "guest-physical addresses for Intel PT need \"clear IA32_RTIT_CTL\"" },
	{ CONTROL_PROC3, PROC3_HLAT, CONTROL_PROC2, PROC2_EPT, "HLAT needs EPT" },
	{ CONTROL_PROC3, PROC3_EPT_PAGING_WRITE, CONTROL_PROC2, PROC2_EPT,
	  "EPT paging-write control needs EPT" },
	{ CONTROL_PROC3, PROC3_PAGING_VERIFICATION, CONTROL_PROC2, PROC2_EPT,
	  "guest-paging verification needs EPT" },
	{ CONTROL_EXIT, EXIT_SAVE_PREEMPTION_TIMER, CONTROL_PIN, PIN_PREEMPTION_TIMER,
	  "saving the preemption timer needs the timer" },
};

static const char *check_dependencies(const struct judged *v)
{
	for (size_t i = 0; i < LENGTH_OF(dependencies); i++)
		RULE(!has(v, dependencies[i].word, dependencies[i].control) ||
			     has(v, dependencies[i].needed_word, dependencies[i].needed),
		     dependencies[i].rule);
	RULE(!has(v, CONTROL_PROC2, PROC2_APIC_ACCESSES | PROC2_X2APIC),
	     "APIC accesses and x2APIC mode are both virtualized");
	RULE(!has(v, CONTROL_PROC2, PROC2_VM_FUNCTIONS) || has(v, CONTROL_PROC2, PROC2_EPT) ||
		     !has_bits(v, VMCS_VM_FUNCTION_CONTROLS, VMFUNC_EPTP_SWITCHING),
	     "EPTP switching needs EPT");
	RULE(!(v->controls[CONTROL_ENTRY] & (ENTRY_TO_SMM | ENTRY_DUAL_MONITOR_OFF)),
	     "a VM-entry control is set that only SMM may set");
	return NULL;
}

/* ---- Addresses ---- */

/* Of a structure that VMX reads or writes, with these low bits 0. */
static bool is_structure(const struct judged *v, uint64_t address, uint64_t low)
{
	const bool below_4g = capability(v, MSR_IA32_VMX_BASIC) & VMX_BASIC_32BIT_ADDRESSES;

	return (address & low) == 0 && is_physical(v, address) &&
	       (!below_4g || address <= UINT32_MAX);
}

static const struct {
	enum control_word word;
	uint64_t control;
	enum vmcs_field field;
	uint64_t low; /* bits that must be 0 */
	const char *rule;
} addresses[] = {
	{ CONTROL_PROC, PROC_IO_BITMAPS, VMCS_IO_BITMAP_A, PAGE_MASK,
	  "I/O bitmap A is not a page of physical memory" },
	{ CONTROL_PROC, PROC_IO_BITMAPS, VMCS_IO_BITMAP_B, PAGE_MASK,
	  "I/O bitmap B is not a page of physical memory" },
	{ CONTROL_PROC, PROC_MSR_BITMAPS, VMCS_MSR_BITMAP, PAGE_MASK,
	  "the MSR bitmap is not a page of physical memory" },
	{ CONTROL_PROC, PROC_TPR_SHADOW, VMCS_VIRTUAL_APIC_ADDRESS, PAGE_MASK,
	  "the virtual-APIC page is not a page of physical memory" },
	{ CONTROL_PROC2, PROC2_APIC_ACCESSES, VMCS_APIC_ACCESS_ADDRESS, PAGE_MASK,
	  "the APIC-access page is not a page of physical memory" },
	{ CONTROL_PIN, PIN_POSTED_INTERRUPTS, VMCS_POSTED_INTERRUPT_DESCRIPTOR, DESCRIPTOR_ALIGN,
	  "the posted-interrupt descriptor is not 64 bytes of physical memory" },
	{ CONTROL_PROC2, PROC2_VMCS_SHADOWING, VMCS_VMREAD_BITMAP, PAGE_MASK,
	  "the VMREAD bitmap is not a page of physical memory" },
	{ CONTROL_PROC2, PROC2_VMCS_SHADOWING, VMCS_VMWRITE_BITMAP, PAGE_MASK,
	  "the VMWRITE bitmap is not a page of physical memory" },
	{ CONTROL_PROC2, PROC2_PML, VMCS_PML_ADDRESS, PAGE_MASK,
	  "the page-modification log is not a page of physical memory" },
	{ CONTROL_PROC2, PROC2_VE, VMCS_VE_INFORMATION_ADDRESS, PAGE_MASK,
	  "the virtualization-exception information is not a page of physical memory" },
	{ CONTROL_PROC2, PROC2_SUBPAGE_WRITE, VMCS_SUBPAGE_TABLE_POINTER, PAGE_MASK,
	  "the sub-page permission table is not a page of physical memory" },
	{ CONTROL_PROC3, PROC3_HLAT, VMCS_HLAT_POINTER, HLAT_RESERVED,
	  "the HLAT pointer has a reserved bit" },
	{ CONTROL_PROC3, PROC3_IPI, VMCS_PID_POINTER_TABLE, TABLE_ALIGN,
	  "the PID-pointer table is not in physical memory" },
};

static const char *check_addresses(const struct judged *v)
{
	for (size_t i = 0; i < LENGTH_OF(addresses); i++)
		RULE(!has(v, addresses[i].word, addresses[i].control) ||
			     is_structure(v, field(v, addresses[i].field), addresses[i].low),
		     addresses[i].rule);
	RULE(!has(v, CONTROL_PROC3, PROC3_IPI) ||
		     is_physical(v, field(v, VMCS_PID_POINTER_TABLE) +
					    8 * field(v, VMCS_LAST_PID_POINTER_INDEX)),
	     "the PID-pointer table does not end in physical memory");
	RULE(!has(v, CONTROL_PROC2, PROC2_VM_FUNCTIONS) ||
		     !has_bits(v, VMCS_VM_FUNCTION_CONTROLS, VMFUNC_EPTP_SWITCHING) ||
		     is_structure(v, field(v, VMCS_EPTP_LIST_ADDRESS), PAGE_MASK),
	     "the EPTP list is not a page of physical memory");
	return NULL;
}

static const struct {
	enum vmcs_field count, address;
	const char *rule;
} msr_areas[] = {
	{ VMCS_EXIT_MSR_STORE_COUNT, VMCS_EXIT_MSR_STORE_ADDRESS,
	  "the VM-exit MSR-store area is not aligned, or not in physical memory" },
	{ VMCS_EXIT_MSR_LOAD_COUNT, VMCS_EXIT_MSR_LOAD_ADDRESS,
	  "the VM-exit MSR-load area is not aligned, or not in physical memory" },
	{ VMCS_ENTRY_MSR_LOAD_COUNT, VMCS_ENTRY_MSR_LOAD_ADDRESS,
	  "the VM-entry MSR-load area is not aligned, or not in physical memory" },
};

static const char *check_msr_areas(const struct judged *v)
{
	for (size_t i = 0; i < LENGTH_OF(msr_areas); i++) {
		const uint64_t count = field(v, msr_areas[i].count);
		const uint64_t first = field(v, msr_areas[i].address);
		const uint64_t last = first + count * sizeof(struct vmx_msr_entry) - 1;

		RULE(count == 0 ||
			     (is_structure(v, first, MSR_ENTRY_ALIGN) && is_structure(v, last, 0)),
		     msr_areas[i].rule);
	}
	return NULL;
}

/* ---- Numbers ---- */

static const char *check_ept_pointer(const struct judged *v)
{
	const uint64_t pointer = field(v, VMCS_EPT_POINTER);
	const uint64_t capabilities = capability(v, MSR_IA32_VMX_EPT_VPID_CAP);
	const unsigned int type = EPTP_MEMORY_TYPE(pointer);
	const unsigned int walk = EPTP_WALK(pointer);

	RULE((type == 0 && (capabilities & EPT_CAP_UNCACHEABLE)) ||
		     (type == EPTP_WRITE_BACK && (capabilities & EPT_CAP_WRITE_BACK)),
	     "the EPT pointer has a memory type that this processor does not have");
	RULE((walk == WALK_4 && (capabilities & EPT_CAP_WALK_4)) ||
		     (walk == WALK_5 && (capabilities & EPT_CAP_WALK_5)),
	     "the EPT pointer has a walk length that this processor does not have");
	RULE(!(pointer & EPTP_ACCESSED_DIRTY) || (capabilities & EPT_CAP_ACCESSED_DIRTY),
	     "the EPT pointer enables accessed and dirty flags, which this processor does not "
	     "have");
	RULE(!(pointer & EPTP_SHADOW_STACK) || (capabilities & EPT_CAP_SHADOW_STACK),
	     "the EPT pointer enables supervisor shadow stacks, which this processor does not "
	     "have");
	RULE(!(pointer & EPTP_RESERVED) && is_physical(v, pointer),
	     "the EPT pointer has a reserved bit");
	return NULL;
}

static const char *check_tpr_threshold(const struct judged *v)
{
	const uint64_t threshold = field(v, VMCS_TPR_THRESHOLD);
	const uint8_t *vtpr;

	if (!has(v, CONTROL_PROC, PROC_TPR_SHADOW) ||
	    has(v, CONTROL_PROC2, PROC2_VIRTUAL_INTERRUPTS))
		return NULL;
	RULE(threshold <= 0xf, "the TPR threshold is above 15");
	if (has(v, CONTROL_PROC2, PROC2_APIC_ACCESSES))
		return NULL;
	vtpr = memory(v, field(v, VMCS_VIRTUAL_APIC_ADDRESS) + VTPR_OFFSET, sizeof(*vtpr));
	RULE(!vtpr || threshold <= *vtpr >> 4, "the TPR threshold is above the virtual TPR");
	return NULL;
}

static const char *check_numbers(const struct judged *v)
{
	RULE(field(v, VMCS_CR3_TARGET_COUNT) <=
		     VMX_MISC_CR3_TARGETS(capability(v, MSR_IA32_VMX_MISC)),
	     "there are more CR3 targets than this processor has");
	RULE(!has(v, CONTROL_PROC2, PROC2_VPID) || field(v, VMCS_VPID) != 0, "the VPID is 0");
	RULE(!has(v, CONTROL_PIN, PIN_POSTED_INTERRUPTS) ||
		     field(v, VMCS_POSTED_INTERRUPT_VECTOR) <= UINT8_MAX,
	     "the posted-interrupt notification vector is above 255");
	RULE(!has(v, CONTROL_PROC2, PROC2_TSC_SCALING) || field(v, VMCS_TSC_MULTIPLIER) != 0,
	     "the TSC multiplier is 0");
	return NULL;
}

const char *rules_of_controls(const struct judged *v)
{
	static const char *(*const parts[])(const struct judged *) = {
		check_allowed,	 check_dependencies, check_addresses,
		check_msr_areas, check_numbers,	     check_tpr_threshold,
	};

	for (size_t i = 0; i < LENGTH_OF(parts); i++) {
		const char *const broken = parts[i](v);

		if (broken)
			return broken;
	}
	return has(v, CONTROL_PROC2, PROC2_EPT) ? check_ept_pointer(v) : NULL;
}
