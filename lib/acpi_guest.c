/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes the ACPI tables that a guest gets in place of the firmware's. Of these it changes nothing:
 * they stay where they are, and the guest's XSDT points to all but the MADT and DMAR.
 */
#include <assert.h>

#include "lib/acpi_format.h"
#include "lib/acpi_guest.h"
#include "lib/string.h"

#define TABLE_ALIGN	16U
#define RSDP_REVISION_2 2
#define XSDT_REVISION	1
#define MADT_REVISION	3 /* of ACPI 4.0, the first with x2APIC entries */
#define ISA_INTERRUPTS	16U
#define TIMER_SOURCE	0 /* ISA interrupt 0, which every chipset has at pin 2 ... */
#define TIMER_INTERRUPT 2 /* ... where the cascade of the two 8259 is otherwise */
#define NMI_PIN		1 /* of the local APIC: LINT1 */
#define FIRST_X2APIC_ID 255U

/* Where the firmware has no table to take OEM and creator from. */
static const char own_header[] = "????\0\0\0\0\0\0MANFRDMANFRED \1\0\0\0MNFR\1\0\0\0";
static_assert(sizeof(own_header) - 1 == TABLE_HEADER, "header of a table");

struct build {
	const struct acpi *acpi;
	const struct acpi_guest *guest;
	const uint8_t *root; /* the firmware's; NULL: none */
	uint32_t root_length;
	const uint8_t *madt; /* the firmware's; NULL: none */
	uint32_t madt_length;
	uint8_t *buffer;
	size_t size, at;
	bool full;
};

/* Room for so many bytes, all 0; NULL when there is none. */
static uint8_t *append(struct build *build, size_t size)
{
	uint8_t *const to = build->buffer + build->at;

	if (size > build->size - build->at) {
		build->full = true;
		return NULL;
	}
	build->at += size;
	return memset(to, 0, size);
}

static void append_copy(struct build *build, const uint8_t *from, size_t size)
{
	uint8_t *const to = append(build, size);

	if (to != NULL)
		memcpy(to, from, size);
}

static uint8_t *append_entry(struct build *build, uint8_t type, uint8_t size)
{
	uint8_t *const entry = append(build, size);

	if (entry != NULL) {
		entry[ENTRY_TYPE] = type;
		entry[ENTRY_SIZE] = size;
	}
	return entry;
}

/* Begin a table with this header; returns its offset in the buffer. */
static size_t begin_table(struct build *build, const uint8_t *header)
{
	const size_t gap = -build->at % TABLE_ALIGN;

	append(build, gap);
	append_copy(build, header, TABLE_HEADER);
	return build->full ? 0 : build->at - TABLE_HEADER;
}

static void set_checksum(uint8_t *bytes, size_t size, size_t checksum)
{
	bytes[checksum] = 0;
	bytes[checksum] = (uint8_t)-acpi_sum(bytes, size);
}

static void end_table(struct build *build, size_t at)
{
	const size_t length = build->at - at;

	if (build->full)
		return;
	write_32(build->buffer + at + TABLE_LENGTH, (uint32_t)length);
	set_checksum(build->buffer + at, length, TABLE_CHECKSUM);
}

/* A table's header with OEM and creator as the firmware has them. */
static const uint8_t *oem_header(const struct build *build)
{
	return build->root != NULL ? build->root : (const uint8_t *)own_header;
}

static void make_header(const struct build *build, const char *signature, uint8_t revision,
			uint8_t header[TABLE_HEADER])
{
	memcpy(header, oem_header(build), TABLE_HEADER);
	memcpy(header, signature, SIGNATURE_SIZE);
	header[TABLE_REVISION] = revision;
}

/* ---- What the firmware's MADT says ---- */

/* The entry at this offset; NULL behind the last, or where the table is damaged. */
static const uint8_t *entry_at(const struct build *build, uint32_t at)
{
	const uint8_t *entry;

	if (build->madt == NULL || at + 2 > build->madt_length)
		return NULL;
	entry = build->madt + at;
	return entry[ENTRY_SIZE] >= 2 && at + entry[ENTRY_SIZE] <= build->madt_length ? entry
										      : NULL;
}

#define for_each_entry(build, at, entry)                                        \
	for (uint32_t at = MADT_ENTRIES; (entry = entry_at(build, at)) != NULL; \
	     at += entry[ENTRY_SIZE])

struct processor {
	uint32_t apic_id, uid, flags;
};

static bool read_processor(const uint8_t *entry, struct processor *processor)
{
	const uint8_t type = entry[ENTRY_TYPE];
	const uint8_t size = entry[ENTRY_SIZE];

	if (type == MADT_PROCESSOR && size >= MADT_PROCESSOR_SIZE)
		*processor = (struct processor){ entry[PROCESSOR_APIC], entry[PROCESSOR_UID],
						 read_32(entry + PROCESSOR_FLAGS) };
	else if (type == MADT_X2APIC && size >= MADT_X2APIC_SIZE)
		*processor =
			(struct processor){ read_32(entry + X2APIC_ID), read_32(entry + X2APIC_UID),
					    read_32(entry + X2APIC_FLAGS) };
	else
		return false;
	return true;
}

/* One that is off for good may stay: it is nobody's. One that can be enabled later would be. */
static bool keeps_processor(const struct acpi_guest *guest, const struct processor *processor)
{
	if (!(processor->flags & MADT_ENABLED))
		return !(processor->flags & MADT_USABLE);
	for (uint32_t i = 0; i < guest->processor_count; i++)
		if (guest->apic_ids[i] == processor->apic_id)
			return true;
	return false;
}

static bool keeps_uid(const struct build *build, uint32_t uid)
{
	const uint8_t *entry;
	struct processor processor;

	for_each_entry(build, at, entry) if (read_processor(entry, &processor) &&
					     processor.uid == uid &&
					     keeps_processor(build->guest, &processor)) return true;
	return false;
}

static bool keeps_entry(const struct build *build, const uint8_t *entry)
{
	const uint8_t size = entry[ENTRY_SIZE];
	struct processor processor;
	uint32_t uid;

	switch (entry[ENTRY_TYPE]) {
	case MADT_PROCESSOR:
	case MADT_X2APIC:
		return read_processor(entry, &processor) &&
		       keeps_processor(build->guest, &processor);
	case MADT_NMI:
		return size >= MADT_NMI_SIZE &&
		       (entry[NMI_UID] == NMI_ALL_PROCESSORS || keeps_uid(build, entry[NMI_UID]));
	case MADT_X2APIC_NMI:
		if (size < MADT_X2APIC_NMI_SIZE)
			return false;
		uid = read_32(entry + X2APIC_NMI_UID);
		return uid == X2APIC_NMI_ALL_PROCESSORS || keeps_uid(build, uid);
	case MADT_WAKEUP: /* the firmware's mailbox: a guest's processors start by INIT and SIPI */
		return false;
	default:
		return true;
	}
}

/* ---- The guest's MADT ---- */

static bool firmware_has_apic(const struct build *build, uint32_t apic_id)
{
	const uint8_t *entry;
	struct processor processor;

	for_each_entry(build, at, entry) if (read_processor(entry, &processor) &&
					     processor.apic_id == apic_id &&
					     (processor.flags & MADT_ENABLED)) return true;
	return false;
}

static bool firmware_has_uid(const struct build *build, uint32_t uid)
{
	const uint8_t *entry;
	struct processor processor;

	for_each_entry(build, at, entry) if (read_processor(entry, &processor) &&
					     processor.uid == uid) return true;
	return false;
}

static void append_processor(struct build *build, uint32_t apic_id, uint32_t uid)
{
	const bool wide = apic_id >= FIRST_X2APIC_ID || uid >= NMI_ALL_PROCESSORS;
	uint8_t *const entry = append_entry(build, wide ? MADT_X2APIC : MADT_PROCESSOR,
					    wide ? MADT_X2APIC_SIZE : MADT_PROCESSOR_SIZE);

	if (entry == NULL)
		return;
	if (wide) {
		write_32(entry + X2APIC_ID, apic_id);
		write_32(entry + X2APIC_FLAGS, MADT_ENABLED);
		write_32(entry + X2APIC_UID, uid);
	} else {
		entry[PROCESSOR_UID] = (uint8_t)uid;
		entry[PROCESSOR_APIC] = (uint8_t)apic_id;
		write_32(entry + PROCESSOR_FLAGS, MADT_ENABLED);
	}
}

/* The guest's processors that the firmware does not name. */
static void append_missing_processors(struct build *build)
{
	uint32_t uid = 0;

	for (uint32_t i = 0; i < build->guest->processor_count; i++) {
		const uint32_t apic_id = build->guest->apic_ids[i];

		if (firmware_has_apic(build, apic_id))
			continue;
		while (firmware_has_uid(build, uid))
			uid++;
		append_processor(build, apic_id, uid++);
	}
}

static void append_ioapic(struct build *build, const struct acpi_ioapic *ioapic)
{
	uint8_t *const entry = append_entry(build, MADT_IOAPIC, MADT_IOAPIC_SIZE);

	if (entry == NULL)
		return;
	entry[IOAPIC_ID] = (uint8_t)ioapic->id;
	write_32(entry + IOAPIC_ADDRESS, ioapic->address);
	write_32(entry + IOAPIC_FIRST, ioapic->first_interrupt);
}

static void append_override(struct build *build, uint8_t source, uint32_t interrupt, uint16_t flags)
{
	uint8_t *const entry = append_entry(build, MADT_OVERRIDE, MADT_OVERRIDE_SIZE);

	if (entry == NULL)
		return;
	entry[OVERRIDE_SOURCE] = source;
	write_32(entry + OVERRIDE_INTERRUPT, interrupt);
	write_16(entry + OVERRIDE_FLAGS, flags);
}

/*
 * Interrupts are those of the ISA bus. The timer's flags are spelled out, although they are the
 * bus's: without a FADT, Linux takes interrupt 0 for ACPI's own, which is level-triggered by
 * default.
 */
static void append_interrupts(struct build *build)
{
	const struct acpi_guest *const guest = build->guest;

	for (uint32_t i = 0; i < guest->ioapic_count; i++)
		append_ioapic(build, &guest->ioapics[i]);
	if (guest->ioapic_count > 0)
		append_override(build, TIMER_SOURCE, TIMER_INTERRUPT, INTERRUPT_EDGE_HIGH);
	for (uint8_t i = 0; guest->ioapic_count > 0 && i < ISA_INTERRUPTS; i++)
		if (i != TIMER_SOURCE && i != TIMER_INTERRUPT &&
		    (guest->level_interrupts >> i & 1U))
			append_override(build, i, i, INTERRUPT_LEVEL_HIGH);
}

static void append_nmi(struct build *build)
{
	uint8_t *const entry = append_entry(build, MADT_NMI, MADT_NMI_SIZE);

	if (entry == NULL)
		return;
	entry[NMI_UID] = NMI_ALL_PROCESSORS;
	write_16(entry + NMI_FLAGS, INTERRUPT_EDGE_HIGH);
	entry[NMI_LINT] = NMI_PIN;
}

static void append_x2apic_nmi(struct build *build)
{
	uint8_t *const entry = append_entry(build, MADT_X2APIC_NMI, MADT_X2APIC_NMI_SIZE);

	if (entry == NULL)
		return;
	write_16(entry + X2APIC_NMI_FLAGS, INTERRUPT_EDGE_HIGH);
	write_32(entry + X2APIC_NMI_UID, X2APIC_NMI_ALL_PROCESSORS);
	entry[X2APIC_NMI_LINT] = NMI_PIN;
}

static size_t make_madt(struct build *build)
{
	uint8_t header[TABLE_HEADER];
	uint8_t fields[MADT_ENTRIES - TABLE_HEADER];
	size_t at;

	make_header(build, "APIC", MADT_REVISION, header);
	write_32(fields, build->guest->local_apic);
	write_32(fields + (MADT_FLAGS - TABLE_HEADER), MADT_PCAT_COMPAT);
	at = begin_table(build, header);
	append_copy(build, fields, sizeof(fields));
	append_missing_processors(build);
	append_interrupts(build);
	append_nmi(build);
	append_x2apic_nmi(build);
	end_table(build, at);
	return at;
}

static size_t copy_madt(struct build *build)
{
	const size_t at = begin_table(build, build->madt);
	const uint8_t *entry;

	append_copy(build, build->madt + TABLE_HEADER, MADT_ENTRIES - TABLE_HEADER);
	for_each_entry(build, offset, entry) if (keeps_entry(build, entry))
		append_copy(build, entry, entry[ENTRY_SIZE]);
	append_missing_processors(build);
	end_table(build, at);
	return at;
}

/* ---- The tables that lead to it ---- */

/* Also one that is not sound: its reader may be less exact. */
static bool is_hidden(const struct build *build, uint64_t table)
{
	const uint8_t *const signature = acpi_map(table, SIGNATURE_SIZE);

	return signature != NULL &&
	       (memcmp(signature, "APIC", SIGNATURE_SIZE) == 0 ||
		(build->guest->without_dmar && memcmp(signature, "DMAR", SIGNATURE_SIZE) == 0));
}

static void append_address(struct build *build, uint64_t address)
{
	uint8_t *const entry = append(build, sizeof(address));

	if (entry != NULL)
		write_64(entry, address);
}

static size_t make_xsdt(struct build *build, uint64_t madt)
{
	uint8_t header[TABLE_HEADER];
	size_t at;

	make_header(build, "XSDT", XSDT_REVISION, header);
	at = begin_table(build, header);
	for (uint32_t offset = TABLE_HEADER;
	     build->root != NULL && offset + build->acpi->entry_size <= build->root_length;
	     offset += build->acpi->entry_size) {
		const uint64_t table = acpi_root_entry(build->acpi, build->root, offset);

		if (table != 0 && !is_hidden(build, table))
			append_address(build, table);
	}
	append_address(build, madt);
	end_table(build, at);
	return at;
}

static void make_rsdp(struct build *build, uint64_t xsdt)
{
	uint8_t *const rsdp = build->buffer;

	memcpy(rsdp, RSDP_SIGNATURE, strlen(RSDP_SIGNATURE));
	memcpy(rsdp + RSDP_OEM, oem_header(build) + TABLE_OEM, OEM_SIZE);
	rsdp[RSDP_REVISION] = RSDP_REVISION_2;
	write_32(rsdp + RSDP_LENGTH, RSDP_SIZE_2);
	write_64(rsdp + RSDP_XSDT, xsdt);
	set_checksum(rsdp, RSDP_SIZE_1, RSDP_CHECKSUM);
	set_checksum(rsdp, RSDP_SIZE_2, RSDP_CHECKSUM_2);
}

static void find_tables(struct build *build)
{
	if (build->acpi == NULL)
		return;
	build->root = acpi_map_root(build->acpi, &build->root_length);
	build->madt = acpi_find(build->acpi, "APIC", &build->madt_length);
	if (build->madt != NULL && build->madt_length < MADT_ENTRIES)
		build->madt = NULL;
}

enum acpi_guest_tables acpi_guest_build(const struct acpi *acpi, const struct acpi_guest *guest,
					uint8_t *buffer, size_t size, uint64_t address)
{
	struct build build = { .acpi = acpi, .guest = guest, .buffer = buffer, .size = size };
	size_t madt, xsdt;

	find_tables(&build);
	append(&build, RSDP_SIZE_2);
	madt = build.madt != NULL ? copy_madt(&build) : make_madt(&build);
	if (!guest->without_dmar && !build.full && build.madt != NULL &&
	    build.at - madt == build.madt_length &&
	    memcmp(buffer + madt, build.madt, build.madt_length) == 0)
		return ACPI_GUEST_FIRMWARE;
	xsdt = make_xsdt(&build, address + madt);
	if (build.full)
		return ACPI_GUEST_TOO_LARGE;
	make_rsdp(&build, address + xsdt);
	return ACPI_GUEST_OWN;
}
