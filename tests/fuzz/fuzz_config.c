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
	"at_end=halt\ntests=*\ndebug=vmm-fault\n",
	"guest=linux kernel=k cmdline=\"a b c\" memory=18446744073709551615 cpus=0",
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

static void check_config(const struct config *config)
{
	struct config_error error = { 0 };

	REQUIRE(config->module_count <= CONFIG_MODULES_MAX);
	REQUIRE(config->cpus <= CONFIG_CPUS_MAX);
	REQUIRE(config->guest <= GUEST_MULTIBOOT && config->fred <= FRED_OFF);
	REQUIRE(config->log <= LOG_TRACE && config->at_end <= AT_END_HALT);
	REQUIRE(config->console >= 1 && config->console <= 3);
	REQUIRE(strnlen(config->kernel, CONFIG_PATH_MAX) < CONFIG_PATH_MAX);
	REQUIRE(strnlen(config->cmdline, CONFIG_CMDLINE_MAX) < CONFIG_CMDLINE_MAX);
	REQUIRE(strnlen(config->tests, CONFIG_PATTERN_MAX) < CONFIG_PATTERN_MAX);
	for (uint32_t i = 0; i < config->module_count; i++)
		REQUIRE(strnlen(config->modules[i], CONFIG_PATH_MAX) < CONFIG_PATH_MAX);
	if (!config_validate(config, &error))
		check_error(&error);
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
	return 0;
}
