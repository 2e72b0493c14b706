// SPDX-License-Identifier: BSD-2-Clause
/*
 * On the way to a VM entry: delivers what waits, by injection or by software FRED, and opens
 * windows for what the guest cannot take now. Owns the VM-entry interruption fields and the two
 * windows, with vcpu/event.c.
 */
#include "vmm/run/inject.h"

#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "vmm/host/capabilities.h"
#include "vmm/host/errata.h"
#include "vmm/soft/soft.h"
#include "vmm/vcpu/event.h"
#include "vmm/vcpu/pending.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

static void inject(struct vcpu *vcpu, const struct event *event)
{
	uint32_t info = event_to_info(event);

	if (vcpu->soft.on) {
		soft_fred_deliver(vcpu, event);
		return;
	}
	/* In real mode no exception has an error code, and VM entry refuses one (27.2.1.3). */
	if (event->has_error_code && !(vmcs_read(VMCS_GUEST_CR0) & CR0_PE))
		info &= ~INTERRUPTION_ERROR_CODE_VALID;
	else if (event->has_error_code)
		vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, event->error_code);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, info);
	if (event_is_software(event->type) || erratum_detected(ERRATUM_FR_13))
		vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, event->instruction_length);
	/* For every event: VM exit does not clear it. */
	if (machine.fred_method != FRED_METHOD_NONE)
		vmcs_write(VMCS_INJECTED_EVENT_DATA, event->event_data);
	if (event_sets_registers(event))
		event_set_registers(event);
}

/* The highest that waits, if it is not held back. */
static void inject_interrupt(struct vcpu *vcpu)
{
	struct event event = { .type = EVENT_EXTERNAL_INTERRUPT };
	int vector;

	event_return_held_back(vcpu);
	vector = highest_pending_interrupt(vcpu);
	if (vector == NO_VECTOR)
		return;
	event.vector = (uint8_t)vector;
	take_pending_interrupt(vcpu, event.vector);
	vcpu->interrupts.delivered++;
	inject(vcpu, &event);
}

/* Ask for an exit as soon as the guest can take what waits, and for none when nothing does. */
static void set_windows(const struct vcpu *vcpu)
{
	const uint64_t controls = vmcs_read(VMCS_PROC_BASED_CONTROLS);
	uint64_t wanted = controls & ~(uint64_t)(PROC_NMI_WINDOW | PROC_INTERRUPT_WINDOW);

	/* A processor may exit for an NMI window before the instruction behind STI is over, and
	 * would for ever; for an interrupt window it does not (SDM 3C, 26.2). */
	if (vcpu->work & WORK_NMI)
		wanted |= vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_STI
				  ? PROC_INTERRUPT_WINDOW
				  : PROC_NMI_WINDOW;
	/* Below CR8 it waits for the guest to lower CR8, which exits. */
	if (interrupt_passes_priority(vcpu))
		wanted |= PROC_INTERRUPT_WINDOW;
	if (wanted != controls)
		vmcs_write(VMCS_PROC_BASED_CONTROLS, wanted);
}

/*
 * Neither interrupts nor NMIs now: in the shadow of STI or MOV SS, with NMIs blocked those, and
 * before a debug trap that waits. Injected, they would take its place: it would be lost (SDM 3C,
 * 27.7.3).
 */
static bool is_held_back(uint64_t blocked_by)
{
	return (vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & blocked_by) ||
	       (vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS) & PENDING_DEBUG_TRAPS);
}

#define BLOCKS_INTERRUPTS (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)
#define BLOCKS_NMIS	  (BLOCKS_INTERRUPTS | INTERRUPTIBILITY_NMI)

/* What waits with whatever else; and the windows for what cannot be delivered now. */
static __attribute__((noinline)) void prepare_entry(struct vcpu *vcpu)
{
	if (vcpu->work & WORK_NMI_ARRIVED) {
		vcpu_clear_work(vcpu, WORK_NMI_ARRIVED);
		vcpu_set_work(vcpu, WORK_NMI);
	}
	if (vcpu->work & WORK_INTERRUPT_ARRIVED) {
		vcpu_clear_work(vcpu, WORK_INTERRUPT_ARRIVED);
		if (highest_pending_interrupt(vcpu) != NO_VECTOR)
			vcpu_set_work(vcpu, WORK_INTERRUPT);
	}
	if (vmcs_read(VMCS_ENTRY_INTERRUPTION_INFO) & INTERRUPTION_VALID) {
		/* Called again for an NMI that came after an event had been programmed. */
	} else if (vcpu->work & WORK_EVENT) {
		inject(vcpu, &vcpu->event);
		vcpu_clear_work(vcpu, WORK_EVENT);
	} else if ((vcpu->work & WORK_NMI) && !is_held_back(BLOCKS_NMIS)) {
		const struct event nmi = { .type = EVENT_NMI, .vector = VECTOR_NMI };

		inject(vcpu, &nmi);
		vcpu_clear_work(vcpu, WORK_NMI);
	} else if (interrupt_passes_priority(vcpu) && (vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_IF) &&
		   !is_held_back(BLOCKS_INTERRUPTS)) {
		inject_interrupt(vcpu);
	}
	set_windows(vcpu);
}

void event_prepare_entry(struct vcpu *vcpu)
{
	/* Mostly it is an event alone, and then no window is open: set_windows() saw to that. */
	if (__builtin_expect(vcpu->work == WORK_EVENT, 1)) {
		inject(vcpu, &vcpu->event);
		vcpu_clear_work(vcpu, WORK_EVENT);
	} else {
		prepare_entry(vcpu);
	}
}
