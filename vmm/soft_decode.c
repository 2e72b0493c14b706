// SPDX-License-Identifier: BSD-2-Clause
/* Decodes the few instructions that software FRED performs itself. Keeps no state. */
#include "vmm/soft_decode.h"

#include "lib/string.h"

#define PREFIX_NONE  0x00
#define PREFIX_LOCK  0xf0
#define PREFIX_REPNE 0xf2
#define PREFIX_REP   0xf3
#define REX_B	     1U
#define REX_X	     2U
#define ESCAPE	     0x0f
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
	bool lock, address;
	enum segment_override segment;
};

static uint8_t next(struct reader *reader)
{
	const size_t at = reader->at++;

	return at < reader->size ? reader->bytes[at] : 0;
}

/* Reads the prefixes, and the first byte of the opcode, which it returns. */
static uint8_t read_prefixes(struct reader *reader, bool long_mode, struct prefixes *prefixes)
{
	for (;;) {
		const uint8_t byte = next(reader);

		switch (byte) {
		case PREFIX_LOCK:
			prefixes->lock = true;
			break;
		case PREFIX_REPNE:
		case PREFIX_REP:
			prefixes->repeat = byte;
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
		case 0x26: /* ES, CS, SS, DS, operand size: without effect here */
		case 0x2e:
		case 0x36:
		case 0x3e:
		case 0x66:
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

static void read_displacement(struct reader *reader, unsigned int mode, bool always,
			      struct soft_instruction *instruction)
{
	uint8_t bytes[4] = { 0 };

	if (mode == 1) {
		instruction->displacement = (int8_t)next(reader);
	} else if (mode == 2 || always) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = next(reader);
		memcpy(&instruction->displacement, bytes, sizeof(bytes));
	}
}

/* ModRM, SIB and displacement of a 16-bit operand (SDM 2A, tables 2-2 and 2-3). */
static void read_operand(struct reader *reader, uint8_t modrm, const struct prefixes *prefixes,
			 struct soft_instruction *instruction)
{
	const uint8_t rex_b = prefixes->rex & REX_B ? 8 : 0;
	const uint8_t rex_x = prefixes->rex & REX_X ? 8 : 0;
	const unsigned int mode = modrm >> 6;
	const uint8_t rm = modrm & 7;
	bool only_displacement = false;

	instruction->index = REGISTER_NONE;
	instruction->base = rm | rex_b;
	if (mode == 3) {
		instruction->in_register = true;
		return;
	}
	instruction->segment = prefixes->segment;
	instruction->address_32 = prefixes->address;
	if (rm == REGISTER_SP) {
		const uint8_t sib = next(reader);

		instruction->base = (sib & 7) | rex_b;
		instruction->scale = sib >> 6;
		if ((sib >> 3 & 7U) != REGISTER_SP || rex_x)
			instruction->index = (sib >> 3 & 7) | rex_x;
		if (mode == 0 && (sib & 7) == REGISTER_BP) {
			instruction->base = REGISTER_NONE;
			only_displacement = true;
		}
	} else if (mode == 0 && rm == REGISTER_BP) {
		instruction->base = REGISTER_RIP;
		only_displacement = true;
	}
	read_displacement(reader, mode, only_displacement, instruction);
}

static enum soft_opcode opcode_0f01(uint8_t modrm, uint8_t repeat)
{
	if (modrm != 0xca)
		return SOFT_OTHER;
	return repeat == PREFIX_REPNE ? SOFT_ERETS : repeat == PREFIX_REP ? SOFT_ERETU : SOFT_OTHER;
}

struct soft_instruction soft_decode(const uint8_t *bytes, size_t size, bool long_mode)
{
	struct reader reader = { .bytes = bytes, .size = size };
	struct soft_instruction instruction = { .opcode = SOFT_OTHER };
	struct prefixes prefixes = { .repeat = PREFIX_NONE };
	uint8_t modrm;

	if (read_prefixes(&reader, long_mode, &prefixes) != ESCAPE || prefixes.lock)
		return instruction;
	switch (next(&reader)) {
	case 0x05:
		instruction.opcode = SOFT_SYSCALL;
		break;
	case 0x34:
		instruction.opcode = SOFT_SYSENTER;
		break;
	case 0x35:
		instruction.opcode = SOFT_SYSEXIT;
		break;
	case 0x01:
		instruction.opcode = opcode_0f01(next(&reader), prefixes.repeat);
		break;
	case 0x00:
		modrm = next(&reader);
		if (prefixes.repeat == PREFIX_REPNE && (modrm >> 3 & 7) == 6 && long_mode) {
			instruction.opcode = SOFT_LKGS;
			read_operand(&reader, modrm, &prefixes, &instruction);
		}
		break;
	default:
		break;
	}
	if (reader.at > size)
		instruction.opcode = SOFT_OTHER;
	instruction.length = (uint8_t)reader.at;
	return instruction;
}
