/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Draws text into the firmware's framebuffer as the VMM does, by lib/console.c, and says on the
 * serial line how it was laid out: so that machines without VMX can show it on screens of any size.
 */
#include <efi.h>

#include "lib/console.h"
#include "lib/format.h"
#include "lib/string.h"
#include "tools/efi/serial.h"

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static struct console console;

static void draw_rows(void)
{
	char line[CONSOLE_COLUMNS_MAX + 1];

	for (uint32_t row = 0; row < console.rows; row++) {
		/* All characters there are, another first one in each row. */
		for (uint32_t i = 0; i < console.columns; i++)
			line[i] = (char)(GLYPH_FIRST + (row + i) % GLYPHS);
		line[console.columns] = '\0';
		console_put(&console, row, 0, console.columns, line, CONSOLE_GREEN);
	}
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
	EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	struct framebuffer framebuffer = { .format = FRAMEBUFFER_BGRX };
	EFI_GRAPHICS_OUTPUT_PROTOCOL *graphics;
	char line[64];
	EFI_STATUS status;

	(void)image;
	status = system->BootServices->LocateProtocol(&guid, NULL, (void **)&graphics);
	if (EFI_ERROR(status))
		return status;
	if (graphics->Mode->Info->PixelFormat != PixelBlueGreenRedReserved8BitPerColor)
		return EFI_UNSUPPORTED;
	framebuffer.base = graphics->Mode->FrameBufferBase;
	framebuffer.size = graphics->Mode->FrameBufferSize;
	framebuffer.width = graphics->Mode->Info->HorizontalResolution;
	framebuffer.height = graphics->Mode->Info->VerticalResolution;
	framebuffer.stride = graphics->Mode->Info->PixelsPerScanLine;
	if (!console_layout(&console, &framebuffer))
		return EFI_UNSUPPORTED;
	console_begin(&console, (volatile void *)framebuffer.base);
	draw_rows();
	format_string(line, sizeof(line), "\nscreen: %ux%u font %u scale %u end\n",
		      framebuffer.width, framebuffer.height, console.font->width, console.scale);
	write_serial(line);
	for (;;)
		asm volatile("pause");
}
