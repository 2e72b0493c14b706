/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any file as a Multiboot kernel: what is to be loaded lies in the file and below
 * 4 GiB. The input is also the command line: the information stays in its buffer.
 */
#include "tests/fuzz/fuzz.h"
#include "lib/multiboot.h"

#define FOUR_GIB 0x100000000ULL

size_t fuzz_seed(unsigned int number, uint8_t *buffer)
{
	if (number > 1)
		return 0;
	return number == 0 ? sample_elf32(buffer, 1) : sample_multiboot_flat(buffer);
}

static void check_segment(const struct elf_segment *segment, const uint8_t *data)
{
	uint8_t *copy = malloc(segment->file_size + 1);

	REQUIRE(copy != NULL);
	memcpy(copy, data + segment->offset, segment->file_size);
	free(copy);
	REQUIRE(segment->memory_size > 0 && segment->memory_size >= segment->file_size);
	REQUIRE(segment->physical_address + segment->memory_size <= FOUR_GIB);
}

static void build_information(const uint8_t *data, size_t size)
{
	static const struct memmap map = { 1, 0, { { 0, 0x10000000, MEMORY_RAM, 0 } } };
	const size_t room = size > 0 ? data[0] + 100U : 100;
	char *cmdline = malloc(size + 1);
	uint8_t *buffer = malloc(room);

	REQUIRE(cmdline != NULL && buffer != NULL);
	memcpy(cmdline, data, size);
	cmdline[size] = '\0';
	const struct multiboot_module module = { 0x200000, 0x1000, cmdline };
	const struct multiboot_request request = { &map, cmdline, &module, 1 };

	REQUIRE(multiboot_info_build(buffer, room, 0x9000, &request) <= room);
	free(buffer);
	free(cmdline);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct multiboot_kernel kernel;
	struct elf_segment segment;
	uint32_t index = 0;

	build_information(data, size);
	if (multiboot_parse(data, size, &kernel) != NULL)
		return 0;
	if (!kernel.is_elf)
		check_segment(&kernel.segment, data);
	while (kernel.is_elf && elf_next_segment(&kernel.elf, &index, &segment))
		check_segment(&segment, data);
	return 0;
}
