/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * printf-style formatting into a buffer.
 */
#ifndef LIB_FORMAT_H
#define LIB_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

/*
 * As vsnprintf and snprintf: at most `size` bytes with the terminating zero, and
 * the result is the length that the whole text has. Conversions: s c d i u x X p %;
 * lengths l, ll, z; flags 0 and -; a width; a precision for s only, also as ".*".
 * A conversion that is not one of these is printed as it stands.
 */
int format_string_v(char *buffer, size_t size, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));
int format_string(char *buffer, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
