/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a guest with several processors starts and resets them: INIT and SIPI by its local APICs.
 * While one of its vcpus waits to be started, what the guest writes to its APICs is looked at, and
 * INIT and SIPI are carried out by the VMM; else the guest has its APICs without exits. Why the
 * processor's own wait-for-SIPI state is not used: docs/design.md.
 */
#ifndef VMM_RUN_STARTUP_H
#define VMM_RUN_STARTUP_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;
struct vm;

/* The VM has all its vcpus: those but the first wait for SIPI. */
void sipi_init(struct vm *vm);

/*
 * This vcpu, which is current, is about to run: carry out INIT and SIPI that were sent to it.
 * False: it waits for SIPI now.
 */
bool sipi_carry_out(struct vcpu *vcpu);

/* It executed HLT with interrupts off: only NMI, INIT and SIPI end that. */
void sipi_halted(struct vcpu *vcpu);

/* The guest writes its interrupt command register. False: nothing for the VMM, send it. */
bool sipi_command(struct vcpu *vcpu, uint64_t icr);

/*
 * The same for a guest without devices: its vcpu begins in the state of the first one, with these
 * registers. False: it does not wait for that.
 */
bool sipi_start(struct vcpu *vcpu, uint64_t rip, uint64_t rsp, uint64_t rdi);

/* INIT has reached the processor that runs this vcpu. */
void handle_init(struct vcpu *vcpu);

/* Once, at the start: what carries out the end of a guest that vcpu->end asks for. */
void startup_set_guest_end(void (*carry_out_end)(struct vcpu *vcpu));

#endif
