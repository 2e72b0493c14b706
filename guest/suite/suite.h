/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tests and their results. A chapter is a file test_NAME.c with a table of tests; one test is one
 * line of TAP. Checks that fail are explained below that line: expected, and got.
 */
#ifndef GUEST_SUITE_SUITE_H
#define GUEST_SUITE_SUITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame;

struct test {
	const char *name;
	void (*run)(uint64_t argument);
	uint64_t argument;
};

/* What a chapter needs; without it the chapter is one skipped line. */
enum chapter_needs {
	NEEDS_VMM = 1, /* the hypercalls: never run on the bare machine */
	NEEDS_FRED = 2,
};

struct chapter {
	const char *name;
	const struct test *tests;
	size_t count;
	unsigned int needs;
};

#define CHAPTER_NEEDING(needs, name, tests)                            \
	{                                                              \
		name, tests, sizeof(tests) / sizeof((tests)[0]), needs \
	}

/* A chapter about the VMM; one about FRED, on the bare machine as well; one about both. */
#define CHAPTER(name, tests)	     CHAPTER_NEEDING(NEEDS_VMM, name, tests)
#define FRED_CHAPTER(name, tests)    CHAPTER_NEEDING(NEEDS_FRED, name, tests)
#define FRED_VM_CHAPTER(name, tests) CHAPTER_NEEDING(NEEDS_FRED | NEEDS_VMM, name, tests)

/* The chapters as they run; test_NAME.c has chapter_NAME, and sometimes one more. */
#define CHAPTERS(X)         \
	X(cpuid)            \
	X(cr)               \
	X(msr)              \
	X(vmx)              \
	X(event)            \
	X(delivery)         \
	X(nmi)              \
	X(ept)              \
	X(timer)            \
	X(step)             \
	X(misc)             \
	X(compat)           \
	X(io)               \
	X(smp)              \
	X(fred_event)       \
	X(fred_level)       \
	X(fred_nested)      \
	X(fred_step)        \
	X(fred_nmi)         \
	X(fred_msr)         \
	X(fred_cr4)         \
	X(fred_lkgs)        \
	X(fred_ud)          \
	X(fred_erets)       \
	X(fred_eretu)       \
	X(fred_far)         \
	X(fred_entry32)     \
	X(fred_shadow)      \
	X(fred_cet)         \
	X(fred_length)      \
	X(fredvm_delivery)  \
	X(fredvm_entry32)   \
	X(fredvm_nested)    \
	X(fredvm_snapshot)  \
	X(fredvm_intercept) \
	X(fredvm_inject)    \
	X(fredvm_step)

#define CHAPTER_DECLARE(name) extern const struct chapter chapter_##name;
CHAPTERS(CHAPTER_DECLARE)
#undef CHAPTER_DECLARE

struct suite_options {
	const char *tests;  /* pattern of CHAPTER.NAME; "": all */
	const char *errata; /* identifiers that the platform is known for, with commas between */
	bool bare;	    /* no VMM below */
};

/* Run the tests; true when none failed. */
bool suite_run(const struct suite_options *options);
/* The test that runs has failed: an event that it did not ask for. Goes on with the next one. */
_Noreturn void suite_abort_test(void);

/*
 * errata.c: the deviation, of those that the platform is known for, that makes this test fail;
 * NULL: none.
 */
const char *erratum_of_test(const char *name, bool (*is_known)(const char *erratum));
/* Does the identifier, so many characters long, explain any test? */
bool erratum_has_tests(const char *identifier, size_t length);

/* `*` stands for any text, `?` for one character. */
bool pattern_matches(const char *pattern, const char *text);

/* In a test. A failed check does not end the test. */
void check_equal(const char *what, uint64_t got, uint64_t expected);
void check(const char *what, bool true_if_passed);
/* A check that has failed for this value of what was tried. */
void check_failed(const char *what, uint64_t value);
/* So many events were caught. */
void check_caught(unsigned int expected);
/* The event with this number (from 0) was caught, and is this one. */
void check_event(unsigned int number, unsigned int vector, uint64_t error_code);
/* Exactly one event was caught, and it is this one. Ends catching. */
void expect_event(unsigned int vector, uint64_t error_code);
/* No event was caught. Ends catching. */
void expect_no_event(void);
void test_skip(const char *reason);

/* One line to the log. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* End the guest as failed. */
_Noreturn void guest_fail(const char *why);
_Noreturn void guest_unexpected(const struct frame *frame);

/* tests/fred/nested.c: neither the #PF nor the #DF after it has a stack. */
void fred_triple_fault(void);

/*
 * bench/switch.c: check every register over so many switches of the processor between guests; true
 * when none has changed. spin: never give way, so that turns end by their time.
 */
bool switch_run(uint64_t count, uint64_t seed, bool spin);
/* Fill x87, vector registers and PKRU with something. */
void switch_fill_extended(void);

/* bench/exits.c: exits, FRED's events (on the bare machine, too), and one delivery step by step. */
void bench_run(void);
void bench_run_events(void);
void bench_run_timeline(void);
/* What a switch to another guest costs; that has another seed than 0. */
void bench_run_switch(uint64_t seed);
/* From one processor to another; wants two. */
void bench_run_ipi(void);

#endif
