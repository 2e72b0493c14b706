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
	assert_int_equal(config.guests[0].kind, GUEST_SELFTEST);
	assert_int_equal(config.guests[0].fred, FRED_AUTO);
	assert_int_equal(config.log, LOG_INFO);
	assert_int_equal(config.at_end, AT_END_GUEST);
	assert_int_equal(config.debug, DEBUG_NONE);
	assert_int_equal(config.vtd, VTD_AUTO);
	assert_int_equal(config.console, CONSOLE_SERIAL | CONSOLE_SCREEN);
	assert_int_equal(config.cpus, 0);
	assert_int_equal(config.serial.kind, SERIAL_AUTO);
	assert_int_equal(config.baud, 0);
	assert_int_equal(config.menu, 0);
	assert_int_equal(config.guests[0].memory, 0);
	assert_string_equal(config.guests[0].kernel, "");
	assert_int_equal(config.guest_count, 1);
	assert_int_equal(config.guests[0].console, GUEST_CONSOLE_LOG);
	assert_int_equal(config.guests[0].priority, PRIORITY_NORMAL);
	assert_int_equal(config.guests[0].cpu, 0);
	assert_true(config_complete(&config, &error));
	assert_int_equal(config.guests[0].devices, DEVICES_NONE);
	assert_int_equal(config.guests[0].test_services, TEST_SERVICES_ON);
	assert_string_equal(config.guests[0].name, "selftest");
}

TEST(test_services)
{
	assert_true(parse_file("[guest a]\nguest = linux\nkernel = k\n"
			       "[guest b]\n"
			       "[guest c]\ntest_services = off\n"));
	assert_true(config_complete(&config, &error));
	assert_int_equal(config.guests[0].test_services, TEST_SERVICES_OFF);
	assert_int_equal(config.guests[1].test_services, TEST_SERVICES_ON);
	assert_int_equal(config.guests[2].test_services, TEST_SERVICES_OFF);
	config_defaults(&config);
	assert_true(parse_file("guest = multiboot\nkernel = k\n"));
	assert_true(config_complete(&config, &error));
	assert_int_equal(config.guests[0].test_services, TEST_SERVICES_OFF);
	/* The suite of the menu has them, whatever the guest had in whose place it runs. */
	config_choose_selftest(&config, FRED_AUTO);
	assert_int_equal(config.guests[0].test_services, TEST_SERVICES_ON);
	config_defaults(&config);
	assert_true(parse_file("guest = multiboot\nkernel = k\ntest_services = on\n"));
	assert_true(config_complete(&config, &error));
	assert_int_equal(config.guests[0].test_services, TEST_SERVICES_ON);
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
			       "serial = pci:00:16.3\n"
			       "baud = 57600\n"
			       "menu = 600\n"
			       "at_end = halt\n"
			       "tests = types.*\n"
			       "errata = FR-4,FR-7\n"
			       "devices = passthrough\n"
			       "priority = high\n"
			       "cpu = 511\n"
			       "vtd = off\n"
			       "debug = vmm-write-text"));
	assert_int_equal(config.guests[0].kind, GUEST_MULTIBOOT);
	assert_string_equal(config.guests[0].kernel, "\\hobby.elf");
	assert_string_equal(config.guests[0].initrd, "\\initrd.img");
	assert_int_equal(config.guests[0].module_count, 2);
	assert_string_equal(config.guests[0].modules[0], "\\one.bin");
	assert_string_equal(config.guests[0].modules[1], "\\two with blanks.bin");
	assert_string_equal(config.guests[0].cmdline, "console=ttyS0 root=/dev/sda a#b \"c d\"");
	assert_int_equal(config.guests[0].memory, 512ULL << 20);
	assert_int_equal(config.cpus, 512);
	assert_int_equal(config.guests[0].fred, FRED_SOFT);
	assert_int_equal(config.log, LOG_TRACE);
	assert_int_equal(config.console, CONSOLE_SERIAL);
	assert_int_equal(config.serial.kind, SERIAL_AT_PCI);
	assert_int_equal(config.serial.address, PCI_FUNCTION(0, 0x16, 3));
	assert_int_equal(config.baud, 57600);
	assert_int_equal(config.menu, 600);
	assert_int_equal(config.at_end, AT_END_HALT);
	assert_string_equal(config.guests[0].tests, "types.*");
	assert_string_equal(config.guests[0].errata, "FR-4,FR-7");
	assert_int_equal(config.debug, DEBUG_VMM_WRITE_TEXT);
	assert_int_equal(config.vtd, VTD_OFF);
	assert_int_equal(config.guests[0].devices, DEVICES_PASSTHROUGH);
	assert_int_equal(config.guests[0].priority, PRIORITY_HIGH);
	assert_int_equal(config.guests[0].cpu, 511);
	/* Those that the whole machine has, too, are not the guest's. */
	assert_int_equal(config.guests[0].cpus, 0);
	assert_int_equal(config.guests[0].console, GUEST_CONSOLE_LOG);
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
	assert_int_equal(config.guests[0].kind, GUEST_LINUX);
	assert_string_equal(config.guests[0].kernel, "vmlinuz");
	assert_string_equal(config.guests[0].cmdline, "");
	assert_string_equal(config.guests[0].initrd, "");
	assert_int_equal(config.guests[0].fred, FRED_SOFT);
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
		assert_int_equal(config.guests[0].memory, cases[i].bytes);
	}
}

#define KEYS                                                                             \
	"guest, kernel, initrd, module, cmdline, memory, cpu, fred, devices, priority, " \
	"test_services, tests, errata, log, console, serial, baud, menu, at_end, cpus, vtd, debug"
#define GUEST_KEYS                                                                            \
	"guest, kernel, initrd, module, cmdline, memory, cpus, cpu, fred, devices, console, " \
	"priority, test_services, tests, errata"
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
		{ "serial = com1", 1, "serial = com1: allowed are " SERIAL_SYNTAX },
		{ "menu = no", 1, "menu = no: allowed are 1 to 600, and 0 for no menu" },
		{ "baud = 4000001", 1,
		  "baud = 4000001: allowed are 1 to 4000000, and 0 for the firmware's" },
		{ "at_end = x", 1, "at_end = x: allowed are poweroff, reboot, halt, debug-exit" },
		{ "vtd = on", 1, "vtd = on: allowed are auto, off" },
		{ "debug = 1", 1,
		  "debug = 1: allowed are none, invalid-guest-state, vmm-fault, "
		  "vmm-stack-overflow, vmm-write-text, vmm-panic, vmm-nmi, boot-info, flip-vmcs" },
		{ "guest =", 1, "guest needs a value" },
		{ "kernel = # none", 1, "kernel needs a value" },
		{ "module =", 1, "module needs a value" },
		{ "cpus = 513", 1, "cpus = 513: allowed are 1 to 512, and 0 for all" },
		{ "cpu = 512", 1, "cpu = 512: allowed are 0 to 511" },
		{ "devices = some", 1, "devices = some: allowed are none, passthrough" },
		{ "test_services = yes", 1, "test_services = yes: allowed are off, on" },
		{ "priority = low", 1, "priority = low: allowed are normal, high" },
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

	assert_false(config_parse_file(&config, nul_in_value, sizeof(nul_in_value) - 1, &error));
	assert_string_equal(error.text, "byte 0x00 in the line; allowed is plain text in UTF-8");
}

/* As editors of Windows write it; without the mark the NULs tell. */
TEST(utf_16)
{
	static const char little[] = "\xff\xfe#\0\n\0", big[] = "\xfe\xff\0#\0\n";

	assert_false(config_parse_file(&config, little, sizeof(little) - 1, &error));
	assert_string_equal(error.text, "the file is in UTF-16: save it as UTF-8");
	assert_int_equal(error.line, 1);
	assert_false(config_parse_file(&config, big, sizeof(big) - 1, &error));
	assert_string_equal(error.text, "the file is in UTF-16: save it as UTF-8");
	assert_false(config_parse_file(&config, big + 2, sizeof(big) - 3, &error));
	assert_string_equal(error.text, "byte 0x00 in the line; allowed is plain text in UTF-8");
}

/* Errors quote what is written: nothing in it may move the terminal's cursor. */
TEST(other_characters)
{
	assert_true(parse_file("kernel = \\f\xc3\xbcr alle \xce\xa9 # \xf0\x9f\x92\xbe"));
	assert_string_equal(config.guests[0].kernel, "\\f\xc3\xbcr alle \xce\xa9");
	assert_false(parse_file("#\nkernel = f\xfcr"));
	assert_string_equal(error.text, "byte 0xfc in the line; allowed is plain text in UTF-8");
	assert_int_equal(error.line, 2);
	assert_false(parse_file("kernel = a\x7f"));
	assert_string_equal(error.text, "byte 0x7f in the line; allowed is plain text in UTF-8");
	assert_false(parse_file("kernel = \xc2\x9b"
				"2J"));
	assert_string_equal(error.text, "byte 0xc2 in the line; allowed is plain text in UTF-8");
}

/* The longest value fits, one byte more does not; nothing is cut. */
TEST(value_lengths)
{
	char text[CONFIG_CMDLINE_MAX + 16];
	const int start = snprintf(text, sizeof(text), "cmdline=");

	memset(text + start, 'x', CONFIG_CMDLINE_MAX);
	assert_true(
		config_parse_file(&config, text, (size_t)start + CONFIG_CMDLINE_MAX - 1, &error));
	assert_int_equal(strlen(config.guests[0].cmdline), CONFIG_CMDLINE_MAX - 1);
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
	assert_int_equal(config.guests[0].kind, GUEST_MULTIBOOT);
	assert_string_equal(config.guests[0].kernel, "k");
	assert_string_equal(config.guests[0].cmdline, "one two # three");
	assert_int_equal(config.cpus, 0);
	assert_int_equal(config.guests[0].module_count, 1);
	assert_string_equal(config.guests[0].modules[0], "c");
	assert_true(parse_options(""));
	assert_true(parse_options("cmdline=\"\" initrd="));
	assert_string_equal(config.guests[0].cmdline, "");
	assert_true(parse_options("cmdline=a=\"b"));
	assert_string_equal(config.guests[0].cmdline, "a=\"b");
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
		{ "guest=linux\nkernel=k\ndevices=passthrough", NULL },
		{ "guest=linux\nkernel=k\ndevices=none",
		  "guest = linux needs devices = passthrough" },
		{ "guest=multiboot\nkernel=k\ndevices=none",
		  "guest = multiboot needs devices = passthrough" },
		{ "devices=none", NULL },
		{ "devices=passthrough", "guest = selftest needs devices = none" },
		{ "guest=linux\nkernel=k\ncpu=1",
		  "cpu is not for devices = passthrough, which begins with 0" },
		{ "cpu=1", NULL },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set_up(NULL);
		assert_true(parse_file(cases[i].text));
		assert_int_equal(config_complete(&config, &error), cases[i].error == NULL);
		if (cases[i].error != NULL) {
			assert_string_equal(error.text, cases[i].error);
			assert_int_equal(error.line, 0);
		}
	}
}

TEST(sections)
{
	assert_true(parse_file("# keys before the first section are for all\n"
			       "log = debug\n"
			       "cpus = 4\n"
			       "console = serial\n"
			       "fred = soft\n"
			       "module = d\n"
			       "[guest main]\n"
			       "guest = linux\n"
			       "kernel = k\n"
			       "\n"
			       " [ guest\tside_1-b ] # a comment\r\n"
			       "cpus = 2\n"
			       "cpu = 1\n"
			       "console = none\n"
			       "priority = high\n"
			       "fred = off\n"
			       "module = e\n"
			       "module = f\n"
			       "[guest third]\n"));
	assert_int_equal(config.log, LOG_DEBUG);
	assert_int_equal(config.cpus, 4);
	assert_int_equal(config.console, CONSOLE_SERIAL);
	assert_int_equal(config.guest_count, 3);

	assert_string_equal(config.guests[0].name, "main");
	assert_int_equal(config.guests[0].line, 7);
	assert_int_equal(config.guests[0].kind, GUEST_LINUX);
	assert_int_equal(config.guests[0].fred, FRED_SOFT);
	assert_int_equal(config.guests[0].cpus, 0);

	assert_string_equal(config.guests[1].name, "side_1-b");
	assert_int_equal(config.guests[1].line, 11);
	assert_int_equal(config.guests[1].kind, GUEST_SELFTEST);
	assert_string_equal(config.guests[1].kernel, "");
	assert_int_equal(config.guests[1].cpus, 2);
	assert_int_equal(config.guests[1].cpu, 1);
	assert_int_equal(config.guests[1].console, GUEST_CONSOLE_NONE);
	assert_int_equal(config.guests[1].priority, PRIORITY_HIGH);
	assert_int_equal(config.guests[1].fred, FRED_OFF);
	assert_int_equal(config.guests[1].module_count, 2);
	assert_string_equal(config.guests[1].modules[0], "e");
	assert_string_equal(config.guests[1].modules[1], "f");

	/* No key of another section gets into this one. */
	assert_string_equal(config.guests[2].name, "third");
	assert_int_equal(config.guests[2].kind, GUEST_SELFTEST);
	assert_int_equal(config.guests[2].fred, FRED_SOFT);
	assert_int_equal(config.guests[2].priority, PRIORITY_NORMAL);
	assert_int_equal(config.guests[2].module_count, 1);
	assert_string_equal(config.guests[2].modules[0], "d");
}

#define NAMES "allowed are names of 1 to 31 characters a-z, 0-9, _ and -"
#define EIGHT_GUESTS                                                                    \
	"[guest 1]\n[guest 2]\n[guest 3]\n[guest 4]\n[guest 5]\n[guest 6]\n[guest 7]\n" \
	"[guest 8]\n"

TEST(section_errors)
{
	static const struct {
		const char *text;
		unsigned int line;
		const char *error;
	} cases[] = {
		{ "[linux]", 1, "\"[linux]\" is no section; allowed are lines [guest NAME]" },
		{ "[guest]", 1, "\"[guest]\" is no section; allowed are lines [guest NAME]" },
		{ "[guestx y]", 1, "\"[guestx y]\" is no section; allowed are lines [guest NAME]" },
		{ "\n[guest a", 2, "\"[guest a\" is no section; allowed are lines [guest NAME]" },
		{ "[guest a] x", 1,
		  "\"[guest a] x\" is no section; allowed are lines [guest NAME]" },
		{ "[", 1, "\"[\" is no section; allowed are lines [guest NAME]" },
		{ "[]", 1, "\"[]\" is no section; allowed are lines [guest NAME]" },
		{ "[guest Main]", 1, "guest \"Main\": " NAMES },
		{ "[guest a b]", 1, "guest \"a b\": " NAMES },
		{ "[guest a.b]", 1, "guest \"a.b\": " NAMES },
		{ "[guest a]\n[guest b]\n[guest a]", 3, "[guest a] is given twice" },
		{ EIGHT_GUESTS "[guest 9]", 9, "too many guests: allowed are 8" },
		{ "[guest a]\nfred=off\n[guest b]\nfred=off\nfred=off", 5, "fred is given twice" },
		{ "[guest a]\nlog = info", 2,
		  "\"log\" is no key of a guest; allowed are " GUEST_KEYS },
		{ "[guest a]\ngest = linux", 2,
		  "\"gest\" is no key of a guest; allowed are " GUEST_KEYS },
		{ "[guest a]\nconsole = serial", 2, "console = serial: allowed are log, none" },
		{ "[guest a]\ncpus = 513", 2,
		  "cpus = 513: allowed are 1 to 512, and 0 for the default" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set_up(NULL);
		assert_false(parse_file(cases[i].text));
		assert_string_equal(error.text, cases[i].error);
		assert_int_equal(error.line, cases[i].line);
	}
}

TEST(guest_name_lengths)
{
	assert_true(parse_file("[guest 1234567890123456789012345678901]"));
	assert_string_equal(config.guests[0].name, "1234567890123456789012345678901");
	set_up(NULL);
	assert_false(parse_file("[guest 12345678901234567890123456789012]"));
	assert_string_equal(error.text, "guest \"12345678901234567890123456789012\": " NAMES);
}

TEST(eight_guests)
{
	assert_true(parse_file(EIGHT_GUESTS));
	assert_true(config_complete(&config, &error));
	assert_int_equal(config.guest_count, CONFIG_GUESTS_MAX);
	for (uint32_t i = 0; i < CONFIG_GUESTS_MAX; i++) {
		const char name[] = { (char)('1' + i), '\0' };

		assert_string_equal(config.guests[i].name, name);
		assert_int_equal(config.guests[i].line, i + 1);
		assert_int_equal(config.guests[i].devices, DEVICES_NONE);
	}
}

TEST(options_of_sections)
{
	assert_true(parse_file("[guest a]\nfred=off\n[guest b]\nmodule = m\n"));
	assert_true(parse_options("memory=64M b.memory=1G b.fred=soft log=error cpus=2 b.cpus=3 "
				  "b.module=x.y b.cmdline=\"one two\" tests=x"));
	assert_int_equal(config.guests[0].memory, 64ULL << 20);
	assert_int_equal(config.guests[0].fred, FRED_OFF);
	assert_string_equal(config.guests[0].tests, "x");
	assert_int_equal(config.guests[0].cpus, 0);
	assert_int_equal(config.guests[1].memory, 1ULL << 30);
	assert_int_equal(config.guests[1].fred, FRED_SOFT);
	assert_int_equal(config.guests[1].cpus, 3);
	assert_int_equal(config.guests[1].module_count, 1);
	assert_string_equal(config.guests[1].modules[0], "x.y");
	assert_string_equal(config.guests[1].cmdline, "one two");
	assert_int_equal(config.log, LOG_ERROR);
	assert_int_equal(config.cpus, 2);
}

TEST(errors_of_options_of_sections)
{
	static const struct {
		const char *text;
		const char *error;
	} cases[] = {
		{ "c.fred=off", "no section [guest c] in the file; allowed are a, b" },
		{ ".fred=off", "no section [guest ] in the file; allowed are a, b" },
		{ "b.=off", "\"\" is no key of a guest; allowed are " GUEST_KEYS },
		{ "b.log=info", "\"log\" is no key of a guest; allowed are " GUEST_KEYS },
		{ "b.a.fred=off", "\"a.fred\" is no key of a guest; allowed are " GUEST_KEYS },
		{ "a.fred=off fred=off", "fred is given twice" },
		{ "b.fred=on", "fred = on: allowed are auto, native, soft, off" },
		{ "b.fred=off gest=1", "unknown key \"gest\"; allowed are " KEYS },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set_up(NULL);
		assert_true(parse_file("[guest a]\n[guest b]\n"));
		assert_false(parse_options(cases[i].text));
		assert_string_equal(error.text, cases[i].error);
		assert_int_equal(error.line, 0);
	}
	set_up(NULL);
	assert_true(parse_file("guest = selftest"));
	assert_false(parse_options("selftest.fred=off"));
	assert_string_equal(error.text, "no section [guest selftest] in the file; allowed are "
					"options key=value, since it has none");
}

TEST(guests_that_do_not_go_together)
{
	static const struct {
		const char *text;
		unsigned int line;
		const char *error; /* NULL: valid */
	} cases[] = {
		{ "[guest a]\n[guest b]\nguest=linux\n", 2,
		  "guest b: guest = linux needs the key kernel" },
		{ "kernel=k\n[guest a]\nguest=linux\n[guest b]\n[guest c]\nguest=multiboot\n", 5,
		  "guest c: devices = passthrough is for one guest, and guest a has it already" },
		{ "[guest a]\n[guest b]\ndevices=passthrough\n", 2,
		  "guest b: guest = selftest needs devices = none" },
		{ "[guest a]\n[guest b]\nguest=multiboot\nkernel=k\n[guest c]\ncpu=1\n", 0, NULL },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set_up(NULL);
		assert_true(parse_file(cases[i].text));
		assert_int_equal(config_complete(&config, &error), cases[i].error == NULL);
		if (cases[i].error != NULL) {
			assert_string_equal(error.text, cases[i].error);
			assert_int_equal(error.line, cases[i].line);
		}
	}
	assert_int_equal(config.guests[0].devices, DEVICES_NONE);
	assert_int_equal(config.guests[1].devices, DEVICES_PASSTHROUGH);
	assert_string_equal(config.guests[1].name, "b");
}

TEST(names_without_sections)
{
	assert_true(parse_file("guest = linux\nkernel = k"));
	assert_true(config_complete(&config, &error));
	assert_string_equal(config.guests[0].name, "linux");
	assert_int_equal(config.guests[0].devices, DEVICES_PASSTHROUGH);
	assert_int_equal(config.guests[0].line, 0);
}

TEST(a_selftest_instead_of_linux)
{
	assert_true(parse_file("at_end = halt\nkernel = k\nguest = linux\ncpus = 2\nmemory = 1G\n"
			       "[guest a]\n[guest b]\nguest = selftest\n"));
	assert_true(config_complete(&config, &error));
	config_choose_selftest(&config, FRED_SOFT);
	assert_int_equal(config.guest_count, 1);
	assert_int_equal(config.guests[0].kind, GUEST_SELFTEST);
	assert_int_equal(config.guests[0].devices, DEVICES_NONE);
	assert_int_equal(config.guests[0].fred, FRED_SOFT);
	assert_int_equal(config.guests[0].memory, 0);
	assert_int_equal(config.guests[0].line, 0);
	assert_string_equal(config.guests[0].name, "selftest");
	assert_string_equal(config.guests[0].kernel, "");
	assert_int_equal(config.at_end, AT_END_HALT);
	assert_int_equal(config.cpus, 2);
	assert_true(config_complete(&config, &error));
}

TEST(a_selftest_keeps_its_keys)
{
	assert_true(parse_file("[guest one]\ntests = fred-*\nerrata = BX-14\nmemory = 64M\n"
			       "cmdline = scenario=bench\n"));
	assert_true(config_complete(&config, &error));
	config_choose_selftest(&config, FRED_NATIVE);
	assert_string_equal(config.guests[0].name, "selftest");
	assert_string_equal(config.guests[0].tests, "fred-*");
	assert_string_equal(config.guests[0].errata, "BX-14");
	assert_string_equal(config.guests[0].cmdline, "");
	assert_int_equal(config.guests[0].memory, 64ULL << 20);
	assert_int_equal(config.guests[0].fred, FRED_NATIVE);
}

TEST(processors_and_vcpus)
{
	struct guest_config guest = { .devices = DEVICES_PASSTHROUGH };

	assert_int_equal(config_processors(&config, 4), 4);
	config.cpus = 3;
	assert_int_equal(config_processors(&config, 4), 3);
	assert_int_equal(config_processors(&config, 2), 2);

	assert_int_equal(config_vcpus(&guest, 4), 4);
	guest.cpus = 3;
	assert_int_equal(config_vcpus(&guest, 4), 3);
	assert_int_equal(config_vcpus(&guest, 2), 2);
	guest.devices = DEVICES_NONE;
	assert_int_equal(config_vcpus(&guest, 2), 3);
	guest.cpus = 0;
	assert_int_equal(config_vcpus(&guest, 2), 1);
}

TEST(names)
{
	assert_string_equal(config_guest_name(GUEST_MULTIBOOT), "multiboot");
	assert_string_equal(config_guest_name((enum guest_kind)77), "unknown");
}

TEST(name_of_the_program)
{
	static const char *const skipped[] = {
		"manfred.efi log=debug",
		"MANFRED.EFI log=debug",
		"fs0:\\manfred.efi log=debug",
		"manfred log=debug",
		"fs0:\\Manfred log=debug",
		"\"manfred.efi\" log=debug",
		"\"fs0:\\a folder\\manfred\" log=debug",
		"other.Efi log=debug",
	};
	static const char *const kept[] = {
		"log=debug",	 "kernel=loader.efi",	 "manfred=1", "selftest log=debug",
		"selftest.efi=", "\"quoted\" log=debug", "\"",	      "",
	};

	for (size_t i = 0; i < sizeof(skipped) / sizeof(skipped[0]); i++)
		assert_string_equal(config_skip_program(skipped[i], "manfred"), " log=debug");
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		assert_ptr_equal(config_skip_program(kept[i], "manfred"), kept[i]);
	assert_string_equal(config_skip_program("manfred.efi", "manfred"), "");
	assert_string_equal(config_skip_program("\"manfred.efi", "manfred"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(defaults, set_up),
		cmocka_unit_test_setup(test_services, set_up),
		cmocka_unit_test_setup(every_key, set_up),
		cmocka_unit_test_setup(blanks_comments_and_line_ends, set_up),
		cmocka_unit_test_setup(sizes, set_up),
		cmocka_unit_test_setup(file_errors, set_up),
		cmocka_unit_test_setup(nul_bytes, set_up),
		cmocka_unit_test_setup(utf_16, set_up),
		cmocka_unit_test_setup(other_characters, set_up),
		cmocka_unit_test_setup(value_lengths, set_up),
		cmocka_unit_test_setup(long_wrong_words, set_up),
		cmocka_unit_test_setup(options_override_the_file, set_up),
		cmocka_unit_test_setup(option_errors, set_up),
		cmocka_unit_test_setup(keys_that_need_each_other, set_up),
		cmocka_unit_test_setup(sections, set_up),
		cmocka_unit_test_setup(section_errors, set_up),
		cmocka_unit_test_setup(guest_name_lengths, set_up),
		cmocka_unit_test_setup(eight_guests, set_up),
		cmocka_unit_test_setup(options_of_sections, set_up),
		cmocka_unit_test_setup(errors_of_options_of_sections, set_up),
		cmocka_unit_test_setup(guests_that_do_not_go_together, set_up),
		cmocka_unit_test_setup(names_without_sections, set_up),
		cmocka_unit_test_setup(a_selftest_instead_of_linux, set_up),
		cmocka_unit_test_setup(a_selftest_keeps_its_keys, set_up),
		cmocka_unit_test_setup(processors_and_vcpus, set_up),
		cmocka_unit_test(name_of_the_program),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
