/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Software FRED: a guest that sees FRED on a processor without it, or with fred = soft. While the
 * guest's CR4.FRED is 1, everything that FRED would deliver reaches the VMM, which performs it:
 * see docs/softfred.md. While it is 0 the guest runs as any other.
 */
#ifndef VMM_SOFT_SOFT_H
#define VMM_SOFT_SOFT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/vcpu/event.h"
#include "vmm/fred/native.h"
#include "vmm/soft/walk.h"

struct vcpu;

/* What software cannot trap: identifiers of docs/softfred.md, for the built-in guest. */
#define SOFT_FRED_DEVIATIONS "SW-1,SW-2"

/* What a vcpu has more than its VMCS. */
struct soft_fred {
	bool on; /* the guest's CR4.FRED */
	/* The rest is valid while it is on: what the guest believes that these registers hold. */
	bool syscall_enabled; /* EFER.SCE */
	uint16_t idt_limit;
	uint32_t sysenter_cs;
	bool stepping;		 /* over an instruction that needs the real registers */
	struct fred_state state; /* always valid */
	struct guest_walks walks;
};

/* Carry out a change of CR4.FRED. */
void soft_fred_switch(struct vcpu *vcpu, bool on);

/* Deliver an event to a guest that has FRED on. */
void soft_fred_deliver(struct vcpu *vcpu, const struct event *event);

/*
 * An exception that exited while FRED is on: a FRED event, or an instruction of FRED that the
 * processor does not know. Changes *event.
 */
void soft_fred_exception(struct vcpu *vcpu, struct event *event);
/* The same for #UD, which mostly is such an instruction. */
void soft_fred_undefined(struct vcpu *vcpu);

/*
 * Deliver an external interrupt that exited just now while FRED is on. False: it is to wait in the
 * queue.
 */
bool soft_fred_interrupt(struct vcpu *vcpu, uint8_t vector);

/*
 * #UD of a guest that has CR4.FRED = 0: LKGS on a processor that does not know it? Then it is done,
 * or its fault is queued.
 */
bool soft_fred_performs_lkgs(struct vcpu *vcpu);

/* The MSRs that are virtual. False: not one of them now, or #GP(0). */
bool soft_fred_rdmsr(const struct vcpu *vcpu, uint32_t msr, uint64_t *value);
bool soft_fred_wrmsr(struct vcpu *vcpu, uint32_t msr, uint64_t value);

/* LGDT, SIDT and their like exit while FRED is on: they are stepped over with the real IDTR. */
void handle_descriptor_table(struct vcpu *vcpu);
void soft_fred_stepped(struct vcpu *vcpu);

#endif
