// SPDX-License-Identifier: BSD-2-Clause
/* Decodes stores to devices. Keeps no state. */
#include "vmm/run/store_decode.h"

#define XCHG	      0x87
#define MOV_REGISTER  0x89
#define MOV_EAX	      0xa3
#define MOV_IMMEDIATE 0xc7
#define REGISTER_AX   0
#define REGISTER_BX   3
#define REGISTER_SI   6
#define REGISTER_DI   7

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

static uint64_t read_bytes(struct reader *reader, unsigned int count)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < count; i++)
		value |= (uint64_t)next_byte(reader) << 8 * i;
	return value;
}

/* The operand of a ModRM byte with addresses of 16 bits (SDM 2A, table 2-1). */
static void read_operand_16(struct reader *reader, uint8_t modrm, struct store_address *address)
{
	static const uint8_t bases[] = { REGISTER_BX, REGISTER_BX, REGISTER_BP, REGISTER_BP,
					 REGISTER_SI, REGISTER_DI, REGISTER_BP, REGISTER_BX };
	static const uint8_t indexes[] = { REGISTER_SI, REGISTER_DI, REGISTER_SI, REGISTER_DI };
	const unsigned int mode = modrm >> 6;
	const uint8_t rm = modrm & 7;

	address->base = bases[rm];
	address->index = rm < sizeof(indexes) ? indexes[rm] : REGISTER_NONE;
	if (mode == 0 && rm == 6) {
		address->base = REGISTER_NONE;
		address->displacement = read_bytes(reader, sizeof(uint16_t));
	} else if (mode == 1) {
		address->displacement = (uint64_t)(int8_t)next_byte(reader);
	} else if (mode == 2) {
		address->displacement = read_bytes(reader, sizeof(uint16_t));
	}
}

/* The same with addresses of 32 or 64 bits. Only 64-bit code has addresses relative to RIP. */
static void read_operand_32(struct reader *reader, uint8_t modrm, enum code_size code,
			    const struct prefixes *prefixes, struct store_address *address)
{
	struct memory_operand operand = { 0 };

	read_operand(reader, modrm, prefixes, &operand);
	address->base = operand.base;
	address->index = operand.index;
	address->scale = operand.scale;
	address->displacement = (uint64_t)(int64_t)operand.displacement;
	if (operand.base == REGISTER_RIP && code != CODE_64)
		address->base = REGISTER_NONE;
}

/* Reads ModRM and what belongs to it; false when the operand is not in memory. */
static bool read_memory_operand(struct reader *reader, enum code_size code,
				const struct prefixes *prefixes, uint8_t *reg,
				struct store_address *address)
{
	const uint8_t modrm = next_byte(reader);

	*reg = (modrm >> 3 & 7) | (prefixes->rex & REX_R ? 8 : 0);
	if (modrm >> 6 == 3)
		return false;
	if (address->size == CODE_16)
		read_operand_16(reader, modrm, address);
	else
		read_operand_32(reader, modrm, code, prefixes, address);
	return true;
}

/*
 * The last segment prefix counts, else it is SS for addresses by SP and BP and DS for all others.
 * In 64-bit code all but FS and GS have base 0, and their prefixes do nothing (SDM 3A, 3.4.4).
 */
static enum segment segment_of(const uint8_t *bytes, size_t size, enum code_size code,
			       const struct prefixes *prefixes, uint8_t base)
{
	enum segment segment = base == REGISTER_SP || base == REGISTER_BP ? SEG_SS : SEG_DS;

	if (prefixes->segment != OVERRIDE_NONE)
		segment = prefixes->segment == OVERRIDE_FS ? SEG_FS : SEG_GS;
	for (size_t i = 0; i < size && code != CODE_64; i++)
		switch (bytes[i]) {
		case 0x26:
			segment = SEG_ES;
			break;
		case 0x2e:
			segment = SEG_CS;
			break;
		case 0x36:
			segment = SEG_SS;
			break;
		case 0x3e:
			segment = SEG_DS;
			break;
		case 0x64:
			segment = SEG_FS;
			break;
		case 0x65:
			segment = SEG_GS;
			break;
		default:
			break;
		}
	return segment;
}

/* MOV with an address of its own instead of a ModRM byte: 2, 4 or 8 bytes. */
static bool read_mov_eax(struct reader *reader, struct store *store)
{
	store->source = REGISTER_AX;
	store->address.displacement =
		read_bytes(reader, (unsigned int)sizeof(uint16_t) << store->address.size);
	return true;
}

static bool read_store(struct reader *reader, uint8_t opcode, enum code_size code,
		       const struct prefixes *prefixes, struct store *store)
{
	uint8_t reg;

	if (opcode == MOV_EAX)
		return read_mov_eax(reader, store);
	if (opcode != MOV_REGISTER && opcode != XCHG && opcode != MOV_IMMEDIATE)
		return false;
	if (!read_memory_operand(reader, code, prefixes, &reg, &store->address))
		return false;
	if (opcode != MOV_IMMEDIATE) {
		store->source = reg;
		store->exchange = opcode == XCHG;
		return true;
	}
	store->immediate = (uint32_t)read_bytes(reader, sizeof(uint32_t));
	return (reg & 7) == 0;
}

bool store_decode(const uint8_t *bytes, size_t size, enum code_size code, struct store *store)
{
	struct reader reader = { .bytes = bytes, .size = size };
	struct prefixes prefixes = { .repeat = PREFIX_NONE };
	const uint8_t opcode = read_prefixes(&reader, code == CODE_64, &prefixes);
	const size_t opcode_at = reader.at - 1;

	*store = (struct store){ .source = REGISTER_NONE,
				 .address = { .size = address_size(code, &prefixes),
					      .base = REGISTER_NONE,
					      .index = REGISTER_NONE } };
	if (!is_32_bits(code, &prefixes) || prefixes.repeat != PREFIX_NONE ||
	    (prefixes.lock && opcode != XCHG) ||
	    !read_store(&reader, opcode, code, &prefixes, store))
		return false;
	store->address.segment = segment_of(bytes, opcode_at < size ? opcode_at : size, code,
					    &prefixes, store->address.base);
	store->length = (uint8_t)reader.at;
	return reader.at <= size && reader.at <= INSTRUCTION_MAX;
}
