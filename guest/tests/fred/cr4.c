// SPDX-License-Identifier: BSD-2-Clause
/* CR4.FRED: what it may be set with, what it forbids to clear, and what it changes by itself. */
#include "guest/machine/fred.h"
#include "guest/suite/suite.h"

#define FIRST_RESERVED_BIT 33U

static void advertised_with_lkgs(uint64_t argument)
{
	(void)argument;
	check("CPUID (7,1).EAX[18] LKGS", cpuid(7, 1).eax & CPUID_7_1_EAX_LKGS);
	check("largest subleaf of CPUID 7", cpuid(7, 0).eax >= 1);
}

static void set_and_cleared(uint64_t argument)
{
	const uint64_t cr4 = read_cr4();
	uint64_t set, set_again;

	(void)argument;
	check_equal("CR4.FRED before", cr4 & CR4_FRED, 0);
	write_cr4(cr4 | CR4_FRED);
	set = read_cr4();
	write_cr4(cr4 | CR4_FRED);
	set_again = read_cr4();
	write_cr4(cr4);
	check_equal("CR4 with FRED", set, cr4 | CR4_FRED);
	check_equal("CR4 with FRED, written again", set_again, cr4 | CR4_FRED);
	check_equal("CR4 without FRED", read_cr4(), cr4);
}

/* Other bits change together with it, and under it. */
static void other_bits(uint64_t bit)
{
	const uint64_t cr4 = read_cr4();
	uint64_t with, under;

	write_cr4((cr4 | CR4_FRED) ^ bit);
	with = read_cr4();
	write_cr4(cr4 | CR4_FRED);
	under = read_cr4();
	write_cr4(cr4);
	check_equal("CR4, both written", with, (cr4 | CR4_FRED) ^ bit);
	check_equal("CR4, the other bit written back", under, cr4 | CR4_FRED);
}

/* Writes that raise #GP(0) wherever FRED delivers it. */
static void expect_gp(uint64_t rip)
{
	fred_end();
	check_fred_caught(1);
	check_fred_frame(0, &(struct fred_expected){
				    .type = EVENT_HARDWARE_EXCEPTION,
				    .vector = VECTOR_GP,
				    .level = 1,
				    .rip = rip,
				    .rsp = fred.events[0].stack.frame.rsp,
				    .rflags = RFLAGS_RF,
			    });
}

static const struct fred_setup gp_at_level_1 = { .stklvls = FRED_STKLVL(VECTOR_GP, 1) };

static void try_cr4(uint64_t value)
{
	uint64_t rip;

	fred_begin(&gp_at_level_1);
	asm volatile(TRY("leaq 1f(%%rip), %0\n1:\tmovq %1, %%cr4")
		     : "=&r"(rip)
		     : "r"(value)
		     : "r11", "memory");
	expect_gp(rip);
}

static void reserved_bits(uint64_t argument)
{
	const uint64_t cr4 = read_cr4();

	(void)argument;
	for (unsigned int bit = FIRST_RESERVED_BIT; bit < 64; bit++) {
		catch_begin();
		try_write_cr4(cr4 | 1ULL << bit);
		expect_event(VECTOR_GP, 0);
		catch_begin();
		try_write_cr4(cr4 | CR4_FRED | 1ULL << bit);
		expect_event(VECTOR_GP, 0);
	}
	check_equal("CR4", read_cr4(), cr4);
}

static void reserved_bits_with_fred(uint64_t argument)
{
	const uint64_t cr4 = read_cr4();

	(void)argument;
	for (unsigned int bit = FIRST_RESERVED_BIT; bit < 64; bit++)
		try_cr4(cr4 | CR4_FRED | 1ULL << bit);
	check_equal("CR4", read_cr4(), cr4);
}

/* 64-bit mode cannot be left while FRED is on, nor when it is off. */
static void pae_stays(uint64_t argument)
{
	(void)argument;
	try_cr4((read_cr4() | CR4_FRED) & ~CR4_PAE);
}

static void pae_and_fred_stay(uint64_t argument)
{
	(void)argument;
	try_cr4(read_cr4() & ~(CR4_PAE | CR4_FRED));
}

static void paging_stays(uint64_t argument)
{
	const uint64_t cr0 = read_cr0();
	uint64_t rip;

	(void)argument;
	fred_begin(&gp_at_level_1);
	asm volatile(TRY("leaq 1f(%%rip), %0\n1:\tmovq %1, %%cr0")
		     : "=&r"(rip)
		     : "r"(cr0 & ~CR0_PG)
		     : "r11", "memory");
	expect_gp(rip);
	check_equal("CR0", read_cr0(), cr0);
}

static void long_mode_stays(uint64_t argument)
{
	const uint64_t efer = try_rdmsr(MSR_IA32_EFER), wanted = efer & ~EFER_LME;
	uint64_t rip;

	(void)argument;
	fred_begin(&gp_at_level_1);
	asm volatile(TRY("leaq 1f(%%rip), %0\n1:\twrmsr")
		     : "=&r"(rip)
		     : "c"(MSR_IA32_EFER), "a"((uint32_t)wanted), "d"((uint32_t)(wanted >> 32))
		     : "r11", "memory");
	expect_gp(rip);
	check_equal("EFER", try_rdmsr(MSR_IA32_EFER), efer);
}

/* The IDT is not looked at while FRED is on, and again as soon as it is off. */
static void idt_used_again(uint64_t argument)
{
	(void)argument;
	gate_set_present(VECTOR_UD, false);
	fred_begin(&(struct fred_setup){ 0 });
	asm volatile(TRY("ud2") : : : "r11", "memory");
	fred_end();
	check_fred_caught(1);
	check_equal("vector by FRED", FRED_SS_VECTOR(fred.events[0].stack.frame.ss), VECTOR_UD);
	gate_set_present(VECTOR_UD, true);
	catch_begin();
	asm volatile(TRY("ud2") : : : "r11", "memory");
	expect_event(VECTOR_UD, 0);
}

static void idt_limit_ignored(uint64_t argument)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} old, none = { 0, 0 };

	(void)argument;
	fred_begin(&(struct fred_setup){ 0 });
	asm volatile("sidt %0" : "=m"(old));
	asm volatile("lidt %0" : : "m"(none));
	asm volatile(TRY("int3") : : : "r11", "memory");
	asm volatile("lidt %0" : : "m"(old));
	fred_end();
	check_fred_caught(1);
	check_equal("vector", FRED_SS_VECTOR(fred.events[0].stack.frame.ss), VECTOR_BP);
}

/* Setting it delivers nothing and loads nothing. */
static void changes_nothing_else(uint64_t argument)
{
	static const uint32_t msrs[] = {
		MSR_IA32_GS_BASE,      MSR_IA32_KERNEL_GS_BASE, MSR_IA32_EFER,
		MSR_IA32_STAR,	       MSR_IA32_FRED_CONFIG,	MSR_IA32_FRED_RSP0,
		MSR_IA32_FRED_RSP1,    MSR_IA32_FRED_RSP2,	MSR_IA32_FRED_RSP3,
		MSR_IA32_FRED_STKLVLS,
	};
	uint64_t before[sizeof(msrs) / sizeof(msrs[0])];
	const uint64_t cr4 = read_cr4(), cr0 = read_cr0();
	uint64_t flags, flags_with;
	uint16_t ss;

	(void)argument;
	for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
		before[i] = try_rdmsr(msrs[i]);
	asm volatile("pushfq\n\tpopq %0\n\tmovq %3, %%cr4\n\tpushfq\n\tpopq %1\n\tmovw %%ss, %2"
		     : "=&r"(flags), "=&r"(flags_with), "=&r"(ss)
		     : "r"(cr4 | CR4_FRED)
		     : "memory");
	for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
		check_equal("MSR", try_rdmsr(msrs[i]), before[i]);
	write_cr4(cr4);
	for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
		check_equal("MSR afterwards", try_rdmsr(msrs[i]), before[i]);
	check_equal("CR0", read_cr0(), cr0);
	/* MOV to CR4 leaves the status flags undefined. */
	check_equal("RFLAGS", flags_with & ~RFLAGS_STATUS, flags & ~RFLAGS_STATUS);
	check_equal("SS", ss, SELECTOR_KERNEL_DATA);
}

static const struct test tests[] = {
	{ "advertised_with_lkgs", advertised_with_lkgs, 0 },
	{ "set_and_cleared", set_and_cleared, 0 },
	{ "with_tsd", other_bits, CR4_TSD },
	{ "with_de", other_bits, CR4_DE },
	{ "with_pge", other_bits, CR4_PGE },
	{ "with_pce", other_bits, CR4_PCE },
	{ "with_osfxsr", other_bits, CR4_OSFXSR },
	{ "reserved_bits_fault", reserved_bits, 0 },
	{ "reserved_bits_fault_with_fred", reserved_bits_with_fred, 0 },
	{ "pae_cannot_be_cleared", pae_stays, 0 },
	{ "pae_and_fred_cannot_be_cleared", pae_and_fred_stay, 0 },
	{ "paging_cannot_be_turned_off", paging_stays, 0 },
	{ "long_mode_enable_cannot_be_cleared", long_mode_stays, 0 },
	{ "idt_used_again", idt_used_again, 0 },
	{ "idt_limit_ignored", idt_limit_ignored, 0 },
	{ "changes_nothing_else", changes_nothing_else, 0 },
};

const struct chapter chapter_fred_cr4 = FRED_CHAPTER("fred-cr4", tests);
