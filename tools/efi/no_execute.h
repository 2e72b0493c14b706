/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Firmware that lets nothing be executed in the memory that it gives away.
 */
#ifndef TOOLS_EFI_NO_EXECUTE_H
#define TOOLS_EFI_NO_EXECUTE_H

#include <efi.h>

/*
 * From now on this is such firmware, as far as the addresses of the built-in guest go. Its
 * EFI_MEMORY_ATTRIBUTE_PROTOCOL, for who asks, can clear what is in the way, and nothing else.
 */
EFI_STATUS forbid_execution(EFI_SYSTEM_TABLE *system);

#endif
