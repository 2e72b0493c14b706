// SPDX-License-Identifier: BSD-2-Clause
/*
 * The guests of the flip test: each puts other rules of VM entry to use. And the flips that nobody
 * could come back from.
 */
#include "vmm/selftest/flips.h"

#include <stddef.h>

#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "vmm/base/memory.h"
#include "vmm/host/capabilities.h"
#include "vmm/host/x86.h"
#include "vmm/run/create.h"
#include "vmm/selftest/probe.h"
#include "vmm/vcpu/control_registers.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/rules.h"
#include "vmm/vmx/vmcs.h"

#define RPL3		   3U
#define ACCESS_RIGHTS_DPL3 (3U << 5)
#define V86_RIGHTS	   0xf3U
#define V86_LIMIT	   0xffffU
#define PDPTE_PRESENT	   1ULL
#define VECTOR_INTERRUPT   0x40U
#define INT_N_LENGTH	   2
#define INFO(type, vector) \
	(INTERRUPTION_VALID | (uint32_t)(type) << INTERRUPTION_TYPE_SHIFT | (vector))
#define SHADOW_VMCS (1U << 31)

static struct flip_pages pages;

/* Those of these bits of a 32-bit control field that may be 1. */
static uint32_t allowed(uint32_t msr, uint32_t bits)
{
	return (uint32_t)(rdmsr(msr) >> 32) & bits;
}

/* Written where the processor has the field. */
static void write_optional(enum vmcs_field field, uint64_t value)
{
	uint64_t old;

	if (vmcs_read_optional(field, &old))
		vmcs_write(field, value);
}

/* Control comes back at once: by the timer, by the monitor trap flag, and by VMCALL at RIP. */
static void set_controls(void)
{
	vmcs_write(VMCS_PIN_BASED_CONTROLS, machine.controls.pin | PIN_PREEMPTION_TIMER);
	vmcs_write(VMCS_PROC_BASED_CONTROLS, machine.controls.proc | PROC_MONITOR_TRAP);
	vmcs_write(VMCS_SECONDARY_PROC_CONTROLS, machine.controls.proc2);
	vmcs_write(VMCS_EXIT_CONTROLS, machine.controls.exit | EXIT_SAVE_PREEMPTION_TIMER);
	vmcs_write(VMCS_ENTRY_CONTROLS, machine.controls.entry | ENTRY_IA32E_GUEST);
	vmcs_write(VMCS_PREEMPTION_TIMER, 0);
	vmcs_write(VMCS_EXCEPTION_BITMAP, UINT32_MAX);
	vmcs_write(VMCS_EXIT_MSR_STORE_COUNT, 1);
	vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, 1);
	vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, 1);
	vmcs_write(VMCS_EXIT_MSR_STORE_ADDRESS, pages.msr_area);
	vmcs_write(VMCS_EXIT_MSR_LOAD_ADDRESS, pages.msr_area);
	vmcs_write(VMCS_ENTRY_MSR_LOAD_ADDRESS, pages.msr_area);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0);
	vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, 1);
	write_optional(VMCS_VIRTUAL_APIC_ADDRESS, pages.scratch);
	write_optional(VMCS_APIC_ACCESS_ADDRESS, pages.scratch);
	write_optional(VMCS_POSTED_INTERRUPT_DESCRIPTOR, pages.scratch);
	write_optional(VMCS_VMREAD_BITMAP, pages.scratch);
	write_optional(VMCS_VMWRITE_BITMAP, pages.scratch);
	write_optional(VMCS_PML_ADDRESS, pages.scratch);
	write_optional(VMCS_VE_INFORMATION_ADDRESS, pages.scratch);
	write_optional(VMCS_EPTP_LIST_ADDRESS, pages.scratch);
	write_optional(VMCS_SUBPAGE_TABLE_POINTER, pages.scratch);
	write_optional(VMCS_TSC_MULTIPLIER, 1);
	write_optional(VMCS_VM_FUNCTION_CONTROLS, 0);
}

void flip_guest_reset(const struct vcpu *vcpu, const struct flip_pages *to)
{
	const struct mode64 mode = { .cr3 = PROBE_ADDRESS(PROBE_PML4),
				     .rip = PROBE_ADDRESS(PROBE_CODE),
				     .rsp = PROBE_TOP(PROBE_STACK),
				     .gdt = PROBE_ADDRESS(PROBE_GDT) };

	pages = *to;
	vcpu_set_mode64(vcpu, &mode);
	set_controls();
	/* An LDT that is usable has rules. */
	vmcs_write(VMCS_GUEST_LDTR_ACCESS_RIGHTS, ACCESS_RIGHTS_LDT);
	/* What an exit with one load control less leaves behind is the host's. */
	vmcs_write(VMCS_GUEST_EFER, vmcs_read(VMCS_HOST_EFER));
	vmcs_write(VMCS_GUEST_PAT, vmcs_read(VMCS_HOST_PAT));
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED);
	vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	vmcs_write(VMCS_VMCS_LINK_POINTER, ~0ULL);
	for (unsigned int i = 0; i < 4; i++)
		vmcs_write((enum vmcs_field)(VMCS_GUEST_PDPTE0 + 2 * i), 0);
}

static bool in_64_bit_mode(const struct vcpu *vcpu __attribute__((unused)))
{
	return true;
}

/* Not an unrestricted guest: selectors' RPLs have rules. */
static bool in_ring_3(const struct vcpu *vcpu __attribute__((unused)))
{
	vmcs_clear_bits(VMCS_SECONDARY_PROC_CONTROLS, PROC2_UNRESTRICTED_GUEST);
	for (enum segment s = SEG_ES; s <= SEG_GS; s++) {
		const enum vmcs_field selector = VMCS_SEGMENT(VMCS_GUEST_ES_SELECTOR, s);

		vmcs_write(selector, vmcs_read(selector) | RPL3);
		vmcs_set_bits(VMCS_SEGMENT(VMCS_GUEST_ES_ACCESS_RIGHTS, s), ACCESS_RIGHTS_DPL3);
	}
	return true;
}

static void leave_long_mode(const struct vcpu *vcpu, uint64_t cr0, uint64_t cr4)
{
	vmcs_clear_bits(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST);
	vmcs_write(VMCS_GUEST_EFER, vmcs_read(VMCS_HOST_EFER) & ~(EFER_LME | EFER_LMA));
	cr_set_cr0(cr0 | CR0_NE | CR0_ET);
	cr_set_cr4(vcpu, cr4);
	vmcs_write(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE32);
}

static bool with_pae(const struct vcpu *vcpu)
{
	leave_long_mode(vcpu, CR0_PE | CR0_PG, CR4_PAE);
	for (unsigned int i = 0; i < 4; i++)
		vmcs_write((enum vmcs_field)(VMCS_GUEST_PDPTE0 + 2 * i),
			   PROBE_ADDRESS(PROBE_PD) | (i < 3 ? PDPTE_PRESENT : 0));
	return true;
}

static bool in_real_mode(const struct vcpu *vcpu)
{
	leave_long_mode(vcpu, 0, 0);
	vcpu_set_segment(SEG_CS, 0, V86_LIMIT, ACCESS_RIGHTS_DATA16);
	return true;
}

static bool in_v86_mode(const struct vcpu *vcpu)
{
	with_pae(vcpu);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_VM);
	for (enum segment s = SEG_ES; s <= SEG_GS; s++)
		vcpu_set_segment(s, 0, V86_LIMIT, V86_RIGHTS);
	return true;
}

static bool with_exception(const struct vcpu *vcpu __attribute__((unused)))
{
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO,
		   INFO(EVENT_HARDWARE_EXCEPTION, VECTOR_GP) | INTERRUPTION_ERROR_CODE_VALID);
	return true;
}

static bool with_interrupt(const struct vcpu *vcpu __attribute__((unused)))
{
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_IF);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, INFO(EVENT_EXTERNAL_INTERRUPT, VECTOR_INTERRUPT));
	return true;
}

static bool with_nmi(const struct vcpu *vcpu __attribute__((unused)))
{
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_IF);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, INFO(EVENT_NMI, VECTOR_NMI));
	return true;
}

static bool with_int_n(const struct vcpu *vcpu __attribute__((unused)))
{
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, INFO(EVENT_SOFTWARE_INTERRUPT, VECTOR_INTERRUPT));
	vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, INT_N_LENGTH);
	return true;
}

/* A single step that waits behind MOV SS; behind STI there is one flip less, of IF. */
static bool behind_mov_ss(const struct vcpu *vcpu __attribute__((unused)))
{
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_TF);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
	return true;
}

static bool in_hlt(const struct vcpu *vcpu __attribute__((unused)))
{
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	return true;
}

/* What Manfred does not use: all of it that this processor has. */
static bool with_apic(const struct vcpu *vcpu __attribute__((unused)))
{
	const uint32_t proc2 = PROC2_X2APIC | PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS;

	if (!allowed(MSR_IA32_VMX_PROCBASED_CTLS, PROC_TPR_SHADOW) ||
	    allowed(MSR_IA32_VMX_PROCBASED_CTLS2, proc2) != proc2)
		return false;
	vmcs_set_bits(VMCS_PROC_BASED_CONTROLS, PROC_TPR_SHADOW);
	vmcs_set_bits(VMCS_SECONDARY_PROC_CONTROLS, proc2);
	vmcs_set_bits(VMCS_PIN_BASED_CONTROLS,
		      PIN_EXTERNAL_INTERRUPT |
			      allowed(MSR_IA32_VMX_PINBASED_CTLS, PIN_POSTED_INTERRUPTS));
	return true;
}

static bool with_tpr_threshold(const struct vcpu *vcpu __attribute__((unused)))
{
	if (!allowed(MSR_IA32_VMX_PROCBASED_CTLS, PROC_TPR_SHADOW))
		return false;
	vmcs_set_bits(VMCS_PROC_BASED_CONTROLS, PROC_TPR_SHADOW);
	return true;
}

/* With a shadow VMCS behind the link pointer: the scratch page says that it is one. */
static bool with_shadow_vmcs(const struct vcpu *vcpu __attribute__((unused)))
{
	uint32_t *const revision = phys_to_virt(pages.scratch);
	const uint32_t proc2 = PROC2_VMCS_SHADOWING | PROC2_PML | PROC2_VE | PROC2_TSC_SCALING |
			       PROC2_SUBPAGE_WRITE | PROC2_VM_FUNCTIONS;
	const uint32_t has = allowed(MSR_IA32_VMX_PROCBASED_CTLS2, proc2);

	if (!(has & PROC2_VMCS_SHADOWING))
		return false;
	*revision = (uint32_t)(machine.vmx_basic & VMX_BASIC_REVISION_MASK) | SHADOW_VMCS;
	vmcs_set_bits(VMCS_SECONDARY_PROC_CONTROLS, has);
	vmcs_write(VMCS_VMCS_LINK_POINTER, pages.scratch);
	if (has & PROC2_VM_FUNCTIONS)
		vmcs_write(VMCS_VM_FUNCTION_CONTROLS,
			   rdmsr(MSR_IA32_VMX_VMFUNC) & VMFUNC_EPTP_SWITCHING);
	return true;
}

const struct flip_guest flip_guests[] = {
	{ "64-bit", in_64_bit_mode },
	{ "ring 3", in_ring_3 },
	{ "PAE", with_pae },
	{ "real mode", in_real_mode },
	{ "virtual-8086", in_v86_mode },
	{ "exception", with_exception },
	{ "interrupt", with_interrupt },
	{ "NMI", with_nmi },
	{ "INT n", with_int_n },
	{ "MOV SS", behind_mov_ss },
	{ "HLT", in_hlt },
	{ "virtual APIC", with_apic },
	{ "TPR threshold", with_tpr_threshold },
	{ "shadow VMCS", with_shadow_vmcs },
};
const unsigned int flip_guest_count = sizeof(flip_guests) / sizeof(flip_guests[0]);

#define LOW_BITS(count) ((1ULL << (count)) - 1)
#define IN_PAGE		LOW_BITS(12)
#define IN_MSR_AREA	LOW_BITS(13)
#define IN_TIME		LOW_BITS(16)
#define IN_MSR_COUNT	LOW_BITS(10) /* up to 512 entries, which every processor takes */

/* By field: the bits that are safe. */
static const struct {
	enum vmcs_field field;
	uint64_t safe;
	const char *why;
} unsafe[] = {
	{ VMCS_HOST_RIP, 0, "the exit would go to another address" },
	{ VMCS_HOST_CR3, IN_PAGE, "the exit would load other page tables" },
	{ VMCS_HOST_CR4, ~CR4_LA57, "the exit would change the depth of the page tables" },
	{ VMCS_HOST_EFER, ~EFER_NXE, "the VMM's page tables need EFER.NXE" },
	{ VMCS_EXIT_MSR_STORE_ADDRESS, IN_MSR_AREA, "the exit would write memory elsewhere" },
	{ VMCS_EXIT_MSR_LOAD_ADDRESS, IN_MSR_AREA, "the exit would load MSRs from elsewhere" },
	{ VMCS_ENTRY_MSR_LOAD_ADDRESS, IN_MSR_AREA, "the entry would load MSRs from elsewhere" },
	{ VMCS_EXIT_MSR_STORE_COUNT, IN_MSR_COUNT, "more MSRs than a processor need take" },
	{ VMCS_EXIT_MSR_LOAD_COUNT, IN_MSR_COUNT, "more MSRs than a processor need take" },
	{ VMCS_ENTRY_MSR_LOAD_COUNT, IN_MSR_COUNT, "more MSRs than a processor need take" },
	{ VMCS_VIRTUAL_APIC_ADDRESS, IN_PAGE, "the processor would write memory elsewhere" },
	{ VMCS_PREEMPTION_TIMER, IN_TIME, "a guest in HLT would come back late" },
};

const char *flip_is_unsafe(enum vmcs_field field, unsigned int bit, uint64_t value)
{
	if (field == VMCS_GUEST_ACTIVITY_STATE && value == ACTIVITY_WAIT_FOR_SIPI)
		return "only a SIPI would end it";
	for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
		if (unsafe[i].field == field && !(unsafe[i].safe >> bit & 1))
			return unsafe[i].why;
	return NULL;
}
