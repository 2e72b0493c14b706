// SPDX-License-Identifier: BSD-2-Clause
/* Owns the list of guests, and why the first one that failed did so. */
#include "vmm/run/vm_list.h"

#include "vmm/base/log.h"
#include "vmm/host/cpu.h"
#include "vmm/host/smp.h"
#include "vmm/vcpu/exit_counts.h"
#include "vmm/vcpu/vcpu.h"

static struct vm vms[CONFIG_GUESTS_MAX];
static unsigned int count;
static const char *failure; /* reason of the first that failed */

void vm_list_init(unsigned int guests)
{
	count = guests;
}

struct vm *vm_at(unsigned int index)
{
	return &vms[index];
}

void vm_note_failure(const char *reason)
{
	const char *none = NULL;

	__atomic_compare_exchange_n(&failure, &none, reason, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
}

/* the same without the files that are not in place yet */

unsigned int vm_count(void)
{
	return count;
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
