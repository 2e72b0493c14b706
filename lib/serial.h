/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the serial port is: what the key `serial` of manfred.cfg says, and what the firmware says
 * in the ACPI tables SPCR and DBG2 (formats published by Microsoft). Only parsing: who looks for
 * the port is boot/serial.c.
 */
#ifndef LIB_SERIAL_H
#define LIB_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/uart.h"

enum serial_kind { SERIAL_AUTO, SERIAL_NONE, SERIAL_AT_PORT, SERIAL_AT_PCI, SERIAL_AT_MMIO };

/* The value of the key. */
struct serial_choice {
	uint32_t kind;	  /* enum serial_kind */
	uint32_t stride;  /* SERIAL_AT_MMIO: bytes, which is also the size of an access */
	uint64_t address; /* port, physical address, or PCI function as PCI_FUNCTION has it */
};

/* A PCI function as configuration mechanism 1 names it (PCI 3.0, 3.2.2.3.2), without the register.
 */
#define PCI_FUNCTION(bus, device, function) \
	((uint32_t)(bus) << 16 | (uint32_t)(device) << 11 | (uint32_t)(function) << 8)
#define PCI_BUSES     256U
#define PCI_DEVICES   32U
#define PCI_FUNCTIONS 8U

/* What can be written, for messages. */
#define SERIAL_SYNTAX                                                                            \
	"auto, none, a port such as 0x3f8, pci:BB:DD.F, and mmio:ADDRESS with or without ,1 or " \
	",4 for the distance of its registers"

/* Returns false when the text is none of these; numbers are hexadecimal, the distance decimal. */
bool serial_parse(const char *text, size_t length, struct serial_choice *choice);

/*
 * The UART of an SPCR, or the first usable one of a DBG2: a whole sound table of `length` bytes,
 * of which no other number is trusted. Returns false when it names none that is compatible with
 * the 16550.
 */
bool serial_from_spcr(const uint8_t *table, uint32_t length, struct uart *uart);
bool serial_from_dbg2(const uint8_t *table, uint32_t length, struct uart *uart);

#endif
