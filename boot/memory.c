/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the loader's pages and the firmware's memory map: reading it, turning it
 * into a struct memmap, and leaving boot services with a map that is current.
 */
#include "boot/cpu.h"
#include "boot/loader.h"
#include "lib/layout.h"

/*
 * Our own allocations and the firmware's at ExitBootServices split ranges; after
 * a first failed ExitBootServices nothing can be allocated any more.
 */
#define SPARE_DESCRIPTORS 64
#define EXIT_ATTEMPTS	  8
#define EPT_ADDRESS_BITS  48

uint64_t allocate_memory(struct loader *loader, uint64_t size, uint64_t align, uint64_t below)
{
	const UINTN wanted = (UINTN)((size + PAGE_MASK) / PAGE_SIZE);
	const UINTN pages = wanted + (UINTN)(align / PAGE_SIZE - 1);
	EFI_PHYSICAL_ADDRESS block = below - 1;
	uint64_t base, head, tail;

	if (loader->allocation_count == ALLOCATIONS_MAX ||
	    EFI_ERROR(
		    loader->boot->AllocatePages(AllocateMaxAddress, EfiLoaderData, pages, &block)))
		return 0;
	base = (block + align - PAGE_SIZE) & ~(align - 1);
	head = (base - block) / PAGE_SIZE;
	tail = pages - wanted - head;
	if (head > 0)
		loader->boot->FreePages(block, (UINTN)head);
	if (tail > 0)
		loader->boot->FreePages(base + wanted * PAGE_SIZE, (UINTN)tail);
	loader->allocations[loader->allocation_count].base = base;
	loader->allocations[loader->allocation_count].pages = wanted;
	loader->allocation_count++;
	return base;
}

void free_memory(struct loader *loader, unsigned int keep)
{
	while (loader->allocation_count > keep) {
		loader->allocation_count--;
		loader->boot->FreePages(loader->allocations[loader->allocation_count].base,
					loader->allocations[loader->allocation_count].pages);
	}
}

bool prepare_memory_map(struct loader *loader)
{
	struct firmware_map *map = &loader->map;
	UINT32 version;

	loader->boot->GetMemoryMap(&map->size, NULL, &map->key, &map->descriptor_size, &version);
	map->capacity = map->size + SPARE_DESCRIPTORS * map->descriptor_size;
	map->buffer =
		(uint8_t *)(uintptr_t)allocate_memory(loader, map->capacity, PAGE_SIZE, ANYWHERE);
	if (map->buffer == NULL)
		return loader_fail(loader, EFI_OUT_OF_RESOURCES, "no-memory",
				   "no memory for the firmware's memory map");
	return true;
}

static EFI_STATUS read_map(struct loader *loader)
{
	struct firmware_map *map = &loader->map;
	UINT32 version;

	map->size = map->capacity;
	return loader->boot->GetMemoryMap(&map->size, (EFI_MEMORY_DESCRIPTOR *)map->buffer,
					  &map->key, &map->descriptor_size, &version);
}

/* The descriptor at this offset; NULL at the end. Firmware chooses how far apart they are. */
static const EFI_MEMORY_DESCRIPTOR *descriptor_at(const struct firmware_map *map, UINTN offset)
{
	if (offset + map->descriptor_size > map->size)
		return NULL;
	return (const EFI_MEMORY_DESCRIPTOR *)(map->buffer + offset);
}

/*
 * What addresses can be: those of the processor, and of those the 48 bits that four levels of EPT
 * translate. Firmware names more.
 */
static uint64_t address_limit(void)
{
	const uint32_t bits = cpuid(0x80000008).eax & 0xff;

	return 1ULL << (bits < EPT_ADDRESS_BITS ? bits : EPT_ADDRESS_BITS);
}

/* The bytes of a descriptor that are there at all; 0: none. */
static uint64_t usable_size(const EFI_MEMORY_DESCRIPTOR *d)
{
	uint64_t size;

	return memmap_pages(d->PhysicalStart, d->NumberOfPages, address_limit(), &size) ? size : 0;
}

uint64_t largest_free_block(struct loader *loader, uint64_t below)
{
	const EFI_MEMORY_DESCRIPTOR *d;
	uint64_t largest = 0;

	if (EFI_ERROR(read_map(loader)))
		return 0;
	for (UINTN at = 0; (d = descriptor_at(&loader->map, at)) != NULL;
	     at += loader->map.descriptor_size) {
		const uint64_t top = d->PhysicalStart + usable_size(d);
		const uint64_t end = top < below ? top : below;

		if (d->Type == EfiConventionalMemory && end > d->PhysicalStart &&
		    end - d->PhysicalStart > largest)
			largest = end - d->PhysicalStart;
	}
	return largest;
}

/* What the guest's map calls memory of this firmware type (UEFI 7.2, table 7.10). */
static enum memory_type guest_type(UINT32 type)
{
	switch (type) {
	case EfiLoaderCode:
	case EfiLoaderData:
	case EfiBootServicesCode:
	case EfiBootServicesData:
	case EfiConventionalMemory:
		return MEMORY_RAM;
	case EfiACPIReclaimMemory:
		return MEMORY_ACPI_RECLAIM;
	case EfiACPIMemoryNVS:
		return MEMORY_ACPI_NVS;
	case EfiUnusableMemory:
		return MEMORY_UNUSABLE;
	default:
		return MEMORY_RESERVED;
	}
}

static bool is_ram(UINT32 type)
{
	const enum memory_type as = guest_type(type);

	return as == MEMORY_RAM || as == MEMORY_ACPI_RECLAIM || as == MEMORY_ACPI_NVS ||
	       type == EfiRuntimeServicesCode || type == EfiRuntimeServicesData;
}

/* The map as the VMM gets it, from the firmware's as last read. */
static bool convert_map(struct loader *loader)
{
	struct memmap *memmap = &loader->info.memmap;
	const EFI_MEMORY_DESCRIPTOR *d;

	memmap->count = 0;
	for (UINTN at = 0; (d = descriptor_at(&loader->map, at)) != NULL;
	     at += loader->map.descriptor_size)
		if (!memmap_set(memmap, d->PhysicalStart, usable_size(d), guest_type(d->Type)))
			return false;
	/* Page 0 holds the BIOS data area; Linux and many others leave it alone. */
	return memmap_set(memmap, 0, PAGE_SIZE, MEMORY_RESERVED) &&
	       memmap_set(memmap, loader->info.vmm_base, loader->info.vmm_size, MEMORY_RESERVED) &&
	       memmap_set(memmap, loader->info.log_base, loader->info.log_size, MEMORY_RESERVED);
}

static bool map_failed(struct loader *loader)
{
	return loader_fail(loader, EFI_BUFFER_TOO_SMALL, "firmware",
			   "the firmware's memory map has more than %d ranges", MEMMAP_MAX);
}

/* Reserved ranges above all addresses are common, and nobody can miss them. */
static void say_what_is_left_out(struct loader *loader, const EFI_MEMORY_DESCRIPTOR *d,
				 uint64_t size)
{
	uint64_t whole;

	if (!memmap_pages(d->PhysicalStart, d->NumberOfPages, UINT64_MAX, &whole))
		loader_log(loader,
			   "the firmware's memory map: 0x%llx pages from 0x%llx on are no range: "
			   "left out",
			   (unsigned long long)d->NumberOfPages,
			   (unsigned long long)d->PhysicalStart);
	else if (whole != size && is_ram(d->Type))
		loader_log(loader,
			   "the firmware's memory map: RAM from 0x%llx on is above the addresses "
			   "that guests can have: left out",
			   (unsigned long long)(d->PhysicalStart + size));
}

bool collect_ram(struct loader *loader, struct memmap *ram)
{
	const EFI_MEMORY_DESCRIPTOR *d;
	const EFI_STATUS status = read_map(loader);

	if (EFI_ERROR(status))
		return firmware_failed(loader, status, "GetMemoryMap failed");
	ram->count = 0;
	for (UINTN at = 0; (d = descriptor_at(&loader->map, at)) != NULL;
	     at += loader->map.descriptor_size) {
		const uint64_t size = usable_size(d);

		say_what_is_left_out(loader, d, size);
		if (is_ram(d->Type) && !memmap_set(ram, d->PhysicalStart, size, MEMORY_RAM))
			return map_failed(loader);
	}
	return true;
}

/*
 * After the first ExitBootServices, even a failed one, only GetMemoryMap and
 * ExitBootServices may be called (UEFI 7.4.6): all that can fail for another
 * reason is tried before, and what still fails stops the machine by stop().
 */
bool leave_firmware(struct loader *loader)
{
	EFI_STATUS status = read_map(loader);

	if (EFI_ERROR(status))
		return firmware_failed(loader, status, "GetMemoryMap failed");
	if (!convert_map(loader))
		return map_failed(loader);
	loader_log(loader, "leaving the firmware; %llu MiB of RAM are free",
		   MIB(memmap_ram_size(&loader->info.memmap)));
	loader->volume->Close(loader->volume);
	loader->volume = NULL;

	console_firmware_is_gone();
	for (unsigned int i = 0; i < EXIT_ATTEMPTS; i++) {
		status = read_map(loader);
		if (!EFI_ERROR(status))
			status = loader->boot->ExitBootServices(loader->image, loader->map.key);
		if (!EFI_ERROR(status))
			break;
	}
	loader->boot = NULL;
	if (EFI_ERROR(status))
		return firmware_failed(loader, status,
				       "the firmware does not let go: ExitBootServices failed");
	disable_interrupts();
	return convert_map(loader) || map_failed(loader);
}
