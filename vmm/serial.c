// SPDX-License-Identifier: BSD-2-Clause
/*
 * The serial console. Owns the UART only while it writes: a pass-through guest's
 * driver uses the same one. The loader found the port and set its speed.
 */
#include "vmm/serial.h"
#include "vmm/x86.h"

#define UART_DATA	  0
#define UART_LINE_CONTROL 3
#define UART_LINE_STATUS  5

#define LINE_CONTROL_8N1 0x03 /* and divisor latch access off: register 0 is data */
#define LINE_STATUS_THRE 0x20 /* transmit holding register empty */
#define LINE_STATUS_TEMT 0x40 /* all sent */

/* One byte takes 87 us at 115,200 baud; a port read takes about 1 us. 1,200 baud still passes. */
#define POLLS_PER_BYTE 20000

static void wait_for(uint16_t port, uint8_t status)
{
	for (int i = 0; i < POLLS_PER_BYTE; i++)
		if (inb((uint16_t)(port + UART_LINE_STATUS)) & status)
			return;
}

struct serial_settings serial_borrow(uint16_t port)
{
	const struct serial_settings settings = { inb((uint16_t)(port + UART_LINE_CONTROL)) };

	outb((uint16_t)(port + UART_LINE_CONTROL), LINE_CONTROL_8N1);
	return settings;
}

void serial_give_back(uint16_t port, struct serial_settings settings)
{
	outb((uint16_t)(port + UART_LINE_CONTROL), settings.line_control);
}

static void put(uint16_t port, char c)
{
	wait_for(port, LINE_STATUS_THRE);
	outb((uint16_t)(port + UART_DATA), (uint8_t)c);
}

void serial_write(uint16_t port, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n')
			put(port, '\r');
		put(port, text[i]);
	}
}

void serial_drain(uint16_t port)
{
	wait_for(port, LINE_STATUS_TEMT);
}
