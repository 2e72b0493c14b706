/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the format of the log in memory. */
#include "lib/logring.h"

#include "lib/crc32.h"
#include "lib/string.h"

#define MAGIC	      0x32474f4c464e414dULL /* "MANFLOG2", little endian */
#define RECORD_ALIGN  16U
#define TEXT_MAX      1024U /* of a record; longer text has several */
#define POSITION_LAST (1ULL << 62)

/* The text follows. A record lies at its position modulo the ring's capacity. */
struct record {
	uint32_t check; /* CRC-32 of the session, the fields below, and the text */
	uint32_t length;
	uint64_t position;
};

_Static_assert(sizeof(struct record) == RECORD_ALIGN, "so that the end never cuts one");
_Static_assert(sizeof(struct logring) % RECORD_ALIGN == 0, "so that records are aligned");

void (*logring_written)(const void *start, size_t size);

static void written(const void *start, size_t size)
{
	if (logring_written)
		logring_written(start, size);
}

static uint32_t header_check(const struct logring *log)
{
	return crc32(0, log, offsetof(struct logring, check));
}

static uint64_t record_size(uint32_t length)
{
	return sizeof(struct record) + ((length + RECORD_ALIGN - 1) & ~(RECORD_ALIGN - 1));
}

/* How much of `length` bytes from here on lies before the ring's end. */
static size_t before_end(const struct logring *log, uint64_t position, size_t length)
{
	const size_t left = log->capacity - (size_t)(position % log->capacity);

	return length < left ? length : left;
}

static uint32_t record_check(const struct logring *log, const struct record *record)
{
	const uint64_t text = record->position + sizeof(*record);
	const size_t head = before_end(log, text, record->length);
	uint32_t check = crc32(0, &log->mark.session, sizeof(log->mark.session));

	check = crc32(check, &record->length, sizeof(*record) - sizeof(record->check));
	check = crc32(check, &log->ring[text % log->capacity], head);
	return crc32(check, log->ring, record->length - head);
}

struct logring *logring_create(void *memory, size_t size, const struct logring_mark *mark)
{
	struct logring *const log = memory;

	if (size < sizeof(*log) + 2 * record_size(TEXT_MAX) || size > UINT32_MAX)
		return NULL;
	memset(memory, 0, size);
	log->magic = MAGIC;
	log->mark = *mark;
	log->capacity = (uint32_t)(size - sizeof(*log)) & ~(RECORD_ALIGN - 1);
	log->check = header_check(log);
	written(memory, size);
	return log;
}

struct logring *logring_open(void *memory, size_t size)
{
	struct logring *const log = memory;

	if (size < sizeof(*log) || log->magic != MAGIC || log->check != header_check(log) ||
	    log->capacity > size - sizeof(*log) || log->capacity < 2 * record_size(TEXT_MAX) ||
	    log->capacity % RECORD_ALIGN != 0)
		return NULL;
	return log;
}

static void copy_in(struct logring *log, uint64_t position, const char *text, size_t length)
{
	const size_t head = before_end(log, position, length);

	memcpy(&log->ring[position % log->capacity], text, head);
	memcpy(log->ring, text + head, length - head);
	written(&log->ring[position % log->capacity], head);
	written(log->ring, length - head);
}

/* The place is taken first, so that whoever interrupts takes another. */
static void write_record(struct logring *log, const char *text, uint32_t length)
{
	const uint64_t position =
		__atomic_fetch_add(&log->next, record_size(length), __ATOMIC_RELAXED);
	struct record record = { .length = length, .position = position };

	copy_in(log, position + sizeof(record), text, length);
	record.check = record_check(log, &record);
	copy_in(log, position, (const char *)&record, sizeof(record));
	written(log, sizeof(*log));
}

void logring_write(struct logring *log, const char *text, size_t length)
{
	while (length > 0) {
		const uint32_t part = length < TEXT_MAX ? (uint32_t)length : TEXT_MAX;

		write_record(log, text, part);
		text += part;
		length -= part;
	}
}

/* The record at this position, when there is a sound one that ends by `end`. */
static bool sound_record(const struct logring *log, uint64_t position, uint64_t end,
			 struct record *record)
{
	memcpy(record, &log->ring[position % log->capacity], sizeof(*record));
	return record->position == position && record->length <= TEXT_MAX &&
	       record_size(record->length) <= end - position &&
	       record->check == record_check(log, record);
}

struct logring_text logring_read(const struct logring *log, char *to)
{
	const uint64_t end = log->next;
	struct logring_text text = { .cut = end > log->capacity };
	uint64_t position = text.cut ? end - log->capacity : 0;
	bool in_gap = text.cut; /* the first that is left may be half a record */
	struct record record;

	if (end % RECORD_ALIGN != 0 || end > POSITION_LAST)
		return (struct logring_text){ .gaps = 1 };
	while (position < end) {
		const uint64_t from = position + sizeof(record);
		size_t head;

		if (!sound_record(log, position, end, &record)) {
			if (!in_gap)
				text.gaps++;
			in_gap = true;
			position += RECORD_ALIGN;
			continue;
		}
		head = before_end(log, from, record.length);
		memcpy(to + text.length, &log->ring[from % log->capacity], head);
		memcpy(to + text.length + head, log->ring, record.length - head);
		text.length += record.length;
		text.records++;
		in_gap = false;
		position += record_size(record.length);
	}
	return text;
}
