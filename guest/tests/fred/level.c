// SPDX-License-Identifier: BSD-2-Clause
/*
 * Stack levels: which one an event gets, the stack that goes with it, the red zone, the alignment
 * of the frame, and that only ERETS lowers the level.
 */
#include "guest/tests/fred/events.h"
#include "guest/suite/suite.h"

#define VECTORS	    32
#define LEVEL_MAX   3U
#define REDZONE_MAX 7

/* This level for one vector, and another one for all others. */
static uint64_t stklvls_of(unsigned int vector, unsigned int level)
{
	uint64_t stklvls = 0;

	for (unsigned int v = 0; v < VECTORS; v++)
		stklvls |= FRED_STKLVL(v, v == vector ? level : LEVEL_MAX - level);
	return stklvls;
}

/* An event in ring 0 with this level in STKLVLS, or as the interrupts' level. */
static void level_of_event(uint64_t argument)
{
	const enum fred_event_id id = FRED_CASE_EVENT(argument);
	const uint8_t level = FRED_CASE_LEVEL(argument);
	struct fred_expected expected;

	if (!fred_event_raise(
		    id, 0,
		    &(struct fred_setup){
			    .stklvls = stklvls_of(fred_event_case(id)->vector % VECTORS, level),
			    .interrupt_level = level }))
		return;
	fred_end();
	expected = fred_event_expected(id, 0);
	expected.level = fred_event_level(id, level);
	check_fred_caught(1);
	check_fred_event(0, id, &expected);
}

/* From ring 3 all events begin at level 0, whatever STKLVLS says. */
static void level_from_ring3(uint64_t argument)
{
	const enum fred_event_id id = FRED_CASE_EVENT(argument);
	struct fred_expected expected;

	if (!fred_event_raise(
		    id, 3, &(struct fred_setup){ .stklvls = ~0ULL, .interrupt_level = LEVEL_MAX }))
		return;
	fred_end();
	expected = fred_event_expected(id, 3);
	check_fred_caught(1);
	check_fred_event(0, id, &expected);
}

#define PAIR(csl, level) ((uint64_t)(csl) << 8 | (level))

/* At CSL, an event for a level: the higher one of the two; back at CSL after ERETS. */
static void level_is_maximum(uint64_t argument)
{
	const uint8_t csl = (uint8_t)(argument >> 8);
	const uint8_t level = (uint8_t)argument;
	struct fred_expected expected;
	uint64_t after;

	if (!fred_event_raise(
		    FRED_EVENT_UD, 0,
		    &(struct fred_setup){ .csl = csl, .stklvls = stklvls_of(VECTOR_UD, level) }))
		return;
	after = read_msr(MSR_IA32_FRED_CONFIG);
	fred_end();
	expected = fred_event_expected(FRED_EVENT_UD, 0);
	expected.csl = csl;
	expected.level = level > csl ? level : csl;
	check_fred_caught(1);
	check_fred_event(0, FRED_EVENT_UD, &expected);
	check_equal("stack level after ERETS", after & FRED_CONFIG_CSL_MASK, csl);
}

#define REDZONE(units, level) ((uint64_t)(units) << 8 | (level))

/* Below RSP when the stack stays; not used when the level has its own. */
static void redzone(uint64_t argument)
{
	const uint8_t units = (uint8_t)(argument >> 8);
	const uint8_t level = (uint8_t)argument;
	struct fred_expected expected;

	if (!fred_event_raise(FRED_EVENT_UD, 0,
			      &(struct fred_setup){ .redzone = units,
						    .stklvls = stklvls_of(VECTOR_UD, level) }))
		return;
	fred_end();
	expected = fred_event_expected(FRED_EVENT_UD, 0);
	expected.level = level;
	expected.redzone = units;
	check_fred_caught(1);
	check_fred_event(0, FRED_EVENT_UD, &expected);
}

/* Below RSP at any level that stays; not from ring 3. */
static void redzone_at_level_2(uint64_t units)
{
	struct fred_expected expected;

	fred_begin(&(struct fred_setup){ .csl = 2, .redzone = (uint8_t)units });
	fragment_run(0, &fred_event_case(FRED_EVENT_UD)->fragment, 0);
	fred_end();
	expected = fred_event_expected(FRED_EVENT_UD, 0);
	expected.csl = 2;
	expected.level = 2;
	expected.redzone = (uint8_t)units;
	check_fred_caught(1);
	check_fred_event(0, FRED_EVENT_UD, &expected);
}

static void no_redzone_from_ring3(uint64_t units)
{
	struct fred_expected expected;

	fred_begin(&(struct fred_setup){ .redzone = (uint8_t)units });
	fragment_run(3, &fred_event_case(FRED_EVENT_UD)->fragment, 0);
	fred_end();
	expected = fred_event_expected(FRED_EVENT_UD, 3);
	check_fred_caught(1);
	check_fred_event(0, FRED_EVENT_UD, &expected);
}

/* The frame lies at a multiple of 64, wherever RSP is. */
static void alignment(uint64_t offset)
{
	static const struct fragment fragment = FRAGMENT(raise_ud2_lower);
	struct fred_expected expected;

	fred_begin(&(struct fred_setup){ 0 });
	fragment_run(0, &fragment, offset);
	fred_end();
	expected = fred_event_expected(FRED_EVENT_UD, 0);
	expected.rip = (uintptr_t)fragment.saved;
	expected.rsp = fragment_rsp - offset;
	check_fred_caught(1);
	check_fred_frame(0, &expected);
}

/* Each handler raises the next event, for the next level. */
static uint64_t level_after[FRED_LEVELS];

static void climb(struct fred_stack *stack)
{
	static const struct fragment int3 = FRAGMENT(raise_int3), ud = FRAGMENT(raise_ud2),
				     gp = FRAGMENT(raise_read);
	const unsigned int level = fred.count;

	(void)stack;
	if (level == 1)
		fragment_run(0, &ud, 0);
	else if (level == 2)
		fragment_run(0, &gp, NON_CANONICAL);
	else if (level == 3)
		fragment_run(0, &int3, 0);
	if (level < FRED_LEVELS)
		level_after[level] = read_msr(MSR_IA32_FRED_CONFIG) & FRED_CONFIG_CSL_MASK;
}

/* Level 1, 2, 3, and an event that is for level 0 again stays at 3; then back by ERETS. */
static void levels_climb(uint64_t argument)
{
	static const struct fragment int1 = FRAGMENT(raise_int1);
	static const uint8_t levels[] = { 1, 2, 3, 3 };

	(void)argument;
	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_DB, 1) |
						    FRED_STKLVL(VECTOR_UD, 2) |
						    FRED_STKLVL(VECTOR_GP, 3) });
	fred.hook = climb;
	fragment_run(0, &int1, 0);
	level_after[0] = read_msr(MSR_IA32_FRED_CONFIG) & FRED_CONFIG_CSL_MASK;
	fred_end();
	check_fred_caught(sizeof(levels));
	for (unsigned int i = 0; i < sizeof(levels); i++) {
		const struct fred_caught *const caught = &fred.events[i];

		check_equal("level in the handler", caught->config & FRED_CONFIG_CSL_MASK,
			    levels[i]);
		check_equal("saved level", FRED_CS_CSL(caught->stack.frame.cs),
			    i == 0 ? 0 : levels[i - 1]);
	}
	for (unsigned int i = 0; i < FRED_LEVELS; i++)
		check_equal("level after the handlers above", level_after[i], i);
}

/* ERETS with this level in its frame, at CSL: the lower one of the two. */
static void erets_lowers(uint64_t argument)
{
	const uint8_t csl = (uint8_t)(argument >> 8);
	const uint8_t level = (uint8_t)argument;
	struct fred_frame frame = fred_frame_ring0();
	uint64_t after;

	frame.cs |= (uint64_t)level << FRED_CS_CSL_SHIFT;
	fred_begin(&(struct fred_setup){ .csl = csl });
	fred_try_erets(&frame);
	after = read_msr(MSR_IA32_FRED_CONFIG);
	expect_no_fred_event();
	check_equal("stack level after ERETS", after & FRED_CONFIG_CSL_MASK,
		    level < csl ? level : csl);
}

#define LEVELS(id, name)                                                  \
	{ name "_level_0", level_of_event, FRED_CASE(0, id, 0) },         \
		{ name "_level_1", level_of_event, FRED_CASE(0, id, 1) }, \
		{ name "_level_2", level_of_event, FRED_CASE(0, id, 2) }, \
		{ name "_level_3", level_of_event, FRED_CASE(0, id, 3) },
#define FROM_RING3(id, name) { "ring3_" name "_level_0", level_from_ring3, FRED_CASE(3, id, 0) },

#define CSL(csl)                                                            \
	{ "csl_" #csl "_event_0", level_is_maximum, PAIR(csl, 0) },         \
		{ "csl_" #csl "_event_1", level_is_maximum, PAIR(csl, 1) }, \
		{ "csl_" #csl "_event_2", level_is_maximum, PAIR(csl, 2) }, \
		{ "csl_" #csl "_event_3", level_is_maximum, PAIR(csl, 3) }, \
		{ "erets_at_" #csl "_to_0", erets_lowers, PAIR(csl, 0) },   \
		{ "erets_at_" #csl "_to_1", erets_lowers, PAIR(csl, 1) },   \
		{ "erets_at_" #csl "_to_2", erets_lowers, PAIR(csl, 2) },   \
	{                                                                   \
		"erets_at_" #csl "_to_3", erets_lowers, PAIR(csl, 3)        \
	}

#define ALIGN_1(tens, ones)                                             \
	{                                                               \
		"rsp_lowered_" #tens #ones, alignment, tens * 10 + ones \
	}
#define ALIGN_3(tens) ALIGN_1(tens, 0), ALIGN_1(tens, 1), ALIGN_1(tens, 2), ALIGN_1(tens, 3)
#define ALIGN_10(tens)                                                                         \
	ALIGN_3(tens), ALIGN_1(tens, 4), ALIGN_1(tens, 5), ALIGN_1(tens, 6), ALIGN_1(tens, 7), \
		ALIGN_1(tens, 8), ALIGN_1(tens, 9)

static const struct test tests[] = { CSL(0),
				     CSL(1),
				     CSL(2),
				     CSL(3),
				     { "levels_climb", levels_climb, 0 },
				     { "redzone_0", redzone, REDZONE(0, 0) },
				     { "redzone_1", redzone, REDZONE(1, 0) },
				     { "redzone_2", redzone, REDZONE(2, 0) },
				     { "redzone_3", redzone, REDZONE(3, 0) },
				     { "redzone_4", redzone, REDZONE(4, 0) },
				     { "redzone_5", redzone, REDZONE(5, 0) },
				     { "redzone_6", redzone, REDZONE(6, 0) },
				     { "redzone_7", redzone, REDZONE(7, 0) },
				     { "no_redzone_at_level_1", redzone, REDZONE(REDZONE_MAX, 1) },
				     { "no_redzone_at_level_3", redzone, REDZONE(REDZONE_MAX, 3) },
				     { "redzone_at_level_2", redzone_at_level_2, REDZONE_MAX },
				     { "no_redzone_from_ring3", no_redzone_from_ring3,
				       REDZONE_MAX },
				     ALIGN_10(0),
				     ALIGN_10(1),
				     ALIGN_10(2),
				     ALIGN_10(3),
				     ALIGN_10(4),
				     ALIGN_10(5),
				     ALIGN_3(6),
				     FRED_EVENTS_RING0(LEVELS) FRED_EVENTS_RING3(FROM_RING3) };

const struct chapter chapter_fred_level = FRED_CHAPTER("fred-level", tests);
