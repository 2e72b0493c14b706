/* SPDX-License-Identifier: BSD-2-Clause */
/* vmm/soft/decode.c: encodings, each with what SDM 2A (chapter 2, and FRED's pages) makes of it. */
#include "tests/unit/unit.h"
#include "vmm/soft/decode.h"

#define BYTES(...) .bytes = { __VA_ARGS__ }, .size = sizeof((const uint8_t[]){ __VA_ARGS__ })

struct encoding {
	const char *name;
	uint8_t bytes[INSTRUCTION_MAX];
	size_t size;
	enum soft_opcode opcode;
	bool only_64; /* in other modes it is none of ours */
};

static const struct encoding encodings[] = {
	{ "syscall", BYTES(0x0f, 0x05), SOFT_SYSCALL },
	{ "sysenter", BYTES(0x0f, 0x34), SOFT_SYSENTER },
	{ "sysexit", BYTES(0x0f, 0x35), SOFT_SYSEXIT },
	{ "rex.w sysexit", BYTES(0x48, 0x0f, 0x35), SOFT_SYSEXIT, true },
	{ "erets", BYTES(0xf2, 0x0f, 0x01, 0xca), SOFT_ERETS },
	{ "eretu", BYTES(0xf3, 0x0f, 0x01, 0xca), SOFT_ERETU },
	{ "lkgs di", BYTES(0xf2, 0x0f, 0x00, 0xf7), SOFT_LKGS, true },
	/* Prefixes in any order: the last of F2 and F3 counts, 66 and segments do not. */
	{ "F3 F2 erets", BYTES(0xf3, 0xf2, 0x0f, 0x01, 0xca), SOFT_ERETS },
	{ "F2 F3 eretu", BYTES(0xf2, 0xf3, 0x0f, 0x01, 0xca), SOFT_ERETU },
	{ "66 F2 erets", BYTES(0x66, 0xf2, 0x0f, 0x01, 0xca), SOFT_ERETS },
	{ "F3 66 eretu", BYTES(0xf3, 0x66, 0x0f, 0x01, 0xca), SOFT_ERETU },
	{ "all segments", BYTES(0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x67, 0x0f, 0x05),
	  SOFT_SYSCALL },
	{ "REP syscall", BYTES(0xf3, 0x0f, 0x05), SOFT_SYSCALL },
	{ "F2 REX erets", BYTES(0xf2, 0x4f, 0x0f, 0x01, 0xca), SOFT_ERETS, true },
	{ "REX F2 erets", BYTES(0x40, 0xf2, 0x0f, 0x01, 0xca), SOFT_ERETS, true },
	/* LOCK makes all of them #UD, wherever it stands. */
	{ "lock syscall", BYTES(0xf0, 0x0f, 0x05), SOFT_OTHER },
	{ "lock sysenter", BYTES(0xf0, 0x0f, 0x34), SOFT_OTHER },
	{ "lock erets", BYTES(0xf0, 0xf2, 0x0f, 0x01, 0xca), SOFT_OTHER },
	{ "eretu, lock second", BYTES(0xf3, 0xf0, 0x0f, 0x01, 0xca), SOFT_OTHER },
	{ "lock lkgs", BYTES(0xf0, 0xf2, 0x0f, 0x00, 0xf0), SOFT_OTHER },
	/* Neighbours. */
	{ "clac", BYTES(0x0f, 0x01, 0xca), SOFT_OTHER },
	{ "66 clac", BYTES(0x66, 0x0f, 0x01, 0xca), SOFT_OTHER },
	{ "0f 01 cb with F2", BYTES(0xf2, 0x0f, 0x01, 0xcb), SOFT_OTHER },
	{ "invlpg with F2", BYTES(0xf2, 0x0f, 0x01, 0x3a), SOFT_OTHER },
	{ "0f 00 /6 without F2", BYTES(0x0f, 0x00, 0xf0), SOFT_OTHER },
	{ "0f 00 /6 with F3", BYTES(0xf3, 0x0f, 0x00, 0xf0), SOFT_OTHER },
	{ "0f 00 /6, F3 last", BYTES(0xf2, 0xf3, 0x0f, 0x00, 0xf0), SOFT_OTHER },
	{ "0f 00 /5 with F2", BYTES(0xf2, 0x0f, 0x00, 0xe8), SOFT_OTHER },
	{ "0f 00 /7 with F2", BYTES(0xf2, 0x0f, 0x00, 0xf8), SOFT_OTHER },
	{ "sysret", BYTES(0x0f, 0x07), SOFT_OTHER },
	{ "05 without 0f", BYTES(0x05, 0x34), SOFT_OTHER },
	{ "ud2", BYTES(0x0f, 0x0b), SOFT_OTHER },
	{ "two escapes", BYTES(0x0f, 0x0f, 0x05), SOFT_OTHER },
	/* 15 bytes are the most. */
	{ "15 bytes",
	  BYTES(0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0xf2, 0x0f, 0x01,
		0xca),
	  SOFT_ERETS },
	{ "16 bytes",
	  BYTES(0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0xf2, 0x0f,
		0x01),
	  SOFT_OTHER },
	{ "prefixes only",
	  BYTES(0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 0xf2,
		0xf2),
	  SOFT_OTHER },
};

/* A copy of its exact size, so that the sanitizer sees a read beyond it. */
static struct soft_instruction decode(const uint8_t *bytes, size_t size, bool long_mode)
{
	uint8_t *const copy = malloc(size + (size == 0));
	struct soft_instruction instruction;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	instruction = soft_decode(copy, size, long_mode);
	free(copy);
	return instruction;
}

static void expect_opcode(const struct encoding *encoding, bool long_mode)
{
	const enum soft_opcode expected =
		encoding->only_64 && !long_mode ? SOFT_OTHER : encoding->opcode;
	const struct soft_instruction got = decode(encoding->bytes, encoding->size, long_mode);

	if (got.opcode != expected)
		fail_msg("%s: opcode %d, not %d", encoding->name, (int)got.opcode, (int)expected);
	if (expected != SOFT_OTHER && got.length != encoding->size)
		fail_msg("%s: length %u", encoding->name, got.length);
}

TEST(opcodes)
{
	for (size_t i = 0; i < COUNT_OF(encodings); i++) {
		expect_opcode(&encodings[i], true);
		expect_opcode(&encodings[i], false);
	}
}

TEST(cut_off_anywhere_it_is_nothing)
{
	for (size_t i = 0; i < COUNT_OF(encodings); i++)
		for (size_t size = 0; size < encodings[i].size; size++)
			if (decode(encodings[i].bytes, size, true).opcode != SOFT_OTHER)
				fail_msg("%s, %zu bytes", encodings[i].name, size);
}

TEST(bytes_behind_it_do_not_count)
{
	const uint8_t bytes[] = { 0xf2, 0x0f, 0x01, 0xca, 0xf0, 0x0f, 0x05 };

	assert_int_equal(decode(bytes, sizeof(bytes), true).opcode, SOFT_ERETS);
	assert_int_equal(decode(bytes, sizeof(bytes), true).length, 4);
}

/* ---- The operand of LKGS ---- */

#define NONE REGISTER_NONE

struct operand {
	const char *name;
	uint8_t bytes[INSTRUCTION_MAX];
	size_t size;
	uint8_t base, index, scale;
	int32_t displacement;
	enum segment_override segment;
	bool address_32;
};

static const struct operand operands[] = {
	{ "[rax]", BYTES(0xf2, 0x0f, 0x00, 0x30), 0, NONE },
	{ "[rdi]", BYTES(0xf2, 0x0f, 0x00, 0x37), 7, NONE },
	{ "[r8]", BYTES(0xf2, 0x41, 0x0f, 0x00, 0x30), 8, NONE },
	{ "[r9], REX before F2", BYTES(0x41, 0xf2, 0x0f, 0x00, 0x31), 1, NONE },
	{ "[rip+0x11223344]", BYTES(0xf2, 0x0f, 0x00, 0x35, 0x44, 0x33, 0x22, 0x11), REGISTER_RIP,
	  NONE, 0, 0x11223344 },
	{ "[rip-1], REX.B", BYTES(0xf2, 0x41, 0x0f, 0x00, 0x35, 0xff, 0xff, 0xff, 0xff),
	  REGISTER_RIP, NONE, 0, -1 },
	{ "[rbp-128]", BYTES(0xf2, 0x0f, 0x00, 0x75, 0x80), 5, NONE, 0, -128 },
	{ "[r13+0]", BYTES(0xf2, 0x41, 0x0f, 0x00, 0x75, 0x00), 13, NONE, 0, 0 },
	{ "[rax+127]", BYTES(0xf2, 0x0f, 0x00, 0x70, 0x7f), 0, NONE, 0, 127 },
	{ "[rsi+0x80000000]", BYTES(0xf2, 0x0f, 0x00, 0xb6, 0x00, 0x00, 0x00, 0x80), 6, NONE, 0,
	  INT32_MIN },
	{ "[rsp]", BYTES(0xf2, 0x0f, 0x00, 0x34, 0x24), 4, NONE },
	{ "[r12]", BYTES(0xf2, 0x41, 0x0f, 0x00, 0x34, 0x24), 12, NONE },
	{ "[rsp+8]", BYTES(0xf2, 0x0f, 0x00, 0x74, 0x24, 0x08), 4, NONE, 0, 8 },
	{ "[rax+rcx]", BYTES(0xf2, 0x0f, 0x00, 0x34, 0x08), 0, 1, 0 },
	{ "[rax+rcx*8]", BYTES(0xf2, 0x0f, 0x00, 0x34, 0xc8), 0, 1, 3 },
	{ "[rdx+rbp*2+4]", BYTES(0xf2, 0x0f, 0x00, 0x74, 0x6a, 0x04), 2, 5, 1, 4 },
	{ "[rax+r12*4]", BYTES(0xf2, 0x42, 0x0f, 0x00, 0x34, 0xa0), 0, 12, 2 },
	{ "[r8+r15]", BYTES(0xf2, 0x43, 0x0f, 0x00, 0x34, 0x38), 8, 15, 0 },
	{ "[0x12345678]", BYTES(0xf2, 0x0f, 0x00, 0x34, 0x25, 0x78, 0x56, 0x34, 0x12), NONE, NONE,
	  0, 0x12345678 },
	{ "[rcx*4-2]", BYTES(0xf2, 0x0f, 0x00, 0x34, 0x8d, 0xfe, 0xff, 0xff, 0xff), NONE, 1, 2,
	  -2 },
	{ "no base, REX.B", BYTES(0xf2, 0x41, 0x0f, 0x00, 0x34, 0x25, 1, 0, 0, 0), NONE, NONE, 0,
	  1 },
	{ "[rbp+rax], mode 1", BYTES(0xf2, 0x0f, 0x00, 0x74, 0x05, 0x00), 5, 0, 0, 0 },
	{ "[rbp+rax], mode 2", BYTES(0xf2, 0x0f, 0x00, 0xb4, 0x05, 1, 0, 0, 0), 5, 0, 0, 1 },
	{ "fs:[rax]", BYTES(0x64, 0xf2, 0x0f, 0x00, 0x30), 0, NONE, .segment = OVERRIDE_FS },
	{ "gs:[rax]", BYTES(0xf2, 0x65, 0x0f, 0x00, 0x30), 0, NONE, .segment = OVERRIDE_GS },
	{ "the last of FS and GS", BYTES(0x64, 0x65, 0xf2, 0x0f, 0x00, 0x30), 0, NONE,
	  .segment = OVERRIDE_GS },
	{ "[eax]", BYTES(0x67, 0xf2, 0x0f, 0x00, 0x30), 0, NONE, .address_32 = true },
	{ "REX.W", BYTES(0xf2, 0x48, 0x0f, 0x00, 0x30), 0, NONE },
};

TEST(memory_operands)
{
	for (size_t i = 0; i < COUNT_OF(operands); i++) {
		const struct operand *const want = &operands[i];
		const struct soft_instruction got = decode(want->bytes, want->size, true);

		if (got.opcode != SOFT_LKGS || got.operand.in_register ||
		    got.length != want->size || got.operand.base != want->base ||
		    got.operand.index != want->index ||
		    (want->index != NONE && got.operand.scale != want->scale) ||
		    got.operand.displacement != want->displacement ||
		    got.operand.segment != want->segment ||
		    got.operand.address_32 != want->address_32)
			fail_msg("%s: length %u, base %u, index %u, scale %u, displacement %d",
				 want->name, got.length, got.operand.base, got.operand.index,
				 got.operand.scale, got.operand.displacement);
	}
}

TEST(memory_operands_cut_off)
{
	for (size_t i = 0; i < COUNT_OF(operands); i++)
		for (size_t size = 0; size < operands[i].size; size++)
			if (decode(operands[i].bytes, size, true).opcode != SOFT_OTHER)
				fail_msg("%s, %zu bytes", operands[i].name, size);
}

TEST(register_operands)
{
	for (uint8_t number = 0; number < 16; number++) {
		const uint8_t bytes[] = { 0xf2, number < 8 ? 0x40 : 0x41, 0x0f, 0x00,
					  0xf0 | (number & 7) };
		const struct soft_instruction got = decode(bytes, sizeof(bytes), true);

		assert_int_equal(got.opcode, SOFT_LKGS);
		assert_true(got.operand.in_register);
		assert_int_equal(got.operand.base, number);
		assert_int_equal(got.length, sizeof(bytes));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opcodes),
		cmocka_unit_test(cut_off_anywhere_it_is_nothing),
		cmocka_unit_test(bytes_behind_it_do_not_count),
		cmocka_unit_test(memory_operands),
		cmocka_unit_test(memory_operands_cut_off),
		cmocka_unit_test(register_operands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
