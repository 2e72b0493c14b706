/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The setup header of a Linux x86 kernel file (Documentation/arch/x86/boot.rst).
 */
#ifndef LIB_BZIMAGE_H
#define LIB_BZIMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BZIMAGE_HEADER	   0x1f1U /* where the header starts, in the file and in the zero page */
#define BZIMAGE_HEADER_END 0x290U /* the zero page has no more room for it */
#define BZIMAGE_ENTRY_64   0x200U /* of the 64-bit entry point, from the load address */

/* Bits of xloadflags. */
#define XLF_KERNEL_64		   (1U << 0)
#define XLF_CAN_BE_LOADED_ABOVE_4G (1U << 1)

struct bzimage {
	uint64_t pref_address;	  /* where it wants to run */
	uint64_t kernel_size;	  /* bytes of the file to load, behind the setup part */
	uint64_t memory_size;	  /* bytes that must be free from the load address on */
	uint64_t initrd_addr_max; /* of the last byte */
	uint32_t alignment;
	uint32_t setup_size;   /* bytes of the setup part */
	uint32_t header_end;   /* offset in the file */
	uint32_t cmdline_size; /* at most, without the terminating zero */
	uint16_t version;
	uint16_t xloadflags;
	bool relocatable;
};

/* Returns NULL, or what keeps this file from being booted by the 64-bit protocol. */
const char *bzimage_parse(const void *file, size_t size, struct bzimage *image);

#endif
