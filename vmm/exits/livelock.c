// SPDX-License-Identifier: BSD-2-Clause
/* Owns the watch over vcpus that do nothing but raise an exception. */
#include "vmm/vcpu/livelock.h"

#include "lib/string.h"
#include "vmm/exits/table.h"
#include "vmm/run/enter.h"
#include "vmm/vcpu/exit_counts.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

#define GPRS (sizeof(struct guest_regs) / sizeof(uint64_t))
_Static_assert(GPRS + 3 == sizeof(((struct livelock *)0)->registers) / sizeof(uint64_t),
	       "struct livelock: all general registers, RSP, RIP, RFLAGS");

static void read_registers(const struct vcpu *vcpu, uint64_t *registers)
{
	memcpy(registers, &vcpu->regs, sizeof(vcpu->regs));
	registers[GPRS] = vmcs_read(VMCS_GUEST_RIP);
	registers[GPRS + 1] = vmcs_read(VMCS_GUEST_RSP);
	registers[GPRS + 2] = vmcs_read(VMCS_GUEST_RFLAGS);
}

static bool are_same(const struct vcpu *vcpu)
{
	const uint64_t *const now = (const uint64_t *)&vcpu->regs, *const before =
									   vcpu->livelock.registers;

	for (size_t i = 0; i < GPRS; i++)
		if (now[i] != before[i])
			return false;
	return vmcs_read(VMCS_GUEST_RIP) == before[GPRS] &&
	       vmcs_read(VMCS_GUEST_RSP) == before[GPRS + 1] &&
	       vmcs_read(VMCS_GUEST_RFLAGS) == before[GPRS + 2];
}

void livelock_look(struct vcpu *vcpu)
{
	struct livelock *const e = &vcpu->livelock;
	const uint64_t exits = exit_count(vcpu);

	if (e->watched)
		return;
	if (exits - e->exits == LIVELOCK_EVERY && are_same(vcpu) && vcpu_watch(vcpu, true)) {
		e->watched = true;
		e->other_between = false;
		e->left = LIVELOCK_TIMES;
	}
	e->exits = exits;
	read_registers(vcpu, e->registers);
}

void livelock_compare(struct vcpu *vcpu)
{
	struct livelock *const e = &vcpu->livelock;
	const bool exception =
		EXIT_REASON_BASIC(vmcs_read32(VMCS_EXIT_REASON)) == EXIT_REASON_EXCEPTION_NMI;

	if (exception && are_same(vcpu)) {
		e->other_between = false;
		if (--e->left == 0)
			guest_failed(vcpu, "endless-exceptions",
				     "the same exception %u times in a row at RIP 0x%llx: its "
				     "handler changes nothing",
				     LIVELOCK_TIMES, (unsigned long long)vmcs_read(VMCS_GUEST_RIP));
	} else if (exception && !e->other_between) {
		e->other_between = true;
	} else {
		e->watched = false;
		vcpu_watch(vcpu, false);
	}
}
