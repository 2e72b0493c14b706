/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every event that software can cause, as a table: the code that raises it, and what its frame
 * says. Chapters run the same events at other levels, on stacks that are not there, and so on.
 */
#ifndef GUEST_TESTS_FRED_EVENTS_H
#define GUEST_TESTS_FRED_EVENTS_H

#include "guest/machine/fred.h"

/* X(identifier, "name in tests"). Those that ring 0 can raise, and ring 3. */
#define FRED_EVENTS_BOTH(X)            \
	X(INT_80, "int_80")            \
	X(INT_00, "int_00")            \
	X(INT_01, "int_01")            \
	X(INT_02, "int_02")            \
	X(INT_03, "int_03")            \
	X(INT_08, "int_08")            \
	X(INT_0E, "int_0e")            \
	X(INT_20, "int_20")            \
	X(INT3, "int3")                \
	X(INT1, "int1")                \
	X(SYSCALL, "syscall")          \
	X(SYSENTER, "sysenter")        \
	X(DE, "de")                    \
	X(UD, "ud")                    \
	X(NM, "nm")                    \
	X(NP, "np")                    \
	X(SS, "ss")                    \
	X(GP, "gp")                    \
	X(GP_SELECTOR, "gp_selector")  \
	X(GP_FETCH, "gp_fetch")        \
	X(MF, "mf")                    \
	X(XM, "xm")                    \
	X(READ, "pf_read")             \
	X(WRITE, "pf_write")           \
	X(FETCH, "pf_fetch")           \
	X(READ_ONLY, "pf_read_only")   \
	X(NO_EXECUTE, "pf_no_execute") \
	X(DB_STEP, "db_step")          \
	X(DB_CODE, "db_breakpoint")    \
	X(DB_WATCH, "db_watchpoint")

#define FRED_EVENTS_RING0(X) \
	FRED_EVENTS_BOTH(X)  \
	X(INT_FF, "int_ff")  \
	X(DB_GD, "db_gd")    \
	X(INTERRUPT, "interrupt")

#define FRED_EVENTS_RING3(X)                       \
	FRED_EVENTS_BOTH(X)                        \
	X(GP_RDMSR, "gp_rdmsr")                    \
	X(AC, "ac")                                \
	X(SUPERVISOR_READ, "pf_supervisor")        \
	X(SUPERVISOR_WRITE, "pf_supervisor_write") \
	X(INTERRUPT_USER, "interrupt")

#define FRED_EVENT_ENUM(id, name) FRED_EVENT_##id,
enum fred_event_id {
	FRED_EVENTS_BOTH(FRED_EVENT_ENUM) FRED_EVENT_INT_FF,
	FRED_EVENT_DB_GD,
	FRED_EVENT_INTERRUPT,
	FRED_EVENT_GP_RDMSR,
	FRED_EVENT_AC,
	FRED_EVENT_SUPERVISOR_READ,
	FRED_EVENT_SUPERVISOR_WRITE,
	FRED_EVENT_INTERRUPT_USER,
};

/* Argument of a test: an event in a ring, at a stack level. */
#define FRED_CASE(ring, id, level) ((uint64_t)(level) << 16 | (ring) << 8 | FRED_EVENT_##id)
#define FRED_CASE_EVENT(argument)  ((enum fred_event_id)((argument)&0xff))
#define FRED_CASE_RING(argument)   ((uint8_t)((argument) >> 8 & 0xff))
#define FRED_CASE_LEVEL(argument)  ((uint8_t)((argument) >> 16))

struct fred_event_case {
	struct fragment fragment;
	uint64_t argument;
	uint8_t type, vector, length;
	uint8_t state;	     /* what must be so for it: enum in events.c */
	bool at_argument;    /* the saved RIP is the argument */
	uint32_t error_code; /* without PF_USER */
	uint64_t data;	     /* event data; for #PF CR2 as well, for #DB the causes in DR6 */
	uint64_t rflags;     /* saved, but for RF and IF */
};

const struct fred_event_case *fred_event_case(enum fred_event_id id);
/* The level that STKLVLS or the interrupt level gives the event: `level` where it has a say, else
 * 0. */
uint8_t fred_event_level(enum fred_event_id id, uint8_t level);

/*
 * Turn FRED on as `setup` says, and cause the event in this ring. FRED stays on. Returns false, and
 * has skipped the test, when the machine lacks what the event needs.
 */
bool fred_event_raise(enum fred_event_id id, unsigned int ring, const struct fred_setup *setup);
/* The frame that it must have: level 0, no red zone, which the caller may change. */
struct fred_expected fred_event_expected(enum fred_event_id id, uint8_t ring);
/* Checks the frame with this number, and with it CR2, DR6, DR7 and the general registers. */
void check_fred_event(unsigned int number, enum fred_event_id id,
		      const struct fred_expected *expected);

#endif
