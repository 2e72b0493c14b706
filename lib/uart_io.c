/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A UART's registers, behind I/O ports or in memory. The one file of lib/ that touches hardware: a
 * program takes it from the library unless, as host tests do, it has these functions itself.
 */
#include "lib/uart.h"

#define WIDTH_16 16U
#define WIDTH_32 32U

static uint8_t port_in(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void port_out(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

uint8_t uart_read(const struct uart *uart, uint32_t reg)
{
	const uintptr_t at = (uintptr_t)uart->base + (uintptr_t)reg * uart->stride;

	if (uart->kind == UART_PORT)
		return port_in((uint16_t)at);
	if (uart->width == WIDTH_32)
		return (uint8_t) * (const volatile uint32_t *)at;
	if (uart->width == WIDTH_16)
		return (uint8_t) * (const volatile uint16_t *)at;
	return *(const volatile uint8_t *)at;
}

void uart_write(const struct uart *uart, uint32_t reg, uint8_t value)
{
	const uintptr_t at = (uintptr_t)uart->base + (uintptr_t)reg * uart->stride;

	if (uart->kind == UART_PORT)
		port_out((uint16_t)at, value);
	else if (uart->width == WIDTH_32)
		*(volatile uint32_t *)at = value;
	else if (uart->width == WIDTH_16)
		*(volatile uint16_t *)at = value;
	else
		*(volatile uint8_t *)at = value;
}
