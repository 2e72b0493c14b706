/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The results of a test run as JSON, for programs that collect them; docs/testing.md has the
 * format.
 */
#ifndef LIB_RESULTS_JSON_H
#define LIB_RESULTS_JSON_H

#include <stddef.h>

#include "lib/result_screen.h"
#include "lib/results.h"

/*
 * The text into `to`, cut and terminated where it does not fit. Returns the length of the whole
 * text, as snprintf does. facts->in_short and last_line are not in it.
 */
size_t results_json(char *to, size_t size, const struct results *results,
		    const struct result_facts *facts);

#endif
