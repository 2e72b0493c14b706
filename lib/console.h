/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text in a framebuffer: what is on the screen, where the next character goes, and the drawing, in
 * any pixel format that UEFI has. What is shown is kept in memory, and only what changes is drawn:
 * framebuffers are slow to write, and no pixel is ever read. Who maps the framebuffer, and who
 * writes, is not known here.
 */
#ifndef LIB_CONSOLE_H
#define LIB_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/boot_info.h"

#define CONSOLE_COLUMNS_MAX 160
#define CONSOLE_ROWS_MAX    120
#define CONSOLE_TAB	    8

/* The characters that the fonts have: printable ASCII. */
#define GLYPH_FIRST ' '
#define GLYPH_LAST  '~'
#define GLYPHS	    (GLYPH_LAST - GLYPH_FIRST + 1)

/*
 * Glyphs are twice as high as wide. A line of one is as many bytes as it needs, the leftmost pixel
 * is bit 7 of the first.
 */
struct console_font {
	uint32_t width;	       /* a multiple of 4 */
	const uint8_t *glyphs; /* one after the other */
};

/* One font in three sizes, the narrowest first. Screens for which that is too small get pixels of
 * their own made larger. */
#define CONSOLE_FONTS	  3
#define CONSOLE_CELL_MIN  8U /* width of the narrowest */
#define CONSOLE_CELL_STEP 4U
extern const struct console_font console_fonts[CONSOLE_FONTS];

enum console_colour {
	CONSOLE_BLACK, /* the background */
	CONSOLE_WHITE, /* text, unless something else is said */
	CONSOLE_GREY,
	CONSOLE_GREEN,
	CONSOLE_YELLOW,
	CONSOLE_RED,
	CONSOLE_COLOURS,
};

struct console_cell {
	char character; /* '\0': not known, something was painted over it */
	uint8_t colour;
};

struct console {
	volatile uint8_t *pixels;
	uint32_t width, height;		   /* pixels */
	uint32_t stride;		   /* bytes in a line */
	uint32_t pixel_size;		   /* bytes: 1 to 4 */
	uint32_t colours[CONSOLE_COLOURS]; /* in the framebuffer's format */
	const struct console_font *font;
	uint32_t scale;			  /* screen pixels to a glyph's pixel, in both directions */
	uint32_t cell_width, cell_height; /* of a character on the screen, pixels */
	uint32_t columns, rows;
	uint32_t column, row; /* of the next character; just outside when it must wrap first */
	struct console_cell cells[CONSOLE_ROWS_MAX]
				 [CONSOLE_COLUMNS_MAX]; /* what is on the screen */
};

/*
 * Lay the text out: the smallest characters that give CONSOLE_COLUMNS_MAX columns at most, but
 * never such that leave less than a terminal's 80 columns and 25 rows. Returns false when there is
 * no framebuffer, when its numbers contradict each other, or when it is too small to be of use.
 */
bool console_layout(struct console *console, const struct framebuffer *framebuffer);

/* Bytes from the first pixel on that drawing may touch. */
uint64_t console_size(const struct console *console);

/* Clear the screen; `pixels` is where the framebuffer can be written. */
void console_begin(struct console *console, volatile void *pixels);

/*
 * Write text: \n goes to the next line's begin, \r to this line's, \t to the next multiple of
 * CONSOLE_TAB columns; what the font does not have is a '?'. Long lines wrap. A full screen
 * scrolls by half its rows, since redrawing is what costs.
 */
void console_write(struct console *console, const char *text, size_t length);

/* Put text at a place of the screen; what is beyond `width` columns or the screen is cut. */
void console_put(struct console *console, uint32_t row, uint32_t column, uint32_t width,
		 const char *text, enum console_colour colour);

/* Paint a rectangle of pixels; what is beyond the screen is cut. */
void console_paint(struct console *console, uint32_t x, uint32_t y, uint32_t width, uint32_t height,
		   enum console_colour colour);

#endif
