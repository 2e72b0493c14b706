// SPDX-License-Identifier: BSD-2-Clause
/*
 * Saves vcpus and restores them. What is restored is input: every value is checked, by ourselves or
 * by the processor, before a guest runs with it.
 */
#include "vmm/run/snapshot.h"

#include <stddef.h>

#include "lib/layout.h"
#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "vmm/run/create.h"
#include "vmm/run/enter.h"
#include "vmm/run/inject.h"
#include "vmm/vcpu/entry_rules.h"
#include "vmm/vcpu/event.h"
#include "vmm/exits/table.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/base/spinlock.h"
#include "vmm/vcpu/timer.h"
#include "vmm/vmx/rules.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

/* What a destroyed register is filled with: an address that pointers of every kind take. */
#define POISON	    0x00005a5a5a5a5a40ULL
#define POISON_BYTE 0x5a
#define WORK_SAVED  (WORK_EVENT | WORK_NMI | WORK_INTERRUPT)
#define CR8_MAX	    15

static const enum vmcs_field saved_fields[SAVED_COUNT] = {
#define SAVE_CONTROL(name)
#define SAVE_EXIT_INFO(name)
#define SAVE_HOST(name)
#define SAVE_UNUSED(name)
#define SAVE_GUEST(name)	     [SAVED_##name] = VMCS_##name,
#define FIELD(name, encoding, group) SAVE_##group(name)
#include "lib/x86/vmcs_fields.h"
#undef FIELD
#undef SAVE_GUEST
#undef SAVE_UNUSED
#undef SAVE_HOST
#undef SAVE_EXIT_INFO
#undef SAVE_CONTROL
};

bool snapshot_possible(void)
{
	return switch_possible() && switch_xsave_size() <= SNAPSHOT_XSAVE;
}

static void save_event(const struct vcpu *vcpu, struct vcpu_snapshot *s)
{
	const struct event *const event = &vcpu->event;

	s->work = vcpu->work & (WORK_EVENT | WORK_NMI);
	/* Another processor may send a vector at this moment: what is saved belongs together. */
	for (size_t i = 0; i < INTERRUPT_WORDS; i++) {
		s->pending_interrupts[i] =
			__atomic_load_n(&vcpu->pending_interrupts[i], __ATOMIC_SEQ_CST);
		if (s->pending_interrupts[i] != 0)
			s->work |= WORK_INTERRUPT;
	}
	if (!(s->work & WORK_EVENT))
		return;
	s->event_info = event_to_info(event);
	s->event_error_code = event->error_code;
	s->event_instruction_length = event->instruction_length;
	s->event_data = event->event_data;
}

/* A vector waits exactly when the work bits say so. */
static bool vectors_match_work(const struct vcpu_snapshot *s)
{
	uint64_t vectors = 0;

	for (size_t i = 0; i < INTERRUPT_WORDS; i++)
		vectors |= s->pending_interrupts[i];
	return (vectors != 0) == ((s->work & WORK_INTERRUPT) != 0);
}

/* Vectors that other processors have sent meanwhile stay. */
static const char *restore_event(struct vcpu *vcpu, const struct vcpu_snapshot *s)
{
	const uint32_t info = s->event_info;
	const struct event event = {
		.type = (uint8_t)INTERRUPTION_TYPE(info),
		.vector = INTERRUPTION_VECTOR(info),
		.has_error_code = (info & INTERRUPTION_ERROR_CODE_VALID) != 0,
		.nested = (info & INTERRUPTION_NESTED) != 0,
		.instruction_length = (uint8_t)s->event_instruction_length,
		.error_code = s->event_error_code,
		.event_data = s->event_data,
	};

	if (s->work & ~(uint32_t)WORK_SAVED)
		return "unknown work bits";
	if (!vectors_match_work(s))
		return "the work bits and the vectors disagree on whether an interrupt waits";
	if ((s->work & WORK_EVENT) &&
	    (event_to_info(&event) != info || s->event_instruction_length > UINT8_MAX ||
	     !event_is_injectable(&event)))
		return "the pending event is one that VM entry refuses";
	vcpu->event = event;
	for (size_t i = 0; i < INTERRUPT_WORDS; i++)
		__atomic_or_fetch(&vcpu->pending_interrupts[i], s->pending_interrupts[i],
				  __ATOMIC_SEQ_CST);
	vcpu_set_work(vcpu, (enum vcpu_work)s->work);
	return NULL;
}

static void save_fields(struct vcpu_snapshot *s)
{
	for (size_t i = 0; i < SAVED_COUNT; i++)
		if (!vmcs_read_optional(saved_fields[i], &s->fields[i]))
			s->fields[i] = 0;
	s->cr0_shadow = vmcs_read(VMCS_CR0_READ_SHADOW);
	s->cr4_shadow = vmcs_read(VMCS_CR4_READ_SHADOW);
}

static const char *restore_fields(struct vcpu *vcpu, const struct vcpu_snapshot *s)
{
	const uint64_t fred = vcpu->vm->fred == FRED_BACKEND_SOFT ? CR4_FRED : 0;
	uint64_t value;

	if (s->fields[SAVED_GUEST_CR0] & (CR0_CD | CR0_NW))
		return "CR0 has a bit that would be the VMM's, too";
	if ((s->fields[SAVED_GUEST_CR4] & ~(vcpu->guest_cr4_allowed | machine.cr4_fixed0)) ||
	    (s->cr4_shadow & ~(vcpu->guest_cr4_allowed | fred)))
		return "CR4 has a bit that this guest does not get";
	for (size_t i = 0; i < SAVED_COUNT; i++) {
		const enum vmcs_width width = VMCS_FIELD_WIDTH(saved_fields[i]);

		if ((width == VMCS_WIDTH_16 && s->fields[i] > UINT16_MAX) ||
		    (width == VMCS_WIDTH_32 && s->fields[i] > UINT32_MAX))
			return "a field of the VMCS has a value that is too wide";
		if (vmcs_read_optional(saved_fields[i], &value))
			vmcs_write(saved_fields[i], s->fields[i]);
		else if (s->fields[i] != 0)
			return "it has state that this processor does not have";
	}
	vmcs_write(VMCS_CR0_READ_SHADOW, s->cr0_shadow);
	vmcs_write(VMCS_CR4_READ_SHADOW, s->cr4_shadow);
	event_set_exits(vcpu, s->exception_bitmap);
	if (s->fields[SAVED_GUEST_EFER] & EFER_LMA)
		vmcs_set_bits(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST);
	else
		vmcs_clear_bits(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST);
	return NULL;
}

/* What the guest has asked its virtual clock and the monitor trap flag for. */
static const char *restore_timers(struct vcpu *vcpu, const struct vcpu_snapshot *s)
{
	if (s->timer_armed > 1 || s->timer_vector > UINT8_MAX)
		return "the timer's state is none";
	timer_init(vcpu);
	if (s->timer_armed && !timer_arm(vcpu, s->timer_left, (uint8_t)s->timer_vector))
		return "its timer runs, and this processor has none";
	if (s->steps_left != 0 && !timer_step(vcpu, s->steps_left))
		return "it is stepped, and this processor cannot step";
	return NULL;
}

void vcpu_save(struct vcpu *vcpu, struct vcpu_snapshot *s)
{
	const bool soft = vcpu->soft.on;

	/* The fields as the guest sees them: CR4's shadow tells that FRED is on. */
	if (soft)
		soft_fred_switch(vcpu, false);
	memset(s, 0, sizeof(*s));
	s->magic = SNAPSHOT_MAGIC;
	s->version = SNAPSHOT_VERSION;
	s->size = sizeof(*s);
	s->regs = vcpu->regs;
	s->cr8 = vcpu->cr8;
	s->timer_armed = timer_left(vcpu, &s->timer_left);
	s->timer_vector = vcpu->timer_vector;
	s->steps_left = vcpu->steps_left;
	save_fields(s);
	s->exception_bitmap = vcpu->exceptions;
	save_event(vcpu, s);
	switch_save(&s->switched, s->xsave);
	fred_read_state(vcpu, &s->fred);
	if (soft)
		soft_fred_switch(vcpu, true);
}

const char *vcpu_restore(struct vcpu *vcpu, const struct vcpu_snapshot *s)
{
	const char *wrong;

	if (s->magic != SNAPSHOT_MAGIC)
		return "this is no snapshot of a vcpu";
	if (s->version != SNAPSHOT_VERSION || s->size != sizeof(*s))
		return "it has another version than this VMM";
	if (s->cr8 > CR8_MAX)
		return "CR8 has a reserved bit";
	if (switch_xss(&s->switched) & ~vcpu->vm->xss)
		return "IA32_XSS has a bit that this guest does not get";
	vcpu->regs = s->regs;
	vcpu->cr8 = (uint8_t)s->cr8;
	vcpu->timer_vector = (uint8_t)s->timer_vector;
	vcpu->steps_left = s->steps_left;
	vcpu->soft.on = false;
	vcpu->soft.stepping = false;
	/* The fields before FRED's state, which is checked. */
	if ((wrong = restore_timers(vcpu, s)) || (wrong = restore_fields(vcpu, s)) ||
	    (wrong = restore_event(vcpu, s)) || (wrong = switch_load(&s->switched, s->xsave, NULL)))
		return wrong;
	if (!fred_write_state(vcpu, &s->fred))
		return "an MSR of FRED has a value that WRMSR refuses";
	/* As the guest sees itself, with the event that waits; then as the processor will see it.
	 */
	if ((wrong = vcpu_broken_rule(vcpu)))
		return wrong;
	if (vcpu->vm->fred == FRED_BACKEND_SOFT && (s->cr4_shadow & CR4_FRED))
		soft_fred_switch(vcpu, true);
	return vmcs_check();
}

/* What the snapshot has is taken away; what arrives meanwhile is not. */
static void take_events(struct vcpu *vcpu, const struct vcpu_snapshot *s)
{
	vcpu_clear_work(vcpu, WORK_SAVED);
	for (size_t i = 0; i < INTERRUPT_WORDS; i++)
		__atomic_and_fetch(&vcpu->pending_interrupts[i], ~s->pending_interrupts[i],
				   __ATOMIC_SEQ_CST);
}

/* What stays is what the VMM knows of the vcpu, and what others may read or change at any time. */
static void destroy(struct vcpu *vcpu, const struct vcpu_snapshot *s)
{
	const size_t rest = offsetof(struct vcpu, cr8);
	static struct vcpu kept;

	fred_forget(vcpu);
	kept = *vcpu;
	vcpu_vmcs_clear(vcpu);
	memset(phys_to_virt(kept.vmcs), POISON_BYTE, PAGE_SIZE);
	if (kept.fred_area)
		memset(kept.fred_area, POISON_BYTE, PAGE_SIZE);
	memset(&vcpu->regs, POISON_BYTE, sizeof(vcpu->regs));
	memset((uint8_t *)vcpu + rest, POISON_BYTE, sizeof(*vcpu) - rest);
	take_events(vcpu, s);
	switch_poison(POISON);
	if (kept.vm->fred == FRED_BACKEND_NATIVE)
		wrmsr(MSR_IA32_FRED_RSP0, POISON);
	if (kept.vm->shadow_stacks)
		wrmsr(MSR_IA32_PL0_SSP, POISON);
	vcpu->xsave = kept.xsave;
	vcpu->switches = kept.switches;
	vcpu->livelock = (struct livelock){ 0 };
	vcpu->vmcs = kept.vmcs;
	vcpu->vpid = kept.vpid;
	vcpu->msr_bitmap = kept.msr_bitmap;
	vcpu->apic_off = kept.apic_off;
	vcpu->guest_cr4_allowed = kept.guest_cr4_allowed;
	vcpu->fred_area = kept.fred_area;
	vcpu->end = kept.end;
	vcpu->trace = kept.trace;
	memcpy(vcpu->exits_by_reason, kept.exits_by_reason, sizeof(kept.exits_by_reason));
}

static void exercise(struct vcpu *vcpu)
{
	static struct vcpu_snapshot snapshot; /* too large for the stack */
	static struct spinlock lock;	      /* of it, and of what destroy() keeps */
	const char *wrong;

	vcpu_clear_work(vcpu, WORK_SNAPSHOT);
	spin_lock(&lock);
	vcpu_save(vcpu, &snapshot);
	destroy(vcpu, &snapshot);
	vcpu_vmcs_init(vcpu);
	wrong = vcpu_restore(vcpu, &snapshot);
	spin_unlock(&lock);
	if (wrong) {
		guest_failed(vcpu, "snapshot", "the vcpu cannot be restored: %s", wrong);
		return;
	}
	/* A VMCS that was cleared wants VMLAUNCH: not back to VMRESUME. */
	do
		event_prepare_entry(vcpu);
	while (vcpu->work & (WORK_NMI_ARRIVED | WORK_INTERRUPT_ARRIVED));
	vcpu_run(vcpu);
}

void snapshot_prepare_entry(struct vcpu *vcpu)
{
	/* Software FRED delivers without an exit in the middle: its moment is when an event waits.
	 */
	if (vcpu->soft.on ? (vcpu->work & WORK_EVENT) != 0
			  : (vmcs_read32(VMCS_IDT_VECTORING_INFO) & INTERRUPTION_VALID) != 0)
		exercise(vcpu);
	else
		event_prepare_entry(vcpu);
}
