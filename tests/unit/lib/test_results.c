/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/results.c: what lib/tap.c writes, and other lines, piece by piece.
 */
#include "tests/unit/unit.h"
#include "lib/results.h"
#include "lib/tap.h"

static struct results results;

static int set_up(void **state __attribute__((unused)))
{
	memset(&results, 0, sizeof(results));
	return 0;
}

/* lib/tap.c writes here. */
void tap_write(const char *text, size_t length)
{
	results_read(&results, text, length);
}

static void read_text(const char *text)
{
	results_read(&results, text, strlen(text));
}

static void assert_counts(const struct result_counts *counts, uint32_t passed, uint32_t failed,
			  uint32_t expected, uint32_t skipped)
{
	assert_int_equal(counts->passed, passed);
	assert_int_equal(counts->failed, failed);
	assert_int_equal(counts->expected, expected);
	assert_int_equal(counts->skipped, skipped);
	assert_int_equal(result_count(counts), passed + failed + expected + skipped);
}

TEST(reads_what_tap_writes)
{
	tap_begin();
	tap_result(true, "cpuid.leaf_1");
	tap_result(true, "cpuid.leaf_7");
	tap_result(false, "msr.star");
	tap_diagnostic("ok 7 - expected 0x1, got 0x2");
	tap_skip("fred-cet", "no FRED");
	tap_skip("msr.xfd", "no XFD");
	tap_result_expected(false, "fred-level.db", "FR-12");
	tap_result_expected(false, "fred-level.int3", "FR-7");
	tap_result_expected(false, "fred-step.int3", "FR-12");
	tap_result_expected(true, "fred-step.int1", "FR-99");
	assert_false(results.complete);
	tap_end();
	assert_true(results.complete);
	assert_false(results_passed(&results));
	assert_int_equal(results.group_count, 5);
	assert_string_equal(results.groups[0].name, "cpuid");
	assert_counts(&results.groups[0].counts, 2, 0, 0, 0);
	assert_string_equal(results.groups[1].name, "msr");
	assert_counts(&results.groups[1].counts, 0, 1, 0, 1);
	assert_string_equal(results.groups[2].name, "fred-cet");
	assert_counts(&results.groups[2].counts, 0, 0, 0, 1);
	assert_string_equal(results.groups[3].name, "fred-level");
	assert_counts(&results.groups[3].counts, 0, 0, 2, 0);
	assert_string_equal(results.groups[4].name, "fred-step");
	assert_counts(&results.groups[4].counts, 1, 0, 1, 0);
	assert_counts(&results.all, 3, 1, 3, 2);
	assert_int_equal(results.deviation_count, 2);
	assert_string_equal(results.deviations[0], "FR-12");
	assert_string_equal(results.deviations[1], "FR-7");
}

TEST(reads_in_any_pieces)
{
	static const char text[] = "TAP version 13\r\nok 1 - a.b\r\nnot ok 2 - a.c\r\n1..2\r\n";

	for (size_t piece = 1; piece < sizeof(text); piece++) {
		set_up(NULL);
		for (size_t at = 0; at < sizeof(text) - 1; at += piece)
			results_read(&results, text + at,
				     at + piece < sizeof(text) ? piece : sizeof(text) - 1 - at);
		assert_true(results.complete);
		assert_counts(&results.all, 1, 1, 0, 0);
	}
}

TEST(passes_over_what_is_no_result)
{
	read_text("ok\nok 1\nok x - a.b\nok 1 a.b\nok 1 -a.b\n ok 1 - a.b\nnot ok\nnot  ok 1 - a\n"
		  "# ok 1 - a.b\n1..\n1..x\n1..0x\n[ 1] manfred: ok 1 - a.b\n\n");
	assert_counts(&results.all, 0, 0, 0, 0);
	assert_false(results.complete);
	read_text("ok 1 - a.b"); /* has not ended */
	assert_counts(&results.all, 0, 0, 0, 0);
}

TEST(a_run_that_breaks_off_has_not_passed)
{
	read_text("ok 1 - a.b\nok 2 - a.c\nBail out! a.d: unexpected event\n");
	assert_false(results_passed(&results));
	assert_string_equal(results.bail_out, "Bail out! a.d: unexpected event");
	read_text("1..3\n"); /* more than came */
	assert_false(results_passed(&results));
	read_text("ok 3 - a.d\n1..3\n");
	assert_true(results_passed(&results));
}

TEST(no_tests_have_not_passed)
{
	read_text("1..0\n");
	assert_true(results.complete);
	assert_false(results_passed(&results));
}

TEST(cuts_long_names_and_lines)
{
	char line[2 * RESULT_LINE_MAX + 2];

	memset(line, 'x', sizeof(line));
	memcpy(line, "ok 1 - ", 7);
	line[sizeof(line) - 2] = '\n';
	line[sizeof(line) - 1] = '\0';
	read_text(line);
	read_text("not ok 2 - b.c # TODO errata 12345678901234567890123\n");
	read_text("not ok 3 - b.c # TODO errata 12345678901234567890124\n");
	read_text("not ok 4 - b.c # TODO errata \n");
	assert_counts(&results.all, 1, 0, 3, 0);
	assert_string_equal(results.groups[0].name, "xxxxxxxxxxxxxxxxxxx");
	assert_int_equal(results.deviation_count, 1);
	assert_string_equal(results.deviations[0], "1234567890123456789");
}

TEST(more_than_there_is_room_for)
{
	char line[80];

	for (int i = 0; i < 2 * RESULT_GROUPS_MAX; i++) {
		snprintf(line, sizeof(line), "not ok %d - g%d.t # TODO errata E-%d\n", i, i, i);
		read_text(line);
	}
	assert_int_equal(results.group_count, RESULT_GROUPS_MAX);
	assert_string_equal(results.groups[RESULT_GROUPS_MAX - 1].name, "others");
	assert_int_equal(results.groups[RESULT_GROUPS_MAX - 1].counts.expected,
			 RESULT_GROUPS_MAX + 1);
	assert_int_equal(results.deviation_count, RESULT_DEVIATIONS_MAX);
	assert_counts(&results.all, 0, 0, 2 * RESULT_GROUPS_MAX, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_what_tap_writes, set_up),
		cmocka_unit_test_setup(reads_in_any_pieces, set_up),
		cmocka_unit_test_setup(passes_over_what_is_no_result, set_up),
		cmocka_unit_test_setup(a_run_that_breaks_off_has_not_passed, set_up),
		cmocka_unit_test_setup(no_tests_have_not_passed, set_up),
		cmocka_unit_test_setup(cuts_long_names_and_lines, set_up),
		cmocka_unit_test_setup(more_than_there_is_room_for, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
