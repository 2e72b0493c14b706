/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/format.c against the host's snprintf.
 */
#include <limits.h>

#include "tests/unit/unit.h"
#include "lib/format.h"

/* Both with room, and with every smaller buffer: same text, same result. */
#define SAME(...)                                                                             \
	do {                                                                                  \
		char expected[128];                                                           \
		char actual[128];                                                             \
		const int length = snprintf(expected, sizeof(expected), __VA_ARGS__);         \
                                                                                              \
		assert_int_equal(format_string(actual, sizeof(actual), __VA_ARGS__), length); \
		assert_string_equal(actual, expected);                                        \
		for (size_t size = 0; size <= (size_t)length; size++) {                       \
			char cut[128];                                                        \
                                                                                              \
			memset(cut, '#', sizeof(cut));                                        \
			assert_int_equal(format_string(cut, size, __VA_ARGS__), length);      \
			if (size > 0) {                                                       \
				assert_memory_equal(cut, expected, size - 1);                 \
				assert_int_equal(cut[size - 1], '\0');                        \
			}                                                                     \
			assert_int_equal(cut[size], '#');                                     \
		}                                                                             \
	} while (0)

TEST(formats_integers)
{
	static const int values[] = { 0, 1, -1, 42, -12345, INT_MAX, INT_MIN };

	for (size_t i = 0; i < COUNT_OF(values); i++) {
		SAME("%d|%i|%6d|%-6d|%06d|%-6u|%x|%X|%08x", values[i], values[i], values[i],
		     values[i], values[i], (unsigned int)values[i], (unsigned int)values[i],
		     (unsigned int)values[i], (unsigned int)values[i]);
	}
}

TEST(formats_wide_integers)
{
	SAME("%ld %lu %lx", LONG_MIN, ULONG_MAX, 0x123456789abcdef0UL);
	SAME("%lld %llu %llX", LLONG_MIN, ULLONG_MAX, 0xfedcba9876543210ULL);
	SAME("%zu %zx %016llx", SIZE_MAX, (size_t)0, 0x1234ULL);
}

TEST(formats_text)
{
	SAME("%s", "");
	SAME("[%s] [%8s] [%-8s]", "abc", "abc", "abc");
	SAME("[%.2s] [%6.2s] [%.0s] [%.*s] [%.*s]", "abc", "abc", "abc", 1, "abc", -1, "abc");
	SAME("%c%c%3c%-3c|", 'a', '\\', 'b', 'c');
	SAME("100%%");
	SAME("plain");
	SAME("%p %20p", (void *)0x1000, (void *)0xdeadbeef);
}

/* A precision bounds what is read: this text has no end. */
TEST(reads_no_further_than_the_precision)
{
	char *text = malloc(3);
	char buffer[16];

	memcpy(text, "abc", 3);
	format_string(buffer, sizeof(buffer), "%.*s", 3, text);
	assert_string_equal(buffer, "abc");
	free(text);
}

TEST(survives_bad_input)
{
	char buffer[32];
	const char *volatile null = NULL;
	const char *volatile unknown = "a %q b";
	const char *volatile unfinished = "a %";
	const char *volatile left_and_zeroes = "%-05d|";

	format_string(buffer, sizeof(buffer), "%s", null);
	assert_string_equal(buffer, "(null)");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-security"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	format_string(buffer, sizeof(buffer), unknown);
	assert_string_equal(buffer, unknown);
	format_string(buffer, sizeof(buffer), unfinished);
	assert_string_equal(buffer, unfinished);
	format_string(buffer, sizeof(buffer), left_and_zeroes, -5);
	assert_string_equal(buffer, "-5   |");
#pragma GCC diagnostic pop
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_integers),
		cmocka_unit_test(formats_wide_integers),
		cmocka_unit_test(formats_text),
		cmocka_unit_test(reads_no_further_than_the_precision),
		cmocka_unit_test(survives_bad_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
