/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * I/O ports of a PC. COM1; those that end the machine or close the A20 gate: the keyboard
 * controller (Intel 8042 as of the PC/AT), system control port A, the reset control register (Intel
 * PCH data sheet, "Port 92h", "RST_CNT"), and ACPI's power control.
 */
#ifndef LIB_X86_PORTS_H
#define LIB_X86_PORTS_H

#define PORT_COM1 0x3f8U

#define PORT_KEYBOARD_DATA    0x60U
#define PORT_KEYBOARD_COMMAND 0x64U /* read: the status */
#define KEYBOARD_INPUT_FULL   0x02U /* in the status: the last byte is not taken yet */
/* The next byte to PORT_KEYBOARD_DATA goes to the output port. */
#define KEYBOARD_WRITE_OUTPUT 0xd1U
#define KEYBOARD_OUTPUT_RUN   0x01U /* in the output port: 0 resets the processors */
#define KEYBOARD_OUTPUT_A20   0x02U /* in the output port: 0 closes the A20 gate */
/* Commands of some controllers; they differ in KEYBOARD_OUTPUT_A20. */
#define KEYBOARD_CLOSE_A20 0xddU
#define KEYBOARD_OPEN_A20  0xdfU
/* F0H to FFH: each bit of 3:0 that is 0 makes this bit of the output port 0 for 6 us. */
#define KEYBOARD_PULSE	     0xf0U
#define KEYBOARD_PULSE_RESET (KEYBOARD_PULSE | 0x0eU)

#define PORT_SYSTEM_CONTROL_A 0x92U
#define SYSTEM_CONTROL_RESET  0x01U /* from 0 to 1: reset the processors */
#define SYSTEM_CONTROL_A20    0x02U /* 0 closes the A20 gate */

#define PORT_RESET_CONTROL  0xcf9U
#define RESET_CONTROL_RESET 0x04U /* reset now */

/* PM1 control registers, at ports that ACPI tells (ACPI 6.5, 4.8.3.2.1). */
#define PM1_SCI_ENABLE	  (1U << 0)
#define PM1_SLEEP_TYPE(v) (((unsigned int)(v) >> 10) & 7)
#define PM1_SLEEP_SHIFT	  10
#define PM1_SLEEP_ENABLE  (1U << 13)

#endif
