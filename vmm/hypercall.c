// SPDX-License-Identifier: BSD-2-Clause
/* VMCALL. Arguments come from a guest: every one is checked. */
#include "vmm/hypercall.h"

#include <stdbool.h>
#include <stddef.h>

#include "vmm/apic.h"
#include "vmm/end.h"
#include "vmm/ept.h"
#include "vmm/event.h"
#include "vmm/exit.h"
#include "vmm/log.h"
#include "vmm/timer.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"
#include "vmm/vmcs.h"

#define CONSOLE_WRITE_MAX     0x1000
#define VECTOR_FIRST_EXTERNAL 32
#define VECTOR_LAST	      255
#define VECTOR_LAST_EXCEPTION 31
#define INSTRUCTION_MAX	      15

static bool is_external_vector(uint64_t vector)
{
	return vector >= VECTOR_FIRST_EXTERNAL && vector <= VECTOR_LAST;
}

static long console_write(const struct vcpu *vcpu)
{
	const char *text;

	if (vcpu->regs.rcx > CONSOLE_WRITE_MAX)
		return HYPERCALL_INVALID;
	text = guest_memory(vcpu->vm, vcpu->regs.rbx, vcpu->regs.rcx);
	if (!text)
		return HYPERCALL_INVALID;
	log_raw(text, vcpu->regs.rcx);
	return HYPERCALL_OK;
}

static long end(const struct vcpu *vcpu)
{
	log_info("guest %s ends with status %llu", vcpu->vm->name,
		 (unsigned long long)vcpu->regs.rbx);
	if (vcpu->regs.rbx == 0)
		machine_end_as_guest_wished(END_WISH_POWEROFF, "guest-end");
	machine_end(END_FAILED, "guest-end");
}

/* What VM entry would refuse (SDM 3C, 27.2.1.3) must not come from a guest. */
static bool is_injectable(const struct event *event)
{
	switch (event->type) {
	case EVENT_EXTERNAL_INTERRUPT:
		return is_external_vector(event->vector) && !event->has_error_code;
	case EVENT_NMI:
		return !event->has_error_code;
	case EVENT_HARDWARE_EXCEPTION:
		return event->vector <= VECTOR_LAST_EXCEPTION &&
		       event->has_error_code == event_has_error_code(event->vector);
	case EVENT_SOFTWARE_INTERRUPT:
	case EVENT_PRIVILEGED_SOFTWARE_EXCEPTION:
	case EVENT_SOFTWARE_EXCEPTION:
		return !event->has_error_code && event->instruction_length != 0 &&
		       event->instruction_length <= INSTRUCTION_MAX;
	default:
		return false;
	}
}

static long inject(struct vcpu *vcpu)
{
	const uint32_t info = (uint32_t)vcpu->regs.rbx;
	const struct event event = {
		.type = (uint8_t)INTERRUPTION_TYPE(info),
		.vector = INTERRUPTION_VECTOR(info),
		.has_error_code = (info & INTERRUPTION_ERROR_CODE_VALID) != 0,
		.error_code = (uint16_t)vcpu->regs.rcx,
		.instruction_length = (uint8_t)vcpu->regs.rdx,
		.event_data = vcpu->regs.rsi,
	};

	if (event_to_info(&event) != vcpu->regs.rbx || !is_injectable(&event))
		return HYPERCALL_INVALID;
	if (event.type == EVENT_NMI)
		event_queue_nmi(vcpu);
	else if (event.type == EVENT_EXTERNAL_INTERRUPT)
		event_queue_interrupt(vcpu, event.vector);
	else
		event_queue(vcpu, event);
	return HYPERCALL_OK;
}

static long self_interrupt(const struct vcpu *vcpu)
{
	/* A guest that has the machine's APIC needs no help. */
	if (vcpu->vm->devices != VM_DEVICES_NONE || !is_external_vector(vcpu->regs.rbx))
		return HYPERCALL_INVALID;
	apic_send_self((uint8_t)vcpu->regs.rbx);
	return HYPERCALL_OK;
}

static long call(struct vcpu *vcpu)
{
	const struct guest_regs *const regs = &vcpu->regs;

	switch (regs->rax) {
	case HYPERCALL_NOP:
		return HYPERCALL_OK;
	case HYPERCALL_CONSOLE_WRITE:
		return console_write(vcpu);
	case HYPERCALL_END:
		return end(vcpu);
	case HYPERCALL_UNMAP_PAGE:
		return ept_unmap_page(vcpu->vm, regs->rbx) ? HYPERCALL_OK : HYPERCALL_INVALID;
	case HYPERCALL_INJECT:
		return inject(vcpu);
	case HYPERCALL_EXIT_COUNT:
		return regs->rbx < EXIT_REASON_COUNT ? (long)vcpu->exits_by_reason[regs->rbx]
						     : HYPERCALL_INVALID;
	case HYPERCALL_TRACE:
		trace_print(&vcpu->trace);
		return HYPERCALL_OK;
	case HYPERCALL_VMCS_DUMP:
		vmcs_dump();
		return HYPERCALL_OK;
	case HYPERCALL_TIMER:
		return is_external_vector(regs->rcx) &&
				       timer_arm(vcpu, regs->rbx, (uint8_t)regs->rcx)
			       ? HYPERCALL_OK
			       : HYPERCALL_INVALID;
	case HYPERCALL_STEP:
		return regs->rbx != 0 && timer_step(vcpu, regs->rbx) ? HYPERCALL_OK
								     : HYPERCALL_INVALID;
	case HYPERCALL_SELF_INTERRUPT:
		return self_interrupt(vcpu);
	default:
		return HYPERCALL_UNKNOWN;
	}
}

void handle_vmcall(struct vcpu *vcpu)
{
	if (ACCESS_RIGHTS_DPL(vmcs_read(VMCS_GUEST_SS_ACCESS_RIGHTS)) != 0) {
		raise_ud(vcpu);
		return;
	}
	/*
	 * The instruction is over before its effect: an injected event is to
	 * find RIP behind it, and a step is to begin with the next one.
	 */
	skip_instruction();
	vcpu->regs.rax = (uint64_t)call(vcpu);
}
