/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/logring.c: what was written comes back, also after damage, and only that.
 */
#include "tests/unit/unit.h"
#include "lib/crc32.h"
#include "lib/logring.h"

#define SIZE	(4096 + sizeof(struct logring))
#define SESSION 0x123456789abcdef0ULL
#define LINE	64

static const struct logring_mark mark = { SESSION, 0x1111, 0x2222 };
static const struct logring_mark next_mark = { SESSION + 1, 0x1111, 0x2222 };

static _Alignas(16) uint8_t memory[SIZE];
static char text[SIZE];
static struct logring *ring;
static uint8_t flushed[SIZE]; /* the bytes that have reached the memory */

static void count_written(const void *start, size_t size)
{
	const size_t at = (size_t)((const uint8_t *)start - memory);

	assert_true(size == 0 || at + size <= SIZE);
	memcpy(flushed + at, start, size);
}

static int set_up(void **state __attribute__((unused)))
{
	memset(memory, 0xa5, sizeof(memory));
	logring_written = count_written;
	ring = logring_create(memory, sizeof(memory), &mark);
	return ring == NULL;
}

static void write_line(const char *line)
{
	logring_write(ring, line, strlen(line));
}

static struct logring_text read_all(void)
{
	struct logring *const found = logring_open(memory, sizeof(memory));
	struct logring_text result;

	assert_non_null(found);
	result = logring_read(found, text);
	assert_true(result.length < sizeof(text));
	text[result.length] = '\0';
	return result;
}

TEST(crc_is_the_known_one)
{
	assert_int_equal(crc32(0, "", 0), 0);
	assert_int_equal(crc32(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(crc32(crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
}

TEST(gives_back_what_was_written)
{
	struct logring_text result = read_all();

	assert_int_equal(result.length, 0);
	assert_int_equal(result.gaps, 0);
	write_line("first\n");
	write_line("a second line that is longer than one unit of sixteen bytes\n");
	result = read_all();
	assert_string_equal(text, "first\na second line that is longer than one unit of sixteen "
				  "bytes\n");
	assert_int_equal(result.records, 2);
	assert_int_equal(result.gaps, 0);
	assert_false(result.cut);
}

/* A reset loses what only the caches have. */
TEST(all_of_it_is_flushed)
{
	char line[LINE];

	for (int i = 0; i < 500; i++) {
		snprintf(line, sizeof(line), "line %d\n", i);
		write_line(line);
		assert_memory_equal(flushed, memory, SIZE);
	}
}

TEST(new_text_takes_the_place_of_old)
{
	char line[LINE], expected[LINE];
	struct logring_text result;
	const char *at;
	int first;

	for (int i = 0; i < 1000; i++) {
		snprintf(line, sizeof(line), "line %d%.*s\n", i, i % 37,
			 "-------------------------------------");
		write_line(line);
	}
	result = read_all();
	assert_true(result.cut);
	assert_int_equal(result.gaps, 0);
	assert_true(result.length > 1800);
	assert_int_equal(sscanf(text, "line %d", &first), 1);
	at = text;
	for (int i = first; i < 1000; i++) {
		snprintf(expected, sizeof(expected), "line %d%.*s\n", i, i % 37,
			 "-------------------------------------");
		assert_memory_equal(at, expected, strlen(expected));
		at += strlen(expected);
	}
	assert_int_equal(at - text, result.length);
	assert_int_equal(result.records, 1000 - first);
}

TEST(long_text_has_several_records)
{
	char all[3000];

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)('a' + i % 26);
	logring_write(ring, all, sizeof(all));
	assert_int_equal(read_all().length, sizeof(all));
	assert_memory_equal(text, all, sizeof(all));
}

/* Any byte of a record: that line is missing, the others are there. */
TEST(a_damaged_record_is_left_out)
{
	const size_t record = 32; /* "second\n", with its head */

	for (size_t i = 0; i < 16 + strlen("second\n"); i++) {
		set_up(NULL);
		write_line("first\n");
		write_line("second\n");
		write_line("third\n");
		ring->ring[record + i] ^= 0x10;
		assert_int_equal(read_all().gaps, 1);
		assert_string_equal(text, "first\nthird\n");
	}
}

/* An NMI between taking the place and writing the record, and then the reset. */
TEST(a_torn_record_is_left_out)
{
	write_line("first\n");
	ring->next += 48;
	write_line("third\n");
	assert_int_equal(read_all().gaps, 1);
	assert_string_equal(text, "first\nthird\n");
	ring->next += 48;
	assert_int_equal(read_all().gaps, 2);
	assert_string_equal(text, "first\nthird\n");
}

TEST(records_of_another_boot_do_not_count)
{
	uint8_t old[SIZE];

	write_line("old\n");
	write_line("older\n");
	memcpy(old, memory, SIZE);
	ring = logring_create(memory, SIZE, &next_mark);
	write_line("new\n");
	memcpy(ring->ring + 32, ((struct logring *)(void *)old)->ring + 32,
	       SIZE - 32 - sizeof(*ring));
	ring->next += 32;
	assert_int_equal(read_all().gaps, 1);
	assert_string_equal(text, "new\n");
}

TEST(a_damaged_header_is_no_log)
{
	for (size_t i = 0; i < offsetof(struct logring, next); i++) {
		set_up(NULL);
		memory[i] ^= 1;
		assert_null(logring_open(memory, SIZE));
	}
	set_up(NULL);
	assert_non_null(logring_open(memory, SIZE));
	assert_null(logring_open(memory, SIZE - 16)); /* larger than the memory that it is in */
	assert_null(logring_open(memory, sizeof(struct logring) - 1));
	assert_null(logring_create(memory, 1024, &mark));
}

/* Where the writer was is not covered by the header's checksum. */
TEST(a_wrong_end_gives_no_text)
{
	static const uint64_t ends[] = { 8, 1, 1ULL << 63, UINT64_MAX - 15, 1 << 20 };

	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		set_up(NULL);
		write_line("first\n");
		ring->next = ends[i];
		assert_int_equal(read_all().records, 0);
		assert_int_equal(read_all().length, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc_is_the_known_one),
		cmocka_unit_test_setup(gives_back_what_was_written, set_up),
		cmocka_unit_test_setup(all_of_it_is_flushed, set_up),
		cmocka_unit_test_setup(new_text_takes_the_place_of_old, set_up),
		cmocka_unit_test_setup(long_text_has_several_records, set_up),
		cmocka_unit_test(a_damaged_record_is_left_out),
		cmocka_unit_test_setup(a_torn_record_is_left_out, set_up),
		cmocka_unit_test_setup(records_of_another_boot_do_not_count, set_up),
		cmocka_unit_test(a_damaged_header_is_no_log),
		cmocka_unit_test(a_wrong_end_gives_no_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
