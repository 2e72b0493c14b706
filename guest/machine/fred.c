// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the guest's FRED: its MSRs, its stacks, and what its handlers caught. fred_entry.asm has
 * the entry points.
 */
#include "guest/machine/fred.h"

#include "guest/suite/suite.h"
#include "lib/tap.h"

#define STACK_PAGES 2
#define GUARD_PAGES 1
#define FRAME_ALIGN 64ULL
#define USER_RPL    3U
#define SS_ABOVE_CS 8U /* as IA32_STAR has them */
#define NO_RFLAGS   (RFLAGS_STATUS | RFLAGS_RESERVED)
/* RFLAGS after delivery. */
#define RFLAGS_IN_HANDLER RFLAGS_RESERVED

static uint8_t stacks[FRED_LEVELS][GUARD_PAGES + STACK_PAGES][PAGE_SIZE]
	__attribute__((aligned(PAGE_SIZE)));

struct fred_catcher fred;
uint64_t fred_fragment_stack; /* for fred_run_ring0(); 0: the caller's */

static bool is_on(void)
{
	return read_cr4() & CR4_FRED;
}

uint8_t *fred_stack_page(unsigned int level)
{
	return stacks[level][GUARD_PAGES + STACK_PAGES - 1];
}

uint64_t fred_stack_top(unsigned int level)
{
	return (uintptr_t)fred_stack_page(level) + PAGE_SIZE;
}

static void set_stack_rights(void)
{
	for (unsigned int level = 0; level < FRED_LEVELS; level++) {
		page_set_rights(stacks[level][0], 0);
		for (unsigned int page = GUARD_PAGES; page < GUARD_PAGES + STACK_PAGES; page++)
			page_set_rights(stacks[level][page], PTE_DATA);
	}
}

static void make_present(void)
{
	if (fred.absent)
		page_set_rights(fred.absent, PTE_DATA);
	fred.absent = NULL;
}

void fred_begin(const struct fred_setup *setup)
{
	set_stack_rights();
	catch_begin();
	fred = (struct fred_catcher){ .armed = true, .hook = setup->hook, .absent = setup->absent };
	fred_fragment_stack = setup->rsp;
	for (unsigned int level = 0; level < FRED_LEVELS; level++)
		write_msr(MSR_IA32_FRED_RSP0 + level, fred_stack_top(level));
	write_msr(MSR_IA32_FRED_STKLVLS, setup->stklvls);
	write_msr(MSR_IA32_FRED_CONFIG,
		  (uintptr_t)fred_entry_page | setup->csl |
			  (uint64_t)setup->redzone << FRED_CONFIG_REDZONE_SHIFT |
			  (uint64_t)setup->interrupt_level << FRED_CONFIG_INTERRUPT_SHIFT);
	write_msr(MSR_IA32_GS_BASE, FRED_GS_RING0);
	write_msr(MSR_IA32_KERNEL_GS_BASE, FRED_GS_RING3);
	if (fred.absent)
		page_set_rights(fred.absent, 0);
	write_cr4(read_cr4() | CR4_FRED);
}

void fred_use_entries(const uint8_t *page)
{
	const uint64_t config = read_msr(MSR_IA32_FRED_CONFIG);

	write_msr(MSR_IA32_FRED_CONFIG, (config & PAGE_MASK) | (uintptr_t)page);
}

void fred_end(void)
{
	interrupts_off();
	if (is_on())
		write_cr4(read_cr4() & ~CR4_FRED);
	fred.armed = false;
	catch_end();
}

void fred_reset(void)
{
	fred_end();
	fred.hook = NULL;
	make_present();
	write_dr7(DR7_RESET);
}

static bool is_user_leave(const struct fred_frame *frame)
{
	return (frame->cs & USER_RPL) && FRED_SS_VECTOR(frame->ss) == VECTOR_USER_LEAVE &&
	       FRED_SS_TYPE(frame->ss) == EVENT_SOFTWARE_INTERRUPT;
}

static void catch (const struct fred_stack *stack)
{
	struct fred_caught *const caught = &fred.events[fred.count++];

	caught->stack = *stack;
	caught->address = (uintptr_t)&stack->frame;
	caught->config = read_msr(MSR_IA32_FRED_CONFIG);
	caught->cr2 = read_cr2();
	caught->dr6 = read_dr6();
	caught->dr7 = read_dr7();
	caught->gs_base = read_msr(MSR_IA32_GS_BASE);
	caught->kernel_gs_base = read_msr(MSR_IA32_KERNEL_GS_BASE);
	asm volatile("movw %%cs, %0\n\tmovw %%ss, %1" : "=r"(caught->cs), "=r"(caught->ss));
}

/* ERETU works at level 0 only: go on there, with a copy of the frame. Ring 3 used none of it. */
static struct fred_stack *move_to_level_0(const struct fred_stack *stack)
{
	struct fred_stack *const copy = (struct fred_stack *)fred_stack_top(0) - 1;

	*copy = *stack;
	write_msr(MSR_IA32_FRED_CONFIG, read_msr(MSR_IA32_FRED_CONFIG) & ~FRED_CONFIG_CSL_MASK);
	return copy;
}

/* Called by fred_entry.asm for all events; returns what the handler is to return with. */
struct fred_stack *fred_event(struct fred_stack *stack)
{
	struct fred_frame *const frame = &stack->frame;
	const uint64_t resume = catch_resume;

	if (is_user_leave(frame))
		fred_leave_user();
	if (fred.armed && fred.count < CAUGHT_MAX)
		catch (stack);
	else
		suite_abort_test();
	catch_resume = 0;
	make_present();
	if (FRED_SS_TYPE(frame->ss) == EVENT_EXTERNAL_INTERRUPT)
		interrupt_acknowledge();
	if (FRED_SS_TYPE(frame->ss) == EVENT_HARDWARE_EXCEPTION &&
	    FRED_SS_VECTOR(frame->ss) == VECTOR_DB)
		/* One step is enough; and a breakpoint must not be met again. */
		frame->rflags = (frame->rflags & ~RFLAGS_TF) | RFLAGS_RF;
	if (resume != 0)
		frame->rip = resume;
	if (fred.hook)
		fred.hook(stack);
	if ((frame->cs & USER_RPL) && (read_msr(MSR_IA32_FRED_CONFIG) & FRED_CONFIG_CSL_MASK) != 0)
		return move_to_level_0(stack);
	return stack;
}

void check_fred_caught(unsigned int expected)
{
	check_equal("events caught", fred.count, expected);
}

static bool is_software(unsigned int type)
{
	return type == EVENT_SOFTWARE_INTERRUPT || type == EVENT_OTHER;
}

static void check_cs(uint64_t cs, const struct fred_expected *expected)
{
	const uint16_t usual = expected->ring == 3 ? SELECTOR_USER_CODE : SELECTOR_KERNEL_CODE;

	check_equal("saved CS", cs & FRED_SELECTOR_MASK, expected->cs ? expected->cs : usual);
	check_equal("saved stack level", FRED_CS_CSL(cs), expected->csl);
	check_equal("saved CS[63:18]", cs >> 18, 0);
}

static void check_ss(uint64_t ss, const struct fred_expected *expected)
{
	const uint16_t usual = expected->ring == 3 ? SELECTOR_USER_DATA : SELECTOR_KERNEL_DATA;
	const uint64_t known = FRED_SELECTOR_MASK | FRED_SS_STI | FRED_SS_SOFTWARE | FRED_SS_NMI |
			       0xffULL << FRED_SS_VECTOR_SHIFT | 0xfULL << FRED_SS_TYPE_SHIFT |
			       FRED_SS_LONG_MODE | FRED_SS_NESTED | 0xfULL << FRED_SS_LENGTH_SHIFT;

	check_equal("event type", FRED_SS_TYPE(ss), expected->type);
	check_equal("vector", FRED_SS_VECTOR(ss), expected->vector);
	check_equal("instruction length", FRED_SS_LENGTH(ss), expected->length);
	check_equal("nested", (ss & FRED_SS_NESTED) != 0, expected->nested);
	check_equal("64-bit mode", (ss & FRED_SS_LONG_MODE) != 0, !expected->compat);
	check_equal("STI blocking (SS[16])", (ss & FRED_SS_STI) != 0, expected->sti);
	check_equal("software event (SS[17])", (ss & FRED_SS_SOFTWARE) != 0,
		    is_software(expected->type));
	check_equal("NMI (SS[18])", (ss & FRED_SS_NMI) != 0, expected->type == EVENT_NMI);
	check_equal("saved SS", ss & FRED_SELECTOR_MASK, expected->ss ? expected->ss : usual);
	check_equal("reserved bits of SS", ss & ~known, 0);
}

/* The level, the stack and the other state that the handler began with. */
static void check_handler(const struct fred_caught *caught, const struct fred_expected *expected)
{
	const bool switched = expected->ring == 3 || expected->level > expected->csl;
	const uint16_t cs = expected->handler_cs ? expected->handler_cs : SELECTOR_KERNEL_CODE;
	const uint64_t below = expected->rsp - expected->redzone * FRAME_ALIGN;
	const uint64_t top =
		switched ? fred_stack_top(expected->level) : below & ~(FRAME_ALIGN - 1);

	check_equal("address of the frame", caught->address, top - sizeof(struct fred_frame));
	check_equal("stack level in the handler", caught->config & FRED_CONFIG_CSL_MASK,
		    expected->level);
	check_equal("entry point", caught->stack.entry_ring, expected->ring);
	check_equal("RFLAGS in the handler", caught->stack.rflags, RFLAGS_IN_HANDLER);
	check_equal("CS in the handler", caught->cs, cs);
	check_equal("SS in the handler", caught->ss, cs + SS_ABOVE_CS);
	check_equal("GS base in the handler", caught->gs_base, FRED_GS_RING0);
	check_equal("IA32_KERNEL_GS_BASE in the handler", caught->kernel_gs_base, FRED_GS_RING3);
}

void check_fred_frame(unsigned int number, const struct fred_expected *expected)
{
	const struct fred_caught *const caught = &fred.events[number];
	const struct fred_frame *const frame = &caught->stack.frame;

	if (number >= fred.count) {
		check_equal("event caught", false, true);
		return;
	}
	check_ss(frame->ss, expected);
	check_cs(frame->cs, expected);
	check_equal("error code", frame->error_code, expected->error_code);
	check_equal("saved RIP", frame->rip, expected->rip);
	check_equal("saved RFLAGS", frame->rflags & ~NO_RFLAGS, expected->rflags);
	check_equal("saved RSP", frame->rsp, expected->rsp);
	check_equal("event data", frame->event_data, expected->event_data);
	check_equal("last slot of the frame", frame->reserved, 0);
	check_handler(caught, expected);
}

void expect_fred_event(const struct fred_expected *expected)
{
	fred_end();
	check_fred_caught(1);
	check_fred_frame(0, expected);
}

void expect_no_fred_event(void)
{
	fred_end();
	check_fred_caught(0);
}

void check_fred_registers(unsigned int number)
{
	const struct fred_stack *const s = &fred.events[number].stack;

	check_equal("RBX", s->rbx, FRED_REGISTER(3));
	check_equal("RBP", s->rbp, FRED_REGISTER(5));
	check_equal("RSI", s->rsi, FRED_REGISTER(6));
	check_equal("R8", s->r8, FRED_REGISTER(8));
	check_equal("R9", s->r9, FRED_REGISTER(9));
	check_equal("R10", s->r10, FRED_REGISTER(10));
	check_equal("R11", s->r11, FRED_REGISTER(11));
	check_equal("R12", s->r12, FRED_REGISTER(12));
	check_equal("R13", s->r13, FRED_REGISTER(13));
	check_equal("R14", s->r14, FRED_REGISTER(14));
	check_equal("R15", s->r15, FRED_REGISTER(15));
}

void check_fred_rcx_rdx(unsigned int number)
{
	check_equal("RCX", fred.events[number].stack.rcx, FRED_REGISTER(1));
	check_equal("RDX", fred.events[number].stack.rdx, FRED_REGISTER(2));
}

struct fred_frame fred_frame_ring0(void)
{
	return (struct fred_frame){
		.rip = (uintptr_t)fred_returned,
		.cs = SELECTOR_KERNEL_CODE,
		.rflags = RFLAGS_RESERVED,
		.rsp = fred_stack_top(0),
		.ss = SELECTOR_KERNEL_DATA,
	};
}

struct fred_frame fred_frame_ring3(void)
{
	return (struct fred_frame){
		.rip = (uintptr_t)user_leave,
		.cs = SELECTOR_USER_CODE,
		.rflags = RFLAGS_RESERVED | RFLAGS_IF,
		.rsp = user_stack_top(),
		.ss = SELECTOR_USER_DATA,
	};
}

void fred_print_caught(void)
{
	static const char *const types[] = {
		"external interrupt", "reserved",	    "NMI",
		"hardware exception", "software interrupt", "privileged software exception",
		"software exception", "other event",
	};

	for (unsigned int i = 0; i < fred.count; i++) {
		const struct fred_caught *const c = &fred.events[i];
		const struct fred_frame *const f = &c->stack.frame;

		tap_diagnostic("FRED event %u: %s, vector %u%s, length %u, level %u, frame 0x%llx",
			       i, types[FRED_SS_TYPE(f->ss) & 7], FRED_SS_VECTOR(f->ss),
			       (f->ss & FRED_SS_NESTED) ? ", nested" : "", FRED_SS_LENGTH(f->ss),
			       (unsigned int)(c->config & FRED_CONFIG_CSL_MASK),
			       (unsigned long long)c->address);
		tap_diagnostic("  error 0x%llx rip 0x%llx cs 0x%llx rflags 0x%llx rsp 0x%llx "
			       "ss 0x%llx data 0x%llx",
			       (unsigned long long)f->error_code, (unsigned long long)f->rip,
			       (unsigned long long)f->cs, (unsigned long long)f->rflags,
			       (unsigned long long)f->rsp, (unsigned long long)f->ss,
			       (unsigned long long)f->event_data);
	}
}
