// SPDX-License-Identifier: BSD-2-Clause
/* Gives a guest its ACPI tables, and finds out what the firmware does not say of interrupts. */
#include "vmm/guests/acpi.h"

#include "lib/acpi_guest.h"
#include "lib/layout.h"
#include "lib/x86/msr.h"
#include "vmm/vmx/ept.h"
#include "vmm/base/log.h"
#include "vmm/base/memory.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vtd.h"
#include "vmm/host/x86.h"

#define TABLES_LOWEST 0x100000ULL
#define TABLES_END    (4 * SIZE_1G)

/* Every chipset has its first IOAPIC here (Intel 82093AA; PIIX, ICH and later). */
#define IOAPIC_BASE	   0xfec00000U
#define IOAPIC_SELECT	   0x00
#define IOAPIC_WINDOW	   0x10
#define IOAPIC_REG_ID	   0
#define IOAPIC_REG_VERSION 1
#define IOAPIC_LAST_PIN(v) ((v) >> 16 & 0xff)
#define IOAPIC_PINS_MIN	   16U /* the ISA bus has so many */
#define IOAPIC_PINS_MAX	   240U
#define IOAPIC_RESERVED	   0xff007f00U /* of the version register */
#define IOAPIC_ID_SHIFT	   24

/* ELCR of the two 8259: which interrupts are level-triggered. 0, 1, 2, 8 and 13 cannot be. */
#define PORT_ELCR1     0x4d0
#define PORT_ELCR2     0x4d1
#define ELCR_ALWAYS_0  0x2107U
#define BITS_IN_A_BYTE 8

static struct acpi_guest wish; /* too large for the stack */

static uint32_t ioapic_read(volatile uint8_t *page, uint32_t reg)
{
	*(volatile uint32_t *)(page + IOAPIC_SELECT) = reg;
	return *(volatile uint32_t *)(page + IOAPIC_WINDOW);
}

/* Where nothing answers there are ones, which no IOAPIC has. */
static void find_ioapic(void)
{
	volatile uint8_t *const page = mmio_map(IOAPIC_BASE, PAGE_SIZE);
	const uint32_t version = ioapic_read(page, IOAPIC_REG_VERSION);
	const uint32_t pins = IOAPIC_LAST_PIN(version) + 1;

	wish.ioapic_count = 0;
	if ((version & IOAPIC_RESERVED) != 0 || pins < IOAPIC_PINS_MIN || pins > IOAPIC_PINS_MAX)
		return;
	wish.ioapic_count = 1;
	wish.ioapics[0] = (struct acpi_ioapic){
		.id = ioapic_read(page, IOAPIC_REG_ID) >> IOAPIC_ID_SHIFT,
		.address = IOAPIC_BASE,
	};
}

/* PCI's interrupts, where firmware has routed them to interrupts of the ISA bus. */
static uint16_t level_interrupts(void)
{
	const unsigned int elcr = inb(PORT_ELCR1) | (unsigned int)inb(PORT_ELCR2) << BITS_IN_A_BYTE;

	return elcr & ELCR_ALWAYS_0 ? 0 : (uint16_t)elcr;
}

static const struct boot_file *overlapping_file(const struct vm *vm, uint64_t base)
{
	const struct boot_file *const files[] = { &vm->files->kernel, &vm->files->initrd };

	for (unsigned int i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (files[i]->size != 0 && base < files[i]->base + files[i]->size &&
		    files[i]->base < base + ACPI_GUEST_SIZE)
			return files[i];
	return NULL;
}

/* Memory for the tables, apart from the files that the loader left in the guest's memory. */
static uint64_t find_place(const struct vm *vm)
{
	uint64_t end = TABLES_END;
	uint64_t base;

	while (memmap_find_highest(&vm->memmap, ACPI_GUEST_SIZE, PAGE_SIZE, TABLES_LOWEST, end,
				   &base)) {
		const struct boot_file *const file = overlapping_file(vm, base);

		if (!file)
			return base;
		end = file->base;
	}
	panic("no-memory", "guest %s: no RAM below 4 GiB for its ACPI tables", vm->name);
}

uint64_t guest_acpi_make(struct vm *vm, const uint32_t *apic_ids, uint32_t count)
{
	const uint64_t place = find_place(vm);
	uint8_t *const buffer = guest_memory(vm, place, ACPI_GUEST_SIZE);
	struct acpi acpi;
	const bool firmware = vm->boot->rsdp != 0 && !acpi_init(&acpi, vm->boot->rsdp);
	uint32_t length;
	const bool madt = firmware && acpi_find(&acpi, "APIC", &length);

	wish.apic_ids = apic_ids;
	wish.processor_count = count;
	wish.without_dmar = vtd_is_taken();
	if (!madt) {
		wish.local_apic = (uint32_t)(rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDRESS_MASK);
		wish.level_interrupts = level_interrupts();
		find_ioapic();
	}
	switch (acpi_guest_build(firmware ? &acpi : NULL, &wish, buffer, ACPI_GUEST_SIZE, place)) {
	case ACPI_GUEST_FIRMWARE:
		return vm->boot->rsdp;
	case ACPI_GUEST_TOO_LARGE:
		panic("acpi-tables", "guest %s: its ACPI tables need more than %u KiB", vm->name,
		      ACPI_GUEST_SIZE / 1024);
	case ACPI_GUEST_OWN:
		break;
	}
	if (!memmap_set(&vm->memmap, place, ACPI_GUEST_SIZE, MEMORY_ACPI_RECLAIM))
		panic("memory-map", "the memory map has too many ranges");
	log_info("guest %s: ACPI tables at 0x%llx for %u processors%s%s", vm->name,
		 (unsigned long long)place, count, wish.without_dmar ? ", without DMAR" : "",
		 madt			  ? ""
		 : wish.ioapic_count != 0 ? "; the firmware has no MADT, and there is an IOAPIC"
					  : "; the firmware has no MADT, and there is no IOAPIC");
	return place;
}
