/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the table DMAR. One that names more than there is room for is refused as a whole: a unit
 * that is left out would translate nothing.
 */
#include "lib/dmar.h"

#include "lib/acpi_format.h"
#include "lib/layout.h"

#define DMAR_ENTRIES 48

/* Structures: type and size in two bytes each, then what the type says. */
#define STRUCTURE_SIZE	 2
#define STRUCTURE_HEADER 4
#define TYPE_UNIT	 0 /* DRHD */
#define TYPE_RESERVED	 1 /* RMRR */
#define UNIT_PAGES	 5 /* bits 3:0: 2^N pages of registers; 0 in older tables */
#define UNIT_PAGES_MASK	 0xfU
#define UNIT_BASE	 8
#define UNIT_MIN	 16
#define RESERVED_BASE	 8
#define RESERVED_LAST	 16
#define RESERVED_MIN	 24

static uint16_t read_16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static const char *add_unit(struct dmar *dmar, const uint8_t *at)
{
	const uint64_t base = read_64(at + UNIT_BASE);
	const uint64_t size = PAGE_SIZE << (at[UNIT_PAGES] & UNIT_PAGES_MASK);

	if (base == 0 || base % PAGE_SIZE != 0 || base > UINT64_MAX - size)
		return "a unit has no sound address";
	if (dmar->unit_count == DMAR_UNITS_MAX)
		return "it names too many units";
	dmar->units[dmar->unit_count++] = (struct dmar_range){ base, size };
	return NULL;
}

static const char *add_reserved(struct dmar *dmar, const uint8_t *at)
{
	const uint64_t base = read_64(at + RESERVED_BASE);
	const uint64_t last = read_64(at + RESERVED_LAST);

	if (last < base || last == UINT64_MAX)
		return "a reserved range has no sound address";
	if (dmar->reserved_count == DMAR_RESERVED_MAX)
		return "it names too many reserved ranges";
	dmar->reserved[dmar->reserved_count++] = (struct dmar_range){ base, last - base + 1 };
	return NULL;
}

const char *dmar_parse(const uint8_t *table, size_t length, struct dmar *dmar)
{
	size_t size;

	*dmar = (struct dmar){ 0 };
	for (size_t at = DMAR_ENTRIES; at < length; at += size) {
		const char *error = NULL;
		uint16_t type;

		if (length - at < STRUCTURE_HEADER)
			return "a structure is cut off";
		type = read_16(table + at);
		size = read_16(table + at + STRUCTURE_SIZE);
		if (size < STRUCTURE_HEADER || size > length - at ||
		    (type == TYPE_UNIT && size < UNIT_MIN) ||
		    (type == TYPE_RESERVED && size < RESERVED_MIN))
			return "a structure has a wrong size";
		if (type == TYPE_UNIT)
			error = add_unit(dmar, table + at);
		else if (type == TYPE_RESERVED)
			error = add_reserved(dmar, table + at);
		if (error != NULL)
			return error;
	}
	return dmar->unit_count == 0 ? "it names no unit" : NULL;
}
