/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads ACPI tables. Trusts no length in them.
 */
#include "lib/acpi.h"
#include "lib/acpi_format.h"
#include "lib/string.h"

const void *(*acpi_map)(uint64_t physical, size_t size);

#define FADT_DSDT	    40
#define FADT_SMI_COMMAND    48
#define FADT_ACPI_ENABLE    52
#define FADT_PM1A_CONTROL   64
#define FADT_PM1B_CONTROL   68
#define FADT_FLAGS	    112
#define FADT_RESET	    116 /* a generic address: space, 3 bytes, address */
#define FADT_RESET_VALUE    128
#define FADT_X_DSDT	    140
#define FADT_X_PM1A_CONTROL 172 /* generic addresses, as from ACPI 2.0 on */
#define FADT_X_PM1B_CONTROL 184
#define FADT_HAS_RESET	    (1U << 10) /* in the flags */
#define GENERIC_ADDRESS	    4
#define GENERIC_SIZE	    12
#define PORTS		    0x10000U
#define FADT_SIZE_1	    116 /* of ACPI 1.0: no reset register */

#define AML_ZERO    0x00
#define AML_ONE	    0x01
#define AML_NAME    0x08
#define AML_BYTE    0x0a
#define AML_PACKAGE 0x12
#define AML_ROOT    '\\'

static bool sums_to_zero(const uint8_t *bytes, size_t size)
{
	return acpi_sum(bytes, size) == 0;
}

const uint8_t *acpi_map_table(uint64_t physical, const char *signature, uint32_t *length)
{
	const uint8_t *table = acpi_map(physical, TABLE_HEADER);

	if (table == NULL || memcmp(table, signature, SIGNATURE_SIZE) != 0)
		return NULL;
	*length = read_32(table + TABLE_LENGTH);
	if (*length < TABLE_HEADER || *length > TABLE_MAX)
		return NULL;
	table = acpi_map(physical, *length);
	return table != NULL && sums_to_zero(table, *length) ? table : NULL;
}

const uint8_t *acpi_map_root(const struct acpi *acpi, uint32_t *length)
{
	const bool wide = acpi->entry_size == sizeof(uint64_t);

	return acpi_map_table(acpi->root, wide ? "XSDT" : "RSDT", length);
}

uint64_t acpi_root_entry(const struct acpi *acpi, const uint8_t *root, uint32_t at)
{
	return acpi->entry_size == sizeof(uint64_t) ? read_64(root + at) : read_32(root + at);
}

const char *acpi_init(struct acpi *acpi, uint64_t rsdp)
{
	const uint8_t *pointer = rsdp == 0 ? NULL : acpi_map(rsdp, RSDP_SIZE_1);
	uint32_t length;

	if (pointer == NULL)
		return "the firmware gave no ACPI root pointer";
	if (memcmp(pointer, RSDP_SIGNATURE, strlen(RSDP_SIGNATURE)) != 0 ||
	    !sums_to_zero(pointer, RSDP_SIZE_1))
		return "the ACPI root pointer is damaged";
	*acpi = (struct acpi){ read_32(pointer + RSDP_RSDT), sizeof(uint32_t) };
	if (pointer[RSDP_REVISION] >= 2) {
		pointer = acpi_map(rsdp, RSDP_SIZE_2);
		if (pointer == NULL || !sums_to_zero(pointer, RSDP_SIZE_2))
			return "the ACPI root pointer is damaged";
		if (read_64(pointer + RSDP_XSDT) != 0)
			*acpi = (struct acpi){ read_64(pointer + RSDP_XSDT), sizeof(uint64_t) };
	}
	if (acpi_map_root(acpi, &length) == NULL)
		return "the ACPI root table is damaged";
	return NULL;
}

const void *acpi_find(const struct acpi *acpi, const char *signature, uint32_t *length)
{
	uint32_t root_length;
	const uint8_t *root = acpi_map_root(acpi, &root_length);

	if (root == NULL)
		return NULL;
	for (uint32_t at = TABLE_HEADER; at + acpi->entry_size <= root_length;
	     at += acpi->entry_size) {
		const uint8_t *table =
			acpi_map_table(acpi_root_entry(acpi, root, at), signature, length);

		if (table != NULL)
			return table;
	}
	return NULL;
}

/* One element of a package of small integers; false at anything else. */
static bool take_integer(const uint8_t **next, const uint8_t *end, uint8_t *value)
{
	if (*next == end)
		return false;
	*value = *(*next)++;
	if (*value == AML_ZERO || *value == AML_ONE)
		return true;
	if (*value != AML_BYTE || *next == end)
		return false;
	*value = *(*next)++;
	return true;
}

/*
 * `at` is behind the letters _S5_: is this its package? PackageOp, the length in
 * one to four bytes (the top two bits of the first tell how many follow), the
 * count, the elements.
 */
static bool read_sleep_package(const uint8_t *at, const uint8_t *end, struct acpi_power *power)
{
	size_t length_bytes;

	if (end - at < 2 || at[0] != AML_PACKAGE)
		return false;
	length_bytes = 1 + (at[1] >> 6);
	at++;
	if ((size_t)(end - at) < length_bytes + 1 || at[length_bytes] < 2)
		return false;
	at += length_bytes + 1;
	return take_integer(&at, end, &power->sleep_5a) && take_integer(&at, end, &power->sleep_5b);
}

/*
 * Without an interpreter for AML: look for the definition of the name \_S5 in a table. Firmware
 * writes it as a constant, in practice always.
 */
static bool sleep_5_in(const uint8_t *table, uint32_t length, struct acpi_power *power)
{
	const size_t name_size = 4;
	const uint8_t *const end = table + length;

	for (const uint8_t *at = table + TABLE_HEADER; at + name_size <= end; at++) {
		if (memcmp(at, "_S5_", name_size) != 0)
			continue;
		if (at[-1] != AML_NAME && !(at[-1] == AML_ROOT && at[-2] == AML_NAME))
			continue;
		if (read_sleep_package(at + name_size, end, power))
			return true;
	}
	return false;
}

/* In the DSDT, or in any of the SSDTs, which add to it. */
static bool find_sleep_5(const struct acpi *acpi, uint64_t dsdt, struct acpi_power *power)
{
	uint32_t root_length, length;
	const uint8_t *table = acpi_map_table(dsdt, "DSDT", &length);
	const uint8_t *const root = acpi_map_root(acpi, &root_length);

	if (table != NULL && sleep_5_in(table, length, power))
		return true;
	if (root == NULL)
		return false;
	for (uint32_t at = TABLE_HEADER; at + acpi->entry_size <= root_length;
	     at += acpi->entry_size) {
		table = acpi_map_table(acpi_root_entry(acpi, root, at), "SSDT", &length);
		if (table != NULL && sleep_5_in(table, length, power))
			return true;
	}
	return false;
}

static uint32_t port_or_none(uint64_t port)
{
	return port < PORTS ? (uint32_t)port : 0;
}

/*
 * The port of a power control register, which has a field of 32 bits, and later a generic address
 * that counts when it is not 0 (ACPI 6.5, table 5.9). A register in memory is not used. 0: none.
 */
static uint32_t control_port(const uint8_t *fadt, uint32_t length, uint32_t field, uint32_t x_field)
{
	if (length >= x_field + GENERIC_SIZE && fadt[x_field] == ACPI_SPACE_IO) {
		const uint32_t port = port_or_none(read_64(fadt + x_field + GENERIC_ADDRESS));

		if (port != 0)
			return port;
	}
	return port_or_none(read_32(fadt + field));
}

bool acpi_read_power(const struct acpi *acpi, struct acpi_power *power)
{
	uint32_t length;
	const uint8_t *fadt = acpi_find(acpi, "FACP", &length);
	uint64_t dsdt;

	*power = (struct acpi_power){ 0 };
	if (fadt == NULL || length < FADT_SIZE_1)
		return false;
	power->smi_command = port_or_none(read_32(fadt + FADT_SMI_COMMAND));
	power->acpi_enable = fadt[FADT_ACPI_ENABLE];
	power->pm1a_control = control_port(fadt, length, FADT_PM1A_CONTROL, FADT_X_PM1A_CONTROL);
	power->pm1b_control = control_port(fadt, length, FADT_PM1B_CONTROL, FADT_X_PM1B_CONTROL);
	if (length > FADT_RESET_VALUE && (read_32(fadt + FADT_FLAGS) & FADT_HAS_RESET)) {
		power->reset_space = fadt[FADT_RESET];
		power->reset_address = read_64(fadt + FADT_RESET + GENERIC_ADDRESS);
		power->reset_value = fadt[FADT_RESET_VALUE];
		power->has_reset =
			power->reset_space != ACPI_SPACE_IO || power->reset_address < PORTS;
	}
	dsdt = read_32(fadt + FADT_DSDT);
	if (length >= FADT_X_DSDT + sizeof(uint64_t) && read_64(fadt + FADT_X_DSDT) != 0)
		dsdt = read_64(fadt + FADT_X_DSDT);
	power->has_sleep_5 = find_sleep_5(acpi, dsdt, power);
	return true;
}

static bool is_listed(const struct acpi_machine *machine, uint32_t apic_id)
{
	for (uint32_t i = 0; i < machine->processor_count; i++)
		if (machine->apic_ids[i] == apic_id)
			return true;
	return false;
}

/*
 * What can be enabled later is not there yet, or the firmware does not want it to run. Some
 * firmware lists a processor twice, in both forms; a second start would be a reset of the first.
 */
static void add_processor(struct acpi_machine *machine, uint32_t apic_id, uint32_t flags)
{
	if (!(flags & MADT_ENABLED) || is_listed(machine, apic_id))
		return;
	if (machine->processor_count < ACPI_PROCESSORS_MAX)
		machine->apic_ids[machine->processor_count++] = apic_id;
	else
		machine->processors_beyond++;
}

/* An entry of the MADT starts with its type and its size. */
static void add_entry(struct acpi_machine *machine, const uint8_t *entry)
{
	const uint8_t type = entry[0];
	const uint8_t size = entry[1];

	/* The highest number of each form stands for all processors. */
	if (type == MADT_PROCESSOR && size >= MADT_PROCESSOR_SIZE &&
	    entry[PROCESSOR_APIC] != UINT8_MAX)
		add_processor(machine, entry[PROCESSOR_APIC], read_32(entry + PROCESSOR_FLAGS));
	if (type == MADT_X2APIC && size >= MADT_X2APIC_SIZE &&
	    read_32(entry + X2APIC_ID) != UINT32_MAX)
		add_processor(machine, read_32(entry + X2APIC_ID), read_32(entry + X2APIC_FLAGS));
}

bool acpi_read_machine(const struct acpi *acpi, struct acpi_machine *machine)
{
	uint32_t length;
	const uint8_t *madt = acpi_find(acpi, "APIC", &length);

	*machine = (struct acpi_machine){ 0 };
	if (madt == NULL)
		return false;
	for (uint32_t at = MADT_ENTRIES; at + 2 <= length; at += madt[at + 1]) {
		if (madt[at + 1] < 2 || at + madt[at + 1] > length)
			return false;
		add_entry(machine, madt + at);
	}
	return true;
}
