/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory by linear address, with the rights that the processor would check: for what the VMM
 * does in the guest's place. 64-bit mode only: FRED needs it.
 */
#ifndef VMM_SOFT_WALK_H
#define VMM_SOFT_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/layout.h"
#include "vmm/vmx/ept.h"
#include "vmm/vcpu/event.h"

struct vm;

enum guest_access {
	GUEST_READ,
	GUEST_WRITE,
	GUEST_REFETCH, /* an instruction that the processor has fetched: whatever the rights */
	GUEST_ACCESSES
};

#define WALK_LEVELS_MAX 5
#define WALKS_KEPT	16 /* of each kind of access; a power of two */

/*
 * A walk that went its way: where it read which entries. It is as good as a new one when these
 * entries are still the same: they are read again every time.
 */
struct guest_kept_walk {
	uint64_t page; /* the last linear address in it; 0: none */
	uint64_t cr3;
	const uint64_t *entries[WALK_LEVELS_MAX]; /* below a large page: the last again */
	uint64_t values[WALK_LEVELS_MAX];
	uint8_t *memory;
	bool five_levels; /* else the fifth entry is none */
} __attribute__((aligned(128)));

/*
 * What makes walks quick. All zero: nothing does. What is kept is to be forgotten when EFER.NXE or
 * CR4.LA57 may have changed: then the same entries mean something else.
 */
struct guest_walks {
	struct guest_ram ram;	  /* most of the VM's memory */
	unsigned int linear_bits; /* of an address that is canonical: paging says, not the CPU */
	struct guest_kept_walk kept[GUEST_ACCESSES][WALKS_KEPT];
};

/* The guest's registers that decide about an access. */
struct guest_paging {
	const struct vm *vm;
	struct guest_walks *walks;
	uint64_t cr0, cr3, cr4, efer;
	bool partial; /* but for CR3 they are not known yet, and kept walks have to do */
	/* The access may go to user pages in spite of CR4.SMAP: explicit, and RFLAGS.AC is 1. */
	bool smap_suspended;
};

enum walk_result {
	WALK_OK,
	WALK_FAULT,	/* #PF, in *fault */
	WALK_PARTIAL,	/* again, with all registers */
	WALK_NO_MEMORY, /* the address, or a table on the way to it, is not RAM of the guest */
};

/* SDM 3A, 3.3.7.1 */
#define LINEAR_BITS_4_LEVELS 48U
#define LINEAR_BITS_5_LEVELS 57U

static inline void guest_forget_walks(struct guest_walks *walks)
{
	for (unsigned int access = 0; access < GUEST_ACCESSES; access++)
		for (unsigned int i = 0; i < WALKS_KEPT; i++)
			walks->kept[access][i].page = 0;
}

static inline bool guest_entry_is_same(const struct guest_kept_walk *kept, unsigned int i)
{
	return __atomic_load_n(kept->entries[i], __ATOMIC_RELAXED) == kept->values[i];
}

/* guest_walk() as far as it is kept; else NULL. */
static inline void *guest_walk_again(const struct guest_paging *paging, uint64_t linear,
				     enum guest_access access)
{
	const struct guest_kept_walk *const kept =
		&paging->walks->kept[access][(linear / PAGE_SIZE) % WALKS_KEPT];

	if (kept->page == (linear | PAGE_MASK) && kept->cr3 == paging->cr3 &&
	    guest_entry_is_same(kept, 0) && guest_entry_is_same(kept, 1) &&
	    guest_entry_is_same(kept, 2) && guest_entry_is_same(kept, 3) &&
	    (!kept->five_levels || guest_entry_is_same(kept, 4)))
		return kept->memory + (linear & PAGE_MASK);
	return NULL;
}

/*
 * Where the VMM finds the bytes at this linear address, up to the end of its page, for an access
 * of supervisor privilege. Sets accessed and dirty bits. SDM 3A, 5.5 to 5.8.
 */
enum walk_result guest_walk(const struct guest_paging *paging, uint64_t linear,
			    enum guest_access access, void **memory, struct event *fault);

#endif
