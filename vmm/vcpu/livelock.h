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
#ifndef VMM_VCPU_LIVELOCK_H
#define VMM_VCPU_LIVELOCK_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

#define LIVELOCK_EVERY 0x10000ULL /* exits by exceptions from one look to the next */
#define LIVELOCK_TIMES 1000000U

struct livelock {
	bool watched;
	bool other_between; /* the last exit was another exception */
	uint32_t left;	    /* of LIVELOCK_TIMES */
	uint64_t exits;	    /* of the vcpu at the last look, and its registers */
	uint64_t registers[18];
};

/* After every LIVELOCK_EVERY exits by an exception, at the exit. */
void livelock_look(struct vcpu *vcpu);

/* At every exit of a vcpu that is watched, before the exit is counted. */
void livelock_compare(struct vcpu *vcpu);

#endif
