// SPDX-License-Identifier: BSD-2-Clause
/* The guest has no VMX: its instructions are undefined. VMCALL is for CPL 0 only. */
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"

#define UNUSED_HYPERCALL 0x7fff
#define UNDEFINED(name, text)                                                                \
	static void name(uint64_t argument)                                                  \
	{                                                                                    \
		uint64_t operand[2] = { argument, 0 };                                       \
                                                                                             \
		catch_begin();                                                               \
		asm volatile(TRY(text) : "+m"(operand) : "a"(0ULL) : "r11", "memory", "cc"); \
		expect_event(VECTOR_UD, 0);                                                  \
	}

UNDEFINED(vmxon, "vmxon %0")
UNDEFINED(vmxoff, "vmxoff")
UNDEFINED(vmclear, "vmclear %0")
UNDEFINED(vmptrld, "vmptrld %0")
UNDEFINED(vmptrst, "vmptrst %0")
UNDEFINED(vmread, "vmread %%rax, %%rax")
UNDEFINED(vmwrite, "vmwrite %%rax, %%rax")
UNDEFINED(vmlaunch, "vmlaunch")
UNDEFINED(vmresume, "vmresume")
UNDEFINED(invept, "invept %0, %%rax")
UNDEFINED(invvpid, "invvpid %0, %%rax")
UNDEFINED(vmfunc, "vmfunc")
UNDEFINED(getsec, "getsec")
UNDEFINED(rsm, "rsm")
/* CPUID hides these from every guest. */
UNDEFINED(monitor, "monitor")
UNDEFINED(mwait, "mwait")
UNDEFINED(encls, ".byte 0x0f, 0x01, 0xcf")
UNDEFINED(enclv, ".byte 0x0f, 0x01, 0xc0")
UNDEFINED(pconfig, ".byte 0x0f, 0x01, 0xc5")
/* These exit with no control for it, where the processor has TDX and RDMSR with a constant. */
UNDEFINED(seamcall, ".byte 0x66, 0x0f, 0x01, 0xcf")
UNDEFINED(tdcall, ".byte 0x66, 0x0f, 0x01, 0xcc")
UNDEFINED(rdmsr_immediate, ".byte 0xc4, 0xe7, 0x7b, 0xf6, 0xc0\n\t.long 0x3a")

#define IF_HIDDEN(name, leaf, register, bit, text)                                \
	static void name##_if_hidden(uint64_t argument)                           \
	{                                                                         \
		(void)argument;                                                   \
		if (cpuid(leaf, 0).register & (1U << (bit))) {                    \
			test_skip("CPUID shows it");                              \
			return;                                                   \
		}                                                                 \
		catch_begin();                                                    \
		asm volatile(TRY(text) : : "a"(0), "d"(0), "c"(0) : "r11", "cc"); \
		expect_event(VECTOR_UD, 0);                                       \
	}

IF_HIDDEN(tpause, 7, ecx, 5, ".byte 0x66, 0x0f, 0xae, 0xf1")
IF_HIDDEN(umwait, 7, ecx, 5, ".byte 0xf2, 0x0f, 0xae, 0xf1")
IF_HIDDEN(umonitor, 7, ecx, 5, ".byte 0xf3, 0x0f, 0xae, 0xf0")
IF_HIDDEN(rdpid, 7, ecx, 22, ".byte 0xf3, 0x0f, 0xc7, 0xf8")

static void rdpmc(uint64_t cr4)
{
	const uint64_t before = read_cr4();

	write_cr4(before | cr4);
	catch_begin();
	asm volatile(TRY("rdpmc") : : "a"(0), "d"(0), "c"(0) : "r11");
	expect_event(VECTOR_GP, 0);
	write_cr4(before);
}

static const struct fragment ring3_fragments[] = { FRAGMENT(raise_vmcall), FRAGMENT(raise_vmread) };

static void ring3(uint64_t number)
{
	catch_begin();
	fragment_run(3, &ring3_fragments[number], 0);
	expect_event(VECTOR_UD, 0);
	check_equal("saved RIP", catcher.events[0].frame.rip,
		    (uintptr_t)ring3_fragments[number].saved);
	check_equal("saved CS", catcher.events[0].frame.cs, SELECTOR_USER_CODE);
}

static void unknown_hypercall(uint64_t number)
{
	check_equal("result", (uint64_t)hypercall((enum hypercall)number, 0, 0, 0, 0),
		    (uint64_t)HYPERCALL_UNKNOWN);
}

static void invalid(uint64_t number)
{
	/* No address, event, vector or exit reason is like this. */
	check_equal("result", (uint64_t)hypercall((enum hypercall)number, 1ULL << 62, 1, 0, 0),
		    (uint64_t)HYPERCALL_INVALID);
}

static void registers_survive(uint64_t argument)
{
	uint64_t rbx = 1, rcx = 2, rdx = 3, rsi = 4;
	long result;

	(void)argument;
	asm volatile("vmcall"
		     : "=a"(result), "+b"(rbx), "+c"(rcx), "+d"(rdx), "+S"(rsi)
		     : "a"(HYPERCALL_NOP));
	check_equal("RAX", (uint64_t)result, HYPERCALL_OK);
	check("RBX, RCX, RDX, RSI", rbx == 1 && rcx == 2 && rdx == 3 && rsi == 4);
}

static const struct test tests[] = {
	{ "vmxon_is_ud", vmxon, 0 },
	{ "vmxoff_is_ud", vmxoff, 0 },
	{ "vmclear_is_ud", vmclear, 0 },
	{ "vmptrld_is_ud", vmptrld, 0 },
	{ "vmptrst_is_ud", vmptrst, 0 },
	{ "vmread_is_ud", vmread, 0 },
	{ "vmwrite_is_ud", vmwrite, 0 },
	{ "vmlaunch_is_ud", vmlaunch, 0 },
	{ "vmresume_is_ud", vmresume, 0 },
	{ "invept_is_ud", invept, 0 },
	{ "invvpid_is_ud", invvpid, 0 },
	{ "vmfunc_is_ud", vmfunc, 0 },
	{ "getsec_is_ud", getsec, 0 },
	{ "rsm_is_ud", rsm, 0 },
	{ "seamcall_is_ud", seamcall, 0 },
	{ "tdcall_is_ud", tdcall, 0 },
	{ "rdmsr_immediate_is_ud", rdmsr_immediate, 0 },
	{ "monitor_is_ud", monitor, 0 },
	{ "mwait_is_ud", mwait, 0 },
	{ "encls_is_ud", encls, 0 },
	{ "enclv_is_ud", enclv, 0 },
	{ "pconfig_is_ud", pconfig, 0 },
	{ "tpause_is_ud", tpause_if_hidden, 0 },
	{ "umwait_is_ud", umwait_if_hidden, 0 },
	{ "umonitor_is_ud", umonitor_if_hidden, 0 },
	{ "rdpid_is_ud", rdpid_if_hidden, 0 },
	{ "rdpmc_is_gp", rdpmc, 0 },
	{ "rdpmc_with_pce_is_gp", rdpmc, CR4_PCE },
	{ "vmcall_in_ring3_is_ud", ring3, 0 },
	{ "vmread_in_ring3_is_ud", ring3, 1 },
	{ "unknown_hypercall", unknown_hypercall, UNUSED_HYPERCALL },
	{ "hypercall_registers_survive", registers_survive, 0 },
	{ "console_of_no_memory_is_invalid", invalid, HYPERCALL_CONSOLE_WRITE },
	{ "unmap_of_no_memory_is_invalid", invalid, HYPERCALL_UNMAP_PAGE },
	{ "inject_of_no_event_is_invalid", invalid, HYPERCALL_INJECT },
	{ "count_of_no_reason_is_invalid", invalid, HYPERCALL_EXIT_COUNT },
	{ "timer_of_no_vector_is_invalid", invalid, HYPERCALL_TIMER },
	{ "interrupt_of_no_vector_is_invalid", invalid, HYPERCALL_SELF_INTERRUPT },
};

const struct chapter chapter_vmx = CHAPTER("vmx", tests);
