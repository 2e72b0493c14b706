/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/multiboot.c: kernels with and without ELF, and the information read back
 * as a kernel reads it.
 */
#include "tests/unit/samples.h"
#include "tests/unit/unit.h"
#include "lib/multiboot.h"

static uint8_t file[SAMPLE_MAX];
static size_t file_size;
static struct multiboot_kernel kernel;

static const char *parse(void)
{
	static uint8_t *copy;

	/* A copy of its exact size: reading beyond it is seen. */
	free(copy);
	copy = malloc(file_size > 0 ? file_size : 1);
	memcpy(copy, file, file_size);
	return multiboot_parse(copy, file_size, &kernel);
}

/* Set the header's flags, with their checksum. */
static void set_flags(size_t header, uint32_t flags)
{
	put_32(file, header + 4, flags);
	put_32(file, header + 8, 0U - 0x1badb002U - flags);
}

TEST(reads_an_elf_kernel)
{
	file_size = sample_elf32(file, 1);
	assert_null(parse());
	assert_true(kernel.is_elf);
	assert_int_equal(kernel.entry, 0x10000c);
}

TEST(reads_a_flat_kernel)
{
	file_size = sample_multiboot_flat(file);
	assert_null(parse());
	assert_false(kernel.is_elf);
	assert_int_equal(kernel.entry, 0x100060);
	assert_int_equal(kernel.segment.offset, 0x20);
	assert_int_equal(kernel.segment.physical_address, 0x100020);
	assert_int_equal(kernel.segment.file_size, 0x7e0);
	assert_int_equal(kernel.segment.memory_size, 0x3fe0);
}

/* load_end_addr 0: the whole file; bss_end_addr 0: no bss. */
TEST(flat_kernel_without_ends)
{
	file_size = sample_multiboot_flat(file);
	put_32(file, 0x54, 0);
	put_32(file, 0x58, 0);
	assert_null(parse());
	assert_int_equal(kernel.segment.file_size, file_size - 0x20);
	assert_int_equal(kernel.segment.memory_size, file_size - 0x20);
}

TEST(checks_flat_addresses)
{
	static const struct {
		size_t offset;
		uint32_t value;
		const char *error;
	} cases[] = {
		{ 0x4c, 0x10001f, "load address is not in the file" },
		{ 0x50, 0x100041, "load address is not in the file" },
		{ 0x50, 0xfffff, "load address is not in the file" },
		{ 0x54, 0x10001f, "is truncated" },
		{ 0x54, 0x100901, "is truncated" },
		{ 0x58, 0x1007ff, "bss ends before" },
		{ 0x5c, 0x10001f, "entry point is not in" },
		{ 0x5c, 0x104000, "entry point is not in" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *error;

		file_size = sample_multiboot_flat(file);
		put_32(file, cases[i].offset, cases[i].value);
		error = parse();
		if (error == NULL || strstr(error, cases[i].error) == NULL)
			fail_msg("case %zu: \"%s\" does not say \"%s\"", i,
				 error != NULL ? error : "(no error)", cases[i].error);
	}
	/* The whole file would end behind 4 GiB. */
	file_size = sample_multiboot_flat(file);
	put_32(file, 0x4c, 0xfffffff0);
	put_32(file, 0x50, 0xffffffd0);
	put_32(file, 0x54, 0);
	put_32(file, 0x58, 0);
	assert_string_equal(parse(), "the Multiboot kernel goes beyond 4 GiB");
}

TEST(refuses_required_features)
{
	for (unsigned int bit = 0; bit < 32; bit++) {
		if (bit == 16) /* the addresses */
			continue;
		file_size = sample_elf32(file, 1);
		set_flags(0x1000, 1U << bit);
		if (bit == 0 || bit == 1 || bit >= 16)
			assert_null(parse());
		else if (bit == 2)
			assert_non_null(strstr(parse(), "requires a video mode"));
		else
			assert_non_null(parse());
	}
}

TEST(finds_the_header_where_it_may_be)
{
	static const char missing[] =
		"the kernel file has no Multiboot header in its first 8192 bytes";

	file_size = sample_elf32(file, 0);
	assert_string_equal(parse(), missing);
	/* The magic number alone, with a wrong checksum. */
	file_size = sample_elf32(file, 1);
	put_32(file, 0x1008, 1);
	assert_string_equal(parse(), missing);
	/* Not on a multiple of 4. */
	file_size = sample_elf32(file, 1);
	memmove(file + 0x1002, file + 0x1000, 12);
	put_16(file, 0x1000, 0);
	assert_string_equal(parse(), missing);
	/* The last place, then a header that is cut by the file's end. */
	sample_elf32(file, 1);
	memcpy(file + SAMPLE_MAX - 12, file + 0x1000, 12);
	put_32(file, 0x1000, 0);
	file_size = SAMPLE_MAX;
	assert_null(parse());
	file_size = SAMPLE_MAX - 1;
	assert_string_equal(parse(), missing);
	file_size = 0;
	assert_string_equal(parse(), missing);
	/* The header's addresses must lie within the first bytes as well. */
	sample_multiboot_flat(file);
	file_size = 0x40 + 31;
	assert_string_equal(parse(), missing);
}

TEST(needs_elf_or_addresses)
{
	file_size = sample_elf32(file, 1);
	put_8(file, 0, 0);
	assert_string_equal(parse(), "not an ELF file");
}

/* An ELF file of 64 bits may be a Multiboot kernel: below 4 GiB. */
TEST(elf64_below_4_gib)
{
	file_size = sample_elf64(file);
	put_32(file, 0x1000, 0x1badb002);
	set_flags(0x1000, 0);
	assert_null(parse());
	put_64(file, 64 + 24, 0xffffff01);
	put_64(file, 24, 0xffffff01);
	assert_string_equal(parse(), "a segment of the Multiboot kernel lies above 4 GiB");
	sample_elf64(file);
	put_32(file, 0x1000, 0x1badb002);
	set_flags(0x1000, 0);
	put_64(file, 24, 0xffffffff80100010ULL);
	assert_string_equal(parse(), "the Multiboot kernel's entry point lies above 4 GiB");
}

#define ADDRESS 0x9000U

static uint8_t info[4096];

static uint32_t info_32(uint32_t offset)
{
	uint32_t value;

	memcpy(&value, info + offset, sizeof(value));
	return value;
}

static uint64_t info_64(uint32_t offset)
{
	return info_32(offset) | (uint64_t)info_32(offset + 4) << 32;
}

static const char *info_string(uint32_t address)
{
	return (const char *)info + (address - ADDRESS);
}

static const struct multiboot_module modules[] = {
	{ 0x200000, 0x1234, "\\one.bin" },
	{ 0x300000, 0x1000, "" },
};

static struct memmap map;
static const struct multiboot_request request = { &map, "hobby quiet", modules, 2 };

static int set_up(void **state __attribute__((unused)))
{
	memset(&map, 0, sizeof(map));
	memmap_set(&map, 0, 0x9fc00, MEMORY_RAM);
	memmap_set(&map, 0x9fc00, 0x400, MEMORY_RESERVED);
	memmap_set(&map, 0x100000, 0x3f00000, MEMORY_RAM);
	memmap_set(&map, 0x4000000, 0x1000, MEMORY_ACPI_NVS);
	memmap_set(&map, 0x200000000ULL, 0x100000000ULL, MEMORY_RAM);
	return 0;
}

TEST(builds_the_information)
{
	const size_t used = multiboot_info_build(info, sizeof(info), ADDRESS, &request);
	uint32_t at;

	assert_int_not_equal(used, 0);
	assert_int_equal(info_32(0), 0x24d);
	assert_int_equal(info_32(4), 0x9fc00 / 1024);
	assert_int_equal(info_32(8), 0x3f00000 / 1024);
	assert_string_equal(info_string(info_32(16)), "hobby quiet");
	assert_string_equal(info_string(info_32(64)), "Manfred");

	assert_int_equal(info_32(20), 2);
	at = info_32(24) - ADDRESS;
	assert_int_equal(info_32(at), 0x200000);
	assert_int_equal(info_32(at + 4), 0x201234);
	assert_string_equal(info_string(info_32(at + 8)), "\\one.bin");
	assert_int_equal(info_32(at + 16), 0x300000);
	assert_string_equal(info_string(info_32(at + 24)), "");

	assert_int_equal(info_32(44), map.count * 24);
	at = info_32(48) - ADDRESS;
	for (uint32_t i = 0; i < map.count; i++, at += 24) {
		assert_int_equal(info_32(at), 20);
		assert_int_equal(info_64(at + 4), map.ranges[i].base);
		assert_int_equal(info_64(at + 12), map.ranges[i].size);
		assert_int_equal(info_32(at + 20), map.ranges[i].type);
	}
	assert_true(at <= used);
}

/* It fits into exactly what it says, and touches no byte behind a smaller buffer. */
TEST(information_stays_in_its_buffer)
{
	const size_t used = multiboot_info_build(info, sizeof(info), ADDRESS, &request);

	for (size_t size = 0; size <= used; size++) {
		uint8_t *buffer = malloc(size > 0 ? size : 1);

		assert_int_equal(multiboot_info_build(buffer, size, ADDRESS, &request),
				 size == used ? used : 0);
		free(buffer);
	}
}

TEST(memory_sizes_have_limits)
{
	memset(&map, 0, sizeof(map));
	memmap_set(&map, 0, 0x200000000ULL, MEMORY_RAM);
	assert_int_not_equal(multiboot_info_build(info, sizeof(info), ADDRESS, &request), 0);
	assert_int_equal(info_32(4), 640);
	assert_int_equal(info_32(8), 0x3ffc00);
	memset(&map, 0, sizeof(map));
	memmap_set(&map, 0x200000, 0x1000, MEMORY_RAM);
	assert_int_not_equal(multiboot_info_build(info, sizeof(info), ADDRESS, &request), 0);
	assert_int_equal(info_32(4), 0);
	assert_int_equal(info_32(8), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_an_elf_kernel),
		cmocka_unit_test(reads_a_flat_kernel),
		cmocka_unit_test(flat_kernel_without_ends),
		cmocka_unit_test(checks_flat_addresses),
		cmocka_unit_test(refuses_required_features),
		cmocka_unit_test(finds_the_header_where_it_may_be),
		cmocka_unit_test(needs_elf_or_addresses),
		cmocka_unit_test(elf64_below_4_gib),
		cmocka_unit_test_setup(builds_the_information, set_up),
		cmocka_unit_test_setup(information_stays_in_its_buffer, set_up),
		cmocka_unit_test_setup(memory_sizes_have_limits, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
