// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the view of a vcpu as its next VM entry has it: the current VMCS with the event that waits,
 * and FRED where the guest believes that it is on.
 */
#include "vmm/vcpu/entry_rules.h"

#include <stddef.h>

#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "vmm/vcpu/event.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/rules.h"
#include "vmm/vmx/vmcs.h"

struct view {
	struct vmcs_reader reader;  /* first: what the rules are given */
	struct vmcs_reader current; /* the VMCS without what the view changes */
	struct vmcs_processor processor;
	const struct event *event; /* NULL: none waits */
	bool soft_fred;		   /* on, and not the processor's */
};

/* CR4.FRED as the guest sees it: by software only the read shadow has the bit. */
static uint64_t shadowed_fred(void)
{
	return vmcs_read(VMCS_CR4_READ_SHADOW) & ~vmcs_read(VMCS_GUEST_CR4) & CR4_FRED;
}

/* In real mode event.c takes off the error code, which VM entry would refuse. */
static uint64_t entry_info(const struct event *event)
{
	const uint32_t info = event_to_info(event);

	return vmcs_read(VMCS_GUEST_CR0) & CR0_PE ? info : info & ~INTERRUPTION_ERROR_CODE_VALID;
}

static uint64_t view_field(const struct vmcs_reader *reader, enum vmcs_field name)
{
	const struct view *const view = (const struct view *)reader;
	const struct event *const event = view->event;

	switch (name) {
	case VMCS_ENTRY_INTERRUPTION_INFO:
		return event ? entry_info(event) : 0;
	case VMCS_ENTRY_EXCEPTION_ERROR_CODE:
		return event ? event->error_code : 0;
	case VMCS_ENTRY_INSTRUCTION_LENGTH:
		return event ? event->instruction_length : 0;
	case VMCS_GUEST_CR4:
		return vmcs_read(name) | (view->soft_fred ? CR4_FRED : 0);
	default:
		return view->current.field(&view->current, name);
	}
}

/* A processor that software FRED makes of this one: what FRED's specification says of it. */
static uint64_t view_msr(const struct vmcs_reader *reader, uint32_t msr)
{
	const struct view *const view = (const struct view *)reader;
	const uint64_t value = view->current.msr(&view->current, msr);

	if (view->soft_fred && msr == MSR_IA32_VMX_BASIC)
		return value | VMX_BASIC_ANY_ERROR_CODE | VMX_BASIC_NESTED_EXCEPTION;
	if (view->soft_fred && msr == MSR_IA32_VMX_CR4_FIXED1)
		return value | CR4_FRED;
	return value;
}

static void look_at(struct view *view, const struct event *event)
{
	view->current = vmcs_reader_current(&view->processor);
	view->reader = view->current;
	view->reader.field = view_field;
	view->reader.msr = view_msr;
	view->event = event;
	view->soft_fred = shadowed_fred() != 0;
}

/* In real mode no exception has an error code: one that it does not need is taken off. */
static bool is_raised_exception(const struct event *event, bool fred)
{
	const bool pushes = event_has_error_code(event->vector);

	return event->error_code <= UINT16_MAX &&
	       (event->has_error_code == pushes ||
		(pushes && !(vmcs_read(VMCS_GUEST_CR0) & CR0_PE))) &&
	       (!event->nested || (fred && event->vector != VECTOR_DF));
}

/* Could the processor raise this? VM entry takes more: any event as one of length 0, for example.
 */
static bool is_raised(const struct event *event, bool fred)
{
	switch (event->type) {
	case EVENT_HARDWARE_EXCEPTION:
		return is_raised_exception(event, fred);
	case EVENT_OTHER:
		return event->vector != 0 && event->instruction_length != 0;
	case EVENT_SOFTWARE_INTERRUPT:
	case EVENT_PRIVILEGED_SOFTWARE_EXCEPTION:
	case EVENT_SOFTWARE_EXCEPTION:
		return event->instruction_length != 0;
	default:
		return true;
	}
}

bool event_is_injectable(const struct event *event)
{
	const bool fred = (vmcs_read(VMCS_GUEST_CR4) | vmcs_read(VMCS_CR4_READ_SHADOW)) & CR4_FRED;
	struct view view;

	look_at(&view, event);
	return is_raised(event, fred) && !vmcs_check_event(&view.reader);
}

const char *vcpu_broken_rule(const struct vcpu *vcpu)
{
	struct view view;

	look_at(&view, vcpu->work & WORK_EVENT ? &vcpu->event : NULL);
	return vmcs_judge(&view.reader).rule;
}
