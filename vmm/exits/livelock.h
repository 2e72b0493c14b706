/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest whose vcpu does nothing but raise the same exception again and again, since its handler
 * returns to the instruction that raised it or raises it itself, is dead: it is ended.
 *
 * Dead is a vcpu at whose exits RIP, RSP, RFLAGS and all general registers are the same a million
 * times in a row, every time or (software FRED: the handler's ERETS exits as well) every second
 * time, with no exit but exceptions between. To find it costs the others nothing but a look at
 * every 65,536th exception, which compares with the last such look; only when nothing has changed
 * since, exits take another way into the VMM, on which each is compared.
 */
#ifndef VMM_EXITS_LIVELOCK_H
#define VMM_EXITS_LIVELOCK_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

#define ENDLESS_EVERY 0x10000ULL /* exits by exceptions from one look to the next */
#define ENDLESS_TIMES 1000000U

struct endless {
	bool watched;
	bool other_between; /* the last exit was another exception */
	uint32_t left;	    /* of ENDLESS_TIMES */
	uint64_t exits;	    /* of the vcpu at the last look, and its registers */
	uint64_t registers[18];
};

/* After every ENDLESS_EVERY exits by an exception, at the exit. */
void endless_look(struct vcpu *vcpu);

/* At every exit of a vcpu that is watched, before the exit is counted. */
void endless_compare(struct vcpu *vcpu);

/* INIT: nothing of what was seen before counts. */
void endless_forget(struct vcpu *vcpu);

#endif
