/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fuzzing driver for every compiler: a fixed number of rounds of random damage
 * to the seeds, the same in every run. With "-s FOLDER" it writes the seeds for
 * libFuzzer; with files, it replays them.
 */
#include <stdio.h>

#include "tests/fuzz/fuzz.h"

#define SEEDS_MAX  16
#define DAMAGE_MAX 6

static uint8_t seeds[SEEDS_MAX][SAMPLE_MAX];
static size_t seed_sizes[SEEDS_MAX];
static unsigned int seed_count;

/* xorshift64*: small, and the same on every machine. */
static uint64_t random_state = 0x9e3779b97f4a7c15ULL;

static size_t random_below(size_t limit)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (size_t)((random_state * 0x2545f4914f6cdd1dULL) >> 32) % limit;
}

/* Most fields that matter are near the start, or near what is not zero. */
static size_t random_offset(const uint8_t *input, size_t size)
{
	size_t offset = random_below(size);

	for (unsigned int tries = 0; tries < 8 && input[offset] == 0; tries++)
		offset = random_below(size);
	return offset;
}

static size_t damage(uint8_t *input, size_t size)
{
	static const uint64_t edges[] = { 0,	1,	2,	    0x7f,	0x80,
					  0xff, 0xffff, 0x7fffffff, 0xffffffff, UINT64_MAX };
	static const size_t widths[] = { 1, 2, 4, 8 };
	const size_t offset = random_offset(input, size);
	size_t width = widths[random_below(4)];
	uint64_t value = edges[random_below(sizeof(edges) / sizeof(edges[0]))];

	switch (random_below(8)) {
	case 0:
		return 1 + random_below(size);
	case 1:
		input[offset] ^= (uint8_t)(1U << random_below(8));
		return size;
	case 2:
		value = random_below(size + 16);
		break;
	case 3:
		/* One more or one less than there is. */
		input[offset] = (uint8_t)(input[offset] + (random_below(2) ? 1 : 255));
		return size;
	case 4:
		memmove(input + offset, input + random_below(offset + 1), size - offset);
		return size;
	default:
		break;
	}
	if (width > size - offset)
		width = size - offset;
	memcpy(input + offset, &value, width);
	return size;
}

/* A copy of its exact size: the sanitizer sees every byte read beyond it. */
static void run_one(const uint8_t *input, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, input, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void run_rounds(unsigned long rounds)
{
	static uint8_t input[SAMPLE_MAX];

	run_one(input, 0);
	for (unsigned int i = 0; i < seed_count; i++)
		run_one(seeds[i], seed_sizes[i]);
	for (unsigned long round = 0; round < rounds; round++) {
		const size_t seed = random_below(seed_count);
		size_t size = seed_sizes[seed];

		memcpy(input, seeds[seed], size);
		for (size_t left = 1 + random_below(DAMAGE_MAX); left > 0; left--)
			size = damage(input, size);
		run_one(input, size);
	}
}

static int write_seeds(const char *folder)
{
	for (unsigned int i = 0; i < seed_count; i++) {
		char path[1024];
		FILE *file;

		snprintf(path, sizeof(path), "%s/seed-%u", folder, i);
		file = fopen(path, "wb");
		if (file == NULL || fwrite(seeds[i], 1, seed_sizes[i], file) != seed_sizes[i] ||
		    fclose(file) != 0) {
			perror(path);
			return 1;
		}
	}
	return 0;
}

static int replay(const char *path)
{
	static uint8_t input[16 * SAMPLE_MAX];
	FILE *file = fopen(path, "rb");

	if (file == NULL) {
		perror(path);
		return 1;
	}
	run_one(input, fread(input, 1, sizeof(input), file));
	fclose(file);
	return 0;
}

int main(int count, char **arguments)
{
	while (seed_count < SEEDS_MAX &&
	       (seed_sizes[seed_count] = fuzz_seed(seed_count, seeds[seed_count])) > 0)
		seed_count++;
	if (count == 3 && strcmp(arguments[1], "-s") == 0)
		return write_seeds(arguments[2]);
	if (count == 3 && strcmp(arguments[1], "-n") == 0) {
		run_rounds(strtoul(arguments[2], NULL, 10));
		return 0;
	}
	if (count == 1) {
		fprintf(stderr, "usage: %s -n ROUNDS | -s FOLDER | FILE...\n", arguments[0]);
		return 2;
	}
	for (int i = 1; i < count; i++) {
		if (replay(arguments[i]) != 0)
			return 1;
	}
	return 0;
}
