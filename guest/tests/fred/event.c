// SPDX-License-Identifier: BSD-2-Clause
/*
 * Every event that software can cause, from ring 0 and ring 3: all that FRED's delivery leaves in
 * the frame and in the registers.
 */
#include "guest/tests/fred/events.h"
#include "guest/suite/suite.h"

static void event(uint64_t argument)
{
	const enum fred_event_id id = FRED_CASE_EVENT(argument);
	const uint8_t ring = FRED_CASE_RING(argument);
	struct fred_expected expected;

	if (!fred_event_raise(id, ring, &(struct fred_setup){ 0 }))
		return;
	fred_end();
	expected = fred_event_expected(id, ring);
	check_fred_caught(1);
	check_fred_event(0, id, &expected);
}

#define STAR_KERNEL_MASK (0xffffULL << 32)
#define RPL_MASK	 3ULL
#define BEYOND_GDT	 0x100U

/* Event data is of its event alone: none is left of a #PF before. */
static void no_stale_data(uint64_t argument)
{
	const enum fred_event_id id = FRED_CASE_EVENT(argument);
	struct fred_expected expected;

	if (!fred_event_raise(FRED_EVENT_READ, 0, &(struct fred_setup){ 0 }))
		return;
	fragment_run(0, &fred_event_case(id)->fragment, fred_event_case(id)->argument);
	fred_end();
	expected = fred_event_expected(id, 0);
	check_fred_caught(2);
	check_fred_frame(1, &expected);
	check_equal("CR2", fred.events[1].cr2, UNMAPPED_ADDRESS);
}

/* As fred_begin() found them. */
static void load_kernel_selectors(void)
{
	asm volatile("pushq %0\n\tleaq 1f(%%rip), %%rax\n\tpushq %%rax\n\tlretq\n1:\tmovl %1, %%ss"
		     :
		     : "i"(SELECTOR_KERNEL_CODE), "r"(SELECTOR_KERNEL_DATA)
		     : "rax", "memory");
}

/* From ring 3, CS and SS come from IA32_STAR[47:32] with RPL 0, and no descriptor is read. */
static void selectors_of_star(uint64_t selector)
{
	const enum fred_event_id id = FRED_EVENT_INT_80;
	struct fred_expected expected;

	fred_begin(&(struct fred_setup){ 0 });
	write_msr(MSR_IA32_STAR, (STAR_OF_GUEST & ~STAR_KERNEL_MASK) | selector << 32);
	fragment_run(3, &fred_event_case(id)->fragment, 0);
	load_kernel_selectors();
	write_msr(MSR_IA32_STAR, STAR_OF_GUEST);
	fred_end();
	expected = fred_event_expected(id, 3);
	expected.handler_cs = (uint16_t)(selector & ~RPL_MASK);
	check_fred_caught(1);
	check_fred_event(0, id, &expected);
}

#define RING0(id, name) { "ring0_" name, event, FRED_CASE(0, id, 0) },
#define RING3(id, name) { "ring3_" name, event, FRED_CASE(3, id, 0) },

static const struct test tests[] = {
	{ "no_data_of_pf_in_ud", no_stale_data, FRED_CASE(0, UD, 0) },
	{ "no_data_of_pf_in_gp", no_stale_data, FRED_CASE(0, GP, 0) },
	{ "no_data_of_pf_in_int3", no_stale_data, FRED_CASE(0, INT3, 0) },
	{ "no_data_of_pf_in_int_80", no_stale_data, FRED_CASE(0, INT_80, 0) },
	{ "no_data_of_pf_in_syscall", no_stale_data, FRED_CASE(0, SYSCALL, 0) },
	{ "ring3_star_with_rpl", selectors_of_star, SELECTOR_KERNEL_CODE | RPL_MASK },
	{ "ring3_star_beyond_gdt", selectors_of_star, BEYOND_GDT },
	{ "ring3_star_beyond_gdt_with_rpl", selectors_of_star, BEYOND_GDT | RPL_MASK },
	FRED_EVENTS_RING0(RING0) FRED_EVENTS_RING3(RING3)
};

const struct chapter chapter_fred_event = FRED_CHAPTER("fred-event", tests);
