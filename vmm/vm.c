// SPDX-License-Identifier: BSD-2-Clause
/*
 * Loads the guests, makes their vcpus on the processors that have them, and ends a guest.
 */
#include "vmm/vm.h"

#include "lib/layout.h"
#include "lib/string.h"
#include "vmm/host/cpu.h"
#include "vmm/run/create.h"
#include "vmm/run/guest_ram.h"
#include "vmm/run/vm_list.h"
#include "vmm/vmx/ept.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/base/log.h"
#include "vmm/base/memory.h"
#include "vmm/run/sched.h"
#include "vmm/run/startup.h"
#include "vmm/host/smp.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vtd.h"

#define PAGES_OF_VMM 64

static unsigned int running; /* guests that have not ended */

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
	vm->memmap = *guest_ram_left();
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
	guest_ram_init(boot);
	running = boot->config.guest_count;
	vm_list_init(running);
	for (unsigned int i = 0; i < vm_count(); i++)
		init(vm_at(i), boot, i);
	if (vm_has_devices())
		vtd_probe(boot);
	for (unsigned int i = 0; i < vm_count(); i++)
		if (vm_at(i)->devices == VM_DEVICES_NONE)
			load(vm_at(i));
	for (unsigned int i = 0; i < vm_count(); i++)
		if (vm_at(i)->devices == VM_DEVICES_PASSTHROUGH) {
			load(vm_at(i));
			vtd_start(vm_at(i));
		}
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
	for (unsigned int i = 0; i < vm_count(); i++) {
		struct vm *const vm = vm_at(i);
		const uint32_t index = cpu->id - vm->first_cpu;

		if (cpu->id < vm->first_cpu || index >= vm->vcpu_count)
			continue;
		sched_add(vcpu_create(vm, index));
		if (index == 0)
			set_start(vm->vcpus[0]);
	}
}

/*
 * What is left of the pool is for EPT tables, the same number for each guest, but for what the VMM
 * maps of devices when the boot ends.
 */
static void limit_tables(void)
{
	uint64_t used, total, left;

	memory_usage(&used, &total);
	left = total - used;
	left = left > PAGES_OF_VMM ? left - PAGES_OF_VMM : 0;
	for (unsigned int i = 0; i < vm_count(); i++)
		ept_limit(vm_at(i), left / vm_count());
}

static void enter_guests(void)
{
	bool shared = false;

	limit_tables();
	for (unsigned int i = 0; i < vm_count(); i++) {
		sipi_init(vm_at(i));
		log_info("entering guest %s", vm_at(i)->name);
		shared |= vm_at(i)->devices == VM_DEVICES_PASSTHROUGH;
	}
	if (shared)
		log_share_consoles();
}

void vm_end(struct vm *vm, enum end_status status, const char *reason)
{
	unsigned int left;

	/* Two of its vcpus may come here at once. */
	if (__atomic_exchange_n(&vm->ended, true, __ATOMIC_SEQ_CST))
		sched_leave();
	if (status == END_FAILED)
		vm_note_failure(reason);
	left = __atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
	if (left == 0 && vm_failure())
		machine_end(END_FAILED, vm_failure());
	if (left == 0)
		machine_end_as_guest_wished(END_WISH_POWEROFF, reason);
	if (vm->devices == VM_DEVICES_PASSTHROUGH)
		log_take_back_serial();
	log_line(status == END_OK ? LOG_INFO : LOG_ERROR, "guest %s: stopped (%s), %u other%s on",
		 vm->name, reason, left, left == 1 ? " goes" : "s go");
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		smp_request(vm->vcpus[i]->cpu, REQUEST_LOOK);
	sched_leave();
}

void vm_run_all(void)
{
	const struct cpu *const cpu = cpu_current();

	create_vcpus(cpu);
	sched_prepare();
	smp_barrier();
	if (cpu->id == 0)
		enter_guests();
	smp_barrier();
	if (vm_at(0)->boot->config.debug == DEBUG_VMM_PANIC)
		panic("debug", "processor %u ends the boot, as all the others do", cpu->id);
	sched_start();
}
