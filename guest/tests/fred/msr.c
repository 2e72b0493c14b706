// SPDX-License-Identifier: BSD-2-Clause
/*
 * The nine MSRs of FRED and IA32_PL0_SSP: which values they take, and that they keep them. None of
 * it depends on CR4.FRED.
 */
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"
#include "lib/x86/fred.h"

#define CPUID_ADDRESS_SIZES    0x80000008U
#define CPUID_7_1_EAX_WRMSRNS  (1U << 19)
#define ALTERNATING_BITS       0xaaaaaaaaaaaaaaaaULL
#define PL0_SSP_TOKEN_POSITION (1ULL << 2) /* writable here, though no delivery takes it */

struct rule {
	uint32_t msr;
	bool address; /* must be canonical */
	uint64_t reserved;
};

static const struct rule rules[] = {
	{ MSR_IA32_FRED_RSP0, true, FRED_RSP_RESERVED },
	{ MSR_IA32_FRED_RSP1, true, FRED_RSP_RESERVED },
	{ MSR_IA32_FRED_RSP2, true, FRED_RSP_RESERVED },
	{ MSR_IA32_FRED_RSP3, true, FRED_RSP_RESERVED },
	{ MSR_IA32_FRED_STKLVLS, false, 0 },
	{ MSR_IA32_FRED_SSP1, true, FRED_SSP_RESERVED },
	{ MSR_IA32_FRED_SSP2, true, FRED_SSP_RESERVED },
	{ MSR_IA32_FRED_SSP3, true, FRED_SSP_RESERVED },
	{ MSR_IA32_FRED_CONFIG, true, FRED_CONFIG_RESERVED },
	{ MSR_IA32_PL0_SSP, true, PL0_SSP_RESERVED },
};

static const struct rule *rule_of(uint64_t msr)
{
	const struct rule *rule = rules;

	while (rule->msr != msr)
		rule++;
	return rule;
}

/* Bits of a linear address that are not copies of the highest: what the processor has at most. */
static unsigned int address_bits(void)
{
	return (cpuid(CPUID_ADDRESS_SIZES, 0).eax >> 8 & 0xff) - 1;
}

/* It has to, with and without CET; where it does not, the test has failed and can do no more. */
static bool exists(uint64_t msr)
{
	catch_begin();
	try_rdmsr((uint32_t)msr);
	if (catch_end() == 0)
		return true;
	check_failed("MSR that does not exist", msr);
	return false;
}

static uint64_t written(uint32_t msr, uint64_t value)
{
	try_wrmsr(msr, value);
	return try_rdmsr(msr);
}

static void expect_accepted(uint32_t msr, uint64_t value)
{
	catch_begin();
	check_equal("value read back", written(msr, value), value);
	expect_no_event();
}

/* #GP(0), and the MSR keeps what it has. */
static void expect_refused(uint32_t msr, uint64_t value)
{
	const uint64_t old = try_rdmsr(msr);

	catch_begin();
	try_wrmsr(msr, value);
	catch_end();
	if (catcher.count != 1 || catcher.events[0].frame.vector != VECTOR_GP ||
	    catcher.events[0].frame.error_code != 0)
		check_failed("value whose writing does not raise #GP(0)", value);
	check_equal("value after #GP", try_rdmsr(msr), old);
	write_msr(msr, old);
}

static void reserved_bits(uint64_t msr)
{
	const struct rule *const rule = rule_of(msr);
	uint64_t old;

	if (!exists(msr))
		return;
	old = try_rdmsr(rule->msr);
	for (unsigned int bit = 0; bit < 64; bit++)
		if (rule->reserved >> bit & 1)
			expect_refused(rule->msr, 1ULL << bit);
	expect_refused(rule->msr, rule->reserved);
	check_equal("value at the end", try_rdmsr(rule->msr), old);
}

static void bits_read_back(uint64_t msr)
{
	const struct rule *const rule = rule_of(msr);
	const unsigned int bits = rule->address ? address_bits() : 64;
	uint64_t old;

	if (!exists(msr))
		return;
	old = try_rdmsr(rule->msr);
	for (unsigned int bit = 0; bit < bits; bit++)
		if (!(rule->reserved >> bit & 1))
			expect_accepted(rule->msr, 1ULL << bit);
	expect_accepted(rule->msr, ~rule->reserved);
	expect_accepted(rule->msr, 0);
	expect_accepted(rule->msr, old);
}

/* A single bit from the highest of an address on up. */
static void not_canonical(uint64_t msr)
{
	if (!exists(msr))
		return;
	for (unsigned int bit = address_bits(); bit < 64; bit++)
		expect_refused((uint32_t)msr, 1ULL << bit);
}

/* The last address of the lower half, the first of the upper one, and those beyond. */
static void canonical_edges(uint64_t msr)
{
	const struct rule *const rule = rule_of(msr);
	uint64_t old;
	const uint64_t upper = ~0ULL << address_bits();

	if (!exists(msr))
		return;
	old = try_rdmsr(rule->msr);
	expect_accepted(rule->msr, ~upper & ~rule->reserved);
	expect_accepted(rule->msr, upper);
	expect_refused(rule->msr, ~upper + 1);
	expect_refused(rule->msr, (upper - 1) & ~rule->reserved);
	expect_accepted(rule->msr, old);
}

/* Turning FRED on and off changes none of them, and they are the same MSRs in between. */
static void survives_cr4(uint64_t msr)
{
	const struct rule *const rule = rule_of(msr);
	const uint64_t cr4 = read_cr4();
	uint64_t old;
	const uint64_t low = rule->address ? ~(~0ULL << address_bits()) : ~0ULL;
	const uint64_t first = ALTERNATING_BITS & low & ~rule->reserved;
	const uint64_t second = ~ALTERNATING_BITS & low & ~rule->reserved;
	uint64_t with_fred, changed, without;

	if (!exists(msr))
		return;
	old = try_rdmsr(rule->msr);
	/* No event may come until FRED is off again: a refused value would not be caught. */
	try_wrmsr(rule->msr, first);
	write_cr4(cr4 | CR4_FRED);
	with_fred = try_rdmsr(rule->msr);
	try_wrmsr(rule->msr, second);
	changed = try_rdmsr(rule->msr);
	write_cr4(cr4);
	without = try_rdmsr(rule->msr);
	try_wrmsr(rule->msr, old);
	check_equal("value when CR4.FRED was set", with_fred, first);
	check_equal("value written under CR4.FRED", changed, second);
	check_equal("value when CR4.FRED was cleared", without, second);
}

FRAGMENT_LABELS(raise_wrmsr);

static void ring3(uint64_t msr)
{
	static const struct fragment read = FRAGMENT(raise_rdmsr);
	static const struct fragment write = FRAGMENT(raise_wrmsr);
	uint64_t old;

	if (!exists(msr))
		return;
	old = try_rdmsr((uint32_t)msr);
	catch_begin();
	fragment_run(3, &read, msr);
	expect_event(VECTOR_GP, 0);
	catch_begin();
	fragment_run(3, &write, msr);
	expect_event(VECTOR_GP, 0);
	check_equal("value", try_rdmsr((uint32_t)msr), old);
}

static void try_wrmsrns(uint32_t msr, uint64_t value)
{
	/* NASM and GNU as of Debian 12 know it, clang's assembler of that time does not. */
	asm volatile(TRY(".byte 0x0f, 0x01, 0xc6")
		     :
		     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
		     : "r11", "memory");
}

static void wrmsrns(uint64_t msr)
{
	const struct rule *const rule = rule_of(msr);
	uint64_t old;
	const uint64_t low = rule->address ? ~(~0ULL << address_bits()) : ~0ULL;
	const uint64_t value = ALTERNATING_BITS & low & ~rule->reserved;

	if (!exists(msr))
		return;
	old = try_rdmsr(rule->msr);
	if (!(cpuid(7, 1).eax & CPUID_7_1_EAX_WRMSRNS)) {
		test_skip("no WRMSRNS");
		return;
	}
	catch_begin();
	try_wrmsrns(rule->msr, value);
	check_equal("value read back", try_rdmsr(rule->msr), value);
	expect_no_event();
	if (rule->address) {
		catch_begin();
		try_wrmsrns(rule->msr, NON_CANONICAL);
		expect_event(VECTOR_GP, 0);
		catch_begin();
		try_wrmsrns(rule->msr, rule->reserved);
		expect_event(VECTOR_GP, 0);
		check_equal("value after #GP", try_rdmsr(rule->msr), value);
	}
	try_wrmsr(rule->msr, old);
}

static void token_bit(uint64_t msr)
{
	uint64_t old;

	if (!exists(msr))
		return;
	old = try_rdmsr((uint32_t)msr);
	expect_accepted((uint32_t)msr, PL0_SSP_TOKEN_POSITION);
	expect_accepted((uint32_t)msr, old);
}

/* The MSRs of shadow stacks are there without shadow stacks as well. */
#define ANY_VALUE_TESTS(name, msr)                                \
	{ name "_bits_read_back", bits_read_back, msr },          \
		{ name "_survives_cr4_fred", survives_cr4, msr }, \
		{ name "_in_ring3_faults", ring3, msr },          \
	{                                                         \
		name "_by_wrmsrns", wrmsrns, msr                  \
	}
#define ADDRESS_TESTS(name, msr)                                      \
	{ name "_reserved_bits_fault", reserved_bits, msr },          \
		{ name "_not_canonical_faults", not_canonical, msr }, \
		{ name "_canonical_edges", canonical_edges, msr }, ANY_VALUE_TESTS(name, msr)

static const struct test tests[] = {
	ADDRESS_TESTS("rsp0", MSR_IA32_FRED_RSP0),
	ADDRESS_TESTS("rsp1", MSR_IA32_FRED_RSP1),
	ADDRESS_TESTS("rsp2", MSR_IA32_FRED_RSP2),
	ADDRESS_TESTS("rsp3", MSR_IA32_FRED_RSP3),
	ANY_VALUE_TESTS("stklvls", MSR_IA32_FRED_STKLVLS),
	ADDRESS_TESTS("ssp1", MSR_IA32_FRED_SSP1),
	ADDRESS_TESTS("ssp2", MSR_IA32_FRED_SSP2),
	ADDRESS_TESTS("ssp3", MSR_IA32_FRED_SSP3),
	ADDRESS_TESTS("config", MSR_IA32_FRED_CONFIG),
	ADDRESS_TESTS("pl0_ssp", MSR_IA32_PL0_SSP),
	{ "pl0_ssp_bit_2_is_writable", token_bit, MSR_IA32_PL0_SSP },
};

const struct chapter chapter_fred_msr = FRED_CHAPTER("fred-msr", tests);
