/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writer of the Test Anything Protocol, version 13. One stream per program.
 */
#ifndef LIB_TAP_H
#define LIB_TAP_H

#include <stdbool.h>
#include <stddef.h>

struct tap_counts {
	unsigned int run; /* all lines; the others are parts of it */
	unsigned int failed;
	unsigned int skipped;
	unsigned int expected; /* failed as an erratum says */
};

/* The program that uses the library has this: write these bytes out. */
void tap_write(const char *text, size_t length);

/* The version line; counting starts at 0. */
void tap_begin(void);

/* "ok N - name" or "not ok N - name"; returns `passed`. */
bool tap_result(bool passed, const char *name);

/* "ok N - name # SKIP reason". */
void tap_skip(const char *name, const char *reason);

/*
 * The result of a test that an erratum of the platform makes fail: as
 * tap_result, with "# TODO errata ID". A failure does not count as failed.
 */
bool tap_result_expected(bool passed, const char *name, const char *erratum);

/* A line "#   ..." that explains the result before it. */
void tap_diagnostic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The plan "1..N" and a line with the counts, which are returned as well. */
struct tap_counts tap_end(void);

#endif
