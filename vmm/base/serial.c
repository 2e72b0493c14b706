// SPDX-License-Identifier: BSD-2-Clause
/*
 * The serial console. Owns the UART only while it writes: a pass-through guest's
 * driver uses the same one. The loader found it and set its speed.
 */
#include "vmm/base/serial.h"
#include "vmm/base/memory.h"

static struct uart uart;

void serial_init(const struct uart *found)
{
	uart = *found;
	if (uart.kind == UART_MMIO)
		uart.base = (uint64_t)mmio_map(uart.base, (uint64_t)UART_REGISTERS * uart.stride);
}

void serial_write(const char *text, size_t length)
{
	uint8_t line_control;

	if (uart.kind == UART_NONE)
		return;
	/* As a guest's driver has set it: with the divisor latch open, register 0 is not data. */
	line_control = uart_read(&uart, UART_LINE_CONTROL);
	uart_write(&uart, UART_LINE_CONTROL, UART_LINE_8N1);
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n')
			uart_put(&uart, '\r');
		uart_put(&uart, text[i]);
	}
	uart_drain(&uart);
	uart_write(&uart, UART_LINE_CONTROL, line_control);
}
