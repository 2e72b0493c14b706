// SPDX-License-Identifier: BSD-2-Clause
/*
 * I/O ports of guests. A guest with the real devices has them all, but for those with which it
 * ends the machine: the VMM must see that coming, to write the last line of the log; and but for
 * the A20 gate, which stays open. Owns what the VMM knows of the keyboard controller.
 */
#include <stdbool.h>
#include <stddef.h>

#include "lib/acpi.h"
#include "lib/layout.h"
#include "lib/x86/ports.h"
#include "vmm/base/spinlock.h"
#include "vmm/exits/table.h"
#include "vmm/host/power.h"
#include "vmm/host/x86.h"
#include "vmm/vcpu/rip.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

/* An OUT, with the value's bytes that are written. */
struct output {
	uint16_t port;
	unsigned int size;
	uint32_t value;
};

/* Two vcpus that write at once: what is noted must be in the order of what the machine gets. */
static struct spinlock lock;
static bool output_port_is_next;

static uint32_t port_in(uint16_t port, unsigned int size)
{
	return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

static void port_out(const struct output *out)
{
	if (out->size == 1)
		outb(out->port, (uint8_t)out->value);
	else if (out->size == 2)
		outw(out->port, (uint16_t)out->value);
	else
		outl(out->port, out->value);
}

/* The byte that an OUT writes to port `at`. */
static bool byte_written(const struct output *out, uint64_t at, uint8_t *byte)
{
	if (at < out->port || at >= out->port + (uint64_t)out->size)
		return false;
	*byte = (uint8_t)(out->value >> 8 * (at - out->port));
	return true;
}

/* Set bits of the byte that an OUT writes to port `at`. */
static void set_bits(struct output *out, uint64_t at, uint32_t bits)
{
	out->value |= bits << 8 * (at - out->port);
}

/*
 * A byte of data that is in the same OUT as a command comes before it: it has the lower port. True:
 * the OUT resets the machine. Else what it writes keeps the A20 gate open.
 */
static bool keyboard_resets(struct output *out)
{
	bool resets = false;
	uint8_t byte;

	if (byte_written(out, PORT_KEYBOARD_DATA, &byte) && output_port_is_next) {
		resets = !(byte & KEYBOARD_OUTPUT_RUN);
		set_bits(out, PORT_KEYBOARD_DATA, KEYBOARD_OUTPUT_A20);
		output_port_is_next = false;
	}
	if (byte_written(out, PORT_KEYBOARD_COMMAND, &byte)) {
		output_port_is_next = byte == KEYBOARD_WRITE_OUTPUT;
		if (byte == KEYBOARD_CLOSE_A20 || (byte & KEYBOARD_PULSE) == KEYBOARD_PULSE)
			set_bits(out, PORT_KEYBOARD_COMMAND, KEYBOARD_OUTPUT_A20);
		resets = resets || ((byte & KEYBOARD_PULSE) == KEYBOARD_PULSE &&
				    !(byte & KEYBOARD_OUTPUT_RUN));
	}
	return resets;
}

/*
 * As keyboard_resets(). A closed gate makes bit 20 of each physical address 0, those of the VMM and
 * of all guests included. VMX operation of silicon ignores it (SDM 3C, 24.8), but emulators do not.
 */
static bool system_control_resets(struct output *out)
{
	uint8_t byte;

	if (!byte_written(out, PORT_SYSTEM_CONTROL_A, &byte))
		return false;
	set_bits(out, PORT_SYSTEM_CONTROL_A, SYSTEM_CONTROL_A20);
	return (byte & SYSTEM_CONTROL_RESET) &&
	       !(inb(PORT_SYSTEM_CONTROL_A) & SYSTEM_CONTROL_RESET);
}

static bool resets(struct output *out)
{
	const struct acpi_power *const power = io_power();
	uint8_t byte;

	if (keyboard_resets(out) || system_control_resets(out))
		return true;
	/* Four bytes to the port below are an address in PCI configuration space. */
	if (byte_written(out, PORT_RESET_CONTROL, &byte) &&
	    (out->port == PORT_RESET_CONTROL || out->size != sizeof(uint32_t)) &&
	    (byte & RESET_CONTROL_RESET))
		return true;
	return power->has_reset && power->reset_space == ACPI_SPACE_IO &&
	       byte_written(out, power->reset_address, &byte) && byte == power->reset_value;
}

static bool powers_off(const struct output *out)
{
	const struct acpi_power *const power = io_power();
	uint8_t byte;

	if (!power->has_sleep_5 || power->pm1a_control == 0 ||
	    !byte_written(out, power->pm1a_control + 1, &byte))
		return false;
	return ((uint32_t)byte << 8 & PM1_SLEEP_ENABLE) &&
	       PM1_SLEEP_TYPE((uint32_t)byte << 8) == power->sleep_5a;
}

/* False: it ends the machine, which has not got it. */
static bool write_port(struct vcpu *vcpu, struct output *out)
{
	enum end_wish wish = END_WISH_NONE;

	spin_lock(&lock);
	if (resets(out))
		wish = END_WISH_REBOOT;
	else if (powers_off(out))
		wish = END_WISH_POWEROFF;
	else
		port_out(out);
	spin_unlock(&lock);
	if (wish == END_WISH_NONE)
		return true;
	guest_ends_machine(vcpu, wish, wish == END_WISH_REBOOT ? "guest-reboot" : "guest-poweroff");
	return false;
}

static void set_rax(struct vcpu *vcpu, unsigned int size, uint32_t value)
{
	const uint64_t mask = size == 1 ? 0xff : size == 2 ? 0xffff : ~0ULL;

	vcpu->regs.rax = (vcpu->regs.rax & ~mask) | (value & mask);
}

void handle_io(struct vcpu *vcpu)
{
	const uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	struct output out = { IO_PORT(qualification), IO_SIZE(qualification),
			      (uint32_t)vcpu->regs.rax };
	const bool none = vcpu->vm->devices == VM_DEVICES_NONE;

	if (qualification & IO_STRING) {
		guest_failed(vcpu, "string-io", "string I/O on port 0x%x: not supported there",
			     out.port);
		return;
	}
	if (qualification & IO_IN)
		set_rax(vcpu, out.size, none ? ~0U : port_in(out.port, out.size));
	else if (!none && !write_port(vcpu, &out))
		return;
	skip_instruction();
}
