/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every unit test includes: cmocka, and what cmocka wants before it.
 */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEST(name) static void name(void **state __attribute__((unused)))

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
