/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/dmar.c over tables made by hand, sound and damaged.
 */
#include "tests/unit/samples.h"
#include "tests/unit/unit.h"
#include "lib/dmar.h"

static uint8_t table[SAMPLE_MAX];
static struct dmar dmar;

static int set_up(void **state __attribute__((unused)))
{
	sample_dmar(table);
	memset(&dmar, 0xee, sizeof(dmar));
	return 0;
}

TEST(units_and_reserved_ranges)
{
	assert_null(dmar_parse(table, DMAR_LENGTH, &dmar));
	assert_int_equal(dmar.unit_count, 2);
	assert_int_equal(dmar.units[0].base, DMAR_GRAPHICS_UNIT);
	assert_int_equal(dmar.units[0].size, 0x1000);
	assert_int_equal(dmar.units[1].base, DMAR_OTHER_UNIT);
	assert_int_equal(dmar.units[1].size, 0x2000);
	assert_int_equal(dmar.reserved_count, 1);
	assert_int_equal(dmar.reserved[0].base, DMAR_RESERVED_BASE);
	assert_int_equal(dmar.reserved[0].size, DMAR_RESERVED_END - DMAR_RESERVED_BASE);
}

static void expect_error(const char *error)
{
	assert_string_equal(dmar_parse(table, DMAR_LENGTH, &dmar), error);
	set_up(NULL);
}

TEST(no_unit)
{
	assert_string_equal(dmar_parse(table, DMAR_AT_GRAPHICS, &dmar), "it names no unit");
	assert_string_equal(dmar_parse(table, 36, &dmar), "it names no unit");
	put_16(table, DMAR_AT_GRAPHICS, 99);
	put_16(table, DMAR_AT_ALL, 99);
	expect_error("it names no unit");
}

TEST(wrong_sizes)
{
	static const uint16_t sizes[] = { 0, 3, 15, 0xffff };

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		put_16(table, DMAR_AT_GRAPHICS + 2, sizes[i]);
		expect_error("a structure has a wrong size");
	}
	put_16(table, DMAR_AT_RESERVED + 2, 23);
	expect_error("a structure has a wrong size");
	put_16(table, DMAR_LENGTH - 8 + 2, 9); /* the last one: a byte more than there is */
	expect_error("a structure has a wrong size");
}

/* Every length but the whole one ends in the middle of something, or behind a structure. */
TEST(cut_off)
{
	for (size_t length = 0; length < DMAR_LENGTH; length++) {
		uint8_t *const exact = malloc(length + 1); /* the sanitizer sees a byte too many */
		const bool whole = length == DMAR_AT_RESERVED || length == DMAR_AT_ALL ||
				   length == DMAR_AT_ALL + 16;

		assert_non_null(exact);
		memcpy(exact + 1, table, length);
		assert_int_equal(dmar_parse(exact + 1, length, &dmar) == NULL, whole);
		free(exact);
	}
}

TEST(wrong_addresses)
{
	static const uint64_t bases[] = { 0, DMAR_GRAPHICS_UNIT + 8, UINT64_MAX,
					  UINT64_MAX & ~0xfffULL };

	for (size_t i = 0; i < COUNT_OF(bases); i++) {
		put_64(table, DMAR_AT_GRAPHICS + 8, bases[i]);
		expect_error("a unit has no sound address");
	}
	put_64(table, DMAR_AT_RESERVED + 16, DMAR_RESERVED_BASE - 1);
	expect_error("a reserved range has no sound address");
	put_64(table, DMAR_AT_RESERVED + 16, UINT64_MAX);
	expect_error("a reserved range has no sound address");
}

/* So many structures of this type, each with a page of its own. */
static size_t fill(uint16_t type, uint16_t size, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		uint8_t *const at = table + DMAR_AT_GRAPHICS + i * (size_t)size;

		memset(at, 0, size);
		put_16(at, 0, type);
		put_16(at, 2, size);
		put_64(at, 8, 0xfed00000 + i * 0x1000ULL);
		if (type == 1)
			put_64(at, 16, 0xfed00fff + i * 0x1000ULL);
	}
	return DMAR_AT_GRAPHICS + count * (size_t)size;
}

TEST(too_many)
{
	assert_null(dmar_parse(table, fill(0, 16, DMAR_UNITS_MAX), &dmar));
	assert_int_equal(dmar.unit_count, DMAR_UNITS_MAX);
	assert_int_equal(dmar.units[DMAR_UNITS_MAX - 1].base,
			 0xfed00000 + (DMAR_UNITS_MAX - 1) * 0x1000);
	assert_string_equal(dmar_parse(table, fill(0, 16, DMAR_UNITS_MAX + 1), &dmar),
			    "it names too many units");
	assert_string_equal(dmar_parse(table, fill(1, 24, DMAR_RESERVED_MAX + 1), &dmar),
			    "it names too many reserved ranges");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(units_and_reserved_ranges, set_up),
		cmocka_unit_test_setup(no_unit, set_up),
		cmocka_unit_test_setup(wrong_sizes, set_up),
		cmocka_unit_test_setup(cut_off, set_up),
		cmocka_unit_test_setup(wrong_addresses, set_up),
		cmocka_unit_test_setup(too_many, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
