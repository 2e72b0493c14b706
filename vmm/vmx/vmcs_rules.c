// SPDX-License-Identifier: BSD-2-Clause
/*
 * Our own version of the checks that a VM entry makes, for the moment when one
 * has failed: the processor says which part is wrong, this says which rule.
 * Rules in the order of SDM 3C, 27.2 (controls, host) and 27.3 (guest).
 */
#include <stddef.h>

#include "lib/fred.h"
#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "vmm/host/capabilities.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define RFLAGS_IOPL	 (3ULL << 12)
#define CET_TRACKER	 (3ULL << 10) /* SUPPRESS and WAIT_FOR_ENDBRANCH: never both */
#define CET_RESERVED	 0x3c0ULL
#define RFLAGS_ALWAYS_0	 0xffffffffffc08028ULL
#define INFO_RESERVED	 0x7fffd000U
#define INSTRUCTION_MAX	 15
#define VECTOR_MTF	 0 /* of type 7 */
#define ACTIVITY_LAST	 ACTIVITY_WAIT_FOR_SIPI
#define SELECTOR_TI	 (1U << 2)
#define SEGMENT_TYPE(ar) ((ar)&0xfU)
#define SEGMENT_S	 (1U << 4)
#define SEGMENT_PRESENT	 (1U << 7)
#define SEGMENT_D	 (1U << 14)
#define SEGMENT_G	 (1U << 15)
#define SEGMENT_RESERVED 0xfffe0f00U

static bool has(enum vmcs_field controls, uint64_t bits)
{
	return (vmcs_read(controls) & bits) == bits;
}

static bool is_linear(uint64_t address)
{
	return is_canonical(address, machine.linear_bits);
}

static bool is_page(enum vmcs_field field)
{
	const uint64_t address = vmcs_read(field);

	return (address & PAGE_MASK) == 0 && (address & ~machine.physical_mask) == 0;
}

static bool is_allowed(enum vmcs_field controls, uint32_t msr, uint32_t true_msr)
{
	const uint64_t capability =
		rdmsr(machine.vmx_basic & VMX_BASIC_TRUE_CONTROLS ? true_msr : msr);
	const uint64_t value = vmcs_read(controls);

	return (value & (uint32_t)capability) == (uint32_t)capability &&
	       (value & ~(capability >> 32)) == 0;
}

static bool is_fixed(uint64_t value, uint64_t fixed0, uint64_t fixed1)
{
	return (value & fixed0) == fixed0 && (value & ~fixed1) == 0;
}

#define RULE(holds, text)            \
	do {                         \
		if (!(holds))        \
			return text; \
	} while (0)

static const char *check_controls(void)
{
	RULE(is_allowed(VMCS_PIN_BASED_CONTROLS, MSR_IA32_VMX_PINBASED_CTLS,
			MSR_IA32_VMX_TRUE_PINBASED_CTLS),
	     "a pin-based control has a value that this processor does not allow");
	RULE(is_allowed(VMCS_PROC_BASED_CONTROLS, MSR_IA32_VMX_PROCBASED_CTLS,
			MSR_IA32_VMX_TRUE_PROCBASED_CTLS),
	     "a processor-based control has a value that this processor does not allow");
	RULE(is_allowed(VMCS_SECONDARY_PROC_CONTROLS, MSR_IA32_VMX_PROCBASED_CTLS2,
			MSR_IA32_VMX_PROCBASED_CTLS2),
	     "a secondary processor-based control has a value that this processor does not allow");
	RULE(is_allowed(VMCS_EXIT_CONTROLS, MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS),
	     "a VM-exit control has a value that this processor does not allow");
	RULE(is_allowed(VMCS_ENTRY_CONTROLS, MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS),
	     "a VM-entry control has a value that this processor does not allow");
	RULE(!has(VMCS_EXIT_CONTROLS, EXIT_SECONDARY) ||
		     !(vmcs_read(VMCS_SECONDARY_EXIT_CONTROLS) & ~rdmsr(MSR_IA32_VMX_EXIT_CTLS2)),
	     "a secondary VM-exit control has a value that this processor does not allow");
	RULE(is_page(VMCS_IO_BITMAP_A) && is_page(VMCS_IO_BITMAP_B),
	     "an I/O bitmap is not a page of physical memory");
	RULE(is_page(VMCS_MSR_BITMAP), "the MSR bitmap is not a page of physical memory");
	RULE(!has(VMCS_PIN_BASED_CONTROLS, PIN_VIRTUAL_NMI) ||
		     has(VMCS_PIN_BASED_CONTROLS, PIN_NMI),
	     "virtual NMIs need NMI exiting");
	RULE(!has(VMCS_PROC_BASED_CONTROLS, PROC_NMI_WINDOW) ||
		     has(VMCS_PIN_BASED_CONTROLS, PIN_VIRTUAL_NMI),
	     "NMI-window exiting needs virtual NMIs");
	RULE(!has(VMCS_SECONDARY_PROC_CONTROLS, PROC2_UNRESTRICTED_GUEST) ||
		     has(VMCS_SECONDARY_PROC_CONTROLS, PROC2_EPT),
	     "unrestricted guest needs EPT");
	RULE(!has(VMCS_SECONDARY_PROC_CONTROLS, PROC2_VPID) || vmcs_read(VMCS_VPID) != 0,
	     "the VPID is 0");
	RULE(!has(VMCS_EXIT_CONTROLS, EXIT_SAVE_PREEMPTION_TIMER) ||
		     has(VMCS_PIN_BASED_CONTROLS, PIN_PREEMPTION_TIMER),
	     "saving the preemption timer needs the timer");
	return NULL;
}

static bool ends_hlt(unsigned int type, unsigned int vector)
{
	return type == EVENT_EXTERNAL_INTERRUPT || type == EVENT_NMI ||
	       (type == EVENT_OTHER && vector == VECTOR_MTF) ||
	       (type == EVENT_HARDWARE_EXCEPTION && (vector == VECTOR_DB || vector == VECTOR_MC));
}

static bool is_software_event(unsigned int type, unsigned int vector)
{
	return type >= EVENT_SOFTWARE_INTERRUPT && (type != EVENT_OTHER || vector != VECTOR_MTF);
}

static const char *check_injected_type(unsigned int type, unsigned int vector)
{
	RULE(type != 1, "the injected event has the reserved type 1");
	RULE(type != EVENT_NMI || vector == VECTOR_NMI, "the injected NMI has not vector 2");
	RULE(type != EVENT_HARDWARE_EXCEPTION || vector < EXCEPTION_VECTORS,
	     "the injected hardware exception has a vector above 31");
	RULE(type != EVENT_OTHER || vector <= FRED_VECTOR_SYSENTER,
	     "the injected event has type 7, and is neither MTF nor SYSCALL nor SYSENTER");
	RULE(type != EVENT_OTHER || vector != VECTOR_MTF || machine.has_monitor_trap,
	     "a monitor trap is injected, which this processor does not have");
	RULE(type != EVENT_OTHER || vector == VECTOR_MTF || has(VMCS_GUEST_CR4, CR4_FRED),
	     "SYSCALL or SYSENTER is injected, and guest CR4.FRED is 0");
	return NULL;
}

static const char *check_injection(void)
{
	const uint64_t info = vmcs_read(VMCS_ENTRY_INTERRUPTION_INFO);
	const unsigned int type = INTERRUPTION_TYPE(info);
	const unsigned int vector = INTERRUPTION_VECTOR(info);
	const uint64_t length = vmcs_read(VMCS_ENTRY_INSTRUCTION_LENGTH);
	const char *broken;

	if (!(info & INTERRUPTION_VALID))
		return NULL;
	broken = check_injected_type(type, vector);
	if (broken)
		return broken;
	RULE(!(info & INTERRUPTION_ERROR_CODE_VALID) || type == EVENT_HARDWARE_EXCEPTION,
	     "the injected event has an error code, but is no hardware exception");
	RULE(!(info & INTERRUPTION_ERROR_CODE_VALID) || has(VMCS_GUEST_CR0, CR0_PE),
	     "the injected exception has an error code in real mode");
	RULE(!(info & INTERRUPTION_ERROR_CODE_VALID) ||
		     vmcs_read(VMCS_ENTRY_EXCEPTION_ERROR_CODE) <= UINT16_MAX,
	     "the injected exception's error code has more than 16 bits");
	RULE(!(info & INTERRUPTION_NESTED) || (type == EVENT_HARDWARE_EXCEPTION &&
					       (machine.vmx_basic & VMX_BASIC_NESTED_EXCEPTION)),
	     "the injected event cannot be nested");
	RULE(!(info & INFO_RESERVED), "the injected event has a reserved bit");
	RULE(!is_software_event(type, vector) ||
		     (length <= INSTRUCTION_MAX &&
		      (length > 0 || (machine.vmx_misc & VMX_MISC_ZERO_LENGTH))),
	     "the injected software event's instruction has an impossible length");
	RULE(type != EVENT_EXTERNAL_INTERRUPT || has(VMCS_GUEST_RFLAGS, RFLAGS_IF),
	     "an external interrupt is injected with RFLAGS.IF = 0");
	RULE(type != EVENT_EXTERNAL_INTERRUPT ||
		     !(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) &
		       (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)),
	     "an external interrupt is injected in the shadow of STI or MOV SS");
	RULE(vmcs_read(VMCS_GUEST_ACTIVITY_STATE) != ACTIVITY_HLT || ends_hlt(type, vector),
	     "the injected event does not end the guest's HLT");
	RULE(type != EVENT_NMI ||
		     !(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) &
		       (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS | INTERRUPTIBILITY_NMI)),
	     "an NMI is injected while NMIs are blocked");
	return NULL;
}

/* SDM 3C, 27.2.2 and 27.3.1.1: FRED's MSRs have the same rules in the VMCS as with WRMSR. */
#define FRED_RULE(side, name)                                                             \
	RULE(fred_msr_accepts(MSR_IA32_FRED_##name, vmcs_read(VMCS_##side##_FRED_##name), \
			      machine.linear_bits),                                       \
	     #side "_FRED_" #name " has a value that its MSR does not take")
#define FRED_RULES(side)                 \
	do {                             \
		FRED_RULE(side, CONFIG); \
		FRED_RULE(side, RSP1);   \
		FRED_RULE(side, RSP2);   \
		FRED_RULE(side, RSP3);   \
		FRED_RULE(side, SSP1);   \
		FRED_RULE(side, SSP2);   \
		FRED_RULE(side, SSP3);   \
	} while (0)

static const char *check_host_fred(void)
{
	if (has(VMCS_EXIT_CONTROLS, EXIT_SECONDARY) &&
	    (vmcs_read(VMCS_SECONDARY_EXIT_CONTROLS) & EXIT2_LOAD_FRED))
		FRED_RULES(HOST);
	RULE(!has(VMCS_HOST_CR4, CR4_FRED) || has(VMCS_EXIT_CONTROLS, EXIT_HOST_64BIT),
	     "host CR4.FRED is 1, and VM exit does not load a 64-bit host");
	return NULL;
}

static const char *check_host(void)
{
	RULE(is_fixed(vmcs_read(VMCS_HOST_CR0), machine.cr0_fixed0, machine.cr0_fixed1),
	     "host CR0 has a bit that VMX operation does not allow");
	RULE(is_fixed(vmcs_read(VMCS_HOST_CR4), machine.cr4_fixed0, machine.cr4_fixed1),
	     "host CR4 has a bit that VMX operation does not allow");
	RULE((vmcs_read(VMCS_HOST_CR3) & ~machine.physical_mask) == 0,
	     "host CR3 is above the physical address width");
	RULE(vmcs_read(VMCS_HOST_CS_SELECTOR) != 0 && vmcs_read(VMCS_HOST_TR_SELECTOR) != 0,
	     "host CS or TR is a null selector");
	RULE(is_linear(vmcs_read(VMCS_HOST_RIP)) && is_linear(vmcs_read(VMCS_HOST_GS_BASE)) &&
		     is_linear(vmcs_read(VMCS_HOST_TR_BASE)) &&
		     is_linear(vmcs_read(VMCS_HOST_GDTR_BASE)) &&
		     is_linear(vmcs_read(VMCS_HOST_IDTR_BASE)),
	     "a host address is not canonical");
	RULE(has(VMCS_HOST_EFER, EFER_LME | EFER_LMA), "host EFER is not that of 64-bit mode");
	return NULL;
}

static const char *check_guest_control_registers(void)
{
	const bool ia32e = has(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST);
	const bool unrestricted = has(VMCS_SECONDARY_PROC_CONTROLS, PROC2_UNRESTRICTED_GUEST);
	const uint64_t exempt = unrestricted ? CR0_PE | CR0_PG : 0;

	RULE(is_fixed(vmcs_read(VMCS_GUEST_CR0), machine.cr0_fixed0 & ~exempt, machine.cr0_fixed1),
	     "guest CR0 has a bit that VMX operation does not allow");
	RULE(!has(VMCS_GUEST_CR0, CR0_PG) || has(VMCS_GUEST_CR0, CR0_PE),
	     "guest CR0.PG is 1 with CR0.PE = 0");
	RULE(is_fixed(vmcs_read(VMCS_GUEST_CR4), machine.cr4_fixed0, machine.cr4_fixed1),
	     "guest CR4 has a bit that VMX operation does not allow");
	RULE(!ia32e || (has(VMCS_GUEST_CR0, CR0_PG) && has(VMCS_GUEST_CR4, CR4_PAE)),
	     "an IA-32e mode guest needs CR0.PG and CR4.PAE");
	RULE(ia32e || !has(VMCS_GUEST_CR4, CR4_PCIDE), "guest CR4.PCIDE is 1 outside IA-32e mode");
	RULE((vmcs_read(VMCS_GUEST_CR3) & ~machine.physical_mask) == 0,
	     "guest CR3 is above the physical address width");
	RULE(has(VMCS_GUEST_EFER, EFER_LMA) == ia32e,
	     "guest EFER.LMA differs from the control \"IA-32e mode guest\"");
	RULE(!has(VMCS_GUEST_CR0, CR0_PG) || has(VMCS_GUEST_EFER, EFER_LME) == ia32e,
	     "guest EFER.LME differs from EFER.LMA with paging on");
	RULE(vmcs_read(VMCS_GUEST_DR7) >> 32 == 0, "guest DR7 has a bit above 31");
	return NULL;
}

/* G says the unit of the limit: low bits all 1 or high bits all 0 follow from it. */
static bool limit_fits_granularity(uint64_t limit, uint64_t rights)
{
	return ((limit & 0xfff) == 0xfff || !(rights & SEGMENT_G)) &&
	       ((limit >> 20) == 0 || (rights & SEGMENT_G));
}

static const char *check_guest_segments(void)
{
	const uint64_t cs = vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS);
	const uint64_t ss = vmcs_read(VMCS_GUEST_SS_ACCESS_RIGHTS);
	const uint64_t tr = vmcs_read(VMCS_GUEST_TR_ACCESS_RIGHTS);

	if (vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_VM)
		return NULL; /* virtual-8086 mode has rules of its own */
	for (unsigned int s = SEG_ES; s <= SEG_GS; s++) {
		const uint64_t rights = vmcs_read(VMCS_SEGMENT(VMCS_GUEST_ES_ACCESS_RIGHTS, s));

		if (s != SEG_CS && (rights & ACCESS_RIGHTS_UNUSABLE))
			continue;
		RULE((rights & SEGMENT_S) && (rights & SEGMENT_PRESENT) &&
			     !(rights & SEGMENT_RESERVED),
		     "a guest segment's access rights are not those of a present code or data "
		     "segment");
		RULE(limit_fits_granularity(vmcs_read(VMCS_SEGMENT(VMCS_GUEST_ES_LIMIT, s)),
					    rights),
		     "a guest segment's limit does not fit its granularity");
	}
	RULE(SEGMENT_TYPE(cs) == 3 || (SEGMENT_TYPE(cs) & 9) == 9,
	     "guest CS is not an accessed code segment");
	RULE(!has(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST) ||
		     !((cs & ACCESS_RIGHTS_L) && (cs & SEGMENT_D)),
	     "guest CS has both L and D");
	RULE((ss & ACCESS_RIGHTS_UNUSABLE) || (SEGMENT_TYPE(ss) & 0xb) == 3,
	     "guest SS is not an accessed, writable data segment");
	RULE(!(tr & ACCESS_RIGHTS_UNUSABLE) && !(tr & SEGMENT_S) && (tr & SEGMENT_PRESENT) &&
		     (SEGMENT_TYPE(tr) == 11 ||
		      (SEGMENT_TYPE(tr) == 3 && !has(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST))),
	     "guest TR is not a busy TSS");
	RULE(!(vmcs_read(VMCS_GUEST_TR_SELECTOR) & SELECTOR_TI), "guest TR is in the LDT");
	RULE(limit_fits_granularity(vmcs_read(VMCS_GUEST_TR_LIMIT), tr),
	     "guest TR's limit does not fit its granularity");
	RULE(is_linear(vmcs_read(VMCS_GUEST_FS_BASE)) && is_linear(vmcs_read(VMCS_GUEST_GS_BASE)) &&
		     is_linear(vmcs_read(VMCS_GUEST_TR_BASE)) &&
		     is_linear(vmcs_read(VMCS_GUEST_GDTR_BASE)) &&
		     is_linear(vmcs_read(VMCS_GUEST_IDTR_BASE)),
	     "a guest segment or descriptor table base is not canonical");
	return NULL;
}

static const char *check_guest_fred(void)
{
	const uint64_t ss = vmcs_read(VMCS_GUEST_SS_ACCESS_RIGHTS);
	const unsigned int dpl = (unsigned int)ACCESS_RIGHTS_DPL(ss);

	if (has(VMCS_ENTRY_CONTROLS, ENTRY_LOAD_FRED))
		FRED_RULES(GUEST);
	if (!has(VMCS_GUEST_CR4, CR4_FRED))
		return NULL;
	RULE(has(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST),
	     "guest CR4.FRED is 1 outside IA-32e mode");
	RULE(dpl == 0 || dpl == 3, "guest CR4.FRED is 1 at CPL 1 or 2");
	RULE(dpl != 0 || has(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_L),
	     "guest CR4.FRED is 1 at CPL 0 in 32-bit code");
	RULE(dpl != 3 || !(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_IOPL),
	     "guest CR4.FRED is 1 at CPL 3 with an IOPL");
	RULE(dpl != 3 || !has(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI),
	     "guest CR4.FRED is 1 at CPL 3 in the shadow of STI");
	return NULL;
}

/* SDM 3C, 27.3.1: the state of shadow stacks and branch tracking. */
static const char *check_guest_cet(void)
{
	RULE(!has(VMCS_GUEST_CR4, CR4_CET) || has(VMCS_GUEST_CR0, CR0_WP),
	     "guest CR4.CET is 1 with CR0.WP = 0");
	if (!has(VMCS_ENTRY_CONTROLS, ENTRY_LOAD_CET))
		return NULL;
	RULE(is_linear(vmcs_read(VMCS_GUEST_S_CET)) && !has(VMCS_GUEST_S_CET, CET_TRACKER) &&
		     !(vmcs_read(VMCS_GUEST_S_CET) & CET_RESERVED),
	     "guest S_CET has a value that its MSR does not take");
	RULE(is_linear(vmcs_read(VMCS_GUEST_SSP)) &&
		     !(vmcs_read(VMCS_GUEST_SSP) & PL0_SSP_RESERVED),
	     "guest SSP is not canonical or not aligned");
	return NULL;
}

static const char *check_guest_state(void)
{
	const uint64_t rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	const uint64_t blocking = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
	const uint64_t activity = vmcs_read(VMCS_GUEST_ACTIVITY_STATE);
	const bool shadow = blocking & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS);
	const bool steps = (rflags & RFLAGS_TF) && !has(VMCS_GUEST_DEBUGCTL, DEBUGCTL_BTF);

	RULE(rflags & RFLAGS_RESERVED, "guest RFLAGS bit 1 is 0");
	RULE(!(rflags & RFLAGS_ALWAYS_0), "guest RFLAGS has a reserved bit");
	RULE(!(rflags & RFLAGS_VM) || !has(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST),
	     "guest RFLAGS.VM is 1 in IA-32e mode");
	RULE(!has(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_L) ||
		     is_linear(vmcs_read(VMCS_GUEST_RIP)),
	     "guest RIP is not canonical");
	RULE(activity <= ACTIVITY_LAST, "the guest's activity state is none");
	RULE(activity != ACTIVITY_HLT ||
		     ACCESS_RIGHTS_DPL(vmcs_read(VMCS_GUEST_SS_ACCESS_RIGHTS)) == 0,
	     "the guest is in HLT, but not at CPL 0");
	RULE(activity == ACTIVITY_ACTIVE || !shadow,
	     "the guest is not active, in the shadow of STI or MOV SS");
	RULE(!(blocking & INTERRUPTIBILITY_STI) || !(blocking & INTERRUPTIBILITY_MOV_SS),
	     "the guest is in the shadow of STI and of MOV SS at once");
	RULE(!(blocking & INTERRUPTIBILITY_SMI), "the guest blocks SMIs, as only SMM does");
	RULE(!(blocking & INTERRUPTIBILITY_STI) || (rflags & RFLAGS_IF),
	     "the guest is in the shadow of STI with RFLAGS.IF = 0");
	RULE((!shadow && activity != ACTIVITY_HLT) ||
		     has(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS) == steps,
	     "in HLT or the shadow of STI or MOV SS a single step is pending, but not by TF and "
	     "BTF, or the other way round");
	RULE(vmcs_read(VMCS_VMCS_LINK_POINTER) == ~0ULL, "the VMCS link pointer is not all ones");
	return NULL;
}

const char *vmcs_check(void)
{
	static const char *(*const parts[])(void) = {
		check_controls,	      check_injection,
		check_host,	      check_guest_control_registers,
		check_guest_segments, check_guest_state,
		check_host_fred,      check_guest_fred,
		check_guest_cet,
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const char *const broken = parts[i]();

		if (broken)
			return broken;
	}
	return NULL;
}
