// SPDX-License-Identifier: BSD-2-Clause
/*
 * The exit table: one line per reason. This file owns the guest's RIP, and the
 * activity state. What is short is handled here, the rest in a file by subject.
 *
 * vcpu_handle_exit() and the handlers of frequent exits are kept short on purpose:
 * their instructions are what a guest pays for an exit (make bench).
 */
#include "vmm/exits/table.h"

#include <stddef.h>

#include "lib/format.h"
#include "lib/x86/cpu.h"
#include "vmm/fred/vmcs_dump.h"
#include "vmm/host/apic.h"
#include "vmm/host/cpu.h"
#include "vmm/end.h"
#include "vmm/run/inject.h"
#include "vmm/vcpu/rip.h"
#include "vmm/vmx/ept.h"
#include "vmm/base/log.h"
#include "vmm/run/apic_store.h"
#include "vmm/run/sched.h"
#include "vmm/run/startup.h"
#include "vmm/host/smp.h"
#include "vmm/run/snapshot.h"
#include "vmm/vcpu/timer.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vcpu/xfd.h"
#include "vmm/vm.h"
#include "vmm/vmx/exit_names.h"
#include "vmm/vmx/rules.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define WRMSRNS_LENGTH 3
/* Exit interruption information: nothing but #UD. */
#define UNDEFINED_OPCODE \
	(INTERRUPTION_VALID | EVENT_HARDWARE_EXCEPTION << INTERRUPTION_TYPE_SHIFT | VECTOR_UD)

typedef void exit_handler(struct vcpu *vcpu);

/* The exception that exited; the data of #NM is still to be found. */
static inline struct event exit_event(uint32_t info)
{
	struct event event = { .type = (uint8_t)INTERRUPTION_TYPE(info),
			       .vector = INTERRUPTION_VECTOR(info),
			       .nested = (info & INTERRUPTION_NESTED) != 0 };

	if (info & INTERRUPTION_ERROR_CODE_VALID) {
		event.has_error_code = true;
		event.error_code = vmcs_read32(VMCS_EXIT_INTERRUPTION_ERROR_CODE);
	}
	if (event.type != EVENT_HARDWARE_EXCEPTION)
		event.instruction_length = (uint8_t)vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH);
	else if (event.vector == VECTOR_PF || event.vector == VECTOR_DB)
		event.event_data = vmcs_read(VMCS_EXIT_QUALIFICATION);
	return event;
}

/* With #DF, and in the middle of a delivery, the bit is undefined (SDM 3C, 28.2.3). */
static inline void block_nmis_again(uint32_t info)
{
	if ((info & INTERRUPTION_NMI_UNBLOCKED) && INTERRUPTION_VECTOR(info) != VECTOR_DF &&
	    !(vmcs_read32(VMCS_IDT_VECTORING_INFO) & INTERRUPTION_VALID))
		event_iret_interrupted();
}

/*
 * A #DB that exits is not pending any more. But in the shadow of STI or MOV SS VM entry wants a
 * step to be pending where TF is 1 (27.3.1.5), also when it injects the #DB, and so drops it.
 */
static void pend_step_in_shadow(void)
{
	if ((vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) &
	     (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)) &&
	    (vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_TF))
		rip_pend_single_step();
}

static inline bool is_device_not_available(const struct event *event)
{
	return event->type == EVENT_HARDWARE_EXCEPTION && event->vector == VECTOR_NM;
}

/* Apart: a call in the middle would cost the frequent exceptions their registers. */
static __attribute__((noinline)) void handle_fred_nm(struct vcpu *vcpu, struct event *event)
{
	event->event_data = xfd_of_exit(vcpu->vm);
	soft_fred_exception(vcpu, event);
}

/* The guest has FRED on, by software. */
static __attribute__((noinline)) void handle_fred_exception(struct vcpu *vcpu, uint32_t info)
{
	struct event event;

	block_nmis_again(info);
	event = exit_event(info);
	if (__builtin_expect(is_device_not_available(&event), 0))
		handle_fred_nm(vcpu, &event);
	else
		soft_fred_exception(vcpu, &event);
}

static __attribute__((noinline)) void handle_exception(struct vcpu *vcpu, uint32_t info)
{
	struct event event;

	event_complete_interrupted(vcpu);
	block_nmis_again(info);
	event = exit_event(info);
	if (is_device_not_available(&event))
		event.event_data = xfd_of_exit(vcpu->vm);
	if (event.type == EVENT_HARDWARE_EXCEPTION && event.vector == VECTOR_DB)
		pend_step_in_shadow();
	/* The exit's RFLAGS do not always say so: BX-15, KV-1. */
	if (event_is_fault(&event))
		vmcs_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_RF);
	event_queue(vcpu, event);
}

static void handle_undefined_opcode(struct vcpu *vcpu)
{
	const struct event event = { .type = EVENT_HARDWARE_EXCEPTION, .vector = VECTOR_UD };

	if (vcpu->soft.on) {
		soft_fred_undefined(vcpu);
		return;
	}
	event_complete_interrupted(vcpu);
	if (vcpu->vm->fred != FRED_BACKEND_SOFT || !soft_fred_performs_lkgs(vcpu))
		event_queue(vcpu, event);
}

/* Ours or the guest's. The exit has blocked NMIs, and this processor may be about to wait for one.
 */
static __attribute__((noinline)) void handle_nmi(struct vcpu *vcpu)
{
	if (!smp_take_nmi()) {
		if (vcpu->cpu->vcpu_count == 1)
			event_queue_nmi(vcpu);
		else
			sched_nmi();
	}
	cpu_unblock_nmis();
}

static void handle_exception_nmi(struct vcpu *vcpu)
{
	const uint32_t info = vmcs_read32(VMCS_EXIT_INTERRUPTION_INFO);

	if (__builtin_expect(vcpu->exits_by_reason[EXIT_REASON_EXCEPTION_NMI] % LIVELOCK_EVERY == 0,
			     0))
		livelock_look(vcpu);
	if (info == UNDEFINED_OPCODE)
		handle_undefined_opcode(vcpu);
	else if (INTERRUPTION_TYPE(info) == EVENT_NMI)
		handle_nmi(vcpu);
	else if (vcpu->soft.on)
		handle_fred_exception(vcpu, info);
	else
		handle_exception(vcpu, info);
}

static void handle_external_interrupt(struct vcpu *vcpu)
{
	const uint8_t vector = INTERRUPTION_VECTOR(vmcs_read32(VMCS_EXIT_INTERRUPTION_INFO));

	/* A guest that has the APIC ends the interrupt itself. */
	if (vcpu->vm->devices == VM_DEVICES_NONE) {
		if (sched_is_shared(vcpu->cpu)) {
			sched_interrupt(vector);
			return;
		}
		apic_end_of_interrupt();
	}
	if (vcpu->soft.on && soft_fred_interrupt(vcpu, vector)) {
		__atomic_add_fetch(&vcpu->interrupts.taken, 1, __ATOMIC_RELAXED);
		vcpu->interrupts.delivered++;
		return;
	}
	event_queue_interrupt(vcpu, vector);
}

static void handle_triple_fault(struct vcpu *vcpu)
{
	guest_triple_fault(vcpu);
}

static void handle_interrupt_window(struct vcpu *vcpu)
{
	(void)vcpu;
	event_close_interrupt_window();
}

static void handle_nmi_window(struct vcpu *vcpu)
{
	(void)vcpu;
	event_close_nmi_window();
}

/* Hardware task switches exist in 32-bit guests only, and no guest of today uses them. */
static void handle_task_switch(struct vcpu *vcpu)
{
	guest_failed(vcpu, "task-switch",
		     "the guest switched tasks by hardware (selector 0x%llx): not supported",
		     (unsigned long long)(vmcs_read(VMCS_EXIT_QUALIFICATION) & 0xffff));
}

static void handle_hlt(struct vcpu *vcpu)
{
	const uint64_t rflags = vmcs_read(VMCS_GUEST_RFLAGS);

	rip_skip(vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH));
	vcpu->nmis_blocked = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI;
	/* A single step ends it at once. */
	if ((rflags & RFLAGS_TF) &&
	    (vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS) & PENDING_DEBUG_BS))
		return;
	if (!(rflags & RFLAGS_IF)) {
		if (!(vcpu->work & WORK_EVENT) && !vcpu_nmi_ends_halt(vcpu))
			sipi_halted(vcpu);
		return;
	}
	event_return_held_back(vcpu);
	if (event_ends_halt(vcpu))
		return;
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	if (sched_is_shared(vcpu->cpu))
		vcpu_set_work(vcpu, WORK_LOOK);
}

/* INVD would throw away what the VMM has in the caches; to lose nothing is as good for the guest.
 */
static void handle_invd(struct vcpu *vcpu)
{
	(void)vcpu;
	rip_skip(vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH));
}

static void handle_monitor_trap(struct vcpu *vcpu)
{
	trace_record(&vcpu->trace);
	if (vcpu->soft.stepping)
		soft_fred_stepped(vcpu);
	else
		timer_stepped(vcpu);
}

/* Apart: what it needs of the stack the frequent case need not pay for. */
static __attribute__((noinline, cold)) void refuse_access(struct vcpu *vcpu, uint64_t address)
{
	const uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);

	if (vcpu->vm->ept_used_up) {
		guest_failed(
			vcpu, "ept-tables",
			"the guest's access of guest-physical address 0x%llx at RIP 0x%llx takes "
			"more EPT tables than the %llu that a guest may have",
			(unsigned long long)address, (unsigned long long)vmcs_read(VMCS_GUEST_RIP),
			(unsigned long long)vcpu->vm->ept_tables_max);
		return;
	}
	guest_failed(vcpu, ept_is_vmm_memory(vcpu->vm, address) ? "vmm-memory" : "no-memory-there",
		     "the guest's %s of guest-physical address 0x%llx at RIP 0x%llx hit %s",
		     qualification & EPT_VIOLATION_WRITE   ? "write"
		     : qualification & EPT_VIOLATION_FETCH ? "fetch"
							   : "read",
		     (unsigned long long)address, (unsigned long long)vmcs_read(VMCS_GUEST_RIP),
		     ept_is_vmm_memory(vcpu->vm, address)
			     ? "memory of the VMM"
			     : "neither memory nor a device of this guest");
}

static void handle_ept_violation(struct vcpu *vcpu)
{
	const uint64_t address = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);

	/* Also of a vcpu that has not noticed yet that its APIC is not watched any more. */
	if (!(vm_is_smp(vcpu->vm) && apic_store(vcpu, address)) &&
	    !ept_map_missing(vcpu->vm, address)) {
		refuse_access(vcpu, address);
		return;
	}
	if (!event_repeat_interrupted(vcpu) &&
	    (vmcs_read(VMCS_EXIT_QUALIFICATION) & EPT_VIOLATION_NMI_UNBLOCK))
		event_iret_interrupted();
}

static void handle_ept_misconfig(struct vcpu *vcpu)
{
	guest_failed(vcpu, "ept-misconfig",
		     "the EPT entry for guest-physical 0x%llx is malformed: "
		     "a bug of the VMM",
		     (unsigned long long)vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS));
}

static void handle_preemption_timer(struct vcpu *vcpu)
{
	vcpu_set_work(vcpu, WORK_LOOK);
}

/* CPUID does not offer the immediate forms. Erratum FR-14: plain WRMSRNS exits with its reason. */
static void handle_wrmsrns_immediate(struct vcpu *vcpu)
{
	if (vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH) == WRMSRNS_LENGTH)
		handle_wrmsr(vcpu);
	else
		raise_ud(vcpu);
}

static void handle_entry_failure(struct vcpu *vcpu)
{
	const char *const rule = vmcs_check();

	guest_failed(vcpu, "vm-entry", "VM entry failed: %s, qualification 0x%llx; %s%s",
		     exit_reason_name(vmcs_read32(VMCS_EXIT_REASON)),
		     (unsigned long long)vmcs_read(VMCS_EXIT_QUALIFICATION),
		     rule ? "first rule broken: " : "our own checks find no rule broken",
		     rule ? rule : "");
}

static void handle_invalid_guest_state(struct vcpu *vcpu)
{
	if (!rip_wrap())
		handle_entry_failure(vcpu);
}

static void handle_unknown(struct vcpu *vcpu)
{
	guest_failed(vcpu, "unexpected-exit",
		     "VM exit with reason %u, for which there is no handler",
		     EXIT_REASON_BASIC(vmcs_read32(VMCS_EXIT_REASON)));
}

/* One line per reason; vmx/exit_names.c has its name. The default is meant to be overridden. */
#pragma GCC diagnostic push
#ifdef __clang__
#pragma GCC diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif
/* clang-format off */
static exit_handler *const exit_handlers[EXIT_REASON_COUNT] = {
	[0 ... EXIT_REASON_COUNT - 1] = handle_unknown,
	[EXIT_REASON_EXCEPTION_NMI] = handle_exception_nmi,
	[EXIT_REASON_EXTERNAL_INTERRUPT] = handle_external_interrupt,
	[EXIT_REASON_TRIPLE_FAULT] = handle_triple_fault,
	[EXIT_REASON_INIT] = handle_init,
	[EXIT_REASON_INTERRUPT_WINDOW] = handle_interrupt_window,
	[EXIT_REASON_NMI_WINDOW] = handle_nmi_window,
	[EXIT_REASON_TASK_SWITCH] = handle_task_switch,
	[EXIT_REASON_CPUID] = handle_cpuid,
	[EXIT_REASON_GETSEC] = raise_ud,
	[EXIT_REASON_HLT] = handle_hlt,
	[EXIT_REASON_INVD] = handle_invd,
	[EXIT_REASON_RDPMC] = raise_gp,
	[EXIT_REASON_VMCALL] = handle_vmcall,
	[EXIT_REASON_VMCLEAR] = raise_ud,
	[EXIT_REASON_VMLAUNCH] = raise_ud,
	[EXIT_REASON_VMPTRLD] = raise_ud,
	[EXIT_REASON_VMPTRST] = raise_ud,
	[EXIT_REASON_VMREAD] = raise_ud,
	[EXIT_REASON_VMRESUME] = raise_ud,
	[EXIT_REASON_VMWRITE] = raise_ud,
	[EXIT_REASON_VMXOFF] = raise_ud,
	[EXIT_REASON_VMXON] = raise_ud,
	[EXIT_REASON_CR_ACCESS] = handle_cr_access,
	[EXIT_REASON_IO] = handle_io,
	[EXIT_REASON_RDMSR] = handle_rdmsr,
	[EXIT_REASON_WRMSR] = handle_wrmsr,
	[EXIT_REASON_ENTRY_GUEST_STATE] = handle_invalid_guest_state,
	[EXIT_REASON_ENTRY_MSR_LOAD] = handle_entry_failure,
	[EXIT_REASON_MWAIT] = raise_ud,
	[EXIT_REASON_MONITOR_TRAP] = handle_monitor_trap,
	[EXIT_REASON_MONITOR] = raise_ud,
	[EXIT_REASON_ENTRY_MACHINE_CHECK] = handle_entry_failure,
	[EXIT_REASON_EPT_VIOLATION] = handle_ept_violation,
	[EXIT_REASON_EPT_MISCONFIG] = handle_ept_misconfig,
	[EXIT_REASON_GDTR_IDTR] = handle_descriptor_table,
	[EXIT_REASON_LDTR_TR] = handle_descriptor_table,
	[EXIT_REASON_INVEPT] = raise_ud,
	[EXIT_REASON_PREEMPTION_TIMER] = handle_preemption_timer,
	[EXIT_REASON_INVVPID] = raise_ud,
	[EXIT_REASON_XSETBV] = handle_xsetbv,
	[EXIT_REASON_VMFUNC] = raise_ud,
	[EXIT_REASON_ENCLS] = raise_ud,
	[EXIT_REASON_ENCLV] = raise_ud,
	[EXIT_REASON_SEAMCALL] = raise_ud,
	[EXIT_REASON_TDCALL] = raise_ud,
	[EXIT_REASON_RDMSR_IMMEDIATE] = raise_ud,
	[EXIT_REASON_WRMSRNS_IMMEDIATE] = handle_wrmsrns_immediate,
};
/* clang-format on */
#pragma GCC diagnostic pop

void vcpu_handle_exit(struct vcpu *vcpu)
{
	/* Bit 31 tells a failed entry; the basic reason says so as well. */
	const uint32_t reason = EXIT_REASON_BASIC(vmcs_read32(VMCS_EXIT_REASON));

	if (__builtin_expect(reason >= EXIT_REASON_COUNT, 0)) {
		handle_unknown(vcpu);
		return;
	}
	vcpu->exits_by_reason[reason]++;
	exit_handlers[reason](vcpu);
}

void vcpu_handle_exit_traced(struct vcpu *vcpu)
{
	trace_record(&vcpu->trace);
	vcpu_handle_exit(vcpu);
}

void vcpu_handle_exit_watched(struct vcpu *vcpu)
{
	livelock_compare(vcpu);
	vcpu_handle_exit(vcpu);
}

void vcpu_prepare_entry(struct vcpu *vcpu)
{
	if (vcpu->work & WORK_LOOK)
		sched_look(vcpu);
	if (vcpu->work & WORK_SNAPSHOT)
		snapshot_prepare_entry(vcpu);
	else
		event_prepare_entry(vcpu);
}

void vcpu_entry_failed(struct vcpu *vcpu)
{
	const char *const rule = vmcs_check();

	guest_failed(vcpu, "vm-entry", "VM entry failed: %s%s%s",
		     vmcs_instruction_error_name(vmcs_read(VMCS_INSTRUCTION_ERROR)),
		     rule ? "; first rule broken: " : "", rule ? rule : "");
	sched_leave();
}
