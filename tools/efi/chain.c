/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts \next.efi with the text of \options as its options. With a Linux kernel,
 * which is a UEFI application too, that is Linux without Manfred, to compare with.
 * With Manfred and a file \lock-vmx it is a machine whose firmware has locked VMX
 * off; with a file \acpi one whose firmware has these ACPI tables. The file is
 * their memory from ACPI_ADDRESS on, and begins with the root pointer.
 */
#include <efi.h>

#include "lib/format.h"
#include "tools/efi/serial.h"

#define OPTIONS_MAX	       2048
#define MSR_FEATURE_CONTROL    0x3a
#define FEATURE_CONTROL_LOCKED 1U
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
	print_tsc();
	return system->BootServices->StartImage(handle, NULL, NULL);
}
