/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UTF-8: every character is found, and nothing else is one.
 */
#include "tests/unit/unit.h"
#include "lib/utf8.h"

#define CHARACTERS 0x110000U

static char follower(uint32_t c, unsigned int shift)
{
	return (char)(0x80 | (c >> shift & 0x3f));
}

/* In so many bytes, also where fewer would do. */
static void write_character(char *text, uint32_t c, size_t size)
{
	static const uint8_t marks[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	text[0] = (char)(marks[size] | c >> (6 * (size - 1)));
	for (size_t i = 1; i < size; i++)
		text[i] = follower(c, 6 * (unsigned int)(size - 1 - i));
}

static size_t least_size(uint32_t c)
{
	return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

TEST(takes_every_character)
{
	char text[4];
	uint32_t c;

	for (uint32_t wanted = 0; wanted < CHARACTERS; wanted++) {
		const size_t size = least_size(wanted);
		const bool surrogate = wanted >= 0xd800 && wanted < 0xe000;

		write_character(text, wanted, size);
		assert_int_equal(utf8_take(text, sizeof(text), &c), surrogate ? 0 : size);
		if (!surrogate)
			assert_int_equal(c, wanted);
		/* Cut short: the sanitizer sees who looks behind the end. */
		assert_int_equal(utf8_take(text, size - 1, &c), 0);
	}
}

TEST(takes_the_shortest_form_only)
{
	char text[4];
	uint32_t c;

	for (uint32_t wanted = 0; wanted < 0x10000; wanted++)
		for (size_t size = least_size(wanted) + 1; size <= 4; size++) {
			write_character(text, wanted, size);
			assert_int_equal(utf8_take(text, size, &c), 0);
		}
}

TEST(takes_nothing_else)
{
	static const char *const wrong[] = {
		"\x80",
		"\xbf",
		"\xff",
		"\xfe\xff",
		"\xc3(",
		"\xe2\x82(",
		"\xf0\x9f\x92(",
		"\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80",
		"\xc3\xc3",
		"\xe2\x82\xe2\x82",
		"\xf5\x80\x80\x80",
	};
	uint32_t c;

	for (size_t i = 0; i < COUNT_OF(wrong); i++)
		assert_int_equal(utf8_take(wrong[i], strlen(wrong[i]), &c), 0);
	assert_int_equal(utf8_take("", 0, &c), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_every_character),
		cmocka_unit_test(takes_the_shortest_form_only),
		cmocka_unit_test(takes_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
