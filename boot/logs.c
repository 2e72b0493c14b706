/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the memory of the log, which outlives a reset, and the files that the loader writes. What
 * cannot be written is said in a line, and the boot goes on.
 */
#include "boot/cpu.h"
#include "boot/loader.h"
#include "lib/crc32.h"
#include "lib/format.h"
#include "lib/layout.h"
#include "lib/logring.h"
#include "lib/string.h"

#define LOG_SIZE	0x40000ULL
#define LOG_NAME	"manfred.log"
#define LOG_NAME_BEFORE "manfred.old"
#define LAST_LINE_MAX	160
#define CACHE_LINE	64U
#define NAME_SIZE	32

/*
 * Where the log may lie. The same places in every boot, so that the next one finds it: above what
 * firmware uses at the low end, and kernels that are not asked, and below the high end, where it
 * takes its own memory from.
 */
static const uint64_t places[] = {
	0x8000000, 0xc000000, 0x10000000, 0x18000000, 0x20000000, 0x30000000, 0x40000000,
};

static struct logring *last_ring; /* of the boot before */
static struct logring *ring;	  /* of this one */

static void write_back(const void *start, size_t size)
{
	const uintptr_t end = (uintptr_t)start + size;

	for (uintptr_t line = (uintptr_t)start & ~(uintptr_t)(CACHE_LINE - 1); line < end;
	     line += CACHE_LINE)
		flush_cache_line((const void *)line);
}

static bool claim(struct loader *loader, uint64_t place)
{
	EFI_PHYSICAL_ADDRESS base = place;

	return !EFI_ERROR(loader->boot->AllocatePages(AllocateAddress, EfiLoaderData,
						      LOG_SIZE / PAGE_SIZE, &base));
}

static void give_back(struct loader *loader, uint64_t place)
{
	/* So that a later boot does not take it for news. */
	memset((void *)(uintptr_t)place, 0, PAGE_SIZE);
	loader->boot->FreePages(place, LOG_SIZE / PAGE_SIZE);
}

/*
 * Only memory that the firmware calls free is looked at. Of several logs the last is the newest: a
 * start that has failed keeps its place, and the next start before a reset takes another. The place
 * is none of the loader's allocations: firmware may clear what is given back.
 */
void logs_find(struct loader *loader)
{
	struct boot_info *const info = &loader->info;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct logring *found;

		if (!claim(loader, places[i]))
			continue;
		found = logring_open((void *)(uintptr_t)places[i], LOG_SIZE);
		if (info->log_base != 0 && !found) {
			give_back(loader, places[i]);
			continue;
		}
		if (info->log_base != 0)
			give_back(loader, info->log_base);
		info->log_base = places[i];
		info->log_size = LOG_SIZE;
		last_ring = found;
	}
}

/* `name` lies in the root folder, and must be shorter than NAME_SIZE. */
static EFI_STATUS open_file(struct loader *loader, const char *name, UINT64 mode,
			    EFI_FILE_HANDLE *file)
{
	const size_t length = strnlen(name, NAME_SIZE - 1);
	CHAR16 wide[NAME_SIZE] = { 0 };

	for (size_t i = 0; i < length; i++)
		wide[i] = (uint8_t)name[i];
	return loader->volume->Open(loader->volume, file, wide,
				    mode | EFI_FILE_MODE_READ | EFI_FILE_MODE_WRITE, 0);
}

static void remove_file(struct loader *loader, const char *name)
{
	EFI_FILE_HANDLE file;

	if (!EFI_ERROR(open_file(loader, name, 0, &file)))
		file->Delete(file);
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

bool logs_write_file(struct loader *loader, const char *name, const struct text_piece *pieces,
		     size_t count)
{
	EFI_FILE_HANDLE file;
	EFI_STATUS status;

	/* Else what is behind the end of a shorter text would stay. */
	remove_file(loader, name);
	status = open_file(loader, name, EFI_FILE_MODE_CREATE, &file);
	if (!EFI_ERROR(status)) {
		status = write_pieces(file, pieces, count);
		/* Better none than half of one. */
		if (EFI_ERROR(status))
			file->Delete(file);
		else
			file->Close(file);
	}
	if (!EFI_ERROR(status))
		return true;
	console_print("%s: \\%s is not written: %s", loader->program, name, volume_trouble(status));
	return false;
}

/* The file of the boot before: there may be none, and it is no harm when this fails. */
static void keep_before(struct loader *loader)
{
	static const CHAR16 name_before[] = L"" LOG_NAME_BEFORE;
	EFI_GUID info_guid = EFI_FILE_INFO_ID;
	union {
		EFI_FILE_INFO info;
		uint8_t bytes[sizeof(EFI_FILE_INFO) + NAME_SIZE * sizeof(CHAR16)];
	} buffer;
	UINTN size = sizeof(buffer);
	EFI_FILE_HANDLE file;

	if (EFI_ERROR(open_file(loader, LOG_NAME, 0, &file)))
		return;
	remove_file(loader, LOG_NAME_BEFORE);
	if (!EFI_ERROR(file->GetInfo(file, &info_guid, &size, &buffer))) {
		memcpy(buffer.info.FileName, name_before, sizeof(name_before));
		buffer.info.Size = offsetof(EFI_FILE_INFO, FileName) + sizeof(name_before);
		file->SetInfo(file, &info_guid, (UINTN)buffer.info.Size, &buffer);
	}
	file->Close(file);
}

static void save(struct loader *loader, char *text)
{
	const struct logring_text read = logring_read(last_ring, text);
	char last[LAST_LINE_MAX];
	const int length =
		format_string(last, sizeof(last),
			      "manfred.log: crc32=%08x bytes=%llu records=%u gaps=%u cut=%s\n",
			      crc32(0, text, read.length), (unsigned long long)read.length,
			      read.records, read.gaps, read.cut ? "yes" : "no");
	const struct text_piece pieces[] = { { text, read.length }, { last, (size_t)length } };

	if (read.records == 0) {
		loader_log(loader, "the log of the boot before did not survive: it is damaged");
		return;
	}
	keep_before(loader);
	if (logs_write_file(loader, LOG_NAME, pieces, sizeof(pieces) / sizeof(pieces[0])))
		loader_log(loader,
			   "the log of the boot before was still in memory: \\manfred.log "
			   "has its %llu bytes%s",
			   (unsigned long long)read.length,
			   read.gaps != 0 ? ", with gaps where it is damaged" : "");
}

void logs_save(struct loader *loader)
{
	struct boot_info *const info = &loader->info;
	uint64_t text;

	if (info->log_base == 0) {
		loader_log(loader, "no memory for a log that survives a reset");
		return;
	}
	if (last_ring) {
		text = allocate_memory(loader, LOG_SIZE, PAGE_SIZE, ANYWHERE);
		if (text != 0)
			save(loader, (char *)(uintptr_t)text);
	} else {
		loader_log(loader, "no log of a boot before has survived in memory");
	}
	logring_written = write_back;
	ring = logring_create((void *)(uintptr_t)info->log_base, LOG_SIZE, read_tsc());
}

void logs_line(const char *line, size_t length)
{
	if (ring)
		logring_write(ring, line, length);
}
