/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reader of the ACPI table DMAR, which says where a machine's VT-d units are (VT-d specification,
 * chapter 8). Trusts no length in it.
 */
#ifndef LIB_DMAR_H
#define LIB_DMAR_H

#include <stddef.h>
#include <stdint.h>

#define DMAR_UNITS_MAX	  64
#define DMAR_RESERVED_MAX 64

/* Bytes from `base` on; never of size 0, and never beyond the end of the address space. */
struct dmar_range {
	uint64_t base, size;
};

struct dmar {
	uint32_t unit_count; /* at least 1 */
	uint32_t reserved_count;
	struct dmar_range units[DMAR_UNITS_MAX];       /* their registers, in whole pages */
	struct dmar_range reserved[DMAR_RESERVED_MAX]; /* memory that firmware's devices use */
};

/* Read a table of this length, whose checksum is right. Returns NULL, or what is wrong. */
const char *dmar_parse(const uint8_t *table, size_t length, struct dmar *dmar);

#endif
