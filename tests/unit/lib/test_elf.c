/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/elf.c: what it loads from sound files, and what it says of damaged ones.
 */
#include "tests/unit/samples.h"
#include "tests/unit/unit.h"
#include "lib/elf.h"

static uint8_t file[SAMPLE_MAX];
static size_t file_size;

static const char *parse(struct elf *elf)
{
	static uint8_t *copy;

	/* A copy of its exact size: reading beyond it is seen. */
	free(copy);
	copy = malloc(file_size > 0 ? file_size : 1);
	memcpy(copy, file, file_size);
	return elf_parse(copy, file_size, elf);
}

TEST(reads_64_bit_segments)
{
	struct elf_segment segment;
	struct elf elf;
	uint32_t index = 0;

	file_size = sample_elf64(file);
	assert_null(parse(&elf));
	assert_true(elf.is_64bit);
	assert_int_equal(elf.entry, 0x100010);
	assert_true(elf_next_segment(&elf, &index, &segment));
	assert_int_equal(segment.offset, 0x1000);
	assert_int_equal(segment.file_size, 0x200);
	assert_int_equal(segment.memory_size, 0x200);
	assert_int_equal(segment.physical_address, 0x100000);
	assert_int_equal(segment.virtual_address, 0xffffffff80100000ULL);
	assert_int_equal(segment.flags, ELF_SEGMENT_READ | ELF_SEGMENT_EXECUTE);
	assert_true(elf_next_segment(&elf, &index, &segment));
	assert_int_equal(segment.offset, 0x1800);
	assert_int_equal(segment.memory_size, 0x3000);
	assert_int_equal(segment.flags, ELF_SEGMENT_READ | ELF_SEGMENT_WRITE);
	assert_false(elf_next_segment(&elf, &index, &segment));
	assert_false(elf_next_segment(&elf, &index, &segment));
}

TEST(reads_32_bit_segments)
{
	struct elf_segment segment;
	struct elf elf;
	uint32_t index = 0;

	file_size = sample_elf32(file, 0);
	assert_null(parse(&elf));
	assert_false(elf.is_64bit);
	assert_int_equal(elf.entry, 0x10000c);
	assert_true(elf_next_segment(&elf, &index, &segment));
	assert_int_equal(segment.offset, 0x1000);
	assert_int_equal(segment.file_size, 0x400);
	assert_int_equal(segment.memory_size, 0x2000);
	assert_int_equal(segment.physical_address, 0x100000);
	assert_int_equal(segment.virtual_address, 0x100000);
	assert_int_equal(segment.flags, 7);
	assert_false(elf_next_segment(&elf, &index, &segment));
}

TEST(entry_may_be_virtual_or_physical)
{
	struct elf elf;

	file_size = sample_elf64(file);
	put_64(file, 24, 0xffffffff80100010ULL);
	assert_null(parse(&elf));
	put_64(file, 24, 0x100200);
	assert_string_equal(parse(&elf), "the entry point of the ELF file is in no segment");
}

struct damage {
	size_t offset;
	unsigned int width;
	uint64_t value;
	const char *error;
};

static void check_damage(bool wide, const struct damage *damage)
{
	struct elf elf;
	const char *error;

	file_size = wide ? sample_elf64(file) : sample_elf32(file, 0);
	memcpy(file + damage->offset, &damage->value, damage->width);
	error = parse(&elf);
	if (error == NULL || strstr(error, damage->error) == NULL)
		fail_msg("byte %zu: \"%s\" does not say \"%s\"", damage->offset,
			 error != NULL ? error : "(no error)", damage->error);
}

TEST(names_what_is_wrong_in_64_bit_files)
{
	static const struct damage cases[] = {
		{ 0, 1, 0, "not an ELF file" },
		{ 4, 1, 1, "not for x86" },
		{ 5, 1, 2, "not for x86" },
		{ 18, 2, 183, "not for x86" },
		{ 16, 2, 3, "not an executable with fixed addresses" },
		{ 16, 2, 1, "not an executable with fixed addresses" },
		{ 54, 2, 55, "wrong size" },
		{ 56, 2, 0, "nothing to load" },
		{ 56, 2, 0xffff, "program headers are not complete" },
		{ 32, 8, 0x1900, "program headers are not complete" },
		{ 32, 8, UINT64_MAX - 8, "program headers are not complete" },
		{ 64 + 8, 8, 0x1701, "a segment is not complete" },
		{ 64 + 8, 8, UINT64_MAX, "a segment is not complete" },
		{ 64 + 32, 8, 0x901, "a segment is not complete" },
		{ 64 + 40, 8, 0x1ff, "larger than its memory" },
		{ 64 + 16, 8, UINT64_MAX - 0x1fe, "beyond the address space" },
		{ 64 + 24, 8, UINT64_MAX - 0x1fe, "beyond the address space" },
		{ 64 + 112 + 40, 8, UINT64_MAX, "beyond the address space" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		check_damage(true, &cases[i]);
}

TEST(names_what_is_wrong_in_32_bit_files)
{
	static const struct damage cases[] = {
		{ 4, 1, 2, "not for x86" },
		{ 4, 1, 0, "not for x86" },
		{ 42, 2, 31, "wrong size" },
		{ 28, 4, 0xfffffff0, "program headers are not complete" },
		{ 56, 4, 0xffffff00, "a segment is not complete" },
		{ 60, 4, 0xfffff000, "beyond the address space" },
		{ 64, 4, 0xfffff000, "beyond the address space" },
		{ 72, 4, 0, "nothing to load" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		check_damage(false, &cases[i]);
}

/* The last byte of memory, and of the address space, may be used. */
TEST(segments_may_end_at_the_end)
{
	struct elf elf;

	file_size = sample_elf32(file, 0);
	put_32(file, 60, 0xffffe000);
	put_32(file, 64, 0xffffe000);
	put_32(file, 24, 0xffffffff);
	assert_null(parse(&elf));
	file_size = sample_elf64(file);
	put_64(file, 64 + 16, UINT64_MAX - 0x1ff);
	assert_null(parse(&elf));
}

TEST(refuses_every_truncation)
{
	struct elf elf;
	const size_t size_64 = sample_elf64(file);

	for (file_size = 0; file_size < size_64; file_size++)
		assert_non_null(parse(&elf));
	sample_elf32(file, 0);
	for (file_size = 0; file_size < 0x1400; file_size++)
		assert_non_null(parse(&elf));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_64_bit_segments),
		cmocka_unit_test(reads_32_bit_segments),
		cmocka_unit_test(entry_may_be_virtual_or_physical),
		cmocka_unit_test(names_what_is_wrong_in_64_bit_files),
		cmocka_unit_test(names_what_is_wrong_in_32_bit_files),
		cmocka_unit_test(segments_may_end_at_the_end),
		cmocka_unit_test(refuses_every_truncation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
