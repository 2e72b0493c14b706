// SPDX-License-Identifier: BSD-2-Clause
/* VMCALL. Arguments come from a guest: every one is checked. */
#include "lib/hypercall.h"

#include <stdbool.h>
#include <stddef.h>

#include "lib/fred.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "vmm/host/apic.h"
#include "vmm/end.h"
#include "vmm/fred/vmcs_dump.h"
#include "vmm/vcpu/rip.h"
#include "vmm/vmx/ept.h"
#include "vmm/vcpu/event.h"
#include "vmm/exits/table.h"
#include "vmm/fred/native.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/run/sched.h"
#include "vmm/run/startup.h"
#include "vmm/host/smp.h"
#include "vmm/run/snapshot.h"
#include "vmm/base/spinlock.h"
#include "vmm/vcpu/timer.h"
#include "vmm/vcpu/trace.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/verdict.h"
#include "vmm/vm.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define CONSOLE_WRITE_MAX     0x1000
#define VECTOR_FIRST_EXTERNAL 32
#define VECTOR_LAST	      255
#define OTHER_STACK	      0x40ULL /* makes another RSP0 of one: above the reserved bits */

/* The jump begins a new run of instructions: an emulator's RDTSC tells the time of its start. */
static inline uint64_t rdtsc_here(void)
{
	asm volatile("jmp 1f\n1:");
	return rdtsc();
}

static bool is_external_vector(uint64_t vector)
{
	return vector >= VECTOR_FIRST_EXTERNAL && vector <= VECTOR_LAST;
}

static long console_write(struct vcpu *vcpu)
{
	struct vm *const vm = vcpu->vm;
	const char *text;

	if (vcpu->regs.rcx > CONSOLE_WRITE_MAX)
		return HYPERCALL_INVALID;
	text = guest_memory(vm, vcpu->regs.rbx, vcpu->regs.rcx);
	if (!text)
		return HYPERCALL_INVALID;
	/* Several of its vcpus may write. */
	spin_lock(&vm->console_lock);
	if (vm->config->console == GUEST_CONSOLE_LOG && vm_count() > 1)
		log_of_guest(vm->name, &vm->line, text, vcpu->regs.rcx);
	else if (vm->config->console == GUEST_CONSOLE_LOG)
		log_raw(text, vcpu->regs.rcx);
	verdict_read(vm, text, vcpu->regs.rcx);
	spin_unlock(&vm->console_lock);
	return HYPERCALL_OK;
}

static long end(struct vcpu *vcpu)
{
	log_info("guest %s ends with status %llu", vcpu->vm->name,
		 (unsigned long long)vcpu->regs.rbx);
	guest_ends(vcpu, vcpu->regs.rbx == 0 ? END_OK : END_FAILED, "guest-end");
	return HYPERCALL_OK;
}

/*
 * What of RSI is the event's data: garbage in the frame of another event would be a lie. False when
 * IA32_XFD_ERR does not take it: the processor knows its reserved bits.
 */
static bool set_event_data(struct event *event, uint64_t data)
{
	uint64_t xfd_err;

	if (event->type != EVENT_HARDWARE_EXCEPTION)
		return true;
	if (event->vector == VECTOR_PF)
		event->event_data = data;
	else if (event->vector == VECTOR_DB)
		event->event_data = data & EVENT_DEBUG_CAUSES;
	if (event->vector != VECTOR_NM || data == 0)
		return true;
	if (!machine.has_xfd)
		return false;
	event->event_data = data;
	xfd_err = rdmsr(MSR_IA32_XFD_ERR);
	if (!wrmsr_safe(MSR_IA32_XFD_ERR, data))
		return false;
	wrmsr(MSR_IA32_XFD_ERR, xfd_err);
	return true;
}

static long inject(struct vcpu *vcpu)
{
	const uint32_t info = (uint32_t)vcpu->regs.rbx;
	struct event event = {
		.type = (uint8_t)INTERRUPTION_TYPE(info),
		.vector = INTERRUPTION_VECTOR(info),
		.has_error_code = (info & INTERRUPTION_ERROR_CODE_VALID) != 0,
		.nested = (info & INTERRUPTION_NESTED) != 0,
		.error_code = (uint16_t)vcpu->regs.rcx,
	};

	if (event.type >= EVENT_SOFTWARE_INTERRUPT)
		event.instruction_length = (uint8_t)vcpu->regs.rdx;
	if (event_to_info(&event) != vcpu->regs.rbx || !event_is_injectable(&event) ||
	    !set_event_data(&event, vcpu->regs.rsi))
		return HYPERCALL_INVALID;
	if (event.type == EVENT_NMI) {
		event_queue_nmi(vcpu);
	} else if (event.type == EVENT_EXTERNAL_INTERRUPT) {
		if (!is_external_vector(event.vector))
			return HYPERCALL_INVALID;
		event_queue_interrupt(vcpu, event.vector);
	} else {
		event_queue(vcpu, event);
	}
	return HYPERCALL_OK;
}

static long arm_snapshot(struct vcpu *vcpu)
{
	if (!snapshot_possible())
		return HYPERCALL_INVALID;
	vcpu_set_work(vcpu, WORK_SNAPSHOT);
	return HYPERCALL_OK;
}

static long intercept(struct vcpu *vcpu, uint64_t exceptions)
{
	const long before = (long)vmcs_read(VMCS_EXCEPTION_BITMAP);

	if (exceptions > UINT32_MAX || (vcpu->soft.on && exceptions != UINT32_MAX))
		return HYPERCALL_INVALID;
	if (!vcpu->soft.on)
		event_set_exits(vcpu, (uint32_t)exceptions);
	return before;
}

static long measure_switch(struct vcpu *vcpu)
{
	static struct vcpu other; /* only what fred/native.c looks at */
	static struct spinlock lock;
	struct fred_state state;
	uint64_t start, ticks;

	if (vcpu->vm->fred != FRED_BACKEND_NATIVE || vcpu->regs.rbx > 1)
		return HYPERCALL_INVALID;
	fred_read_state(vcpu, &state);
	spin_lock(&lock);
	other.vm = vcpu->vm;
	other.fred_rsp0 = state.rsp[0] ^ (vcpu->regs.rbx ? OTHER_STACK : 0);
	other.pl0_ssp = state.ssp[0] ^ (vcpu->regs.rbx ? OTHER_STACK : 0);
	start = rdtsc_here();
	fred_load(&other);
	fred_load(vcpu);
	ticks = rdtsc_here() - start;
	spin_unlock(&lock);
	return (long)ticks;
}

static long start_vcpu(const struct vcpu *vcpu)
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

static long send_interrupt(const struct vcpu *vcpu)
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

static long self_interrupt(struct vcpu *vcpu)
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
	case HYPERCALL_SNAPSHOT:
		return arm_snapshot(vcpu);
	case HYPERCALL_INTERCEPT:
		return intercept(vcpu, regs->rbx);
	case HYPERCALL_SWITCH:
		return measure_switch(vcpu);
	case HYPERCALL_START:
		return start_vcpu(vcpu);
	case HYPERCALL_IPI:
		return send_interrupt(vcpu);
	case HYPERCALL_YIELD:
		sched_give_way(vcpu);
		return HYPERCALL_OK;
	case HYPERCALL_SWITCHES:
		return (long)vcpu->switches;
	default:
		return HYPERCALL_UNKNOWN;
	}
}

/* 32-bit code has no say in the upper halves of registers, and may not count on them. */
static __attribute__((noinline)) long call(struct vcpu *vcpu)
{
	struct guest_regs *const regs = &vcpu->regs;

	if (!in_64_bit_mode()) {
		uint64_t *const operands[] = { &regs->rax, &regs->rbx, &regs->rcx,
					       &regs->rdx, &regs->rsi, &regs->rdi };

		for (size_t i = 0; i < sizeof(operands) / sizeof(operands[0]); i++)
			*operands[i] = (uint32_t)*operands[i];
	}
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
