/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what a loader says on its way: its log, what went wrong, and how it ended.
 */
#include "boot/cpu.h"
#include "boot/loader.h"
#include "lib/debug_exit.h"
#include "lib/format.h"

#define PREFIX_MAX 32

static void print(const struct loader *loader, const char *infix, const char *format,
		  va_list arguments)
{
	char prefix[PREFIX_MAX];

	format_string(prefix, sizeof(prefix), "%s: %s", loader->program, infix);
	console_print_v(prefix, format, arguments);
}

bool loader_fail(struct loader *loader, EFI_STATUS status, const char *reason, const char *format,
		 ...)
{
	va_list arguments;

	console_select(CONSOLE_SERIAL | CONSOLE_SCREEN);
	va_start(arguments, format);
	print(loader, "", format, arguments);
	va_end(arguments);
	loader->status = status;
	loader->reason = reason;
	return false;
}

bool firmware_failed(struct loader *loader, EFI_STATUS status, const char *what)
{
	return loader_fail(loader, status, "firmware", "%s (status 0x%lx)", what,
			   (unsigned long)status);
}

void loader_log(struct loader *loader, const char *format, ...)
{
	va_list arguments;

	if (loader->info.config.log < LOG_INFO)
		return;
	va_start(arguments, format);
	print(loader, "loader: ", format, arguments);
	va_end(arguments);
}

EFI_STATUS give_up(struct loader *loader)
{
	console_print("%s: end status=failed reason=%s exits=0", loader->program, loader->reason);
	if (loader->info.config.at_end == AT_END_DEBUG_EXIT)
		port_write(PORT_DEBUG_EXIT, DEBUG_EXIT_FAILED);
	if (loader->boot == NULL) {
		disable_interrupts();
		for (;;)
			halt();
	}
	if (loader->volume != NULL)
		loader->volume->Close(loader->volume);
	free_memory(loader, 0);
	return loader->status;
}
