// SPDX-License-Identifier: BSD-2-Clause
/* What CPUID says: a hypervisor, and no feature that is not virtualized. */
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"
#include "lib/string.h"

static void hypervisor_signature(uint64_t argument)
{
	const struct cpuid_result r = cpuid(MANFRED_CPUID_LEAF, 0);
	const uint32_t text[] = { r.ebx, r.ecx, r.edx };

	(void)argument;
	check("highest leaf is in the range", r.eax - MANFRED_CPUID_LEAF < 0x100);
	check("EBX, ECX, EDX are the signature",
	      memcmp(text, MANFRED_CPUID_SIGNATURE, sizeof(text)) == 0);
}

static void unknown_hypervisor_leaf(uint64_t argument)
{
	const struct cpuid_result r = cpuid(MANFRED_CPUID_LEAF + 0xff, 0);

	(void)argument;
	check_equal("EAX|EBX|ECX|EDX", r.eax | r.ebx | r.ecx | r.edx, 0);
}

static void hypervisor_bit(uint64_t argument)
{
	(void)argument;
	check_equal("leaf 1 ECX[31]", cpuid(1, 0).ecx >> 31, 1);
}

static void leaf1_ecx_hides(uint64_t bit)
{
	check_equal("leaf 1 ECX bit", cpuid(1, 0).ecx & bit, 0);
}

static void fred_hidden(uint64_t argument)
{
	(void)argument;
	if (has_fred())
		test_skip("FRED is advertised");
	else
		check_equal("LKGS without FRED", cpuid(7, 1).eax & CPUID_7_1_EAX_LKGS, 0);
}

static void osxsave_follows_cr4(uint64_t argument)
{
	const uint64_t cr4 = read_cr4();

	(void)argument;
	write_cr4(cr4 | CR4_OSXSAVE);
	check_equal("OSXSAVE with CR4.OSXSAVE=1", cpuid(1, 0).ecx & CPUID_1_ECX_OSXSAVE,
		    CPUID_1_ECX_OSXSAVE);
	write_cr4(cr4 & ~CR4_OSXSAVE);
	check_equal("OSXSAVE with CR4.OSXSAVE=0", cpuid(1, 0).ecx & CPUID_1_ECX_OSXSAVE, 0);
	write_cr4(cr4);
}

static void upper_halves_clear(uint64_t argument)
{
	uint64_t rax = 0xffffffff00000000ULL, rbx = ~0ULL, rcx = 0xffffffff00000000ULL, rdx = ~0ULL;

	(void)argument;
	asm volatile("cpuid" : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx));
	check_equal("RAX[63:32]", rax >> 32, 0);
	check_equal("RBX[63:32]", rbx >> 32, 0);
	check_equal("RCX[63:32]", rcx >> 32, 0);
	check_equal("RDX[63:32]", rdx >> 32, 0);
}

#define COMPONENT_LAST 62U
#define LEGACY_SIZE    576U

static uint64_t xcr0_shown(void)
{
	const struct cpuid_result r = cpuid(0xd, 0);

	return (uint64_t)r.edx << 32 | r.eax;
}

/* Sub-leaves tell of what XCR0 and IA32_XSS take, and of no other; all of XCR0 fits into ECX. */
static void extended_state_agrees(uint64_t argument)
{
	const uint64_t xcr0 = xcr0_shown(), shown = xcr0 | cpuid(0xd, 1).ecx;
	uint32_t size = LEGACY_SIZE;

	(void)argument;
	if (xcr0 == 0) {
		test_skip("no XSAVE");
		return;
	}
	for (uint32_t i = 2; i <= COMPONENT_LAST; i++) {
		const struct cpuid_result r = cpuid(0xd, i);

		check_equal("is told of", (r.eax | r.ebx | r.ecx | r.edx) != 0, shown >> i & 1);
		if ((xcr0 >> i & 1) && r.eax + r.ebx > size)
			size = r.eax + r.ebx;
	}
	check_equal("leaf 0DH ECX", cpuid(0xd, 0).ecx, size);
}

/* MPX, PT and APX are hidden; CET's states come with CET. */
static void extended_state_of_features(uint64_t argument)
{
	const uint64_t cet = cpuid(7, 0).ecx & CPUID_7_ECX_SHSTK ? XSS_CET : 0;

	(void)argument;
	check_equal("XCR0 of MPX", xcr0_shown() & 3U << 3, 0);
	check_equal("XCR0 of APX", xcr0_shown() & 1U << 19, 0);
	check_equal("IA32_XSS", cpuid(0xd, 1).ecx, cet);
	check_equal("IA32_XSS, high half", cpuid(0xd, 1).edx, 0);
}

static void xcr0_takes_no_hidden_state(uint64_t argument)
{
	const uint64_t cr4 = read_cr4(), shown = xcr0_shown();

	(void)argument;
	if (shown == 0) {
		test_skip("no XSAVE");
		return;
	}
	write_cr4(cr4 | CR4_OSXSAVE);
	catch_begin();
	try_xsetbv(0, shown);
	expect_no_event();
	for (unsigned int bit = 0; bit < 64; bit++) {
		if (shown >> bit & 1)
			continue;
		catch_begin();
		try_xsetbv(0, shown | 1ULL << bit);
		expect_event(VECTOR_GP, 0);
	}
	/* MPX wants both of its bits. */
	catch_begin();
	try_xsetbv(0, shown | 3U << 3);
	expect_event(VECTOR_GP, 0);
	try_xsetbv(0, XCR0_X87);
	write_cr4(cr4);
}

static void xss_takes_what_is_shown(uint64_t argument)
{
	const uint64_t shown = cpuid(0xd, 1).ecx;

	(void)argument;
	for (unsigned int bit = 0; bit < 64; bit++) {
		catch_begin();
		try_wrmsr(MSR_IA32_XSS, 1ULL << bit);
		if (shown >> bit & 1) {
			expect_no_event();
			check_equal("IA32_XSS", try_rdmsr(MSR_IA32_XSS), 1ULL << bit);
		} else {
			expect_event(VECTOR_GP, 0);
		}
	}
	try_wrmsr(MSR_IA32_XSS, 0);
}

static const struct test tests[] = {
	{ "hypervisor_signature", hypervisor_signature, 0 },
	{ "unknown_hypervisor_leaf_is_zero", unknown_hypervisor_leaf, 0 },
	{ "hypervisor_bit", hypervisor_bit, 0 },
	{ "vmx_hidden", leaf1_ecx_hides, CPUID_1_ECX_VMX },
	{ "smx_hidden", leaf1_ecx_hides, CPUID_1_ECX_SMX },
	{ "monitor_hidden", leaf1_ecx_hides, CPUID_1_ECX_MONITOR },
	{ "fred_hidden", fred_hidden, 0 },
	{ "osxsave_follows_cr4", osxsave_follows_cr4, 0 },
	{ "extended_state_agrees", extended_state_agrees, 0 },
	{ "extended_state_of_features", extended_state_of_features, 0 },
	{ "xcr0_takes_no_hidden_state", xcr0_takes_no_hidden_state, 0 },
	{ "xss_takes_what_is_shown", xss_takes_what_is_shown, 0 },
	{ "upper_halves_clear", upper_halves_clear, 0 },
};

const struct chapter chapter_cpuid = CHAPTER("cpuid", tests);
