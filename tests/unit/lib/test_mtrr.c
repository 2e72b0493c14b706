/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/mtrr.c, against the rules applied page by page.
 */
#include "tests/unit/unit.h"
#include "lib/layout.h"
#include "lib/mtrr.h"

#define ENABLE	     (1ULL << 11)
#define FIXED_ENABLE (1ULL << 10)
#define VALID	     (1ULL << 11)
#define BITS	     40
#define ADDRESSES    ((1ULL << BITS) - 1)

static struct mtrr_state mtrrs;

static int set_up(void **state __attribute__((unused)))
{
	mtrrs = (struct mtrr_state){ .def_type = ENABLE | MTRR_WB, .physical_bits = BITS };
	return 0;
}

static void add(uint64_t base, uint64_t size, enum mtrr_type type)
{
	mtrrs.variable[mtrrs.variable_count].base = base | type;
	mtrrs.variable[mtrrs.variable_count].mask = (~(size - 1) & ADDRESSES) | VALID;
	mtrrs.variable_count++;
}

static void check(uint64_t base, enum mtrr_type type, uint64_t end)
{
	uint64_t found;

	assert_int_equal(mtrr_type(&mtrrs, base, 8 * SIZE_1G, &found), type);
	assert_int_equal(found, end);
}

TEST(disabled_is_uncached)
{
	add(0, SIZE_1G, MTRR_WB);
	mtrrs.def_type = MTRR_WB | FIXED_ENABLE;
	check(0, MTRR_UC, 8 * SIZE_1G);
}

TEST(default_type_where_no_range_is)
{
	check(0, MTRR_WB, 8 * SIZE_1G);
	mtrrs.def_type = ENABLE | MTRR_UC;
	add(0, 2 * SIZE_1G, MTRR_WB);
	add(4 * SIZE_1G, SIZE_1G, MTRR_WB);
	check(0, MTRR_WB, 2 * SIZE_1G);
	check(PAGE_SIZE, MTRR_WB, 2 * SIZE_1G);
	check(2 * SIZE_1G, MTRR_UC, 4 * SIZE_1G);
	check(5 * SIZE_1G - PAGE_SIZE, MTRR_WB, 5 * SIZE_1G);
}

TEST(invalid_ranges_and_types)
{
	add(SIZE_1G, SIZE_1G, MTRR_UC);
	mtrrs.variable[0].mask &= ~VALID;
	check(0, MTRR_WB, 8 * SIZE_1G);
	add(SIZE_1G, SIZE_1G, (enum mtrr_type)2);
	check(SIZE_1G, MTRR_UC, 2 * SIZE_1G);
	mtrrs.def_type = ENABLE | 7;
	check(0, MTRR_UC, 8 * SIZE_1G);
}

/* Ranges of one type that touch are one piece. */
TEST(joins_ranges_of_one_type)
{
	mtrrs.def_type = ENABLE | MTRR_UC;
	add(0, SIZE_1G, MTRR_WB);
	add(SIZE_1G, SIZE_1G, MTRR_WB);
	add(2 * SIZE_1G, SIZE_2M, MTRR_WB);
	check(0, MTRR_WB, 2 * SIZE_1G + SIZE_2M);
}

TEST(overlaps)
{
	static const struct {
		enum mtrr_type a, b, result;
	} cases[] = {
		{ MTRR_WB, MTRR_UC, MTRR_UC }, { MTRR_UC, MTRR_WC, MTRR_UC },
		{ MTRR_WB, MTRR_WT, MTRR_WT }, { MTRR_WT, MTRR_WB, MTRR_WT },
		{ MTRR_WB, MTRR_WB, MTRR_WB }, { MTRR_WB, MTRR_WC, MTRR_UC },
		{ MTRR_WP, MTRR_WB, MTRR_UC }, { MTRR_WC, MTRR_WC, MTRR_WC },
		{ MTRR_WP, MTRR_WP, MTRR_WP },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set_up(NULL);
		mtrrs.def_type = ENABLE | (cases[i].a == MTRR_WC ? MTRR_UC : MTRR_WC);
		add(0, 4 * SIZE_1G, cases[i].a);
		add(SIZE_1G, SIZE_1G, cases[i].b);
		check(SIZE_1G, cases[i].result,
		      cases[i].result == cases[i].a ? 4 * SIZE_1G : 2 * SIZE_1G);
	}
}

/* Three at once: WB and WT give WT, which UC then wins over. */
TEST(three_overlap)
{
	add(0, SIZE_1G, MTRR_WB);
	add(0, SIZE_1G, MTRR_WT);
	check(0, MTRR_WT, SIZE_1G);
	add(0, SIZE_1G, MTRR_UC);
	check(0, MTRR_UC, SIZE_1G);
}

TEST(fixed_ranges)
{
	mtrrs.def_type |= FIXED_ENABLE;
	add(0, SIZE_1G, MTRR_UC);
	for (unsigned int i = 0; i < MTRR_FIXED_COUNT; i++)
		mtrrs.fixed[i] = 0x0606060606060606ULL;
	mtrrs.fixed[2] = 0;			 /* A0000 to BFFFF */
	mtrrs.fixed[4] = 0x0505050505050505ULL;	 /* C8000 to CFFFF */
	mtrrs.fixed[10] = 0x0400000000000000ULL; /* FF000, behind seven of UC */
	check(0, MTRR_WB, 0xa0000);
	check(0x7ffff, MTRR_WB, 0xa0000);
	check(0xa0000, MTRR_UC, 0xc0000);
	check(0xc0000, MTRR_WB, 0xc8000);
	check(0xc9000, MTRR_WP, 0xd0000);
	check(0xf8000, MTRR_UC, 0xff000);
	check(0xff000, MTRR_WT, 0x100000);
	check(0x100000, MTRR_UC, SIZE_1G);
	/* Not enabled: the variable range goes for low memory, too. */
	mtrrs.def_type &= ~FIXED_ENABLE;
	check(0, MTRR_UC, SIZE_1G);
}

/* A mask with a hole matches in more than one place. */
TEST(mask_with_a_hole)
{
	add(0, SIZE_1G, MTRR_UC);
	mtrrs.variable[0].mask &= ~(4 * SIZE_1G);
	check(0, MTRR_UC, SIZE_1G);
	check(SIZE_1G, MTRR_WB, 4 * SIZE_1G);
	check(4 * SIZE_1G, MTRR_UC, 5 * SIZE_1G);
	check(5 * SIZE_1G, MTRR_WB, 8 * SIZE_1G);
}

TEST(stops_at_the_limit)
{
	uint64_t end;

	assert_int_equal(mtrr_type(&mtrrs, SIZE_2M, 2 * SIZE_2M, &end), MTRR_WB);
	assert_int_equal(end, 2 * SIZE_2M);
}

/* The walk over the whole space must give each page the type that it has alone. */
TEST(walk_agrees_with_single_pages)
{
	static const uint8_t types[] = { MTRR_UC, MTRR_WC, MTRR_WT, MTRR_WP, MTRR_WB };

	srand(3);
	for (unsigned int round = 0; round < 50; round++) {
		uint64_t end;

		set_up(NULL);
		mtrrs.def_type = ENABLE | types[rand() % 5];
		for (unsigned int i = 0; i < 6; i++) {
			const uint64_t size = PAGE_SIZE << (rand() % 7);
			const uint64_t page = (unsigned int)rand() % 64;

			add(page * PAGE_SIZE & ~(size - 1), size,
			    (enum mtrr_type)types[rand() % 5]);
		}
		for (uint64_t base = 0; base < 128 * PAGE_SIZE; base = end) {
			const enum mtrr_type type = mtrr_type(&mtrrs, base, 128 * PAGE_SIZE, &end);
			uint64_t ignored;

			assert_true(end > base && end <= 128 * PAGE_SIZE);
			for (uint64_t page = base; page < end; page += PAGE_SIZE)
				assert_int_equal(
					mtrr_type(&mtrrs, page, page + PAGE_SIZE, &ignored), type);
			if (end < 128 * PAGE_SIZE)
				assert_int_not_equal(
					mtrr_type(&mtrrs, end, end + PAGE_SIZE, &ignored), type);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(disabled_is_uncached, set_up),
		cmocka_unit_test_setup(default_type_where_no_range_is, set_up),
		cmocka_unit_test_setup(invalid_ranges_and_types, set_up),
		cmocka_unit_test_setup(joins_ranges_of_one_type, set_up),
		cmocka_unit_test_setup(overlaps, set_up),
		cmocka_unit_test_setup(three_overlap, set_up),
		cmocka_unit_test_setup(fixed_ranges, set_up),
		cmocka_unit_test_setup(mask_with_a_hole, set_up),
		cmocka_unit_test_setup(stops_at_the_limit, set_up),
		cmocka_unit_test_setup(walk_agrees_with_single_pages, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
