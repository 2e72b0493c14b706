/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any file as an ELF executable: every byte of every segment can be read.
 */
#include "tests/fuzz/fuzz.h"
#include "lib/elf.h"

size_t fuzz_seed(unsigned int number, uint8_t *buffer)
{
	if (number > 1)
		return 0;
	return number == 0 ? sample_elf64(buffer) : sample_elf32(buffer, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_segment segment;
	struct elf elf;
	uint32_t index = 0;
	uint32_t count = 0;

	if (elf_parse(data, size, &elf) != NULL)
		return 0;
	for (; elf_next_segment(&elf, &index, &segment); count++) {
		uint8_t *copy = malloc(segment.file_size + 1);

		REQUIRE(copy != NULL);
		memcpy(copy, data + segment.offset, segment.file_size);
		free(copy);
		REQUIRE(segment.memory_size > 0 && segment.memory_size >= segment.file_size);
		REQUIRE(segment.physical_address + segment.memory_size - 1 >=
			segment.physical_address);
	}
	REQUIRE(count > 0);
	return 0;
}
