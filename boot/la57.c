/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Prepares the switch between 4-level and 5-level paging: the copy of its code below 4 GiB, where
 * 32-bit code can run, and page tables for both sides of it. They are our own since the firmware's
 * need not let anything be executed there.
 */
#include "boot/la57.h"
#include "boot/cpu.h"
#include "lib/layout.h"
#include "lib/paging.h"
#include "lib/string.h"
#include "lib/x86/cpu.h"

#define CODE_SIZE     512U /* boot/la57.asm has the same */
#define ENTRY_TABLE   0x3U /* present, writable */
#define ENTRY_ADDRESS 0x000ffffffffff000ULL

extern const uint8_t la57_code[];
void la57_toggle(uint64_t copy, uint64_t tables, uint64_t other, uint64_t after);

static struct {
	uint64_t copy;	    /* a page, and behind it the page of its stack */
	uint64_t tables[2]; /* of 4 and of 5 levels */
} way;

static bool five_levels(void)
{
	return read_cr4() & CR4_LA57;
}

uint64_t la57_lower_tables(void)
{
	const uint64_t tables = read_cr3() & ENTRY_ADDRESS;

	/* The firmware's program runs at low addresses: the first entry is present. */
	return five_levels() ? *(const uint64_t *)(uintptr_t)tables & ENTRY_ADDRESS : tables;
}

uint64_t la57_fifth_level(uint64_t page, uint64_t tables)
{
	uint64_t *const entries = (uint64_t *)(uintptr_t)page;

	memset(entries, 0, PAGE_SIZE);
	entries[0] = tables | ENTRY_TABLE;
	return page;
}

bool la57_prepare(uint64_t memory)
{
	const uint64_t here = (uintptr_t)la57_code & ~PAGE_MASK;
	const uint64_t stack = memory + PAGE_SIZE;
	struct page_pool pool = { .next = stack + PAGE_SIZE, .end = memory + LA57_MEMORY };
	struct address_space space = { .pool = &pool, .pml4 = page_pool_take(&pool) };

	memcpy((void *)(uintptr_t)memory, la57_code, CODE_SIZE);
	way.copy = memory;
	way.tables[0] = space.pml4;
	way.tables[1] = la57_fifth_level(page_pool_take(&pool), space.pml4);
	return paging_map(&space, here, here, PAGE_SIZE, PAGE_EXECUTE, CACHE_WRITE_BACK) &&
	       paging_map(&space, memory, memory, PAGE_SIZE, PAGE_EXECUTE, CACHE_WRITE_BACK) &&
	       paging_map(&space, stack, stack, PAGE_SIZE, PAGE_WRITE, CACHE_WRITE_BACK);
}

void la57_switch(uint64_t cr3)
{
	const bool five = five_levels();

	la57_toggle(way.copy, way.tables[five], way.tables[!five], cr3);
}
