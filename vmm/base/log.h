/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Manfred says: one line per fact, "[ticks] manfred: text", on the consoles
 * that manfred.cfg asks for.
 */
#ifndef VMM_BASE_LOG_H
#define VMM_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/boot_info.h"

struct logring;

/* What is logged, and the memory for the next boot or NULL. Nothing is written before. */
void log_init(enum log_level level, struct logring *for_next_boot);

/* The consoles, NULL for those that there are not; and what sets up a serial port anew that a guest
 * has had. */
typedef void log_sink(const char *text, size_t length);
void log_set_consoles(log_sink *to_serial, void (*serial_back)(void), log_sink *to_screen);

/* From now on a guest has the machine's UART and screen as well. */
void log_share_consoles(void);

/* No guest runs any more, nor another processor: the guest's last picture gives way to the reason.
 */
void log_take_back_consoles(void);

/* The guest that had them does not run any more; other guests may. */
void log_take_back_serial(void);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A guest's text, as it is. */
void log_raw(const char *text, size_t length);

/* A line that a guest has begun and not ended yet. */
struct guest_line {
	char text[200];
	size_t length;
};

/* A guest's text where there are several: by whole lines, with its name before each. */
void log_of_guest(const char *name, struct guest_line *line, const char *text, size_t length);

bool log_enabled(enum log_level level);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/*
 * How a boot ends that cannot go on. `begin` stops the other processors, so that there is one
 * report; `end` prints the last line, with status=failed. Once, before anything that may panic.
 */
void panic_set_end(void (*begin)(void), void (*end)(const char *reason));
/* For a report of several lines: begin, log_error(), end. */
void panic_begin(void);
void panic_end(const char *reason) __attribute__((noreturn));

/* Print one line that names the cause, and end the boot with status=failed. */
void panic(const char *reason, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

#endif
