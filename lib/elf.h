/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reader of x86 ELF executables of 32 and 64 bits: what to load where.
 */
#ifndef LIB_ELF_H
#define LIB_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ELF_SEGMENT_EXECUTE = 1, ELF_SEGMENT_WRITE = 2, ELF_SEGMENT_READ = 4 };

struct elf {
	const uint8_t *file;
	uint64_t headers; /* offset of the program headers */
	uint64_t entry;	  /* virtual address */
	uint32_t header_count;
	uint32_t header_size;
	bool is_64bit;
};

/* Copy file_size bytes from `offset` in the file, then clear up to memory_size. */
struct elf_segment {
	uint64_t offset;
	uint64_t file_size;
	uint64_t memory_size; /* never 0, never less than file_size */
	uint64_t virtual_address;
	uint64_t physical_address;
	uint32_t flags; /* ELF_SEGMENT_* */
};

/*
 * Check everything that elf_next_segment will return: it lies in the file, and
 * no address wraps. Returns NULL, or what is wrong. The file is not copied.
 */
const char *elf_parse(const void *file, size_t size, struct elf *elf);

/* The next segment to load; *index is 0 at first. Returns false behind the last. */
bool elf_next_segment(const struct elf *elf, uint32_t *index, struct elf_segment *segment);

#endif
