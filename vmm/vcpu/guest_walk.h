/* SPDX-License-Identifier: BSD-2-Clause */
/* The guests, as far as they are ready to run. */
#ifndef VMM_VCPU_GUEST_WALK_H
#define VMM_VCPU_GUEST_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/boot_info.h"

struct vm;

/* Put the guest's files into its memory, and fill in vm->start. */
void guest_selftest_load(struct vm *vm);
void guest_linux_load(struct vm *vm);
void guest_multiboot_load(struct vm *vm);

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
 * The guest-physical address of a linear one, as the guest's current page tables of any kind have
 * it, whatever the rights; without paging the same. False when there is none.
 */
bool guest_translate(const struct vm *vm, uint64_t linear, uint64_t *physical);

/*
 * Read guest memory by a linear address, translated like this. False when there is none.
 */
bool guest_read_linear(const struct vm *vm, uint64_t linear, void *to, uint64_t size);

/*
 * Bytes from the guest's RIP, at most INSTRUCTION_MAX; returns how many, which is 0 where nothing
 * is mapped.
 */
unsigned int guest_read_code(const struct vm *vm, uint8_t *bytes);

#endif
