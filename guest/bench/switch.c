// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a switch to another guest and back must not change: this guest compares every register that
 * it has with what it has to begin with, fills it with a value of its own, gives way, and compares
 * again, many times. Several such guests on one processor have different seeds.
 */
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"
#include "lib/string.h"
#include "lib/x86/fred.h"

#define CHANGE_EVERY  1000 /* switches: then all values are new ones */
#define SOFT_EVERY    32   /* MSRs that exit are compared this seldom */
#define REPORTS_MAX   8
#define SPINS	      2000
#define XSAVE_SIZE    8192
#define XSAVE_HEADER  512
#define XSAVE_LEGACY  416 /* where the registers of x87 and SSE end */
#define XSAVE_MXCSR   24
#define XSAVE_X87     32 /* eight registers of 10 bytes in 16 */
#define MXCSR_MASKED  0x1f80U
#define MXCSR_CONTROL 0xe000U /* rounding, flush to zero */
#define FCW_RESET     0x37fU
#define FCW_ROUNDING  0xc00U
/* x87, SSE, AVX, the three of AVX-512, PKRU. */
#define COMPONENTS	0x2e7ULL
#define COMPONENT_FIRST 2 /* beyond the legacy region */
#define COMPONENT_PKRU	9
#define COMPONENT_LAST	COMPONENT_PKRU
#define COMPONENTS_ZMM	0xe0ULL
#define DR6_CAUSES	(DR6_B0 * 0xf | DR6_BS)
#define DR6_FIXED	0xffff0ff0ULL
#define DR7_FIXED	0x400ULL
#define DR7_LENGTHS	0xcccc0000ULL
#define CANONICAL_LOW	0x00007fffffffffffULL
#define GPRS		13

/* An MSR: which of its bits vary. Whether the processor has it is tried. */
static const struct {
	uint32_t number;
	uint64_t varies;
	bool of_fred; /* exits where FRED is software's */
} msrs[] = {
	{ MSR_IA32_GS_BASE, CANONICAL_LOW, false },
	{ MSR_IA32_FS_BASE, CANONICAL_LOW, false },
	{ MSR_IA32_KERNEL_GS_BASE, CANONICAL_LOW, false },
	{ MSR_IA32_STAR, ~0ULL, false },
	{ MSR_IA32_LSTAR, CANONICAL_LOW, false },
	{ MSR_IA32_CSTAR, CANONICAL_LOW, false },
	{ MSR_IA32_FMASK, 0xffffffffULL, false },
	{ MSR_IA32_TSC_AUX, 0xffffffffULL, false },
	{ MSR_IA32_SYSENTER_ESP, CANONICAL_LOW, false },
	{ MSR_IA32_SYSENTER_EIP, CANONICAL_LOW, false },
	{ MSR_IA32_PL1_SSP, CANONICAL_LOW & ~7ULL, false },
	{ MSR_IA32_PL1_SSP + 1, CANONICAL_LOW & ~7ULL, false },
	{ MSR_IA32_PL3_SSP, CANONICAL_LOW & ~7ULL, false },
	{ MSR_IA32_PL0_SSP, CANONICAL_LOW & ~7ULL, true },
	{ MSR_IA32_FRED_RSP0, CANONICAL_LOW & ~63ULL, true },
	{ MSR_IA32_FRED_RSP1, CANONICAL_LOW & ~63ULL, true },
	{ MSR_IA32_FRED_RSP2, CANONICAL_LOW & ~63ULL, true },
	{ MSR_IA32_FRED_RSP3, CANONICAL_LOW & ~63ULL, true },
	{ MSR_IA32_FRED_SSP1, CANONICAL_LOW & ~7ULL, true },
	{ MSR_IA32_FRED_SSP2, CANONICAL_LOW & ~7ULL, true },
	{ MSR_IA32_FRED_SSP3, CANONICAL_LOW & ~7ULL, true },
	{ MSR_IA32_FRED_STKLVLS, ~0ULL, true },
	{ MSR_IA32_FRED_CONFIG, CANONICAL_LOW & ~0xfffULL, true },
};
#define MSRS (sizeof(msrs) / sizeof(msrs[0]))

struct area {
	uint8_t bytes[XSAVE_SIZE];
} __attribute__((aligned(64)));

/* machine/boot.asm: all but RDI and RSP at the start, by OR. */
extern uint64_t start_registers;

/* switch_registers.asm */
void switch_give_way(uint64_t spins, const uint64_t gprs[GPRS], uint64_t found[GPRS],
		     uint64_t call);

static struct {
	uint64_t gprs[GPRS];
	uint64_t cr2, dr[4], dr6, dr7;
	uint64_t msrs[MSRS];
} wanted;
static struct area wanted_area, found_area;
static bool has_msr[MSRS];
static uint64_t components; /* of XCR0; 0: no XSAVE */
static struct {
	uint32_t offset, size;
} places[COMPONENT_LAST + 1];
static uint64_t random_state;
static uint64_t differences;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void expect(const char *what, uint64_t number, uint64_t got, uint64_t expected)
{
	if (got == expected)
		return;
	if (differences++ < REPORTS_MAX)
		print("# switch: %s %llx: expected 0x%llx, got 0x%llx", what,
		      (unsigned long long)number, (unsigned long long)expected,
		      (unsigned long long)got);
}

static void find_msrs(void)
{
	for (size_t i = 0; i < MSRS; i++) {
		catch_begin();
		(void)try_rdmsr(msrs[i].number);
		has_msr[i] = catch_end() == 0;
	}
}

static void xsetbv(uint64_t value)
{
	asm volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void find_components(void)
{
	if (!(cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE))
		return;
	components = cpuid(0xd, 0).eax & COMPONENTS;
	if ((components & COMPONENTS_ZMM) != COMPONENTS_ZMM)
		components &= ~COMPONENTS_ZMM;
	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE);
	xsetbv(components);
	for (uint32_t i = COMPONENT_FIRST; i <= COMPONENT_LAST; i++) {
		const struct cpuid_result leaf = cpuid(0xd, i);

		if (!(components >> i & 1))
			continue;
		places[i].offset = leaf.ebx;
		places[i].size = leaf.eax;
		if (leaf.ebx + leaf.eax > XSAVE_SIZE)
			guest_fail("the XSAVE area is larger than this test has room for");
	}
}

static void xrstor(const struct area *area)
{
	asm volatile("xrstor64 (%0)" : : "r"(area), "a"(~0U), "d"(~0U) : "memory");
}

static void xsave(struct area *area)
{
	asm volatile("xsave64 (%0)" : : "r"(area), "a"(~0U), "d"(~0U) : "memory");
}

static void fill(uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
		const uint64_t value = next_random();

		memcpy(bytes + i, &value, size - i < sizeof(value) ? size - i : sizeof(value));
	}
}

/* What XRSTOR takes: the registers as they are, control words with every exception masked. */
static void change_extended(void)
{
	uint8_t *const bytes = wanted_area.bytes;
	const uint16_t fcw = (uint16_t)(FCW_RESET ^ (next_random() & FCW_ROUNDING));
	const uint32_t mxcsr = (uint32_t)(MXCSR_MASKED | (next_random() & MXCSR_CONTROL));

	memset(bytes, 0, XSAVE_HEADER);
	memcpy(bytes, &fcw, sizeof(fcw));
	bytes[4] = 0xff; /* the tags: all in use */
	memcpy(bytes + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
	for (unsigned int i = 0; i < 8; i++)
		fill(bytes + XSAVE_X87 + 16 * i, 10);
	fill(bytes + XSAVE_X87 + 8 * 16, XSAVE_LEGACY - XSAVE_X87 - 8 * 16);
	memcpy(bytes + XSAVE_HEADER, &components, sizeof(components));
	for (uint32_t i = COMPONENT_FIRST; i <= COMPONENT_LAST; i++)
		fill(bytes + places[i].offset,
		     i == COMPONENT_PKRU ? places[i].size / 2 : places[i].size);
	xrstor(&wanted_area);
	/* As the processor writes it: only now the fields that it does not load are as wanted. */
	xsave(&wanted_area);
}

static void change_all(bool with_fred)
{
	for (size_t i = 0; i < GPRS; i++)
		wanted.gprs[i] = next_random();
	for (size_t i = 0; i < 4; i++)
		wanted.dr[i] = next_random() & CANONICAL_LOW;
	wanted.cr2 = next_random();
	wanted.dr6 = DR6_FIXED | (next_random() & DR6_CAUSES);
	wanted.dr7 = DR7_FIXED | (next_random() & DR7_LENGTHS);
	write_cr2(wanted.cr2);
	write_dr0(wanted.dr[0]);
	write_dr1(wanted.dr[1]);
	write_dr2(wanted.dr[2]);
	write_dr3(wanted.dr[3]);
	write_dr6(wanted.dr6);
	write_dr7(wanted.dr7);
	for (size_t i = 0; i < MSRS; i++) {
		if (!has_msr[i] || (msrs[i].of_fred && !with_fred))
			continue;
		wanted.msrs[i] = next_random() & msrs[i].varies;
		write_msr(msrs[i].number, wanted.msrs[i]);
	}
	if (components != 0)
		change_extended();
}

static bool areas_differ(uint32_t offset, uint32_t size)
{
	const void *a = wanted_area.bytes + offset, *b = found_area.bytes + offset;
	uint64_t words = size / sizeof(uint64_t);
	bool differ;

	asm volatile("cmpb %%al, %%al\n\trepe cmpsq"
		     : "=@ccne"(differ), "+S"(a), "+D"(b), "+c"(words)
		     :
		     : "memory");
	return differ;
}

static void compare_extended(void)
{
	xsave(&found_area);
	expect("x87 and SSE", 0, areas_differ(0, XSAVE_LEGACY), false);
	for (uint32_t i = COMPONENT_FIRST; i <= COMPONENT_LAST; i++)
		if (places[i].size != 0)
			expect("component", i, areas_differ(places[i].offset, places[i].size),
			       false);
}

static void compare_all(bool with_fred)
{
	expect("CR2", 0, read_cr2(), wanted.cr2);
	expect("DR", 0, read_dr0(), wanted.dr[0]);
	expect("DR", 1, read_dr1(), wanted.dr[1]);
	expect("DR", 2, read_dr2(), wanted.dr[2]);
	expect("DR", 3, read_dr3(), wanted.dr[3]);
	expect("DR", 6, read_dr6(), wanted.dr6);
	expect("DR", 7, read_dr7(), wanted.dr7);
	for (size_t i = 0; i < MSRS; i++)
		if (has_msr[i] && (with_fred || !msrs[i].of_fred))
			expect("MSR", msrs[i].number, read_msr(msrs[i].number), wanted.msrs[i]);
	if (components != 0)
		compare_extended();
}

/* Of what other guests of this processor have, or the firmware has left, a new one finds nothing.
 */
static void compare_with_start(void)
{
	const uint32_t mxcsr = MXCSR_MASKED;
	const uint16_t fcw = FCW_RESET;

	expect("at the start: general registers", 0, start_registers, 0);
	wanted.dr6 = DR6_FIXED;
	wanted.dr7 = DR7_FIXED;
	for (size_t i = 0; i < MSRS; i++)
		wanted.msrs[i] = msrs[i].number == MSR_IA32_STAR ? STAR_OF_GUEST : 0;
	if (components != 0) {
		/* The mask of MXCSR is the processor's. */
		xsave(&wanted_area);
		memset(wanted_area.bytes, 0, XSAVE_MXCSR);
		memset(wanted_area.bytes + XSAVE_X87, 0, XSAVE_SIZE - XSAVE_X87);
		memcpy(wanted_area.bytes, &fcw, sizeof(fcw));
		memcpy(wanted_area.bytes + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
	}
	compare_all(true);
	if (differences != 0)
		print("# switch: these are what the guest has begun with");
}

static void give_way(uint64_t spins)
{
	static uint64_t found[GPRS];

	switch_give_way(spins, wanted.gprs, found, HYPERCALL_YIELD);
	for (size_t i = 0; i < GPRS; i++)
		expect("general register", i, found[i], wanted.gprs[i]);
}

void switch_fill_extended(void)
{
	random_state = 1;
	find_components();
	if (components != 0)
		change_extended();
}

static uint64_t switches(void)
{
	return (uint64_t)hypercall(HYPERCALL_SWITCHES, 0, 0, 0, 0);
}

bool switch_run(uint64_t count, uint64_t seed, bool spin)
{
	const uint64_t start = switches();
	/* Where they exit they are not the processor's. */
	const uint64_t fred_before = exits(EXIT_REASON_RDMSR);
	/* Trying MSRs changes these. */
	const uint64_t cr2 = read_cr2(), dr6 = read_dr6();
	uint64_t rounds = 0, fred_every;

	random_state = (seed + 1) * 0x9e3779b97f4a7c15ULL;
	find_msrs();
	fred_every = exits(EXIT_REASON_RDMSR) - fred_before > 8 ? SOFT_EVERY : 1;
	write_cr2(cr2);
	write_dr6(dr6);
	find_components();
	compare_with_start();
	while (switches() - start < count && differences == 0) {
		if (rounds % CHANGE_EVERY == 0)
			change_all(true);
		for (unsigned int i = 0; i < SOFT_EVERY; i++, rounds++) {
			give_way(spin ? SPINS : 0);
			compare_all(rounds % fred_every == 0);
		}
	}
	print("switch: %llu switches, %llu rounds, %llu differences, XCR0 %llx",
	      (unsigned long long)(switches() - start), (unsigned long long)rounds,
	      (unsigned long long)differences, (unsigned long long)components);
	return differences == 0;
}
