/* SPDX-License-Identifier: BSD-2-Clause */
/* The guests: each puts its files into the guest's memory, and makes a vcpu that is ready to run.
 */
#ifndef VMM_GUEST_H
#define VMM_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/boot_info.h"

struct vcpu;
struct vm;

struct vcpu *guest_selftest_create(struct vm *vm);
struct vcpu *guest_linux_create(struct vm *vm);
struct vcpu *guest_multiboot_create(struct vm *vm);

/*
 * Fill the pages of a guest's first page tables (PML4, PDPT, four page directories), which lie at
 * this guest-physical address: 4 GiB, identity-mapped.
 */
void guest_fill_identity_tables(void *tables, uint64_t guest_physical);

/* Copy an ELF segment's or a file's bytes into guest memory, and clear the rest; false when there
 * is no RAM. */
bool guest_load(const struct vm *vm, uint64_t guest_physical, const void *bytes, uint64_t file_size,
		uint64_t memory_size);

/*
 * Read guest memory by a linear address of 64-bit mode, as the guest's current page tables map it,
 * whatever the rights. False when there is none.
 */
bool guest_read_linear(const struct vm *vm, uint64_t linear, void *to, uint64_t size);

#endif
