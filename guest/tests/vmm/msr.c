// SPDX-License-Identifier: BSD-2-Clause
/* MSRs: what the policy gives, what it keeps, and what it refuses. */
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"

#define EFER_KNOWN (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define XSS_PT	   (1ULL << 8)
#define CODE_RET   0xc3

/* An argument that names a range of MSRs. */
#define RANGE(first, last) ((uint64_t)(last) << 32 | (first))
#define ROUND_TRIP_VALUE   0x0000123456789000ULL /* canonical */

static void expect_read_fault(uint32_t msr)
{
	catch_begin();
	try_rdmsr(msr);
	catch_end();
	if (catcher.count != 1 || catcher.events[0].frame.vector != VECTOR_GP)
		check_failed("MSR whose reading does not raise #GP", msr);
}

static void expect_write_fault(uint32_t msr, uint64_t value)
{
	catch_begin();
	try_wrmsr(msr, value);
	catch_end();
	if (catcher.count != 1 || catcher.events[0].frame.vector != VECTOR_GP)
		check_failed("MSR whose writing does not raise #GP", msr);
}

static void refused(uint64_t range)
{
	for (uint32_t msr = (uint32_t)range; msr <= (uint32_t)(range >> 32); msr++) {
		expect_read_fault(msr);
		expect_write_fault(msr, 0);
	}
}

static void fred_refused(uint64_t range)
{
	if (has_fred())
		test_skip("FRED is advertised");
	else
		refused(range);
}

static void feature_control(uint64_t argument)
{
	(void)argument;
	catch_begin();
	check_equal("value", try_rdmsr(MSR_IA32_FEATURE_CONTROL), FEATURE_CONTROL_LOCKED);
	expect_no_event();
	expect_write_fault(MSR_IA32_FEATURE_CONTROL,
			   FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX_OUTSIDE);
}

static void xss(uint64_t argument)
{
	(void)argument;
	if (!(cpuid(0xd, 1).eax & CPUID_D_1_EAX_XSAVES)) {
		test_skip("XSAVES is not advertised");
		return;
	}
	catch_begin();
	check_equal("value", try_rdmsr(MSR_IA32_XSS), 0);
	try_wrmsr(MSR_IA32_XSS, 0);
	expect_no_event();
	expect_write_fault(MSR_IA32_XSS, XSS_PT);
}

static void efer_reserved(uint64_t argument)
{
	const uint64_t efer = try_rdmsr(MSR_IA32_EFER);

	(void)argument;
	for (unsigned int bit = 0; bit < 64; bit++)
		if (!(EFER_KNOWN >> bit & 1))
			expect_write_fault(MSR_IA32_EFER, efer | 1ULL << bit);
	check_equal("EFER", try_rdmsr(MSR_IA32_EFER), efer);
}

static void efer_lme_toggle(uint64_t argument)
{
	const uint64_t efer = try_rdmsr(MSR_IA32_EFER);

	(void)argument;
	expect_write_fault(MSR_IA32_EFER, efer & ~EFER_LME);
	check_equal("EFER", try_rdmsr(MSR_IA32_EFER), efer);
}

static void efer_sce(uint64_t argument)
{
	const uint64_t efer = try_rdmsr(MSR_IA32_EFER);

	(void)argument;
	catch_begin();
	try_wrmsr(MSR_IA32_EFER, efer & ~EFER_SCE);
	check_equal("EFER", try_rdmsr(MSR_IA32_EFER), efer & ~EFER_SCE);
	try_wrmsr(MSR_IA32_EFER, efer);
	check_equal("EFER restored", try_rdmsr(MSR_IA32_EFER), efer);
	expect_no_event();
}

static void efer_nxe(uint64_t argument)
{
	(void)argument;
	test_pages[0][0] = CODE_RET;
	catch_begin();
	/* The handler goes on behind the call, with the return address still on the stack. */
	asm volatile(TRY("movq %%rsp, %%rbx\n\tcall *%0") "movq %%rbx, %%rsp"
		     :
		     : "r"((uintptr_t)test_pages[0])
		     : "r11", "rbx", "memory");
	expect_event(VECTOR_PF, PF_PRESENT | PF_FETCH);
	check_equal("CR2", catcher.events[0].cr2, (uintptr_t)test_pages[0]);
}

static void round_trip(uint64_t msr)
{
	const uint64_t old = try_rdmsr((uint32_t)msr);

	catch_begin();
	try_wrmsr((uint32_t)msr, ROUND_TRIP_VALUE);
	cpuid(0, 0); /* an exit */
	check_equal("value", try_rdmsr((uint32_t)msr), ROUND_TRIP_VALUE);
	try_wrmsr((uint32_t)msr, old);
	expect_no_event();
	check_equal("value restored", try_rdmsr((uint32_t)msr), old);
}

/* Those of 32 bits. */
static void round_trip_low(uint64_t msr)
{
	const uint64_t old = try_rdmsr((uint32_t)msr);

	catch_begin();
	try_wrmsr((uint32_t)msr, (uint32_t)ROUND_TRIP_VALUE);
	cpuid(0, 0);
	check_equal("value", try_rdmsr((uint32_t)msr), (uint32_t)ROUND_TRIP_VALUE);
	try_wrmsr((uint32_t)msr, old);
	expect_no_event();
}

static void tsc_aux(uint64_t msr)
{
	if (cpuid(0x80000001, 0).edx & CPUID_80000001_EDX_RDTSCP)
		round_trip_low(msr);
	else
		test_skip("RDTSCP is not advertised");
}

static void pat(uint64_t argument)
{
	const uint64_t old = try_rdmsr(MSR_IA32_PAT);
	const uint64_t other = old ^ (old >> 56 & 0xff) << 56 ^ 6ULL << 56; /* PA7 write-back */

	(void)argument;
	catch_begin();
	try_wrmsr(MSR_IA32_PAT, other);
	cpuid(0, 0);
	check_equal("PAT", try_rdmsr(MSR_IA32_PAT), other);
	try_wrmsr(MSR_IA32_PAT, old);
	expect_no_event();
}

static void pat_reserved_type(uint64_t argument)
{
	const uint64_t old = try_rdmsr(MSR_IA32_PAT);

	(void)argument;
	expect_write_fault(MSR_IA32_PAT, (old & ~0xffULL) | 2);
	check_equal("PAT", try_rdmsr(MSR_IA32_PAT), old);
}

static void not_canonical(uint64_t msr)
{
	expect_write_fault((uint32_t)msr, NON_CANONICAL);
}

static void ring3(uint64_t msr)
{
	static const struct fragment fragment = FRAGMENT(raise_rdmsr);

	catch_begin();
	fragment_run(3, &fragment, msr);
	expect_event(VECTOR_GP, 0);
	check_equal("saved RIP", catcher.events[0].frame.rip, (uintptr_t)fragment.saved);
}

static void rdmsr_upper_halves_clear(uint64_t argument)
{
	uint64_t rax = ~0ULL, rdx = ~0ULL;

	(void)argument;
	asm volatile("rdmsr" : "+a"(rax), "+d"(rdx) : "c"(MSR_IA32_FEATURE_CONTROL));
	check_equal("RAX[63:32]", rax >> 32, 0);
	check_equal("RDX[63:32]", rdx >> 32, 0);
}

static const struct test tests[] = {
	{ "feature_control_locked", feature_control, 0 },
	{ "vmx_refused", refused, RANGE(MSR_IA32_VMX_BASIC, MSR_IA32_VMX_EXIT_CTLS2) },
	{ "fred_refused", fred_refused, RANGE(MSR_IA32_FRED_RSP0, MSR_IA32_FRED_CONFIG) },
	{ "unknown_low_refused", refused, RANGE(0x1f00, 0x1f03) },
	{ "unknown_middle_refused", refused, RANGE(0x12345, 0x12346) },
	{ "unknown_hypervisor_refused", refused, RANGE(0x40000000, 0x40000001) },
	{ "unknown_high_refused", refused, RANGE(0xc0001ffe, 0xc0002001) },
	{ "xss_is_zero", xss, 0 },
	{ "efer_reserved_bits_fault", efer_reserved, 0 },
	{ "efer_lme_stays", efer_lme_toggle, 0 },
	{ "efer_sce_reads_back", efer_sce, 0 },
	{ "efer_nxe_works", efer_nxe, 0 },
	{ "lstar", round_trip, MSR_IA32_LSTAR },
	{ "cstar", round_trip, MSR_IA32_CSTAR },
	{ "star", round_trip, MSR_IA32_STAR },
	{ "fmask", round_trip_low, MSR_IA32_FMASK },
	{ "kernel_gs_base", round_trip, MSR_IA32_KERNEL_GS_BASE },
	{ "fs_base", round_trip, MSR_IA32_FS_BASE },
	{ "gs_base", round_trip, MSR_IA32_GS_BASE },
	{ "sysenter_cs", round_trip_low, MSR_IA32_SYSENTER_CS },
	{ "sysenter_esp", round_trip, MSR_IA32_SYSENTER_ESP },
	{ "sysenter_eip", round_trip, MSR_IA32_SYSENTER_EIP },
	{ "tsc_aux", tsc_aux, MSR_IA32_TSC_AUX },
	{ "pat", pat, 0 },
	{ "pat_reserved_type_faults", pat_reserved_type, 0 },
	{ "lstar_not_canonical_faults", not_canonical, MSR_IA32_LSTAR },
	{ "kernel_gs_base_not_canonical_faults", not_canonical, MSR_IA32_KERNEL_GS_BASE },
	{ "rdmsr_in_ring3_faults", ring3, MSR_IA32_EFER },
	{ "rdmsr_intercepted_in_ring3_faults", ring3, MSR_IA32_FEATURE_CONTROL },
	{ "rdmsr_upper_halves_clear", rdmsr_upper_halves_clear, 0 },
};

const struct chapter chapter_msr = CHAPTER("msr", tests);
