// SPDX-License-Identifier: BSD-2-Clause
/* Decodes the few instructions that software FRED performs itself. Keeps no state. */
#include "vmm/soft/decode.h"

#define ESCAPE 0x0f

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
	switch (next_byte(&reader)) {
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
		instruction.opcode = opcode_0f01(next_byte(&reader), prefixes.repeat);
		break;
	case 0x00:
		modrm = next_byte(&reader);
		if (prefixes.repeat == PREFIX_REPNE && (modrm >> 3 & 7) == 6 && long_mode) {
			instruction.opcode = SOFT_LKGS;
			read_operand(&reader, modrm, &prefixes, &instruction.operand);
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
