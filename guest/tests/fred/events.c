// SPDX-License-Identifier: BSD-2-Clause
/* Owns the table of events, and the state of the machine that some of them need. */
#include "guest/tests/fred/events.h"

#include "guest/machine/segments.h"
#include "guest/suite/suite.h"

#define INT_LENGTH	2
#define ONE_BYTE	1
#define SELECTOR_RPL	3U
#define SELECTOR_ABSENT (SELECTOR_TEST_1 | SELECTOR_RPL)
#define SELECTOR_NONE	(0x1000U | SELECTOR_RPL) /* behind the end of the GDT */
#define MISALIGNED	1
#define WAIT_TURNS	8

/* What some events need, as set_state() makes it. */
enum state {
	STATE_NONE,
	STATE_ABSENT,	  /* a descriptor that is not present */
	STATE_TS,	  /* CR0.TS */
	STATE_AM,	  /* CR0.AM */
	STATE_SSE,	  /* CR4.OSFXSR, CR4.OSXMMEXCPT */
	STATE_BREAKPOINT, /* DR0 at .saved */
	STATE_WATCHPOINT, /* DR0 at the argument */
	STATE_GD,	  /* DR7.GD */
	STATE_INTERRUPT,  /* an interrupt is pending */
};

#define SOFTWARE_INTERRUPT(name, number)                                              \
	{                                                                             \
		FRAGMENT(name), .type = EVENT_SOFTWARE_INTERRUPT, .vector = (number), \
				.length = INT_LENGTH                                  \
	}
#define EXCEPTION(name, number) FRAGMENT(name), .type = EVENT_HARDWARE_EXCEPTION, .vector = (number)
#define PAGE_FAULT(name, address, code)                                                  \
	{                                                                                \
		EXCEPTION(name, VECTOR_PF), .argument = (address), .error_code = (code), \
					    .data = (address)                            \
	}

static const struct fred_event_case cases[] = {
	[FRED_EVENT_INT_80] = SOFTWARE_INTERRUPT(raise_int_n, VECTOR_SOFTWARE),
	[FRED_EVENT_INT_00] = SOFTWARE_INTERRUPT(raise_int_00, 0x00),
	[FRED_EVENT_INT_01] = SOFTWARE_INTERRUPT(raise_int_01, 0x01),
	[FRED_EVENT_INT_02] = SOFTWARE_INTERRUPT(raise_int_02, 0x02),
	[FRED_EVENT_INT_03] = SOFTWARE_INTERRUPT(raise_int_03, 0x03),
	[FRED_EVENT_INT_08] = SOFTWARE_INTERRUPT(raise_int_08, 0x08),
	[FRED_EVENT_INT_0E] = SOFTWARE_INTERRUPT(raise_int_0e, 0x0e),
	[FRED_EVENT_INT_20] = SOFTWARE_INTERRUPT(raise_int_20, 0x20),
	[FRED_EVENT_INT_FF] = SOFTWARE_INTERRUPT(raise_int_ff, 0xff),
	[FRED_EVENT_INT3] = { FRAGMENT(raise_int3), .type = EVENT_SOFTWARE_EXCEPTION,
			      .vector = VECTOR_BP, .length = ONE_BYTE },
	[FRED_EVENT_INT1] = { FRAGMENT(raise_int1), .type = EVENT_PRIVILEGED_SOFTWARE_EXCEPTION,
			      .vector = VECTOR_DB, .length = ONE_BYTE },
	[FRED_EVENT_SYSCALL] = { FRAGMENT(raise_syscall), .type = EVENT_OTHER,
				 .vector = FRED_VECTOR_SYSCALL, .length = INT_LENGTH },
	[FRED_EVENT_SYSENTER] = { FRAGMENT(raise_sysenter), .type = EVENT_OTHER,
				  .vector = FRED_VECTOR_SYSENTER, .length = INT_LENGTH },
	[FRED_EVENT_DE] = { EXCEPTION(raise_de, VECTOR_DE) },
	[FRED_EVENT_UD] = { EXCEPTION(raise_ud2, VECTOR_UD) },
	[FRED_EVENT_NM] = { EXCEPTION(raise_nm, VECTOR_NM), .state = STATE_TS },
	[FRED_EVENT_NP] = { EXCEPTION(raise_load_es, VECTOR_NP), .state = STATE_ABSENT,
			    .argument = SELECTOR_ABSENT,
			    .error_code = SELECTOR_ABSENT & ~SELECTOR_RPL },
	[FRED_EVENT_SS] = { EXCEPTION(raise_ss, VECTOR_SS), .argument = NON_CANONICAL },
	[FRED_EVENT_GP] = { EXCEPTION(raise_read, VECTOR_GP), .argument = NON_CANONICAL },
	[FRED_EVENT_GP_SELECTOR] = { EXCEPTION(raise_load_es, VECTOR_GP), .argument = SELECTOR_NONE,
				     .error_code = SELECTOR_NONE & ~SELECTOR_RPL },
	[FRED_EVENT_GP_FETCH] = { EXCEPTION(raise_fetch, VECTOR_GP), .argument = NON_CANONICAL },
	[FRED_EVENT_GP_RDMSR] = { EXCEPTION(raise_rdmsr, VECTOR_GP), .argument = MSR_IA32_TSC },
	[FRED_EVENT_MF] = { EXCEPTION(raise_mf, VECTOR_MF) },
	[FRED_EVENT_XM] = { EXCEPTION(raise_xm, VECTOR_XM), .state = STATE_SSE },
	[FRED_EVENT_AC] = { EXCEPTION(raise_ac, VECTOR_AC), .state = STATE_AM,
			    .argument = (uintptr_t)raise_ac + MISALIGNED, .rflags = RFLAGS_AC },
	[FRED_EVENT_READ] = PAGE_FAULT(raise_read, UNMAPPED_ADDRESS, 0),
	[FRED_EVENT_WRITE] = PAGE_FAULT(raise_write, UNMAPPED_ADDRESS, PF_WRITE),
	[FRED_EVENT_FETCH] = { EXCEPTION(raise_fetch, VECTOR_PF), .argument = UNMAPPED_ADDRESS,
			       .error_code = PF_FETCH, .data = UNMAPPED_ADDRESS,
			       .at_argument = true },
	[FRED_EVENT_READ_ONLY] =
		PAGE_FAULT(raise_write, (uintptr_t)raise_write, PF_WRITE | PF_PRESENT),
	[FRED_EVENT_NO_EXECUTE] = { EXCEPTION(raise_fetch, VECTOR_PF),
				    .argument = (uintptr_t)user_stack,
				    .error_code = PF_FETCH | PF_PRESENT,
				    .data = (uintptr_t)user_stack, .at_argument = true },
	[FRED_EVENT_SUPERVISOR_READ] = PAGE_FAULT(raise_read, (uintptr_t)test_pages, PF_PRESENT),
	[FRED_EVENT_SUPERVISOR_WRITE] =
		PAGE_FAULT(raise_write, (uintptr_t)test_pages, PF_WRITE | PF_PRESENT),
	[FRED_EVENT_DB_STEP] = { EXCEPTION(raise_step, VECTOR_DB), .data = DR6_BS,
				 .rflags = RFLAGS_TF },
	[FRED_EVENT_DB_CODE] = { EXCEPTION(raise_breakpoint, VECTOR_DB), .state = STATE_BREAKPOINT,
				 .data = DR6_B0 },
	[FRED_EVENT_DB_WATCH] = { EXCEPTION(raise_watchpoint, VECTOR_DB), .state = STATE_WATCHPOINT,
				  .argument = (uintptr_t)user_stack, .data = DR6_B0 },
	[FRED_EVENT_DB_GD] = { EXCEPTION(raise_gd, VECTOR_DB), .state = STATE_GD, .data = DR6_BD },
	[FRED_EVENT_INTERRUPT] = { FRAGMENT(raise_interrupt), .type = EVENT_EXTERNAL_INTERRUPT,
				   .vector = VECTOR_INTERRUPT, .state = STATE_INTERRUPT },
	[FRED_EVENT_INTERRUPT_USER] = { { raise_wait, raise_wait, NULL },
					.argument = WAIT_TURNS,
					.type = EVENT_EXTERNAL_INTERRUPT,
					.vector = VECTOR_INTERRUPT,
					.state = STATE_INTERRUPT },
};

const struct fred_event_case *fred_event_case(enum fred_event_id id)
{
	return &cases[id];
}

uint8_t fred_event_level(enum fred_event_id id, uint8_t level)
{
	const uint8_t type = cases[id].type;

	return type == EVENT_SOFTWARE_INTERRUPT || type == EVENT_OTHER ? 0 : level;
}

static const char *set_state(const struct fred_event_case *c)
{
	switch ((enum state)c->state) {
	case STATE_NONE:
		break;
	case STATE_ABSENT:
		segments_open();
		segment_set(SELECTOR_ABSENT, DESCRIPTOR(ACCESS_DPL(3) | ACCESS_DATA, 0, 0, 0));
		break;
	case STATE_TS:
		write_cr0(read_cr0() | CR0_TS);
		break;
	case STATE_AM:
		write_cr0(read_cr0() | CR0_AM);
		break;
	case STATE_SSE:
		write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
		break;
	case STATE_BREAKPOINT:
		write_dr0((uintptr_t)c->fragment.saved);
		write_dr7(DR7_RESET | DR7_L0);
		break;
	case STATE_WATCHPOINT:
		write_dr0(c->argument);
		write_dr7(DR7_RESET | DR7_L0 | DR7_RW0_WRITE | DR7_LEN0_8);
		break;
	case STATE_GD:
		write_dr7(DR7_RESET | DR7_GD);
		break;
	case STATE_INTERRUPT:
		if (!interrupt_self(VECTOR_INTERRUPT))
			return "no local APIC";
		break;
	}
	return NULL;
}

static void clear_state(const struct fred_event_case *c)
{
	switch ((enum state)c->state) {
	case STATE_ABSENT:
		segments_close();
		break;
	case STATE_TS:
	case STATE_AM:
		write_cr0(read_cr0() & ~(CR0_TS | CR0_AM));
		break;
	case STATE_SSE:
		write_cr4(read_cr4() & ~(CR4_OSFXSR | CR4_OSXMMEXCPT));
		break;
	case STATE_BREAKPOINT:
	case STATE_WATCHPOINT:
	case STATE_GD:
		write_dr7(DR7_RESET);
		break;
	case STATE_NONE:
	case STATE_INTERRUPT:
		break;
	}
}

bool fred_event_raise(enum fred_event_id id, unsigned int ring, const struct fred_setup *setup)
{
	const struct fred_event_case *const c = &cases[id];
	const bool debug = c->state == STATE_BREAKPOINT || c->state == STATE_WATCHPOINT;
	const char *missing;

	if (debug && !has_breakpoints()) {
		test_skip("this processor ignores breakpoints in DR0");
		return false;
	}
	fred_begin(setup);
	missing = set_state(c);
	if (missing) {
		test_skip(missing);
		return false;
	}
	fragment_run(ring, &c->fragment, c->argument);
	clear_state(c);
	return true;
}

struct fred_expected fred_event_expected(enum fred_event_id id, uint8_t ring)
{
	const struct fred_event_case *const c = &cases[id];
	const bool is_trap = c->vector == VECTOR_DB && c->state != STATE_GD;
	const bool is_fault = c->type == EVENT_HARDWARE_EXCEPTION && !is_trap;
	const bool interrupts = ring == 3 || c->type == EVENT_EXTERNAL_INTERRUPT;

	return (struct fred_expected){
		.type = c->type,
		.vector = c->vector,
		.length = c->length,
		.ring = ring,
		.error_code = c->error_code |
			      (ring == 3 && c->vector == VECTOR_PF && is_fault ? PF_USER : 0),
		.event_data = c->data,
		.rip = c->at_argument ? c->argument : (uintptr_t)c->fragment.saved,
		.rsp = fragment_rsp,
		.rflags = c->rflags | (interrupts ? RFLAGS_IF : 0) | (is_fault ? RFLAGS_RF : 0),
	};
}

void check_fred_event(unsigned int number, enum fred_event_id id,
		      const struct fred_expected *expected)
{
	const struct fred_event_case *const c = &cases[id];
	const struct fred_caught *const caught = &fred.events[number];
	const bool is_exception = c->type == EVENT_HARDWARE_EXCEPTION;

	check_fred_frame(number, expected);
	if (number >= fred.count)
		return;
	check_equal("CR2", caught->cr2, is_exception && c->vector == VECTOR_PF ? c->data : 0);
	check_equal("DR6", caught->dr6,
		    DR6_RESET | (is_exception && c->vector == VECTOR_DB ? c->data : 0));
	check_equal("DR7.GD", caught->dr7 & DR7_GD, 0);
	check_fred_registers(number);
	if (c->type == EVENT_OTHER)
		check_fred_rcx_rdx(number);
	if (c->fragment.next)
		check_equal("RDI", caught->stack.rdi, c->argument);
}
