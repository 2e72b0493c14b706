/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any text as a manfred.cfg and as options: the result is a config whose strings
 * end, or a one-line message.
 */
#include "tests/fuzz/fuzz.h"
#include "lib/config.h"

static const char *const texts[] = {
	"\xef\xbb\xbf# Manfred\r\nguest = linux\r\nkernel = \\vmlinuz # kernel\r\n"
	"initrd = \\initrd\r\ncmdline = console=ttyS0 quiet\r\nmemory = 512M\r\ncpus = 4\r\n",
	"guest=multiboot\nkernel=k\nmodule=a\nmodule=b\nfred=soft\nlog=trace\nconsole=both\n"
	"at_end=halt\ntests=*\ndebug=vmm-fault\nserial=pci:00:16.3\nbaud=9600\nmenu=5\n",
	"guest=linux kernel=k cmdline=\"a b c\" memory=18446744073709551615 cpus=0",
	"log=debug\nfred=soft\nmodule=d\n[guest main]\nguest=linux\nkernel=k\ndevices=passthrough\n"
	"[guest b-2] # "
	"two\ncpus=2\ncpu=1\nconsole=none\npriority=high\ntest_services=on\nmemory=8M\n",
	"[guest a]\n[guest b]\n[guest c]\n[guest d]\n[guest e]\n[guest f]\n[guest g]\n[guest h]\n",
	"a.fred=soft b.console=log b.module=x cpu=1",
	"module=1\nmodule=2\nmodule=3\nmodule=4\nmodule=5\nmodule=6\nmodule=7\nmodule=8\n",
};

size_t fuzz_seed(unsigned int number, uint8_t *buffer)
{
	if (number >= sizeof(texts) / sizeof(texts[0]))
		return 0;
	memcpy(buffer, texts[number], strlen(texts[number]));
	return strlen(texts[number]);
}

static void check_error(const struct config_error *error)
{
	const size_t length = strnlen(error->text, sizeof(error->text));

	REQUIRE(length > 0 && length < sizeof(error->text));
	REQUIRE(strchr(error->text, '\n') == NULL);
}

static void check_guest(const struct guest_config *guest)
{
	REQUIRE(strnlen(guest->name, CONFIG_NAME_MAX) < CONFIG_NAME_MAX);
	REQUIRE(guest->module_count <= CONFIG_MODULES_MAX);
	REQUIRE(guest->cpus <= CONFIG_CPUS_MAX && guest->cpu < CONFIG_CPUS_MAX);
	REQUIRE(guest->kind <= GUEST_MULTIBOOT && guest->fred <= FRED_OFF);
	REQUIRE(guest->devices <= DEVICES_PASSTHROUGH && guest->console <= GUEST_CONSOLE_NONE);
	REQUIRE(guest->priority <= PRIORITY_HIGH && guest->test_services <= TEST_SERVICES_ON);
	REQUIRE(strnlen(guest->kernel, CONFIG_PATH_MAX) < CONFIG_PATH_MAX);
	REQUIRE(strnlen(guest->initrd, CONFIG_PATH_MAX) < CONFIG_PATH_MAX);
	REQUIRE(strnlen(guest->cmdline, CONFIG_CMDLINE_MAX) < CONFIG_CMDLINE_MAX);
	REQUIRE(strnlen(guest->tests, CONFIG_PATTERN_MAX) < CONFIG_PATTERN_MAX);
	REQUIRE(strnlen(guest->errata, CONFIG_ERRATA_MAX) < CONFIG_ERRATA_MAX);
	for (uint32_t i = 0; i < guest->module_count; i++)
		REQUIRE(strnlen(guest->modules[i], CONFIG_PATH_MAX) < CONFIG_PATH_MAX);
}

static void check_config(const struct config *config)
{
	REQUIRE(config->guest_count >= 1 && config->guest_count <= CONFIG_GUESTS_MAX);
	REQUIRE(config->cpus <= CONFIG_CPUS_MAX);
	REQUIRE(config->log <= LOG_TRACE && config->at_end <= AT_END_HALT);
	REQUIRE(config->baud <= CONFIG_BAUD_MAX && config->menu <= CONFIG_MENU_MAX);
	REQUIRE(config->serial.kind <= SERIAL_AT_MMIO);
	REQUIRE(config->console >= 1 && config->console <= 3);
	for (uint32_t i = 0; i < config->guest_count; i++)
		check_guest(&config->guests[i]);
}

/* What the VMM relies on: names that differ, and one owner of the devices. */
static void check_complete(struct config *config)
{
	struct config_error error = { 0 };
	uint32_t owners = 0;

	if (!config_complete(config, &error)) {
		check_error(&error);
		return;
	}
	check_config(config);
	for (uint32_t i = 0; i < config->guest_count; i++) {
		REQUIRE(config->guests[i].name[0] != '\0');
		REQUIRE(config->guests[i].devices != DEVICES_BY_KIND);
		owners += config->guests[i].devices == DEVICES_PASSTHROUGH;
		for (uint32_t j = 0; j < i; j++)
			REQUIRE(strcmp(config->guests[i].name, config->guests[j].name) != 0);
	}
	REQUIRE(owners <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config config;
	struct config_error error = { 0 };

	config_defaults(&config);
	if (!config_parse_file(&config, (const char *)data, size, &error)) {
		check_error(&error);
		REQUIRE(error.line > 0);
	}
	check_config(&config);
	error = (struct config_error){ 0 };
	if (!config_parse_options(&config, (const char *)data, size, &error)) {
		check_error(&error);
		REQUIRE(error.line == 0);
	}
	check_config(&config);
	check_complete(&config);
	return 0;
}
