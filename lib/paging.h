/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMM's own 4-level page tables. The loader builds the first ones, the VMM
 * goes on with the same code. Large pages where alignment allows. Nothing can be
 * mapped both writable and executable.
 */
#ifndef LIB_PAGING_H
#define LIB_PAGING_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Page tables are taken from here, one zeroed page after the other. A page at
 * physical address p is accessible at p + virtual_offset: 0 in the loader,
 * VMM_BASE - vmm_base (modulo 2^64) in the VMM.
 */
struct page_pool {
	uint64_t next; /* physical, page aligned */
	uint64_t end;
	uint64_t virtual_offset;
};

struct address_space {
	uint64_t pml4; /* physical */
	struct page_pool *pool;
	bool pages_1g; /* the processor has 1 GiB pages: CPUID 80000001H EDX[26] */
};

enum page_rights {
	PAGE_READ = 0,
	PAGE_WRITE = 1,
	PAGE_EXECUTE = 2,
};

/* Numbers of PAT entries (SDM 3A, 12.12). Those but write-combining are as after reset. */
enum page_cache { CACHE_WRITE_BACK = 0, CACHE_WRITE_COMBINING = 1, CACHE_UNCACHED = 3 };

/* IA32_PAT after reset: WB, WT, UC-, UC, twice; and as the VMM has it, with WC in entry 1. */
#define PAT_RESET 0x0007040600070406ULL
#define PAT_VMM	  0x0007040600070106ULL

/* A zeroed page, physical address; 0 when the pool is empty. */
uint64_t page_pool_take(struct page_pool *pool);

/*
 * Map [va, va + size) to pa. All page aligned. Returns false, and may have
 * mapped a part, when the pool is empty, when something there is mapped
 * already, or when the rights are both write and execute.
 */
bool paging_map(struct address_space *space, uint64_t va, uint64_t pa, uint64_t size,
		enum page_rights rights, enum page_cache cache);

/*
 * Unmap [va, va + size), splitting large pages. Pages that are not mapped are
 * passed over. Returns false when the pool is empty. The caller invalidates the TLB.
 */
bool paging_unmap(struct address_space *space, uint64_t va, uint64_t size);

/* Translate; returns false when va is not mapped. *rights may be NULL. */
bool paging_lookup(const struct address_space *space, uint64_t va, uint64_t *pa,
		   enum page_rights *rights);

#endif
