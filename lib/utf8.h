/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UTF-8 (RFC 3629): what manfred.cfg is written in.
 */
#ifndef LIB_UTF8_H
#define LIB_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The first character of the text. Returns how many bytes it has; 0: it is none. */
size_t utf8_take(const char *text, size_t length, uint32_t *character);

#endif
