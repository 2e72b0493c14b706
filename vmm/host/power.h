/* SPDX-License-Identifier: BSD-2-Clause */
/* I/O ports of a guest. */
#ifndef VMM_HOST_POWER_H
#define VMM_HOST_POWER_H

#include <stdint.h>

struct vm;

/* Find the ports that turn this machine off or reset it. */
void io_init(uint64_t rsdp);

/* Fill a VM's I/O bitmaps (two pages): all ports exit, or those that end the machine. */
void io_bitmaps_fill(const struct vm *vm, uint8_t *bitmaps);

/* Turn the machine off, or reset it, by every way known. Returns when none worked. */
void io_power_off(void);
void io_reset(void);

/* At least this long: a read of port 0x80 takes about 1 us on every PC. */
void io_delay(uint64_t microseconds);

#endif
