/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what manfred.cfg means: one line in the table per key. The same table
 * serves the file and the options on the loader's command line.
 */
#include <assert.h>

#include "lib/config.h"
#include "lib/format.h"
#include "lib/string.h"
#include "lib/utf8.h"

#define ALLOWED_MAX   224 /* room for a list of allowed names */
#define QUOTED_MAX    48  /* how much of a wrong word an error shows */
#define KIBIBYTE_BITS 10
#define SECTION_WORD  "guest"
#define DELETE	      0x7fU /* and the other control characters up to ... */
#define CONTROL_LAST  0x9fU

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

static const struct choice devices[] = {
	{ "none", DEVICES_NONE },
	{ "passthrough", DEVICES_PASSTHROUGH },
	{ NULL, 0 },
};

static const struct choice guest_consoles[] = {
	{ "log", GUEST_CONSOLE_LOG },
	{ "none", GUEST_CONSOLE_NONE },
	{ NULL, 0 },
};

static const struct choice priorities[] = {
	{ "normal", PRIORITY_NORMAL },
	{ "high", PRIORITY_HIGH },
	{ NULL, 0 },
};

static const struct choice test_services[] = {
	{ "off", TEST_SERVICES_OFF },
	{ "on", TEST_SERVICES_ON },
	{ NULL, 0 },
};

static const struct choice fred_modes[] = {
	{ "auto", FRED_AUTO }, { "native", FRED_NATIVE },
	{ "soft", FRED_SOFT }, { "off", FRED_OFF },
	{ NULL, 0 },
};

static const struct choice vtd_modes[] = {
	{ "auto", VTD_AUTO },
	{ "off", VTD_OFF },
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
	{ "debug-exit", AT_END_DEBUG_EXIT },
	{ NULL, 0 },
};

static const struct choice debug_faults[] = {
	{ "none", DEBUG_NONE },
	{ "invalid-guest-state", DEBUG_INVALID_GUEST_STATE },
	{ "vmm-fault", DEBUG_VMM_FAULT },
	{ "vmm-stack-overflow", DEBUG_VMM_STACK_OVERFLOW },
	{ "vmm-write-text", DEBUG_VMM_WRITE_TEXT },
	{ "vmm-panic", DEBUG_VMM_PANIC },
	{ "vmm-nmi", DEBUG_VMM_NMI },
	{ "boot-info", DEBUG_BOOT_INFO },
	{ "flip-vmcs", DEBUG_FLIP_VMCS },
	{ NULL, 0 },
};

enum kind { KIND_CHOICE, KIND_NUMBER, KIND_BYTES, KIND_TEXT, KIND_MODULE, KIND_SERIAL };

struct key {
	const char *name;
	size_t offset; /* in struct config, or in struct guest_config */
	enum kind kind;
	const struct choice *choices;
	size_t limit;	  /* bytes of a text with its end, or the greatest number */
	const char *zero; /* what the number 0 means, if it has a meaning of its own */
	bool may_be_empty;
};

#define FIELD(type, name) #name, offsetof(struct type, name)

/* At the top level they hide a guest's key of the same name. */
static const struct key global_keys[] = {
	{ FIELD(config, log), KIND_CHOICE, .choices = log_levels },
	{ FIELD(config, console), KIND_CHOICE, .choices = consoles },
	{ FIELD(config, serial), .kind = KIND_SERIAL },
	{ FIELD(config, baud), KIND_NUMBER, .limit = CONFIG_BAUD_MAX, .zero = "the firmware's" },
	{ FIELD(config, menu), KIND_NUMBER, .limit = CONFIG_MENU_MAX, .zero = "no menu" },
	{ FIELD(config, at_end), KIND_CHOICE, .choices = ends },
	{ FIELD(config, cpus), KIND_NUMBER, .limit = CONFIG_CPUS_MAX, .zero = "all" },
	{ FIELD(config, vtd), KIND_CHOICE, .choices = vtd_modes },
	{ FIELD(config, debug), KIND_CHOICE, .choices = debug_faults },
};

#define GUEST_FIELD(name) FIELD(guest_config, name)

static const struct key guest_keys[] = {
	{ "guest", offsetof(struct guest_config, kind), KIND_CHOICE, .choices = guests },
	{ GUEST_FIELD(kernel), KIND_TEXT, .limit = CONFIG_PATH_MAX },
	{ GUEST_FIELD(initrd), KIND_TEXT, .limit = CONFIG_PATH_MAX, .may_be_empty = true },
	{ "module", offsetof(struct guest_config, modules), KIND_MODULE, .limit = CONFIG_PATH_MAX },
	{ GUEST_FIELD(cmdline), KIND_TEXT, .limit = CONFIG_CMDLINE_MAX, .may_be_empty = true },
	{ GUEST_FIELD(memory), KIND_BYTES, .limit = SIZE_MAX },
	{ GUEST_FIELD(cpus), KIND_NUMBER, .limit = CONFIG_CPUS_MAX, .zero = "the default" },
	{ GUEST_FIELD(cpu), KIND_NUMBER, .limit = CONFIG_CPUS_MAX - 1 },
	{ GUEST_FIELD(fred), KIND_CHOICE, .choices = fred_modes },
	{ GUEST_FIELD(devices), KIND_CHOICE, .choices = devices },
	{ GUEST_FIELD(console), KIND_CHOICE, .choices = guest_consoles },
	{ GUEST_FIELD(priority), KIND_CHOICE, .choices = priorities },
	{ GUEST_FIELD(test_services), KIND_CHOICE, .choices = test_services },
	{ GUEST_FIELD(tests), KIND_TEXT, .limit = CONFIG_PATTERN_MAX, .may_be_empty = true },
	{ GUEST_FIELD(errata), KIND_TEXT, .limit = CONFIG_ERRATA_MAX, .may_be_empty = true },
};

#define GLOBAL_KEYS (sizeof(global_keys) / sizeof(global_keys[0]))
#define GUEST_KEYS  (sizeof(guest_keys) / sizeof(guest_keys[0]))

static_assert(sizeof(enum guest_kind) == sizeof(uint32_t), "choices are stored as uint32_t");

/* Text that does not end with a zero. */
struct slice {
	const char *text;
	size_t length;
};

static struct slice whole(const char *text)
{
	return (struct slice){ text, strlen(text) };
}

/* One file, or one command line. */
struct pass {
	struct config *config;
	struct config_error *error;
	unsigned int line;
	bool in_section;
	uint32_t guest; /* whose keys these are */
	bool seen[GLOBAL_KEYS];
	bool seen_guest[CONFIG_GUESTS_MAX][GUEST_KEYS];
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
		return FAIL(pass, "%s = %.*s: allowed are %d to %zu%s%s", key->name, quoted(value),
			    value.text, key->zero != NULL ? 1 : 0, key->limit,
			    key->zero != NULL ? ", and 0 for " : "",
			    key->zero != NULL ? key->zero : "");
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

static bool add_module(struct pass *pass, const struct key *key, struct slice value,
		       struct guest_config *guest, bool first)
{
	/* A section's modules stand in for the defaults, the command line's for those of the file.
	 */
	if (first)
		guest->module_count = 0;
	if (guest->module_count == CONFIG_MODULES_MAX)
		return FAIL(pass, "too many modules: allowed are %d", CONFIG_MODULES_MAX);
	return set_text(pass, key, value, guest->modules[guest->module_count++]);
}

static bool set_serial(struct pass *pass, const struct key *key, struct slice value,
		       struct serial_choice *field)
{
	return serial_parse(value.text, value.length, field) ||
	       FAIL(pass, "%s = %.*s: allowed are " SERIAL_SYNTAX, key->name, quoted(value),
		    value.text);
}

/* `to` is the struct config or guest_config that the key belongs to. */
static bool set_value(struct pass *pass, const struct key *key, struct slice value, void *to,
		      bool *seen)
{
	void *const field = (char *)to + key->offset;
	const bool first = !*seen;

	if (value.length == 0 && !key->may_be_empty)
		return FAIL(pass, "%s needs a value", key->name);
	if (!first && key->kind != KIND_MODULE)
		return FAIL(pass, "%s is given twice", key->name);
	*seen = true;

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
		return add_module(pass, key, value, to, first);
	case KIND_SERIAL:
		return set_serial(pass, key, value, field);
	}
	return false;
}

static const struct key *find_key(const struct key *keys, size_t count, struct slice name)
{
	for (const struct key *key = keys; key < keys + count; key++)
		if (equals(name, key->name))
			return key;
	return NULL;
}

static bool unknown_key(struct pass *pass, struct slice name)
{
	char allowed[ALLOWED_MAX] = "";

	for (const struct key *key = guest_keys; key < guest_keys + GUEST_KEYS; key++)
		if (pass->in_section ||
		    find_key(global_keys, GLOBAL_KEYS, whole(key->name)) == NULL)
			list_add(allowed, key->name);
	if (pass->in_section)
		return FAIL(pass, "\"%.*s\" is no key of a guest; allowed are %s", quoted(name),
			    name.text, allowed);
	for (const struct key *key = global_keys; key < global_keys + GLOBAL_KEYS; key++)
		list_add(allowed, key->name);
	return FAIL(pass, "unknown key \"%.*s\"; allowed are %s", quoted(name), name.text, allowed);
}

static bool set(struct pass *pass, struct slice name, struct slice value)
{
	const struct key *key = pass->in_section ? NULL : find_key(global_keys, GLOBAL_KEYS, name);

	if (key != NULL)
		return set_value(pass, key, value, pass->config, &pass->seen[key - global_keys]);
	key = find_key(guest_keys, GUEST_KEYS, name);
	if (key != NULL)
		return set_value(pass, key, value, &pass->config->guests[pass->guest],
				 &pass->seen_guest[pass->guest][key - guest_keys]);
	return unknown_key(pass, name);
}

static bool is_guest_name(struct slice name)
{
	for (size_t i = 0; i < name.length; i++) {
		const char c = name.text[i];

		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-')
			return false;
	}
	return name.length > 0 && name.length < CONFIG_NAME_MAX;
}

/* The guest of this section; NULL when there is none. */
static struct guest_config *find_guest(struct config *config, struct slice name)
{
	for (uint32_t i = 0; i < config->guest_count; i++)
		if (config->guests[i].line != 0 && equals(name, config->guests[i].name))
			return &config->guests[i];
	return NULL;
}

/* What came before the first section is what each of them begins with. */
static void begin_sections(struct pass *pass)
{
	struct config *const config = pass->config;

	for (uint32_t i = 1; i < CONFIG_GUESTS_MAX; i++)
		config->guests[i] = config->guests[0];
	config->guest_count = 0;
	memset(pass->seen_guest, 0, sizeof(pass->seen_guest));
	pass->in_section = true;
}

static bool begin_guest(struct pass *pass, struct slice name)
{
	struct config *const config = pass->config;
	struct guest_config *guest;

	if (!is_guest_name(name))
		return FAIL(pass,
			    "guest \"%.*s\": allowed are names of 1 to %d characters a-z, 0-9, "
			    "_ and -",
			    quoted(name), name.text, CONFIG_NAME_MAX - 1);
	if (!pass->in_section)
		begin_sections(pass);
	if (find_guest(config, name) != NULL)
		return FAIL(pass, "[guest %.*s] is given twice", quoted(name), name.text);
	if (config->guest_count == CONFIG_GUESTS_MAX)
		return FAIL(pass, "too many guests: allowed are %d", CONFIG_GUESTS_MAX);
	pass->guest = config->guest_count++;
	guest = &config->guests[pass->guest];
	memcpy(guest->name, name.text, name.length);
	guest->name[name.length] = '\0';
	guest->line = pass->line;
	return true;
}

/* A line that begins with '['. */
static bool parse_section(struct pass *pass, struct slice line)
{
	const size_t word = sizeof(SECTION_WORD) - 1;
	struct slice inner = { line.text + 1, line.length - 1 };

	if (inner.length > 0 && inner.text[inner.length - 1] == ']') {
		inner.length--;
		inner = trim(inner);
		if (inner.length > word && memcmp(inner.text, SECTION_WORD, word) == 0 &&
		    is_blank(inner.text[word]))
			return begin_guest(pass, trim((struct slice){ inner.text + word,
								      inner.length - word }));
	}
	return FAIL(pass, "\"%.*s\" is no section; allowed are lines [guest NAME]", quoted(line),
		    line.text);
}

/* Text only: a NUL would end a string early, and errors quote the line. */
static bool check_characters(struct pass *pass, struct slice line)
{
	for (size_t i = 0, size; i < line.length; i += size) {
		const unsigned int byte = (unsigned char)line.text[i];
		uint32_t c;

		size = utf8_take(line.text + i, line.length - i, &c);
		if (size == 0 || (c < ' ' && c != '\t') || (c >= DELETE && c <= CONTROL_LAST))
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
	if (line.text[0] == '[')
		return parse_section(pass, line);
	for (equal = line.text; equal < line.text + line.length && *equal != '='; equal++)
		;
	if (equal == line.text + line.length)
		return FAIL(pass, "\"%.*s\" has no '='; allowed are lines \"key = value\"",
			    quoted(line), line.text);
	name = (struct slice){ line.text, (size_t)(equal - line.text) };
	value = (struct slice){ equal + 1, line.length - name.length - 1 };
	return set(pass, trim(name), trim(value));
}

/* Of a byte order mark that the text may begin with; 0: it does not. */
static size_t length_of_mark(const char *text, size_t length, const char *mark)
{
	return length >= strlen(mark) && memcmp(text, mark, strlen(mark)) == 0 ? strlen(mark) : 0;
}

bool config_parse_file(struct config *config, const char *text, size_t length,
		       struct config_error *error)
{
	struct pass pass = { .config = config, .error = error, .line = 1 };
	size_t start = length_of_mark(text, length, "\xef\xbb\xbf");

	if (length_of_mark(text, length, "\xff\xfe") || length_of_mark(text, length, "\xfe\xff"))
		return FAIL(&pass, "the file is in UTF-16: save it as UTF-8");
	while (start < length) {
		struct slice line = { text + start, 0 };

		while (start + line.length < length && line.text[line.length] != '\n')
			line.length++;
		start += line.length + 1;
		if (line.length > 0 && line.text[line.length - 1] == '\r')
			line.length--;
		if (!parse_line(&pass, line))
			return false;
		pass.line++;
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

/* "NAME.key": take the name off, and let what follows be of that guest. Else of the first. */
static bool choose_guest(struct pass *pass, struct slice *key)
{
	char allowed[ALLOWED_MAX] = "";
	const char *const end = key->text + key->length;
	const char *dot = key->text;
	struct slice name;
	const struct guest_config *guest;

	while (dot < end && *dot != '.')
		dot++;
	pass->in_section = dot < end;
	pass->guest = 0;
	if (!pass->in_section)
		return true;
	name = (struct slice){ key->text, (size_t)(dot - key->text) };
	*key = (struct slice){ dot + 1, (size_t)(end - dot) - 1 };
	guest = find_guest(pass->config, name);
	if (guest != NULL) {
		pass->guest = (uint32_t)(guest - pass->config->guests);
		return true;
	}
	for (uint32_t i = 0; i < pass->config->guest_count; i++)
		list_add(allowed, pass->config->guests[i].name);
	return FAIL(pass, "no section [guest %.*s] in the file; allowed are %s", quoted(name),
		    name.text,
		    allowed[0] != '\0' ? allowed : "options key=value, since it has none");
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
	return choose_guest(pass, &name) && set(pass, name, value);
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

static char lower_case(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool ends_with(struct slice word, const char *end)
{
	const size_t length = strlen(end);

	if (word.length < length)
		return false;
	for (size_t i = 0; i < length; i++)
		if (lower_case(word.text[word.length - length + i]) != end[i])
			return false;
	return true;
}

const char *config_skip_program(const char *options, const char *program)
{
	const bool in_quotes = *options == '"'; /* no option begins so */
	struct slice word = { options + in_quotes, 0 };
	const char *next = word.text;

	while (*next != '\0' && (in_quotes ? *next != '"' : *next != '=' && !is_blank(*next)))
		next++;
	word.length = (size_t)(next - word.text);
	if (*next == '=' || (!ends_with(word, ".efi") && !ends_with(word, program)))
		return options;
	return in_quotes && *next == '"' ? next + 1 : next;
}

void config_defaults(struct config *config)
{
	memset(config, 0, sizeof(*config));
	config->guest_count = 1;
	config->guests[0].kind = GUEST_SELFTEST;
	config->guests[0].devices = DEVICES_BY_KIND;
	config->guests[0].console = GUEST_CONSOLE_LOG;
	config->guests[0].priority = PRIORITY_NORMAL;
	config->guests[0].fred = FRED_AUTO;
	config->log = LOG_INFO;
	config->at_end = AT_END_GUEST;
	config->debug = DEBUG_NONE;
	config->vtd = VTD_AUTO;
	config->console = CONSOLE_SERIAL | CONSOLE_SCREEN;
}

static const char *choice_name(const struct choice *choices, uint32_t value)
{
	while (choices->name != NULL && choices->value != value)
		choices++;
	return choices->name != NULL ? choices->name : "unknown";
}

/* With the guest's name where there may be several. */
#define FAIL_GUEST(pass, guest, format, ...)                            \
	FAIL(pass, "%s%s%s" format, (guest)->line != 0 ? "guest " : "", \
	     (guest)->line != 0 ? (guest)->name : "", (guest)->line != 0 ? ": " : "", __VA_ARGS__)

/*
 * Files of another kind of guest are an error only where they would be missed:
 * guest=selftest on the command line must do with a file that is about Linux.
 */
static bool check_files(struct pass *pass, const struct guest_config *guest)
{
	const char *const kind = config_guest_name(guest->kind);

	if (guest->kind != GUEST_SELFTEST && guest->kernel[0] == '\0')
		return FAIL_GUEST(pass, guest, "guest = %s needs the key kernel", kind);
	if (guest->kind == GUEST_LINUX && guest->module_count > 0)
		return FAIL_GUEST(pass, guest, "module is not for guest = %s; allowed is initrd",
				  kind);
	if (guest->kind == GUEST_MULTIBOOT && guest->initrd[0] != '\0')
		return FAIL_GUEST(pass, guest, "initrd is not for guest = %s; allowed is module",
				  kind);
	return true;
}

static bool check_devices(struct pass *pass, const struct guest_config *guest)
{
	const enum guest_devices needed =
		guest->kind == GUEST_SELFTEST ? DEVICES_NONE : DEVICES_PASSTHROUGH;

	if (guest->devices != needed)
		return FAIL_GUEST(pass, guest, "guest = %s needs devices = %s",
				  config_guest_name(guest->kind), choice_name(devices, needed));
	if (guest->cpu != 0 && guest->devices == DEVICES_PASSTHROUGH)
		return FAIL_GUEST(pass, guest, "cpu is not for devices = %s, which begins with 0",
				  choice_name(devices, guest->devices));
	return true;
}

static void complete_guest(struct guest_config *guest)
{
	if (guest->line == 0)
		format_string(guest->name, sizeof(guest->name), "%s",
			      config_guest_name(guest->kind));
	if (guest->devices == DEVICES_BY_KIND)
		guest->devices = guest->kind == GUEST_SELFTEST ? DEVICES_NONE : DEVICES_PASSTHROUGH;
	if (guest->test_services == TEST_SERVICES_BY_KIND)
		guest->test_services =
			guest->kind == GUEST_SELFTEST ? TEST_SERVICES_ON : TEST_SERVICES_OFF;
}

bool config_complete(struct config *config, struct config_error *error)
{
	struct pass pass = { .config = config, .error = error };
	const struct guest_config *owner = NULL; /* of the devices */

	for (uint32_t i = 0; i < config->guest_count; i++) {
		struct guest_config *const guest = &config->guests[i];

		complete_guest(guest);
		pass.line = guest->line;
		if (!check_files(&pass, guest) || !check_devices(&pass, guest))
			return false;
		if (guest->devices != DEVICES_PASSTHROUGH)
			continue;
		if (owner != NULL)
			return FAIL_GUEST(
				&pass, guest,
				"devices = passthrough is for one guest, and guest %s has "
				"it already",
				owner->name);
		owner = guest;
	}
	return true;
}

void config_choose_selftest(struct config *config, enum fred_mode fred)
{
	struct guest_config *const guest = &config->guests[0];

	if (guest->kind != GUEST_SELFTEST)
		memset(guest, 0, sizeof(*guest));
	guest->kind = GUEST_SELFTEST;
	guest->name[0] = '\0';
	guest->line = 0;
	guest->cmdline[0] = '\0';
	guest->fred = fred;
	config->guest_count = 1;
	complete_guest(guest);
}

uint32_t config_processors(const struct config *config, uint32_t of_machine)
{
	return config->cpus != 0 && config->cpus < of_machine ? config->cpus : of_machine;
}

/* Vcpus of guests without devices share processors, those of the one that has them do not. */
uint32_t config_vcpus(const struct guest_config *guest, uint32_t processors)
{
	if (guest->devices == DEVICES_PASSTHROUGH)
		return guest->cpus != 0 && guest->cpus < processors ? guest->cpus : processors;
	return guest->cpus != 0 ? guest->cpus : 1;
}

const char *config_guest_name(enum guest_kind guest)
{
	return choice_name(guests, guest);
}
