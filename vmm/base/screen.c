// SPDX-License-Identifier: BSD-2-Clause
/* Owns the framebuffer's mapping and the one text console in it. */
#include "vmm/base/screen.h"

#include "lib/console.h"
#include "vmm/base/memory.h"
#include "vmm/host/x86.h"

static struct console console;
static bool usable;

bool screen_init(const struct framebuffer *framebuffer)
{
	volatile void *pixels;

	if (!console_layout(&console, framebuffer))
		return false;
	pixels = framebuffer_map(framebuffer->base, console_size(&console));
	if (!pixels)
		return false;
	console_begin(&console, pixels);
	usable = true;
	return true;
}

void screen_write(const char *text, size_t length)
{
	console_write(&console, text, length);
	store_fence(); /* what waits in write-combining buffers is to be seen */
}

void screen_show_results(const struct results *results, const struct result_facts *facts)
{
	if (!usable)
		return;
	result_screen_draw(&console, results, facts);
	store_fence();
}
