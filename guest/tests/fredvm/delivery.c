// SPDX-License-Identifier: BSD-2-Clause
/*
 * Exits of the VMM in the middle of a delivery by FRED: the stack of the event is not mapped by
 * EPT. The handler must run once, and find the frame that it would have found without, with its
 * event data. The same with the vcpu saved, destroyed and restored at that moment.
 */
#include "guest/tests/fred/events.h"
#include "guest/suite/suite.h"

/* Fragments on a stack of which 64-byte frames would lie in the page below. */
#define STACK_LEFT 64
#define PATTERN	   0x0123456789abcd00ULL

enum { UNMAP_STACK = 1, UNMAP_ENTRY = 2 };

/* The event at its level, with these pages unmapped. */
static void deliver(uint64_t argument, unsigned int what)
{
	const enum fred_event_id id = FRED_CASE_EVENT(argument);
	const uint8_t ring = FRED_CASE_RING(argument);
	const uint8_t level = ring == 3 ? 0 : fred_event_level(id, FRED_CASE_LEVEL(argument));
	const bool same_stack = ring == 0 && level == 0;
	const uint8_t vector = fred_event_case(id)->vector;
	const struct fred_setup setup = {
		.stklvls = vector < 32 ? FRED_STKLVL(vector, FRED_CASE_LEVEL(argument)) : 0,
		.interrupt_level = FRED_CASE_LEVEL(argument),
		.rsp = same_stack ? (uintptr_t)test_pages[1] + STACK_LEFT : 0,
	};
	uint64_t violations = exits(EXIT_REASON_EPT_VIOLATION);
	struct fred_expected expected;

	if (what & UNMAP_STACK)
		ept_unmap(same_stack ? test_pages[0] : fred_stack_page(level));
	if (what & UNMAP_ENTRY)
		ept_unmap(fred_entry_page);
	if (!fred_event_raise(id, ring, &setup))
		return;
	fred_end();
	violations = exits(EXIT_REASON_EPT_VIOLATION) - violations;
	expected = fred_event_expected(id, ring);
	expected.level = level;
	check_fred_caught(1);
	check_fred_event(0, id, &expected);
	check_equal("EPT violations", violations,
		    (what & UNMAP_STACK ? 1U : 0U) + (what & UNMAP_ENTRY ? 1U : 0U));
}

static void stack_unmapped(uint64_t argument)
{
	deliver(argument, UNMAP_STACK);
}

static void entry_unmapped(uint64_t argument)
{
	deliver(argument, UNMAP_ENTRY);
}

static void both_unmapped(uint64_t argument)
{
	deliver(argument, UNMAP_STACK | UNMAP_ENTRY);
}

static bool arm_snapshot(void)
{
	if (hypercall(HYPERCALL_SNAPSHOT, 0, 0, 0, 0) == HYPERCALL_OK)
		return true;
	test_skip("the VMM cannot restore a vcpu here");
	return false;
}

static void snapshot(uint64_t argument)
{
	if (arm_snapshot())
		deliver(argument, UNMAP_STACK);
}

/* What the guest can read and no event changes. */
static const uint32_t kept_msrs[] = {
	MSR_IA32_FRED_RSP0,   MSR_IA32_FRED_RSP1,      MSR_IA32_FRED_RSP2,    MSR_IA32_FRED_RSP3,
	MSR_IA32_FRED_SSP1,   MSR_IA32_FRED_SSP2,      MSR_IA32_FRED_SSP3,    MSR_IA32_FRED_STKLVLS,
	MSR_IA32_FRED_CONFIG, MSR_IA32_STAR,	       MSR_IA32_LSTAR,	      MSR_IA32_CSTAR,
	MSR_IA32_FMASK,	      MSR_IA32_SYSENTER_CS,    MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	MSR_IA32_GS_BASE,     MSR_IA32_KERNEL_GS_BASE, MSR_IA32_FS_BASE,      MSR_IA32_EFER,
	MSR_IA32_PL0_SSP,
};
#define KEPT_MSRS (sizeof(kept_msrs) / sizeof(kept_msrs[0]))
#define KEPT_MAX  (KEPT_MSRS + 8)

static void read_kept(uint64_t kept[KEPT_MAX])
{
	for (size_t i = 0; i < KEPT_MSRS; i++)
		*kept++ = read_msr(kept_msrs[i]);
	*kept++ = read_dr0();
	*kept++ = read_dr1();
	*kept++ = read_dr2();
	*kept++ = read_dr3();
	*kept++ = read_cr0();
	*kept++ = read_cr2();
	*kept++ = read_cr3();
	*kept++ = read_cr4();
}

/* Values that tell the registers from each other, where any value will do. */
static void fill_kept(void)
{
	static const uint32_t any[] = { MSR_IA32_FRED_SSP1, MSR_IA32_FRED_SSP2, MSR_IA32_FRED_SSP3,
					MSR_IA32_LSTAR, MSR_IA32_CSTAR };

	for (unsigned int i = 0; i < sizeof(any) / sizeof(any[0]); i++)
		write_msr(any[i], (PATTERN >> 16 & ~7ULL) + i * 0x1000);
	write_dr0(PATTERN >> 16);
	write_dr1((PATTERN >> 16) + 1);
	write_dr2((PATTERN >> 16) + 2);
	write_dr3((PATTERN >> 16) + 3);
}

static void snapshot_keeps_state(uint64_t argument)
{
	static uint64_t before[KEPT_MAX], after[KEPT_MAX];

	(void)argument;
	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_UD, 1) });
	fill_kept();
	ept_unmap(fred_stack_page(1));
	if (!arm_snapshot())
		return;
	write_cr2(PATTERN);
	read_kept(before);
	asm volatile(TRY("ud2") : : : "r11", "memory");
	read_kept(after);
	fred_end();
	check_fred_caught(1);
	for (size_t i = 0; i < KEPT_MAX; i++)
		check_equal(i < KEPT_MSRS ? "MSR" : "debug or control register", after[i],
			    before[i]);
}

/* The VMM intercepts all exceptions, and reflects them. */
static void intercepted(uint64_t argument)
{
	const long before = hypercall(HYPERCALL_INTERCEPT, UINT32_MAX, 0, 0, 0);

	check("the hypercall is there", before >= 0);
	deliver(argument, 0);
	hypercall(HYPERCALL_INTERCEPT, (uint64_t)before, 0, 0, 0);
}

static void intercepted_and_unmapped(uint64_t argument)
{
	const long before = hypercall(HYPERCALL_INTERCEPT, UINT32_MAX, 0, 0, 0);

	check("the hypercall is there", before >= 0);
	deliver(argument, UNMAP_STACK);
	hypercall(HYPERCALL_INTERCEPT, (uint64_t)before, 0, 0, 0);
}

#define AT_LEVELS(prefix, run, id, name)                                       \
	{ prefix "ring0_" name "_level_0", run, FRED_CASE(0, id, 0) },         \
		{ prefix "ring0_" name "_level_1", run, FRED_CASE(0, id, 1) }, \
		{ prefix "ring0_" name "_level_2", run, FRED_CASE(0, id, 2) }, \
		{ prefix "ring0_" name "_level_3", run, FRED_CASE(0, id, 3) },
#define STACK_RING0(id, name) AT_LEVELS("", stack_unmapped, id, name)
#define STACK_RING3(id, name) { "ring3_" name, stack_unmapped, FRED_CASE(3, id, 0) },
#define ENTRY(id, name)                                                       \
	{ "entry_ring0_" name, entry_unmapped, FRED_CASE(0, id, 1) },         \
		{ "entry_ring3_" name, entry_unmapped, FRED_CASE(3, id, 0) }, \
		{ "both_ring0_" name, both_unmapped, FRED_CASE(0, id, 1) },   \
		{ "both_ring3_" name, both_unmapped, FRED_CASE(3, id, 0) },

static const struct test delivery_tests[] = { FRED_EVENTS_RING0(STACK_RING0) FRED_EVENTS_RING3(
	STACK_RING3) FRED_EVENTS_BOTH(ENTRY) };

const struct chapter chapter_fredvm_delivery = FRED_VM_CHAPTER("fredvm-delivery", delivery_tests);

#define SNAPSHOT_RING0(id, name) AT_LEVELS("", snapshot, id, name)
#define SNAPSHOT_RING3(id, name) { "ring3_" name, snapshot, FRED_CASE(3, id, 0) },

static const struct test snapshot_tests[] = { { "state_is_kept", snapshot_keeps_state, 0 },
					      FRED_EVENTS_RING0(SNAPSHOT_RING0)
						      FRED_EVENTS_RING3(SNAPSHOT_RING3) };

const struct chapter chapter_fredvm_snapshot = FRED_VM_CHAPTER("fredvm-snapshot", snapshot_tests);

#define INTERCEPT_RING0(id, name)                                            \
	{ "ring0_" name, intercepted, FRED_CASE(0, id, 0) },                 \
		{ "ring0_" name "_stack_unmapped", intercepted_and_unmapped, \
		  FRED_CASE(0, id, 1) },
#define INTERCEPT_RING3(id, name)                                            \
	{ "ring3_" name, intercepted, FRED_CASE(3, id, 0) },                 \
		{ "ring3_" name "_stack_unmapped", intercepted_and_unmapped, \
		  FRED_CASE(3, id, 0) },

/* With FRED off, and nothing to be intercepted: software FRED needs its #UD all the same. */
static void lkgs_without_intercepts(uint64_t argument)
{
	const long before = hypercall(HYPERCALL_INTERCEPT, 0, 0, 0, 0);

	(void)argument;
	check("the hypercall is there", before >= 0);
	catch_begin();
	asm volatile(TRY(".byte 0xf2, 0x0f, 0x00, 0xf0") : : "a"(0) : "r11", "memory");
	expect_no_event();
	hypercall(HYPERCALL_INTERCEPT, (uint64_t)before, 0, 0, 0);
}

static const struct test intercept_tests[] = { { "lkgs_stays", lkgs_without_intercepts, 0 },
					       FRED_EVENTS_RING0(INTERCEPT_RING0)
						       FRED_EVENTS_RING3(INTERCEPT_RING3) };

const struct chapter chapter_fredvm_intercept =
	FRED_VM_CHAPTER("fredvm-intercept", intercept_tests);
