/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory by linear address, with the rights that the processor would check: for what the VMM
 * does in the guest's place. 64-bit mode only: FRED needs it.
 */
#ifndef VMM_SOFT_WALK_H
#define VMM_SOFT_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/event.h"

struct vm;

/* The guest's registers that decide about an access. */
struct guest_paging {
	const struct vm *vm;
	uint64_t cr0, cr3, cr4, efer;
	/* The access may go to user pages in spite of CR4.SMAP: explicit, and RFLAGS.AC is 1. */
	bool smap_suspended;
};

enum guest_access { GUEST_READ, GUEST_WRITE };

enum walk_result {
	WALK_OK,
	WALK_FAULT,	/* #PF, in *fault */
	WALK_NO_MEMORY, /* the address, or a table on the way to it, is not RAM of the guest */
};

/*
 * Where the VMM finds the bytes at this linear address, up to the end of its page, for an access
 * of supervisor privilege. Sets accessed and dirty bits. SDM 3A, 5.5 to 5.8.
 */
enum walk_result guest_walk(const struct guest_paging *paging, uint64_t linear,
			    enum guest_access access, void **memory, struct event *fault);

#endif
