/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/console.c: layouts, and what a screen of memory shows after some text. The
 * font of these tests numbers its glyphs, so that a screen can be read back.
 */
#include "tests/unit/unit.h"
#include "lib/console.h"

#define NUMBERED(n)                                                                    \
	{                                                                              \
		(uint8_t)(n), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (uint8_t) ~(n) \
	}
#define TEN(n)                                                                                   \
	NUMBERED(n), NUMBERED((n) + 1), NUMBERED((n) + 2), NUMBERED((n) + 3), NUMBERED((n) + 4), \
		NUMBERED((n) + 5), NUMBERED((n) + 6), NUMBERED((n) + 7), NUMBERED((n) + 8),      \
		NUMBERED((n) + 9)

/* Glyph n has n in its first line, and ~n in its last; the blank is blank. */
const uint8_t console_font[GLYPH_LAST - GLYPH_FIRST + 1][GLYPH_HEIGHT] = {
	{ 0 },	      NUMBERED(1),  NUMBERED(2),  NUMBERED(3),	NUMBERED(4),  NUMBERED(5),
	NUMBERED(6),  NUMBERED(7),  NUMBERED(8),  NUMBERED(9),	TEN(10),      TEN(20),
	TEN(30),      TEN(40),	    TEN(50),	  TEN(60),	TEN(70),      TEN(80),
	NUMBERED(90), NUMBERED(91), NUMBERED(92), NUMBERED(93), NUMBERED(94),
};

#define BACKGROUND 0x5a5a5a5aU /* what the firmware left; and what lies behind the lines */
#define WHITE	   0xffffffU

static struct console console;
static uint32_t *pixels;

static struct framebuffer make_framebuffer(uint32_t width, uint32_t height, uint32_t stride)
{
	return (struct framebuffer){
		.base = 0x80000000,
		.size = (uint64_t)stride * height * 4,
		.width = width,
		.height = height,
		.stride = stride,
		.format = FRAMEBUFFER_BGRX,
	};
}

/* A screen of exactly as much memory as it may use. */
static void begin(uint32_t width, uint32_t height, uint32_t stride)
{
	const struct framebuffer framebuffer = make_framebuffer(width, height, stride);

	assert_true(console_layout(&console, &framebuffer));
	assert_int_equal(console_size(&console), framebuffer.size);
	free(pixels);
	pixels = malloc(framebuffer.size);
	assert_non_null(pixels);
	for (size_t i = 0; i < framebuffer.size / 4; i++)
		pixels[i] = BACKGROUND;
	console_begin(&console, pixels);
}

static int tear_down(void **state __attribute__((unused)))
{
	free(pixels);
	pixels = NULL;
	return 0;
}

static void write_text(const char *text)
{
	console_write(&console, text, strlen(text));
}

/* The bits of one line of a glyph on the screen, each of them scale x scale equal pixels. */
static uint8_t read_line(uint32_t row, uint32_t column, uint32_t line)
{
	const uint32_t scale = console.scale;
	uint8_t bits = 0;

	for (uint32_t x = 0; x < GLYPH_WIDTH; x++) {
		const uint32_t *const first =
			pixels + (size_t)(row * GLYPH_HEIGHT + line) * scale * console.stride / 4 +
			(size_t)(column * GLYPH_WIDTH + x) * scale;

		assert_true(*first == 0 || *first == console.colours[CONSOLE_WHITE]);
		for (uint32_t i = 0; i < scale * scale; i++)
			assert_int_equal(first[i / scale * console.stride / 4 + i % scale], *first);
		bits = (uint8_t)(bits << 1 | (*first != 0));
	}
	return bits;
}

static char read_character(uint32_t row, uint32_t column)
{
	const uint8_t n = read_line(row, column, 0);

	assert_int_equal(read_line(row, column, GLYPH_HEIGHT - 1), n == 0 ? 0 : (uint8_t)~n);
	for (uint32_t line = 1; line < GLYPH_HEIGHT - 1; line++)
		assert_int_equal(read_line(row, column, line), 0);
	return (char)(GLYPH_FIRST + n);
}

/* The row shows this text, and blanks behind it. */
static void assert_row(uint32_t row, const char *text)
{
	const size_t length = strlen(text);

	for (uint32_t column = 0; column < console.columns; column++)
		assert_int_equal(read_character(row, column), column < length ? text[column] : ' ');
}

TEST(chooses_the_scale_by_the_width)
{
	static const struct {
		uint32_t width, height, scale, columns, rows;
	} screens[] = {
		{ 160, 80, 1, 20, 5 },	     { 640, 480, 1, 80, 30 },
		{ 1280, 800, 1, 160, 50 },   { 1281, 800, 2, 80, 25 },
		{ 1281, 799, 1, 160, 49 },   { 1366, 768, 1, 160, 48 },
		{ 1920, 1080, 2, 120, 33 },  { 2560, 1440, 2, 160, 45 },
		{ 3840, 2160, 3, 160, 45 },  { 7680, 4320, 6, 160, 45 },
		{ 1200, 1920, 1, 150, 120 }, { 1200, 2000, 1, 150, 120 },
	};

	for (size_t i = 0; i < COUNT_OF(screens); i++) {
		const struct framebuffer framebuffer =
			make_framebuffer(screens[i].width, screens[i].height, screens[i].width);

		assert_true(console_layout(&console, &framebuffer));
		assert_int_equal(console.scale, screens[i].scale);
		assert_int_equal(console.columns, screens[i].columns);
		assert_int_equal(console.rows, screens[i].rows);
	}
}

TEST(refuses_what_is_no_screen)
{
	const struct framebuffer good = make_framebuffer(640, 480, 640);
	struct framebuffer bad[] = { good, good, good, good, good, good, good, good };

	bad[0].format = FRAMEBUFFER_NONE;
	bad[1].format = 17;
	bad[2].base = 0;
	bad[3].width = 0;
	bad[4].stride = 639;
	bad[5].size--;
	bad[6].base = UINT64_MAX - bad[6].size + 1;
	bad[7].height = UINT32_MAX;
	bad[7].size = UINT64_MAX;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		if (console_layout(&console, &bad[i]))
			fail_msg("framebuffer %zu is taken for a good one", i);
	assert_true(console_layout(&console, &good));
}

TEST(refuses_what_is_too_small)
{
	const struct framebuffer narrow = make_framebuffer(159, 80, 159);
	const struct framebuffer low = make_framebuffer(160, 79, 160);

	assert_false(console_layout(&console, &narrow));
	assert_false(console_layout(&console, &low));
}

TEST(takes_white_from_the_masks)
{
	struct framebuffer framebuffer = make_framebuffer(640, 480, 640);

	assert_true(console_layout(&console, &framebuffer));
	assert_int_equal(console.colours[CONSOLE_WHITE], WHITE);
	framebuffer.format = FRAMEBUFFER_RGBX;
	assert_true(console_layout(&console, &framebuffer));
	assert_int_equal(console.colours[CONSOLE_WHITE], WHITE);
	framebuffer.format = FRAMEBUFFER_MASKS;
	assert_false(console_layout(&console, &framebuffer));
	framebuffer.red_mask = 0x3ff00000;
	framebuffer.green_mask = 0x000ffc00;
	framebuffer.blue_mask = 0x000003ff;
	assert_true(console_layout(&console, &framebuffer));
	assert_int_equal(console.colours[CONSOLE_WHITE], 0x3fffffff);
	framebuffer.green_mask = 0;
	assert_false(console_layout(&console, &framebuffer));
}

/* A screen of `pixel_size` bytes a pixel, between guards: nothing may be drawn on these. */
static void check_format(const struct framebuffer *masks, uint32_t pixel_size, uint32_t white)
{
	enum { WIDTH = 163, HEIGHT = 83, STRIDE = 171, GUARD = 64 };
	const size_t size = (size_t)STRIDE * HEIGHT * pixel_size;
	struct framebuffer framebuffer = *masks;
	uint8_t *const memory = malloc(size + 2 * GUARD);

	assert_non_null(memory);
	memset(memory, 0x5a, size + 2 * GUARD);
	framebuffer.base = 0x80000000;
	framebuffer.size = size;
	framebuffer.width = WIDTH;
	framebuffer.height = HEIGHT;
	framebuffer.stride = STRIDE;
	assert_true(console_layout(&console, &framebuffer));
	assert_int_equal(console.pixel_size, pixel_size);
	assert_int_equal(console_size(&console), size);
	console_begin(&console, memory + GUARD);
	for (unsigned int i = 0; i < 60; i++)
		write_text("!~!~!~!~!~!~!\n");
	console_paint(&console, 100, 50, 1000, 1000, CONSOLE_WHITE);
	for (size_t i = 0; i < size + 2 * GUARD; i++) {
		const size_t x = (i - GUARD) / pixel_size % STRIDE;

		if (i < GUARD || i >= GUARD + size || x >= WIDTH)
			assert_int_equal(memory[i], 0x5a);
	}
	for (uint32_t i = 0; i < pixel_size; i++) {
		const size_t last =
			GUARD + (((size_t)HEIGHT - 1) * STRIDE + WIDTH - 1) * pixel_size;

		assert_int_equal(memory[last + i], white >> 8 * i & 0xff);
		assert_int_equal(memory[last - (size_t)50 * STRIDE * pixel_size + i], 0);
	}
	free(memory);
}

TEST(draws_pixels_of_any_size)
{
	const struct framebuffer rgb565 = { .format = FRAMEBUFFER_MASKS,
					    .red_mask = 0xf800,
					    .green_mask = 0x07e0,
					    .blue_mask = 0x001f };
	const struct framebuffer xrgb1555 = { .format = FRAMEBUFFER_MASKS,
					      .red_mask = 0x7c00,
					      .green_mask = 0x03e0,
					      .blue_mask = 0x001f,
					      .reserved_mask = 0x8000 };
	const struct framebuffer rgb332 = {
		.format = FRAMEBUFFER_MASKS, .red_mask = 0xe0, .green_mask = 0x1c, .blue_mask = 0x03
	};
	const struct framebuffer rgb888 = { .format = FRAMEBUFFER_MASKS,
					    .red_mask = 0xff0000,
					    .green_mask = 0xff00,
					    .blue_mask = 0xff };
	const struct framebuffer rgbx1010102 = { .format = FRAMEBUFFER_MASKS,
						 .red_mask = 0x3ff,
						 .green_mask = 0xffc00,
						 .blue_mask = 0x3ff00000,
						 .reserved_mask = 0xc0000000 };
	const struct framebuffer bgrx = { .format = FRAMEBUFFER_BGRX };

	check_format(&rgb332, 1, 0xff);
	check_format(&rgb565, 2, 0xffff);
	check_format(&xrgb1555, 2, 0x7fff);
	check_format(&rgb888, 3, 0xffffff);
	check_format(&rgbx1010102, 4, 0x3fffffff);
	check_format(&bgrx, 4, 0xffffff);
}

TEST(colours_follow_the_masks)
{
	struct framebuffer framebuffer = make_framebuffer(640, 480, 640);
	uint32_t red;

	assert_true(console_layout(&console, &framebuffer));
	red = console.colours[CONSOLE_RED];
	assert_true((red >> 16) > (red >> 8 & 0xff) && (red >> 16) > (red & 0xff));
	framebuffer.format = FRAMEBUFFER_RGBX;
	assert_true(console_layout(&console, &framebuffer));
	assert_int_equal(console.colours[CONSOLE_RED],
			 (red & 0xff) << 16 | (red & 0xff00) | red >> 16);
	framebuffer.format = FRAMEBUFFER_MASKS;
	framebuffer.red_mask = 0xff000000;
	framebuffer.green_mask = 0x3ff000;
	framebuffer.blue_mask = 0xf;
	assert_true(console_layout(&console, &framebuffer));
	assert_int_equal(console.colours[CONSOLE_RED],
			 (red >> 16) << 24 | (red >> 8 & 0xff) * 1023 / 255 << 12 |
				 (red & 0xff) * 15 / 255);
}

TEST(clears_the_screen_and_nothing_else)
{
	begin(167, 90, 180);
	for (uint32_t y = 0; y < 90; y++)
		for (uint32_t x = 0; x < 180; x++)
			assert_int_equal(pixels[y * 180 + x], x < 167 ? 0 : BACKGROUND);
}

TEST(stays_within_the_lines)
{
	begin(167, 90, 180);
	for (unsigned int i = 0; i < 12; i++)
		write_text("!~!~!~!~!~!~!~!~!~!~!");
	for (uint32_t y = 0; y < 90; y++)
		for (uint32_t x = 160; x < 180; x++)
			assert_int_equal(pixels[y * 180 + x], x < 167 ? 0 : BACKGROUND);
}

TEST(draws_every_character)
{
	char all[GLYPH_LAST - GLYPH_FIRST + 2] = { 0 };

	for (char c = GLYPH_FIRST; c <= GLYPH_LAST; c++)
		all[c - GLYPH_FIRST] = c;
	begin(760, 80, 760);
	write_text(all);
	assert_row(0, all);
}

TEST(draws_at_every_scale)
{
	for (uint32_t scale = 2; scale <= 4; scale++) {
		const uint32_t width = scale * 1280;

		begin(width, 400 * scale, width + 3);
		assert_int_equal(console.scale, scale);
		write_text("first\nsecond");
		assert_row(0, "first");
		assert_row(1, "second");
		assert_row(2, "");
	}
}

TEST(knows_the_control_characters)
{
	begin(240, 80, 240);
	write_text("one\r\ntwo\rtw\n\tx\ty\n1234567\t8\na\1\x1b\x7f\x80\xff.");
	assert_row(0, "one");
	assert_row(1, "two");
	assert_row(2, "        x       y");
	assert_row(3, "1234567 8");
	assert_row(4, "a?????.");
}

TEST(wraps_when_the_next_character_comes)
{
	begin(160, 80, 160);
	write_text("12345678901234567890\n"); /* as wide as the screen: no empty line */
	write_text("12345678901234567890x\n");
	write_text("\t\t\t\ty");
	assert_row(0, "12345678901234567890");
	assert_row(1, "12345678901234567890");
	assert_row(2, "x");
	assert_row(3, "");
	assert_row(4, "y");
}

TEST(scrolls_by_half_the_rows)
{
	begin(160, 96, 160); /* six rows */
	write_text("1\n22\n333\n4444\n55555\n666666\n");
	assert_row(0, "1"); /* nothing scrolls before there is something to show */
	assert_row(5, "666666");
	write_text("7");
	assert_row(0, "4444");
	assert_row(1, "55555");
	assert_row(2, "666666");
	assert_row(3, "7");
	assert_row(4, "");
	assert_row(5, "");
}

TEST(scrolls_by_empty_lines_too)
{
	begin(160, 80, 160); /* five rows: half of them is two */
	write_text("1\n2\n3\n4\n5\n\nx");
	assert_row(0, "3");
	assert_row(1, "4");
	assert_row(2, "5");
	assert_row(3, "");
	assert_row(4, "x");
	write_text("\n\n\n\n\n\n\n\n\n\n\n\n\ny");
	for (uint32_t row = 0; row < 5; row++)
		assert_row(row, console.row == row ? "y" : "");
}

TEST(scrolls_when_a_line_wraps)
{
	begin(160, 80, 160);
	write_text("\n\n\n\n12345678901234567890abc");
	assert_row(2, "12345678901234567890");
	assert_row(3, "abc");
	assert_row(4, "");
}

/* Drawing is slow: what is on the screen already must not be drawn again. */
TEST(draws_only_what_changes)
{
	begin(160, 80, 160);
	write_text("same\nsame\nsame\nsame\nsame");
	for (size_t i = 0; i < 160 * 80; i++)
		pixels[i] = BACKGROUND;
	write_text("\nsame"); /* rows 0 to 2 as before, row 3 new, row 4 blank */
	for (size_t i = 0; i < 160 * 80; i++) {
		const bool drawn = i / 160 >= 3 * GLYPH_HEIGHT && i % 160 < 4 * GLYPH_WIDTH;

		assert_int_equal(pixels[i] != BACKGROUND, drawn);
	}
	assert_int_equal(read_character(3, 0), 's');
	assert_int_equal(read_character(4, 0), ' ');
}

TEST(puts_text_at_a_place)
{
	begin(160, 80, 160);
	write_text("1\n2\n3");
	console_put(&console, 1, 5, 4, "abcdefgh", CONSOLE_RED);
	console_put(&console, 4, 17, 10, "xyz!", CONSOLE_WHITE);
	console_put(&console, 5, 0, 10, "nowhere", CONSOLE_WHITE);
	console_put(&console, 0, 20, 10, "nowhere", CONSOLE_WHITE);
	write_text(".");
	for (uint32_t i = 0; i < 4 * GLYPH_WIDTH; i++) /* "abcd" in red */
		for (uint32_t y = 0; y < GLYPH_HEIGHT; y++) {
			uint32_t *const pixel =
				&pixels[(GLYPH_HEIGHT + y) * 160 + 5 * GLYPH_WIDTH + i];

			assert_true(*pixel == 0 || *pixel == console.colours[CONSOLE_RED]);
			if (*pixel != 0)
				*pixel = WHITE; /* for assert_row() */
		}
	assert_row(0, "1");
	assert_row(1, "2    abcd");
	assert_row(2, "3.");
	assert_row(4, "                 xyz");
}

/* The same character in another colour is another picture. */
TEST(redraws_for_a_colour)
{
	begin(160, 80, 160);
	console_put(&console, 0, 0, 1, "a", CONSOLE_RED);
	console_put(&console, 0, 0, 1, "a", CONSOLE_WHITE);
	assert_row(0, "a");
}

TEST(paints_what_is_on_the_screen)
{
	static const struct {
		uint32_t x, y, width, height, left, top, right, bottom;
	} rectangles[] = {
		{ 3, 5, 7, 11, 3, 5, 10, 16 },
		{ 1, 0, 160, 2, 1, 0, 160, 2 },
		{ 150, 70, 100, 100, 150, 70, 160, 80 },
		{ 160, 80, 1, 1, 0, 0, 0, 0 },
		{ UINT32_MAX, 1, 2, 2, 0, 0, 0, 0 },
		{ 1, 1, UINT32_MAX, UINT32_MAX, 1, 1, 160, 80 },
	};

	for (size_t r = 0; r < COUNT_OF(rectangles); r++) {
		begin(160, 80, 160);
		console_paint(&console, rectangles[r].x, rectangles[r].y, rectangles[r].width,
			      rectangles[r].height, CONSOLE_WHITE);
		for (uint32_t i = 0; i < 160 * 80; i++) {
			const uint32_t x = i % 160, y = i / 160;
			const bool inside = x >= rectangles[r].left && x < rectangles[r].right &&
					    y >= rectangles[r].top && y < rectangles[r].bottom;

			assert_int_equal(pixels[i], inside ? WHITE : 0);
		}
	}
}

/* A blank over a painted place has to be drawn, although a blank was there before. */
TEST(text_covers_what_was_painted)
{
	begin(160, 80, 160);
	console_paint(&console, 7, 15, 2, 2, CONSOLE_WHITE);
	console_put(&console, 0, 0, 20, "                    ", CONSOLE_WHITE);
	console_put(&console, 1, 0, 20, "a                   ", CONSOLE_WHITE);
	assert_row(0, "");
	assert_row(1, "a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chooses_the_scale_by_the_width),
		cmocka_unit_test(refuses_what_is_no_screen),
		cmocka_unit_test(refuses_what_is_too_small),
		cmocka_unit_test(takes_white_from_the_masks),
		cmocka_unit_test(draws_pixels_of_any_size),
		cmocka_unit_test(colours_follow_the_masks),
		cmocka_unit_test_teardown(clears_the_screen_and_nothing_else, tear_down),
		cmocka_unit_test_teardown(stays_within_the_lines, tear_down),
		cmocka_unit_test_teardown(draws_every_character, tear_down),
		cmocka_unit_test_teardown(draws_at_every_scale, tear_down),
		cmocka_unit_test_teardown(knows_the_control_characters, tear_down),
		cmocka_unit_test_teardown(wraps_when_the_next_character_comes, tear_down),
		cmocka_unit_test_teardown(scrolls_by_half_the_rows, tear_down),
		cmocka_unit_test_teardown(scrolls_by_empty_lines_too, tear_down),
		cmocka_unit_test_teardown(scrolls_when_a_line_wraps, tear_down),
		cmocka_unit_test_teardown(draws_only_what_changes, tear_down),
		cmocka_unit_test_teardown(puts_text_at_a_place, tear_down),
		cmocka_unit_test_teardown(redraws_for_a_colour, tear_down),
		cmocka_unit_test_teardown(paints_what_is_on_the_screen, tear_down),
		cmocka_unit_test_teardown(text_covers_what_was_painted, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
