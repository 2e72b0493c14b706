// SPDX-License-Identifier: BSD-2-Clause
/* The virtual clock, HLT, and physical interrupts that the VMM takes. */
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"

#define TICKS	  20000
#define WAIT_MAX  100000000ULL
#define TURNS_MAX 10000000ULL
#define TOLERANCE 10000 /* of ticks between the end of the time and the handler, or its start */
/* System management mode may take any time away, but not each time. */
#define ATTEMPTS 10

static bool timer_works;

static void arm(uint64_t ticks)
{
	catch_begin();
	check_equal("result", (uint64_t)hypercall(HYPERCALL_TIMER, ticks, VECTOR_INTERRUPT, 0, 0),
		    HYPERCALL_OK);
}

static uint64_t wait_for_event(uint64_t start)
{
	while (*(volatile unsigned int *)&catcher.count == 0 && read_tsc() - start < WAIT_MAX)
		;
	return read_tsc() - start;
}

static uint64_t fire_once(uint64_t ticks)
{
	uint64_t start, passed;

	arm(ticks);
	start = read_tsc();
	interrupts_on();
	passed = wait_for_event(start);
	while (read_tsc() - start < 4 * ticks)
		;
	interrupts_off();
	expect_event(VECTOR_INTERRUPT, 0);
	return passed;
}

static void fires_once(uint64_t ticks)
{
	bool early = true, late = true;

	for (unsigned int i = 0; i < ATTEMPTS && (early || late); i++) {
		const uint64_t passed = fire_once(ticks);

		/* The time began before: in the VMM. */
		early = passed + TOLERANCE <= ticks;
		late = passed >= ticks + TOLERANCE;
	}
	check("not much too early", !early);
	check("not much too late", !late);
	timer_works = catcher.count == 1;
}

static uint64_t fire_among_exits(void)
{
	uint64_t start, passed;

	arm(TICKS);
	start = read_tsc();
	interrupts_on();
	while (*(volatile unsigned int *)&catcher.count == 0 && read_tsc() - start < WAIT_MAX)
		cpuid(0, 0);
	passed = read_tsc() - start;
	interrupts_off();
	expect_event(VECTOR_INTERRUPT, 0);
	return passed;
}

static void survives_exits(uint64_t argument)
{
	bool late = true;

	(void)argument;
	for (unsigned int i = 0; i < ATTEMPTS && late; i++)
		late = fire_among_exits() >= 20 * (TICKS + TOLERANCE);
	check("not much too late for a clock that stands still in the VMM", !late);
}

static void waits_for_sti(uint64_t argument)
{
	uint64_t start;

	(void)argument;
	arm(TICKS);
	start = read_tsc();
	while (read_tsc() - start < 3 * TICKS)
		;
	check_caught(0);
	interrupts_on();
	interrupts_off();
	expect_event(VECTOR_INTERRUPT, 0);
}

static void preempts(uint64_t argument)
{
	uint64_t turns = TURNS_MAX;

	(void)argument;
	arm(TICKS);
	interrupts_on();
	asm volatile("1:\tdecq %0\n\tjz 2f\n\tcmpl $0, %1\n\tje 1b\n2:"
		     : "+r"(turns)
		     : "m"(catcher.count)
		     : "cc", "memory");
	interrupts_off();
	expect_event(VECTOR_INTERRUPT, 0);
}

/* HLT with nothing to wake it up would be the end: only when the clock works. */
static void hlt_wakes(uint64_t argument)
{
	uint64_t behind;

	(void)argument;
	if (!timer_works) {
		test_skip("the clock does not work");
		return;
	}
	arm(TICKS);
	asm volatile("leaq 1f(%%rip), %0\n\tsti\n\thlt\n1:\tcli" : "=r"(behind) : : "memory");
	expect_event(VECTOR_INTERRUPT, 0);
	check_equal("saved RIP", catcher.events[0].frame.rip, behind);
}

static void hlt_with_pending_interrupt(uint64_t argument)
{
	uint64_t behind;

	(void)argument;
	catch_begin();
	inject(INJECT(EVENT_EXTERNAL_INTERRUPT, VECTOR_INTERRUPT), 0, 0, 0);
	asm volatile("leaq 1f(%%rip), %0\n\tsti\n\thlt\n1:\tcli" : "=r"(behind) : : "memory");
	expect_event(VECTOR_INTERRUPT, 0);
	check_equal("saved RIP", catcher.events[0].frame.rip, behind);
}

/* Only the clock's interrupt, of a higher class, ends HLT; the other one comes when CR8 falls. */
static void hlt_with_held_back_interrupt(uint64_t argument)
{
	const unsigned int vector = VECTOR_INTERRUPT - 0x10;
	uint64_t behind;

	(void)argument;
	if (!timer_works) {
		test_skip("the clock does not work");
		return;
	}
	arm(TICKS);
	write_cr8(vector >> 4);
	inject(INJECT(EVENT_EXTERNAL_INTERRUPT, vector), 0, 0, 0);
	asm volatile("leaq 1f(%%rip), %0\n\tsti\n\thlt\n1:\tcli" : "=r"(behind) : : "memory");
	check_caught(1);
	write_cr8(0);
	interrupts_on();
	interrupts_off();
	catch_end();
	check_caught(2);
	check_event(0, VECTOR_INTERRUPT, 0);
	check_event(1, vector, 0);
	check_equal("saved RIP", catcher.events[0].frame.rip, behind);
}

static void physical_interrupt(uint64_t argument)
{
	const uint64_t before = exits(EXIT_REASON_EXTERNAL_INTERRUPT);
	bool wanted;

	(void)argument;
	catch_begin();
	interrupts_on();
	wanted = hypercall(HYPERCALL_SELF_INTERRUPT, VECTOR_INTERRUPT, 0, 0, 0) == HYPERCALL_OK;
	wait_for_event(read_tsc());
	interrupts_off();
	expect_event(VECTOR_INTERRUPT, 0);
	check("external-interrupt exits",
	      !wanted || exits(EXIT_REASON_EXTERNAL_INTERRUPT) != before);
}

/* Its exit may come while the guest cannot take it. */
static void physical_interrupt_waits_for_sti(uint64_t argument)
{
	(void)argument;
	catch_begin();
	hypercall(HYPERCALL_SELF_INTERRUPT, VECTOR_INTERRUPT, 0, 0, 0);
	cpuid(0, 0);
	check_caught(0);
	interrupts_on();
	wait_for_event(read_tsc());
	interrupts_off();
	expect_event(VECTOR_INTERRUPT, 0);
}

static const struct test tests[] = {
	{ "fires_once", fires_once, TICKS },
	{ "fires_once_after_long", fires_once, 40 * TICKS },
	{ "survives_exits", survives_exits, 0 },
	{ "waits_for_sti", waits_for_sti, 0 },
	{ "preempts_a_busy_loop", preempts, 0 },
	{ "hlt_wakes_up", hlt_wakes, 0 },
	{ "hlt_with_pending_interrupt", hlt_with_pending_interrupt, 0 },
	{ "hlt_with_held_back_interrupt", hlt_with_held_back_interrupt, 0 },
	{ "physical_interrupt_arrives_once", physical_interrupt, 0 },
	{ "physical_interrupt_waits_for_sti", physical_interrupt_waits_for_sti, 0 },
};

const struct chapter chapter_timer = CHAPTER("timer", tests);
