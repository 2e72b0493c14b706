// SPDX-License-Identifier: BSD-2-Clause
/* Owns the rules of FRED: see soft_engine.h. */
#include "vmm/soft_engine.h"

#include <stddef.h>

#include "lib/fred.h"
#include "lib/layout.h"
#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/vmx.h"
#include "vmm/machine.h"

#define SELECTOR_RPL  3U
#define SELECTOR_TI   (1U << 2)
#define SELECTOR_MASK 0xfffcU

#define LIMIT_4G    0xffffffffU
#define RIGHTS_DPL3 (3U << 5)
#define RIGHTS_TYPE 0xfU
#define RIGHTS_CODE (1U << 3)
#define RIGHTS_S    (1U << 4)
#define RIGHTS_P    (1U << 7)
#define RIGHTS_DB   (1U << 14)
#define RIGHTS_G    (1U << 15)
#define RIGHTS_VMCS 0xf0ffU

/* Of type: in a code segment, and in a data segment. */
#define TYPE_ACCESSED	1U
#define TYPE_READABLE	2U
#define TYPE_WRITABLE	2U
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

static unsigned int stack_level(const struct soft_cpu *cpu)
{
	return (unsigned int)(cpu->fred->config & FRED_CONFIG_CSL_MASK);
}

static unsigned int level_of_event(const struct soft_cpu *cpu, const struct event *event)
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

static uint64_t augmented_ss(const struct soft_cpu *cpu, const struct event *event)
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

static enum soft_result general_protection(uint32_t error, struct event *fault)
{
	*fault = event_exception_error(VECTOR_GP, error);
	return SOFT_FAULT;
}

static enum soft_result walk(const struct soft_cpu *cpu, uint64_t linear, enum guest_access access,
			     void **memory, struct event *fault)
{
	switch (guest_walk(&cpu->paging, linear, access, memory, fault)) {
	case WALK_OK:
		return SOFT_DONE;
	case WALK_FAULT:
		return SOFT_FAULT;
	case WALK_PARTIAL:
		return SOFT_PARTIAL;
	default:
		return SOFT_NO_MEMORY;
	}
}

/* Where the last word of a frame goes, when no earlier push has been to that page. */
static __attribute__((noinline)) enum soft_result new_frame_slot(struct soft_cpu *cpu,
								 uint64_t last, void **memory,
								 struct event *fault)
{
	if (!is_canonical(last, machine.linear_bits)) {
		*fault = event_exception_error(VECTOR_SS, 0);
		return SOFT_FAULT;
	}
	/* From ring 3 the push is an implicit access: RFLAGS.AC does not open user pages. */
	cpu->paging.smap_suspended = cpu->cpl == 0 && (cpu->rflags & RFLAGS_AC);
	return walk(cpu, last, GUEST_WRITE, memory, fault);
}

static struct soft_segment flat(unsigned int selector, uint32_t rights)
{
	return (struct soft_segment){ .selector = (uint16_t)selector,
				      .limit = LIMIT_4G,
				      .rights = rights };
}

static void enter_ring0(struct soft_cpu *cpu)
{
	const unsigned int selector = STAR_KERNEL(cpu->star);

	cpu->cs = flat(selector & SELECTOR_MASK, ACCESS_RIGHTS_CODE64);
	cpu->ss = flat((selector + 8) & SELECTOR_MASK, ACCESS_RIGHTS_DATA);
	cpu->segments_changed = true;
	cpu->swap_gs = true;
	cpu->cpl = 0;
}

enum soft_result soft_deliver(struct soft_cpu *cpu, const struct event *event, struct event *fault)
{
	const uint64_t config = cpu->fred->config;
	const unsigned int old_level = cpu->cpl != 0 ? 0 : stack_level(cpu);
	const unsigned int event_level = level_of_event(cpu, event);
	const unsigned int level = event_level > old_level ? event_level : old_level;
	const bool switches = cpu->cpl != 0 || level > old_level;
	const uint64_t top =
		switches ? cpu->fred->rsp[level]
			 : (cpu->rsp - (config & FRED_CONFIG_REDZONE_MASK)) & ~FRED_RSP_RESERVED;
	/* It is aligned, so that it lies in one page, and is pushed from its end: that is the
	 * address of a page fault. */
	const uint64_t last = top - sizeof(uint64_t);
	void *memory = guest_walk_again(&cpu->paging, last, GUEST_WRITE);
	struct fred_frame *frame;

	if (__builtin_expect(!memory, 0)) {
		const enum soft_result result = new_frame_slot(cpu, last, &memory, fault);

		if (result != SOFT_DONE)
			return result;
	}
	frame = (struct fred_frame *)((uint8_t *)memory + sizeof(uint64_t)) - 1;
	frame->error_code = event->has_error_code ? event->error_code : 0;
	frame->rip = cpu->rip + event->instruction_length;
	frame->cs = cpu->cs.selector | (uint64_t)old_level << FRED_CS_CSL_SHIFT;
	frame->rflags = cpu->rflags;
	frame->rsp = cpu->rsp;
	frame->ss = augmented_ss(cpu, event);
	frame->event_data = event->event_data;
	frame->reserved = 0;
	cpu->rip = (config & FRED_CONFIG_ENTRY_MASK) + (cpu->cpl != 0 ? 0 : FRED_ENTRY_RING0);
	cpu->rsp = top - sizeof(*frame);
	cpu->rflags = RFLAGS_RESERVED;
	cpu->fred->config = (config & ~FRED_CONFIG_CSL_MASK) | level;
	cpu->sti_blocking = false;
	if (event->type == EVENT_NMI)
		cpu->nmi_blocking = true;
	if (cpu->cpl != 0)
		enter_ring0(cpu);
	return SOFT_DONE;
}

/* Read by an explicit access of ring 0, which nothing has aligned: page by page. */
static __attribute__((noinline)) enum soft_result read_bytes(struct soft_cpu *cpu, uint64_t linear,
							     void *to, size_t size, uint8_t vector,
							     struct event *fault)
{
	size_t done = 0;

	cpu->paging.smap_suspended = cpu->rflags & RFLAGS_AC;
	while (done < size) {
		size_t part = PAGE_SIZE - ((linear + done) & PAGE_MASK);
		enum soft_result result;
		void *memory;

		if (part > size - done)
			part = size - done;
		if (!is_canonical(linear + done, machine.linear_bits)) {
			*fault = event_exception_error(vector, 0);
			return SOFT_FAULT;
		}
		result = walk(cpu, linear + done, GUEST_READ, &memory, fault);
		if (result != SOFT_DONE)
			return result;
		memcpy((uint8_t *)to + done, memory, part);
		done += part;
	}
	return SOFT_DONE;
}

enum soft_result soft_read_operand(struct soft_cpu *cpu, uint64_t linear, void *to, size_t size,
				   struct event *fault)
{
	return read_bytes(cpu, linear, to, size, VECTOR_GP, fault);
}

/* The slots from RIP to SS: the returns skip the error code, and look at nothing above. */
typedef uint64_t unaligned_word __attribute__((aligned(1)));
#define POPPED_OFFSET offsetof(struct fred_frame, rip)
#define POPPED_WORDS  5U
#define POPPED_SIZE   (POPPED_WORDS * sizeof(unaligned_word))

static inline __attribute__((always_inline)) enum soft_result pop_frame(struct soft_cpu *cpu,
									struct fred_frame *frame,
									struct event *fault)
{
	const uint64_t linear = cpu->rsp + POPPED_OFFSET;
	const volatile unaligned_word *slot = NULL;
	uint64_t words[POPPED_WORDS];

	if ((linear & PAGE_MASK) <= PAGE_SIZE - POPPED_SIZE)
		slot = guest_walk_again(&cpu->paging, linear, GUEST_READ);
	if (__builtin_expect(!slot, 0)) {
		const enum soft_result result =
			read_bytes(cpu, linear, words, sizeof(words), VECTOR_SS, fault);

		if (result != SOFT_DONE)
			return result;
		slot = words;
	}
	/* Each is read once: the guest may change it meanwhile. */
	frame->rip = slot[0];
	frame->cs = slot[1];
	frame->rflags = slot[2];
	frame->rsp = slot[3];
	frame->ss = slot[4];
	return SOFT_DONE;
}

/* What both returns do last, with the bits that SS tells. */
static void commit(struct soft_cpu *cpu, const struct fred_frame *frame)
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

enum soft_result soft_erets(struct soft_cpu *cpu, struct event *fault)
{
	struct fred_frame frame;
	const enum soft_result result = pop_frame(cpu, &frame, fault);
	unsigned int level;

	if (result != SOFT_DONE)
		return result;
	if (!is_canonical(frame.rip, machine.linear_bits) ||
	    (frame.cs & ERETS_CS_FIXED) != cpu->cs.selector ||
	    (frame.rflags & ERETS_RFLAGS_FIXED) != RFLAGS_RESERVED ||
	    (frame.ss & ERETS_SS_FIXED) != cpu->ss.selector)
		return general_protection(0, fault);
	level = FRED_CS_CSL(frame.cs);
	if (level < stack_level(cpu))
		cpu->fred->config = (cpu->fred->config & ~FRED_CONFIG_CSL_MASK) | level;
	commit(cpu, &frame);
	cpu->sti_blocking =
		(frame.ss & FRED_SS_STI) && (frame.rflags & RFLAGS_IF) && !cpu->sti_blocking;
	return SOFT_DONE;
}

/* A descriptor, and where its type is for marking it. */
struct descriptor {
	uint64_t value;
	uint8_t *type;
};

#define DESCRIPTOR_TYPE_OFFSET 5U

/* The descriptor that a selector names. A null selector is the caller's affair. */
static enum soft_result read_descriptor(struct soft_cpu *cpu, uint16_t selector,
					struct descriptor *descriptor, struct event *fault)
{
	const bool local = selector & SELECTOR_TI;
	const uint32_t offset = selector & ~7U;
	const uint64_t linear = (local ? cpu->ldt_base : cpu->gdt_base) + offset;
	void *memory;

	if (offset + 7 > (local ? cpu->ldt_limit : cpu->gdt_limit))
		return general_protection(selector & SELECTOR_MASK, fault);
	if (!is_canonical(linear, machine.linear_bits) ||
	    !is_canonical(linear + 7, machine.linear_bits))
		return general_protection(0, fault);
	cpu->paging.smap_suspended = false;
	for (unsigned int i = 0; i < sizeof(descriptor->value); i++) {
		/* One walk, but for a descriptor that nobody aligned. */
		if (i == 0 || ((linear + i) & PAGE_MASK) == 0) {
			const enum soft_result result =
				walk(cpu, linear + i, GUEST_READ, &memory, fault);

			if (result != SOFT_DONE)
				return result;
		}
		if (i == DESCRIPTOR_TYPE_OFFSET)
			descriptor->type = memory;
		((uint8_t *)&descriptor->value)[i] = *(uint8_t *)memory;
		memory = (uint8_t *)memory + 1;
	}
	return SOFT_DONE;
}

/* SDM 3A, 3.4.5: the parts of a code or data segment descriptor. */
static struct soft_segment decode_descriptor(uint16_t selector, uint64_t descriptor)
{
	struct soft_segment segment = { .selector = selector };

	segment.rights = (uint32_t)(descriptor >> 40) & RIGHTS_VMCS;
	segment.limit = (uint32_t)(descriptor & 0xffff) | (uint32_t)(descriptor >> 32 & 0xf0000);
	segment.base = (descriptor >> 16 & 0xffffff) | (descriptor >> 32 & 0xff000000);
	if (segment.rights & RIGHTS_G)
		segment.limit = segment.limit << 12 | 0xfff;
	return segment;
}

static bool is_code(const struct soft_segment *segment)
{
	return (segment->rights & RIGHTS_S) && (segment->rights & RIGHTS_CODE);
}

static unsigned int dpl(const struct soft_segment *segment)
{
	return ACCESS_RIGHTS_DPL(segment->rights);
}

static enum soft_result not_present(uint8_t vector, uint16_t selector, struct event *fault)
{
	*fault = event_exception_error(vector, selector & SELECTOR_MASK);
	return SOFT_FAULT;
}

/* As the processor marks a segment that it loads; a descriptor that is marked is not written. */
static void mark_accessed(struct soft_segment *segment, const struct descriptor *descriptor)
{
	if (!(segment->rights & TYPE_ACCESSED))
		__atomic_or_fetch(descriptor->type, TYPE_ACCESSED, __ATOMIC_SEQ_CST);
	segment->rights |= TYPE_ACCESSED;
}

/* CS and SS for ring 3 from the descriptor tables, with the checks of IRET (SDM 2A, "IRET"). */
static __attribute__((noinline)) enum soft_result load_user_segments(
	struct soft_cpu *cpu, uint16_t cs_selector, uint16_t ss_selector, struct soft_segment *cs,
	struct soft_segment *ss, struct event *fault)
{
	struct descriptor cs_descriptor, ss_descriptor;
	enum soft_result result;

	if ((cs_selector & SELECTOR_MASK) == 0)
		return general_protection(0, fault);
	result = read_descriptor(cpu, cs_selector, &cs_descriptor, fault);
	if (result != SOFT_DONE)
		return result;
	*cs = decode_descriptor(cs_selector, cs_descriptor.value);
	if (!is_code(cs) || (!(cs->rights & TYPE_CONFORMING) && dpl(cs) != 3) ||
	    ((cs->rights & ACCESS_RIGHTS_L) && (cs->rights & RIGHTS_DB)))
		return general_protection(cs_selector & SELECTOR_MASK, fault);
	if (!(cs->rights & RIGHTS_P))
		return not_present(VECTOR_NP, cs_selector, fault);
	if ((ss_selector & SELECTOR_MASK) == 0)
		return general_protection(0, fault);
	result = read_descriptor(cpu, ss_selector, &ss_descriptor, fault);
	if (result != SOFT_DONE)
		return result;
	*ss = decode_descriptor(ss_selector, ss_descriptor.value);
	if (is_code(ss) || !(ss->rights & RIGHTS_S) || !(ss->rights & TYPE_WRITABLE) ||
	    dpl(ss) != 3)
		return general_protection(ss_selector & SELECTOR_MASK, fault);
	if (!(ss->rights & RIGHTS_P))
		return not_present(VECTOR_SS, ss_selector, fault);
	mark_accessed(cs, &cs_descriptor);
	mark_accessed(ss, &ss_descriptor);
	return SOFT_DONE;
}

/* Are these the segments that STAR gives ring 3? */
static bool are_star_segments(const struct soft_cpu *cpu, const struct fred_frame *frame)
{
	const unsigned int base = STAR_USER(cpu->star);
	const uint16_t selector = (uint16_t)frame->cs;

	return (uint16_t)frame->ss == base + 8 && (selector == base + 16 || selector == base);
}

/* 64-bit or 32-bit code. */
static inline struct soft_segment star_code(const struct soft_cpu *cpu, uint16_t selector)
{
	return flat(selector, (selector == STAR_USER(cpu->star) ? ACCESS_RIGHTS_CODE32
								: ACCESS_RIGHTS_CODE64) |
				      RIGHTS_DPL3);
}

static inline bool is_user_rip(const struct soft_segment *cs, struct fred_frame *frame)
{
	if (cs->rights & ACCESS_RIGHTS_L)
		return is_canonical(frame->rip, machine.linear_bits);
	frame->rip = (uint32_t)frame->rip;
	frame->rsp = (uint32_t)frame->rsp;
	return frame->rip <= cs->limit;
}

static inline void enter_ring3(struct soft_cpu *cpu, const struct fred_frame *frame)
{
	commit(cpu, frame);
	cpu->sti_blocking = false;
	cpu->segments_changed = true;
	cpu->swap_gs = true;
	cpu->cpl = 3;
}

/* With segments from the descriptor tables. */
static __attribute__((noinline)) enum soft_result eretu_to_descriptors(struct soft_cpu *cpu,
								       struct fred_frame frame,
								       struct event *fault)
{
	struct soft_segment cs, ss;
	enum soft_result result;

	if (cpu->paging.partial)
		return SOFT_PARTIAL;
	result = load_user_segments(cpu, (uint16_t)frame.cs, (uint16_t)frame.ss, &cs, &ss, fault);
	if (result != SOFT_DONE)
		return result;
	if (!is_user_rip(&cs, &frame))
		return general_protection(0, fault);
	cpu->cs = cs;
	cpu->ss = ss;
	enter_ring3(cpu, &frame);
	return SOFT_DONE;
}

enum soft_result soft_eretu(struct soft_cpu *cpu, struct event *fault)
{
	struct soft_segment cs;
	struct fred_frame frame;
	enum soft_result result;

	if (stack_level(cpu) != 0)
		return general_protection(0, fault);
	result = pop_frame(cpu, &frame, fault);
	if (result != SOFT_DONE)
		return result;
	if ((frame.cs & ERETU_CS_FIXED) != SELECTOR_RPL ||
	    (frame.rflags & ERETU_RFLAGS_FIXED) != RFLAGS_RESERVED ||
	    (frame.ss & ERETU_SS_FIXED) != SELECTOR_RPL)
		return general_protection(0, fault);
	if (!are_star_segments(cpu, &frame))
		return eretu_to_descriptors(cpu, frame, fault);
	cs = star_code(cpu, (uint16_t)frame.cs);
	if (!is_user_rip(&cs, &frame))
		return general_protection(0, fault);
	cpu->cs = cs;
	cpu->ss = flat((uint16_t)frame.ss, ACCESS_RIGHTS_DATA | RIGHTS_DPL3);
	enter_ring3(cpu, &frame);
	return SOFT_DONE;
}

enum soft_result soft_lkgs(struct soft_cpu *cpu, uint16_t selector, struct soft_segment *gs,
			   struct event *fault)
{
	struct descriptor descriptor;
	enum soft_result result;
	bool is_conforming;

	if ((selector & SELECTOR_MASK) == 0) {
		*gs = (struct soft_segment){ .selector = selector,
					     .rights = ACCESS_RIGHTS_UNUSABLE };
		return SOFT_DONE;
	}
	result = read_descriptor(cpu, selector, &descriptor, fault);
	if (result != SOFT_DONE)
		return result;
	*gs = decode_descriptor(selector, descriptor.value);
	is_conforming = is_code(gs) && (gs->rights & TYPE_CONFORMING);
	if (!(gs->rights & RIGHTS_S) || (is_code(gs) && !(gs->rights & TYPE_READABLE)) ||
	    (!is_conforming && dpl(gs) < (selector & SELECTOR_RPL)))
		return general_protection(selector & SELECTOR_MASK, fault);
	if (!(gs->rights & RIGHTS_P))
		return not_present(VECTOR_NP, selector, fault);
	mark_accessed(gs, &descriptor);
	return SOFT_DONE;
}
