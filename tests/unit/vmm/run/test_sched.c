/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/run/sched.c with vcpu/event.c and vcpu/timer.c: who runs, for how long, who is woken by what,
 * and who gets the machine's interrupts.
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "tests/unit/model/model.h"
#include "vmm/host/apic.h"
#include "vmm/host/cpu.h"
#include "vmm/host/errata.h"
#include "vmm/run/enter.h"
#include "vmm/vcpu/event.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/run/sched.h"
#include "vmm/run/startup.h"
#include "vmm/vcpu/context.h"
#include "vmm/vcpu/timer.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define VCPUS  3
#define NOW    1000000ULL
#define VECTOR 0x41

static struct guest_config config[VCPUS];
static struct vm vm[VCPUS];
static struct vcpu vcpu[VCPUS];
static struct vcpu *entered_vcpu;
static uint64_t halted_fields; /* a bit for each vcpu: activity state HLT in its VMCS */
static unsigned int waits, ends_of_interrupt, interrupt_on_opening;
static void (*while_waiting)(void);
static jmp_buf entered;

/* ---- What vmm/ needs beside ---- */

void vcpu_run(struct vcpu *of)
{
	entered_vcpu = of;
	longjmp(entered, 1);
}

void switch_to(struct cpu *cpu, struct vcpu *to)
{
	const unsigned int index = (unsigned int)(to - vcpu);

	model_set(VMCS_GUEST_ACTIVITY_STATE,
		  halted_fields >> index & 1 ? ACTIVITY_HLT : ACTIVITY_ACTIVE);
	cpu->vcpu = to;
	to->switches++;
}

void switch_forgo_shadow_stacks(struct switched *s __attribute__((unused)))
{
}

void switch_load_reset(void)
{
}

bool switch_possible(void)
{
	return true;
}

size_t switch_xsave_size(void)
{
	return 1;
}

void switch_reset(struct switched *s __attribute__((unused)), void *xsave __attribute__((unused)))
{
}

void *pages_alloc(unsigned int count __attribute__((unused)))
{
	return NULL;
}

void take_interrupts(void)
{
	const unsigned int vector = interrupt_on_opening;

	interrupt_on_opening = 0;
	if (vector != 0)
		sched_interrupt((uint8_t)vector);
}

void cpu_wait(void)
{
	assert_non_null(while_waiting);
	waits++;
	while_waiting();
}

void apic_end_of_interrupt(void)
{
	ends_of_interrupt++;
}

/* As run/startup.c: a SIPI lets it run, an INIT lets it wait. */
bool sipi_carry_out(struct vcpu *of)
{
	assert_ptr_equal(of, model_cpu.vcpu);
	if (of->startup.sipi)
		of->state = VCPU_RUNS;
	of->startup.init = of->startup.sipi = false;
	if (of->state == VCPU_HALTED && (of->work & (WORK_NMI | WORK_NMI_ARRIVED)))
		of->state = VCPU_RUNS;
	return of->state == VCPU_RUNS;
}

bool guest_read_linear(const struct vm *of __attribute__((unused)),
		       uint64_t linear __attribute__((unused)), void *to __attribute__((unused)),
		       uint64_t size __attribute__((unused)))
{
	return false;
}

void soft_fred_deliver(struct vcpu *of __attribute__((unused)),
		       const struct event *event __attribute__((unused)))
{
	fail();
}

/* ---- Three vcpus, the first current, its turn just begun ---- */

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(&model_cpu, 0, sizeof(model_cpu));
	memset(vcpu, 0, sizeof(vcpu));
	memset(vm, 0, sizeof(vm));
	memset(config, 0, sizeof(config));
	machine.has_preemption_timer = true;
	machine.has_monitor_trap = true;
	machine.vmx_misc = 0;
	model.tsc = NOW;
	for (unsigned int i = 0; i < VCPUS; i++) {
		vm[i].config = &config[i];
		vcpu[i].vm = &vm[i];
		vcpu[i].cpu = &model_cpu;
		timer_init(&vcpu[i]);
		sched_add(&vcpu[i]);
	}
	model_cpu.vcpu = &vcpu[0];
	model_cpu.turn = 0;
	model_cpu.slice_end = NOW + SCHED_SLICE;
	model_set(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	entered_vcpu = NULL;
	halted_fields = 0;
	waits = ends_of_interrupt = interrupt_on_opening = 0;
	while_waiting = NULL;
	return 0;
}

/* The number of the vcpu that is entered. */
static unsigned int look(void)
{
	struct vcpu *const current = model_cpu.vcpu;

	vcpu_set_work(current, WORK_LOOK);
	entered_vcpu = current;
	if (setjmp(entered) == 0)
		sched_look(current);
	assert_ptr_equal(entered_vcpu, model_cpu.vcpu);
	assert_ptr_equal(model_cpu.vcpus[model_cpu.turn], entered_vcpu);
	assert_int_equal(entered_vcpu->work & WORK_LOOK, 0);
	return (unsigned int)(entered_vcpu - vcpu);
}

static void pass(uint64_t ticks)
{
	model.tsc += ticks;
}

/* The current vcpu executes HLT. */
static void halt(void)
{
	halted_fields |= 1ULL << (model_cpu.vcpu - vcpu);
	model_set(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
}

static void give_devices(unsigned int index)
{
	vm[index].devices = VM_DEVICES_PASSTHROUGH;
	model_cpu.passthrough = &vcpu[index];
}

TEST(turns_go_round)
{
	assert_int_equal(look(), 0);
	for (unsigned int i = 1; i < 2 * VCPUS; i++) {
		assert_int_equal(vmcs_read(VMCS_PREEMPTION_TIMER), SCHED_SLICE);
		assert_true(vmcs_read(VMCS_PIN_BASED_CONTROLS) & PIN_PREEMPTION_TIMER);
		pass(SCHED_SLICE);
		assert_int_equal(look(), i % VCPUS);
	}
}

TEST(a_turn_goes_on_until_its_end)
{
	pass(SCHED_SLICE / 4);
	assert_int_equal(look(), 0);
	assert_int_equal(vmcs_read(VMCS_PREEMPTION_TIMER), SCHED_SLICE - SCHED_SLICE / 4);
}

TEST(yield)
{
	for (unsigned int i = 1; i < 2 * VCPUS; i++) {
		sched_give_way(model_cpu.vcpu);
		assert_true(model_cpu.vcpu->work & WORK_LOOK);
		assert_int_equal(look(), i % VCPUS);
	}
}

/* Time in the VMM, which the preemption timer does not count, is a part of the turn. */
TEST(long_work_of_the_vmm_ends_the_turn)
{
	pass(SCHED_SLICE - 1);
	sched_charge(model_cpu.vcpu);
	assert_int_equal(look(), 0);
	assert_int_equal(vmcs_read(VMCS_PREEMPTION_TIMER), 1);
	pass(1);
	sched_charge(model_cpu.vcpu);
	assert_true(model_cpu.vcpu->work & WORK_LOOK);
	assert_int_equal(look(), 1);
	/* Alone it has no turns. */
	model_cpu.vcpu_count = 1;
	sched_charge(&vcpu[0]);
	assert_int_equal(vcpu[0].work & WORK_LOOK, 0);
}

TEST(high_priority_keeps_the_processor)
{
	model_cpu.priorities_differ = true;
	config[1].priority = PRIORITY_HIGH;
	assert_int_equal(look(), 1);
	assert_false(vmcs_read(VMCS_PIN_BASED_CONTROLS) & PIN_PREEMPTION_TIMER);
	pass(2 * SCHED_SLICE);
	assert_int_equal(look(), 1);
	config[2].priority = PRIORITY_HIGH;
	pass(2 * SCHED_SLICE);
	assert_int_equal(look(), 2);
	halt();
	assert_int_equal(look(), 1);
	halt();
	assert_int_equal(look(), 0);
}

TEST(alone_there_is_no_timer)
{
	model_cpu.vcpu_count = 1;
	pass(2 * SCHED_SLICE);
	assert_int_equal(look(), 0);
	assert_false(vmcs_read(VMCS_PIN_BASED_CONTROLS) & PIN_PREEMPTION_TIMER);
}

static void revive(void)
{
	vm[0].ended = false;
	model_cpu.arrived = true;
}

static void send_init_and_sipi(void)
{
	vcpu[0].startup.sipi = true;
	model_cpu.arrived = true;
}

/* Nothing that concerns it may be passed over. */
TEST(alone_it_does_not_always_go_on)
{
	model_cpu.vcpu_count = 1;
	vcpu[0].startup.sipi = true;
	assert_int_equal(look(), 0);
	assert_false(vcpu[0].startup.sipi);
	vcpu[0].state = VCPU_WAITS_FOR_SIPI;
	while_waiting = send_init_and_sipi;
	assert_int_equal(look(), 0);
	assert_int_equal(waits, 1);
	vcpu[0].state = VCPU_HALTED;
	vcpu_set_work(&vcpu[0], WORK_NMI);
	assert_int_equal(look(), 0);
	assert_int_equal(vcpu[0].state, VCPU_RUNS);
	vm[0].ended = true;
	while_waiting = revive;
	assert_int_equal(look(), 0);
	assert_int_equal(waits, 2);
}

TEST(time_of_one_that_is_alone)
{
	model_cpu.vcpu_count = 1;
	assert_true(timer_arm(&vcpu[0], 500, VECTOR));
	assert_int_equal(look(), 0);
	assert_int_equal(vmcs_read(VMCS_PREEMPTION_TIMER), 500);
	pass(499);
	assert_int_equal(look(), 0);
	assert_int_equal(vcpu[0].work, 0);
	assert_int_equal(vmcs_read(VMCS_PREEMPTION_TIMER), 1);
	pass(1);
	assert_int_equal(look(), 0);
	assert_int_equal(vcpu[0].work, WORK_INTERRUPT);
	assert_int_equal(vcpu[0].pending_interrupts[VECTOR / 64], 1ULL << VECTOR % 64);
	assert_false(vmcs_read(VMCS_PIN_BASED_CONTROLS) & PIN_PREEMPTION_TIMER);
}

/* Counted in units of 32 ticks: never early by more than the timer itself is. */
TEST(units_of_the_timer)
{
	machine.vmx_misc = 5;
	model_cpu.vcpu_count = 1;
	assert_true(timer_arm(&vcpu[0], 65, VECTOR));
	assert_int_equal(look(), 0);
	assert_int_equal(vmcs_read(VMCS_PREEMPTION_TIMER), 3);
	pass(33);
	assert_int_equal(look(), 0);
	assert_int_equal(vcpu[0].work, 0);
	pass(1);
	assert_int_equal(look(), 0);
	assert_int_equal(vcpu[0].work, WORK_INTERRUPT);
}

TEST(a_longer_time_than_the_timer_has)
{
	model_cpu.vcpu_count = 1;
	assert_true(timer_arm(&vcpu[0], 1ULL << 40, VECTOR));
	assert_int_equal(look(), 0);
	assert_int_equal(vmcs_read(VMCS_PREEMPTION_TIMER), UINT32_MAX);
	assert_true(timer_arm(&vcpu[0], ~0ULL, VECTOR));
	pass(1ULL << 60);
	assert_int_equal(look(), 0);
	assert_int_equal(vcpu[0].work, 0);
}

TEST(who_halts_waits_for_his_time)
{
	timer_arm(&vcpu[0], 3 * SCHED_SLICE, VECTOR);
	halt();
	assert_int_equal(look(), 1);
	for (unsigned int i = 2; model.tsc < NOW + 3 * SCHED_SLICE - SCHED_SLICE; i++) {
		pass(SCHED_SLICE);
		assert_int_equal(look(), 1 + (i + 1) % 2);
	}
	pass(SCHED_SLICE);
	assert_int_equal(look(), 2);
	pass(SCHED_SLICE);
	assert_int_equal(look(), 0);
	assert_int_equal(vcpu[0].work, WORK_INTERRUPT);
}

/* Nobody can run: one is entered in HLT, with the times of all. */
TEST(all_halt)
{
	timer_arm(&vcpu[2], 700, VECTOR);
	halt();
	assert_int_equal(look(), 1);
	halt();
	assert_int_equal(look(), 2);
	halt();
	assert_int_equal(look(), 0);
	assert_int_equal(vmcs_read(VMCS_GUEST_ACTIVITY_STATE), ACTIVITY_HLT);
	assert_int_equal(vmcs_read(VMCS_PREEMPTION_TIMER), 700);
	pass(700);
	assert_int_equal(look(), 2);
	assert_int_equal(vcpu[2].work, WORK_INTERRUPT);
}

TEST(who_has_the_devices_sleeps_for_all)
{
	give_devices(1);
	halt();
	assert_int_equal(look(), 1);
	halt();
	assert_int_equal(look(), 2);
	halt();
	assert_int_equal(look(), 1);
	assert_false(vmcs_read(VMCS_PIN_BASED_CONTROLS) & PIN_PREEMPTION_TIMER);
}

/* It has been woken by an interrupt without an exit: what the VMCS says counts. */
TEST(who_was_entered_asleep_may_be_awake)
{
	give_devices(0);
	vm[1].ended = vm[2].ended = true;
	halt();
	assert_int_equal(look(), 0);
	model_set(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	assert_int_equal(look(), 0);
	assert_false(vcpu[0].halted);
}

/* An event is programmed for the next entry, which ends HLT; then there is another look. */
TEST(who_is_about_to_wake_up_is_awake)
{
	halt();
	model_set(VMCS_ENTRY_INTERRUPTION_INFO, INTERRUPTION_VALID | VECTOR);
	assert_int_equal(look(), 0);
}

TEST(interrupts_go_to_who_has_the_devices)
{
	give_devices(2);
	sched_interrupt(VECTOR);
	assert_int_equal(ends_of_interrupt, 0);
	assert_true(vcpu[0].work & WORK_LOOK);
	assert_int_equal(look(), 2);
	assert_true(vcpu[2].work & WORK_INTERRUPT);
	assert_int_equal(vcpu[0].work | vcpu[1].work, 0);
	/* Once: it may have interrupts off, and the others have their turns. */
	pass(SCHED_SLICE);
	assert_int_equal(look(), 0);
}

TEST(interrupts_for_nobody)
{
	sched_interrupt(VECTOR);
	sched_nmi();
	assert_int_equal(ends_of_interrupt, 1);
	assert_int_equal(model_cpu.interrupts_dropped, 1);
	assert_int_equal(model_cpu.nmis_dropped, 1);
	for (unsigned int i = 0; i < VCPUS; i++)
		assert_int_equal(vcpu[i].work, 0);
	model_cpu.vcpu_count = 1;
	sched_interrupt(VECTOR);
	assert_int_equal(ends_of_interrupt, 2);
	assert_true(vcpu[0].work & WORK_INTERRUPT);
}

TEST(nmis_go_to_who_has_the_devices)
{
	give_devices(1);
	sched_nmi();
	assert_int_equal(look(), 1);
	assert_int_equal(vcpu[1].work, WORK_NMI_ARRIVED);
}

/* BX-2: no exit tells of it. */
TEST(interrupt_that_causes_no_exit)
{
	give_devices(2);
	interrupt_on_opening = VECTOR;
	assert_int_equal(look(), 2);
	assert_true(vcpu[2].work & WORK_INTERRUPT);
	assert_int_equal(interrupt_on_opening, 0);
}

/* And it is looked for although nobody else wants to run. */
TEST(interrupts_are_looked_for)
{
	give_devices(2);
	vcpu[2].halted = vcpu[1].halted = true;
	assert_int_equal(look(), 0);
	assert_int_equal(vmcs_read(VMCS_PREEMPTION_TIMER), SCHED_SLICE);
}

static void send_sipi(void)
{
	vcpu[1].startup.sipi = true;
	model_cpu.arrived = true;
}

TEST(who_waits_for_sipi)
{
	give_devices(1);
	vcpu[1].state = VCPU_WAITS_FOR_SIPI;
	pass(SCHED_SLICE);
	assert_int_equal(look(), 2);
	vcpu[1].startup.init = true;
	pass(SCHED_SLICE);
	assert_int_equal(look(), 0);
	vm[0].ended = vm[2].ended = true;
	while_waiting = send_sipi;
	assert_int_equal(look(), 1);
	assert_int_equal(waits, 1);
}

/* Its APIC is to have nothing in service when it starts: they stay where they are. */
TEST(interrupts_of_one_that_waits_for_sipi)
{
	give_devices(1);
	vcpu[1].state = VCPU_WAITS_FOR_SIPI;
	interrupt_on_opening = VECTOR;
	assert_int_equal(look(), 0);
	assert_int_equal(interrupt_on_opening, VECTOR);
}

TEST(who_has_halted_for_good)
{
	vcpu[1].state = VCPU_HALTED;
	vm[2].ended = true;
	pass(SCHED_SLICE);
	assert_int_equal(look(), 0);
	vcpu_set_work(&vcpu[1], WORK_NMI);
	pass(SCHED_SLICE);
	assert_int_equal(look(), 1);
}

TEST(the_guest_of_the_current_one_has_ended)
{
	vm[0].ended = true;
	if (setjmp(entered) == 0)
		sched_leave();
	assert_ptr_equal(entered_vcpu, &vcpu[1]);
	pass(SCHED_SLICE);
	assert_int_equal(look(), 2);
	pass(SCHED_SLICE);
	assert_int_equal(look(), 1);
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(turns_go_round),
		RUN(a_turn_goes_on_until_its_end),
		RUN(yield),
		RUN(long_work_of_the_vmm_ends_the_turn),
		RUN(high_priority_keeps_the_processor),
		RUN(alone_there_is_no_timer),
		RUN(alone_it_does_not_always_go_on),
		RUN(time_of_one_that_is_alone),
		RUN(units_of_the_timer),
		RUN(a_longer_time_than_the_timer_has),
		RUN(who_halts_waits_for_his_time),
		RUN(all_halt),
		RUN(who_has_the_devices_sleeps_for_all),
		RUN(who_was_entered_asleep_may_be_awake),
		RUN(who_is_about_to_wake_up_is_awake),
		RUN(interrupts_go_to_who_has_the_devices),
		RUN(interrupts_for_nobody),
		RUN(nmis_go_to_who_has_the_devices),
		RUN(interrupt_that_causes_no_exit),
		RUN(interrupts_are_looked_for),
		RUN(who_waits_for_sipi),
		RUN(interrupts_of_one_that_waits_for_sipi),
		RUN(who_has_halted_for_good),
		RUN(the_guest_of_the_current_one_has_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
