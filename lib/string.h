/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory and string functions of the C library, for the programs that have no C
 * library. Hosted programs (the unit tests) use their own library's, and get
 * from here only what has a name of ours.
 */
#ifndef LIB_STRING_H
#define LIB_STRING_H

#include <stddef.h>

#if __STDC_HOSTED__ && !defined(STRING_UNDER_TEST)
#include <string.h>
#else
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
size_t strnlen(const char *text, size_t size);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);
char *strchr(const char *text, int character);
#endif

/*
 * Copy the string `from` into the `size` bytes at `to`, cut where it does not
 * fit, and always terminated unless size is 0. Returns the length of `from`:
 * the copy was cut when that is not less than size.
 */
size_t string_copy(char *to, const char *from, size_t size);

#endif
