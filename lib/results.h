/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reader of the Test Anything Protocol as lib/tap.c writes it: counts the results of each group of
 * tests (what stands before the first point of a test's name), and remembers by which deviations of
 * the platform tests have failed. The text is a guest's: anything may come.
 */
#ifndef LIB_RESULTS_H
#define LIB_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESULT_GROUPS_MAX     48
#define RESULT_DEVIATIONS_MAX 32
#define RESULT_NAME_SIZE      20 /* with the terminating 0; what is longer is cut */
#define RESULT_LINE_MAX	      256

struct result_counts {
	uint32_t passed, failed, skipped;
	uint32_t expected; /* failed as a deviation says */
};

struct result_group {
	char name[RESULT_NAME_SIZE];
	struct result_counts counts;
};

struct results {
	struct result_group groups[RESULT_GROUPS_MAX]; /* as they came; the last: all others */
	uint32_t group_count;
	struct result_counts all;
	char deviations[RESULT_DEVIATIONS_MAX][RESULT_NAME_SIZE];
	uint32_t deviation_count;
	bool complete; /* the plan came, and so many results had come before it */

	char bail_out[RESULT_LINE_MAX]; /* "Bail out! ..."; "": the run went on */

	char line[RESULT_LINE_MAX]; /* that has begun and not ended */
	size_t length;
};

/* Read text, which may begin and end within a line. */
void results_read(struct results *results, const char *text, size_t length);

/* Remember a deviation, once. */
void results_add_deviation(struct results *results, const char *identifier);

uint32_t result_count(const struct result_counts *counts);

/* The run went to its end, had tests, and none has failed. */
bool results_passed(const struct results *results);

#endif
