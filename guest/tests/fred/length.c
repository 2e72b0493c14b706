// SPDX-License-Identifier: BSD-2-Clause
/* The length of an instruction in the frame: with a REX prefix, with some more, and with 15 bytes.
 */
#include "guest/machine/fred.h"
#include "guest/suite/suite.h"

/* A fragment's event; its instruction has this many bytes. */
struct prefixed {
	struct fragment fragment;
	uint8_t type, vector, length;
};

/* fragments.asm: NAME and the length make the fragment's name. */
#define LENGTHS(X)                                                  \
	X(int_n, 3, EVENT_SOFTWARE_INTERRUPT, VECTOR_SOFTWARE)      \
	X(int_n, 6, EVENT_SOFTWARE_INTERRUPT, VECTOR_SOFTWARE)      \
	X(int_n, 15, EVENT_SOFTWARE_INTERRUPT, VECTOR_SOFTWARE)     \
	X(int3, 2, EVENT_SOFTWARE_EXCEPTION, VECTOR_BP)             \
	X(int3, 5, EVENT_SOFTWARE_EXCEPTION, VECTOR_BP)             \
	X(int3, 15, EVENT_SOFTWARE_EXCEPTION, VECTOR_BP)            \
	X(int1, 2, EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB)  \
	X(int1, 5, EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB)  \
	X(int1, 15, EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB) \
	X(syscall, 3, EVENT_OTHER, FRED_VECTOR_SYSCALL)             \
	X(syscall, 6, EVENT_OTHER, FRED_VECTOR_SYSCALL)             \
	X(syscall, 15, EVENT_OTHER, FRED_VECTOR_SYSCALL)            \
	X(sysenter, 3, EVENT_OTHER, FRED_VECTOR_SYSENTER)           \
	X(sysenter, 6, EVENT_OTHER, FRED_VECTOR_SYSENTER)           \
	X(sysenter, 15, EVENT_OTHER, FRED_VECTOR_SYSENTER)

#define DECLARE(name, length, type, vector) FRAGMENT_LABELS(length_##name##_##length);
LENGTHS(DECLARE)
#define INDEX(name, length, type, vector) INDEX_##name##_##length,
enum { LENGTHS(INDEX) };
#define PREFIXED(name, length, type, vector) \
	{ FRAGMENT(length_##name##_##length), type, vector, length },
static const struct prefixed events[] = { LENGTHS(PREFIXED) };

static void run(unsigned int ring, const struct prefixed *event)
{
	fred_begin(&(struct fred_setup){ 0 });
	fragment_run(ring, &event->fragment, 0);
	expect_fred_event(&(struct fred_expected){
		.type = event->type,
		.vector = event->vector,
		.length = event->length,
		.ring = (uint8_t)ring,
		.rip = (uintptr_t)event->fragment.saved,
		.rsp = fragment_rsp,
		.rflags = ring == 3 ? RFLAGS_IF : 0,
	});
}

static void ring0(uint64_t index)
{
	run(0, &events[index]);
}

static void ring3(uint64_t index)
{
	run(3, &events[index]);
}

#define TEST_RING0(name, length, type, vector) \
	{ "ring0_" #name "_" #length, ring0, INDEX_##name##_##length },
#define TEST_RING3(name, length, type, vector) \
	{ "ring3_" #name "_" #length, ring3, INDEX_##name##_##length },

static const struct test tests[] = { LENGTHS(TEST_RING0) LENGTHS(TEST_RING3) };

const struct chapter chapter_fred_length = FRED_CHAPTER("fred-length", tests);
