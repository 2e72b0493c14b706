// SPDX-License-Identifier: BSD-2-Clause
/* What the guests' loaders share. */
#include "vmm/guest.h"

#include "lib/layout.h"
#include "lib/string.h"
#include "vmm/ept.h"
#include "vmm/vcpu.h"

#define ENTRIES	    512
#define DIRECTORIES 4
#define PTE_PRESENT (1ULL << 0)
#define PTE_WRITE   (1ULL << 1)
#define PTE_LARGE   (1ULL << 7)

void guest_fill_identity_tables(void *tables, uint64_t guest_physical)
{
	uint64_t *const pml4 = tables;
	uint64_t *const pdpt = pml4 + ENTRIES;
	uint64_t *const directories = pdpt + ENTRIES;

	memset(tables, 0, (2 + DIRECTORIES) * PAGE_SIZE);
	pml4[0] = (guest_physical + PAGE_SIZE) | PTE_PRESENT | PTE_WRITE;
	for (uint64_t i = 0; i < DIRECTORIES; i++)
		pdpt[i] = (guest_physical + (2 + i) * PAGE_SIZE) | PTE_PRESENT | PTE_WRITE;
	for (uint64_t i = 0; i < DIRECTORIES * ENTRIES; i++)
		directories[i] = (i * SIZE_2M) | PTE_PRESENT | PTE_WRITE | PTE_LARGE;
}

bool guest_load(const struct vm *vm, uint64_t guest_physical, const void *bytes, uint64_t file_size,
		uint64_t memory_size)
{
	uint8_t *const to = guest_memory(vm, guest_physical, memory_size);

	if (!to)
		return false;
	memmove(to, bytes, file_size);
	memset(to + file_size, 0, memory_size - file_size);
	return true;
}
