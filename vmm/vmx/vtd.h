/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VT-d: what a guest's processors cannot reach, its devices cannot reach either. Their translation
 * tables are the guest's EPT.
 */
#ifndef VMM_VMX_VTD_H
#define VMM_VMX_VTD_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/host/capabilities.h"
#include "vmm/host/x86.h"

struct boot_info;
struct vm;

#define CACHE_LINE 64U

/*
 * For a guest that has the devices: find the units. When all can do what is needed, they are the
 * VMM's, and their registers are excluded from the guest's EPT, which is made later. Else one line
 * says why not, and the boot goes on without them.
 */
void vtd_probe(const struct boot_info *boot);

/* The units are the VMM's. */
bool vtd_is_taken(void);

/*
 * Translate the devices' accesses by the EPT of this guest, which has been made. A unit that does
 * not answer is named, all of them are switched off again, and the boot goes on.
 */
void vtd_start(const struct vm *vm);

/* Accesses of devices that were refused: one line for each that a unit has recorded. */
void vtd_log_faults(void);

/* An entry of an EPT was written: into memory with it, where a unit does not look into the caches.
 */
static inline void vtd_write_back(const void *address, uint64_t size)
{
	if (!machine.tables_in_memory)
		return;
	for (uint64_t offset = 0; offset < size; offset += CACHE_LINE)
		clflush((const uint8_t *)address + offset);
}

#endif
