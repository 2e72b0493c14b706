// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the walk of a guest's page tables with rights. The tables are the truth: what is kept of a
 * walk is its way, not its result.
 */
#include "vmm/soft/walk.h"

#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "vmm/vmx/ept.h"
#include "vmm/host/capabilities.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/host/x86.h"

#define PTE_PRESENT    (1ULL << 0)
#define PTE_WRITE      (1ULL << 1)
#define PTE_USER       (1ULL << 2)
#define PTE_ACCESSED   (1ULL << 5)
#define PTE_DIRTY      (1ULL << 6)
#define PTE_LARGE      (1ULL << 7)
#define PTE_PAT_LARGE  (1ULL << 12)
#define PTE_ADDRESS    0x000ffffffffff000ULL
#define PTE_NO_EXECUTE (1ULL << 63)
#define PTE_KEY(entry) ((unsigned int)((entry) >> 59 & 0xf))

#define INDEX_BITS  9U
#define INDEX_MASK  0x1ffULL
#define PAGE_SHIFT  12U
#define LEVEL_PDPT  3U
#define LEVEL_TABLE 1U

/* #PF error code */
#define PF_PRESENT  (1U << 0)
#define PF_WRITE    (1U << 1)
#define PF_RESERVED (1U << 3)
#define PF_KEY	    (1U << 5)

/* PKRU, two bits a key. */
#define PKRU_ACCESS_DISABLE(key) (1U << (2 * (key)))
#define PKRU_WRITE_DISABLE(key)	 (2U << (2 * (key)))

struct leaf {
	uint64_t rights; /* PTE_WRITE and PTE_USER: those that all levels give */
	uint64_t entry;
	unsigned int shift;
};

static enum walk_result fault_at(uint64_t linear, enum guest_access access, uint32_t error,
				 struct event *fault)
{
	*fault = event_page_fault(error | (access == GUEST_WRITE ? PF_WRITE : 0), linear);
	return WALK_FAULT;
}

static uint64_t reserved_bits(const struct guest_paging *paging, uint64_t entry, unsigned int level)
{
	uint64_t reserved = PTE_ADDRESS & ~machine.physical_mask;

	if (!(paging->efer & EFER_NXE))
		reserved |= PTE_NO_EXECUTE;
	if (entry & PTE_LARGE) {
		if (level > LEVEL_PDPT || (level == LEVEL_PDPT && !machine.has_1g_pages))
			reserved |= PTE_LARGE;
		else if (level > LEVEL_TABLE)
			reserved |= ((1ULL << (PAGE_SHIFT + INDEX_BITS * (level - 1))) - 1) &
				    PTE_ADDRESS & ~PTE_PAT_LARGE;
	}
	return entry & reserved;
}

/* The processor sets the bits only in an entry that is still as it was read. */
static bool set_bits(uint64_t *entry, uint64_t value, uint64_t bits)
{
	return (value & bits) == bits ||
	       __atomic_compare_exchange_n(entry, &value, value | bits, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

static uint32_t key_error(const struct guest_paging *paging, const struct leaf *leaf,
			  enum guest_access access)
{
	const unsigned int key = PTE_KEY(leaf->entry);
	uint32_t forbidden = PKRU_ACCESS_DISABLE(key);
	uint32_t pkru;

	if (!(paging->cr4 & CR4_PKE) || !(leaf->rights & PTE_USER))
		return 0;
	pkru = read_pkru();
	if (access == GUEST_WRITE && (paging->cr0 & CR0_WP))
		forbidden |= PKRU_WRITE_DISABLE(key);
	return pkru & forbidden ? PF_KEY : 0;
}

/* May a supervisor do this? 0, or the bits of the error code. */
static uint32_t rights_error(const struct guest_paging *paging, const struct leaf *leaf,
			     enum guest_access access)
{
	uint32_t error;

	if (access == GUEST_REFETCH)
		return 0;
	error = key_error(paging, leaf, access);
	if ((leaf->rights & PTE_USER) && (paging->cr4 & CR4_SMAP) && !paging->smap_suspended)
		error |= PF_PRESENT;
	if (access == GUEST_WRITE && !(leaf->rights & PTE_WRITE) && (paging->cr0 & CR0_WP))
		error |= PF_PRESENT;
	return error ? error | PF_PRESENT : 0;
}

/*
 * The walk of nearly all accesses: to a page of the supervisor that has its bits set, and all of it
 * in paging->walks->ram. False: it is none of these.
 */
static bool walk_plain(const struct guest_paging *paging, uint64_t linear, enum guest_access access,
		       struct guest_kept_walk *kept)
{
	const uint64_t needed =
		PTE_PRESENT | PTE_ACCESSED | (access == GUEST_WRITE ? PTE_WRITE : 0);
	const struct guest_ram *const ram = &paging->walks->ram;
	unsigned int level = paging->cr4 & CR4_LA57 ? 5 : 4, i = 0, shift;
	uint64_t entry = paging->cr3, user = PTE_USER, at, offset;

	do {
		shift = PAGE_SHIFT + INDEX_BITS * (level - 1);
		at = (entry & PTE_ADDRESS) - ram->base +
		     (linear >> shift & INDEX_MASK) * sizeof(uint64_t);
		if (at >= ram->size)
			return false;
		kept->entries[i] = (const uint64_t *)(ram->memory + at);
		entry = __atomic_load_n(kept->entries[i], __ATOMIC_RELAXED);
		kept->values[i++] = entry;
		if ((entry & needed) != needed || reserved_bits(paging, entry, level))
			return false;
		user &= entry;
	} while (level-- > LEVEL_TABLE && !(entry & PTE_LARGE));
	if ((access == GUEST_WRITE && !(entry & PTE_DIRTY)) || (access != GUEST_REFETCH && user))
		return false;
	offset = (1ULL << shift) - 1;
	at = (entry & PTE_ADDRESS & ~offset) - ram->base + (linear & offset & ~PAGE_MASK);
	if (at >= ram->size)
		return false;
	for (; i < WALK_LEVELS_MAX; i++) {
		kept->entries[i] = kept->entries[i - 1];
		kept->values[i] = entry;
	}
	kept->memory = ram->memory + at;
	return true;
}

/* Apart: the plain walk needs less of the stack. */
static __attribute__((noinline)) enum walk_result walk_with_care(const struct guest_paging *paging,
								 uint64_t linear,
								 enum guest_access access,
								 void **memory, struct event *fault)
{
	unsigned int level = paging->cr4 & CR4_LA57 ? 5 : 4;
	const unsigned int top = level;
	struct leaf leaf = { .rights = PTE_WRITE | PTE_USER };
	uint64_t *entries[5];
	uint64_t values[5];
	uint64_t table = paging->cr3 & PTE_ADDRESS;
	uint32_t error;

	for (;; level--) {
		leaf.shift = PAGE_SHIFT + INDEX_BITS * (level - 1);
		entries[level - 1] = guest_memory(
			paging->vm, table + (linear >> leaf.shift & INDEX_MASK) * sizeof(uint64_t),
			sizeof(uint64_t));
		if (!entries[level - 1])
			return WALK_NO_MEMORY;
		leaf.entry = values[level - 1] =
			__atomic_load_n(entries[level - 1], __ATOMIC_RELAXED);
		if (!(leaf.entry & PTE_PRESENT))
			return fault_at(linear, access, 0, fault);
		if (reserved_bits(paging, leaf.entry, level))
			return fault_at(linear, access, PF_PRESENT | PF_RESERVED, fault);
		leaf.rights &= leaf.entry;
		if (level == LEVEL_TABLE || (leaf.entry & PTE_LARGE))
			break;
		table = leaf.entry & PTE_ADDRESS;
	}
	error = rights_error(paging, &leaf, access);
	if (error)
		return fault_at(linear, access, error, fault);
	for (unsigned int i = top; i >= level; i--)
		if (!set_bits(entries[i - 1], values[i - 1],
			      i == level && access == GUEST_WRITE ? PTE_ACCESSED | PTE_DIRTY
								  : PTE_ACCESSED))
			return walk_with_care(paging, linear, access, memory, fault);
	const uint64_t offset = (1ULL << leaf.shift) - 1;

	*memory = guest_memory(paging->vm, (leaf.entry & PTE_ADDRESS & ~offset) | (linear & offset),
			       1);
	return *memory ? WALK_OK : WALK_NO_MEMORY;
}

enum walk_result guest_walk(const struct guest_paging *paging, uint64_t linear,
			    enum guest_access access, void **memory, struct event *fault)
{
	struct guest_kept_walk *kept;

	*memory = guest_walk_again(paging, linear, access);
	if (*memory)
		return WALK_OK;
	if (paging->partial)
		return WALK_PARTIAL;
	kept = &paging->walks->kept[access][(linear / PAGE_SIZE) % WALKS_KEPT];
	kept->page = 0;
	if (!walk_plain(paging, linear, access, kept))
		return walk_with_care(paging, linear, access, memory, fault);
	kept->page = linear | PAGE_MASK;
	kept->cr3 = paging->cr3;
	kept->five_levels = paging->cr4 & CR4_LA57;
	*memory = kept->memory + (linear & PAGE_MASK);
	return WALK_OK;
}
