/* SPDX-License-Identifier: BSD-2-Clause */
/* The guests of manfred.cfg: their memory, and which processors run them. */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/boot_info.h"
#include "vmm/end.h"

struct vm;

/* Give every guest its memory and its files. Ends the boot when one does not get what it needs. */
void vm_load_all(const struct boot_info *boot);

/* On each processor: make the vcpus that it has, wait for the others, and run. */
void vm_run_all(void) __attribute__((noreturn));

/*
 * This guest, whose vcpu is current, has ended: stop all of it. The others go on; the boot ends
 * with the last one, as failed when one of them has failed.
 */
void vm_end(struct vm *vm, enum end_status status, const char *reason) __attribute__((noreturn));

#endif
