/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the format of the VMM's page-table entries (SDM 3A, 5.5). It touches no
 * control register: who loads CR3 and flushes the TLB is the caller.
 */
#include <stddef.h>

#include "lib/layout.h"
#include "lib/paging.h"
#include "lib/string.h"

#define ENTRY_PRESENT	 (1ULL << 0)
#define ENTRY_WRITE	 (1ULL << 1)
#define ENTRY_PWT	 (1ULL << 3)
#define ENTRY_PCD	 (1ULL << 4)
#define ENTRY_ACCESSED	 (1ULL << 5)
#define ENTRY_DIRTY	 (1ULL << 6)
#define ENTRY_LARGE	 (1ULL << 7)
#define ENTRY_NO_EXECUTE (1ULL << 63)
#define ENTRY_ADDRESS	 0x000ffffffffff000ULL

#define ENTRIES	     512
#define LEVEL_4K     1
#define LEVEL_2M     2
#define LEVEL_1G     3
#define LEVEL_PML4   4
#define PAGE_SHIFT   12
#define BITS_A_LEVEL 9

static unsigned int level_shift(unsigned int level)
{
	return PAGE_SHIFT + BITS_A_LEVEL * (level - 1);
}

static uint64_t level_size(unsigned int level)
{
	return 1ULL << level_shift(level);
}

static uint64_t *table_at(const struct page_pool *pool, uint64_t physical)
{
	return (uint64_t *)(uintptr_t)(physical + pool->virtual_offset);
}

static uint64_t *entry_at(const struct address_space *space, uint64_t table, uint64_t va,
			  unsigned int level)
{
	return &table_at(space->pool, table)[(va >> level_shift(level)) % ENTRIES];
}

static bool is_table(uint64_t entry, unsigned int level)
{
	return level > LEVEL_4K && (entry & ENTRY_PRESENT) && !(entry & ENTRY_LARGE);
}

uint64_t page_pool_take(struct page_pool *pool)
{
	const uint64_t page = pool->next;

	if (page >= pool->end)
		return 0;
	memset(table_at(pool, page), 0, PAGE_SIZE);
	pool->next += PAGE_SIZE;
	return page;
}

/* Follow the tables down to the entry for va that is not a table; *level says where that was. */
static uint64_t *walk(const struct address_space *space, uint64_t va, unsigned int *level)
{
	uint64_t *entry = entry_at(space, space->pml4, va, LEVEL_PML4);

	for (*level = LEVEL_PML4; is_table(*entry, *level);) {
		*level -= 1;
		entry = entry_at(space, *entry & ENTRY_ADDRESS, va, *level);
	}
	return entry;
}

/* Rights in a table entry are the widest: the leaf decides. */
static bool add_table(struct address_space *space, uint64_t *entry)
{
	const uint64_t table = page_pool_take(space->pool);

	if (table == 0)
		return false;
	*entry = table | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_ACCESSED;
	return true;
}

/* The largest page that fits, by alignment and by the processor. */
static unsigned int page_level(const struct address_space *space, uint64_t va, uint64_t pa,
			       uint64_t size)
{
	unsigned int level = space->pages_1g ? LEVEL_1G : LEVEL_2M;

	while (((va | pa) & (level_size(level) - 1)) || size < level_size(level))
		level--;
	return level;
}

static uint64_t leaf_bits(enum page_rights rights, enum page_cache cache)
{
	uint64_t bits = ENTRY_PRESENT | ENTRY_ACCESSED;

	/* Dirty without write would be a shadow-stack page. */
	if (rights & PAGE_WRITE)
		bits |= ENTRY_WRITE | ENTRY_DIRTY;
	if (!(rights & PAGE_EXECUTE))
		bits |= ENTRY_NO_EXECUTE;
	if (cache & 1)
		bits |= ENTRY_PWT;
	if (cache & 2)
		bits |= ENTRY_PCD;
	return bits;
}

/*
 * The free entry for a page of level `wanted`, or of a lower one where a table
 * (perhaps an empty one) is in the way. Makes the tables that lead there. NULL:
 * something is mapped there, or the pool is empty.
 */
static uint64_t *free_entry(struct address_space *space, uint64_t va, unsigned int wanted,
			    unsigned int *level)
{
	uint64_t *entry = entry_at(space, space->pml4, va, LEVEL_PML4);

	for (*level = LEVEL_PML4; *level > wanted || is_table(*entry, *level);) {
		if (!(*entry & ENTRY_PRESENT) && !add_table(space, entry))
			return NULL;
		if (!is_table(*entry, *level))
			return NULL;
		*level -= 1;
		entry = entry_at(space, *entry & ENTRY_ADDRESS, va, *level);
	}
	return (*entry & ENTRY_PRESENT) ? NULL : entry;
}

bool paging_map(struct address_space *space, uint64_t va, uint64_t pa, uint64_t size,
		enum page_rights rights, enum page_cache cache)
{
	if (((va | pa | size) & PAGE_MASK) || ((rights & PAGE_WRITE) && (rights & PAGE_EXECUTE)))
		return false;

	while (size > 0) {
		unsigned int level;
		uint64_t *entry = free_entry(space, va, page_level(space, va, pa, size), &level);

		if (entry == NULL)
			return false;
		*entry = pa | leaf_bits(rights, cache) | (level > LEVEL_4K ? ENTRY_LARGE : 0);
		va += level_size(level);
		pa += level_size(level);
		size -= level_size(level);
	}
	return true;
}

/* Replace a large page by a table of 512 smaller ones that map the same. */
static bool split(struct address_space *space, uint64_t *entry, unsigned int level)
{
	const uint64_t step = level_size(level - 1);
	uint64_t leaf = *entry;
	uint64_t *table;

	if (!add_table(space, entry))
		return false;
	table = table_at(space->pool, *entry & ENTRY_ADDRESS);
	if (level - 1 == LEVEL_4K)
		leaf &= ~ENTRY_LARGE;
	for (unsigned int i = 0; i < ENTRIES; i++)
		table[i] = leaf + i * step;
	return true;
}

bool paging_unmap(struct address_space *space, uint64_t va, uint64_t size)
{
	while (size > 0) {
		unsigned int level;
		uint64_t *entry = walk(space, va, &level);
		const uint64_t left = level_size(level) - (va & (level_size(level) - 1));
		const uint64_t step = left < size ? left : size;

		if (*entry & ENTRY_PRESENT) {
			if (step < level_size(level)) {
				if (!split(space, entry, level))
					return false;
				continue;
			}
			*entry = 0;
		}
		va += step;
		size -= step;
	}
	return true;
}

bool paging_lookup(const struct address_space *space, uint64_t va, uint64_t *pa,
		   enum page_rights *rights)
{
	unsigned int level;
	const uint64_t entry = *walk(space, va, &level);
	const uint64_t offset = va & (level_size(level) - 1);

	if (!(entry & ENTRY_PRESENT))
		return false;
	*pa = (entry & ENTRY_ADDRESS) + offset;
	if (rights != NULL)
		*rights = ((entry & ENTRY_WRITE) ? PAGE_WRITE : PAGE_READ) |
			  ((entry & ENTRY_NO_EXECUTE) ? PAGE_READ : PAGE_EXECUTE);
	return true;
}
