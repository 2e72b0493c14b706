/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The layout of a text screen, its scrolling, and the drawing of characters.
 */
#include "lib/console.h"

#include "lib/string.h"

#define COLUMNS_MIN 20
#define ROWS_MIN    5

/* No screen has more pixels in a line, or lines. */
#define DIMENSION_MAX 8192U

/*
 * UEFI 2.10, 12.9.2: the highest mask bit decides how large a pixel of
 * PixelBitMask is. Up to 16 bits are surely no 32-bit pixel; packed 24-bit
 * pixels are found by the framebuffer's size.
 */
#define MASKS_OF_SMALL_PIXELS 0xffffU

/* White in the framebuffer's format; 0 when it has none that we can draw. */
static uint32_t white(const struct framebuffer *framebuffer)
{
	const uint32_t masks =
		framebuffer->red_mask | framebuffer->green_mask | framebuffer->blue_mask;

	switch (framebuffer->format) {
	case FRAMEBUFFER_RGBX:
	case FRAMEBUFFER_BGRX:
		return 0xffffff;
	case FRAMEBUFFER_MASKS:
		return masks > MASKS_OF_SMALL_PIXELS ? masks : 0;
	default:
		return 0;
	}
}

static uint32_t at_most(uint32_t value, uint32_t limit)
{
	return value < limit ? value : limit;
}

bool console_layout(struct console *console, const struct framebuffer *framebuffer)
{
	const uint32_t columns_of_scale = CONSOLE_COLUMNS_MAX * GLYPH_WIDTH;

	memset(console, 0, sizeof(*console));
	console->ink = white(framebuffer);
	if (console->ink == 0 || framebuffer->base == 0 || framebuffer->width == 0 ||
	    framebuffer->stride < framebuffer->width || framebuffer->stride > DIMENSION_MAX ||
	    framebuffer->height > DIMENSION_MAX)
		return false;
	console->width = framebuffer->width;
	console->height = framebuffer->height;
	console->stride = framebuffer->stride;
	if (console_size(console) > framebuffer->size ||
	    framebuffer->base + framebuffer->size < framebuffer->base)
		return false;
	console->scale = (console->width + columns_of_scale - 1) / columns_of_scale;
	console->columns = console->width / (GLYPH_WIDTH * console->scale);
	console->rows =
		at_most(console->height / (GLYPH_HEIGHT * console->scale), CONSOLE_ROWS_MAX);
	return console->columns >= COLUMNS_MIN && console->rows >= ROWS_MIN;
}

uint64_t console_size(const struct console *console)
{
	return (uint64_t)console->stride * console->height * sizeof(*console->pixels);
}

void console_begin(struct console *console, volatile uint32_t *pixels)
{
	console->pixels = pixels;
	console->row = 0;
	console->column = 0;
	memset(console->text, ' ', sizeof(console->text));
	for (uint32_t y = 0; y < console->height; y++)
		for (uint32_t x = 0; x < console->width; x++)
			pixels[(size_t)y * console->stride + x] = 0;
}

/* A line of a glyph as a line of the screen. */
static void draw_line(const struct console *console, volatile uint32_t *pixel, uint8_t bits)
{
	for (uint32_t mask = 1U << (GLYPH_WIDTH - 1); mask != 0; mask >>= 1)
		for (uint32_t i = 0; i < console->scale; i++)
			*pixel++ = bits & mask ? console->ink : 0;
}

/* Make the character be at this place; what is there already costs nothing. */
static void put(struct console *console, uint32_t row, uint32_t column, char character)
{
	const uint8_t *const glyph = console_font[character - GLYPH_FIRST];
	volatile uint32_t *line = console->pixels +
				  (size_t)row * GLYPH_HEIGHT * console->scale * console->stride +
				  (size_t)column * GLYPH_WIDTH * console->scale;

	if (console->text[row][column] == character)
		return;
	console->text[row][column] = character;
	for (uint32_t y = 0; y < GLYPH_HEIGHT; y++)
		for (uint32_t i = 0; i < console->scale; i++, line += console->stride)
			draw_line(console, line, glyph[y]);
}

/* Half a screen at once: a line costs the same on average however high the screen is. */
static void scroll(struct console *console)
{
	const uint32_t distance = console->rows / 2;

	for (uint32_t row = 0; row < console->rows; row++)
		for (uint32_t column = 0; column < console->columns; column++)
			put(console, row, column,
			    row + distance < console->rows ? console->text[row + distance][column]
							   : ' ');
	console->row -= distance;
}

static void put_next(struct console *console, char character)
{
	if (console->column == console->columns) {
		console->column = 0;
		console->row++;
	}
	if (console->row == console->rows)
		scroll(console);
	if (character < GLYPH_FIRST || character > GLYPH_LAST)
		character = '?';
	put(console, console->row, console->column++, character);
}

void console_write(struct console *console, const char *text, size_t length)
{
	for (const char *end = text + length; text < end; text++) {
		switch (*text) {
		case '\n':
			if (console->row == console->rows)
				scroll(console);
			console->row++;
			console->column = 0;
			break;
		case '\r':
			console->column = 0;
			break;
		case '\t':
			console->column = at_most((console->column / CONSOLE_TAB + 1) * CONSOLE_TAB,
						  console->columns);
			break;
		default:
			put_next(console, *text);
		}
	}
}
