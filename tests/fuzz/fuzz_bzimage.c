/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any file as a Linux kernel: what passes the check lies in the file, and what
 * is planned lies in the guest's RAM.
 */
#include "tests/fuzz/fuzz.h"
#include "lib/linux_boot.h"

size_t fuzz_seed(unsigned int number, uint8_t *buffer)
{
	return number == 0 ? sample_bzimage(buffer) : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct linux_boot_params params;
	static struct linux_plan plan;
	static struct memmap map;
	static const struct framebuffer no_screen;
	const struct boot_file kernel = { 0x8000000, size };
	const struct boot_file initrd = { 0x9000000, 0x100000 };
	struct bzimage image;

	if (bzimage_parse(data, size, &image) != NULL)
		return 0;
	REQUIRE(image.setup_size < size && image.kernel_size == size - image.setup_size);
	REQUIRE(image.memory_size >= image.kernel_size);
	REQUIRE((image.alignment & (image.alignment - 1)) == 0);

	map.count = 0;
	REQUIRE(memmap_set(&map, 0x1000, 0xff000, MEMORY_RAM));
	REQUIRE(memmap_set(&map, 0x100000, 0x10000000, MEMORY_RAM));
	if (linux_plan_make(&plan, &map, &image, &kernel, &initrd, 1000) != NULL)
		return 0;
	REQUIRE(memmap_is_ram(&map, plan.kernel, image.memory_size));
	REQUIRE((plan.kernel & (image.alignment - 1)) == 0);
	REQUIRE(memmap_is_ram(&map, plan.params, 8 * PAGE_SIZE));
	REQUIRE(memmap_is_ram(&map, plan.initrd, initrd.size));
	linux_boot_params_fill(&params, &plan, data, &image, &map, 0, &no_screen);
	return 0;
}
