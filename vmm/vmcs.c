// SPDX-License-Identifier: BSD-2-Clause
/* Shows a VMCS: every field by name, controls and states in words. Changes nothing. */
#include "vmm/vmcs.h"

#include <stddef.h>

#include "lib/format.h"
#include "vmm/exit.h"
#include "vmm/log.h"

enum group { GROUP_CONTROL, GROUP_EXIT_INFO, GROUP_GUEST, GROUP_HOST, GROUP_COUNT };

struct field {
	enum vmcs_field encoding;
	enum group group;
	const char *name;
};

static const struct field fields[] = {
#define FIELD(name, encoding, group) { VMCS_##name, GROUP_##group, #name },
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
	{ VMCS_ENTRY_CONTROLS, 2, "load-debug" },
	{ VMCS_ENTRY_CONTROLS, 9, "ia32e-guest" },
	{ VMCS_ENTRY_CONTROLS, 14, "load-pat" },
	{ VMCS_ENTRY_CONTROLS, 15, "load-efer" },
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

void vmcs_write_failed(enum vmcs_field field, uint64_t value, const char *caller)
{
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (fields[i].encoding == field)
			panic("vmwrite", "%s: VMWRITE of 0x%llx to %s (0x%x) failed: %s", caller,
			      (unsigned long long)value, fields[i].name, field,
			      vmcs_instruction_error_name(vmcs_read(VMCS_INSTRUCTION_ERROR)));
	panic("vmwrite", "%s: VMWRITE to unknown field 0x%x failed", caller, field);
}

static int describe_interruption(char *text, size_t size, uint64_t info)
{
	if (!(info & INTERRUPTION_VALID))
		return 0;
	return format_string(text, size, " %s, vector %u%s%s",
			     event_type_names[INTERRUPTION_TYPE(info)], INTERRUPTION_VECTOR(info),
			     info & INTERRUPTION_ERROR_CODE_VALID ? ", error code" : "",
			     info & INTERRUPTION_NESTED ? ", nested" : "");
}

static int describe_bits(char *text, size_t size, enum vmcs_field field, uint64_t value)
{
	int n = 0;

	for (size_t i = 0; i < sizeof(bit_names) / sizeof(bit_names[0]); i++)
		if (bit_names[i].field == field && (value >> bit_names[i].bit & 1) && n < (int)size)
			n += format_string(text + n, size - (size_t)n, " %s", bit_names[i].name);
	return n;
}

static int describe_access_rights(char *text, size_t size, uint64_t value)
{
	if (value & ACCESS_RIGHTS_UNUSABLE)
		return format_string(text, size, " unusable");
	return format_string(text, size, " type %u dpl %u%s%s%s", (unsigned int)value & 0xf,
			     (unsigned int)ACCESS_RIGHTS_DPL(value), value & 0x10 ? "" : " system",
			     value & ACCESS_RIGHTS_L ? " 64bit" : "",
			     value & 0x80 ? "" : " absent");
}

static void dump_field(const struct field *field)
{
	char text[192] = "";
	uint64_t value;

	if (!vmcs_read_optional(field->encoding, &value))
		return;
	if (field->encoding == VMCS_ENTRY_INTERRUPTION_INFO ||
	    field->encoding == VMCS_EXIT_INTERRUPTION_INFO ||
	    field->encoding == VMCS_IDT_VECTORING_INFO)
		describe_interruption(text, sizeof(text), value);
	else if (field->encoding >= VMCS_GUEST_ES_ACCESS_RIGHTS &&
		 field->encoding <= VMCS_GUEST_TR_ACCESS_RIGHTS)
		describe_access_rights(text, sizeof(text), value);
	else if (field->encoding == VMCS_EXIT_REASON)
		format_string(text, sizeof(text), " %s%s", exit_reason_name((uint32_t)value),
			      value & EXIT_REASON_ENTRY_FAILURE ? ", at VM entry" : "");
	else
		describe_bits(text, sizeof(text), field->encoding, value);
	log_error("  %-32s %016llx%s", field->name, (unsigned long long)value, text);
}

void vmcs_dump(void)
{
	for (int group = 0; group < GROUP_COUNT; group++) {
		log_error("vmcs %s:", group_names[group]);
		for (size_t i = 0; i < FIELD_COUNT; i++)
			if (fields[i].group == (enum group)group)
				dump_field(&fields[i]);
	}
}

const char *vmcs_instruction_error_name(uint64_t error)
{
	static const char *const names[] = {
		[0] = "no error was recorded",
		[1] = "VMCALL in VMX root operation",
		[2] = "VMCLEAR with an invalid address",
		[3] = "VMCLEAR of the VMXON region",
		[4] = "VMLAUNCH with a VMCS that is not clear",
		[5] = "VMRESUME with a VMCS that was not launched",
		[6] = "VMRESUME after VMXOFF",
		[7] = "VM entry with invalid control fields",
		[8] = "VM entry with invalid host state",
		[9] = "VMPTRLD with an invalid address",
		[10] = "VMPTRLD of the VMXON region",
		[11] = "VMPTRLD of a VMCS with another revision",
		[12] = "VMREAD or VMWRITE of a field that this processor does not have",
		[13] = "VMWRITE to a read-only field",
		[15] = "VMXON in VMX root operation",
		[26] = "VM entry with events blocked by MOV SS",
		[28] = "invalid operand for INVEPT or INVVPID",
	};

	if (error < sizeof(names) / sizeof(names[0]) && names[error])
		return names[error];
	return "an error that this version does not know";
}
