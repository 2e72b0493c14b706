// SPDX-License-Identifier: BSD-2-Clause
/* Owns struct machine: reads the capability MSRs and chooses the VMX controls. */
#include "vmm/host/capabilities.h"

#include <stddef.h>

#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "lib/x86/vmx.h"
#include "vmm/base/log.h"
#include "vmm/host/x86.h"

struct machine machine;

/* OPTIONAL: many processors lack it, which is no news. */
enum wish { REQUIRED, WANTED, OPTIONAL, FORBIDDEN };

struct control_wish {
	uint32_t bit;
	enum wish wish;
	const char *name;
};

static const struct control_wish pin_wishes[] = {
	{ PIN_NMI, REQUIRED, "NMI exiting" },
	{ PIN_VIRTUAL_NMI, REQUIRED, "virtual NMIs" },
};

static const struct control_wish proc_wishes[] = {
	{ PROC_HLT, REQUIRED, "HLT exiting" },
	{ PROC_IO_BITMAPS, REQUIRED, "I/O bitmaps" },
	{ PROC_MSR_BITMAPS, REQUIRED, "MSR bitmaps" },
	{ PROC_SECONDARY, REQUIRED, "secondary processor-based controls" },
	/* What CPUID hides from all guests must not run in them. */
	{ PROC_MWAIT, WANTED, "MWAIT exiting" },
	{ PROC_MONITOR, WANTED, "MONITOR exiting" },
	{ PROC_RDPMC, WANTED, "RDPMC exiting" },
	{ PROC_CR3_LOAD, FORBIDDEN, "CR3-load exiting" },
	{ PROC_CR3_STORE, FORBIDDEN, "CR3-store exiting" },
	{ PROC_INVLPG, FORBIDDEN, "INVLPG exiting" },
	{ PROC_RDTSC, FORBIDDEN, "RDTSC exiting" },
};

static const struct control_wish proc2_wishes[] = {
	{ PROC2_EPT, REQUIRED, "EPT" },
	{ PROC2_UNRESTRICTED_GUEST, REQUIRED, "unrestricted guest" },
	{ PROC2_VPID, WANTED, "VPID" },
	{ PROC2_RDTSCP, WANTED, "RDTSCP" },
	{ PROC2_INVPCID, WANTED, "INVPCID" },
	{ PROC2_XSAVES, WANTED, "XSAVES" },
	{ PROC2_USER_WAIT, WANTED, "user wait and pause" },
	{ PROC2_ENCLS, OPTIONAL, "ENCLS exiting" },
	{ PROC2_ENCLV, OPTIONAL, "ENCLV exiting" },
};

static const struct control_wish exit_wishes[] = {
	{ EXIT_HOST_64BIT, REQUIRED, "64-bit host" },
	{ EXIT_ACK_INTERRUPT, REQUIRED, "acknowledge interrupt on exit" },
	{ EXIT_SAVE_PAT, REQUIRED, "save PAT" },
	{ EXIT_LOAD_PAT, REQUIRED, "load PAT" },
	{ EXIT_SAVE_EFER, REQUIRED, "save EFER" },
	{ EXIT_LOAD_EFER, REQUIRED, "load EFER" },
	{ EXIT_SAVE_DEBUG, REQUIRED, "save debug controls" },
	{ EXIT_LOAD_CET, OPTIONAL, "load CET state" },
};

static const struct control_wish entry_wishes[] = {
	{ ENTRY_LOAD_DEBUG, REQUIRED, "load debug controls" },
	{ ENTRY_LOAD_PAT, REQUIRED, "load PAT" },
	{ ENTRY_LOAD_EFER, REQUIRED, "load EFER" },
	{ ENTRY_LOAD_CET, OPTIONAL, "load CET state" },
};

/*
 * Work out one control field. The capability MSR's low half are bits that must be 1, its
 * high half bits that may be 1 (SDM 3D, A.3 to A.5). Returns how many wishes it refuses.
 */
static unsigned int negotiate(const char *field, uint32_t capability_msr,
			      const struct control_wish *wishes, size_t count, uint32_t *controls)
{
	const uint64_t capability = rdmsr(capability_msr);
	const uint32_t must = (uint32_t)capability;
	const uint32_t may = (uint32_t)(capability >> 32);
	unsigned int refused = 0;

	*controls = must;
	for (size_t i = 0; i < count; i++) {
		const struct control_wish *const wish = &wishes[i];

		if (wish->wish == FORBIDDEN && (must & wish->bit)) {
			log_error("VMX %s controls: %s cannot be switched off", field, wish->name);
			refused++;
		} else if (wish->wish == REQUIRED && !(may & wish->bit)) {
			log_error("VMX %s controls: %s is missing", field, wish->name);
			refused++;
		} else if (wish->wish == WANTED && !(may & wish->bit)) {
			log_info("VMX %s controls: no %s, going on without", field, wish->name);
		} else if (wish->wish != FORBIDDEN) {
			*controls |= wish->bit & may;
		}
	}
	return refused;
}

#define NEGOTIATE(field, msr, wishes, controls) \
	negotiate(field, msr, wishes, sizeof(wishes) / sizeof((wishes)[0]), controls)

static unsigned int choose_controls(struct vmx_controls *c)
{
	/* The TRUE MSRs tell which of the bits that used to be fixed to 1 can be 0. */
	const bool true_msrs = machine.vmx_basic & VMX_BASIC_TRUE_CONTROLS;
	unsigned int refused = 0;

	refused +=
		NEGOTIATE("pin-based",
			  true_msrs ? MSR_IA32_VMX_TRUE_PINBASED_CTLS : MSR_IA32_VMX_PINBASED_CTLS,
			  pin_wishes, &c->pin);
	refused += NEGOTIATE("processor-based",
			     true_msrs ? MSR_IA32_VMX_TRUE_PROCBASED_CTLS
				       : MSR_IA32_VMX_PROCBASED_CTLS,
			     proc_wishes, &c->proc);
	if (c->proc & PROC_SECONDARY)
		refused += NEGOTIATE("secondary", MSR_IA32_VMX_PROCBASED_CTLS2, proc2_wishes,
				     &c->proc2);
	refused += NEGOTIATE("VM-exit",
			     true_msrs ? MSR_IA32_VMX_TRUE_EXIT_CTLS : MSR_IA32_VMX_EXIT_CTLS,
			     exit_wishes, &c->exit);
	refused += NEGOTIATE("VM-entry",
			     true_msrs ? MSR_IA32_VMX_TRUE_ENTRY_CTLS : MSR_IA32_VMX_ENTRY_CTLS,
			     entry_wishes, &c->entry);
	return refused;
}

bool machine_may_set(uint32_t capability_msr, uint32_t bit)
{
	return (rdmsr(capability_msr) >> 32 & bit) != 0;
}

static unsigned int check_ept(uint64_t capabilities)
{
	static const struct {
		uint64_t bits;
		const char *name;
	} needed[] = {
		{ EPT_CAP_WALK_4, "4-level page walk" },
		{ EPT_CAP_WRITE_BACK, "write-back paging structures" },
		{ EPT_CAP_2M, "2 MiB pages" },
		{ EPT_CAP_INVEPT | EPT_CAP_INVEPT_ALL, "INVEPT of all contexts" },
	};
	unsigned int missing = 0;

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if ((capabilities & needed[i].bits) != needed[i].bits) {
			log_error("EPT: %s is missing", needed[i].name);
			missing++;
		}
	}
	return missing;
}

static void read_mtrrs(struct mtrr_state *mtrr)
{
	static const uint32_t fixed[] = { MSR_IA32_MTRR_FIX64K_00000, MSR_IA32_MTRR_FIX16K_80000,
					  MSR_IA32_MTRR_FIX16K_A0000 };
	const uint32_t fixed_head = sizeof(fixed) / sizeof(fixed[0]);

	mtrr->physical_bits = cpuid(0x80000008, 0).eax & 0xff;
	if (!(cpuid(1, 0).edx & CPUID_1_EDX_MTRR)) {
		mtrr->def_type = MTRR_DEF_TYPE_ENABLE | MTRR_WB;
		return;
	}
	mtrr->def_type = rdmsr(MSR_IA32_MTRR_DEF_TYPE);
	mtrr->variable_count = rdmsr(MSR_IA32_MTRRCAP) & 0xff;
	if (mtrr->variable_count > MTRR_VARIABLE_MAX)
		mtrr->variable_count = MTRR_VARIABLE_MAX;
	for (uint32_t i = 0; i < MTRR_FIXED_COUNT; i++)
		mtrr->fixed[i] = rdmsr(i < fixed_head ? fixed[i]
						      : MSR_IA32_MTRR_FIX4K_C0000 + i - fixed_head);
	for (uint32_t i = 0; i < mtrr->variable_count; i++) {
		mtrr->variable[i].base = rdmsr(MSR_IA32_MTRR_PHYSBASE0 + 2 * i);
		mtrr->variable[i].mask = rdmsr(MSR_IA32_MTRR_PHYSBASE0 + 2 * i + 1);
	}
}

/* Allow VMXON on this processor, where the firmware has left that open. False: it is locked off. */
static bool open_vmx(void)
{
	uint64_t control = rdmsr(MSR_IA32_FEATURE_CONTROL);

	if (!(control & FEATURE_CONTROL_LOCKED)) {
		wrmsr(MSR_IA32_FEATURE_CONTROL,
		      control | FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX_OUTSIDE);
		control = rdmsr(MSR_IA32_FEATURE_CONTROL);
	}
	return control & FEATURE_CONTROL_VMX_OUTSIDE;
}

bool machine_can_use_vmx(void)
{
	return (cpuid(1, 0).ecx & CPUID_1_ECX_VMX) && open_vmx();
}

/* VMXON is possible at all: CPUID, and the firmware's word in IA32_FEATURE_CONTROL. */
static void check_vmx_present(void)
{
	if (!(cpuid(1, 0).ecx & CPUID_1_ECX_VMX))
		panic("no-vmx", "this processor has no VMX: Manfred needs Intel VT-x "
				"(under another hypervisor, switch on nested virtualization)");
	if (!open_vmx())
		panic("vmx-locked", "VMX is locked off by firmware: enable "
				    "'Intel Virtualization Technology' in the firmware setup");
}

static const uint32_t control_msrs[MACHINE_CONTROL_MSRS] = {
	MSR_IA32_VMX_PINBASED_CTLS,	  MSR_IA32_VMX_PROCBASED_CTLS,
	MSR_IA32_VMX_EXIT_CTLS,		  MSR_IA32_VMX_ENTRY_CTLS,
	MSR_IA32_VMX_PROCBASED_CTLS2,	  MSR_IA32_VMX_TRUE_PINBASED_CTLS,
	MSR_IA32_VMX_TRUE_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS,
	MSR_IA32_VMX_TRUE_ENTRY_CTLS,	  MSR_IA32_VMX_EXIT_CTLS2,
};

/* 0 when this processor has no such MSR. */
static uint64_t control_capability(uint32_t number)
{
	switch (number) {
	case MSR_IA32_VMX_TRUE_PINBASED_CTLS:
	case MSR_IA32_VMX_TRUE_PROCBASED_CTLS:
	case MSR_IA32_VMX_TRUE_EXIT_CTLS:
	case MSR_IA32_VMX_TRUE_ENTRY_CTLS:
		if (!(rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_TRUE_CONTROLS))
			return 0;
		break;
	case MSR_IA32_VMX_EXIT_CTLS2:
		if (!machine_may_set(MSR_IA32_VMX_EXIT_CTLS, EXIT_SECONDARY))
			return 0;
		break;
	default: /* where VMX is */
		break;
	}
	return rdmsr(number);
}

/*
 * What the first processor says of these decides for all. Not compared is what differs from core to
 * core without harm, such as performance hints and numbers of the core.
 */
enum cpuid_register { CPUID_EAX, CPUID_ECX, CPUID_EDX };

static const struct cpuid_choice {
	uint32_t leaf, subleaf;
	enum cpuid_register reg;
	uint32_t mask;
	const char *name;
} cpuid_choices[MACHINE_CPUID_CHOICES] = {
	{ 1, 0, CPUID_ECX, CPUID_1_ECX_XSAVE, "CPUID leaf 1" },
	{ 7, 0, CPUID_ECX, CPUID_7_ECX_SHSTK, "CPUID leaf 7" },
	{ 7, 0, CPUID_EDX, CPUID_7_EDX_IBT, "CPUID leaf 7" },
	{ 7, 1, CPUID_EAX, CPUID_7_1_EAX_FRED | CPUID_7_1_EAX_LKGS | CPUID_7_1_EAX_WRMSRNS,
	  "CPUID leaf 7.1" },
	{ 0xd, 0, CPUID_EAX, UINT32_MAX, "CPUID leaf 0DH" },
	{ 0xd, 0, CPUID_EDX, UINT32_MAX, "CPUID leaf 0DH" },
	{ 0xd, 1, CPUID_EAX, CPUID_D_1_EAX_XFD | CPUID_D_1_EAX_XSAVES, "CPUID leaf 0DH.1" },
	{ 0x80000001, 0, CPUID_EDX, CPUID_80000001_EDX_1G | CPUID_80000001_EDX_RDTSCP,
	  "CPUID leaf 80000001H" },
	{ 0x80000008, 0, CPUID_EAX, UINT16_MAX, "CPUID leaf 80000008H" },
};

/* A leaf above the highest one answers as another leaf does (SDM 2A, CPUID): it counts as 0. */
static uint32_t cpuid_choice(const struct cpuid_choice *choice)
{
	const uint32_t highest = cpuid(choice->leaf & CPUID_EXTENDED, 0).eax;
	struct cpuid_leaf leaf;

	if (choice->leaf > highest)
		return 0;
	leaf = cpuid(choice->leaf, choice->subleaf);
	return choice->mask & (choice->reg == CPUID_EAX	  ? leaf.eax
			       : choice->reg == CPUID_ECX ? leaf.ecx
							  : leaf.edx);
}

static const char *vmx_difference(void)
{
	const struct {
		bool differs;
		const char *what;
	} checks[] = {
		{ rdmsr(MSR_IA32_VMX_BASIC) != machine.vmx_basic, "IA32_VMX_BASIC" },
		{ rdmsr(MSR_IA32_VMX_MISC) != machine.vmx_misc, "IA32_VMX_MISC" },
		{ rdmsr(MSR_IA32_VMX_EPT_VPID_CAP) != machine.ept_vpid_cap,
		  "IA32_VMX_EPT_VPID_CAP" },
		{ rdmsr(MSR_IA32_VMX_CR0_FIXED0) != machine.cr0_fixed0, "IA32_VMX_CR0_FIXED0" },
		{ rdmsr(MSR_IA32_VMX_CR0_FIXED1) != machine.cr0_fixed1, "IA32_VMX_CR0_FIXED1" },
		{ rdmsr(MSR_IA32_VMX_CR4_FIXED0) != machine.cr4_fixed0, "IA32_VMX_CR4_FIXED0" },
		{ rdmsr(MSR_IA32_VMX_CR4_FIXED1) != machine.cr4_fixed1, "IA32_VMX_CR4_FIXED1" },
	};

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		if (checks[i].differs)
			return checks[i].what;
	for (size_t i = 0; i < MACHINE_CONTROL_MSRS; i++)
		if (control_capability(control_msrs[i]) != machine.control_capabilities[i])
			return "set of VMX controls";
	return NULL;
}

static const char *cpuid_difference(void)
{
	for (size_t i = 0; i < MACHINE_CPUID_CHOICES; i++)
		if (cpuid_choice(&cpuid_choices[i]) != machine.cpuid_choices[i])
			return cpuid_choices[i].name;
	return NULL;
}

/* The capability MSRs exist where VMX does. */
const char *machine_difference(void)
{
	const char *difference;

	if (!machine_can_use_vmx())
		return "IA32_FEATURE_CONTROL";
	difference = vmx_difference();
	return difference ? difference : cpuid_difference();
}

static void note_what_all_must_have(void)
{
	for (size_t i = 0; i < MACHINE_CONTROL_MSRS; i++)
		machine.control_capabilities[i] = control_capability(control_msrs[i]);
	for (size_t i = 0; i < MACHINE_CPUID_CHOICES; i++)
		machine.cpuid_choices[i] = cpuid_choice(&cpuid_choices[i]);
}

/*
 * Extended state that guests are shown: what belongs to a feature that vcpu/cpuid_policy.c shows.
 * Not that of MPX, APX, PT, PASID, user interrupts, LBR, HDC, HWP.
 */
#define XCR0_SHOWN (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU | XCR0_AMX)
#define XSS_SHOWN  XSS_CET

static void probe_extended_state(void)
{
	struct cpuid_leaf leaf;

	if (!(cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE))
		return;
	leaf = cpuid(0xd, 0);
	machine.xcr0_supported = ((uint64_t)leaf.edx << 32 | leaf.eax) & XCR0_SHOWN;
	machine.xsave_size = XSAVE_SIZE_MIN;
	for (uint32_t i = XSAVE_COMPONENT_FIRST; i <= XSAVE_COMPONENT_LAST; i++) {
		if (!(machine.xcr0_supported >> i & 1))
			continue;
		leaf = cpuid(0xd, i);
		if (leaf.ebx + leaf.eax > machine.xsave_size)
			machine.xsave_size = leaf.ebx + leaf.eax;
	}
	leaf = cpuid(0xd, 1);
	if ((machine.controls.proc2 & PROC2_XSAVES) && (leaf.eax & CPUID_D_1_EAX_XSAVES))
		machine.xss_supported = leaf.ecx & XSS_SHOWN;
}

void machine_probe(void)
{
	const uint64_t vpid = VPID_CAP_INVVPID | VPID_CAP_INVVPID_ALL;
	unsigned int missing;

	check_vmx_present();
	machine.vmx_basic = rdmsr(MSR_IA32_VMX_BASIC);
	machine.vmx_misc = rdmsr(MSR_IA32_VMX_MISC);
	machine.cr0_fixed0 = rdmsr(MSR_IA32_VMX_CR0_FIXED0);
	machine.cr0_fixed1 = rdmsr(MSR_IA32_VMX_CR0_FIXED1);
	machine.cr4_fixed0 = rdmsr(MSR_IA32_VMX_CR4_FIXED0);
	machine.cr4_fixed1 = rdmsr(MSR_IA32_VMX_CR4_FIXED1);
	note_what_all_must_have();
	missing = choose_controls(&machine.controls);
	if (machine.controls.proc2 & PROC2_EPT) {
		machine.ept_vpid_cap = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
		missing += check_ept(machine.ept_vpid_cap);
	}
	/* Who cannot flush translations that outlive exits has to do without them. */
	if ((machine.ept_vpid_cap & vpid) != vpid)
		machine.controls.proc2 &= ~PROC2_VPID;
	if (!(machine.vmx_misc & VMX_MISC_ACTIVITY_HLT)) {
		log_error("VMX: the HLT activity state is missing");
		missing++;
	}
	if (missing != 0)
		panic("vmx-capabilities",
		      "VMX lacks %u things that Manfred cannot do without, named above", missing);
	machine.has_preemption_timer =
		machine_may_set(MSR_IA32_VMX_PINBASED_CTLS, PIN_PREEMPTION_TIMER) &&
		machine_may_set(MSR_IA32_VMX_EXIT_CTLS, EXIT_SAVE_PREEMPTION_TIMER);
	machine.has_monitor_trap = machine_may_set(MSR_IA32_VMX_PROCBASED_CTLS, PROC_MONITOR_TRAP);
	read_mtrrs(&machine.mtrr);
	probe_extended_state();
	machine.has_cet =
		(cpuid(7, 0).ecx & CPUID_7_ECX_SHSTK) && (cpuid(7, 0).edx & CPUID_7_EDX_IBT) &&
		(machine.controls.entry & ENTRY_LOAD_CET) &&
		(machine.controls.exit & EXIT_LOAD_CET) && machine.xss_supported == XSS_CET;
	machine.has_1g_pages = (cpuid(0x80000001, 0).edx & CPUID_80000001_EDX_1G) != 0;
	machine.has_xfd = (cpuid(0xd, 1).eax & CPUID_D_1_EAX_XFD) != 0;
	machine.physical_mask = (1ULL << machine.mtrr.physical_bits) - 1;
	log_info("VMX revision %llx, EPT%s%s, VPID %s, physical address width %u",
		 (unsigned long long)(machine.vmx_basic & VMX_BASIC_REVISION_MASK),
		 machine.ept_vpid_cap & EPT_CAP_2M ? " 2M" : "",
		 machine.ept_vpid_cap & EPT_CAP_1G ? " 1G" : "",
		 machine.controls.proc2 & PROC2_VPID ? "yes" : "no", machine.mtrr.physical_bits);
}
