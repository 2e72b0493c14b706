/* SPDX-License-Identifier: BSD-2-Clause */
/* A second processor of the guest, which does what the first one tells it to do. */
#ifndef GUEST_MACHINE_SMP_H
#define GUEST_MACHINE_SMP_H

#include <stdbool.h>
#include <stdint.h>

enum second_order {
	SECOND_NOTHING,
	SECOND_READ,	   /* the number at second.where */
	SECOND_READ_AGAIN, /* the same with no exit of its own since the last time */
	SECOND_SPIN,	   /* until an interrupt comes: done once before and once after it */
	SECOND_HALT,	   /* the same in HLT */
};

/* What it has found, and how many orders it has carried out. */
extern struct second {
	const volatile uint64_t *where;
	uint64_t argument, value, violations, done;
} volatile second;

/* Start it, if it has not been. False: this guest has one processor, or the other does not start.
 */
bool second_start(uint64_t argument);

/* Give an order, and wait until it is done, once. False: that takes too long. */
bool second_give(enum second_order order);

/* Wait until so many orders are done. */
bool second_wait(uint64_t done);

#endif
