/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lib/config.c: what each key takes, and the words for everything else.
 */
#include "tests/unit/unit.h"
#include "lib/config.h"

static struct config config;
static struct config_error error;

static int set_up(void **state __attribute__((unused)))
{
	config_defaults(&config);
	error = (struct config_error){ .line = 999 };
	return 0;
}

static bool parse_file(const char *text)
{
	return config_parse_file(&config, text, strlen(text), &error);
}

static bool parse_options(const char *text)
{
	return config_parse_options(&config, text, strlen(text), &error);
}

TEST(defaults)
{
	assert_true(parse_file(""));
	assert_int_equal(config.guest, GUEST_SELFTEST);
	assert_int_equal(config.fred, FRED_AUTO);
	assert_int_equal(config.log, LOG_INFO);
	assert_int_equal(config.at_end, AT_END_GUEST);
	assert_int_equal(config.debug, DEBUG_NONE);
	assert_int_equal(config.console, CONSOLE_SERIAL | CONSOLE_SCREEN);
	assert_int_equal(config.cpus, 0);
	assert_int_equal(config.memory, 0);
	assert_string_equal(config.kernel, "");
	assert_true(config_validate(&config, &error));
}

TEST(every_key)
{
	assert_true(parse_file("guest = multiboot\n"
			       "kernel = \\hobby.elf\n"
			       "initrd = \\initrd.img\n"
			       "module = \\one.bin\n"
			       "module = \\two with blanks.bin\n"
			       "cmdline = console=ttyS0 root=/dev/sda a#b \"c d\"\n"
			       "memory = 512M\n"
			       "cpus = 512\n"
			       "fred = soft\n"
			       "log = trace\n"
			       "console = serial\n"
			       "at_end = halt\n"
			       "tests = types.*\n"
			       "errata = FR-4,FR-7\n"
			       "debug = vmm-write-text"));
	assert_int_equal(config.guest, GUEST_MULTIBOOT);
	assert_string_equal(config.kernel, "\\hobby.elf");
	assert_string_equal(config.initrd, "\\initrd.img");
	assert_int_equal(config.module_count, 2);
	assert_string_equal(config.modules[0], "\\one.bin");
	assert_string_equal(config.modules[1], "\\two with blanks.bin");
	assert_string_equal(config.cmdline, "console=ttyS0 root=/dev/sda a#b \"c d\"");
	assert_int_equal(config.memory, 512ULL << 20);
	assert_int_equal(config.cpus, 512);
	assert_int_equal(config.fred, FRED_SOFT);
	assert_int_equal(config.log, LOG_TRACE);
	assert_int_equal(config.console, CONSOLE_SERIAL);
	assert_int_equal(config.at_end, AT_END_HALT);
	assert_string_equal(config.tests, "types.*");
	assert_string_equal(config.errata, "FR-4,FR-7");
	assert_int_equal(config.debug, DEBUG_VMM_WRITE_TEXT);
}

TEST(blanks_comments_and_line_ends)
{
	assert_true(parse_file("\xef\xbb\xbf# a comment = with a sign\r\n"
			       "\r\n"
			       "  \t \n"
			       "\tguest\t=\tlinux\t# a comment\r\n"
			       "kernel=vmlinuz\r\n"
			       "cmdline =\n"
			       "   # indented\n"
			       "initrd = # nothing\n"
			       "fred =soft \r"));
	assert_int_equal(config.guest, GUEST_LINUX);
	assert_string_equal(config.kernel, "vmlinuz");
	assert_string_equal(config.cmdline, "");
	assert_string_equal(config.initrd, "");
	assert_int_equal(config.fred, FRED_SOFT);
}

TEST(sizes)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{ "memory = 0", 0 },
		{ "memory = 4096", 4096 },
		{ "memory = 64K", 64ULL << 10 },
		{ "memory = 1M", 1ULL << 20 },
		{ "memory = 3G", 3ULL << 30 },
		{ "memory = 18446744073709551615", UINT64_MAX },
		{ "memory = 17179869183G", 17179869183ULL << 30 },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_true(parse_file(cases[i].text));
		assert_int_equal(config.memory, cases[i].bytes);
	}
}

#define KEYS                                                                                 \
	"guest, kernel, initrd, module, cmdline, memory, cpus, fred, log, console, at_end, " \
	"tests, errata, debug"
#define BYTES "allowed is a number of bytes, or one with the unit K, M or G, and 0 for all"

TEST(file_errors)
{
	static const struct {
		const char *text;
		unsigned int line;
		const char *error;
	} cases[] = {
		{ "gest = linux", 1, "unknown key \"gest\"; allowed are " KEYS },
		{ "Guest = linux", 1, "unknown key \"Guest\"; allowed are " KEYS },
		{ "= linux", 1, "unknown key \"\"; allowed are " KEYS },
		{ "#\n\n guest = foo\n", 3, "guest = foo: allowed are selftest, linux, multiboot" },
		{ "guest = linux x", 1, "guest = linux x: allowed are selftest, linux, multiboot" },
		{ "fred = on", 1, "fred = on: allowed are auto, native, soft, off" },
		{ "log = all", 1, "log = all: allowed are error, info, debug, trace" },
		{ "console = lpt", 1, "console = lpt: allowed are serial, screen, both" },
		{ "at_end = x", 1, "at_end = x: allowed are poweroff, reboot, halt" },
		{ "debug = 1", 1,
		  "debug = 1: allowed are none, invalid-guest-state, vmm-fault, "
		  "vmm-stack-overflow, vmm-write-text, vmm-nmi" },
		{ "guest =", 1, "guest needs a value" },
		{ "kernel = # none", 1, "kernel needs a value" },
		{ "module =", 1, "module needs a value" },
		{ "cpus = 513", 1, "cpus = 513: allowed are 1 to 512, and 0 for all" },
		{ "cpus = -1", 1, "cpus = -1: allowed are 1 to 512, and 0 for all" },
		{ "cpus = 4x", 1, "cpus = 4x: allowed are 1 to 512, and 0 for all" },
		{ "memory = M", 1, "memory = M: " BYTES },
		{ "memory = 1MB", 1, "memory = 1MB: " BYTES },
		{ "memory = 1T", 1, "memory = 1T: " BYTES },
		{ "memory = 1.5G", 1, "memory = 1.5G: " BYTES },
		{ "memory = 18446744073709551616", 1, "memory = 18446744073709551616: " BYTES },
		{ "memory = 17179869184G", 1, "memory = 17179869184G: " BYTES },
		{ "guest = linux\nkernel\n", 2,
		  "\"kernel\" has no '='; allowed are lines \"key = value\"" },
		{ "cpus = 1\n\ncpus = 1", 3, "cpus is given twice" },
		{ "log = info\nlog = debug\x01", 2,
		  "byte 0x01 in the line; allowed is plain text in UTF-8" },
		{ "log = info\rfred = off", 1,
		  "byte 0x0d in the line; allowed is plain text in UTF-8" },
		{ "module=1\nmodule=2\nmodule=3\nmodule=4\nmodule=5\nmodule=6\nmodule=7\n"
		  "module=8\nmodule=9",
		  9, "too many modules: allowed are 8" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set_up(NULL);
		assert_false(parse_file(cases[i].text));
		assert_string_equal(error.text, cases[i].error);
		assert_int_equal(error.line, cases[i].line);
	}
}

TEST(nul_bytes)
{
	static const char nul_in_value[] = "kernel = a\0b";
	static const char utf16[] = "\xff\xfeg\0u\0e\0s\0t\0";

	assert_false(config_parse_file(&config, nul_in_value, sizeof(nul_in_value) - 1, &error));
	assert_string_equal(error.text, "byte 0x00 in the line; allowed is plain text in UTF-8");
	assert_false(config_parse_file(&config, utf16, sizeof(utf16) - 1, &error));
	assert_string_equal(error.text, "byte 0x00 in the line; allowed is plain text in UTF-8");
}

/* The longest value fits, one byte more does not; nothing is cut. */
TEST(value_lengths)
{
	char text[CONFIG_CMDLINE_MAX + 16];
	const int start = snprintf(text, sizeof(text), "cmdline=");

	memset(text + start, 'x', CONFIG_CMDLINE_MAX);
	assert_true(
		config_parse_file(&config, text, (size_t)start + CONFIG_CMDLINE_MAX - 1, &error));
	assert_int_equal(strlen(config.cmdline), CONFIG_CMDLINE_MAX - 1);
	assert_false(config_parse_file(&config, text, (size_t)start + CONFIG_CMDLINE_MAX, &error));
	assert_string_equal(error.text, "cmdline is too long: 2048 bytes, allowed are 2047");

	memcpy(text, "module =", 8);
	assert_false(config_parse_file(&config, text, 8 + CONFIG_PATH_MAX, &error));
	assert_string_equal(error.text, "module is too long: 256 bytes, allowed are 255");
}

/* A long wrong word is cut in the message, which still says what is allowed. */
TEST(long_wrong_words)
{
	char text[3000];

	memset(text, 'y', sizeof(text));
	assert_false(config_parse_file(&config, text, sizeof(text), &error));
	assert_non_null(strstr(error.text, "has no '='"));
	text[2000] = '=';
	assert_false(config_parse_file(&config, text, sizeof(text), &error));
	assert_non_null(strstr(error.text, "allowed are " KEYS));
	memcpy(text, "debug=", 6);
	assert_false(config_parse_file(&config, text, sizeof(text), &error));
	assert_non_null(strstr(error.text, "vmm-write-text"));
}

TEST(options_override_the_file)
{
	assert_true(parse_file("guest = linux\nkernel = k\ncmdline = quiet\ncpus = 4\n"
			       "module = a\nmodule = b\n"));
	assert_true(
		parse_options("  guest=multiboot cmdline=\"one two # three\"\tmodule=c cpus=0 "));
	assert_int_equal(config.guest, GUEST_MULTIBOOT);
	assert_string_equal(config.kernel, "k");
	assert_string_equal(config.cmdline, "one two # three");
	assert_int_equal(config.cpus, 0);
	assert_int_equal(config.module_count, 1);
	assert_string_equal(config.modules[0], "c");
	assert_true(parse_options(""));
	assert_true(parse_options("cmdline=\"\" initrd="));
	assert_string_equal(config.cmdline, "");
	assert_true(parse_options("cmdline=a=\"b"));
	assert_string_equal(config.cmdline, "a=\"b");
}

TEST(option_errors)
{
	static const struct {
		const char *text;
		const char *error;
	} cases[] = {
		{ "linux", "\"linux\" has no '='; allowed are options key=value" },
		{ "guest =linux", "\"guest\" has no '='; allowed are options key=value" },
		{ "cpus=1 cpus=2", "cpus is given twice" },
		{ "gest=linux", "unknown key \"gest\"; allowed are " KEYS },
		{ "fred=x", "fred = x: allowed are auto, native, soft, off" },
		{ "kernel=", "kernel needs a value" },
		{ "cmdline=\"x", "cmdline: allowed is a value in double quotes, then a blank" },
		{ "cmdline=\"", "cmdline: allowed is a value in double quotes, then a blank" },
		{ "cmdline=\"x\"y", "cmdline: allowed is a value in double quotes, then a blank" },
		{ "log=info\n", "byte 0x0a in the line; allowed is plain text in UTF-8" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set_up(NULL);
		assert_false(parse_options(cases[i].text));
		assert_string_equal(error.text, cases[i].error);
		assert_int_equal(error.line, 0);
	}
}

TEST(keys_that_need_each_other)
{
	static const struct {
		const char *text;
		const char *error; /* NULL: valid */
	} cases[] = {
		{ "guest=linux", "guest = linux needs the key kernel" },
		{ "guest=multiboot", "guest = multiboot needs the key kernel" },
		{ "guest=linux\nkernel=k\nmodule=m",
		  "module is not for guest = linux; allowed is initrd" },
		{ "guest=multiboot\nkernel=k\ninitrd=i",
		  "initrd is not for guest = multiboot; allowed is module" },
		{ "guest=linux\nkernel=k\ninitrd=i", NULL },
		{ "guest=multiboot\nkernel=k\nmodule=m", NULL },
		{ "guest=selftest\nkernel=k\ninitrd=i\nmodule=m", NULL },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set_up(NULL);
		assert_true(parse_file(cases[i].text));
		assert_int_equal(config_validate(&config, &error), cases[i].error == NULL);
		if (cases[i].error != NULL) {
			assert_string_equal(error.text, cases[i].error);
			assert_int_equal(error.line, 0);
		}
	}
}

TEST(names)
{
	assert_string_equal(config_guest_name(GUEST_MULTIBOOT), "multiboot");
	assert_string_equal(config_fred_name(FRED_OFF), "off");
	assert_string_equal(config_fred_name((enum fred_mode)77), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(defaults, set_up),
		cmocka_unit_test_setup(every_key, set_up),
		cmocka_unit_test_setup(blanks_comments_and_line_ends, set_up),
		cmocka_unit_test_setup(sizes, set_up),
		cmocka_unit_test_setup(file_errors, set_up),
		cmocka_unit_test_setup(nul_bytes, set_up),
		cmocka_unit_test_setup(value_lengths, set_up),
		cmocka_unit_test_setup(long_wrong_words, set_up),
		cmocka_unit_test_setup(options_override_the_file, set_up),
		cmocka_unit_test_setup(option_errors, set_up),
		cmocka_unit_test_setup(keys_that_need_each_other, set_up),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
