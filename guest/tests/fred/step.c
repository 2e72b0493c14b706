// SPDX-License-Identifier: BSD-2-Clause
/*
 * Single steps across the delivery of events and the returns from them. Returns to frames with TF
 * that were made up are in erets.c and eretu.c.
 */
#include "guest/tests/fred/events.h"
#include "guest/suite/suite.h"

extern const char step_int_n_stepped[] asm("step_int_n.stepped"),
	step_syscall_stepped[] asm("step_syscall.stepped"),
	step_sysenter_stepped[] asm("step_sysenter.stepped"),
	step_int3_stepped[] asm("step_int3.stepped"), step_int1_stepped[] asm("step_int1.stepped"),
	step_ud2_stepped[] asm("step_ud2.stepped");

/* A fragment that sets TF, the event that it raises, and where the step is over. */
static const struct step_case {
	struct fragment fragment;
	enum fred_event_id id;
	const char *stepped;
} cases[] = {
	/* SS[17] in the frame: the instruction was the step; it is reported by the return. */
	{ FRAGMENT(step_int_n), FRED_EVENT_INT_80, step_int_n_saved },
	{ FRAGMENT(step_syscall), FRED_EVENT_SYSCALL, step_syscall_saved },
	{ FRAGMENT(step_sysenter), FRED_EVENT_SYSENTER, step_sysenter_saved },
	/* The others: the return's target is the step. */
	{ FRAGMENT(step_int3), FRED_EVENT_INT3, step_int3_stepped },
	{ FRAGMENT(step_int1), FRED_EVENT_INT1, step_int1_stepped },
};

#define STEP(ring, number) ((uint64_t)(ring) << 8 | (number))

static void step_over(uint64_t argument)
{
	const struct step_case *const c = &cases[argument & 0xff];
	const uint8_t ring = (uint8_t)(argument >> 8);
	/* Nobody sets RIP: the events are all traps. */
	const struct fragment fragment = { c->fragment.code, c->fragment.saved, NULL };
	struct fred_expected expected;

	fred_begin(&(struct fred_setup){ 0 });
	fragment_run(ring, &fragment, 0);
	fred_end();
	check_fred_caught(2);
	expected = fred_event_expected(c->id, ring);
	expected.rip = (uintptr_t)c->fragment.saved;
	expected.rflags |= RFLAGS_TF;
	check_fred_frame(0, &expected);
	check_equal("DR6 of the first", fred.events[0].dr6, DR6_RESET);
	expected = fred_event_expected(FRED_EVENT_DB_STEP, ring);
	expected.rip = (uintptr_t)c->stepped;
	check_fred_frame(1, &expected);
	check_equal("DR6 of the second", fred.events[1].dr6, DR6_RESET | DR6_BS);
}

/* The handler goes on behind an instruction that faulted: the next one is the step. */
static void step_after_fault(uint64_t argument)
{
	static const struct fragment step = FRAGMENT(step_ud2);
	const uint8_t ring = (uint8_t)argument;
	struct fred_expected expected;

	fred_begin(&(struct fred_setup){ 0 });
	fragment_run(ring, &step, 0);
	fred_end();
	check_fred_caught(2);
	expected = fred_event_expected(FRED_EVENT_UD, ring);
	expected.rip = (uintptr_t)step.saved;
	expected.rflags |= RFLAGS_TF;
	check_fred_frame(0, &expected);
	expected = fred_event_expected(FRED_EVENT_DB_STEP, ring);
	expected.rip = (uintptr_t)step_ud2_stepped;
	check_fred_frame(1, &expected);
}

/*
 * The return from the breakpoint's handler has RF = 1: the instruction runs, and is not hit again.
 * Those that a VMM may have to step over, FRED by software among others.
 */
#define BREAKPOINT_ON(name, text)                                                                \
	static void name(uint64_t argument)                                                      \
	{                                                                                        \
		uint8_t operand[16] = { 0 };                                                     \
		uint64_t address;                                                                \
                                                                                                 \
		(void)argument;                                                                  \
		if (!has_breakpoints()) {                                                        \
			test_skip("this processor ignores breakpoints in DR0");                  \
			return;                                                                  \
		}                                                                                \
		fred_begin(&(struct fred_setup){ 0 });                                           \
		asm volatile("leaq 1f(%%rip), %0\n\tmovq %0, %%dr0\n\tmovq %2, %%dr7\n1:\t" text \
			     : "=&r"(address), "+m"(operand)                                     \
			     : "r"(DR7_RESET | DR7_L0)                                           \
			     : "rax", "memory", "cc");                                           \
		write_dr7(DR7_RESET);                                                            \
		fred_end();                                                                      \
		check_fred_caught(1);                                                            \
		check_equal("vector", FRED_SS_VECTOR(fred.events[0].stack.frame.ss), VECTOR_DB); \
		check_equal("saved RIP", fred.events[0].stack.frame.rip, address);               \
	}

BREAKPOINT_ON(breakpoint_on_sidt, "sidt %1")
BREAKPOINT_ON(breakpoint_on_sgdt, "sgdt %1")
BREAKPOINT_ON(breakpoint_on_str, "str %%rax")
BREAKPOINT_ON(breakpoint_on_sldt, "sldt %%rax")

static const struct test tests[] = {
	{ "ring0_int_n", step_over, STEP(0, 0) },
	{ "ring0_syscall", step_over, STEP(0, 1) },
	{ "ring0_sysenter", step_over, STEP(0, 2) },
	{ "ring0_int3", step_over, STEP(0, 3) },
	{ "ring0_int1", step_over, STEP(0, 4) },
	{ "ring3_int_n", step_over, STEP(3, 0) },
	{ "ring3_syscall", step_over, STEP(3, 1) },
	{ "ring3_sysenter", step_over, STEP(3, 2) },
	{ "ring3_int3", step_over, STEP(3, 3) },
	{ "ring3_int1", step_over, STEP(3, 4) },
	{ "ring0_after_fault", step_after_fault, 0 },
	{ "ring3_after_fault", step_after_fault, 3 },
	{ "breakpoint_on_sidt", breakpoint_on_sidt, 0 },
	{ "breakpoint_on_sgdt", breakpoint_on_sgdt, 0 },
	{ "breakpoint_on_str", breakpoint_on_str, 0 },
	{ "breakpoint_on_sldt", breakpoint_on_sldt, 0 },
};

const struct chapter chapter_fred_step = FRED_CHAPTER("fred-step", tests);

/* Over an instruction that exits, interrupts on. */
static struct fred_expected step_over_exit(const struct fragment *fragment, uint64_t argument)
{
	struct fred_expected expected;

	fred_begin(&(struct fred_setup){ 0 });
	fragment_run(0, &(struct fragment){ fragment->code, fragment->saved, NULL }, argument);
	fred_end();
	expected = fred_event_expected(FRED_EVENT_DB_STEP, 0);
	expected.rip = (uintptr_t)fragment->saved;
	expected.rflags |= RFLAGS_IF;
	check_fred_frame(0, &expected);
	return expected;
}

static void step_over_hlt(uint64_t argument)
{
	static const struct fragment hlt = FRAGMENT(step_hlt);

	(void)argument;
	step_over_exit(&hlt, 0);
	check_fred_caught(1);
}

/* First the step, then the interrupt that came with it. */
static void step_before_interrupt(uint64_t argument)
{
	static const struct fragment vmcall = FRAGMENT(step_vmcall);
	struct fred_expected expected =
		step_over_exit(&vmcall, INJECT(EVENT_EXTERNAL_INTERRUPT, VECTOR_INTERRUPT));

	(void)argument;
	check_fred_caught(2);
	expected.type = EVENT_EXTERNAL_INTERRUPT;
	expected.vector = VECTOR_INTERRUPT;
	expected.event_data = 0;
	/* As the handler of the step has left them. */
	expected.rflags = RFLAGS_IF | RFLAGS_RF;
	check_fred_frame(1, &expected);
}

static const struct test vm_tests[] = {
	{ "over_hlt", step_over_hlt, 0 },
	{ "before_interrupt", step_before_interrupt, 0 },
};

const struct chapter chapter_fredvm_step = FRED_VM_CHAPTER("fredvm-step", vm_tests);
