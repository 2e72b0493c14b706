/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The current VMCS: access to its fields. Which fields exist depends on
 * the processor; whoever reads or writes one has asked the controls first.
 */
#ifndef VMM_VMX_VMCS_H
#define VMM_VMX_VMCS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/x86/vmx.h"

static inline uint64_t vmcs_read(enum vmcs_field field)
{
	uint64_t value;

	asm volatile("vmread %1, %0" : "=r"(value) : "r"((uint64_t)field) : "cc");
	return value;
}

static inline uint32_t vmcs_read32(enum vmcs_field field)
{
	return (uint32_t)vmcs_read(field);
}

/* Ends the boot with the field, the value and the caller's name. */
void vmcs_write_failed(enum vmcs_field field, uint64_t value, const char *caller)
	__attribute__((noreturn, cold));

#define vmcs_write(field, value) vmcs_write_checked(field, value, __func__)

static inline void vmcs_write_checked(enum vmcs_field field, uint64_t value, const char *caller)
{
	/* clang-format off */
	asm goto("vmwrite %1, %0\n"
		 "jbe %l[failed]"
		 : : "r"((uint64_t)field), "rm"(value) : "cc" : failed);
	/* clang-format on */
	return;
failed:
	vmcs_write_failed(field, value, caller);
}

static inline void vmcs_set_bits(enum vmcs_field field, uint64_t bits)
{
	vmcs_write(field, vmcs_read(field) | bits);
}

static inline void vmcs_clear_bits(enum vmcs_field field, uint64_t bits)
{
	vmcs_write(field, vmcs_read(field) & ~bits);
}

/* Read a field that may not exist; false when it does not. */
static inline bool vmcs_read_optional(enum vmcs_field field, uint64_t *value)
{
	bool failed;

	asm volatile("vmread %2, %1" : "=@ccbe"(failed), "=r"(*value) : "r"((uint64_t)field));
	return !failed;
}

/* As the SDM names it, in capitals, and "unknown field". */
const char *vmcs_field_name(enum vmcs_field field);

/* A VM-instruction error (SDM 3C, table 31-1) in words. */
const char *vmcs_instruction_error_name(uint64_t error);

#endif
