/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/host/apic.c in both modes that firmware leaves the local APIC in: as a page of registers, or
 * as MSRs. Before each of its accesses host/apic.c asks for the mode: there the tests look at the
 * page.
 */
#include "tests/unit/unit.h"
#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "tests/unit/model/model.h"
#include "vmm/host/apic.h"
#include "vmm/base/memory.h"

#define BASE   (0xfee00000ULL | APIC_BASE_ENABLE)
#define X2APIC (BASE | APIC_BASE_X2APIC)

/* SDM 3A, table 11-1. */
#define ID	     0x020
#define TPR	     0x080
#define EOI	     0x0b0
#define LDR	     0x0d0
#define DFR	     0x0e0
#define SPURIOUS     0x0f0
#define ISR	     0x100
#define TMR	     0x180
#define LVT_TIMER    0x320
#define LVT_ERROR    0x370
#define TIMER_COUNT  0x380
#define TIMER_DIVIDE 0x3e0
#define X2(offset)   (0x800U + (offset) / 16)
#define X2_ICR	     0x830U

#define INIT	   0x0c500U
#define SIPI(page) (0x04600U | (page))
#define NMI	   0x04400U
#define BUSY	   0x01000U
#define NOTHING	   0xe00dU /* in the low half of the ICR: nothing was written to it */

#define WRITES_MAX 64

/* The mapping is made once: the page is the same for all tests. */
static _Alignas(PAGE_SIZE) uint8_t page[PAGE_SIZE];
static unsigned int mappings;

static struct write {
	uint32_t number;
	uint64_t value;
} writes[WRITES_MAX]; /* to MSRs */
static unsigned int write_count;

static unsigned int sent, busy_polls, polls;
static uint32_t sent_to;
static uint32_t to_end; /* interrupts in service */

static uint32_t *reg(uint32_t offset)
{
	return (uint32_t *)(void *)(page + offset);
}

volatile void *mmio_map(uint64_t address, uint64_t size)
{
	assert_int_equal(address, BASE & APIC_BASE_ADDRESS_MASK);
	assert_int_equal(size, PAGE_SIZE);
	mappings++;
	return page;
}

/* A command goes where the other half of the register says at that moment, and takes its time. */
static void look_at_page(uint32_t number)
{
	assert_true(number == MSR_IA32_APIC_BASE ||
		    (model_msr(MSR_IA32_APIC_BASE) == X2APIC && number >= MSR_IA32_X2APIC_FIRST));
	if (*reg(APIC_ICR_LOW) == NOTHING || (*reg(APIC_ICR_LOW) & BUSY) || sent != 0)
		return;
	sent++;
	sent_to = *reg(APIC_ICR_HIGH);
	if (polls < busy_polls)
		*reg(APIC_ICR_LOW) |= BUSY;
}

/* What the APIC does while host/apic.c waits. */
static void wait_a_little(void)
{
	assert_true(*reg(APIC_ICR_LOW) & BUSY);
	if (++polls == busy_polls)
		*reg(APIC_ICR_LOW) &= ~BUSY;
}

static void note_write(uint32_t number, uint64_t value)
{
	assert_true(write_count < WRITES_MAX);
	writes[write_count++] = (struct write){ number, value };
	if (number == X2(EOI) && to_end > 0 && --to_end == 0)
		model_set_msr(X2(ISR) + 3, 0);
}

static void set_up(uint64_t base)
{
	model_reset();
	model_set_msr(MSR_IA32_APIC_BASE, base);
	model.on_rdmsr = look_at_page;
	model.on_wrmsr = note_write;
	model.on_pause = wait_a_little;
	memset(page, 0, sizeof(page));
	*reg(APIC_ICR_LOW) = NOTHING;
	write_count = sent = busy_polls = polls = 0;
	to_end = 0;
}

static void assert_written_msr(unsigned int index, uint32_t number, uint64_t value)
{
	assert_true(index < write_count);
	assert_int_equal(writes[index].number, number);
	assert_int_equal(writes[index].value, value);
}

TEST(knows_its_own_id)
{
	set_up(BASE);
	*reg(ID) = 0xfe000000;
	assert_int_equal(apic_id(), 0xfe);
	set_up(X2APIC);
	model_set_msr(X2(ID), 0x12345);
	assert_int_equal(apic_id(), 0x12345);
}

TEST(leaves_x2apic_mode_by_switching_it_off)
{
	set_up(X2APIC);
	apic_leave_x2apic();
	assert_int_equal(write_count, 2);
	assert_written_msr(0, MSR_IA32_APIC_BASE, BASE & ~APIC_BASE_ENABLE);
	assert_written_msr(1, MSR_IA32_APIC_BASE, BASE);
	set_up(X2APIC); /* locked */
	model.refuses = true;
	apic_leave_x2apic();
	assert_int_equal(model_msr(MSR_IA32_APIC_BASE), X2APIC);
}

/* One write for both halves, all 32 bits of the ID, and no page. */
TEST(x2apic_reaches_every_processor)
{
	static const uint32_t ids[] = { 0, 254, 255, 256, 511, 0x10000, 0xfffffffe };

	for (size_t i = 0; i < COUNT_OF(ids); i++) {
		const uint64_t id = (uint64_t)ids[i] << 32;

		set_up(X2APIC);
		apic_send_init(ids[i]);
		apic_send_sipi(ids[i], 0x9a);
		apic_send_nmi(ids[i]);
		assert_int_equal(write_count, 3);
		assert_written_msr(0, X2_ICR, id | INIT);
		assert_written_msr(1, X2_ICR, id | SIPI(0x9a));
		assert_written_msr(2, X2_ICR, id | NMI);
		assert_int_equal(*reg(APIC_ICR_LOW), NOTHING);
		assert_int_equal(*reg(APIC_ICR_HIGH), 0);
	}
}

/* The guest may be between its two writes: it finds what it has written. */
TEST(xapic_sends_and_gives_the_register_back)
{
	set_up(BASE);
	*reg(APIC_ICR_HIGH) = 0x77000000;
	apic_send_sipi(0xfe, 0x9a);
	assert_int_equal(sent, 1);
	assert_int_equal(sent_to, 0xfe000000);
	assert_int_equal(*reg(APIC_ICR_LOW), SIPI(0x9a));
	assert_int_equal(*reg(APIC_ICR_HIGH), 0x77000000);
	assert_int_equal(write_count, 0);
	set_up(BASE);
	*reg(ID) = 0x05000000;
	apic_send_self_nmi();
	assert_int_equal(sent_to, 0x05000000);
	assert_int_equal(*reg(APIC_ICR_LOW), NMI);
	assert_int_equal(mappings, 1);
}

/* 8 bits of such an ID are another processor, or with 255 all of them. */
TEST(xapic_sends_nothing_to_the_wrong_processor)
{
	static const uint32_t ids[] = { 255, 256, 257, 511, 0x1ff, 0xffffffff };

	for (size_t i = 0; i < COUNT_OF(ids); i++) {
		set_up(BASE);
		*reg(APIC_ICR_HIGH) = 0x77000000;
		apic_send_init(ids[i]);
		apic_send_sipi(ids[i], 0x9a);
		apic_send_nmi(ids[i]);
		assert_int_equal(*reg(APIC_ICR_LOW), NOTHING);
		assert_int_equal(*reg(APIC_ICR_HIGH), 0x77000000);
		assert_int_equal(write_count, 0);
	}
}

/* An SMI on the other side keeps a command pending for some milliseconds; a broken APIC for ever.
 */
TEST(xapic_waits_until_it_is_sent)
{
	set_up(BASE);
	busy_polls = 50000;
	*reg(APIC_ICR_HIGH) = 0x77000000;
	apic_send_nmi(3);
	assert_int_equal(sent_to, 0x03000000);
	assert_int_equal(polls, 50000);
	assert_int_equal(*reg(APIC_ICR_HIGH), 0x77000000);
	set_up(BASE);
	busy_polls = UINT32_MAX;
	apic_send_nmi(3);
	assert_int_equal(sent_to, 0x03000000);
	assert_in_range(polls, 1, 1000000);
}

/* SDM 3A, 11.4.7.1 and 11.4.7.3. */
TEST(reset_of_an_xapic)
{
	set_up(BASE);
	for (uint32_t lvt = LVT_TIMER; lvt <= LVT_ERROR; lvt += 0x10)
		*reg(lvt) = 0x31;
	*reg(LDR) = 0x01000000;
	*reg(DFR) = 0x0fffffff;
	*reg(SPURIOUS) = 0x1ff;
	*reg(TPR) = 0x20;
	*reg(TIMER_COUNT) = *reg(TIMER_DIVIDE) = 3;
	apic_reset();
	for (uint32_t lvt = LVT_TIMER; lvt <= LVT_ERROR; lvt += 0x10)
		assert_int_equal(*reg(lvt), 0x10000);
	assert_int_equal(*reg(LDR), 0);
	assert_int_equal(*reg(DFR), 0xffffffff);
	assert_int_equal(*reg(SPURIOUS), 0xff);
	assert_int_equal(*reg(TPR) | *reg(TIMER_COUNT) | *reg(TIMER_DIVIDE), 0);
}

/* DFR does not exist, LDR cannot be written: WRMSR would fault. Two interrupts are in service. */
TEST(reset_of_an_x2apic)
{
	set_up(X2APIC);
	for (uint32_t isr = X2(ISR); isr < X2(ISR) + 8; isr++)
		model_set_msr(isr, 0);
	model_set_msr(X2(ISR) + 3, 0x18);
	to_end = 2;
	apic_reset();
	assert_int_equal(to_end, 0);
	assert_written_msr(0, X2(EOI), 0);
	assert_written_msr(1, X2(EOI), 0);
	for (unsigned int i = 2; i < write_count; i++) {
		const uint32_t number = writes[i].number;

		assert_true(number == X2(TPR) || number == X2(SPURIOUS) ||
			    number == X2(TIMER_COUNT) || number == X2(TIMER_DIVIDE) ||
			    (number >= X2(LVT_TIMER) && number <= X2(LVT_ERROR)));
	}
	assert_written_msr(write_count - 1, X2(SPURIOUS), 0xff);
}

TEST(own_interrupts)
{
	set_up(X2APIC);
	apic_send_self(0xf1);
	apic_end_of_interrupt();
	assert_int_equal(write_count, 3);
	assert_written_msr(0, X2(SPURIOUS), 0x1ff);
	assert_written_msr(1, X2_ICR, 0x440f1);
	assert_written_msr(2, X2(EOI), 0);
	set_up(BASE);
	*reg(EOI) = 1;
	apic_send_self(0xf1);
	apic_end_of_interrupt();
	assert_int_equal(*reg(SPURIOUS), 0x1ff);
	assert_int_equal(*reg(APIC_ICR_LOW), 0x440f1);
	assert_int_equal(*reg(EOI), 0);
	assert_int_equal(write_count, 0);
}

#define X2_SELF_IPI 0x83fU

/* Vector 0x45 is in service, below it others are. */
TEST(an_interrupt_goes_back)
{
	set_up(BASE);
	*reg(ISR + 0x20) = 1U << 5;
	*reg(ISR + 0x10) = ~0U;
	*reg(EOI) = 1;
	assert_false(apic_return_interrupt(0x44));
	assert_false(apic_return_interrupt(0x46));
	assert_false(apic_return_interrupt(0x3f));
	assert_int_equal(*reg(EOI), 1);
	assert_int_equal(*reg(APIC_ICR_LOW), NOTHING);
	assert_true(apic_return_interrupt(0x45));
	assert_int_equal(*reg(EOI), 0);
	assert_int_equal(*reg(APIC_ICR_LOW), 0x44045);
	/* The guest's choice stays: its APIC is on. */
	assert_int_equal(*reg(SPURIOUS), 0);

	set_up(X2APIC);
	model_set_msr(X2(ISR) + 2, 1U << 5);
	model_set_msr(X2(TMR) + 2, 0);
	assert_true(apic_return_interrupt(0x45));
	assert_int_equal(write_count, 2);
	assert_written_msr(0, X2(EOI), 0);
	assert_written_msr(1, X2_SELF_IPI, 0x45);
}

/* Its I/O APIC sends it again. */
TEST(a_level_triggered_interrupt_goes_back)
{
	set_up(BASE);
	*reg(ISR + 0x20) = *reg(TMR + 0x20) = 1U << 5;
	*reg(EOI) = 1;
	assert_true(apic_return_interrupt(0x45));
	assert_int_equal(*reg(EOI), 0);
	assert_int_equal(*reg(APIC_ICR_LOW), NOTHING);
}

/* SDM 4, IA32_XAPIC_DISABLE_STATUS: both MSRs have to say so, and may be missing. */
TEST(x2apic_that_is_locked)
{
	static const struct {
		uint64_t base, capabilities, status;
		bool locked;
	} cases[] = {
		{ X2APIC, 1 << 21, 1, true },
		{ X2APIC, 1 << 21, 0, false },
		{ X2APIC, 0, 1, false },
		{ BASE, 1 << 21, 1, false },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set_up(cases[i].base);
		model.on_rdmsr = NULL;
		model_set_msr(0x10a, cases[i].capabilities);
		model_set_msr(0xbd, cases[i].status);
		assert_int_equal(apic_is_locked_x2apic(), cases[i].locked);
	}
	set_up(X2APIC);
	model.on_rdmsr = NULL;
	model.msr = UINT64_MAX;
	model.msr_missing = 0x10a;
	assert_false(apic_is_locked_x2apic());
	model.msr_missing = 0xbd;
	assert_false(apic_is_locked_x2apic());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interrupt_goes_back),
		cmocka_unit_test(a_level_triggered_interrupt_goes_back),
		cmocka_unit_test(knows_its_own_id),
		cmocka_unit_test(leaves_x2apic_mode_by_switching_it_off),
		cmocka_unit_test(x2apic_reaches_every_processor),
		cmocka_unit_test(xapic_sends_and_gives_the_register_back),
		cmocka_unit_test(xapic_sends_nothing_to_the_wrong_processor),
		cmocka_unit_test(xapic_waits_until_it_is_sent),
		cmocka_unit_test(reset_of_an_xapic),
		cmocka_unit_test(reset_of_an_x2apic),
		cmocka_unit_test(own_interrupts),
		cmocka_unit_test(x2apic_that_is_locked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
