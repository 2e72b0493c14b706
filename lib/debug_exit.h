/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's device isa-debug-exit, at the port that most use it at: QEMU ends when it is written, with
 * the exit status (value << 1) | 1. With at_end = debug-exit only: on a real machine the port is
 * somebody else's. Values such that no status of QEMU's own is one of them.
 */
#ifndef LIB_DEBUG_EXIT_H
#define LIB_DEBUG_EXIT_H

#define PORT_DEBUG_EXIT	  0xf4
#define DEBUG_EXIT_OK	  0x10 /* QEMU's status is 33 */
#define DEBUG_EXIT_FAILED 0x11 /* ... 35 */

#endif
