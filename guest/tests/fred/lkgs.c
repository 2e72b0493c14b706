// SPDX-License-Identifier: BSD-2-Clause
/*
 * LKGS: loads GS as MOV does, but the base into IA32_KERNEL_GS_BASE. With FRED on and off; a fault
 * changes nothing.
 */
#include "guest/machine/fred.h"
#include "guest/machine/segments.h"
#include "guest/suite/suite.h"

#define BASE	  0x12345678U
#define BASE_HIGH 0xfedcba98U /* is not sign-extended */
#define GARBAGE	  0x5a5a5a5a5a5a0000ULL
#define OLD_GS	  SELECTOR_USER_DATA /* ring 0 by way of ring 3 keeps it */
#define WITH_FRED 0x100U	     /* in an argument */

/* A descriptor, the selector it is loaded by, and the vector of the fault (0: none). */
struct load {
	uint8_t access, flags;
	uint32_t base;
	uint16_t selector;
	uint8_t vector;
};

#define PRESENT(type, dpl) (ACCESS_PRESENT | ACCESS_DPL(dpl) | (type))

enum {
	DATA,
	DATA_HIGH_BASE,
	DATA_READ_ONLY,
	DATA_EXPAND_DOWN,
	DATA_DPL_3_RPL_3,
	DATA_DPL_3_RPL_0,
	CODE_READABLE,
	CODE_CONFORMING_RPL_3,
	NULL_0,
	NULL_3,
	DATA_RPL_3,
	CODE_RPL_3,
	EXECUTE_ONLY,
	SYSTEM,
	CALL_GATE,
	EMPTY,
	NOT_PRESENT,
	IN_LDT,
	BEYOND_LIMIT,
};

#define OTHER_TABLE (SELECTOR_TEST_1 | SELECTOR_LDT)
#define BEYOND	    (SELECTOR_TEST_1 + PAGE_SIZE)
#define FROM_RING_3 (SELECTOR_TEST_1 | 3)

static const struct load loads[] = {
	[DATA] = { PRESENT(ACCESS_DATA, 0), 0, BASE, SELECTOR_TEST_1, 0 },
	[DATA_HIGH_BASE] = { PRESENT(ACCESS_DATA, 0), 0, BASE_HIGH, SELECTOR_TEST_1, 0 },
	[DATA_READ_ONLY] = { PRESENT(ACCESS_READ_ONLY, 0), 0, BASE, SELECTOR_TEST_1, 0 },
	[DATA_EXPAND_DOWN] = { PRESENT(ACCESS_EXPAND_DOWN, 0), 0, BASE, SELECTOR_TEST_1, 0 },
	[DATA_DPL_3_RPL_3] = { PRESENT(ACCESS_DATA, 3), 0, BASE, FROM_RING_3, 0 },
	[DATA_DPL_3_RPL_0] = { PRESENT(ACCESS_DATA, 3), 0, BASE, SELECTOR_TEST_1, 0 },
	[CODE_READABLE] = { PRESENT(ACCESS_CODE, 0), FLAG_LONG, BASE, SELECTOR_TEST_1, 0 },
	[CODE_CONFORMING_RPL_3] = { PRESENT(ACCESS_CONFORMING, 0), FLAG_LONG, BASE, FROM_RING_3,
				    0 },
	[NULL_0] = { 0, 0, 0, 0, 0 },
	[NULL_3] = { 0, 0, 0, 3, 0 },
	[DATA_RPL_3] = { PRESENT(ACCESS_DATA, 0), 0, BASE, FROM_RING_3, VECTOR_GP },
	[CODE_RPL_3] = { PRESENT(ACCESS_CODE, 0), FLAG_LONG, BASE, FROM_RING_3, VECTOR_GP },
	[EXECUTE_ONLY] = { PRESENT(ACCESS_EXECUTE_ONLY, 0), FLAG_LONG, BASE, SELECTOR_TEST_1,
			   VECTOR_GP },
	[SYSTEM] = { PRESENT(ACCESS_TSS_AVAILABLE, 0), 0, BASE, SELECTOR_TEST_1, VECTOR_GP },
	[CALL_GATE] = { PRESENT(ACCESS_CALL_GATE, 0), 0, BASE, SELECTOR_TEST_1, VECTOR_GP },
	[EMPTY] = { 0, 0, 0, SELECTOR_TEST_1, VECTOR_GP },
	[NOT_PRESENT] = { ACCESS_DATA, 0, BASE, SELECTOR_TEST_1, VECTOR_NP },
	[IN_LDT] = { PRESENT(ACCESS_DATA, 0), 0, BASE, OTHER_TABLE, VECTOR_GP },
	[BEYOND_LIMIT] = { 0, 0, 0, BEYOND, VECTOR_GP },
};

static uint16_t read_gs(void)
{
	uint16_t selector;

	asm volatile("movw %%gs, %0" : "=r"(selector));
	return selector;
}

/* Start with a selector and bases that no test loads. */
static void begin(bool with_fred)
{
	asm volatile("movl %0, %%gs" : : "r"(OLD_GS));
	if (with_fred) {
		fred_begin(&(struct fred_setup){ 0 });
		return;
	}
	catch_begin();
	try_wrmsr(MSR_IA32_GS_BASE, FRED_GS_RING0);
	try_wrmsr(MSR_IA32_KERNEL_GS_BASE, FRED_GS_RING3);
}

static void end(bool with_fred)
{
	if (with_fred)
		fred_end();
	else
		catch_end();
}

static void check_state(uint16_t selector, uint64_t kernel_base)
{
	check_equal("GS", read_gs(), selector);
	check_equal("GS base", try_rdmsr(MSR_IA32_GS_BASE), FRED_GS_RING0);
	check_equal("IA32_KERNEL_GS_BASE", try_rdmsr(MSR_IA32_KERNEL_GS_BASE), kernel_base);
	asm volatile("movl %0, %%gs" : : "r"(0));
}

/* After end(): the one event, caught by FRED or by the IDT. */
static void check_fault(bool with_fred, unsigned int vector, uint64_t error_code)
{
	if (!with_fred) {
		check_caught(1);
		check_event(0, vector, error_code);
		return;
	}
	check_fred_caught(1);
	check_equal("vector", FRED_SS_VECTOR(fred.events[0].stack.frame.ss), vector);
	check_equal("error code", fred.events[0].stack.frame.error_code, error_code);
}

static void check_no_fault(bool with_fred)
{
	if (with_fred)
		check_fred_caught(0);
	else
		check_caught(0);
}

static void lkgs_ax(uint64_t rax)
{
	asm volatile(TRY(".byte 0xf2, 0x0f, 0x00, 0xf0") : : "a"(rax) : "r11", "memory");
}

/* LKGS with the selector in memory. */
static void lkgs_memory(uint64_t address)
{
	asm volatile(TRY(".byte 0xf2, 0x0f, 0x00, 0x30") : : "a"(address) : "r11", "memory");
}

static void register_form(uint64_t argument)
{
	const bool with_fred = argument & WITH_FRED;
	const struct load *const load = &loads[argument & ~(uint64_t)WITH_FRED];
	const uint64_t descriptor = DESCRIPTOR(load->access, load->flags, load->base, 0);
	const bool touched = !load->vector && load->selector >= SELECTOR_TEST_1;

	segments_open();
	segment_set(SELECTOR_TEST_1, descriptor);
	begin(with_fred);
	lkgs_ax(GARBAGE | load->selector);
	end(with_fred);
	if (load->vector) {
		check_fault(with_fred, load->vector, load->selector & ~3U);
		check_state(OLD_GS, FRED_GS_RING3);
	} else {
		check_no_fault(with_fred);
		check_state(load->selector, load->base);
	}
	check_equal("descriptor", segment_get(SELECTOR_TEST_1),
		    descriptor | (touched ? DESCRIPTOR_ACCESSED : 0));
	segments_close();
}

static void memory_form(uint64_t with_fred)
{
	const uint16_t selector = SELECTOR_TEST_1;

	segments_open();
	segment_set(SELECTOR_TEST_1, DESCRIPTOR(PRESENT(ACCESS_DATA, 0), 0, BASE, 0));
	begin(with_fred);
	lkgs_memory((uintptr_t)&selector);
	end(with_fred);
	check_no_fault(with_fred);
	check_state(selector, BASE);
	segments_close();
}

static void memory_not_mapped(uint64_t with_fred)
{
	begin(with_fred);
	lkgs_memory(UNMAPPED_ADDRESS);
	end(with_fred);
	check_fault(with_fred, VECTOR_PF, 0);
	check_state(OLD_GS, FRED_GS_RING3);
}

static void memory_not_canonical(uint64_t with_fred)
{
	begin(with_fred);
	lkgs_memory(NON_CANONICAL);
	end(with_fred);
	check_fault(with_fred, VECTOR_GP, 0);
	check_state(OLD_GS, FRED_GS_RING3);
}

FRAGMENT_LABELS(raise_lkgs);

static void ring3(uint64_t with_fred)
{
	static const struct fragment fragment = FRAGMENT(raise_lkgs);

	begin(with_fred);
	fragment_run(3, &fragment, 0);
	end(with_fred);
	check_fault(with_fred, VECTOR_UD, 0);
	check_equal("GS", read_gs(), OLD_GS);
	asm volatile("movl %0, %%gs" : : "r"(0));
}

#define BOTH(name, run, argument)                              \
	{ name, run, argument },                               \
	{                                                      \
		name "_with_fred", run, (argument) | WITH_FRED \
	}

static const struct test tests[] = {
	BOTH("data", register_form, DATA),
	BOTH("base_is_zero_extended", register_form, DATA_HIGH_BASE),
	BOTH("data_read_only", register_form, DATA_READ_ONLY),
	BOTH("data_expand_down", register_form, DATA_EXPAND_DOWN),
	BOTH("data_dpl_3_rpl_3", register_form, DATA_DPL_3_RPL_3),
	BOTH("data_dpl_3_rpl_0", register_form, DATA_DPL_3_RPL_0),
	BOTH("code_readable", register_form, CODE_READABLE),
	BOTH("code_conforming_rpl_3", register_form, CODE_CONFORMING_RPL_3),
	BOTH("null_0", register_form, NULL_0),
	BOTH("null_3", register_form, NULL_3),
	BOTH("memory_operand", memory_form, 0),
	BOTH("data_dpl_0_rpl_3_faults", register_form, DATA_RPL_3),
	BOTH("code_dpl_0_rpl_3_faults", register_form, CODE_RPL_3),
	BOTH("code_execute_only_faults", register_form, EXECUTE_ONLY),
	BOTH("system_segment_faults", register_form, SYSTEM),
	BOTH("call_gate_faults", register_form, CALL_GATE),
	BOTH("empty_descriptor_faults", register_form, EMPTY),
	BOTH("not_present_faults", register_form, NOT_PRESENT),
	BOTH("in_ldt_faults", register_form, IN_LDT),
	BOTH("beyond_gdt_faults", register_form, BEYOND_LIMIT),
	BOTH("memory_not_mapped_faults", memory_not_mapped, 0),
	BOTH("memory_not_canonical_faults", memory_not_canonical, 0),
	BOTH("ring3_undefined", ring3, 0),
};

const struct chapter chapter_fred_lkgs = FRED_CHAPTER("fred-lkgs", tests);
