/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Output on COM1 without the firmware, as it was set up by the firmware.
 */
#ifndef TOOLS_EFI_SERIAL_H
#define TOOLS_EFI_SERIAL_H

#include <stdint.h>

#define COM1		   0x3f8
#define COM_LINE_STATUS	   5
#define COM_TRANSMIT_EMPTY 0x20

static inline void write_serial(const char *text)
{
	for (; *text; text++) {
		uint8_t status = 0;

		do {
			asm volatile("inb %w1, %b0"
				     : "=a"(status)
				     : "d"((uint16_t)(COM1 + COM_LINE_STATUS)));
		} while (!(status & COM_TRANSMIT_EMPTY));
		asm volatile("outb %b0, %w1" : : "a"(*text), "d"((uint16_t)COM1));
	}
}

#endif
