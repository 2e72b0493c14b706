// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns FRED's events and returns in full, with the faults that the memory of a frame can cause, and
 * the loading of segments: see engine.h.
 */
#include "vmm/soft/engine.h"

#include <stddef.h>

#include "lib/fred.h"
#include "lib/layout.h"
#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/vmx.h"
#include "vmm/soft/rules.h"

#define SELECTOR_TI (1U << 2)

#define RIGHTS_CODE (1U << 3)
#define RIGHTS_S    (1U << 4)
#define RIGHTS_P    (1U << 7)
#define RIGHTS_DB   (1U << 14)
#define RIGHTS_G    (1U << 15)
#define RIGHTS_VMCS 0xf0ffU

/* Of type: in a code segment, and in a data segment. */
#define TYPE_ACCESSED 1U
#define TYPE_READABLE 2U
#define TYPE_WRITABLE 2U

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
	if (!is_canonical(last, cpu->paging.walks->linear_bits)) {
		*fault = event_exception_error(VECTOR_SS, 0);
		return SOFT_FAULT;
	}
	/* From ring 3 the push is an implicit access: RFLAGS.AC does not open user pages. */
	cpu->paging.smap_suspended = cpu->cpl == 0 && (cpu->rflags & RFLAGS_AC);
	return walk(cpu, last, GUEST_WRITE, memory, fault);
}

enum soft_result soft_deliver(struct soft_cpu *cpu, const struct event *event, struct event *fault)
{
	const struct soft_push push = soft_plan_push(cpu, event);
	void *memory = guest_walk_again(&cpu->paging, push.last, GUEST_WRITE);

	if (!memory) {
		const enum soft_result result = new_frame_slot(cpu, push.last, &memory, fault);

		if (result != SOFT_DONE)
			return result;
	}
	soft_push(cpu, event, &push, memory, soft_frame_rip(cpu, event));
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
		if (!is_canonical(linear + done, cpu->paging.walks->linear_bits)) {
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
				   bool on_stack, struct event *fault)
{
	return read_bytes(cpu, linear, to, size, on_stack ? VECTOR_SS : VECTOR_GP, fault);
}

static enum soft_result pop_frame(struct soft_cpu *cpu, struct fred_frame *frame,
				  struct event *fault)
{
	uint64_t words[SOFT_POPPED_WORDS];
	enum soft_result result;

	if (soft_pop_again(cpu, frame))
		return SOFT_DONE;
	result = read_bytes(cpu, cpu->rsp + SOFT_POPPED_OFFSET, words, sizeof(words), VECTOR_SS,
			    fault);
	if (result == SOFT_DONE)
		soft_take_frame(frame, words);
	return result;
}

enum soft_result soft_erets(struct soft_cpu *cpu, struct event *fault)
{
	struct fred_frame frame;
	const enum soft_result result = pop_frame(cpu, &frame, fault);

	if (result != SOFT_DONE)
		return result;
	return soft_return_to_ring0(cpu, &frame) ? SOFT_DONE : general_protection(0, fault);
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
	if (!is_canonical(linear, cpu->paging.walks->linear_bits) ||
	    !is_canonical(linear + 7, cpu->paging.walks->linear_bits))
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
	if (!soft_is_user_rip(cpu, &cs, &frame))
		return general_protection(0, fault);
	cpu->cs = cs;
	cpu->ss = ss;
	soft_enter_ring3(cpu, &frame);
	return SOFT_DONE;
}

enum soft_result soft_eretu(struct soft_cpu *cpu, struct event *fault)
{
	struct fred_frame frame;
	enum soft_result result;

	if (soft_stack_level(cpu) != 0)
		return general_protection(0, fault);
	result = pop_frame(cpu, &frame, fault);
	if (result != SOFT_DONE)
		return result;
	if (!soft_is_user_frame(&frame))
		return general_protection(0, fault);
	if (!soft_has_star_segments(cpu, &frame))
		return eretu_to_descriptors(cpu, frame, fault);
	return soft_return_to_star(cpu, &frame) ? SOFT_DONE : general_protection(0, fault);
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
