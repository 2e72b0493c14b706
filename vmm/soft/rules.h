/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules of FRED but for faults on the memory of a frame: what is pushed and where, what a
 * return checks and does. Inline, since they are compiled twice: for engine.c, which has the
 * whole of an event, and for the frequent events in soft.c, whose struct soft_cpu stays in
 * registers. Source: FRED specification, chapters 5 and 6.
 */
#ifndef VMM_SOFT_RULES_H
#define VMM_SOFT_RULES_H

#include "lib/fred.h"
#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/vmx.h"
#include "vmm/soft/engine.h"

#define SOFT_RULE static inline __attribute__((always_inline))

#define SELECTOR_RPL  3U
#define SELECTOR_MASK 0xfffcU

#define LIMIT_4G    0xffffffffU
#define RIGHTS_DPL3 (3U << 5)
/* Of the type of a code segment. */
#define TYPE_CONFORMING 4U

/* What ERETS and ERETU insist on: these bits of the frame have to have these values. */
#define ERETS_CS_FIXED	   0xfffffffffff8ffffULL
#define ERETS_RFLAGS_FIXED 0xffffffffffc2802aULL
#define ERETS_SS_FIXED	   0xfff8ffffULL
#define ERETU_CS_FIXED	   0xffffffffffff0003ULL
#define ERETU_RFLAGS_FIXED 0xffffffffffc2b02aULL
#define ERETU_SS_FIXED	   0xfff80003ULL

/* STAR: the selectors of ring 0, and the first of ring 3. */
#define STAR_KERNEL(star) ((uint16_t)((star) >> 32))
#define STAR_USER(star)	  ((uint16_t)((star) >> 48))

SOFT_RULE unsigned int soft_stack_level(const struct soft_cpu *cpu)
{
	return (unsigned int)(cpu->fred->config & FRED_CONFIG_CSL_MASK);
}

SOFT_RULE struct soft_segment soft_flat(unsigned int selector, uint32_t rights)
{
	return (struct soft_segment){ .selector = (uint16_t)selector,
				      .limit = LIMIT_4G,
				      .rights = rights };
}

/* ---- Delivery ---- */

SOFT_RULE unsigned int soft_level_of_event(const struct soft_cpu *cpu, const struct event *event)
{
	const bool is_double_fault =
		event->type == EVENT_HARDWARE_EXCEPTION && event->vector == VECTOR_DF;

	if (cpu->cpl != 0 && !event->nested && !is_double_fault)
		return 0;
	switch (event->type) {
	case EVENT_EXTERNAL_INTERRUPT:
		return (unsigned int)((cpu->fred->config & FRED_CONFIG_INTERRUPT_MASK) >>
				      FRED_CONFIG_INTERRUPT_SHIFT);
	case EVENT_SOFTWARE_INTERRUPT:
	case EVENT_OTHER:
		return 0;
	default:
		/* Only a hypercall can make a software exception of another vector. */
		return event->vector < EXCEPTION_VECTORS
			       ? (unsigned int)(cpu->fred->stklvls >> 2 * event->vector & 3)
			       : 0;
	}
}

SOFT_RULE uint64_t soft_augmented_ss(const struct soft_cpu *cpu, const struct event *event)
{
	const bool software = event->type == EVENT_SOFTWARE_INTERRUPT || event->type == EVENT_OTHER;

	return cpu->ss.selector | (cpu->sti_blocking ? FRED_SS_STI : 0) |
	       (software ? FRED_SS_SOFTWARE : 0) | (event->type == EVENT_NMI ? FRED_SS_NMI : 0) |
	       (uint64_t)event->vector << FRED_SS_VECTOR_SHIFT |
	       (uint64_t)event->type << FRED_SS_TYPE_SHIFT |
	       (cpu->cs.rights & ACCESS_RIGHTS_L ? FRED_SS_LONG_MODE : 0) |
	       (event->nested ? FRED_SS_NESTED : 0) |
	       (uint64_t)event->instruction_length << FRED_SS_LENGTH_SHIFT;
}

struct soft_push {
	unsigned int old_level, level;
	/*
	 * The last word of the frame. That is aligned, so that it lies in one page, and is pushed
	 * from its end: this is the address of a page fault.
	 */
	uint64_t last;
};

SOFT_RULE struct soft_push soft_plan_push(const struct soft_cpu *cpu, const struct event *event)
{
	const unsigned int old_level = cpu->cpl != 0 ? 0 : soft_stack_level(cpu);
	const unsigned int event_level = soft_level_of_event(cpu, event);
	const unsigned int level = event_level > old_level ? event_level : old_level;
	const bool switches = cpu->cpl != 0 || level > old_level;
	const uint64_t redzone = cpu->fred->config & FRED_CONFIG_REDZONE_MASK;
	const uint64_t top =
		switches ? cpu->fred->rsp[level] : (cpu->rsp - redzone) & ~FRED_RSP_RESERVED;

	return (struct soft_push){ .old_level = old_level,
				   .level = level,
				   .last = top - sizeof(uint64_t) };
}

SOFT_RULE void soft_enter_ring0(struct soft_cpu *cpu)
{
	const unsigned int selector = STAR_KERNEL(cpu->star);

	cpu->cs = soft_flat(selector & SELECTOR_MASK, ACCESS_RIGHTS_CODE64);
	cpu->ss = soft_flat((selector + 8) & SELECTOR_MASK, ACCESS_RIGHTS_DATA);
	cpu->segments_changed = true;
	cpu->swap_gs = true;
	cpu->cpl = 0;
}

/* RIP of the frame: behind the instruction, where the event has a length. 32-bit code wraps. */
SOFT_RULE uint64_t soft_frame_rip(const struct soft_cpu *cpu, const struct event *event)
{
	const uint64_t rip = cpu->rip + event->instruction_length;

	return cpu->cs.rights & ACCESS_RIGHTS_L ? rip : (uint32_t)rip;
}

/* `memory` is where the VMM finds the last word of the frame, `rip` what soft_frame_rip() says. */
SOFT_RULE void soft_push(struct soft_cpu *cpu, const struct event *event,
			 const struct soft_push *push, void *memory, uint64_t rip)
{
	struct fred_frame *const frame =
		(struct fred_frame *)((uint8_t *)memory + sizeof(uint64_t)) - 1;
	const uint64_t config = cpu->fred->config;

	frame->error_code = event->has_error_code ? event->error_code : 0;
	frame->rip = rip;
	frame->cs = cpu->cs.selector | (uint64_t)push->old_level << FRED_CS_CSL_SHIFT;
	frame->rflags = cpu->rflags;
	frame->rsp = cpu->rsp;
	frame->ss = soft_augmented_ss(cpu, event);
	frame->event_data = event->event_data;
	frame->reserved = 0;
	cpu->rip = (config & FRED_CONFIG_ENTRY_MASK) + (cpu->cpl != 0 ? 0 : FRED_ENTRY_RING0);
	cpu->rsp = push->last + sizeof(uint64_t) - sizeof(*frame);
	cpu->rflags = RFLAGS_RESERVED;
	cpu->fred->config = (config & ~FRED_CONFIG_CSL_MASK) | push->level;
	cpu->sti_blocking = false;
	if (event->type == EVENT_NMI)
		cpu->nmi_blocking = true;
	if (cpu->cpl != 0)
		soft_enter_ring0(cpu);
}

/* ---- Return ---- */

/* The slots from RIP to SS: the returns skip the error code, and look at nothing above. */
typedef uint64_t soft_unaligned __attribute__((aligned(1)));
#define SOFT_POPPED_OFFSET offsetof(struct fred_frame, rip)
#define SOFT_POPPED_WORDS  5U
#define SOFT_POPPED_SIZE   (SOFT_POPPED_WORDS * sizeof(soft_unaligned))

/* Each is read once: the guest may change it meanwhile. */
SOFT_RULE void soft_take_frame(struct fred_frame *frame, const volatile soft_unaligned *slot)
{
	frame->rip = slot[0];
	frame->cs = slot[1];
	frame->rflags = slot[2];
	frame->rsp = slot[3];
	frame->ss = slot[4];
}

/* False: not without another walk. */
SOFT_RULE bool soft_pop_again(const struct soft_cpu *cpu, struct fred_frame *frame)
{
	const uint64_t linear = cpu->rsp + SOFT_POPPED_OFFSET;
	const volatile soft_unaligned *slot;

	if ((linear & PAGE_MASK) > PAGE_SIZE - SOFT_POPPED_SIZE)
		return false;
	slot = guest_walk_again(&cpu->paging, linear, GUEST_READ);
	if (!slot)
		return false;
	soft_take_frame(frame, slot);
	return true;
}

/* What both returns do last, with the bits that SS tells. */
SOFT_RULE void soft_commit(struct soft_cpu *cpu, const struct fred_frame *frame)
{
	/* The trap of an instruction that began with TF = 1. */
	cpu->single_step_pending = cpu->rflags & RFLAGS_TF;
	cpu->rip = frame->rip;
	cpu->rsp = frame->rsp;
	cpu->rflags = frame->rflags;
	if ((frame->ss & FRED_SS_SOFTWARE) && (frame->rflags & RFLAGS_TF))
		cpu->single_step_pending = true;
	if (frame->ss & FRED_SS_NMI)
		cpu->nmi_blocking = false;
}

/* False: #GP(0). */
SOFT_RULE bool soft_return_to_ring0(struct soft_cpu *cpu, const struct fred_frame *frame)
{
	const unsigned int level = FRED_CS_CSL(frame->cs);

	if (!is_canonical(frame->rip, cpu->paging.walks->linear_bits) ||
	    (frame->cs & ERETS_CS_FIXED) != cpu->cs.selector ||
	    (frame->rflags & ERETS_RFLAGS_FIXED) != RFLAGS_RESERVED ||
	    (frame->ss & ERETS_SS_FIXED) != cpu->ss.selector)
		return false;
	if (level < soft_stack_level(cpu))
		cpu->fred->config = (cpu->fred->config & ~FRED_CONFIG_CSL_MASK) | level;
	soft_commit(cpu, frame);
	cpu->sti_blocking =
		(frame->ss & FRED_SS_STI) && (frame->rflags & RFLAGS_IF) && !cpu->sti_blocking;
	return true;
}

/* Else ERETU raises #GP(0). */
SOFT_RULE bool soft_is_user_frame(const struct fred_frame *frame)
{
	return (frame->cs & ERETU_CS_FIXED) == SELECTOR_RPL &&
	       (frame->rflags & ERETU_RFLAGS_FIXED) == RFLAGS_RESERVED &&
	       (frame->ss & ERETU_SS_FIXED) == SELECTOR_RPL;
}

/* Are these the segments that STAR gives ring 3? */
SOFT_RULE bool soft_has_star_segments(const struct soft_cpu *cpu, const struct fred_frame *frame)
{
	const unsigned int base = STAR_USER(cpu->star);
	const uint16_t selector = (uint16_t)frame->cs;

	return (uint16_t)frame->ss == base + 8 && (selector == base + 16 || selector == base);
}

SOFT_RULE bool soft_is_user_rip(const struct soft_cpu *cpu, const struct soft_segment *cs,
				struct fred_frame *frame)
{
	if (cs->rights & ACCESS_RIGHTS_L)
		return is_canonical(frame->rip, cpu->paging.walks->linear_bits);
	frame->rip = (uint32_t)frame->rip;
	frame->rsp = (uint32_t)frame->rsp;
	return frame->rip <= cs->limit;
}

SOFT_RULE void soft_enter_ring3(struct soft_cpu *cpu, const struct fred_frame *frame)
{
	soft_commit(cpu, frame);
	cpu->sti_blocking = false;
	cpu->segments_changed = true;
	cpu->swap_gs = true;
	cpu->cpl = 3;
}

/* To 64-bit or 32-bit code of STAR. False: #GP(0). */
SOFT_RULE bool soft_return_to_star(struct soft_cpu *cpu, struct fred_frame *frame)
{
	const uint16_t selector = (uint16_t)frame->cs;
	const uint32_t rights =
		selector == STAR_USER(cpu->star) ? ACCESS_RIGHTS_CODE32 : ACCESS_RIGHTS_CODE64;
	const struct soft_segment cs = soft_flat(selector, rights | RIGHTS_DPL3);

	if (!soft_is_user_rip(cpu, &cs, frame))
		return false;
	cpu->cs = cs;
	cpu->ss = soft_flat((uint16_t)frame->ss, ACCESS_RIGHTS_DATA | RIGHTS_DPL3);
	soft_enter_ring3(cpu, frame);
	return true;
}

#endif
