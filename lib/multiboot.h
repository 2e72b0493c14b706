/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot, version 1 (specification 0.6.96): the header in a kernel's file, and
 * the information that the kernel finds at its start.
 */
#ifndef LIB_MULTIBOOT_H
#define LIB_MULTIBOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/elf.h"
#include "lib/memmap.h"

#define MULTIBOOT_BOOT_MAGIC 0x2badb002U /* in EAX at the start; EBX has the address below */

struct multiboot_kernel {
	bool is_elf; /* load by `elf`, else the one segment */
	struct elf elf;
	struct elf_segment segment;
	uint32_t entry;
};

/*
 * Find the header and what to load: the addresses in the header where it has
 * them, else the ELF file. Returns NULL, or what is wrong.
 */
const char *multiboot_parse(const void *file, size_t size, struct multiboot_kernel *kernel);

struct multiboot_module {
	uint32_t base; /* guest-physical */
	uint32_t size;
	const char *name; /* the module's "command line" */
};

struct multiboot_request {
	const struct memmap *map;
	const char *cmdline;
	const struct multiboot_module *modules;
	uint32_t module_count;
};

/*
 * Build the information, with all that it points to, in the `size` bytes of
 * `buffer`, which the guest sees at `address`. Returns the bytes used; 0 when
 * they do not suffice.
 */
size_t multiboot_info_build(void *buffer, size_t size, uint32_t address,
			    const struct multiboot_request *request);

#endif
