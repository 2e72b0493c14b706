// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the list of tests that known deviations of processors and emulators make fail. FR-n is what
 * docs/errata.md describes. A failure is expected only when the platform is said to have it.
 */
#include <stddef.h>

#include "guest/suite.h"

/* The first pattern that matches counts. */
static const struct {
	const char *tests, *erratum;
} errata[] = {
	{ "fred-shadow.*sti*", "FR-8" },
};

const char *erratum_of_test(const char *name)
{
	for (size_t i = 0; i < sizeof(errata) / sizeof(errata[0]); i++)
		if (pattern_matches(errata[i].tests, name))
			return errata[i].erratum;
	return NULL;
}
