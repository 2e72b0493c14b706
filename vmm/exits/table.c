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
#include "lib/x86/msr.h"
#include "vmm/host/apic.h"
#include "vmm/host/cpu.h"
#include "vmm/end.h"
#include "vmm/vmx/ept.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/run/sched.h"
#include "vmm/run/startup.h"
#include "vmm/host/smp.h"
#include "vmm/run/snapshot.h"
#include "vmm/vcpu/timer.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define WRMSRNS_LENGTH 3
/* Exit interruption information: nothing but #UD. */
#define UNDEFINED_OPCODE \
	(INTERRUPTION_VALID | EVENT_HARDWARE_EXCEPTION << INTERRUPTION_TYPE_SHIFT | VECTOR_UD)

typedef void exit_handler(struct vcpu *vcpu);

/* SDM 3C 27.7.3 and 28.3.4: an instruction that exits does not do what its end would have done. */
static void end_shadow(uint64_t interruptibility)
{
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY,
		   interruptibility & ~(uint64_t)(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
}

static void pend_single_step(void)
{
	if (!(vmcs_read(VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF))
		vmcs_set_bits(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
}

static inline __attribute__((always_inline)) void skip(uint64_t length)
{
	const uint64_t rip = vmcs_read(VMCS_GUEST_RIP);
	uint64_t interruptibility;

	vmcs_write(VMCS_GUEST_RIP, rip + length);
	interruptibility = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
	if (__builtin_expect(interruptibility & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS),
			     0))
		end_shadow(interruptibility);
	if (__builtin_expect(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_TF, 0))
		pend_single_step();
}

void skip_instruction(void)
{
	skip(vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH));
}

/* Unlike one that exits by itself, an instruction with an EPT violation has left RF = 1 (28.3.3).
 */
void skip_bytes(unsigned int length)
{
	vmcs_clear_bits(VMCS_GUEST_RFLAGS, RFLAGS_RF);
	skip(length);
}

/* The exception that exited. */
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
	else if (event.vector == VECTOR_NM && machine.has_xfd &&
		 !(vmcs_read(VMCS_GUEST_CR0) & CR0_TS))
		event.event_data = rdmsr(MSR_IA32_XFD_ERR);
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
		pend_single_step();
}

/* The guest has FRED on, by software. */
static __attribute__((noinline)) void handle_fred_exception(struct vcpu *vcpu, uint32_t info)
{
	struct event event;

	block_nmis_again(info);
	event = exit_event(info);
	soft_fred_exception(vcpu, &event);
}

static __attribute__((noinline)) void handle_exception(struct vcpu *vcpu, uint32_t info)
{
	struct event event;

	event_complete_interrupted(vcpu);
	block_nmis_again(info);
	event = exit_event(info);
	if (event.type == EVENT_HARDWARE_EXCEPTION && event.vector == VECTOR_DB)
		pend_step_in_shadow();
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

	if (__builtin_expect(vcpu->exits_by_reason[EXIT_REASON_EXCEPTION_NMI] % ENDLESS_EVERY == 0,
			     0))
		endless_look(vcpu);
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

	skip_instruction();
	/* A single step ends it at once. */
	if ((rflags & RFLAGS_TF) &&
	    (vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS) & PENDING_DEBUG_BS))
		return;
	if (!(rflags & RFLAGS_IF)) {
		if (!(vcpu->work & (WORK_EVENT | WORK_NMI | WORK_NMI_ARRIVED)))
			sipi_halted(vcpu);
		return;
	}
	if (vcpu->work & ~(uint32_t)(WORK_SNAPSHOT | WORK_LOOK))
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
	skip_instruction();
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
static __attribute__((noinline, cold, noreturn)) void refuse_access(struct vcpu *vcpu,
								    uint64_t address)
{
	const uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);

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
	if (!(vm_is_smp(vcpu->vm) && sipi_store_to_apic(vcpu, address)) &&
	    !ept_map_missing(vcpu->vm, address))
		refuse_access(vcpu, address);
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

static void handle_unknown(struct vcpu *vcpu)
{
	guest_failed(vcpu, "unexpected-exit",
		     "VM exit with reason %u, for which there is no handler",
		     EXIT_REASON_BASIC(vmcs_read32(VMCS_EXIT_REASON)));
}

/* One line per reason. Whoever adds an exit adds a line. */
#define EXITS(EXIT)                                                                   \
	EXIT(EXCEPTION_NMI, "exception or NMI", handle_exception_nmi)                 \
	EXIT(EXTERNAL_INTERRUPT, "external interrupt", handle_external_interrupt)     \
	EXIT(TRIPLE_FAULT, "triple fault", handle_triple_fault)                       \
	EXIT(INIT, "INIT", handle_init)                                               \
	EXIT(INTERRUPT_WINDOW, "interrupt window", handle_interrupt_window)           \
	EXIT(NMI_WINDOW, "NMI window", handle_nmi_window)                             \
	EXIT(TASK_SWITCH, "task switch", handle_task_switch)                          \
	EXIT(CPUID, "CPUID", handle_cpuid)                                            \
	EXIT(GETSEC, "GETSEC", raise_ud)                                              \
	EXIT(HLT, "HLT", handle_hlt)                                                  \
	EXIT(INVD, "INVD", handle_invd)                                               \
	EXIT(VMCALL, "VMCALL", handle_vmcall)                                         \
	EXIT(VMCLEAR, "VMCLEAR", raise_ud)                                            \
	EXIT(VMLAUNCH, "VMLAUNCH", raise_ud)                                          \
	EXIT(VMPTRLD, "VMPTRLD", raise_ud)                                            \
	EXIT(VMPTRST, "VMPTRST", raise_ud)                                            \
	EXIT(VMREAD, "VMREAD", raise_ud)                                              \
	EXIT(VMRESUME, "VMRESUME", raise_ud)                                          \
	EXIT(VMWRITE, "VMWRITE", raise_ud)                                            \
	EXIT(VMXOFF, "VMXOFF", raise_ud)                                              \
	EXIT(VMXON, "VMXON", raise_ud)                                                \
	EXIT(CR_ACCESS, "control register access", handle_cr_access)                  \
	EXIT(IO, "I/O", handle_io)                                                    \
	EXIT(RDMSR, "RDMSR", handle_rdmsr)                                            \
	EXIT(WRMSR, "WRMSR", handle_wrmsr)                                            \
	EXIT(ENTRY_GUEST_STATE, "invalid guest state", handle_entry_failure)          \
	EXIT(ENTRY_MSR_LOAD, "MSR loading", handle_entry_failure)                     \
	EXIT(MONITOR_TRAP, "monitor trap flag", handle_monitor_trap)                  \
	EXIT(ENTRY_MACHINE_CHECK, "machine check during entry", handle_entry_failure) \
	EXIT(EPT_VIOLATION, "EPT violation", handle_ept_violation)                    \
	EXIT(EPT_MISCONFIG, "EPT misconfiguration", handle_ept_misconfig)             \
	EXIT(GDTR_IDTR, "GDTR or IDTR", handle_descriptor_table)                      \
	EXIT(LDTR_TR, "LDTR or TR", handle_descriptor_table)                          \
	EXIT(INVEPT, "INVEPT", raise_ud)                                              \
	EXIT(PREEMPTION_TIMER, "preemption timer", handle_preemption_timer)           \
	EXIT(INVVPID, "INVVPID", raise_ud)                                            \
	EXIT(XSETBV, "XSETBV", handle_xsetbv)                                         \
	EXIT(VMFUNC, "VMFUNC", raise_ud)                                              \
	EXIT(SEAMCALL, "SEAMCALL", raise_ud)                                          \
	EXIT(TDCALL, "TDCALL", raise_ud)                                              \
	EXIT(RDMSR_IMMEDIATE, "RDMSR immediate", raise_ud)                            \
	EXIT(WRMSRNS_IMMEDIATE, "WRMSRNS immediate", handle_wrmsrns_immediate)

static const char *const exit_names[EXIT_REASON_COUNT] = {
#define EXIT(reason, name, handler) [EXIT_REASON_##reason] = (name),
	EXITS(EXIT)
#undef EXIT
};

/* The default is meant to be overridden. */
#pragma GCC diagnostic push
#ifdef __clang__
#pragma GCC diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif
/* clang-format off */
static exit_handler *const exit_handlers[EXIT_REASON_COUNT] = {
	[0 ... EXIT_REASON_COUNT - 1] = handle_unknown,
#define EXIT(reason, name, handler) [EXIT_REASON_##reason] = (handler),
	EXITS(EXIT)
#undef EXIT
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
	endless_compare(vcpu);
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
}

/* SDM 3A, 18.3.1.1: a fault saves RF = 1, so that its instruction may be repeated. */
void raise_ud(struct vcpu *vcpu)
{
	vmcs_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_RF);
	event_queue(vcpu, event_exception(VECTOR_UD));
}

void raise_gp(struct vcpu *vcpu)
{
	vmcs_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_RF);
	event_queue(vcpu, event_exception_error(VECTOR_GP, 0));
}

void guest_failed(struct vcpu *vcpu, const char *reason, const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	format_string_v(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (vm_is_last(vcpu->vm))
		machine_end_begin();
	log_error("guest %s: %s", vcpu->vm->name, text);
	vcpu_print_registers(vcpu);
	vmcs_dump();
	trace_print(&vcpu->trace);
	vm_end(vcpu->vm, END_FAILED, reason);
}

void guest_triple_fault(struct vcpu *vcpu)
{
	guest_failed(
		vcpu, "triple-fault",
		"triple fault: an exception could not be delivered, nor the double fault after it; "
		"see the guest's IDT and stack at RIP 0x%llx",
		(unsigned long long)vmcs_read(VMCS_GUEST_RIP));
}

const char *exit_reason_name(uint32_t reason)
{
	const uint32_t basic = EXIT_REASON_BASIC(reason);

	return basic < EXIT_REASON_COUNT && exit_names[basic] ? exit_names[basic]
							      : "unknown reason";
}

uint64_t exit_count(const struct vcpu *vcpu)
{
	uint64_t count = 0;

	for (unsigned int i = 0; i < EXIT_REASON_COUNT; i++)
		count += vcpu->exits_by_reason[i];
	return count;
}

void exit_statistics_print(const struct vcpu *vcpu)
{
	const struct interrupt_counts *const i = &vcpu->interrupts;

	if (i->taken != 0)
		log_info("interrupts: %llu taken, %llu delivered, %llu merged, %u waiting",
			 (unsigned long long)i->taken, (unsigned long long)i->delivered,
			 (unsigned long long)i->merged, event_interrupts_waiting(vcpu));
	for (uint32_t reason = 0; reason < EXIT_REASON_COUNT; reason++)
		if (vcpu->exits_by_reason[reason] != 0)
			log_info("exits: %-24s %llu", exit_reason_name(reason),
				 (unsigned long long)vcpu->exits_by_reason[reason]);
}
