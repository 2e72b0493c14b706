// SPDX-License-Identifier: BSD-2-Clause
/* Shows a VMCS: every field by name, controls and states in words. Changes nothing. */
#include "vmm/fred/vmcs_dump.h"

#include <stddef.h>

#include "lib/format.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "vmm/host/cpu.h"
#include "vmm/fred/native.h"
#include "vmm/base/log.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/exit_names.h"
#include "vmm/vmx/vmcs.h"

#define DESCRIPTION_MAX 256 /* all vectors at a stack level of their own */

enum group { GROUP_CONTROL, GROUP_EXIT_INFO, GROUP_GUEST, GROUP_HOST, GROUP_COUNT, GROUP_UNUSED };

struct field {
	enum vmcs_field encoding;
	enum group group;
};

static const struct field fields[] = {
#define FIELD(name, encoding, group) { VMCS_##name, GROUP_##group },
#include "lib/x86/vmcs_fields.h"
#undef FIELD
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static const char *const group_names[GROUP_COUNT] = {
	[GROUP_CONTROL] = "controls",
	[GROUP_EXIT_INFO] = "exit information",
	[GROUP_GUEST] = "guest state",
	[GROUP_HOST] = "host state",
};

struct bit_name {
	enum vmcs_field field;
	unsigned int bit;
	const char *name;
};

static const struct bit_name bit_names[] = {
	{ VMCS_PIN_BASED_CONTROLS, 0, "external-interrupt" },
	{ VMCS_PIN_BASED_CONTROLS, 3, "nmi" },
	{ VMCS_PIN_BASED_CONTROLS, 5, "virtual-nmi" },
	{ VMCS_PIN_BASED_CONTROLS, 6, "preemption-timer" },
	{ VMCS_PROC_BASED_CONTROLS, 2, "interrupt-window" },
	{ VMCS_PROC_BASED_CONTROLS, 3, "tsc-offset" },
	{ VMCS_PROC_BASED_CONTROLS, 7, "hlt" },
	{ VMCS_PROC_BASED_CONTROLS, 15, "cr3-load" },
	{ VMCS_PROC_BASED_CONTROLS, 16, "cr3-store" },
	{ VMCS_PROC_BASED_CONTROLS, 19, "cr8-load" },
	{ VMCS_PROC_BASED_CONTROLS, 20, "cr8-store" },
	{ VMCS_PROC_BASED_CONTROLS, 22, "nmi-window" },
	{ VMCS_PROC_BASED_CONTROLS, 25, "io-bitmaps" },
	{ VMCS_PROC_BASED_CONTROLS, 27, "monitor-trap" },
	{ VMCS_PROC_BASED_CONTROLS, 28, "msr-bitmaps" },
	{ VMCS_PROC_BASED_CONTROLS, 31, "secondary" },
	{ VMCS_SECONDARY_PROC_CONTROLS, 1, "ept" },
	{ VMCS_SECONDARY_PROC_CONTROLS, 3, "rdtscp" },
	{ VMCS_SECONDARY_PROC_CONTROLS, 5, "vpid" },
	{ VMCS_SECONDARY_PROC_CONTROLS, 7, "unrestricted-guest" },
	{ VMCS_SECONDARY_PROC_CONTROLS, 12, "invpcid" },
	{ VMCS_SECONDARY_PROC_CONTROLS, 20, "xsaves" },
	{ VMCS_SECONDARY_PROC_CONTROLS, 26, "user-wait" },
	{ VMCS_EXIT_CONTROLS, 2, "save-debug" },
	{ VMCS_EXIT_CONTROLS, 9, "host-64bit" },
	{ VMCS_EXIT_CONTROLS, 15, "ack-interrupt" },
	{ VMCS_EXIT_CONTROLS, 18, "save-pat" },
	{ VMCS_EXIT_CONTROLS, 19, "load-pat" },
	{ VMCS_EXIT_CONTROLS, 20, "save-efer" },
	{ VMCS_EXIT_CONTROLS, 21, "load-efer" },
	{ VMCS_EXIT_CONTROLS, 22, "save-preemption-timer" },
	{ VMCS_EXIT_CONTROLS, 28, "load-cet" },
	{ VMCS_EXIT_CONTROLS, 31, "secondary" },
	{ VMCS_SECONDARY_EXIT_CONTROLS, 0, "save-fred" },
	{ VMCS_SECONDARY_EXIT_CONTROLS, 1, "load-fred" },
	{ VMCS_ENTRY_CONTROLS, 2, "load-debug" },
	{ VMCS_ENTRY_CONTROLS, 9, "ia32e-guest" },
	{ VMCS_ENTRY_CONTROLS, 14, "load-pat" },
	{ VMCS_ENTRY_CONTROLS, 15, "load-efer" },
	{ VMCS_ENTRY_CONTROLS, 20, "load-cet" },
	{ VMCS_ENTRY_CONTROLS, 23, "load-fred" },
	{ VMCS_GUEST_INTERRUPTIBILITY, 0, "sti" },
	{ VMCS_GUEST_INTERRUPTIBILITY, 1, "mov-ss" },
	{ VMCS_GUEST_INTERRUPTIBILITY, 2, "smi" },
	{ VMCS_GUEST_INTERRUPTIBILITY, 3, "nmi-blocked" },
	{ VMCS_GUEST_CR0, 0, "pe" },
	{ VMCS_GUEST_CR0, 5, "ne" },
	{ VMCS_GUEST_CR0, 16, "wp" },
	{ VMCS_GUEST_CR0, 31, "pg" },
	{ VMCS_GUEST_CR4, 5, "pae" },
	{ VMCS_GUEST_CR4, 13, "vmxe" },
	{ VMCS_GUEST_CR4, 18, "osxsave" },
	{ VMCS_GUEST_CR4, 23, "cet" },
	{ VMCS_GUEST_CR4, 32, "fred" },
	{ VMCS_GUEST_EFER, 0, "sce" },
	{ VMCS_GUEST_EFER, 8, "lme" },
	{ VMCS_GUEST_EFER, 10, "lma" },
	{ VMCS_GUEST_EFER, 11, "nxe" },
	{ VMCS_GUEST_RFLAGS, 8, "tf" },
	{ VMCS_GUEST_RFLAGS, 9, "if" },
	{ VMCS_GUEST_RFLAGS, 16, "rf" },
	{ VMCS_GUEST_RFLAGS, 17, "vm" },
	{ VMCS_EXIT_REASON, 31, "entry-failure" },
};

static const char *const event_type_names[8] = {
	[EVENT_EXTERNAL_INTERRUPT] = "external interrupt",
	[1] = "reserved",
	[EVENT_NMI] = "NMI",
	[EVENT_HARDWARE_EXCEPTION] = "hardware exception",
	[EVENT_SOFTWARE_INTERRUPT] = "software interrupt",
	[EVENT_PRIVILEGED_SOFTWARE_EXCEPTION] = "privileged software exception",
	[EVENT_SOFTWARE_EXCEPTION] = "software exception",
	[EVENT_OTHER] = "other event",
};

static const char *const other_event_names[] = {
	[0] = "MTF",
	[FRED_VECTOR_SYSCALL] = "SYSCALL",
	[FRED_VECTOR_SYSENTER] = "SYSENTER",
};

static const char *const exception_names[EXCEPTION_VECTORS] = {
	[VECTOR_DE] = "#DE", [VECTOR_DB] = "#DB", [VECTOR_NMI] = "NMI", [VECTOR_BP] = "#BP",
	[VECTOR_OF] = "#OF", [VECTOR_BR] = "#BR", [VECTOR_UD] = "#UD",	[VECTOR_NM] = "#NM",
	[VECTOR_DF] = "#DF", [VECTOR_TS] = "#TS", [VECTOR_NP] = "#NP",	[VECTOR_SS] = "#SS",
	[VECTOR_GP] = "#GP", [VECTOR_PF] = "#PF", [VECTOR_MF] = "#MF",	[VECTOR_AC] = "#AC",
	[VECTOR_MC] = "#MC", [VECTOR_XM] = "#XM", [VECTOR_VE] = "#VE",	[VECTOR_CP] = "#CP",
};

static const char *event_name(unsigned int type, unsigned int vector)
{
	if (type == EVENT_OTHER &&
	    vector < sizeof(other_event_names) / sizeof(other_event_names[0]))
		return other_event_names[vector];
	if (type == EVENT_HARDWARE_EXCEPTION && vector < EXCEPTION_VECTORS &&
	    exception_names[vector])
		return exception_names[vector];
	return event_type_names[type];
}

static void describe_interruption(char *text, size_t size, uint64_t info)
{
	const unsigned int type = INTERRUPTION_TYPE(info);
	const unsigned int vector = INTERRUPTION_VECTOR(info);

	if (!(info & INTERRUPTION_VALID))
		return;
	format_string(text, size, " %s, vector %u%s%s", event_name(type, vector), vector,
		      info & INTERRUPTION_ERROR_CODE_VALID ? ", error code" : "",
		      info & INTERRUPTION_NESTED ? ", nested" : "");
}

/* What the event data means depends on the event that is described beside it. */
static void describe_event_data(char *text, size_t size, enum vmcs_field info_field)
{
	const uint64_t info = vmcs_read(info_field);
	const unsigned int vector = INTERRUPTION_VECTOR(info);
	const bool exception = INTERRUPTION_TYPE(info) == EVENT_HARDWARE_EXCEPTION;

	if (!(info & INTERRUPTION_VALID))
		format_string(text, size, " of an earlier event");
	else
		format_string(text, size, " of %s%s", event_name(INTERRUPTION_TYPE(info), vector),
			      exception && vector == VECTOR_PF	 ? ": linear address"
			      : exception && vector == VECTOR_DB ? ": causes"
			      : exception && vector == VECTOR_NM ? ": IA32_XFD_ERR"
								 : "");
}

static void describe_fred_config(char *text, size_t size, uint64_t value)
{
	format_string(
		text, size, " entry 0x%llx, level %u, red zone %u bytes, interrupts at level %u%s",
		(unsigned long long)(value & FRED_CONFIG_ENTRY_MASK),
		(unsigned int)(value & FRED_CONFIG_CSL_MASK),
		(unsigned int)(value & FRED_CONFIG_REDZONE_MASK),
		(unsigned int)((value & FRED_CONFIG_INTERRUPT_MASK) >> FRED_CONFIG_INTERRUPT_SHIFT),
		value & FRED_CONFIG_SSP_ADJUST ? ", SSP adjusted" : "");
}

/* The vectors that are not at level 0. */
static void describe_fred_levels(char *text, size_t size, uint64_t value)
{
	size_t n = 0;

	for (unsigned int vector = 0; vector < EXCEPTION_VECTORS && n < size; vector++) {
		const unsigned int level = (unsigned int)(value >> 2 * vector & (FRED_LEVELS - 1));

		if (level == 0)
			continue;
		if (exception_names[vector])
			n += (size_t)format_string(text + n, size - n, " %s->%u",
						   exception_names[vector], level);
		else
			n += (size_t)format_string(text + n, size - n, " %u->%u", vector, level);
	}
}

static void describe_bits(char *text, size_t size, enum vmcs_field field, uint64_t value)
{
	int n = 0;

	for (size_t i = 0; i < sizeof(bit_names) / sizeof(bit_names[0]); i++)
		if (bit_names[i].field == field && (value >> bit_names[i].bit & 1) && n < (int)size)
			n += format_string(text + n, size - (size_t)n, " %s", bit_names[i].name);
}

static void describe_access_rights(char *text, size_t size, uint64_t value)
{
	if (value & ACCESS_RIGHTS_UNUSABLE)
		format_string(text, size, " unusable");
	else
		format_string(text, size, " type %u dpl %u%s%s%s", (unsigned int)value & 0xf,
			      (unsigned int)ACCESS_RIGHTS_DPL(value), value & 0x10 ? "" : " system",
			      value & ACCESS_RIGHTS_L ? " 64bit" : "",
			      value & 0x80 ? "" : " absent");
}

static void describe(char *text, size_t size, enum vmcs_field field, uint64_t value)
{
	if (field == VMCS_ENTRY_INTERRUPTION_INFO || field == VMCS_EXIT_INTERRUPTION_INFO ||
	    field == VMCS_IDT_VECTORING_INFO)
		describe_interruption(text, size, value);
	else if (field == VMCS_INJECTED_EVENT_DATA)
		describe_event_data(text, size, VMCS_ENTRY_INTERRUPTION_INFO);
	else if (field == VMCS_ORIGINAL_EVENT_DATA)
		describe_event_data(text, size, VMCS_IDT_VECTORING_INFO);
	else if (field == VMCS_GUEST_FRED_CONFIG || field == VMCS_HOST_FRED_CONFIG)
		describe_fred_config(text, size, value);
	else if (field == VMCS_GUEST_FRED_STKLVLS || field == VMCS_HOST_FRED_STKLVLS)
		describe_fred_levels(text, size, value);
	else if (field >= VMCS_GUEST_ES_ACCESS_RIGHTS && field <= VMCS_GUEST_TR_ACCESS_RIGHTS)
		describe_access_rights(text, size, value);
	else if (field == VMCS_EXIT_REASON)
		format_string(text, size, " %s%s", exit_reason_name((uint32_t)value),
			      value & EXIT_REASON_ENTRY_FAILURE ? ", at VM entry" : "");
	else
		describe_bits(text, size, field, value);
}

static void dump_value(const char *name, enum vmcs_field field, uint64_t value)
{
	char text[DESCRIPTION_MAX] = "";

	describe(text, sizeof(text), field, value);
	log_error("  %-32s %016llx%s", name, (unsigned long long)value, text);
}

/* What of a guest's FRED the VMCS does not hold. */
static void dump_fred(struct vcpu *vcpu)
{
	struct fred_state state;

	fred_read_state(vcpu, &state);
	if (vcpu->fred_area) {
		log_error("vmcs guest FRED, in the MSR areas:");
		dump_value("IA32_FRED_CONFIG", VMCS_GUEST_FRED_CONFIG, state.config);
		dump_value("IA32_FRED_STKLVLS", VMCS_GUEST_FRED_STKLVLS, state.stklvls);
		for (unsigned int i = 1; i < FRED_LEVELS; i++)
			log_error("  IA32_FRED_RSP%u %016llx, IA32_FRED_SSP%u %016llx", i,
				  (unsigned long long)state.rsp[i], i,
				  (unsigned long long)state.ssp[i]);
	}
	log_error("vmcs guest FRED, in the processor:");
	log_error("  %-32s %016llx", "IA32_FRED_RSP0", (unsigned long long)state.rsp[0]);
	log_error("  %-32s %016llx", "IA32_PL0_SSP", (unsigned long long)state.ssp[0]);
}

void vmcs_dump(void)
{
	struct vcpu *const vcpu = cpu_current()->vcpu;

	for (int group = 0; group < GROUP_COUNT; group++) {
		log_error("vmcs %s:", group_names[group]);
		for (size_t i = 0; i < FIELD_COUNT; i++) {
			uint64_t value;

			if (fields[i].group == (enum group)group &&
			    vmcs_read_optional(fields[i].encoding, &value))
				dump_value(vmcs_field_name(fields[i].encoding), fields[i].encoding,
					   value);
		}
	}
	if (vcpu && vcpu->vm->fred == FRED_BACKEND_NATIVE)
		dump_fred(vcpu);
}
