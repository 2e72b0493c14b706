// SPDX-License-Identifier: BSD-2-Clause
/*
 * ERETS: what a frame may change, and what it must not. Frames with one wrong bit raise #GP(0), and
 * leave everything as it was. All of these are tried at stack level 1 with a frame of level 0, so
 * that a level that changes too early shows.
 */
#include "guest/tests/fred/return.h"
#include "guest/suite/suite.h"

#define TEST_LEVEL     1U
#define SS_HIGH_SHIFT  32
#define GARBAGE	       0xfedcba9876543210ULL
#define MISALIGNED_RSP 0x123457ULL

/* From one level to another: an argument. */
#define LEVELS(from, to) ((uint64_t)(from) << 4 | (to))

static struct fred_expected fault(const void *frame, unsigned int vector)
{
	return (struct fred_expected){
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = (uint8_t)vector,
		.csl = TEST_LEVEL,
		.level = TEST_LEVEL,
		.rip = (uintptr_t)fred_erets_instruction,
		.rsp = (uintptr_t)frame,
		.rflags = RFLAGS_RF,
	};
}

static void expect_refused(const struct fred_frame *frame)
{
	const struct fred_expected expected = fault(frame, VECTOR_GP);

	fred_begin(&(struct fred_setup){ .csl = TEST_LEVEL });
	fred_try_erets(frame);
	expect_fred_event(&expected);
	check_equal("returns", return_landed.count, 0);
}

/* Compare what return_landing found with the frame. */
static void check_landed(const struct fred_frame *frame)
{
	check_equal("returns", return_landed.count, 1);
	check_equal("RSP", return_landed.rsp, frame->rsp);
	/* PUSHF never shows RF. */
	check_equal("RFLAGS", return_landed.rflags, frame->rflags & ~RFLAGS_RF);
	check_equal("CS", return_landed.cs, frame->cs & FRED_SELECTOR_MASK);
	check_equal("SS", return_landed.ss, frame->ss & FRED_SELECTOR_MASK);
}

static void expect_landed(const struct fred_frame *frame)
{
	fred_begin(&(struct fred_setup){ .csl = TEST_LEVEL });
	fred_try_erets(frame);
	expect_no_fred_event();
	check_landed(frame);
	check_equal("stack level", return_landed.config & FRED_CONFIG_CSL_MASK,
		    FRED_CS_CSL(frame->cs));
}

static void cs_bit(uint64_t bit)
{
	struct fred_frame *const frame = return_frame_ring0();

	frame->cs ^= 1ULL << bit;
	expect_refused(frame);
}

static void rflags_bit(uint64_t bit)
{
	struct fred_frame *const frame = return_frame_ring0();

	frame->rflags ^= 1ULL << bit;
	expect_refused(frame);
}

static void ss_bit(uint64_t bit)
{
	struct fred_frame *const frame = return_frame_ring0();

	frame->ss ^= 1ULL << bit;
	expect_refused(frame);
}

static void rip_bit(uint64_t bit)
{
	struct fred_frame *const frame = return_frame_ring0();

	frame->rip ^= 1ULL << bit;
	expect_refused(frame);
}

static void rflags_loaded(uint64_t flags)
{
	struct fred_frame *const frame = return_frame_ring0();

	frame->rflags |= flags;
	expect_landed(frame);
}

static void wfe_accepted(uint64_t argument)
{
	struct fred_frame *const frame = return_frame_ring0();

	(void)argument;
	frame->cs |= FRED_CS_WFE;
	expect_landed(frame);
}

static void ss_accepted(uint64_t bits)
{
	struct fred_frame *const frame = return_frame_ring0();

	frame->ss |= bits;
	expect_landed(frame);
}

static void ss_high_bits_ignored(uint64_t argument)
{
	(void)argument;
	for (unsigned int bit = SS_HIGH_SHIFT; bit < 64; bit++)
		ss_accepted(1ULL << bit);
}

static void error_code_ignored(uint64_t value)
{
	struct fred_frame *const frame = return_frame_ring0();

	frame->error_code = value;
	expect_landed(frame);
}

static void event_data_ignored(uint64_t value)
{
	struct fred_frame *const frame = return_frame_ring0();

	frame->event_data = value;
	expect_landed(frame);
}

static void last_slot_ignored(uint64_t value)
{
	struct fred_frame *const frame = return_frame_ring0();

	frame->reserved = value;
	expect_landed(frame);
}

static void rsp_loaded(uint64_t rsp)
{
	struct fred_frame *const frame = return_frame_ring0();

	frame->rsp = rsp;
	expect_landed(frame);
}

/* The frame itself so many bytes below where delivery would have put it. */
static void frame_not_aligned(uint64_t offset)
{
	struct fred_frame *const frame = return_frame_ring0();
	struct fred_frame *const other = (struct fred_frame *)((uintptr_t)frame - offset);

	*other = *frame;
	expect_landed(other);
}

/* ERETS lowers the level to the frame's, and never raises it. */
static void levels(uint64_t from_to)
{
	const unsigned int from = (unsigned int)from_to >> 4, to = (unsigned int)from_to & 0xf;
	struct fred_frame *const frame = return_frame_ring0();

	frame->cs |= (uint64_t)to << FRED_CS_CSL_SHIFT;
	fred_begin(&(struct fred_setup){ .csl = (uint8_t)from });
	fred_try_erets(frame);
	expect_no_fred_event();
	check_landed(frame);
	check_equal("stack level", return_landed.config & FRED_CONFIG_CSL_MASK,
		    from < to ? from : to);
}

/* Only the level changes in IA32_FRED_CONFIG. */
static void config_kept(uint64_t argument)
{
	struct fred_frame *const frame = return_frame_ring0();

	(void)argument;
	fred_begin(&(struct fred_setup){ .csl = 3, .redzone = 5, .interrupt_level = 2 });
	fred_try_erets(frame);
	expect_no_fred_event();
	check_equal("IA32_FRED_CONFIG", return_landed.config,
		    (uintptr_t)fred_entry_page | 5ULL << FRED_CONFIG_REDZONE_SHIFT |
			    2ULL << FRED_CONFIG_INTERRUPT_SHIFT);
}

/* Bit 17 of SS decides whether a step is over before or after the first instruction. */
static void single_step(uint64_t ss_bits)
{
	struct fred_frame *const frame = return_frame_ring0();
	const struct fred_expected expected = {
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_DB,
		.level = 3,
		.rip = (uintptr_t)(ss_bits & FRED_SS_SOFTWARE ? return_landing
							      : return_landing_next),
		.rsp = frame->rsp,
		.rflags = RFLAGS_TF,
		.event_data = EVENT_DATA_BS,
	};

	frame->rflags |= RFLAGS_TF;
	frame->ss |= ss_bits;
	/* Not on the stack that the frame names: ours. */
	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_DB, 3) });
	fred_try_erets(frame);
	expect_fred_event(&expected);
}

/* SS bit 16 brings the shadow of STI back, for one instruction and only with interrupts on. */
static void sti_shadow(uint64_t rflags)
{
	struct fred_frame *const frame = return_frame_ring0();
	const struct fred_expected expected = {
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_UD,
		.sti = rflags & RFLAGS_IF,
		.level = 3,
		.rip = (uintptr_t)return_ud2,
		.rsp = frame->rsp,
		.rflags = rflags | RFLAGS_RF,
	};

	frame->rip = (uintptr_t)return_ud2;
	frame->rflags |= rflags;
	frame->ss |= FRED_SS_STI;
	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_UD, 3) });
	fred_try_erets(frame);
	expect_fred_event(&expected);
}

/* RF holds a breakpoint at the target off; PUSHF cannot tell that it was loaded. */
static void breakpoint(uint64_t rf)
{
	struct fred_frame *const frame = return_frame_ring0();

	if (!has_breakpoints()) {
		test_skip("this processor ignores breakpoints in DR0");
		return;
	}
	frame->rflags |= rf;
	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_DB, 3) });
	write_dr0(frame->rip);
	write_dr7(DR7_RESET | DR7_L0);
	fred_try_erets(frame);
	write_dr7(DR7_RESET);
	if (rf) {
		expect_no_fred_event();
		check_landed(frame);
		return;
	}
	expect_fred_event(&(struct fred_expected){
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_DB,
		.level = 3,
		.rip = frame->rip,
		.rsp = frame->rsp,
		.event_data = DR6_B0,
	});
	check_equal("returns", return_landed.count, 0);
}

static void frame_not_mapped(uint64_t argument)
{
	const struct fred_frame *const frame = return_frame_ring0();
	const uint8_t *const page = test_pages[TEST_PAGES - 1];
	struct fred_expected expected = fault(frame, VECTOR_PF);

	(void)argument;
	expected.csl = 0;
	page_set_rights(page, 0);
	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_PF, TEST_LEVEL) });
	fred_try_erets(frame);
	fred_end();
	page_set_rights(page, PTE_DATA);
	/* The order of the reads is the processor's own. */
	expected.event_data = fred.events[0].cr2;
	expect_fred_event(&expected);
	check_equal("page of CR2", fred.events[0].cr2 & ~PAGE_MASK, (uintptr_t)page);
	check_equal("returns", return_landed.count, 0);
}

static void frame_not_canonical(uint64_t argument)
{
	const struct fred_frame *const frame = (struct fred_frame *)NON_CANONICAL;
	struct fred_expected expected = fault(frame, VECTOR_SS);

	(void)argument;
	return_frame_ring0();
	expected.csl = 0;
	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_SS, TEST_LEVEL) });
	fred_try_erets(frame);
	expect_fred_event(&expected);
	check_equal("returns", return_landed.count, 0);
}

/* CS and SS stay as they are: nothing is read of their descriptors. */
static void gdt_not_read(uint64_t argument)
{
	const struct fred_frame *const frame = return_frame_ring0();
	uint64_t *const code = (uint64_t *)(gdt_page + SELECTOR_KERNEL_CODE);
	uint64_t *const data = (uint64_t *)(gdt_page + SELECTOR_KERNEL_DATA);
	const uint64_t old_code = *code, old_data = *data;

	(void)argument;
	*code = 0;
	*data = 0;
	fred_begin(&(struct fred_setup){ .csl = TEST_LEVEL });
	fred_try_erets(frame);
	*code = old_code;
	*data = old_data;
	expect_no_fred_event();
	check_landed(frame);
}

/* With a null SS in ring 0 the frame's must be null as well. */
static void null_ss(uint64_t frame_ss)
{
	struct fred_frame *const frame = return_frame_ring0();

	frame->ss = frame_ss;
	fred_begin(&(struct fred_setup){ .csl = TEST_LEVEL });
	asm volatile("movl %0, %%ss" : : "r"(0));
	fred_try_erets(frame);
	asm volatile("movl %0, %%ss" : : "r"(SELECTOR_KERNEL_DATA));
	fred_end();
	check_equal("returns", return_landed.count, frame_ss == 0);
	check_fred_caught(frame_ss != 0);
	if (fred.count != 0)
		check_equal("vector", FRED_SS_VECTOR(fred.events[0].stack.frame.ss), VECTOR_GP);
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
#define LEVEL_TESTS(from)                                               \
	{ "level_" #from "_frame_0", levels, LEVELS(from, 0) },         \
		{ "level_" #from "_frame_1", levels, LEVELS(from, 1) }, \
		{ "level_" #from "_frame_2", levels, LEVELS(from, 2) }, \
	{                                                               \
		"level_" #from "_frame_3", levels, LEVELS(from, 3)      \
	}

static const struct test tests[] = {
	{ "returns", rflags_loaded, 0 },
	{ "loads_cf", rflags_loaded, RFLAGS_CF },
	{ "loads_pf", rflags_loaded, RFLAGS_PF },
	{ "loads_af", rflags_loaded, RFLAGS_AF },
	{ "loads_zf", rflags_loaded, RFLAGS_ZF },
	{ "loads_sf", rflags_loaded, RFLAGS_SF },
	{ "loads_if", rflags_loaded, RFLAGS_IF },
	{ "loads_df", rflags_loaded, RFLAGS_DF },
	{ "loads_of", rflags_loaded, RFLAGS_OF },
	{ "loads_iopl_1", rflags_loaded, RFLAGS_IOPL_1 },
	{ "loads_iopl_2", rflags_loaded, RFLAGS_IOPL_2 },
	{ "loads_iopl_3", rflags_loaded, RFLAGS_IOPL_1 | RFLAGS_IOPL_2 },
	{ "loads_nt", rflags_loaded, RFLAGS_NT },
	{ "accepts_rf", rflags_loaded, RFLAGS_RF },
	{ "loads_ac", rflags_loaded, RFLAGS_AC },
	{ "loads_vif", rflags_loaded, RFLAGS_VIF },
	{ "loads_vip", rflags_loaded, RFLAGS_VIP },
	{ "loads_id", rflags_loaded, RFLAGS_ID },
	{ "loads_rsp_0", rsp_loaded, 0 },
	{ "loads_rsp_misaligned", rsp_loaded, MISALIGNED_RSP },
	{ "loads_rsp_not_canonical", rsp_loaded, NON_CANONICAL },
	{ "loads_rsp_all_ones", rsp_loaded, ~0ULL },
	LEVEL_TESTS(0),
	LEVEL_TESTS(1),
	LEVEL_TESTS(2),
	LEVEL_TESTS(3),
	{ "keeps_rest_of_config", config_kept, 0 },
	{ "cs_wfe_accepted", wfe_accepted, 0 },
	{ "ss_bit_16_accepted", ss_accepted, FRED_SS_STI },
	{ "ss_bit_17_accepted", ss_accepted, FRED_SS_SOFTWARE },
	{ "ss_bit_18_accepted", ss_accepted, FRED_SS_NMI },
	{ "ss_bits_63_32_ignored", ss_high_bits_ignored, 0 },
	{ "error_code_ignored", error_code_ignored, GARBAGE },
	{ "event_data_ignored", event_data_ignored, GARBAGE },
	{ "last_slot_ignored", last_slot_ignored, GARBAGE },
	{ "frame_misaligned_by_8", frame_not_aligned, 8 },
	{ "frame_misaligned_by_1", frame_not_aligned, 1 },
	{ "gdt_not_read", gdt_not_read, 0 },
	{ "null_ss_returns", null_ss, 0 },
	{ "null_ss_and_other_in_frame_faults", null_ss, SELECTOR_KERNEL_DATA },
	{ "tf_steps_one_instruction", single_step, 0 },
	{ "tf_and_ss_bit_17_step_none", single_step, FRED_SS_SOFTWARE },
	{ "rf_holds_breakpoint_off", breakpoint, RFLAGS_RF },
	{ "breakpoint_without_rf", breakpoint, 0 },
	{ "ss_bit_16_makes_sti_shadow", sti_shadow, RFLAGS_IF },
	{ "ss_bit_16_without_if_makes_none", sti_shadow, 0 },
	{ "frame_not_mapped_faults", frame_not_mapped, 0 },
	{ "frame_not_canonical_faults", frame_not_canonical, 0 },
	RIP_BIT(47),
	RIP_BIT(48),
	RIP_BIT(55),
	RIP_BIT(56),
	RIP_BIT(57),
	RIP_BIT(62),
	RIP_BIT(63),
	BITS_0_15(CS_BIT),
	BITS_19_31(CS_BIT),
	BITS_32_63(CS_BIT),
	RFLAGS_BIT(1),
	BITS_RFLAGS_ZERO(RFLAGS_BIT),
	BITS_0_15(SS_BIT),
	BITS_19_31(SS_BIT),
};

const struct chapter chapter_fred_erets = FRED_CHAPTER("fred-erets", tests);
