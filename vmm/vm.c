// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the list of guests, what RAM is left for the next one, and which processor has which vcpu.
 */
#include "vmm/vm.h"

#include "lib/layout.h"
#include "lib/string.h"
#include "vmm/host/cpu.h"
#include "vmm/run/create.h"
#include "vmm/vcpu/exit_counts.h"
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

static struct vm vms[CONFIG_GUESTS_MAX];
static unsigned int count;
static unsigned int running;	/* of them */
static const char *failure;	/* reason of the first that failed */
static struct memmap available; /* RAM that no guest without devices has */
static struct memmap to_take;	/* the same without the files that are not in place yet */

unsigned int vm_count(void)
{
	return count;
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
	count = running = boot->config.guest_count;
	for (unsigned int i = 0; i < count; i++)
		init(&vms[i], boot, i);
	if (vm_has_devices())
		vtd_probe(boot);
	for (unsigned int i = 0; i < count; i++)
		if (vms[i].devices == VM_DEVICES_NONE)
			load(&vms[i]);
	for (unsigned int i = 0; i < count; i++)
		if (vms[i].devices == VM_DEVICES_PASSTHROUGH) {
			load(&vms[i]);
			vtd_start(&vms[i]);
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
	for (unsigned int i = 0; i < count; i++)
		ept_limit(&vms[i], left / count);
}

static void enter_guests(void)
{
	bool shared = false;

	limit_tables();
	for (unsigned int i = 0; i < count; i++) {
		sipi_init(&vms[i]);
		log_info("entering guest %s", vms[i].name);
		shared |= vms[i].devices == VM_DEVICES_PASSTHROUGH;
	}
	if (shared)
		log_share_consoles();
}

static bool is_live(const struct vm *vm)
{
	return !__atomic_load_n(&vm->ended, __ATOMIC_SEQ_CST);
}

bool vm_is_last(const struct vm *vm)
{
	for (unsigned int i = 0; i < count; i++)
		if (&vms[i] != vm && is_live(&vms[i]))
			return false;
	return true;
}

const char *vm_failure(void)
{
	return __atomic_load_n(&failure, __ATOMIC_SEQ_CST);
}

bool vm_has_devices(void)
{
	for (unsigned int i = 0; i < count; i++)
		if (vms[i].devices == VM_DEVICES_PASSTHROUGH)
			return true;
	return false;
}

void vm_log_cut_off(const struct vm *vm)
{
	for (unsigned int i = 0; i < count; i++)
		if (&vms[i] != vm && is_live(&vms[i]))
			log_info("guest %s: cut off by the end of guest %s", vms[i].name, vm->name);
}

void vm_statistics_print(void)
{
	for (unsigned int i = 0; i < count; i++)
		for (uint32_t v = 0; v < vms[i].vcpu_count; v++) {
			const struct vcpu *const vcpu = vms[i].vcpus[v];

			if (!vcpu)
				continue;
			if (count > 1 || vm_is_smp(&vms[i]))
				log_info("guest %s, vcpu %u: %llu exits, current %llu times",
					 vms[i].name, v, (unsigned long long)exit_count(vcpu),
					 (unsigned long long)vcpu->switches);
			exit_statistics_print(vcpu);
		}
	for (unsigned int i = 0; i < smp_count(); i++)
		if (smp_cpu(i)->interrupts_dropped != 0 || smp_cpu(i)->nmis_dropped != 0)
			log_info("processor %u: %llu interrupts and %llu NMIs for no guest", i,
				 (unsigned long long)smp_cpu(i)->interrupts_dropped,
				 (unsigned long long)smp_cpu(i)->nmis_dropped);
}

uint64_t vm_exit_count(void)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < count; i++)
		for (uint32_t v = 0; v < vms[i].vcpu_count; v++)
			sum += vms[i].vcpus[v] ? exit_count(vms[i].vcpus[v]) : 0;
	return sum;
}

void vm_end(struct vm *vm, enum end_status status, const char *reason)
{
	const char *none = NULL;
	unsigned int left;

	/* Two of its vcpus may come here at once. */
	if (__atomic_exchange_n(&vm->ended, true, __ATOMIC_SEQ_CST))
		sched_leave();
	if (status == END_FAILED)
		__atomic_compare_exchange_n(&failure, &none, reason, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
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
	if (vms[0].boot->config.debug == DEBUG_VMM_PANIC)
		panic("debug", "processor %u ends the boot, as all the others do", cpu->id);
	sched_start();
}
