/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VMM_RUN_INJECT_H
#define VMM_RUN_INJECT_H

struct vcpu;

/*
 * Before a VM entry: program the injection of what can be delivered now, and ask for a
 * window exit for what cannot.
 */
void event_prepare_entry(struct vcpu *vcpu);

#endif
