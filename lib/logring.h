/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log as it lies in memory, where the next boot finds it after a reset: a header, and behind
 * it a ring of records, each with a checksum of its own. Old records give way to new ones. Whoever
 * reads it believes nothing: the memory may hold anything.
 */
#ifndef LIB_LOGRING_H
#define LIB_LOGRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whose it is. A guest can write the like of it to memory of its own, but it has never seen a key.
 */
struct logring_mark {
	uint64_t session; /* of one boot: records of another one do not count */
	uint64_t key;	  /* of this machine, secret */
	uint64_t place;	  /* physical address of the log */
};

struct logring {
	uint64_t magic;
	struct logring_mark mark;
	uint32_t capacity; /* bytes of the ring, a multiple of a record's alignment */
	uint32_t check;	   /* CRC-32 of the fields above */
	uint64_t next; /* bytes of records that were ever written, which is where the next goes */
	uint8_t ring[];
};

/* What came of reading. */
struct logring_text {
	size_t length;	  /* bytes of text, with whole records only */
	uint32_t records; /* that are sound */
	uint32_t gaps;	  /* places where damaged ones are left out */
	bool cut;	  /* the beginning has given way to what came later */
};

/*
 * The program that uses the library may set this: these bytes are written, and have to get from the
 * processor's caches to the memory.
 */
extern void (*logring_written)(const void *start, size_t size);

/* Make an empty log of `size` bytes of memory, aligned to 16; NULL when that is not enough. */
struct logring *logring_create(void *memory, size_t size, const struct logring_mark *mark);

/* The log in this memory; NULL: there is none, or its header is damaged. */
struct logring *logring_open(void *memory, size_t size);

/* Add text. May interrupt itself, in an NMI: both texts are there then. */
void logring_write(struct logring *log, const char *text, size_t length);

/* The text of all sound records into `to`, which has room for log->capacity bytes. */
struct logring_text logring_read(const struct logring *log, char *to);

#endif
