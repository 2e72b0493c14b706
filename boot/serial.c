/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds the serial port: the one that manfred.cfg names, or the first that answers of those that
 * the firmware's tables describe, the PC's four, and those on PCI, such as Intel AMT's
 * serial-over-LAN. Reads and writes nothing at addresses that the firmware has not mapped.
 */
#include "boot/cpu.h"
#include "boot/la57.h"
#include "boot/loader.h"
#include "lib/acpi.h"
#include "lib/layout.h"
#include "lib/x86/cpu.h"

#define PCI_ADDRESS	 0xcf8U
#define PCI_DATA	 0xcfcU
#define PCI_ENABLE	 0x80000000U
#define PCI_ABSENT	 0xffffffffU
#define PCI_COMMAND	 0x04U
#define PCI_DECODE_IO	 0x1U
#define PCI_DECODE_MMIO	 0x2U
#define PCI_STATUS_BITS	 0xffff0000U /* cleared by writing 1: to be written as 0 */
#define PCI_CLASS	 0x08U
#define PCI_CLASS_SHIFT	 16
#define PCI_CLASS_SERIAL 0x0700U
#define PCI_HEADER	 0x0cU
#define PCI_MULTI	 (1U << 23) /* in it: the device has more than one function */
#define PCI_BAR_0	 0x10U
#define PCI_BAR_1	 0x14U
#define BAR_IO		 0x1U
#define BAR_IO_MASK	 0xfffcU
#define BAR_64		 0x4U
#define BAR_MMIO_MASK	 0xfffffff0U

#define BITS_IN_BYTE 8U

static uint32_t pci_read(uint32_t function, uint32_t offset)
{
	port_write_32(PCI_ADDRESS, PCI_ENABLE | function | offset);
	return port_read_32(PCI_DATA);
}

static void pci_write(uint32_t function, uint32_t offset, uint32_t value)
{
	port_write_32(PCI_ADDRESS, PCI_ENABLE | function | offset);
	port_write_32(PCI_DATA, value);
}

/* The firmware's page tables may leave out what it does not use itself. */
static bool is_mapped(uint64_t address, uint64_t size)
{
	struct page_pool pool = { 0 };
	struct address_space space = { .pml4 = la57_lower_tables(), .pool = &pool };
	uint64_t first, last;

	return paging_lookup(&space, address, &first, NULL) &&
	       paging_lookup(&space, address + size - 1, &last, NULL) && first == address;
}

static bool take(struct serial *serial, const struct uart *uart, const char *source)
{
	if (uart->kind == UART_MMIO &&
	    !is_mapped(uart->base, (uint64_t)UART_REGISTERS * uart->stride))
		return false;
	if (!uart_answers(uart))
		return false;
	*serial->uart = *uart;
	serial->source = source;
	return true;
}

static bool take_port(struct serial *serial, uint64_t port, const char *source)
{
	const struct uart uart = { port, UART_PORT, 1, BITS_IN_BYTE, UART_CLOCK_PC, 0 };

	return take(serial, &uart, source);
}

static bool take_mmio(struct serial *serial, uint64_t address, uint32_t stride, const char *source)
{
	const struct uart uart = { address,	  UART_MMIO, stride, stride * BITS_IN_BYTE,
				   UART_CLOCK_PC, 0 };

	return take(serial, &uart, source);
}

/* How far apart its registers are in memory, a PCI function does not tell. */
static bool take_pci(struct serial *serial, uint32_t function, const char *source)
{
	const uint32_t bar = pci_read(function, PCI_BAR_0);
	const uint32_t command = pci_read(function, PCI_COMMAND) & ~PCI_STATUS_BITS;
	uint64_t base = bar & (bar & BAR_IO ? BAR_IO_MASK : BAR_MMIO_MASK);

	if (!(bar & BAR_IO) && (bar & BAR_64))
		base |= (uint64_t)pci_read(function, PCI_BAR_1) << 32;
	if (bar == PCI_ABSENT || base == 0)
		return false;
	pci_write(function, PCI_COMMAND,
		  command | (bar & BAR_IO ? PCI_DECODE_IO : PCI_DECODE_MMIO));
	if (bar & BAR_IO)
		return take_port(serial, base, source);
	return take_mmio(serial, base, 1, source) || take_mmio(serial, base, 4, source);
}

static uint32_t count_functions(uint32_t first)
{
	const uint32_t header = pci_read(first, PCI_HEADER);

	if (header == PCI_ABSENT)
		return 0;
	return header & PCI_MULTI ? PCI_FUNCTIONS : 1;
}

static bool find_on_pci(struct serial *serial)
{
	for (uint32_t i = 0; i < PCI_BUSES * PCI_DEVICES; i++) {
		const uint32_t first = PCI_FUNCTION(i / PCI_DEVICES, i % PCI_DEVICES, 0);
		const uint32_t count = count_functions(first);

		for (uint32_t j = 0; j < count; j++) {
			const uint32_t function = first | PCI_FUNCTION(0, 0, j);

			if (pci_read(function, PCI_CLASS) >> PCI_CLASS_SHIFT == PCI_CLASS_SERIAL &&
			    take_pci(serial, function, "PCI"))
				return true;
		}
	}
	return false;
}

static bool find_in_tables(struct loader *loader, struct serial *serial)
{
	const uint64_t rsdp = find_rsdp(loader->system);
	struct uart uart;
	struct acpi acpi;
	uint32_t length;
	const uint8_t *table;

	if (rsdp == 0 || acpi_init(&acpi, rsdp) != NULL)
		return false;
	table = acpi_find(&acpi, "SPCR", &length);
	if (table != NULL && serial_from_spcr(table, length, &uart) && take(serial, &uart, "SPCR"))
		return true;
	table = acpi_find(&acpi, "DBG2", &length);
	return table != NULL && serial_from_dbg2(table, length, &uart) &&
	       take(serial, &uart, "DBG2");
}

static bool find_legacy(struct serial *serial)
{
	static const struct {
		uint32_t port;
		const char *name;
	} legacy[] = { { 0x3f8, "COM1" }, { 0x2f8, "COM2" }, { 0x3e8, "COM3" }, { 0x2e8, "COM4" } };

	for (size_t i = 0; i < sizeof(legacy) / sizeof(legacy[0]); i++)
		if (take_port(serial, legacy[i].port, legacy[i].name))
			return true;
	return false;
}

void serial_find(struct loader *loader, const struct serial_choice *choice, struct serial *serial)
{
	static const char configured[] = "manfred.cfg";

	*serial->uart = (struct uart){ .kind = UART_NONE };
	serial->described = false;
	switch ((enum serial_kind)choice->kind) {
	case SERIAL_AUTO:
		serial->described = find_in_tables(loader, serial);
		if (!serial->described && !find_legacy(serial))
			find_on_pci(serial);
		break;
	case SERIAL_AT_PORT:
		take_port(serial, choice->address, configured);
		break;
	case SERIAL_AT_PCI:
		take_pci(serial, (uint32_t)choice->address, configured);
		break;
	case SERIAL_AT_MMIO:
		/* Its clock is not known: who wants another speed says so by the key baud. */
		serial->described = take_mmio(serial, choice->address, choice->stride, configured);
		break;
	case SERIAL_NONE:
		break;
	}
}
