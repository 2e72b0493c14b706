/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The layout of a text screen, its scrolling, and the drawing of characters.
 */
#include "lib/console.h"

#include "lib/string.h"
#include "lib/wrap.h"

#define COLUMNS_MIN 20
#define ROWS_MIN    5

/* What no larger font may take: the size of a terminal, for which text is made. */
#define COLUMNS_WANTED 80
#define ROWS_WANTED    25

/* No screen has more pixels in a line, or lines. */
#define DIMENSION_MAX 8192U
/* The narrowest font can have each multiple of its width: no cell is wider than the next of these.
 */
#define CELL_WIDTH_MAX \
	((DIMENSION_MAX / CONSOLE_COLUMNS_MAX / CONSOLE_CELL_MIN + 1) * CONSOLE_CELL_MIN)

#define FONT_HEIGHT(width) (2 * (width))
#define BYTE_BITS	   8U
#define LINE_BYTES(width)  (((width) + BYTE_BITS - 1) / BYTE_BITS)

#define PIXEL_SIZE_MAX 4U
#define COMPONENT_MAX  0xffU /* of an RGB colour */

/* Framebuffers take the widest writes best. The place of a glyph's line may be any. */
typedef uint64_t __attribute__((aligned(1), may_alias)) wide;
typedef uint32_t __attribute__((aligned(1), may_alias)) any_pixel;
_Static_assert(CONSOLE_CELL_STEP % sizeof(any_pixel) == 0,
	       "a glyph's line is made of wide writes and of one of half that size at most");

/* Red, green, blue: bright enough on black, and apart for most who see colours differently. */
static const uint8_t palette[CONSOLE_COLOURS][3] = {
	[CONSOLE_BLACK] = { 0x00, 0x00, 0x00 },	 [CONSOLE_WHITE] = { 0xff, 0xff, 0xff },
	[CONSOLE_GREY] = { 0xa0, 0xa0, 0xa0 },	 [CONSOLE_GREEN] = { 0x40, 0xe0, 0x60 },
	[CONSOLE_YELLOW] = { 0xff, 0xd8, 0x30 }, [CONSOLE_RED] = { 0xff, 0x60, 0x50 },
};

/* Where a pixel has its red, green, blue, and what means nothing. */
struct masks {
	uint32_t colours[3], reserved;
};

/* UEFI 2.10, 12.9.2. False when there is nothing that can be drawn on. */
static bool find_masks(const struct framebuffer *framebuffer, struct masks *masks)
{
	static const struct masks rgbx = { { 0xff, 0xff00, 0xff0000 }, 0xff000000 };
	static const struct masks bgrx = { { 0xff0000, 0xff00, 0xff }, 0xff000000 };

	switch (framebuffer->format) {
	case FRAMEBUFFER_RGBX:
		*masks = rgbx;
		return true;
	case FRAMEBUFFER_BGRX:
		*masks = bgrx;
		return true;
	case FRAMEBUFFER_MASKS:
		*masks = (struct masks){ { framebuffer->red_mask, framebuffer->green_mask,
					   framebuffer->blue_mask },
					 framebuffer->reserved_mask };
		return masks->colours[0] != 0 && masks->colours[1] != 0 && masks->colours[2] != 0;
	default:
		return false;
	}
}

/* Bytes: the highest bit of all masks decides. */
static uint32_t pixel_size(const struct masks *masks)
{
	uint32_t all = masks->reserved;
	uint32_t bytes = 0;

	for (size_t i = 0; i < 3; i++)
		all |= masks->colours[i];
	for (; all != 0; all >>= 8)
		bytes++;
	return bytes;
}

/* A colour's component, stretched to the width of its mask. */
static uint32_t component(uint8_t value, uint32_t mask)
{
	const unsigned int shift = (unsigned int)__builtin_ctz(mask);
	const uint64_t most = mask >> shift;

	return (uint32_t)(value * most / COMPONENT_MAX) << shift & mask;
}

static uint32_t at_most(uint32_t value, uint32_t limit)
{
	return value < limit ? value : limit;
}

/* The largest glyphs of which a multiple is this wide: the fewest pixels that are made larger. */
static const struct console_font *font_for(uint32_t cell_width)
{
	for (size_t i = CONSOLE_FONTS; i > 0; i--)
		if (cell_width % console_fonts[i - 1].width == 0)
			return &console_fonts[i - 1];
	return NULL;
}

static bool leaves_a_terminal(const struct console *console, uint32_t cell_width)
{
	return console->width / cell_width >= COLUMNS_WANTED &&
	       console->height / FONT_HEIGHT(cell_width) >= ROWS_WANTED;
}

static void choose_font(struct console *console)
{
	for (uint32_t cell = CONSOLE_CELL_MIN;; cell += CONSOLE_CELL_STEP) {
		const struct console_font *const font = font_for(cell);

		if (!font)
			continue;
		if (cell > CONSOLE_CELL_MIN && !leaves_a_terminal(console, cell))
			return;
		console->font = font;
		console->scale = cell / font->width;
		console->cell_width = cell;
		console->cell_height = FONT_HEIGHT(cell);
		if (console->width / cell <= CONSOLE_COLUMNS_MAX)
			return;
	}
}

bool console_layout(struct console *console, const struct framebuffer *framebuffer)
{
	struct masks masks;

	memset(console, 0, sizeof(*console));
	if (!find_masks(framebuffer, &masks) || framebuffer->base == 0 || framebuffer->width == 0 ||
	    framebuffer->stride < framebuffer->width || framebuffer->stride > DIMENSION_MAX ||
	    framebuffer->height > DIMENSION_MAX)
		return false;
	console->width = framebuffer->width;
	console->height = framebuffer->height;
	console->pixel_size = pixel_size(&masks);
	console->stride = framebuffer->stride * console->pixel_size;
	if (console_size(console) > framebuffer->size ||
	    framebuffer->base + framebuffer->size < framebuffer->base)
		return false;
	for (size_t c = 0; c < CONSOLE_COLOURS; c++)
		for (size_t i = 0; i < 3; i++)
			console->colours[c] |= component(palette[c][i], masks.colours[i]);
	choose_font(console);
	console->columns = at_most(console->width / console->cell_width, CONSOLE_COLUMNS_MAX);
	console->rows = at_most(console->height / console->cell_height, CONSOLE_ROWS_MAX);
	return console->columns >= COLUMNS_MIN && console->rows >= ROWS_MIN;
}

uint64_t console_size(const struct console *console)
{
	return (uint64_t)console->stride * console->height;
}

void console_begin(struct console *console, volatile void *pixels)
{
	console->pixels = pixels;
	console->row = 0;
	console->column = 0;
	console_paint(console, 0, 0, console->width, console->height, CONSOLE_BLACK);
	for (uint32_t row = 0; row < CONSOLE_ROWS_MAX; row++)
		for (uint32_t column = 0; column < CONSOLE_COLUMNS_MAX; column++)
			console->cells[row][column] = (struct console_cell){ ' ', CONSOLE_WHITE };
}

static volatile uint8_t *pixel_at(const struct console *console, uint32_t x, uint32_t y)
{
	return console->pixels + (size_t)y * console->stride + (size_t)x * console->pixel_size;
}

/*
 * Write a pixel into ordinary memory; returns where the next one goes. It is the same store for
 * each size: what a smaller pixel has not is overwritten by the next, so PIXEL_SIZE_MAX bytes must
 * be free.
 */
static uint8_t *store_pixel(const struct console *console, uint8_t *to, uint32_t pixel)
{
	*(any_pixel *)to = pixel;
	return to + console->pixel_size;
}

/* A line of a glyph as lines of the screen. */
static void draw_line(const struct console *console, volatile uint8_t *to, const uint8_t *bits,
		      uint32_t ink)
{
	const uint32_t paper = console->colours[CONSOLE_BLACK];
	uint8_t line[CELL_WIDTH_MAX * PIXEL_SIZE_MAX + PIXEL_SIZE_MAX];
	uint8_t *end = line;

	for (uint32_t x = 0; x < console->font->width; x++) {
		const bool is_ink = bits[x / BYTE_BITS] << x % BYTE_BITS & 0x80;

		for (uint32_t i = 0; i < console->scale; i++)
			end = store_pixel(console, end, is_ink ? ink : paper);
	}
	for (uint32_t i = 0; i < console->scale; i++, to += console->stride) {
		const uint8_t *from = line;

		for (; end - from >= (ptrdiff_t)sizeof(wide); from += sizeof(wide))
			*(volatile wide *)(to + (from - line)) = *(const wide *)from;
		if (from < end)
			*(volatile any_pixel *)(to + (from - line)) = *(const any_pixel *)from;
	}
}

/* Make the character be at this place; what is there already costs nothing. */
static void put(struct console *console, uint32_t row, uint32_t column, struct console_cell cell)
{
	struct console_cell *const shown = &console->cells[row][column];
	const uint32_t height = FONT_HEIGHT(console->font->width);
	const size_t line = LINE_BYTES(console->font->width);
	volatile uint8_t *to =
		pixel_at(console, column * console->cell_width, row * console->cell_height);
	const uint8_t *from;

	if (cell.character == '\0') /* painted places scroll as blanks */
		cell.character = ' ';
	if (cell.character < GLYPH_FIRST || cell.character > GLYPH_LAST)
		cell.character = '?';
	if (shown->character == cell.character &&
	    (shown->colour == cell.colour || cell.character == ' '))
		return;
	*shown = cell;
	from = console->font->glyphs + (size_t)(cell.character - GLYPH_FIRST) * height * line;
	for (uint32_t y = 0; y < height; y++, from += line) {
		draw_line(console, to, from, console->colours[cell.colour]);
		to += (size_t)console->stride * console->scale;
	}
}

/* Half a screen at once: a line costs the same on average however high the screen is. */
static void scroll(struct console *console)
{
	static const struct console_cell blank = { ' ', CONSOLE_WHITE };
	const uint32_t distance = console->rows / 2;

	for (uint32_t row = 0; row < console->rows; row++)
		for (uint32_t column = 0; column < console->columns; column++)
			put(console, row, column,
			    row + distance < console->rows ? console->cells[row + distance][column]
							   : blank);
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
	put(console, console->row, console->column++,
	    (struct console_cell){ character, CONSOLE_WHITE });
}

void console_write(struct console *console, const char *text, size_t length)
{
	for (size_t at = 0; at < length; at++) {
		switch (text[at]) {
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
			if (wrap_before(text, length, at, console->column, console->columns))
				console->column = console->columns;
			put_next(console, text[at]);
		}
	}
}

void console_put(struct console *console, uint32_t row, uint32_t column, uint32_t width,
		 const char *text, enum console_colour colour)
{
	if (row >= console->rows)
		return;
	for (; *text != '\0' && width > 0 && column < console->columns; width--)
		put(console, row, column++, (struct console_cell){ *text++, (uint8_t)colour });
}

/* The cells that a rectangle touches show no character any more. */
static void forget_cells(struct console *console, uint32_t left, uint32_t top, uint32_t right,
			 uint32_t bottom)
{
	const uint32_t width = console->cell_width;
	const uint32_t height = console->cell_height;

	for (uint32_t row = top / height; row < console->rows && row * height < bottom; row++)
		for (uint32_t column = left / width;
		     column < console->columns && column * width < right; column++)
			console->cells[row][column].character = '\0';
}

void console_paint(struct console *console, uint32_t x, uint32_t y, uint32_t width, uint32_t height,
		   enum console_colour colour)
{
	const uint32_t left = at_most(x, console->width);
	const uint32_t top = at_most(y, console->height);
	const uint32_t right = left + at_most(width, console->width - left);
	const uint32_t bottom = top + at_most(height, console->height - top);
	uint8_t eight[9 * PIXEL_SIZE_MAX]; /* pixels: whole wide writes in each format */
	uint8_t *end = eight;

	forget_cells(console, left, top, right, bottom);
	for (unsigned int i = 0; i < 8; i++)
		end = store_pixel(console, end, console->colours[colour]);
	for (uint32_t line = top; line < bottom; line++) {
		volatile uint8_t *to = pixel_at(console, left, line);
		uint32_t count = right - left;

		for (; count >= 8; count -= 8)
			for (const uint8_t *from = eight; from < end; from += sizeof(wide)) {
				*(volatile wide *)to = *(const wide *)from;
				to += sizeof(wide);
			}
		for (uint32_t i = 0; i < count * console->pixel_size; i++)
			*to++ = eight[i];
	}
}
