// SPDX-License-Identifier: BSD-2-Clause
/*
 * Instructions that FRED forbids: #UD while CR4.FRED is 1, and as ever while it is 0. And those of
 * FRED where it is off.
 */
#include "guest/machine/fred.h"
#include "guest/suite/suite.h"

#define GS_BASE_1 0x11111000ULL
#define GS_BASE_2 0x22222000ULL

static void expect_ud_by_fred(uint64_t rip)
{
	expect_fred_event(&(struct fred_expected){
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_UD,
		.level = 1,
		.rip = rip,
		.rsp = fred.events[0].stack.frame.rsp,
		.rflags = RFLAGS_RF,
	});
}

/* Ring 0 with FRED on. RCX and RDX lead where the exits lead, were they not refused. */
#define UNDEFINED(name, bytes)                                                                 \
	static void name(uint64_t argument)                                                    \
	{                                                                                      \
		uint64_t rip;                                                                  \
                                                                                               \
		(void)argument;                                                                \
		fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_UD, 1) });      \
		asm volatile(                                                                  \
			TRY("leaq 1f(%%rip), %0\n\tmovq %%r11, %%rcx\n\tmovq %%r11, %%rdx\n\t" \
			    "leaq test_pages(%%rip), %%rax\n1:\t.byte " bytes)                 \
			: "=&r"(rip)                                                           \
			:                                                                      \
			: "rax", "rcx", "rdx", "r11", "memory");                               \
		expect_ud_by_fred(rip);                                                        \
	}

UNDEFINED(swapgs, "0x0f, 0x01, 0xf8")
UNDEFINED(sysret, "0x0f, 0x07")
UNDEFINED(sysret_64, "0x48, 0x0f, 0x07")
UNDEFINED(sysexit, "0x0f, 0x35")
UNDEFINED(sysexit_64, "0x48, 0x0f, 0x35")
UNDEFINED(setssbsy, "0xf3, 0x0f, 0x01, 0xe8")
UNDEFINED(clrssbsy, "0xf3, 0x0f, 0xae, 0x30")

/* With FRED off. */
#define UNDEFINED_OFF(name, bytes)                                       \
	static void name(uint64_t argument)                              \
	{                                                                \
		(void)argument;                                          \
		catch_begin();                                           \
		asm volatile(TRY(".byte " bytes) : : : "r11", "memory"); \
		expect_event(VECTOR_UD, 0);                              \
	}

UNDEFINED_OFF(erets_off, "0xf2, 0x0f, 0x01, 0xca")
UNDEFINED_OFF(eretu_off, "0xf3, 0x0f, 0x01, 0xca")

FRAGMENT_LABELS(raise_erets);
FRAGMENT_LABELS(raise_eretu);

static const struct fragment returns[] = { FRAGMENT(raise_erets), FRAGMENT(raise_eretu) };

static void ring3_off(uint64_t index)
{
	catch_begin();
	fragment_run(3, &returns[index], 0);
	expect_event(VECTOR_UD, 0);
	check_equal("saved RIP", catcher.events[0].frame.rip, (uintptr_t)returns[index].saved);
}

static void ring3(uint64_t index)
{
	fred_begin(&(struct fred_setup){ 0 });
	fragment_run(3, &returns[index], 0);
	expect_fred_event(&(struct fred_expected){
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_UD,
		.ring = 3,
		.rip = (uintptr_t)returns[index].saved,
		.rsp = fragment_rsp,
		.rflags = RFLAGS_RF | RFLAGS_IF,
	});
}

/* EFER.SCE enables SYSCALL with FRED as without. */
static void syscall_disabled(uint64_t ring)
{
	static const struct fragment fragment = FRAGMENT(raise_syscall);
	const uint64_t efer = try_rdmsr(MSR_IA32_EFER);

	fred_begin(&(struct fred_setup){ 0 });
	write_msr(MSR_IA32_EFER, efer & ~EFER_SCE);
	fragment_run((unsigned int)ring, &fragment, 0);
	write_msr(MSR_IA32_EFER, efer);
	expect_fred_event(&(struct fred_expected){
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_UD,
		.ring = (uint8_t)ring,
		.rip = (uintptr_t)fragment.code,
		.rsp = fragment_rsp,
		.rflags = RFLAGS_RF | (ring == 3 ? RFLAGS_IF : 0),
	});
}

static void swapgs_off(uint64_t argument)
{
	(void)argument;
	catch_begin();
	try_wrmsr(MSR_IA32_GS_BASE, GS_BASE_1);
	try_wrmsr(MSR_IA32_KERNEL_GS_BASE, GS_BASE_2);
	asm volatile("swapgs" : : : "memory");
	check_equal("GS base", try_rdmsr(MSR_IA32_GS_BASE), GS_BASE_2);
	check_equal("IA32_KERNEL_GS_BASE", try_rdmsr(MSR_IA32_KERNEL_GS_BASE), GS_BASE_1);
	expect_no_event();
}

/* Legal, but for the null IA32_SYSENTER_CS. */
static void sysexit_off(uint64_t argument)
{
	const uint64_t old = try_rdmsr(MSR_IA32_SYSENTER_CS);

	(void)argument;
	catch_begin();
	try_wrmsr(MSR_IA32_SYSENTER_CS, 0);
	asm volatile(TRY(".byte 0x0f, 0x35") : : "c"(0), "d"(0) : "r11", "memory");
	expect_event(VECTOR_GP, 0);
	try_wrmsr(MSR_IA32_SYSENTER_CS, old);
}

/* By SYSRET into ring 3, and out again by INT. */
static void sysret_off(uint64_t argument)
{
	static const struct fragment fragment = FRAGMENT(raise_int3);

	(void)argument;
	catch_begin();
	fragment_run(3, &fragment, 0);
	expect_event(VECTOR_BP, 0);
	check_equal("saved CS", catcher.events[0].frame.cs, SELECTOR_USER_CODE);
}

static const struct test tests[] = {
	{ "swapgs_undefined", swapgs, 0 },
	{ "sysret_undefined", sysret, 0 },
	{ "sysret_64_undefined", sysret_64, 0 },
	{ "sysexit_undefined", sysexit, 0 },
	{ "sysexit_64_undefined", sysexit_64, 0 },
	{ "setssbsy_undefined", setssbsy, 0 },
	{ "clrssbsy_undefined", clrssbsy, 0 },
	{ "erets_in_ring3_undefined", ring3, 0 },
	{ "eretu_in_ring3_undefined", ring3, 1 },
	{ "ring0_syscall_without_sce_undefined", syscall_disabled, 0 },
	{ "ring3_syscall_without_sce_undefined", syscall_disabled, 3 },
	{ "erets_undefined_without_fred", erets_off, 0 },
	{ "eretu_undefined_without_fred", eretu_off, 0 },
	{ "erets_in_ring3_undefined_without_fred", ring3_off, 0 },
	{ "eretu_in_ring3_undefined_without_fred", ring3_off, 1 },
	{ "swapgs_works_without_fred", swapgs_off, 0 },
	{ "sysret_works_without_fred", sysret_off, 0 },
	{ "sysexit_as_ever_without_fred", sysexit_off, 0 },
};

const struct chapter chapter_fred_ud = FRED_CHAPTER("fred-ud", tests);
