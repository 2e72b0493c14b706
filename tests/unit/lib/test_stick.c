/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sample manfred.cfg of the stick: it is sound, and has a line for each key that there is.
 */
#include "tests/unit/unit.h"
#include "lib/config.h"

#define SAMPLE	   "tools/stick/manfred.cfg"
#define SAMPLE_MAX 16384

static char sample[SAMPLE_MAX];
static struct config config;
static struct config_error error;

static int set_up(void **state __attribute__((unused)))
{
	FILE *const file = fopen(SAMPLE, "r");
	size_t size;

	assert_non_null(file);
	size = fread(sample, 1, sizeof(sample) - 1, file);
	fclose(file);
	assert_in_range(size, 1, sizeof(sample) - 2);
	sample[size] = '\0';
	config_defaults(&config);
	return 0;
}

/* "#key = value", which a user puts in force by taking the '#' away, or "key = value". */
static bool is_key_line(const char *line)
{
	line += *line == '#';
	return *line >= 'a' && *line <= 'z' && strstr(line, " =") != NULL;
}

static bool has_line(const char *key)
{
	char begin[64];

	snprintf(begin, sizeof(begin), "%s =", key);
	for (const char *line = sample; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		line += *line == '#';
		if (strncmp(line, begin, strlen(begin)) == 0)
			return true;
	}
	return false;
}

TEST(is_sound)
{
	assert_true(config_parse_file(&config, sample, strlen(sample), &error));
	assert_true(config_complete(&config, &error));
	assert_int_equal(config.menu, 5);
	assert_int_equal(config.guests[0].kind, GUEST_SELFTEST);
}

TEST(has_every_key)
{
	static const char unknown[] = "no-such-key = 1", allowed[] = "allowed are ";
	unsigned int count = 0;
	char *keys;

	assert_false(config_parse_file(&config, unknown, strlen(unknown), &error));
	keys = strstr(error.text, allowed);
	assert_non_null(keys);
	for (char *key = strtok(keys + strlen(allowed), ", "); key; key = strtok(NULL, ", ")) {
		if (!has_line(key))
			fail_msg("%s has no line for the key %s", SAMPLE, key);
		count++;
	}
	/* The list was not cut short. */
	assert_true(count > 15);
	assert_true(strlen(error.text) + 1 < sizeof(error.text));
}

TEST(lines_are_sound_when_in_force)
{
	unsigned int count = 0;

	for (char *line = strtok(sample, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		if (!is_key_line(line))
			continue;
		config_defaults(&config);
		line += *line == '#';
		if (!config_parse_file(&config, line, strlen(line), &error))
			fail_msg("%s", error.text);
		count++;
	}
	assert_true(count > 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(is_sound, set_up),
		cmocka_unit_test_setup(has_every_key, set_up),
		cmocka_unit_test_setup(lines_are_sound_when_in_force, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
