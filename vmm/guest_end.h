/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VMM_GUEST_END_H
#define VMM_GUEST_END_H

struct vcpu;

/*
 * Carry out what vcpu->end asks for: the guest of this vcpu, which is current, ends, and with the
 * last guest the boot. No lock is held.
 */
void guest_end_carry_out(struct vcpu *vcpu) __attribute__((noreturn));

#endif
