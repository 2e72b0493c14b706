/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/string.c as freestanding programs have it, under other names, against the
 * host's library.
 */
#include "tests/unit/unit.h"

#define STRING_UNDER_TEST
#define memcpy	    own_memcpy
#define memmove	    own_memmove
#define memset	    own_memset
#define memcmp	    own_memcmp
#define strlen	    own_strlen
#define strnlen	    own_strnlen
#define strcmp	    own_strcmp
#define strncmp	    own_strncmp
#define strchr	    own_strchr
#define string_copy own_string_copy
#include "lib/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef string_copy

#define AREA 64

static void fill(uint8_t area[AREA])
{
	for (unsigned int i = 0; i < AREA; i++)
		area[i] = (uint8_t)(i * 7 + 1);
}

/* Every source, destination and size in a small area: all overlaps, all alignments. */
TEST(moves_like_memmove)
{
	uint8_t expected[AREA];
	uint8_t actual[AREA];

	for (size_t from = 0; from < 24; from++) {
		for (size_t to = 0; to < 24; to++) {
			for (size_t size = 0; size <= 40; size++) {
				fill(expected);
				fill(actual);
				memmove(expected + to, expected + from, size);
				assert_ptr_equal(own_memmove(actual + to, actual + from, size),
						 actual + to);
				assert_memory_equal(actual, expected, AREA);
			}
		}
	}
}

TEST(copies_exactly)
{
	uint8_t source[AREA];
	uint8_t expected[AREA];
	uint8_t actual[AREA];

	fill(source);
	for (size_t offset = 0; offset < 9; offset++) {
		for (size_t size = 0; size <= 40; size++) {
			memset(expected, 0xaa, AREA);
			memset(actual, 0xaa, AREA);
			memcpy(expected + offset, source + 3, size);
			assert_ptr_equal(own_memcpy(actual + offset, source + 3, size),
					 actual + offset);
			assert_memory_equal(actual, expected, AREA);
		}
	}
}

TEST(sets_exactly)
{
	uint8_t expected[AREA];
	uint8_t actual[AREA];

	for (size_t offset = 0; offset < 9; offset++) {
		for (size_t size = 0; size <= 40; size++) {
			fill(expected);
			fill(actual);
			memset(expected + offset, 0x1fe, size);
			assert_ptr_equal(own_memset(actual + offset, 0x1fe, size), actual + offset);
			assert_memory_equal(actual, expected, AREA);
		}
	}
}

static int sign(int value)
{
	return (value > 0) - (value < 0);
}

TEST(compares_like_the_library)
{
	static const char *const words[] = { "", "a", "ab", "abc", "abd", "b", "\x80", "ab\xff" };

	for (size_t i = 0; i < COUNT_OF(words); i++) {
		for (size_t j = 0; j < COUNT_OF(words); j++) {
			const char *a = words[i];
			const char *b = words[j];

			assert_int_equal(sign(own_strcmp(a, b)), sign(strcmp(a, b)));
			for (size_t size = 0; size < 5; size++)
				assert_int_equal(sign(own_strncmp(a, b, size)),
						 sign(strncmp(a, b, size)));
		}
	}
	assert_int_equal(own_memcmp("a\0b", "a\0c", 2), 0);
	assert_true(own_memcmp("a\0b", "a\0c", 3) < 0);
	assert_true(own_memcmp("\x80", "\x01", 1) > 0);
}

TEST(measures_and_finds)
{
	const char *text = "find me";

	assert_int_equal(own_strlen(""), 0);
	assert_int_equal(own_strlen(text), 7);
	assert_int_equal(own_strnlen(text, 4), 4);
	assert_int_equal(own_strnlen(text, 40), 7);
	assert_ptr_equal(own_strchr(text, 'd'), text + 3);
	assert_ptr_equal(own_strchr(text, '\0'), text + 7);
	assert_null(own_strchr(text, 'x'));
}

TEST(cuts_copied_strings)
{
	char buffer[5] = "zzzz";

	assert_int_equal(own_string_copy(buffer, "abcdef", sizeof(buffer)), 6);
	assert_string_equal(buffer, "abcd");
	assert_int_equal(own_string_copy(buffer, "xy", sizeof(buffer)), 2);
	assert_string_equal(buffer, "xy");
	assert_int_equal(own_string_copy(buffer, "q", 0), 1);
	assert_string_equal(buffer, "xy");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_like_memmove), cmocka_unit_test(copies_exactly),
		cmocka_unit_test(sets_exactly),	      cmocka_unit_test(compares_like_the_library),
		cmocka_unit_test(measures_and_finds), cmocka_unit_test(cuts_copied_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
