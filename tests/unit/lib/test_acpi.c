/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/acpi.c over tables made by hand, sound and damaged.
 */
#include "tests/unit/samples.h"
#include "tests/unit/unit.h"
#include "lib/acpi.h"

static uint8_t memory[SAMPLE_MAX];
static struct acpi acpi;

/* Physical memory ends with the sample; address 0 is the root pointer here. */
#define RSDP_OFFSET 0x1000ULL

static const void *map_tables(uint64_t physical, size_t size)
{
	const uint64_t start = physical >= RSDP_OFFSET ? physical - RSDP_OFFSET : physical;

	if (start > ACPI_SAMPLE_SIZE || size > ACPI_SAMPLE_SIZE - start)
		return NULL;
	return memory + start;
}

static int set_up(void **state __attribute__((unused)))
{
	sample_acpi(memory);
	memset(&acpi, 0xee, sizeof(acpi));
	return 0;
}

static void fix(size_t at)
{
	uint32_t length;

	memcpy(&length, memory + at + 4, sizeof(length));
	fix_checksum(memory + at, length, 9);
}

TEST(prefers_the_xsdt)
{
	assert_null(acpi_init(&acpi, RSDP_OFFSET));
	assert_int_equal(acpi.root, ACPI_AT_XSDT);
	assert_int_equal(acpi.entry_size, 8);
}

TEST(takes_the_rsdt_of_old_firmware)
{
	put_8(memory, 15, 0);
	fix_checksum(memory, 20, 8);
	put_8(memory, 32, 0x55); /* not covered in revision 0 */
	assert_null(acpi_init(&acpi, RSDP_OFFSET));
	assert_int_equal(acpi.root, ACPI_AT_RSDT);
	assert_int_equal(acpi.entry_size, 4);

	set_up(NULL);
	put_64(memory, 24, 0);
	fix_checksum(memory, 36, 32);
	assert_null(acpi_init(&acpi, RSDP_OFFSET));
	assert_int_equal(acpi.root, ACPI_AT_RSDT);
}

TEST(says_what_is_wrong_with_the_root)
{
	assert_string_equal(acpi_init(&acpi, 0), "the firmware gave no ACPI root pointer");
	assert_string_equal(acpi_init(&acpi, 0x100000), "the firmware gave no ACPI root pointer");
	put_8(memory, 8, (uint8_t)(memory[8] + 1));
	assert_string_equal(acpi_init(&acpi, RSDP_OFFSET), "the ACPI root pointer is damaged");
	set_up(NULL);
	put_8(memory, 33, 1); /* covered by the second checksum only */
	assert_string_equal(acpi_init(&acpi, RSDP_OFFSET), "the ACPI root pointer is damaged");
	set_up(NULL);
	put_8(memory, 0, 'X');
	fix_checksum(memory, 20, 8);
	assert_string_equal(acpi_init(&acpi, RSDP_OFFSET), "the ACPI root pointer is damaged");
	set_up(NULL);
	put_8(memory, ACPI_AT_XSDT + 20, 1);
	assert_string_equal(acpi_init(&acpi, RSDP_OFFSET), "the ACPI root table is damaged");
	set_up(NULL);
	put_64(memory, 24, UINT64_MAX - 10);
	fix_checksum(memory, 36, 32);
	assert_string_equal(acpi_init(&acpi, RSDP_OFFSET), "the ACPI root table is damaged");
}

TEST(finds_tables)
{
	uint32_t length = 0;

	assert_null(acpi_init(&acpi, RSDP_OFFSET));
	assert_ptr_equal(acpi_find(&acpi, "APIC", &length), memory + ACPI_AT_MADT);
	assert_int_equal(length, ACPI_MADT_LENGTH);
	assert_ptr_equal(acpi_find(&acpi, "FACP", &length), memory + ACPI_AT_FADT);
	assert_null(acpi_find(&acpi, "HPET", &length));
	acpi = (struct acpi){ ACPI_AT_RSDT, 4 };
	assert_ptr_equal(acpi_find(&acpi, "APIC", &length), memory + ACPI_AT_MADT);
}

TEST(passes_over_damaged_tables)
{
	static const uint32_t lengths[] = { 0, 35, ACPI_SAMPLE_SIZE - ACPI_AT_MADT + 1,
					    0xffffffff };
	uint32_t length;

	assert_null(acpi_init(&acpi, RSDP_OFFSET));
	put_8(memory, ACPI_AT_MADT + 30, 1);
	assert_null(acpi_find(&acpi, "APIC", &length));
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		set_up(NULL);
		acpi = (struct acpi){ ACPI_AT_XSDT, 8 };
		put_32(memory, ACPI_AT_MADT + 4, lengths[i]);
		assert_null(acpi_find(&acpi, "APIC", &length));
	}
	/* An entry that points nowhere does not hide the next. */
	set_up(NULL);
	acpi = (struct acpi){ ACPI_AT_XSDT, 8 };
	put_64(memory, ACPI_AT_XSDT + 36, 0xfee00000);
	fix(ACPI_AT_XSDT);
	assert_non_null(acpi_find(&acpi, "APIC", &length));
	assert_null(acpi_find(&acpi, "FACP", &length));
}

TEST(reads_how_to_end)
{
	struct acpi_power power;

	assert_null(acpi_init(&acpi, RSDP_OFFSET));
	assert_true(acpi_read_power(&acpi, &power));
	assert_int_equal(power.smi_command, 0xb2);
	assert_int_equal(power.acpi_enable, 0xf0);
	assert_int_equal(power.pm1a_control, 0x604);
	assert_int_equal(power.pm1b_control, 0);
	assert_true(power.has_sleep_5);
	assert_int_equal(power.sleep_5a, 5);
	assert_int_equal(power.sleep_5b, 1);
	assert_true(power.has_reset);
	assert_int_equal(power.reset_space, ACPI_SPACE_IO);
	assert_int_equal(power.reset_address, 0xcf9);
	assert_int_equal(power.reset_value, 0x0f);
}

/* The FADT of ACPI 1.0 ends before the reset register; its DSDT is the 32-bit one. */
TEST(reads_an_old_fadt)
{
	struct acpi_power power;

	acpi = (struct acpi){ ACPI_AT_RSDT, 4 };
	put_32(memory, ACPI_AT_FADT + 4, 116);
	put_64(memory, ACPI_AT_FADT + 140, 0x7777);
	fix(ACPI_AT_FADT);
	assert_true(acpi_read_power(&acpi, &power));
	assert_false(power.has_reset);
	assert_true(power.has_sleep_5);

	put_32(memory, ACPI_AT_FADT + 4, 115);
	fix(ACPI_AT_FADT);
	assert_false(acpi_read_power(&acpi, &power));
}

TEST(reset_register_only_by_its_flag)
{
	struct acpi_power power;

	acpi = (struct acpi){ ACPI_AT_XSDT, 8 };
	put_32(memory, ACPI_AT_FADT + 112, ~(1U << 10));
	fix(ACPI_AT_FADT);
	assert_true(acpi_read_power(&acpi, &power));
	assert_false(power.has_reset);
}

/* Generic addresses of ports: those of 24 real machines of 655, whose 32-bit fields are 0. */
TEST(wide_power_control_ports)
{
	static const uint8_t pm1a[] = { 1, 16, 0, 2, 0x04, 0x18, 0, 0, 0, 0, 0, 0 };
	static const uint8_t pm1b[] = { 1, 16, 0, 2, 0x08, 0x18, 0, 0, 0, 0, 0, 0 };
	struct acpi_power power;

	acpi = (struct acpi){ ACPI_AT_XSDT, 8 };
	put_32(memory, ACPI_AT_FADT + 64, 0);
	memcpy(memory + ACPI_AT_FADT + 172, pm1a, sizeof(pm1a));
	memcpy(memory + ACPI_AT_FADT + 184, pm1b, sizeof(pm1b));
	fix(ACPI_AT_FADT);
	assert_true(acpi_read_power(&acpi, &power));
	assert_int_equal(power.pm1a_control, 0x1804);
	assert_int_equal(power.pm1b_control, 0x1808);

	/* What is not 0 counts before the 32-bit field. */
	put_32(memory, ACPI_AT_FADT + 64, 0x604);
	put_32(memory, ACPI_AT_FADT + 68, 0x608);
	put_64(memory, ACPI_AT_FADT + 184 + 4, 0);
	fix(ACPI_AT_FADT);
	assert_true(acpi_read_power(&acpi, &power));
	assert_int_equal(power.pm1a_control, 0x1804);
	assert_int_equal(power.pm1b_control, 0x608);

	/* What no OUT reaches: memory, and a port above 64 KiB. */
	put_8(memory, ACPI_AT_FADT + 172, 0);
	put_8(memory, ACPI_AT_FADT + 184 + 6, 1);
	fix(ACPI_AT_FADT);
	assert_true(acpi_read_power(&acpi, &power));
	assert_int_equal(power.pm1a_control, 0x604);
	assert_int_equal(power.pm1b_control, 0x608);

	/* A table that ends inside a field does not have it. */
	put_8(memory, ACPI_AT_FADT + 172, 1);
	put_32(memory, ACPI_AT_FADT + 4, 172 + 11);
	fix(ACPI_AT_FADT);
	assert_true(acpi_read_power(&acpi, &power));
	assert_int_equal(power.pm1a_control, 0x604);
	put_32(memory, ACPI_AT_FADT + 4, 172 + 12);
	fix(ACPI_AT_FADT);
	assert_true(acpi_read_power(&acpi, &power));
	assert_int_equal(power.pm1a_control, 0x1804);
}

TEST(ports_that_are_none)
{
	struct acpi_power power;

	acpi = (struct acpi){ ACPI_AT_XSDT, 8 };
	put_32(memory, ACPI_AT_FADT + 48, 0x100b2);
	put_32(memory, ACPI_AT_FADT + 64, 0x10004);
	put_64(memory, ACPI_AT_FADT + 120, 0x10cf9);
	fix(ACPI_AT_FADT);
	assert_true(acpi_read_power(&acpi, &power));
	assert_int_equal(power.smi_command, 0);
	assert_int_equal(power.pm1a_control, 0);
	assert_false(power.has_reset);
}

/* Where the last SSDT of several has it: the DSDT and the first one do not. */
TEST(sleep_types_in_an_ssdt)
{
	static const char aml[] = "\x08\\_S5_\x12\x08\x04\x0a\x05\x0a\x05\x00";
	const size_t first = ACPI_AT_MADT, second = ACPI_AT_MADT + 0x40;
	struct acpi_power power;

	acpi = (struct acpi){ ACPI_AT_XSDT, 8 };
	memset(memory + ACPI_AT_DSDT + 36, 0, ACPI_DSDT_LENGTH - 36);
	put_table(memory, ACPI_AT_DSDT, "DSDT", ACPI_DSDT_LENGTH);
	assert_true(acpi_read_power(&acpi, &power));
	assert_false(power.has_sleep_5);

	put_table(memory, first, "SSDT", 36);
	memcpy(memory + second + 36, aml, sizeof(aml));
	put_table(memory, second, "SSDT", 36 + sizeof(aml));
	put_64(memory, ACPI_AT_XSDT + 44, first);
	put_64(memory, ACPI_AT_XSDT + 52, second);
	put_table(memory, ACPI_AT_XSDT, "XSDT", 60);
	assert_true(acpi_read_power(&acpi, &power));
	assert_true(power.has_sleep_5);
	assert_int_equal(power.sleep_5a, 5);
	assert_int_equal(power.sleep_5b, 5);

	/* A damaged one is passed over, and a use of the name in the DSDT does not hide it. */
	put_8(memory, first + 12, 1);
	memcpy(memory + ACPI_AT_DSDT + 36, "_S5_", 4);
	put_table(memory, ACPI_AT_DSDT, "DSDT", ACPI_DSDT_LENGTH);
	assert_true(acpi_read_power(&acpi, &power));
	assert_true(power.has_sleep_5);
}

/* The AML of the DSDT, from its first byte on; its length cuts it off. */
static bool sleep_5(const char *aml, uint32_t size, struct acpi_power *power)
{
	set_up(NULL);
	acpi = (struct acpi){ ACPI_AT_XSDT, 8 };
	memset(memory + ACPI_AT_DSDT + 36, 0x5a, 64);
	memcpy(memory + ACPI_AT_DSDT + 36, aml, size);
	put_table(memory, ACPI_AT_DSDT, "DSDT", 36 + size);
	assert_true(acpi_read_power(&acpi, power));
	return power->has_sleep_5;
}

#define SLEEP_5(aml) sleep_5(aml, sizeof(aml) - 1, &power)

TEST(reads_sleep_types)
{
	struct acpi_power power;

	assert_true(SLEEP_5("\x08_S5_\x12\x06\x04\x00\x01\x00\x00"));
	assert_int_equal(power.sleep_5a, 0);
	assert_int_equal(power.sleep_5b, 1);
	assert_true(SLEEP_5("\x08_S5_\x12\x0a\x04\x0a\x07\x0a\x06\x00\x00"));
	assert_int_equal(power.sleep_5a, 7);
	assert_int_equal(power.sleep_5b, 6);
	/* Package lengths of two and of four bytes. */
	assert_true(SLEEP_5("\x08_S5_\x12\x48\x00\x02\x0a\x05\x00"));
	assert_int_equal(power.sleep_5a, 5);
	assert_true(SLEEP_5("\x08_S5_\x12\xc8\x00\x00\x00\x02\x0a\x05\x00"));
	assert_int_equal(power.sleep_5a, 5);
	/* A use of the name before its definition. */
	assert_true(SLEEP_5("_S5_\x70\x08_S5_\x12\x04\x02\x01\x01"));
	assert_int_equal(power.sleep_5a, 1);

	assert_false(SLEEP_5(""));
	assert_false(SLEEP_5("_S5_\x12\x04\x02\x01\x01"));
	assert_false(SLEEP_5("\x08_S5_\x11\x04\x02\x01\x01"));
	assert_false(SLEEP_5("\x08_S5_\x12\x04\x01\x01"));
	assert_false(SLEEP_5("\x08_S5_\x12\x08\x02\x0c\x05\x00\x00\x00\x00"));
	assert_false(SLEEP_5("\x08_S4_\x12\x04\x02\x01\x01"));
}

TEST(cut_sleep_packages)
{
	static const char aml[] = "\x08_S5_\x12\xc8\x00\x00\x00\x02\x0a\x05\x0a\x05";
	struct acpi_power power;

	for (uint32_t size = 0; size < sizeof(aml) - 1; size++)
		assert_false(sleep_5(aml, size, &power));
	assert_true(sleep_5(aml, sizeof(aml) - 1, &power));
}

TEST(lists_processors)
{
	static struct acpi_machine machine;

	assert_null(acpi_init(&acpi, RSDP_OFFSET));
	assert_true(acpi_read_machine(&acpi, &machine));
	assert_int_equal(machine.processor_count, 3);
	assert_int_equal(machine.apic_ids[0], 0);
	assert_int_equal(machine.apic_ids[1], 4);
	assert_int_equal(machine.apic_ids[2], 256);
}

TEST(refuses_damaged_madt_entries)
{
	static struct acpi_machine machine;
	const size_t last = ACPI_AT_MADT + ACPI_MADT_LENGTH - 10;
	static const uint8_t sizes[] = { 0, 1, 11, 255 };

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		set_up(NULL);
		acpi = (struct acpi){ ACPI_AT_XSDT, 8 };
		put_8(memory, last + 1, sizes[i]);
		fix(ACPI_AT_MADT);
		assert_false(acpi_read_machine(&acpi, &machine));
	}
	/* Taken for what it says, an entry of one byte would be followed by a sound one. */
	set_up(NULL);
	acpi = (struct acpi){ ACPI_AT_XSDT, 8 };
	put_8(memory, last + 1, 1);
	put_8(memory, last + 2, 9);
	fix(ACPI_AT_MADT);
	assert_false(acpi_read_machine(&acpi, &machine));
	/* A processor's entry that is too short for its fields is no processor. */
	set_up(NULL);
	acpi = (struct acpi){ ACPI_AT_XSDT, 8 };
	put_8(memory, last, 0);
	put_8(memory, last + 1, 2);
	put_8(memory, last + 2, 0);
	put_8(memory, last + 3, 8);
	fix(ACPI_AT_MADT);
	assert_true(acpi_read_machine(&acpi, &machine));
	assert_int_equal(machine.processor_count, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(prefers_the_xsdt, set_up),
		cmocka_unit_test_setup(takes_the_rsdt_of_old_firmware, set_up),
		cmocka_unit_test_setup(says_what_is_wrong_with_the_root, set_up),
		cmocka_unit_test_setup(finds_tables, set_up),
		cmocka_unit_test_setup(passes_over_damaged_tables, set_up),
		cmocka_unit_test_setup(reads_how_to_end, set_up),
		cmocka_unit_test_setup(reads_an_old_fadt, set_up),
		cmocka_unit_test_setup(reset_register_only_by_its_flag, set_up),
		cmocka_unit_test_setup(wide_power_control_ports, set_up),
		cmocka_unit_test_setup(ports_that_are_none, set_up),
		cmocka_unit_test_setup(sleep_types_in_an_ssdt, set_up),
		cmocka_unit_test(reads_sleep_types),
		cmocka_unit_test(cut_sleep_packages),
		cmocka_unit_test_setup(lists_processors, set_up),
		cmocka_unit_test_setup(refuses_damaged_madt_entries, set_up),
	};

	acpi_map = map_tables;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
