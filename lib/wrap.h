/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a line that is too long for a screen goes on in the next row: before a word. */
#ifndef LIB_WRAP_H
#define LIB_WRAP_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Is text[at], which has column `column` of a screen with `columns`, the start of a word that goes
 * into the next row as a whole? Words that are longer than a row are broken anywhere.
 */
static inline bool wrap_before(const char *text, size_t length, size_t at, size_t column,
			       size_t columns)
{
	size_t end = at;

	if (column == 0 || text[at] == ' ' || (at > 0 && text[at - 1] != ' '))
		return false;
	while (end < length && text[end] != ' ' && text[end] != '\n')
		end++;
	return end - at <= columns && column + (end - at) > columns;
}

#endif
