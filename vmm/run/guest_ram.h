/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VMM_RUN_GUEST_RAM_H
#define VMM_RUN_GUEST_RAM_H

#include <stdint.h>

struct boot_info;
struct memmap;

void guest_ram_init(const struct boot_info *boot);

/* The RAM that the guest with the machine's devices gets: what no other has taken. */
const struct memmap *guest_ram_left(void);

/* Memory for a guest without devices: contiguous, aligned to 2 MiB, cleared. Its base; 0: none. */
uint64_t guest_ram_take(uint64_t size);

#endif
