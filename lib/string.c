/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the memory and string functions of freestanding programs. The compiler
 * calls memcpy, memmove, memset and memcmp of its own accord, so they must be
 * here under these names.
 */
#include <stdint.h>

#include "lib/string.h"

#if !__STDC_HOSTED__ || defined(STRING_UNDER_TEST)

/* Eight bytes at any address and of any type: x86 does not ask for alignment. */
struct word {
	uint64_t value;
} __attribute__((packed, may_alias));

/*
 * Without this in a copying loop the compiler sees that the loop is a memcpy,
 * and replaces it by a call of memcpy: of itself.
 */
#define NOT_AN_IDIOM() __asm__ volatile("")

static void copy_upwards(uint8_t *to, const uint8_t *from, size_t size)
{
	for (; size >= sizeof(struct word); size -= sizeof(struct word)) {
		((struct word *)to)->value = ((const struct word *)from)->value;
		to += sizeof(struct word);
		from += sizeof(struct word);
		NOT_AN_IDIOM();
	}
	for (; size > 0; size--) {
		*to++ = *from++;
		NOT_AN_IDIOM();
	}
}

static void copy_downwards(uint8_t *to, const uint8_t *from, size_t size)
{
	for (; size >= sizeof(struct word); size -= sizeof(struct word)) {
		const size_t offset = size - sizeof(struct word);

		((struct word *)(to + offset))->value =
			((const struct word *)(from + offset))->value;
		NOT_AN_IDIOM();
	}
	for (; size > 0; size--) {
		to[size - 1] = from[size - 1];
		NOT_AN_IDIOM();
	}
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	copy_upwards(to, from, size);
	return to;
}

void *memmove(void *to, const void *from, size_t size)
{
	/* Upwards is right if `to` lies below `from`, or behind its end. */
	if ((uintptr_t)to - (uintptr_t)from >= size)
		copy_upwards(to, from, size);
	else
		copy_downwards(to, from, size);
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	const uint64_t every_byte = 0x0101010101010101ULL;
	uint8_t *next = to;

	for (; size >= sizeof(struct word); size -= sizeof(struct word)) {
		((struct word *)next)->value = (uint8_t)byte * every_byte;
		next += sizeof(struct word);
		NOT_AN_IDIOM();
	}
	for (; size > 0; size--) {
		*next++ = (uint8_t)byte;
		NOT_AN_IDIOM();
	}
	return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const uint8_t *left = a;
	const uint8_t *right = b;

	for (size_t i = 0; i < size; i++) {
		if (left[i] != right[i])
			return left[i] - right[i];
	}
	return 0;
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length] != '\0') {
		length++;
		NOT_AN_IDIOM();
	}
	return length;
}

size_t strnlen(const char *text, size_t size)
{
	size_t length = 0;

	while (length < size && text[length] != '\0')
		length++;
	return length;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (a[i] != b[i] || a[i] == '\0')
			return (uint8_t)a[i] - (uint8_t)b[i];
	}
	return 0;
}

char *strchr(const char *text, int character)
{
	for (;; text++) {
		if (*text == (char)character)
			return (char *)(uintptr_t)text;
		if (*text == '\0')
			return NULL;
	}
}

#endif

size_t string_copy(char *to, const char *from, size_t size)
{
	const size_t length = strlen(from);

	if (size > 0) {
		const size_t copied = length < size ? length : size - 1;

		memcpy(to, from, copied);
		to[copied] = '\0';
	}
	return length;
}
