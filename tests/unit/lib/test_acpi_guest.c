/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/acpi_guest.c: what it makes of tables by hand is read back with lib/acpi.c, and the entries
 * of the MADT are compared byte by byte.
 */
#include "tests/unit/samples.h"
#include "tests/unit/unit.h"
#include "lib/acpi_guest.h"

#define RSDP_OFFSET 0x1000ULL /* as in test_acpi.c: the sample, since address 0 is no pointer */
#define GUEST_AT    0x7fff0000ULL
#define ENTRIES	    44

static uint8_t memory[SAMPLE_MAX];
static uint8_t buffer[ACPI_GUEST_SIZE];
static struct acpi firmware;
static struct acpi guest_acpi;
static struct acpi_guest wish;
static const uint8_t *madt; /* the guest's */
static uint32_t madt_length;

static const void *map_tables(uint64_t physical, size_t size)
{
	const uint64_t start = physical >= RSDP_OFFSET ? physical - RSDP_OFFSET : physical;

	if (physical >= GUEST_AT)
		return physical - GUEST_AT <= sizeof(buffer) &&
				       size <= sizeof(buffer) - (physical - GUEST_AT)
			       ? buffer + (physical - GUEST_AT)
			       : NULL;
	if (start > ACPI_SAMPLE_SIZE || size > ACPI_SAMPLE_SIZE - start)
		return NULL;
	return memory + start;
}

static int set_up(void **state __attribute__((unused)))
{
	sample_acpi(memory);
	memset(buffer, 0xee, sizeof(buffer));
	memset(&wish, 0, sizeof(wish));
	assert_null(acpi_init(&firmware, RSDP_OFFSET));
	return 0;
}

static enum acpi_guest_tables build(const struct acpi *acpi, const uint32_t *ids, uint32_t count)
{
	wish.apic_ids = ids;
	wish.processor_count = count;
	return acpi_guest_build(acpi, &wish, buffer, sizeof(buffer), GUEST_AT);
}

#define BUILD(acpi, ...)                               \
	build(acpi, (const uint32_t[]){ __VA_ARGS__ }, \
	      sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

/* Read the guest's tables: a sound root pointer, an XSDT, one MADT. */
static void read_back(void)
{
	assert_null(acpi_init(&guest_acpi, GUEST_AT));
	assert_int_equal(guest_acpi.entry_size, 8);
	madt = acpi_find(&guest_acpi, "APIC", &madt_length);
	assert_non_null(madt);
	assert_in_range((uintptr_t)madt, (uintptr_t)buffer, (uintptr_t)buffer + sizeof(buffer));
	assert_int_equal(((uintptr_t)madt - (uintptr_t)buffer) % 16, 0);
}

static void expect_entries(const uint8_t *entries, size_t size)
{
	read_back();
	assert_int_equal(madt_length, ENTRIES + size);
	assert_memory_equal(madt + ENTRIES, entries, size);
}

#define EXPECT_ENTRIES(...) \
	expect_entries((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* Other entries instead of those of the sample's MADT. */
static void set_madt(const uint8_t *entries, size_t size)
{
	memcpy(memory + ACPI_AT_MADT + ENTRIES, entries, size);
	put_table(memory, ACPI_AT_MADT, "APIC", (uint32_t)(ENTRIES + size));
}

#define SET_MADT(...) \
	set_madt((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* Entries of a processor with a local APIC, with an x2APIC, and of an NMI; of IDs below 256. */
#define LOCAL(uid, id, flags)  0, 8, uid, id, flags, 0, 0, 0
#define X2APIC(id, flags, uid) 9, 16, 0, 0, id, 0, 0, 0, flags, 0, 0, 0, uid, 0, 0, 0
#define NMI(uid)	       4, 6, uid, 5, 0, 1
#define X2APIC_NMI(uid)	       10, 12, 5, 0, uid, 0, 0, 0, 1, 0, 0, 0
#define IOAPIC		       1, 12, 7, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0
#define ALL		       0xff
#define ANY_NMI		       10, 12, 5, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0
#define TIMER		       2, 10, 0, 0, 2, 0, 0, 0, 5, 0

TEST(nothing_to_change)
{
	assert_int_equal(BUILD(&firmware, 0, 4, 256), ACPI_GUEST_FIRMWARE);
	assert_int_equal(BUILD(&firmware, 256, 4, 0), ACPI_GUEST_FIRMWARE);
}

TEST(a_guest_with_fewer_processors_sees_no_others)
{
	assert_int_equal(BUILD(&firmware, 0, 256), ACPI_GUEST_OWN);
	EXPECT_ENTRIES(LOCAL(0, 0, 1), LOCAL(2, 6, 0),			/* */
		       9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, /* */
		       1, 12, 7, 0, 0, 0, 0xc0, 0xfe, 24, 0, 0, 0,	/* */
		       2, 10, 0, 0, 2, 0, 0, 0, 0, 0);
}

TEST(address_flags_and_oem_of_a_madt_are_the_firmware_s)
{
	memcpy(memory + ACPI_AT_MADT + 10, "VENDORBOARD-42", 14);
	put_8(memory, ACPI_AT_MADT + 8, 5);
	put_32(memory, ACPI_AT_MADT + 36, 0xfee01000);
	put_32(memory, ACPI_AT_MADT + 40, 0);
	put_table(memory, ACPI_AT_MADT, "APIC", ACPI_MADT_LENGTH);
	assert_int_equal(BUILD(&firmware, 0), ACPI_GUEST_OWN);
	read_back();
	assert_memory_equal(madt + 10, "VENDORBOARD-42", 14);
	assert_int_equal(madt[8], 5);
	assert_memory_equal(madt + 36, memory + ACPI_AT_MADT + 36, 8);
}

TEST(the_other_tables_stay)
{
	uint32_t length, root_length;
	const uint8_t *root;

	assert_int_equal(BUILD(&firmware, 0), ACPI_GUEST_OWN);
	read_back();
	assert_ptr_equal(acpi_find(&guest_acpi, "FACP", &length), memory + ACPI_AT_FADT);
	root = acpi_map(guest_acpi.root, 36);
	memcpy(&root_length, root + 4, sizeof(root_length));
	assert_int_equal(root_length, 36 + 2 * 8);
}

TEST(tables_by_the_rsdt)
{
	uint32_t length;

	firmware = (struct acpi){ ACPI_AT_RSDT, 4 };
	assert_int_equal(BUILD(&firmware, 4), ACPI_GUEST_OWN);
	read_back();
	assert_ptr_equal(acpi_find(&guest_acpi, "FACP", &length), memory + ACPI_AT_FADT);
}

TEST(nmi_entries_go_with_their_processor)
{
	SET_MADT(LOCAL(0, 0, 1), LOCAL(1, 4, 1), NMI(0), NMI(1), NMI(ALL), NMI(9), X2APIC_NMI(1),
		 X2APIC_NMI(0), ANY_NMI);
	assert_int_equal(BUILD(&firmware, 0), ACPI_GUEST_OWN);
	EXPECT_ENTRIES(LOCAL(0, 0, 1), NMI(0), NMI(ALL), X2APIC_NMI(0), ANY_NMI);
}

TEST(other_entries_are_copied)
{
	SET_MADT(5, 12, 0, 0, 0, 0, 0xe0, 0xfe, 0, 0, 0, 0, /* address of the local APIC */
		 LOCAL(0, 0, 1), LOCAL(1, 4, 1),	    /* */
		 3, 8, 5, 0, 7, 0, 0, 0,		    /* NMI source */
		 0x7f, 5, 1, 2, 3,			    /* of a type to come */
		 2, 10, 0, 9, 9, 0, 0, 0, 0xd, 0);
	assert_int_equal(BUILD(&firmware, 4), ACPI_GUEST_OWN);
	EXPECT_ENTRIES(5, 12, 0, 0, 0, 0, 0xe0, 0xfe, 0, 0, 0, 0, /* */
		       LOCAL(1, 4, 1),				  /* */
		       3, 8, 5, 0, 7, 0, 0, 0,			  /* */
		       0x7f, 5, 1, 2, 3,			  /* */
		       2, 10, 0, 9, 9, 0, 0, 0, 0xd, 0);
}

/* The firmware's way to wake processors would go around the VMM. */
TEST(no_wakeup_mailbox)
{
	SET_MADT(LOCAL(0, 0, 1), 16, 16, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0);
	assert_int_equal(BUILD(&firmware, 0), ACPI_GUEST_OWN);
	EXPECT_ENTRIES(LOCAL(0, 0, 1));
}

TEST(processors_by_both_kinds_of_entries)
{
	SET_MADT(LOCAL(0, 0, 1), LOCAL(1, 4, 3), X2APIC(0, 1, 0), X2APIC(4, 1, 1));
	assert_int_equal(BUILD(&firmware, 4, 0), ACPI_GUEST_FIRMWARE);
	assert_int_equal(BUILD(&firmware, 4), ACPI_GUEST_OWN);
	EXPECT_ENTRIES(LOCAL(1, 4, 3), X2APIC(4, 1, 1));
}

/* One that can be switched on later would be, and not by the VMM. */
TEST(processors_that_wait_to_be_added)
{
	SET_MADT(LOCAL(0, 0, 1), LOCAL(1, 4, 2), LOCAL(2, 8, 0));
	assert_int_equal(BUILD(&firmware, 0), ACPI_GUEST_OWN);
	EXPECT_ENTRIES(LOCAL(0, 0, 1), LOCAL(2, 8, 0));
}

TEST(processors_that_the_firmware_does_not_name)
{
	SET_MADT(LOCAL(1, 0, 1), LOCAL(0, 8, 0));
	assert_int_equal(BUILD(&firmware, 0, 4, 8, 255), ACPI_GUEST_OWN);
	EXPECT_ENTRIES(LOCAL(1, 0, 1), LOCAL(0, 8, 0), LOCAL(2, 4, 1), LOCAL(3, 8, 1),
		       X2APIC(255, 1, 4));
}

TEST(damaged_entries_are_left_out)
{
	/* Too short for their type. */
	SET_MADT(LOCAL(0, 0, 1), 0, 7, 1, 4, 1, 0, 0, 4, 5, ALL, 5, 0, 10, 11, 5, 0, ALL, ALL, ALL,
		 ALL, 1, 0, 0, 9, 15, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, IOAPIC);
	assert_int_equal(BUILD(&firmware, 0), ACPI_GUEST_OWN);
	EXPECT_ENTRIES(LOCAL(0, 0, 1), IOAPIC);
	/* What lies behind an entry without a size cannot be told. */
	set_up(NULL);
	SET_MADT(LOCAL(0, 0, 1), 1, 0, LOCAL(1, 4, 1));
	assert_int_equal(BUILD(&firmware, 0, 4), ACPI_GUEST_OWN);
	EXPECT_ENTRIES(LOCAL(0, 0, 1), LOCAL(1, 4, 1));
	/* One that ends behind the table. */
	set_up(NULL);
	SET_MADT(LOCAL(0, 0, 1), 1, 12, 7);
	assert_int_equal(BUILD(&firmware, 0), ACPI_GUEST_OWN);
	EXPECT_ENTRIES(LOCAL(0, 0, 1));
}

TEST(a_madt_made_anew)
{
	memcpy(memory + ACPI_AT_XSDT + 10, "VENDORBOARD-42", 14);
	memcpy(memory + ACPI_AT_MADT, "HPET", 4);
	put_table(memory, ACPI_AT_MADT, "HPET", ACPI_MADT_LENGTH);
	put_table(memory, ACPI_AT_XSDT, "XSDT", 52);
	wish.local_apic = 0xfee00000;
	wish.ioapic_count = 1;
	wish.ioapics[0] = (struct acpi_ioapic){ 7, 0xfec00000, 0 };
	wish.level_interrupts = 1U << 9 | 1U << 11 | 1U << 0 | 1U << 2;
	assert_int_equal(BUILD(&firmware, 0, 3), ACPI_GUEST_OWN);
	EXPECT_ENTRIES(LOCAL(0, 0, 1), LOCAL(1, 3, 1), IOAPIC, TIMER, /* */
		       2, 10, 0, 9, 9, 0, 0, 0, 0xd, 0,		      /* */
		       2, 10, 0, 11, 11, 0, 0, 0, 0xd, 0,	      /* */
		       NMI(ALL), ANY_NMI);
	assert_memory_equal(madt + 10, "VENDORBOARD-42", 14);
	assert_memory_equal(buffer + 9, "VENDOR", 6);
	assert_memory_equal(madt + 36, "\x00\x00\xe0\xfe\x01\x00\x00\x00", 8);
}

TEST(tables_without_any_of_a_firmware)
{
	assert_int_equal(BUILD(NULL, 0, 0x12345), ACPI_GUEST_OWN);
	EXPECT_ENTRIES(LOCAL(0, 0, 1),					      /* */
		       9, 16, 0, 0, 0x45, 0x23, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, /* */
		       NMI(ALL), ANY_NMI);
	assert_memory_equal(buffer + 9, "MANFRD", 6);
}

/* Entries of the guest's XSDT, and how many of them are tables with this signature. */
static unsigned int count_tables(const char *signature, unsigned int *of)
{
	const uint8_t *const root = acpi_map(guest_acpi.root, 36);
	unsigned int found = 0;
	uint32_t length;

	memcpy(&length, root + 4, sizeof(length));
	*of = (length - 36) / 8;
	for (unsigned int i = 0; i < *of; i++) {
		uint64_t address;

		memcpy(&address, root + 36 + i * 8, sizeof(address));
		found += memcmp(acpi_map(address, 4), signature, 4) == 0;
	}
	return found;
}

/* The MADT may stay as it is, but not among the tables that lead to DMAR. */
TEST(dmar_is_left_out)
{
	static const uint32_t all[] = { 0, 4, 256 };
	unsigned int tables;

	memmove(memory + ACPI_AT_XSDT + 44 + 8, memory + ACPI_AT_XSDT + 44, 8);
	put_64(memory, ACPI_AT_XSDT + 44, ACPI_AT_DSDT); /* in the middle */
	put_table(memory, ACPI_AT_XSDT, "XSDT", 60);
	put_table(memory, ACPI_AT_DSDT, "DMAR", 60);
	assert_int_equal(build(&firmware, all, COUNT_OF(all)), ACPI_GUEST_FIRMWARE);
	wish.without_dmar = true;
	assert_int_equal(build(&firmware, all, COUNT_OF(all)), ACPI_GUEST_OWN);
	read_back();
	assert_int_equal(count_tables("DMAR", &tables), 0);
	assert_int_equal(tables, 2);
	assert_int_equal(count_tables("FACP", &tables), 1);
	assert_int_equal(madt_length, ACPI_MADT_LENGTH);
	assert_memory_equal(madt, memory + ACPI_AT_MADT, madt_length);
	/* Not sound: a reader that sums nothing up must not find it either. */
	put_8(memory, ACPI_AT_DSDT + 50, 0x55);
	assert_int_equal(build(&firmware, all, COUNT_OF(all)), ACPI_GUEST_OWN);
	read_back();
	assert_int_equal(count_tables("DMAR", &tables), 0);
	/* A guest that has the units keeps it. */
	wish.without_dmar = false;
	assert_int_equal(build(&firmware, all, 1), ACPI_GUEST_OWN);
	read_back();
	assert_int_equal(count_tables("DMAR", &tables), 1);
}

/* A damaged one counts as none, and does not stay beside the new one. */
TEST(a_damaged_madt_is_replaced)
{
	uint32_t root_length;
	const uint8_t *root;

	put_8(memory, ACPI_AT_MADT + 50, 0x55);
	assert_int_equal(BUILD(&firmware, 4), ACPI_GUEST_OWN);
	EXPECT_ENTRIES(LOCAL(0, 4, 1), NMI(ALL), ANY_NMI);
	root = acpi_map(guest_acpi.root, 36);
	memcpy(&root_length, root + 4, sizeof(root_length));
	assert_int_equal(root_length, 36 + 2 * 8);

	/* Shorter than its own fixed part. */
	set_up(NULL);
	put_table(memory, ACPI_AT_MADT, "APIC", ENTRIES - 1);
	assert_int_equal(BUILD(&firmware, 4), ACPI_GUEST_OWN);
	EXPECT_ENTRIES(LOCAL(0, 4, 1), NMI(ALL), ANY_NMI);
}

TEST(says_when_the_buffer_is_too_small)
{
	static const uint32_t ids[] = { 0, 256 };
	uint8_t *exact;
	size_t size = 0;

	wish.apic_ids = ids;
	wish.processor_count = COUNT_OF(ids);
	for (;; size++) {
		exact = malloc(size + 1); /* the sanitizer sees a byte too many */
		assert_non_null(exact);
		if (acpi_guest_build(&firmware, &wish, exact + 1, size, GUEST_AT) == ACPI_GUEST_OWN)
			break;
		free(exact);
		assert_true(size < sizeof(buffer));
	}
	memcpy(buffer, exact + 1, size);
	free(exact);
	read_back();
}

TEST(the_largest_machine_fits)
{
	static uint32_t ids[ACPI_PROCESSORS_MAX];
	static struct acpi_machine machine;

	for (uint32_t i = 0; i < ACPI_PROCESSORS_MAX; i++)
		ids[i] = i;
	wish.ioapic_count = ACPI_IOAPICS_MAX;
	wish.level_interrupts = 0xffff;
	assert_int_equal(build(NULL, ids, ACPI_PROCESSORS_MAX), ACPI_GUEST_OWN);
	read_back();
	assert_true(acpi_read_machine(&guest_acpi, &machine));
	assert_int_equal(machine.processor_count, ACPI_PROCESSORS_MAX);
	assert_memory_equal(machine.apic_ids, ids, sizeof(ids));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_to_change, set_up),
		cmocka_unit_test_setup(a_guest_with_fewer_processors_sees_no_others, set_up),
		cmocka_unit_test_setup(address_flags_and_oem_of_a_madt_are_the_firmware_s, set_up),
		cmocka_unit_test_setup(the_other_tables_stay, set_up),
		cmocka_unit_test_setup(tables_by_the_rsdt, set_up),
		cmocka_unit_test_setup(nmi_entries_go_with_their_processor, set_up),
		cmocka_unit_test_setup(other_entries_are_copied, set_up),
		cmocka_unit_test_setup(no_wakeup_mailbox, set_up),
		cmocka_unit_test_setup(processors_by_both_kinds_of_entries, set_up),
		cmocka_unit_test_setup(processors_that_wait_to_be_added, set_up),
		cmocka_unit_test_setup(processors_that_the_firmware_does_not_name, set_up),
		cmocka_unit_test_setup(damaged_entries_are_left_out, set_up),
		cmocka_unit_test_setup(a_madt_made_anew, set_up),
		cmocka_unit_test_setup(tables_without_any_of_a_firmware, set_up),
		cmocka_unit_test_setup(a_damaged_madt_is_replaced, set_up),
		cmocka_unit_test_setup(says_when_the_buffer_is_too_small, set_up),
		cmocka_unit_test_setup(the_largest_machine_fits, set_up),
		cmocka_unit_test_setup(dmar_is_left_out, set_up),
	};

	acpi_map = map_tables;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
