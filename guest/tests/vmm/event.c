// SPDX-License-Identifier: BSD-2-Clause
/* Events that the VMM injects or reflects, and exceptions during their delivery. */
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"

#define ERROR_CODE     0x1238U
#define ERROR_IDT      2U /* error code: the index is one of the IDT */
#define ERROR_EXTERNAL 1U
#define INT_N_LENGTH   2
#define ONE_BYTE       1
#define VECTORS_WITH_ERROR_CODE                                                                    \
	(1U << VECTOR_DF | 1U << VECTOR_TS | 1U << VECTOR_NP | 1U << VECTOR_SS | 1U << VECTOR_GP | \
	 1U << VECTOR_PF | 1U << VECTOR_AC)
/* #DB: causes as in the exit qualification; DR6 has the same bits, but for bus lock and RTM */
#define DEBUG_B0 (1ULL << 0)
#define DEBUG_BD (1ULL << 13)
#define DEBUG_BS (1ULL << 14)

static void check_behind(uint64_t behind)
{
	check_equal("saved RIP", catcher.events[0].frame.rip, behind);
	check_equal("saved CS", catcher.events[0].frame.cs, SELECTOR_KERNEL_CODE);
	check_equal("saved SS", catcher.events[0].frame.ss, SELECTOR_KERNEL_DATA);
}

static void exception(uint64_t vector)
{
	const bool has_error_code = VECTORS_WITH_ERROR_CODE >> vector & 1;
	uint64_t behind;

	catch_begin();
	behind = inject(INJECT(EVENT_HARDWARE_EXCEPTION, vector) |
				(has_error_code ? INTERRUPTION_ERROR_CODE_VALID : 0),
			has_error_code ? ERROR_CODE : 0, 0, 0);
	expect_event((unsigned int)vector, has_error_code ? ERROR_CODE : 0);
	check_behind(behind);
}

static void page_fault(uint64_t address)
{
	uint64_t behind;

	catch_begin();
	behind = inject(INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_PF) | INTERRUPTION_ERROR_CODE_VALID,
			PF_WRITE, 0, address);
	expect_event(VECTOR_PF, PF_WRITE);
	check_behind(behind);
	check_equal("CR2", catcher.events[0].cr2, address);
}

static void cr2_stays(uint64_t argument)
{
	(void)argument;
	catch_begin();
	write_cr2(UNMAPPED_ADDRESS);
	inject(INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_GP) | INTERRUPTION_ERROR_CODE_VALID, 0, 0,
	       ~0ULL);
	expect_event(VECTOR_GP, 0);
	check_equal("CR2", catcher.events[0].cr2, UNMAPPED_ADDRESS);
}

static void debug_exception(uint64_t causes)
{
	uint64_t behind;

	catch_begin();
	behind = inject(INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_DB), 0, 0, causes);
	expect_event(VECTOR_DB, 0);
	check_behind(behind);
	check_equal("DR6", catcher.events[0].dr6, DR6_RESET | causes);
}

static void debug_clears_gd(uint64_t argument)
{
	(void)argument;
	catch_begin();
	write_dr7(DR7_RESET | DR7_GD);
	inject(INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_DB), 0, 0, DEBUG_BD);
	expect_event(VECTOR_DB, 0);
	check_equal("DR7 in the handler", catcher.events[0].dr7, DR7_RESET);
	write_dr7(DR7_RESET);
}

static void debug_keeps_dr6(uint64_t argument)
{
	(void)argument;
	catch_begin();
	write_dr6(DR6_RESET | DEBUG_BS);
	inject(INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_DB), 0, 0, DEBUG_B0);
	expect_event(VECTOR_DB, 0);
	check_equal("DR6[15:13]", catcher.events[0].dr6 & (DEBUG_BS | DEBUG_BD), DEBUG_BS);
	check_equal("DR6.B0", catcher.events[0].dr6 & DEBUG_B0, DEBUG_B0);
}

static void nmi(uint64_t argument)
{
	uint64_t behind;

	(void)argument;
	catch_begin();
	behind = inject(INJECT(EVENT_NMI, VECTOR_NMI), 0, 0, 0);
	expect_event(VECTOR_NMI, 0);
	check_behind(behind);
}

static void interrupt(uint64_t vector)
{
	uint64_t behind;

	catch_begin();
	interrupts_on();
	behind = inject(INJECT(EVENT_EXTERNAL_INTERRUPT, vector), 0, 0, 0);
	interrupts_off();
	expect_event((unsigned int)vector, 0);
	check_behind(behind);
	check_equal("saved IF", catcher.events[0].frame.rflags & RFLAGS_IF, RFLAGS_IF);
}

static void interrupt_waits_for_sti(uint64_t argument)
{
	uint64_t behind;

	(void)argument;
	catch_begin();
	inject(INJECT(EVENT_EXTERNAL_INTERRUPT, VECTOR_INTERRUPT), 0, 0, 0);
	cpuid(0, 0);
	check_caught(0);
	/* One instruction more after STI. */
	asm volatile("leaq 1f(%%rip), %0\n\tsti\n\tnop\n1:\tnop\n\tcli"
		     : "=r"(behind)
		     :
		     : "memory");
	expect_event(VECTOR_INTERRUPT, 0);
	check_behind(behind);
}

static void interrupt_after_mov_ss(uint64_t argument)
{
	uint64_t behind;

	(void)argument;
	catch_begin();
	inject(INJECT(EVENT_EXTERNAL_INTERRUPT, VECTOR_INTERRUPT), 0, 0, 0);
	/* MOV SS in the shadow of STI has its own: not before the NOP is over. */
	asm volatile("leaq 1f(%%rip), %0\n\tsti\n\tmovl %1, %%ss\n\tnop\n1:\tnop\n\tcli"
		     : "=&r"(behind)
		     : "r"(SELECTOR_KERNEL_DATA)
		     : "memory");
	expect_event(VECTOR_INTERRUPT, 0);
	if (catcher.events[0].frame.rip != behind)
		/* The SDM lets a processor end the shadow of the second of two such instructions.
		 */
		check_equal("saved RIP", catcher.events[0].frame.rip, behind - 1);
}

static void interrupts_both_arrive(uint64_t argument)
{
	(void)argument;
	catch_begin();
	inject(INJECT(EVENT_EXTERNAL_INTERRUPT, VECTOR_INTERRUPT), 0, 0, 0);
	inject(INJECT(EVENT_EXTERNAL_INTERRUPT, VECTOR_INTERRUPT + 16), 0, 0, 0);
	interrupts_on();
	interrupts_off();
	catch_end();
	check_caught(2);
	check_event(0, VECTOR_INTERRUPT + 16, 0);
	check_event(1, VECTOR_INTERRUPT, 0);
}

static void software(uint64_t info)
{
	const unsigned int length =
		INTERRUPTION_TYPE(info) == EVENT_SOFTWARE_INTERRUPT ? INT_N_LENGTH : ONE_BYTE;
	uint64_t behind;

	catch_begin();
	behind = inject((uint32_t)info, 0, length, 0);
	expect_event(INTERRUPTION_VECTOR(info), 0);
	check_behind(behind + length);
	check_equal("DR6", catcher.events[0].dr6, DR6_RESET);
}

static void undefined(uint64_t argument)
{
	uint64_t address;

	(void)argument;
	catch_begin();
	asm volatile(TRY("leaq 1f(%%rip), %0\n1:\tud2") : "=&r"(address) : : "r11", "memory");
	expect_event(VECTOR_UD, 0);
	check_behind(address);
}

static void undefined_saves_rf(uint64_t argument)
{
	(void)argument;
	catch_begin();
	asm volatile(TRY("ud2") : : : "r11", "memory");
	expect_event(VECTOR_UD, 0);
	check_equal("saved RF", catcher.events[0].frame.rflags & RFLAGS_RF, RFLAGS_RF);
}

/* INT to a gate that is not present: #NP, which tells where. */
static void gate_of_int_n(uint64_t argument)
{
	(void)argument;
	gate_set_present(VECTOR_SOFTWARE, false);
	catch_begin();
	asm volatile(TRY("int %0") : : "i"(VECTOR_SOFTWARE) : "r11", "memory");
	expect_event(VECTOR_NP, VECTOR_SOFTWARE * 8 + ERROR_IDT);
	gate_set_present(VECTOR_SOFTWARE, true);
}

static void gate_of_interrupt(uint64_t argument)
{
	(void)argument;
	gate_set_present(VECTOR_INTERRUPT, false);
	catch_begin();
	interrupts_on();
	inject(INJECT(EVENT_EXTERNAL_INTERRUPT, VECTOR_INTERRUPT), 0, 0, 0);
	interrupts_off();
	expect_event(VECTOR_NP, VECTOR_INTERRUPT * 8 + ERROR_IDT + ERROR_EXTERNAL);
	gate_set_present(VECTOR_INTERRUPT, true);
}

/* #UD comes from the VMM, the #NP after it from the processor: a benign one and a contributory. */
static void gate_of_ud(uint64_t argument)
{
	(void)argument;
	gate_set_present(VECTOR_UD, false);
	catch_begin();
	asm volatile(TRY("ud2") : : : "r11", "memory");
	expect_event(VECTOR_NP, VECTOR_UD * 8 + ERROR_IDT + ERROR_EXTERNAL);
	gate_set_present(VECTOR_UD, true);
}

/* The #GP comes from the VMM, and cannot be delivered: #DF. */
static void double_fault_reflected(uint64_t argument)
{
	(void)argument;
	gate_set_present(VECTOR_GP, false);
	catch_begin();
	try_wrmsr(MSR_IA32_FEATURE_CONTROL, 0);
	expect_event(VECTOR_DF, 0);
	gate_set_present(VECTOR_GP, true);
}

static void double_fault_own(uint64_t argument)
{
	(void)argument;
	gate_set_present(VECTOR_GP, false);
	catch_begin();
	asm volatile(TRY("movq (%0), %%rax") : : "r"(NON_CANONICAL) : "r11", "rax", "memory");
	expect_event(VECTOR_DF, 0);
	gate_set_present(VECTOR_GP, true);
}

static void double_fault_injected_pf(uint64_t argument)
{
	(void)argument;
	gate_set_present(VECTOR_PF, false);
	catch_begin();
	inject(INJECT(EVENT_HARDWARE_EXCEPTION, VECTOR_PF) | INTERRUPTION_ERROR_CODE_VALID, 0, 0,
	       UNMAPPED_ADDRESS);
	expect_event(VECTOR_DF, 0);
	check_equal("CR2", catcher.events[0].cr2, UNMAPPED_ADDRESS);
	gate_set_present(VECTOR_PF, true);
}

/* An injected event whose stack is not present in the guest's own tables. */
static void stack_not_present(uint64_t vector)
{
	const uint8_t *const stack = stack_top_page(IST_TEST);

	gate_set_ist((unsigned int)vector, IST_TEST);
	page_set_rights(stack, 0);
	catch_begin();
	inject(INJECT(EVENT_HARDWARE_EXCEPTION, vector) | INTERRUPTION_ERROR_CODE_VALID, 0, 0,
	       UNMAPPED_ADDRESS);
	catch_end();
	page_set_rights(stack, PTE_DATA);
	gate_set_ist((unsigned int)vector, IST_NONE);
	/* #GP and then #PF are handled one after the other; #PF and then #PF are a double fault. */
	check_caught(1);
	if (vector == VECTOR_PF)
		check_event(0, VECTOR_DF, 0);
	else
		check_event(0, VECTOR_PF, PF_WRITE);
	check_equal("CR2 page", catcher.events[0].cr2 & ~PAGE_MASK, (uintptr_t)stack);
}

static const struct test tests[] = {
	{ "inject_de", exception, VECTOR_DE },
	{ "inject_br", exception, VECTOR_BR },
	{ "inject_ud", exception, VECTOR_UD },
	{ "inject_nm", exception, VECTOR_NM },
	{ "inject_df", exception, VECTOR_DF },
	{ "inject_ts", exception, VECTOR_TS },
	{ "inject_np", exception, VECTOR_NP },
	{ "inject_ss", exception, VECTOR_SS },
	{ "inject_gp", exception, VECTOR_GP },
	{ "inject_mf", exception, VECTOR_MF },
	{ "inject_ac", exception, VECTOR_AC },
	{ "inject_mc", exception, VECTOR_MC },
	{ "inject_xm", exception, VECTOR_XM },
	{ "inject_pf_sets_cr2", page_fault, UNMAPPED_ADDRESS },
	{ "inject_pf_sets_cr2_to_0", page_fault, 0 },
	{ "inject_gp_keeps_cr2", cr2_stays, 0 },
	{ "inject_db_single_step", debug_exception, DEBUG_BS },
	{ "inject_db_breakpoint", debug_exception, DEBUG_B0 },
	{ "inject_db_clears_gd", debug_clears_gd, 0 },
	{ "inject_db_keeps_dr6", debug_keeps_dr6, 0 },
	{ "inject_nmi", nmi, 0 },
	{ "inject_interrupt", interrupt, VECTOR_INTERRUPT },
	{ "inject_interrupt_32", interrupt, 32 },
	{ "inject_interrupt_255", interrupt, 255 },
	{ "interrupt_waits_for_sti", interrupt_waits_for_sti, 0 },
	{ "interrupt_waits_for_mov_ss", interrupt_after_mov_ss, 0 },
	{ "interrupts_by_priority", interrupts_both_arrive, 0 },
	{ "inject_int_n", software, INJECT(EVENT_SOFTWARE_INTERRUPT, VECTOR_SOFTWARE) },
	{ "inject_int_3", software, INJECT(EVENT_SOFTWARE_INTERRUPT, VECTOR_BP) },
	{ "inject_int3", software, INJECT(EVENT_SOFTWARE_EXCEPTION, VECTOR_BP) },
	{ "inject_into", software, INJECT(EVENT_SOFTWARE_EXCEPTION, VECTOR_OF) },
	{ "inject_int1", software, INJECT(EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB) },
	{ "ud_reflected", undefined, 0 },
	{ "ud_reflected_saves_rf", undefined_saves_rf, 0 },
	{ "int_n_gate_not_present", gate_of_int_n, 0 },
	{ "interrupt_gate_not_present", gate_of_interrupt, 0 },
	{ "ud_gate_not_present", gate_of_ud, 0 },
	{ "double_fault_of_reflected_gp", double_fault_reflected, 0 },
	{ "double_fault_of_own_gp", double_fault_own, 0 },
	{ "double_fault_of_injected_pf", double_fault_injected_pf, 0 },
	{ "stack_of_gp_not_present", stack_not_present, VECTOR_GP },
	{ "stack_of_pf_not_present", stack_not_present, VECTOR_PF },
};

const struct chapter chapter_event = CHAPTER("event", tests);
