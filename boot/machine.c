/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the loader finds out about the machine: whether the VMM can run on it at
 * all, while there still is a firmware to return to, and the facts that only the
 * firmware knows.
 */
#include "boot/cpu.h"
#include "boot/la57.h"
#include "boot/loader.h"
#include "lib/acpi.h"
#include "lib/format.h"
#include "lib/layout.h"
#include "lib/string.h"
#include "lib/version.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"

#define HANDLES_MAX	16
#define PROCESSORS_LINE 256

#define CPUID_EXTENDED_MAX 0x80000000U
#define CPUID_NAME_FIRST   0x80000002U
#define CPUID_NAME_LAST	   0x80000004U

#define APIC_ID_SHIFT 24 /* in CPUID leaf 1, EBX */

/* EFI_MP_SERVICES_PROTOCOL (PI 1.7, volume 2, 13.4), as far as it is used here. */
#define MP_SERVICES_GUID                                               \
	{                                                              \
		0x3fdda605, 0xa76e, 0x4f46,                            \
		{                                                      \
			0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08 \
		}                                                      \
	}

#define MP_PROCESSOR_ENABLED (1U << 1)

struct mp_processor {
	uint64_t id; /* of its local APIC */
	uint32_t status;
	uint32_t location[9]; /* of two forms; firmware may write both */
};

struct mp_services {
	EFI_STATUS(EFIAPI *get_number_of_processors)
	(struct mp_services *this, UINTN *all, UINTN *enabled);
	EFI_STATUS(EFIAPI *get_processor_info)
	(struct mp_services *this, UINTN number, struct mp_processor *processor);
};

UINTN find_handles(struct loader *loader, EFI_GUID *protocol, EFI_HANDLE *handles, UINTN max)
{
	EFI_HANDLE *all;
	UINTN count;

	if (EFI_ERROR(loader->boot->LocateHandleBuffer(ByProtocol, protocol, NULL, &count, &all)))
		return 0;
	if (count > max)
		count = max;
	memcpy(handles, all, count * sizeof(*all));
	loader->boot->FreePool(all);
	return count;
}

bool check_processor(struct loader *loader)
{
	uint64_t feature_control;

	if (!processor_has_vmx())
		return loader_fail(loader, EFI_UNSUPPORTED, "no-vmx",
				   "this processor has no VMX (CPUID.1:ECX[5] is 0); in a virtual "
				   "machine, enable nested virtualization");
	feature_control = read_msr(MSR_IA32_FEATURE_CONTROL);
	if ((feature_control & FEATURE_CONTROL_LOCKED) &&
	    !(feature_control & FEATURE_CONTROL_VMX_OUTSIDE))
		return loader_fail(loader, EFI_UNSUPPORTED, "vmx-locked",
				   "VMX is locked off by firmware: enable 'Intel Virtualization "
				   "Technology' in the firmware setup");
	if (!(cpuid(0x80000001).edx & CPUID_80000001_EDX_NX))
		return loader_fail(loader, EFI_UNSUPPORTED, "no-nx",
				   "no-execute pages are missing (CPUID.80000001H:EDX[20] is 0): "
				   "enable 'Execute Disable' in the firmware setup");
	return true;
}

bool prepare_four_levels(struct loader *loader)
{
	uint64_t memory;

	if (!(read_cr4() & CR4_LA57))
		return true;
	memory = allocate_memory(loader, LA57_MEMORY, PAGE_SIZE, BELOW_4G);
	if (memory == 0 || !la57_prepare(memory))
		return loader_fail(loader, EFI_OUT_OF_RESOURCES, "no-memory",
				   "the way off the firmware's 5-level paging needs %llu KiB below "
				   "4 GiB",
				   LA57_MEMORY >> 10);
	loader_log(loader, "the firmware runs with 5-level paging: it is switched off");
	return true;
}

void enter_four_levels(void)
{
	if (read_cr4() & CR4_LA57)
		la57_switch(la57_lower_tables());
}

/* Physical memory is where it is: the loader runs in the firmware's identity map. */
static const void *map_tables(uint64_t physical, size_t size __attribute__((unused)))
{
	return (const void *)(uintptr_t)physical;
}

uint64_t find_rsdp(const EFI_SYSTEM_TABLE *system)
{
	static const EFI_GUID guids[] = { ACPI_20_TABLE_GUID, ACPI_TABLE_GUID };

	acpi_map = map_tables;
	for (size_t wanted = 0; wanted < sizeof(guids) / sizeof(guids[0]); wanted++)
		for (UINTN i = 0; i < system->NumberOfTableEntries; i++)
			if (memcmp(&system->ConfigurationTable[i].VendorGuid, &guids[wanted],
				   sizeof(EFI_GUID)) == 0)
				return (uintptr_t)system->ConfigurationTable[i].VendorTable;
	return 0;
}

static bool describe_framebuffer(const EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE *mode,
				 struct framebuffer *framebuffer)
{
	const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info = mode->Info;

	switch (info->PixelFormat) {
	case PixelRedGreenBlueReserved8BitPerColor:
		framebuffer->format = FRAMEBUFFER_RGBX;
		break;
	case PixelBlueGreenRedReserved8BitPerColor:
		framebuffer->format = FRAMEBUFFER_BGRX;
		break;
	case PixelBitMask:
		framebuffer->format = FRAMEBUFFER_MASKS;
		framebuffer->red_mask = info->PixelInformation.RedMask;
		framebuffer->green_mask = info->PixelInformation.GreenMask;
		framebuffer->blue_mask = info->PixelInformation.BlueMask;
		framebuffer->reserved_mask = info->PixelInformation.ReservedMask;
		break;
	default: /* drawing by firmware calls only */
		return false;
	}
	framebuffer->base = mode->FrameBufferBase;
	framebuffer->size = mode->FrameBufferSize;
	framebuffer->width = info->HorizontalResolution;
	framebuffer->height = info->VerticalResolution;
	framebuffer->stride = info->PixelsPerScanLine;
	return true;
}

static void find_framebuffer(struct loader *loader)
{
	EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	EFI_HANDLE handles[HANDLES_MAX];
	const UINTN count = find_handles(loader, &guid, handles, HANDLES_MAX);

	for (UINTN i = 0; i < count; i++) {
		void *found;
		EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;

		if (EFI_ERROR(loader->boot->HandleProtocol(handles[i], &guid, &found)))
			continue;
		gop = found;
		if (gop->Mode != NULL && gop->Mode->Info != NULL &&
		    describe_framebuffer(gop->Mode, &loader->info.framebuffer))
			return;
	}
}

static void add_processor(struct boot_info *info, uint32_t apic_id)
{
	if (apic_id == info->apic_ids[0])
		return;
	if (info->processor_count < CONFIG_CPUS_MAX)
		info->apic_ids[info->processor_count++] = apic_id;
	else
		info->processors_beyond++;
}

static void ask_mp_services(struct loader *loader)
{
	EFI_GUID guid = MP_SERVICES_GUID;
	struct mp_processor processor;
	UINTN all, enabled;
	void *found;
	struct mp_services *mp;

	if (EFI_ERROR(loader->boot->LocateProtocol(&guid, NULL, &found)))
		return;
	mp = found;
	if (EFI_ERROR(mp->get_number_of_processors(mp, &all, &enabled)))
		return;
	for (UINTN i = 0; i < all; i++)
		if (!EFI_ERROR(mp->get_processor_info(mp, i, &processor)) &&
		    (processor.status & MP_PROCESSOR_ENABLED))
			add_processor(&loader->info, (uint32_t)processor.id);
}

static bool ask_acpi(struct boot_info *info)
{
	static struct acpi_machine machine; /* too large for the stack */
	struct acpi acpi;

	if (info->rsdp == 0 || acpi_init(&acpi, info->rsdp) != NULL ||
	    !acpi_read_machine(&acpi, &machine))
		return false;
	for (uint32_t i = 0; i < machine.processor_count; i++)
		add_processor(info, machine.apic_ids[i]);
	info->processors_beyond += machine.processors_beyond;
	return machine.processor_count != 0;
}

/* All 32 bits of it where the processor has leaf 0BH (SDM 3A, 10.12.8.1). */
static uint32_t own_apic_id(void)
{
	if (cpuid(0).eax >= CPUID_TOPOLOGY && cpuid(CPUID_TOPOLOGY).ebx != 0)
		return cpuid(CPUID_TOPOLOGY).edx;
	return cpuid(1).ebx >> APIC_ID_SHIFT;
}

/*
 * Those that the firmware has disabled must not be started, so they do not count: the VMM starts
 * all that are here. The protocol is for firmware without a MADT.
 */
static void find_processors(struct loader *loader)
{
	struct boot_info *const info = &loader->info;

	info->apic_ids[0] = own_apic_id();
	info->processor_count = 1;
	if (!ask_acpi(info))
		ask_mp_services(loader);
	info->ap_page = allocate_memory(loader, PAGE_SIZE, PAGE_SIZE, BELOW_1M);
}

static void log_processors(struct loader *loader)
{
	const struct boot_info *const info = &loader->info;
	char ids[PROCESSORS_LINE] = "";

	for (uint32_t i = 0; i < info->processor_count; i++) {
		const size_t used = strlen(ids);

		format_string(ids + used, sizeof(ids) - used, " %u", info->apic_ids[i]);
	}
	loader_log(loader, "%u processor%s", info->processor_count,
		   info->processor_count == 1 ? "" : "s");
	if (info->processor_count > 1)
		loader_log(loader, "APIC IDs%s; the page for their start is at 0x%llx", ids,
			   (unsigned long long)info->ap_page);
}

void processor_name(char name[CPUID_NAME_SIZE])
{
	struct cpuid_result part;

	if (cpuid(CPUID_EXTENDED_MAX).eax < CPUID_NAME_LAST)
		return;
	for (uint32_t leaf = CPUID_NAME_FIRST; leaf <= CPUID_NAME_LAST; leaf++) {
		part = cpuid(leaf);
		memcpy(name + (leaf - CPUID_NAME_FIRST) * sizeof(part), &part, sizeof(part));
	}
}

uint32_t processor_microcode(void)
{
	if (cpuid(1).ecx & CPUID_1_ECX_HYPERVISOR)
		return 0;
	/* SDM 3A, 10.11.7.1: CPUID puts the revision there. */
	write_msr(MSR_IA32_BIOS_SIGN_ID, 0);
	cpuid(1);
	return (uint32_t)(read_msr(MSR_IA32_BIOS_SIGN_ID) >> 32);
}

/* What a report of this boot has to name: tools/report_page.py looks for these lines. */
static void log_identity(struct loader *loader)
{
	const uint32_t revision = loader->system->Hdr.Revision;
	char name[CPUID_NAME_SIZE + 1] = "";
	EFI_TIME now;

	processor_name(name);
	loader_log(loader, "version %s", MANFRED_VERSION);
	if (!EFI_ERROR(loader->system->RuntimeServices->GetTime(&now, NULL)))
		loader_log(loader, "date %04u-%02u-%02u %02u:%02u", now.Year, now.Month, now.Day,
			   now.Hour, now.Minute);
	loader_log(loader, "processor %s, CPUID.1:EAX %x, microcode %x", name, cpuid(1).eax,
		   processor_microcode());
	loader_log(loader, "firmware UEFI %u.%u, revision %x%s", revision >> 16,
		   (revision & UINT16_MAX) / 10, loader->system->FirmwareRevision,
		   firmware_secure_boot(loader) ? ", Secure Boot is on" : "");
}

bool collect_facts(struct loader *loader)
{
	struct boot_info *info = &loader->info;
	const struct framebuffer *screen = &info->framebuffer;

	log_identity(loader);
	info->rsdp = find_rsdp(loader->system);
	find_processors(loader);
	find_framebuffer(loader);
	if (info->rsdp != 0)
		loader_log(loader, "ACPI root pointer at 0x%llx", (unsigned long long)info->rsdp);
	else
		loader_log(loader, "the firmware has no ACPI tables");
	if (screen->format != FRAMEBUFFER_NONE)
		loader_log(loader, "screen %ux%u, framebuffer at 0x%llx", screen->width,
			   screen->height, (unsigned long long)screen->base);
	else
		loader_log(loader, "no framebuffer: the screen will stay as it is");
	log_processors(loader);
	return true;
}
