// SPDX-License-Identifier: BSD-2-Clause
/* Owns what RAM is left for the next guest. */
#include "vmm/run/guest_ram.h"

#include "lib/boot_info.h"
#include "lib/layout.h"
#include "lib/string.h"
#include "vmm/base/log.h"
#include "vmm/base/memory.h"
#include "vmm/vmx/ept.h"

static struct memmap available; /* RAM that no guest without devices has */
static struct memmap to_take;	/* the same without the files that are not in place yet */

static void keep(struct memmap *map, uint64_t base, uint64_t size)
{
	if (size != 0 && !memmap_set(map, base, size, MEMORY_RESERVED))
		panic("memory-map", "the memory map has too many ranges");
}

static void keep_files(const struct boot_info *boot)
{
	keep(&to_take, boot->selftest.base, boot->selftest.size);
	for (uint32_t i = 0; i < boot->config.guest_count; i++) {
		const struct boot_guest *const files = &boot->guests[i];

		keep(&to_take, files->kernel.base, files->kernel.size);
		keep(&to_take, files->initrd.base, files->initrd.size);
		for (uint32_t m = 0; m < boot->config.guests[i].module_count; m++)
			keep(&to_take, files->modules[m].base, files->modules[m].size);
	}
}

uint64_t guest_ram_take(uint64_t size)
{
	uint64_t base;

	if (!memmap_find_highest(&to_take, size, SIZE_2M, 0, ~0ULL, &base))
		return 0;
	keep(&to_take, base, size);
	keep(&available, base, size);
	ept_exclude(base, size);
	memset(phys_to_virt(base), 0, size);
	return base;
}

void guest_ram_init(const struct boot_info *boot)
{
	available = boot->memmap;
	to_take = boot->memmap;
	keep_files(boot);
}

const struct memmap *guest_ram_left(void)
{
	return &available;
}
