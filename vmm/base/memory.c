// SPDX-License-Identifier: BSD-2-Clause
/* Owns the page pool and the VMM's page tables, which the loader began. */
#include "vmm/base/memory.h"

#include "lib/paging.h"
#include "lib/x86/cpu.h"
#include "vmm/base/log.h"
#include "vmm/base/spinlock.h"
#include "vmm/host/x86.h"

static struct page_pool pool;
static struct address_space space;
static uint64_t vmm_base, vmm_size;
static struct spinlock lock; /* of the pool and of the tables */

void memory_init(const struct boot_info *boot)
{
	vmm_base = boot->vmm_base;
	vmm_size = boot->vmm_size;
	pool.next = boot->pool_base;
	pool.end = boot->vmm_base + vmm_size;
	pool.virtual_offset = VMM_BASE - boot->vmm_base;
	space.pml4 = boot->page_tables;
	space.pool = &pool;
	space.pages_1g = (cpuid(0x80000001, 0).edx & CPUID_80000001_EDX_1G) != 0;

	/* The loader's last instructions are done: nothing but the VMM is executable from here on.
	 */
	paging_unmap(&space, boot->trampoline, PAGE_SIZE);
	invlpg(boot->trampoline);
}

void *page_alloc(void)
{
	return pages_alloc(1);
}

void *pages_alloc(unsigned int count)
{
	uint64_t first, last;

	spin_lock(&lock);
	first = page_pool_take(&pool);
	/* The pool is handed out in order. */
	for (last = first; last != 0 && --count > 0;)
		last = page_pool_take(&pool);
	spin_unlock(&lock);
	if (last == 0)
		panic("no-memory", "the VMM's region of %llu MiB is used up",
		      (unsigned long long)(vmm_size >> 20));
	return (void *)(first + pool.virtual_offset);
}

void *stack_alloc(unsigned int pages, unsigned int tail)
{
	uint8_t *const guard = pages_alloc(1 + pages + tail);
	bool unmapped;

	spin_lock(&lock);
	unmapped = paging_unmap(&space, (uint64_t)guard, PAGE_SIZE);
	spin_unlock(&lock);
	if (!unmapped)
		panic("no-memory", "the VMM's region is used up: no page table for a guard page");
	invlpg((uint64_t)guard);
	return guard + (1 + pages) * PAGE_SIZE;
}

uint64_t virt_to_phys(const void *address)
{
	const uint64_t va = (uint64_t)address;

	return va >= VMM_BASE ? va - VMM_BASE + vmm_base : va - DIRECT_MAP_BASE;
}

void *phys_to_virt(uint64_t address)
{
	if (address - vmm_base < vmm_size)
		return (void *)(address - vmm_base + VMM_BASE);
	return (void *)(address + DIRECT_MAP_BASE);
}

volatile void *mmio_map(uint64_t address, uint64_t size)
{
	const uint64_t first = address & ~PAGE_MASK;
	const uint64_t end = (address + size + PAGE_MASK) & ~PAGE_MASK;

	bool mapped = true;

	if (address >= MMIO_END || size > MMIO_END - address)
		panic("device-address",
		      "a device at 0x%llx: the VMM has no addresses for devices above 64 TiB",
		      (unsigned long long)address);
	spin_lock(&lock);
	for (uint64_t page = first; page < end; page += PAGE_SIZE)
		mapped &= memory_is_mapped((const void *)(MMIO_BASE + page), 1) ||
			  paging_map(&space, MMIO_BASE + page, page, PAGE_SIZE, PAGE_WRITE,
				     CACHE_UNCACHED);
	spin_unlock(&lock);
	if (!mapped)
		panic("no-memory", "the VMM's region is used up: device at 0x%llx not mapped",
		      (unsigned long long)address);
	return (volatile void *)(MMIO_BASE + address);
}

volatile void *framebuffer_map(uint64_t address, uint64_t size)
{
	const uint64_t first = address & ~PAGE_MASK;
	const uint64_t end = (address + size + PAGE_MASK) & ~PAGE_MASK;
	bool mapped;

	if (end > MMIO_END)
		return NULL;
	spin_lock(&lock);
	mapped = paging_map(&space, MMIO_BASE + first, first, end - first, PAGE_WRITE,
			    CACHE_WRITE_COMBINING);
	spin_unlock(&lock);
	return mapped ? (volatile void *)(MMIO_BASE + address) : NULL;
}

void memory_map_start_page(uint64_t page)
{
	if (!paging_map(&space, page, page, PAGE_SIZE, PAGE_EXECUTE, CACHE_WRITE_BACK))
		panic("no-memory", "the page for starting processors cannot be mapped");
}

void memory_unmap_start_page(uint64_t page)
{
	paging_unmap(&space, page, PAGE_SIZE);
	invlpg(page);
}

void memory_usage(uint64_t *used, uint64_t *total)
{
	*total = vmm_size / PAGE_SIZE;
	*used = (pool.next - vmm_base) / PAGE_SIZE;
}

bool memory_is_mapped(const void *address, uint64_t size)
{
	const uint64_t last = (uint64_t)address + size - 1;
	uint64_t physical;

	return paging_lookup(&space, (uint64_t)address, &physical, NULL) &&
	       paging_lookup(&space, last, &physical, NULL);
}
