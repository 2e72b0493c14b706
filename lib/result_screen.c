/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the page's layout: four lines of heading, the table in as many blocks side by side as its
 * groups need, below it the totals and the deviations, and at the right the QR code. It is made
 * for 80 columns and 25 rows, or more; only the QR code wants 30 rows.
 */
#include "lib/result_screen.h"

#include "build/gen/qrcodegen.h"
#include "lib/format.h"
#include "lib/string.h"
#include "lib/version.h"

#define LINE_MAX      256
#define HEADING_ROWS  4
#define FOOTER_ROWS   3 /* totals, deviations, last line */
#define BLOCK_COLUMNS 40
#define BLOCK_TEXT    (BLOCK_COLUMNS - 3)
/* What the footer needs of a line that it shares with the QR code. */
#define FOOTER_COLUMNS 60

/* ISO/IEC 18004: a quiet zone of four modules; a text of LINE_MAX fits into version 10. */
#define QR_QUIET       4U
#define QR_VERSION_MAX 10
/* A module's size against a character's width: what a camera still reads, and what is enough. */
#define QR_MODULE_MIN(cell) ((cell) / 4)
#define QR_MODULE_MAX(cell) ((cell)*3 / 4)

struct page {
	struct console *console;
	uint32_t blocks; /* of the table, side by side */
	uint32_t rows;	 /* of each */
	uint32_t shown;	 /* groups that find a place */
	uint32_t footer; /* its first row */
	uint32_t right;	 /* columns that the footer may use */
};

void result_cpu_name(char name[CPU_NAME_SIZE], const void *registers)
{
	char raw[CPU_NAME_SIZE] = { 0 };
	size_t length = 0;

	memcpy(raw, registers, CPU_NAME_SIZE - 1);
	for (const char *from = raw; *from != '\0'; from++)
		if (*from != ' ' || (length > 0 && name[length - 1] != ' '))
			name[length++] = *from;
	if (length > 0 && name[length - 1] == ' ')
		length--;
	name[length] = '\0';
}

/* SDM 2A, CPUID, figure 3-6. */
static uint32_t family(uint32_t signature)
{
	const uint32_t base = signature >> 8 & 0xf;

	return base == 0xf ? base + (signature >> 20 & 0xff) : base;
}

static uint32_t model(uint32_t signature)
{
	return (signature >> 4 & 0xf) | (signature >> 12 & 0xf0);
}

static uint32_t stepping(uint32_t signature)
{
	return signature & 0xf;
}

/* Upper case, and no other signs than those of a QR code's alphanumeric mode. */
static void use_alphanumeric(char *line)
{
	char *to = line;

	for (const char *from = line; *from != '\0'; from++) {
		const char c = *from >= 'a' && *from <= 'z' ? (char)(*from - 'a' + 'A') : *from;

		if (strchr("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:", c))
			*to++ = c;
	}
	*to = '\0';
}

void result_short(char *line, size_t size, const struct results *results,
		  const struct result_facts *facts)
{
	const struct result_counts *const all = &results->all;
	size_t length = (size_t)format_string(
		line, size,
		"Manfred " MANFRED_VERSION " %s: %u tests %u passed %u failed %u expected %u "
		"skipped%s %s %02x-%02x-%02x uc %x",
		facts->in_short, result_count(all), all->passed, all->failed, all->expected,
		all->skipped, results->complete ? "" : " incomplete", facts->cpu_name,
		family(facts->cpu_signature), model(facts->cpu_signature),
		stepping(facts->cpu_signature), facts->microcode);

	for (uint32_t i = 0; i < results->deviation_count && length < size; i++)
		length += (size_t)format_string(line + length, size - length, " %s",
						results->deviations[i]);
	use_alphanumeric(line);
}

static enum console_colour colour_of(const struct result_counts *counts)
{
	if (counts->failed != 0)
		return CONSOLE_RED;
	if (counts->expected != 0)
		return CONSOLE_YELLOW;
	return counts->passed != 0 ? CONSOLE_GREEN : CONSOLE_GREY;
}

static void __attribute__((format(printf, 6, 7)))
put_line(const struct page *page, uint32_t row, uint32_t column, uint32_t width,
	 enum console_colour colour, const char *format, ...)
{
	char line[LINE_MAX];
	va_list arguments;

	va_start(arguments, format);
	format_string_v(line, sizeof(line), format, arguments);
	va_end(arguments);
	console_put(page->console, row, column, width, line, colour);
}

static void put_heading(const struct page *page, const struct results *results,
			const struct result_facts *facts)
{
	const uint32_t width = page->console->columns;
	const uint32_t signature = facts->cpu_signature;
	const bool passed = results_passed(results);
	const char *const verdict = passed		 ? "PASSED"
				    : !results->complete ? "INCOMPLETE"
							 : "FAILED";
	const uint32_t after = (uint32_t)strlen(verdict) + 2;

	put_line(page, 0, 0, width, passed ? CONSOLE_GREEN : CONSOLE_RED, "%s", verdict);
	put_line(page, 0, after, width, CONSOLE_WHITE, "Manfred " MANFRED_VERSION ": %s",
		 facts->title);
	put_line(page, 1, 0, width, CONSOLE_WHITE, "%s", facts->cpu_name);
	put_line(page, 2, 0, width, CONSOLE_WHITE,
		 "family %u model 0x%x stepping %u, microcode 0x%x, FRED %s", family(signature),
		 model(signature), stepping(signature), facts->microcode, facts->method);
	for (uint32_t i = 0; i < page->blocks; i++)
		put_line(page, HEADING_ROWS - 1, i * BLOCK_COLUMNS, BLOCK_TEXT, CONSOLE_GREY,
			 "%-16s%6s%5s%5s%5s", "group", "pass", "fail", "exp.", "skip");
}

static void put_counts(const struct page *page, uint32_t row, uint32_t column, const char *name,
		       const struct result_counts *counts)
{
	put_line(page, row, column, BLOCK_TEXT, colour_of(counts), "%-16.16s%6u%5u%5u%5u", name,
		 counts->passed, counts->failed, counts->expected, counts->skipped);
}

static void put_table(const struct page *page, const struct results *results)
{
	const char *const all = page->shown == results->group_count ? "all" : "all, more than here";

	for (uint32_t i = 0; i < page->shown; i++)
		put_counts(page, HEADING_ROWS + i % page->rows, i / page->rows * BLOCK_COLUMNS,
			   results->groups[i].name, &results->groups[i].counts);
	put_counts(page, page->footer, 0, all, &results->all);
}

static void put_deviations(const struct page *page, const struct results *results)
{
	static const char label[] = "deviations:";
	const uint32_t indent = sizeof(label);
	const uint32_t last = page->console->rows - 1;
	uint32_t row = page->footer + 1;
	uint32_t column = indent;

	if (row + 1 < last) /* room to set it apart */
		row++;
	console_put(page->console, row, 0, page->right, label, CONSOLE_GREY);
	if (results->deviation_count == 0)
		console_put(page->console, row, column, page->right - indent, "none",
			    CONSOLE_GREEN);
	for (uint32_t i = 0; i < results->deviation_count; i++) {
		const uint32_t length = (uint32_t)strlen(results->deviations[i]);

		if (column + length > page->right && column != indent) {
			row++;
			column = indent;
		}
		if (row < last && column < page->right)
			console_put(page->console, row, column, page->right - column,
				    results->deviations[i], CONSOLE_YELLOW);
		column += length + 1;
	}
}

static void lay_out(struct page *page, const struct results *results)
{
	const struct console *const console = page->console;
	const uint32_t taken = HEADING_ROWS + FOOTER_ROWS;
	const uint32_t room = console->rows > taken ? console->rows - taken : 0;
	const uint32_t blocks_max = (console->columns + BLOCK_COLUMNS - BLOCK_TEXT) / BLOCK_COLUMNS;
	uint32_t blocks = 1;

	while (blocks < blocks_max && blocks * room < results->group_count)
		blocks++;
	page->blocks = blocks;
	page->rows = (results->group_count + blocks - 1) / blocks;
	if (page->rows > room)
		page->rows = room;
	page->shown = blocks * page->rows;
	if (page->shown > results->group_count)
		page->shown = results->group_count;
	page->footer = HEADING_ROWS + page->rows;
	page->right = console->columns;
}

static uint32_t pixels_beyond(uint32_t all, uint32_t cells, uint32_t cell)
{
	return cells * cell < all ? all - cells * cell : 0;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* The right end of an area: the largest QR code that it takes, its module in pixels, or 0. */
static uint32_t module_of(const struct console *console, uint32_t column, uint32_t row,
			  uint32_t bottom, uint32_t modules)
{
	const uint32_t module = smaller(pixels_beyond(console->width, column, console->cell_width),
					pixels_beyond(bottom, row, console->cell_height)) /
				modules;

	return module < QR_MODULE_MIN(console->cell_width)
		       ? 0
		       : smaller(module, QR_MODULE_MAX(console->cell_width));
}

static void draw_qr_code(struct console *console, const uint8_t *code, uint32_t left, uint32_t top,
			 uint32_t module)
{
	const uint32_t size = (uint32_t)qrcodegen_getSize(code);
	const uint32_t side = (size + 2 * QR_QUIET) * module;

	console_paint(console, left, top, side, side, CONSOLE_WHITE);
	for (uint32_t y = 0; y < size; y++)
		for (uint32_t x = 0; x < size; x++)
			if (qrcodegen_getModule(code, (int)x, (int)y))
				console_paint(console, left + (x + QR_QUIET) * module,
					      top + (y + QR_QUIET) * module, module, module,
					      CONSOLE_BLACK);
}

/* Beside the table or below it, where it is larger. */
static void put_qr_code(struct page *page, const char *line)
{
	static uint8_t scratch[qrcodegen_BUFFER_LEN_FOR_VERSION(QR_VERSION_MAX)];
	static uint8_t code[qrcodegen_BUFFER_LEN_FOR_VERSION(QR_VERSION_MAX)];
	struct console *const console = page->console;
	const uint32_t line_height = console->cell_height;
	uint32_t modules, beside, below, left;

	if (!qrcodegen_encodeText(line, scratch, code, qrcodegen_Ecc_LOW, qrcodegen_VERSION_MIN,
				  QR_VERSION_MAX, qrcodegen_Mask_AUTO, true))
		return;
	modules = (uint32_t)qrcodegen_getSize(code) + 2 * QR_QUIET;
	beside = module_of(console, page->blocks * BLOCK_COLUMNS, HEADING_ROWS - 1,
			   page->footer * line_height, modules);
	below = module_of(console, FOOTER_COLUMNS, page->footer, console->height, modules);
	if (beside == 0 && below == 0)
		return;
	if (beside >= below) {
		draw_qr_code(console, code, console->width - modules * beside,
			     (HEADING_ROWS - 1) * line_height, beside);
		return;
	}
	left = console->width - modules * below;
	draw_qr_code(console, code, left, console->height - modules * below, below);
	page->right = smaller(left / console->cell_width - 1, console->columns);
}

void result_screen_draw(struct console *console, const struct results *results,
			const struct result_facts *facts)
{
	struct page page = { .console = console };
	char line[LINE_MAX];

	console_begin(console, console->pixels);
	lay_out(&page, results);
	result_short(line, sizeof(line), results, facts);
	put_qr_code(&page, line);
	put_heading(&page, results, facts);
	put_table(&page, results);
	put_deviations(&page, results);
	console_put(console, console->rows - 1, 0, page.right, facts->last_line, CONSOLE_GREY);
}
