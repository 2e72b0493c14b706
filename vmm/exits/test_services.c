// SPDX-License-Identifier: BSD-2-Clause
/*
 * The test services of hypercall.h. Arguments come from a guest: every one is checked. What they
 * change belongs to the vcpu that calls.
 */
#include "vmm/exits/test_services.h"

#include <stdbool.h>

#include "lib/hypercall.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "vmm/base/spinlock.h"
#include "vmm/fred/native.h"
#include "vmm/fred/vmcs_dump.h"
#include "vmm/host/capabilities.h"
#include "vmm/host/x86.h"
#include "vmm/run/sched.h"
#include "vmm/run/snapshot.h"
#include "vmm/vcpu/entry_rules.h"
#include "vmm/vcpu/event.h"
#include "vmm/vcpu/timer.h"
#include "vmm/vcpu/trace.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

#define VECTOR_FIRST_EXTERNAL 32
#define OTHER_STACK	      0x40ULL /* makes another RSP0 of one: above the reserved bits */

/* The jump begins a new run of instructions: an emulator's RDTSC tells the time of its start. */
static inline uint64_t rdtsc_here(void)
{
	asm volatile("jmp 1f\n1:");
	return rdtsc();
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
		if (event.vector < VECTOR_FIRST_EXTERNAL)
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

/* Hundreds of lines, which a serial port takes a second for: not in the time of other guests. */
static long print(const struct vcpu *vcpu, void (*what)(const struct vcpu *vcpu))
{
	if (sched_is_shared(vcpu->cpu))
		return HYPERCALL_INVALID;
	what(vcpu);
	return HYPERCALL_OK;
}

static void print_trace(const struct vcpu *vcpu)
{
	trace_print(&vcpu->trace);
}

static void print_vmcs(const struct vcpu *vcpu)
{
	(void)vcpu;
	vmcs_dump();
}

long test_service(struct vcpu *vcpu)
{
	const struct guest_regs *const regs = &vcpu->regs;

	if (vcpu->vm->config->test_services != TEST_SERVICES_ON)
		return HYPERCALL_DENIED;
	switch (regs->rax) {
	case HYPERCALL_INJECT:
		return inject(vcpu);
	case HYPERCALL_EXIT_COUNT:
		return regs->rbx < EXIT_REASON_COUNT ? (long)vcpu->exits_by_reason[regs->rbx]
						     : HYPERCALL_INVALID;
	case HYPERCALL_TRACE:
		return print(vcpu, print_trace);
	case HYPERCALL_VMCS_DUMP:
		return print(vcpu, print_vmcs);
	case HYPERCALL_STEP:
		return regs->rbx != 0 && timer_step(vcpu, regs->rbx) ? HYPERCALL_OK
								     : HYPERCALL_INVALID;
	case HYPERCALL_SNAPSHOT:
		return arm_snapshot(vcpu);
	case HYPERCALL_INTERCEPT:
		return intercept(vcpu, regs->rbx);
	case HYPERCALL_SWITCH:
		return measure_switch(vcpu);
	default:
		return HYPERCALL_UNKNOWN;
	}
}
