/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks between processors. The VMM runs with interrupts off, and its NMI handler takes no lock, so
 * that a holder always goes on. Which locks there are, and their order: docs/design.md.
 */
#ifndef VMM_BASE_SPINLOCK_H
#define VMM_BASE_SPINLOCK_H

#include <stdint.h>

struct spinlock {
	uint32_t taken;
};

static inline void spin_lock(struct spinlock *lock)
{
	while (__atomic_exchange_n(&lock->taken, 1, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(&lock->taken, __ATOMIC_RELAXED))
			__builtin_ia32_pause();
}

static inline void spin_unlock(struct spinlock *lock)
{
	__atomic_store_n(&lock->taken, 0, __ATOMIC_RELEASE);
}

#endif
