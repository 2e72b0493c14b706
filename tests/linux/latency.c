// SPDX-License-Identifier: BSD-2-Clause
/*
 * How late a sleep ends, in TSC ticks: a timer interrupt, its way into Linux, and Linux's way to
 * the program. What the VMM adds is the difference to the same program without other guests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

#include "tests/linux/check.h"

#define SLEEP_NS	50000L
#define NS_PER_SECOND	1000000000LL
#define PERMILLE_999(n) ((n)*999 / 1000)

static int compare(const void *a, const void *b)
{
	const long long x = *(const long long *)a, y = *(const long long *)b;

	return x < y ? -1 : x > y;
}

static long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

/* The clock against the TSC, over the whole measurement. */
int measure_latency(int samples)
{
	long long *const late = calloc((size_t)samples, sizeof(*late));
	const unsigned long long tsc = __rdtsc();
	const long long start = now_ns();
	double ticks_per_ns;

	if (!late || samples <= 0)
		return EXIT_FAILURE;
	for (int i = 0; i < samples; i++) {
		const long long until = now_ns() + SLEEP_NS;
		const struct timespec at = { until / NS_PER_SECOND, until % NS_PER_SECOND };

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		late[i] = now_ns() - until;
	}
	ticks_per_ns = (double)(__rdtsc() - tsc) / (double)(now_ns() - start);
	qsort(late, (size_t)samples, sizeof(*late), compare);
	printf("linux: latency of %d sleeps: median %.0f, 99.9 %% %.0f, worst %.0f ticks\n",
	       samples, (double)late[samples / 2] * ticks_per_ns,
	       (double)late[PERMILLE_999(samples)] * ticks_per_ns,
	       (double)late[samples - 1] * ticks_per_ns);
	free(late);
	return EXIT_SUCCESS;
}
