/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/exits/apic_base.c: whatever a guest writes to IA32_APIC_BASE, the processor's APIC stays on
 * and where it is, or the boot ends by name.
 */
#include "tests/unit/unit.h"

#include "lib/x86/msr.h"
#include "tests/unit/model/model.h"
#include "vmm/host/apic.h"
#include "vmm/host/cpu.h"
#include "vmm/host/smp.h"
#include "vmm/exits/apic_base.h"
#include "vmm/vcpu/msr_policy.h"
#include "vmm/vcpu/vcpu.h"

#define BSP    (1ULL << 8)
#define OFF    (0xfee00000ULL | BSP)
#define XAPIC  (OFF | APIC_BASE_ENABLE)
#define X2APIC (XAPIC | APIC_BASE_X2APIC)

static struct vm vm;
static struct cpu cpu;
static struct vcpu vcpu;
static bool exits; /* accesses to the MSR do */
static unsigned int resets, processors, lost_nmis_taken;
static bool needs_x2apic;
static enum { FOLLOWS, STAYS_X2APIC, STAYS_OFF } processor; /* when it is to leave x2APIC mode */

void msr_set_exits(const struct vcpu *of, uint32_t msr, bool wanted)
{
	assert_ptr_equal(of, &vcpu);
	assert_int_equal(msr, MSR_IA32_APIC_BASE);
	exits = wanted;
}

void apic_reset(void)
{
	assert_true(processor == STAYS_OFF || (model_msr(MSR_IA32_APIC_BASE) & APIC_BASE_ENABLE));
	resets++;
}

void apic_leave_x2apic(void)
{
	assert_int_equal(model_msr(MSR_IA32_APIC_BASE), X2APIC);
	if (processor != STAYS_X2APIC)
		model_set_msr(MSR_IA32_APIC_BASE, processor == FOLLOWS ? XAPIC : OFF);
}

unsigned int smp_count(void)
{
	return processors;
}

bool smp_needs_x2apic(void)
{
	return needs_x2apic;
}

void smp_take_lost_nmi(void)
{
	lost_nmis_taken++;
}

/* SDM 3A, 11.4.4 and 11.12.5: of this machine, what WRMSR accepts while the APIC is on. */
static void note_write(uint32_t number, uint64_t value)
{
	assert_int_equal(number, MSR_IA32_APIC_BASE);
	assert_true(value == XAPIC || value == X2APIC);
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	model.on_wrmsr = note_write;
	model_set_msr(MSR_IA32_APIC_BASE, XAPIC);
	vm = (struct vm){ .name = "test", .devices = VM_DEVICES_PASSTHROUGH };
	vcpu = (struct vcpu){ .vm = &vm, .cpu = &cpu };
	exits = needs_x2apic = false;
	resets = lost_nmis_taken = 0;
	processors = 2;
	processor = FOLLOWS;
	return 0;
}

static uint64_t machine(void)
{
	return model_msr(MSR_IA32_APIC_BASE);
}

TEST(the_page_does_not_move)
{
	assert_false(apic_base_write(&vcpu, XAPIC + 0x1000));
	assert_false(apic_base_write(&vcpu, XAPIC | 1ULL << 32));
	assert_false(apic_base_write(&vcpu, OFF + 0x1000));
	assert_int_equal(model.msr_written, 0);
	assert_true(model_logged("guest test wants to move the local APIC to 0xfee01000: refused"));
}

TEST(off_and_on_in_xapic_mode)
{
	assert_true(apic_base_write(&vcpu, OFF));
	assert_int_equal(machine(), XAPIC);
	assert_int_equal(apic_base_read(), OFF);
	assert_true(exits);
	assert_int_equal(resets, 1);
	/* Off from off, and x2APIC mode from off. */
	assert_true(apic_base_write(&vcpu, OFF));
	assert_int_equal(resets, 1);
	assert_false(apic_base_write(&vcpu, X2APIC));
	assert_int_equal(apic_base_read(), OFF);
	assert_true(apic_base_write(&vcpu, XAPIC));
	assert_int_equal(machine(), XAPIC);
	assert_false(exits);
	assert_false(vcpu.apic_off);
	assert_true(apic_base_write(&vcpu, X2APIC));
	assert_int_equal(machine(), X2APIC);
	assert_int_equal(lost_nmis_taken, 0);
}

/* The processor says no: reserved bits, and modes that do not follow each other. */
TEST(what_the_processor_refuses)
{
	assert_false(apic_base_write(&vcpu, OFF | APIC_BASE_X2APIC));
	model.refuses = true;
	assert_false(apic_base_write(&vcpu, X2APIC));
	assert_false(apic_base_write(&vcpu, OFF | 1));
	assert_false(vcpu.apic_off);
	assert_int_equal(resets, 0);
	model.refuses = false;
	assert_true(apic_base_write(&vcpu, OFF));
	model.refuses = true;
	assert_false(apic_base_write(&vcpu, XAPIC | 1));
	assert_true(vcpu.apic_off);
	assert_true(exits);
}

TEST(off_from_x2apic_mode)
{
	model_set_msr(MSR_IA32_APIC_BASE, X2APIC);
	assert_true(apic_base_write(&vcpu, OFF));
	assert_int_equal(machine(), XAPIC);
	assert_int_equal(apic_base_read(), OFF);
	assert_int_equal(lost_nmis_taken, 1);
	assert_true(apic_base_write(&vcpu, XAPIC));
	assert_false(exits);
}

TEST(x2apic_mode_that_is_locked_or_needed_stays)
{
	model_set_msr(MSR_IA32_APIC_BASE, X2APIC);
	processor = STAYS_X2APIC;
	assert_false(apic_base_write(&vcpu, OFF));
	processor = FOLLOWS;
	needs_x2apic = true;
	assert_false(apic_base_write(&vcpu, OFF));
	assert_int_equal(machine(), X2APIC);
	assert_false(vcpu.apic_off);
	assert_int_equal(resets, 0);
}

/* As in Bochs. With one processor there is nobody to call it. */
TEST(an_apic_that_stays_off_ends_the_boot)
{
	jmp_buf end;

	processor = STAYS_OFF;
	model_set_msr(MSR_IA32_APIC_BASE, X2APIC);
	model.end = &end;
	if (setjmp(end) == 0) {
		apic_base_write(&vcpu, OFF);
		fail_msg("the boot goes on");
	}
	assert_string_equal(model.end_reason, "apic-off");
	processors = 1;
	model_set_msr(MSR_IA32_APIC_BASE, X2APIC);
	assert_true(apic_base_write(&vcpu, OFF));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_page_does_not_move, set_up),
		cmocka_unit_test_setup(off_and_on_in_xapic_mode, set_up),
		cmocka_unit_test_setup(what_the_processor_refuses, set_up),
		cmocka_unit_test_setup(off_from_x2apic_mode, set_up),
		cmocka_unit_test_setup(x2apic_mode_that_is_locked_or_needed_stays, set_up),
		cmocka_unit_test_setup(an_apic_that_stays_off_ends_the_boot, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
