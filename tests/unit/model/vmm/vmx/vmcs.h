/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stands in for vmm/vmx/vmcs.h in the unit tests of the VMM: the fields are those of the model in
 * tests/unit/model/model.c, which is stricter than a processor.
 */
#ifndef MODEL_VMM_VMX_VMCS_H
#define MODEL_VMM_VMX_VMCS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/x86/vmx.h"

#define vmcs_write(field, value) vmcs_write_checked(field, value, __func__)

/* Both end the test when the field does not exist, and a write when the field takes no such value.
 */
uint64_t vmcs_read(enum vmcs_field field);
void vmcs_write_checked(enum vmcs_field field, uint64_t value, const char *caller);

/* False: the processor has no such field. */
bool vmcs_read_optional(enum vmcs_field field, uint64_t *value);

static inline uint32_t vmcs_read32(enum vmcs_field field)
{
	return (uint32_t)vmcs_read(field);
}

static inline void vmcs_set_bits(enum vmcs_field field, uint64_t bits)
{
	vmcs_write(field, vmcs_read(field) | bits);
}

static inline void vmcs_clear_bits(enum vmcs_field field, uint64_t bits)
{
	vmcs_write(field, vmcs_read(field) & ~bits);
}

const char *vmcs_field_name(enum vmcs_field field);
const char *vmcs_instruction_error_name(uint64_t error);
void vmcs_write_failed(enum vmcs_field field, uint64_t value, const char *caller)
	__attribute__((noreturn));

#endif
