// SPDX-License-Identifier: BSD-2-Clause
/*
 * Ports. A pass-through guest has them all, but for those with which it ends the
 * machine: the VMM must see that coming, to write the last line of the log.
 */
#include "vmm/host/power.h"

#include <stdbool.h>
#include <stddef.h>

#include "lib/acpi.h"
#include "lib/layout.h"
#include "vmm/end.h"
#include "vmm/exits/table.h"
#include "vmm/base/log.h"
#include "vmm/base/memory.h"
#include "vmm/vcpu/rip.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define PORT_KEYBOARD_COMMAND 0x64
#define KEYBOARD_RESET	      0xfe
#define KEYBOARD_INPUT_FULL   0x02
#define PORT_RESET_CONTROL    0xcf9 /* Intel chip sets */
#define RESET_CONTROL_CPU     0x04  /* bit 2: reset now */
#define RESET_CONTROL_FULL    0x0e  /* full reset: power cycle */
#define PORT_POST_CODE	      0x80  /* nothing that reads it has an effect */
#define PORT_BOCHS_SHUTDOWN   0x8900
#define POLLS		      100000

/* PM1 control registers, ACPI 6.5, 4.8.3.2.1 */
#define PM1_SCI_ENABLE	  (1U << 0)
#define PM1_SLEEP_TYPE(v) (((unsigned int)(v) >> 10) & 7)
#define PM1_SLEEP_SHIFT	  10
#define PM1_SLEEP_ENABLE  (1U << 13)

#define BITMAP_PORTS 0x10000U

static struct acpi_power power;

const void *acpi_map(uint64_t physical, size_t size)
{
	const void *const address = phys_to_virt(physical);

	return memory_is_mapped(address, size) ? address : (const void *)mmio_map(physical, size);
}

void io_init(uint64_t rsdp)
{
	struct acpi acpi;
	const char *error;

	if (rsdp == 0)
		return;
	error = acpi_init(&acpi, rsdp);
	if (error)
		log_error("ACPI: %s; going on without", error);
	else if (!acpi_read_power(&acpi, &power))
		log_error("ACPI: no sound FADT; going on without");
}

void io_delay(uint64_t microseconds)
{
	while (microseconds-- > 0)
		inb(PORT_POST_CODE);
}

static void intercept(uint8_t *bitmaps, uint32_t port)
{
	if (port != 0 && port < BITMAP_PORTS)
		bitmaps[port / 8] |= (uint8_t)(1U << port % 8);
}

void io_bitmaps_fill(const struct vm *vm, uint8_t *bitmaps)
{
	if (vm->devices == VM_DEVICES_NONE) {
		for (size_t i = 0; i < 2 * PAGE_SIZE; i++)
			bitmaps[i] = 0xff;
		return;
	}
	intercept(bitmaps, PORT_KEYBOARD_COMMAND);
	intercept(bitmaps, PORT_RESET_CONTROL);
	/* SLP_EN is in the register's second byte. */
	intercept(bitmaps, power.pm1a_control);
	intercept(bitmaps, power.pm1a_control + 1);
	if (power.has_reset && power.reset_space == ACPI_SPACE_IO)
		intercept(bitmaps, (uint32_t)power.reset_address);
}

static uint32_t port_in(uint16_t port, unsigned int size)
{
	return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

static void port_out(uint16_t port, unsigned int size, uint32_t value)
{
	if (size == 1)
		outb(port, (uint8_t)value);
	else if (size == 2)
		outw(port, (uint16_t)value);
	else
		outl(port, value);
}

/* The byte that an OUT of `size` bytes to `port` writes to port `at`. */
static bool byte_written(uint16_t port, unsigned int size, uint32_t value, uint64_t at,
			 uint8_t *byte)
{
	if (at < port || at >= port + (uint64_t)size)
		return false;
	*byte = (uint8_t)(value >> 8 * (at - port));
	return true;
}

/* Does this OUT end the machine? */
static enum end_wish wish_of(uint16_t port, unsigned int size, uint32_t value)
{
	uint8_t byte;

	if (byte_written(port, size, value, PORT_KEYBOARD_COMMAND, &byte) && byte == KEYBOARD_RESET)
		return END_WISH_REBOOT;
	if (port == PORT_RESET_CONTROL && (value & RESET_CONTROL_CPU))
		return END_WISH_REBOOT;
	if (power.has_reset && power.reset_space == ACPI_SPACE_IO &&
	    byte_written(port, size, value, power.reset_address, &byte) &&
	    byte == power.reset_value)
		return END_WISH_REBOOT;
	if (power.has_sleep_5 && power.pm1a_control != 0 &&
	    byte_written(port, size, value, power.pm1a_control + 1, &byte)) {
		const uint32_t pm1 = (uint32_t)byte << 8;

		if ((pm1 & PM1_SLEEP_ENABLE) && PM1_SLEEP_TYPE(pm1) == power.sleep_5a)
			return END_WISH_POWEROFF;
	}
	return END_WISH_NONE;
}

static void set_rax(struct vcpu *vcpu, unsigned int size, uint32_t value)
{
	const uint64_t mask = size == 1 ? 0xff : size == 2 ? 0xffff : ~0ULL;

	vcpu->regs.rax = (vcpu->regs.rax & ~mask) | (value & mask);
}

void handle_io(struct vcpu *vcpu)
{
	const uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	const uint16_t port = IO_PORT(qualification);
	const unsigned int size = IO_SIZE(qualification);
	const bool none = vcpu->vm->devices == VM_DEVICES_NONE;

	if (qualification & IO_STRING)
		guest_failed(vcpu, "string-io", "string I/O on port 0x%x: not supported there",
			     port);
	if (qualification & IO_IN) {
		set_rax(vcpu, size, none ? ~0U : port_in(port, size));
	} else if (!none) {
		const uint32_t value = (uint32_t)vcpu->regs.rax;

		switch (wish_of(port, size, value)) {
		case END_WISH_REBOOT:
			machine_end_as_guest_wished(END_WISH_REBOOT, "guest-reboot");
		case END_WISH_POWEROFF:
			machine_end_as_guest_wished(END_WISH_POWEROFF, "guest-poweroff");
		case END_WISH_NONE:
			port_out(port, size, value);
		}
	}
	skip_instruction();
}

static void write_pm1(uint32_t port, uint8_t sleep_type)
{
	if (port != 0)
		outw((uint16_t)port, (uint16_t)(PM1_SLEEP_ENABLE | PM1_SCI_ENABLE |
						(unsigned int)sleep_type << PM1_SLEEP_SHIFT));
}

void io_power_off(void)
{
	static const char bochs[] = "Shutdown";

	if (power.has_sleep_5) {
		if (power.smi_command != 0 &&
		    !(inw((uint16_t)power.pm1a_control) & PM1_SCI_ENABLE)) {
			outb((uint16_t)power.smi_command, power.acpi_enable);
			for (int i = 0; i < POLLS; i++)
				if (inw((uint16_t)power.pm1a_control) & PM1_SCI_ENABLE)
					break;
		}
		write_pm1(power.pm1a_control, power.sleep_5a);
		write_pm1(power.pm1b_control, power.sleep_5b);
		for (int i = 0; i < POLLS; i++)
			pause();
	}
	/* Bochs ends at these bytes; on other machines nothing listens at this port. */
	for (size_t i = 0; i < sizeof(bochs) - 1; i++)
		outb(PORT_BOCHS_SHUTDOWN, (uint8_t)bochs[i]);
}

void io_reset(void)
{
	if (power.has_reset && power.reset_space == ACPI_SPACE_IO)
		outb((uint16_t)power.reset_address, power.reset_value);
	for (int i = 0; i < POLLS && (inb(PORT_KEYBOARD_COMMAND) & KEYBOARD_INPUT_FULL); i++)
		pause();
	outb(PORT_KEYBOARD_COMMAND, KEYBOARD_RESET);
	for (int i = 0; i < POLLS; i++)
		pause();
	outb(PORT_RESET_CONTROL, RESET_CONTROL_FULL);
}
