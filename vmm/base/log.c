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
#include "vmm/base/spinlock.h"
#include "vmm/host/x86.h"

#define LINE_MAX 512

static enum log_level level_wanted;
static struct logring *ring; /* for the next boot; NULL: no memory for it */
static log_sink *serial;     /* NULL: none */
static void (*take_serial_back)(void);
static log_sink *screen;
static bool screen_is_guests; /* it is not written then */
static bool serial_shared;
static struct spinlock lock;	 /* of the consoles */
static const struct cpu *holder; /* of the lock */
static void (*begin_end)(void);
static void (*end_boot)(const char *reason); /* does not return */

void log_init(enum log_level level, struct logring *for_next_boot)
{
	level_wanted = level;
	ring = for_next_boot;
}

void log_set_consoles(log_sink *to_serial, void (*serial_back)(void), log_sink *to_screen)
{
	serial = to_serial;
	take_serial_back = serial_back;
	screen = to_screen;
}

void log_share_consoles(void)
{
	serial_shared = true;
	/* The guest draws on the screen as it likes; two writers would only spoil it. */
	screen_is_guests = true;
}

void log_take_back_consoles(void)
{
	/* Whoever held it was stopped. */
	__atomic_store_n(&holder, NULL, __ATOMIC_RELAXED);
	spin_unlock(&lock);
	screen_is_guests = false;
	log_take_back_serial();
}

bool log_enabled(enum log_level level)
{
	return level <= level_wanted;
}

static void write(const char *text, size_t length)
{
	if (ring)
		logring_write(ring, text, length);
	if (serial)
		serial(text, length);
	if (screen && !screen_is_guests)
		screen(text, length);
}

/* False: this processor has it already. The NMI handler, amid a line, cannot wait for its end. */
static bool take_lock(void)
{
	const struct cpu *const cpu = cpu_current();

	if (__atomic_load_n(&holder, __ATOMIC_RELAXED) == cpu)
		return false;
	spin_lock(&lock);
	__atomic_store_n(&holder, cpu, __ATOMIC_RELAXED);
	return true;
}

static void give_lock_back(bool taken)
{
	if (!taken)
		return;
	__atomic_store_n(&holder, NULL, __ATOMIC_RELAXED);
	spin_unlock(&lock);
}

void log_take_back_serial(void)
{
	bool taken;

	if (!serial || !serial_shared)
		return;
	taken = take_lock();
	take_serial_back();
	give_lock_back(taken);
}

void log_raw(const char *text, size_t length)
{
	const bool taken = take_lock();

	write(text, length);
	give_lock_back(taken);
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

void panic_set_end(void (*begin)(void), void (*end)(const char *reason))
{
	begin_end = begin;
	end_boot = end;
}

void panic_begin(void)
{
	begin_end();
}

void panic_end(const char *reason)
{
	end_boot(reason);
	__builtin_unreachable();
}

void panic(const char *reason, const char *format, ...)
{
	va_list arguments;

	panic_begin();
	va_start(arguments, format);
	log_line_v(format, arguments);
	va_end(arguments);
	panic_end(reason);
}
