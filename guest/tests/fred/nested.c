// SPDX-License-Identifier: BSD-2-Clause
/*
 * Exceptions while an event is being delivered: the page that its frame belongs into is not
 * present. What arrives is a #PF with the frame of the interrupted code and the nested flag, at the
 * level that STKLVLS has for it even when that code is in ring 3; or a double fault.
 */
#include "guest/tests/fred/events.h"
#include "guest/suite/suite.h"

#define VECTORS	    32
#define EVENT_LEVEL 1 /* of all exceptions but two, and of interrupts */
#define PF_LEVEL    2
#define DF_LEVEL    3
/* Fragments on a stack of which 64-byte frames would lie in the page below. */
#define STACK_LEFT 64
/* A stack pointer that IA32_FRED_RSPn takes, with nothing canonical below. */
#define LOWEST_CANONICAL 0xffff800000000000ULL

static uint64_t stklvls(void)
{
	uint64_t levels = 0;

	for (unsigned int vector = 0; vector < VECTORS; vector++)
		levels |= FRED_STKLVL(vector, vector == VECTOR_PF   ? PF_LEVEL
					      : vector == VECTOR_DF ? DF_LEVEL
								    : EVENT_LEVEL);
	return levels;
}

/* The page with the stack of this event, with levels as above. */
static const uint8_t *stack_of(enum fred_event_id id, unsigned int ring)
{
	const uint8_t vector = fred_event_case(id)->vector;
	const uint8_t level = fred_event_level(id, vector == VECTOR_PF ? PF_LEVEL : EVENT_LEVEL);

	if (ring == 3)
		return fred_stack_page(0);
	return level == 0 ? test_pages[0] : fred_stack_page(level);
}

/* The #DB of the step was lost on its way, and its handler with it. */
static void step_no_more(struct fred_stack *stack)
{
	stack->frame.rflags &= ~RFLAGS_TF;
}

/*
 * Cause the event with its stack absent. Fills in what the one event that comes of it tells about
 * the interrupted code; false when the test is skipped.
 */
static bool raise(uint64_t argument, struct fred_expected *expected)
{
	const enum fred_event_id id = FRED_CASE_EVENT(argument);
	const uint8_t ring = FRED_CASE_RING(argument);

	struct fred_setup setup = { .stklvls = stklvls(),
				    .interrupt_level = EVENT_LEVEL,
				    .hook = step_no_more,
				    .absent = stack_of(id, ring) };
	struct fred_expected event;

	if (setup.absent == test_pages[0])
		setup.rsp = (uintptr_t)test_pages[1] + STACK_LEFT;
	if (!fred_event_raise(id, ring, &setup))
		return false;
	if (fred_event_case(id)->type == EVENT_EXTERNAL_INTERRUPT)
		interrupt_acknowledge(); /* its handler has never run */
	fred_end();
	event = fred_event_expected(id, ring);
	*expected = (struct fred_expected){
		.type = EVENT_HARDWARE_EXCEPTION,
		.ring = ring,
		/* The instruction of a software event is not over. */
		.rip = event.rip - event.length,
		.rsp = event.rsp,
		.rflags = event.rflags | RFLAGS_RF,
	};
	check_fred_caught(1);
	return true;
}

static void nested_page_fault(uint64_t argument)
{
	struct fred_expected expected;

	if (!raise(argument, &expected))
		return;
	expected.vector = VECTOR_PF;
	expected.nested = true;
	expected.level = PF_LEVEL;
	expected.error_code = PF_WRITE;
	/* Which byte of the frame a processor writes first is its own business. */
	expected.event_data = fred.events[0].cr2;
	check_fred_frame(0, &expected);
	check_equal("page of the fault", fred.events[0].cr2 & ~PAGE_MASK,
		    (uintptr_t)stack_of(FRED_CASE_EVENT(argument), FRED_CASE_RING(argument)));
}

/*
 * #DF is never nested, and has its level of STKLVLS even from ring 3. RF is set for faults; this
 * is none, but an abort, whose RF nothing is said about.
 */
static void check_double_fault(struct fred_expected *expected)
{
	expected->rflags &= ~RFLAGS_RF;
	expected->rflags |= fred.events[0].stack.frame.rflags & RFLAGS_RF;
	expected->vector = VECTOR_DF;
	expected->level = DF_LEVEL;
	check_fred_frame(0, expected);
}

static void double_fault(uint64_t argument)
{
	struct fred_expected expected;

	if (raise(argument, &expected))
		check_double_fault(&expected);
}

/* The frame would lie at an address that is none: what comes is contributory. */
static void double_fault_non_canonical(uint64_t argument)
{
	const enum fred_event_id id = FRED_CASE_EVENT(argument);
	const struct fred_event_case *const c = fred_event_case(id);
	struct fred_expected expected;

	fred_begin(&(struct fred_setup){ .stklvls = stklvls() });
	write_msr(MSR_IA32_FRED_RSP1 + EVENT_LEVEL - 1, LOWEST_CANONICAL);
	write_msr(MSR_IA32_FRED_RSP1 + PF_LEVEL - 1, LOWEST_CANONICAL);
	fragment_run(0, &c->fragment, c->argument);
	fred_end();
	expected = fred_event_expected(id, 0);
	expected.error_code = 0;
	expected.event_data = 0;
	check_fred_caught(1);
	check_double_fault(&expected);
}

/* The VMM takes the stack of the nested #PF away, or that of the #DF: an exit in its delivery. */
static void unmap_handler(uint64_t argument)
{
	const uint64_t violations = exits(EXIT_REASON_EPT_VIOLATION);
	const bool is_pf = fred_event_case(FRED_CASE_EVENT(argument))->vector == VECTOR_PF;

	ept_unmap(fred_stack_page(is_pf ? DF_LEVEL : PF_LEVEL));
	if (FRED_CASE_LEVEL(argument) &&
	    hypercall(HYPERCALL_SNAPSHOT, 0, 0, 0, 0) != HYPERCALL_OK) {
		test_skip("the VMM cannot restore a vcpu here");
		return;
	}
	(is_pf ? double_fault : nested_page_fault)(argument);
	check_equal("EPT violations", exits(EXIT_REASON_EPT_VIOLATION) - violations, 1);
}

void fred_triple_fault(void)
{
	fred_begin(
		&(struct fred_setup){ .stklvls = stklvls(), .absent = fred_stack_page(PF_LEVEL) });
	page_set_rights(fred_stack_page(DF_LEVEL), 0);
	(void)*(volatile uint64_t *)UNMAPPED_ADDRESS;
}

#define NESTED(ring, id, name)                                                   \
	{                                                                        \
		"ring" #ring "_" name, nested_page_fault, FRED_CASE(ring, id, 0) \
	}
#define NESTED_BOTH(id, name) NESTED(0, id, name), NESTED(3, id, name)
#define DOUBLE_BOTH(id, name)                                                 \
	{ "ring0_double_fault_" name, double_fault, FRED_CASE(0, id, 0) },    \
	{                                                                     \
		"ring3_double_fault_" name, double_fault, FRED_CASE(3, id, 0) \
	}

static const struct test tests[] = {
	NESTED_BOTH(INT_80, "int_80"),
	NESTED_BOTH(INT_0E, "int_0e"),
	NESTED_BOTH(INT3, "int3"),
	NESTED_BOTH(INT1, "int1"),
	NESTED_BOTH(SYSCALL, "syscall"),
	NESTED_BOTH(SYSENTER, "sysenter"),
	NESTED_BOTH(UD, "ud"),
	NESTED_BOTH(NM, "nm"),
	NESTED_BOTH(MF, "mf"),
	NESTED_BOTH(XM, "xm"),
	NESTED_BOTH(DB_STEP, "db_step"),
	NESTED_BOTH(DB_CODE, "db_breakpoint"),
	NESTED_BOTH(DB_WATCH, "db_watchpoint"),
	NESTED(3, AC, "ac"),
	NESTED(0, INTERRUPT, "interrupt"),
	NESTED(3, INTERRUPT_USER, "interrupt"),
	/* Contributory, and then a #PF: handled one after the other. */
	NESTED_BOTH(DE, "de"),
	NESTED_BOTH(NP, "np"),
	NESTED_BOTH(SS, "ss"),
	NESTED_BOTH(GP, "gp"),
	DOUBLE_BOTH(READ, "pf_read"),
	DOUBLE_BOTH(WRITE, "pf_write"),
	DOUBLE_BOTH(FETCH, "pf_fetch"),
	{ "double_fault_de_non_canonical_stack", double_fault_non_canonical, FRED_CASE(0, DE, 0) },
	{ "double_fault_np_non_canonical_stack", double_fault_non_canonical, FRED_CASE(0, NP, 0) },
	{ "double_fault_gp_non_canonical_stack", double_fault_non_canonical, FRED_CASE(0, GP, 0) },
	{ "double_fault_pf_non_canonical_stack", double_fault_non_canonical,
	  FRED_CASE(0, READ, 0) },
};

const struct chapter chapter_fred_nested = FRED_CHAPTER("fred-nested", tests);

#define UNMAPPED(id, name)                                                               \
	{ "ring0_" name "_stack_unmapped", unmap_handler, FRED_CASE(0, id, 0) },         \
		{ "ring3_" name "_stack_unmapped", unmap_handler, FRED_CASE(3, id, 0) }, \
		{ "ring0_" name "_snapshot", unmap_handler, FRED_CASE(0, id, 1) },       \
	{                                                                                \
		"ring3_" name "_snapshot", unmap_handler, FRED_CASE(3, id, 1)            \
	}

static const struct test vm_tests[] = {
	UNMAPPED(INT_80, "int_80"),   UNMAPPED(INT3, "int3"),	    UNMAPPED(INT1, "int1"),
	UNMAPPED(SYSCALL, "syscall"), UNMAPPED(UD, "ud"),	    UNMAPPED(GP, "gp"),
	UNMAPPED(NP, "np"),	      UNMAPPED(DB_STEP, "db_step"), UNMAPPED(READ, "double_fault"),
};

const struct chapter chapter_fredvm_nested = FRED_VM_CHAPTER("fredvm-nested", vm_tests);
