/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks addresses up in the table of the VMM's code symbols.
 */
#include <stddef.h>

#include "lib/symbols.h"

const char *symbol_lookup(uint64_t address, uint64_t *offset)
{
	uint32_t low = 0;
	uint32_t high = symbol_count;

	/* symbols[0, low) start at or below the address, symbols[high, count) above it. */
	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;

		if (symbols[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;

	*offset = address - symbols[low - 1].address;
	return symbols[low - 1].name;
}
