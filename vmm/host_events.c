// SPDX-License-Identifier: BSD-2-Clause
/*
 * NMIs and interrupts that hit the VMM itself, by IDT or FRED: they are requests of other
 * processors, or a guest's. One that comes in a wait, or on the way into a guest, sends it back to
 * its start, so that what has come is seen.
 */
#include "vmm/host_events.h"

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/log.h"
#include "vmm/host/cpu.h"
#include "vmm/host/smp.h"
#include "vmm/host/trap.h"
#include "vmm/run/sched.h"
#include "vmm/vcpu/vcpu.h"

/* entry.asm and host/wait.asm */
extern const uint8_t vcpu_launch_begin[], vcpu_launch_end[];
extern const uint8_t vcpu_resume_begin[], vcpu_resume_end[];
extern const uint8_t cpu_wait_begin[], cpu_wait_end[];

/* From any place of this range back to its start. */
static bool begin_again(struct trap_frame *frame, const uint8_t *begin, const uint8_t *end)
{
	const bool inside = frame->rip >= (uint64_t)begin && frame->rip < (uint64_t)end;

	if (inside)
		frame->rip = (uint64_t)begin;
	return inside;
}

/* Between the test of vcpu->work and VM entry what has come must be seen (entry.asm). */
static void enter_again(struct trap_frame *frame, const struct vcpu *vcpu)
{
	if (begin_again(frame, vcpu_resume_begin, vcpu_resume_end) ||
	    begin_again(frame, vcpu_launch_begin, vcpu_launch_end))
		frame->rsp = (uint64_t)vcpu;
}

static void handle_nmi(struct trap_frame *frame)
{
	struct cpu *const cpu = cpu_current();
	struct vcpu *const vcpu = cpu->vcpu;

	if (!smp_take_nmi()) {
		if (!vcpu) {
			/* A guest may send a parked processor any number of them. */
			if (!cpu->parked)
				log_error("an NMI came before there was a guest to have it: "
					  "dropped");
			return;
		}
		sched_nmi();
	}
	/* A wait that has not begun yet must see what has come. */
	begin_again(frame, cpu_wait_begin, cpu_wait_end);
	if (vcpu)
		enter_again(frame, vcpu);
}

/* The VMM runs with interrupts off. An emulator delivers one nevertheless: docs/errata.md, FR-4. */
static void handle_interrupt(struct trap_frame *frame)
{
	struct vcpu *const vcpu = cpu_current()->vcpu;

	if (!vcpu) {
		log_error("interrupt 0x%llx came before there was a guest to have it: dropped",
			  (unsigned long long)frame->vector);
		return;
	}
	sched_interrupt((uint8_t)frame->vector);
	enter_again(frame, vcpu);
}

void host_events_init(void)
{
	trap_set_handlers(handle_nmi, handle_interrupt);
}
