// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the list of guests, what RAM is left for the next one, and which processor has which vcpu.
 */
#include "vmm/vm.h"

#include "lib/layout.h"
#include "lib/string.h"
#include "vmm/cpu.h"
#include "vmm/ept.h"
#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/memory.h"
#include "vmm/sched.h"
#include "vmm/sipi.h"
#include "vmm/smp.h"
#include "vmm/vcpu.h"

static struct vm vms[CONFIG_GUESTS_MAX];
static unsigned int count;
static struct memmap available; /* RAM that no guest without devices has */
static struct memmap to_take;	/* the same without the files that are not in place yet */

unsigned int vm_count(void)
{
	return count;
}

struct vm *vm_get(unsigned int index)
{
	return &vms[index];
}

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

uint64_t vm_take_memory(uint64_t size)
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

static void init(struct vm *vm, const struct boot_info *boot, uint32_t index)
{
	vm->boot = boot;
	vm->config = &boot->config.guests[index];
	vm->files = &boot->guests[index];
	vm->name = vm->config->name;
	vm->devices = vm->config->devices == DEVICES_PASSTHROUGH ? VM_DEVICES_PASSTHROUGH
								 : VM_DEVICES_NONE;
	vm->vcpu_count = config_vcpus(vm->config, smp_count());
	vm->first_cpu = vm->config->cpu;
	if (vm->first_cpu + vm->vcpu_count > smp_count())
		panic("cpus",
		      "guest %s: processors %u to %u are wanted, and there are %u that run the VMM",
		      vm->name, vm->first_cpu, vm->first_cpu + vm->vcpu_count - 1, smp_count());
}

static void load(struct vm *vm)
{
	vm->memmap = available;
	if (vm->config->memory != 0 && vm->devices == VM_DEVICES_PASSTHROUGH &&
	    !memmap_limit_ram(&vm->memmap, vm->config->memory))
		panic("memory-map", "the memory map has too many ranges");
	switch (vm->config->kind) {
	case GUEST_LINUX:
		guest_linux_load(vm);
		break;
	case GUEST_MULTIBOOT:
		guest_multiboot_load(vm);
		break;
	case GUEST_SELFTEST:
		guest_selftest_load(vm);
		break;
	}
}

/* Whoever has the machine's devices gets the RAM that is left, and may overwrite any file. */
void vm_load_all(const struct boot_info *boot)
{
	available = boot->memmap;
	to_take = boot->memmap;
	keep_files(boot);
	count = boot->config.guest_count;
	for (unsigned int i = 0; i < count; i++)
		init(&vms[i], boot, i);
	for (unsigned int i = 0; i < count; i++)
		if (vms[i].devices == VM_DEVICES_NONE)
			load(&vms[i]);
	for (unsigned int i = 0; i < count; i++)
		if (vms[i].devices == VM_DEVICES_PASSTHROUGH)
			load(&vms[i]);
}

static void set_start(struct vcpu *vcpu)
{
	const struct vm_start *const start = &vcpu->vm->start;

	if (start->protected_mode32)
		vcpu_set_mode32(start->entry32);
	else
		vcpu_set_mode64(vcpu, &start->mode64);
	vcpu->regs = start->regs;
}

static void create_vcpus(const struct cpu *cpu)
{
	for (unsigned int i = 0; i < count; i++) {
		struct vm *const vm = &vms[i];
		const uint32_t index = cpu->id - vm->first_cpu;

		if (cpu->id < vm->first_cpu || index >= vm->vcpu_count)
			continue;
		sched_add(vcpu_create(vm, index));
		if (index == 0)
			set_start(vm->vcpus[0]);
	}
}

static void enter_guests(void)
{
	bool shared = false;

	for (unsigned int i = 0; i < count; i++) {
		sipi_init(&vms[i]);
		log_info("entering guest %s", vms[i].name);
		shared |= vms[i].devices == VM_DEVICES_PASSTHROUGH;
	}
	if (shared)
		log_share_consoles();
}

void vm_run_all(void)
{
	const struct cpu *const cpu = cpu_current();

	create_vcpus(cpu);
	smp_barrier();
	if (cpu->id == 0)
		enter_guests();
	smp_barrier();
	if (vms[0].boot->config.debug == DEBUG_VMM_PANIC)
		panic("debug", "processor %u ends the boot, as all the others do", cpu->id);
	sched_start();
}
