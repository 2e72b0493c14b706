/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM exits. A handler changes the vcpu's state and says with one of the verbs
 * below how the guest goes on; doing nothing repeats the instruction.
 */
#ifndef VMM_EXITS_TABLE_H
#define VMM_EXITS_TABLE_H

#include <stdint.h>

#include "vmm/vcpu/event.h"

struct vcpu;

/* Called by entry.asm with the registers saved. */
void vcpu_handle_exit(struct vcpu *vcpu);
/* The same with log = trace: HOST_RIP then points to a stub that calls this one. */
void vcpu_handle_exit_traced(struct vcpu *vcpu);
/* The same while a vcpu is watched: livelock.h. */
void vcpu_handle_exit_watched(struct vcpu *vcpu);
/* Called by entry.asm when vcpu->work is not 0. */
void vcpu_prepare_entry(struct vcpu *vcpu);
/* Called by entry.asm when VMLAUNCH or VMRESUME falls through. */
void vcpu_entry_failed(struct vcpu *vcpu) __attribute__((noreturn));

/* Handlers that have a file of their own. */
void handle_cpuid(struct vcpu *vcpu);
void handle_cr_access(struct vcpu *vcpu);
void handle_xsetbv(struct vcpu *vcpu);
void handle_rdmsr(struct vcpu *vcpu);
void handle_wrmsr(struct vcpu *vcpu);
void handle_io(struct vcpu *vcpu);
void handle_vmcall(struct vcpu *vcpu);

#endif
