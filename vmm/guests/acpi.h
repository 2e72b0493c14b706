/* SPDX-License-Identifier: BSD-2-Clause */
/* The ACPI tables that a guest with the machine's devices sees. */
#ifndef VMM_GUESTS_ACPI_H
#define VMM_GUESTS_ACPI_H

#include <stdint.h>

struct vm;

/*
 * Make tables that name these processors, by the IDs of their local APICs, and no others. Takes
 * memory of the guest for them, in vm->memmap, unless the firmware's tables say the same: call it
 * before anything else has a place there. Returns the address of the root pointer for the guest.
 */
uint64_t guest_acpi_make(struct vm *vm, const uint32_t *apic_ids, uint32_t count);

#endif
