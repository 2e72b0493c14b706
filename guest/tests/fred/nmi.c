// SPDX-License-Identifier: BSD-2-Clause
/*
 * NMIs: blocked from the delivery of one to a return with bit 18 of the saved SS. The NMI comes
 * from the VMM, or on the bare machine from the local APIC.
 */
#include "guest/tests/fred/return.h"
#include "guest/suite/suite.h"

#define CPUID_7_1_EAX_NMI_SOURCE (1U << 20)
#define NMI_LEVEL		 1U /* for NMIs of ring 0 */

static bool send_nmi(void)
{
	if (nmi_self()) {
		interrupts_settle();
		return true;
	}
	test_skip("no local APIC");
	return false;
}

/* Only where it came is not known; and with NMI-source reporting event data tells who sent it. */
static void check_nmi(unsigned int number, struct fred_expected expected)
{
	const struct fred_frame *const frame = &fred.events[number].stack.frame;

	if (cpuid(7, 1).eax & CPUID_7_1_EAX_NMI_SOURCE)
		expected.event_data = frame->event_data;

	expected.type = EVENT_NMI;
	expected.vector = VECTOR_NMI;
	if (expected.rip == 0)
		expected.rip = frame->rip;
	if (expected.rsp == 0)
		expected.rsp = frame->rsp;
	check_fred_frame(number, &expected);
}

static void delivered(uint64_t level)
{
	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_NMI, level) });
	if (!send_nmi())
		return;
	fred_end();
	check_fred_caught(1);
	check_nmi(0, (struct fred_expected){ .level = (uint8_t)level });
}

/* Whatever the test did: the next one begins with NMIs not blocked. */
static void end_unblocked(void)
{
	struct fred_frame *const frame = return_frame_ring0();

	frame->rip = (uintptr_t)fred_returned;
	frame->ss |= FRED_SS_NMI;
	fred_try_erets(frame);
	interrupts_settle();
	fred_end();
}

/* A #PF while an NMI is delivered: nested, with a level of its own, and no NMI's frame. */
static void nested_page_fault(uint64_t argument)
{
	const uint8_t *const stack = fred_stack_page(NMI_LEVEL);
	struct fred_expected expected = {
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_PF,
		.error_code = PF_WRITE,
		.nested = true,
		.level = NMI_LEVEL + 1,
	};

	(void)argument;
	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_NMI, NMI_LEVEL) |
						    FRED_STKLVL(VECTOR_PF, NMI_LEVEL + 1),
					 .absent = stack });
	if (!send_nmi())
		return;
	end_unblocked();
	check_fred_caught(1);
	expected.rip = fred.events[0].stack.frame.rip;
	expected.rsp = fred.events[0].stack.frame.rsp;
	expected.rflags = RFLAGS_RF;
	expected.event_data = fred.events[0].cr2;
	check_fred_frame(0, &expected);
	check_equal("page of the fault", fred.events[0].cr2 & ~PAGE_MASK, (uintptr_t)stack);
}

static unsigned int caught_in_handler;

/* The first handler sends a second NMI. */
static void send_again(struct fred_stack *stack)
{
	(void)stack;
	if (fred.count != 1)
		return;
	send_nmi();
	caught_in_handler = fred.count;
}

static void blocked_in_handler(uint64_t argument)
{
	(void)argument;
	fred_begin(&(struct fred_setup){ .hook = send_again });
	if (!send_nmi())
		return;
	fred_end();
	check_fred_caught(2);
	check_equal("events caught by the end of the first handler", caught_in_handler, 1);
	check_nmi(0, (struct fred_expected){ 0 });
	check_nmi(1, (struct fred_expected){ .rip = fred.events[0].stack.frame.rip,
					     .rsp = fred.events[0].stack.frame.rsp });
}

/* The first handler returns with NMIs blocked; all return to where the NMI came. */
static void keep_blocked(struct fred_stack *stack)
{
	if (fred.count == 1)
		stack->frame.ss &= ~FRED_SS_NMI;
	if (FRED_SS_TYPE(stack->frame.ss) == EVENT_NMI)
		stack->frame.rip = fred.events[fred.count - 1].stack.frame.rip;
}

/* FRED is on, NMIs are blocked, and one is waiting. */
static bool begin_blocked(void)
{
	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_NMI, NMI_LEVEL),
					 .hook = keep_blocked });
	if (!send_nmi() || !send_nmi())
		return false;
	check_equal("events caught while NMIs are blocked", fred.count, 1);
	return true;
}

/* IRET to where it came from. */
static void iret(void)
{
	asm volatile("movq %%rsp, %%rax\n\tpushq %0\n\tpushq %%rax\n\tpushfq\n\tpushq %1\n\t"
		     "leaq 1f(%%rip), %%rax\n\tpushq %%rax\n\tiretq\n1:"
		     :
		     : "i"(SELECTOR_KERNEL_DATA), "i"(SELECTOR_KERNEL_CODE)
		     : "rax", "memory", "cc");
}

enum way { ERETS_WITH, ERETS_WITHOUT, ERETS_FAULTS, ERETU_WITH, ERETU_WITHOUT, ERETU_FAULTS, IRET };

/* Take one way back: with SS bit 18 or without, or with a frame that faults. */
static void go_back(enum way way)
{
	const bool user = way == ERETU_WITH || way == ERETU_WITHOUT || way == ERETU_FAULTS;
	struct fred_frame *const frame = user ? return_frame_ring3() : return_frame_ring0();

	frame->rip = (uintptr_t)(user ? user_leave : fred_returned);
	if (way != ERETS_WITHOUT && way != ERETU_WITHOUT)
		frame->ss |= FRED_SS_NMI;
	if (way == ERETS_FAULTS || way == ERETU_FAULTS)
		frame->rflags |= RFLAGS_VM;
	if (way == IRET)
		iret();
	else if (user)
		fred_try_eretu(frame);
	else
		fred_try_erets(frame);
	interrupts_settle();
}

/* Does this way back let the waiting NMI in? */
static void unblocked_by(uint64_t way)
{
	const bool faults = way == ERETS_FAULTS || way == ERETU_FAULTS;
	const bool unblocks = way == ERETS_WITH || way == ERETU_WITH || way == IRET;
	unsigned int count;

	if (!begin_blocked())
		return;
	go_back((enum way)way);
	count = fred.count;
	end_unblocked();
	check_equal("events caught after the return", count, 1U + unblocks + faults);
	check_fred_caught(2U + faults);
	/* From ring 3 STKLVLS has no say. */
	if (way == ERETU_WITH)
		check_nmi(1, (struct fred_expected){ .ring = 3,
						     .rip = (uintptr_t)user_leave,
						     .rsp = user_stack_top(),
						     .rflags = RFLAGS_IF });
	else
		check_nmi(1U + faults, (struct fred_expected){ .level = NMI_LEVEL });
}

static const struct test tests[] = {
	{ "level_0", delivered, 0 },
	{ "level_1", delivered, 1 },
	{ "level_2", delivered, 2 },
	{ "level_3", delivered, 3 },
	{ "nested_page_fault", nested_page_fault, 0 },
	{ "blocked_in_handler", blocked_in_handler, 0 },
	{ "erets_with_bit_18_unblocks", unblocked_by, ERETS_WITH },
	{ "erets_without_keeps_blocked", unblocked_by, ERETS_WITHOUT },
	{ "erets_that_faults_keeps_blocked", unblocked_by, ERETS_FAULTS },
	{ "eretu_with_bit_18_unblocks", unblocked_by, ERETU_WITH },
	{ "eretu_without_keeps_blocked", unblocked_by, ERETU_WITHOUT },
	{ "eretu_that_faults_keeps_blocked", unblocked_by, ERETU_FAULTS },
	{ "iret_unblocks", unblocked_by, IRET },
};

const struct chapter chapter_fred_nmi = FRED_CHAPTER("fred-nmi", tests);
