/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a fuzzing target has. libFuzzer calls LLVMFuzzerTestOneInput; driver.c
 * does the same where there is no libFuzzer, starting from the target's seeds.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/samples.h"

/* libFuzzer's entry point. A wrong result aborts; wrong accesses are the sanitizers'. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Write seed `number` (0, 1, ...) to the SAMPLE_MAX bytes of `buffer`; returns
 * its size, or 0 when there are no more.
 */
size_t fuzz_seed(unsigned int number, uint8_t *buffer);

/* A property that every input must have. */
#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

#endif
