/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's processors: starting them, and what one asks of another. A request goes by NMI: it
 * reaches a processor that runs a guest, one that waits, and one that is in the VMM.
 */
#ifndef VMM_HOST_SMP_H
#define VMM_HOST_SMP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/boot_info.h"

struct cpu;

enum cpu_request {
	REQUEST_STOP = 1 << 0,	  /* for ever: the boot ends */
	REQUEST_INVEPT = 1 << 1,  /* translations of guests' memory have changed */
	REQUEST_LOOK = 1 << 2,	  /* leave the guest: there is something to do for this processor */
	REQUEST_COMMAND = 1 << 3, /* put what your APIC has sent last into cpu->command */
};

/* Processors that run the VMM, the first is the one that was booted. */
unsigned int smp_count(void);
struct cpu *smp_cpu(unsigned int index);

/*
 * Start the others, as many as manfred.cfg allows, and let them wait. One that does not start, or
 * whose VMX differs from the first one's, is reported and left out.
 */
void smp_start(const struct boot_info *boot);

/* Let all of them do this, the caller too; it does not return. */
void smp_run(void (*entry)(void)) __attribute__((noreturn));

/* Returns when all of them have come here. */
void smp_barrier(void);

/* Ask another processor for something, without waiting; this one: REQUEST_INVEPT and _LOOK. */
void smp_request(struct cpu *cpu, enum cpu_request request);

/*
 * Ask all others, and wait until each has done it. One that does not within some seconds has been
 * made deaf by a guest, or by the machine, and ends the boot.
 */
void smp_request_others(enum cpu_request request);

/* NMIs have not reached this processor for a while: do what was asked for meanwhile. */
void smp_take_lost_nmi(void);

/* One of the processors has an ID that no xAPIC can name: all APICs have to stay x2APICs. */
bool smp_needs_x2apic(void);

/*
 * An NMI has come to this processor. Does what others have asked for. False: nobody did, so it is a
 * guest's. With REQUEST_STOP it does not return.
 */
bool smp_take_nmi(void);

/* The boot ends: stop all others. False: another processor has begun that, stop this one. */
bool smp_stop_others(void);

#endif
