// SPDX-License-Identifier: BSD-2-Clause
/* Rules of VM entry for the event to be injected, of those that are VMfail (SDM 3C, 28.2.1.3). */
#include "lib/x86/fred.h"
#include "vmm/vmx/rule.h"

#define INFO_RESERVED	0x7fffd000U
#define INSTRUCTION_MAX 15

static const char *check_type(const struct judged *v, unsigned int type, unsigned int vector)
{
	const bool monitor_trap =
		capability(v, MSR_IA32_VMX_PROCBASED_CTLS) >> 32 & PROC_MONITOR_TRAP;

	RULE(type != 1, "the injected event has the reserved type 1");
	RULE(type != EVENT_NMI || vector == VECTOR_NMI, "the injected NMI has not vector 2");
	RULE(type != EVENT_HARDWARE_EXCEPTION || vector < EXCEPTION_VECTORS,
	     "the injected hardware exception has a vector above 31");
	RULE(type != EVENT_OTHER || vector <= FRED_VECTOR_SYSENTER,
	     "the injected event has type 7, and is neither MTF nor SYSCALL nor SYSENTER");
	RULE(type != EVENT_OTHER || vector != VECTOR_MTF || monitor_trap,
	     "a monitor trap is injected, which this processor does not have");
	RULE(type != EVENT_OTHER || vector == VECTOR_MTF || has_bits(v, VMCS_GUEST_CR4, CR4_FRED),
	     "SYSCALL or SYSENTER is injected, and guest CR4.FRED is 0");
	return NULL;
}

/* #CP has an error code where there is CET; before, its vector was none of those. */
static bool pushes_error_code(const struct judged *v, unsigned int vector)
{
	return vector == VECTOR_DF || (vector >= VECTOR_TS && vector <= VECTOR_PF) ||
	       vector == VECTOR_AC || (vector == VECTOR_CP && v->processor->has_cet);
}

static const char *check_error_code(const struct judged *v, uint64_t info)
{
	const bool given = info & INTERRUPTION_ERROR_CODE_VALID;
	const bool exception = INTERRUPTION_TYPE(info) == EVENT_HARDWARE_EXCEPTION;
	const bool protected = has_bits(v, VMCS_GUEST_CR0, CR0_PE) || !is_unrestricted(v);

	RULE(!given || exception,
	     "the injected event has an error code, but is no hardware exception");
	RULE(!given || protected, "the injected exception has an error code in real mode");
	RULE((capability(v, MSR_IA32_VMX_BASIC) & VMX_BASIC_ANY_ERROR_CODE) || !exception ||
		     !protected || given == pushes_error_code(v, INTERRUPTION_VECTOR(info)),
	     "the injected exception has an error code that its vector has not, or lacks one");
	RULE(!given || field(v, VMCS_ENTRY_EXCEPTION_ERROR_CODE) <= UINT16_MAX,
	     "the injected exception's error code has more than 16 bits");
	return NULL;
}

static bool is_software_event(unsigned int type, unsigned int vector)
{
	return type >= EVENT_SOFTWARE_INTERRUPT && (type != EVENT_OTHER || vector != VECTOR_MTF);
}

const char *rules_of_event(const struct judged *v)
{
	const uint64_t info = field(v, VMCS_ENTRY_INTERRUPTION_INFO);
	const unsigned int type = INTERRUPTION_TYPE(info);
	const unsigned int vector = INTERRUPTION_VECTOR(info);
	const uint64_t length = field(v, VMCS_ENTRY_INSTRUCTION_LENGTH);
	const bool nested = info & INTERRUPTION_NESTED;
	const char *broken;

	if (!(info & INTERRUPTION_VALID))
		return NULL;
	broken = check_type(v, type, vector);
	if (!broken)
		broken = check_error_code(v, info);
	if (broken)
		return broken;
	RULE(!nested || type == EVENT_HARDWARE_EXCEPTION,
	     "the injected event is nested, but no hardware exception");
	RULE(!nested || (capability(v, MSR_IA32_VMX_BASIC) & VMX_BASIC_NESTED_EXCEPTION),
	     "the injected event is nested, which this processor does not have");
	RULE(!(info & INFO_RESERVED), "the injected event has a reserved bit");
	RULE(!is_software_event(type, vector) ||
		     (length <= INSTRUCTION_MAX &&
		      (length > 0 || (capability(v, MSR_IA32_VMX_MISC) & VMX_MISC_ZERO_LENGTH))),
	     "the injected software event's instruction has an impossible length");
	return NULL;
}
