/* SPDX-License-Identifier: BSD-2-Clause */
/* vmm/run/store_decode.c: encodings, each with what SDM 2 (chapter 2, MOV, XCHG) makes of it. */
#include "tests/unit/unit.h"
#include "vmm/run/store_decode.h"

#define BYTES(...) .bytes = { __VA_ARGS__ }, .size = sizeof((const uint8_t[]){ __VA_ARGS__ })

struct encoding {
	const char *name;
	uint8_t bytes[INSTRUCTION_MAX + 1];
	size_t size;
	enum code_size code;
	uint8_t source;
	uint32_t immediate;
	bool exchange;
};

#define CONSTANT REGISTER_NONE

static const struct encoding stores[] = {
	{ "mov [rdi], eax", BYTES(0x89, 0x07), CODE_64, 0 },
	{ "mov [rdi], esi", BYTES(0x89, 0x37), CODE_64, 6 },
	{ "mov [rdi], r9d", BYTES(0x44, 0x89, 0x0f), CODE_64, 9 },
	{ "mov [r15], ecx", BYTES(0x41, 0x89, 0x0f), CODE_64, 1 },
	{ "mov [rbx + r12 * 4], edi", BYTES(0x42, 0x89, 0x3c, 0xa3), CODE_64, 7 },
	{ "mov [rsp], ebp", BYTES(0x89, 0x2c, 0x24), CODE_64, 5 },
	{ "mov [rbp - 8], esp", BYTES(0x89, 0x65, 0xf8), CODE_64, 4 },
	{ "mov [rsp + 8], edx", BYTES(0x89, 0x54, 0x24, 0x08), CODE_64, 2 },
	{ "mov [rdi + 0x300], eax", BYTES(0x89, 0x87, 0, 3, 0, 0), CODE_64, 0 },
	{ "mov [rip + 16], eax", BYTES(0x89, 0x05, 0x10, 0, 0, 0), CODE_64, 0 },
	{ "mov [0xffffffffff5fc300], eax", BYTES(0x89, 0x04, 0x25, 0x00, 0xc3, 0x5f, 0xff), CODE_64,
	  0 },
	{ "fs: mov [edi], eax", BYTES(0x64, 0x67, 0x89, 0x07), CODE_64, 0 },
	{ "a REX that a prefix follows does nothing", BYTES(0x4c, 0x3e, 0x89, 0x0f), CODE_64, 1 },
	{ "mov [rdi], constant", BYTES(0xc7, 0x07, 0x78, 0x56, 0x34, 0x92), CODE_64, CONSTANT,
	  0x92345678 },
	{ "mov [rip], constant", BYTES(0xc7, 0x05, 0, 0, 0, 0, 1, 2, 3, 4), CODE_64, CONSTANT,
	  0x04030201 },
	{ "REX.R is no part of /0", BYTES(0x44, 0xc7, 0x07, 1, 0, 0, 0), CODE_64, CONSTANT, 1 },
	{ "the longest", BYTES(0x65, 0x67, 0x43, 0xc7, 0x84, 0xa5, 1, 2, 3, 4, 9, 8, 7, 6), CODE_64,
	  CONSTANT, 0x06070809 },
	{ "mov [64-bit address], eax", BYTES(0xa3, 1, 2, 3, 4, 5, 6, 7, 8), CODE_64, 0 },
	{ "mov [32-bit address], eax", BYTES(0x67, 0xa3, 1, 2, 3, 4), CODE_64, 0 },
	{ "xchg [rdi], eax", BYTES(0x87, 0x07), CODE_64, 0, .exchange = true },
	{ "lock xchg [rdi], r10d", BYTES(0xf0, 0x44, 0x87, 0x17), CODE_64, 10, .exchange = true },

	{ "mov [edi], esi", BYTES(0x89, 0x37), CODE_32, 6 },
	{ "mov [0xfee000b0], eax", BYTES(0xa3, 0xb0, 0x00, 0xe0, 0xfe), CODE_32, 0 },
	{ "mov [0xfee000b0], 0", BYTES(0xc7, 0x05, 0xb0, 0x00, 0xe0, 0xfe, 0, 0, 0, 0), CODE_32,
	  CONSTANT, 0 },
	{ "mov [16-bit address], eax", BYTES(0x67, 0xa3, 1, 2), CODE_32, 0 },
	{ "xchg [esp + 4], ebx", BYTES(0x87, 0x5c, 0x24, 0x04), CODE_32, 3, .exchange = true },
	{ "mov [di], esi", BYTES(0x67, 0x89, 0x35), CODE_32, 6 },

	{ "mov [bx + si], ecx", BYTES(0x66, 0x89, 0x08), CODE_16, 1 },
	{ "mov [si], ecx", BYTES(0x66, 0x89, 0x0c), CODE_16, 1 },
	{ "mov [0x1234], ecx", BYTES(0x66, 0x89, 0x0e, 0x34, 0x12), CODE_16, 1 },
	{ "mov [bp + 1], ecx", BYTES(0x66, 0x89, 0x4e, 0x01), CODE_16, 1 },
	{ "mov [bp + 0x101], ecx", BYTES(0x66, 0x89, 0x8e, 0x01, 0x01), CODE_16, 1 },
	{ "mov [ebx], ecx", BYTES(0x67, 0x66, 0x89, 0x0b), CODE_16, 1 },
	{ "mov [esp], ecx", BYTES(0x66, 0x67, 0x89, 0x0c, 0x24), CODE_16, 1 },
	{ "mov [bx], constant", BYTES(0x66, 0xc7, 0x07, 1, 2, 3, 4), CODE_16, CONSTANT,
	  0x04030201 },
	{ "mov [16-bit address], eax", BYTES(0x66, 0xa3, 1, 2), CODE_16, 0 },
	{ "mov [32-bit address], eax", BYTES(0x67, 0x66, 0xa3, 1, 2, 3, 4), CODE_16, 0 },

	{ "15 bytes",
	  BYTES(0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x89,
		0x07),
	  CODE_64, 0 },
};

#define ADDRESS(...) .address = { __VA_ARGS__ }
#define NONE	     REGISTER_NONE

/* Where they store to: segment, size, base, index, scale, displacement (SDM 2A, 2.1.5 and 2.2.1).
 */
static const struct {
	const char *name;
	uint8_t bytes[INSTRUCTION_MAX];
	size_t size;
	enum code_size code;
	struct store_address address;
} addresses[] = {
	{ "[rdi]", BYTES(0x89, 0x07), CODE_64, ADDRESS(SEG_DS, CODE_64, 7, NONE, 0, 0) },
	{ "[r15]", BYTES(0x41, 0x89, 0x07), CODE_64, ADDRESS(SEG_DS, CODE_64, 15, NONE, 0, 0) },
	{ "[rbx + r12 * 4]", BYTES(0x42, 0x89, 0x3c, 0xa3), CODE_64,
	  ADDRESS(SEG_DS, CODE_64, 3, 12, 2, 0) },
	{ "[rsp + 8]", BYTES(0x89, 0x54, 0x24, 8), CODE_64,
	  ADDRESS(SEG_SS, CODE_64, 4, NONE, 0, 8) },
	{ "[rbp - 8]", BYTES(0x89, 0x65, 0xf8), CODE_64,
	  ADDRESS(SEG_SS, CODE_64, 5, NONE, 0, -8ULL) },
	{ "[r12]", BYTES(0x41, 0x89, 0x04, 0x24), CODE_64,
	  ADDRESS(SEG_DS, CODE_64, 12, NONE, 0, 0) },
	{ "[rdi + 0x300]", BYTES(0x89, 0x87, 0, 3, 0, 0), CODE_64,
	  ADDRESS(SEG_DS, CODE_64, 7, NONE, 0, 0x300) },
	{ "[rip + 16]", BYTES(0x89, 0x05, 0x10, 0, 0, 0), CODE_64,
	  ADDRESS(SEG_DS, CODE_64, REGISTER_RIP, NONE, 0, 16) },
	{ "[0xffffffffff5fc300]", BYTES(0x89, 0x04, 0x25, 0x00, 0xc3, 0x5f, 0xff), CODE_64,
	  ADDRESS(SEG_DS, CODE_64, NONE, NONE, 0, 0xffffffffff5fc300) },
	{ "fs: [edi]", BYTES(0x64, 0x67, 0x89, 0x07), CODE_64,
	  ADDRESS(SEG_FS, CODE_32, 7, NONE, 0, 0) },
	{ "gs: [r13d + r12d * 4 + disp], constant",
	  BYTES(0x65, 0x67, 0x43, 0xc7, 0x84, 0xa5, 1, 2, 3, 4, 9, 8, 7, 6), CODE_64,
	  ADDRESS(SEG_GS, CODE_32, 13, 12, 2, 0x04030201) },
	{ "ss: [rdi]", BYTES(0x36, 0x89, 0x07), CODE_64, ADDRESS(SEG_DS, CODE_64, 7, NONE, 0, 0) },
	{ "fs: es: [rdi]", BYTES(0x64, 0x26, 0x89, 0x07), CODE_64,
	  ADDRESS(SEG_FS, CODE_64, 7, NONE, 0, 0) },
	{ "[64-bit address]", BYTES(0xa3, 1, 2, 3, 4, 5, 6, 7, 8), CODE_64,
	  ADDRESS(SEG_DS, CODE_64, NONE, NONE, 0, 0x0807060504030201) },
	{ "[32-bit address]", BYTES(0x67, 0xa3, 1, 2, 3, 0x84), CODE_64,
	  ADDRESS(SEG_DS, CODE_32, NONE, NONE, 0, 0x84030201) },

	{ "[edi]", BYTES(0x89, 0x37), CODE_32, ADDRESS(SEG_DS, CODE_32, 7, NONE, 0, 0) },
	{ "[0xfee000b0], constant", BYTES(0xc7, 0x05, 0xb0, 0x00, 0xe0, 0xfe, 0, 0, 0, 0), CODE_32,
	  ADDRESS(SEG_DS, CODE_32, NONE, NONE, 0, 0xfffffffffee000b0) },
	{ "[esp + 4]", BYTES(0x87, 0x5c, 0x24, 0x04), CODE_32,
	  ADDRESS(SEG_SS, CODE_32, 4, NONE, 0, 4) },
	{ "es: [ebp + 4]", BYTES(0x26, 0x89, 0x5d, 0x04), CODE_32,
	  ADDRESS(SEG_ES, CODE_32, 5, NONE, 0, 4) },
	{ "fs: es: [edi]", BYTES(0x64, 0x26, 0x89, 0x07), CODE_32,
	  ADDRESS(SEG_ES, CODE_32, 7, NONE, 0, 0) },
	{ "cs: [edi]", BYTES(0x2e, 0x89, 0x07), CODE_32, ADDRESS(SEG_CS, CODE_32, 7, NONE, 0, 0) },
	{ "ss: [edi]", BYTES(0x36, 0x89, 0x07), CODE_32, ADDRESS(SEG_SS, CODE_32, 7, NONE, 0, 0) },
	{ "ds: [ebp]", BYTES(0x3e, 0x89, 0x45, 0), CODE_32,
	  ADDRESS(SEG_DS, CODE_32, 5, NONE, 0, 0) },
	{ "gs: [address]", BYTES(0x65, 0xa3, 1, 2, 3, 4), CODE_32,
	  ADDRESS(SEG_GS, CODE_32, NONE, NONE, 0, 0x04030201) },
	{ "a prefix's value in the constant is none", BYTES(0xc7, 0x07, 0x26, 0x64, 0x65, 0x36),
	  CODE_32, ADDRESS(SEG_DS, CODE_32, 7, NONE, 0, 0) },
	{ "[di] of 32-bit code", BYTES(0x67, 0x89, 0x35), CODE_32,
	  ADDRESS(SEG_DS, CODE_16, 7, NONE, 0, 0) },

	{ "[bx + si]", BYTES(0x66, 0x89, 0x08), CODE_16, ADDRESS(SEG_DS, CODE_16, 3, 6, 0, 0) },
	{ "[bx + di]", BYTES(0x66, 0x89, 0x09), CODE_16, ADDRESS(SEG_DS, CODE_16, 3, 7, 0, 0) },
	{ "[bp + si]", BYTES(0x66, 0x89, 0x0a), CODE_16, ADDRESS(SEG_SS, CODE_16, 5, 6, 0, 0) },
	{ "[bp + di]", BYTES(0x66, 0x89, 0x0b), CODE_16, ADDRESS(SEG_SS, CODE_16, 5, 7, 0, 0) },
	{ "[si]", BYTES(0x66, 0x89, 0x0c), CODE_16, ADDRESS(SEG_DS, CODE_16, 6, NONE, 0, 0) },
	{ "[di - 1]", BYTES(0x66, 0x89, 0x4d, 0xff), CODE_16,
	  ADDRESS(SEG_DS, CODE_16, 7, NONE, 0, -1ULL) },
	{ "[0x1234]", BYTES(0x66, 0x89, 0x0e, 0x34, 0x12), CODE_16,
	  ADDRESS(SEG_DS, CODE_16, NONE, NONE, 0, 0x1234) },
	{ "[bp + 0x101]", BYTES(0x66, 0x89, 0x8e, 0x01, 0x01), CODE_16,
	  ADDRESS(SEG_SS, CODE_16, 5, NONE, 0, 0x101) },
	{ "[bx]", BYTES(0x66, 0x89, 0x0f), CODE_16, ADDRESS(SEG_DS, CODE_16, 3, NONE, 0, 0) },
	{ "[esp] of 16-bit code", BYTES(0x66, 0x67, 0x89, 0x0c, 0x24), CODE_16,
	  ADDRESS(SEG_SS, CODE_32, 4, NONE, 0, 0) },
	{ "[0xb0] by eax", BYTES(0x66, 0xa3, 0xb0, 0), CODE_16,
	  ADDRESS(SEG_DS, CODE_16, NONE, NONE, 0, 0xb0) },
};

static const struct encoding others[] = {
	{ "mov [rdi], rax", BYTES(0x48, 0x89, 0x07), CODE_64 },
	{ "mov [rdi], rax with 66", BYTES(0x66, 0x48, 0x89, 0x07), CODE_64 },
	{ "mov [rdi], ax", BYTES(0x66, 0x89, 0x07), CODE_64 },
	{ "mov [edi], ax", BYTES(0x66, 0x89, 0x07), CODE_32 },
	{ "mov [bx], ax", BYTES(0x89, 0x07), CODE_16 },
	{ "mov [rdi], al", BYTES(0x88, 0x07), CODE_64 },
	{ "mov [rdi], constant of 8 bits", BYTES(0xc6, 0x07, 0x01), CODE_64 },
	{ "mov [address], al", BYTES(0xa2, 1, 2, 3, 4, 5, 6, 7, 8), CODE_64 },
	{ "mov eax, [address]", BYTES(0xa1, 1, 2, 3, 4, 5, 6, 7, 8), CODE_64 },
	{ "mov eax, [rdi]", BYTES(0x8b, 0x07), CODE_64 },
	{ "mov eax, ecx", BYTES(0x89, 0xc8), CODE_64 },
	{ "mov eax, ecx of 16-bit code", BYTES(0x66, 0x89, 0xc8), CODE_16 },
	{ "xchg eax, ecx", BYTES(0x87, 0xc8), CODE_64 },
	{ "xchg [rdi], al", BYTES(0x86, 0x07), CODE_64 },
	{ "xchg eax, ecx, short", BYTES(0x91), CODE_64 },
	{ "mov eax, constant", BYTES(0xc7, 0xc0, 1, 2, 3, 4), CODE_64 },
	{ "C7 /1", BYTES(0xc7, 0x0f, 1, 2, 3, 4), CODE_64 },
	{ "xbegin", BYTES(0xc7, 0xf8, 1, 2, 3, 4), CODE_64 },
	{ "lock mov is #UD", BYTES(0xf0, 0x89, 0x07), CODE_64 },
	{ "rep mov", BYTES(0xf3, 0x89, 0x07), CODE_64 },
	{ "xacquire xchg", BYTES(0xf2, 0x87, 0x07), CODE_64 },
	{ "or [rdi], eax", BYTES(0x09, 0x07), CODE_64 },
	{ "stosd", BYTES(0xab), CODE_64 },
	{ "movnti [rdi], eax", BYTES(0x0f, 0xc3, 0x07), CODE_64 },
	{ "inc ecx; mov, which in 64-bit code is REX", BYTES(0x41, 0x89, 0x0f), CODE_32 },
	{ "16 bytes",
	  BYTES(0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e,
		0x89, 0x07),
	  CODE_64 },
};

/* A copy of its exact size, so that the sanitizer sees a read beyond it. */
static bool decode(const uint8_t *bytes, size_t size, enum code_size code, struct store *store)
{
	uint8_t *const copy = malloc(size + (size == 0));
	bool found;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	found = store_decode(copy, size, code, store);
	free(copy);
	return found;
}

TEST(decodes_stores)
{
	for (size_t i = 0; i < COUNT_OF(stores); i++) {
		const struct encoding *const want = &stores[i];
		struct store got;

		if (!decode(want->bytes, want->size, want->code, &got))
			fail_msg("%s: not decoded", want->name);
		if (got.length != want->size || got.source != want->source ||
		    got.immediate != want->immediate || got.exchange != want->exchange)
			fail_msg("%s: length %u, source %u, immediate 0x%x, exchange %d",
				 want->name, got.length, got.source, got.immediate, got.exchange);
	}
}

TEST(tells_where_they_go)
{
	for (size_t i = 0; i < COUNT_OF(addresses); i++) {
		const struct store_address *const want = &addresses[i].address;
		struct store got;

		if (!decode(addresses[i].bytes, addresses[i].size, addresses[i].code, &got))
			fail_msg("%s: not decoded", addresses[i].name);
		if (got.address.segment != want->segment || got.address.size != want->size ||
		    got.address.base != want->base || got.address.index != want->index ||
		    got.address.scale != want->scale ||
		    got.address.displacement != want->displacement)
			fail_msg("%s: segment %u, size %u, base %u, index %u, scale %u, "
				 "displacement 0x%llx",
				 addresses[i].name, got.address.segment, got.address.size,
				 got.address.base, got.address.index, got.address.scale,
				 (unsigned long long)got.address.displacement);
	}
}

TEST(decodes_nothing_else)
{
	struct store store;

	for (size_t i = 0; i < COUNT_OF(others); i++)
		if (decode(others[i].bytes, others[i].size, others[i].code, &store))
			fail_msg("%s: decoded", others[i].name);
}

TEST(cut_off_anywhere_it_is_nothing)
{
	struct store store;

	for (size_t i = 0; i < COUNT_OF(stores); i++)
		for (size_t size = 0; size < stores[i].size; size++)
			if (decode(stores[i].bytes, size, stores[i].code, &store))
				fail_msg("%s, %zu bytes", stores[i].name, size);
}

TEST(bytes_behind_it_do_not_count)
{
	const uint8_t bytes[] = { 0x89, 0x07, 0x66, 0xf0, 0x89 };
	struct store store;

	assert_true(decode(bytes, sizeof(bytes), CODE_64, &store));
	assert_int_equal(store.length, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_stores),
		cmocka_unit_test(tells_where_they_go),
		cmocka_unit_test(decodes_nothing_else),
		cmocka_unit_test(cut_off_anywhere_it_is_nothing),
		cmocka_unit_test(bytes_behind_it_do_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
