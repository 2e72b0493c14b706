/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the order of a memory map: sorted by address, no overlaps, no two
 * neighbours that touch and have one type.
 */
#include "lib/memmap.h"
#include "lib/layout.h"
#include "lib/string.h"

static uint64_t range_end(const struct memory_range *range)
{
	return range->base + range->size;
}

/*
 * Put the ranges of `pieces` in the place of those with the numbers
 * [first, first + removed).
 */
static bool replace(struct memmap *map, uint32_t first, uint32_t removed,
		    const struct memory_range *pieces, uint32_t count)
{
	if (map->count - removed + count > MEMMAP_MAX)
		return false;
	memmove(&map->ranges[first + count], &map->ranges[first + removed],
		(map->count - first - removed) * sizeof(*pieces));
	memcpy(&map->ranges[first], pieces, count * sizeof(*pieces));
	map->count = map->count - removed + count;
	return true;
}

bool memmap_set(struct memmap *map, uint64_t base, uint64_t size, enum memory_type type)
{
	struct memory_range pieces[3]; /* what is left below, the new range, what is left above */
	uint64_t end = base + size;
	uint32_t count = 0;
	uint32_t first = 0;
	uint32_t last;

	if (size == 0)
		return true;
	if (end < base)
		return false;

	/* All that overlaps or touches lies in [first, last). */
	while (first < map->count && range_end(&map->ranges[first]) < base)
		first++;
	for (last = first; last < map->count && map->ranges[last].base <= end; last++)
		;

	if (first < last && map->ranges[first].base < base) {
		const struct memory_range below = map->ranges[first];

		if (below.type == type)
			base = below.base;
		else
			pieces[count++] = (struct memory_range){ below.base, base - below.base,
								 below.type, 0 };
	}
	pieces[count] = (struct memory_range){ base, end - base, type, 0 };
	if (first < last && range_end(&map->ranges[last - 1]) > end) {
		const struct memory_range above = map->ranges[last - 1];

		if (above.type == type)
			pieces[count].size = range_end(&above) - base;
		else
			pieces[++count] = (struct memory_range){ end, range_end(&above) - end,
								 above.type, 0 };
	}
	return replace(map, first, last - first, pieces, count + 1);
}

bool memmap_limit_ram(struct memmap *map, uint64_t limit)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < map->count; i++) {
		const struct memory_range range = map->ranges[i];
		uint64_t kept;

		if (range.type != MEMORY_RAM)
			continue;
		kept = limit - total < range.size ? limit - total : range.size;
		total += kept;
		if (kept == range.size)
			continue;
		if (!memmap_set(map, range.base + kept, range.size - kept, MEMORY_RESERVED))
			return false;
		/* That range may have become part of one before it. */
		if (kept == 0 && i > 0)
			i--;
	}
	return true;
}

uint64_t memmap_ram_size(const struct memmap *map)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < map->count; i++) {
		if (map->ranges[i].type == MEMORY_RAM)
			total += map->ranges[i].size;
	}
	return total;
}

bool memmap_is_ram(const struct memmap *map, uint64_t base, uint64_t size)
{
	for (uint32_t i = 0; i < map->count; i++) {
		const struct memory_range *range = &map->ranges[i];

		if (range->type == MEMORY_RAM && base >= range->base &&
		    base - range->base < range->size)
			return size > 0 && size <= range_end(range) - base;
	}
	return false;
}

/*
 * The highest (or lowest) aligned place for `size` bytes in [start, end);
 * UINT64_MAX when there is none.
 */
static uint64_t place_in(uint64_t start, uint64_t end, uint64_t size, uint64_t align, bool highest)
{
	const uint64_t lowest = (start + align - 1) & ~(align - 1);

	if (lowest < start || end < lowest || end - lowest < size)
		return UINT64_MAX;
	return highest ? (end - size) & ~(align - 1) : lowest;
}

static bool find(const struct memmap *map, uint64_t size, uint64_t align, uint64_t low,
		 uint64_t high, bool highest, uint64_t *base)
{
	for (uint32_t i = 0; i < map->count; i++) {
		const uint32_t next = highest ? map->count - 1 - i : i;
		const struct memory_range *range = &map->ranges[next];
		const uint64_t start = range->base > low ? range->base : low;
		const uint64_t end = range_end(range) < high ? range_end(range) : high;
		uint64_t place;

		if (range->type != MEMORY_RAM)
			continue;
		place = place_in(start, end, size, align, highest);
		if (place != UINT64_MAX) {
			*base = place;
			return true;
		}
	}
	return false;
}

bool memmap_find_lowest(const struct memmap *map, uint64_t size, uint64_t align, uint64_t low,
			uint64_t high, uint64_t *base)
{
	return find(map, size, align, low, high, false, base);
}

bool memmap_find_highest(const struct memmap *map, uint64_t size, uint64_t align, uint64_t low,
			 uint64_t high, uint64_t *base)
{
	return find(map, size, align, low, high, true, base);
}

bool memmap_pages(uint64_t base, uint64_t pages, uint64_t limit, uint64_t *size)
{
	if (base % PAGE_SIZE != 0 || pages > UINT64_MAX / PAGE_SIZE ||
	    base > UINT64_MAX - pages * PAGE_SIZE)
		return false;
	*size = pages * PAGE_SIZE;
	if (base >= limit)
		*size = 0;
	else if (*size > limit - base)
		*size = limit - base;
	return true;
}

uint64_t memmap_ram_end(const struct memmap *map)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < map->count; i++)
		if (map->ranges[i].type == MEMORY_RAM)
			end = range_end(&map->ranges[i]);
	return end;
}

uint64_t memmap_end(const struct memmap *map)
{
	return map->count == 0 ? 0 : range_end(&map->ranges[map->count - 1]);
}
