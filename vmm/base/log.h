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

void log_init(const struct boot_info *boot);

/* From now on a guest has the machine's UART and screen as well. */
void log_share_consoles(void);

/* No guest runs any more, nor another processor: the guest's last picture gives way to the reason.
 */
void log_take_back_consoles(void);

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

/* Print one line that names the cause, and end the boot with status=failed. */
void panic(const char *reason, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

#endif
