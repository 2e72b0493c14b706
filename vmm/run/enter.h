/* SPDX-License-Identifier: BSD-2-Clause */
/* The ways between VMM and guest, which are entry.asm's: where an exit leads, and how a vcpu is
 * entered. */
#ifndef VMM_RUN_ENTER_H
#define VMM_RUN_ENTER_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* entry.asm, which calls the handlers of exits: rooms below it have its addresses from here. */
struct guest_entry {
	const uint8_t *exit, *exit_traced, *exit_watched;		 /* HOST_RIP */
	void (*launch)(struct vcpu *vcpu), (*resume)(struct vcpu *vcpu); /* do not return */
};

/* Once, before the first vcpu is made. */
void enter_init(const struct guest_entry *entry);

/* HOST_RIP of this vcpu; watched: exits lead by livelock_compare() first. */
const uint8_t *exit_entry(const struct vcpu *vcpu, bool watched);

/*
 * From now on exits of this vcpu, whose VMCS is current, are watched, or no more. False: they have
 * another way already, that of log = trace.
 */
bool vcpu_watch(const struct vcpu *vcpu, bool watched);

/* Enter the guest, its VMCS current; from then on the VMM runs in exits only. */
void vcpu_run(struct vcpu *vcpu) __attribute__((noreturn));

#endif
