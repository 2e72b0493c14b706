/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stores of 32 bits to memory, as software writes a device's registers: what is stored, and the
 * operand that names where.
 */
#ifndef VMM_RUN_STORE_DECODE_H
#define VMM_RUN_STORE_DECODE_H

#include "lib/x86/vmx.h"
#include "vmm/soft/operands.h"

enum code_size { CODE_16, CODE_32, CODE_64 };

/* The address is base + index << scale + displacement, cut to its size, in this segment. */
struct store_address {
	enum segment segment;
	enum code_size size;
	uint8_t base;  /* general register, REGISTER_RIP (the next instruction) or REGISTER_NONE */
	uint8_t index; /* general register or REGISTER_NONE */
	uint8_t scale; /* a shift */
	uint64_t displacement;
};

struct store {
	uint8_t length;	    /* of the instruction, bytes */
	uint8_t source;	    /* general register with the value; REGISTER_NONE: it is `immediate` */
	bool exchange;	    /* the source gets what was in memory, in 64-bit code zero-extended */
	uint32_t immediate; /* value */
	struct store_address address;
};

/*
 * Decode what is in `size` bytes (up to INSTRUCTION_MAX): MOV of a register (89, A3) or a constant
 * (C7 /0), or XCHG (87). False for every other instruction or size of operand (SDM 2B).
 */
bool store_decode(const uint8_t *bytes, size_t size, enum code_size code, struct store *store);

#endif
