/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables of a guest that has the machine's devices, but not all of its processors, or
 * whose firmware has no MADT, or that does not get the VT-d units: a root pointer, an XSDT with the
 * firmware's tables, and a MADT.
 */
#ifndef LIB_ACPI_GUEST_H
#define LIB_ACPI_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/acpi.h"

#define ACPI_GUEST_SIZE 0x8000U /* bytes: a machine of ACPI_PROCESSORS_MAX processors fits */

struct acpi_guest {
	const uint32_t *apic_ids; /* the guest's processors */
	uint32_t processor_count;
	/* For a MADT where the firmware has none. */
	uint32_t local_apic; /* address of its page */
	uint32_t ioapic_count;
	struct acpi_ioapic ioapics[ACPI_IOAPICS_MAX];
	uint16_t level_interrupts; /* ISA interrupts that are level-triggered: a bit each */
	bool without_dmar;	   /* the VT-d units are not the guest's */
};

enum acpi_guest_tables {
	ACPI_GUEST_FIRMWARE, /* nothing is to change: the guest gets the firmware's */
	ACPI_GUEST_OWN,	     /* the guest gets those in the buffer; it starts with the RSDP */
	ACPI_GUEST_TOO_LARGE,
};

/*
 * Build them in the `size` bytes of `buffer`, which the guest has at the physical address
 * `address`, a multiple of 16. `acpi` is the firmware's tables, NULL when there are none; what is
 * damaged in them is left out.
 */
enum acpi_guest_tables acpi_guest_build(const struct acpi *acpi, const struct acpi_guest *guest,
					uint8_t *buffer, size_t size, uint64_t address);

#endif
