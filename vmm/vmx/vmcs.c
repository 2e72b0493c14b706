// SPDX-License-Identifier: BSD-2-Clause
/* Names of what the VMCS has, and the end of the boot when one of its fields cannot be written. */
#include "vmm/vmx/vmcs.h"

#include <stddef.h>

#include "vmm/base/log.h"

static const struct {
	enum vmcs_field encoding;
	const char *name;
} fields[] = {
#define FIELD(name, encoding, group) { VMCS_##name, #name },
#include "lib/x86/vmcs_fields.h"
#undef FIELD
};

const char *vmcs_field_name(enum vmcs_field field)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (fields[i].encoding == field)
			return fields[i].name;
	return "unknown field";
}

void vmcs_write_failed(enum vmcs_field field, uint64_t value, const char *caller)
{
	panic("vmwrite", "%s: VMWRITE of 0x%llx to %s (0x%x) failed: %s", caller,
	      (unsigned long long)value, vmcs_field_name(field), field,
	      vmcs_instruction_error_name(vmcs_read(VMCS_INSTRUCTION_ERROR)));
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
