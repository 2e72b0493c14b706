/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as ACPI tables in physical memory, with the root pointer at
 * ACPI_RSDP. Checksums are set right first: else no damage gets past them.
 */
#include <stdbool.h>

#include "tests/fuzz/fuzz.h"
#include "lib/acpi.h"

#define ACPI_RSDP    0x10000ULL /* the same bytes as at 0, which means "no pointer" */
#define RSDP_SIZE    36
#define MAPPINGS_MAX 64

static uint8_t *memory;
static size_t memory_size;
static void *mappings[MAPPINGS_MAX];
static unsigned int mapping_count;

size_t fuzz_seed(unsigned int number, uint8_t *buffer)
{
	const size_t size = sample_acpi(buffer);

	if (number > 1)
		return 0;
	/* The second has a root pointer of revision 0. */
	if (number == 1)
		put_8(buffer, 15, 0);
	return size;
}

/* A copy of what was asked for: one byte more, and the sanitizer sees it. */
static const void *map_tables(uint64_t physical, size_t size)
{
	const uint64_t start = physical >= ACPI_RSDP ? physical - ACPI_RSDP : physical;
	void *copy;

	if (start > memory_size || size > memory_size - start || mapping_count == MAPPINGS_MAX)
		return NULL;
	copy = malloc(size);
	REQUIRE(copy != NULL);
	memcpy(copy, memory + start, size);
	mappings[mapping_count++] = copy;
	return copy;
}

static void unmap_all(void)
{
	while (mapping_count > 0)
		free(mappings[--mapping_count]);
}

static bool is_signature(const uint8_t *at)
{
	static const char *const signatures[] = { "RSDT", "XSDT", "FACP", "APIC", "DSDT" };

	for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++) {
		if (memcmp(at, signatures[i], 4) == 0)
			return true;
	}
	return false;
}

static void fix_checksums(void)
{
	for (size_t at = 0; at + RSDP_SIZE <= memory_size; at += 4) {
		uint32_t length;

		memcpy(&length, memory + at + 4, sizeof(length));
		if (is_signature(memory + at) && length >= RSDP_SIZE && length <= memory_size - at)
			fix_checksum(memory + at, length, 9);
	}
	if (memory_size >= RSDP_SIZE) {
		fix_checksum(memory, 20, 8);
		fix_checksum(memory, RSDP_SIZE, 32);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct acpi_machine machine;
	struct acpi_power power;
	struct acpi acpi;

	acpi_map = map_tables;
	memory_size = size;
	memory = malloc(size + 1);
	REQUIRE(memory != NULL);
	memcpy(memory, data, size);
	fix_checksums();
	if (acpi_init(&acpi, ACPI_RSDP) == NULL) {
		acpi_read_power(&acpi, &power);
		unmap_all();
		acpi_read_machine(&acpi, &machine);
		REQUIRE(machine.processor_count <= ACPI_PROCESSORS_MAX);
	}
	unmap_all();
	free(memory);
	return 0;
}
