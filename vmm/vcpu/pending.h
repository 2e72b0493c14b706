/* SPDX-License-Identifier: BSD-2-Clause */
/* External interrupts that wait to be delivered; inline, for the exit path has no LTO. */
#ifndef VMM_VCPU_PENDING_H
#define VMM_VCPU_PENDING_H

#include "vmm/vcpu/vcpu.h"

#define NO_VECTOR (-1)

/* The highest vector that waits; NO_VECTOR: none does. The work bits alone do not tell. */
static inline int highest_pending_interrupt(const struct vcpu *vcpu)
{
	for (int word = INTERRUPT_WORDS - 1; word >= 0; word--) {
		const uint64_t bits =
			__atomic_load_n(&vcpu->pending_interrupts[word], __ATOMIC_SEQ_CST);

		if (bits != 0)
			return word * 64 + 63 - __builtin_clzll(bits);
	}
	return NO_VECTOR;
}

/* Only the vcpu's own processor takes vectors away. */
static inline void take_pending_interrupt(struct vcpu *vcpu, uint8_t vector)
{
	__atomic_and_fetch(&vcpu->pending_interrupts[vector / 64], ~(1ULL << vector % 64),
			   __ATOMIC_SEQ_CST);
	if (highest_pending_interrupt(vcpu) == NO_VECTOR)
		vcpu_clear_work(vcpu, WORK_INTERRUPT);
}

/*
 * SDM 3A, 11.8.3.1: CR8 holds back the priority classes up to its value. Class 0, which it would
 * always hold back, is not the APIC's: these vectors come from an old interrupt controller.
 */
static inline bool interrupt_passes_priority(const struct vcpu *vcpu)
{
	const int vector = vcpu->work & (WORK_INTERRUPT | WORK_INTERRUPT_ARRIVED)
				   ? highest_pending_interrupt(vcpu)
				   : NO_VECTOR;

	return vector != NO_VECTOR && (vcpu->cr8 == 0 || vector >> 4 > vcpu->cr8);
}

#endif
