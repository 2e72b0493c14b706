/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what a character in UTF-8 is.
 */
#include "lib/utf8.h"

#define FORMS		4
#define FOLLOWER_BITS	6
#define FOLLOWER_MASK	0x3fU
#define FOLLOWER_MARK	0x80U
#define SURROGATE_FIRST 0xd800U
#define SURROGATE_LAST	0xdfffU
#define CHARACTER_LAST	0x10ffffU

/* How a character with so many bytes behind the first begins, and the least that needs as many. */
static const struct {
	uint32_t mask, mark, least;
} forms[FORMS] = {
	{ 0x80, 0x00, 0 },
	{ 0xe0, 0xc0, 0x80 },
	{ 0xf0, 0xe0, 0x800 },
	{ 0xf8, 0xf0, 0x10000 },
};

size_t utf8_take(const char *text, size_t length, uint32_t *character)
{
	const uint32_t first = length == 0 ? FOLLOWER_MARK : (unsigned char)text[0];
	size_t followers = 0;
	uint32_t c;

	while (followers < FORMS && (first & forms[followers].mask) != forms[followers].mark)
		followers++;
	if (followers == FORMS || followers >= length)
		return 0;
	c = first & ~forms[followers].mask;
	for (size_t i = 1; i <= followers; i++) {
		const uint32_t byte = (unsigned char)text[i];

		if ((byte & ~FOLLOWER_MASK) != FOLLOWER_MARK)
			return 0;
		c = c << FOLLOWER_BITS | (byte & FOLLOWER_MASK);
	}
	if (c < forms[followers].least || c > CHARACTER_LAST ||
	    (c >= SURROGATE_FIRST && c <= SURROGATE_LAST))
		return 0;
	*character = c;
	return followers + 1;
}
