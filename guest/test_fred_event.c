// SPDX-License-Identifier: BSD-2-Clause
/*
 * Every event that software can cause, from ring 0 and ring 3: all that FRED's delivery leaves in
 * the frame and in the registers.
 */
#include "guest/fred_events.h"
#include "guest/suite.h"

static void event(uint64_t argument)
{
	const enum fred_event_id id = FRED_CASE_EVENT(argument);
	const uint8_t ring = FRED_CASE_RING(argument);
	struct fred_expected expected;

	if (!fred_event_raise(id, ring, &(struct fred_setup){ 0 }))
		return;
	fred_end();
	expected = fred_event_expected(id, ring);
	check_fred_caught(1);
	check_fred_event(0, id, &expected);
}

/* Event data is of its event alone: none is left of a #PF before. */
static void no_stale_data(uint64_t argument)
{
	const enum fred_event_id id = FRED_CASE_EVENT(argument);
	struct fred_expected expected;

	if (!fred_event_raise(FRED_EVENT_READ, 0, &(struct fred_setup){ 0 }))
		return;
	fragment_run(0, &fred_event_case(id)->fragment, fred_event_case(id)->argument);
	fred_end();
	expected = fred_event_expected(id, 0);
	check_fred_caught(2);
	check_fred_frame(1, &expected);
	check_equal("CR2", fred.events[1].cr2, UNMAPPED_ADDRESS);
}

#define RING0(id, name) { "ring0_" name, event, FRED_CASE(0, id, 0) },
#define RING3(id, name) { "ring3_" name, event, FRED_CASE(3, id, 0) },

static const struct test tests[] = {
	{ "no_data_of_pf_in_ud", no_stale_data, FRED_CASE(0, UD, 0) },
	{ "no_data_of_pf_in_gp", no_stale_data, FRED_CASE(0, GP, 0) },
	{ "no_data_of_pf_in_int3", no_stale_data, FRED_CASE(0, INT3, 0) },
	{ "no_data_of_pf_in_int_80", no_stale_data, FRED_CASE(0, INT_80, 0) },
	{ "no_data_of_pf_in_syscall", no_stale_data, FRED_CASE(0, SYSCALL, 0) },
	FRED_EVENTS_RING0(RING0) FRED_EVENTS_RING3(RING3)
};

const struct chapter chapter_fred_event = FRED_CHAPTER("fred-event", tests);
