// SPDX-License-Identifier: BSD-2-Clause
/* Single steps by the VMM and by the guest, and breakpoints. */
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"

static void vmm_steps(uint64_t count)
{
	const uint64_t before = exits(EXIT_REASON_MONITOR_TRAP);

	catch_begin();
	if (hypercall(HYPERCALL_STEP, count, 0, 0, 0) != HYPERCALL_OK) {
		test_skip("no monitor trap flag");
		return;
	}
	asm volatile(".fill 40, 1, 0x90");
	expect_no_event();
	check_equal("monitor-trap exits", exits(EXIT_REASON_MONITOR_TRAP) - before, count);
}

/* The handler clears TF: one step, over `text`; RAX is the test's argument. */
#define STEP_OVER(name, text, rcx_value)                                                         \
	static void name(uint64_t argument)                                                      \
	{                                                                                        \
		uint64_t behind, rax = argument, rcx = (rcx_value), rdx = 0;                     \
                                                                                                 \
		catch_begin();                                                                   \
		asm volatile("leaq 1f(%%rip), %0\n\tpushfq\n\torq %5, (%%rsp)\n\tpopfq\n\t" text \
			     "\n1:\tnop\n\tnop"                                                  \
			     : "=&r"(behind), "+a"(rax), "+d"(rdx), "+c"(rcx)                    \
			     : "S"(SELECTOR_KERNEL_DATA), "i"(RFLAGS_TF)                         \
			     : "rbx", "memory", "cc");                                           \
		expect_event(VECTOR_DB, 0);                                                      \
		check_equal("saved RIP", catcher.events[0].frame.rip, behind);                   \
		check_equal("DR6", catcher.events[0].dr6, DR6_RESET | DR6_BS);                   \
	}

STEP_OVER(over_nop, "nop", 0)
STEP_OVER(over_cpuid, "cpuid", 0)
STEP_OVER(over_hlt, "hlt", 0)
STEP_OVER(over_invd, "invd", 0)
STEP_OVER(over_wbinvd, "wbinvd", 0)
STEP_OVER(over_vmcall, "vmcall", 0)
STEP_OVER(over_rdmsr, "rdmsr", MSR_IA32_FEATURE_CONTROL)
STEP_OVER(over_rdmsr_direct, "rdmsr", MSR_IA32_EFER)
STEP_OVER(over_mov_cr8, "movq %%rax, %%cr8", 0)
/* MOV SS holds the step off for one instruction. */
STEP_OVER(over_mov_ss_and_invd, "movl %4, %%ss\n\tinvd", 0)

STEP_OVER(over_sti, "sti", 0)

/* Its #DB exits in the shadow of STI, and is reflected. */
static void over_sti_intercepted(uint64_t argument)
{
	const uint64_t before = (uint64_t)hypercall(HYPERCALL_INTERCEPT,
						    1U << VECTOR_DB | 1U << VECTOR_UD, 0, 0, 0);

	over_sti(argument);
	interrupts_off();
	hypercall(HYPERCALL_INTERCEPT, before, 0, 0, 0);
}

static void over_wrmsr(uint64_t argument)
{
	const uint64_t efer = try_rdmsr(MSR_IA32_EFER);
	uint64_t behind;

	(void)argument;
	catch_begin();
	asm volatile("leaq 1f(%%rip), %0\n\tpushfq\n\torq %4, (%%rsp)\n\tpopfq\n\twrmsr\n1:\tnop"
		     : "=&r"(behind)
		     : "a"((uint32_t)efer), "d"((uint32_t)(efer >> 32)), "c"(MSR_IA32_EFER),
		       "i"(RFLAGS_TF)
		     : "memory", "cc");
	expect_event(VECTOR_DB, 0);
	check_equal("saved RIP", catcher.events[0].frame.rip, behind);
	check_equal("DR6", catcher.events[0].dr6, DR6_RESET | DR6_BS);
}

static void over_faulting(uint64_t argument)
{
	(void)argument;
	catch_begin();
	/* The #UD of the VMM comes, no single step before it; its handler runs with TF clear. */
	asm volatile("pushfq\n\torq %0, (%%rsp)\n\tleaq 9f(%%rip), %%r11\n\t"
		     "movq %%r11, catch_resume(%%rip)\n\tpopfq\n\tud2\n9:\tnop"
		     :
		     : "i"(RFLAGS_TF)
		     : "r11", "memory", "cc");
	catch_end();
	check_caught(2);
	check_event(0, VECTOR_UD, 0);
	check_event(1, VECTOR_DB, 0);
	check_equal("saved TF", catcher.events[0].frame.rflags & RFLAGS_TF, RFLAGS_TF);
}

/* Without an exit anywhere near: a processor that ignores this one has no breakpoints to test. */
static bool breakpoints_work(void)
{
	if (has_breakpoints())
		return true;
	test_skip("this processor ignores breakpoints in DR0");
	return false;
}

static void breakpoint(uint64_t argument)
{
	uint64_t address;

	(void)argument;
	if (!breakpoints_work())
		return;
	catch_begin();
	asm volatile("leaq 1f(%%rip), %0\n\tmovq %0, %%dr0\n\tmovq %1, %%dr7\n\t"
		     "xorl %%eax, %%eax\n\tcpuid\n1:\tnop"
		     : "=&r"(address)
		     : "r"(DR7_RESET | DR7_L0)
		     : "rax", "rbx", "rcx", "rdx", "memory", "cc");
	write_dr7(DR7_RESET);
	expect_event(VECTOR_DB, 0);
	check_equal("saved RIP", catcher.events[0].frame.rip, address);
	check_equal("DR6", catcher.events[0].dr6, DR6_RESET | DR6_B0);
}

/* The write is repeated after the EPT violation; the trap comes after it, once. */
static void watchpoint_on_unmapped_page(uint64_t argument)
{
	volatile uint64_t *const value = (volatile uint64_t *)test_pages[0];

	(void)argument;
	if (!breakpoints_work())
		return;
	catch_begin();
	write_dr0((uintptr_t)test_pages[0]);
	ept_unmap(test_pages[0]);
	write_dr7(DR7_RESET | DR7_L0 | DR7_RW0_WRITE | DR7_LEN0_8);
	*value = 1;
	write_dr7(DR7_RESET);
	expect_event(VECTOR_DB, 0);
	check_equal("DR6", catcher.events[0].dr6, DR6_RESET | DR6_B0);
}

static const struct test tests[] = {
	{ "vmm_steps_1", vmm_steps, 1 },
	{ "vmm_steps_7", vmm_steps, 7 },
	{ "over_nop", over_nop, 0 },
	{ "over_cpuid", over_cpuid, 0 },
	{ "over_hlt", over_hlt, 0 },
	{ "over_invd", over_invd, 0 },
	{ "over_wbinvd", over_wbinvd, 0 },
	{ "over_vmcall", over_vmcall, HYPERCALL_NOP },
	{ "over_rdmsr", over_rdmsr, 0 },
	{ "over_rdmsr_not_intercepted", over_rdmsr_direct, 0 },
	{ "over_wrmsr", over_wrmsr, 0 },
	{ "over_mov_to_cr8", over_mov_cr8, 0 },
	{ "over_mov_ss_and_invd", over_mov_ss_and_invd, 0 },
	{ "over_sti_intercepted", over_sti_intercepted, 0 },
	{ "over_faulting_instruction", over_faulting, 0 },
	{ "breakpoint_behind_cpuid", breakpoint, 0 },
	{ "watchpoint_on_unmapped_page", watchpoint_on_unmapped_page, 0 },
};

const struct chapter chapter_step = CHAPTER("step", tests);
