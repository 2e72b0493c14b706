// SPDX-License-Identifier: BSD-2-Clause
/*
 * ERETU: to ring 3 by the two flat configurations of IA32_STAR or by descriptors of the GDT, and
 * every frame that it must refuse. A fault leaves ring 0 as it was, GS base too.
 */
#include "guest/tests/fred/return.h"
#include "guest/machine/segments.h"
#include "guest/suite/suite.h"

#define INT_N_LENGTH   2
#define SELECTOR_BITS  0xffffU
#define RPL_USER       3U
#define GARBAGE	       0xfedcba9876543210ULL
#define MISALIGNED_RSP 0x123457ULL
#define HIGH_GARBAGE   (0x1234ULL << 32)
#define BEYOND_LIMIT   0x8000U /* added to a selector */
#define CPUID_FSGSBASE (1U << 0)
#define STAR_KERNEL    ((uint64_t)SELECTOR_KERNEL_CODE << 32)
#define STAR(user)     ((uint64_t)(user) << 48 | STAR_KERNEL)
/* Of no descriptors. */
#define OTHER_STAR_BASE 0x103U
#define COMPAT_CODE	(SELECTOR_USER_BASE | RPL_USER)

#define USER_CODE_1 (SELECTOR_TEST_1 | RPL_USER)
#define USER_DATA_2 (SELECTOR_TEST_2 | RPL_USER)

static void expect_fault(const struct fred_frame *frame, unsigned int csl, unsigned int vector,
			 uint32_t error_code)
{
	const struct fred_expected expected = {
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = (uint8_t)vector,
		.error_code = error_code,
		.csl = (uint8_t)csl,
		.level = (uint8_t)csl,
		.rip = (uintptr_t)fred_eretu_instruction,
		.rsp = (uintptr_t)frame,
		.rflags = RFLAGS_RF,
	};

	fred_begin(&(struct fred_setup){ .csl = (uint8_t)csl });
	fred.hook = return_leave;
	fred_try_eretu(frame);
	expect_fred_event(&expected);
}

static void expect_refused(const struct fred_frame *frame)
{
	expect_fault(frame, 0, VECTOR_GP, 0);
}

/* Ring 3 is reached; `compat`: by return_user32. */
static void expect_ring3(const struct fred_frame *frame, bool compat)
{
	const struct fred_expected expected = {
		.type = EVENT_SOFTWARE_INTERRUPT,
		.vector = VECTOR_SOFTWARE,
		.length = INT_N_LENGTH,
		.ring = 3,
		.compat = compat,
		.cs = (uint16_t)frame->cs,
		.ss = (uint16_t)frame->ss,
		.rip = (uintptr_t)(compat ? return_user32_saved : return_user64_saved),
		.rsp = compat ? (uint32_t)frame->rsp : frame->rsp,
		/* The instruction there ends RF. */
		.rflags = frame->rflags & ~(RFLAGS_STATUS | RFLAGS_RESERVED | RFLAGS_RF),
	};

	fred_begin(&(struct fred_setup){ 0 });
	fred.hook = return_leave;
	fred_try_eretu(frame);
	expect_fred_event(&expected);
	check_equal("status flags", fred.events[0].stack.frame.rflags & RFLAGS_STATUS,
		    frame->rflags & RFLAGS_STATUS);
}

static struct fred_frame *compat_frame(unsigned int code)
{
	struct fred_frame *const frame = return_frame_ring3();

	frame->rip = (uintptr_t)return_user32;
	frame->cs = code;
	return frame;
}

static void cs_bit(uint64_t bit)
{
	struct fred_frame *const frame = return_frame_ring3();

	frame->cs ^= 1ULL << bit;
	expect_refused(frame);
}

static void rflags_bit(uint64_t bit)
{
	struct fred_frame *const frame = return_frame_ring3();

	frame->rflags ^= 1ULL << bit;
	expect_refused(frame);
}

static void ss_bit(uint64_t bit)
{
	struct fred_frame *const frame = return_frame_ring3();

	frame->ss ^= 1ULL << bit;
	expect_refused(frame);
}

static void rip_bit(uint64_t bit)
{
	struct fred_frame *const frame = return_frame_ring3();

	frame->rip ^= 1ULL << bit;
	expect_refused(frame);
}

static void cs_rpl(uint64_t rpl)
{
	struct fred_frame *const frame = return_frame_ring3();

	frame->cs = (frame->cs & ~3ULL) | rpl;
	expect_refused(frame);
}

static void ss_rpl(uint64_t rpl)
{
	struct fred_frame *const frame = return_frame_ring3();

	frame->ss = (frame->ss & ~3ULL) | rpl;
	expect_refused(frame);
}

static void level_above_0(uint64_t csl)
{
	expect_fault(return_frame_ring3(), (unsigned int)csl, VECTOR_GP, 0);
}

static void rflags_loaded(uint64_t flags)
{
	struct fred_frame *const frame = return_frame_ring3();

	frame->rflags = RFLAGS_RESERVED | flags;
	expect_ring3(frame, false);
}

static void rsp_loaded(uint64_t rsp)
{
	struct fred_frame *const frame = return_frame_ring3();

	frame->rsp = rsp;
	expect_ring3(frame, false);
}

static void ss_accepted(uint64_t bits)
{
	struct fred_frame *const frame = return_frame_ring3();

	frame->ss |= bits;
	expect_ring3(frame, false);
}

static void ss_high_bits_ignored(uint64_t argument)
{
	(void)argument;
	for (unsigned int bit = 32; bit < 64; bit++)
		ss_accepted(1ULL << bit);
}

static void other_slots_ignored(uint64_t value)
{
	struct fred_frame *const frame = return_frame_ring3();

	frame->error_code = value;
	frame->event_data = value;
	frame->reserved = value;
	expect_ring3(frame, false);
}

/* GS base is exchanged with IA32_KERNEL_GS_BASE; delivery exchanges them again. */
static void gs_base_swapped(uint64_t argument)
{
	struct fred_frame *const frame = return_frame_ring3();
	const uint64_t cr4 = read_cr4();

	(void)argument;
	if (!(cpuid(7, 0).ebx & CPUID_FSGSBASE)) {
		test_skip("no RDGSBASE");
		return;
	}
	frame->rip = (uintptr_t)return_user_gs;
	write_cr4(cr4 | CR4_FSGSBASE);
	fred_begin(&(struct fred_setup){ 0 });
	fred.hook = return_leave;
	fred_try_eretu(frame);
	fred_end();
	write_cr4(cr4);
	check_fred_caught(1);
	check_equal("saved RIP", fred.events[0].stack.frame.rip, (uintptr_t)return_user_gs_saved);
	check_equal("GS base in ring 3", fred.events[0].stack.rax, FRED_GS_RING3);
	check_equal("GS base in the handler", fred.events[0].gs_base, FRED_GS_RING0);
}

static void single_step(uint64_t ss_bits)
{
	struct fred_frame *const frame = return_frame_ring3();
	const struct fred_expected expected = {
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_DB,
		.ring = 3,
		.rip = (uintptr_t)(ss_bits & FRED_SS_SOFTWARE ? return_user_nop : return_user64),
		.rsp = frame->rsp,
		.rflags = RFLAGS_TF | RFLAGS_IF,
		.event_data = EVENT_DATA_BS,
	};

	frame->rip = (uintptr_t)return_user_nop;
	frame->rflags |= RFLAGS_TF;
	frame->ss |= ss_bits;
	fred_begin(&(struct fred_setup){ 0 });
	fred.hook = return_leave;
	fred_try_eretu(frame);
	expect_fred_event(&expected);
}

/* RF holds a breakpoint at the target off, which is a NOP before return_user64. */
static void breakpoint(uint64_t rf)
{
	struct fred_frame *const frame = return_frame_ring3();
	struct fred_expected expected;

	if (!has_breakpoints()) {
		test_skip("this processor ignores breakpoints in DR0");
		return;
	}
	frame->rip = (uintptr_t)return_user_nop;
	frame->rflags |= rf;
	fred_begin(&(struct fred_setup){ 0 });
	fred.hook = return_leave;
	write_dr0(frame->rip);
	write_dr7(DR7_RESET | DR7_L0);
	fred_try_eretu(frame);
	write_dr7(DR7_RESET);
	expected = (struct fred_expected){
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_DB,
		.ring = 3,
		.rip = frame->rip,
		.rsp = frame->rsp,
		.rflags = RFLAGS_IF,
		.event_data = DR6_B0,
	};
	if (rf) {
		expected.type = EVENT_SOFTWARE_INTERRUPT;
		expected.vector = VECTOR_SOFTWARE;
		expected.length = INT_N_LENGTH;
		expected.rip = (uintptr_t)return_user64_saved;
		expected.event_data = 0;
	}
	expect_fred_event(&expected);
}

/* The frame itself so many bytes below where delivery would have put it. */
static void frame_not_aligned(uint64_t offset)
{
	struct fred_frame *const frame = return_frame_ring3();
	struct fred_frame *const other = (struct fred_frame *)((uintptr_t)frame - offset);

	*other = *frame;
	expect_ring3(other, false);
}

static void flat_compat(uint64_t high_garbage)
{
	struct fred_frame *const frame = compat_frame(COMPAT_CODE);

	frame->rip |= high_garbage;
	frame->rsp |= high_garbage;
	expect_ring3(frame, true);
}

/* The descriptors that the selectors in IA32_STAR name are not read. */
static void gdt_not_read(uint64_t code)
{
	uint64_t *const user_code = (uint64_t *)(gdt_page + (SELECTOR_USER_CODE & ~RPL_USER));
	uint64_t *const user_data = (uint64_t *)(gdt_page + (SELECTOR_USER_DATA & ~RPL_USER));
	const uint64_t old_code = *user_code, old_data = *user_data;

	*user_code = 0;
	*user_data = 0;
	if (code == SELECTOR_USER_CODE)
		expect_ring3(return_frame_ring3(), false);
	else
		expect_ring3(compat_frame((unsigned int)code), true);
	*user_code = old_code;
	*user_data = old_data;
}

/* IA32_STAR names selectors beyond the GDT. */
static void other_star(uint64_t compat)
{
	struct fred_frame *const frame =
		compat ? compat_frame(OTHER_STAR_BASE) : return_frame_ring3();
	const uint64_t star = try_rdmsr(MSR_IA32_STAR);

	if (!compat)
		frame->cs = OTHER_STAR_BASE + 16;
	frame->ss = OTHER_STAR_BASE + 8;
	try_wrmsr(MSR_IA32_STAR, STAR(OTHER_STAR_BASE));
	expect_ring3(frame, compat);
	try_wrmsr(MSR_IA32_STAR, star);
}

/* A selector with RPL 0 in IA32_STAR[63:48]: no frame of ring 3 is flat, the GDT is read. */
static void star_without_rpl(uint64_t descriptors)
{
	struct fred_frame *const frame = return_frame_ring3();
	const uint64_t star = try_rdmsr(MSR_IA32_STAR);
	uint64_t *const user_code = (uint64_t *)(gdt_page + (SELECTOR_USER_CODE & ~RPL_USER));
	const uint64_t old_code = *user_code;

	try_wrmsr(MSR_IA32_STAR, STAR(SELECTOR_USER_BASE));
	if (descriptors) {
		expect_ring3(frame, false);
	} else {
		*user_code = 0;
		expect_fault(frame, 0, VECTOR_GP, SELECTOR_USER_CODE & ~RPL_USER);
		*user_code = old_code;
	}
	try_wrmsr(MSR_IA32_STAR, star);
}

/* One bit more than a selector of IA32_STAR: another selector, beyond the GDT. */
static void selector_compared_whole(uint64_t argument)
{
	struct fred_frame *const frame = return_frame_ring3();

	(void)argument;
	frame->cs |= BEYOND_LIMIT;
	expect_fault(frame, 0, VECTOR_GP, (SELECTOR_USER_CODE | BEYOND_LIMIT) & ~RPL_USER);
}

/* A code segment in USER_CODE_1 and a data segment in USER_DATA_2, each legal or not. */
struct descriptors {
	uint64_t code, data;
};

#define USER(type) (ACCESS_PRESENT | ACCESS_DPL(3) | (type))
#define CODE(access, flags)                                                      \
	{                                                                        \
		DESCRIPTOR(access, flags, 0, LIMIT_MAX), DESCRIPTOR_FLAT_DATA(3) \
	}
#define DATA(access)                                                                      \
	{                                                                                 \
		DESCRIPTOR_CODE64(3), DESCRIPTOR(access, FLAG_32 | FLAG_4K, 0, LIMIT_MAX) \
	}

enum {
	GDT_64,
	GDT_COMPAT,
	GDT_CONFORMING,
	GDT_EXECUTE_ONLY,
	CS_DATA,
	CS_SYSTEM,
	CS_DPL_0,
	CS_NOT_PRESENT,
	CS_LONG_AND_32,
	SS_READ_ONLY,
	SS_CODE,
	SS_SYSTEM,
	SS_DPL_0,
	SS_NOT_PRESENT,
};

static const struct descriptors descriptors[] = {
	[GDT_64] = CODE(USER(ACCESS_CODE), FLAG_LONG | FLAG_4K),
	[GDT_COMPAT] = CODE(USER(ACCESS_CODE), FLAG_32 | FLAG_4K),
	[GDT_CONFORMING] = CODE(ACCESS_PRESENT | ACCESS_CONFORMING, FLAG_LONG | FLAG_4K),
	[GDT_EXECUTE_ONLY] = CODE(USER(ACCESS_EXECUTE_ONLY), FLAG_LONG | FLAG_4K),
	[CS_DATA] = CODE(USER(ACCESS_DATA), FLAG_32 | FLAG_4K),
	[CS_SYSTEM] = CODE(USER(ACCESS_TSS_AVAILABLE), 0),
	[CS_DPL_0] = CODE(ACCESS_PRESENT | ACCESS_CODE, FLAG_LONG | FLAG_4K),
	[CS_NOT_PRESENT] = CODE(ACCESS_DPL(3) | ACCESS_CODE, FLAG_LONG | FLAG_4K),
	[CS_LONG_AND_32] = CODE(USER(ACCESS_CODE), FLAG_LONG | FLAG_32 | FLAG_4K),
	[SS_READ_ONLY] = DATA(USER(ACCESS_READ_ONLY)),
	[SS_CODE] = DATA(USER(ACCESS_CODE)),
	[SS_SYSTEM] = DATA(USER(ACCESS_TSS_AVAILABLE)),
	[SS_DPL_0] = DATA(ACCESS_PRESENT | ACCESS_DATA),
	[SS_NOT_PRESENT] = DATA(ACCESS_DPL(3) | ACCESS_DATA),
};

static struct fred_frame *gdt_frame(uint64_t index)
{
	struct fred_frame *const frame =
		index == GDT_COMPAT ? compat_frame(USER_CODE_1) : return_frame_ring3();

	segments_open();
	segment_set(USER_CODE_1, descriptors[index].code);
	segment_set(USER_DATA_2, descriptors[index].data);
	frame->cs = USER_CODE_1;
	frame->ss = USER_DATA_2;
	return frame;
}

static void gdt_legal(uint64_t index)
{
	const struct fred_frame *const frame = gdt_frame(index);

	expect_ring3(frame, index == GDT_COMPAT);
	check_equal("code descriptor", segment_get(USER_CODE_1),
		    descriptors[index].code | DESCRIPTOR_ACCESSED);
	check_equal("data descriptor", segment_get(USER_DATA_2),
		    descriptors[index].data | DESCRIPTOR_ACCESSED);
	segments_close();
}

static void gdt_bad_cs(uint64_t index)
{
	expect_fault(gdt_frame(index), 0, index == CS_NOT_PRESENT ? VECTOR_NP : VECTOR_GP,
		     USER_CODE_1 & ~RPL_USER);
	segments_close();
}

static void gdt_bad_ss(uint64_t index)
{
	expect_fault(gdt_frame(index), 0, index == SS_NOT_PRESENT ? VECTOR_SS : VECTOR_GP,
		     USER_DATA_2 & ~RPL_USER);
	segments_close();
}

/* Selectors that no descriptor is read for, or none is there for. */
static void selector_cs(uint64_t selector)
{
	struct fred_frame *const frame = gdt_frame(GDT_64);

	frame->cs = selector;
	expect_fault(frame, 0, VECTOR_GP, (uint32_t)selector & ~RPL_USER);
	segments_close();
}

static void selector_ss(uint64_t selector)
{
	struct fred_frame *const frame = gdt_frame(GDT_64);

	frame->ss = selector;
	expect_fault(frame, 0, VECTOR_GP, (uint32_t)selector & ~RPL_USER);
	segments_close();
}

/* Compatibility mode has a code segment limit. */
static void rip_beyond_limit(uint64_t argument)
{
	struct fred_frame *const frame = gdt_frame(GDT_COMPAT);
	const uint64_t limit = frame->rip - 1;

	(void)argument;
	segment_set(USER_CODE_1,
		    DESCRIPTOR(USER(ACCESS_CODE), FLAG_32 | FLAG_4K, 0, (limit >> 12) - 1));
	expect_refused(frame);
	segments_close();
}

static void frame_not_mapped(uint64_t argument)
{
	const struct fred_frame *const frame = return_frame_ring3();
	const uint8_t *const page = test_pages[TEST_PAGES - 1];
	struct fred_expected expected = {
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_PF,
		.level = 1,
		.rip = (uintptr_t)fred_eretu_instruction,
		.rsp = (uintptr_t)frame,
		.rflags = RFLAGS_RF,
	};

	(void)argument;
	page_set_rights(page, 0);
	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_PF, 1) });
	fred.hook = return_leave;
	fred_try_eretu(frame);
	fred_end();
	page_set_rights(page, PTE_DATA);
	/* The order of the reads is the processor's own. */
	expected.event_data = fred.events[0].cr2;
	expect_fred_event(&expected);
	check_equal("page of CR2", fred.events[0].cr2 & ~PAGE_MASK, (uintptr_t)page);
}

static void frame_not_canonical(uint64_t argument)
{
	const struct fred_frame *const frame = (struct fred_frame *)NON_CANONICAL;

	(void)argument;
	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_SS, 1) });
	fred.hook = return_leave;
	fred_try_eretu(frame);
	expect_fred_event(&(struct fred_expected){
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_SS,
		.level = 1,
		.rip = (uintptr_t)fred_eretu_instruction,
		.rsp = (uintptr_t)frame,
		.rflags = RFLAGS_RF,
	});
}

#define CS_BIT(n)                                 \
	{                                         \
		"cs_bit_" #n "_faults", cs_bit, n \
	}
#define RFLAGS_BIT(n)                                     \
	{                                                 \
		"rflags_bit_" #n "_faults", rflags_bit, n \
	}
#define SS_BIT(n)                                 \
	{                                         \
		"ss_bit_" #n "_faults", ss_bit, n \
	}
#define RIP_BIT(n)                                                \
	{                                                         \
		"rip_not_canonical_bit_" #n "_faults", rip_bit, n \
	}

static const struct test tests[] = {
	{ "to_flat_64", rflags_loaded, RFLAGS_IF },
	{ "to_flat_compat", flat_compat, 0 },
	{ "to_flat_compat_truncates_rip_and_rsp", flat_compat, HIGH_GARBAGE },
	{ "to_gdt_64", gdt_legal, GDT_64 },
	{ "to_gdt_compat", gdt_legal, GDT_COMPAT },
	{ "to_gdt_conforming", gdt_legal, GDT_CONFORMING },
	{ "to_gdt_execute_only", gdt_legal, GDT_EXECUTE_ONLY },
	{ "flat_64_reads_no_gdt", gdt_not_read, SELECTOR_USER_CODE },
	{ "flat_compat_reads_no_gdt", gdt_not_read, COMPAT_CODE },
	{ "flat_64_beyond_gdt", other_star, false },
	{ "flat_compat_beyond_gdt", other_star, true },
	{ "star_without_rpl_reads_gdt", star_without_rpl, true },
	{ "star_without_rpl_faults_without_gdt", star_without_rpl, false },
	{ "star_compared_with_whole_selector", selector_compared_whole, 0 },
	{ "loads_cf", rflags_loaded, RFLAGS_CF },
	{ "loads_pf", rflags_loaded, RFLAGS_PF },
	{ "loads_af", rflags_loaded, RFLAGS_AF },
	{ "loads_zf", rflags_loaded, RFLAGS_ZF },
	{ "loads_sf", rflags_loaded, RFLAGS_SF },
	{ "loads_if_clear", rflags_loaded, 0 },
	{ "loads_df", rflags_loaded, RFLAGS_DF },
	{ "loads_of", rflags_loaded, RFLAGS_OF },
	{ "loads_nt", rflags_loaded, RFLAGS_NT },
	{ "accepts_rf", rflags_loaded, RFLAGS_RF },
	{ "loads_ac", rflags_loaded, RFLAGS_AC },
	{ "loads_vif", rflags_loaded, RFLAGS_VIF },
	{ "loads_vip", rflags_loaded, RFLAGS_VIP },
	{ "loads_id", rflags_loaded, RFLAGS_ID },
	{ "loads_rsp_0", rsp_loaded, 0 },
	{ "loads_rsp_misaligned", rsp_loaded, MISALIGNED_RSP },
	{ "loads_rsp_not_canonical", rsp_loaded, NON_CANONICAL },
	{ "ss_bit_16_accepted", ss_accepted, FRED_SS_STI },
	{ "ss_bit_17_accepted", ss_accepted, FRED_SS_SOFTWARE },
	{ "ss_bit_18_accepted", ss_accepted, FRED_SS_NMI },
	{ "ss_bits_63_32_ignored", ss_high_bits_ignored, 0 },
	{ "other_slots_ignored", other_slots_ignored, GARBAGE },
	{ "gs_base_swapped_once", gs_base_swapped, 0 },
	{ "tf_steps_one_instruction", single_step, 0 },
	{ "tf_and_ss_bit_17_step_none", single_step, FRED_SS_SOFTWARE },
	{ "rf_holds_breakpoint_off", breakpoint, RFLAGS_RF },
	{ "breakpoint_without_rf", breakpoint, 0 },
	{ "frame_misaligned_by_8", frame_not_aligned, 8 },
	{ "at_level_1_faults", level_above_0, 1 },
	{ "at_level_2_faults", level_above_0, 2 },
	{ "at_level_3_faults", level_above_0, 3 },
	{ "cs_rpl_0_faults", cs_rpl, 0 },
	{ "cs_rpl_1_faults", cs_rpl, 1 },
	{ "cs_rpl_2_faults", cs_rpl, 2 },
	{ "ss_rpl_0_faults", ss_rpl, 0 },
	{ "ss_rpl_1_faults", ss_rpl, 1 },
	{ "ss_rpl_2_faults", ss_rpl, 2 },
	{ "cs_null_faults", selector_cs, RPL_USER },
	{ "cs_in_ldt_faults", selector_cs, USER_CODE_1 | SELECTOR_LDT },
	{ "cs_beyond_gdt_faults", selector_cs, USER_CODE_1 | BEYOND_LIMIT },
	{ "cs_data_faults", gdt_bad_cs, CS_DATA },
	{ "cs_system_faults", gdt_bad_cs, CS_SYSTEM },
	{ "cs_dpl_0_faults", gdt_bad_cs, CS_DPL_0 },
	{ "cs_not_present_faults", gdt_bad_cs, CS_NOT_PRESENT },
	{ "cs_both_64_and_32_bit_faults", gdt_bad_cs, CS_LONG_AND_32 },
	{ "ss_null_faults", selector_ss, RPL_USER },
	{ "ss_in_ldt_faults", selector_ss, USER_DATA_2 | SELECTOR_LDT },
	{ "ss_beyond_gdt_faults", selector_ss, USER_DATA_2 | BEYOND_LIMIT },
	{ "ss_read_only_faults", gdt_bad_ss, SS_READ_ONLY },
	{ "ss_code_faults", gdt_bad_ss, SS_CODE },
	{ "ss_system_faults", gdt_bad_ss, SS_SYSTEM },
	{ "ss_dpl_0_faults", gdt_bad_ss, SS_DPL_0 },
	{ "ss_not_present_faults", gdt_bad_ss, SS_NOT_PRESENT },
	{ "compat_rip_beyond_limit_faults", rip_beyond_limit, 0 },
	{ "frame_not_mapped_faults", frame_not_mapped, 0 },
	{ "frame_not_canonical_faults", frame_not_canonical, 0 },
	RIP_BIT(47),
	RIP_BIT(48),
	RIP_BIT(55),
	RIP_BIT(56),
	RIP_BIT(57),
	RIP_BIT(62),
	RIP_BIT(63),
	CS_BIT(16),
	CS_BIT(17),
	CS_BIT(18),
	BITS_19_31(CS_BIT),
	BITS_32_63(CS_BIT),
	RFLAGS_BIT(1),
	RFLAGS_BIT(12),
	RFLAGS_BIT(13),
	BITS_RFLAGS_ZERO(RFLAGS_BIT),
	BITS_19_31(SS_BIT),
};

const struct chapter chapter_fred_eretu = FRED_CHAPTER("fred-eretu", tests);
