// SPDX-License-Identifier: BSD-2-Clause
/*
 * The local APIC, in xAPIC or x2APIC mode as the firmware or the guest left it. Keeps no state but
 * where its page is: a pass-through guest uses the same APIC.
 */
#include "vmm/host/apic.h"

#include <stdbool.h>

#include "lib/layout.h"
#include "lib/x86/msr.h"
#include "vmm/base/memory.h"
#include "vmm/host/x86.h"

/* Register offsets in the xAPIC page; an x2APIC MSR is 0x800 + offset / 16 (SDM 3A, table 11-6). */
#define APIC_ID		   0x020
#define APIC_EOI	   0x0b0
#define APIC_SPURIOUS	   0x0f0
#define APIC_TPR	   0x080
#define APIC_LDR	   0x0d0
#define APIC_DFR	   0x0e0
#define APIC_ISR	   0x100
#define APIC_ISR_END	   0x180
#define APIC_TMR	   0x180
#define APIC_LVT_TIMER	   0x320
#define APIC_LVT_LAST	   0x370
#define APIC_TIMER_COUNT   0x380
#define APIC_TIMER_DIVIDE  0x3e0
#define APIC_REGISTER_SIZE 0x10

#define SPURIOUS_APIC_ENABLE (1U << 8)
#define SPURIOUS_RESET	     0xffU
#define LVT_MASKED	     (1U << 16)
#define ICR_SELF	     (1U << 18)
#define ICR_ASSERT	     (1U << 14)
#define ICR_NMI		     (4U << 8)
#define ICR_INIT	     (5U << 8)
#define ICR_STARTUP	     (6U << 8)
#define ICR_BUSY	     (1U << 12)
#define ICR_LEVEL	     (1U << 15)
#define XAPIC_ID_SHIFT	     24
#define BUSY_POLLS	     100000
#define IN_SERVICE_MAX	     256

/* The page lies where the firmware put it: guests cannot move it (exits/apic_base.c). */
static volatile uint8_t *xapic(uint64_t base)
{
	static volatile uint8_t *page;

	if (!page)
		page = mmio_map(base & APIC_BASE_ADDRESS_MASK, PAGE_SIZE);
	return page;
}

static void apic_write(uint32_t offset, uint32_t value)
{
	const uint64_t base = rdmsr(MSR_IA32_APIC_BASE);

	if (base & APIC_BASE_X2APIC) {
		wrmsr(MSR_IA32_X2APIC_FIRST + offset / 16, value);
	} else {
		*(volatile uint32_t *)(xapic(base) + offset) = value;
	}
}

static uint32_t apic_read(uint32_t offset)
{
	const uint64_t base = rdmsr(MSR_IA32_APIC_BASE);

	if (base & APIC_BASE_X2APIC)
		return (uint32_t)rdmsr(MSR_IA32_X2APIC_FIRST + offset / 16);
	return *(volatile uint32_t *)(xapic(base) + offset);
}

uint32_t apic_spurious(void)
{
	return apic_read(APIC_SPURIOUS);
}

void apic_set_spurious(uint32_t value)
{
	apic_write(APIC_SPURIOUS, value);
}

void apic_end_of_interrupt(void)
{
	apic_write(APIC_EOI, 0);
}

void apic_send_self(uint8_t vector)
{
	/* Firmware may have left the APIC software-disabled: it would drop the interrupt. */
	apic_write(APIC_SPURIOUS, SPURIOUS_APIC_ENABLE | 0xff);
	apic_write(APIC_ICR_LOW, ICR_SELF | ICR_ASSERT | vector);
}

uint32_t apic_id(void)
{
	if (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_X2APIC)
		return (uint32_t)rdmsr(MSR_IA32_X2APIC_FIRST + APIC_ID / 16);
	return apic_read(APIC_ID) >> XAPIC_ID_SHIFT;
}

bool apic_is_locked_x2apic(void)
{
	uint64_t capabilities, status;

	return (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_X2APIC) &&
	       rdmsr_safe(MSR_IA32_ARCH_CAPABILITIES, &capabilities) &&
	       (capabilities & ARCH_CAPABILITIES_XAPIC_STATUS) &&
	       rdmsr_safe(MSR_IA32_XAPIC_DISABLE_STATUS, &status) && (status & XAPIC_DISABLED);
}

uint32_t apic_register(uint32_t offset)
{
	return *(volatile uint32_t *)(xapic(rdmsr(MSR_IA32_APIC_BASE)) + offset);
}

void apic_set_register(uint32_t offset, uint32_t value)
{
	*(volatile uint32_t *)(xapic(rdmsr(MSR_IA32_APIC_BASE)) + offset) = value;
}

uint64_t apic_command(void)
{
	if (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_X2APIC)
		return rdmsr(MSR_IA32_X2APIC_ICR);
	return (uint64_t)apic_read(APIC_ICR_HIGH) << 32 | apic_read(APIC_ICR_LOW);
}

static bool is_in_service(void)
{
	for (uint32_t isr = APIC_ISR; isr < APIC_ISR_END; isr += APIC_REGISTER_SIZE)
		if (apic_read(isr) != 0)
			return true;
	return false;
}

void apic_reset(void)
{
	/* One that the guest has not ended would keep back all of lower priority. */
	for (int i = 0; i < IN_SERVICE_MAX && is_in_service(); i++)
		apic_end_of_interrupt();
	for (uint32_t lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_LAST; lvt += APIC_REGISTER_SIZE)
		apic_write(lvt, LVT_MASKED);
	apic_write(APIC_TIMER_COUNT, 0);
	apic_write(APIC_TIMER_DIVIDE, 0);
	apic_write(APIC_TPR, 0);
	if (!(rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_X2APIC)) {
		apic_write(APIC_DFR, ~0U);
		apic_write(APIC_LDR, 0);
	}
	apic_write(APIC_SPURIOUS, SPURIOUS_RESET);
}

void apic_leave_x2apic(void)
{
	const uint64_t base = rdmsr(MSR_IA32_APIC_BASE) & ~APIC_BASE_X2APIC;

	if (wrmsr_safe(MSR_IA32_APIC_BASE, base & ~APIC_BASE_ENABLE))
		wrmsr_safe(MSR_IA32_APIC_BASE, base);
}

static void wait_until_sent(void)
{
	for (int i = 0; i < BUSY_POLLS && (apic_read(APIC_ICR_LOW) & ICR_BUSY); i++)
		pause();
}

bool apic_can_name(uint32_t id)
{
	return id < XAPIC_ID_ALL || (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_X2APIC);
}

/* The guest may be between its writes of the two halves of an xAPIC's ICR: it finds them again. */
static void send(uint32_t id, uint32_t command)
{
	uint32_t high;

	if (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_X2APIC) {
		wrmsr(MSR_IA32_X2APIC_ICR, (uint64_t)id << 32 | command);
		return;
	}
	/* Only an x2APIC reaches the others: cut to 8 bits they name a wrong one, or all. */
	if (!apic_can_name(id))
		return;
	wait_until_sent();
	high = apic_read(APIC_ICR_HIGH);
	apic_write(APIC_ICR_HIGH, id << XAPIC_ID_SHIFT);
	apic_write(APIC_ICR_LOW, command);
	wait_until_sent();
	apic_write(APIC_ICR_HIGH, high);
}

/* Of 256 bits, 32 in each register. -1: all are 0. */
static int highest_in_service(void)
{
	for (int word = 7; word >= 0; word--) {
		const uint32_t bits = apic_read(APIC_ISR + (uint32_t)word * APIC_REGISTER_SIZE);

		if (bits != 0)
			return word * 32 + 31 - __builtin_clz(bits);
	}
	return -1;
}

bool apic_return_interrupt(uint8_t vector)
{
	const uint32_t level = apic_read(APIC_TMR + vector / 32U * APIC_REGISTER_SIZE);

	if (highest_in_service() != vector)
		return false;
	apic_end_of_interrupt();
	/* A level that is still asserted makes its I/O APIC send it again at the end. */
	if (level >> vector % 32 & 1)
		return true;
	if (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_X2APIC) {
		wrmsr(MSR_IA32_X2APIC_SELF_IPI, vector);
	} else {
		wait_until_sent();
		apic_write(APIC_ICR_LOW, ICR_SELF | ICR_ASSERT | vector);
	}
	return true;
}

void apic_send_init(uint32_t id)
{
	send(id, ICR_INIT | ICR_LEVEL | ICR_ASSERT);
}

void apic_send_sipi(uint32_t id, uint8_t vector)
{
	send(id, ICR_STARTUP | ICR_ASSERT | vector);
}

void apic_send_nmi(uint32_t id)
{
	send(id, ICR_NMI | ICR_ASSERT);
}

/* The shorthand "self" is for fixed interrupts only (SDM 3A, 11.6.1): address it by its ID. */
void apic_send_self_nmi(void)
{
	apic_send_nmi(apic_id());
}
