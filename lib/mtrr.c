/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the rules by which MTRRs combine. Reads no MSR: the caller did.
 */
#include <stdbool.h>

#include "lib/layout.h"
#include "lib/mtrr.h"

#define DEF_TYPE_FIXED_ENABLE (1ULL << 10)
#define DEF_TYPE_ENABLE	      (1ULL << 11)
#define MASK_VALID	      (1ULL << 11)
#define TYPE_MASK	      0xffU
#define TYPE_BITS	      8

#define FIXED_END 0x100000ULL

/* The three sizes of fixed ranges: eight of them in each MSR. */
static const struct fixed_group {
	uint64_t base;
	unsigned int first; /* index of the MSR */
	unsigned int shift; /* size of a range */
} fixed_groups[] = { { 0xc0000, 3, 12 }, { 0x80000, 1, 14 }, { 0, 0, 16 } };

static enum mtrr_type valid_type(uint64_t bits)
{
	switch (bits & TYPE_MASK) {
	case MTRR_WC:
		return MTRR_WC;
	case MTRR_WT:
		return MTRR_WT;
	case MTRR_WP:
		return MTRR_WP;
	case MTRR_WB:
		return MTRR_WB;
	default:
		return MTRR_UC;
	}
}

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static enum mtrr_type fixed_type(const struct mtrr_state *state, uint64_t address, uint64_t *end)
{
	const struct fixed_group *group = fixed_groups;
	uint64_t index;

	while (address < group->base)
		group++;
	index = (address - group->base) >> group->shift;
	*end = lower(*end, group->base + ((index + 1) << group->shift));
	return valid_type(state->fixed[group->first + index / 8] >> (index % 8 * TYPE_BITS));
}

/* UC wins, WT wins over WB; every other mixture is undefined, so UC. */
static enum mtrr_type combine(enum mtrr_type a, enum mtrr_type b)
{
	if (a == b)
		return a;
	if ((a == MTRR_WT && b == MTRR_WB) || (a == MTRR_WB && b == MTRR_WT))
		return MTRR_WT;
	return MTRR_UC;
}

/* Lower *end to the next address where this range may begin or end. */
static void limit_to_range(uint64_t base, uint64_t mask, uint64_t address_mask, uint64_t address,
			   uint64_t *end)
{
	const uint64_t size = mask & -mask;
	const bool contiguous = mask == (address_mask & -size);

	if (!contiguous)
		*end = lower(*end, (address & -size) + size);
	else if (address < base)
		*end = lower(*end, base);
	else if (address - base < size)
		*end = lower(*end, base + size);
}

static enum mtrr_type variable_type(const struct mtrr_state *state, uint64_t address, uint64_t *end)
{
	const uint64_t address_mask = ((1ULL << state->physical_bits) - 1) & ~PAGE_MASK;
	enum mtrr_type type = valid_type(state->def_type);
	bool found = false;

	for (uint32_t i = 0; i < state->variable_count; i++) {
		const uint64_t mask = state->variable[i].mask & address_mask;
		const uint64_t base = state->variable[i].base & mask;
		const enum mtrr_type this_type = valid_type(state->variable[i].base);

		if (!(state->variable[i].mask & MASK_VALID))
			continue;
		if (mask != 0)
			limit_to_range(base, mask, address_mask, address, end);
		if ((address & mask) != base)
			continue;
		type = found ? combine(type, this_type) : this_type;
		found = true;
	}
	return type;
}

/* The type at one address; *end is lowered to where it may change. */
static enum mtrr_type type_at(const struct mtrr_state *state, uint64_t address, uint64_t *end)
{
	if (!(state->def_type & DEF_TYPE_ENABLE))
		return MTRR_UC;
	if (address < FIXED_END && (state->def_type & DEF_TYPE_FIXED_ENABLE))
		return fixed_type(state, address, end);
	return variable_type(state, address, end);
}

enum mtrr_type mtrr_type(const struct mtrr_state *state, uint64_t base, uint64_t limit,
			 uint64_t *end)
{
	enum mtrr_type type;
	uint64_t next = limit;

	*end = limit;
	type = type_at(state, base, end);
	while (*end < limit && type_at(state, *end, &next) == type) {
		*end = next;
		next = limit;
	}
	return type;
}
