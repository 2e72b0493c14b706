// SPDX-License-Identifier: BSD-2-Clause
/*
 * The local APIC, in xAPIC or x2APIC mode as the firmware or the guest left it. Keeps no state but
 * where its page is: a pass-through guest uses the same APIC.
 */
#include "vmm/apic.h"

#include <stdbool.h>

#include "lib/layout.h"
#include "lib/x86/msr.h"
#include "vmm/memory.h"
#include "vmm/x86.h"

/* Register offsets in the xAPIC page; an x2APIC MSR is 0x800 + offset / 16 (SDM 3A, table 11-6). */
#define APIC_ID	      0x020
#define APIC_EOI      0x0b0
#define APIC_SPURIOUS 0x0f0
#define APIC_ICR_LOW  0x300
#define APIC_ICR_HIGH 0x310

#define SPURIOUS_APIC_ENABLE (1U << 8)
#define ICR_SELF	     (1U << 18)
#define ICR_ASSERT	     (1U << 14)
#define ICR_NMI		     (4U << 8)

/* The page lies where the firmware put it: guests cannot move it (msr.c). */
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

/* The shorthand "self" is for fixed interrupts only (SDM 3A, 11.6.1): address it by its ID. */
void apic_send_self_nmi(void)
{
	const uint64_t base = rdmsr(MSR_IA32_APIC_BASE);

	if (base & APIC_BASE_X2APIC) {
		const uint64_t id = rdmsr(MSR_IA32_X2APIC_FIRST + APIC_ID / 16);

		wrmsr(MSR_IA32_X2APIC_ICR, id << 32 | ICR_NMI | ICR_ASSERT);
	} else {
		apic_write(APIC_ICR_HIGH, apic_read(APIC_ID));
		apic_write(APIC_ICR_LOW, ICR_NMI | ICR_ASSERT);
	}
}
