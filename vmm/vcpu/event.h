/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that can be delivered to a guest, from whatever source, by whatever
 * means: see docs/design.md. Only event.c touches the VM-entry interruption fields.
 */
#ifndef VMM_VCPU_EVENT_H
#define VMM_VCPU_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/x86/cpu.h"
#include "lib/x86/vmx.h"

struct vcpu;

/* What of a #DB's event data goes to DR6: B0-B3, bus lock, BD, BS, RTM. */
#define EVENT_DEBUG_CAUSES 0x1680fULL
/* ... of which general detect alone makes it a fault. */
#define EVENT_DEBUG_BD (1ULL << 13)

struct event {
	uint8_t type; /* enum event_type */
	uint8_t vector;
	bool has_error_code;
	bool nested;		    /* FRED: raised while another event was being delivered */
	uint8_t instruction_length; /* bytes; only of types 4 to 7, else 0 */
	uint32_t error_code;
	/*
	 * #PF: linear address; #DB: causes as in the exit qualification; #NM: IA32_XFD_ERR when XFD
	 * is the cause; else 0. FRED's frame shows it.
	 */
	uint64_t event_data;
};

/* Raised by the instruction at RIP on purpose: its length goes with it. */
static inline bool event_is_software(uint8_t type)
{
	return type >= EVENT_SOFTWARE_INTERRUPT;
}

/* Hardware exceptions with the error code that the processor gives them. */
struct event event_exception(uint8_t vector);
struct event event_exception_error(uint8_t vector, uint32_t error_code);
struct event event_page_fault(uint32_t error_code, uint64_t linear_address);

/* Does the processor push an error code for this hardware exception? */
bool event_has_error_code(uint8_t vector);

/*
 * Does RFLAGS of its frame have RF = 1, that its instruction may be repeated (SDM 3A, 18.3.1.1)?
 * #DF follows on a fault.
 */
bool event_is_fault(const struct event *event);

/*
 * What an exception does to CR2, DR6, DR7, DEBUGCTL and IA32_XFD_ERR: neither its interception nor
 * its injection does (SDM 3C, 28.1).
 */
void event_set_registers(const struct event *event);
/* Is it one of those: only #DB, #NM and #PF set registers. */
static inline bool event_sets_registers(const struct event *event)
{
	return event->type == EVENT_HARDWARE_EXCEPTION &&
	       (event->vector == VECTOR_PF || event->vector == VECTOR_NM ||
		event->vector == VECTOR_DB);
}

/* In interruption-information format. */
static inline uint32_t event_to_info(const struct event *event)
{
	return INTERRUPTION_VALID | (uint32_t)event->type << INTERRUPTION_TYPE_SHIFT |
	       event->vector | (event->has_error_code ? INTERRUPTION_ERROR_CODE_VALID : 0) |
	       (event->nested ? INTERRUPTION_NESTED : 0);
}

enum event_merge_result { MERGE_SECOND, MERGE_DOUBLE_FAULT, MERGE_TRIPLE_FAULT };

/*
 * A second exception was raised while `first` was being delivered: which of the two is to be
 * delivered, or #DF, or shutdown (SDM 3A, table 6-5).
 */
enum event_merge_result event_merge(const struct event *first, const struct event *second,
				    struct event *merged);

/*
 * Deliver this event at the next VM entry. When an event waits already, the two
 * are merged as the processor does. A triple fault ends the guest.
 */
void event_queue(struct vcpu *vcpu, struct event event);
/* A reset: nothing waits any more, and no window is open. */
void event_forget(struct vcpu *vcpu);

/*
 * Which exceptions exit while FRED is not software's; those that the VMM itself needs do in any
 * case. Not while software FRED is on: then all do.
 */
void event_set_exits(struct vcpu *vcpu, uint32_t exceptions);

void event_queue_nmi(struct vcpu *vcpu);
/* On the vcpu's own processor. */
void event_queue_interrupt(struct vcpu *vcpu, uint8_t vector);
/* From any processor. The vcpu's own notices it before its next VM entry. */
void event_send_interrupt(struct vcpu *vcpu, uint8_t vector);

/*
 * Acknowledged interrupts of a guest that has the APIC: those that its task priority holds back by
 * now go back to the APIC, which delivers them when the priority falls. Others wait as before.
 */
void event_return_held_back(struct vcpu *vcpu);

/* Does what waits wake the vcpu up from HLT with interrupts on? */
bool event_ends_halt(const struct vcpu *vcpu);

/* Vectors that wait to be delivered. */
unsigned int event_interrupts_waiting(const struct vcpu *vcpu);

/* After an exit that interrupted the delivery of an event: queue that event again. */
void event_complete_interrupted(struct vcpu *vcpu);

/*
 * The same where nothing else can come of the exit, so that the event goes from the exit's fields
 * to those of the next VM entry. False: no delivery was interrupted.
 */
bool event_repeat_interrupted(struct vcpu *vcpu);

/*
 * An exit hit an IRET that had already unblocked NMIs (bit 12 of the exit information): block them
 * again, the IRET is going to be repeated (SDM 3C, 28.2.3).
 */
void event_iret_interrupted(void);

/* A window exit: the next event_prepare_entry() delivers what waited for it. */
void event_close_interrupt_window(void);
void event_close_nmi_window(void);

#endif
