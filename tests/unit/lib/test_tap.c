/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/tap.c: the lines as a TAP reader gets them.
 */
#include "tests/unit/unit.h"
#include "lib/tap.h"

static char written[4096];
static size_t length;
static unsigned int writes;

void tap_write(const char *text, size_t size)
{
	assert_true(length + size < sizeof(written));
	memcpy(written + length, text, size);
	length += size;
	written[length] = '\0';
	writes++;
}

static int set_up(void **state __attribute__((unused)))
{
	length = 0;
	writes = 0;
	tap_begin();
	return 0;
}

TEST(writes_a_whole_run)
{
	struct tap_counts counts;

	assert_true(tap_result(true, "one"));
	assert_false(tap_result(false, "two"));
	tap_diagnostic("expected %d, got 0x%x", 5, 3U);
	tap_skip("three", "no FRED here");
	assert_false(tap_result_expected(false, "four", "BX-4"));
	assert_true(tap_result_expected(true, "five", "BX-5"));
	counts = tap_end();
	assert_string_equal(written, "TAP version 13\n"
				     "ok 1 - one\n"
				     "not ok 2 - two\n"
				     "#   expected 5, got 0x3\n"
				     "ok 3 - three # SKIP no FRED here\n"
				     "not ok 4 - four # TODO errata BX-4\n"
				     "ok 5 - five # TODO errata BX-5\n"
				     "1..5\n"
				     "# tests 5, failed 1, skipped 1, expected failures 1\n");
	assert_int_equal(counts.run, 5);
	assert_int_equal(counts.failed, 1);
	assert_int_equal(counts.skipped, 1);
	assert_int_equal(counts.expected, 1);
	assert_int_equal(writes, 9);
}

TEST(begins_at_zero_again)
{
	tap_result(false, "x");
	set_up(NULL);
	assert_int_equal(tap_end().run, 0);
	assert_non_null(strstr(written, "1..0\n"));
}

TEST(cuts_long_lines_and_ends_them)
{
	char name[600];

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	set_up(NULL);
	length = 0;
	tap_result(true, name);
	assert_int_equal(length, 255);
	assert_int_equal(written[length - 1], '\n');
	assert_memory_equal(written, "ok 1 - nnn", 10);
	length = 0;
	tap_diagnostic("%s", name);
	assert_int_equal(length, 255);
	assert_int_equal(written[length - 1], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(writes_a_whole_run, set_up),
		cmocka_unit_test_setup(begins_at_zero_again, set_up),
		cmocka_unit_test_setup(cuts_long_lines_and_ends_them, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
