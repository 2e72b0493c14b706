/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any text as the output of tests, in two pieces: the counts agree, and all strings end.
 */
#include "tests/fuzz/fuzz.h"
#include "lib/results.h"

static const char *const texts[] = {
	"TAP version 13\nok 1 - a.b\nnot ok 2 - a.c\n#   x: expected 0x1, got 0x2\n"
	"ok 3 - d # SKIP why\nnot ok 4 - e.f # TODO errata FR-12\n1..4\n",
	"ok 1 - a.b # TODO errata FR-1\nBail out! a.c: unexpected event\nok 2\n1..\nok - \n",
};

size_t fuzz_seed(unsigned int number, uint8_t *buffer)
{
	if (number >= sizeof(texts) / sizeof(texts[0]))
		return 0;
	memcpy(buffer, texts[number], strlen(texts[number]));
	return strlen(texts[number]);
}

static void check_strings(const struct results *results)
{
	REQUIRE(results->group_count <= RESULT_GROUPS_MAX);
	REQUIRE(results->deviation_count <= RESULT_DEVIATIONS_MAX);
	for (uint32_t i = 0; i < results->group_count; i++)
		REQUIRE(strnlen(results->groups[i].name, RESULT_NAME_SIZE) < RESULT_NAME_SIZE);
	for (uint32_t i = 0; i < results->deviation_count; i++)
		REQUIRE(strnlen(results->deviations[i], RESULT_NAME_SIZE) < RESULT_NAME_SIZE);
	REQUIRE(strnlen(results->bail_out, RESULT_LINE_MAX) < RESULT_LINE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct results results;
	uint32_t sum = 0;

	memset(&results, 0, sizeof(results));
	results_read(&results, (const char *)data, size / 2);
	results_read(&results, (const char *)data + size / 2, size - size / 2);
	check_strings(&results);
	for (uint32_t i = 0; i < results.group_count; i++)
		sum += result_count(&results.groups[i].counts);
	REQUIRE(sum == result_count(&results.all));
	return 0;
}
