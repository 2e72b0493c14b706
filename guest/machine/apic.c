// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns where interrupts for this processor come from: the local APIC on the bare machine, the VMM
 * in a VM, which has no APIC.
 */
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"

/* Register offsets in the xAPIC page; an x2APIC MSR is 0x800 + offset / 16 (SDM 3A, table 11-6). */
#define APIC_ID	       0x020U
#define APIC_EOI       0x0b0U
#define APIC_SPURIOUS  0x0f0U
#define APIC_IRR       0x200U /* eight registers, APIC_STRIDE apart */
#define APIC_ICR_LOW   0x300U
#define APIC_ICR_HIGH  0x310U
#define APIC_LVT_TIMER 0x320U

#define APIC_STRIDE	     0x010U
#define VECTORS_IN_REGISTER  32U
#define REQUEST_TURNS	     100000U
#define SETTLE_TURNS	     1000U
#define SPURIOUS_APIC_ENABLE (1U << 8)
#define SPURIOUS_VECTOR	     0xefU
#define ICR_SELF	     (1U << 18)
#define ICR_ASSERT	     (1U << 14)
#define ICR_NMI		     (4U << 8)
#define LVT_MASKED	     (1U << 16)

/* The interrupt masks of the two 8259s. */
#define PIC_MASTER_MASK 0x21
#define PIC_SLAVE_MASK	0xa1
#define PIC_ALL		0xff

static volatile uint32_t *xapic; /* NULL: x2APIC, or no APIC */
static bool has_apic;
static uint64_t firmware_cr8;

static void apic_write(unsigned int offset, uint64_t value)
{
	if (xapic)
		xapic[offset / sizeof(*xapic)] = (uint32_t)value;
	else
		write_msr(MSR_IA32_X2APIC_FIRST + offset / 16, value);
}

static uint32_t apic_read(unsigned int offset)
{
	return xapic ? xapic[offset / sizeof(*xapic)]
		     : (uint32_t)read_msr(MSR_IA32_X2APIC_FIRST + offset / 16);
}

void interrupts_settle(void)
{
	for (unsigned int turn = 0; turn < SETTLE_TURNS; turn++)
		asm volatile("pause");
}

/* The way of an interrupt to its own processor takes time, which is the machine's business. */
static void wait_for_request(unsigned int vector)
{
	const unsigned int offset = APIC_IRR + vector / VECTORS_IN_REGISTER * APIC_STRIDE;

	for (unsigned int turn = 0; turn < REQUEST_TURNS; turn++)
		if (apic_read(offset) >> vector % VECTORS_IN_REGISTER & 1)
			break;
	interrupts_settle();
}

void apic_init(void)
{
	const uint64_t base = read_msr(MSR_IA32_APIC_BASE);
	const uint64_t address = base & APIC_BASE_ADDRESS_MASK;

	outb(PIC_MASTER_MASK, PIC_ALL);
	outb(PIC_SLAVE_MASK, PIC_ALL);
	if (!(base & APIC_BASE_ENABLE))
		return;
	if (!(base & APIC_BASE_X2APIC)) {
		/* MTRRs make it uncached, whatever the page tables say. */
		if (!page_map_large(address & ~(SIZE_2M - 1)))
			guest_fail("no memory for page tables");
		xapic = (volatile uint32_t *)(uintptr_t)address;
	}
	has_apic = true;
	/* What devices may still ask for waits for the firmware, which is told by apic_leave(). */
	firmware_cr8 = read_cr8();
	write_cr8((VECTOR_INTERRUPT >> 4) - 1);
	apic_write(APIC_SPURIOUS, SPURIOUS_APIC_ENABLE | SPURIOUS_VECTOR);
	apic_write(APIC_LVT_TIMER, LVT_MASKED);
}

void apic_leave(void)
{
	if (has_apic)
		write_cr8(firmware_cr8);
}

bool interrupt_self(unsigned int vector)
{
	if (!is_bare)
		return hypercall(HYPERCALL_SELF_INTERRUPT, vector, 0, 0, 0) >= HYPERCALL_OK;
	if (!has_apic)
		return false;
	apic_write(APIC_ICR_LOW, ICR_SELF | ICR_ASSERT | vector);
	wait_for_request(vector);
	return true;
}

bool nmi_self(void)
{
	if (!is_bare)
		return hypercall(HYPERCALL_INJECT, INJECT(EVENT_NMI, VECTOR_NMI), 0, 0, 0) ==
		       HYPERCALL_OK;
	/* The shorthand for "self" is for fixed interrupts only. */
	if (xapic) {
		apic_write(APIC_ICR_HIGH, apic_read(APIC_ID));
		apic_write(APIC_ICR_LOW, ICR_ASSERT | ICR_NMI);
	} else if (has_apic) {
		apic_write(APIC_ICR_LOW, (uint64_t)apic_read(APIC_ID) << 32 | ICR_ASSERT | ICR_NMI);
	}
	return has_apic;
}

void interrupt_acknowledge(void)
{
	if (has_apic)
		apic_write(APIC_EOI, 0);
}
