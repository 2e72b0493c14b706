/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual clock of a guest without devices, on the VMX preemption timer; and
 * stepping by the monitor trap flag.
 */
#ifndef VMM_TIMER_H
#define VMM_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* Interrupt the guest once, with this vector, after so many TSC ticks. False: the processor has no
 * such timer. */
bool timer_arm(struct vcpu *vcpu, uint64_t ticks, uint8_t vector);
void timer_expired(struct vcpu *vcpu);

/* Exit after each of the guest's next `count` instructions. False: no monitor trap flag. */
bool timer_step(struct vcpu *vcpu, uint64_t count);
void timer_stepped(struct vcpu *vcpu);

#endif
