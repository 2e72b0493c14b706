/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as a table DMAR: what it says about units and memory can be used as it is.
 */
#include "tests/fuzz/fuzz.h"
#include "lib/dmar.h"

#define PAGE 0x1000ULL

size_t fuzz_seed(unsigned int number, uint8_t *buffer)
{
	return number == 0 ? sample_dmar(buffer) : 0;
}

static void check(const struct dmar_range *range)
{
	REQUIRE(range->size != 0 && range->base + range->size > range->base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dmar dmar;

	if (dmar_parse(data, size, &dmar) != NULL)
		return 0;
	REQUIRE(dmar.unit_count > 0 && dmar.unit_count <= DMAR_UNITS_MAX);
	REQUIRE(dmar.reserved_count <= DMAR_RESERVED_MAX);
	for (uint32_t i = 0; i < dmar.unit_count; i++) {
		check(&dmar.units[i]);
		REQUIRE(dmar.units[i].base != 0 && dmar.units[i].base % PAGE == 0);
		REQUIRE(dmar.units[i].size % PAGE == 0);
	}
	for (uint32_t i = 0; i < dmar.reserved_count; i++)
		check(&dmar.reserved[i]);
	return 0;
}
