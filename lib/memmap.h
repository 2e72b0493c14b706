/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A map of physical memory: a sorted list of ranges that do not overlap.
 * The loader makes it from the firmware's map, the VMM cuts itself out of it,
 * and the guest's e820 and Multiboot maps are made from the result.
 */
#ifndef LIB_MEMMAP_H
#define LIB_MEMMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Maps of large machines have a few hundred pieces on the way: firmware need not sort them. */
#define MEMMAP_MAX 512

/* Numbers of the ACPI address range types (ACPI spec 15.1), as e820 has them. */
enum memory_type {
	MEMORY_RAM = 1,
	MEMORY_RESERVED = 2,
	MEMORY_ACPI_RECLAIM = 3,
	MEMORY_ACPI_NVS = 4,
	MEMORY_UNUSABLE = 5,
};

struct memory_range {
	uint64_t base; /* bytes */
	uint64_t size; /* bytes, never 0 */
	uint32_t type; /* enum memory_type */
	uint32_t reserved;
};

struct memmap {
	uint32_t count;
	uint32_t reserved;
	struct memory_range ranges[MEMMAP_MAX];
};

/*
 * Make [base, base + size) be of this type, cutting what was there before;
 * neighbours of one type are merged. Returns false when the map is full or the
 * range wraps; the map is then unchanged. size 0 changes nothing.
 */
bool memmap_set(struct memmap *map, uint64_t base, uint64_t size, enum memory_type type);

/* Turn RAM above `limit` bytes of RAM in total into reserved ranges (config key memory). */
bool memmap_limit_ram(struct memmap *map, uint64_t limit);

/* Sum of the RAM ranges, in bytes. */
uint64_t memmap_ram_size(const struct memmap *map);

/* Is all of [base, base + size) RAM? */
bool memmap_is_ram(const struct memmap *map, uint64_t base, uint64_t size);

/*
 * Find the lowest (or highest) RAM of this size within [low, high), aligned to
 * a power of two. Returns false when there is none.
 */
bool memmap_find_lowest(const struct memmap *map, uint64_t size, uint64_t align, uint64_t low,
			uint64_t high, uint64_t *base);
bool memmap_find_highest(const struct memmap *map, uint64_t size, uint64_t align, uint64_t low,
			 uint64_t high, uint64_t *base);

/*
 * A range of `pages` pages as firmware names it. Returns false when it is none: it does not begin
 * at a page, or wraps. `size`: the bytes of it that lie below `limit`, which can be 0.
 */
bool memmap_pages(uint64_t base, uint64_t pages, uint64_t limit, uint64_t *size);

/* First address above all RAM; 0 when there is none. */
uint64_t memmap_ram_end(const struct memmap *map);

/* First address above all ranges, of any type; 0 for an empty map. */
uint64_t memmap_end(const struct memmap *map);

#endif
