/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reader of the few ACPI tables that Manfred needs (ACPI specification 6.5,
 * chapter 5). Interprets no AML. Numbers in tables are at any alignment.
 */
#ifndef LIB_ACPI_H
#define LIB_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACPI_PROCESSORS_MAX 512
#define ACPI_IOAPICS_MAX    32

/*
 * The program that uses the library sets this, before anything else here: make `size` bytes of
 * physical memory readable, until the end. NULL: they cannot be.
 */
extern const void *(*acpi_map)(uint64_t physical, size_t size);

struct acpi {
	uint64_t root;	     /* the XSDT, or the RSDT */
	uint32_t entry_size; /* 8 in the XSDT, 4 in the RSDT */
};

/* Check the root pointer and the table it points to. Returns NULL, or what is wrong. */
const char *acpi_init(struct acpi *acpi, uint64_t rsdp);

/*
 * The first sound table with this signature of four letters, and its length in
 * bytes. NULL: there is none.
 */
const void *acpi_find(const struct acpi *acpi, const char *signature, uint32_t *length);

/* How to end: I/O ports, 0 for none. */
struct acpi_power {
	uint32_t smi_command; /* write acpi_enable there to get ACPI mode */
	uint8_t acpi_enable;
	uint32_t pm1a_control;
	uint32_t pm1b_control;
	bool has_sleep_5;
	uint8_t sleep_5a, sleep_5b; /* SLP_TYP of the two, for "soft off" */
	bool has_reset;
	uint8_t reset_space; /* ACPI_SPACE_* */
	uint8_t reset_value;
	uint64_t reset_address;
};

enum { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1, ACPI_SPACE_PCI_CONFIG = 2 };

/* Read FADT and DSDT. Returns false when there is no sound FADT. */
bool acpi_read_power(const struct acpi *acpi, struct acpi_power *power);

struct acpi_ioapic {
	uint32_t id;
	uint32_t address;
	uint32_t first_interrupt; /* global system interrupt */
};

struct acpi_machine {
	uint32_t processor_count;
	uint32_t processors_beyond;		/* more than there is room for */
	uint32_t apic_ids[ACPI_PROCESSORS_MAX]; /* of those that are enabled, each once */
};

/* Read the MADT, as many processors as fit. Returns false when there is no sound one. */
bool acpi_read_machine(const struct acpi *acpi, struct acpi_machine *machine);

#endif
