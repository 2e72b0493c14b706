// SPDX-License-Identifier: BSD-2-Clause
/*
 * EPT violations in the middle of the delivery of an event: the stack, the IDT, the GDT or the
 * TSS is unmapped when the processor needs it. The handler must run exactly once, and find what it
 * would have found without.
 */
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"

#define WAIT_TURNS  20000
#define TIMER_TICKS 5000

enum raise {
	RAISE_INT_N,
	RAISE_INT3,
	RAISE_INT1,
	RAISE_UD,
	RAISE_PF,
	RAISE_GP,
	RAISE_DB,
	RAISE_NMI,
	RAISE_INTERRUPT,
	RAISE_TIMER,
};

/* Bits, in the order of unmap_pages(). */
enum page { PAGE_STACK = 1, PAGE_IDT = 2, PAGE_GDT = 4, PAGE_TSS = 8, PAGE_ALL = 15 };

/* A fragment, its argument, and what the handler must find. */
static const struct event_case {
	struct fragment fragment;
	uint64_t argument;
	unsigned int vector;
	uint64_t cr2;
	uint64_t dr6; /* the causes */
} cases[] = {
	[RAISE_INT_N] = { FRAGMENT(raise_int_n), 0, VECTOR_SOFTWARE, 0, 0 },
	[RAISE_INT3] = { FRAGMENT(raise_int3), 0, VECTOR_BP, 0, 0 },
	[RAISE_INT1] = { FRAGMENT(raise_int1), 0, VECTOR_DB, 0, 0 },
	[RAISE_UD] = { FRAGMENT(raise_ud2), 0, VECTOR_UD, 0, 0 },
	[RAISE_PF] = { FRAGMENT(raise_read), UNMAPPED_ADDRESS, VECTOR_PF, UNMAPPED_ADDRESS, 0 },
	[RAISE_GP] = { FRAGMENT(raise_read), NON_CANONICAL, VECTOR_GP, 0, 0 },
	[RAISE_DB] = { FRAGMENT(raise_step), 0, VECTOR_DB, 0, PENDING_DEBUG_BS },
	[RAISE_NMI] = { FRAGMENT(raise_injected), INJECT(EVENT_NMI, VECTOR_NMI), VECTOR_NMI, 0, 0 },
	[RAISE_INTERRUPT] = { FRAGMENT(raise_injected),
			      INJECT(EVENT_EXTERNAL_INTERRUPT, VECTOR_INTERRUPT), VECTOR_INTERRUPT,
			      0, 0 },
	[RAISE_TIMER] = { { raise_wait, raise_wait_saved, NULL },
			  WAIT_TURNS,
			  VECTOR_INTERRUPT,
			  0,
			  0 },
};

/* Returns how many. */
static unsigned int unmap_pages(unsigned int pages, enum ist ist)
{
	const uint8_t *const all[] = { stack_top_page(ist), idt_page, gdt_page, tss_page };
	unsigned int count = 0;

	for (unsigned int i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!(pages >> i & 1))
			continue;
		ept_unmap(all[i]);
		count++;
	}
	return count;
}

static void check_frame(const struct event_case *c, unsigned int ring, enum ist ist)
{
	const struct caught *const caught = &catcher.events[0];
	const uint64_t stack = (uintptr_t)stack_top_page(ist);
	const bool user_pf = ring == 3 && c->vector == VECTOR_PF;

	expect_event(c->vector, user_pf ? PF_USER : 0);
	if (!c->fragment.next)
		check("saved RIP is in the loop",
		      caught->frame.rip - (uintptr_t)raise_wait <=
			      (uint64_t)(raise_wait_saved - raise_wait));
	else
		check_equal("saved RIP", caught->frame.rip, (uintptr_t)c->fragment.saved);
	check_equal("saved CS", caught->frame.cs,
		    ring == 3 ? SELECTOR_USER_CODE : SELECTOR_KERNEL_CODE);
	check_equal("saved SS", caught->frame.ss,
		    ring == 3 ? SELECTOR_USER_DATA : SELECTOR_KERNEL_DATA);
	check_equal("saved RSP", caught->frame.rsp, fragment_rsp);
	check_equal("CR2", caught->cr2, c->cr2);
	check_equal("DR6", caught->dr6, DR6_RESET | c->dr6);
	check_equal("distance of the frame from the top of the stack",
		    stack + PAGE_SIZE - caught->frame_address, sizeof(struct frame));
}

#define CASE(raise, ring, pages) ((uint64_t)(raise) << 16 | (ring) << 8 | (pages))

static void deliver(uint64_t argument)
{
	const struct event_case *const c = &cases[argument >> 16];
	const unsigned int ring = argument >> 8 & 3;
	const unsigned int pages = argument & PAGE_ALL;
	/* In ring 0 only the interrupt stack table switches stacks; in ring 3 RSP0 does. */
	const enum ist ist = c->vector == VECTOR_NMI ? IST_NMI : ring == 0 ? IST_TEST : IST_NONE;
	uint64_t violations;
	unsigned int unmapped;

	gate_set_ist(c->vector, ist);
	catch_begin();
	violations = exits(EXIT_REASON_EPT_VIOLATION);
	if (!c->fragment.next)
		hypercall(HYPERCALL_TIMER, TIMER_TICKS, c->vector, 0, 0);
	unmapped = unmap_pages(pages, ist);
	if (c->vector == VECTOR_INTERRUPT)
		interrupts_on();
	fragment_run(ring, &c->fragment, c->argument);
	interrupts_off();
	violations = exits(EXIT_REASON_EPT_VIOLATION) - violations;
	gate_set_ist(c->vector, c->vector == VECTOR_NMI ? IST_NMI : IST_NONE);
	check_frame(c, ring, ist);
	check_equal("EPT violations", violations, unmapped);
}

#define ON_PAGES(name, raise, ring)                                    \
	{ name "_stack", deliver, CASE(raise, ring, PAGE_STACK) },     \
		{ name "_idt", deliver, CASE(raise, ring, PAGE_IDT) }, \
		{ name "_gdt", deliver, CASE(raise, ring, PAGE_GDT) }, \
		{ name "_tss", deliver, CASE(raise, ring, PAGE_TSS) }, \
		{ name "_all", deliver, CASE(raise, ring, PAGE_ALL) }, \
	{                                                              \
		name "_mapped", deliver, CASE(raise, ring, 0)          \
	}

static const struct test tests[] = {
	ON_PAGES("ring0_int_n", RAISE_INT_N, 0),
	ON_PAGES("ring0_int3", RAISE_INT3, 0),
	ON_PAGES("ring0_int1", RAISE_INT1, 0),
	ON_PAGES("ring0_ud", RAISE_UD, 0),
	ON_PAGES("ring0_pf", RAISE_PF, 0),
	ON_PAGES("ring0_gp", RAISE_GP, 0),
	ON_PAGES("ring0_db", RAISE_DB, 0),
	ON_PAGES("ring0_nmi", RAISE_NMI, 0),
	ON_PAGES("ring0_interrupt", RAISE_INTERRUPT, 0),
	ON_PAGES("ring3_int_n", RAISE_INT_N, 3),
	ON_PAGES("ring3_int3", RAISE_INT3, 3),
	ON_PAGES("ring3_int1", RAISE_INT1, 3),
	ON_PAGES("ring3_ud", RAISE_UD, 3),
	ON_PAGES("ring3_pf", RAISE_PF, 3),
	ON_PAGES("ring3_gp", RAISE_GP, 3),
	ON_PAGES("ring3_db", RAISE_DB, 3),
	ON_PAGES("ring3_interrupt", RAISE_TIMER, 3),
};

const struct chapter chapter_delivery = CHAPTER("delivery", tests);
