/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions that FRED adds or changes, from the bytes that faulted. */
#ifndef VMM_SOFT_DECODE_H
#define VMM_SOFT_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSTRUCTION_MAX 15U /* bytes */

enum soft_opcode {
	SOFT_OTHER, /* none of ours */
	SOFT_SYSCALL,
	SOFT_SYSENTER,
	SOFT_SYSEXIT,
	SOFT_ERETS,
	SOFT_ERETU,
	SOFT_LKGS,
};

/* Numbers of general registers; these are none. */
enum { REGISTER_NONE = 16, REGISTER_RIP = 17 };
enum segment_override { OVERRIDE_NONE, OVERRIDE_FS, OVERRIDE_GS };

struct soft_instruction {
	enum soft_opcode opcode;
	uint8_t length; /* bytes */
	/* The operand of LKGS. */
	bool in_register; /* `base` is the register */
	bool address_32;  /* the address has 32 bits */
	uint8_t base, index, scale;
	enum segment_override segment;
	int32_t displacement;
};

/* Decode what is in `size` bytes (up to INSTRUCTION_MAX); SDM 2A, chapter 2. */
struct soft_instruction soft_decode(const uint8_t *bytes, size_t size, bool long_mode);

#endif
