// SPDX-License-Identifier: BSD-2-Clause
/* NMI blocking: from the delivery of one to the end of its handler's IRET. */
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"
#include "lib/string.h"

#define NMI INJECT(EVENT_NMI, VECTOR_NMI)

static unsigned int caught_in_handler;

/* The first handler asks for a second NMI. */
static void ask_again(struct frame *frame)
{
	(void)frame;
	if (catcher.count != 1)
		return;
	inject(NMI, 0, 0, 0);
	cpuid(0, 0);
	caught_in_handler = catcher.count;
}

static void check_both(uint64_t behind)
{
	catch_end();
	check_caught(2);
	check_event(0, VECTOR_NMI, 0);
	check_event(1, VECTOR_NMI, 0);
	check_equal("events caught by the end of the first handler", caught_in_handler, 1);
	check_equal("saved RIP of the first", catcher.events[0].frame.rip, behind);
	check_equal("saved RIP of the second", catcher.events[1].frame.rip, behind);
	check_equal("saved RSP of the second", catcher.events[1].frame.rsp,
		    catcher.events[0].frame.rsp);
}

static void blocked_in_handler(uint64_t argument)
{
	(void)argument;
	catch_begin();
	catcher.hook = ask_again;
	check_both(inject(NMI, 0, 0, 0));
}

static void iret_unblocks(uint64_t argument)
{
	(void)argument;
	catch_begin();
	inject(NMI, 0, 0, 0);
	inject(NMI, 0, 0, 0);
	catch_end();
	check_caught(2);
}

/*
 * Asks for a second NMI and returns by an IRET that reads its frame from an unmapped page; the
 * general registers come from the page before it. The IRET is repeated, and NMIs must stay
 * blocked until it is through.
 */
static void return_from_unmapped(struct frame *frame)
{
	const size_t registers = offsetof(struct frame, rip);
	struct frame *const copy = (struct frame *)(test_pages[1] - registers);

	if (catcher.count != 1)
		return;
	ask_again(frame);
	*copy = *frame;
	ept_unmap(test_pages[1]);
	exception_return(copy);
}

static void iret_interrupted(uint64_t argument)
{
	const uint64_t violations = exits(EXIT_REASON_EPT_VIOLATION);

	(void)argument;
	catch_begin();
	catcher.hook = return_from_unmapped;
	check_both(inject(NMI, 0, 0, 0));
	check_equal("EPT violations", exits(EXIT_REASON_EPT_VIOLATION) - violations, 1);
}

/* An interrupt's IRET that is repeated must not leave NMIs blocked. */
static void other_iret_interrupted(uint64_t argument)
{
	(void)argument;
	catch_begin();
	catcher.hook = return_from_unmapped;
	inject(INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_UD), 0, 0, 0);
	catcher.hook = NULL;
	inject(NMI, 0, 0, 0);
	catch_end();
	check_caught(3);
	check_event(0, VECTOR_UD, 0);
	check_event(1, VECTOR_NMI, 0);
	check_event(2, VECTOR_NMI, 0);
}

/* NMI first, then the interrupt, which the NMI's handler holds off with IF=0. */
static void before_interrupt(uint64_t argument)
{
	(void)argument;
	catch_begin();
	inject(INJECT(EVENT_EXTERNAL_INTERRUPT, VECTOR_INTERRUPT), 0, 0, 0);
	inject(NMI, 0, 0, 0);
	interrupts_on();
	interrupts_off();
	catch_end();
	check_caught(2);
	check_event(0, VECTOR_NMI, 0);
	check_event(1, VECTOR_INTERRUPT, 0);
}

static const struct test tests[] = {
	{ "blocked_in_handler", blocked_in_handler, 0 },
	{ "iret_unblocks", iret_unblocks, 0 },
	{ "iret_interrupted_keeps_blocked", iret_interrupted, 0 },
	{ "iret_of_other_handler_interrupted", other_iret_interrupted, 0 },
	{ "before_interrupt", before_interrupt, 0 },
};

const struct chapter chapter_nmi = CHAPTER("nmi", tests);
