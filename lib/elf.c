/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the format of ELF files (System V ABI, and its i386 and x86-64 supplements).
 */
#include "lib/elf.h"
#include "lib/string.h"

#define IDENT_SIZE     16
#define IDENT_CLASS    4
#define IDENT_DATA     5
#define CLASS_32       1
#define CLASS_64       2
#define DATA_LITTLE    1
#define TYPE_EXEC      2
#define MACHINE_386    3
#define MACHINE_X86_64 62
#define SEGMENT_LOAD   1

struct header_start {
	uint8_t ident[IDENT_SIZE];
	uint16_t type;
	uint16_t machine;
	uint32_t version;
};

struct header_32 {
	struct header_start start;
	uint32_t entry, program_headers, section_headers, flags;
	uint16_t size, program_header_size, program_header_count;
};

struct header_64 {
	struct header_start start;
	uint64_t entry, program_headers, section_headers;
	uint32_t flags;
	uint16_t size, program_header_size, program_header_count;
};

struct program_header_32 {
	uint32_t type, offset, virtual_address, physical_address;
	uint32_t file_size, memory_size, flags, align;
};

struct program_header_64 {
	uint32_t type, flags;
	uint64_t offset, virtual_address, physical_address, file_size, memory_size, align;
};

/* Read program header `index`; returns its type. The table is known to be in the file. */
static uint32_t read_program_header(const struct elf *elf, uint32_t index,
				    struct elf_segment *segment)
{
	const uint8_t *at = elf->file + elf->headers + (uint64_t)index * elf->header_size;
	struct program_header_64 header;
	struct program_header_32 narrow;

	if (elf->is_64bit) {
		memcpy(&header, at, sizeof(header));
	} else {
		memcpy(&narrow, at, sizeof(narrow));
		header = (struct program_header_64){
			narrow.type,
			narrow.flags,
			narrow.offset,
			narrow.virtual_address,
			narrow.physical_address,
			narrow.file_size,
			narrow.memory_size,
			narrow.align,
		};
	}
	*segment = (struct elf_segment){
		.offset = header.offset,
		.file_size = header.file_size,
		.memory_size = header.memory_size,
		.virtual_address = header.virtual_address,
		.physical_address = header.physical_address,
		.flags = header.flags,
	};
	return header.type;
}

bool elf_next_segment(const struct elf *elf, uint32_t *index, struct elf_segment *segment)
{
	while (*index < elf->header_count) {
		if (read_program_header(elf, (*index)++, segment) == SEGMENT_LOAD &&
		    segment->memory_size > 0)
			return true;
	}
	return false;
}

static bool contains(uint64_t base, uint64_t size, uint64_t address)
{
	return address >= base && address - base < size;
}

static const char *check_segments(const struct elf *elf, size_t size)
{
	const uint64_t last_address = elf->is_64bit ? UINT64_MAX : UINT32_MAX;
	struct elf_segment segment;
	uint32_t index = 0;
	uint32_t count = 0;
	bool has_entry = false;

	for (; elf_next_segment(elf, &index, &segment); count++) {
		if (segment.offset > size || segment.file_size > size - segment.offset)
			return "the ELF file is truncated: a segment is not complete";
		if (segment.file_size > segment.memory_size)
			return "a segment of the ELF file is larger than its memory";
		if (segment.memory_size - 1 > last_address - segment.virtual_address ||
		    segment.memory_size - 1 > last_address - segment.physical_address)
			return "a segment of the ELF file goes beyond the address space";
		/* Kernels that move themselves up give their entry point as a physical address. */
		if (contains(segment.virtual_address, segment.memory_size, elf->entry) ||
		    contains(segment.physical_address, segment.memory_size, elf->entry))
			has_entry = true;
	}
	if (count == 0)
		return "the ELF file has nothing to load";
	return has_entry ? NULL : "the entry point of the ELF file is in no segment";
}

static void read_header(const void *file, struct elf *elf)
{
	struct header_64 header;
	struct header_32 narrow;

	if (elf->is_64bit) {
		memcpy(&header, file, sizeof(header));
		elf->entry = header.entry;
		elf->headers = header.program_headers;
		elf->header_count = header.program_header_count;
		elf->header_size = header.program_header_size;
	} else {
		memcpy(&narrow, file, sizeof(narrow));
		elf->entry = narrow.entry;
		elf->headers = narrow.program_headers;
		elf->header_count = narrow.program_header_count;
		elf->header_size = narrow.program_header_size;
	}
}

const char *elf_parse(const void *file, size_t size, struct elf *elf)
{
	static const uint8_t magic[] = { 0x7f, 'E', 'L', 'F' };
	struct header_start start;
	size_t needed;

	if (size < sizeof(start) || memcmp(file, magic, sizeof(magic)) != 0)
		return "not an ELF file";
	memcpy(&start, file, sizeof(start));
	*elf = (struct elf){ .file = file, .is_64bit = start.ident[IDENT_CLASS] == CLASS_64 };
	if (start.ident[IDENT_DATA] != DATA_LITTLE ||
	    !(elf->is_64bit ? start.machine == MACHINE_X86_64
			    : start.ident[IDENT_CLASS] == CLASS_32 && start.machine == MACHINE_386))
		return "the ELF file is not for x86";
	if (start.type != TYPE_EXEC)
		return "the ELF file is not an executable with fixed addresses";
	if (size < (elf->is_64bit ? sizeof(struct header_64) : sizeof(struct header_32)))
		return "the ELF file is truncated: its header is not complete";
	read_header(file, elf);
	needed =
		elf->is_64bit ? sizeof(struct program_header_64) : sizeof(struct program_header_32);
	if (elf->header_count > 0 && elf->header_size < needed)
		return "the program headers of the ELF file have a wrong size";
	if (elf->headers > size ||
	    (uint64_t)elf->header_count * elf->header_size > size - elf->headers)
		return "the ELF file is truncated: its program headers are not complete";
	return check_segments(elf, size);
}
