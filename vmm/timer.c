// SPDX-License-Identifier: BSD-2-Clause
/* Owns the VMX preemption timer and the monitor trap flag. */
#include "vmm/timer.h"

#include "vmm/event.h"
#include "vmm/machine.h"
#include "vmm/vcpu.h"
#include "vmm/vmcs.h"

#define TIMER_MAX 0xffffffffULL

bool timer_arm(struct vcpu *vcpu, uint64_t ticks, uint8_t vector)
{
	const uint64_t count = ticks >> VMX_MISC_TIMER_RATE(machine.vmx_misc);

	if (!machine.has_preemption_timer)
		return false;
	vcpu->timer_vector = vector;
	vmcs_write(VMCS_PREEMPTION_TIMER, count > TIMER_MAX ? TIMER_MAX : count);
	/* Saved at each exit, so that the time in the VMM does not start it anew. */
	vmcs_set_bits(VMCS_EXIT_CONTROLS, EXIT_SAVE_PREEMPTION_TIMER);
	vmcs_set_bits(VMCS_PIN_BASED_CONTROLS, PIN_PREEMPTION_TIMER);
	return true;
}

void timer_expired(struct vcpu *vcpu)
{
	vmcs_clear_bits(VMCS_PIN_BASED_CONTROLS, PIN_PREEMPTION_TIMER);
	vmcs_clear_bits(VMCS_EXIT_CONTROLS, EXIT_SAVE_PREEMPTION_TIMER);
	event_queue_interrupt(vcpu, vcpu->timer_vector);
}

bool timer_step(struct vcpu *vcpu, uint64_t count)
{
	if (!machine.has_monitor_trap)
		return false;
	vcpu->steps_left = count;
	vmcs_set_bits(VMCS_PROC_BASED_CONTROLS, PROC_MONITOR_TRAP);
	return true;
}

void timer_stepped(struct vcpu *vcpu)
{
	if (--vcpu->steps_left == 0)
		vmcs_clear_bits(VMCS_PROC_BASED_CONTROLS, PROC_MONITOR_TRAP);
}
