/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of TAP, and what they count for. */
#include "lib/results.h"

#include "lib/string.h"

#define OTHERS "others"

static const char directive_skip[] = "# SKIP";
static const char directive_erratum[] = "# TODO errata ";

static bool begins_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Read a decimal number, and let *text point behind it; false when there is none. */
static bool read_number(const char **text, uint32_t *number)
{
	const char *const start = *text;

	for (*number = 0; **text >= '0' && **text <= '9'; (*text)++)
		*number = *number * 10 + (uint32_t)(**text - '0');
	return *text != start;
}

/* Copy up to one of the characters `ends`, and cut what does not fit. */
static void copy_word(char to[RESULT_NAME_SIZE], const char *from, const char *ends)
{
	size_t length = 0;

	while (length < RESULT_NAME_SIZE - 1 && from[length] != '\0' && !strchr(ends, from[length]))
		length++;
	memcpy(to, from, length);
	to[length] = '\0';
}

/* The counts of a test's group; groups beyond the last place share that one. */
static struct result_counts *counts_of(struct results *results, const char *test)
{
	char name[RESULT_NAME_SIZE];
	struct result_group *group;

	copy_word(name, test, ". ");
	for (uint32_t i = 0; i < results->group_count; i++)
		if (strcmp(results->groups[i].name, name) == 0)
			return &results->groups[i].counts;
	if (results->group_count == RESULT_GROUPS_MAX)
		return &results->groups[RESULT_GROUPS_MAX - 1].counts;
	group = &results->groups[results->group_count++];
	copy_word(group->name, results->group_count == RESULT_GROUPS_MAX ? OTHERS : name, "");
	return &group->counts;
}

static const char *find(const char *text, const char *part)
{
	for (; *text != '\0'; text++)
		if (begins_with(text, part))
			return text;
	return NULL;
}

static void count(struct result_counts *counts, bool passed, bool skipped, bool expected)
{
	if (skipped)
		counts->skipped++;
	else if (passed)
		counts->passed++;
	else if (expected)
		counts->expected++;
	else
		counts->failed++;
}

/* "ok N - group.test", with a directive behind it or none. */
static void read_result(struct results *results, const char *text, bool passed)
{
	uint32_t number;
	const char *erratum;
	bool skipped;

	if (!read_number(&text, &number) || !begins_with(text, " - "))
		return;
	text += strlen(" - ");
	erratum = find(text, directive_erratum);
	skipped = find(text, directive_skip) != NULL;
	count(counts_of(results, text), passed, skipped, erratum != NULL);
	count(&results->all, passed, skipped, erratum != NULL);
	if (erratum && !passed) {
		char identifier[RESULT_NAME_SIZE];

		copy_word(identifier, erratum + strlen(directive_erratum), " ");
		results_add_deviation(results, identifier);
	}
}

static void read_line(struct results *results, const char *line)
{
	uint32_t planned;

	if (begins_with(line, "ok ")) {
		read_result(results, line + strlen("ok "), true);
	} else if (begins_with(line, "not ok ")) {
		read_result(results, line + strlen("not ok "), false);
	} else if (begins_with(line, "1..")) {
		line += strlen("1..");
		results->complete = read_number(&line, &planned) && *line == '\0' &&
				    planned == result_count(&results->all);
	} else if (begins_with(line, "Bail out!")) {
		memcpy(results->bail_out, results->line, RESULT_LINE_MAX);
	}
}

void results_read(struct results *results, const char *text, size_t length)
{
	for (const char *const end = text + length; text < end; text++) {
		if (*text == '\n') {
			results->line[results->length] = '\0';
			read_line(results, results->line);
			results->length = 0;
		} else if (*text != '\r' && results->length < RESULT_LINE_MAX - 1) {
			results->line[results->length++] = *text;
		}
	}
}

void results_add_deviation(struct results *results, const char *identifier)
{
	for (uint32_t i = 0; i < results->deviation_count; i++)
		if (strncmp(results->deviations[i], identifier, RESULT_NAME_SIZE - 1) == 0)
			return;
	if (*identifier != '\0' && results->deviation_count < RESULT_DEVIATIONS_MAX)
		copy_word(results->deviations[results->deviation_count++], identifier, "");
}

uint32_t result_count(const struct result_counts *counts)
{
	return counts->passed + counts->failed + counts->skipped + counts->expected;
}

bool results_passed(const struct results *results)
{
	return results->complete && results->all.failed == 0 && result_count(&results->all) != 0;
}
