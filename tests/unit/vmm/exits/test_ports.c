/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/exits/ports.c: each way in which a guest resets the machine or turns it off is seen before
 * the machine gets it, nothing else is taken for one, and the A20 gate stays open.
 */
#include "tests/unit/unit.h"

#include "lib/acpi.h"
#include "lib/layout.h"
#include "lib/x86/ports.h"
#include "tests/unit/model/model.h"
#include "vmm/end.h"
#include "vmm/vcpu/io_policy.h"
#include "vmm/exits/table.h"
#include "vmm/host/power.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

#define PM1A	   0x604
#define RESET_PORT 0x7e0
#define OUTS_MAX   8

static struct acpi_power power;
static struct vm vm;
static struct vcpu vcpu;
static struct {
	uint16_t port;
	unsigned int size;
	uint32_t value;
} outs[OUTS_MAX];
static unsigned int out_count;
static uint8_t system_control; /* port 0x92, as it can be read */

const struct acpi_power *io_power(void)
{
	return &power;
}

static uint32_t port_is_read(uint16_t port, unsigned int size)
{
	if (port == 0x92 && size == 1)
		return system_control;
	return 0xa1b2c3d4 + port;
}

static void port_is_written(uint16_t port, unsigned int size, uint32_t value)
{
	assert_true(out_count < OUTS_MAX);
	outs[out_count].port = port;
	outs[out_count].size = size;
	outs[out_count++].value = value;
}

static void access_port(uint16_t port, unsigned int size, uint64_t flags)
{
	model_set(VMCS_EXIT_QUALIFICATION, (uint64_t)port << 16 | (size - 1) | flags);
	handle_io(&vcpu);
}

/* What an OUT of the guest makes of the machine, which gets this value unless it ends. */
static enum end_wish out_as(uint16_t port, unsigned int size, uint32_t value, uint32_t expected)
{
	const struct end_request *const end = &vcpu.end;

	memset(&vcpu.end, 0, sizeof(vcpu.end));
	out_count = 0;
	model.skips = 0;
	vcpu.regs.rax = 0x1122334400000000 | value;
	access_port(port, size, 0);
	if (!end->requested) {
		assert_int_equal(out_count, 1);
		assert_int_equal(outs[0].port, port);
		assert_int_equal(outs[0].size, size);
		assert_int_equal(outs[0].value, expected);
		assert_int_equal(model.skips, 1);
	} else {
		/* The machine has not got it. */
		assert_int_equal(out_count, 0);
		assert_int_equal(model.skips, 0);
		assert_true(end->of_machine);
		assert_string_equal(end->reason, end->wish == END_WISH_REBOOT ? "guest-reboot"
									      : "guest-poweroff");
	}
	return end->wish;
}

static enum end_wish out(uint16_t port, unsigned int size, uint32_t value)
{
	return out_as(port, size, value, value);
}

static int machine(void **state __attribute__((unused)))
{
	model_reset();
	model.on_in = port_is_read;
	model.on_out = port_is_written;
	system_control = 0;
	vm = (struct vm){ .devices = VM_DEVICES_PASSTHROUGH };
	vcpu = (struct vcpu){ .vm = &vm };
	power = (struct acpi_power){ .pm1a_control = PM1A,
				     .has_sleep_5 = true,
				     .sleep_5a = 5,
				     .has_reset = true,
				     .reset_space = ACPI_SPACE_IO,
				     .reset_address = RESET_PORT,
				     .reset_value = 0x42 };
	out(0x64, 1, 0xaa); /* forgets what a test before has begun */
	return 0;
}

static void test_pulses_of_the_keyboard_controller(void **state __attribute__((unused)))
{
	for (uint32_t byte = 0; byte < 0x100; byte++)
		assert_int_equal(
			out_as(0x64, 1, byte, byte >= 0xf0 || byte == 0xdd ? byte | 2 : byte),
			byte >= 0xf0 && byte % 2 == 0 ? END_WISH_REBOOT : END_WISH_NONE);
	/* In any byte of a wider OUT. */
	assert_int_equal(out(0x63, 2, 0xfe00), END_WISH_REBOOT);
	assert_int_equal(out(0x61, 4, 0xfe000000), END_WISH_REBOOT);
	assert_int_equal(out(0x61, 4, 0x00fefefe), END_WISH_NONE);
	assert_int_equal(out(0x64, 2, 0xfe00), END_WISH_NONE);
}

static void test_output_port_of_the_keyboard_controller(void **state __attribute__((unused)))
{
	assert_int_equal(out(0x60, 1, 0xfe), END_WISH_NONE); /* to the keyboard */
	out(0x64, 1, 0xd1);
	assert_int_equal(out(0x60, 1, 0xdf), END_WISH_NONE); /* as for the A20 line */
	assert_int_equal(out(0x60, 1, 0xde), END_WISH_NONE); /* one byte only */
	out(0x64, 1, 0xd1);
	assert_int_equal(out(0x60, 1, 0xfe), END_WISH_REBOOT);
	out(0x64, 1, 0xd1);
	assert_int_equal(out(0x5f, 4, 0xfffffeff), END_WISH_REBOOT);
	/* Another command takes its place. */
	out(0x64, 1, 0xd1);
	out(0x64, 1, 0xd4);
	assert_int_equal(out(0x60, 1, 0xfe), END_WISH_NONE);
	/* What goes elsewhere, and a read, leave it waiting. */
	out(0x64, 1, 0xd1);
	out(0x61, 1, 0x00);
	access_port(0x60, 1, IO_IN);
	access_port(0x64, 1, IO_IN);
	assert_int_equal(out(0x60, 1, 0x00), END_WISH_REBOOT);
}

static void test_system_control_port(void **state __attribute__((unused)))
{
	assert_int_equal(out(0x92, 1, 0x02), END_WISH_NONE);
	assert_int_equal(out(0x92, 1, 0x03), END_WISH_REBOOT);
	assert_int_equal(out(0x91, 2, 0x0100), END_WISH_REBOOT);
	assert_int_equal(out(0x90, 4, 0x00010000), END_WISH_REBOOT);
	assert_int_equal(out_as(0x92, 2, 0x0100, 0x0102), END_WISH_NONE);
	/* Only the change from 0 to 1. */
	system_control = 1;
	assert_int_equal(out(0x92, 1, 0x03), END_WISH_NONE);
}

/* Each way to close the gate opens it, and what else is written stays. */
static void test_a20_gate(void **state __attribute__((unused)))
{
	assert_int_equal(out_as(0x92, 1, 0x00, 0x02), END_WISH_NONE);
	assert_int_equal(out_as(0x92, 1, 0xcc, 0xce), END_WISH_NONE);
	assert_int_equal(out_as(0x91, 2, 0x0055, 0x0255), END_WISH_NONE);
	assert_int_equal(out_as(0x8f, 4, 0x00550055, 0x02550055), END_WISH_NONE);
	assert_int_equal(out(0x93, 1, 0x00), END_WISH_NONE);
	out(0x64, 1, KEYBOARD_WRITE_OUTPUT);
	assert_int_equal(out_as(0x60, 1, 0xdd, 0xdf), END_WISH_NONE);
	assert_int_equal(out(0x60, 1, 0xdd), END_WISH_NONE); /* to the keyboard */
	out(0x64, 1, KEYBOARD_WRITE_OUTPUT);
	assert_int_equal(out_as(0x5f, 4, 0xffffddff, 0xffffdfff), END_WISH_NONE);
	/* Another command takes its place. */
	out(0x64, 1, KEYBOARD_WRITE_OUTPUT);
	assert_int_equal(out_as(0x64, 1, KEYBOARD_CLOSE_A20, KEYBOARD_OPEN_A20), END_WISH_NONE);
	assert_int_equal(out(0x60, 1, 0xdd), END_WISH_NONE);
	assert_int_equal(out_as(0x61, 4, 0xdd000000, 0xdf000000), END_WISH_NONE);
	assert_int_equal(out_as(0x64, 1, 0xfd, 0xff), END_WISH_NONE);
}

static void test_reset_control(void **state __attribute__((unused)))
{
	assert_int_equal(out(0xcf9, 1, 0x02), END_WISH_NONE);
	assert_int_equal(out(0xcf9, 1, 0x06), END_WISH_REBOOT);
	assert_int_equal(out(0xcf9, 2, 0x0004), END_WISH_REBOOT);
	assert_int_equal(out(0xcf8, 2, 0x0400), END_WISH_REBOOT);
	assert_int_equal(out(0xcf8, 1, 0x04), END_WISH_NONE);
	/* A PCI configuration address. */
	assert_int_equal(out(0xcf8, 4, 0x8000ff00), END_WISH_NONE);
}

static void test_acpi(void **state __attribute__((unused)))
{
	assert_int_equal(out(RESET_PORT, 1, 0x42), END_WISH_REBOOT);
	assert_int_equal(out(RESET_PORT, 1, 0x43), END_WISH_NONE);
	assert_int_equal(out(RESET_PORT - 1, 2, 0x4200), END_WISH_REBOOT);
	assert_int_equal(out(PM1A, 2, 0x3401), END_WISH_POWEROFF);
	assert_int_equal(out(PM1A, 4, 0x3401), END_WISH_POWEROFF);
	assert_int_equal(out(PM1A + 1, 1, 0x34), END_WISH_POWEROFF);
	assert_int_equal(out(PM1A, 2, 0x1401), END_WISH_NONE); /* SLP_EN is 0 */
	assert_int_equal(out(PM1A, 2, 0x2401), END_WISH_NONE); /* another state */
	assert_int_equal(out(PM1A, 1, 0x01), END_WISH_NONE);
	power.has_sleep_5 = false;
	power.has_reset = false;
	assert_int_equal(out(PM1A, 2, 0x3401), END_WISH_NONE);
	assert_int_equal(out(RESET_PORT, 1, 0x42), END_WISH_NONE);
}

/* A processor that reads the machine's port keeps the part of RAX that IN does not write. */
static void test_reads(void **state __attribute__((unused)))
{
	vcpu.regs.rax = 0x1122334455667788;
	access_port(0x61, 1, IO_IN);
	assert_int_equal(vcpu.regs.rax, 0x1122334455667735);
	access_port(0x61, 2, IO_IN);
	assert_int_equal(vcpu.regs.rax, 0x112233445566c435);
	access_port(0x61, 4, IO_IN);
	assert_int_equal(vcpu.regs.rax, 0xa1b2c435);
}

static void test_a_guest_without_devices(void **state __attribute__((unused)))
{
	vm.devices = VM_DEVICES_NONE;
	out_count = 0;
	vcpu.regs.rax = 0x55667706;
	access_port(0xcf9, 1, 0);
	access_port(0x92, 1, 0);
	assert_int_equal(out_count, 0);
	access_port(0xcf9, 2, IO_IN);
	assert_int_equal(vcpu.regs.rax, 0x5566ffff);
}

static void test_bitmaps(void **state __attribute__((unused)))
{
	static const uint32_t exits[] = { 0x60, 0x64, 0x92, PM1A, PM1A + 1, RESET_PORT, 0xcf9 };
	uint8_t bitmaps[2 * PAGE_SIZE] = { 0 };
	unsigned int next = 0;

	io_bitmaps_fill(&vm, bitmaps);
	for (uint32_t port = 0; port < 0x10000; port++)
		if (bitmaps[port / 8] & 1U << port % 8)
			assert_int_equal(port, exits[next++]);
	assert_int_equal(next, sizeof(exits) / sizeof(exits[0]));

	vm.devices = VM_DEVICES_NONE;
	io_bitmaps_fill(&vm, bitmaps);
	for (uint32_t i = 0; i < sizeof(bitmaps); i++)
		assert_int_equal(bitmaps[i], 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_pulses_of_the_keyboard_controller, machine),
		cmocka_unit_test_setup(test_output_port_of_the_keyboard_controller, machine),
		cmocka_unit_test_setup(test_system_control_port, machine),
		cmocka_unit_test_setup(test_a20_gate, machine),
		cmocka_unit_test_setup(test_reset_control, machine),
		cmocka_unit_test_setup(test_acpi, machine),
		cmocka_unit_test_setup(test_reads, machine),
		cmocka_unit_test_setup(test_a_guest_without_devices, machine),
		cmocka_unit_test_setup(test_bitmaps, machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
