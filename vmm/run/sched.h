/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of its vcpus a processor runs. A vcpu stays on the processor that made it. Several take
 * turns on the VMX preemption timer; a vcpu that is alone on its processor meets no scheduler.
 */
#ifndef VMM_RUN_SCHED_H
#define VMM_RUN_SCHED_H

#include <stdbool.h>
#include <stdint.h>

struct cpu;
struct vcpu;

/* TSC ticks of a turn: about a millisecond at 2 GHz. */
#define SCHED_SLICE 2000000ULL

/* This vcpu, which is current, is one of this processor's. */
void sched_add(struct vcpu *vcpu);

/* This processor has all its vcpus: take the memory for their turns. */
void sched_prepare(void);

/* Every processor has its vcpus: run those of this one. */
void sched_start(void) __attribute__((noreturn));

/*
 * Before an entry with WORK_LOOK: something may have changed. Returns when this vcpu goes on at
 * once; else another one does, or the processor waits.
 */
void sched_look(struct vcpu *vcpu);

/* The current vcpu never goes on: its guest has ended. */
void sched_leave(void) __attribute__((noreturn));

/* The current vcpu gives the rest of its turn to the next one, if there is one. */
void sched_give_way(struct vcpu *vcpu);

/*
 * The VMM has spent so long on something for the current vcpu that its turn may be over: see before
 * the next entry. The preemption timer does not count the time in the VMM.
 */
void sched_charge(struct vcpu *vcpu);

/* Several vcpus take turns on this processor. */
bool sched_is_shared(const struct cpu *cpu);

/*
 * An interrupt of the machine that the VMM has taken from the APIC, or an NMI, while the guest
 * whose it is may not be running: that with the devices, which is next then, or the only one.
 */
void sched_interrupt(uint8_t vector);
void sched_nmi(void);

/* For the scheduler's tests. The vcpu that is to run, at TSC `now`; NULL: none can. */
struct vcpu *sched_choose(const struct cpu *cpu, uint64_t now);
/* The TSC at which the scheduler wants to look again while this vcpu of the processor runs. */
uint64_t sched_until(const struct cpu *cpu, const struct vcpu *vcpu);

#endif
