/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a 16550 is used, whatever its registers are behind.
 */
#include "lib/uart.h"

#include <stddef.h>

#define FIFO_ENABLE_CLEAR  0x07U
#define MODEM_DTR_RTS_OUT2 0x0bU
#define MODEM_LOOP	   0x1aU /* loopback, with RTS and OUT2 ... */
#define STATUS_LOOP	   0x90U /* ... which come back as CTS and DCD */
#define STATUS_LOOP_MASK   0xf0U
#define STATUS_DATA	   0x01U
#define STATUS_THR_EMPTY   0x20U
#define STATUS_ALL_SENT	   0x40U
#define STATUS_ABSENT	   0xffU

#define CLOCKS_PER_BIT 16U
#define DIVISOR_MAX    0xffffU

/* At 1 us for a register, ten times what the 16 bytes of a FIFO need at 9,600 bits per second. */
#define POLLS_MAX    200000U
#define TIMEOUTS_MAX 3U

static bool keeps_scratch(const struct uart *uart)
{
	static const uint8_t patterns[] = { 0x5a, 0xa5 };
	const uint8_t before = uart_read(uart, UART_SCRATCH);
	bool kept = true;

	for (size_t i = 0; i < sizeof(patterns); i++) {
		uart_write(uart, UART_SCRATCH, patterns[i]);
		kept = kept && uart_read(uart, UART_SCRATCH) == patterns[i];
	}
	uart_write(uart, UART_SCRATCH, before);
	return kept;
}

static bool loops_back(const struct uart *uart)
{
	const uint8_t before = uart_read(uart, UART_MODEM_CONTROL);
	uint8_t status;

	uart_write(uart, UART_MODEM_CONTROL, MODEM_LOOP);
	status = uart_read(uart, UART_MODEM_STATUS);
	uart_write(uart, UART_MODEM_CONTROL, before);
	return (status & STATUS_LOOP_MASK) == STATUS_LOOP;
}

/* Some have no scratch register; nothing that is no UART does either. */
bool uart_answers(const struct uart *uart)
{
	return uart->kind != UART_NONE && uart_read(uart, UART_LINE_STATUS) != STATUS_ABSENT &&
	       (keeps_scratch(uart) || loops_back(uart));
}

static void set_up(const struct uart *uart, uint16_t divisor)
{
	uart_write(uart, UART_LINE_CONTROL, UART_LINE_DIVISOR);
	uart_write(uart, UART_DIVISOR_LOW, (uint8_t)divisor);
	uart_write(uart, UART_DIVISOR_HIGH, (uint8_t)(divisor >> 8));
	uart_write(uart, UART_LINE_CONTROL, UART_LINE_8N1);
	uart_write(uart, UART_FIFO_CONTROL, FIFO_ENABLE_CLEAR);
	uart_write(uart, UART_MODEM_CONTROL, MODEM_DTR_RTS_OUT2);
}

void uart_set_up(const struct uart *uart, uint32_t baud)
{
	uint32_t divisor = (uart->clock / CLOCKS_PER_BIT + baud / 2) / baud;

	if (divisor == 0)
		divisor = 1;
	if (divisor > DIVISOR_MAX)
		divisor = DIVISOR_MAX;
	set_up(uart, (uint16_t)divisor);
}

uint16_t uart_divisor(const struct uart *uart)
{
	const uint8_t line_control = uart_read(uart, UART_LINE_CONTROL);
	uint16_t divisor;

	uart_write(uart, UART_LINE_CONTROL, UART_LINE_DIVISOR);
	divisor = (uint16_t)(uart_read(uart, UART_DIVISOR_LOW) | uart_read(uart, UART_DIVISOR_HIGH)
									 << 8);
	uart_write(uart, UART_LINE_CONTROL, line_control);
	return divisor;
}

static bool wait_for(const struct uart *uart, uint8_t status)
{
	for (uint32_t i = 0; i < POLLS_MAX; i++)
		if (uart_read(uart, UART_LINE_STATUS) & status)
			return true;
	return false;
}

void uart_put(struct uart *uart, char c)
{
	if (uart->kind == UART_NONE)
		return;
	if (wait_for(uart, STATUS_THR_EMPTY)) {
		uart->timeouts = 0;
		uart_write(uart, UART_DATA, (uint8_t)c);
	} else if (++uart->timeouts == TIMEOUTS_MAX) {
		/* Waiting again for each byte would look like a hang. */
		uart->kind = UART_NONE;
	}
}

void uart_drain(const struct uart *uart)
{
	if (uart->kind != UART_NONE)
		wait_for(uart, STATUS_ALL_SENT);
}

void uart_set_up_anew(const struct uart *uart, uint16_t divisor)
{
	if (uart->kind == UART_NONE)
		return;
	uart_drain(uart);
	uart_write(uart, UART_LINE_CONTROL, UART_LINE_8N1);
	uart_write(uart, UART_INTERRUPT_ENABLE, 0);
	set_up(uart, divisor);
}

int uart_get(const struct uart *uart)
{
	uint8_t status;

	if (uart->kind == UART_NONE)
		return -1;
	status = uart_read(uart, UART_LINE_STATUS);
	if (status == STATUS_ABSENT || !(status & STATUS_DATA))
		return -1;
	return uart_read(uart, UART_DATA);
}
