// SPDX-License-Identifier: BSD-2-Clause
/* Decodes stores to devices. Keeps no state. */
#include "vmm/run/store_decode.h"

#define XCHG	      0x87
#define MOV_REGISTER  0x89
#define MOV_EAX	      0xa3
#define MOV_IMMEDIATE 0xc7
#define REGISTER_AX   0

static enum code_size address_size(enum code_size code, const struct prefixes *prefixes)
{
	if (!prefixes->address)
		return code;
	return code == CODE_32 ? CODE_16 : CODE_32;
}

static bool is_32_bits(enum code_size code, const struct prefixes *prefixes)
{
	return !(prefixes->rex & REX_W) && prefixes->operand == (code == CODE_16);
}

/* Displacement behind a ModRM byte with addresses of 16 bits (SDM 2A, table 2-1). */
static void skip_operand_16(struct reader *reader, uint8_t modrm)
{
	const unsigned int mode = modrm >> 6;
	const bool only_displacement = mode == 0 && (modrm & 7) == 6;

	reader->at += only_displacement ? sizeof(uint16_t) : mode;
}

/* Reads ModRM and what belongs to it; false when the operand is not in memory. */
static bool read_memory_operand(struct reader *reader, enum code_size address,
				const struct prefixes *prefixes, uint8_t *reg)
{
	const uint8_t modrm = next_byte(reader);
	struct memory_operand operand = { 0 };

	*reg = (modrm >> 3 & 7) | (prefixes->rex & REX_R ? 8 : 0);
	if (modrm >> 6 == 3)
		return false;
	if (address == CODE_16)
		skip_operand_16(reader, modrm);
	else
		read_operand(reader, modrm, prefixes, &operand);
	return true;
}

static uint32_t read_immediate(struct reader *reader)
{
	uint32_t value = 0;

	for (unsigned int shift = 0; shift < 32; shift += 8)
		value |= (uint32_t)next_byte(reader) << shift;
	return value;
}

/* MOV with an address of its own instead of a ModRM byte: 2, 4 or 8 bytes. */
static bool read_mov_eax(struct reader *reader, enum code_size address, struct store *store)
{
	store->source = REGISTER_AX;
	reader->at += sizeof(uint16_t) << address;
	return true;
}

static bool read_store(struct reader *reader, uint8_t opcode, enum code_size address,
		       const struct prefixes *prefixes, struct store *store)
{
	uint8_t reg;

	if (opcode == MOV_EAX)
		return read_mov_eax(reader, address, store);
	if (opcode != MOV_REGISTER && opcode != XCHG && opcode != MOV_IMMEDIATE)
		return false;
	if (!read_memory_operand(reader, address, prefixes, &reg))
		return false;
	if (opcode != MOV_IMMEDIATE) {
		store->source = reg;
		store->exchange = opcode == XCHG;
		return true;
	}
	store->immediate = read_immediate(reader);
	return (reg & 7) == 0;
}

bool store_decode(const uint8_t *bytes, size_t size, enum code_size code, struct store *store)
{
	struct reader reader = { .bytes = bytes, .size = size };
	struct prefixes prefixes = { .repeat = PREFIX_NONE };
	const uint8_t opcode = read_prefixes(&reader, code == CODE_64, &prefixes);

	*store = (struct store){ .source = REGISTER_NONE };
	if (!is_32_bits(code, &prefixes) || prefixes.repeat != PREFIX_NONE ||
	    (prefixes.lock && opcode != XCHG) ||
	    !read_store(&reader, opcode, address_size(code, &prefixes), &prefixes, store))
		return false;
	store->length = (uint8_t)reader.at;
	return reader.at <= size && reader.at <= INSTRUCTION_MAX;
}
