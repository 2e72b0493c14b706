/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a guest is work: whoever finds that a guest has to end records it here, releases what
 * it holds and returns; the way to the next VM entry carries it out (vmm/guest_end.c). The vcpu
 * does not enter its guest any more. The first request counts.
 */
#ifndef VMM_VCPU_END_REQUEST_H
#define VMM_VCPU_END_REQUEST_H

#include <stdbool.h>

struct vcpu;

enum end_status { END_OK, END_FAILED };

/* How the guest left, where manfred.cfg has no at_end. */
enum end_wish { END_WISH_NONE, END_WISH_POWEROFF, END_WISH_REBOOT };

struct end_request {
	bool requested;
	bool of_machine; /* the guest turns the machine off, or resets it: `wish` */
	enum end_status status;
	enum end_wish wish;
	const char *reason;
	char text[256]; /* what has failed; empty: nothing, and no registers are shown */
};

/*
 * All of these: on the processor that has this vcpu current, any lock may be held.
 *
 * The guest has failed: the log says why, and shows registers and the VMCS. reason: words with
 * dashes.
 */
void guest_failed(struct vcpu *vcpu, const char *reason, const char *format, ...)
	__attribute__((format(printf, 3, 4), cold));
void guest_triple_fault(struct vcpu *vcpu) __attribute__((cold));

/* The guest ends by itself; others go on. */
void guest_ends(struct vcpu *vcpu, enum end_status status, const char *reason);

/* The guest with the machine's devices turns the machine off, or resets it. */
void guest_ends_machine(struct vcpu *vcpu, enum end_wish wish, const char *reason);

#endif
