/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the check of a Linux kernel file: what passes here can be copied and
 * entered without another look at its header.
 */
#include <assert.h>

#include "lib/bzimage.h"
#include "lib/layout.h"
#include "lib/string.h"

#define BOOT_FLAG	    0xaa55
#define HEADER_MAGIC	    0x53726448U /* "HdrS" */
#define VERSION_MIN	    0x020c	/* 2.12: the first with xloadflags */
#define LOADFLAG_HIGH	    0x01
#define SECTOR_SIZE	    512U
#define DEFAULT_SETUP_SECTS 4
#define PARAGRAPH_SIZE	    16ULL

struct setup_header {
	uint8_t setup_sects;
	uint16_t root_flags;
	uint32_t syssize;
	uint16_t ram_size;
	uint16_t vid_mode;
	uint16_t root_dev;
	uint16_t boot_flag;
	uint8_t jump;
	uint8_t jump_length; /* the header ends this far behind the jump */
	uint32_t header;
	uint16_t version;
	uint32_t realmode_switch;
	uint16_t start_sys_seg;
	uint16_t kernel_version;
	uint8_t type_of_loader;
	uint8_t loadflags;
	uint16_t setup_move_size;
	uint32_t code32_start;
	uint32_t ramdisk_image;
	uint32_t ramdisk_size;
	uint32_t bootsect_kludge;
	uint16_t heap_end_ptr;
	uint8_t ext_loader_ver;
	uint8_t ext_loader_type;
	uint32_t cmd_line_ptr;
	uint32_t initrd_addr_max;
	uint32_t kernel_alignment;
	uint8_t relocatable_kernel;
	uint8_t min_alignment;
	uint16_t xloadflags;
	uint32_t cmdline_size;
	uint32_t hardware_subarch;
	uint64_t hardware_subarch_data;
	uint32_t payload_offset;
	uint32_t payload_length;
	uint64_t setup_data;
	uint64_t pref_address;
	uint32_t init_size;
	uint32_t handover_offset;
} __attribute__((packed));

#define FILE_OFFSET(field) (BZIMAGE_HEADER + offsetof(struct setup_header, field))
static_assert(FILE_OFFSET(header) == 0x202, "setup header");
static_assert(FILE_OFFSET(xloadflags) == 0x236, "setup header");
static_assert(FILE_OFFSET(handover_offset) == 0x264, "setup header");

static const char *check_sizes(const struct setup_header *header, size_t size,
			       struct bzimage *image)
{
	const uint32_t sectors =
		header->setup_sects == 0 ? DEFAULT_SETUP_SECTS : header->setup_sects;

	image->setup_size = (sectors + 1) * SECTOR_SIZE;
	if (image->setup_size >= size)
		return "the kernel file is truncated: its setup part is not complete";
	image->kernel_size = size - image->setup_size;
	/* The size is in paragraphs, rounded up: the last one need not be full. */
	if (header->syssize == 0 ||
	    header->syssize * PARAGRAPH_SIZE >= image->kernel_size + PARAGRAPH_SIZE)
		return "the kernel file is truncated: it is shorter than its header says";
	if (image->kernel_size <= BZIMAGE_ENTRY_64)
		return "the kernel file is truncated: it has no 64-bit entry point";
	if ((uint64_t)header->payload_offset + header->payload_length > image->kernel_size)
		return "the kernel file is truncated: its payload is not complete";
	image->memory_size =
		header->init_size > image->kernel_size ? header->init_size : image->kernel_size;
	return NULL;
}

const char *bzimage_parse(const void *file, size_t size, struct bzimage *image)
{
	struct setup_header header;

	if (size < BZIMAGE_HEADER + sizeof(header))
		return "the kernel file is not a Linux bzImage: it is too short for one";
	memcpy(&header, (const uint8_t *)file + BZIMAGE_HEADER, sizeof(header));
	if (header.boot_flag != BOOT_FLAG || header.header != HEADER_MAGIC)
		return "the kernel file is not a Linux bzImage for x86: it has no setup header";
	if (header.version < VERSION_MIN)
		return "the kernel's boot protocol is older than 2.12 (Linux 3.8)";
	if (!(header.xloadflags & XLF_KERNEL_64))
		return "the kernel has no 64-bit entry point";
	if (!(header.loadflags & LOADFLAG_HIGH))
		return "the kernel is a zImage, which loads low; a bzImage is needed";
	if (header.kernel_alignment < PAGE_SIZE ||
	    (header.kernel_alignment & (header.kernel_alignment - 1)))
		return "the kernel's alignment is not a power of two of at least a page";
	if (header.pref_address & (header.kernel_alignment - 1))
		return "the kernel's preferred address is not aligned as it says itself";

	*image = (struct bzimage){
		.pref_address = header.pref_address,
		.initrd_addr_max = header.initrd_addr_max,
		.alignment = header.kernel_alignment,
		.header_end = (uint32_t)FILE_OFFSET(header) + header.jump_length,
		.cmdline_size = header.cmdline_size,
		.version = header.version,
		.xloadflags = header.xloadflags,
		.relocatable = header.relocatable_kernel != 0,
	};
	if (image->header_end < BZIMAGE_HEADER + sizeof(header) ||
	    image->header_end > BZIMAGE_HEADER_END)
		return "the kernel's setup header has a wrong length";
	return check_sizes(&header, size, image);
}
