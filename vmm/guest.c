// SPDX-License-Identifier: BSD-2-Clause
/* Guest memory: what the guests' loaders share, and the walk of a guest's page tables. */
#include "vmm/guest.h"

#include "lib/layout.h"
#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "vmm/decode.h"
#include "vmm/ept.h"
#include "vmm/vcpu.h"
#include "vmm/vmcs.h"

#define ENTRIES	    512
#define DIRECTORIES 4
#define PTE_PRESENT (1ULL << 0)
#define PTE_WRITE   (1ULL << 1)
#define PTE_LARGE   (1ULL << 7)
#define PTE_ADDRESS 0x000ffffffffff000ULL
#define INDEX_BITS  9U
#define PAGE_SHIFT  12U

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

/* The guest-physical address of a linear one; 4 or 5 levels (SDM 3A, 4.5). */
static bool translate(const struct vm *vm, uint64_t linear, uint64_t *physical)
{
	uint64_t table = vmcs_read(VMCS_GUEST_CR3) & PTE_ADDRESS;
	unsigned int level = vmcs_read(VMCS_GUEST_CR4) & CR4_LA57 ? 5 : 4;

	for (; level > 0; level--) {
		const unsigned int shift = PAGE_SHIFT + INDEX_BITS * (level - 1);
		const uint64_t index = linear >> shift & (ENTRIES - 1);
		const uint64_t *const entry =
			guest_memory(vm, table + index * sizeof(*entry), sizeof(*entry));

		if (!entry || !(*entry & PTE_PRESENT))
			return false;
		if (level == 1 || (*entry & PTE_LARGE)) {
			const uint64_t offset = (1ULL << shift) - 1;

			*physical = (*entry & PTE_ADDRESS & ~offset) | (linear & offset);
			return true;
		}
		table = *entry & PTE_ADDRESS;
	}
	return false;
}

bool guest_read_linear(const struct vm *vm, uint64_t linear, void *to, uint64_t size)
{
	uint8_t *bytes = to;

	while (size > 0) {
		const uint64_t in_page = PAGE_SIZE - (linear & (PAGE_SIZE - 1));
		const uint64_t part = size < in_page ? size : in_page;
		const void *from;
		uint64_t physical;

		if (!translate(vm, linear, &physical))
			return false;
		from = guest_memory(vm, physical, part);
		if (!from)
			return false;
		memcpy(bytes, from, part);
		bytes += part;
		linear += part;
		size -= part;
	}
	return true;
}

unsigned int guest_read_code(const struct vm *vm, uint8_t *bytes)
{
	const bool long_mode = vmcs_read(VMCS_GUEST_EFER) & EFER_LMA;
	const bool code64 = long_mode && (vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS) & ACCESS_RIGHTS_L);
	const uint64_t linear =
		vmcs_read(VMCS_GUEST_RIP) + (code64 ? 0 : vmcs_read(VMCS_GUEST_CS_BASE));
	unsigned int size = 0;

	if (long_mode) {
		while (size < INSTRUCTION_MAX &&
		       guest_read_linear(vm, linear + size, bytes + size, 1))
			size++;
	} else if (!(vmcs_read(VMCS_GUEST_CR0) & CR0_PG)) {
		const void *const code = guest_memory(vm, linear, INSTRUCTION_MAX);

		if (code) {
			memcpy(bytes, code, INSTRUCTION_MAX);
			size = INSTRUCTION_MAX;
		}
	}
	return size;
}
