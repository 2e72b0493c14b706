/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/fred.c: which values FRED's MSRs take, each bit walked, with 48 and with 57 bits of a linear
 * address.
 */
#include "tests/unit/unit.h"
#include "lib/fred.h"
#include "lib/x86/msr.h"

/* Bits that must be 0, from the specification's figures. */
static const struct {
	uint32_t msr;
	uint64_t reserved;
	bool is_address;
} msrs[] = {
	{ MSR_IA32_FRED_CONFIG, 1 << 2 | 3 << 4 | 1 << 11, true },
	{ MSR_IA32_FRED_RSP0, 0x3f, true },
	{ MSR_IA32_FRED_RSP1, 0x3f, true },
	{ MSR_IA32_FRED_RSP2, 0x3f, true },
	{ MSR_IA32_FRED_RSP3, 0x3f, true },
	{ MSR_IA32_FRED_SSP1, 7, true },
	{ MSR_IA32_FRED_SSP2, 7, true },
	{ MSR_IA32_FRED_SSP3, 7, true },
	{ MSR_IA32_PL0_SSP, 3, true },
	{ MSR_IA32_FRED_STKLVLS, 0, false },
};

static const unsigned int widths[] = { 48, 57 };

TEST(canonical_addresses)
{
	for (size_t i = 0; i < COUNT_OF(widths); i++) {
		const unsigned int bits = widths[i];
		const uint64_t half = 1ULL << (bits - 1);

		assert_true(is_canonical(0, bits));
		assert_true(is_canonical(half - 1, bits));
		assert_false(is_canonical(half, bits));
		assert_false(is_canonical(~half, bits));
		assert_false(is_canonical(-half - 1, bits));
		assert_true(is_canonical(-half, bits));
		assert_true(is_canonical(~0ULL, bits));
	}
	assert_false(is_canonical(1ULL << 50, 48));
	assert_true(is_canonical(1ULL << 50, 57));
}

static void check(size_t i, unsigned int bits, uint64_t value, bool accepted)
{
	if (fred_msr_accepts(msrs[i].msr, value, bits) != accepted)
		fail_msg("MSR 0x%x, %u bits: 0x%llx", msrs[i].msr, bits, (unsigned long long)value);
}

TEST(one_bit_set)
{
	for (size_t i = 0; i < COUNT_OF(msrs) * COUNT_OF(widths); i++)
		for (unsigned int bit = 0; bit < 64; bit++) {
			const size_t m = i / COUNT_OF(widths);
			const unsigned int bits = widths[i % COUNT_OF(widths)];
			const bool canonical = bit < bits - 1;

			check(m, bits, 1ULL << bit,
			      !msrs[m].is_address || (canonical && !(msrs[m].reserved >> bit & 1)));
		}
}

/* The other half of the addresses: all but the reserved bits set, and then one less. */
TEST(one_bit_clear)
{
	for (size_t i = 0; i < COUNT_OF(msrs) * COUNT_OF(widths); i++) {
		const size_t m = i / COUNT_OF(widths);
		const unsigned int bits = widths[i % COUNT_OF(widths)];
		const uint64_t all = ~msrs[m].reserved;

		check(m, bits, all, true);
		for (unsigned int bit = 0; bit < 64; bit++)
			check(m, bits, all & ~(1ULL << bit), !msrs[m].is_address || bit < bits - 1);
		check(m, bits, ~0ULL, msrs[m].reserved == 0);
	}
}

/* What Linux writes. */
TEST(values_in_use)
{
	const uint64_t config = 0xffffffff81a01000ULL | 1 << 6;

	assert_true(fred_msr_accepts(MSR_IA32_FRED_CONFIG, config, 48));
	assert_true(fred_msr_accepts(MSR_IA32_FRED_STKLVLS, 0x2000030024, 48));
	assert_true(fred_msr_accepts(MSR_IA32_FRED_RSP1, 0xfffffe0000012000ULL, 48));
	assert_false(fred_msr_accepts(MSR_IA32_FRED_RSP1, 0xfffffe0000012008ULL, 48));
	assert_true(fred_msr_accepts(MSR_IA32_FRED_RSP1, 0x00fffe0000012000ULL, 57));
	assert_false(fred_msr_accepts(MSR_IA32_FRED_RSP1, 0x01fffe0000012000ULL, 57));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_addresses),
		cmocka_unit_test(one_bit_set),
		cmocka_unit_test(one_bit_clear),
		cmocka_unit_test(values_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
