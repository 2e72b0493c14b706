// SPDX-License-Identifier: BSD-2-Clause
/*
 * How this machine is turned off and reset. What a guest writes to the same ports is judged in
 * exits/ports.c.
 */
#include "vmm/host/power.h"

#include <stdbool.h>
#include <stddef.h>

#include "lib/acpi.h"
#include "lib/layout.h"
#include "lib/x86/ports.h"
#include "vmm/base/log.h"
#include "vmm/base/memory.h"
#include "vmm/host/x86.h"

#define RESET_CONTROL_FULL  0x0e /* full reset: power cycle */
#define PORT_POST_CODE	    0x80 /* nothing that reads it has an effect */
#define PORT_BOCHS_SHUTDOWN 0x8900
#define POLLS		    100000

static struct acpi_power power;

static const void *map_tables(uint64_t physical, size_t size)
{
	const void *const address = phys_to_virt(physical);

	if (physical >= MMIO_END || size > MMIO_END - physical)
		return NULL;
	return memory_is_mapped(address, size) ? address : (const void *)mmio_map(physical, size);
}

void io_init(uint64_t rsdp)
{
	struct acpi acpi;
	const char *error;

	acpi_map = map_tables;
	if (rsdp == 0)
		return;
	error = acpi_init(&acpi, rsdp);
	if (error)
		log_error("ACPI: %s; going on without", error);
	else if (!acpi_read_power(&acpi, &power))
		log_error("ACPI: no sound FADT; going on without");
}

const struct acpi_power *io_power(void)
{
	return &power;
}

void io_delay(uint64_t microseconds)
{
	while (microseconds-- > 0)
		inb(PORT_POST_CODE);
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

	if (power.has_sleep_5 && power.pm1a_control != 0) {
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
	outb(PORT_KEYBOARD_COMMAND, KEYBOARD_PULSE_RESET);
	for (int i = 0; i < POLLS; i++)
		pause();
	outb(PORT_RESET_CONTROL, RESET_CONTROL_FULL);
}
