/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as an instruction: nothing behind them is read, and nothing behind its length counts.
 */
#include "tests/fuzz/fuzz.h"
#include "vmm/soft/decode.h"

static const struct {
	uint8_t bytes[INSTRUCTION_MAX];
	size_t size;
} instructions[] = {
	{ { 0x0f, 0x05 }, 2 },
	{ { 0x66, 0x0f, 0x34 }, 3 },
	{ { 0xf2, 0x0f, 0x01, 0xca }, 4 },
	{ { 0xf0, 0xf3, 0x0f, 0x01, 0xca }, 5 },
	{ { 0xf2, 0x41, 0x0f, 0x00, 0xf7 }, 5 },
	{ { 0x65, 0xf2, 0x43, 0x0f, 0x00, 0xb4, 0xa5, 1, 2, 3, 4 }, 11 },
	{ { 0x67, 0x2e, 0xf2, 0x0f, 0x00, 0x34, 0x25, 1, 2, 3, 4 }, 11 },
};

size_t fuzz_seed(unsigned int number, uint8_t *buffer)
{
	if (number >= sizeof(instructions) / sizeof(instructions[0]))
		return 0;
	memcpy(buffer, instructions[number].bytes, instructions[number].size);
	return instructions[number].size;
}

static void check(const uint8_t *data, size_t size, bool long_mode)
{
	const struct soft_instruction whole = soft_decode(data, size, long_mode);
	struct soft_instruction again;
	uint8_t *exact;

	if (whole.opcode == SOFT_OTHER)
		return;
	REQUIRE(whole.length >= 2 && whole.length <= size);
	REQUIRE(whole.opcode != SOFT_LKGS || long_mode);
	if (whole.opcode == SOFT_LKGS) {
		REQUIRE(whole.operand.base <= REGISTER_RIP && whole.operand.index <= REGISTER_NONE);
		REQUIRE(whole.operand.scale <= 3 &&
			(!whole.operand.in_register || whole.operand.base < REGISTER_NONE));
	}
	/* The same from its own bytes alone; and one byte less is not enough. */
	exact = malloc(whole.length);
	REQUIRE(exact);
	memcpy(exact, data, whole.length);
	again = soft_decode(exact, whole.length, long_mode);
	REQUIRE(again.opcode == whole.opcode && again.length == whole.length &&
		again.operand.displacement == whole.operand.displacement);
	REQUIRE(soft_decode(exact, whole.length - 1U, long_mode).opcode == SOFT_OTHER);
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > INSTRUCTION_MAX)
		size = INSTRUCTION_MAX;
	check(data, size, true);
	check(data, size, false);
	return 0;
}
