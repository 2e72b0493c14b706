/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the boot volume: manfred.cfg (or fredcheck.cfg) and the guest's files, and the options that
 * the loader was started with.
 */
#include "boot/loader.h"
#include "lib/bzimage.h"
#include "lib/format.h"
#include "lib/layout.h"
#include "lib/multiboot.h"
#include "lib/string.h"
#include "lib/utf8.h"

#define CONFIG_SUFFIX	 ".cfg"
#define CONFIG_SIZE_MAX	 0x10000
#define OPTIONS_SIZE_MAX 4096
#define FILE_NAME_MAX	 256
/* Some firmware cannot read many MiB at once. */
#define READ_CHUNK   0x100000
#define INITRD_BELOW 0x80000000ULL
/* No file system's own: the path is that of a folder. */
#define IS_A_FOLDER EFI_LOAD_ERROR
#define CHAR16_LAST 0xffffU

struct file {
	EFI_FILE_HANDLE handle;
	uint64_t size; /* bytes */
};

bool open_volume(struct loader *loader)
{
	EFI_GUID image_guid = LOADED_IMAGE_PROTOCOL;
	EFI_GUID volume_guid = SIMPLE_FILE_SYSTEM_PROTOCOL;
	void *image, *volume;
	EFI_STATUS status = loader->boot->HandleProtocol(loader->image, &image_guid, &image);

	if (!EFI_ERROR(status)) {
		loader->loaded_image = image;
		status = loader->boot->HandleProtocol(loader->loaded_image->DeviceHandle,
						      &volume_guid, &volume);
	}
	if (!EFI_ERROR(status)) {
		EFI_FILE_IO_INTERFACE *const file_system = volume;

		status = file_system->OpenVolume(file_system, &loader->volume);
	}
	if (EFI_ERROR(status))
		return firmware_failed(loader, status,
				       "cannot open the volume that this program was started from: "
				       "start it from a FAT file system");
	return true;
}

const char *volume_trouble(EFI_STATUS status)
{
	static char other[64];

	switch (status) {
	case EFI_NOT_FOUND:
		return "not found on the boot volume";
	case IS_A_FOLDER:
		return "is a folder: name a file in it";
	case EFI_INVALID_PARAMETER:
		return "no file can have this name";
	case EFI_NO_MEDIA:
	case EFI_MEDIA_CHANGED:
		return "the boot volume is gone: has the stick been pulled out?";
	case EFI_DEVICE_ERROR:
		return "the boot volume reports an error: try another stick, or another port";
	case EFI_VOLUME_CORRUPTED:
		return "the boot volume's file system is damaged: write the stick again";
	case EFI_VOLUME_FULL:
		return "the boot volume is full";
	case EFI_WRITE_PROTECTED:
		return "the boot volume is read-only";
	default:
		format_string(other, sizeof(other), "the firmware refuses (status 0x%lx)",
			      (unsigned long)status);
		return other;
	}
}

/* For the end line. */
static const char *reason_of(EFI_STATUS status)
{
	return status == EFI_NOT_FOUND || status == IS_A_FOLDER || status == EFI_INVALID_PARAMETER
		       ? "missing-file"
		       : "boot-volume";
}

/* As the firmware writes it; what no name can have becomes a '*', which no file has. */
static void firmware_path(CHAR16 name[CONFIG_PATH_MAX], const char *path)
{
	const size_t length = strnlen(path, CONFIG_PATH_MAX - 1);
	size_t count = 0;

	for (size_t at = 0, size; at < length; at += size) {
		uint32_t c;

		size = utf8_take(path + at, length - at, &c);
		if (size == 0 || c > CHAR16_LAST) {
			size = size == 0 ? 1 : size;
			c = '*';
		}
		name[count++] = c == '/' ? L'\\' : (CHAR16)c;
	}
	name[count] = L'\0';
}

static EFI_STATUS open_file(struct loader *loader, const char *path, struct file *file)
{
	EFI_GUID info_guid = EFI_FILE_INFO_ID;
	union {
		EFI_FILE_INFO info;
		uint8_t bytes[sizeof(EFI_FILE_INFO) + FILE_NAME_MAX * sizeof(CHAR16)];
	} buffer;
	UINTN size = sizeof(buffer);
	CHAR16 name[CONFIG_PATH_MAX];
	EFI_STATUS status;

	firmware_path(name, path);
	status = loader->volume->Open(loader->volume, &file->handle, name, EFI_FILE_MODE_READ, 0);
	if (EFI_ERROR(status))
		return status;
	status = file->handle->GetInfo(file->handle, &info_guid, &size, &buffer);
	if (!EFI_ERROR(status) && (buffer.info.Attribute & EFI_FILE_DIRECTORY))
		status = IS_A_FOLDER;
	if (EFI_ERROR(status))
		file->handle->Close(file->handle);
	file->size = buffer.info.FileSize;
	return status;
}

/* Read all of the file, and close it whatever comes. */
static EFI_STATUS read_file(const struct file *file, uint64_t to)
{
	EFI_STATUS status = EFI_SUCCESS;
	uint64_t done = 0;

	while (done < file->size && !EFI_ERROR(status)) {
		const uint64_t left = file->size - done;
		UINTN chunk = left < READ_CHUNK ? (UINTN)left : READ_CHUNK;

		status = file->handle->Read(file->handle, &chunk, (void *)(uintptr_t)(to + done));
		if (!EFI_ERROR(status) && chunk == 0)
			status = EFI_END_OF_FILE;
		done += chunk;
	}
	file->handle->Close(file->handle);
	return status;
}

/*
 * Load an open file into pages, below `below` if that is possible, and close it.
 * `key` names it in messages.
 */
static bool load_open_file(struct loader *loader, const struct file *file, const char *key,
			   uint64_t below, struct boot_file *loaded)
{
	const uint64_t size = file->size > 0 ? file->size : 1;
	EFI_STATUS status;

	loaded->base = allocate_memory(loader, size, PAGE_SIZE, below);
	if (loaded->base == 0)
		loaded->base = allocate_memory(loader, size, PAGE_SIZE, ANYWHERE);
	if (loaded->base == 0) {
		file->handle->Close(file->handle);
		return loader_fail(loader, EFI_OUT_OF_RESOURCES, "no-memory",
				   "%s of %llu MiB does not fit: largest free block is %llu MiB",
				   key, MIB(size), MIB(largest_free_block(loader, ANYWHERE)));
	}
	loaded->size = file->size;
	status = read_file(file, loaded->base);
	if (EFI_ERROR(status))
		return loader_fail(loader, status, reason_of(status), "%s cannot be read: %s", key,
				   volume_trouble(status));
	return true;
}

/* Say what is wrong with the configuration file (line 0: with no line of it). */
static bool config_failed(struct loader *loader, const struct config_error *error)
{
	if (error->line != 0)
		console_print("%s" CONFIG_SUFFIX ":%u: %s", loader->program, error->line,
			      error->text);
	else
		console_print("%s" CONFIG_SUFFIX ": %s", loader->program, error->text);
	loader->status = EFI_INVALID_PARAMETER;
	loader->reason = "config";
	return false;
}

bool read_config(struct loader *loader)
{
	struct config_error error;
	struct boot_file text;
	struct file file;
	char name[CONFIG_PATH_MAX];
	EFI_STATUS status;

	format_string(name, sizeof(name), "\\%s" CONFIG_SUFFIX, loader->program);
	status = open_file(loader, name, &file);
	config_defaults(&loader->info.config);
	if (status == EFI_NOT_FOUND && !loader->config_needed)
		return true;
	if (status == EFI_NOT_FOUND)
		return loader_fail(loader, status, "missing-file",
				   "manfred.cfg: not found on the boot volume: put one into its "
				   "root folder, for a start with the line: guest = selftest");
	if (EFI_ERROR(status))
		return loader_fail(loader, status, reason_of(status), "%s: %s", name + 1,
				   volume_trouble(status));
	if (file.size > CONFIG_SIZE_MAX) {
		file.handle->Close(file.handle);
		return loader_fail(loader, EFI_INVALID_PARAMETER, "config",
				   "%s" CONFIG_SUFFIX ": has %llu bytes, at most %d are allowed",
				   loader->program, (unsigned long long)file.size, CONFIG_SIZE_MAX);
	}
	if (!load_open_file(loader, &file, name + 1, ANYWHERE, &text))
		return false;
	return config_parse_file(&loader->info.config, (const char *)(uintptr_t)text.base,
				 (size_t)text.size, &error) ||
	       config_failed(loader, &error);
}

/*
 * The options as ASCII text. Boot entries may hold any bytes there: false when
 * these are not text, and nothing is left of them.
 */
static bool options_as_text(const EFI_LOADED_IMAGE *image, char text[OPTIONS_SIZE_MAX])
{
	const CHAR16 *options = image->LoadOptions;
	const size_t length = options == NULL ? 0 : image->LoadOptionsSize / sizeof(CHAR16);
	size_t used;

	text[0] = '\0';
	for (used = 0; used < length && options[used] != L'\0'; used++) {
		const CHAR16 c = options[used];

		if (used == OPTIONS_SIZE_MAX - 1 || ((c < L' ' || c > L'~') && c != L'\t')) {
			text[0] = '\0';
			return false;
		}
		text[used] = (char)c;
	}
	text[used] = '\0';
	return true;
}

bool read_options(struct loader *loader)
{
	static char text[OPTIONS_SIZE_MAX];
	struct config *config = &loader->info.config;
	struct config_error error;
	const char *options;

	if (!options_as_text(loader->loaded_image, text))
		loader_log(loader, "the options of the boot entry are not plain text: ignored");
	options = config_skip_program(text, loader->program);
	if (!config_parse_options(config, options, strlen(options), &error))
		return loader_fail(loader, EFI_INVALID_PARAMETER, "config", "options: %s",
				   error.text);
	if (!config_complete(config, &error))
		return config_failed(loader, &error);
	console_configure(loader);
	return true;
}

/* A key, behind its guest's name where the file has sections. */
static const char *key_of(const struct guest_config *guest, const char *key)
{
	static char text[CONFIG_NAME_MAX + 32];

	if (guest->line == 0)
		return key;
	format_string(text, sizeof(text), "guest %s: %s", guest->name, key);
	return text;
}

/* Load one file of a guest; key and path are as in manfred.cfg. */
static bool load_file(struct loader *loader, const char *key, const char *path, uint64_t below,
		      struct boot_file *loaded)
{
	struct file file;
	EFI_STATUS status = open_file(loader, path, &file);

	if (EFI_ERROR(status))
		return loader_fail(loader, status, reason_of(status), "%s = %s: %s", key, path,
				   volume_trouble(status));
	if (file.size == 0) {
		file.handle->Close(file.handle);
		return loader_fail(loader, EFI_LOAD_ERROR, "bad-file", "%s = %s: the file is empty",
				   key, path);
	}
	if (!load_open_file(loader, &file, key, below, loaded))
		return false;
	loader_log(loader, "%s %s %llu KiB at 0x%llx", key, path,
		   (unsigned long long)(file.size >> 10), (unsigned long long)loaded->base);
	return true;
}

bool load_program(struct loader *loader, const char *path, struct boot_file *program)
{
	return load_file(loader, "program", path, ANYWHERE, program);
}

/* While there still is a firmware to go back to; the VMM looks at it once more. */
static bool check_kernel(struct loader *loader, const struct guest_config *guest,
			 const struct boot_file *kernel)
{
	const void *const file = (const void *)(uintptr_t)kernel->base;
	struct multiboot_kernel multiboot;
	struct bzimage bzimage;
	const char *const error = guest->kind == GUEST_LINUX
					  ? bzimage_parse(file, (size_t)kernel->size, &bzimage)
					  : multiboot_parse(file, (size_t)kernel->size, &multiboot);

	return error == NULL || loader_fail(loader, EFI_LOAD_ERROR, "bad-kernel", "%s = %s: %s",
					    key_of(guest, "kernel"), guest->kernel, error);
}

/* Old kernels want the initrd below 2 GiB; Multiboot has 32-bit addresses for its modules. */
static bool load_files_of(struct loader *loader, const struct guest_config *guest,
			  struct boot_guest *files)
{
	loader_log(loader, "%s = %s", key_of(guest, "guest"), config_guest_name(guest->kind));
	if (guest->kind == GUEST_SELFTEST)
		return true;
	if (!load_file(loader, key_of(guest, "kernel"), guest->kernel, ANYWHERE, &files->kernel))
		return false;
	if (guest->initrd[0] != '\0' && !load_file(loader, key_of(guest, "initrd"), guest->initrd,
						   INITRD_BELOW, &files->initrd))
		return false;
	for (uint32_t i = 0; i < guest->module_count; i++)
		if (!load_file(loader, key_of(guest, "module"), guest->modules[i], BELOW_4G,
			       &files->modules[i]))
			return false;
	return check_kernel(loader, guest, &files->kernel);
}

bool load_guest_files(struct loader *loader)
{
	struct boot_info *const info = &loader->info;

	memset(info->guests, 0, sizeof(info->guests)); /* of a start that has failed */
	for (uint32_t i = 0; i < info->config.guest_count; i++)
		if (!load_files_of(loader, &info->config.guests[i], &info->guests[i]))
			return false;
	return true;
}
