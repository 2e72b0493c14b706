/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual clock of a guest without devices, and the VMX preemption timer, which serves it and
 * the scheduler; and stepping by the monitor trap flag.
 */
#ifndef VMM_VCPU_TIMER_H
#define VMM_VCPU_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

#define TIMER_NEVER (~0ULL)

/* A new vcpu: no time is awaited, and the controls of its VMCS are those of vcpu_vmcs_init(). */
void timer_init(struct vcpu *vcpu);

/* INIT: no time is awaited, and no instruction is to be stepped over. */
void timer_forget(struct vcpu *vcpu);

/* Interrupt the guest once, with this vector, after so many TSC ticks. False: the processor has no
 * such timer. */
bool timer_arm(struct vcpu *vcpu, uint64_t ticks, uint8_t vector);

/* True when a time is awaited, which comes in so many TSC ticks. */
bool timer_left(const struct vcpu *vcpu, uint64_t *ticks);

/* At TSC `now` the deadlines up to which have come? */
uint64_t timer_due(uint64_t now);

/* The vcpu's deadline has come: its interrupt is queued, and it awaits none. */
void timer_take(struct vcpu *vcpu);

/*
 * Let the current vcpu exit when the TSC is `until`, or a little later: the time that the VMM
 * spends does not count. TIMER_NEVER: not for this.
 */
void timer_set(struct vcpu *vcpu, uint64_t until, uint64_t now);

/* Exit after each of the guest's next `count` instructions. False: no monitor trap flag. */
bool timer_step(struct vcpu *vcpu, uint64_t count);
void timer_stepped(struct vcpu *vcpu);

#endif
