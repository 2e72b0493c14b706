// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the VM-entry interruption fields, the interrupt and NMI windows, and the
 * guest's CR2, DR6 and IA32_XFD_ERR where an injected event has to set them: VM entry
 * does not (SDM 3C, 27.6.1). Nothing else writes these.
 */
#include "vmm/vcpu/event.h"

#include <stddef.h>

#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "vmm/host/errata.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/host/apic.h"
#include "vmm/host/capabilities.h"
#include "vmm/vcpu/pending.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

/* DR6 bits that are 0 when the condition was met (SDM 3B, 18.2.3). */
#define DR6_BUS_LOCK   (1ULL << 11)
#define DR6_RTM	       (1ULL << 16)
#define DR6_ACTIVE_LOW (DR6_BUS_LOCK | DR6_RTM)
#define VECTORS	       256
/* The IDT-vectoring information without bit 12, which is undefined. */
#define REPEATED_INFO                                                               \
	(INTERRUPTION_VALID | INTERRUPTION_NESTED | INTERRUPTION_ERROR_CODE_VALID | \
	 ((1U << (INTERRUPTION_TYPE_SHIFT + 3)) - 1))

enum exception_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT, CLASS_DOUBLE_FAULT };

struct event event_exception(uint8_t vector)
{
	return (struct event){ .type = EVENT_HARDWARE_EXCEPTION, .vector = vector };
}

struct event event_exception_error(uint8_t vector, uint32_t error_code)
{
	return (struct event){ .type = EVENT_HARDWARE_EXCEPTION,
			       .vector = vector,
			       .has_error_code = true,
			       .error_code = error_code };
}

struct event event_page_fault(uint32_t error_code, uint64_t linear_address)
{
	return (struct event){ .type = EVENT_HARDWARE_EXCEPTION,
			       .vector = VECTOR_PF,
			       .has_error_code = true,
			       .error_code = error_code,
			       .event_data = linear_address };
}

bool event_has_error_code(uint8_t vector)
{
	switch (vector) {
	case VECTOR_DF:
	case VECTOR_TS:
	case VECTOR_NP:
	case VECTOR_SS:
	case VECTOR_GP:
	case VECTOR_PF:
	case VECTOR_AC:
	case VECTOR_CP:
		return true;
	default:
		return false;
	}
}

static bool is_fault(unsigned int type, unsigned int vector, uint64_t event_data)
{
	return type == EVENT_HARDWARE_EXCEPTION &&
	       (vector != VECTOR_DB || (event_data & EVENT_DEBUG_BD));
}

bool event_is_fault(const struct event *event)
{
	return event->vector != VECTOR_MC &&
	       is_fault(event->type, event->vector, event->event_data);
}

static enum exception_class exception_class(const struct event *event)
{
	if (event->type != EVENT_HARDWARE_EXCEPTION)
		return CLASS_BENIGN;
	switch (event->vector) {
	case VECTOR_DF:
		return CLASS_DOUBLE_FAULT;
	case VECTOR_PF:
	case VECTOR_VE:
		return CLASS_PAGE_FAULT;
	case VECTOR_DE:
	case VECTOR_TS:
	case VECTOR_NP:
	case VECTOR_SS:
	case VECTOR_GP:
	case VECTOR_CP:
		return CLASS_CONTRIBUTORY;
	default:
		return CLASS_BENIGN;
	}
}

enum event_merge_result event_merge(const struct event *first, const struct event *second,
				    struct event *merged)
{
	const enum exception_class a = exception_class(first);
	const enum exception_class b = exception_class(second);

	if (b == CLASS_BENIGN || a == CLASS_BENIGN ||
	    (a == CLASS_CONTRIBUTORY && b == CLASS_PAGE_FAULT)) {
		*merged = *second;
		return MERGE_SECOND;
	}
	if (a == CLASS_DOUBLE_FAULT)
		return MERGE_TRIPLE_FAULT;
	*merged = event_exception_error(VECTOR_DF, 0);
	return MERGE_DOUBLE_FAULT;
}

/* By the processor, or by software: then the read shadow has the bit. */
static bool guest_uses_fred(void)
{
	return (vmcs_read(VMCS_GUEST_CR4) | vmcs_read(VMCS_CR4_READ_SHADOW)) & CR4_FRED;
}

/* What becomes of an event whose delivery met an exception that is delivered instead. */
static void keep_for_later(struct vcpu *vcpu, const struct event *event)
{
	/*
	 * Interrupts and NMIs were taken from their source and would be lost. Exceptions and
	 * software events come again: RIP still points to the instruction that raised them.
	 */
	if (event->type == EVENT_EXTERNAL_INTERRUPT)
		event_queue_interrupt(vcpu, event->vector);
	else if (event->type == EVENT_NMI)
		event_queue_nmi(vcpu);
}

/* The event that waits and this one. Apart, since it is seldom: see event_queue(). */
static __attribute__((noinline)) void queue_second(struct vcpu *vcpu, const struct event *event)
{
	const struct event first = vcpu->event;

	switch (event_merge(&first, event, &vcpu->event)) {
	case MERGE_SECOND:
		keep_for_later(vcpu, &first);
		vcpu->event.nested = event->type == EVENT_HARDWARE_EXCEPTION &&
				     event->vector != VECTOR_DF && guest_uses_fred();
		break;
	case MERGE_DOUBLE_FAULT:
		/* CR2 is that of the second of two page faults (SDM 3A, 6.15). */
		event_set_registers(event);
		break;
	case MERGE_TRIPLE_FAULT:
		guest_triple_fault(vcpu);
	}
}

void event_queue(struct vcpu *vcpu, struct event event)
{
	if (vcpu->work & WORK_EVENT) {
		queue_second(vcpu, &event);
		return;
	}
	vcpu->event = event;
	vcpu_set_work(vcpu, WORK_EVENT);
}

void event_forget(struct vcpu *vcpu)
{
	/* Work first: a vector that is sent after its bits are cleared brings its own work bit. */
	vcpu_clear_work(vcpu, (enum vcpu_work)(WORK_EVENT | WORK_NMI | WORK_NMI_ARRIVED |
					       WORK_INTERRUPT | WORK_INTERRUPT_ARRIVED));
	for (size_t i = 0; i < INTERRUPT_WORDS; i++)
		__atomic_store_n(&vcpu->pending_interrupts[i], 0, __ATOMIC_SEQ_CST);
	vmcs_clear_bits(VMCS_PROC_BASED_CONTROLS, PROC_NMI_WINDOW | PROC_INTERRUPT_WINDOW);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, 0);
}

void event_set_exits(struct vcpu *vcpu, uint32_t exceptions)
{
	vcpu->exceptions = exceptions;
	vmcs_write(VMCS_EXCEPTION_BITMAP, exceptions | vcpu->vm->required_exceptions);
}

void event_queue_nmi(struct vcpu *vcpu)
{
	vcpu_set_work(vcpu, WORK_NMI);
}

static void pend_interrupt(struct vcpu *vcpu, uint8_t vector)
{
	const uint64_t bit = 1ULL << vector % 64;

	/* Counted first: a vector that can be delivered has been counted. Atomic: the VMM's own
	 * interrupt handler may come at any time, and another processor may send a vector. */
	__atomic_add_fetch(&vcpu->interrupts.taken, 1, __ATOMIC_SEQ_CST);
	if (__atomic_fetch_or(&vcpu->pending_interrupts[vector / 64], bit, __ATOMIC_SEQ_CST) & bit)
		__atomic_add_fetch(&vcpu->interrupts.merged, 1, __ATOMIC_SEQ_CST);
}

void event_queue_interrupt(struct vcpu *vcpu, uint8_t vector)
{
	pend_interrupt(vcpu, vector);
	vcpu_set_work(vcpu, WORK_INTERRUPT);
}

/*
 * The target may deliver the vector between the two lines, so that the second one must not claim
 * that a vector waits: WORK_INTERRUPT_ARRIVED makes the target look.
 */
void event_send_interrupt(struct vcpu *vcpu, uint8_t vector)
{
	pend_interrupt(vcpu, vector);
	vcpu_set_work(vcpu, WORK_INTERRUPT_ARRIVED);
}

/*
 * Erratum FR-6: what was interrupted is a SYSCALL or SYSENTER, but the processor tells of an event
 * before it. RIP is still at the instruction, which repeats it all.
 */
static bool is_syscall_in_disguise(const struct vcpu *vcpu, unsigned int type)
{
	uint8_t code[2];

	return type != EVENT_OTHER && vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH) == sizeof(code) &&
	       guest_uses_fred() &&
	       guest_read_linear(vcpu->vm, vmcs_read(VMCS_GUEST_RIP), code, sizeof(code)) &&
	       code[0] == 0x0f && (code[1] == 0x05 || code[1] == 0x34);
}

/* RF is to be as the frame shall have it (SDM 3C, 28.3.3): only faults set it. */
static void correct_rf(unsigned int type, unsigned int vector, uint64_t event_data)
{
	if (erratum_detected(ERRATUM_FR_23) && !is_fault(type, vector, event_data))
		vmcs_clear_bits(VMCS_GUEST_RFLAGS, RFLAGS_RF);
}

void event_complete_interrupted(struct vcpu *vcpu)
{
	const uint32_t info = vmcs_read32(VMCS_IDT_VECTORING_INFO);
	struct event event = { 0 };

	if (!(info & INTERRUPTION_VALID))
		return;
	event.type = (uint8_t)INTERRUPTION_TYPE(info);
	event.vector = INTERRUPTION_VECTOR(info);
	event.nested = (info & INTERRUPTION_NESTED) != 0;
	if (info & INTERRUPTION_ERROR_CODE_VALID) {
		event.has_error_code = true;
		event.error_code = vmcs_read32(VMCS_IDT_VECTORING_ERROR_CODE);
	}
	if (event_is_software(event.type))
		event.instruction_length = (uint8_t)vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH);
	/* Only a processor with FRED has the field. */
	if (vmcs_read(VMCS_GUEST_CR4) & CR4_FRED)
		event.event_data = vmcs_read(VMCS_ORIGINAL_EVENT_DATA);
	else if (event.type == EVENT_HARDWARE_EXCEPTION && event.vector == VECTOR_PF)
		event.event_data = read_cr2(); /* the aborted delivery has set it */
	if (erratum_detected(ERRATUM_FR_6) && is_syscall_in_disguise(vcpu, event.type))
		return;
	/* Its first delivery blocked NMIs; the next one needs them unblocked (SDM 3C, 27.3.1.5). */
	if (event.type == EVENT_NMI)
		vmcs_clear_bits(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	correct_rf(event.type, event.vector, event.event_data);
	vcpu->event = event;
	vcpu_set_work(vcpu, WORK_EVENT);
}

/* Does more come of it than the same event again? */
static bool is_repeated_alone(const struct vcpu *vcpu, unsigned int type)
{
	return vcpu->work == 0 && type != EVENT_NMI &&
	       !(erratum_detected(ERRATUM_FR_6) && is_syscall_in_disguise(vcpu, type));
}

/* What its delivery has to set beside, CR2, DR6 and IA32_XFD_ERR, the first one has set. */
bool event_repeat_interrupted(struct vcpu *vcpu)
{
	const uint32_t info = vmcs_read32(VMCS_IDT_VECTORING_INFO);
	const unsigned int type = INTERRUPTION_TYPE(info);

	if (!(info & INTERRUPTION_VALID))
		return false;
	if (__builtin_expect(!is_repeated_alone(vcpu, type), 0)) {
		event_complete_interrupted(vcpu);
		return true;
	}
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, info & REPEATED_INFO);
	if (info & INTERRUPTION_ERROR_CODE_VALID)
		vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE,
			   vmcs_read(VMCS_IDT_VECTORING_ERROR_CODE));
	if (event_is_software((uint8_t)type))
		vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH));
	else if (erratum_detected(ERRATUM_FR_13))
		vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, 0);
	if (machine.fred_method != FRED_METHOD_NONE) {
		/* The IDT does not mind what it is. */
		const uint64_t event_data = vmcs_read(VMCS_ORIGINAL_EVENT_DATA);

		vmcs_write(VMCS_INJECTED_EVENT_DATA, event_data);
		correct_rf(type, INTERRUPTION_VECTOR(info), event_data);
	}
	return true;
}

void event_iret_interrupted(void)
{
	vmcs_set_bits(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
}

/* What #DB does to registers, and neither its interception nor its injection (SDM 3C, 28.1). */
static void set_debug_registers(uint64_t causes)
{
	/* The processor sets RTM when it is not the cause, but leaves bus lock as it was. */
	const uint64_t dr6 = read_dr6() | DR6_RTM;

	/* An interrupted delivery, which has already told the causes: they are not known here. */
	if (causes == 0)
		return;
	write_dr6((dr6 | (causes & ~DR6_ACTIVE_LOW)) & ~(causes & DR6_ACTIVE_LOW));
	vmcs_clear_bits(VMCS_GUEST_DR7, DR7_GD);
	vmcs_clear_bits(VMCS_GUEST_DEBUGCTL, DEBUGCTL_LBR | DEBUGCTL_BTF);
}

void event_set_registers(const struct event *event)
{
	if (event->vector == VECTOR_PF)
		write_cr2(event->event_data);
	else if (event->vector == VECTOR_NM && event->event_data != 0)
		wrmsr(MSR_IA32_XFD_ERR, event->event_data);
	else if (event->vector == VECTOR_DB)
		set_debug_registers(event->event_data & EVENT_DEBUG_CAUSES);
}

unsigned int event_interrupts_waiting(const struct vcpu *vcpu)
{
	unsigned int count = 0;

	for (size_t i = 0; i < INTERRUPT_WORDS; i++)
		for (uint64_t bits = vcpu->pending_interrupts[i]; bits != 0; bits &= bits - 1)
			count++;
	return count;
}

bool event_ends_halt(const struct vcpu *vcpu)
{
	return (vcpu->work & WORK_EVENT) || vcpu_nmi_ends_halt(vcpu) ||
	       interrupt_passes_priority(vcpu);
}

/* Does one of a class up to this one wait? Class 0 is not the APIC's: see pending.h. */
static bool waits_below(const struct vcpu *vcpu, uint64_t class)
{
	for (unsigned int vector = 16; vector < 16 * (class + 1); vector += 16)
		if (vcpu->pending_interrupts[vector / 64] >> vector % 64 & UINT16_MAX)
			return true;
	return false;
}

/*
 * All of them, the highest first: the end of an interrupt is that of the highest in service, and
 * one that passes comes again at once. CR8 of the processor is this guest's: that of others exits.
 */
void event_return_held_back(struct vcpu *vcpu)
{
	int vector, last = VECTORS;

	if (vcpu->vm->devices != VM_DEVICES_PASSTHROUGH || !waits_below(vcpu, read_cr8()))
		return;
	/* Downwards: on some processors it comes while the VMM runs (FR-4). */
	for (; (vector = highest_pending_interrupt(vcpu)) != NO_VECTOR && vector < last &&
	       apic_return_interrupt((uint8_t)vector);
	     last = vector) {
		take_pending_interrupt(vcpu, (uint8_t)vector);
		__atomic_sub_fetch(&vcpu->interrupts.taken, 1, __ATOMIC_RELAXED);
	}
}

void event_close_interrupt_window(void)
{
	vmcs_clear_bits(VMCS_PROC_BASED_CONTROLS, PROC_INTERRUPT_WINDOW);
}

void event_close_nmi_window(void)
{
	vmcs_clear_bits(VMCS_PROC_BASED_CONTROLS, PROC_NMI_WINDOW);
}
