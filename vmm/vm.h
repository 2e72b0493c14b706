/* SPDX-License-Identifier: BSD-2-Clause */
/* The guests of manfred.cfg: their memory, and which processors run them. */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/boot_info.h"
#include "vmm/end.h"

struct vm;

unsigned int vm_count(void);

/* Give every guest its memory and its files. Ends the boot when one does not get what it needs. */
void vm_load_all(const struct boot_info *boot);

/* On each processor: make the vcpus that it has, wait for the others, and run. */
void vm_run_all(void) __attribute__((noreturn));

/*
 * This guest, whose vcpu is current, has ended: stop all of it. The others go on; the boot ends
 * with the last one, as failed when one of them has failed.
 */
void vm_end(struct vm *vm, enum end_status status, const char *reason) __attribute__((noreturn));

/* No other guest runs any more. */
bool vm_is_last(const struct vm *vm);

/* Why the first guest that has failed did so; NULL: none has. */
const char *vm_failure(void);

/* The boot ends although these guests run: say which. But for this one, which ends it. */
void vm_log_cut_off(const struct vm *vm);

/* Exits by reason, of each guest; and the sum of all. For the end of the boot. */
void vm_statistics_print(void);
uint64_t vm_exit_count(void);

/* One of the guests has the machine's devices, APICs among them. */
bool vm_has_devices(void);

/* Memory for a guest without devices: contiguous, aligned to 2 MiB, cleared. Its base; 0: none. */
uint64_t vm_take_memory(uint64_t size);

#endif
