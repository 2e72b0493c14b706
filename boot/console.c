/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the loader's output: the serial port, driven by itself, and the firmware's
 * text consoles. Firmware often has a text console on that same UART: it is left
 * out, so that a line never comes twice and none is broken at column 80.
 */
#include "boot/loader.h"
#include "lib/format.h"
#include "lib/string.h"
#include "lib/wrap.h"

#define SCREENS_MAX 8
#define LINE_MAX    1024
#define ESCAPE_MAX  16

/* Attributes of the firmware's text consoles. */
#define PLAIN	    EFI_TEXT_ATTR(EFI_LIGHTGRAY, EFI_BLACK)
#define HIGHLIGHTED EFI_TEXT_ATTR(EFI_BLACK, EFI_LIGHTGRAY)

/* What nobody has set up gets this. */
#define BAUD_DEFAULT 115200U

struct screen {
	SIMPLE_TEXT_OUTPUT_INTERFACE *text;
	bool over_uart;
};

static struct serial *serial;
static bool serial_refused; /* serial = none: by the firmware neither */
static struct screen screens[SCREENS_MAX];
static unsigned int screen_count;
static uint32_t selected = CONSOLE_SERIAL | CONSOLE_SCREEN;

/* Does the path of this device lead over a UART (UEFI 10.3.4.15)? */
static bool path_has_uart(const EFI_DEVICE_PATH *path)
{
	while (!IsDevicePathEnd(path)) {
		if (DevicePathType(path) == MESSAGING_DEVICE_PATH &&
		    DevicePathSubType(path) == MSG_UART_DP)
			return true;
		path = NextDevicePathNode(path);
	}
	return false;
}

/* A console of the firmware's on the serial line is left to it while the line is ours. */
static bool is_used(const struct screen *screen)
{
	return (selected & CONSOLE_SCREEN) &&
	       (!screen->over_uart || (serial->uart->kind == UART_NONE && !serial_refused));
}

static bool firmware_has_uart(void)
{
	for (unsigned int i = 0; i < screen_count; i++)
		if (screens[i].over_uart)
			return true;
	return false;
}

/* Who has set it up already has chosen the speed of the line. */
static void set_speed(const struct config *config)
{
	if (serial->uart->kind == UART_NONE)
		return;
	if (config->baud != 0)
		uart_set_up(serial->uart, config->baud);
	else if (!serial->described && !firmware_has_uart())
		uart_set_up(serial->uart, BAUD_DEFAULT);
}

/* A console without a device path is the firmware's sum of all: every line would come twice. */
void console_init(struct loader *loader)
{
	static const struct serial_choice choice = { .kind = SERIAL_AUTO };
	EFI_GUID text_output = SIMPLE_TEXT_OUTPUT_PROTOCOL;
	EFI_GUID device_path = DEVICE_PATH_PROTOCOL;
	EFI_HANDLE handles[SCREENS_MAX];
	const UINTN count = find_handles(loader, &text_output, handles, SCREENS_MAX);

	for (UINTN i = 0; i < count; i++) {
		void *path, *text;

		if (EFI_ERROR(loader->boot->HandleProtocol(handles[i], &device_path, &path)) ||
		    EFI_ERROR(loader->boot->HandleProtocol(handles[i], &text_output, &text)))
			continue;
		screens[screen_count++] = (struct screen){ text, path_has_uart(path) };
	}
	serial = &loader->serial;
	serial->uart = &loader->info.uart;
	serial_find(loader, &choice, serial);
	set_speed(&loader->info.config);
}

static void log_serial(struct loader *loader)
{
	const struct uart *const uart = serial->uart;

	if (uart->kind == UART_NONE)
		loader_log(loader, "no serial port");
	else
		loader_log(loader, "serial port at %s0x%llx (%s)",
			   uart->kind == UART_MMIO ? "memory " : "", (unsigned long long)uart->base,
			   serial->source);
}

void console_configure(struct loader *loader)
{
	const struct config *const config = &loader->info.config;

	selected = config->console;
	serial_refused = config->serial.kind == SERIAL_NONE;
	if (config->serial.kind != SERIAL_AUTO) {
		serial_find(loader, &config->serial, serial);
		if (serial->uart->kind == UART_NONE && config->serial.kind != SERIAL_NONE)
			console_print("%s: no serial port answers at the place that the key "
				      "serial names: going on without",
				      loader->program);
	}
	if (config->serial.kind != SERIAL_AUTO || config->baud != 0)
		set_speed(config);
	log_serial(loader);
}

void console_select(uint32_t console)
{
	selected = console;
}

static void print_serial(const char *line)
{
	for (; *line != '\0'; line++) {
		if (*line == '\n')
			uart_put(serial->uart, '\r');
		uart_put(serial->uart, *line);
	}
}

/* The firmware's driver takes every byte, which is a key of its console then. */
int console_get(void)
{
	return firmware_has_uart() ? -1 : uart_get(serial->uart);
}

void console_home(unsigned int lines)
{
	char back[ESCAPE_MAX] = "";

	if (lines > 0)
		format_string(back, sizeof(back), "\x1b[%uA\r", lines);
	if (selected & CONSOLE_SERIAL)
		print_serial(back);
	for (unsigned int i = 0; i < screen_count; i++) {
		if (!is_used(&screens[i]))
			continue;
		if (lines == 0)
			screens[i].text->ClearScreen(screens[i].text);
		screens[i].text->SetCursorPosition(screens[i].text, 0, 0);
	}
}

void console_draw(const char *line, bool highlighted)
{
	for (unsigned int i = 0; i < screen_count && highlighted; i++)
		if (is_used(&screens[i]))
			screens[i].text->SetAttribute(screens[i].text, HIGHLIGHTED);
	console_print("%s", line);
	for (unsigned int i = 0; i < screen_count && highlighted; i++)
		if (is_used(&screens[i]))
			screens[i].text->SetAttribute(screens[i].text, PLAIN);
}

void console_firmware_is_gone(void)
{
	screen_count = 0;
}

static size_t columns_of(SIMPLE_TEXT_OUTPUT_INTERFACE *text)
{
	UINTN columns, rows;

	if (EFI_ERROR(text->QueryMode(text, (UINTN)text->Mode->Mode, &columns, &rows)))
		return LINE_MAX;
	return columns;
}

/* The firmware breaks a long line anywhere: it gets lines that fit. */
static void print_screen(SIMPLE_TEXT_OUTPUT_INTERFACE *text, const char *line)
{
	const size_t columns = columns_of(text), length = strlen(line);
	CHAR16 wide[2 * LINE_MAX + 1];
	size_t used = 0, column = 0;

	for (size_t i = 0; i < length && used < 2 * LINE_MAX - 2; i++) {
		const bool wraps = wrap_before(line, length, i, column, columns);

		if (line[i] == '\n' || wraps) {
			wide[used++] = L'\r';
			wide[used++] = L'\n';
			column = 0;
		}
		if (line[i] != '\n') {
			wide[used++] = (uint8_t)line[i];
			column++;
		}
	}
	wide[used] = L'\0';
	text->OutputString(text, wide);
}

static void print_screens(const char *line)
{
	for (unsigned int i = 0; i < screen_count; i++)
		if (is_used(&screens[i]))
			print_screen(screens[i].text, line);
}

void console_print_v(const char *prefix, const char *format, va_list arguments)
{
	char line[LINE_MAX];
	int used = format_string(line, sizeof(line) - 1, "%s", prefix);
	int more = format_string_v(line + used, sizeof(line) - 1 - (size_t)used, format, arguments);
	const size_t length = (size_t)used + (size_t)more;
	const size_t end = length < sizeof(line) - 2 ? length : sizeof(line) - 2;

	line[end] = '\n';
	line[end + 1] = '\0';
	logs_line(line, end + 1);
	if (selected & CONSOLE_SERIAL)
		print_serial(line);
	if (selected & CONSOLE_SCREEN)
		print_screens(line);
}

void console_print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	console_print_v("", format, arguments);
	va_end(arguments);
}
