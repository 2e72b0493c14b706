/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/run/reset.c with those whose state it ends: a vcpu in the middle of everything gets INIT,
 * and begins as a new one.
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "tests/unit/model/model.h"
#include "vmm/vcpu/livelock.h"
#include "vmm/exits/table.h"
#include "vmm/host/capabilities.h"
#include "vmm/host/x86.h"
#include "vmm/run/create.h"
#include "vmm/run/enter.h"
#include "vmm/run/inject.h"
#include "vmm/vcpu/control_registers.h"
#include "vmm/vcpu/event.h"
#include "vmm/vcpu/exit_counts.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/vcpu/timer.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

#define SIGNATURE      0x806f8U
#define VECTOR	       0x41
#define OTHER_CONTROLS (PROC_SECONDARY | PROC_MSR_BITMAPS | PROC_HLT)
#define FIRST_EXITS    (1U << VECTOR_UD)
#define LKGS_EXITS     (1U << VECTOR_UD)

static struct vm vm;
static struct vcpu vcpu;
static unsigned int soft_switches;
static bool watched;

/* ---- What these call beside ---- */

struct cpuid_leaf cpuid(uint32_t leaf, uint32_t subleaf __attribute__((unused)))
{
	return (struct cpuid_leaf){ .eax = leaf == 1 ? SIGNATURE : 0 };
}

void soft_fred_switch(struct vcpu *of, bool on)
{
	assert_false(on);
	of->soft.on = false;
	soft_switches++;
}

void soft_fred_deliver(struct vcpu *of __attribute__((unused)),
		       const struct event *event __attribute__((unused)))
{
	fail();
}

bool guest_read_linear(const struct vm *of __attribute__((unused)),
		       uint64_t linear __attribute__((unused)), void *to __attribute__((unused)),
		       uint64_t size __attribute__((unused)))
{
	return false;
}

void *guest_memory(const struct vm *of __attribute__((unused)),
		   uint64_t guest_physical __attribute__((unused)),
		   uint64_t size __attribute__((unused)))
{
	return NULL;
}

uint64_t vcpu_gpr(const struct vcpu *of __attribute__((unused)),
		  unsigned int number __attribute__((unused)))
{
	return 0;
}

void vcpu_set_gpr(struct vcpu *of __attribute__((unused)),
		  unsigned int number __attribute__((unused)),
		  uint64_t value __attribute__((unused)))
{
}

uint64_t exit_count(const struct vcpu *of __attribute__((unused)))
{
	return 0;
}

bool vcpu_watch(const struct vcpu *of, bool wanted)
{
	assert_ptr_equal(of, &vcpu);
	watched = wanted;
	return true;
}

/* ---- A vcpu that does everything at once ---- */

static void fill_vmcs(void)
{
	model_set(VMCS_PROC_BASED_CONTROLS,
		  OTHER_CONTROLS | PROC_NMI_WINDOW | PROC_INTERRUPT_WINDOW);
	model_set(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST | ENTRY_LOAD_EFER);
	model_set(VMCS_ENTRY_INTERRUPTION_INFO, INTERRUPTION_VALID | 3U << 8 | VECTOR_UD);
	model_set(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	model_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI | INTERRUPTIBILITY_STI);
	model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
	model_set(VMCS_GUEST_DEBUGCTL, DEBUGCTL_BTF);
	model_set(VMCS_GUEST_DR7, DR7_RESET | DR7_GD);
	model_set(VMCS_GUEST_EFER, EFER_LME | EFER_LMA | EFER_SCE);
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_IF | RFLAGS_TF);
	cr_set_cr0(CR0_PE | CR0_PG | CR0_NE | CR0_ET);
	cr_set_cr4(&vcpu, CR4_PAE);
}

static void fill_vcpu(void)
{
	uint64_t *const gprs = &vcpu.regs.rax;

	for (size_t i = 0; i < sizeof(vcpu.regs) / sizeof(*gprs); i++)
		gprs[i] = 0x1111 * (i + 1);
	vcpu.cr8 = 5;
	vcpu.halted = true;
	event_queue(&vcpu, event_exception(VECTOR_UD));
	event_queue_nmi(&vcpu);
	event_queue_interrupt(&vcpu, VECTOR);
	vcpu_set_work(&vcpu, (enum vcpu_work)(WORK_NMI_ARRIVED | WORK_INTERRUPT_ARRIVED));
	vcpu_set_work(&vcpu, WORK_SNAPSHOT);
	assert_true(timer_arm(&vcpu, 1000, VECTOR));
	assert_true(timer_step(&vcpu, 3));
	event_set_exits(&vcpu, 1U << VECTOR_PF);
	vcpu.livelock = (struct livelock){ .watched = true, .left = 7, .exits = 8 };
	watched = true;
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&machine, 0, sizeof(machine));
	machine.has_preemption_timer = machine.has_monitor_trap = true;
	machine.cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG;
	machine.cr4_fixed0 = CR4_VMXE;
	machine.controls.proc2 = PROC2_VPID;
	vm = (struct vm){ .exception_bitmap = FIRST_EXITS };
	vcpu.vm = &vm;
	vcpu.guest_cr4_allowed = CR4_PAE;
	soft_switches = 0;
	for (unsigned int i = 0; i < 4; i++)
		model.dr[i] = 0xd000 + i;
	model.cr2 = 0xc2;
	model.dr6 = DR6_RESET | 1;
	fill_vmcs();
	fill_vcpu();
	return 0;
}

TEST(registers_are_those_of_init)
{
	const uint64_t *const gprs = &vcpu.regs.rax;

	vcpu_reset(&vcpu);
	for (size_t i = 0; i < sizeof(vcpu.regs) / sizeof(*gprs); i++)
		assert_int_equal(gprs[i], &gprs[i] == &vcpu.regs.rdx ? SIGNATURE : 0);
	assert_int_equal(model.cr2, 0);
	assert_int_equal(model.dr6, DR6_RESET);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(model.dr[i], 0);
	assert_int_equal(vmcs_read(VMCS_GUEST_DR7), DR7_RESET);
	assert_int_equal(vmcs_read(VMCS_GUEST_DEBUGCTL), 0);
	assert_int_equal(vmcs_read(VMCS_GUEST_RFLAGS), RFLAGS_RESERVED);
	assert_int_equal(vmcs_read(VMCS_GUEST_EFER), 0);
	assert_int_equal(vmcs_read(VMCS_CR0_READ_SHADOW), CR0_ET);
	assert_int_equal(vmcs_read(VMCS_GUEST_CR0), CR0_ET | CR0_NE);
	assert_int_equal(vmcs_read(VMCS_GUEST_CR4), CR4_VMXE);
	assert_int_equal(vmcs_read(VMCS_ENTRY_CONTROLS), ENTRY_LOAD_EFER);
	assert_int_equal(model.invvpids, 1);
	assert_null(model_entry_error());
}

/* INIT leaves these two of CR0 alone. */
TEST(caching_stays_as_it_is)
{
	cr_set_cr0(CR0_PE | CR0_CD | CR0_NW);
	vcpu_reset(&vcpu);
	assert_int_equal(vmcs_read(VMCS_CR0_READ_SHADOW), CR0_ET | CR0_CD | CR0_NW);
	assert_int_equal(vmcs_read(VMCS_GUEST_CR0), CR0_ET | CR0_NE);
}

/* A scheduler that took it to be halted would never let it run. */
TEST(it_does_not_wait_in_hlt)
{
	vcpu_reset(&vcpu);
	assert_false(vcpu.halted);
	assert_int_equal(vmcs_read(VMCS_GUEST_ACTIVITY_STATE), ACTIVITY_ACTIVE);
}

TEST(nothing_waits_to_be_delivered)
{
	uint64_t ticks;

	vcpu_reset(&vcpu);
	assert_int_equal(vcpu.work, WORK_LOOK);
	assert_int_equal(event_interrupts_waiting(&vcpu), 0);
	assert_false(timer_left(&vcpu, &ticks));
	assert_int_equal(vcpu.cr8, 0);
	vcpu_clear_work(&vcpu, WORK_LOOK);
	event_prepare_entry(&vcpu);
	assert_false(model_vm_entry().injected);
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY), 0);
	assert_int_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
}

/* No window, no step: else the first instruction exits, and counts down from 0. */
TEST(nothing_exits_that_did_not_at_first)
{
	vcpu_reset(&vcpu);
	assert_int_equal(vmcs_read(VMCS_PROC_BASED_CONTROLS), OTHER_CONTROLS);
	assert_int_equal(vcpu.steps_left, 0);
	assert_int_equal(vmcs_read(VMCS_EXCEPTION_BITMAP), FIRST_EXITS);
	assert_false(watched || vcpu.livelock.watched);
	assert_int_equal(vcpu.livelock.left | vcpu.livelock.exits, 0);
}

TEST(a_watch_that_is_none_is_not_ended)
{
	vcpu.livelock.watched = false;
	vcpu_reset(&vcpu);
	assert_true(watched);
	assert_int_equal(vcpu.livelock.exits, 0);
}

TEST(lkgs_needs_its_exit_also_after_init)
{
	vm.exception_bitmap = 0;
	vm.required_exceptions = LKGS_EXITS;
	vcpu_reset(&vcpu);
	assert_int_equal(vmcs_read(VMCS_EXCEPTION_BITMAP), LKGS_EXITS);
}

TEST(software_fred_is_off)
{
	vcpu_reset(&vcpu);
	assert_int_equal(soft_switches, 0);
	vcpu.soft.on = true;
	vcpu_reset(&vcpu);
	assert_int_equal(soft_switches, 1);
	assert_false(vcpu.soft.on);
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(registers_are_those_of_init),
		RUN(caching_stays_as_it_is),
		RUN(it_does_not_wait_in_hlt),
		RUN(nothing_waits_to_be_delivered),
		RUN(nothing_exits_that_did_not_at_first),
		RUN(a_watch_that_is_none_is_not_ended),
		RUN(lkgs_needs_its_exit_also_after_init),
		RUN(software_fred_is_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
