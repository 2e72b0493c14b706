// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rules of VM entry for guest state that is in no register (SDM 3C, 28.3.1.5 and 28.3.1.6):
 * activity, blocking of events, pending debug exceptions, the VMCS link pointer, PDPTEs; and for
 * the MSRs that the entry loads from memory (28.4).
 */
#include "vmm/vmx/rule.h"

#define SHADOW		    (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)
#define BLOCKING_RESERVED   0xffffffe0U
#define PENDING_RESERVED    0xfffffffffffea7f0ULL
#define RTM_ALONE	    (~(uint64_t)(PENDING_DEBUG_RTM | PENDING_DEBUG_ENABLED))
#define NO_LINK		    (~0ULL)
#define SHADOW_VMCS	    (1U << 31) /* in a VMCS region's revision */
#define PDPTES		    4U
#define PDPTE_PRESENT	    1ULL
#define PDPTE_RESERVED	    0x1e6ULL
#define CR3_PAE_MASK	    0xffffffe0ULL
#define MSR_X2APIC_RANGE(i) ((i) >> 8 == MSR_IA32_X2APIC_FIRST >> 8)

/* The type of the event to be injected; -1: none is. */
static int injected_type(const struct judged *v, unsigned int *vector)
{
	const uint64_t info = field(v, VMCS_ENTRY_INTERRUPTION_INFO);

	*vector = INTERRUPTION_VECTOR(info);
	return info & INTERRUPTION_VALID ? (int)INTERRUPTION_TYPE(info) : -1;
}

static bool is_exception(int type, unsigned int vector, unsigned int wanted)
{
	return type == EVENT_HARDWARE_EXCEPTION && vector == wanted;
}

/* Is this event one that ends the activity state? */
static bool ends_activity(uint64_t activity, int type, unsigned int vector)
{
	switch (activity) {
	case ACTIVITY_ACTIVE:
		return true;
	case ACTIVITY_HLT:
		return type == EVENT_EXTERNAL_INTERRUPT || type == EVENT_NMI ||
		       (type == EVENT_OTHER && vector == VECTOR_MTF) ||
		       is_exception(type, vector, VECTOR_DB) ||
		       is_exception(type, vector, VECTOR_MC);
	case ACTIVITY_SHUTDOWN:
		return type == EVENT_NMI || is_exception(type, vector, VECTOR_MC);
	default:
		return false;
	}
}

const char *rules_of_guest_activity(const struct judged *v)
{
	const uint64_t activity = field(v, VMCS_GUEST_ACTIVITY_STATE);
	unsigned int vector;
	const int type = injected_type(v, &vector);

	RULE(activity <= ACTIVITY_WAIT_FOR_SIPI, "the guest's activity state does not exist");
	RULE(activity == ACTIVITY_ACTIVE ||
		     (capability(v, MSR_IA32_VMX_MISC) & VMX_MISC_ACTIVITY(activity)),
	     "the guest has an activity state that this processor does not support");
	RULE(activity != ACTIVITY_HLT ||
		     ACCESS_RIGHTS_DPL(field(v, VMCS_GUEST_SS_ACCESS_RIGHTS)) == 0,
	     "the guest is in HLT, but not at CPL 0");
	RULE(activity == ACTIVITY_ACTIVE || !(field(v, VMCS_GUEST_INTERRUPTIBILITY) & SHADOW),
	     "the guest is not active, in the shadow of STI or MOV SS");
	RULE(type < 0 || ends_activity(activity, type, vector),
	     "the injected event does not end the guest's activity state");
	return NULL;
}

const char *rules_of_guest_blocking(const struct judged *v)
{
	const uint64_t blocking = field(v, VMCS_GUEST_INTERRUPTIBILITY);
	unsigned int vector;
	const int type = injected_type(v, &vector);

	RULE(!(blocking & BLOCKING_RESERVED), "the guest's interruptibility has a reserved bit");
	RULE((blocking & SHADOW) != SHADOW,
	     "the guest is in the shadow of STI and of MOV SS at once");
	RULE(!(blocking & INTERRUPTIBILITY_STI) || has_bits(v, VMCS_GUEST_RFLAGS, RFLAGS_IF),
	     "the guest is in the shadow of STI with RFLAGS.IF = 0");
	RULE(!(blocking & INTERRUPTIBILITY_SMI), "the guest blocks SMIs, as only SMM does");
	RULE(type != EVENT_EXTERNAL_INTERRUPT || !(blocking & SHADOW),
	     "an external interrupt is injected in the shadow of STI or MOV SS");
	RULE(type != EVENT_NMI || !(blocking & INTERRUPTIBILITY_MOV_SS),
	     "an NMI is injected in the shadow of MOV SS");
	RULE(type != EVENT_NMI || !(blocking & INTERRUPTIBILITY_NMI) ||
		     !has(v, CONTROL_PIN, PIN_VIRTUAL_NMI),
	     "an NMI is injected while NMIs are blocked");
	RULE(!(blocking & INTERRUPTIBILITY_ENCLAVE) || v->processor->has_sgx,
	     "the guest was interrupted in an enclave, and this processor has no SGX");
	RULE(!(blocking & INTERRUPTIBILITY_ENCLAVE) || !(blocking & INTERRUPTIBILITY_MOV_SS),
	     "the guest was interrupted in an enclave, in the shadow of MOV SS");
	return NULL;
}

/* Not all processors check this; those that do tell it apart. */
const char *rules_of_nmi_behind_sti(const struct judged *v)
{
	unsigned int vector;

	RULE(injected_type(v, &vector) != EVENT_NMI ||
		     !has_bits(v, VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI),
	     "an NMI is injected in the shadow of STI");
	return NULL;
}

const char *rules_of_debug_exceptions(const struct judged *v)
{
	const uint64_t pending = field(v, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS);
	const uint64_t blocking = field(v, VMCS_GUEST_INTERRUPTIBILITY);
	const bool held =
		(blocking & SHADOW) || field(v, VMCS_GUEST_ACTIVITY_STATE) == ACTIVITY_HLT;
	const bool steps = has_bits(v, VMCS_GUEST_RFLAGS, RFLAGS_TF) &&
			   !has_bits(v, VMCS_GUEST_DEBUGCTL, DEBUGCTL_BTF);

	RULE(!(pending & PENDING_RESERVED), "the pending debug exceptions have a reserved bit");
	RULE(!(pending & PENDING_DEBUG_BUS_LOCK) || v->processor->has_bus_lock_detection,
	     "a bus lock is pending, which this processor does not detect");
	RULE(!held || !(pending & PENDING_DEBUG_BS) == !steps,
	     "in HLT or the shadow of STI or MOV SS a single step is pending, but not by TF and "
	     "BTF, or the other way round");
	if (!(pending & PENDING_DEBUG_RTM))
		return NULL;
	RULE(v->processor->has_rtm && !(pending & RTM_ALONE) && (pending & PENDING_DEBUG_ENABLED) &&
		     !(blocking & INTERRUPTIBILITY_MOV_SS),
	     "a debug exception of a transaction is pending, which cannot be");
	return NULL;
}

const char *rules_of_link_pointer(const struct judged *v)
{
	const uint64_t link = field(v, VMCS_VMCS_LINK_POINTER);
	const bool shadowing = has(v, CONTROL_PROC2, PROC2_VMCS_SHADOWING);
	const uint32_t revision =
		(uint32_t)(capability(v, MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION_MASK);
	const uint32_t *found;

	if (link == NO_LINK)
		return NULL;
	RULE((link & PAGE_MASK) == 0 && is_physical(v, link),
	     "the VMCS link pointer is neither all ones nor a page of physical memory");
	RULE(link != v->reader->vmcs, "the VMCS link pointer names the VMCS itself");
	found = memory(v, link, sizeof(*found));
	RULE(!found || *found == (revision | (shadowing ? SHADOW_VMCS : 0)),
	     "the VMCS link pointer names a region of another revision or kind");
	return NULL;
}

const char *rules_of_pdptes(const struct judged *v)
{
	const bool ept = has(v, CONTROL_PROC2, PROC2_EPT);
	const uint64_t *table = NULL;

	if (is_ia32e_guest(v) || !has_bits(v, VMCS_GUEST_CR0, CR0_PG) ||
	    !has_bits(v, VMCS_GUEST_CR4, CR4_PAE))
		return NULL;
	if (!ept) {
		table = memory(v, field(v, VMCS_GUEST_CR3) & CR3_PAE_MASK, PDPTES * sizeof(*table));
		if (!table)
			return NULL;
	}
	for (unsigned int i = 0; i < PDPTES; i++) {
		const uint64_t entry =
			table ? table[i] : field(v, (enum vmcs_field)(VMCS_GUEST_PDPTE0 + 2 * i));

		RULE(!(entry & PDPTE_PRESENT) ||
			     (!(entry & PDPTE_RESERVED) && is_physical(v, entry)),
		     "a guest PDPTE has a reserved bit");
	}
	return NULL;
}

/* The bases of FS and GS are fields of the VMCS; the others cannot be loaded at this moment. */
static bool is_loadable(const struct judged *v, const struct vmx_msr_entry *entry)
{
	switch (entry->index) {
	case MSR_IA32_FS_BASE:
	case MSR_IA32_GS_BASE:
	case MSR_IA32_SMM_MONITOR_CTL:
	case MSR_IA32_BIOS_UPDT_TRIG:
	case MSR_IA32_BIOS_SIGN_ID:
		return false;
	default:
		return entry->reserved == 0 && !MSR_X2APIC_RANGE(entry->index) &&
		       v->reader->msr_accepts(v->reader, entry->index, entry->value);
	}
}

uint64_t rules_of_msr_area(const struct judged *v)
{
	const unsigned int most = VMX_MISC_MSRS(capability(v, MSR_IA32_VMX_MISC));
	const uint64_t given = field(v, VMCS_ENTRY_MSR_LOAD_COUNT);
	const uint64_t count = given < most ? given : most;
	uint64_t address = field(v, VMCS_ENTRY_MSR_LOAD_ADDRESS);

	for (uint64_t i = 1; i <= count; i++, address += sizeof(struct vmx_msr_entry)) {
		const struct vmx_msr_entry *const entry = memory(v, address, sizeof(*entry));

		if (!entry)
			return 0;
		if (!is_loadable(v, entry))
			return i;
	}
	return 0;
}
