/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the memory of the log, which outlives a reset: where it is, and which of what looks like a
 * log was written by Manfred.
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

/* Not for the time behind ExitBootServices: no guest can ask for them, even one with the firmware.
 */
#define VARIABLE_LASTING (EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS)
#define VARIABLE_OF_BOOT EFI_VARIABLE_BOOTSERVICE_ACCESS

/*
 * Where the log may lie. The same places in every boot, so that the next one finds it: above what
 * firmware uses at the low end, and kernels that are not asked, and below the high end, where it
 * takes its own memory from.
 */
static const uint64_t places[] = {
	0x8000000, 0xc000000, 0x10000000, 0x18000000, 0x20000000, 0x30000000, 0x40000000,
};

static const uint16_t key_name[] = L"ManfredLogKey";
static const uint16_t place_name[] = L"ManfredLogPlace";

static struct logring *last_ring; /* of the boot before */
static bool last_ring_is_apart;	  /* not where this one is to be */
static struct logring *ring;	  /* of this one */
static uint64_t key;

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
 * The firmware keeps the key from boot to boot. Who forges a log has six tries or so in each boot,
 * so that the clock is random enough. False: there was none before this boot.
 */
static bool find_key(struct loader *loader)
{
	if (firmware_get_number(loader, key_name, VARIABLE_LASTING, &key))
		return true;
	key = read_tsc();
	firmware_set_number(loader, key_name, VARIABLE_LASTING, key);
	return false;
}

/*
 * A guest with the devices can write what looks like a log to all places but the one that is ours.
 * The key tells which one is ours, whatever the firmware's map has become. Without a key from
 * before there is only the place: the log is always at the first that is free, and no other counts.
 */
static struct logring *open_ring(uint64_t place, bool first, bool key_is_known)
{
	struct logring *const found = logring_open((void *)(uintptr_t)place, LOG_SIZE);

	if (!found || found->mark.place != place)
		return NULL;
	return (key_is_known ? found->mark.key == key : first) ? found : NULL;
}

/*
 * Only memory that the firmware calls free is looked at, or what an earlier start of this boot has
 * taken: that one has failed, and the guests of this one must not get its memory, with the key in
 * it. The place is none of the loader's allocations: firmware may clear what is given back.
 */
void logs_find(struct loader *loader)
{
	struct boot_info *const info = &loader->info;
	const bool key_is_known = find_key(loader);
	uint64_t earlier = 0;

	last_ring = NULL;
	firmware_get_number(loader, place_name, VARIABLE_OF_BOOT, &earlier);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const uint64_t place = places[i];
		const bool first = info->log_base == 0;
		struct logring *found;

		if (place != earlier && !claim(loader, place))
			continue;
		found = last_ring ? NULL : open_ring(place, first, key_is_known);
		if (first) {
			info->log_base = place;
			info->log_size = LOG_SIZE;
		}
		if (found) {
			last_ring = found;
			last_ring_is_apart = !first;
		} else if (!first) {
			give_back(loader, place);
		}
	}
	if (info->log_base != 0)
		firmware_set_number(loader, place_name, VARIABLE_OF_BOOT, info->log_base);
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
	if (write_file(loader, LOG_NAME, LOG_NAME_BEFORE, pieces,
		       sizeof(pieces) / sizeof(pieces[0])))
		loader_log(loader,
			   "the log of the boot before was still in memory: \\manfred.log "
			   "has its %llu bytes%s",
			   (unsigned long long)read.length,
			   read.gaps != 0 ? ", with gaps where it is damaged" : "");
}

void logs_save(struct loader *loader)
{
	struct boot_info *const info = &loader->info;
	const struct logring_mark mark = { read_tsc(), key, info->log_base };
	uint64_t text;

	recover_file(loader, LOG_NAME);
	if (info->log_base == 0) {
		loader_log(loader, "no memory for a log that survives a reset");
		return;
	}
	if (last_ring) {
		text = allocate_memory(loader, LOG_SIZE, PAGE_SIZE, ANYWHERE);
		if (text != 0)
			save(loader, (char *)(uintptr_t)text);
		if (last_ring_is_apart)
			give_back(loader, last_ring->mark.place);
	} else {
		loader_log(loader, "no log of a boot before has survived in memory");
	}
	logring_written = write_back;
	ring = logring_create((void *)(uintptr_t)info->log_base, LOG_SIZE, &mark);
}

void logs_line(const char *line, size_t length)
{
	if (ring)
		logring_write(ring, line, length);
}
