// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns IA32_APIC_BASE and vcpu->apic_off. The processor's APIC is on as long as the VMM runs, also
 * while the guest has switched its own off: one that is off takes no NMIs, by which processors call
 * each other, and each wait for such a processor would be endless. Nor does the page move.
 *
 * While it is off for the guest, the processor's APIC is an xAPIC as after a reset. A guest that
 * uses it nevertheless reaches it; CPUID goes on to show it.
 */
#include "vmm/exits/apic_base.h"

#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "vmm/base/log.h"
#include "vmm/host/apic.h"
#include "vmm/host/cpu.h"
#include "vmm/host/smp.h"
#include "vmm/host/x86.h"
#include "vmm/run/sched.h"
#include "vmm/vcpu/msr_policy.h"
#include "vmm/vcpu/vcpu.h"

uint64_t apic_base_read(void)
{
	return rdmsr(MSR_IA32_APIC_BASE) & ~APIC_BASE_ENABLE;
}

static void set_off(struct vcpu *vcpu, bool off)
{
	vcpu->apic_off = off;
	msr_set_exits(vcpu, MSR_IA32_APIC_BASE, off);
}

/* False: the processor does not leave x2APIC mode, or must not. */
static bool leave_x2apic(const struct vcpu *vcpu)
{
	uint64_t base;

	if (smp_needs_x2apic())
		return false;
	apic_leave_x2apic();
	base = rdmsr(MSR_IA32_APIC_BASE);
	if (!(base & APIC_BASE_ENABLE) && smp_count() > 1)
		panic("apic-off",
		      "guest %s has switched off the local APIC of processor %u, which stays off: "
		      "no other processor can call it any more",
		      vcpu->vm->name, vcpu->cpu->id);
	smp_take_lost_nmi();
	return !(base & APIC_BASE_X2APIC);
}

/* Off from off, too. What is not allowed beside the two mode bits the processor itself knows. */
static bool switch_off(struct vcpu *vcpu, uint64_t value)
{
	const uint64_t mode = rdmsr(MSR_IA32_APIC_BASE) & (APIC_BASE_ENABLE | APIC_BASE_X2APIC);

	if ((value & APIC_BASE_X2APIC) || !wrmsr_safe(MSR_IA32_APIC_BASE, value | mode))
		return false;
	if ((mode & APIC_BASE_X2APIC) && !leave_x2apic(vcpu))
		return false;
	if (!vcpu->apic_off)
		apic_reset();
	set_off(vcpu, true);
	return true;
}

bool apic_base_write(struct vcpu *vcpu, uint64_t value)
{
	if ((rdmsr(MSR_IA32_APIC_BASE) ^ value) & APIC_BASE_ADDRESS_MASK) {
		log_error("guest %s wants to move the local APIC to 0x%llx: refused",
			  vcpu->vm->name, (unsigned long long)(value & APIC_BASE_ADDRESS_MASK));
		sched_charge(vcpu);
		return false;
	}
	if (!(value & APIC_BASE_ENABLE))
		return switch_off(vcpu, value);
	/* From off the way leads to xAPIC mode only (SDM 3A, 11.12.5). */
	if ((vcpu->apic_off && (value & APIC_BASE_X2APIC)) ||
	    !wrmsr_safe(MSR_IA32_APIC_BASE, value))
		return false;
	if (vcpu->apic_off)
		set_off(vcpu, false);
	return true;
}
