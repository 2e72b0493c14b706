/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places the VMM: its region of physical memory, the image in it, and the page
 * tables that it starts with (lib/layout.h says what is where).
 */
#include "boot/cpu.h"
#include "boot/loader.h"
#include "lib/layout.h"
#include "lib/string.h"
#include "lib/x86/cpu.h"

static uint64_t page_up(uint64_t address)
{
	return (address + PAGE_MASK) & ~PAGE_MASK;
}

static bool image_failed(struct loader *loader, const char *what)
{
	return loader_fail(loader, EFI_LOAD_ERROR, "bad-image", "the VMM's image: %s", what);
}

/* Copy the segments; the page pool begins behind the last. elf_parse has checked the file. */
static bool copy_image(struct loader *loader)
{
	const uint64_t size = loader->info.vmm_size;
	struct elf_segment segment;

	loader->pool.next = loader->info.vmm_base;
	for (uint32_t i = 0; elf_next_segment(&loader->vmm, &i, &segment);) {
		const uint64_t start = segment.virtual_address - VMM_BASE;
		const uint64_t to = loader->info.vmm_base + start;

		if (start >= size || segment.memory_size >= size - start)
			return image_failed(loader, "it does not fit into its region");
		memset((void *)(uintptr_t)to, 0, (size_t)segment.memory_size);
		memcpy((void *)(uintptr_t)to, vmm_image_start + segment.offset,
		       (size_t)segment.file_size);
		if (to + segment.memory_size > loader->pool.next)
			loader->pool.next = page_up(to + segment.memory_size);
	}
	return true;
}

bool place_vmm(struct loader *loader)
{
	struct boot_info *info = &loader->info;
	const size_t file_size = (uintptr_t)vmm_image_end - (uintptr_t)vmm_image_start;
	const char *error = elf_parse(vmm_image_start, file_size, &loader->vmm);
	uint64_t image_size;

	if (error != NULL)
		return image_failed(loader, error);
	info->vmm_size = vmm_region_size(&info->config, info->processor_count);
	info->vmm_base = allocate_memory(loader, info->vmm_size, SIZE_2M, BELOW_4G);
	if (info->vmm_base == 0)
		return loader_fail(loader, EFI_OUT_OF_RESOURCES, "no-memory",
				   "the VMM needs %llu MiB in one piece below 4 GiB, aligned to "
				   "2 MiB: the largest free block has %llu MiB",
				   MIB(info->vmm_size), MIB(largest_free_block(loader, BELOW_4G)));
	loader->pool.end = info->vmm_base + info->vmm_size;
	if (!copy_image(loader))
		return false;

	image_size = loader->pool.next - info->vmm_base;
	loader->boot_info = loader->pool.next;
	loader->pool.next += page_up(sizeof(*info));
	if (loader->pool.next >= loader->pool.end)
		return image_failed(loader, "it leaves no place in its region");

	/* The blob is page aligned, and the pages of this program become RAM like all others. */
	info->selftest.base = (uintptr_t)selftest_image_start;
	info->selftest.size = (uintptr_t)selftest_image_end - (uintptr_t)selftest_image_start;
	loader_log(loader, "VMM at 0x%llx, %llu MiB, of which the image has %llu KiB",
		   (unsigned long long)info->vmm_base, MIB(info->vmm_size),
		   (unsigned long long)(image_size >> 10));
	return true;
}

/* Each segment with its own rights; what lies between them stays unmapped: guard pages. */
static bool map_image(struct loader *loader)
{
	struct elf_segment segment;

	for (uint32_t i = 0; elf_next_segment(&loader->vmm, &i, &segment);) {
		const uint64_t va = segment.virtual_address & ~PAGE_MASK;
		const uint64_t end = page_up(segment.virtual_address + segment.memory_size);
		const enum page_rights rights =
			((segment.flags & ELF_SEGMENT_WRITE) ? PAGE_WRITE : 0) |
			((segment.flags & ELF_SEGMENT_EXECUTE) ? PAGE_EXECUTE : 0);

		if (!paging_map(&loader->space, va, loader->info.vmm_base + (va - VMM_BASE),
				end - va, rights, CACHE_WRITE_BACK))
			return false;
	}
	return true;
}

/* All RAM at DIRECT_MAP_BASE, the VMM's own region left out. */
static bool map_ram(struct loader *loader, struct memmap *ram)
{
	if (!memmap_set(ram, loader->info.vmm_base, loader->info.vmm_size, MEMORY_RESERVED))
		return false;
	for (uint32_t i = 0; i < ram->count; i++)
		if (ram->ranges[i].type == MEMORY_RAM &&
		    !paging_map(&loader->space, DIRECT_MAP_BASE + ram->ranges[i].base,
				ram->ranges[i].base, ram->ranges[i].size, PAGE_WRITE,
				CACHE_WRITE_BACK))
			return false;
	return true;
}

bool build_page_tables(struct loader *loader)
{
	static struct memmap ram;
	struct boot_info *info = &loader->info;
	struct address_space *space = &loader->space;
	const uint64_t pool_start = loader->boot_info;

	if (!collect_ram(loader, &ram))
		return false;
	if (memmap_end(&ram) > MMIO_BASE - DIRECT_MAP_BASE)
		return loader_fail(loader, EFI_UNSUPPORTED, "memory-map",
				   "RAM up to 0x%llx: the VMM has addresses for 64 TiB",
				   (unsigned long long)memmap_end(&ram));
	space->pool = &loader->pool;
	space->pages_1g = (cpuid(0x80000001).edx & CPUID_80000001_EDX_1G) != 0;
	space->pml4 = page_pool_take(&loader->pool);
	info->trampoline = (uintptr_t)enter_vmm & ~PAGE_MASK;

	if (!map_image(loader))
		return image_failed(loader,
				    "segments overlap, or are both writable and executable");
	if (!paging_map(space, VMM_BASE + (pool_start - info->vmm_base), pool_start,
			loader->pool.end - pool_start, PAGE_WRITE, CACHE_WRITE_BACK) ||
	    !map_ram(loader, &ram) ||
	    !paging_map(space, info->trampoline, info->trampoline, PAGE_SIZE, PAGE_EXECUTE,
			CACHE_WRITE_BACK))
		return loader_fail(loader, EFI_OUT_OF_RESOURCES, "no-memory",
				   "the page tables for all of RAM do not fit into the VMM's "
				   "region of %llu MiB",
				   MIB(info->vmm_size));
	loader_log(loader, "page tables have %llu KiB",
		   (unsigned long long)(loader->pool.next - space->pml4) >> 10);
	return true;
}
