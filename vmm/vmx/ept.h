/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM's extended page tables: what the guest can reach. */
#ifndef VMM_VMX_EPT_H
#define VMM_VMX_EPT_H

#include <stdbool.h>
#include <stdint.h>

struct boot_info;
struct vm;

/* Guest-physical memory that the VMM sees in one piece; whole pages. */
struct guest_ram {
	uint64_t base, size;
	uint8_t *memory;
};

/* This memory is another guest's, or these registers the VMM's: a guest that has the machine's
 * devices does not get it. Before its EPT is made. */
void ept_exclude(uint64_t base, uint64_t size);

/*
 * What lies below this is mapped from the start for a guest that has the machine's devices: all
 * RAM, and the devices below 4 GiB.
 */
uint64_t ept_machine_end(const struct boot_info *boot);

/* Build the tables: the VM's own memory, or the machine without the VMM's region and without
 * what is excluded. */
void ept_create(struct vm *vm);

/*
 * From now on the VM gets so many tables more, so that no guest takes the pages of others. Those
 * that it has stay, and serve again.
 */
void ept_limit(struct vm *vm, uint64_t tables);

/*
 * Take one 4 KiB page away until the guest touches it. False when the guest has no memory there, or
 * has used up its tables.
 */
bool ept_unmap_page(struct vm *vm, uint64_t guest_physical);

/* May the guest write the device or memory of this page? It can read it. The caller invalidates. */
void ept_set_writable(struct vm *vm, uint64_t guest_physical, bool writable);

/*
 * Map what a violation missed: memory of the guest that is not mapped yet, or a device.
 * False when the guest has nothing there, or (vm->ept_used_up) it takes too many tables.
 */
bool ept_map_missing(struct vm *vm, uint64_t guest_physical);

/* Does this belong to the VMM? */
bool ept_is_vmm_memory(const struct vm *vm, uint64_t guest_physical);

/* Where the VMM sees `size` bytes of guest memory; NULL when the guest has no RAM there. */
void *guest_memory(const struct vm *vm, uint64_t guest_physical, uint64_t size);

#endif
