/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the files that the loader writes. Power can be cut at any time: the new file is written
 * beside the old one, and takes its name when it is complete. What cannot be written is said in a
 * line, and the boot goes on.
 */
#include "boot/loader.h"
#include "lib/format.h"
#include "lib/string.h"

#define NAME_SIZE 32
#define NEW	  ".new" /* behind the name of a file that is being written */

static void widen(CHAR16 wide[NAME_SIZE], const char *name)
{
	const size_t length = strnlen(name, NAME_SIZE - 1);

	memset(wide, 0, NAME_SIZE * sizeof(wide[0]));
	for (size_t i = 0; i < length; i++)
		wide[i] = (uint8_t)name[i];
}

/* `name` lies in the root folder, and must be shorter than NAME_SIZE. */
static EFI_STATUS open_file(struct loader *loader, const char *name, UINT64 mode,
			    EFI_FILE_HANDLE *file)
{
	CHAR16 wide[NAME_SIZE];

	widen(wide, name);
	return loader->volume->Open(loader->volume, file, wide,
				    mode | EFI_FILE_MODE_READ | EFI_FILE_MODE_WRITE, 0);
}

static bool exists(struct loader *loader, const char *name)
{
	EFI_FILE_HANDLE file;

	if (EFI_ERROR(open_file(loader, name, 0, &file)))
		return false;
	file->Close(file);
	return true;
}

static void remove_file(struct loader *loader, const char *name)
{
	EFI_FILE_HANDLE file;

	if (!EFI_ERROR(open_file(loader, name, 0, &file)))
		file->Delete(file);
}

/* There must be no file of the name `to`. */
static EFI_STATUS rename_file(struct loader *loader, const char *name, const char *to)
{
	EFI_GUID info_guid = EFI_FILE_INFO_ID;
	union {
		EFI_FILE_INFO info;
		uint8_t bytes[sizeof(EFI_FILE_INFO) + NAME_SIZE * sizeof(CHAR16)];
	} buffer;
	UINTN size = sizeof(buffer);
	EFI_FILE_HANDLE file;
	EFI_STATUS status;

	status = open_file(loader, name, 0, &file);
	if (EFI_ERROR(status))
		return status;
	status = file->GetInfo(file, &info_guid, &size, &buffer);
	if (!EFI_ERROR(status)) {
		widen(buffer.info.FileName, to);
		buffer.info.Size = offsetof(EFI_FILE_INFO, FileName) +
				   (strnlen(to, NAME_SIZE) + 1) * sizeof(CHAR16);
		status = file->SetInfo(file, &info_guid, (UINTN)buffer.info.Size, &buffer);
	}
	file->Close(file);
	return status;
}

static EFI_STATUS write_pieces(EFI_FILE_HANDLE file, const struct text_piece *pieces, size_t count)
{
	EFI_STATUS status = EFI_SUCCESS;

	for (size_t i = 0; i < count && !EFI_ERROR(status); i++) {
		UINTN size = pieces[i].length;

		status = file->Write(file, &size, (void *)(uintptr_t)pieces[i].text);
	}
	return EFI_ERROR(status) ? status : file->Flush(file);
}

static EFI_STATUS create_file(struct loader *loader, const char *name,
			      const struct text_piece *pieces, size_t count)
{
	EFI_FILE_HANDLE file;
	EFI_STATUS status;

	/* Else what is behind the end of a shorter text would stay. */
	remove_file(loader, name);
	status = open_file(loader, name, EFI_FILE_MODE_CREATE, &file);
	if (EFI_ERROR(status))
		return status;
	status = write_pieces(file, pieces, count);
	/* Better none than half of one. */
	if (EFI_ERROR(status))
		file->Delete(file);
	else
		file->Close(file);
	return status;
}

/* Where the firmware cannot rename, the new file stays until there is a second one of it. */
static EFI_STATUS put_in_place(struct loader *loader, const char *new, const char *name,
			       const struct text_piece *pieces, size_t count)
{
	EFI_STATUS status = rename_file(loader, new, name);

	if (!EFI_ERROR(status))
		return status;
	status = create_file(loader, name, pieces, count);
	if (!EFI_ERROR(status))
		remove_file(loader, new);
	return status;
}

bool write_file(struct loader *loader, const char *name, const char *before,
		const struct text_piece *pieces, size_t count)
{
	char new[NAME_SIZE];
	EFI_STATUS status;

	format_string(new, sizeof(new), "%s" NEW, name);
	status = create_file(loader, new, pieces, count);
	if (status == EFI_VOLUME_FULL && before != NULL) {
		/* The oldest gives way. */
		remove_file(loader, before);
		status = create_file(loader, new, pieces, count);
	}
	if (!EFI_ERROR(status)) {
		if (before != NULL && exists(loader, name)) {
			remove_file(loader, before);
			rename_file(loader, name, before);
		}
		remove_file(loader, name);
		status = put_in_place(loader, new, name, pieces, count);
	}
	if (!EFI_ERROR(status))
		return true;
	console_print("%s: \\%s is not written: %s", loader->program, name, volume_trouble(status));
	return false;
}

/* The old file is touched only when the new one is complete. */
void recover_file(struct loader *loader, const char *name)
{
	char new[NAME_SIZE];

	format_string(new, sizeof(new), "%s" NEW, name);
	if (!exists(loader, name))
		rename_file(loader, new, name);
}
