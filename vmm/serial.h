/* SPDX-License-Identifier: BSD-2-Clause */
/* A 16550 UART behind I/O ports, polled. */
#ifndef VMM_SERIAL_H
#define VMM_SERIAL_H

#include <stddef.h>
#include <stdint.h>

/* What a guest's driver has set, kept while the VMM writes a line of its own. */
struct serial_settings {
	uint8_t line_control;
};

struct serial_settings serial_borrow(uint16_t port);
void serial_give_back(uint16_t port, struct serial_settings settings);

/* Write, a carriage return before each newline. A UART that never gets ready loses bytes, never
 * time. */
void serial_write(uint16_t port, const char *text, size_t length);

/* Wait until the last byte has left the UART, bounded. */
void serial_drain(uint16_t port);

#endif
