// SPDX-License-Identifier: BSD-2-Clause
/*
 * A second processor of this guest: its start, interrupts from one to the other, and translations
 * that the VMM takes away on one while the other uses them. Skipped in a guest with one.
 */
#include "guest/machine/machine.h"
#include "guest/machine/smp.h"
#include "guest/suite/suite.h"

#define SECOND	1
#define VALUE	0x0123456789abcdefULL
#define FLUSHES 16
#define IPIS	16

static bool have_second(void)
{
	if (second_start(VALUE))
		return true;
	test_skip("this guest has one processor");
	return false;
}

static void check_refused(const char *what, uint64_t index)
{
	check_equal(what, (uint64_t)hypercall(HYPERCALL_START, index, 0, 0, 0),
		    (uint64_t)HYPERCALL_INVALID);
}

static void start(uint64_t argument)
{
	(void)argument;
	if (!have_second())
		return;
	check_equal("RDI", second.argument, VALUE);
	check_refused("a second start", SECOND);
	check_refused("start of the caller", 0);
	check_refused("start of one that is not there", ~0ULL);
}

/* The other one has the translation in its TLB, and makes no exit of its own in between. */
static void unmap_elsewhere(uint64_t argument)
{
	uint64_t *const page = (uint64_t *)test_pages[0];

	(void)argument;
	if (!have_second())
		return;
	second.where = page;
	for (uint64_t i = 0; i < FLUSHES; i++) {
		*page = i;
		check("the second processor reads", second_give(SECOND_READ));
		check_equal("value", second.value, i);
		ept_unmap(page);
		check("the second processor reads again", second_give(SECOND_READ_AGAIN));
		check_equal("value, mapped again", second.value, i);
		check_equal("EPT violations of the second processor", second.violations, 1);
	}
}

static void interrupt_arrives(uint64_t how)
{
	if (!have_second())
		return;
	for (unsigned int i = 0; i < IPIS; i++) {
		const uint64_t done = second.done + 2;

		catch_begin();
		check("the second processor is ready", second_give((enum second_order)how));
		check_equal("result",
			    (uint64_t)hypercall(HYPERCALL_IPI, SECOND, VECTOR_INTERRUPT, 0, 0),
			    HYPERCALL_OK);
		check("the interrupt has come", second_wait(done));
		expect_event(VECTOR_INTERRUPT, 0);
	}
}

static void interrupt_refused(uint64_t argument)
{
	(void)argument;
	if (!have_second())
		return;
	check_equal("of a processor that is not there",
		    (uint64_t)hypercall(HYPERCALL_IPI, ~0ULL, VECTOR_INTERRUPT, 0, 0),
		    (uint64_t)HYPERCALL_INVALID);
	check_equal("with an exception's vector",
		    (uint64_t)hypercall(HYPERCALL_IPI, SECOND, VECTOR_UD, 0, 0),
		    (uint64_t)HYPERCALL_INVALID);
}

static const struct test tests[] = {
	{ "start", start, 0 },
	{ "unmap_elsewhere", unmap_elsewhere, 0 },
	{ "interrupt_arrives", interrupt_arrives, SECOND_SPIN },
	{ "interrupt_wakes", interrupt_arrives, SECOND_HALT },
	{ "interrupt_refused", interrupt_refused, 0 },
};

const struct chapter chapter_smp = CHAPTER("smp", tests);
