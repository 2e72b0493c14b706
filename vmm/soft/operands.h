/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of an instruction that come before its opcode and behind it: prefixes, and the memory
 * operand of a ModRM byte. In a header, since a decoder of its own costs a guest fewer instructions
 * than calls would. Keeps no state.
 */
#ifndef VMM_SOFT_OPERANDS_H
#define VMM_SOFT_OPERANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/string.h"

#define INSTRUCTION_MAX 15U /* bytes */

/* Numbers of general registers; these are none. */
enum { REGISTER_NONE = 16, REGISTER_RIP = 17 };
enum segment_override { OVERRIDE_NONE, OVERRIDE_FS, OVERRIDE_GS };

struct memory_operand {
	bool in_register; /* `base` is the register */
	bool address_32;  /* the address has 32 bits */
	uint8_t base, index, scale;
	enum segment_override segment;
	int32_t displacement;
};

#define PREFIX_NONE  0x00
#define PREFIX_LOCK  0xf0
#define PREFIX_REPNE 0xf2
#define PREFIX_REP   0xf3
#define REX_B	     1U
#define REX_X	     2U
#define REX_R	     4U
#define REX_W	     8U
#define REGISTER_SP  4U
#define REGISTER_BP  5U

/* The bytes, and how far they are read. Past the end there are zeros, and `at` tells. */
struct reader {
	const uint8_t *bytes;
	size_t size, at;
};

struct prefixes {
	uint8_t repeat; /* the last of F2 and F3, which chooses the instruction */
	uint8_t rex;
	bool lock, address, operand;
	enum segment_override segment;
};

static inline uint8_t next_byte(struct reader *reader)
{
	const size_t at = reader->at++;

	return at < reader->size ? reader->bytes[at] : 0;
}

/* Reads the prefixes, and the first byte of the opcode, which it returns. */
static inline uint8_t read_prefixes(struct reader *reader, bool long_mode,
				    struct prefixes *prefixes)
{
	for (;;) {
		const uint8_t byte = next_byte(reader);

		switch (byte) {
		case PREFIX_LOCK:
			prefixes->lock = true;
			break;
		case PREFIX_REPNE:
		case PREFIX_REP:
			prefixes->repeat = byte;
			break;
		case 0x66:
			prefixes->operand = true;
			break;
		case 0x67:
			prefixes->address = true;
			break;
		case 0x64:
			prefixes->segment = OVERRIDE_FS;
			break;
		case 0x65:
			prefixes->segment = OVERRIDE_GS;
			break;
		case 0x26: /* ES, CS, SS, DS: without effect here */
		case 0x2e:
		case 0x36:
		case 0x3e:
			break;
		default:
			if (!long_mode || (byte & 0xf0) != 0x40)
				return byte;
			prefixes->rex = byte;
			continue;
		}
		prefixes->rex = 0; /* only a REX directly before the opcode counts */
	}
}

static inline void read_displacement(struct reader *reader, unsigned int mode, bool always,
				     struct memory_operand *operand)
{
	uint8_t bytes[4] = { 0 };

	if (mode == 1) {
		operand->displacement = (int8_t)next_byte(reader);
	} else if (mode == 2 || always) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = next_byte(reader);
		memcpy(&operand->displacement, bytes, sizeof(bytes));
	}
}

/* SIB and displacement behind a ModRM byte, with addresses of 32 or 64 bits (SDM 2A, tables 2-2 and
 * 2-3). */
static inline void read_operand(struct reader *reader, uint8_t modrm,
				const struct prefixes *prefixes, struct memory_operand *operand)
{
	const uint8_t rex_b = prefixes->rex & REX_B ? 8 : 0;
	const uint8_t rex_x = prefixes->rex & REX_X ? 8 : 0;
	const unsigned int mode = modrm >> 6;
	const uint8_t rm = modrm & 7;
	bool only_displacement = false;

	operand->index = REGISTER_NONE;
	operand->base = rm | rex_b;
	if (mode == 3) {
		operand->in_register = true;
		return;
	}
	operand->segment = prefixes->segment;
	operand->address_32 = prefixes->address;
	if (rm == REGISTER_SP) {
		const uint8_t sib = next_byte(reader);

		operand->base = (sib & 7) | rex_b;
		operand->scale = sib >> 6;
		if ((sib >> 3 & 7U) != REGISTER_SP || rex_x)
			operand->index = (sib >> 3 & 7) | rex_x;
		if (mode == 0 && (sib & 7) == REGISTER_BP) {
			operand->base = REGISTER_NONE;
			only_displacement = true;
		}
	} else if (mode == 0 && rm == REGISTER_BP) {
		operand->base = REGISTER_RIP;
		only_displacement = true;
	}
	read_displacement(reader, mode, only_displacement, operand);
}

#endif
