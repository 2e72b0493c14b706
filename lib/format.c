/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the formatting of text. No floating point, no locale, no allocation.
 */
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/format.h"
#include "lib/string.h"

struct output {
	char *buffer;
	size_t size;
	size_t length; /* of the whole text, also where it does not fit */
};

/* One conversion: what stands between '%' and its letter. */
struct conversion {
	bool left;
	char pad; /* ' ' or '0' */
	size_t width;
	size_t precision;   /* SIZE_MAX: none given */
	unsigned int longs; /* how many 'l'; 'z' counts as one */
	char letter;
};

static void put(struct output *out, char character)
{
	if (out->length + 1 < out->size)
		out->buffer[out->length] = character;
	out->length++;
}

static void put_padding(struct output *out, char pad, size_t width, size_t length)
{
	for (; length < width; length++)
		put(out, pad);
}

/* `sign` ("-", "0x" or "") goes before zeroes and after blanks. */
static void put_field(struct output *out, const struct conversion *conversion, const char *sign,
		      const char *text, size_t length)
{
	const size_t total = strlen(sign) + length;
	const bool zeroes = conversion->pad == '0' && !conversion->left;

	if (!conversion->left && !zeroes)
		put_padding(out, ' ', conversion->width, total);
	for (; *sign != '\0'; sign++)
		put(out, *sign);
	if (zeroes)
		put_padding(out, '0', conversion->width, total);
	for (size_t i = 0; i < length; i++)
		put(out, text[i]);
	if (conversion->left)
		put_padding(out, ' ', conversion->width, total);
}

static void put_number(struct output *out, const struct conversion *conversion, const char *sign,
		       uint64_t value, unsigned int base)
{
	const char *digits = conversion->letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[20]; /* 2^64 - 1 has 20 decimal digits */
	size_t start = sizeof(text);

	do {
		text[--start] = digits[value % base];
		value /= base;
	} while (value != 0);
	put_field(out, conversion, sign, text + start, sizeof(text) - start);
}

static void put_string(struct output *out, struct conversion *conversion, const char *text)
{
	if (text == NULL)
		text = "(null)";
	conversion->pad = ' ';
	put_field(out, conversion, "", text, strnlen(text, conversion->precision));
}

static size_t parse_decimal(const char **format)
{
	size_t value = 0;

	for (; **format >= '0' && **format <= '9'; (*format)++)
		value = value * 10 + (size_t)(**format - '0');
	return value;
}

/* Parse from behind '%' to the letter, which is left as the next character. */
static struct conversion parse_conversion(const char **format, va_list *arguments)
{
	struct conversion conversion = { .pad = ' ', .precision = SIZE_MAX };

	for (; **format == '-' || **format == '0'; (*format)++) {
		if (**format == '-')
			conversion.left = true;
		else
			conversion.pad = '0';
	}
	conversion.width = parse_decimal(format);
	if (**format == '.') {
		(*format)++;
		if (**format == '*') {
			const int precision = va_arg(*arguments, int);

			conversion.precision = precision < 0 ? SIZE_MAX : (size_t)precision;
			(*format)++;
		} else {
			conversion.precision = parse_decimal(format);
		}
	}
	for (; **format == 'l' || **format == 'z'; (*format)++)
		conversion.longs++;
	conversion.letter = **format;
	return conversion;
}

static void put_signed(struct output *out, const struct conversion *conversion, int64_t value)
{
	if (value < 0)
		put_number(out, conversion, "-", -(uint64_t)value, 10);
	else
		put_number(out, conversion, "", (uint64_t)value, 10);
}

/* long, long long and size_t are all 64 bits wide on x86-64, with or without UEFI's ABI. */
static void put_conversion(struct output *out, struct conversion *conversion, const char *start,
			   const char *end, va_list *arguments)
{
	const bool wide = conversion->longs > 0;
	char character;

	switch (conversion->letter) {
	case 's':
		put_string(out, conversion, va_arg(*arguments, const char *));
		break;
	case 'c':
		character = (char)va_arg(*arguments, int);
		conversion->pad = ' ';
		put_field(out, conversion, "", &character, 1);
		break;
	case 'd':
	case 'i':
		put_signed(out, conversion,
			   wide ? va_arg(*arguments, int64_t) : va_arg(*arguments, int));
		break;
	case 'u':
	case 'x':
	case 'X':
		put_number(out, conversion, "",
			   wide ? va_arg(*arguments, uint64_t) : va_arg(*arguments, unsigned int),
			   conversion->letter == 'u' ? 10 : 16);
		break;
	case 'p':
		put_number(out, conversion, "0x", (uintptr_t)va_arg(*arguments, void *), 16);
		break;
	case '%':
		put(out, '%');
		break;
	default:
		for (; start < end; start++)
			put(out, *start);
	}
}

int format_string_v(char *buffer, size_t size, const char *format, va_list arguments)
{
	struct output out = { buffer, size, 0 };
	va_list rest;

	va_copy(rest, arguments);
	while (*format != '\0') {
		const char *start = format;
		struct conversion conversion;

		if (*format++ != '%') {
			put(&out, *start);
			continue;
		}
		conversion = parse_conversion(&format, &rest);
		if (conversion.letter != '\0')
			format++;
		put_conversion(&out, &conversion, start, format, &rest);
	}
	va_end(rest);
	if (size > 0)
		buffer[out.length < size ? out.length : size - 1] = '\0';
	return out.length > INT_MAX ? INT_MAX : (int)out.length;
}

int format_string(char *buffer, size_t size, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = format_string_v(buffer, size, format, arguments);
	va_end(arguments);
	return length;
}
