/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any memory as the log of the last boot, also with a header that is sound: no more text comes out
 * than there was room for in it.
 */
#include "tests/fuzz/fuzz.h"
#include "lib/crc32.h"
#include "lib/logring.h"

#define LOG_SIZE 2600
_Static_assert(LOG_SIZE <= SAMPLE_MAX, "a seed");

static _Alignas(16) uint8_t memory[4 * SAMPLE_MAX];

size_t fuzz_seed(unsigned int number, uint8_t *buffer)
{
	static const char line[] =
		"[          1234] manfred: a line of the log, and what it says\n";
	struct logring *log;

	if (number > 1)
		return 0;
	log = logring_create(memory, LOG_SIZE, &(struct logring_mark){ .session = 1 });
	for (unsigned int i = 0; i < (number == 0 ? 3 : 100); i++)
		logring_write(log, line + i % 20, sizeof(line) - 1 - i % 20);
	memcpy(buffer, memory, LOG_SIZE);
	return LOG_SIZE;
}

static void check_read(size_t size)
{
	static char text[sizeof(memory)];
	const struct logring *const log = logring_open(memory, size);
	struct logring_text read;

	if (log == NULL)
		return;
	read = logring_read(log, text);
	REQUIRE(read.length <= log->capacity);
	REQUIRE(read.records <= log->capacity / 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct logring *const log = (struct logring *)(void *)memory;

	if (size > sizeof(memory))
		return 0;
	memcpy(memory, data, size);
	check_read(size);
	if (size < sizeof(*log))
		return 0;
	log->check = crc32(0, log, offsetof(struct logring, check));
	check_read(size);
	return 0;
}
