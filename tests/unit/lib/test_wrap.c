/* SPDX-License-Identifier: BSD-2-Clause */
/* Long lines on a screen: words stay whole. */
#include <string.h>

#include "lib/wrap.h"
#include "tests/unit/unit.h"

/* The text as a screen of `columns` shows it, rows apart by '|'. */
static void assert_rows(size_t columns, const char *text, const char *expected)
{
	char shown[256] = "";
	size_t used = 0, column = 0;

	for (size_t i = 0; i < strlen(text); i++) {
		if (column == columns || wrap_before(text, strlen(text), i, column, columns)) {
			shown[used++] = '|';
			column = 0;
		}
		shown[used++] = text[i];
		column++;
	}
	assert_string_equal(shown, expected);
}

TEST(words_stay_whole)
{
	assert_rows(20, "enable nested virtualization", "enable nested |virtualization");
	assert_rows(14, "enable nested virtualization", "enable nested |virtualization");
	assert_rows(13, "enable nested virtualization", "enable nested| virtualizati|on");
	assert_rows(28, "enable nested virtualization", "enable nested virtualization");
}

TEST(a_word_longer_than_a_row_is_broken)
{
	assert_rows(8, "a 0123456789 b", "a 012345|6789 b");
	assert_rows(8, "0123456789", "01234567|89");
}

TEST(a_newline_ends_a_word)
{
	assert_false(wrap_before("ab cd\nefgh", 10, 3, 3, 5));
	assert_true(wrap_before("ab cd\nefgh", 10, 3, 3, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_stay_whole),
		cmocka_unit_test(a_word_longer_than_a_row_is_broken),
		cmocka_unit_test(a_newline_ends_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
