/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/memmap.c: cutting and merging, against an array with one type per page.
 */
#include "tests/unit/unit.h"
#include "lib/memmap.h"

static struct memmap map;

static int set_up(void **state __attribute__((unused)))
{
	memset(&map, 0, sizeof(map));
	return 0;
}

static void check(const struct memory_range *expected, uint32_t count)
{
	assert_int_equal(map.count, count);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(map.ranges[i].base, expected[i].base);
		assert_int_equal(map.ranges[i].size, expected[i].size);
		assert_int_equal(map.ranges[i].type, expected[i].type);
	}
}

#define CHECK(...)                                                      \
	do {                                                            \
		const struct memory_range expected[] = { __VA_ARGS__ }; \
		check(expected, COUNT_OF(expected));                    \
	} while (0)

TEST(cuts_a_hole)
{
	assert_true(memmap_set(&map, 0x1000, 0x9000, MEMORY_RAM));
	assert_true(memmap_set(&map, 0x4000, 0x2000, MEMORY_RESERVED));
	CHECK({ 0x1000, 0x3000, MEMORY_RAM, 0 }, { 0x4000, 0x2000, MEMORY_RESERVED, 0 },
	      { 0x6000, 0x4000, MEMORY_RAM, 0 });
	/* And fills it again. */
	assert_true(memmap_set(&map, 0x4000, 0x2000, MEMORY_RAM));
	CHECK({ 0x1000, 0x9000, MEMORY_RAM, 0 });
}

TEST(merges_neighbours_of_one_type_only)
{
	assert_true(memmap_set(&map, 0x2000, 0x1000, MEMORY_RAM));
	assert_true(memmap_set(&map, 0x0000, 0x1000, MEMORY_RAM));
	assert_true(memmap_set(&map, 0x3000, 0x1000, MEMORY_ACPI_NVS));
	CHECK({ 0, 0x1000, MEMORY_RAM, 0 }, { 0x2000, 0x1000, MEMORY_RAM, 0 },
	      { 0x3000, 0x1000, MEMORY_ACPI_NVS, 0 });
	assert_true(memmap_set(&map, 0x1000, 0x1000, MEMORY_RAM));
	CHECK({ 0, 0x3000, MEMORY_RAM, 0 }, { 0x3000, 0x1000, MEMORY_ACPI_NVS, 0 });
}

TEST(swallows_several_ranges)
{
	for (uint64_t base = 0; base < 0x8000; base += 0x2000)
		assert_true(memmap_set(&map, base, 0x1000, MEMORY_RAM));
	assert_true(memmap_set(&map, 0x800, 0x6000, MEMORY_RESERVED));
	CHECK({ 0, 0x800, MEMORY_RAM, 0 }, { 0x800, 0x6000, MEMORY_RESERVED, 0 },
	      { 0x6800, 0x800, MEMORY_RAM, 0 });
}

TEST(refuses_wrapping_and_ignores_empty)
{
	assert_true(memmap_set(&map, 0x1000, 0, MEMORY_RAM));
	assert_int_equal(map.count, 0);
	assert_false(memmap_set(&map, UINT64_MAX, 2, MEMORY_RAM));
	assert_false(memmap_set(&map, 0x1000, UINT64_MAX, MEMORY_RAM));
	assert_int_equal(map.count, 0);
	assert_int_equal(memmap_end(&map), 0);
}

/* As firmware has been seen to name them, and worse. */
TEST(ranges_in_pages)
{
	const uint64_t limit = 1ULL << 48;
	uint64_t size = 1;

	assert_true(memmap_pages(0x1000, 3, limit, &size));
	assert_int_equal(size, 0x3000);
	assert_true(memmap_pages(limit - 0x1000, 3, limit, &size));
	assert_int_equal(size, 0x1000);
	assert_true(memmap_pages(limit, 3, limit, &size));
	assert_int_equal(size, 0);
	assert_true(memmap_pages(0xffffffffffffe000, 1, limit, &size));
	assert_int_equal(size, 0);
	assert_true(memmap_pages(0x1000, 0, limit, &size));
	assert_int_equal(size, 0);

	assert_false(memmap_pages(0xfffffffffffff000, 0x0200000000000001, limit, &size));
	assert_false(memmap_pages(0xfffffffffffff000, 2, limit, &size));
	assert_false(memmap_pages(0x1000, 0x0010000000000001, limit, &size));
	assert_false(memmap_pages(0, UINT64_MAX, limit, &size));
	assert_false(memmap_pages(0x1800, 1, limit, &size));
}

TEST(ram_ends_before_what_is_reserved)
{
	assert_int_equal(memmap_ram_end(&map), 0);
	assert_true(memmap_set(&map, 0x5000, 0x1000, MEMORY_RESERVED));
	assert_int_equal(memmap_ram_end(&map), 0);
	assert_true(memmap_set(&map, 0x1000, 0x2000, MEMORY_RAM));
	assert_int_equal(memmap_ram_end(&map), 0x3000);
	assert_true(memmap_set(&map, 0x7000, 0x2000, MEMORY_RAM));
	assert_true(memmap_set(&map, 0x9000, 0x2000, MEMORY_ACPI_NVS));
	assert_int_equal(memmap_ram_end(&map), 0x9000);
}

TEST(full_map_stays_as_it_is)
{
	struct memmap before;

	for (uint64_t i = 0; i < MEMMAP_MAX; i++)
		assert_true(memmap_set(&map, i * 0x4000, 0x3000, MEMORY_RAM));
	before = map;
	assert_false(memmap_set(&map, 0x3800, 0x400, MEMORY_RAM));
	assert_false(memmap_set(&map, 0x4800, 0x400, MEMORY_RESERVED));
	assert_false(memmap_limit_ram(&map, 0x1000));
	assert_memory_equal(&map, &before, sizeof(map));
	/* What needs no new range still works. */
	assert_true(memmap_set(&map, 0x3000, 0x1000, MEMORY_RAM));
	assert_int_equal(map.count, MEMMAP_MAX - 1);
}

TEST(random_sets_agree_with_an_array)
{
	enum { PAGES = 96 };
	uint32_t model[PAGES] = { 0 };

	srand(2);
	for (unsigned int round = 0; round < 3000; round++) {
		const uint64_t first = (uint64_t)rand() % PAGES;
		const uint64_t size = (uint64_t)rand() % (PAGES - first);
		const uint32_t type = 1 + (uint32_t)rand() % 5;

		assert_true(memmap_set(&map, first << 12, size << 12, (enum memory_type)type));
		for (uint64_t i = first; i < first + size; i++)
			model[i] = type;
		if (round % 100 == 0) {
			memset(&map, 0, sizeof(map));
			memset(model, 0, sizeof(model));
		}

		for (uint32_t i = 0; i < map.count; i++) {
			const struct memory_range *range = &map.ranges[i];

			assert_int_not_equal(range->size, 0);
			for (uint64_t at = range->base; at < range->base + range->size; at += 4096)
				assert_int_equal(model[at >> 12], range->type);
			if (i > 0 && range[-1].base + range[-1].size >= range->base) {
				assert_int_equal(range[-1].base + range[-1].size, range->base);
				assert_int_not_equal(range[-1].type, range->type);
			}
		}
		for (uint64_t i = 0; i < PAGES; i++)
			assert_int_equal(memmap_is_ram(&map, i << 12, 4096),
					 model[i] == MEMORY_RAM);
	}
}

TEST(limits_ram)
{
	assert_true(memmap_set(&map, 0, 0xa0000, MEMORY_RAM));
	assert_true(memmap_set(&map, 0xa0000, 0x60000, MEMORY_RESERVED));
	assert_true(memmap_set(&map, 0x100000, 0x300000, MEMORY_RAM));
	assert_true(memmap_set(&map, 0x400000, 0x1000, MEMORY_ACPI_RECLAIM));
	assert_true(memmap_set(&map, 0x401000, 0xff000, MEMORY_RAM));
	assert_true(memmap_set(&map, 0x600000, 0x100000, MEMORY_RAM));
	assert_true(memmap_limit_ram(&map, 0x1a0000));
	assert_int_equal(memmap_ram_size(&map), 0x1a0000);
	CHECK({ 0, 0xa0000, MEMORY_RAM, 0 }, { 0xa0000, 0x60000, MEMORY_RESERVED, 0 },
	      { 0x100000, 0x100000, MEMORY_RAM, 0 }, { 0x200000, 0x200000, MEMORY_RESERVED, 0 },
	      { 0x400000, 0x1000, MEMORY_ACPI_RECLAIM, 0 },
	      { 0x401000, 0xff000, MEMORY_RESERVED, 0 },
	      { 0x600000, 0x100000, MEMORY_RESERVED, 0 });
	/* At the end of a range, and of all RAM: nothing changes. */
	assert_true(memmap_limit_ram(&map, 0x1a0000));
	assert_true(memmap_limit_ram(&map, UINT64_MAX));
	assert_int_equal(map.count, 7);
	/* Ranges that merge while they go. */
	assert_true(memmap_limit_ram(&map, 0));
	assert_int_equal(memmap_ram_size(&map), 0);
	CHECK({ 0, 0x400000, MEMORY_RESERVED, 0 }, { 0x400000, 0x1000, MEMORY_ACPI_RECLAIM, 0 },
	      { 0x401000, 0xff000, MEMORY_RESERVED, 0 },
	      { 0x600000, 0x100000, MEMORY_RESERVED, 0 });
}

/* RAM that becomes part of the range before it must not hide the next. */
TEST(limits_ram_behind_reserved)
{
	assert_true(memmap_set(&map, 0, 0x1000, MEMORY_RESERVED));
	assert_true(memmap_set(&map, 0x1000, 0x1000, MEMORY_RAM));
	assert_true(memmap_set(&map, 0x3000, 0x1000, MEMORY_RAM));
	assert_true(memmap_limit_ram(&map, 0));
	CHECK({ 0, 0x2000, MEMORY_RESERVED, 0 }, { 0x3000, 0x1000, MEMORY_RESERVED, 0 });
}

TEST(knows_what_is_ram)
{
	assert_true(memmap_set(&map, 0x1000, 0x2000, MEMORY_RAM));
	assert_true(memmap_set(&map, 0x3000, 0x1000, MEMORY_ACPI_NVS));
	assert_true(memmap_is_ram(&map, 0x1000, 0x2000));
	assert_true(memmap_is_ram(&map, 0x2fff, 1));
	assert_false(memmap_is_ram(&map, 0xfff, 1));
	assert_false(memmap_is_ram(&map, 0x1000, 0x2001));
	assert_false(memmap_is_ram(&map, 0x3000, 1));
	assert_false(memmap_is_ram(&map, 0x2000, UINT64_MAX));
	assert_false(memmap_is_ram(&map, 0x1000, 0));
}

TEST(finds_places)
{
	uint64_t base = 0;

	assert_true(memmap_set(&map, 0x1800, 0x4000, MEMORY_RAM));
	assert_true(memmap_set(&map, 0x5800, 0x1000, MEMORY_RESERVED));
	assert_true(memmap_set(&map, 0x10000, 0x8000, MEMORY_RAM));

	assert_true(memmap_find_lowest(&map, 0x1000, 0x1000, 0, UINT64_MAX, &base));
	assert_int_equal(base, 0x2000);
	assert_true(memmap_find_lowest(&map, 0x4000, 0x1000, 0, UINT64_MAX, &base));
	assert_int_equal(base, 0x10000);
	assert_true(memmap_find_lowest(&map, 0x1000, 0x1000, 0x2001, UINT64_MAX, &base));
	assert_int_equal(base, 0x3000);
	assert_true(memmap_find_highest(&map, 0x1000, 0x1000, 0, UINT64_MAX, &base));
	assert_int_equal(base, 0x17000);
	assert_true(memmap_find_highest(&map, 0x1000, 0x1000, 0, 0x12fff, &base));
	assert_int_equal(base, 0x11000);
	assert_true(memmap_find_highest(&map, 0x3000, 0x1000, 0, 0x10000, &base));
	assert_int_equal(base, 0x2000);
	assert_true(memmap_find_highest(&map, 0x8000, 0x8000, 0, UINT64_MAX, &base));
	assert_int_equal(base, 0x10000);

	assert_false(memmap_find_lowest(&map, 0x8001, 1, 0, UINT64_MAX, &base));
	assert_false(memmap_find_highest(&map, 0x1000, 0x1000, 0x4801, 0x10fff, &base));
	assert_false(memmap_find_lowest(&map, 0x1000, 0x100000, 0, UINT64_MAX, &base));
	assert_false(memmap_find_lowest(&map, 0x1000, 1, 0x2000, 0x1000, &base));
	assert_int_equal(base, 0x10000);

	/* Rounded up, the start would wrap to 0. */
	memset(&map, 0, sizeof(map));
	assert_true(memmap_set(&map, UINT64_MAX - 0x2fff, 0x2000, MEMORY_RAM));
	assert_false(memmap_find_lowest(&map, 0x1000, 0x100000, 0, UINT64_MAX, &base));
	assert_false(memmap_find_highest(&map, 0x1000, 0x100000, 0, UINT64_MAX, &base));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(cuts_a_hole, set_up),
		cmocka_unit_test_setup(merges_neighbours_of_one_type_only, set_up),
		cmocka_unit_test_setup(swallows_several_ranges, set_up),
		cmocka_unit_test_setup(refuses_wrapping_and_ignores_empty, set_up),
		cmocka_unit_test_setup(ranges_in_pages, set_up),
		cmocka_unit_test_setup(ram_ends_before_what_is_reserved, set_up),
		cmocka_unit_test_setup(full_map_stays_as_it_is, set_up),
		cmocka_unit_test_setup(random_sets_agree_with_an_array, set_up),
		cmocka_unit_test_setup(limits_ram, set_up),
		cmocka_unit_test_setup(limits_ram_behind_reserved, set_up),
		cmocka_unit_test_setup(knows_what_is_ram, set_up),
		cmocka_unit_test_setup(finds_places, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
