// SPDX-License-Identifier: BSD-2-Clause
/* The guest's second processor: it polls for orders, so that it makes no exit that nobody asked
 * for. */
#include "guest/machine/smp.h"

#include "guest/machine/machine.h"

#define STACK_SIZE 0x1000
#define WAIT_MAX   100000000ULL

volatile struct second second;

static uint8_t stack[STACK_SIZE] __attribute__((aligned(16)));
static volatile enum second_order order;
static bool started;

static void wait_for_interrupt(enum second_order how)
{
	const unsigned int before = *(volatile unsigned int *)&catcher.count;

	second.done++;
	if (how == SECOND_HALT) {
		asm volatile("sti\n\thlt\n\tcli" : : : "memory");
	} else {
		interrupts_on();
		while (*(volatile unsigned int *)&catcher.count == before)
			;
		interrupts_off();
	}
	second.done++;
}

static void carry_out(enum second_order what)
{
	static uint64_t violations;

	if (what == SECOND_HALT || what == SECOND_SPIN) {
		wait_for_interrupt(what);
		return;
	}
	/* No hypercall just before the second read: its exit could empty the TLB. */
	if (what == SECOND_READ)
		violations = exits(EXIT_REASON_EPT_VIOLATION);
	second.value = *second.where;
	if (what == SECOND_READ_AGAIN)
		second.violations = exits(EXIT_REASON_EPT_VIOLATION) - violations;
	second.done++;
}

static void second_main(uint64_t argument)
{
	machine_init_second();
	second.argument = argument;
	second.done++;
	for (;;) {
		const enum second_order what = order;

		if (what == SECOND_NOTHING)
			continue;
		order = SECOND_NOTHING;
		carry_out(what);
	}
}

bool second_wait(uint64_t done)
{
	const uint64_t start = read_tsc();

	while (second.done != done)
		if (read_tsc() - start > WAIT_MAX)
			return false;
	return true;
}

bool second_give(enum second_order what)
{
	const uint64_t done = second.done + 1;

	order = what;
	return second_wait(done);
}

bool second_start(uint64_t argument)
{
	if (started)
		return true;
	machine_prepare_second();
	started = hypercall(HYPERCALL_START, 1, (uint64_t)second_main,
			    (uint64_t)(stack + sizeof(stack) - sizeof(uint64_t)),
			    argument) == HYPERCALL_OK &&
		  second_wait(1);
	return started;
}
