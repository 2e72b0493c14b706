/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts \vmlinuz on the bare machine through its EFI stub, with the text of
 * \cmdline as its command line: Linux without Manfred, to compare with.
 */
#include <efi.h>

#define CMDLINE_MAX 2048

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

/* Reads all of \vmlinuz into pages. */
static EFI_STATUS read_kernel(EFI_SYSTEM_TABLE *system, EFI_HANDLE volume, void **data, UINTN *size)
{
	EFI_PHYSICAL_ADDRESS address;
	EFI_FILE_PROTOCOL *file;
	EFI_STATUS status;
	UINT64 end;

	status = open_file(system, volume, L"\\vmlinuz", &file);
	if (EFI_ERROR(status))
		return status;
	/* Position "all ones" is the end of the file (UEFI 13.5). */
	file->SetPosition(file, ~0ULL);
	file->GetPosition(file, &end);
	file->SetPosition(file, 0);
	status = system->BootServices->AllocatePages(AllocateAnyPages, EfiLoaderData,
						     EFI_SIZE_TO_PAGES(end), &address);
	if (EFI_ERROR(status))
		return status;
	*data = (void *)address;
	*size = end;
	return file->Read(file, size, *data);
}

/* Reads \cmdline, up to the first line end, as UCS-2. */
static EFI_STATUS read_cmdline(EFI_SYSTEM_TABLE *system, EFI_HANDLE volume, CHAR16 *cmdline)
{
	char text[CMDLINE_MAX];
	UINTN size = sizeof(text) - 1;
	EFI_FILE_PROTOCOL *file;
	EFI_STATUS status;
	UINTN i;

	status = open_file(system, volume, L"\\cmdline", &file);
	if (EFI_ERROR(status))
		return status;
	status = file->Read(file, &size, text);
	for (i = 0; i < size && text[i] != '\n'; i++)
		cmdline[i] = (CHAR16)text[i];
	cmdline[i] = 0;
	return status;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
	EFI_GUID guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	static CHAR16 cmdline[CMDLINE_MAX];
	EFI_LOADED_IMAGE_PROTOCOL *self;
	EFI_LOADED_IMAGE_PROTOCOL *kernel;
	EFI_HANDLE handle = NULL;
	EFI_STATUS status;
	UINTN size;
	void *data;

	status = system->BootServices->HandleProtocol(image, &guid, (void **)&self);
	if (EFI_ERROR(status))
		return status;
	status = read_kernel(system, self->DeviceHandle, &data, &size);
	if (EFI_ERROR(status))
		return status;
	status = read_cmdline(system, self->DeviceHandle, cmdline);
	if (EFI_ERROR(status))
		return status;
	status = system->BootServices->LoadImage(FALSE, image, NULL, data, size, &handle);
	if (EFI_ERROR(status))
		return status;
	status = system->BootServices->HandleProtocol(handle, &guid, (void **)&kernel);
	if (EFI_ERROR(status))
		return status;
	/* Where the stub finds the file that initrd= names. */
	kernel->DeviceHandle = self->DeviceHandle;
	kernel->LoadOptions = cmdline;
	kernel->LoadOptionsSize = sizeof(cmdline);
	return system->BootServices->StartImage(handle, NULL, NULL);
}
