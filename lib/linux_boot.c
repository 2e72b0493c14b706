/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the layout of a Linux guest's memory at its start, and its zero page.
 * Copies nothing into the guest.
 */
#include "lib/format.h"
#include "lib/linux_boot.h"
#include "lib/string.h"

#define LOW_START	  0x10000ULL /* firmware, and Linux itself, use the first 64 KiB */
#define LOW_END		  SIZE_1G
#define KERNEL_END	  (4 * SIZE_1G)
#define MEBIBYTE	  0x100000ULL
#define LOADER_UNKNOWN	  0xff
#define VIDEO_TYPE_EFI	  0x70
#define LFB_BASE_IS_64BIT (1U << 1) /* in capabilities */
#define BYTE_BITS	  8
#define SETUP_E820_EXT	  1

static uint64_t page_round(uint64_t size)
{
	return (size + PAGE_MASK) & ~PAGE_MASK;
}

static uint64_t in_mebibytes(uint64_t size)
{
	return size / MEBIBYTE + (size % MEBIBYTE != 0);
}

/* Nothing of the guest may be placed in [base, base + size) any more. */
static bool take(struct linux_plan *plan, uint64_t base, uint64_t size)
{
	return memmap_set(&plan->free, base, page_round(size), MEMORY_RESERVED);
}

static bool place_kernel(struct linux_plan *plan, const struct bzimage *image)
{
	const uint64_t size = page_round(image->memory_size);

	/* Below pref_address the kernel would move itself there, over what lies there. */
	if (memmap_is_ram(&plan->free, image->pref_address, size))
		plan->kernel = image->pref_address;
	else if (!image->relocatable ||
		 !memmap_find_lowest(&plan->free, size, image->alignment, image->pref_address,
				     KERNEL_END, &plan->kernel))
		return false;
	return take(plan, plan->kernel, size);
}

static bool place_low(struct linux_plan *plan, const struct memmap *map, size_t cmdline_length)
{
	const bool extended = map->count > LINUX_E820_MAX;
	const uint64_t fixed = (1 + LINUX_TABLE_PAGES) * PAGE_SIZE;
	const uint64_t with_cmdline = fixed + page_round(cmdline_length + 1);
	const uint64_t size =
		with_cmdline + (extended ? page_round(sizeof(struct linux_e820_ext)) : 0);

	if (!memmap_find_lowest(&plan->free, size, PAGE_SIZE, LOW_START, LOW_END, &plan->params))
		return false;
	plan->tables = plan->params + PAGE_SIZE;
	plan->cmdline = plan->params + fixed;
	plan->e820_ext = extended ? plan->params + with_cmdline : 0;
	return take(plan, plan->params, size);
}

static bool place_initrd(struct linux_plan *plan, const struct memmap *map,
			 const struct bzimage *image, const struct boot_file *initrd)
{
	uint64_t end = image->initrd_addr_max + 1;

	if (image->xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G)
		end = memmap_end(map);
	plan->initrd_size = initrd->size;
	plan->initrd = initrd->base;
	if (initrd->size == 0)
		return true;
	if (memmap_is_ram(map, initrd->base, initrd->size) && initrd->base + initrd->size <= end)
		return true;
	return memmap_find_highest(&plan->free, page_round(initrd->size), PAGE_SIZE, LOW_START, end,
				   &plan->initrd);
}

#define FAIL(plan, ...) (format_string((plan)->error, LINUX_ERROR_MAX, __VA_ARGS__), (plan)->error)

const char *linux_plan_make(struct linux_plan *plan, const struct memmap *map,
			    const struct bzimage *image, const struct boot_file *kernel,
			    const struct boot_file *initrd, size_t cmdline_length)
{
	const uint64_t ram = in_mebibytes(memmap_ram_size(map));

	plan->free = *map;
	if (cmdline_length > image->cmdline_size)
		return FAIL(plan, "command line of %zu bytes; this kernel takes %u at most",
			    cmdline_length, image->cmdline_size);
	if (!take(plan, kernel->base, kernel->size) || !take(plan, initrd->base, initrd->size))
		return FAIL(plan, "the memory map has too many ranges");
	if (!place_kernel(plan, image))
		return FAIL(plan,
			    "the kernel needs %llu MiB in one piece from address 0x%llx on, which "
			    "does not fit into %llu MiB of guest memory",
			    (unsigned long long)in_mebibytes(image->memory_size),
			    (unsigned long long)image->pref_address, (unsigned long long)ram);
	if (!place_low(plan, map, cmdline_length))
		return FAIL(plan, "no RAM below 1 GiB for the kernel's boot parameters");
	if (!place_initrd(plan, map, image, initrd))
		return FAIL(plan, "initrd of %llu MiB does not fit into %llu MiB of guest memory",
			    (unsigned long long)in_mebibytes(initrd->size),
			    (unsigned long long)ram);
	return NULL;
}

/* Size and position of a colour, of its bits' mask. */
static void set_colour(uint8_t *size, uint8_t *position, uint32_t mask)
{
	/* Of one run of bits: the distance of its ends. */
	*position = (uint8_t)(mask == 0 ? 0 : __builtin_ctz(mask));
	*size = (uint8_t)(mask == 0 ? 0 : 32 - __builtin_clz(mask) - *position);
}

/* A frame buffer of 32 bits a pixel, in the order that its format says. */
static void fill_screen(struct linux_boot_params *params, const struct framebuffer *framebuffer)
{
	const uint32_t bytes_a_pixel = sizeof(uint32_t);
	const bool masks = framebuffer->format == FRAMEBUFFER_MASKS;
	const uint32_t first = 0xff;
	const uint32_t third = 0xff0000;
	const bool red_first = framebuffer->format == FRAMEBUFFER_RGBX;
	const uint32_t red = masks ? framebuffer->red_mask : red_first ? first : third;
	const uint32_t green = masks ? framebuffer->green_mask : 0xff00;
	const uint32_t blue = masks ? framebuffer->blue_mask : red_first ? third : first;

	if (framebuffer->format == FRAMEBUFFER_NONE)
		return;
	params->video_type = VIDEO_TYPE_EFI;
	params->lfb_width = (uint16_t)framebuffer->width;
	params->lfb_height = (uint16_t)framebuffer->height;
	params->lfb_depth = (uint16_t)(bytes_a_pixel * BYTE_BITS);
	params->lfb_linelength = (uint16_t)(framebuffer->stride * bytes_a_pixel);
	params->lfb_base = (uint32_t)framebuffer->base;
	params->ext_lfb_base = (uint32_t)(framebuffer->base >> 32);
	params->lfb_size = framebuffer->stride * bytes_a_pixel * framebuffer->height;
	params->capabilities = params->ext_lfb_base != 0 ? LFB_BASE_IS_64BIT : 0;
	set_colour(&params->red_size, &params->red_position, red);
	set_colour(&params->green_size, &params->green_position, green);
	set_colour(&params->blue_size, &params->blue_position, blue);
	set_colour(&params->reserved_size, &params->reserved_position, ~(red | green | blue));
}

static void fill_entries(struct linux_e820_entry *entries, const struct memory_range *ranges,
			 uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		entries[i] =
			(struct linux_e820_entry){ ranges[i].base, ranges[i].size, ranges[i].type };
}

void linux_e820_ext_fill(struct linux_e820_ext *ext, const struct memmap *map)
{
	const uint32_t count = map->count - LINUX_E820_MAX;

	memset(ext, 0, sizeof(*ext));
	ext->type = SETUP_E820_EXT;
	ext->length = count * (uint32_t)sizeof(ext->entries[0]);
	fill_entries(ext->entries, &map->ranges[LINUX_E820_MAX], count);
}

void linux_boot_params_fill(struct linux_boot_params *params, const struct linux_plan *plan,
			    const void *kernel_file, const struct bzimage *image,
			    const struct memmap *map, uint64_t rsdp,
			    const struct framebuffer *framebuffer)
{
	const uint32_t count = map->count < LINUX_E820_MAX ? map->count : LINUX_E820_MAX;

	memset(params, 0, sizeof(*params));
	memcpy(params->setup_header, (const uint8_t *)kernel_file + BZIMAGE_HEADER,
	       image->header_end - BZIMAGE_HEADER);
	params->type_of_loader = LOADER_UNKNOWN;
	params->ramdisk_image = (uint32_t)plan->initrd;
	params->ramdisk_size = (uint32_t)plan->initrd_size;
	params->ext_ramdisk_image = (uint32_t)(plan->initrd >> 32);
	params->ext_ramdisk_size = (uint32_t)(plan->initrd_size >> 32);
	params->cmd_line_ptr = (uint32_t)plan->cmdline;
	params->ext_cmd_line_ptr = (uint32_t)(plan->cmdline >> 32);
	params->acpi_rsdp_addr = rsdp;
	fill_screen(params, framebuffer);

	if (count < map->count)
		params->setup_data = plan->e820_ext;
	params->e820_entries = (uint8_t)count;
	fill_entries(params->e820_table, map->ranges, count);
}
