/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads what tells where the serial port is. Trusts no number in the firmware's tables.
 */
#include "lib/serial.h"

#include "lib/acpi.h"
#include "lib/acpi_format.h"
#include "lib/string.h"

/* Generic address structure (ACPI 6.5, 5.2.3.2). */
#define GAS_SPACE   0
#define GAS_BITS    1
#define GAS_ACCESS  3 /* 0: not said, else 8 bits << (value - 1) */
#define GAS_ADDRESS 4
#define GAS_SIZE    12

#define ACCESS_DWORD 3

/* SPCR, revision 1 and later; the clock is of revision 3. */
#define SPCR_INTERFACE 36
#define SPCR_ADDRESS   40
#define SPCR_CLOCK     76
#define SPCR_SIZE      80

/* DBG2: its devices, and what each of them begins with. */
#define DBG2_DEVICES	   36
#define DBG2_COUNT	   40
#define DBG2_SIZE	   44
#define DEVICE_LENGTH	   1
#define DEVICE_REGISTERS   3
#define DEVICE_TYPE	   12
#define DEVICE_SUBTYPE	   14
#define DEVICE_ADDRESS	   18
#define DEVICE_SIZE	   22
#define DEVICE_TYPE_SERIAL 0x8000U

/* Subtypes of serial ports, the same in both tables. */
#define SUBTYPE_16550	   0x0000U
#define SUBTYPE_16550_DBGP 0x0001U
#define SUBTYPE_16550_GAS  0x0012U /* the distance of its registers is in the address structure */

#define BYTE	 8U /* bits */
#define PORT_MAX 0xffffU
/* Further than any device of a PC, and within what page tables of four levels map identically. */
#define ADDRESS_MAX   (1ULL << 45)
#define MMIO_SIZE_MAX (UART_REGISTERS * 8ULL)

struct text {
	const char *next, *end;
};

static bool take_word(struct text *text, const char *word)
{
	const size_t length = strlen(word);

	if ((size_t)(text->end - text->next) < length || memcmp(text->next, word, length) != 0)
		return false;
	text->next += length;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Hexadecimal digits, behind 0x or not; false when there are none, or it is above `max`. */
static bool take_hex(struct text *text, uint64_t max, uint64_t *number)
{
	const char *first;

	take_word(text, "0x");
	first = text->next;
	for (*number = 0; text->next < text->end; text->next++) {
		const int digit = hex_digit(*text->next);

		if (digit < 0)
			break;
		*number = *number << 4 | (uint64_t)digit;
		if (*number > max)
			return false;
	}
	return text->next != first;
}

static bool parse_pci(struct text *text, struct serial_choice *choice)
{
	uint64_t bus, device, function;

	if (!take_hex(text, PCI_BUSES - 1, &bus) || !take_word(text, ":") ||
	    !take_hex(text, PCI_DEVICES - 1, &device) || !take_word(text, ".") ||
	    !take_hex(text, PCI_FUNCTIONS - 1, &function))
		return false;
	choice->kind = SERIAL_AT_PCI;
	choice->address = PCI_FUNCTION(bus, device, function);
	return true;
}

static bool parse_mmio(struct text *text, struct serial_choice *choice)
{
	choice->kind = SERIAL_AT_MMIO;
	choice->stride = 1;
	if (!take_hex(text, ADDRESS_MAX - MMIO_SIZE_MAX, &choice->address))
		return false;
	if (take_word(text, ",4"))
		choice->stride = 4;
	else
		take_word(text, ",1");
	/* An access that crosses no boundary of its size. */
	return choice->address != 0 && choice->address % choice->stride == 0;
}

static bool parse_port(struct text *text, struct serial_choice *choice)
{
	choice->kind = SERIAL_AT_PORT;
	return take_hex(text, PORT_MAX + 1 - UART_REGISTERS, &choice->address) &&
	       choice->address != 0;
}

bool serial_parse(const char *value, size_t length, struct serial_choice *choice)
{
	struct text text = { value, value + length };
	bool valid = true;

	*choice = (struct serial_choice){ .kind = SERIAL_AUTO };
	if (take_word(&text, "none"))
		choice->kind = SERIAL_NONE;
	else if (take_word(&text, "pci:"))
		valid = parse_pci(&text, choice);
	else if (take_word(&text, "mmio:"))
		valid = parse_mmio(&text, choice);
	else if (!take_word(&text, "auto"))
		valid = parse_port(&text, choice);
	return valid && text.next == text.end;
}

static uint32_t read_16(const uint8_t *at)
{
	return (uint32_t)(at[0] | at[1] << 8);
}

/*
 * Firmware fills the structure in several ways. What counts is the size of an access; only the
 * subtype that was made for it has the registers' distance as well (DBG2, table 3 with its notes).
 */
static bool from_address(const uint8_t *gas, uint32_t subtype, struct uart *uart)
{
	const uint64_t address = read_64(gas + GAS_ADDRESS);
	const uint32_t access = gas[GAS_ACCESS];
	uint32_t stride;

	if (subtype != SUBTYPE_16550 && subtype != SUBTYPE_16550_DBGP &&
	    subtype != SUBTYPE_16550_GAS)
		return false;
	if (address == 0 || access > ACCESS_DWORD)
		return false;
	*uart = (struct uart){ .base = address, .width = BYTE, .clock = UART_CLOCK_PC };
	if (gas[GAS_SPACE] == ACPI_SPACE_MEMORY && access != 0)
		uart->width = BYTE << (access - 1);
	stride = (subtype == SUBTYPE_16550_GAS ? gas[GAS_BITS] : uart->width) / BYTE;
	if (stride != 1 && stride != 2 && stride != 4 && stride != 8)
		return false;
	uart->stride = stride;
	uart->kind = gas[GAS_SPACE] == ACPI_SPACE_IO ? UART_PORT : UART_MMIO;
	if (uart->kind == UART_PORT)
		return address <= PORT_MAX + 1 - (uint64_t)UART_REGISTERS * stride;
	return gas[GAS_SPACE] == ACPI_SPACE_MEMORY && uart->width <= stride * BYTE &&
	       address % stride == 0 && address <= ADDRESS_MAX - MMIO_SIZE_MAX;
}

bool serial_from_spcr(const uint8_t *table, uint32_t length, struct uart *uart)
{
	if (length < SPCR_SIZE || !from_address(table + SPCR_ADDRESS, table[SPCR_INTERFACE], uart))
		return false;
	if (table[TABLE_REVISION] >= 3 && read_32(table + SPCR_CLOCK) != 0)
		uart->clock = read_32(table + SPCR_CLOCK);
	return true;
}

static bool from_device(const uint8_t *device, uint32_t size, struct uart *uart)
{
	const uint32_t address = read_16(device + DEVICE_ADDRESS);

	return read_16(device + DEVICE_TYPE) == DEVICE_TYPE_SERIAL &&
	       device[DEVICE_REGISTERS] > 0 && address >= DEVICE_SIZE &&
	       address + GAS_SIZE <= size &&
	       from_address(device + address, read_16(device + DEVICE_SUBTYPE), uart);
}

bool serial_from_dbg2(const uint8_t *table, uint32_t length, struct uart *uart)
{
	uint32_t at, count;

	if (length < DBG2_SIZE)
		return false;
	at = read_32(table + DBG2_DEVICES);
	count = read_32(table + DBG2_COUNT);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t size;

		if (at > length || length - at < DEVICE_SIZE)
			return false;
		size = read_16(table + at + DEVICE_LENGTH);
		if (size < DEVICE_SIZE || size > length - at)
			return false;
		if (from_device(table + at, size, uart))
			return true;
		at += size;
	}
	return false;
}
