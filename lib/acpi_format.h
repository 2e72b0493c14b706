/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the formats of the ACPI tables (ACPI specification 6.5, chapter 5): offsets and lengths in
 * bytes, for the code that reads them and the code that writes some.
 */
#ifndef LIB_ACPI_FORMAT_H
#define LIB_ACPI_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/acpi.h"
#include "lib/string.h"

#define RSDP_SIGNATURE	"RSD PTR "
#define RSDP_CHECKSUM	8
#define RSDP_OEM	9
#define RSDP_REVISION	15
#define RSDP_RSDT	16
#define RSDP_SIZE_1	20 /* of revision 0, and what the first checksum covers */
#define RSDP_LENGTH	20
#define RSDP_XSDT	24
#define RSDP_CHECKSUM_2 32
#define RSDP_SIZE_2	36

#define SIGNATURE_SIZE 4
#define TABLE_LENGTH   4
#define TABLE_REVISION 8
#define TABLE_CHECKSUM 9
#define TABLE_OEM      10
#define OEM_SIZE       6
#define TABLE_HEADER   36
#define TABLE_MAX      0x1000000U /* no sound table is that large */

#define MADT_LOCAL_APIC	 36
#define MADT_FLAGS	 40
#define MADT_PCAT_COMPAT 1U /* in the flags: has two 8259 */
#define MADT_ENTRIES	 44

/* Entries of the MADT: type and size in a byte each, then what the type says. */
#define ENTRY_TYPE		  0
#define ENTRY_SIZE		  1
#define MADT_PROCESSOR		  0
#define MADT_PROCESSOR_SIZE	  8
#define PROCESSOR_UID		  2
#define PROCESSOR_APIC		  3
#define PROCESSOR_FLAGS		  4
#define MADT_IOAPIC		  1
#define MADT_IOAPIC_SIZE	  12
#define IOAPIC_ID		  2
#define IOAPIC_ADDRESS		  4
#define IOAPIC_FIRST		  8
#define MADT_OVERRIDE		  2
#define MADT_OVERRIDE_SIZE	  10
#define OVERRIDE_SOURCE		  3
#define OVERRIDE_INTERRUPT	  4
#define OVERRIDE_FLAGS		  8
#define MADT_NMI		  4
#define MADT_NMI_SIZE		  6
#define NMI_UID			  2
#define NMI_FLAGS		  3
#define NMI_LINT		  5
#define MADT_X2APIC		  9
#define MADT_X2APIC_SIZE	  16
#define X2APIC_ID		  4
#define X2APIC_FLAGS		  8
#define X2APIC_UID		  12
#define MADT_X2APIC_NMI		  10
#define MADT_X2APIC_NMI_SIZE	  12
#define X2APIC_NMI_FLAGS	  2
#define X2APIC_NMI_UID		  4
#define X2APIC_NMI_LINT		  8
#define MADT_WAKEUP		  16
#define MADT_ENABLED		  1U	/* in a processor's flags */
#define MADT_USABLE		  3U	/* enabled, or can be */
#define NMI_ALL_PROCESSORS	  0xffU /* in place of a UID */
#define X2APIC_NMI_ALL_PROCESSORS 0xffffffffU

/* MPS INTI flags: polarity in bits 1:0, trigger mode in bits 3:2. */
#define INTERRUPT_EDGE_HIGH  0x5U
#define INTERRUPT_LEVEL_HIGH 0xdU

/* Map a whole table and check it; NULL when it is not sound. */
const uint8_t *acpi_map_table(uint64_t physical, const char *signature, uint32_t *length);

/* The XSDT or RSDT, and the address in its entry at this offset. */
const uint8_t *acpi_map_root(const struct acpi *acpi, uint32_t *length);
uint64_t acpi_root_entry(const struct acpi *acpi, const uint8_t *root, uint32_t at);

static inline uint8_t acpi_sum(const uint8_t *bytes, size_t size)
{
	unsigned int sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += bytes[i];
	return (uint8_t)sum;
}

static inline uint32_t read_32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static inline uint64_t read_64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static inline void write_16(uint8_t *at, uint16_t value)
{
	memcpy(at, &value, sizeof(value));
}

static inline void write_32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static inline void write_64(uint8_t *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
}

#endif
