/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the JSON form of results. */
#include "lib/results_json.h"

#include <stdarg.h>

#include "lib/format.h"
#include "lib/version.h"

struct writer {
	char *to;
	size_t size;
	size_t length; /* of all that was written, also what did not fit */
};

static void __attribute__((format(printf, 2, 3))) put(struct writer *w, const char *format, ...)
{
	const size_t used = w->length < w->size ? w->length : w->size;
	va_list arguments;

	va_start(arguments, format);
	w->length += (size_t)format_string_v(w->to + used, w->size - used, format, arguments);
	va_end(arguments);
}

/* Bytes of the tests' output can be any: what is not printable ASCII becomes an escape. */
static void put_string(struct writer *w, const char *text)
{
	put(w, "\"");
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			put(w, "\\%c", *text);
		else if (*text < ' ' || *text > '~')
			put(w, "\\u%04x", (unsigned int)(unsigned char)*text);
		else
			put(w, "%c", *text);
	}
	put(w, "\"");
}

static void put_counts(struct writer *w, const struct result_counts *counts)
{
	put(w, "\"passed\": %u, \"failed\": %u, \"expected\": %u, \"skipped\": %u", counts->passed,
	    counts->failed, counts->expected, counts->skipped);
}

static void put_chapters(struct writer *w, const struct results *results)
{
	put(w, "  \"chapters\": [");
	for (uint32_t i = 0; i < results->group_count; i++) {
		put(w, "%s\n    {\"name\": ", i == 0 ? "" : ",");
		put_string(w, results->groups[i].name);
		put(w, ", ");
		put_counts(w, &results->groups[i].counts);
		put(w, "}");
	}
	put(w, "\n  ],\n  \"deviations\": [");
	for (uint32_t i = 0; i < results->deviation_count; i++) {
		put(w, "%s", i == 0 ? "" : ", ");
		put_string(w, results->deviations[i]);
	}
	put(w, "]\n");
}

size_t results_json(char *to, size_t size, const struct results *results,
		    const struct result_facts *facts)
{
	struct writer w = { to, size, 0 };

	put(&w, "{\n  \"manfred\": \"" MANFRED_VERSION "\",\n  \"title\": ");
	put_string(&w, facts->title);
	put(&w, ",\n  \"method\": ");
	put_string(&w, facts->method);
	put(&w, ",\n  \"processor\": {\"name\": ");
	put_string(&w, facts->cpu_name);
	put(&w, ", \"signature\": \"0x%08x\", \"microcode\": \"0x%x\"},\n", facts->cpu_signature,
	    facts->microcode);
	put(&w, "  \"passed\": %s,\n  \"complete\": %s,\n  \"bail_out\": ",
	    results_passed(results) ? "true" : "false", results->complete ? "true" : "false");
	put_string(&w, results->bail_out);
	put(&w, ",\n  \"totals\": {");
	put_counts(&w, &results->all);
	put(&w, "},\n");
	put_chapters(&w, results);
	put(&w, "}\n");
	return w.length;
}
