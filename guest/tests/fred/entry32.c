// SPDX-License-Identifier: BSD-2-Clause
/*
 * Events of compatibility mode in ring 3: the frame says so (SS[57] is 0), and has the length of
 * the instruction with its prefixes.
 */
#include "guest/tests/fred/return.h"
#include "guest/machine/segments.h"
#include "guest/suite/suite.h"

#define USER_CODE_32 (SELECTOR_TEST_1 | 3)
#define USER_DATA_32 (SELECTOR_TEST_2 | 3)
#define NOT_PRESENT  SELECTOR_TEST_3

/* fragments.asm */
#define UNMAPPED_32  0xff001234U
#define BAD_SELECTOR 0xfff8U
#define GS_LIMIT     3U
#define GS_BASE	     ((uint32_t)(uintptr_t)return_user64) /* a page that ring 3 may read */

#define SYSENTER_CS 0x28U

/* What an event of a fragment is. */
struct compat_event {
	struct fragment fragment;
	uint8_t type, vector, length;
	uint32_t error_code;
	uint64_t event_data;
};

FRAGMENT_LABELS(compat_int_n);
FRAGMENT_LABELS(compat_int_3);
FRAGMENT_LABELS(compat_int_n_prefix);
FRAGMENT_LABELS(compat_int_n_prefixes);
FRAGMENT_LABELS(compat_int_n_longest);
FRAGMENT_LABELS(compat_int3);
FRAGMENT_LABELS(compat_int3_prefix);
FRAGMENT_LABELS(compat_int1);
FRAGMENT_LABELS(compat_into);
FRAGMENT_LABELS(compat_into_clear);
FRAGMENT_LABELS(compat_sysenter);
FRAGMENT_LABELS(compat_sysenter_prefix);
FRAGMENT_LABELS(compat_syscall);
FRAGMENT_LABELS(compat_ud2);
FRAGMENT_LABELS(compat_de);
FRAGMENT_LABELS(compat_gp);
FRAGMENT_LABELS(compat_gp_selector);
FRAGMENT_LABELS(compat_np);
FRAGMENT_LABELS(compat_pf_read);
FRAGMENT_LABELS(compat_pf_write);
FRAGMENT_LABELS(compat_pf_fetch);
FRAGMENT_LABELS(compat_br);
FRAGMENT_LABELS(compat_erets);
FRAGMENT_LABELS(compat_eretu);
FRAGMENT_LABELS(compat_lkgs);
FRAGMENT_LABELS(compat_swapgs);
FRAGMENT_LABELS(compat_gs_limit);

enum {
	INT_N,
	INT_3,
	INT_N_PREFIX,
	INT_N_PREFIXES,
	INT_N_LONGEST,
	INT3,
	INT3_PREFIX,
	INT1,
	INTO,
	INTO_CLEAR,
	SYSENTER,
	SYSENTER_PREFIX,
	SYSCALL,
	UD2,
	DE,
	GP,
	GP_SELECTOR,
	NP,
	PF_READ_UNMAPPED,
	PF_WRITE_UNMAPPED,
	PF_FETCH_UNMAPPED,
	BR,
	ERETS,
	ERETU,
	LKGS,
	SWAPGS,
	GS_BEYOND_LIMIT,
};

#define SOFTWARE(name, vector, length)                                         \
	{                                                                      \
		FRAGMENT(name), EVENT_SOFTWARE_INTERRUPT, vector, length, 0, 0 \
	}
#define EXCEPTION(name, vector, error_code, data)                                     \
	{                                                                             \
		FRAGMENT(name), EVENT_HARDWARE_EXCEPTION, vector, 0, error_code, data \
	}
#define OTHER(name, type, vector, length)                  \
	{                                                  \
		FRAGMENT(name), type, vector, length, 0, 0 \
	}

static const struct compat_event events[] = {
	[INT_N] = SOFTWARE(compat_int_n, VECTOR_SOFTWARE, 2),
	[INT_3] = SOFTWARE(compat_int_3, VECTOR_BP, 2),
	[INT_N_PREFIX] = SOFTWARE(compat_int_n_prefix, VECTOR_SOFTWARE, 3),
	[INT_N_PREFIXES] = SOFTWARE(compat_int_n_prefixes, VECTOR_SOFTWARE, 5),
	[INT_N_LONGEST] = SOFTWARE(compat_int_n_longest, VECTOR_SOFTWARE, 15),
	[INT3] = OTHER(compat_int3, EVENT_SOFTWARE_EXCEPTION, VECTOR_BP, 1),
	[INT3_PREFIX] = OTHER(compat_int3_prefix, EVENT_SOFTWARE_EXCEPTION, VECTOR_BP, 2),
	[INT1] = OTHER(compat_int1, EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB, 1),
	[INTO] = OTHER(compat_into, EVENT_SOFTWARE_EXCEPTION, VECTOR_OF, 1),
	[INTO_CLEAR] = SOFTWARE(compat_into_clear, VECTOR_SOFTWARE, 2),
	[SYSENTER] = OTHER(compat_sysenter, EVENT_OTHER, FRED_VECTOR_SYSENTER, 2),
	[SYSENTER_PREFIX] = OTHER(compat_sysenter_prefix, EVENT_OTHER, FRED_VECTOR_SYSENTER, 3),
	[SYSCALL] = EXCEPTION(compat_syscall, VECTOR_UD, 0, 0),
	[UD2] = EXCEPTION(compat_ud2, VECTOR_UD, 0, 0),
	[DE] = EXCEPTION(compat_de, VECTOR_DE, 0, 0),
	[GP] = EXCEPTION(compat_gp, VECTOR_GP, 0, 0),
	[GP_SELECTOR] = EXCEPTION(compat_gp_selector, VECTOR_GP, BAD_SELECTOR, 0),
	[NP] = EXCEPTION(compat_np, VECTOR_NP, NOT_PRESENT, 0),
	[PF_READ_UNMAPPED] = EXCEPTION(compat_pf_read, VECTOR_PF, PF_USER, UNMAPPED_32),
	[PF_WRITE_UNMAPPED] =
		EXCEPTION(compat_pf_write, VECTOR_PF, PF_USER | PF_WRITE, UNMAPPED_32),
	[PF_FETCH_UNMAPPED] =
		EXCEPTION(compat_pf_fetch, VECTOR_PF, PF_USER | PF_FETCH, UNMAPPED_32),
	[BR] = EXCEPTION(compat_br, VECTOR_BR, 0, 0),
	[ERETS] = EXCEPTION(compat_erets, VECTOR_UD, 0, 0),
	[ERETU] = EXCEPTION(compat_eretu, VECTOR_UD, 0, 0),
	[LKGS] = EXCEPTION(compat_lkgs, VECTOR_UD, 0, 0),
	[SWAPGS] = EXCEPTION(compat_swapgs, VECTOR_UD, 0, 0),
	[GS_BEYOND_LIMIT] = EXCEPTION(compat_gs_limit, VECTOR_GP, 0, 0),
};

/* By descriptors: some processors cannot do the compatibility mode of IA32_STAR. */
static struct fred_frame *begin(const struct compat_event *event)
{
	struct fred_frame *const frame = return_frame_ring3();

	segments_open();
	segment_set(USER_CODE_32, DESCRIPTOR_CODE32(3));
	segment_set(USER_DATA_32, DESCRIPTOR_FLAT_DATA(3));
	segment_set(NOT_PRESENT, DESCRIPTOR_FLAT_DATA(3) & ~((uint64_t)ACCESS_PRESENT << 40));
	frame->rip = (uintptr_t)event->fragment.code;
	frame->cs = USER_CODE_32;
	frame->ss = USER_DATA_32;
	fred_begin(&(struct fred_setup){ 0 });
	fred.hook = return_leave;
	return frame;
}

static void finish(const struct compat_event *event, const struct fred_frame *frame)
{
	const bool fault = event->type == EVENT_HARDWARE_EXCEPTION;
	const bool fetch = event->error_code & PF_FETCH && event->vector == VECTOR_PF;

	expect_fred_event(&(struct fred_expected){
		.type = event->type,
		.vector = event->vector,
		.length = event->length,
		.error_code = event->error_code,
		.event_data = event->event_data,
		.compat = true,
		.ring = 3,
		.cs = USER_CODE_32,
		.ss = USER_DATA_32,
		.rip = fetch ? UNMAPPED_32 : (uintptr_t)event->fragment.saved,
		.rsp = frame->rsp,
		.rflags = RFLAGS_IF | (fault ? RFLAGS_RF : 0),
	});
	asm volatile("movl %0, %%ds" : : "r"(SELECTOR_KERNEL_DATA));
	segments_close();
}

static void event_of(uint64_t index)
{
	const struct fred_frame *const frame = begin(&events[index]);

	fred_try_eretu(frame);
	finish(&events[index], frame);
}

/* The same with an exit of the VMM in the middle of the delivery: INTO exists only here. */
static void stack_unmapped(uint64_t index)
{
	const struct fred_frame *const frame = begin(&events[index]);
	const uint64_t violations = exits(EXIT_REASON_EPT_VIOLATION);

	ept_unmap(fred_stack_page(0));
	fred_try_eretu(frame);
	check_equal("EPT violations", exits(EXIT_REASON_EPT_VIOLATION) - violations, 1);
	finish(&events[index], frame);
}

/* FRED does not look at the MSRs of SYSENTER. */
static void sysenter_msrs_ignored(uint64_t cs)
{
	const uint64_t old_cs = try_rdmsr(MSR_IA32_SYSENTER_CS);
	const uint64_t old_rip = try_rdmsr(MSR_IA32_SYSENTER_EIP);

	try_wrmsr(MSR_IA32_SYSENTER_CS, cs);
	try_wrmsr(MSR_IA32_SYSENTER_EIP, 0);
	event_of(SYSENTER);
	try_wrmsr(MSR_IA32_SYSENTER_CS, old_cs);
	try_wrmsr(MSR_IA32_SYSENTER_EIP, old_rip);
}

/* In compatibility mode GS has the limit and, by ERETU's exchange, the base that LKGS loaded. */
static void lkgs_limit(uint64_t argument)
{
	const struct fred_frame *const frame = begin(&events[GS_BEYOND_LIMIT]);

	(void)argument;
	segment_set(NOT_PRESENT, DESCRIPTOR(ACCESS_PRESENT | ACCESS_DPL(3) | ACCESS_DATA, FLAG_32,
					    GS_BASE, GS_LIMIT));
	asm volatile(".byte 0xf2, 0x0f, 0x00, 0xf0" : : "a"(NOT_PRESENT | 3));
	fred_try_eretu(frame);
	/* Delivery has exchanged the bases back. */
	check_equal("GS base of ring 3", fred.events[0].kernel_gs_base, GS_BASE);
	fred.events[0].kernel_gs_base = FRED_GS_RING3;
	finish(&events[GS_BEYOND_LIMIT], frame);
	asm volatile("movl %0, %%gs" : : "r"(0));
}

static const struct test tests[] = {
	{ "int_n", event_of, INT_N },
	{ "int_n_vector_3", event_of, INT_3 },
	{ "int_n_one_prefix", event_of, INT_N_PREFIX },
	{ "int_n_three_prefixes", event_of, INT_N_PREFIXES },
	{ "int_n_of_15_bytes", event_of, INT_N_LONGEST },
	{ "int3", event_of, INT3 },
	{ "int3_one_prefix", event_of, INT3_PREFIX },
	{ "int1", event_of, INT1 },
	{ "into", event_of, INTO },
	{ "into_without_overflow", event_of, INTO_CLEAR },
	{ "sysenter", event_of, SYSENTER },
	{ "sysenter_one_prefix", event_of, SYSENTER_PREFIX },
	{ "sysenter_with_null_cs", sysenter_msrs_ignored, 0 },
	{ "sysenter_with_cs", sysenter_msrs_ignored, SYSENTER_CS },
	{ "syscall_undefined", event_of, SYSCALL },
	{ "ud", event_of, UD2 },
	{ "de", event_of, DE },
	{ "gp", event_of, GP },
	{ "gp_with_selector", event_of, GP_SELECTOR },
	{ "np_with_selector", event_of, NP },
	{ "pf_read", event_of, PF_READ_UNMAPPED },
	{ "pf_write", event_of, PF_WRITE_UNMAPPED },
	{ "pf_fetch", event_of, PF_FETCH_UNMAPPED },
	{ "br", event_of, BR },
	{ "erets_undefined", event_of, ERETS },
	{ "eretu_undefined", event_of, ERETU },
	{ "lkgs_undefined", event_of, LKGS },
	{ "swapgs_undefined", event_of, SWAPGS },
	{ "lkgs_limit_of_gs_applies", lkgs_limit, 0 },
};

const struct chapter chapter_fred_entry32 = FRED_CHAPTER("fred-entry32", tests);

static const struct test vm_tests[] = {
	{ "int_n_stack_unmapped", stack_unmapped, INT_N },
	{ "int3_stack_unmapped", stack_unmapped, INT3 },
	{ "int1_stack_unmapped", stack_unmapped, INT1 },
	{ "into_stack_unmapped", stack_unmapped, INTO },
	{ "sysenter_stack_unmapped", stack_unmapped, SYSENTER },
	{ "pf_read_stack_unmapped", stack_unmapped, PF_READ_UNMAPPED },
	{ "br_stack_unmapped", stack_unmapped, BR },
};

const struct chapter chapter_fredvm_entry32 = FRED_VM_CHAPTER("fredvm-entry32", vm_tests);
