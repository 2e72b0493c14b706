/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The results of a test run as a page for the screen: a table of the groups, what ran on what, the
 * deviations found, and the same in short as a QR code, for who has no serial line to read from.
 */
#ifndef LIB_RESULT_SCREEN_H
#define LIB_RESULT_SCREEN_H

#include <stddef.h>
#include <stdint.h>

#include "lib/console.h"
#include "lib/results.h"

#define CPU_NAME_SIZE 49 /* with the terminating 0 */

/* What ran on what. */
struct result_facts {
	const char *title;
	const char *method;    /* how the tests got their FRED */
	const char *in_short;  /* the same in a word */
	const char *last_line; /* how the run ended */
	char cpu_name[CPU_NAME_SIZE];
	uint32_t cpu_signature; /* CPUID.1:EAX */
	uint32_t microcode;	/* revision; 0: not known */
};

/* A processor's name from CPUID.80000002H to 80000004H: EAX to EDX of each, 48 bytes. */
void result_cpu_name(char name[CPU_NAME_SIZE], const void *registers);

/*
 * One line with all that counts, of characters that a QR code packs closely. Cut where it does not
 * fit.
 */
void result_short(char *line, size_t size, const struct results *results,
		  const struct result_facts *facts);

/* Clear the screen and draw the page. What finds no place is left out, the QR code first. */
void result_screen_draw(struct console *console, const struct results *results,
			const struct result_facts *facts);

#endif
