/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/serial.c: the key's values, and SPCR and DBG2 tables in the shapes that real firmware has.
 */
#include "tests/unit/samples.h"
#include "tests/unit/unit.h"
#include "lib/serial.h"

static uint8_t table[SAMPLE_MAX];
static struct uart uart;

TEST(values_of_the_key)
{
	static const struct {
		const char *text;
		struct serial_choice choice;
	} cases[] = {
		{ "auto", { .kind = SERIAL_AUTO } },
		{ "none", { .kind = SERIAL_NONE } },
		{ "0x3f8", { .kind = SERIAL_AT_PORT, .address = 0x3f8 } },
		{ "2F8", { .kind = SERIAL_AT_PORT, .address = 0x2f8 } },
		{ "0xfff8", { .kind = SERIAL_AT_PORT, .address = 0xfff8 } },
		{ "pci:00:16.3", { .kind = SERIAL_AT_PCI, .address = 0xb300 } },
		{ "pci:ff:1f.7", { .kind = SERIAL_AT_PCI, .address = 0xffff00 } },
		{ "mmio:0xfe034000", { .kind = SERIAL_AT_MMIO, 1, 0xfe034000 } },
		{ "mmio:fe034000,4", { .kind = SERIAL_AT_MMIO, 4, 0xfe034000 } },
		{ "mmio:0xfe034001,1", { .kind = SERIAL_AT_MMIO, 1, 0xfe034001 } },
		{ "mmio:0x180000000,4", { .kind = SERIAL_AT_MMIO, 4, 0x180000000 } },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct serial_choice choice = { 99, 99, 99 };

		assert_true(serial_parse(cases[i].text, strlen(cases[i].text), &choice));
		assert_memory_equal(&choice, &cases[i].choice, sizeof(choice));
	}
}

TEST(values_that_are_none)
{
	static const char *const cases[] = {
		"",
		"com1",
		"autos",
		"none ",
		"0x",
		"0x3fg",
		"0",
		"0xfff9",
		"0x103f8",
		"pci:",
		"pci:00",
		"pci:00:16",
		"pci:00:16.",
		"pci:00:16.8",
		"pci:00:20.0",
		"pci:100:00.0",
		"pci:00:16.3,4",
		"mmio:",
		"mmio:0",
		"mmio:0xfe034002,4",
		"mmio:0xfe034000,",
		"mmio:0xfe034000,2",
		"mmio:0xfe034000,44",
		"mmio:0xffffffffffff",
		"mmio:0x1fffffffffffffff0",
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct serial_choice choice;

		if (serial_parse(cases[i], strlen(cases[i]), &choice))
			fail_msg("taken: %s", cases[i]);
	}
}

static void check(uint32_t kind, uint64_t base, uint32_t stride, uint32_t width, uint32_t clock)
{
	assert_int_equal(uart.kind, kind);
	assert_int_equal(uart.base, base);
	assert_int_equal(uart.stride, stride);
	assert_int_equal(uart.width, width);
	assert_int_equal(uart.clock, clock);
	assert_int_equal(uart.timeouts, 0);
}

/* space, bits, access, address of the generic address structure */
static void check_spcr(uint8_t subtype, uint8_t space, uint8_t bits, uint8_t access,
		       uint64_t address)
{
	const size_t size = sample_spcr(table, 2, subtype, space, bits, access, address);

	assert_true(serial_from_spcr(table, (uint32_t)size, &uart));
}

TEST(spcr_of_a_server_with_com1)
{
	check_spcr(0, 1, 8, 0, 0x3f8);
	check(UART_PORT, 0x3f8, 1, 8, UART_CLOCK_PC);
	/* The bit width may be that of the whole block, and the subtype that of the debugger. */
	check_spcr(1, 1, 64, 1, 0x2f8);
	check(UART_PORT, 0x2f8, 1, 8, UART_CLOCK_PC);
}

TEST(spcr_of_a_uart_in_memory)
{
	check_spcr(0, 0, 32, 3, 0xfe034000); /* Intel's LPSS: registers of four bytes */
	check(UART_MMIO, 0xfe034000, 4, 32, UART_CLOCK_PC);
	check_spcr(0, 0, 0, 0, 0xfedc9000); /* nothing said: bytes */
	check(UART_MMIO, 0xfedc9000, 1, 8, UART_CLOCK_PC);
	check_spcr(0x12, 0, 32, 1, 0xfedc9000); /* bytes, four apart */
	check(UART_MMIO, 0xfedc9000, 4, 8, UART_CLOCK_PC);
	check_spcr(0x12, 0, 64, 3, 0xfedc9000);
	check(UART_MMIO, 0xfedc9000, 8, 32, UART_CLOCK_PC);
	check_spcr(0x12, 0, 16, 2, 0xfedc9000);
	check(UART_MMIO, 0xfedc9000, 2, 16, UART_CLOCK_PC);
}

TEST(spcr_tells_the_clock)
{
	size_t size = sample_spcr(table, 4, 0x12, 0, 32, 3, 0xfedc9000);

	put_32(table, 76, 48000000);
	assert_true(serial_from_spcr(table, (uint32_t)size, &uart));
	check(UART_MMIO, 0xfedc9000, 4, 32, 48000000);
	size = sample_spcr(table, 2, 0, 1, 8, 1, 0x3f8);
	put_32(table, 76, 48000000); /* reserved in revision 2 */
	assert_true(serial_from_spcr(table, (uint32_t)size, &uart));
	check(UART_PORT, 0x3f8, 1, 8, UART_CLOCK_PC);
}

TEST(spcr_that_is_of_no_use)
{
	static const struct {
		uint8_t subtype, space, bits, access;
		uint64_t address;
	} cases[] = {
		{ 0, 1, 8, 1, 0 },		    /* redirection is off */
		{ 3, 0, 32, 3, 0x9000000 },	    /* PL011 */
		{ 0, 2, 8, 1, 0x3f8 },		    /* PCI configuration space */
		{ 0, 1, 8, 1, 0xfff9 },		    /* beyond the last port */
		{ 0x12, 1, 64, 1, 0xffc8 },	    /* its last register is */
		{ 0, 0, 64, 4, 0xfe034000 },	    /* accesses of 64 bits */
		{ 0, 0, 32, 3, 0xfe034002 },	    /* not aligned */
		{ 0x12, 0, 8, 3, 0xfe034000 },	    /* accesses that overlap */
		{ 0x12, 0, 24, 1, 0xfe034000 },	    /* no power of two */
		{ 0x12, 0, 0, 1, 0xfe034000 },	    /* no distance */
		{ 0, 0, 8, 1, 0xfffffffffffffff8 }, /* wraps around */
		{ 0, 0, 8, 1, 1ULL << 45 },	    /* beyond what is mapped */
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const size_t size = sample_spcr(table, 2, cases[i].subtype, cases[i].space,
						cases[i].bits, cases[i].access, cases[i].address);

		if (serial_from_spcr(table, (uint32_t)size, &uart))
			fail_msg("case %zu is taken", i);
	}
	sample_spcr(table, 2, 0, 1, 8, 1, 0x3f8);
	assert_false(serial_from_spcr(table, 79, &uart));
}

TEST(dbg2_of_coreboot_with_lpss)
{
	const size_t size = sample_dbg2(table);

	assert_true(serial_from_dbg2(table, (uint32_t)size, &uart));
	check(UART_MMIO, 0xfe034000, 4, 32, UART_CLOCK_PC);
}

/* The first device is a debugger's USB port, or a UART of another kind. */
TEST(dbg2_of_two_devices)
{
	static const uint16_t types[][2] = { { 0x8002, 0 }, { 0x8000, 3 } };

	for (size_t i = 0; i < COUNT_OF(types); i++) {
		const size_t size = sample_dbg2(table);
		const size_t device = size - DBG2_AT_DEVICE;

		memcpy(table + size, table + DBG2_AT_DEVICE, device);
		put_8(table, 40, 2);
		put_8(table, DBG2_AT_DEVICE + 12, (uint8_t)types[i][0]);
		put_8(table, DBG2_AT_DEVICE + 13, (uint8_t)(types[i][0] >> 8));
		put_8(table, DBG2_AT_DEVICE + 14, (uint8_t)types[i][1]);
		put_64(table, size + 22 + 4, 0x2f8);
		put_8(table, size + 22, 1);
		assert_true(serial_from_dbg2(table, (uint32_t)(size + device), &uart));
		check(UART_PORT, 0x2f8, 1, 8, UART_CLOCK_PC);
		assert_false(serial_from_dbg2(table, (uint32_t)(size + device - 1), &uart));
	}
}

TEST(dbg2_that_is_of_no_use)
{
	static const struct {
		size_t at;
		uint8_t value;
	} cases[] = {
		{ 36, 0xff },		     /* the devices begin behind the end */
		{ 39, 0xff },		     /* far behind it */
		{ 40, 0 },		     /* there is none */
		{ DBG2_AT_DEVICE + 1, 0 },   /* an empty device */
		{ DBG2_AT_DEVICE + 1, 21 },  /* too short a one */
		{ DBG2_AT_DEVICE + 2, 1 },   /* longer than the table */
		{ DBG2_AT_DEVICE + 3, 0 },   /* no registers */
		{ DBG2_AT_DEVICE + 18, 0 },  /* the address lies over the head */
		{ DBG2_AT_DEVICE + 18, 42 }, /* ... and behind the end */
		{ DBG2_AT_DEVICE + 19, 0xff },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const size_t size = sample_dbg2(table);

		put_8(table, cases[i].at, cases[i].value);
		if (serial_from_dbg2(table, (uint32_t)size, &uart))
			fail_msg("case %zu is taken", i);
	}
	sample_dbg2(table);
	for (uint32_t size = 0; size < DBG2_AT_DEVICE + 53; size++)
		assert_false(serial_from_dbg2(table, size, &uart));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_of_the_key),
		cmocka_unit_test(values_that_are_none),
		cmocka_unit_test(spcr_of_a_server_with_com1),
		cmocka_unit_test(spcr_of_a_uart_in_memory),
		cmocka_unit_test(spcr_tells_the_clock),
		cmocka_unit_test(spcr_that_is_of_no_use),
		cmocka_unit_test(dbg2_of_coreboot_with_lpss),
		cmocka_unit_test(dbg2_of_two_devices),
		cmocka_unit_test(dbg2_that_is_of_no_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
