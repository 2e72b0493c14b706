/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/console.c: layouts, and what a screen of memory shows after some text. The
 * font of these tests numbers its glyphs, so that a screen can be read back.
 */
#include "tests/unit/unit.h"
#include "lib/console.h"

/*
 * Glyph n has n in its first line, and ~n in its last; the blank is blank. In fonts that are wider
 * the pixels behind these eight are all set.
 */
#define MARK_BITS 8

static uint8_t glyphs_8[GLYPHS][16], glyphs_12[GLYPHS][48], glyphs_16[GLYPHS][64];

const struct console_font console_fonts[CONSOLE_FONTS] = { { 8, glyphs_8[0] },
							   { 12, glyphs_12[0] },
							   { 16, glyphs_16[0] } };

static int make_fonts(void **state __attribute__((unused)))
{
	for (uint8_t n = 1; n < GLYPHS; n++) {
		const uint8_t not_n = (uint8_t)~n;
		const uint8_t first[] = { n, 0xff }, last[] = { not_n, 0xff };
		/* What is behind a line's pixels is not to be shown. */
		const uint8_t padding[] = { 0, 0x0f };

		glyphs_8[n][0] = n;
		glyphs_8[n][15] = not_n;
		memcpy(glyphs_12[n], first, sizeof(first));
		for (size_t line = 1; line < 23; line++)
			memcpy(glyphs_12[n] + 2 * line, padding, sizeof(padding));
		memcpy(glyphs_12[n] + 46, last, sizeof(last));
		memcpy(glyphs_16[n], first, sizeof(first));
		memcpy(glyphs_16[n] + 62, last, sizeof(last));
	}
	return 0;
}

/* Tests of one cell a character in the narrowest font. */
#define GLYPH_WIDTH  8
#define GLYPH_HEIGHT 16

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
static uint16_t read_line(uint32_t row, uint32_t column, uint32_t line)
{
	const uint32_t scale = console.scale;
	uint16_t bits = 0;

	for (uint32_t x = 0; x < console.font->width; x++) {
		const uint32_t *const first =
			pixels +
			(size_t)(row * console.cell_height + line * scale) * console.stride / 4 +
			(size_t)(column * console.cell_width + x * scale);

		assert_true(*first == 0 || *first == console.colours[CONSOLE_WHITE]);
		for (uint32_t i = 0; i < scale * scale; i++)
			assert_int_equal(first[i / scale * console.stride / 4 + i % scale], *first);
		bits = (uint16_t)(bits << 1 | (*first != 0));
	}
	return bits;
}

static char read_character(uint32_t row, uint32_t column)
{
	const uint32_t more = console.font->width - MARK_BITS;
	const uint32_t height = 2 * console.font->width;
	const uint16_t first = read_line(row, column, 0);
	const uint8_t n = (uint8_t)(first >> more);
	const uint32_t set = n == 0 ? 0 : (1U << more) - 1;

	assert_int_equal(first, (uint32_t)n << more | set);
	assert_int_equal(read_line(row, column, height - 1),
			 n == 0 ? 0 : (uint32_t)(uint8_t)~n << more | set);
	for (uint32_t line = 1; line < height - 1; line++)
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

TEST(chooses_the_font_by_the_width)
{
	static const struct {
		uint32_t width, height, font, scale, columns, rows;
	} screens[] = {
		{ 160, 80, 8, 1, 20, 5 },	 { 640, 480, 8, 1, 80, 30 },
		{ 1280, 800, 8, 1, 160, 50 },	 { 1288, 800, 12, 1, 107, 33 },
		{ 1288, 599, 8, 1, 160, 37 },	 { 1366, 768, 12, 1, 113, 32 },
		{ 1920, 1080, 12, 1, 160, 45 },	 { 1932, 1080, 16, 1, 120, 33 },
		{ 2560, 1440, 16, 1, 160, 45 },	 { 2880, 1800, 12, 2, 120, 37 },
		{ 3840, 2160, 12, 2, 160, 45 },	 { 5120, 2880, 16, 2, 160, 45 },
		{ 5760, 3240, 12, 3, 160, 45 },	 { 6400, 3600, 8, 5, 160, 45 },
		{ 7680, 4320, 16, 3, 160, 45 },	 { 8192, 8192, 8, 7, 146, 73 },
		{ 5120, 1440, 12, 2, 160, 30 },	 { 3440, 1440, 12, 2, 143, 30 },
		{ 1200, 1920, 8, 1, 150, 120 },	 { 1200, 2000, 8, 1, 150, 120 },
		{ 2160, 3840, 16, 1, 135, 120 },
	};

	for (size_t i = 0; i < COUNT_OF(screens); i++) {
		const struct framebuffer framebuffer =
			make_framebuffer(screens[i].width, screens[i].height, screens[i].width);

		assert_true(console_layout(&console, &framebuffer));
		assert_int_equal(console.font->width, screens[i].font);
		assert_int_equal(console.scale, screens[i].scale);
		assert_int_equal(console.columns, screens[i].columns);
		assert_int_equal(console.rows, screens[i].rows);
	}
}

/* A terminal's text has room on each screen that is large enough, and lines end on the screen. */
TEST(lays_out_any_screen)
{
	for (uint32_t width = 640; width <= 7680; width += 7)
		for (uint32_t height = 400; height <= 4320; height += 13) {
			const struct framebuffer framebuffer =
				make_framebuffer(width, height, width);

			assert_true(console_layout(&console, &framebuffer));
			if (console.columns < 80 || console.columns > CONSOLE_COLUMNS_MAX ||
			    console.rows < 25 || console.rows > CONSOLE_ROWS_MAX ||
			    console.columns * console.cell_width > width ||
			    console.rows * console.cell_height > height ||
			    console.cell_width != console.font->width * console.scale ||
			    console.cell_height != 2 * console.cell_width)
				fail_msg("%ux%u: %u columns, %u rows", width, height,
					 console.columns, console.rows);
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

static const struct format {
	const char *name;
	struct framebuffer framebuffer;
	uint32_t pixel_size, white;
} formats[] = {
	{ "RGB332",
	  { .format = FRAMEBUFFER_MASKS, .red_mask = 0xe0, .green_mask = 0x1c, .blue_mask = 0x03 },
	  1,
	  0xff },
	{ "RGB565",
	  { .format = FRAMEBUFFER_MASKS,
	    .red_mask = 0xf800,
	    .green_mask = 0x07e0,
	    .blue_mask = 0x001f },
	  2,
	  0xffff },
	{ "XRGB1555",
	  { .format = FRAMEBUFFER_MASKS,
	    .red_mask = 0x7c00,
	    .green_mask = 0x03e0,
	    .blue_mask = 0x001f,
	    .reserved_mask = 0x8000 },
	  2,
	  0x7fff },
	{ "RGB888",
	  { .format = FRAMEBUFFER_MASKS,
	    .red_mask = 0xff0000,
	    .green_mask = 0xff00,
	    .blue_mask = 0xff },
	  3,
	  0xffffff },
	{ "RGBX1010102",
	  { .format = FRAMEBUFFER_MASKS,
	    .red_mask = 0x3ff,
	    .green_mask = 0xffc00,
	    .blue_mask = 0x3ff00000,
	    .reserved_mask = 0xc0000000 },
	  4,
	  0x3fffffff },
	{ "BGRX8888", { .format = FRAMEBUFFER_BGRX }, 4, 0xffffff },
	{ "RGBX8888", { .format = FRAMEBUFFER_RGBX }, 4, 0xffffff },
};

#define GUARD 64

static bool is_untouched(const uint8_t *memory, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (memory[i] != (uint8_t)BACKGROUND)
			return false;
	return true;
}

/*
 * Text and a rectangle on a screen between guards: nothing may be drawn on these, nor behind the
 * lines. The last pixel is white, the one 50 lines above it black.
 */
static void check_format(const struct format *format, uint32_t width, uint32_t height,
			 uint32_t stride)
{
	const uint32_t pixel_size = format->pixel_size;
	const size_t size = (size_t)stride * height * pixel_size;
	struct framebuffer framebuffer = format->framebuffer;
	uint8_t *const memory = malloc(size + 2 * GUARD);
	uint8_t *const screen = memory + GUARD;

	assert_non_null(memory);
	memset(memory, (uint8_t)BACKGROUND, size + 2 * GUARD);
	framebuffer.base = 0x80000000;
	framebuffer.size = size;
	framebuffer.width = width;
	framebuffer.height = height;
	framebuffer.stride = stride;
	assert_true(console_layout(&console, &framebuffer));
	assert_int_equal(console.pixel_size, pixel_size);
	assert_int_equal(console_size(&console), size);
	console_begin(&console, screen);
	for (unsigned int i = 0; i < console.rows + 3; i++)
		for (unsigned int j = 0; j < console.columns; j += 2)
			write_text("!~");
	console_paint(&console, width - 63, height - 33, 1000, 1000, CONSOLE_WHITE);
	assert_true(is_untouched(memory, GUARD) && is_untouched(screen + size, GUARD));
	for (uint32_t y = 0; y < height; y++)
		if (!is_untouched(screen + ((size_t)y * stride + width) * pixel_size,
				  (size_t)(stride - width) * pixel_size))
			fail_msg("%s %ux%u: line %u is too long", format->name, width, height, y);
	for (uint32_t i = 0; i < pixel_size; i++) {
		const size_t last = (((size_t)height - 1) * stride + width - 1) * pixel_size;

		assert_int_equal(screen[last + i], format->white >> 8 * i & 0xff);
		assert_int_equal(screen[last - (size_t)50 * stride * pixel_size + i], 0);
	}
	/* The second character's last pixel, in the last line: ~n of '~', and what is set behind.
	 */
	for (uint32_t i = 0; i < pixel_size; i++) {
		const size_t at =
			((size_t)(console.cell_height - 1) * stride + 2 * console.cell_width - 1) *
			pixel_size;

		assert_int_equal(screen[at + i], format->white >> 8 * i & 0xff);
		assert_int_equal(screen[at + i - (size_t)stride * pixel_size * console.scale], 0);
	}
	free(memory);
}

TEST(draws_pixels_of_any_size)
{
	for (size_t i = 0; i < COUNT_OF(formats); i++)
		check_format(&formats[i], 163, 83, 171);
}

/*
 * Native modes of panels and monitors, those that take no time in all formats; lines as firmware
 * aligns them.
 */
TEST(draws_on_the_screens_that_there_are)
{
	static const struct {
		uint32_t width, height;
	} modes[] = {
		{ 640, 480 },	{ 800, 600 },	{ 1024, 768 },	{ 1366, 768 },	{ 1920, 1080 },
		{ 1920, 1200 }, { 2560, 1440 }, { 2880, 1800 }, { 3840, 2160 }, { 7680, 4320 },
	};

	for (size_t m = 0; m < COUNT_OF(modes); m++) {
		const size_t step = modes[m].width > 1920 ? 3 : 1;

		for (size_t i = m % step; i < COUNT_OF(formats); i += step)
			check_format(&formats[i], modes[m].width, modes[m].height,
				     (modes[m].width + 64) & ~63U);
	}
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

TEST(draws_at_every_size)
{
	static const struct {
		uint32_t width, height, cell;
	} screens[] = { { 640, 400, 8 },    { 1300, 600, 12 },	{ 2000, 800, 16 },
			{ 2600, 1200, 24 }, { 3900, 1600, 32 }, { 5200, 1900, 36 },
			{ 5800, 2000, 40 }, { 6500, 2400, 48 }, { 7740, 2800, 56 } };

	for (size_t i = 0; i < COUNT_OF(screens); i++) {
		begin(screens[i].width, screens[i].height, screens[i].width + 3);
		assert_int_equal(console.cell_width, screens[i].cell);
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
		cmocka_unit_test(chooses_the_font_by_the_width),
		cmocka_unit_test(lays_out_any_screen),
		cmocka_unit_test(refuses_what_is_no_screen),
		cmocka_unit_test(refuses_what_is_too_small),
		cmocka_unit_test(takes_white_from_the_masks),
		cmocka_unit_test(draws_pixels_of_any_size),
		cmocka_unit_test(draws_on_the_screens_that_there_are),
		cmocka_unit_test(colours_follow_the_masks),
		cmocka_unit_test_teardown(clears_the_screen_and_nothing_else, tear_down),
		cmocka_unit_test_teardown(stays_within_the_lines, tear_down),
		cmocka_unit_test_teardown(draws_every_character, tear_down),
		cmocka_unit_test_teardown(draws_at_every_size, tear_down),
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

	return cmocka_run_group_tests(tests, make_fonts, NULL);
}
