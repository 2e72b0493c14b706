/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot/logs.c in memory where its places are: which log is taken for that of the boot before, when
 * a guest has written its own to all places but one.
 */
#include "tests/unit/unit.h"

#include <sys/mman.h>

#include "boot/loader.h"
#include "lib/layout.h"
#include "lib/logring.h"

#define LOG_SIZE 0x40000ULL
#define FORGED	 "forged\n"
#define GENUINE	 "of the boot before\n"
#define EARLIER	 "of the failed start\n"
#define KEY	 0x1122334455667788ULL
#define LASTING	 (EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS)

static const uint64_t places[] = {
	0x8000000, 0xc000000, 0x10000000, 0x18000000, 0x20000000, 0x30000000, 0x40000000,
};

#define PLACES COUNT_OF(places)

static bool is_free[PLACES];  /* by the firmware's map */
static bool is_taken[PLACES]; /* allocated */
static struct variable {
	bool exists;
	uint32_t attributes;
	uint64_t value;
} key_variable, place_variable;
static bool no_variables;
static struct loader loader;
static EFI_BOOT_SERVICES services;
static char text_buffer[LOG_SIZE];
static char saved[256]; /* what goes to \manfred.log */

/* ---- What the loader has beside ---- */

uint64_t allocate_memory(struct loader *of __attribute__((unused)),
			 uint64_t size __attribute__((unused)),
			 uint64_t align __attribute__((unused)),
			 uint64_t below __attribute__((unused)))
{
	return (uintptr_t)text_buffer;
}

void loader_log(struct loader *of __attribute__((unused)),
		const char *format __attribute__((unused)), ...)
{
}

bool write_file(struct loader *of __attribute__((unused)), const char *name, const char *before,
		const struct text_piece *pieces, size_t count)
{
	assert_string_equal(name, "manfred.log");
	assert_string_equal(before, "manfred.old");
	assert_int_equal(count, 2);
	assert_true(pieces[0].length < sizeof(saved));
	memcpy(saved, pieces[0].text, pieces[0].length);
	return true;
}

void recover_file(struct loader *of __attribute__((unused)), const char *name)
{
	assert_string_equal(name, "manfred.log");
}

static struct variable *variable_of(const uint16_t *name)
{
	return memcmp(name, L"ManfredLogKey", sizeof(L"ManfredLogKey")) == 0 ? &key_variable
									     : &place_variable;
}

bool firmware_get_number(const struct loader *of __attribute__((unused)), const uint16_t *name,
			 uint32_t attributes, uint64_t *value)
{
	const struct variable *const variable = variable_of(name);

	if (!variable->exists || variable->attributes != attributes)
		return false;
	*value = variable->value;
	return true;
}

bool firmware_set_number(const struct loader *of __attribute__((unused)), const uint16_t *name,
			 uint32_t attributes, uint64_t value)
{
	assert_false(attributes & EFI_VARIABLE_RUNTIME_ACCESS);
	if (!no_variables)
		*variable_of(name) = (struct variable){ true, attributes, value };
	return !no_variables;
}

static size_t index_of(uint64_t place)
{
	for (size_t i = 0; i < PLACES; i++)
		if (places[i] == place)
			return i;
	fail_msg("0x%llx is no place of a log", (unsigned long long)place);
	return 0;
}

static EFI_STATUS EFIAPI allocate_pages(EFI_ALLOCATE_TYPE how, EFI_MEMORY_TYPE type, UINTN pages,
					EFI_PHYSICAL_ADDRESS *at)
{
	const size_t i = index_of(*at);

	assert_int_equal(how, AllocateAddress);
	assert_int_equal(type, EfiLoaderData);
	assert_int_equal(pages, LOG_SIZE / PAGE_SIZE);
	if (!is_free[i] || is_taken[i])
		return EFI_NOT_FOUND;
	is_taken[i] = true;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI free_pages(EFI_PHYSICAL_ADDRESS at, UINTN pages)
{
	const size_t i = index_of(at);

	assert_int_equal(pages, LOG_SIZE / PAGE_SIZE);
	assert_true(is_taken[i]);
	is_taken[i] = false;
	return EFI_SUCCESS;
}

/* ---- Boots ---- */

static int map_places(void **state __attribute__((unused)))
{
	for (size_t i = 0; i < PLACES; i++) {
		void *const wanted = (void *)(uintptr_t)places[i];

		if (mmap(wanted, LOG_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != wanted)
			return -1;
	}
	return 0;
}

static int set_up(void **state __attribute__((unused)))
{
	for (size_t i = 0; i < PLACES; i++) {
		memset((void *)(uintptr_t)places[i], 0, LOG_SIZE);
		is_free[i] = true;
	}
	memset(is_taken, 0, sizeof(is_taken));
	key_variable = place_variable = (struct variable){ 0 };
	no_variables = false;
	services.AllocatePages = allocate_pages;
	services.FreePages = free_pages;
	return 0;
}

/* After a reset the firmware has all memory, and the variables that last. */
static void reset(void)
{
	memset(is_taken, 0, sizeof(is_taken));
	place_variable.exists = false;
}

/* A start of manfred.efi: where its log is. What it has found is in `saved`. */
static uint64_t start(void)
{
	memset(saved, 0, sizeof(saved));
	loader = (struct loader){ .boot = &services };
	logs_find(&loader);
	logs_save(&loader);
	/* It has this place, or none, and nothing else. */
	for (size_t i = 0; i < PLACES; i++)
		if (is_taken[i])
			assert_true(places[i] == loader.info.log_base);
	return loader.info.log_base;
}

static void say(const char *text)
{
	logs_line(text, strlen(text));
}

/* What a guest can write: it knows all but the key, and has all memory but that of the log. */
static void forge(uint64_t apart_from)
{
	const uint64_t guesses[] = { 0, UINT64_MAX, KEY };

	for (size_t i = 0; i < PLACES; i++) {
		struct logring_mark mark = { 1, guesses[i % COUNT_OF(guesses)], places[i] };

		if (places[i] != apart_from)
			logring_write(logring_create((void *)(uintptr_t)places[i], LOG_SIZE, &mark),
				      FORGED, strlen(FORGED));
	}
}

TEST(comes_back)
{
	assert_int_equal(start(), places[0]);
	assert_string_equal(saved, "");
	say(GENUINE);
	reset();
	assert_int_equal(start(), places[0]);
	assert_string_equal(saved, GENUINE);
	/* Once. */
	reset();
	assert_int_equal(start(), places[0]);
	assert_string_equal(saved, "");
}

TEST(a_forged_log_does_not_count)
{
	start();
	say(GENUINE);
	forge(places[0]);
	reset();
	start();
	assert_string_equal(saved, GENUINE);
}

/* The firmware keeps no variables: only the place tells. */
TEST(a_forged_log_does_not_count_without_a_key)
{
	no_variables = true;
	start();
	say(GENUINE);
	forge(places[0]);
	reset();
	start();
	assert_string_equal(saved, GENUINE);
}

/* The true log is damaged, or is where the firmware has memory now: none rather than another. */
TEST(no_log_rather_than_a_forged_one)
{
	for (int variables = 0; variables < 2; variables++) {
		set_up(NULL);
		no_variables = !variables;
		start();
		say(GENUINE);
		forge(places[0]);
		memset((void *)(uintptr_t)places[0], 0, PAGE_SIZE);
		reset();
		start();
		assert_string_equal(saved, "");
	}

	set_up(NULL);
	start();
	say(GENUINE);
	forge(places[0]);
	reset();
	is_free[0] = false;
	assert_int_equal(start(), places[1]);
	assert_string_equal(saved, "");
}

/* With the key the true one is found, whatever the map has become; the next is at the first place.
 */
TEST(places_that_come_and_go)
{
	for (size_t i = 1; i < PLACES; i++) {
		set_up(NULL);
		for (size_t j = 0; j < i; j++)
			is_free[j] = false;
		assert_int_equal(start(), places[i]);
		say(GENUINE);
		forge(places[i]);
		reset();
		memset(is_free, true, sizeof(is_free));
		assert_int_equal(start(), places[0]);
		assert_string_equal(saved, GENUINE);
		/* The key is not left in memory that guests get. */
		assert_int_equal(((const struct logring *)(uintptr_t)places[i])->mark.key, 0);
	}
}

/* A start that fails keeps its memory, and the next one before a reset takes it over. */
TEST(a_second_start_without_a_reset)
{
	start();
	say(EARLIER);
	assert_int_equal(start(), places[0]);
	assert_string_equal(saved, EARLIER);
	say(GENUINE);
	forge(places[0]);
	reset();
	assert_int_equal(start(), places[0]);
	assert_string_equal(saved, GENUINE);
}

/* An operating system can make a variable of the same name, and knows what is in it then. */
TEST(a_key_that_others_can_read)
{
	start();
	say(GENUINE);
	key_variable = (struct variable){ true, LASTING | EFI_VARIABLE_RUNTIME_ACCESS, KEY };
	forge(places[0]);
	reset();
	start();
	assert_string_equal(saved, GENUINE);
	assert_int_equal(key_variable.attributes, LASTING);
	assert_int_not_equal(key_variable.value, KEY);
}

TEST(a_copy_at_another_place)
{
	start();
	say(GENUINE);
	memcpy((void *)(uintptr_t)places[1], (void *)(uintptr_t)places[0], LOG_SIZE);
	memset((void *)(uintptr_t)places[0], 0, PAGE_SIZE);
	reset();
	start();
	assert_string_equal(saved, "");
}

TEST(no_memory_for_a_log)
{
	memset(is_free, 0, sizeof(is_free));
	assert_int_equal(start(), 0);
	say(GENUINE);
	assert_string_equal(saved, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(no_memory_for_a_log, set_up),
		cmocka_unit_test_setup(comes_back, set_up),
		cmocka_unit_test_setup(a_forged_log_does_not_count, set_up),
		cmocka_unit_test_setup(a_forged_log_does_not_count_without_a_key, set_up),
		cmocka_unit_test_setup(no_log_rather_than_a_forged_one, set_up),
		cmocka_unit_test_setup(places_that_come_and_go, set_up),
		cmocka_unit_test_setup(a_second_start_without_a_reset, set_up),
		cmocka_unit_test_setup(a_key_that_others_can_read, set_up),
		cmocka_unit_test_setup(a_copy_at_another_place, set_up),
	};

	return cmocka_run_group_tests(tests, map_places, NULL);
}
