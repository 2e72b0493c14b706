/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as a store: nothing behind them is read, and nothing behind its length counts. The
 * first byte chooses the mode.
 */
#include "tests/fuzz/fuzz.h"
#include "vmm/run/store_decode.h"

static const struct {
	uint8_t bytes[1 + INSTRUCTION_MAX];
	size_t size;
} instructions[] = {
	{ { CODE_64, 0x89, 0x87, 0, 3, 0, 0 }, 7 },
	{ { CODE_64, 0x65, 0x67, 0x43, 0xc7, 0x84, 0xa5, 1, 2, 3, 4, 9, 8, 7, 6 }, 15 },
	{ { CODE_64, 0xa3, 1, 2, 3, 4, 5, 6, 7, 8 }, 10 },
	{ { CODE_64, 0xf0, 0x44, 0x87, 0x17 }, 5 },
	{ { CODE_32, 0xc7, 0x05, 0xb0, 0x00, 0xe0, 0xfe, 0, 0, 0, 0 }, 11 },
	{ { CODE_32, 0x67, 0x89, 0x76, 0x10 }, 5 },
	{ { CODE_16, 0x66, 0x89, 0x8e, 0x01, 0x01 }, 6 },
	{ { CODE_16, 0x66, 0x67, 0xc7, 0x04, 0x24, 1, 2, 3, 4 }, 10 },
};

size_t fuzz_seed(unsigned int number, uint8_t *buffer)
{
	if (number >= sizeof(instructions) / sizeof(instructions[0]))
		return 0;
	memcpy(buffer, instructions[number].bytes, instructions[number].size);
	return instructions[number].size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct store whole, again;
	enum code_size code;
	uint8_t *exact;

	if (size == 0)
		return 0;
	code = (enum code_size)(data[0] % (CODE_64 + 1));
	if (!store_decode(data + 1, size - 1, code, &whole))
		return 0;
	REQUIRE(whole.length >= 2 && whole.length <= size - 1 && whole.length <= INSTRUCTION_MAX);
	REQUIRE(whole.source <= REGISTER_NONE &&
		(code == CODE_64 || whole.source < 8 || whole.source == REGISTER_NONE));
	REQUIRE(whole.source == REGISTER_NONE ? !whole.exchange : whole.immediate == 0);
	REQUIRE(whole.address.base <= REGISTER_RIP && whole.address.index <= REGISTER_NONE &&
		whole.address.scale <= 3 && whole.address.segment <= SEG_GS);
	REQUIRE(code == CODE_64
			? whole.address.size != CODE_16 && whole.address.segment >= SEG_SS
			: whole.address.base != REGISTER_RIP && whole.address.size != CODE_64);
	/* The same from its own bytes alone; and one byte less is not enough. */
	exact = malloc(whole.length);
	REQUIRE(exact);
	memcpy(exact, data + 1, whole.length);
	REQUIRE(store_decode(exact, whole.length, code, &again));
	REQUIRE(again.length == whole.length && again.source == whole.source &&
		again.immediate == whole.immediate && again.exchange == whole.exchange &&
		memcmp(&again.address, &whole.address, sizeof(whole.address)) == 0);
	REQUIRE(!store_decode(exact, whole.length - 1U, code, &again));
	free(exact);
	return 0;
}
