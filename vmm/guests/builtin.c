// SPDX-License-Identifier: BSD-2-Clause
/* The built-in guest: a small VM with memory of its own and no devices. See lib/hypercall.h. */
#include "lib/elf.h"
#include "lib/format.h"
#include "lib/layout.h"
#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "vmm/vmx/ept.h"
#include "vmm/run/create.h"
#include "vmm/run/guest_ram.h"
#include "vmm/vcpu/guest_walk.h"
#include "lib/hypercall.h"
#include "vmm/base/log.h"
#include "vmm/base/memory.h"
#include "vmm/vcpu/vcpu.h"

#define DEFAULT_MEMORY (32 * 0x100000ULL)
#define MINIMUM_MEMORY (8 * 0x100000ULL)

/* Guest-physical addresses below the guest's image. */
#define INFO_ADDRESS   0x1000ULL
#define GDT_ADDRESS    0x2000ULL
#define TABLES_ADDRESS 0x10000ULL
#define STACK_TOP      0x80000ULL

static void take_memory(struct vm *vm)
{
	const uint64_t wanted = vm->config->memory;
	const uint64_t size = (wanted ? wanted : DEFAULT_MEMORY) & ~(SIZE_2M - 1);
	uint64_t base;

	if (size < MINIMUM_MEMORY)
		panic("no-memory", "memory = %llu: the built-in guest needs at least %lluM",
		      (unsigned long long)wanted, MINIMUM_MEMORY >> 20);
	base = guest_ram_take(size);
	if (base == 0)
		panic("no-memory", "no %llu MiB of contiguous memory for the built-in guest",
		      (unsigned long long)(size >> 20));
	vm->memory = (struct vm_memory){ .guest_base = 0, .host_base = base, .size = size };
	memset(phys_to_virt(base), 0, size);
}

static uint64_t load_image(const struct vm *vm)
{
	const struct boot_file *const file = &vm->boot->selftest;
	struct elf_segment segment;
	struct elf elf;
	uint32_t index = 0;
	const char *const error = elf_parse(phys_to_virt(file->base), file->size, &elf);

	if (error)
		panic("bad-file", "the built-in guest's image: %s", error);
	while (elf_next_segment(&elf, &index, &segment))
		if (!guest_load(vm, segment.physical_address, elf.file + segment.offset,
				segment.file_size, segment.memory_size))
			panic("no-memory", "the built-in guest does not fit into %llu MiB",
			      (unsigned long long)(vm->memory.size >> 20));
	return elf.entry;
}

void guest_selftest_load(struct vm *vm)
{
	struct mode64 mode = { .cr3 = TABLES_ADDRESS, .rsp = STACK_TOP, .gdt = GDT_ADDRESS };
	struct selftest_info *info;

	/* Reflected to the guest: what a VMM that emulates instructions has to do. */
	vm->exception_bitmap = 1U << VECTOR_UD;
	take_memory(vm);
	mode.rip = load_image(vm);
	info = guest_memory(vm, INFO_ADDRESS, sizeof(*info));
	info->memory_size = vm->memory.size;
	string_copy(info->cmdline, vm->config->cmdline, sizeof(info->cmdline));
	string_copy(info->tests, vm->config->tests, sizeof(info->tests));
	boot_gdt_write(guest_memory(vm, GDT_ADDRESS, BOOT_GDT_SIZE));
	guest_fill_identity_tables(guest_memory(vm, TABLES_ADDRESS, STACK_TOP - TABLES_ADDRESS),
				   TABLES_ADDRESS);
	vm_prepare(vm);
	format_string(info->errata, sizeof(info->errata), "%s%s", vm->config->errata,
		      vm->fred == FRED_BACKEND_SOFT ? "," SOFT_FRED_DEVIATIONS : "");
	vm->start.mode64 = mode;
	vm->start.regs.rdi = INFO_ADDRESS;
	log_info("guest %s: %llu MiB at 0x%llx, no devices", vm->name,
		 (unsigned long long)(vm->memory.size >> 20),
		 (unsigned long long)vm->memory.host_base);
}
