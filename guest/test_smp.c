// SPDX-License-Identifier: BSD-2-Clause
/*
 * A second processor of this guest: its start, interrupts from one to the other, and translations
 * that the VMM takes away on one while the other uses them. Skipped in a guest with one.
 */
#include "guest/machine.h"
#include "guest/suite.h"

#define SECOND	   1
#define STACK_SIZE 0x1000
#define WAIT_MAX   100000000ULL
#define VALUE	   0x0123456789abcdefULL
#define FLUSHES	   16
#define IPIS	   16

/* What the first asks the second to do, and its answer. */
enum order { ORDER_NONE, ORDER_READ, ORDER_READ_AGAIN, ORDER_HALT };

static uint8_t stack[STACK_SIZE] __attribute__((aligned(16)));
static volatile enum order order;
static volatile uint64_t *volatile where;
static volatile uint64_t argument_seen, value_seen, violations_seen, orders_done;
static bool started;

static void carry_out(enum order what)
{
	static uint64_t violations;

	if (what == ORDER_HALT) {
		orders_done++;
		asm volatile("sti\n\thlt\n\tcli" : : : "memory");
		orders_done++;
		return;
	}
	/* No hypercall just before the second read: its exit could empty the TLB. */
	if (what == ORDER_READ)
		violations = exits(EXIT_REASON_EPT_VIOLATION);
	value_seen = *where;
	if (what == ORDER_READ_AGAIN)
		violations_seen = exits(EXIT_REASON_EPT_VIOLATION) - violations;
	orders_done++;
}

static void second(uint64_t argument)
{
	machine_init_second();
	argument_seen = argument;
	for (;;) {
		const enum order what = order;

		if (what == ORDER_NONE)
			continue;
		order = ORDER_NONE;
		carry_out(what);
	}
}

static bool wait_until(const volatile uint64_t *counter, uint64_t value)
{
	const uint64_t start = read_tsc();

	while (*counter != value)
		if (read_tsc() - start > WAIT_MAX)
			return false;
	return true;
}

static bool give(enum order what)
{
	const uint64_t done = orders_done + 1;

	order = what;
	return wait_until(&orders_done, done);
}

static bool start_second(void)
{
	long result;

	machine_prepare_second();
	result = hypercall(HYPERCALL_START, SECOND, (uint64_t)second,
			   (uint64_t)(stack + sizeof(stack) - sizeof(uint64_t)), VALUE);

	if (result != HYPERCALL_OK)
		return false;
	started = wait_until(&argument_seen, VALUE);
	return started;
}

/* The first test starts it, the others want it. */
static bool have_second(void)
{
	if (!started && argument_seen == 0 && !start_second()) {
		test_skip("this guest has one processor");
		return false;
	}
	check("the second processor has started", started);
	return started;
}

static void start(uint64_t argument)
{
	(void)argument;
	if (!have_second())
		return;
	check_equal("RDI", argument_seen, VALUE);
	check_equal("a second start",
		    (uint64_t)hypercall(HYPERCALL_START, SECOND, (uint64_t)second, 0, 0),
		    (uint64_t)HYPERCALL_INVALID);
	check_equal("start of the caller", (uint64_t)hypercall(HYPERCALL_START, 0, 0, 0, 0),
		    (uint64_t)HYPERCALL_INVALID);
	check_equal("start of one that is not there",
		    (uint64_t)hypercall(HYPERCALL_START, ~0ULL, 0, 0, 0),
		    (uint64_t)HYPERCALL_INVALID);
}

/* The other one has the translation in its TLB, and makes no exit of its own in between. */
static void unmap_elsewhere(uint64_t argument)
{
	uint64_t *const page = (uint64_t *)test_pages[0];

	(void)argument;
	if (!have_second())
		return;
	where = page;
	for (uint64_t i = 0; i < FLUSHES; i++) {
		*page = i;
		check("the second processor reads", give(ORDER_READ));
		check_equal("value", value_seen, i);
		ept_unmap(page);
		check("the second processor reads again", give(ORDER_READ_AGAIN));
		check_equal("value, mapped again", value_seen, i);
		check_equal("EPT violations of the second processor", violations_seen, 1);
	}
}

/* It halts with interrupts on, and nothing else wakes it. */
static void interrupt_wakes(uint64_t argument)
{
	(void)argument;
	if (!have_second())
		return;
	for (unsigned int i = 0; i < IPIS; i++) {
		const uint64_t done = orders_done + 2; /* before it halts, and behind */

		check("the second processor goes to halt", give(ORDER_HALT));
		catch_begin();
		check_equal("result",
			    (uint64_t)hypercall(HYPERCALL_IPI, SECOND, VECTOR_INTERRUPT, 0, 0),
			    HYPERCALL_OK);
		check("the second processor wakes", wait_until(&orders_done, done));
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
	{ "interrupt_wakes", interrupt_wakes, 0 },
	{ "interrupt_refused", interrupt_refused, 0 },
};

const struct chapter chapter_smp = CHAPTER("smp", tests);
