/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a Linux guest's parts go in its memory, and the zero page that tells it
 * (Documentation/arch/x86/boot.rst and zero-page.rst).
 */
#ifndef LIB_LINUX_BOOT_H
#define LIB_LINUX_BOOT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/boot_info.h"
#include "lib/bzimage.h"
#include "lib/layout.h"
#include "lib/memmap.h"

#define LINUX_E820_MAX	   128
#define LINUX_E820_EXT_MAX (MEMMAP_MAX - LINUX_E820_MAX)
#define LINUX_ERROR_MAX	   160
#define LINUX_TABLE_PAGES  6 /* PML4, PDPT and four page directories: 4 GiB in 2 MiB pages */

struct linux_e820_entry {
	uint64_t base;
	uint64_t size;
	uint32_t type;
} __attribute__((packed));

/* A struct setup_data of type SETUP_E820_EXT: the ranges that the zero page has no room for. */
struct linux_e820_ext {
	uint64_t next;
	uint32_t type;
	uint32_t length; /* bytes of the entries */
	struct linux_e820_entry entries[LINUX_E820_EXT_MAX];
} __attribute__((packed));

/* The parts of struct boot_params that Manfred fills; the rest is 0. */
struct linux_boot_params {
	uint8_t unused_000[0x0f];
	uint8_t video_type;
	uint8_t unused_010[2];
	uint16_t lfb_width;
	uint16_t lfb_height;
	uint16_t lfb_depth; /* bits */
	uint32_t lfb_base;
	uint32_t lfb_size; /* bytes */
	uint8_t unused_020[4];
	uint16_t lfb_linelength; /* bytes */
	uint8_t red_size, red_position;
	uint8_t green_size, green_position;
	uint8_t blue_size, blue_position;
	uint8_t reserved_size, reserved_position;
	uint8_t unused_02e[8];
	uint32_t capabilities;
	uint32_t ext_lfb_base;
	uint8_t unused_03e[0x32];
	uint64_t acpi_rsdp_addr;
	uint8_t unused_078[0x48];
	uint32_t ext_ramdisk_image;
	uint32_t ext_ramdisk_size;
	uint32_t ext_cmd_line_ptr;
	uint8_t unused_0cc[0x11c];
	uint8_t e820_entries;
	uint8_t unused_1e9[8];
	union {
		uint8_t setup_header[BZIMAGE_HEADER_END - BZIMAGE_HEADER]; /* from the file */
		struct {
			uint8_t header_1f1[0x1f];
			uint8_t type_of_loader;
			uint8_t loadflags;
			uint8_t header_212[6];
			uint32_t ramdisk_image;
			uint32_t ramdisk_size;
			uint8_t header_220[8];
			uint32_t cmd_line_ptr;
			uint8_t header_22c[0x24];
			uint64_t setup_data;
		} __attribute__((packed));
	};
	uint8_t unused_290[0x40];
	struct linux_e820_entry e820_table[LINUX_E820_MAX];
	uint8_t unused_cd0[0x330];
} __attribute__((packed));

static_assert(sizeof(struct linux_boot_params) == PAGE_SIZE, "zero page");
static_assert(offsetof(struct linux_boot_params, lfb_linelength) == 0x24, "zero page");
static_assert(offsetof(struct linux_boot_params, capabilities) == 0x36, "zero page");
static_assert(offsetof(struct linux_boot_params, acpi_rsdp_addr) == 0x70, "zero page");
static_assert(offsetof(struct linux_boot_params, ext_ramdisk_image) == 0xc0, "zero page");
static_assert(offsetof(struct linux_boot_params, e820_entries) == 0x1e8, "zero page");
static_assert(offsetof(struct linux_boot_params, setup_header) == BZIMAGE_HEADER, "zero page");
static_assert(offsetof(struct linux_boot_params, type_of_loader) == 0x210, "zero page");
static_assert(offsetof(struct linux_boot_params, ramdisk_image) == 0x218, "zero page");
static_assert(offsetof(struct linux_boot_params, cmd_line_ptr) == 0x228, "zero page");
static_assert(offsetof(struct linux_boot_params, setup_data) == 0x250, "zero page");
static_assert(offsetof(struct linux_boot_params, e820_table) == 0x2d0, "zero page");

/* Guest-physical addresses, page aligned. */
struct linux_plan {
	uint64_t kernel; /* copy the file from behind its setup part to here */
	uint64_t params; /* the zero page */
	uint64_t tables; /* LINUX_TABLE_PAGES pages */
	uint64_t cmdline;
	uint64_t e820_ext; /* 0: the zero page has room for all of the memory map */
	uint64_t initrd;   /* copy it to here, unless it is there already */
	uint64_t initrd_size;
	struct memmap free; /* work space: RAM that nothing of the guest lies in */
	char error[LINUX_ERROR_MAX];
};

/*
 * Find a place for everything in the RAM of `map`. The files are where the
 * loader put them, and no new place overlaps them, so the order of copying does
 * not matter. cmdline_length is without the terminating zero.
 * Returns NULL, or what does not fit.
 */
const char *linux_plan_make(struct linux_plan *plan, const struct memmap *map,
			    const struct bzimage *image, const struct boot_file *kernel,
			    const struct boot_file *initrd, size_t cmdline_length);

/*
 * Build the zero page. kernel_file is the file that `image` was made from; rsdp 0
 * means none. `map` is the one that the plan was made with.
 */
void linux_boot_params_fill(struct linux_boot_params *params, const struct linux_plan *plan,
			    const void *kernel_file, const struct bzimage *image,
			    const struct memmap *map, uint64_t rsdp,
			    const struct framebuffer *framebuffer);

/* The rest of the memory map, for plan->e820_ext. */
void linux_e820_ext_fill(struct linux_e820_ext *ext, const struct memmap *map);

#endif
