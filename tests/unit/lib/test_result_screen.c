/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/result_screen.c: the page as it is on screens of several sizes. The text is read from the
 * console's cells, the QR code from the pixels, by another library.
 */
#include <ctype.h>

#include "tests/unit/unit.h"
#include "lib/result_screen.h"
#include "lib/version.h"

#define PICTURE	  "build/unit/result_screen.ppm"
#define QR_READER "/usr/bin/python3 tests/unit/read_qr.py " PICTURE

/* As many as the built-in guest has, and the longest of their names. */
#define GUEST_GROUPS 34
#define BARE_GROUPS  16

static const struct result_facts facts = {
	.title = "FRED conformance on the bare machine",
	.method = "by the processor",
	.in_short = "bare",
	.last_line = "fredcheck: end status=ok reason=tests-passed exits=0",
	.cpu_name = "Intel(R) Core(TM) Ultra X9 388H with a long name",
	.cpu_signature = 0xc06c2,
	.microcode = 0x2b000571,
};

static struct results results;
static struct console console;
static uint32_t *pixels;

static void make_results(uint32_t groups)
{
	memset(&results, 0, sizeof(results));
	for (uint32_t i = 0; i < groups; i++)
		snprintf(results.groups[i].name, RESULT_NAME_SIZE, "fredvm-group-%03u", i % 1000);
	results.group_count = groups;
	results.groups[0].counts = (struct result_counts){ .passed = 1000 };
	results.groups[1].counts = (struct result_counts){ .passed = 8, .expected = 2 };
	results.groups[groups - 1].counts = (struct result_counts){ .skipped = 15 };
	results.all = (struct result_counts){ .passed = 1008, .expected = 2, .skipped = 15 };
	results.complete = true;
	results_add_deviation(&results, "FR-12");
	results_add_deviation(&results, "FR-7");
}

static int tear_down(void **state __attribute__((unused)))
{
	free(pixels);
	pixels = NULL;
	return 0;
}

/* The page on a screen of exactly as much memory as it may use. */
static void draw(uint32_t width, uint32_t height)
{
	const struct framebuffer framebuffer = {
		.base = 0x80000000,
		.size = (uint64_t)width * height * 4,
		.width = width,
		.height = height,
		.stride = width,
		.format = FRAMEBUFFER_RGBX,
	};

	tear_down(NULL);
	pixels = malloc(framebuffer.size);
	assert_non_null(pixels);
	assert_true(console_layout(&console, &framebuffer));
	console_begin(&console, pixels);
	console_write(&console, "what was there", 14);
	result_screen_draw(&console, &results, &facts);
}

static void read_row(uint32_t row, char text[CONSOLE_COLUMNS_MAX + 1])
{
	for (uint32_t i = 0; i < console.columns; i++) {
		const char c = console.cells[row][i].character;

		text[i] = c == '\0' ? '\x7f' : c;
	}
	text[console.columns] = '\0';
}

/* The row and column of the only place that shows this; fails when there is none, or another. */
static const struct console_cell *find_text(const char *text)
{
	const struct console_cell *found = NULL;
	char row[CONSOLE_COLUMNS_MAX + 1];

	for (uint32_t i = 0; i < console.rows; i++) {
		read_row(i, row);
		for (const char *at = strstr(row, text); at; at = strstr(at + 1, text)) {
			if (found)
				fail_msg("\"%s\" is on the screen twice", text);
			found = &console.cells[i][at - row];
		}
	}
	if (!found)
		fail_msg("\"%s\" is not on the screen", text);
	return found;
}

static void assert_shown(const char *text, enum console_colour colour)
{
	assert_int_equal(find_text(text)->colour, colour);
}

static void write_picture(void)
{
	FILE *const file = fopen(PICTURE, "wb");

	assert_non_null(file);
	fprintf(file, "P6 %u %u 255\n", console.width, console.height);
	for (size_t i = 0; i < (size_t)console.width * console.height; i++)
		fwrite(&pixels[i], 3, 1, file);
	assert_int_equal(fclose(file), 0);
}

static void assert_qr_code_says(const char *text)
{
	char read[512] = "";
	FILE *reader;

	write_picture();
	reader = popen(QR_READER, "r");
	assert_non_null(reader);
	assert_non_null(fgets(read, sizeof(read), reader));
	assert_int_equal(pclose(reader), 0);
	read[strcspn(read, "\n")] = '\0';
	assert_string_equal(read, text);
}

static void check_page(uint32_t width, uint32_t height, uint32_t groups)
{
	char name[32];

	make_results(groups);
	draw(width, height);
	assert_shown("PASSED  Manfred ", CONSOLE_GREEN);
	assert_shown("FRED conformance on the bare machine", CONSOLE_WHITE);
	assert_shown("Intel(R) Core(TM) Ultra X9 388H with a long name", CONSOLE_WHITE);
	assert_shown("family 6 model 0xcc stepping 2, microcode 0x2b000571, FRED by the processor",
		     CONSOLE_WHITE);
	assert_shown("fredvm-group-000  1000    0    0    0", CONSOLE_GREEN);
	assert_shown("fredvm-group-001     8    0    2    0", CONSOLE_YELLOW);
	for (uint32_t i = 2; i < groups; i++) {
		snprintf(name, sizeof(name), "fredvm-group-%03u", i % 1000);
		assert_shown(name, CONSOLE_GREY);
	}
	find_text("     0    0    0   15");
	assert_shown("all               1008    0    2   15", CONSOLE_YELLOW);
	assert_shown("deviations: ", CONSOLE_GREY);
	assert_shown("FR-12", CONSOLE_YELLOW);
	assert_shown("FR-7", CONSOLE_YELLOW);
	assert_shown("fredcheck: end status=ok reason=tests-passed exits=0", CONSOLE_GREY);
}

static const char after_version[] =
	" BARE: 1025 TESTS 1008 PASSED 0 FAILED 2 EXPECTED 15 SKIPPED "
	"INTELR CORETM ULTRA X9 388H WITH A LONG NAME 06-CC-02 UC 2B000571 FR-12 FR-7";

/* In a QR code the letters of the commit are upper case. */
static const char *in_short(void)
{
	static char text[512];

	snprintf(text, sizeof(text), "MANFRED %s%s", MANFRED_VERSION, after_version);
	for (char *c = text; *c != '\0'; c++)
		*c = (char)toupper(*c);
	return text;
}

TEST(fits_the_screens_that_there_are)
{
	static const struct {
		uint32_t width, height;
	} screens[] = {
		{ 640, 480 },	{ 800, 600 },	{ 1366, 768 },
		{ 1920, 1080 }, { 2560, 1440 }, { 3840, 2160 },
	};

	for (size_t i = 0; i < COUNT_OF(screens); i++) {
		check_page(screens[i].width, screens[i].height, GUEST_GROUPS);
		assert_qr_code_says(in_short());
		check_page(screens[i].width, screens[i].height, BARE_GROUPS);
		assert_qr_code_says(in_short());
	}
}

/* 80 columns and 25 rows: the table has all the room, and the QR code none. */
TEST(fits_a_terminal)
{
	check_page(640, 400, GUEST_GROUPS);
	for (uint32_t row = 0; row < console.rows; row++)
		for (uint32_t column = 0; column < console.columns; column++)
			assert_int_not_equal(console.cells[row][column].character, '\0');
}

TEST(says_what_failed)
{
	make_results(GUEST_GROUPS);
	results.groups[3].counts.failed = results.all.failed = 7;
	results.deviation_count = 0;
	draw(1024, 768);
	assert_shown("FAILED  Manfred", CONSOLE_RED);
	assert_shown("fredvm-group-003     0    7    0    0", CONSOLE_RED);
	assert_shown("all               1008    7    2   15", CONSOLE_RED);
	assert_shown("none", CONSOLE_GREEN);
	results.complete = false;
	draw(1024, 768);
	assert_shown("INCOMPLETE  Manfred", CONSOLE_RED);
}

TEST(wraps_many_deviations)
{
	char identifier[16];

	make_results(GUEST_GROUPS);
	for (int i = 20; i < 40; i++) {
		snprintf(identifier, sizeof(identifier), "FR-%d", i);
		results_add_deviation(&results, identifier);
	}
	draw(640, 480);
	for (int i = 20; i < 40; i++) {
		snprintf(identifier, sizeof(identifier), "FR-%d", i);
		assert_shown(identifier, CONSOLE_YELLOW);
	}
	assert_shown("fredcheck: end status=ok reason=tests-passed exits=0", CONSOLE_GREY);
}

/* The address sanitizer sees what is drawn beyond the screen. */
TEST(survives_any_screen)
{
	for (uint32_t width = 160; width < 1400; width += 211)
		for (uint32_t height = 80; height < 900; height += 97)
			for (uint32_t groups = 3; groups <= RESULT_GROUPS_MAX; groups += 15) {
				make_results(groups);
				draw(width, height);
			}
	memset(&results, 0, sizeof(results));
	draw(640, 480);
	assert_shown("INCOMPLETE", CONSOLE_RED);
}

TEST(says_that_groups_are_missing)
{
	make_results(RESULT_GROUPS_MAX);
	draw(640, 400);
	assert_shown("all, more than h", CONSOLE_YELLOW);
}

TEST(reads_the_name_of_the_processor)
{
	static const char raw[49] = "       Intel(R)  Xeon(R)   CPU @ 2.40GHz  ";
	uint32_t registers[12] = { 0 };
	char name[CPU_NAME_SIZE];

	memcpy(registers, raw, sizeof(registers));
	result_cpu_name(name, registers);
	assert_string_equal(name, "Intel(R) Xeon(R) CPU @ 2.40GHz");
	memset(registers, 'x', sizeof(registers));
	result_cpu_name(name, registers);
	assert_int_equal(strlen(name), 48);
	memset(registers, ' ', sizeof(registers));
	result_cpu_name(name, registers);
	assert_string_equal(name, "");
}

TEST(knows_extended_families_and_models)
{
	struct result_facts other = facts;
	char line[256];

	make_results(BARE_GROUPS);
	other.cpu_signature = 0x00400f10; /* family 19 (0xf + 4), model 1 */
	result_short(line, sizeof(line), &results, &other);
	assert_non_null(strstr(line, " 13-01-00 "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(fits_the_screens_that_there_are, tear_down),
		cmocka_unit_test_teardown(fits_a_terminal, tear_down),
		cmocka_unit_test_teardown(says_what_failed, tear_down),
		cmocka_unit_test_teardown(wraps_many_deviations, tear_down),
		cmocka_unit_test_teardown(survives_any_screen, tear_down),
		cmocka_unit_test_teardown(says_that_groups_are_missing, tear_down),
		cmocka_unit_test(reads_the_name_of_the_processor),
		cmocka_unit_test(knows_extended_families_and_models),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
