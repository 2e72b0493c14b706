/* SPDX-License-Identifier: BSD-2-Clause */
/* The guests of manfred.cfg: their memory, and which processors run them. */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <stdint.h>

#include "lib/boot_info.h"

struct vm;

unsigned int vm_count(void);
struct vm *vm_get(unsigned int index);

/* Give every guest its memory and its files. Ends the boot when one does not get what it needs. */
void vm_load_all(const struct boot_info *boot);

/* On each processor: make the vcpus that it has, wait for the others, and run. */
void vm_run_all(void) __attribute__((noreturn));

/* Memory for a guest without devices: contiguous, aligned to 2 MiB, cleared. Its base; 0: none. */
uint64_t vm_take_memory(uint64_t size);

#endif
