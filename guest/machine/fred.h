/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FRED around a test: turning it on and off, what its handlers caught, and the comparison of a
 * whole return frame with what it must be. A test goes like this:
 *
 *	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_UD, 2) });
 *	fragment_run(0, &fragment, argument);         (or asm with TRY(), or any code)
 *	fred_end();
 *	check_fred_caught(1);
 *	check_fred_frame(0, &(struct fred_expected){ .type = EVENT_HARDWARE_EXCEPTION, ... });
 *
 * Between fred_begin() and fred_end() CR4.FRED is 1: fragment_run() enters ring 3 by ERETU, and
 * TRY() and catch_resume work as with the IDT. An event that is not expected ends its test as
 *failed, and the suite goes on with the next one.
 */
#ifndef GUEST_MACHINE_FRED_H
#define GUEST_MACHINE_FRED_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/machine/machine.h"
#include "lib/x86/fred.h"

struct fred_stack;

/* What fred_begin() writes; all zero is FRED with one stack level and no red zone. */
struct fred_setup {
	uint64_t stklvls;	 /* FRED_STKLVL() of each vector */
	uint8_t csl;		 /* the level that the test itself runs at */
	uint8_t redzone;	 /* in units of 64 bytes, 0 to 7 */
	uint8_t interrupt_level; /* of external interrupts */
	/* Called by the handlers, when not NULL; may change the registers and the frame, which are
	 * what the handler returns with. */
	void (*hook)(struct fred_stack *stack);
	const uint8_t *absent; /* a page that is not present from now on, to the first handler */
	uint64_t rsp;	       /* fragments run in ring 0 on the stack below this; 0: on the own */
};

/* What fred_entry.asm leaves on the stack: below the processor's frame, what it found on entry. */
struct fred_stack {
	uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rflags;
	uint64_t entry_ring; /* 3: the entry point for ring 3 */
	struct fred_frame frame;
};

/* One event as its handler saw it. */
struct fred_caught {
	struct fred_stack stack;
	uint64_t address; /* of the frame */
	uint64_t config;  /* IA32_FRED_CONFIG in the handler: its low bits are the new level */
	uint64_t cr2, dr6, dr7;
	uint64_t gs_base, kernel_gs_base;
	uint16_t cs, ss;
};

/* Events since fred_begin(). */
extern struct fred_catcher {
	bool armed;
	unsigned int count;
	struct fred_caught events[CAUGHT_MAX];
	void (*hook)(struct fred_stack *stack); /* as in struct fred_setup */
	const uint8_t *absent;
} fred;

/*
 * A frame as it must be, and with it what follows from these: the two selectors with all their
 * bits, where the frame lies, the entry point, RFLAGS and the level in the handler.
 */
struct fred_expected {
	uint8_t type; /* enum event_type */
	uint8_t vector;
	uint8_t length; /* of the instruction; 0 where FRED records none */
	bool nested;
	bool sti;      /* in the shadow of STI */
	bool compat;   /* from 32-bit code */
	uint8_t ring;  /* 0 or 3: where the event came */
	uint8_t csl;   /* at the event; 0 for ring 3 */
	uint8_t level; /* the handler's */
	uint8_t redzone;
	uint32_t error_code;
	uint16_t cs, ss;     /* saved selectors; 0: those of 64-bit code in this ring */
	uint16_t handler_cs; /* SS is 8 above; 0: as usual */
	uint64_t event_data;
	uint64_t rip;
	uint64_t rsp;	 /* at the event: fragment_rsp after fragment_run() */
	uint64_t rflags; /* saved, without the status flags and the bit that is always 1 */
};

/* GS bases that fred_begin() sets: what ring 0 runs with, and what ring 3 gets. */
#define FRED_GS_RING0 0x11110000ULL
#define FRED_GS_RING3 0x33330000ULL

/* Turn FRED on and begin catching. fred_end() turns it off. */
void fred_begin(const struct fred_setup *setup);
void fred_end(void);
/* What must not stay from one test to the next, however that ended. */
void fred_reset(void);

/* So many events were caught. */
void check_fred_caught(unsigned int expected);
/* The event with this number (from 0) was caught, and its frame is this one in every bit. */
void check_fred_frame(unsigned int number, const struct fred_expected *expected);
/* One event, with this frame; ends catching. */
void expect_fred_event(const struct fred_expected *expected);
/* None was caught. Ends catching. */
void expect_no_fred_event(void);

/*
 * ERETS or ERETU with RSP at this frame, which must not lie on the stack that runs: see
 * tests/fred/return.h. Comes back when the instruction faults (the fault is
 * caught: its saved RIP is fred_erets_instruction or fred_eretu_instruction), when the frame's RIP
 * is fred_returned, or when ring 3 runs into user_leave. RDI is 0 behind it, RFLAGS is 2.
 */
void fred_try_erets(const struct fred_frame *frame);
void fred_try_eretu(const struct fred_frame *frame);
extern const char fred_erets_instruction[], fred_eretu_instruction[], fred_returned[], user_leave[];

/* A frame that ERETS takes back to fred_returned, and one that ERETU takes to user_leave. */
struct fred_frame fred_frame_ring0(void);
struct fred_frame fred_frame_ring3(void);

/* The stacks, of two pages with a guard page below. */
uint64_t fred_stack_top(unsigned int level);
uint8_t *fred_stack_page(unsigned int level); /* the highest */
extern uint8_t fred_entry_page[PAGE_SIZE];
/* Other entry points, from fred_begin() to fred_end(): without CLI; beginning with INT3 for ring 3.
 */
extern uint8_t fred_plain_entry_page[PAGE_SIZE], fred_tracked_entry_page[PAGE_SIZE];
void fred_use_entries(const uint8_t *page);

/* One line each about what was caught, for whoever reads a failure. */
void fred_print_caught(void);

/* Used by fred_entry.asm. */
struct fred_stack *fred_event(struct fred_stack *stack);
extern uint64_t fred_fragment_stack;
_Noreturn void fred_leave_user(void);
void fred_run_ring0(const char *code, uint64_t argument);
void fred_run_ring3(const char *code, uint64_t argument, uint64_t user_rsp, uint64_t rflags);

/* Registers that fragments never touch have these values when one is run with FRED on. */
#define FRED_REGISTER(number) (0x52470000ULL + (number))
/* RBX, RBP, RSI and R8 to R15 had their values when the handler began; and RCX and RDX. */
void check_fred_registers(unsigned int number);
void check_fred_rcx_rdx(unsigned int number);

#endif
