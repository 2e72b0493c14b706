// SPDX-License-Identifier: BSD-2-Clause
/*
 * The shadows of STI and MOV SS: what the frame says of them (SS[16] is STI's), and that interrupts
 * wait until they are over, before and after ERETS.
 */
#include "guest/tests/fred/return.h"
#include "guest/suite/suite.h"

#define UD2_LENGTH 2

/*
 * The instruction `text`, of so many bytes, behind `before`. `at` becomes its address, `rsp` the
 * stack pointer there.
 */
#define AFTER(name, before, text)                                                                 \
	static void name(uint64_t *at, uint64_t *rsp)                                             \
	{                                                                                         \
		asm volatile(TRY("leaq 1f(%%rip), %0\n\tmovq %%rsp, %1\n\t" before "\n1:\t" text) \
			     : "=&b"(*at), "=&d"(*rsp)                                            \
			     : "a"(SELECTOR_KERNEL_DATA),                                         \
			       "c"(UNMAPPED_ADDRESS), [flag_if] "i"(RFLAGS_IF)                    \
			     : "r11", "memory", "cc");                                            \
	}

AFTER(sti_int_n, "sti", "int $0x80")
AFTER(sti_int3, "sti", "int3")
AFTER(sti_int1, "sti", ".byte 0xf1")
AFTER(sti_ud2, "sti", "ud2")
AFTER(sti_pf, "sti", "movq (%%rcx), %%rax")
AFTER(sti_syscall, "sti", "syscall")
AFTER(sti_sysenter, "sti", "sysenter")
AFTER(sti_nop_ud2, "sti\n\tnop", "ud2")
AFTER(sti_sti_ud2, "sti\n\tnop\n\tsti", "ud2")
AFTER(sti_cli_ud2, "sti\n\tcli", "ud2")
AFTER(popf_ud2, "pushfq\n\torq %[flag_if], (%%rsp)\n\tpopfq", "ud2")
AFTER(mov_ss_int_n, "movl %%eax, %%ss", "int $0x80")
AFTER(mov_ss_ud2, "movl %%eax, %%ss", "ud2")
AFTER(mov_ss_ud2_if, "sti\n\tnop\n\tmovl %%eax, %%ss", "ud2")

static const struct shadow {
	void (*run)(uint64_t *at, uint64_t *rsp);
	uint8_t type, vector, length;
	bool sti, interrupts;
} shadows[] = {
	{ sti_int_n, EVENT_SOFTWARE_INTERRUPT, VECTOR_SOFTWARE, 2, true, true },
	{ sti_int3, EVENT_SOFTWARE_EXCEPTION, VECTOR_BP, 1, true, true },
	{ sti_int1, EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB, 1, true, true },
	{ sti_ud2, EVENT_HARDWARE_EXCEPTION, VECTOR_UD, 0, true, true },
	{ sti_pf, EVENT_HARDWARE_EXCEPTION, VECTOR_PF, 0, true, true },
	{ sti_syscall, EVENT_OTHER, FRED_VECTOR_SYSCALL, 2, true, true },
	{ sti_sysenter, EVENT_OTHER, FRED_VECTOR_SYSENTER, 2, true, true },
	{ sti_nop_ud2, EVENT_HARDWARE_EXCEPTION, VECTOR_UD, 0, false, true },
	{ sti_sti_ud2, EVENT_HARDWARE_EXCEPTION, VECTOR_UD, 0, false, true },
	{ sti_cli_ud2, EVENT_HARDWARE_EXCEPTION, VECTOR_UD, 0, false, false },
	{ popf_ud2, EVENT_HARDWARE_EXCEPTION, VECTOR_UD, 0, false, true },
	{ mov_ss_int_n, EVENT_SOFTWARE_INTERRUPT, VECTOR_SOFTWARE, 2, false, false },
	{ mov_ss_ud2, EVENT_HARDWARE_EXCEPTION, VECTOR_UD, 0, false, false },
	{ mov_ss_ud2_if, EVENT_HARDWARE_EXCEPTION, VECTOR_UD, 0, false, true },
};
enum {
	STI_INT_N,
	STI_INT3,
	STI_INT1,
	STI_UD2,
	STI_PF,
	STI_SYSCALL,
	STI_SYSENTER,
	STI_NOP_UD2,
	STI_STI_UD2,
	STI_CLI_UD2,
	POPF_UD2,
	MOV_SS_INT_N,
	MOV_SS_UD2,
	MOV_SS_UD2_IF,
};

static void frame_says(uint64_t index)
{
	const struct shadow *const shadow = &shadows[index];
	const bool fault = shadow->type == EVENT_HARDWARE_EXCEPTION;
	uint64_t at, rsp;

	fred_begin(&(struct fred_setup){ 0 });
	shadow->run(&at, &rsp);
	expect_fred_event(&(struct fred_expected){
		.type = shadow->type,
		.vector = shadow->vector,
		.length = shadow->length,
		.sti = shadow->sti,
		.rip = at + shadow->length,
		.rsp = rsp,
		.rflags = (shadow->interrupts ? RFLAGS_IF : 0) | (fault ? RFLAGS_RF : 0),
		.event_data = shadow->vector == VECTOR_PF ? UNMAPPED_ADDRESS : 0,
	});
}

static void acknowledge(struct fred_stack *stack)
{
	(void)stack;
	interrupt_acknowledge();
}

/* An interrupt waits, with interrupts off, for the test to let it in. */
static bool begin_with_interrupt(void)
{
	fred_begin(&(struct fred_setup){ .interrupt_level = 1 });
	fred.hook = acknowledge;
	if (interrupt_self(VECTOR_INTERRUPT))
		return true;
	fred_end();
	test_skip("no local APIC to send interrupts with");
	return false;
}

static void expect_interrupt(uint64_t rip, uint64_t rsp)
{
	expect_fred_event(&(struct fred_expected){
		.type = EVENT_EXTERNAL_INTERRUPT,
		.vector = VECTOR_INTERRUPT,
		.level = 1,
		.rip = rip,
		.rsp = rsp,
		.rflags = RFLAGS_IF,
	});
}

static void interrupt_after_sti(uint64_t argument)
{
	uint64_t behind, rsp;

	(void)argument;
	if (!begin_with_interrupt())
		return;
	asm volatile("leaq 1f(%%rip), %0\n\tmovq %%rsp, %1\n\tsti\n\tnop\n1:\tnop\n\tnop\n\tcli"
		     : "=&r"(behind), "=&r"(rsp)
		     :
		     : "memory");
	expect_interrupt(behind, rsp);
}

/*
 * MOV SS in the shadow of STI has its own: not before the NOP is over. But the SDM lets a processor
 * end the shadow of the second of two such instructions.
 */
static void interrupt_after_mov_ss(uint64_t argument)
{
	uint64_t behind, rsp;

	(void)argument;
	if (!begin_with_interrupt())
		return;
	asm volatile("leaq 1f(%%rip), %0\n\tmovq %%rsp, %1\n\tsti\n\tmovl %2, %%ss\n\tnop\n"
		     "1:\tnop\n\tnop\n\tcli"
		     : "=&r"(behind), "=&r"(rsp)
		     : "r"(SELECTOR_KERNEL_DATA)
		     : "memory");
	fred_end();
	expect_interrupt(fred.events[0].stack.frame.rip == behind - 1 ? behind - 1 : behind, rsp);
}

/* STI, CLI: the interrupt never gets in. */
static void sti_cli_lets_none_in(uint64_t argument)
{
	uint64_t behind, rsp;

	(void)argument;
	if (!begin_with_interrupt())
		return;
	asm volatile("sti\n\tcli\n\tnop\n\tnop" : : : "memory");
	check_fred_caught(0);
	asm volatile("leaq 1f(%%rip), %0\n\tmovq %%rsp, %1\n\tsti\n\tnop\n1:\tnop\n\tnop\n\tcli"
		     : "=&r"(behind), "=&r"(rsp)
		     :
		     : "memory");
	expect_interrupt(behind, rsp);
}

/* ERETS with interrupts on: at once, or after one instruction in the shadow that SS[16] brings. */
static void interrupt_after_erets(uint64_t ss_bits)
{
	struct fred_frame *const frame = return_frame_ring0();

	frame->rflags |= RFLAGS_IF;
	frame->ss |= ss_bits;
	if (!begin_with_interrupt())
		return;
	fred_try_erets(frame);
	expect_interrupt((uintptr_t)(ss_bits & FRED_SS_STI ? return_landing_next : return_landing),
			 frame->rsp);
}

/* Not by catch_resume: it would be the interrupt's, should that come first. */
static void acknowledge_or_skip_ud2(struct fred_stack *stack)
{
	if (FRED_SS_TYPE(stack->frame.ss) == EVENT_EXTERNAL_INTERRUPT)
		interrupt_acknowledge();
	else
		stack->frame.rip += UD2_LENGTH;
}

/* The shadow of STI goes with the frame of #UD, comes back by ERETS, and keeps the interrupt off.
 */
static void interrupt_after_event_in_shadow(uint64_t argument)
{
	uint64_t behind, rsp;

	(void)argument;
	if (!begin_with_interrupt())
		return;
	fred.hook = acknowledge_or_skip_ud2;
	asm volatile("movq %%rsp, %1\n\tleaq 1f(%%rip), %0\n\tsti\n\tud2\n\tnop\n1:\tnop\n\t"
		     "nop\n\tcli"
		     : "=&r"(behind), "=&r"(rsp)
		     :
		     : "memory");
	fred_end();
	check_fred_caught(2);
	check_equal("first vector", FRED_SS_VECTOR(fred.events[0].stack.frame.ss), VECTOR_UD);
	check_fred_frame(1, &(struct fred_expected){
				    .type = EVENT_EXTERNAL_INTERRUPT,
				    .vector = VECTOR_INTERRUPT,
				    .level = 1,
				    .rip = behind,
				    .rsp = rsp,
				    .rflags = RFLAGS_IF,
			    });
}

/* Comes while the handler of the first event runs, and must wait for it to end. */
static void interrupt_in_handler(struct fred_stack *stack)
{
	if (FRED_SS_TYPE(stack->frame.ss) == EVENT_EXTERNAL_INTERRUPT)
		interrupt_acknowledge();
	else if (!interrupt_self(VECTOR_INTERRUPT))
		test_skip("no local APIC to send interrupts with");
}

/* Delivery has closed the door: the handler has no CLI. In its C code there is time enough. */
static void handler_is_closed(uint64_t argument)
{
	uint64_t behind, rsp;

	(void)argument;
	fred_begin(&(struct fred_setup){ .hook = interrupt_in_handler });
	fred_use_entries(fred_plain_entry_page);
	asm volatile(
		"movq %%rsp, %1\n\tleaq 1f(%%rip), %0\n\tsti\n\tnop\n\tint3\n1:\tnop\n\tnop\n\tcli"
		: "=&r"(behind), "=&r"(rsp)
		:
		: "memory");
	fred_end();
	if (fred.count == 1)
		return;
	check_fred_caught(2);
	check_equal("first vector", FRED_SS_VECTOR(fred.events[0].stack.frame.ss), VECTOR_BP);
	check_fred_frame(1, &(struct fred_expected){
				    .type = EVENT_EXTERNAL_INTERRUPT,
				    .vector = VECTOR_INTERRUPT,
				    .rip = behind,
				    .rsp = rsp,
				    .rflags = RFLAGS_IF,
			    });
}

static const struct test tests[] = {
	{ "sti_int_n", frame_says, STI_INT_N },
	{ "sti_int3", frame_says, STI_INT3 },
	{ "sti_int1", frame_says, STI_INT1 },
	{ "sti_ud", frame_says, STI_UD2 },
	{ "sti_pf", frame_says, STI_PF },
	{ "sti_syscall", frame_says, STI_SYSCALL },
	{ "sti_sysenter", frame_says, STI_SYSENTER },
	{ "none_after_one_instruction", frame_says, STI_NOP_UD2 },
	{ "none_by_second_sti", frame_says, STI_STI_UD2 },
	{ "none_after_cli", frame_says, STI_CLI_UD2 },
	{ "none_by_popf", frame_says, POPF_UD2 },
	{ "mov_ss_int_n_is_no_sti", frame_says, MOV_SS_INT_N },
	{ "mov_ss_ud_is_no_sti", frame_says, MOV_SS_UD2 },
	{ "mov_ss_ud_with_if_is_no_sti", frame_says, MOV_SS_UD2_IF },
	{ "interrupt_waits_for_sti", interrupt_after_sti, 0 },
	{ "interrupt_waits_for_mov_ss", interrupt_after_mov_ss, 0 },
	{ "no_interrupt_between_sti_and_cli", sti_cli_lets_none_in, 0 },
	{ "interrupt_right_after_erets", interrupt_after_erets, 0 },
	{ "interrupt_waits_for_shadow_of_erets", interrupt_after_erets, FRED_SS_STI },
	{ "interrupt_waits_after_event_in_shadow", interrupt_after_event_in_shadow, 0 },
	{ "interrupt_waits_for_end_of_handler", handler_is_closed, 0 },
};

const struct chapter chapter_fred_shadow = FRED_CHAPTER("fred-shadow", tests);
