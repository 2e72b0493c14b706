/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot/write.c over a file system in which the power can be cut at each change: afterwards there is
 * always a whole file, the old one or the new one.
 */
#include "tests/unit/unit.h"

#include "boot/loader.h"

#define FILES	 6
#define NAME_MAX 32
#define DATA_MAX 64

#define LOG	   "manfred.log"
#define LOG_BEFORE "manfred.old"

struct fake_file {
	EFI_FILE_PROTOCOL protocol; /* first */
	bool exists;
	char name[NAME_MAX];
	char data[DATA_MAX];
	size_t size;
	size_t flushed; /* bytes of it that the volume has for sure */
};

static struct fake_file files[FILES];
static EFI_FILE_PROTOCOL root;
static struct loader loader = { .program = "manfred", .volume = &root };
static unsigned int changes; /* since the start of the test */
static unsigned int cut_at;  /* the power is cut before this change; 0: never */
static jmp_buf power_cut;
static bool cannot_rename;
static size_t room; /* bytes that the volume has */
static unsigned int complaints;

/* What the loader has beside. */

void console_print(const char *format __attribute__((unused)), ...)
{
	complaints++;
}

const char *volume_trouble(EFI_STATUS status __attribute__((unused)))
{
	return "trouble";
}

/* ---- The file system ---- */

static void change(void)
{
	if (++changes == cut_at)
		longjmp(power_cut, 1);
}

static struct fake_file *find(const char *name)
{
	for (size_t i = 0; i < FILES; i++)
		if (files[i].exists && strcmp(files[i].name, name) == 0)
			return &files[i];
	return NULL;
}

static void narrow(char *name, const CHAR16 *wide)
{
	size_t i = 0;

	do {
		assert_true(i < NAME_MAX);
		name[i] = (char)wide[i];
	} while (wide[i++] != 0);
}

static void init_protocol(EFI_FILE_PROTOCOL *file);

static struct fake_file *create(const char *name)
{
	for (size_t i = 0; i < FILES; i++) {
		if (files[i].exists)
			continue;
		files[i] = (struct fake_file){ .exists = true };
		strcpy(files[i].name, name);
		init_protocol(&files[i].protocol);
		return &files[i];
	}
	fail_msg("too many files");
	return NULL;
}

static EFI_STATUS EFIAPI fake_open(EFI_FILE_PROTOCOL *of, EFI_FILE_PROTOCOL **file, CHAR16 *wide,
				   UINT64 mode, UINT64 attributes __attribute__((unused)))
{
	char name[NAME_MAX];
	struct fake_file *found;

	assert_ptr_equal(of, &root);
	narrow(name, wide);
	found = find(name);
	if (!found && !(mode & EFI_FILE_MODE_CREATE))
		return EFI_NOT_FOUND;
	if (!found) {
		change();
		found = create(name);
	}
	*file = &found->protocol;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI fake_close(EFI_FILE_PROTOCOL *file __attribute__((unused)))
{
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI fake_delete(EFI_FILE_PROTOCOL *file)
{
	change();
	((struct fake_file *)file)->exists = false;
	return EFI_SUCCESS;
}

static size_t used(void)
{
	size_t sum = 0;

	for (size_t i = 0; i < FILES; i++)
		if (files[i].exists)
			sum += files[i].size;
	return sum;
}

static EFI_STATUS EFIAPI fake_write(EFI_FILE_PROTOCOL *file, UINTN *size, void *data)
{
	struct fake_file *const to = (struct fake_file *)file;

	change();
	if (used() + *size > room)
		return EFI_VOLUME_FULL;
	assert_true(to->size + *size <= DATA_MAX);
	memcpy(to->data + to->size, data, *size);
	to->size += *size;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI fake_flush(EFI_FILE_PROTOCOL *file)
{
	struct fake_file *const of = (struct fake_file *)file;

	change();
	of->flushed = of->size;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI fake_get_info(EFI_FILE_PROTOCOL *file,
				       EFI_GUID *type __attribute__((unused)), UINTN *size,
				       void *buffer)
{
	EFI_FILE_INFO *const info = buffer;

	assert_true(*size >= sizeof(*info) + NAME_MAX * sizeof(CHAR16));
	memset(buffer, 0, *size);
	info->FileSize = ((struct fake_file *)file)->size;
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI fake_set_info(EFI_FILE_PROTOCOL *file,
				       EFI_GUID *type __attribute__((unused)), UINTN size,
				       void *buffer)
{
	const EFI_FILE_INFO *const info = buffer;
	struct fake_file *const of = (struct fake_file *)file;
	char name[NAME_MAX];

	assert_int_equal(info->Size, size);
	assert_int_equal(info->FileSize, of->size);
	narrow(name, info->FileName);
	assert_int_equal(size, offsetof(EFI_FILE_INFO, FileName) + 2 * (strlen(name) + 1));
	if (cannot_rename)
		return EFI_UNSUPPORTED;
	if (find(name))
		return EFI_ACCESS_DENIED;
	change();
	strcpy(of->name, name);
	return EFI_SUCCESS;
}

static void init_protocol(EFI_FILE_PROTOCOL *file)
{
	file->Close = fake_close;
	file->Delete = fake_delete;
	file->Write = fake_write;
	file->Flush = fake_flush;
	file->GetInfo = fake_get_info;
	file->SetInfo = fake_set_info;
}

/* What the power leaves of a file: of what was not flushed, half. */
static void lose_power(void)
{
	for (size_t i = 0; i < FILES; i++)
		if (files[i].size != files[i].flushed)
			files[i].size = files[i].flushed + (files[i].size - files[i].flushed) / 2;
}

static void put_file(const char *name, const char *text)
{
	struct fake_file *const file = create(name);

	file->size = file->flushed = strlen(text);
	memcpy(file->data, text, file->size);
}

static bool has(const char *name, const char *text)
{
	const struct fake_file *const file = find(name);

	return file && file->size == strlen(text) && memcmp(file->data, text, file->size) == 0;
}

static int set_up(void **state __attribute__((unused)))
{
	memset(files, 0, sizeof(files));
	root.Open = fake_open;
	changes = cut_at = complaints = 0;
	cannot_rename = false;
	room = 1000;
	put_file(LOG, "the log of the last boot");
	put_file(LOG_BEFORE, "oldest");
	return 0;
}

static bool write_log(void)
{
	static const struct text_piece pieces[] = { { "the new ", 8 }, { "one\n", 4 } };

	return write_file(&loader, LOG, LOG_BEFORE, pieces, COUNT_OF(pieces));
}

TEST(replaces_a_file)
{
	assert_true(write_log());
	assert_true(has(LOG, "the new one\n"));
	assert_true(has(LOG_BEFORE, "the log of the last boot"));
	assert_null(find(LOG ".new"));
	assert_int_equal(complaints, 0);
}

TEST(makes_the_first_one)
{
	memset(files, 0, sizeof(files));
	assert_true(write_log());
	assert_true(has(LOG, "the new one\n"));
	assert_null(find(LOG_BEFORE));
}

TEST(keeps_no_old_one_unasked)
{
	const struct text_piece piece = { "x", 1 };

	assert_true(write_file(&loader, LOG, NULL, &piece, 1));
	assert_true(has(LOG, "x"));
	assert_true(has(LOG_BEFORE, "oldest"));
}

/* Each change of the volume in turn is the one that the power does not suffice for. */
TEST(power_cuts)
{
	volatile unsigned int cuts = 0;

	for (volatile unsigned int at = 1;; at++) {
		set_up(NULL);
		cut_at = at;
		if (setjmp(power_cut) == 0) {
			assert_true(write_log());
			break;
		}
		cuts++;
		lose_power();
		cut_at = 0;
		recover_file(&loader, LOG);
		assert_true(has(LOG, "the log of the last boot") || has(LOG, "the new one\n"));
		/* And the next log is written as always. */
		assert_true(write_log());
		assert_true(has(LOG, "the new one\n"));
		assert_null(find(LOG ".new"));
	}
	assert_true(cuts > 5);
}

/* And in the repair. */
TEST(power_cut_in_the_repair)
{
	for (volatile unsigned int at = 1; at < 4; at++) {
		memset(files, 0, sizeof(files));
		changes = 0;
		put_file(LOG ".new", "new");
		cut_at = at;
		if (setjmp(power_cut) == 0)
			recover_file(&loader, LOG);
		lose_power();
		assert_true(has(LOG ".new", "new") || has(LOG, "new"));
	}
}

TEST(a_firmware_that_cannot_rename)
{
	for (volatile unsigned int at = 1;; at++) {
		set_up(NULL);
		cannot_rename = true;
		cut_at = at;
		if (setjmp(power_cut) == 0) {
			assert_true(write_log());
			break;
		}
		lose_power();
		assert_true(has(LOG, "the log of the last boot") || has(LOG, "the new one\n") ||
			    has(LOG ".new", "the new one\n"));
	}
	assert_true(has(LOG, "the new one\n"));
	assert_null(find(LOG ".new"));
}

TEST(a_full_volume_keeps_what_it_has)
{
	room = used() + 8;
	assert_true(write_log()); /* the oldest gives way */
	assert_true(has(LOG, "the new one\n"));
	assert_true(has(LOG_BEFORE, "the log of the last boot"));

	set_up(NULL);
	room = strlen("the log of the last boot") + 5;
	assert_false(write_log());
	assert_int_equal(complaints, 1);
	assert_true(has(LOG, "the log of the last boot"));
	assert_null(find(LOG ".new"));
}

TEST(nothing_to_repair)
{
	put_file(LOG ".new", "half of one");
	recover_file(&loader, LOG);
	assert_true(has(LOG, "the log of the last boot"));
	memset(files, 0, sizeof(files));
	recover_file(&loader, LOG);
	assert_null(find(LOG));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(replaces_a_file, set_up),
		cmocka_unit_test_setup(makes_the_first_one, set_up),
		cmocka_unit_test_setup(keeps_no_old_one_unasked, set_up),
		cmocka_unit_test_setup(power_cuts, set_up),
		cmocka_unit_test_setup(power_cut_in_the_repair, set_up),
		cmocka_unit_test_setup(a_firmware_that_cannot_rename, set_up),
		cmocka_unit_test_setup(a_full_volume_keeps_what_it_has, set_up),
		cmocka_unit_test_setup(nothing_to_repair, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
