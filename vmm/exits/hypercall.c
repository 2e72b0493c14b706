// SPDX-License-Identifier: BSD-2-Clause
/* VMCALL. Arguments come from a guest: every one is checked. */
#include "lib/hypercall.h"

#include <stdbool.h>
#include <stddef.h>

#include "lib/fred.h"
#include "lib/x86/cpu.h"
#include "vmm/host/apic.h"
#include "vmm/end.h"
#include "vmm/run/vm_list.h"
#include "vmm/vcpu/rip.h"
#include "vmm/vmx/ept.h"
#include "vmm/vcpu/event.h"
#include "vmm/exits/table.h"
#include "vmm/exits/test_services.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/run/sched.h"
#include "vmm/run/startup.h"
#include "vmm/host/smp.h"
#include "vmm/base/spinlock.h"
#include "vmm/vcpu/timer.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/guests/results.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define CONSOLE_WRITE_MAX     0x1000
#define VECTOR_FIRST_EXTERNAL 32
#define VECTOR_LAST	      255

static bool is_external_vector(uint64_t vector)
{
	return vector >= VECTOR_FIRST_EXTERNAL && vector <= VECTOR_LAST;
}

/* Up to the end of the first line. */
static uint64_t line_length(const char *text, uint64_t length)
{
	for (uint64_t i = 0; i < length; i++)
		if (text[i] == '\n')
			return i + 1;
	return length;
}

/*
 * A serial port takes many milliseconds for a line. So a guest that shares its processor writes one
 * at a time, and the time counts as a part of its turn.
 */
static __attribute__((noinline)) long console_write(struct vcpu *vcpu)
{
	struct vm *const vm = vcpu->vm;
	uint64_t length = vcpu->regs.rcx;
	const char *text;

	if (length > CONSOLE_WRITE_MAX)
		return HYPERCALL_INVALID;
	text = guest_memory(vm, vcpu->regs.rbx, length);
	if (!text)
		return HYPERCALL_INVALID;
	if (sched_is_shared(vcpu->cpu)) {
		if (length > sizeof(vm->line.text))
			length = sizeof(vm->line.text);
		length = line_length(text, length);
	}
	/* Several of its vcpus may write. */
	spin_lock(&vm->console_lock);
	if (vm->config->console == GUEST_CONSOLE_LOG && vm_count() > 1)
		log_of_guest(vm->name, &vm->line, text, length);
	else if (vm->config->console == GUEST_CONSOLE_LOG)
		log_raw(text, length);
	guest_results_read(vm, text, length);
	spin_unlock(&vm->console_lock);
	sched_charge(vcpu);
	return (long)length;
}

static long end(struct vcpu *vcpu)
{
	log_info("guest %s ends with status %llu", vcpu->vm->name,
		 (unsigned long long)vcpu->regs.rbx);
	guest_ends(vcpu, vcpu->regs.rbx == 0 ? END_OK : END_FAILED, "guest-end");
	return HYPERCALL_OK;
}

static __attribute__((noinline)) long start_vcpu(const struct vcpu *vcpu)
{
	const struct guest_regs *const regs = &vcpu->regs;
	struct vm *const vm = vcpu->vm;

	if (vm->devices != VM_DEVICES_NONE || regs->rbx >= vm->vcpu_count ||
	    !is_canonical(regs->rcx, machine.linear_bits) ||
	    !is_canonical(regs->rdx, machine.linear_bits) ||
	    !sipi_start(vm->vcpus[regs->rbx], regs->rcx, regs->rdx, regs->rsi))
		return HYPERCALL_INVALID;
	return HYPERCALL_OK;
}

static __attribute__((noinline)) long send_interrupt(const struct vcpu *vcpu)
{
	const struct guest_regs *const regs = &vcpu->regs;
	struct vcpu *target;

	if (vcpu->vm->devices != VM_DEVICES_NONE || regs->rbx >= vcpu->vm->vcpu_count ||
	    !is_external_vector(regs->rcx))
		return HYPERCALL_INVALID;
	target = vcpu->vm->vcpus[regs->rbx];
	event_send_interrupt(target, (uint8_t)regs->rcx);
	smp_request(target->cpu, REQUEST_LOOK);
	return HYPERCALL_OK;
}

static __attribute__((noinline)) long self_interrupt(struct vcpu *vcpu)
{
	/* A guest that has the machine's APIC needs no help. */
	if (vcpu->vm->devices != VM_DEVICES_NONE || !is_external_vector(vcpu->regs.rbx))
		return HYPERCALL_INVALID;
	/* Where others have the APIC, or share the processor, the interrupt would be theirs. */
	if (vm_has_devices() || sched_is_shared(vcpu->cpu)) {
		event_queue_interrupt(vcpu, (uint8_t)vcpu->regs.rbx);
		return HYPERCALL_QUEUED;
	}
	apic_send_self((uint8_t)vcpu->regs.rbx);
	return HYPERCALL_OK;
}

static long carry_out(struct vcpu *vcpu)
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
	case HYPERCALL_TIMER:
		return is_external_vector(regs->rcx) &&
				       timer_arm(vcpu, regs->rbx, (uint8_t)regs->rcx)
			       ? HYPERCALL_OK
			       : HYPERCALL_INVALID;
	case HYPERCALL_SELF_INTERRUPT:
		return self_interrupt(vcpu);
	case HYPERCALL_START:
		return start_vcpu(vcpu);
	case HYPERCALL_IPI:
		return send_interrupt(vcpu);
	case HYPERCALL_YIELD:
		sched_give_way(vcpu);
		return HYPERCALL_OK;
	case HYPERCALL_SWITCHES:
		return (long)vcpu->switches;
	case HYPERCALL_INJECT:
	case HYPERCALL_EXIT_COUNT:
	case HYPERCALL_TRACE:
	case HYPERCALL_VMCS_DUMP:
	case HYPERCALL_STEP:
	case HYPERCALL_SNAPSHOT:
	case HYPERCALL_INTERCEPT:
	case HYPERCALL_SWITCH:
		return test_service(vcpu);
	default:
		return HYPERCALL_UNKNOWN;
	}
}

/* 32-bit code has no say in the upper halves of registers, and may not count on them. */
static __attribute__((noinline, cold)) void cut_operands(struct guest_regs *regs)
{
	uint64_t *const operands[] = { &regs->rax, &regs->rbx, &regs->rcx,
				       &regs->rdx, &regs->rsi, &regs->rdi };

	for (size_t i = 0; i < sizeof(operands) / sizeof(operands[0]); i++)
		*operands[i] = (uint32_t)*operands[i];
}

/* Apart from handle_vmcall(), and what needs many registers apart from it: all of these are paid
 * for by each of its callers. */
static __attribute__((noinline)) long call(struct vcpu *vcpu)
{
	/* YIELD is frequent, and has no operands. */
	if (vcpu->regs.rax != HYPERCALL_YIELD && !in_64_bit_mode())
		cut_operands(&vcpu->regs);
	return carry_out(vcpu);
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
	vcpu->regs.rax = vcpu->regs.rax == HYPERCALL_NOP ? HYPERCALL_OK : (uint64_t)call(vcpu);
}
