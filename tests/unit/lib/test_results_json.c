/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/results_json.c, letter by letter, and read back by a program that knows JSON.
 */
#include "tests/unit/unit.h"
#include "lib/results_json.h"
#include "lib/version.h"

#define SIZE 16384

static const struct result_facts facts = {
	.title = "a \"title\"",
	.method = "by the processor",
	.cpu_name = "Processor \\ 9\x80\n",
	.cpu_signature = 0xc06f2,
	.microcode = 0x1a,
};
static const char tap[] = "TAP version 13\nok 1 - a.one\nnot ok 2 - a.two\n"
			  "not ok 3 - b.three # TODO errata FR-7\nok 4 - b.four # SKIP no\n1..4\n";
static char text[SIZE];

static struct results read_results(const char *from)
{
	struct results results = { 0 };

	results_read(&results, from, strlen(from));
	return results;
}

TEST(is_what_the_docs_say)
{
	const struct results results = read_results(tap);
	const char expected[] =
		"{\n  \"manfred\": \"" MANFRED_VERSION "\",\n"
		"  \"title\": \"a \\\"title\\\"\",\n"
		"  \"method\": \"by the processor\",\n"
		"  \"processor\": {\"name\": \"Processor \\\\ 9\\u0080\\u000a\", "
		"\"signature\": \"0x000c06f2\", \"microcode\": \"0x1a\"},\n"
		"  \"passed\": false,\n  \"complete\": true,\n  \"bail_out\": \"\",\n"
		"  \"totals\": {\"passed\": 1, \"failed\": 1, \"expected\": 1, \"skipped\": 1},\n"
		"  \"chapters\": [\n"
		"    {\"name\": \"a\", \"passed\": 1, \"failed\": 1, \"expected\": 0, "
		"\"skipped\": 0},\n"
		"    {\"name\": \"b\", \"passed\": 0, \"failed\": 0, \"expected\": 1, "
		"\"skipped\": 1}\n"
		"  ],\n  \"deviations\": [\"FR-7\"]\n}\n";

	assert_int_equal(results_json(text, sizeof(text), &results, &facts), strlen(expected));
	assert_string_equal(text, expected);
}

static void parse(void)
{
	FILE *const python =
		popen("/usr/bin/python3 -c 'import json, sys; json.load(sys.stdin)'", "w");

	assert_non_null(python);
	fputs(text, python);
	assert_int_equal(pclose(python), 0);
}

TEST(python_reads_it)
{
	struct results results = read_results(tap);

	results_json(text, sizeof(text), &results, &facts);
	parse();
	/* With nothing in it, and with as much as there can be. */
	results = read_results("Bail out! \"\\\t\x7f\n");
	assert_int_not_equal(results.bail_out[0], 0);
	results_json(text, sizeof(text), &results, &facts);
	parse();
	results = read_results("");
	for (unsigned int i = 0; i < 100; i++) {
		char line[100];

		snprintf(line, sizeof(line),
			 "not ok 1 - \"chapter\"-number-%u.x # TODO errata \"FR-%u\n", i, i);
		results_read(&results, line, strlen(line));
	}
	assert_true(results_json(text, sizeof(text), &results, &facts) < sizeof(text));
	parse();
}

TEST(cut_where_it_does_not_fit)
{
	const struct results results = read_results(tap);
	const size_t whole = results_json(text, sizeof(text), &results, &facts);
	static char all[SIZE];

	memcpy(all, text, whole + 1);
	for (size_t size = 1; size <= whole; size++) {
		memset(text, 'x', sizeof(text));
		assert_int_equal(results_json(text, size, &results, &facts), whole);
		assert_int_equal(text[size - 1], '\0');
		assert_memory_equal(text, all, size - 1);
		assert_int_equal(text[size], 'x');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_what_the_docs_say),
		cmocka_unit_test(python_reads_it),
		cmocka_unit_test(cut_where_it_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
