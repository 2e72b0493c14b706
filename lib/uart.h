/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drives a UART that is compatible with the 16550, polled. Loader, VMM and built-in guest use the
 * same code on the same description. Nothing here waits without an end: a UART that never becomes
 * ready is given up.
 */
#ifndef LIB_UART_H
#define LIB_UART_H

#include <stdbool.h>
#include <stdint.h>

enum uart_kind { UART_NONE, UART_PORT, UART_MMIO };

/* Where its registers are, and how to reach them. */
struct uart {
	uint64_t base;	   /* I/O port, or address: the physical one in boot_info */
	uint32_t kind;	   /* enum uart_kind */
	uint32_t stride;   /* bytes from one register to the next: 1, 2, 4 or 8 */
	uint32_t width;	   /* bits of an access: 8, 16 or 32, never more than the stride */
	uint32_t clock;	   /* Hz, of what is divided by 16 and by the divisor */
	uint32_t timeouts; /* bytes that it did not take in time, one after the other */
};

/* Registers. */
enum {
	UART_DATA = 0,
	UART_DIVISOR_LOW = 0, /* with UART_LINE_DIVISOR */
	UART_INTERRUPT_ENABLE = 1,
	UART_DIVISOR_HIGH = 1,
	UART_FIFO_CONTROL = 2,
	UART_LINE_CONTROL = 3,
	UART_MODEM_CONTROL = 4,
	UART_LINE_STATUS = 5,
	UART_MODEM_STATUS = 6,
	UART_SCRATCH = 7,
	UART_REGISTERS = 8,
};

#define UART_LINE_8N1 0x03U
/* In UART_LINE_CONTROL: the first two registers are the divisor. */
#define UART_LINE_DIVISOR 0x80U

/* In UART_MODEM_CONTROL, what keeps a byte from the line. */
#define UART_MODEM_LOOP	   0x10U
#define UART_MODEM_FLOW	   0x20U /* of later ones: wait until the other side is ready to receive */
#define UART_MODEM_DTR_RTS 0x03U

#define UART_CLOCK_PC 1843200U /* Hz, unless something else is known */

/* One register; uart_io.c has them, host tests a model. */
uint8_t uart_read(const struct uart *uart, uint32_t reg);
void uart_write(const struct uart *uart, uint32_t reg, uint8_t value);

/* Is there a UART? Leaves its settings as they are. */
bool uart_answers(const struct uart *uart);

/* 8 data bits, no parity, FIFO on, and the speed in bits per second. */
void uart_set_up(const struct uart *uart, uint32_t baud);

/* The divisor that its speed has. */
uint16_t uart_divisor(const struct uart *uart);

/* As uart_set_up(), with a divisor, and no interrupts. What is on its way leaves before. */
void uart_set_up_anew(const struct uart *uart, uint16_t divisor);

/* Send a byte. After some that it did not take in time the UART's kind is UART_NONE. */
void uart_put(struct uart *uart, char c);

/* Wait until the last byte has left, bounded. */
void uart_drain(const struct uart *uart);

/* A byte that has come, or -1. */
int uart_get(const struct uart *uart);

#endif
