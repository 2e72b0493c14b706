/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The menu before the hand-over, on screen and serial line, where manfred.cfg has the key menu.
 * After so many seconds without a key the boot goes on as manfred.cfg says.
 */
#include "boot/cpu.h"
#include "boot/loader.h"
#include "lib/format.h"
#include "lib/string.h"
#include "lib/version.h"

#define BARE_PROGRAM "\\fredcheck.efi"
#define ENTRIES_MAX  6
#define LINE_MAX     79 /* fits a screen of 80 columns; lines are drawn over older ones */
#define TEXT_MAX     (LINE_MAX - 5) /* behind the mark and the number */
#define POLL_MS	     20U
#define PAUSE_MS     30000U
#define MS_PER_S     1000U
#define US_PER_MS    1000U
#define ESCAPE	     0x1b

enum action {
	START_CONFIGURED,
	START_BARE,
	START_NATIVE,
	START_SOFT,
	FIRMWARE_SETUP,
	REBOOT,
};

struct entry {
	enum action action;
	char text[TEXT_MAX + 1];
};

struct menu {
	struct entry entries[ENTRIES_MAX];
	unsigned int count, selected;
	char processor[CPUID_NAME_SIZE + 1];
	bool secure_boot;
	bool by_key;	    /* somebody has chosen */
	unsigned int lines; /* that are drawn, for the way back to the first */
};

/* What a key means; a digit is its own character. */
enum key { KEY_NONE, KEY_OTHER, KEY_UP, KEY_DOWN, KEY_ENTER };

static enum key key_of_character(unsigned int c)
{
	if (c == '\r' || c == '\n')
		return KEY_ENTER;
	return c >= '1' && c <= '9' ? (enum key)c : KEY_OTHER;
}

/* A terminal sends ESC [ A and ESC [ B for the arrows, or with O in place of the bracket. */
static enum key read_serial_key(void)
{
	static unsigned int last, before_last;
	const int got = console_get();
	const unsigned int c = (unsigned int)got;
	enum key key = KEY_OTHER;

	if (got < 0)
		return KEY_NONE;
	if (before_last == ESCAPE && (last == '[' || last == 'O'))
		key = c == 'A' ? KEY_UP : c == 'B' ? KEY_DOWN : KEY_OTHER;
	else if (last != ESCAPE)
		key = key_of_character(c);
	before_last = last;
	last = c;
	return key;
}

static enum key read_key(const struct loader *loader)
{
	SIMPLE_INPUT_INTERFACE *const input = loader->system->ConIn;
	EFI_INPUT_KEY key;

	if (input == NULL || EFI_ERROR(input->ReadKeyStroke(input, &key)))
		return read_serial_key();
	if (key.ScanCode == SCAN_UP)
		return KEY_UP;
	return key.ScanCode == SCAN_DOWN ? KEY_DOWN : key_of_character(key.UnicodeChar);
}

static void wait(const struct loader *loader)
{
	loader->boot->Stall(POLL_MS * US_PER_MS);
}

void menu_pause(const struct loader *loader)
{
	console_print("Press a key.");
	for (unsigned int ms = 0; ms < PAUSE_MS && read_key(loader) == KEY_NONE; ms += POLL_MS)
		wait(loader);
}

static void add(struct menu *menu, enum action action, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void add(struct menu *menu, enum action action, const char *format, ...)
{
	struct entry *const entry = &menu->entries[menu->count++];
	va_list arguments;

	entry->action = action;
	va_start(arguments, format);
	format_string_v(entry->text, sizeof(entry->text), format, arguments);
	va_end(arguments);
}

/* What of it the processor lacks, to be read before an entry is chosen. */
static const char *lacking(bool needs_vmx, bool needs_fred)
{
	const bool vmx = !needs_vmx || processor_has_vmx();
	const bool fred = !needs_fred || processor_has_fred();

	if (!vmx)
		return fred ? " (no VMX)" : " (no VMX, no FRED)";
	return fred ? "" : " (no FRED)";
}

/* A path that is too long for the line loses its beginning. */
static void add_kernel(struct menu *menu, const char *what, const char *path)
{
	static const char omission[] = "...";
	const char *const lack = lacking(true, false);
	const size_t length = strlen(path);
	const size_t room = TEXT_MAX - strlen(what) - strlen(lack);

	if (length <= room)
		add(menu, START_CONFIGURED, "%s%s%s", what, path, lack);
	else
		add(menu, START_CONFIGURED, "%s%s%s%s", what, omission,
		    path + length - (room - (sizeof(omission) - 1)), lack);
}

static void add_configured(struct menu *menu, const struct config *config)
{
	const char *const lack = lacking(true, false);
	const struct guest_config *const guest = &config->guests[0];

	if (config->guest_count > 1)
		add(menu, START_CONFIGURED, "The %u guests of manfred.cfg%s", config->guest_count,
		    lack);
	else if (guest->kind == GUEST_LINUX)
		add_kernel(menu, "Linux as a guest: ", guest->kernel);
	else if (guest->kind == GUEST_MULTIBOOT)
		add_kernel(menu, "Multiboot guest: ", guest->kernel);
	else
		add(menu, START_CONFIGURED, "FRED conformance as a guest, as manfred.cfg says%s",
		    lack);
}

static void fill(struct menu *menu, const struct loader *loader)
{
	menu->count = 0;
	processor_name(menu->processor);
	menu->secure_boot = firmware_secure_boot(loader);
	add_configured(menu, &loader->info.config);
	add(menu, START_BARE, "FRED conformance of the bare processor%s", lacking(false, true));
	add(menu, START_NATIVE, "FRED conformance as a guest, FRED by the processor%s",
	    lacking(true, true));
	add(menu, START_SOFT, "FRED conformance as a guest, FRED by software%s",
	    lacking(true, false));
	if (firmware_has_setup(loader))
		add(menu, FIRMWARE_SETUP, "Firmware setup");
	add(menu, REBOOT, "Reboot");
}

static void draw_line(struct menu *menu, bool highlighted, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void draw_line(struct menu *menu, bool highlighted, const char *format, ...)
{
	char line[LINE_MAX + 1];
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	format_string_v(line, sizeof(line), format, arguments);
	va_end(arguments);
	length = strlen(line);
	memset(line + length, ' ', LINE_MAX - length);
	line[LINE_MAX] = '\0';
	console_draw(line, highlighted);
	menu->lines++;
}

/* `seconds` 0: no countdown. */
static void draw(struct menu *menu, unsigned int seconds)
{
	const char *processor = menu->processor;

	while (*processor == ' ') /* CPUID may have the name at the right */
		processor++;
	console_home(menu->lines);
	menu->lines = 0;
	draw_line(menu, false, "Manfred " MANFRED_VERSION "%s",
		  menu->secure_boot ? ", Secure Boot is on" : "");
	draw_line(menu, false, "%s", processor);
	draw_line(menu, false, "%s", "");
	for (unsigned int i = 0; i < menu->count; i++)
		draw_line(menu, i == menu->selected, "%c %u  %s", i == menu->selected ? '>' : ' ',
			  i + 1, menu->entries[i].text);
	draw_line(menu, false, "%s", "");
	if (seconds > 0)
		draw_line(menu, false, "Arrow keys and Enter, or a digit; starts in %u s", seconds);
	else
		draw_line(menu, false, "Arrow keys and Enter, or a digit");
}

/* Returns true when the choice is made. */
static bool take_key(struct menu *menu, enum key key)
{
	const unsigned int digit = (unsigned int)key - '1';

	if (key == KEY_UP)
		menu->selected = (menu->selected + menu->count - 1) % menu->count;
	else if (key == KEY_DOWN)
		menu->selected = (menu->selected + 1) % menu->count;
	else if (key >= '1' && digit < menu->count)
		menu->selected = digit;
	else
		return key == KEY_ENTER;
	return key >= '1';
}

static enum action choose(const struct loader *loader, struct menu *menu, unsigned int seconds)
{
	unsigned int left = seconds * MS_PER_S;

	menu->lines = 0;
	menu->by_key = false;
	draw(menu, seconds);
	while (!menu->by_key) {
		const enum key key = read_key(loader);

		if (key != KEY_NONE && key != KEY_OTHER) {
			menu->by_key = take_key(menu, key);
			left = 0;
			seconds = 0;
			draw(menu, 0);
			continue;
		}
		wait(loader);
		if (seconds == 0)
			continue;
		left -= POLL_MS;
		if (left == 0)
			break;
		if (left % MS_PER_S == 0)
			draw(menu, left / MS_PER_S);
	}
	return menu->entries[menu->selected].action;
}

static bool start_bare(struct loader *loader)
{
	const unsigned int allocations = loader->allocation_count;
	EFI_GUID guid = LOADED_IMAGE_PROTOCOL;
	struct boot_file file;
	EFI_HANDLE image = NULL;
	EFI_STATUS status;
	void *loaded;

	if (!load_program(loader, BARE_PROGRAM, &file)) {
		free_memory(loader, allocations);
		return false;
	}
	status = loader->boot->LoadImage(FALSE, loader->image, NULL, (void *)(uintptr_t)file.base,
					 (UINTN)file.size, &image);
	free_memory(loader, allocations);
	if (EFI_ERROR(status))
		return firmware_failed(loader, status, BARE_PROGRAM ": the firmware refuses it");
	/* Where it finds its fredcheck.cfg. */
	if (!EFI_ERROR(loader->boot->HandleProtocol(image, &guid, &loaded)))
		((EFI_LOADED_IMAGE *)loaded)->DeviceHandle = loader->loaded_image->DeviceHandle;
	/* It comes back only when it cannot run, and has said why. */
	loader->boot->StartImage(image, NULL, NULL);
	return false;
}

/* All that can fail for what manfred.cfg says, or the processor lacks: a menu comes back then. */
static bool prepare_guests(struct loader *loader)
{
	const unsigned int allocations = loader->allocation_count;

	if (load_guest_files(loader) && check_processor(loader))
		return true;
	free_memory(loader, allocations);
	return false;
}

/* A page of results is to stay on the screen of who sits before it. */
static void keep_results(struct config *config)
{
	if (config->guest_count == 1 && config->guests[0].kind == GUEST_SELFTEST &&
	    config->at_end == AT_END_GUEST)
		config->at_end = AT_END_HALT;
}

static bool start_conformance(struct loader *loader, enum fred_mode fred)
{
	struct config *const config = &loader->info.config;

	if (fred == FRED_NATIVE && !processor_has_fred())
		return loader_fail(loader, EFI_UNSUPPORTED, "no-fred",
				   "this processor has no FRED (CPUID.(7,1):EAX[17] is 0)");
	/* Before manfred.cfg's guests are given up: the menu's first entry needs them. */
	if (!check_processor(loader))
		return false;
	config_choose_selftest(config, fred);
	keep_results(config);
	return prepare_guests(loader);
}

/* Returns true when the boot is to go on. */
static bool act(struct loader *loader, enum action action)
{
	switch (action) {
	case START_CONFIGURED:
		keep_results(&loader->info.config);
		return prepare_guests(loader);
	case START_BARE:
		return start_bare(loader);
	case START_NATIVE:
		return start_conformance(loader, FRED_NATIVE);
	case START_SOFT:
		return start_conformance(loader, FRED_SOFT);
	case FIRMWARE_SETUP:
		console_print("manfred: end status=ok reason=firmware-setup exits=0");
		firmware_enter_setup(loader);
		return false;
	case REBOOT:
		console_print("manfred: end status=ok reason=reboot exits=0");
		firmware_reset(loader);
		return false;
	}
	return false;
}

bool menu_run(struct loader *loader)
{
	static struct menu menu;
	unsigned int seconds = loader->info.config.menu;

	if (seconds == 0)
		return prepare_guests(loader);
	fill(&menu, loader);
	while (!act(loader, choose(loader, &menu, seconds))) {
		/* A machine that nobody watches has to end. */
		if (!menu.by_key)
			return false;
		console_select(loader->info.config.console);
		menu_pause(loader);
		seconds = 0;
	}
	return true;
}
