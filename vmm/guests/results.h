/* SPDX-License-Identifier: BSD-2-Clause */
/* What the built-in guest's tests have said, for the screen. */
#ifndef VMM_GUESTS_RESULTS_H
#define VMM_GUESTS_RESULTS_H

#include <stddef.h>

struct vm;

/* A guest has written this. The first built-in guest that writes is the one that is judged. */
void guest_results_read(const struct vm *vm, const char *text, size_t length);

/*
 * The page of results on the screen, when the tests have come to their end: of others the log says
 * more. `last_line`: how the boot ended.
 */
void guest_results_show(const char *last_line);

#endif
