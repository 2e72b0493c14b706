// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the choice of the vcpu that runs, and who gets the machine's interrupts.
 *
 * Everything that can change the choice sets WORK_LOOK of the current vcpu, whose way to the next
 * entry then leads here: the preemption timer, HLT, a yield, an interrupt for another vcpu, a
 * request of another processor.
 */
#include "vmm/run/sched.h"

#include <stddef.h>

#include "lib/x86/vmx.h"
#include "vmm/host/apic.h"
#include "vmm/host/cpu.h"
#include "vmm/run/enter.h"
#include "vmm/vcpu/event.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/run/startup.h"
#include "vmm/vcpu/context.h"
#include "vmm/vcpu/timer.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

bool sched_is_shared(const struct cpu *cpu)
{
	return cpu->vcpu_count > 1;
}

static bool precedes(const struct vcpu *a, const struct vcpu *b)
{
	return a->vm->config->priority > b->vm->config->priority;
}

void sched_add(struct vcpu *vcpu)
{
	struct cpu *const cpu = cpu_current();

	vcpu->turn = cpu->turn = cpu->vcpu_count;
	cpu->vcpus[cpu->vcpu_count++] = vcpu;
	cpu->priorities_differ |= precedes(vcpu, cpu->vcpus[0]) || precedes(cpu->vcpus[0], vcpu);
}

/* Is there something for it to do, were it entered? INIT and SIPI are carried out on the way. */
static inline __attribute__((always_inline)) bool can_run(const struct vcpu *vcpu)
{
	if (__builtin_expect(vcpu->vm->ended, 0))
		return false;
	if (__builtin_expect(vcpu->startup.init || vcpu->startup.sipi, 0))
		return true;
	if (__builtin_expect(vcpu->state != VCPU_RUNS, 0))
		return vcpu->state == VCPU_ENDS ||
		       (vcpu->state == VCPU_HALTED && vcpu_nmi_ends_halt(vcpu));
	return !vcpu->halted || event_ends_halt(vcpu);
}

static inline __attribute__((always_inline)) struct vcpu *choose(const struct cpu *cpu,
								 uint64_t now)
{
	struct vcpu *best = NULL;
	uint32_t turn = cpu->turn;

	if (cpu->boost && can_run(cpu->passthrough))
		return cpu->passthrough;
	/* The current one is the first to be asked; the last, when its time is over. */
	for (uint32_t i = 0; i < cpu->vcpu_count; i++) {
		if (i > 0 || now >= cpu->slice_end)
			turn = turn + 1 < cpu->vcpu_count ? turn + 1 : 0;
		if (!can_run(cpu->vcpus[turn]))
			continue;
		if (!cpu->priorities_differ)
			return cpu->vcpus[turn];
		if (!best || precedes(cpu->vcpus[turn], best))
			best = cpu->vcpus[turn];
	}
	return best;
}

struct vcpu *sched_choose(const struct cpu *cpu, uint64_t now)
{
	return choose(cpu, now);
}

/* Nobody can run: who waits in HLT for interrupts of the machine, or for a time. NULL: none. */
static struct vcpu *sleeper(const struct cpu *cpu)
{
	struct vcpu *found = NULL;

	for (uint32_t i = 0; i < cpu->vcpu_count; i++)
		if (!cpu->vcpus[i]->vm->ended && cpu->vcpus[i]->state == VCPU_RUNS &&
		    (!found || cpu->vcpus[i] == cpu->passthrough))
			found = cpu->vcpus[i];
	return found;
}

static inline __attribute__((always_inline)) uint64_t until(const struct cpu *cpu,
							    const struct vcpu *vcpu)
{
	/* Interrupts of a guest with devices that others keep from running: see find_next(). */
	bool shared = cpu->passthrough && cpu->passthrough != vcpu;
	uint64_t earliest = TIMER_NEVER;

	for (uint32_t i = 0; i < cpu->vcpu_count; i++) {
		const struct vcpu *const other = cpu->vcpus[i];

		if (other->deadline < earliest && !other->vm->ended)
			earliest = other->deadline;
		shared = shared || (other != vcpu && can_run(other) &&
				    !(cpu->priorities_differ && precedes(vcpu, other)));
	}
	return shared && cpu->slice_end < earliest ? cpu->slice_end : earliest;
}

uint64_t sched_until(const struct cpu *cpu, const struct vcpu *vcpu)
{
	return until(cpu, vcpu);
}

static void take_times(const struct cpu *cpu, uint64_t now)
{
	const uint64_t due = timer_due(now);

	for (uint32_t i = 0; i < cpu->vcpu_count; i++)
		if (__builtin_expect(cpu->vcpus[i]->deadline <= due, 0))
			timer_take(cpu->vcpus[i]);
}

static void make_current(struct cpu *cpu, struct vcpu *vcpu, uint64_t now)
{
	if (vcpu != cpu->vcpu) {
		switch_to(cpu, vcpu);
		cpu->slice_end = now + SCHED_SLICE;
		cpu->turn = vcpu->turn;
	} else if (now >= cpu->slice_end) {
		cpu->slice_end = now + SCHED_SLICE;
	}
	if (vcpu == cpu->passthrough)
		cpu->boost = false;
}

/*
 * For the one with the devices, which is not next. BX-2: one may be pending that causes no exit of
 * a guest with IF=0. A vcpu that waits for SIPI gets none: it is to find nothing in service.
 */
static __attribute__((noinline)) bool finds_interrupts(const struct cpu *cpu)
{
	if (cpu->passthrough->state == VCPU_RUNS)
		take_interrupts();
	return cpu->boost;
}

/*
 * The vcpu that runs next, current and with its times set. What comes behind the clearing of
 * `arrived` and WORK_LOOK sets them again: before the switch for the vcpu that is left, hence the
 * question behind it.
 */
static struct vcpu *find_next(struct cpu *cpu)
{
	for (;;) {
		const uint64_t now = rdtsc();
		struct vcpu *next;

		__atomic_store_n(&cpu->arrived, false, __ATOMIC_SEQ_CST);
		if (cpu->vcpu)
			vcpu_clear_work(cpu->vcpu, WORK_LOOK);
		take_times(cpu, now);
		next = choose(cpu, now);
		if (cpu->passthrough && next != cpu->passthrough && !cpu->boost &&
		    finds_interrupts(cpu))
			continue;
		if (!next)
			next = sleeper(cpu);
		if (!next) {
			cpu_wait();
			continue;
		}
		make_current(cpu, next, now);
		if (sipi_carry_out(next) && !__atomic_load_n(&cpu->arrived, __ATOMIC_SEQ_CST)) {
			vcpu_clear_work(next, WORK_LOOK);
			timer_set(next, until(cpu, next), now);
			return next;
		}
	}
}

/* As it left the guest; an event that is programmed already wakes it up with the next entry. */
static bool is_halted(void)
{
	return vmcs_read(VMCS_GUEST_ACTIVITY_STATE) == ACTIVITY_HLT &&
	       !(vmcs_read(VMCS_ENTRY_INTERRUPTION_INFO) & INTERRUPTION_VALID);
}

/* Alone on its processor, with nothing but an interrupt that has come: in the order of find_next().
 */
static bool goes_on(struct vcpu *vcpu)
{
	vcpu_clear_work(vcpu, WORK_LOOK);
	__atomic_store_n(&vcpu->cpu->arrived, false, __ATOMIC_SEQ_CST);
	return vcpu->state == VCPU_RUNS && !vcpu->startup.init && !vcpu->startup.sipi &&
	       !vcpu->vm->ended && vcpu->deadline == TIMER_NEVER && !vcpu->timer_runs;
}

void sched_look(struct vcpu *vcpu)
{
	struct cpu *const cpu = vcpu->cpu;
	struct vcpu *next;

	if (sched_is_shared(cpu))
		vcpu->halted = is_halted();
	else if (goes_on(vcpu))
		return;
	next = find_next(cpu);
	if (next != vcpu)
		vcpu_run(next);
}

void sched_leave(void)
{
	vcpu_run(find_next(cpu_current()));
}

void sched_give_way(struct vcpu *vcpu)
{
	vcpu->cpu->slice_end = 0;
	vcpu_set_work(vcpu, WORK_LOOK);
}

void sched_charge(struct vcpu *vcpu)
{
	if (sched_is_shared(vcpu->cpu))
		vcpu_set_work(vcpu, WORK_LOOK);
}

static void share(const struct cpu *cpu)
{
	const unsigned int pages =
		(unsigned int)((switch_xsave_size() + PAGE_SIZE - 1) / PAGE_SIZE);

	if (!machine.has_preemption_timer || !switch_possible())
		panic("no-sharing",
		      "processor %u cannot be shared by %u guests: that takes the VMX preemption "
		      "timer and XSAVE",
		      cpu->id, cpu->vcpu_count);
	for (uint32_t i = 0; i < cpu->vcpu_count; i++) {
		cpu->vcpus[i]->xsave = pages_alloc(pages);
		switch_reset(&cpu->vcpus[i]->switched, cpu->vcpus[i]->xsave);
		if (!cpu->vcpus[i]->vm->shadow_stacks)
			switch_forgo_shadow_stacks(&cpu->vcpus[i]->switched);
	}
}

void sched_prepare(void)
{
	struct cpu *const cpu = cpu_current();

	if (sched_is_shared(cpu))
		share(cpu);
}

void sched_start(void)
{
	switch_load_reset();
	sched_leave();
}

/* Who gets what comes to this processor for no guest by name; NULL: nobody. */
static struct vcpu *owner_of_events(const struct cpu *cpu)
{
	if (cpu->passthrough)
		return cpu->passthrough;
	return cpu->vcpu_count == 1 ? cpu->vcpu : NULL;
}

/* The owner has something new: it is next. `arrived` bit: for the ways out in entry.asm. */
static void wake(struct cpu *cpu, struct vcpu *owner, enum vcpu_work arrived)
{
	vcpu_set_work(owner, arrived);
	cpu->arrived = true;
	if (owner == cpu->vcpu)
		return;
	cpu->boost = true;
	vcpu_set_work(cpu->vcpu, WORK_LOOK);
}

void sched_interrupt(uint8_t vector)
{
	struct cpu *const cpu = cpu_current();
	struct vcpu *const owner = owner_of_events(cpu);

	/* Who has the APIC ends the interrupt himself. */
	if (!cpu->passthrough)
		apic_end_of_interrupt();
	if (!owner) {
		cpu->interrupts_dropped++;
		return;
	}
	event_queue_interrupt(owner, vector);
	wake(cpu, owner, WORK_INTERRUPT_ARRIVED);
}

void sched_nmi(void)
{
	struct cpu *const cpu = cpu_current();
	struct vcpu *const owner = owner_of_events(cpu);

	if (owner)
		wake(cpu, owner, WORK_NMI_ARRIVED);
	else
		cpu->nmis_dropped++;
}
