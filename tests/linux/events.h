/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a check causes an event with one instruction, and looks at the signal that came of it.
 */
#ifndef TESTS_LINUX_EVENTS_H
#define TESTS_LINUX_EVENTS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* The signals since catch_signals(), and what the last one said. */
struct caught {
	int count;
	int signal;
	int code;
	unsigned int vector;
	unsigned int error;
	uintptr_t address;
	uintptr_t rip;
	uintptr_t cr2;
	uintptr_t stack; /* where the handler ran */
};
extern struct caught caught;

/* The instruction under test, and the one behind it. */
extern uintptr_t event_at;
extern uintptr_t event_after;
/* RAX behind it. */
extern uint64_t event_result;

/* How many microseconds the check of interrupts lasts. */
extern long spin_us;

/* The usual handler: records the event, and goes on behind an instruction that faulted. */
void catch_event(int signal, siginfo_t *info, void *context);

/* Lets this handler have the signals that exceptions cause, and forgets what was caught. */
void catch_signals(void (*handler)(int, siginfo_t *, void *));

/* One signal came, with these data; says what is different otherwise. */
bool caught_once(int signal, int code, unsigned int vector, unsigned int error, uintptr_t address,
		 uintptr_t rip);

/* gregs[] of a signal's context from REG_R8 to REG_RCX: all general registers but RSP. */
#define REGISTERS 15

/* A different value for each. */
void set_registers(uint64_t registers[REGISTERS]);

/* All are what set_registers() gives plus `offset`, but for those of the bit set `except`. */
bool same_registers(const char *where, const uint64_t *registers, uint64_t offset,
		    unsigned int except);

/* events.asm */
void events_fault(uint64_t registers[REGISTERS]);
void events_syscall(uint64_t registers[REGISTERS]);
void events_spin(uint64_t registers[REGISTERS]);
extern const char events_fault_at[];
extern const char events_fault_after[];
extern const char events_syscall_after[];
extern volatile int events_spin_stop;

/*
 * Runs `instruction` with signals caught. The texts before and behind it may use RAX, RCX, RDX, and
 * RAX is `address` at the beginning.
 */
#define RAISE(address, before, instruction, behind)                                        \
	do {                                                                               \
		uint64_t rax_ = (uint64_t)(address);                                       \
                                                                                           \
		catch_signals(catch_event);                                                \
		asm volatile("lea 1f(%%rip), %%rcx; mov %%rcx, event_at(%%rip);"           \
			     "lea 2f(%%rip), %%rcx; mov %%rcx, event_after(%%rip);" before \
			     "\n1: " instruction "\n2: " behind                            \
			     : "+a"(rax_)                                                  \
			     :                                                             \
			     : "rcx", "rdx", "memory", "cc");                              \
		event_result = rax_;                                                       \
	} while (0)

#endif
