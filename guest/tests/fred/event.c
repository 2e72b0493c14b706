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

/* INT3 in ring 0 with these flags: the frame has them, the handler none. */
static void flags_are_cleared(uint64_t flags)
{
	uint64_t behind, rsp;

	fred_begin(&(struct fred_setup){ 0 });
	asm volatile("movq %%rsp, %1\n\tleaq 1f(%%rip), %0\n\tpushfq\n\torq %2, (%%rsp)\n\t"
		     "popfq\n\tint3\n1:\tpushq $2\n\tpopfq"
		     : "=&r"(behind), "=&r"(rsp)
		     : "r"(flags)
		     : "memory", "cc");
	expect_fred_event(&(struct fred_expected){
		.type = EVENT_SOFTWARE_EXCEPTION,
		.vector = VECTOR_BP,
		.length = 1,
		.rip = behind,
		.rsp = rsp,
		.rflags = flags,
	});
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
	{ "ring0_clears_if", flags_are_cleared, RFLAGS_IF },
	{ "ring0_clears_df", flags_are_cleared, RFLAGS_DF },
	{ "ring0_clears_iopl", flags_are_cleared, RFLAGS_IOPL },
	{ "ring0_clears_nt", flags_are_cleared, RFLAGS_NT },
	{ "ring0_clears_ac", flags_are_cleared, RFLAGS_AC },
	{ "ring0_clears_id", flags_are_cleared, RFLAGS_ID },
	{ "ring0_clears_all", flags_are_cleared,
	  RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID },
	FRED_EVENTS_RING0(RING0) FRED_EVENTS_RING3(RING3)
};

const struct chapter chapter_fred_event = FRED_CHAPTER("fred-event", tests);
