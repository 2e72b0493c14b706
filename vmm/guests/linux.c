// SPDX-License-Identifier: BSD-2-Clause
/* A Linux guest by the 64-bit boot protocol (Documentation/arch/x86/boot.rst), with the machine's
 * devices. */
#include "lib/bzimage.h"
#include "lib/format.h"
#include "lib/linux_boot.h"
#include "lib/string.h"
#include "vmm/host/cpu.h"
#include "vmm/run/create.h"
#include "vmm/vmx/ept.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/guests/acpi.h"
#include "vmm/base/log.h"
#include "vmm/base/memory.h"
#include "vmm/host/smp.h"
#include "vmm/vcpu/vcpu.h"

#define INITRD_TEXT_MAX 64

/* The first GDT shares the command line's page. */
#define GDT_OFFSET CONFIG_CMDLINE_MAX
_Static_assert(GDT_OFFSET + BOOT_GDT_SIZE <= PAGE_SIZE, "command line and GDT fit one page");

static struct linux_plan plan; /* holds a memory map: too large for the stack */

static void put_files(const struct vm *vm, const struct bzimage *image)
{
	const struct boot_guest *const files = vm->files;
	const char *const cmdline = vm->config->cmdline;
	const uint8_t *const file = phys_to_virt(files->kernel.base);
	const size_t cmdline_size = strlen(cmdline) + 1;

	guest_load(vm, plan.kernel, file + image->setup_size, image->kernel_size,
		   image->kernel_size);
	if (plan.initrd_size != 0 && plan.initrd != files->initrd.base)
		guest_load(vm, plan.initrd, phys_to_virt(files->initrd.base), plan.initrd_size,
			   plan.initrd_size);
	guest_load(vm, plan.cmdline, cmdline, cmdline_size, GDT_OFFSET);
	boot_gdt_write(guest_memory(vm, plan.cmdline + GDT_OFFSET, BOOT_GDT_SIZE));
	guest_fill_identity_tables(guest_memory(vm, plan.tables, LINUX_TABLE_PAGES * PAGE_SIZE),
				   plan.tables);
}

static uint64_t make_acpi_tables(struct vm *vm)
{
	static uint32_t apic_ids[CONFIG_CPUS_MAX];

	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		apic_ids[i] = smp_cpu(vm->first_cpu + i)->apic_id;
	return guest_acpi_make(vm, apic_ids, vm->vcpu_count);
}

static void log_plan(const struct vm *vm)
{
	char initrd[INITRD_TEXT_MAX] = "no initrd";

	if (plan.initrd_size != 0)
		format_string(initrd, sizeof(initrd), "initrd at 0x%llx (%llu KiB)",
			      (unsigned long long)plan.initrd,
			      (unsigned long long)(plan.initrd_size >> 10));
	log_info("guest %s: kernel at 0x%llx, %s, %llu MiB of RAM", vm->name,
		 (unsigned long long)plan.kernel, initrd,
		 (unsigned long long)(memmap_ram_size(&vm->memmap) >> 20));
}

void guest_linux_load(struct vm *vm)
{
	const struct boot_info *const boot = vm->boot;
	const struct boot_guest *const files = vm->files;
	const void *const file = phys_to_virt(files->kernel.base);
	struct bzimage image;
	const char *error;
	uint64_t rsdp;

	error = bzimage_parse(file, files->kernel.size, &image);
	if (error)
		panic("bad-kernel", "kernel = %s: %s", vm->config->kernel, error);
	rsdp = make_acpi_tables(vm);
	error = linux_plan_make(&plan, &vm->memmap, &image, &files->kernel, &files->initrd,
				strlen(vm->config->cmdline));
	if (error)
		panic("no-memory", "guest %s: %s", vm->name, error);
	put_files(vm, &image);
	linux_boot_params_fill(guest_memory(vm, plan.params, PAGE_SIZE), &plan, file, &image,
			       &vm->memmap, rsdp, &boot->framebuffer);
	if (plan.e820_ext != 0)
		linux_e820_ext_fill(guest_memory(vm, plan.e820_ext, sizeof(struct linux_e820_ext)),
				    &vm->memmap);
	vm_prepare(vm);
	vm->start.mode64 = (struct mode64){ .cr3 = plan.tables,
					    .rip = plan.kernel + BZIMAGE_ENTRY_64,
					    .gdt = plan.cmdline + GDT_OFFSET };
	vm->start.regs.rsi = plan.params;
	log_plan(vm);
}
