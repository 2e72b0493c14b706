/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as the firmware's ACPI tables: what a guest gets of them is sound, has a MADT, and
 * names exactly the guest's processors. The root pointer is right: fuzz_acpi.c has its damages.
 */
#include <stdbool.h>

#include "tests/fuzz/fuzz.h"
#include "lib/acpi_guest.h"

#define GUEST_AT     0x7fff0000ULL
#define MAPPINGS_MAX 4096

static const uint32_t apic_ids[] = { 0, 256, 77 };
#define PROCESSORS (sizeof(apic_ids) / sizeof(apic_ids[0]))

static uint8_t *memory;
static size_t memory_size;
static uint8_t *guest;
static void *mappings[MAPPINGS_MAX];
static unsigned int mapping_count;

size_t fuzz_seed(unsigned int number, uint8_t *buffer)
{
	/* NMIs of one and of all processors, an x2APIC's NMI, a mailbox. */
	static const uint8_t entries[] = { 4,  6, 0, 5, 0, 1, 4, 6,    0xff, 5, 0, 1,  10, 12,
					   5,  0, 3, 0, 0, 0, 1, 0,    0,    0, 9, 16, 0,  0,
					   77, 0, 0, 0, 1, 0, 0, 0,    9,    0, 0, 0,  16, 16,
					   0,  0, 0, 0, 0, 0, 0, 0x10, 0,    0, 0, 0,  0,  0 };
	const size_t size = sample_acpi(buffer);

	if (number > 1)
		return 0;
	if (number == 1) {
		memcpy(buffer + ACPI_AT_MADT + ACPI_MADT_LENGTH, entries, sizeof(entries));
		put_table(buffer, ACPI_AT_MADT, "APIC", ACPI_MADT_LENGTH + sizeof(entries));
	}
	return size;
}

/* A copy of what was asked for: one byte more, and the sanitizer sees it. */
static const void *map_tables(uint64_t physical, size_t size)
{
	const bool of_guest = physical >= GUEST_AT;
	const uint64_t start = of_guest ? physical - GUEST_AT : physical;
	const size_t limit = of_guest ? ACPI_GUEST_SIZE : memory_size;
	void *copy;

	if (start > limit || size > limit - start || mapping_count == MAPPINGS_MAX)
		return NULL;
	copy = malloc(size);
	REQUIRE(copy != NULL);
	memcpy(copy, (of_guest ? guest : memory) + start, size);
	mappings[mapping_count++] = copy;
	return copy;
}

static void unmap_all(void)
{
	while (mapping_count > 0)
		free(mappings[--mapping_count]);
}

/* Checksums right: else hardly a damage gets past them. */
static void fix_table(size_t at)
{
	uint32_t length;

	if (at + 36 > memory_size)
		return;
	memcpy(&length, memory + at + 4, sizeof(length));
	if (length >= 36 && length <= memory_size - at)
		fix_checksum(memory + at, length, 9);
}

static bool is_wanted(uint32_t apic_id)
{
	for (size_t i = 0; i < PROCESSORS; i++)
		if (apic_ids[i] == apic_id)
			return true;
	return false;
}

static void check_result(const struct acpi_guest *wish)
{
	static struct acpi_machine machine;
	struct acpi acpi;
	uint32_t length;
	bool seen[PROCESSORS] = { false };

	unmap_all();
	REQUIRE(acpi_init(&acpi, GUEST_AT) == NULL);
	REQUIRE(acpi_read_machine(&acpi, &machine));
	REQUIRE(!wish->without_dmar || acpi_find(&acpi, "DMAR", &length) == NULL);
	for (uint32_t i = 0; i < machine.processor_count; i++) {
		REQUIRE(is_wanted(machine.apic_ids[i]));
		for (size_t p = 0; p < PROCESSORS; p++)
			seen[p] |= apic_ids[p] == machine.apic_ids[i];
	}
	for (size_t p = 0; p < PROCESSORS; p++)
		REQUIRE(seen[p]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct acpi_guest wish = { .apic_ids = apic_ids, .processor_count = PROCESSORS };
	const struct acpi acpi = { size % 2 ? ACPI_AT_RSDT : ACPI_AT_XSDT, size % 2 ? 4 : 8 };

	acpi_map = map_tables;
	wish.without_dmar = size / 2 % 2;
	memory_size = size;
	memory = malloc(size + 1);
	guest = malloc(ACPI_GUEST_SIZE);
	REQUIRE(memory != NULL && guest != NULL);
	memcpy(memory, data, size);
	fix_table(ACPI_AT_RSDT);
	fix_table(ACPI_AT_XSDT);
	fix_table(ACPI_AT_MADT);
	if (acpi_guest_build(&acpi, &wish, guest, ACPI_GUEST_SIZE, GUEST_AT) == ACPI_GUEST_OWN)
		check_result(&wish);
	unmap_all();
	free(guest);
	free(memory);
	return 0;
}
