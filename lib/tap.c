/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the numbering of test results. Every line goes out in one piece.
 */
#include <stdarg.h>

#include "lib/format.h"
#include "lib/tap.h"

#define LINE_MAX 256

static struct tap_counts counts;

/* Write prefix + text, cut to the line's room, with its newline. */
static void write_line_v(const char *prefix, const char *format, va_list arguments)
{
	char line[LINE_MAX];
	const size_t room = sizeof(line) - 1;
	size_t length = (size_t)format_string(line, room, "%s", prefix);

	length += (size_t)format_string_v(line + length, room - length, format, arguments);
	if (length > room - 1)
		length = room - 1;
	line[length++] = '\n';
	tap_write(line, length);
}

__attribute__((format(printf, 1, 2))) static void write_line(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_line_v("", format, arguments);
	va_end(arguments);
}

void tap_begin(void)
{
	counts = (struct tap_counts){ 0 };
	write_line("TAP version 13");
}

bool tap_result(bool passed, const char *name)
{
	counts.run++;
	if (!passed)
		counts.failed++;
	write_line("%s %u - %s", passed ? "ok" : "not ok", counts.run, name);
	return passed;
}

void tap_skip(const char *name, const char *reason)
{
	counts.run++;
	counts.skipped++;
	write_line("ok %u - %s # SKIP %s", counts.run, name, reason);
}

bool tap_result_expected(bool passed, const char *name, const char *erratum)
{
	counts.run++;
	if (!passed)
		counts.expected++;
	write_line("%s %u - %s # TODO errata %s", passed ? "ok" : "not ok", counts.run, name,
		   erratum);
	return passed;
}

void tap_diagnostic(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_line_v("#   ", format, arguments);
	va_end(arguments);
}

struct tap_counts tap_end(void)
{
	write_line("1..%u", counts.run);
	write_line("# tests %u, failed %u, skipped %u, expected failures %u", counts.run,
		   counts.failed, counts.skipped, counts.expected);
	return counts;
}
