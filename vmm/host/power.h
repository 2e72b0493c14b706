/* SPDX-License-Identifier: BSD-2-Clause */
/* The ports that end the machine. */
#ifndef VMM_HOST_POWER_H
#define VMM_HOST_POWER_H

#include <stdint.h>

struct acpi_power;

/* Find the ports that turn this machine off or reset it. */
void io_init(uint64_t rsdp);

/* What the firmware says of them; all 0 when it says nothing. */
const struct acpi_power *io_power(void);

/* Turn the machine off, or reset it, by every way known. Returns when none worked. */
void io_power_off(void);
void io_reset(void);

/* At least this long: a read of port 0x80 takes about 1 us on every PC. */
void io_delay(uint64_t microseconds);

#endif
