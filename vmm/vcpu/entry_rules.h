/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is a vcpu in a state that VM entry takes, with the event that waits? For state and events that
 * come from outside the VMM. A guest that has FRED by software is judged as one that has it by the
 * processor.
 */
#ifndef VMM_VCPU_ENTRY_RULES_H
#define VMM_VCPU_ENTRY_RULES_H

#include <stdbool.h>

struct event;
struct vcpu;

/*
 * May this event be queued for the guest as it is, its VMCS current? VM entry takes it, and it is
 * one that the processor could have raised. An interrupt or NMI may wait until the guest takes it.
 */
bool event_is_injectable(const struct event *event);

/*
 * The first rule that breaks the VM entry of this vcpu, its VMCS current, with vcpu->event when
 * WORK_EVENT is set; NULL: none does. Before software FRED is switched on in the VMCS.
 */
const char *vcpu_broken_rule(const struct vcpu *vcpu);

#endif
