/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what manfred.cfg means: one line in the table per key. The same table
 * serves the file and the options on the loader's command line.
 */
#include <assert.h>

#include "lib/config.h"
#include "lib/format.h"
#include "lib/string.h"

#define ALLOWED_MAX   160 /* room for a list of allowed names */
#define QUOTED_MAX    48  /* how much of a wrong word an error shows */
#define KIBIBYTE_BITS 10

struct choice {
	const char *name;
	uint32_t value;
};

static const struct choice guests[] = {
	{ "selftest", GUEST_SELFTEST },
	{ "linux", GUEST_LINUX },
	{ "multiboot", GUEST_MULTIBOOT },
	{ NULL, 0 },
};

static const struct choice fred_modes[] = {
	{ "auto", FRED_AUTO }, { "native", FRED_NATIVE },
	{ "soft", FRED_SOFT }, { "off", FRED_OFF },
	{ NULL, 0 },
};

static const struct choice log_levels[] = {
	{ "error", LOG_ERROR }, { "info", LOG_INFO }, { "debug", LOG_DEBUG },
	{ "trace", LOG_TRACE }, { NULL, 0 },
};

static const struct choice consoles[] = {
	{ "serial", CONSOLE_SERIAL },
	{ "screen", CONSOLE_SCREEN },
	{ "both", CONSOLE_SERIAL | CONSOLE_SCREEN },
	{ NULL, 0 },
};

static const struct choice ends[] = {
	{ "poweroff", AT_END_POWEROFF },
	{ "reboot", AT_END_REBOOT },
	{ "halt", AT_END_HALT },
	{ NULL, 0 },
};

static const struct choice debug_faults[] = {
	{ "none", DEBUG_NONE },
	{ "invalid-guest-state", DEBUG_INVALID_GUEST_STATE },
	{ "vmm-fault", DEBUG_VMM_FAULT },
	{ "vmm-stack-overflow", DEBUG_VMM_STACK_OVERFLOW },
	{ "vmm-write-text", DEBUG_VMM_WRITE_TEXT },
	{ "vmm-nmi", DEBUG_VMM_NMI },
	{ NULL, 0 },
};

enum kind { KIND_CHOICE, KIND_NUMBER, KIND_BYTES, KIND_TEXT, KIND_MODULE };

struct key {
	const char *name;
	size_t offset; /* in struct config */
	enum kind kind;
	const struct choice *choices;
	size_t limit; /* bytes of a text with its end, or the greatest number */
	bool may_be_empty;
};

#define FIELD(name) #name, offsetof(struct config, name)

static const struct key keys[] = {
	{ FIELD(guest), KIND_CHOICE, .choices = guests },
	{ FIELD(kernel), KIND_TEXT, .limit = CONFIG_PATH_MAX },
	{ FIELD(initrd), KIND_TEXT, .limit = CONFIG_PATH_MAX, .may_be_empty = true },
	{ "module", offsetof(struct config, modules), KIND_MODULE, .limit = CONFIG_PATH_MAX },
	{ FIELD(cmdline), KIND_TEXT, .limit = CONFIG_CMDLINE_MAX, .may_be_empty = true },
	{ FIELD(memory), KIND_BYTES, .limit = SIZE_MAX },
	{ FIELD(cpus), KIND_NUMBER, .limit = CONFIG_CPUS_MAX },
	{ FIELD(fred), KIND_CHOICE, .choices = fred_modes },
	{ FIELD(log), KIND_CHOICE, .choices = log_levels },
	{ FIELD(console), KIND_CHOICE, .choices = consoles },
	{ FIELD(at_end), KIND_CHOICE, .choices = ends },
	{ FIELD(tests), KIND_TEXT, .limit = CONFIG_PATTERN_MAX, .may_be_empty = true },
	{ FIELD(errata), KIND_TEXT, .limit = CONFIG_ERRATA_MAX, .may_be_empty = true },
	{ FIELD(debug), KIND_CHOICE, .choices = debug_faults },
};

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

static_assert(sizeof(enum guest_kind) == sizeof(uint32_t), "choices are stored as uint32_t");

/* Text that does not end with a zero. */
struct slice {
	const char *text;
	size_t length;
};

/* One file, or one command line. */
struct pass {
	struct config *config;
	struct config_error *error;
	unsigned int line;
	bool seen[KEY_COUNT];
};

/* For "%.*s": at most QUOTED_MAX bytes. */
static int quoted(struct slice slice)
{
	return (int)(slice.length < QUOTED_MAX ? slice.length : QUOTED_MAX);
}

#define FAIL(pass, ...)                                                                \
	(format_string((pass)->error->text, sizeof((pass)->error->text), __VA_ARGS__), \
	 (pass)->error->line = (pass)->line, false)

static bool is_blank(char character)
{
	return character == ' ' || character == '\t';
}

static struct slice trim(struct slice slice)
{
	while (slice.length > 0 && is_blank(slice.text[0])) {
		slice.text++;
		slice.length--;
	}
	while (slice.length > 0 && is_blank(slice.text[slice.length - 1]))
		slice.length--;
	return slice;
}

static bool equals(struct slice slice, const char *text)
{
	return strlen(text) == slice.length && memcmp(slice.text, text, slice.length) == 0;
}

/* Append a name to a list "a, b, c". */
static void list_add(char list[ALLOWED_MAX], const char *name)
{
	const size_t length = strlen(list);

	format_string(list + length, ALLOWED_MAX - length, "%s%s", length > 0 ? ", " : "", name);
}

static bool set_choice(struct pass *pass, const struct key *key, struct slice value, void *field)
{
	char allowed[ALLOWED_MAX] = "";

	for (const struct choice *choice = key->choices; choice->name != NULL; choice++) {
		if (equals(value, choice->name)) {
			memcpy(field, &choice->value, sizeof(choice->value));
			return true;
		}
		list_add(allowed, choice->name);
	}
	return FAIL(pass, "%s = %.*s: allowed are %s", key->name, quoted(value), value.text,
		    allowed);
}

/* Decimal digits at the start of *value, which is moved on. False: none, or too many. */
static bool take_number(struct slice *value, uint64_t *number)
{
	const char *start = value->text;

	for (*number = 0; value->length > 0; value->text++, value->length--) {
		const unsigned int digit = (unsigned char)*value->text - (unsigned int)'0';

		if (digit > 9)
			break;
		if (*number > (UINT64_MAX - digit) / 10)
			return false;
		*number = *number * 10 + digit;
	}
	return value->text != start;
}

static bool set_number(struct pass *pass, const struct key *key, struct slice value, void *field)
{
	struct slice rest = value;
	uint64_t number;

	if (!take_number(&rest, &number) || rest.length > 0 || number > key->limit)
		return FAIL(pass, "%s = %.*s: allowed are 1 to %zu, and 0 for all", key->name,
			    quoted(value), value.text, key->limit);
	*(uint32_t *)field = (uint32_t)number;
	return true;
}

static bool set_bytes(struct pass *pass, const struct key *key, struct slice value, void *field)
{
	static const char units[] = "KMG";
	struct slice rest = value;
	uint64_t number;
	bool valid = take_number(&rest, &number);

	if (valid && rest.length == 1) {
		const char *unit = strchr(units, rest.text[0]);
		const unsigned int shift =
			unit == NULL ? 0 : KIBIBYTE_BITS * (unsigned int)(unit - units + 1);

		valid = unit != NULL && number <= UINT64_MAX >> shift;
		number <<= shift;
	}
	if (!valid || rest.length > 1)
		return FAIL(pass,
			    "%s = %.*s: allowed is a number of bytes, or one with the unit K, M "
			    "or G, and 0 for all",
			    key->name, quoted(value), value.text);
	*(uint64_t *)field = number;
	return true;
}

static bool set_text(struct pass *pass, const struct key *key, struct slice value, char *field)
{
	if (value.length >= key->limit)
		return FAIL(pass, "%s is too long: %zu bytes, allowed are %zu", key->name,
			    value.length, key->limit - 1);
	memcpy(field, value.text, value.length);
	field[value.length] = '\0';
	return true;
}

static bool add_module(struct pass *pass, const struct key *key, struct slice value)
{
	struct config *config = pass->config;

	/* The command line's modules stand in for those of the file. */
	if (!pass->seen[key - keys])
		config->module_count = 0;
	if (config->module_count == CONFIG_MODULES_MAX)
		return FAIL(pass, "too many modules: allowed are %d", CONFIG_MODULES_MAX);
	return set_text(pass, key, value, config->modules[config->module_count++]);
}

static bool set_value(struct pass *pass, const struct key *key, struct slice value)
{
	void *field = (char *)pass->config + key->offset;

	if (value.length == 0 && !key->may_be_empty)
		return FAIL(pass, "%s needs a value", key->name);
	if (pass->seen[key - keys] && key->kind != KIND_MODULE)
		return FAIL(pass, "%s is given twice", key->name);

	switch (key->kind) {
	case KIND_CHOICE:
		return set_choice(pass, key, value, field);
	case KIND_NUMBER:
		return set_number(pass, key, value, field);
	case KIND_BYTES:
		return set_bytes(pass, key, value, field);
	case KIND_TEXT:
		return set_text(pass, key, value, field);
	case KIND_MODULE:
		return add_module(pass, key, value);
	}
	return false;
}

static bool set(struct pass *pass, struct slice name, struct slice value)
{
	char allowed[ALLOWED_MAX] = "";

	for (const struct key *key = keys; key < keys + KEY_COUNT; key++) {
		if (equals(name, key->name)) {
			const bool valid = set_value(pass, key, value);

			pass->seen[key - keys] = true;
			return valid;
		}
		list_add(allowed, key->name);
	}
	return FAIL(pass, "unknown key \"%.*s\"; allowed are %s", quoted(name), name.text, allowed);
}

/* Text only: a NUL would end a string early, and tells of a file in UTF-16. */
static bool check_characters(struct pass *pass, struct slice line)
{
	for (size_t i = 0; i < line.length; i++) {
		const unsigned int byte = (unsigned char)line.text[i];

		if (byte < ' ' && byte != '\t')
			return FAIL(pass, "byte 0x%02x in the line; allowed is plain text in UTF-8",
				    byte);
	}
	return true;
}

/* A comment starts at a '#' that is the first of its line or follows a blank. */
static struct slice cut_comment(struct slice line)
{
	for (size_t i = 0; i < line.length; i++) {
		if (line.text[i] == '#' && (i == 0 || is_blank(line.text[i - 1])))
			line.length = i;
	}
	return line;
}

static bool parse_line(struct pass *pass, struct slice line)
{
	const char *equal;
	struct slice name;
	struct slice value;

	if (!check_characters(pass, line))
		return false;
	line = trim(cut_comment(line));
	if (line.length == 0)
		return true;
	for (equal = line.text; equal < line.text + line.length && *equal != '='; equal++)
		;
	if (equal == line.text + line.length)
		return FAIL(pass, "\"%.*s\" has no '='; allowed are lines \"key = value\"",
			    quoted(line), line.text);
	name = (struct slice){ line.text, (size_t)(equal - line.text) };
	value = (struct slice){ equal + 1, line.length - name.length - 1 };
	return set(pass, trim(name), trim(value));
}

bool config_parse_file(struct config *config, const char *text, size_t length,
		       struct config_error *error)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	const size_t mark = sizeof(byte_order_mark) - 1;
	struct pass pass = { .config = config, .error = error };
	size_t start = length >= mark && memcmp(text, byte_order_mark, mark) == 0 ? mark : 0;

	while (start < length) {
		struct slice line = { text + start, 0 };

		while (start + line.length < length && line.text[line.length] != '\n')
			line.length++;
		start += line.length + 1;
		if (line.length > 0 && line.text[line.length - 1] == '\r')
			line.length--;
		pass.line++;
		if (!parse_line(&pass, line))
			return false;
	}
	return true;
}

/* A value up to a blank, or in double quotes; *next is moved behind it. False: bad quotes. */
static bool take_value(const char **next, const char *end, struct slice *value)
{
	const bool in_quotes = *next < end && **next == '"';
	const char *start = in_quotes ? ++*next : *next;

	while (*next < end && (in_quotes ? **next != '"' : !is_blank(**next)))
		++*next;
	*value = (struct slice){ start, (size_t)(*next - start) };
	if (!in_quotes)
		return true;
	if (*next == end)
		return false;
	++*next;
	return *next == end || is_blank(**next);
}

/* Take one option off the start of *rest. */
static bool parse_option(struct pass *pass, struct slice *rest)
{
	const char *end = rest->text + rest->length;
	const char *next = rest->text;
	struct slice name;
	struct slice value;

	while (next < end && *next != '=' && !is_blank(*next))
		next++;
	name = (struct slice){ rest->text, (size_t)(next - rest->text) };
	if (next == end || *next != '=')
		return FAIL(pass, "\"%.*s\" has no '='; allowed are options key=value",
			    quoted(name), name.text);
	next++;
	if (!take_value(&next, end, &value))
		return FAIL(pass, "%.*s: allowed is a value in double quotes, then a blank",
			    quoted(name), name.text);
	*rest = (struct slice){ next, (size_t)(end - next) };
	return set(pass, name, value);
}

bool config_parse_options(struct config *config, const char *text, size_t length,
			  struct config_error *error)
{
	struct pass pass = { .config = config, .error = error };
	struct slice rest = { text, length };

	if (!check_characters(&pass, rest))
		return false;
	for (rest = trim(rest); rest.length > 0; rest = trim(rest)) {
		if (!parse_option(&pass, &rest))
			return false;
	}
	return true;
}

void config_defaults(struct config *config)
{
	memset(config, 0, sizeof(*config));
	config->guest = GUEST_SELFTEST;
	config->fred = FRED_AUTO;
	config->log = LOG_INFO;
	config->at_end = AT_END_GUEST;
	config->debug = DEBUG_NONE;
	config->console = CONSOLE_SERIAL | CONSOLE_SCREEN;
}

/*
 * Files of another kind of guest are an error only where they would be missed:
 * guest=selftest on the command line must do with a file that is about Linux.
 */
bool config_validate(const struct config *config, struct config_error *error)
{
	struct pass pass = { .error = error };
	const char *guest = config_guest_name(config->guest);

	if (config->guest != GUEST_SELFTEST && config->kernel[0] == '\0')
		return FAIL(&pass, "guest = %s needs the key kernel", guest);
	if (config->guest == GUEST_LINUX && config->module_count > 0)
		return FAIL(&pass, "module is not for guest = linux; allowed is initrd");
	if (config->guest == GUEST_MULTIBOOT && config->initrd[0] != '\0')
		return FAIL(&pass, "initrd is not for guest = multiboot; allowed is module");
	return true;
}

static const char *choice_name(const struct choice *choices, uint32_t value)
{
	while (choices->name != NULL && choices->value != value)
		choices++;
	return choices->name != NULL ? choices->name : "unknown";
}

const char *config_guest_name(enum guest_kind guest)
{
	return choice_name(guests, guest);
}

const char *config_fred_name(enum fred_mode mode)
{
	return choice_name(fred_modes, mode);
}
