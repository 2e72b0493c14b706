/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts \next.efi with the text of \options as its options. With a Linux kernel,
 * which is a UEFI application too, that is Linux without Manfred, to compare with.
 * With Manfred and a file \lock-vmx it is a machine whose firmware has locked VMX
 * off; with a file \acpi one whose firmware has these ACPI tables. The file is
 * their memory from ACPI_ADDRESS on, and begins with the root pointer. With a
 * file \la57 it is one whose firmware runs with 5-level paging, with a file
 * \small-screen one with a screen of 640x480, with a file \no-execute one
 * that lets nothing be executed in the memory that it gives away, and with a file
 * \memory-map one whose memory map goes on with ranges that cannot be.
 */
#include <efi.h>

#include "boot/cpu.h"
#include "boot/la57.h"
#include "lib/format.h"
#include "tools/efi/no_execute.h"
#include "tools/efi/serial.h"

#define OPTIONS_MAX	       2048
#define MSR_FEATURE_CONTROL    0x3a
#define FEATURE_CONTROL_LOCKED 1U
#define TOP_BELOW_4G	       0xffffffffULL
#define SMALL_WIDTH	       640U
#define SMALL_HEIGHT	       480U
#define ACPI_ADDRESS	       0x7000000ULL /* tools/acpi_tables.py has the same */

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static EFI_STATUS open_file(EFI_SYSTEM_TABLE *system, EFI_HANDLE volume, const CHAR16 *name,
			    EFI_FILE_PROTOCOL **file)
{
	EFI_GUID guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
	EFI_SIMPLE_FILE_SYSTEM_PROTOCOL *filesystem;
	EFI_FILE_PROTOCOL *root;
	EFI_STATUS status;

	status = system->BootServices->HandleProtocol(volume, &guid, (void **)&filesystem);
	if (EFI_ERROR(status))
		return status;
	status = filesystem->OpenVolume(filesystem, &root);
	if (EFI_ERROR(status))
		return status;
	return root->Open(root, file, (CHAR16 *)name, EFI_FILE_MODE_READ, 0);
}

/* Reads all of a file into pages; those at *address for AllocateAddress, which it sets otherwise.
 */
static EFI_STATUS read_file(EFI_SYSTEM_TABLE *system, EFI_FILE_PROTOCOL *file,
			    EFI_ALLOCATE_TYPE where, EFI_MEMORY_TYPE type,
			    EFI_PHYSICAL_ADDRESS *address, UINTN *size)
{
	EFI_STATUS status;
	UINT64 end;

	/* Position "all ones" is the end of the file (UEFI 13.5). */
	file->SetPosition(file, ~0ULL);
	file->GetPosition(file, &end);
	file->SetPosition(file, 0);
	status = system->BootServices->AllocatePages(where, type, EFI_SIZE_TO_PAGES(end), address);
	if (EFI_ERROR(status))
		return status;
	*size = end;
	return file->Read(file, size, (void *)*address);
}

static EFI_STATUS read_program(EFI_SYSTEM_TABLE *system, EFI_HANDLE volume,
			       EFI_PHYSICAL_ADDRESS *address, UINTN *size)
{
	EFI_FILE_PROTOCOL *file;
	EFI_STATUS status;

	status = open_file(system, volume, L"\\next.efi", &file);
	if (EFI_ERROR(status))
		return status;
	return read_file(system, file, AllocateAnyPages, EfiLoaderData, address, size);
}

/* Reads \options, up to the first line end, as UCS-2; no such file: none. */
static EFI_STATUS read_options(EFI_SYSTEM_TABLE *system, EFI_HANDLE volume, CHAR16 *options)
{
	char text[OPTIONS_MAX];
	UINTN size = sizeof(text) - 1;
	EFI_FILE_PROTOCOL *file;
	EFI_STATUS status;
	UINTN i;

	status = open_file(system, volume, L"\\options", &file);
	if (status == EFI_NOT_FOUND)
		return EFI_SUCCESS;
	if (EFI_ERROR(status))
		return status;
	status = file->Read(file, &size, text);
	for (i = 0; i < size && text[i] != '\n'; i++)
		options[i] = (CHAR16)text[i];
	options[i] = 0;
	return status;
}

/* When the next program began, for those who measure. */
static void print_tsc(void)
{
	char line[64];

	format_string(line, sizeof(line), "\nchain: start at tsc %llu\n", __builtin_ia32_rdtsc());
	write_serial(line);
}

static void lock_vmx_if_asked(EFI_SYSTEM_TABLE *system, EFI_HANDLE volume)
{
	EFI_FILE_PROTOCOL *file;

	if (!EFI_ERROR(open_file(system, volume, L"\\lock-vmx", &file)))
		asm volatile("wrmsr"
			     :
			     : "c"(MSR_FEATURE_CONTROL), "a"(FEATURE_CONTROL_LOCKED), "d"(0));
}

static void shrink_screen_if_asked(EFI_SYSTEM_TABLE *system, EFI_HANDLE volume)
{
	EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *mode;
	EFI_GRAPHICS_OUTPUT_PROTOCOL *screen;
	EFI_FILE_PROTOCOL *file;
	UINTN size;

	if (EFI_ERROR(open_file(system, volume, L"\\small-screen", &file)) ||
	    EFI_ERROR(system->BootServices->LocateProtocol(&guid, NULL, (void **)&screen)))
		return;
	for (UINT32 i = 0; i < screen->Mode->MaxMode; i++) {
		if (EFI_ERROR(screen->QueryMode(screen, i, &size, &mode)) ||
		    mode->HorizontalResolution != SMALL_WIDTH ||
		    mode->VerticalResolution != SMALL_HEIGHT)
			continue;
		screen->SetMode(screen, i);
		return;
	}
}

/* 2 MiB above what EPT translates, and a range that wraps. */
static const struct {
	UINT64 start, pages;
} odd_ranges[] = { { 1ULL << 48, 512 }, { 0xfffffffffffff000, 0x0200000000000001 } };

#define ODD_RANGES (sizeof(odd_ranges) / sizeof(odd_ranges[0]))

static EFI_GET_MEMORY_MAP map_of_firmware;

static EFI_STATUS EFIAPI map_with_odd_ranges(UINTN *size, EFI_MEMORY_DESCRIPTOR *map, UINTN *key,
					     UINTN *descriptor_size, UINT32 *version)
{
	const UINTN capacity = *size;
	const EFI_STATUS status = map_of_firmware(size, map, key, descriptor_size, version);
	EFI_MEMORY_DESCRIPTOR *next;

	if (EFI_ERROR(status) && status != EFI_BUFFER_TOO_SMALL)
		return status;
	next = (EFI_MEMORY_DESCRIPTOR *)((UINT8 *)map + *size);
	*size += ODD_RANGES * *descriptor_size;
	if (EFI_ERROR(status) || *size > capacity)
		return EFI_BUFFER_TOO_SMALL;
	for (UINTN i = 0; i < ODD_RANGES; i++) {
		*next = (EFI_MEMORY_DESCRIPTOR){ .Type = EfiReservedMemoryType,
						 .PhysicalStart = odd_ranges[i].start,
						 .NumberOfPages = odd_ranges[i].pages };
		next = (EFI_MEMORY_DESCRIPTOR *)((UINT8 *)next + *descriptor_size);
	}
	return EFI_SUCCESS;
}

static void add_odd_ranges_if_asked(EFI_SYSTEM_TABLE *system, EFI_HANDLE volume)
{
	EFI_FILE_PROTOCOL *file;

	if (EFI_ERROR(open_file(system, volume, L"\\memory-map", &file)))
		return;
	map_of_firmware = system->BootServices->GetMemoryMap;
	system->BootServices->GetMemoryMap = map_with_odd_ranges;
}

static EFI_STATUS install_acpi_if_asked(EFI_SYSTEM_TABLE *system, EFI_HANDLE volume)
{
	EFI_GUID guid = ACPI_20_TABLE_GUID;
	EFI_PHYSICAL_ADDRESS address = ACPI_ADDRESS;
	EFI_FILE_PROTOCOL *file;
	EFI_STATUS status;
	UINTN size;

	if (EFI_ERROR(open_file(system, volume, L"\\acpi", &file)))
		return EFI_SUCCESS;
	status = read_file(system, file, AllocateAddress, EfiACPIReclaimMemory, &address, &size);
	if (EFI_ERROR(status))
		return status;
	return system->BootServices->InstallConfigurationTable(&guid, (void *)address);
}

/* There, back, and there again: both ways work. */
static EFI_STATUS switch_to_five_levels(EFI_SYSTEM_TABLE *system)
{
	EFI_PHYSICAL_ADDRESS block = TOP_BELOW_4G;
	const uint64_t four = read_cr3();
	EFI_STATUS status;
	uint64_t five;

	status = system->BootServices->AllocatePages(AllocateMaxAddress, EfiBootServicesData,
						     EFI_SIZE_TO_PAGES(LA57_MEMORY) + 1, &block);
	if (EFI_ERROR(status) || !la57_prepare(block))
		return EFI_OUT_OF_RESOURCES;
	five = la57_fifth_level(block + LA57_MEMORY, four);
	la57_switch(five);
	la57_switch(four);
	la57_switch(five);
	asm volatile("sti");
	return EFI_SUCCESS;
}

static EFI_STATUS use_five_levels_if_asked(EFI_SYSTEM_TABLE *system, EFI_HANDLE volume)
{
	EFI_FILE_PROTOCOL *file;
	EFI_STATUS status;
	char line[64];

	if (EFI_ERROR(open_file(system, volume, L"\\la57", &file)))
		return EFI_SUCCESS;
	if (!(read_cr4() & CR4_LA57)) {
		status = switch_to_five_levels(system);
		if (EFI_ERROR(status))
			return status;
	}
	format_string(line, sizeof(line), "\nchain: the firmware goes on, CR4 is %llx\n",
		      (unsigned long long)read_cr4());
	write_serial(line);
	return EFI_SUCCESS;
}

static EFI_STATUS forbid_execution_if_asked(EFI_SYSTEM_TABLE *system, EFI_HANDLE volume)
{
	EFI_FILE_PROTOCOL *file;

	if (EFI_ERROR(open_file(system, volume, L"\\no-execute", &file)))
		return EFI_SUCCESS;
	return forbid_execution(system);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
	EFI_GUID guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	static CHAR16 options[OPTIONS_MAX];
	EFI_LOADED_IMAGE_PROTOCOL *self;
	EFI_LOADED_IMAGE_PROTOCOL *next;
	EFI_PHYSICAL_ADDRESS program;
	EFI_HANDLE handle = NULL;
	EFI_STATUS status;
	UINTN size;

	status = system->BootServices->HandleProtocol(image, &guid, (void **)&self);
	if (EFI_ERROR(status))
		return status;
	status = use_five_levels_if_asked(system, self->DeviceHandle);
	if (EFI_ERROR(status))
		return status;
	status = forbid_execution_if_asked(system, self->DeviceHandle);
	if (EFI_ERROR(status))
		return status;
	status = read_program(system, self->DeviceHandle, &program, &size);
	if (EFI_ERROR(status))
		return status;
	status = read_options(system, self->DeviceHandle, options);
	if (EFI_ERROR(status))
		return status;
	status = install_acpi_if_asked(system, self->DeviceHandle);
	if (EFI_ERROR(status))
		return status;
	status =
		system->BootServices->LoadImage(FALSE, image, NULL, (void *)program, size, &handle);
	if (EFI_ERROR(status))
		return status;
	status = system->BootServices->HandleProtocol(handle, &guid, (void **)&next);
	if (EFI_ERROR(status))
		return status;
	/* Where the kernel finds what initrd= names, and Manfred its manfred.cfg. */
	next->DeviceHandle = self->DeviceHandle;
	next->LoadOptions = options;
	next->LoadOptionsSize = sizeof(options);
	lock_vmx_if_asked(system, self->DeviceHandle);
	shrink_screen_if_asked(system, self->DeviceHandle);
	add_odd_ranges_if_asked(system, self->DeviceHandle);
	print_tsc();
	return system->BootServices->StartImage(handle, NULL, NULL);
}
