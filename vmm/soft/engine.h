/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FRED in software: delivery of an event, ERETS, ERETU and LKGS as functions of the processor's
 * state and of guest memory. Nothing here knows a VMCS: soft.c brings the state and takes it
 * back. Source: FRED specification, chapters 5 and 6.
 */
#ifndef VMM_SOFT_ENGINE_H
#define VMM_SOFT_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/vcpu/event.h"
#include "vmm/fred/native.h"
#include "vmm/soft/walk.h"

struct soft_segment {
	uint16_t selector;
	uint32_t limit;
	uint32_t rights; /* as in the VMCS */
	uint64_t base;
};

/* The state that FRED works on. */
struct soft_cpu {
	uint64_t rip, rsp, rflags;
	struct soft_segment cs, ss;
	uint8_t cpl;
	bool sti_blocking;
	bool nmi_blocking;
	struct fred_state *fred;
	uint64_t star;
	uint64_t gdt_base, ldt_base; /* not known yet when paging.partial is set */
	uint32_t gdt_limit, ldt_limit;
	struct guest_paging paging;
	/* Results that soft.c carries out. */
	bool swap_gs;		  /* exchange IA32_GS_BASE and IA32_KERNEL_GS_BASE */
	bool segments_changed;	  /* cs and ss */
	bool single_step_pending; /* a #DB follows at once */
};

enum soft_result {
	SOFT_DONE,
	SOFT_FAULT,   /* *fault is raised instead; the state is as before */
	SOFT_PARTIAL, /* again, with what paging.partial says is missing; the state is as before */
	SOFT_NO_MEMORY, /* it would have to use memory that the guest does not have */
};

/*
 * Deliver one event. RIP is that of the instruction for the types 4 to 7, and the event has its
 * length. A fault in the middle is *fault; merging the two is the caller's.
 */
enum soft_result soft_deliver(struct soft_cpu *cpu, const struct event *event, struct event *fault);

/* The two returns. The caller has seen that CPL is 0 and CR4.FRED 1. */
enum soft_result soft_erets(struct soft_cpu *cpu, struct event *fault);
enum soft_result soft_eretu(struct soft_cpu *cpu, struct event *fault);

/* Bytes that an instruction of ring 0 reads as its operand, by DS, FS or GS or by SS. */
enum soft_result soft_read_operand(struct soft_cpu *cpu, uint64_t linear, void *to, size_t size,
				   bool on_stack, struct event *fault);

/*
 * Load a GS selector as MOV to GS does: the segment is in *gs, its base belongs to
 * IA32_KERNEL_GS_BASE.
 */
enum soft_result soft_lkgs(struct soft_cpu *cpu, uint16_t selector, struct soft_segment *gs,
			   struct event *fault);

#endif
