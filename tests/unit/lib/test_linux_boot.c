/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/bzimage.c and lib/linux_boot.c: damaged kernel files, the placement of a
 * guest's parts, and the zero page byte by byte.
 */
#include "tests/unit/samples.h"
#include "tests/unit/unit.h"
#include "lib/linux_boot.h"

#define MIB 0x100000ULL

static uint8_t file[SAMPLE_MAX];
static size_t file_size;
static struct bzimage image;
static struct memmap map;
static struct linux_plan plan;
static struct boot_file kernel;
static struct boot_file initrd;

/* A machine of 512 MiB, with the files high in it. */
static int set_up(void **state __attribute__((unused)))
{
	file_size = sample_bzimage(file);
	memset(&map, 0, sizeof(map));
	memset(&plan, 0xee, sizeof(plan));
	memmap_set(&map, 0, 0xa0000, MEMORY_RAM);
	memmap_set(&map, 0xa0000, 0x60000, MEMORY_RESERVED);
	memmap_set(&map, MIB, 511 * MIB, MEMORY_RAM);
	kernel = (struct boot_file){ 500 * MIB, file_size };
	initrd = (struct boot_file){ 400 * MIB, 9 * MIB + 1 };
	return 0;
}

static const char *parse(void)
{
	/* A copy of its exact size: reading beyond it is seen. */
	uint8_t *copy = malloc(file_size > 0 ? file_size : 1);
	const char *error;

	memcpy(copy, file, file_size);
	error = bzimage_parse(copy, file_size, &image);
	free(copy);
	return error;
}

static const char *plan_error(void)
{
	assert_null(parse());
	return linux_plan_make(&plan, &map, &image, &kernel, &initrd, 100);
}

TEST(reads_a_sound_kernel)
{
	assert_null(parse());
	assert_int_equal(image.setup_size, 1024);
	assert_int_equal(image.kernel_size, 4096);
	assert_int_equal(image.memory_size, 0x800000);
	assert_int_equal(image.pref_address, 0x1000000);
	assert_int_equal(image.alignment, 0x200000);
	assert_int_equal(image.initrd_addr_max, 0x7fffffff);
	assert_int_equal(image.cmdline_size, 2047);
	assert_int_equal(image.header_end, 0x26c);
	assert_int_equal(image.version, 0x20f);
	assert_true(image.relocatable);
}

/* setup_sects 0 means 4, of before there was the field. */
TEST(setup_sects_0_is_4)
{
	put_8(file, 0x1f1, 0);
	put_32(file, 0x1f4, 64);
	put_32(file, 0x24c, 0);
	assert_null(parse());
	assert_int_equal(image.setup_size, 5 * 512);
	assert_int_equal(image.kernel_size, file_size - 5 * 512);
}

/* A file that is longer than init_size still needs all of its memory. */
TEST(memory_is_never_less_than_the_file)
{
	put_32(file, 0x260, 0x10);
	assert_null(parse());
	assert_int_equal(image.memory_size, 4096);
}

TEST(names_what_is_wrong)
{
	static const struct {
		size_t offset;
		unsigned int width;
		uint32_t value;
		const char *error;
	} cases[] = {
		{ 0x1fe, 2, 0x55aa, "it has no setup header" },
		{ 0x202, 4, 0, "it has no setup header" },
		{ 0x206, 2, 0x020b, "older than 2.12" },
		{ 0x236, 2, 0x0002, "no 64-bit entry point" },
		{ 0x211, 1, 0, "is a zImage" },
		{ 0x230, 4, 0, "alignment" },
		{ 0x230, 4, 0x300000, "alignment" },
		{ 0x230, 4, 0x10, "alignment" },
		{ 0x258, 4, 0x1001000, "preferred address is not aligned" },
		{ 0x201, 1, 0x10, "setup header has a wrong length" },
		{ 0x201, 1, 0xff, "setup header has a wrong length" },
		{ 0x1f1, 1, 9, "setup part is not complete" },
		{ 0x1f4, 4, 257, "shorter than its header says" },
		{ 0x1f4, 4, 0, "shorter than its header says" },
		{ 0x1f4, 4, 0x10000001, "shorter than its header says" },
		{ 0x24c, 4, 0xf01, "payload is not complete" },
		{ 0x248, 4, 0xffffffff, "payload is not complete" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *error;

		set_up(NULL);
		memcpy(file + cases[i].offset, &cases[i].value, cases[i].width);
		error = parse();
		assert_non_null(error);
		if (strstr(error, cases[i].error) == NULL)
			fail_msg("case %zu: \"%s\" does not say \"%s\"", i, error, cases[i].error);
	}
}

/* Cut anywhere, the file is refused, but for what its size in paragraphs does not tell. */
TEST(refuses_every_truncation)
{
	for (file_size = 0; file_size <= 1024 + 4096 - 16; file_size++)
		assert_non_null(parse());
	for (; file_size <= 1024 + 4096; file_size++)
		assert_null(parse());
}

/* A whole file whose last paragraph is not full, as a kernel without padding has it. */
TEST(size_in_paragraphs_is_rounded_up)
{
	static uint8_t large[1024 + 142776];

	memcpy(large, file, 1024 + 4096);
	put_32(large, 0x1f4, 8924);
	assert_null(bzimage_parse(large, sizeof(large), &image));
	assert_int_equal(image.kernel_size, 142776);
	put_32(large, 0x1f4, 8925);
	assert_non_null(bzimage_parse(large, sizeof(large), &image));
}

TEST(plans_where_all_is_free)
{
	assert_null(plan_error());
	assert_int_equal(plan.kernel, 16 * MIB);
	assert_int_equal(plan.params, 0x10000);
	assert_int_equal(plan.tables, 0x11000);
	assert_int_equal(plan.cmdline, 0x17000);
	assert_int_equal(plan.initrd, initrd.base);
	assert_int_equal(plan.initrd_size, initrd.size);
}

/* Whatever stands at the preferred address: move up, aligned, never below it. */
TEST(relocates_the_kernel)
{
	memmap_set(&map, 17 * MIB, 0x1000, MEMORY_ACPI_NVS);
	assert_null(plan_error());
	assert_int_equal(plan.kernel, 18 * MIB);

	set_up(NULL);
	initrd.base = 20 * MIB;
	assert_null(plan_error());
	assert_int_equal(plan.kernel, 30 * MIB);
	assert_int_equal(plan.initrd, initrd.base);

	set_up(NULL);
	kernel.base = 16 * MIB;
	assert_null(plan_error());
	assert_int_equal(plan.kernel, 18 * MIB);
}

TEST(fixed_kernel_needs_its_address)
{
	put_8(file, 0x234, 0);
	assert_null(plan_error());
	memmap_set(&map, 17 * MIB, 0x1000, MEMORY_ACPI_NVS);
	assert_string_equal(plan_error(),
			    "the kernel needs 8 MiB in one piece from address 0x1000000 on, which "
			    "does not fit into 512 MiB of guest memory");
}

TEST(moves_the_initrd)
{
	/* The loader put it where the guest has no memory. */
	memmap_set(&map, 400 * MIB, 112 * MIB, MEMORY_RESERVED);
	assert_null(plan_error());
	assert_int_equal(plan.initrd, 400 * MIB - (9 * MIB + 0x1000));

	/* It lies above initrd_addr_max. */
	set_up(NULL);
	put_32(file, 0x22c, 300 * MIB - 1);
	assert_null(plan_error());
	assert_int_equal(plan.initrd, 300 * MIB - (9 * MIB + 0x1000));

	/* A kernel that takes it above 4 GiB does not care. */
	put_16(file, 0x236, 3);
	memmap_set(&map, 0x100000000ULL, SIZE_1G, MEMORY_RAM);
	initrd.base = 0x100000000ULL;
	assert_null(plan_error());
	assert_int_equal(plan.initrd, initrd.base);
}

TEST(plans_without_initrd)
{
	initrd = (struct boot_file){ 0, 0 };
	assert_null(plan_error());
	assert_int_equal(plan.initrd, 0);
	assert_int_equal(plan.initrd_size, 0);
}

TEST(says_what_does_not_fit)
{
	initrd = (struct boot_file){ 0x200000000ULL, 900 * MIB };
	assert_string_equal(plan_error(),
			    "initrd of 900 MiB does not fit into 512 MiB of guest memory");

	set_up(NULL);
	memmap_limit_ram(&map, 20 * MIB);
	assert_string_equal(plan_error(),
			    "the kernel needs 8 MiB in one piece from address 0x1000000 on, which "
			    "does not fit into 20 MiB of guest memory");

	set_up(NULL);
	assert_null(parse());
	assert_string_equal(linux_plan_make(&plan, &map, &image, &kernel, &initrd, 2048),
			    "command line of 2048 bytes; this kernel takes 2047 at most");
	assert_null(linux_plan_make(&plan, &map, &image, &kernel, &initrd, 2047));
}

/* RAM for the kernel, then the low pages, then the initrd, to the last page. */
TEST(fills_memory_to_the_last_page)
{
	const uint64_t rest = 8 * MIB - 8 * PAGE_SIZE;

	memset(&map, 0, sizeof(map));
	memmap_set(&map, 16 * MIB, 16 * MIB, MEMORY_RAM);
	initrd = (struct boot_file){ 0x200000000ULL, rest };
	assert_null(plan_error());
	assert_int_equal(plan.kernel, 16 * MIB);
	assert_int_equal(plan.params, 24 * MIB);
	assert_int_equal(plan.cmdline, 24 * MIB + 7 * PAGE_SIZE);
	assert_int_equal(plan.initrd, 24 * MIB + 8 * PAGE_SIZE);
	initrd.size = rest + 1;
	assert_string_equal(plan_error(),
			    "initrd of 8 MiB does not fit into 16 MiB of guest memory");
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* Random machines: all parts are in RAM, and none lies on another or on a file. */
TEST(random_plans_never_overlap)
{
	unsigned int made = 0;

	srand(4);
	for (unsigned int round = 0; round < 500; round++) {
		set_up(NULL);
		for (unsigned int i = 0; i < 12; i++)
			memmap_set(&map, (unsigned int)(rand() % 500) * MIB, 2 * MIB,
				   MEMORY_RESERVED);
		kernel.base = (unsigned int)(rand() % 500) * MIB;
		initrd.base = kernel.base + 10 * MIB;
		if (plan_error() != NULL)
			continue;
		made++;
		const struct {
			uint64_t base, size;
		} parts[] = {
			{ plan.kernel, image.memory_size },
			{ plan.params, 8 * PAGE_SIZE },
			{ plan.initrd, initrd.size },
		};
		for (size_t i = 0; i < COUNT_OF(parts); i++) {
			assert_true(memmap_is_ram(&map, parts[i].base, parts[i].size));
			assert_false(
				overlap(parts[i].base, parts[i].size, kernel.base, kernel.size));
			assert_true(
				parts[i].base == initrd.base ||
				!overlap(parts[i].base, parts[i].size, initrd.base, initrd.size));
			for (size_t j = 0; j < i; j++)
				assert_false(overlap(parts[i].base, parts[i].size, parts[j].base,
						     parts[j].size));
		}
	}
	assert_true(made > 400);
}

static uint32_t at_32(const void *page, size_t offset)
{
	uint32_t value;

	memcpy(&value, (const uint8_t *)page + offset, sizeof(value));
	return value;
}

TEST(fills_the_zero_page)
{
	static struct linux_boot_params params;
	static const struct framebuffer screen = {
		.base = 0x480000000ULL,
		.width = 1024,
		.height = 768,
		.stride = 1032,
		.format = FRAMEBUFFER_BGRX,
	};
	const uint8_t *page = (const uint8_t *)&params;

	memset(&params, 0xee, sizeof(params));
	assert_null(plan_error());
	plan.initrd = 0x123456000ULL;
	plan.initrd_size = 0x200000001ULL;
	linux_boot_params_fill(&params, &plan, file, &image, &map, 0x7ff00014, &screen);
	assert_int_equal(page[0x210], 0xff);
	assert_int_equal(page[0x211], 0x01);
	assert_memory_equal(page + 0x202, "HdrS", 4);
	assert_int_equal(at_32(page, 0x260), 0x800000);
	assert_int_equal(page[0x26c], 0);
	assert_int_equal(at_32(page, 0x218), 0x23456000);
	assert_int_equal(at_32(page, 0x21c), 1);
	assert_int_equal(at_32(page, 0xc0), 1);
	assert_int_equal(at_32(page, 0xc4), 2);
	assert_int_equal(at_32(page, 0x228), plan.cmdline);
	assert_int_equal(at_32(page, 0xc8), 0);
	assert_int_equal(at_32(page, 0x70), 0x7ff00014);
	assert_int_equal(at_32(page, 0x74), 0);

	assert_int_equal(page[0x0f], 0x70);
	assert_int_equal(at_32(page, 0x12), 1024 | 768 << 16);
	assert_int_equal(page[0x16], 32);
	assert_int_equal(at_32(page, 0x18), 0x80000000U);
	assert_int_equal(at_32(page, 0x3a), 4);
	assert_int_equal(at_32(page, 0x36), 2);
	assert_int_equal(at_32(page, 0x1c), 1032 * 4 * 768);
	assert_int_equal(at_32(page, 0x24) & 0xffff, 1032 * 4);
	/* Sizes and positions: red 8 at 16, green 8 at 8, blue 8 at 0, nothing 8 at 24. */
	assert_memory_equal(page + 0x26, "\x08\x10\x08\x08\x08\x00\x08\x18", 8);

	assert_int_equal(page[0x1e8], 3);
	assert_int_equal(at_32(page, 0x2d0 + 20), 0xa0000);
	assert_int_equal(at_32(page, 0x2d0 + 28), 0x60000);
	assert_int_equal(at_32(page, 0x2d0 + 36), MEMORY_RESERVED);
	assert_int_equal(at_32(page, 0x2d0 + 60), 0);
}

TEST(zero_page_without_screen_or_rsdp)
{
	static struct linux_boot_params params;
	static const struct framebuffer none = { .format = FRAMEBUFFER_NONE, .width = 99 };

	assert_null(plan_error());
	linux_boot_params_fill(&params, &plan, file, &image, &map, 0, &none);
	assert_int_equal(at_32(&params, 0x0c), 0);
	assert_int_equal(at_32(&params, 0x70), 0);
}

/* What it has no room for is in a piece of its own, of which the kernel knows by a pointer. */
TEST(zero_page_has_room_for_128_ranges)
{
	static struct linux_boot_params params;
	static struct linux_e820_ext ext;
	static const struct framebuffer none;

	for (uint64_t i = map.count; i < 128; i++)
		assert_true(memmap_set(&map, (1ULL << 40) + i * 0x2000, 0x1000, MEMORY_RAM));
	assert_null(plan_error());
	assert_int_equal(plan.e820_ext, 0);
	linux_boot_params_fill(&params, &plan, file, &image, &map, 0, &none);
	assert_int_equal(params.e820_entries, 128);
	assert_int_equal(params.e820_table[127].base, (1ULL << 40) + 127 * 0x2000);
	assert_int_equal(params.setup_data, 0);

	while (map.count < MEMMAP_MAX)
		assert_true(memmap_set(&map, (1ULL << 41) + map.count * 0x2000ULL, 0x1000,
				       map.count % 2 ? MEMORY_RAM : MEMORY_RESERVED));
	map.count -= 12; /* what the plan takes needs places, too */
	assert_null(plan_error());
	assert_int_equal(plan.e820_ext, plan.cmdline + PAGE_SIZE);
	assert_false(memmap_is_ram(&plan.free, plan.e820_ext, 1));
	assert_false(memmap_is_ram(&plan.free, plan.e820_ext + sizeof(ext) - 1, 1));
	linux_boot_params_fill(&params, &plan, file, &image, &map, 0, &none);
	linux_e820_ext_fill(&ext, &map);
	assert_int_equal(params.e820_entries, 128);
	assert_int_equal(at_32(&params, 0x250), plan.e820_ext);
	assert_int_equal(ext.next, 0);
	assert_int_equal(ext.type, 1);
	assert_int_equal(ext.length, (map.count - 128) * 20);
	for (uint32_t i = 128; i < map.count; i++) {
		assert_int_equal(ext.entries[i - 128].base, map.ranges[i].base);
		assert_int_equal(ext.entries[i - 128].size, map.ranges[i].size);
		assert_int_equal(ext.entries[i - 128].type, map.ranges[i].type);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_a_sound_kernel, set_up),
		cmocka_unit_test_setup(setup_sects_0_is_4, set_up),
		cmocka_unit_test_setup(memory_is_never_less_than_the_file, set_up),
		cmocka_unit_test_setup(names_what_is_wrong, set_up),
		cmocka_unit_test_setup(refuses_every_truncation, set_up),
		cmocka_unit_test_setup(size_in_paragraphs_is_rounded_up, set_up),
		cmocka_unit_test_setup(plans_where_all_is_free, set_up),
		cmocka_unit_test_setup(relocates_the_kernel, set_up),
		cmocka_unit_test_setup(fixed_kernel_needs_its_address, set_up),
		cmocka_unit_test_setup(moves_the_initrd, set_up),
		cmocka_unit_test_setup(plans_without_initrd, set_up),
		cmocka_unit_test_setup(says_what_does_not_fit, set_up),
		cmocka_unit_test_setup(fills_memory_to_the_last_page, set_up),
		cmocka_unit_test_setup(random_plans_never_overlap, set_up),
		cmocka_unit_test_setup(fills_the_zero_page, set_up),
		cmocka_unit_test_setup(zero_page_without_screen_or_rsdp, set_up),
		cmocka_unit_test_setup(zero_page_has_room_for_128_ranges, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
