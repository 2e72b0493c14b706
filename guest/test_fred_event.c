// SPDX-License-Identifier: BSD-2-Clause
/*
 * Every event that software can cause, from ring 0 and ring 3: type, vector, length, and all else
 * that delivery by FRED leaves in the frame and in the registers.
 */
#include "guest/fred.h"
#include "guest/suite.h"

#define INT_LENGTH 2
#define ONE_BYTE   1

enum kind { INT_N, INT3, INT1, UD, KIND_COUNT };

/* A fragment, its argument, and what the frame says. */
static const struct event_case {
	struct fragment fragment;
	uint64_t argument;
	uint8_t type, vector, length;
} cases[] = {
	[INT_N] = { FRAGMENT(raise_int_n), 0, EVENT_SOFTWARE_INTERRUPT, VECTOR_SOFTWARE,
		    INT_LENGTH },
	[INT3] = { FRAGMENT(raise_int3), 0, EVENT_SOFTWARE_EXCEPTION, VECTOR_BP, ONE_BYTE },
	[INT1] = { FRAGMENT(raise_int1), 0, EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB,
		   ONE_BYTE },
	[UD] = { FRAGMENT(raise_ud2), 0, EVENT_HARDWARE_EXCEPTION, VECTOR_UD, 0 },
};

#define CASE(ring, kind) ((uint64_t)(ring) << 8 | (kind))

static void event(uint64_t argument)
{
	const struct event_case *const c = &cases[argument & 0xff];
	const uint8_t ring = argument >> 8 & 3;

	fred_begin(&(struct fred_setup){ 0 });
	fragment_run(ring, &c->fragment, c->argument);
	expect_fred_event(&(struct fred_expected){
		.type = c->type,
		.vector = c->vector,
		.length = c->length,
		.ring = ring,
		.rip = (uintptr_t)c->fragment.saved,
		.rsp = fragment_rsp,
		.rflags = (ring == 3 ? RFLAGS_IF : 0) |
			  (c->type == EVENT_HARDWARE_EXCEPTION ? RFLAGS_RF : 0),
	});
	check_fred_registers(0);
}

#define BOTH_RINGS(name, kind)                      \
	{ "ring0_" name, event, CASE(0, kind) },    \
	{                                           \
		"ring3_" name, event, CASE(3, kind) \
	}

static const struct test tests[] = {
	BOTH_RINGS("int_n", INT_N),
	BOTH_RINGS("int3", INT3),
	BOTH_RINGS("int1", INT1),
	BOTH_RINGS("ud", UD),
};

const struct chapter chapter_fred_event = FRED_CHAPTER("fred-event", tests);
