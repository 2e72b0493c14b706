// SPDX-License-Identifier: BSD-2-Clause
/* Owns the framebuffer's mapping and the one text console in it. */
#include "vmm/screen.h"

#include "lib/console.h"
#include "lib/layout.h"
#include "vmm/memory.h"

/* Device memory from here on has no place in the VMM's address space. */
#define MMIO_END (VMM_BASE - MMIO_BASE)

static struct console console;

bool screen_init(const struct framebuffer *framebuffer)
{
	if (!console_layout(&console, framebuffer) ||
	    framebuffer->base + framebuffer->size > MMIO_END)
		return false;
	console_begin(&console, mmio_map(framebuffer->base, console_size(&console)));
	return true;
}

void screen_write(const char *text, size_t length)
{
	console_write(&console, text, length);
}
