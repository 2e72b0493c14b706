// SPDX-License-Identifier: BSD-2-Clause
/* Owns the list of chapters, the result of the test that runs, and the summary. */
#include "guest/suite/suite.h"

#include <stdarg.h>

#include "guest/machine/fred.h"
#include "guest/machine/machine.h"
#include "lib/format.h"
#include "lib/string.h"
#include "lib/tap.h"

#define NAME_MAX     96
#define FAILURES_MAX 12
#define SUMMARY_MAX  8192

#define CHAPTER_ADDRESS(name) &chapter_##name,
static const struct chapter *const chapters[] = { CHAPTERS(CHAPTER_ADDRESS) };
#undef CHAPTER_ADDRESS

/* The test that runs. */
static struct {
	char name[NAME_MAX];
	const char *skip_reason;
	bool aborted;
	unsigned int failures;
	struct {
		const char *what;
		bool has_expected;
		uint64_t got, expected;
	} failed[FAILURES_MAX];
} current;

/* Results of the chapter that runs. */
static struct {
	unsigned int passed, failed, skipped, expected, unexpected;
} counts;

static const struct suite_options *options;
static void *after_test[5]; /* for __builtin_longjmp */
static char summary[SUMMARY_MAX];
static size_t summary_length;

bool pattern_matches(const char *pattern, const char *text)
{
	if (*pattern == '*')
		return pattern_matches(pattern + 1, text) ||
		       (*text && pattern_matches(pattern, text + 1));
	if (*pattern == '\0' || *text == '\0')
		return *pattern == *text;
	return (*pattern == '?' || *pattern == *text) && pattern_matches(pattern + 1, text + 1);
}

static void add_failure(const char *what, uint64_t got, const uint64_t *expected)
{
	if (current.failures < FAILURES_MAX) {
		current.failed[current.failures].what = what;
		current.failed[current.failures].got = got;
		current.failed[current.failures].has_expected = expected != NULL;
		current.failed[current.failures].expected = expected ? *expected : 0;
	}
	current.failures++;
}

void check_equal(const char *what, uint64_t got, uint64_t expected)
{
	if (got != expected)
		add_failure(what, got, &expected);
}

void check_failed(const char *what, uint64_t value)
{
	add_failure(what, value, NULL);
}

void check(const char *what, bool true_if_passed)
{
	check_equal(what, true_if_passed, true);
}

void check_caught(unsigned int expected)
{
	check_equal("events caught", catcher.count, expected);
}

void check_event(unsigned int number, unsigned int vector, uint64_t error_code)
{
	const struct frame *const frame = &catcher.events[number].frame;

	if (number >= catcher.count) {
		check_equal("event caught", false, true);
		return;
	}
	check_equal("vector", frame->vector, vector);
	check_equal("error code", frame->error_code, error_code);
}

void expect_event(unsigned int vector, uint64_t error_code)
{
	catch_end();
	check_caught(1);
	check_event(0, vector, error_code);
}

void expect_no_event(void)
{
	catch_end();
	check_caught(0);
	if (catcher.count != 0)
		check_equal("vector", catcher.events[0].frame.vector, 0);
}

void test_skip(const char *reason)
{
	current.skip_reason = reason;
}

/* What the first handler found, for whoever reads a failure. */
static void print_caught(void)
{
	for (unsigned int i = 0; i < catcher.count; i++) {
		const struct frame *const f = &catcher.events[i].frame;

		tap_diagnostic("event %u: vector %llu error 0x%llx at %02llx:0x%llx rflags 0x%llx",
			       i, (unsigned long long)f->vector, (unsigned long long)f->error_code,
			       (unsigned long long)f->cs, (unsigned long long)f->rip,
			       (unsigned long long)f->rflags);
		tap_diagnostic("  stack %02llx:0x%llx frame 0x%llx cr2 0x%llx dr6 0x%llx",
			       (unsigned long long)f->ss, (unsigned long long)f->rsp,
			       (unsigned long long)catcher.events[i].frame_address,
			       (unsigned long long)catcher.events[i].cr2,
			       (unsigned long long)catcher.events[i].dr6);
	}
}

void suite_abort_test(void)
{
	current.aborted = true;
	__builtin_longjmp(after_test, 1);
}

/* The next identifier of the list, and behind it; its length, which is 0 where two commas meet. */
static size_t next_identifier(const char **list, const char **identifier)
{
	const char *const comma = strchr(*list, ',');
	const size_t length = comma ? (size_t)(comma - *list) : strlen(*list);

	*identifier = *list;
	*list += length + (comma ? 1 : 0);
	return length;
}

/* Is the identifier in the list of those that the platform is known for? */
static bool is_known(const char *erratum)
{
	const size_t length = strlen(erratum);
	const char *identifier;

	for (const char *at = options->errata; *at != '\0';)
		if (next_identifier(&at, &identifier) == length &&
		    strncmp(identifier, erratum, length) == 0)
			return true;
	return false;
}

/* An identifier that no test has would be taken for one that is looked after. */
static bool errata_have_tests(void)
{
	const char *identifier;

	for (const char *at = options->errata; *at != '\0';) {
		const size_t length = next_identifier(&at, &identifier);

		if (length == 0 || erratum_has_tests(identifier, length))
			continue;
		print("Bail out! errata = %.*s: no test is known to fail by it "
		      "(guest/suite/errata.c)",
		      (int)length, identifier);
		return false;
	}
	return true;
}

/*
 * An instruction that software FRED cannot stop would do harm: the test is not run. The reason
 * names the deviation by its text, the list of tests by its identifier (errata.c).
 */
static bool is_beyond_software(void)
{
	const char *const erratum = erratum_of_test(current.name, is_known);

	return erratum && strncmp(erratum, "SW-", 3) == 0;
}

/* A failure may be a deviation that is known, and not listed. SW-n are tests that do not run. */
static bool is_of_processor(const char *erratum)
{
	return strncmp(erratum, "SW-", 3) != 0;
}

static void print_similar(void)
{
	const char *const erratum = erratum_of_test(current.name, is_of_processor);

	if (erratum)
		tap_diagnostic("%s looks like this (docs/errata.md); errata = %s expects it",
			       erratum, erratum);
}

static void report(void)
{
	const bool passed = current.failures == 0;
	const char *const erratum = erratum_of_test(current.name, is_known);

	if (erratum) {
		tap_result_expected(passed, current.name, erratum);
		*(passed ? &counts.unexpected : &counts.expected) += 1;
	} else {
		tap_result(passed, current.name);
		*(passed ? &counts.passed : &counts.failed) += 1;
	}
	if (passed)
		return;
	for (unsigned int i = 0; i < current.failures && i < FAILURES_MAX; i++) {
		if (current.failed[i].has_expected)
			tap_diagnostic("%s: expected 0x%llx, got 0x%llx", current.failed[i].what,
				       (unsigned long long)current.failed[i].expected,
				       (unsigned long long)current.failed[i].got);
		else
			tap_diagnostic("%s: 0x%llx", current.failed[i].what,
				       (unsigned long long)current.failed[i].got);
	}
	if (!erratum)
		print_similar();
	print_caught();
	fred_print_caught();
}

static void run_test(const struct test *test)
{
	current.failures = 0;
	current.skip_reason = NULL;
	current.aborted = false;
	catcher.count = 0;
	fred.count = 0;
	/* For a machine that hangs or resets: the last line of the log is the test that did it. */
	print("# %s", current.name);
	if (is_beyond_software()) {
		test_skip("what software FRED cannot trap: docs/softfred.md");
	} else if (__builtin_setjmp(after_test) == 0) {
		test->run(test->argument);
	}
	interrupts_off();
	if (has_fred())
		fred_reset();
	check_equal("an event that the test did not expect", current.aborted, false);
	if (current.skip_reason && current.failures == 0) {
		counts.skipped++;
		tap_skip(current.name, current.skip_reason);
		return;
	}
	report();
}

static bool is_wanted(const struct chapter *chapter, const struct test *test)
{
	format_string(current.name, sizeof(current.name), "%s.%s", chapter->name, test->name);
	return *options->tests == '\0' || pattern_matches(options->tests, current.name);
}

static void __attribute__((format(printf, 1, 2))) summarize(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	summary_length += (size_t)format_string_v(summary + summary_length,
						  SUMMARY_MAX - summary_length, format, arguments);
	va_end(arguments);
	if (summary_length >= SUMMARY_MAX)
		summary_length = SUMMARY_MAX - 1;
}

static void run_chapter(const struct chapter *chapter)
{
	unsigned int run = 0;

	memset(&counts, 0, sizeof(counts));
	for (size_t t = 0; t < chapter->count; t++) {
		if (!is_wanted(chapter, &chapter->tests[t]))
			continue;
		run++;
		if ((chapter->needs & NEEDS_FRED) && !has_fred()) {
			counts.skipped++;
			tap_skip(chapter->name, "no FRED");
			break;
		}
		run_test(&chapter->tests[t]);
	}
	if (run != 0)
		summarize("%-18s %6u %6u %7u %8u %10u\n", chapter->name, counts.passed,
			  counts.failed, counts.skipped, counts.expected, counts.unexpected);
}

/* As comments of TAP, so that it stays with the results. */
static void print_summary(void)
{
	for (const char *line = summary; *line != '\0';) {
		const char *const end = strchr(line, '\n');

		print("# %.*s", (int)(end - line), line);
		line = end + 1;
	}
}

bool suite_run(const struct suite_options *given)
{
	struct tap_counts total;

	options = given;
	summary_length = 0;
	tap_begin();
	if (!errata_have_tests())
		return false;
	summarize("%-18s %6s %6s %7s %8s %10s\n", "chapter", "passed", "failed", "skipped",
		  "expected", "unexpected");
	for (size_t c = 0; c < sizeof(chapters) / sizeof(chapters[0]); c++)
		if (!options->bare || !(chapters[c]->needs & NEEDS_VMM))
			run_chapter(chapters[c]);
	total = tap_end();
	print_summary();
	if (total.run == 0)
		print("# no test is called %s", options->tests);
	return total.run != 0 && total.failed == 0;
}

void guest_unexpected(const struct frame *frame)
{
	print("Bail out! %s: unexpected event, vector %llu error code 0x%llx at %02llx:0x%llx",
	      current.name[0] ? current.name : "start", (unsigned long long)frame->vector,
	      (unsigned long long)frame->error_code, (unsigned long long)frame->cs,
	      (unsigned long long)frame->rip);
	print("#   rflags 0x%llx stack %02llx:0x%llx cr2 0x%llx dr6 0x%llx, %u events caught "
	      "before",
	      (unsigned long long)frame->rflags, (unsigned long long)frame->ss,
	      (unsigned long long)frame->rsp, (unsigned long long)read_cr2(),
	      (unsigned long long)read_dr6(), catcher.count);
	guest_fail("unexpected event");
}
