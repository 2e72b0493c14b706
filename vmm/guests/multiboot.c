// SPDX-License-Identifier: BSD-2-Clause
/* Any Multiboot (version 1) kernel: 32-bit protected mode, the machine's devices. */
#include "lib/layout.h"
#include "lib/multiboot.h"
#include "vmm/vmx/ept.h"
#include "vmm/run/create.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/base/log.h"
#include "vmm/base/memory.h"
#include "vmm/vcpu/vcpu.h"

#define INFO_SIZE (4 * PAGE_SIZE)
#define INFO_LOW  0x10000ULL /* above the BIOS data area, and where kernels do not load */
#define LIMIT_32  0x100000000ULL

static struct memmap space; /* RAM that neither the kernel nor a file lies in */

static void occupy(uint64_t base, uint64_t size)
{
	if (!memmap_set(&space, base, size, MEMORY_RESERVED))
		panic("memory-map", "the memory map has too many ranges");
}

/* The modules stay where the loader put them, so a segment must not come to lie there. */
static void load_segment(const struct vm *vm, const uint8_t *file,
			 const struct elf_segment *segment)
{
	const uint64_t base = segment->physical_address;

	if (!memmap_is_ram(&space, base, segment->memory_size))
		panic("no-memory",
		      "kernel = %s: its segment 0x%llx-0x%llx is not free RAM on this machine",
		      vm->config->kernel, (unsigned long long)base,
		      (unsigned long long)(base + segment->memory_size));
	guest_load(vm, base, file + segment->offset, segment->file_size, segment->memory_size);
	occupy(base, segment->memory_size);
}

static uint32_t load_kernel(const struct vm *vm)
{
	const struct boot_file *const file = &vm->files->kernel;
	const uint8_t *const bytes = phys_to_virt(file->base);
	struct multiboot_kernel kernel;
	struct elf_segment segment;
	uint32_t index = 0;
	const char *const error = multiboot_parse(bytes, file->size, &kernel);

	if (error)
		panic("bad-kernel", "kernel = %s: %s", vm->config->kernel, error);
	occupy(file->base, file->size);
	if (!kernel.is_elf)
		load_segment(vm, bytes, &kernel.segment);
	else
		while (elf_next_segment(&kernel.elf, &index, &segment))
			load_segment(vm, bytes, &segment);
	return kernel.entry;
}

static uint64_t build_info(const struct vm *vm)
{
	struct multiboot_module modules[CONFIG_MODULES_MAX];
	const struct guest_config *const config = vm->config;
	const struct multiboot_request request = { .map = &vm->memmap,
						   .cmdline = config->cmdline,
						   .modules = modules,
						   .module_count = config->module_count };
	uint64_t address;

	for (uint32_t i = 0; i < config->module_count; i++) {
		const struct boot_file *const file = &vm->files->modules[i];

		if (file->base + file->size > LIMIT_32)
			panic("no-memory", "module = %s: above 4 GiB", config->modules[i]);
		modules[i] = (struct multiboot_module){ (uint32_t)file->base, (uint32_t)file->size,
							config->modules[i] };
	}
	if (!memmap_find_lowest(&space, INFO_SIZE, PAGE_SIZE, INFO_LOW, LIMIT_32, &address) ||
	    multiboot_info_build(guest_memory(vm, address, INFO_SIZE), INFO_SIZE, (uint32_t)address,
				 &request) == 0)
		panic("no-memory", "no room for the Multiboot information");
	return address;
}

void guest_multiboot_load(struct vm *vm)
{
	uint64_t info;
	uint32_t entry;

	space = vm->memmap;
	for (uint32_t i = 0; i < vm->config->module_count; i++)
		occupy(vm->files->modules[i].base, vm->files->modules[i].size);
	entry = load_kernel(vm);
	info = build_info(vm);
	vm_prepare(vm);
	vm->start = (struct vm_start){ .protected_mode32 = true,
				       .entry32 = entry,
				       .regs = { .rax = MULTIBOOT_BOOT_MAGIC, .rbx = info } };
	log_info("guest %s: entry 0x%x, information at 0x%llx, %u modules", vm->name, entry,
		 (unsigned long long)info, vm->config->module_count);
}
