// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which I/O ports of a guest exit. A guest with the real devices has them all, but for those with
 * which it ends the machine or closes the A20 gate; exits/ports.c does what it asks for there.
 */
#include "vmm/vcpu/io_policy.h"

#include <stddef.h>

#include "lib/acpi.h"
#include "lib/layout.h"
#include "lib/x86/ports.h"
#include "vmm/host/power.h"
#include "vmm/vcpu/vcpu.h"

#define BITMAP_PORTS 0x10000U

/* the next byte of data is for the keyboard's output port */

static void intercept(uint8_t *bitmaps, uint32_t port)
{
	if (port != 0 && port < BITMAP_PORTS)
		bitmaps[port / 8] |= (uint8_t)(1U << port % 8);
}

void io_bitmaps_fill(const struct vm *vm, uint8_t *bitmaps)
{
	const struct acpi_power *const power = io_power();

	if (vm->devices == VM_DEVICES_NONE) {
		for (size_t i = 0; i < 2 * PAGE_SIZE; i++)
			bitmaps[i] = 0xff;
		return;
	}
	/* For the output port. A processor may keep a bitmap that changes while its guest runs. */
	intercept(bitmaps, PORT_KEYBOARD_DATA);
	intercept(bitmaps, PORT_KEYBOARD_COMMAND);
	intercept(bitmaps, PORT_SYSTEM_CONTROL_A);
	intercept(bitmaps, PORT_RESET_CONTROL);
	/* SLP_EN is in the register's second byte. */
	intercept(bitmaps, power->pm1a_control);
	intercept(bitmaps, power->pm1a_control + 1);
	if (power->has_reset && power->reset_space == ACPI_SPACE_IO)
		intercept(bitmaps, (uint32_t)power->reset_address);
}
