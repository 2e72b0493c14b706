/* SPDX-License-Identifier: BSD-2-Clause */
/* The serial console. */
#ifndef VMM_BASE_SERIAL_H
#define VMM_BASE_SERIAL_H

#include <stddef.h>

#include "lib/uart.h"

/* Take the UART that the loader has found and set up. */
void serial_init(const struct uart *found);

/* The guest that shares it is no more: set it up again as it was found. */
void serial_take_back(void);

/* Write, a carriage return before each newline, and wait for the end of it. A UART that never gets
 * ready loses bytes, and is given up. */
void serial_write(const char *text, size_t length);

#endif
