/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMM's memory: the page pool of its region, its address space, stacks with
 * guard pages. Pages are handed out once and never come back.
 */
#ifndef VMM_BASE_MEMORY_H
#define VMM_BASE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/boot_info.h"
#include "lib/layout.h"

void memory_init(const struct boot_info *boot);

/* A zeroed page, or `count` contiguous ones. Panics when the pool is empty: it is sized for the
 * worst case. */
void *page_alloc(void);
void *pages_alloc(unsigned int count);

/*
 * A stack of so many pages with an unmapped page below it, and behind its top
 * `tail` more pages that belong to the caller. Returns the top.
 */
void *stack_alloc(unsigned int pages, unsigned int tail);

/* Physical address of something in the VMM's region or the direct map. */
uint64_t virt_to_phys(const void *address);

/* Where the VMM sees RAM. */
void *phys_to_virt(uint64_t address);

/* Device memory, uncached. Mapped for good. */
volatile void *mmio_map(uint64_t address, uint64_t size);

/* The page below 1 MiB where other processors start, at its own address; W^X as everything. */
void memory_map_start_page(uint64_t page);
void memory_unmap_start_page(uint64_t page);

/* The framebuffer, write-combining; NULL when the VMM's address space has no place for it. */
volatile void *framebuffer_map(uint64_t address, uint64_t size);

/* Can these bytes be read without a fault? */
bool memory_is_mapped(const void *address, uint64_t size);

/* Pages of the pool in use and in all. */
void memory_usage(uint64_t *used, uint64_t *total);

#endif
