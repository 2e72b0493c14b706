/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Puts page tables of 2 MiB pages under the firmware, and takes the right to execute from some.
 */
#include "tools/efi/no_execute.h"

#include "boot/cpu.h"
#include "boot/memory_attribute.h"
#include "lib/layout.h"
#include "lib/x86/msr.h"

#define ENTRY_TABLE	 0x3ULL	 /* present, writable */
#define ENTRY_LARGE	 0x83ULL /* the same, and no table */
#define ENTRY_NO_EXECUTE (1ULL << 63)
#define ENTRIES		 512U
#define GIB		 4U
#define TABLES		 (2 + GIB)

/* The built-in guest begins at 2 MiB, and has less than this. */
#define FORBIDDEN_FIRST SIZE_2M
#define FORBIDDEN_END	(8 * SIZE_2M)

static uint64_t *tables; /* PML4, page-directory-pointer table, and a directory for each GiB */

static void load_tables(void)
{
	asm volatile("mov %0, %%cr3" : : "r"(tables) : "memory");
}

static uint64_t *entry_of(uint64_t address)
{
	return &tables[2 * ENTRIES + address / SIZE_2M];
}

static EFI_STATUS EFIAPI clear(struct memory_attribute *this, EFI_PHYSICAL_ADDRESS base,
			       UINT64 length, UINT64 attributes)
{
	(void)this;
	if (attributes != EFI_MEMORY_XP || length == 0 || base + length > GIB * SIZE_1G)
		return EFI_UNSUPPORTED;
	for (uint64_t at = base & ~(SIZE_2M - 1); at < base + length; at += SIZE_2M)
		*entry_of(at) &= ~ENTRY_NO_EXECUTE;
	load_tables();
	return EFI_SUCCESS;
}

EFI_STATUS forbid_execution(EFI_SYSTEM_TABLE *system)
{
	static struct memory_attribute protocol = { .clear = clear };
	EFI_GUID guid = MEMORY_ATTRIBUTE_GUID;
	EFI_PHYSICAL_ADDRESS base = 0;
	EFI_HANDLE handle = NULL;
	EFI_STATUS status;

	status = system->BootServices->AllocatePages(AllocateAnyPages, EfiBootServicesData, TABLES,
						     &base);
	if (EFI_ERROR(status))
		return status;
	tables = (uint64_t *)base;
	for (uint64_t i = 0; i < 2 * ENTRIES; i++)
		tables[i] = 0;
	tables[0] = (base + PAGE_SIZE) | ENTRY_TABLE;
	for (uint64_t i = 0; i < GIB; i++)
		tables[ENTRIES + i] = (base + (2 + i) * PAGE_SIZE) | ENTRY_TABLE;
	for (uint64_t at = 0; at < GIB * SIZE_1G; at += SIZE_2M)
		*entry_of(at) = at | ENTRY_LARGE;
	for (uint64_t at = FORBIDDEN_FIRST; at < FORBIDDEN_END; at += SIZE_2M)
		*entry_of(at) |= ENTRY_NO_EXECUTE;
	write_msr(MSR_IA32_EFER, read_msr(MSR_IA32_EFER) | EFER_NXE);
	load_tables();
	return system->BootServices->InstallProtocolInterface(&handle, &guid, EFI_NATIVE_INTERFACE,
							      &protocol);
}
