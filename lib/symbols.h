/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMM's own code symbols, for backtraces. The build makes the table from
 * the linked VMM (tools/mksymbols) and links it again with it.
 */
#ifndef LIB_SYMBOLS_H
#define LIB_SYMBOLS_H

#include <stdint.h>

struct symbol {
	uint64_t address;
	const char *name;
};

/* Sorted by address, each address once. */
extern const struct symbol symbols[];
extern const uint32_t symbol_count;

/*
 * The name of the function that holds this address, and the bytes from its
 * start; NULL when the address is below all code.
 */
const char *symbol_lookup(uint64_t address, uint64_t *offset);

#endif
