// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns where interrupts for this processor come from: the local APIC on the bare machine, the VMM
 * in a VM, which has no APIC.
 */
#include "guest/machine.h"
#include "guest/suite.h"

/* Register offsets in the xAPIC page; an x2APIC MSR is 0x800 + offset / 16 (SDM 3A, table 11-6). */
#define APIC_ID	       0x020U
#define APIC_EOI       0x0b0U
#define APIC_SPURIOUS  0x0f0U
#define APIC_ICR_LOW   0x300U
#define APIC_ICR_HIGH  0x310U
#define APIC_LVT_TIMER 0x320U

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

static void apic_write(unsigned int offset, uint64_t value)
{
	if (xapic)
		xapic[offset / sizeof(*xapic)] = (uint32_t)value;
	else
		write_msr(MSR_IA32_X2APIC_FIRST + offset / 16, value);
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
	apic_write(APIC_SPURIOUS, SPURIOUS_APIC_ENABLE | SPURIOUS_VECTOR);
	apic_write(APIC_LVT_TIMER, LVT_MASKED);
}

bool interrupt_self(unsigned int vector)
{
	if (!is_bare)
		return hypercall(HYPERCALL_SELF_INTERRUPT, vector, 0, 0, 0) >= HYPERCALL_OK;
	if (has_apic)
		apic_write(APIC_ICR_LOW, ICR_SELF | ICR_ASSERT | vector);
	return has_apic;
}

bool nmi_self(void)
{
	if (!is_bare)
		return hypercall(HYPERCALL_INJECT, INJECT(EVENT_NMI, VECTOR_NMI), 0, 0, 0) ==
		       HYPERCALL_OK;
	/* The shorthand for "self" is for fixed interrupts only. */
	if (xapic) {
		apic_write(APIC_ICR_HIGH, xapic[APIC_ID / sizeof(*xapic)]);
		apic_write(APIC_ICR_LOW, ICR_ASSERT | ICR_NMI);
	} else if (has_apic) {
		const uint64_t id = read_msr(MSR_IA32_X2APIC_FIRST + APIC_ID / 16);

		apic_write(APIC_ICR_LOW, id << 32 | ICR_ASSERT | ICR_NMI);
	}
	return has_apic;
}

void interrupt_acknowledge(void)
{
	if (has_apic)
		apic_write(APIC_EOI, 0);
}
