// SPDX-License-Identifier: BSD-2-Clause
/* Owns the list of chapters, and the result of the test that runs. */
#include "guest/suite.h"

#include "guest/machine.h"
#include "lib/format.h"
#include "lib/string.h"
#include "lib/tap.h"

#define NAME_MAX     96
#define FAILURES_MAX 8

static const struct chapter *const chapters[] = {
	&chapter_cpuid, &chapter_cr,	   &chapter_msr,  &chapter_vmx,
	&chapter_event, &chapter_delivery, &chapter_nmi,  &chapter_ept,
	&chapter_timer, &chapter_step,	   &chapter_misc, &chapter_io,
};

/* The test that runs. */
static struct {
	char name[NAME_MAX];
	const char *skip_reason;
	unsigned int failures;
	struct {
		const char *what;
		uint64_t got, expected;
	} failed[FAILURES_MAX];
} current;

bool pattern_matches(const char *pattern, const char *text)
{
	if (*pattern == '*')
		return pattern_matches(pattern + 1, text) ||
		       (*text && pattern_matches(pattern, text + 1));
	if (*pattern == '\0' || *text == '\0')
		return *pattern == *text;
	return (*pattern == '?' || *pattern == *text) && pattern_matches(pattern + 1, text + 1);
}

void check_equal(const char *what, uint64_t got, uint64_t expected)
{
	if (got == expected)
		return;
	if (current.failures < FAILURES_MAX) {
		current.failed[current.failures].what = what;
		current.failed[current.failures].got = got;
		current.failed[current.failures].expected = expected;
	}
	current.failures++;
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

static void run_test(const struct test *test)
{
	current.failures = 0;
	current.skip_reason = NULL;
	catcher.count = 0;
	test->run(test->argument);
	interrupts_off();
	if (current.skip_reason && current.failures == 0) {
		tap_skip(current.name, current.skip_reason);
		return;
	}
	if (tap_result(current.failures == 0, current.name))
		return;
	for (unsigned int i = 0; i < current.failures && i < FAILURES_MAX; i++)
		tap_diagnostic("%s: expected 0x%llx, got 0x%llx", current.failed[i].what,
			       (unsigned long long)current.failed[i].expected,
			       (unsigned long long)current.failed[i].got);
	print_caught();
}

bool suite_run(const char *pattern)
{
	tap_begin();
	for (size_t c = 0; c < sizeof(chapters) / sizeof(chapters[0]); c++) {
		for (size_t t = 0; t < chapters[c]->count; t++) {
			const struct test *const test = &chapters[c]->tests[t];

			format_string(current.name, sizeof(current.name), "%s.%s",
				      chapters[c]->name, test->name);
			if (*pattern == '\0' || pattern_matches(pattern, current.name))
				run_test(test);
		}
	}
	return tap_end().failed == 0;
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
