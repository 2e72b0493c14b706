/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EFI_MEMORY_ATTRIBUTE_PROTOCOL (UEFI 2.10), as far as it is used here.
 */
#ifndef BOOT_MEMORY_ATTRIBUTE_H
#define BOOT_MEMORY_ATTRIBUTE_H

#include <efi.h>

#define MEMORY_ATTRIBUTE_GUID                                          \
	{                                                              \
		0xf4560cf6, 0x40ec, 0x4b4a,                            \
		{                                                      \
			0xa1, 0x92, 0xbf, 0x1d, 0x57, 0xd0, 0xb1, 0x89 \
		}                                                      \
	}

struct memory_attribute {
	void *get, *set;
	EFI_STATUS(EFIAPI *clear)
	(struct memory_attribute *this, EFI_PHYSICAL_ADDRESS base, UINT64 length,
	 UINT64 attributes);
};

#endif
