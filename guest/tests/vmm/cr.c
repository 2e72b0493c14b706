// SPDX-License-Identifier: BSD-2-Clause
/* Control registers: what the guest writes it reads back, and what is not allowed faults. */
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"

#define CR8_MAX	      15
#define XCR0_HIGH_BIT (1ULL << 62)

static void cr0_keeps(uint64_t bits)
{
	const uint64_t cr0 = read_cr0();

	catch_begin();
	try_write_cr0(cr0 ^ bits);
	check_equal("CR0 after the write", read_cr0(), cr0 ^ bits);
	try_write_cr0(cr0);
	expect_no_event();
	check_equal("CR0 after it was restored", read_cr0(), cr0);
}

static void cr0_faults(uint64_t flip)
{
	const uint64_t cr0 = read_cr0();

	catch_begin();
	try_write_cr0(cr0 ^ flip);
	expect_event(VECTOR_GP, 0);
	check_equal("CR0", read_cr0(), cr0);
}

static void clts_and_lmsw(uint64_t argument)
{
	const uint64_t cr0 = read_cr0();

	(void)argument;
	asm volatile("lmsw %w0" : : "r"(cr0 | CR0_TS));
	check_equal("CR0.TS after LMSW", read_cr0() & CR0_TS, CR0_TS);
	asm volatile("clts");
	check_equal("CR0.TS after CLTS", read_cr0() & CR0_TS, 0);
	write_cr0(cr0);
}

/* Where CPUID advertises the bits of CR4 that are not there on each 64-bit processor. */
static const struct {
	uint64_t bit;
	uint32_t leaf, subleaf;
	char reg;
	unsigned int number;
} cr4_features[] = {
	{ CR4_UMIP, 7, 0, 'c', 2 },	{ CR4_LA57, 7, 0, 'c', 16 },
	{ CR4_FSGSBASE, 7, 0, 'b', 0 }, { CR4_PCIDE, 1, 0, 'c', 17 },
	{ CR4_OSXSAVE, 1, 0, 'c', 26 }, { CR4_KL, 7, 0, 'c', 23 },
	{ CR4_SMEP, 7, 0, 'b', 7 },	{ CR4_SMAP, 7, 0, 'b', 20 },
	{ CR4_PKE, 7, 0, 'c', 3 },	{ CR4_CET, 7, 0, 'c', 7 },
	{ CR4_PKS, 7, 0, 'c', 31 },	{ CR4_UINTR, 7, 0, 'd', 5 },
	{ CR4_LASS, 7, 1, 'a', 6 },	{ CR4_LAM_SUP, 7, 1, 'a', 26 },
	{ CR4_FRED, 7, 1, 'a', 17 },	{ CR4_VMXE, 1, 0, 'c', 5 },
	{ CR4_SMXE, 1, 0, 'c', 6 },
};

static uint64_t cr4_advertised(void)
{
	uint64_t bits = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE |
			CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	for (size_t i = 0; i < sizeof(cr4_features) / sizeof(cr4_features[0]); i++) {
		const struct cpuid_result r = cpuid(cr4_features[i].leaf, cr4_features[i].subleaf);
		const char reg = cr4_features[i].reg;
		const uint32_t value = reg == 'a'   ? r.eax
				       : reg == 'b' ? r.ebx
				       : reg == 'c' ? r.ecx
						    : r.edx;

		if (value >> cr4_features[i].number & 1)
			bits |= cr4_features[i].bit;
	}
	return bits;
}

static void cr4_faults(uint64_t bit)
{
	const uint64_t cr4 = read_cr4();

	if (cr4_advertised() & bit) {
		test_skip("the feature is advertised");
		return;
	}
	catch_begin();
	try_write_cr4(cr4 | bit);
	expect_event(VECTOR_GP, 0);
	check_equal("CR4", read_cr4(), cr4);
}

static void cr4_unadvertised(uint64_t argument)
{
	const uint64_t cr4 = read_cr4();
	const uint64_t advertised = cr4_advertised();

	(void)argument;
	for (unsigned int bit = 0; bit < 64; bit++) {
		if (advertised >> bit & 1)
			continue;
		catch_begin();
		try_write_cr4(cr4 | 1ULL << bit);
		catch_end();
		if (catcher.count != 1 || catcher.events[0].frame.vector != VECTOR_GP ||
		    catcher.events[0].frame.error_code != 0)
			check_equal("bit of CR4 that does not raise #GP(0)", bit, 64);
		if (read_cr4() != cr4)
			write_cr4(cr4);
	}
}

static void cr4_reads_back(uint64_t argument)
{
	/* Bits that change what this program may do are tested elsewhere, or not here. */
	const uint64_t excluded = CR4_PAE | CR4_LA57 | CR4_FRED | CR4_CET | CR4_LASS | CR4_UINTR;
	const uint64_t cr4 = read_cr4();
	const uint64_t toggled = cr4_advertised() & ~excluded;

	(void)argument;
	for (unsigned int bit = 0; bit < 64; bit++) {
		const uint64_t wanted = cr4 ^ (1ULL << bit);

		if (!(toggled >> bit & 1))
			continue;
		catch_begin();
		try_write_cr4(wanted);
		check_equal("CR4", read_cr4(), wanted);
		try_write_cr4(cr4);
		expect_no_event();
	}
}

static void cr4_pae_stays(uint64_t argument)
{
	(void)argument;
	catch_begin();
	try_write_cr4(read_cr4() & ~CR4_PAE);
	expect_event(VECTOR_GP, 0);
}

static void cr8_reads_back(uint64_t argument)
{
	(void)argument;
	for (uint64_t value = 0; value <= CR8_MAX; value++) {
		write_cr8(value);
		check_equal("CR8", read_cr8(), value);
	}
	write_cr8(0);
}

static void cr8_faults(uint64_t value)
{
	catch_begin();
	try_write_cr8(value);
	expect_event(VECTOR_GP, 0);
	check_equal("CR8", read_cr8(), 0);
}

static void xsetbv_legal(uint64_t argument)
{
	const uint64_t cr4 = read_cr4();
	const uint64_t supported = cpuid(0xd, 0).eax;
	const uint64_t values[] = { XCR0_X87, XCR0_X87 | XCR0_SSE,
				    XCR0_X87 | (supported & (XCR0_SSE | XCR0_AVX)) };

	(void)argument;
	write_cr4(cr4 | CR4_OSXSAVE);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		catch_begin();
		try_xsetbv(0, values[i]);
		expect_no_event();
		check_equal("XCR0", xgetbv(0), values[i]);
	}
	write_cr4(cr4);
}

static void xsetbv_faults(uint64_t value)
{
	const uint64_t cr4 = read_cr4();

	write_cr4(cr4 | CR4_OSXSAVE);
	catch_begin();
	try_xsetbv(0, value);
	expect_event(VECTOR_GP, 0);
	write_cr4(cr4);
}

static void xsetbv_other_register(uint64_t xcr)
{
	const uint64_t cr4 = read_cr4();

	write_cr4(cr4 | CR4_OSXSAVE);
	catch_begin();
	try_xsetbv((uint32_t)xcr, XCR0_X87);
	expect_event(VECTOR_GP, 0);
	write_cr4(cr4);
}

static void xsetbv_without_osxsave(uint64_t argument)
{
	const uint64_t cr4 = read_cr4();

	(void)argument;
	write_cr4(cr4 & ~CR4_OSXSAVE);
	catch_begin();
	try_xsetbv(0, XCR0_X87);
	expect_event(VECTOR_UD, 0);
	write_cr4(cr4);
}

static const struct test tests[] = {
	{ "cr0_cd_reads_back", cr0_keeps, CR0_CD },
	{ "cr0_cd_nw_read_back", cr0_keeps, CR0_CD | CR0_NW },
	{ "cr0_ne_reads_back", cr0_keeps, CR0_NE },
	{ "cr0_am_reads_back", cr0_keeps, CR0_AM },
	{ "cr0_wp_reads_back", cr0_keeps, CR0_WP },
	{ "cr0_ts_with_cd_reads_back", cr0_keeps, CR0_TS | CR0_CD },
	{ "cr0_nw_without_cd_faults", cr0_faults, CR0_NW },
	{ "cr0_pg_without_pe_faults", cr0_faults, CR0_PE },
	{ "cr0_pg_stays_in_64bit_mode", cr0_faults, CR0_PG },
	{ "cr0_pg_and_cd_stay_in_64bit_mode", cr0_faults, CR0_PG | CR0_CD },
	{ "cr0_bit_32_faults", cr0_faults, 1ULL << 32 },
	{ "clts_and_lmsw", clts_and_lmsw, 0 },
	{ "cr4_vmxe_faults", cr4_faults, CR4_VMXE },
	{ "cr4_smxe_faults", cr4_faults, CR4_SMXE },
	{ "cr4_fred_faults", cr4_faults, CR4_FRED },
	{ "cr4_unadvertised_bits_fault", cr4_unadvertised, 0 },
	{ "cr4_reads_back", cr4_reads_back, 0 },
	{ "cr4_pae_stays_in_64bit_mode", cr4_pae_stays, 0 },
	{ "cr8_reads_back", cr8_reads_back, 0 },
	{ "cr8_bit_4_faults", cr8_faults, CR8_MAX + 1 },
	{ "cr8_bit_63_faults", cr8_faults, 1ULL << 63 },
	{ "xsetbv_legal", xsetbv_legal, 0 },
	{ "xsetbv_without_x87_faults", xsetbv_faults, XCR0_SSE },
	{ "xsetbv_avx_without_sse_faults", xsetbv_faults, XCR0_X87 | XCR0_AVX },
	{ "xsetbv_reserved_bit_faults", xsetbv_faults, XCR0_X87 | XCR0_HIGH_BIT },
	{ "xsetbv_xcr1_faults", xsetbv_other_register, 1 },
	{ "xsetbv_without_osxsave_is_ud", xsetbv_without_osxsave, 0 },
};

const struct chapter chapter_cr = CHAPTER("cr", tests);
