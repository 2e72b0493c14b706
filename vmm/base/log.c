// SPDX-License-Identifier: BSD-2-Clause
/*
 * The log. Owns which consoles are written, each of which has a file of its own, and writes it to
 * memory for the next boot.
 */
#include "vmm/base/log.h"

#include "lib/format.h"
#include "lib/logring.h"
#include "lib/string.h"
#include "vmm/host/cpu.h"
#include "vmm/end.h"
#include "vmm/base/memory.h"
#include "vmm/base/screen.h"
#include "vmm/base/serial.h"
#include "vmm/base/spinlock.h"
#include "vmm/host/x86.h"

#define LINE_MAX   512
#define CACHE_LINE 64U

static enum log_level level_wanted;
static bool serial_wanted;
static struct logring *ring; /* for the next boot; NULL: no memory for it */
static bool has_screen;
static bool screen_wanted;
static bool serial_shared;
static struct spinlock lock;	 /* of the consoles */
static const struct cpu *holder; /* of the lock */

void log_init(const struct boot_info *boot)
{
	level_wanted = boot->config.log;
	if (boot->log_size != 0)
		ring = logring_open(phys_to_virt(boot->log_base), boot->log_size);
	serial_wanted = boot->config.console & CONSOLE_SERIAL;
	if (serial_wanted)
		serial_init(&boot->uart);
	has_screen = (boot->config.console & CONSOLE_SCREEN) && screen_init(&boot->framebuffer);
	screen_wanted = has_screen;
}

void log_share_consoles(void)
{
	serial_shared = true;
	/* The guest draws on the screen as it likes; two writers would only spoil it. */
	screen_wanted = false;
}

void log_take_back_consoles(void)
{
	/* Whoever held it was stopped. */
	__atomic_store_n(&holder, NULL, __ATOMIC_RELAXED);
	spin_unlock(&lock);
	screen_wanted = has_screen;
}

bool log_enabled(enum log_level level)
{
	return level <= level_wanted;
}

/* A reset would lose what only the caches have. */
void logring_written(const void *start, size_t size)
{
	const uintptr_t end = (uintptr_t)start + size;

	for (uintptr_t line = (uintptr_t)start & ~(uintptr_t)(CACHE_LINE - 1); line < end;
	     line += CACHE_LINE)
		clflush((const void *)line);
}

static void write(const char *text, size_t length)
{
	if (ring)
		logring_write(ring, text, length);
	if (serial_wanted)
		serial_write(text, length);
	if (screen_wanted)
		screen_write(text, length);
}

void log_raw(const char *text, size_t length)
{
	const struct cpu *const cpu = cpu_current();

	/* The NMI handler, amid a line of this processor's: it cannot wait for its end. */
	if (__atomic_load_n(&holder, __ATOMIC_RELAXED) == cpu) {
		write(text, length);
		return;
	}
	spin_lock(&lock);
	__atomic_store_n(&holder, cpu, __ATOMIC_RELAXED);
	write(text, length);
	__atomic_store_n(&holder, NULL, __ATOMIC_RELAXED);
	spin_unlock(&lock);
}

void log_of_guest(const char *name, struct guest_line *line, const char *text, size_t length)
{
	char whole[CONFIG_NAME_MAX + sizeof(line->text) + sizeof("\n: \n")];

	for (size_t i = 0; i < length; i++) {
		if (text[i] != '\n') {
			line->text[line->length++] = text[i];
			if (line->length < sizeof(line->text))
				continue;
		}
		log_raw(whole, (size_t)format_string(whole, sizeof(whole), "%s%s: %.*s\n",
						     serial_shared ? "\n" : "", name,
						     (int)line->length, line->text));
		line->length = 0;
	}
}

static void log_line_v(const char *format, va_list arguments)
{
	char line[LINE_MAX];
	int n = format_string(line, sizeof(line), "%s[%14llu] manfred: ", serial_shared ? "\n" : "",
			      (unsigned long long)rdtsc());

	n += format_string_v(line + n, sizeof(line) - (size_t)n - 1, format, arguments);
	if ((size_t)n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	log_raw(line, (size_t)n);
}

void log_line(enum log_level level, const char *format, ...)
{
	va_list arguments;

	if (!log_enabled(level))
		return;
	va_start(arguments, format);
	log_line_v(format, arguments);
	va_end(arguments);
}

void panic(const char *reason, const char *format, ...)
{
	va_list arguments;

	machine_end_begin();
	va_start(arguments, format);
	log_line_v(format, arguments);
	va_end(arguments);
	machine_end(END_FAILED, reason);
}
