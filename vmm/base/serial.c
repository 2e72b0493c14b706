// SPDX-License-Identifier: BSD-2-Clause
/*
 * The serial console. Owns the UART only while it writes: a pass-through guest's
 * driver uses the same one. The loader found it and set its speed.
 */
#include "vmm/base/serial.h"
#include "vmm/base/memory.h"

static struct uart uart;
static struct uart found_uart; /* as it was found: a guest can make it look dead */
static uint16_t divisor;       /* of the loader's speed, or the firmware's */

void serial_init(const struct uart *found)
{
	uart = found_uart = *found;
	if (uart.kind == UART_NONE)
		return;
	if (uart.kind == UART_MMIO)
		uart.base = (uint64_t)mmio_map(uart.base, (uint64_t)UART_REGISTERS * uart.stride);
	divisor = uart_divisor(&uart);
	found_uart = uart;
}

void serial_take_back(void)
{
	uart = found_uart;
	uart_set_up_anew(&uart, divisor);
}

/*
 * The guest's driver has set it, and may be about to use it on another processor, so that only what
 * can be put back in one write is changed. With the divisor latch open, register 0 is not data. A
 * wrong speed is left: to look for it is to open the latch, where the guest's next byte would go.
 */
void serial_write(const char *text, size_t length)
{
	const uint8_t modem_wrong = UART_MODEM_LOOP | UART_MODEM_FLOW;
	uint8_t line_control, modem_control;

	if (uart.kind == UART_NONE)
		return;
	line_control = uart_read(&uart, UART_LINE_CONTROL);
	modem_control = uart_read(&uart, UART_MODEM_CONTROL);
	uart_write(&uart, UART_LINE_CONTROL, UART_LINE_8N1);
	if (modem_control & modem_wrong)
		uart_write(&uart, UART_MODEM_CONTROL,
			   (uint8_t)((modem_control & ~modem_wrong) | UART_MODEM_DTR_RTS));
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n')
			uart_put(&uart, '\r');
		uart_put(&uart, text[i]);
	}
	uart_drain(&uart);
	if (modem_control & modem_wrong)
		uart_write(&uart, UART_MODEM_CONTROL, modem_control);
	uart_write(&uart, UART_LINE_CONTROL, line_control);
}
