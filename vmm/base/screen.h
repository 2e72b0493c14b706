/* SPDX-License-Identifier: BSD-2-Clause */
/* The screen console: text in the framebuffer that the firmware left. */
#ifndef VMM_BASE_SCREEN_H
#define VMM_BASE_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/boot_info.h"
#include "lib/result_screen.h"

/* Returns false when there is no framebuffer of a known pixel format. */
bool screen_init(const struct framebuffer *framebuffer);

void screen_write(const char *text, size_t length);

/* The page of results in place of the text; nothing without a screen. */
void screen_show_results(const struct results *results, const struct result_facts *facts);

#endif
