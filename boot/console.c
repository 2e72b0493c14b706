/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the loader's output: the 16550 at COM1 by its ports, and the firmware's
 * text consoles. Firmware often has a text console on that same UART: it is left
 * out, so that a line never comes twice and none is broken at column 80.
 */
#include "boot/cpu.h"
#include "boot/loader.h"
#include "lib/format.h"

#define COM1 0x3f8U

/* Registers of a 16550, as offsets from its first port. */
#define UART_DATA	   0U
#define UART_DIVISOR_LOW   0U
#define UART_DIVISOR_HIGH  1U
#define UART_FIFO_CONTROL  2U
#define UART_LINE_CONTROL  3U
#define UART_MODEM_CONTROL 4U
#define UART_LINE_STATUS   5U
#define UART_SCRATCH	   7U

#define LINE_8N1	   0x03U
#define LINE_DIVISOR	   0x80U
#define FIFO_ENABLE_CLEAR  0x07U
#define MODEM_DTR_RTS_OUT2 0x0bU
#define DIVISOR_115200	   1U
#define STATUS_THR_EMPTY   0x20U
#define STATUS_ABSENT	   0xffU
/* Polls before a byte is given up: at 1 us a port access, ten times what 16 bytes at 9600 need. */
#define POLLS_MAX 200000U

#define SCREENS_MAX 8
#define LINE_MAX    1024

static uint32_t serial_port;
static SIMPLE_TEXT_OUTPUT_INTERFACE *screens[SCREENS_MAX];
static unsigned int screen_count;
static uint32_t selected = CONSOLE_SERIAL | CONSOLE_SCREEN;

static bool uart_answers(uint32_t port)
{
	static const uint8_t patterns[] = { 0x5a, 0xa5 };

	if (port_read(port + UART_LINE_STATUS) == STATUS_ABSENT)
		return false;
	for (size_t i = 0; i < sizeof(patterns); i++) {
		port_write(port + UART_SCRATCH, patterns[i]);
		if (port_read(port + UART_SCRATCH) != patterns[i])
			return false;
	}
	return true;
}

static void uart_init(uint32_t port)
{
	port_write(port + UART_LINE_CONTROL, LINE_DIVISOR);
	port_write(port + UART_DIVISOR_LOW, DIVISOR_115200);
	port_write(port + UART_DIVISOR_HIGH, 0);
	port_write(port + UART_LINE_CONTROL, LINE_8N1);
	port_write(port + UART_FIFO_CONTROL, FIFO_ENABLE_CLEAR);
	port_write(port + UART_MODEM_CONTROL, MODEM_DTR_RTS_OUT2);
}

static void uart_write(char c)
{
	for (unsigned int i = 0; i < POLLS_MAX; i++) {
		if (port_read(serial_port + UART_LINE_STATUS) & STATUS_THR_EMPTY) {
			port_write(serial_port + UART_DATA, (uint8_t)c);
			return;
		}
	}
	serial_port = 0; /* it does not drain: waiting again for each byte would look like a hang */
}

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

/*
 * Finds the UART and the text consoles. A console without a device path is the
 * firmware's sum of all of them: with it every line would come twice.
 */
void console_init(struct loader *loader)
{
	EFI_GUID text_output = SIMPLE_TEXT_OUTPUT_PROTOCOL;
	EFI_GUID device_path = DEVICE_PATH_PROTOCOL;
	EFI_HANDLE handles[SCREENS_MAX];
	const UINTN count = find_handles(loader, &text_output, handles, SCREENS_MAX);
	bool firmware_uses_uart = false;

	serial_port = uart_answers(COM1) ? COM1 : 0;
	for (UINTN i = 0; i < count; i++) {
		void *path, *text;

		if (EFI_ERROR(loader->boot->HandleProtocol(handles[i], &device_path, &path)) ||
		    EFI_ERROR(loader->boot->HandleProtocol(handles[i], &text_output, &text)))
			continue;
		if (serial_port != 0 && path_has_uart(path))
			firmware_uses_uart = true;
		else
			screens[screen_count++] = text;
	}
	/* Who has set it up already has chosen the speed of the line. */
	if (serial_port != 0 && !firmware_uses_uart)
		uart_init(serial_port);
	loader->info.serial_port = serial_port;
}

void console_select(uint32_t console)
{
	selected = console;
}

void console_firmware_is_gone(void)
{
	screen_count = 0;
}

static void print_serial(const char *line)
{
	for (; *line != '\0' && serial_port != 0; line++) {
		if (*line == '\n')
			uart_write('\r');
		uart_write(*line);
	}
}

static void print_screens(const char *line)
{
	CHAR16 wide[LINE_MAX + 2];
	size_t length = 0;

	for (; *line != '\0' && length < LINE_MAX; line++) {
		if (*line == '\n')
			wide[length++] = L'\r';
		wide[length++] = (uint8_t)*line;
	}
	wide[length] = L'\0';
	for (unsigned int i = 0; i < screen_count; i++)
		screens[i]->OutputString(screens[i], wide);
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
