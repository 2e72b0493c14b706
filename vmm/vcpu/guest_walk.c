// SPDX-License-Identifier: BSD-2-Clause
/* Guest memory: what the guests' loaders share, and the walk of a guest's page tables. */
#include "vmm/vcpu/guest_walk.h"

#include "lib/layout.h"
#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "vmm/soft/operands.h"
#include "vmm/vmx/ept.h"
#include "vmm/vcpu/rip.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

#define ENTRIES	    512
#define DIRECTORIES 4
#define PTE_PRESENT (1ULL << 0)
#define PTE_WRITE   (1ULL << 1)
#define PTE_LARGE   (1ULL << 7)
#define PTE_ADDRESS 0x000ffffffffff000ULL
#define INDEX_BITS  9U
#define PAGE_SHIFT  12U
/* Page tables of 32-bit code, and what CR3 has with PAE. */
#define PTE_ADDRESS_32 0xfffff000ULL
#define INDEX_BITS_32  10U
#define PAE_ROOT       0xffffffe0ULL
#define PSE36_SHIFT    13
#define PSE36_MASK     0xffU

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

/* One kind of page tables. */
struct walk {
	unsigned int levels, index_bits, entry_size;
	uint64_t root;
	bool large_pages; /* the bit means one, at whatever level it stands */
};

/* Which kind the guest uses (SDM 3A, table 5-1). */
static struct walk walk_of_guest(void)
{
	const uint64_t cr3 = vmcs_read(VMCS_GUEST_CR3);
	const uint64_t cr4 = vmcs_read(VMCS_GUEST_CR4);

	if (vmcs_read(VMCS_GUEST_EFER) & EFER_LMA)
		return (struct walk){ cr4 & CR4_LA57 ? 5 : 4, INDEX_BITS, sizeof(uint64_t),
				      cr3 & PTE_ADDRESS, true };
	if (cr4 & CR4_PAE)
		return (struct walk){ 3, INDEX_BITS, sizeof(uint64_t), cr3 & PAE_ROOT, true };
	return (struct walk){ 2, INDEX_BITS_32, sizeof(uint32_t), cr3 & PTE_ADDRESS_32,
			      cr4 & CR4_PSE };
}

static bool read_entry(const struct vm *vm, uint64_t address, unsigned int size, uint64_t *entry)
{
	const void *const at = guest_memory(vm, address, size);

	*entry = 0;
	if (at)
		memcpy(entry, at, size);
	return *entry & PTE_PRESENT;
}

/* Where a page of this size begins. An entry of 4 bytes for 4 MiB has bits 39:32 apart. */
static uint64_t page_base(const struct walk *walk, uint64_t entry, uint64_t size)
{
	uint64_t base = entry & PTE_ADDRESS & ~(size - 1);

	if (walk->entry_size == sizeof(uint32_t) && size > PAGE_SIZE)
		base |= (entry >> PSE36_SHIFT & PSE36_MASK) << 32;
	return base;
}

/* SDM 3A, 5.3 to 5.5. */
bool guest_translate(const struct vm *vm, uint64_t linear, uint64_t *physical)
{
	const struct walk walk = walk_of_guest();
	uint64_t table = walk.root;

	*physical = linear;
	if (!(vmcs_read(VMCS_GUEST_CR0) & CR0_PG))
		return true;
	for (unsigned int level = walk.levels; level > 0; level--) {
		const unsigned int shift = PAGE_SHIFT + walk.index_bits * (level - 1);
		const uint64_t index = linear >> shift & ((1U << walk.index_bits) - 1);
		const uint64_t size = 1ULL << shift;
		uint64_t entry;

		if (!read_entry(vm, table + index * walk.entry_size, walk.entry_size, &entry))
			return false;
		if (level == 1 || (walk.large_pages && (entry & PTE_LARGE))) {
			*physical = page_base(&walk, entry, size) | (linear & (size - 1));
			return true;
		}
		table = entry & PTE_ADDRESS;
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

		if (!guest_translate(vm, linear, &physical))
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
	const bool code64 = in_64_bit_mode();
	const uint64_t rip = vmcs_read(VMCS_GUEST_RIP);
	const uint64_t linear = code64 ? rip : (uint32_t)(rip + vmcs_read(VMCS_GUEST_CS_BASE));
	unsigned int size = 0;

	while (size < INSTRUCTION_MAX &&
	       guest_read_linear(vm, code64 ? linear + size : (uint32_t)(linear + size),
				 bytes + size, 1))
		size++;
	return size;
}
