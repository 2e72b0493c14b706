/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions that FRED adds or changes, from the bytes that faulted. */
#ifndef VMM_SOFT_DECODE_H
#define VMM_SOFT_DECODE_H

#include "vmm/soft/operands.h"

enum soft_opcode {
	SOFT_OTHER, /* none of ours */
	SOFT_SYSCALL,
	SOFT_SYSENTER,
	SOFT_SYSEXIT,
	SOFT_ERETS,
	SOFT_ERETU,
	SOFT_LKGS,
};

struct soft_instruction {
	enum soft_opcode opcode;
	uint8_t length;		       /* bytes */
	struct memory_operand operand; /* of LKGS */
};

/* Decode what is in `size` bytes (up to INSTRUCTION_MAX); SDM 2A, chapter 2. */
struct soft_instruction soft_decode(const uint8_t *bytes, size_t size, bool long_mode);

#endif
