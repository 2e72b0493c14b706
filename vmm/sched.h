/* SPDX-License-Identifier: BSD-2-Clause */
/* Which of its vcpus a processor runs. A vcpu stays on the processor that made it. */
#ifndef VMM_SCHED_H
#define VMM_SCHED_H

struct vcpu;

/* This vcpu, which is current, is one of this processor's. */
void sched_add(struct vcpu *vcpu);

/* This processor has all its vcpus: run them. */
void sched_start(void) __attribute__((noreturn));

/*
 * Before an entry with WORK_LOOK: something may have changed. Returns when this vcpu goes on at
 * once; else another one does, or the processor waits.
 */
void sched_look(struct vcpu *vcpu);

#endif
