// SPDX-License-Identifier: BSD-2-Clause
/* Owns the VMX preemption timer and the monitor trap flag. */
#include "vmm/vcpu/timer.h"

#include "vmm/vcpu/event.h"
#include "vmm/host/capabilities.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define TIMER_MAX 0xffffffffULL

/* TSC ticks in a unit of the timer, less 1. */
static uint64_t rest_mask(void)
{
	return (1ULL << VMX_MISC_TIMER_RATE(machine.vmx_misc)) - 1;
}

void timer_init(struct vcpu *vcpu)
{
	vcpu->deadline = TIMER_NEVER;
	vcpu->timer_runs = false;
}

void timer_forget(struct vcpu *vcpu)
{
	vcpu->deadline = TIMER_NEVER;
	vcpu->steps_left = 0;
	vmcs_clear_bits(VMCS_PROC_BASED_CONTROLS, PROC_MONITOR_TRAP);
}

bool timer_arm(struct vcpu *vcpu, uint64_t ticks, uint8_t vector)
{
	const uint64_t now = rdtsc();

	if (!machine.has_preemption_timer)
		return false;
	vcpu->deadline = ticks < TIMER_NEVER - 1 - now ? now + ticks : TIMER_NEVER - 1;
	vcpu->timer_vector = vector;
	vcpu_set_work(vcpu, WORK_LOOK);
	return true;
}

bool timer_left(const struct vcpu *vcpu, uint64_t *ticks)
{
	const uint64_t now = rdtsc();

	*ticks = vcpu->deadline > now ? vcpu->deadline - now : 0;
	return vcpu->deadline != TIMER_NEVER;
}

/* The timer counts at changes of one bit of the TSC: the first may come early. */
uint64_t timer_due(uint64_t now)
{
	return now + rest_mask();
}

void timer_take(struct vcpu *vcpu)
{
	vcpu->deadline = TIMER_NEVER;
	event_queue_interrupt(vcpu, vcpu->timer_vector);
}

void timer_set(struct vcpu *vcpu, uint64_t until, uint64_t now)
{
	const uint64_t ticks = until > now ? until - now : 0;
	const uint64_t count = (ticks + rest_mask()) >> VMX_MISC_TIMER_RATE(machine.vmx_misc);
	const bool wanted = until != TIMER_NEVER;

	if (wanted)
		vmcs_write(VMCS_PREEMPTION_TIMER, count > TIMER_MAX ? TIMER_MAX : count);
	if (wanted == vcpu->timer_runs)
		return;
	vcpu->timer_runs = wanted;
	if (wanted) {
		/* Saved at each exit, so that the time in the VMM does not start it anew. */
		vmcs_set_bits(VMCS_EXIT_CONTROLS, EXIT_SAVE_PREEMPTION_TIMER);
		vmcs_set_bits(VMCS_PIN_BASED_CONTROLS, PIN_PREEMPTION_TIMER);
	} else {
		vmcs_clear_bits(VMCS_PIN_BASED_CONTROLS, PIN_PREEMPTION_TIMER);
		vmcs_clear_bits(VMCS_EXIT_CONTROLS, EXIT_SAVE_PREEMPTION_TIMER);
	}
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
