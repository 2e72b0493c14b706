/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/paging.c: what is mapped is found with its rights, what is not is not,
 * and nothing is both writable and executable.
 */
#include "tests/unit/unit.h"
#include "lib/layout.h"
#include "lib/paging.h"

#define POOL_PAGES 64
#define POOL_BASE  0x7000000ULL /* "physical" */
#define WX	   ((enum page_rights)(PAGE_WRITE | PAGE_EXECUTE))

#define ENTRY_LARGE	 (1ULL << 7)
#define ENTRY_WRITE	 (1ULL << 1)
#define ENTRY_PWT	 (1ULL << 3)
#define ENTRY_CACHE	 (3ULL << 3)
#define ENTRY_NO_EXECUTE (1ULL << 63)
#define ENTRY_ADDRESS	 0x000ffffffffff000ULL

static _Alignas(4096) uint8_t memory[POOL_PAGES][PAGE_SIZE];
static struct page_pool pool;
static struct address_space space;

static int set_up(void **state __attribute__((unused)))
{
	memset(memory, 0xee, sizeof(memory));
	pool = (struct page_pool){ POOL_BASE, POOL_BASE + sizeof(memory),
				   (uintptr_t)memory - POOL_BASE };
	space = (struct address_space){ .pml4 = page_pool_take(&pool), .pool = &pool };
	return 0;
}

static unsigned int pages_used(void)
{
	return (unsigned int)((pool.next - POOL_BASE) / PAGE_SIZE);
}

static bool maps(uint64_t va, uint64_t pa, enum page_rights rights)
{
	uint64_t found;
	enum page_rights found_rights;

	return paging_lookup(&space, va, &found, &found_rights) && found == pa &&
	       found_rights == rights;
}

static bool is_hole(uint64_t va)
{
	uint64_t found;

	return !paging_lookup(&space, va, &found, NULL);
}

static uint64_t *table(uint64_t physical)
{
	return (uint64_t *)(uintptr_t)(physical + pool.virtual_offset);
}

/* Walk all leaves under a table; checks W^X and counts the uncached ones. */
static unsigned int check_leaves(uint64_t physical, unsigned int level, unsigned int *uncached)
{
	unsigned int leaves = 0;

	for (unsigned int i = 0; i < 512; i++) {
		const uint64_t entry = table(physical)[i];

		if (!(entry & 1))
			continue;
		if (level > 1 && !(entry & ENTRY_LARGE)) {
			leaves += check_leaves(entry & ENTRY_ADDRESS, level - 1, uncached);
			continue;
		}
		/* In a 4 KiB entry this bit chooses another PAT entry. */
		assert_false(level == 1 && (entry & ENTRY_LARGE));
		assert_false((entry & ENTRY_WRITE) && !(entry & ENTRY_NO_EXECUTE));
		assert_true((entry & ENTRY_CACHE) == 0 || (entry & ENTRY_CACHE) == ENTRY_CACHE);
		if (entry & ENTRY_CACHE)
			(*uncached)++;
		leaves++;
	}
	return leaves;
}

TEST(pool_gives_zeroed_pages_and_ends)
{
	static const uint8_t zeroes[PAGE_SIZE];

	for (unsigned int i = 1; i < POOL_PAGES; i++) {
		assert_int_equal(page_pool_take(&pool), POOL_BASE + i * PAGE_SIZE);
		assert_memory_equal(memory[i], zeroes, PAGE_SIZE);
	}
	assert_int_equal(page_pool_take(&pool), 0);
}

TEST(maps_small_pages_with_rights)
{
	const uint64_t va = VMM_BASE;

	assert_true(paging_map(&space, va, 0x5000, PAGE_SIZE, PAGE_EXECUTE, CACHE_WRITE_BACK));
	assert_true(paging_map(&space, va + PAGE_SIZE, 0x9000, 2 * PAGE_SIZE, PAGE_WRITE,
			       CACHE_WRITE_BACK));
	assert_true(paging_map(&space, va + 4 * PAGE_SIZE, 0x1000, PAGE_SIZE, PAGE_READ,
			       CACHE_WRITE_BACK));

	assert_true(maps(va, 0x5000, PAGE_EXECUTE));
	assert_true(maps(va + 0xfff, 0x5fff, PAGE_EXECUTE));
	assert_true(maps(va + 2 * PAGE_SIZE + 0x123, 0xa123, PAGE_WRITE));
	assert_true(is_hole(va + 3 * PAGE_SIZE));
	assert_true(maps(va + 4 * PAGE_SIZE, 0x1000, PAGE_READ));
	assert_true(is_hole(va - 1));
	assert_true(is_hole(0));
}

/* The leaf for this address, raw. */
static uint64_t leaf_of(uint64_t va)
{
	uint64_t entry = space.pml4;

	for (unsigned int shift = 39; shift >= 12; shift -= 9) {
		entry = table(entry & ENTRY_ADDRESS)[va >> shift & 511];
		if (shift < 39 && (entry & ENTRY_LARGE))
			break;
	}
	return entry;
}

/* The number of the PAT entry is in the leaf, and the PAT has that type there. */
TEST(maps_with_a_memory_type)
{
	static const struct {
		enum page_cache cache;
		uint64_t bits, type;
	} types[] = {
		{ CACHE_WRITE_BACK, 0, 6 },
		{ CACHE_WRITE_COMBINING, ENTRY_PWT, 1 },
		{ CACHE_UNCACHED, ENTRY_CACHE, 0 },
	};

	for (unsigned int i = 0; i < COUNT_OF(types); i++) {
		const uint64_t va = MMIO_BASE + i * SIZE_1G;

		assert_true(
			paging_map(&space, va, 0, SIZE_2M + PAGE_SIZE, PAGE_WRITE, types[i].cache));
		assert_int_equal(leaf_of(va) & ENTRY_CACHE, types[i].bits);
		assert_true(leaf_of(va) & ENTRY_LARGE);
		assert_int_equal(leaf_of(va + SIZE_2M) & ENTRY_CACHE, types[i].bits);
		assert_int_equal(PAT_VMM >> 8 * types[i].cache & 0xff, types[i].type);
	}
	/* Only the entry that nothing else uses differs from what the loader's tables count on. */
	assert_int_equal((PAT_VMM ^ PAT_RESET) & ~(0xffULL << 8 * CACHE_WRITE_COMBINING), 0);
}

TEST(refuses_write_and_execute)
{
	assert_false(paging_map(&space, 0, 0, PAGE_SIZE, WX, CACHE_WRITE_BACK));
	assert_true(is_hole(0));
}

TEST(refuses_what_is_not_aligned)
{
	assert_false(paging_map(&space, 1, 0, PAGE_SIZE, PAGE_READ, CACHE_WRITE_BACK));
	assert_false(paging_map(&space, 0, 8, PAGE_SIZE, PAGE_READ, CACHE_WRITE_BACK));
	assert_false(paging_map(&space, 0, 0, PAGE_SIZE + 1, PAGE_READ, CACHE_WRITE_BACK));
}

TEST(refuses_what_is_mapped)
{
	assert_true(paging_map(&space, SIZE_2M, 0, SIZE_2M, PAGE_READ, CACHE_WRITE_BACK));
	assert_false(paging_map(&space, SIZE_2M, 0, SIZE_2M, PAGE_READ, CACHE_WRITE_BACK));
	assert_false(
		paging_map(&space, SIZE_2M + PAGE_SIZE, 0, PAGE_SIZE, PAGE_READ, CACHE_WRITE_BACK));
	assert_true(paging_map(&space, 0, 0, PAGE_SIZE, PAGE_READ, CACHE_WRITE_BACK));
	assert_false(paging_map(&space, 0, 0, SIZE_2M, PAGE_READ, CACHE_WRITE_BACK));
	assert_true(maps(SIZE_2M + PAGE_SIZE, PAGE_SIZE, PAGE_READ));
}

TEST(uses_large_pages_where_alignment_allows)
{
	/* PML4, PDPT and PD: one large page, and a table for the small ones behind it. */
	assert_true(paging_map(&space, DIRECT_MAP_BASE, 0, SIZE_2M, PAGE_WRITE, CACHE_WRITE_BACK));
	assert_int_equal(pages_used(), 3);
	assert_true(paging_map(&space, DIRECT_MAP_BASE + SIZE_2M, SIZE_2M, SIZE_2M - PAGE_SIZE,
			       PAGE_WRITE, CACHE_WRITE_BACK));
	assert_int_equal(pages_used(), 4);
	assert_true(maps(DIRECT_MAP_BASE + SIZE_2M - 1, SIZE_2M - 1, PAGE_WRITE));
	assert_true(is_hole(DIRECT_MAP_BASE + 2 * SIZE_2M - 1));
	/* The physical address is not aligned: no large page. */
	assert_true(paging_map(&space, DIRECT_MAP_BASE + 4 * SIZE_2M, PAGE_SIZE, SIZE_2M,
			       PAGE_WRITE, CACHE_WRITE_BACK));
	assert_int_equal(pages_used(), 5);
}

TEST(uses_1g_pages_only_when_told)
{
	assert_true(paging_map(&space, 0, 0, SIZE_1G, PAGE_READ, CACHE_WRITE_BACK));
	assert_int_equal(pages_used(), 3);
	space.pages_1g = true;
	assert_true(paging_map(&space, SIZE_1G, SIZE_1G, SIZE_1G, PAGE_READ, CACHE_WRITE_BACK));
	assert_int_equal(pages_used(), 3);
	assert_true(maps(SIZE_1G + 0x12345678, SIZE_1G + 0x12345678, PAGE_READ));
}

TEST(splits_a_1g_page_down_to_a_hole)
{
	const uint64_t hole = 3 * SIZE_2M + 5 * PAGE_SIZE;
	unsigned int uncached = 0;

	space.pages_1g = true;
	assert_true(paging_map(&space, 0, 0, 2 * SIZE_1G, PAGE_WRITE, CACHE_UNCACHED));
	assert_true(paging_unmap(&space, hole, PAGE_SIZE));
	assert_int_equal(pages_used(), 4);
	assert_true(is_hole(hole));
	assert_true(is_hole(hole + PAGE_SIZE - 1));
	assert_true(maps(hole - 1, hole - 1, PAGE_WRITE));
	assert_true(maps(hole + PAGE_SIZE, hole + PAGE_SIZE, PAGE_WRITE));
	assert_true(maps(SIZE_1G - 1, SIZE_1G - 1, PAGE_WRITE));
	assert_true(maps(SIZE_1G, SIZE_1G, PAGE_WRITE));
	/* 1 GiB, 511 times 2 MiB, 511 times 4 KiB: all as uncached as the first was. */
	assert_int_equal(check_leaves(space.pml4, 4, &uncached), 1 + 511 + 511);
	assert_int_equal(uncached, 1 + 511 + 511);
	/* The hole can be filled again, with other rights. */
	assert_true(paging_map(&space, hole, 0x1000, PAGE_SIZE, PAGE_EXECUTE, CACHE_WRITE_BACK));
	assert_true(maps(hole, 0x1000, PAGE_EXECUTE));
}

TEST(unmaps_ranges_over_holes)
{
	assert_true(paging_map(&space, SIZE_2M, 0, SIZE_2M, PAGE_READ, CACHE_WRITE_BACK));
	assert_true(paging_map(&space, 4 * SIZE_2M, 0, 2 * PAGE_SIZE, PAGE_READ, CACHE_WRITE_BACK));
	assert_true(paging_unmap(&space, 0, 4 * SIZE_2M + PAGE_SIZE));
	assert_true(is_hole(SIZE_2M));
	assert_true(is_hole(4 * SIZE_2M));
	assert_true(maps(4 * SIZE_2M + PAGE_SIZE, PAGE_SIZE, PAGE_READ));
	/* An empty table is in the way of a large page: small pages fill it. */
	assert_true(paging_unmap(&space, 4 * SIZE_2M, SIZE_2M));
	assert_true(paging_map(&space, 4 * SIZE_2M, SIZE_2M, SIZE_2M, PAGE_READ, CACHE_WRITE_BACK));
	assert_true(maps(5 * SIZE_2M - 1, 2 * SIZE_2M - 1, PAGE_READ));
}

TEST(fails_when_the_pool_is_empty)
{
	while (page_pool_take(&pool) != 0)
		;
	assert_false(paging_map(&space, 0, 0, PAGE_SIZE, PAGE_READ, CACHE_WRITE_BACK));
	pool.next = pool.end - 2 * PAGE_SIZE;
	assert_true(paging_map(&space, 0, 0, SIZE_2M, PAGE_READ, CACHE_WRITE_BACK));
	assert_false(paging_unmap(&space, 0, PAGE_SIZE));
	assert_true(maps(0, 0, PAGE_READ));
}

/* Random maps and unmaps in 64 pages around a 2 MiB border, against a plain array. */
TEST(random_maps_agree_with_an_array)
{
	const uint64_t base = DIRECT_MAP_BASE + SIZE_2M - 32 * PAGE_SIZE;
	int model[64]; /* rights, or -1 */
	unsigned int uncached = 0;
	unsigned int mapped = 0;

	memset(model, -1, sizeof(model));
	srand(1);
	for (unsigned int round = 0; round < 2000; round++) {
		const unsigned int page = (unsigned int)rand() % 64;
		const enum page_rights rights = (enum page_rights)(rand() % 4);
		const uint64_t va = base + page * PAGE_SIZE;

		if (rand() % 2) {
			assert_true(paging_unmap(&space, va, PAGE_SIZE));
			model[page] = -1;
		} else {
			const bool allowed = model[page] == -1 && rights != WX;

			assert_int_equal(paging_map(&space, va, page * PAGE_SIZE, PAGE_SIZE, rights,
						    CACHE_UNCACHED),
					 allowed);
			if (allowed)
				model[page] = (int)rights;
		}
	}
	for (unsigned int page = 0; page < 64; page++) {
		const uint64_t va = base + page * PAGE_SIZE;

		if (model[page] == -1)
			assert_true(is_hole(va));
		else
			assert_true(maps(va, page * PAGE_SIZE, (enum page_rights)model[page]));
		mapped += model[page] != -1;
	}
	assert_int_equal(check_leaves(space.pml4, 4, &uncached), mapped);
	assert_int_equal(uncached, mapped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(pool_gives_zeroed_pages_and_ends, set_up),
		cmocka_unit_test_setup(maps_small_pages_with_rights, set_up),
		cmocka_unit_test_setup(maps_with_a_memory_type, set_up),
		cmocka_unit_test_setup(refuses_write_and_execute, set_up),
		cmocka_unit_test_setup(refuses_what_is_not_aligned, set_up),
		cmocka_unit_test_setup(refuses_what_is_mapped, set_up),
		cmocka_unit_test_setup(uses_large_pages_where_alignment_allows, set_up),
		cmocka_unit_test_setup(uses_1g_pages_only_when_told, set_up),
		cmocka_unit_test_setup(splits_a_1g_page_down_to_a_hole, set_up),
		cmocka_unit_test_setup(unmaps_ranges_over_holes, set_up),
		cmocka_unit_test_setup(fails_when_the_pool_is_empty, set_up),
		cmocka_unit_test_setup(random_maps_agree_with_an_array, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
