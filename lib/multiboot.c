/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the formats of Multiboot 1.
 */
#include <assert.h>

#include "lib/multiboot.h"
#include "lib/string.h"

#define HEADER_SEARCH 8192 /* the header ends within these first bytes of the file */
#define HEADER_MAGIC  0x1badb002U

/* Flags of the header; of bits 0 to 15, an unknown one means "do not load me". */
#define HEADER_PAGE_ALIGN  (1U << 0)
#define HEADER_MEMORY_INFO (1U << 1)
#define HEADER_VIDEO_MODE  (1U << 2)
#define HEADER_ADDRESSES   (1U << 16)
#define HEADER_REQUIRED	   0xffffU

#define INFO_MEMORY	 (1U << 0)
#define INFO_CMDLINE	 (1U << 2)
#define INFO_MODULES	 (1U << 3)
#define INFO_MAP	 (1U << 6)
#define INFO_LOADER_NAME (1U << 9)

#define LOWER_MEMORY_MAX 0xa0000ULL
#define UPPER_MEMORY	 0x100000ULL
#define KIBIBYTE	 1024U

struct header {
	uint32_t magic, flags, checksum;
	uint32_t header_address, load_address, load_end, bss_end, entry;
};

struct info {
	uint32_t flags;
	uint32_t memory_lower, memory_upper; /* KiB */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t module_count, modules;
	uint32_t symbols[4];
	uint32_t map_length, map;
	uint32_t drives_length, drives;
	uint32_t config_table;
	uint32_t loader_name;
	uint32_t unused[12]; /* APM, VBE and frame buffer: their flags are 0 */
};

struct info_module {
	uint32_t start, end, name, reserved;
};

struct info_range {
	uint32_t size; /* of the rest */
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));

static_assert(offsetof(struct info, loader_name) == 64, "information");
static_assert(sizeof(struct info) == 116, "information");
static_assert(sizeof(struct info_range) == 24, "information");

/* The header's offset in the file; `size` when there is none. */
static size_t find_header(const uint8_t *file, size_t size, struct header *header)
{
	const size_t first_part = offsetof(struct header, header_address);
	const size_t end = size < HEADER_SEARCH ? size : HEADER_SEARCH;

	*header = (struct header){ 0 };
	for (size_t offset = 0; offset + first_part <= end; offset += sizeof(uint32_t)) {
		memcpy(header, file + offset, first_part);
		if (header->magic != HEADER_MAGIC ||
		    header->magic + header->flags + header->checksum != 0)
			continue;
		if (!(header->flags & HEADER_ADDRESSES))
			return offset;
		if (offset + sizeof(*header) <= end) {
			memcpy(header, file + offset, sizeof(*header));
			return offset;
		}
	}
	return size;
}

/* The segment that the addresses in the header describe. */
static const char *use_addresses(const struct header *header, size_t offset, size_t size,
				 struct elf_segment *segment)
{
	const uint32_t before = header->header_address - header->load_address;
	uint64_t file_size;
	uint64_t memory_size;

	if (header->header_address < header->load_address || before > offset)
		return "the Multiboot header's load address is not in the file";
	file_size = size - (offset - before);
	if (header->load_end != 0) {
		if (header->load_end < header->load_address ||
		    header->load_end - header->load_address > file_size)
			return "the Multiboot kernel is truncated";
		file_size = header->load_end - header->load_address;
	}
	memory_size = file_size;
	if (header->bss_end != 0) {
		if (header->bss_end < header->load_address + file_size)
			return "the Multiboot header's bss ends before its data";
		memory_size = header->bss_end - header->load_address;
	}
	if (memory_size > UINT32_MAX - header->load_address + 1ULL)
		return "the Multiboot kernel goes beyond 4 GiB";
	if (header->entry < header->load_address ||
	    header->entry - header->load_address >= memory_size)
		return "the Multiboot header's entry point is not in the kernel";
	*segment = (struct elf_segment){
		.offset = offset - before,
		.file_size = file_size,
		.memory_size = memory_size,
		.virtual_address = header->load_address,
		.physical_address = header->load_address,
		.flags = ELF_SEGMENT_READ | ELF_SEGMENT_WRITE | ELF_SEGMENT_EXECUTE,
	};
	return NULL;
}

static const char *use_elf(const void *file, size_t size, struct multiboot_kernel *kernel)
{
	struct elf_segment segment;
	uint32_t index = 0;
	const char *error = elf_parse(file, size, &kernel->elf);

	if (error != NULL)
		return error;
	while (elf_next_segment(&kernel->elf, &index, &segment)) {
		if (segment.physical_address > UINT32_MAX ||
		    segment.memory_size > UINT32_MAX - segment.physical_address + 1)
			return "a segment of the Multiboot kernel lies above 4 GiB";
	}
	if (kernel->elf.entry > UINT32_MAX)
		return "the Multiboot kernel's entry point lies above 4 GiB";
	kernel->is_elf = true;
	kernel->entry = (uint32_t)kernel->elf.entry;
	return NULL;
}

const char *multiboot_parse(const void *file, size_t size, struct multiboot_kernel *kernel)
{
	struct header header;
	const size_t offset = find_header(file, size, &header);

	*kernel = (struct multiboot_kernel){ 0 };
	if (offset == size)
		return "the kernel file has no Multiboot header in its first 8192 bytes";
	if (header.flags & HEADER_VIDEO_MODE)
		return "the Multiboot kernel requires a video mode, which is not supported";
	if (header.flags & HEADER_REQUIRED & ~(HEADER_PAGE_ALIGN | HEADER_MEMORY_INFO))
		return "the Multiboot kernel requires a feature that is not supported";
	if (!(header.flags & HEADER_ADDRESSES))
		return use_elf(file, size, kernel);
	kernel->entry = header.entry;
	return use_addresses(&header, offset, size, &kernel->segment);
}

/* The buffer, as it fills. `used` above `size` means that it was too small. */
struct area {
	uint8_t *buffer;
	size_t size;
	size_t used;
	uint32_t address; /* guest-physical, of the buffer */
};

/* Put a copy of these bytes into the buffer; returns their guest-physical address. */
static uint32_t put(struct area *area, const void *bytes, size_t size)
{
	const size_t offset = area->used;

	area->used += size;
	if (area->used <= area->size)
		memcpy(area->buffer + offset, bytes, size);
	return area->address + (uint32_t)offset;
}

static uint32_t put_string(struct area *area, const char *text)
{
	return put(area, text, strlen(text) + 1);
}

static uint32_t put_map(struct area *area, const struct memmap *map)
{
	const uint32_t address = area->address + (uint32_t)area->used;

	for (uint32_t i = 0; i < map->count; i++) {
		const struct memory_range *range = &map->ranges[i];
		const struct info_range entry = {
			.size = sizeof(entry) - sizeof(entry.size),
			.base = range->base,
			.length = range->size,
			.type = range->type,
		};

		put(area, &entry, sizeof(entry));
	}
	return address;
}

static uint32_t put_modules(struct area *area, const struct multiboot_request *request)
{
	const size_t table = area->used;
	const struct info_module empty = { 0 };

	for (uint32_t i = 0; i < request->module_count; i++)
		put(area, &empty, sizeof(empty));
	for (uint32_t i = 0; i < request->module_count; i++) {
		const struct multiboot_module *module = &request->modules[i];
		const struct info_module entry = {
			.start = module->base,
			.end = module->base + module->size,
			.name = put_string(area, module->name),
		};

		if (area->used <= area->size)
			memcpy(area->buffer + table + i * sizeof(entry), &entry, sizeof(entry));
	}
	return area->address + (uint32_t)table;
}

/* KiB of RAM in one piece from `base` on, not beyond `end`. */
static uint32_t kibibytes_from(const struct memmap *map, uint64_t base, uint64_t end)
{
	for (uint32_t i = 0; i < map->count; i++) {
		const struct memory_range *range = &map->ranges[i];
		const uint64_t range_end = range->base + range->size;

		if (range->type == MEMORY_RAM && range->base <= base && base < range_end)
			return (uint32_t)(((range_end < end ? range_end : end) - base) / KIBIBYTE);
	}
	return 0;
}

size_t multiboot_info_build(void *buffer, size_t size, uint32_t address,
			    const struct multiboot_request *request)
{
	struct area area = { buffer, size, sizeof(struct info), address };
	struct info info = {
		.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MAP | INFO_LOADER_NAME,
		.memory_lower = kibibytes_from(request->map, 0, LOWER_MEMORY_MAX),
		.memory_upper = kibibytes_from(request->map, UPPER_MEMORY, UINT32_MAX + 1ULL),
		.module_count = request->module_count,
		.map_length = request->map->count * (uint32_t)sizeof(struct info_range),
	};

	info.modules = put_modules(&area, request);
	info.map = put_map(&area, request->map);
	info.cmdline = put_string(&area, request->cmdline);
	info.loader_name = put_string(&area, "Manfred");
	if (area.used > size)
		return 0;
	memcpy(buffer, &info, sizeof(info));
	return area.used;
}
