// SPDX-License-Identifier: BSD-2-Clause
/* Owns the EPT entries of every VM. The VMM's region and the log's never get one. */
#include "vmm/vmx/ept.h"

#include <stddef.h>

#include "lib/dmar.h"
#include "lib/layout.h"
#include "lib/x86/msr.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/host/smp.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vtd.h"
#include "vmm/host/x86.h"

#define ENTRIES	       512
#define LEVEL_4K       0
#define LEVEL_2M       1
#define LEVEL_1G       2
#define LEVEL_PML4     3
#define PAGE_SHIFT     12
#define BITS_PER_LEVEL 9

/* Memory of guests without devices, and registers of VT-d units. */
#define HOLES_MAX (CONFIG_GUESTS_MAX + DMAR_UNITS_MAX)
static struct hole {
	uint64_t base, size;
} holes[HOLES_MAX];
static unsigned int hole_count;

static uint64_t level_size(int level)
{
	return 1ULL << (PAGE_SHIFT + BITS_PER_LEVEL * level);
}

static void invept_all(void)
{
	if (!invept(INVEPT_ALL, 0))
		panic("invept", "INVEPT failed: this processor promised it");
}

/* A table of smaller pages that map the same as one large page does. */
static uint64_t *split(uint64_t large, int level)
{
	const uint64_t size = level_size(level - 1);
	const uint64_t leaf = level - 1 == LEVEL_4K ? large & ~EPT_LARGE : large;
	uint64_t *const table = page_alloc();

	for (uint64_t i = 0; i < ENTRIES; i++)
		table[i] = leaf + i * size;
	return table;
}

/* False: the VM has all the tables that it may have. */
static bool make_table(struct vm *vm, uint64_t *entry, int level)
{
	uint64_t *table;

	if (vm->ept_tables_max != 0 && vm->ept_tables >= vm->ept_tables_max) {
		vm->ept_used_up = true;
		return false;
	}
	vm->ept_tables++;
	table = *entry == 0 ? page_alloc() : split(*entry, level);
	vtd_write_back(table, PAGE_SIZE);
	*entry = virt_to_phys(table) | EPT_RWX;
	vtd_write_back(entry, sizeof(*entry));
	return true;
}

static bool is_no_table(uint64_t entry)
{
	return entry == 0 || (entry & EPT_LARGE);
}

static unsigned int index_of(uint64_t address, int level)
{
	return address >> (PAGE_SHIFT + BITS_PER_LEVEL * level) & (ENTRIES - 1);
}

/*
 * The entry for this address at this level, tables made and large pages split on the way. NULL:
 * that takes more tables than the VM may have.
 */
static uint64_t *entry_at(struct vm *vm, uint64_t address, int level)
{
	uint64_t *table = vm->ept;

	for (int l = LEVEL_PML4;; l--) {
		uint64_t *const entry = &table[index_of(address, l)];

		if (l == level)
			return entry;
		if (is_no_table(*entry) && !make_table(vm, entry, l))
			return NULL;
		table = phys_to_virt(*entry & EPT_ADDRESS_MASK);
	}
}

static void set_leaf(uint64_t *entry, uint64_t host, int level, enum mtrr_type type)
{
	*entry = host | EPT_RWX | EPT_MEMORY_TYPE(type) | (level == LEVEL_4K ? 0 : EPT_LARGE);
	vtd_write_back(entry, sizeof(*entry));
}

/* The machine's page at this address, as far as nothing is mapped there: no table is ever lost. */
static bool map_absent(struct vm *vm, uint64_t address, int level, enum mtrr_type type)
{
	uint64_t *const entry = entry_at(vm, address, level);

	if (!entry)
		return false;
	if (*entry == 0) {
		set_leaf(entry, address, level, type);
		return true;
	}
	if (level == LEVEL_4K || (*entry & EPT_LARGE))
		return true;
	for (uint64_t i = 0; i < ENTRIES; i++)
		if (!map_absent(vm, address + i * level_size(level - 1), level - 1, type))
			return false;
	return true;
}

static bool overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* What in this is the VMM's, or another guest's memory; of size 0: nothing. */
static struct hole hole_in(const struct vm *vm, uint64_t base, uint64_t size)
{
	const struct hole own[] = { { vm->boot->vmm_base, vm->boot->vmm_size },
				    { vm->boot->log_base, vm->boot->log_size } };

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (overlaps(base, size, own[i].base, own[i].size))
			return own[i];
	for (unsigned int i = 0; i < hole_count; i++)
		if (overlaps(base, size, holes[i].base, holes[i].size))
			return holes[i];
	return (struct hole){ 0, 0 };
}

void ept_exclude(uint64_t base, uint64_t size)
{
	if (hole_count == HOLES_MAX)
		panic("ept-holes",
		      "more pieces of memory are kept from a guest than there are guests and "
		      "units of VT-d");
	holes[hole_count++] = (struct hole){ base, size };
}

/*
 * The largest page at this address that has one memory type, ends by `end`, and has nothing that is
 * excluded.
 */
static int largest_level(const struct vm *vm, uint64_t address, uint64_t end, enum mtrr_type *type)
{
	uint64_t type_end;

	*type = mtrr_type(&machine.mtrr, address, end, &type_end);
	for (int level = machine.ept_vpid_cap & EPT_CAP_1G ? LEVEL_1G : LEVEL_2M; level > LEVEL_4K;
	     level--) {
		const uint64_t size = level_size(level);

		if (address % size == 0 && address + size <= type_end &&
		    hole_in(vm, address, size).size == 0)
			return level;
	}
	return LEVEL_4K;
}

static __attribute__((noinline)) bool map_machine(struct vm *vm, uint64_t start, uint64_t end)
{
	uint64_t address = start;

	while (address < end) {
		enum mtrr_type type;
		int level;

		const struct hole hole = hole_in(vm, address, PAGE_SIZE);

		if (hole.size != 0) {
			address = hole.base + hole.size;
			continue;
		}
		level = largest_level(vm, address, end, &type);
		if (!map_absent(vm, address, level, type))
			return false;
		address += level_size(level);
	}
	return true;
}

/* The largest range of RAM. It lies apart from the VMM's region. */
static struct guest_ram largest_ram(const struct memmap *map)
{
	struct guest_ram ram = { 0 };

	for (uint32_t i = 0; i < map->count; i++) {
		const struct memory_range *const range = &map->ranges[i];
		const uint64_t start = (range->base + PAGE_MASK) & ~PAGE_MASK;
		const uint64_t end = (range->base + range->size) & ~PAGE_MASK;

		if (range->type == MEMORY_RAM && end > start && end - start > ram.size)
			ram = (struct guest_ram){ start, end - start, phys_to_virt(start) };
	}
	return ram;
}

/* What a guest-physical address can be, of what four levels translate: 48 bits. */
static uint64_t address_limit(void)
{
	const uint64_t levels = level_size(LEVEL_PML4 + 1);

	return machine.physical_mask < levels ? machine.physical_mask + 1 : levels;
}

/* Firmware's map goes on with ranges that are no RAM, up to addresses that no processor has. */
uint64_t ept_machine_end(const struct boot_info *boot)
{
	uint64_t end = memmap_ram_end(&boot->memmap);

	if (end < 4 * SIZE_1G)
		end = 4 * SIZE_1G;
	return end < address_limit() ? end : address_limit();
}

void ept_create(struct vm *vm)
{
	vm->ept = page_alloc();
	vm->ept_tables = 1;
	vtd_write_back(vm->ept, PAGE_SIZE);
	vm->ept_pointer = virt_to_phys(vm->ept) | EPTP_WRITE_BACK | EPTP_WALK_4;
	if (vm->devices == VM_DEVICES_PASSTHROUGH) {
		/* What lies above is mapped when it is touched. */
		map_machine(vm, 0, ept_machine_end(vm->boot));
		vm->ram = largest_ram(&vm->memmap);
		return;
	}
	vm->ram = (struct guest_ram){ vm->memory.guest_base, vm->memory.size,
				      phys_to_virt(vm->memory.host_base) };
	for (uint64_t offset = 0; offset < vm->memory.size; offset += SIZE_2M)
		set_leaf(entry_at(vm, vm->memory.guest_base + offset, LEVEL_2M),
			 vm->memory.host_base + offset, LEVEL_2M, MTRR_WB);
}

void ept_limit(struct vm *vm, uint64_t tables)
{
	/* ept_set_writable() is to need no table for the page of the local APICs. */
	if (vm->devices == VM_DEVICES_PASSTHROUGH)
		entry_at(vm, rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDRESS_MASK, LEVEL_4K);
	vm->ept_tables_max = vm->ept_tables + tables;
}

static bool in_own_memory(const struct vm *vm, uint64_t address)
{
	return address - vm->memory.guest_base < vm->memory.size;
}

bool ept_unmap_page(struct vm *vm, uint64_t guest_physical)
{
	uint64_t *entry;

	if (vm->devices != VM_DEVICES_NONE || !in_own_memory(vm, guest_physical))
		return false;
	spin_lock(&vm->lock);
	entry = entry_at(vm, guest_physical, LEVEL_4K);
	if (entry)
		*entry = 0;
	else
		vm->ept_used_up = false; /* that is for an access */
	spin_unlock(&vm->lock);
	if (!entry)
		return false;
	invept_all();
	/* No vcpu may go on with the old translation once the page is gone. */
	if (vm_is_smp(vm))
		smp_request_others(REQUEST_INVEPT);
	return true;
}

void ept_set_writable(struct vm *vm, uint64_t guest_physical, bool writable)
{
	uint64_t *const entry = entry_at(vm, guest_physical, LEVEL_4K);

	if (!entry)
		panic("ept-tables", "the page of the local APICs has no EPT entry of its own");
	*entry = writable ? *entry | EPT_WRITE : *entry & ~EPT_WRITE;
}

/* Apart, since it is seldom: see map_own(). */
static __attribute__((noinline)) bool map_own_with_tables(struct vm *vm, uint64_t page)
{
	uint64_t *const entry = entry_at(vm, page, LEVEL_4K);

	if (!entry)
		return false;
	set_leaf(entry, page - vm->memory.guest_base + vm->memory.host_base, LEVEL_4K, MTRR_WB);
	return true;
}

/* A page of the VM's own memory. Guests measure this violation: the loop is unrolled, and what
 * needs more registers is apart. */
static inline __attribute__((always_inline)) bool map_own(struct vm *vm, uint64_t page)
{
	uint64_t *table = vm->ept;

#pragma GCC unroll 3
	for (int level = LEVEL_PML4; level > LEVEL_4K; level--) {
		const uint64_t entry = table[index_of(page, level)];

		if (__builtin_expect(is_no_table(entry), 0))
			return map_own_with_tables(vm, page);
		table = phys_to_virt(entry & EPT_ADDRESS_MASK);
	}
	set_leaf(&table[index_of(page, LEVEL_4K)],
		 page - vm->memory.guest_base + vm->memory.host_base, LEVEL_4K, MTRR_WB);
	return true;
}

static bool map_missing(struct vm *vm, uint64_t guest_physical)
{
	const uint64_t page = guest_physical & ~PAGE_MASK;

	if (vm->devices == VM_DEVICES_NONE) {
		if (!in_own_memory(vm, page))
			return false;
		return map_own(vm, page);
	}
	if (hole_in(vm, page, PAGE_SIZE).size != 0 || page >= address_limit())
		return false;
	/* A device above RAM: as much around it as is unmapped and of one kind. */
	return map_machine(vm, page & ~(SIZE_2M - 1), (page & ~(SIZE_2M - 1)) + SIZE_2M);
}

bool ept_map_missing(struct vm *vm, uint64_t guest_physical)
{
	bool mapped;

	if (!vm_is_smp(vm))
		return map_missing(vm, guest_physical);
	spin_lock(&vm->lock);
	mapped = map_missing(vm, guest_physical);
	spin_unlock(&vm->lock);
	return mapped;
}

bool ept_is_vmm_memory(const struct vm *vm, uint64_t guest_physical)
{
	return vm->devices == VM_DEVICES_PASSTHROUGH &&
	       (guest_physical - vm->boot->vmm_base < vm->boot->vmm_size ||
		guest_physical - vm->boot->log_base < vm->boot->log_size);
}

void *guest_memory(const struct vm *vm, uint64_t guest_physical, uint64_t size)
{
	if (vm->devices == VM_DEVICES_NONE) {
		const uint64_t offset = guest_physical - vm->memory.guest_base;

		if (offset >= vm->memory.size || size > vm->memory.size - offset)
			return NULL;
		return phys_to_virt(vm->memory.host_base + offset);
	}
	if (!memmap_is_ram(&vm->memmap, guest_physical, size))
		return NULL;
	return phys_to_virt(guest_physical);
}
