/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables of the shapes that real machines have and the emulators have not: made by hand, after what
 * boards report. The largest of each kind must fit, and nothing may take long.
 */
#include "tests/unit/samples.h"
#include "tests/unit/unit.h"
#include "lib/acpi.h"
#include "lib/acpi_guest.h"
#include "lib/config.h"
#include "lib/layout.h"
#include "lib/memmap.h"
#include "lib/mtrr.h"
#include "lib/paging.h"

#define SIZE_1T (1ULL << 40)
#define MIB	0x100000ULL

/* ---- MADTs ---- */

#define TABLES_SIZE 0x10000

static uint8_t tables[TABLES_SIZE];
static size_t madt_length;
static struct acpi_machine machine;
static struct acpi acpi;

static const void *map_tables(uint64_t physical, size_t size)
{
	const uint64_t start = physical - 0x1000;

	return start < TABLES_SIZE && size <= TABLES_SIZE - start ? tables + start : NULL;
}

/* Root pointer, XSDT, and an empty MADT behind them. */
static void begin_madt(void)
{
	memset(tables, 0, sizeof(tables));
	memcpy(tables, "RSD PTR ", 8);
	put_8(tables, 15, 2);
	put_32(tables, 20, 36);
	put_64(tables, 24, 0x1000 + 0x40);
	fix_checksum(tables, 20, 8);
	fix_checksum(tables, 36, 32);
	put_64(tables, 0x40 + 36, 0x1000 + 0x100);
	put_table(tables, 0x40, "XSDT", 44);
	madt_length = 44;
}

static void add_xapic(uint8_t id, uint8_t flags)
{
	const uint8_t entry[] = { 0, 8, id, id, flags, 0, 0, 0 };

	memcpy(tables + 0x100 + madt_length, entry, sizeof(entry));
	madt_length += sizeof(entry);
}

static void add_x2apic(uint32_t id, uint8_t flags)
{
	uint8_t *const entry = tables + 0x100 + madt_length;

	put_8(entry, 0, 9);
	put_8(entry, 1, 16);
	put_32(entry, 4, id);
	put_32(entry, 8, flags);
	put_32(entry, 12, id);
	madt_length += 16;
}

static void add_ioapic(uint8_t id)
{
	const uint8_t entry[] = { 1, 12, id, 0, 0, id, 0xc0, 0xfe, id, 0, 0, 0 };

	memcpy(tables + 0x100 + madt_length, entry, sizeof(entry));
	madt_length += sizeof(entry);
}

static void read_madt(void)
{
	put_table(tables, 0x100, "APIC", (uint32_t)madt_length);
	assert_null(acpi_init(&acpi, 0x1000));
	assert_true(acpi_read_machine(&acpi, &machine));
}

#define OFF	       0
#define ENABLED	       1
#define ONLINE_CAPABLE 2

/* 8 performance cores with two threads, 16 efficient ones: their numbers go up in steps of 2. */
TEST(hybrid_client)
{
	begin_madt();
	for (uint8_t i = 0; i < 16; i++)
		add_xapic((uint8_t)(i / 2 * 8 + i % 2), ENABLED);
	for (uint8_t i = 0; i < 16; i++)
		add_xapic((uint8_t)(64 + i * 2), ENABLED);
	for (uint8_t i = 0; i < 32; i++)
		add_xapic((uint8_t)(128 + i), OFF);
	add_ioapic(2);
	read_madt();
	assert_int_equal(machine.processor_count, 32);
	assert_int_equal(machine.apic_ids[1], 1);
	assert_int_equal(machine.apic_ids[15], 57);
	assert_int_equal(machine.apic_ids[16], 64);
	assert_int_equal(machine.apic_ids[31], 94);
}

/* 512 on two sockets, the free places of two more sockets, and an IOAPIC for each PCIe root. */
TEST(server_of_512)
{
	begin_madt();
	for (uint32_t i = 0; i < 255; i++)
		add_xapic((uint8_t)i, ENABLED);
	for (uint32_t i = 255; i < 512; i++)
		add_x2apic(i < 256 ? i : 0x400 + i, ENABLED);
	for (uint32_t i = 512; i < 1024; i++)
		add_x2apic(0x1000 + i, ONLINE_CAPABLE);
	for (uint8_t i = 0; i < 48; i++)
		add_ioapic(i);
	read_madt();
	assert_int_equal(machine.processor_count, 512);
	for (uint32_t i = 0; i < 512; i++)
		assert_int_equal(machine.apic_ids[i], i < 256 ? i : 0x400 + i);
}

/* More than there is room for: as many as fit, instead of none. */
TEST(server_of_more_than_512)
{
	begin_madt();
	for (uint32_t i = 0; i < 1024; i++)
		add_x2apic(2 * i, ENABLED);
	read_madt();
	assert_int_equal(machine.processor_count, ACPI_PROCESSORS_MAX);
	assert_int_equal(machine.processors_beyond, 1024 - ACPI_PROCESSORS_MAX);
	assert_int_equal(machine.apic_ids[ACPI_PROCESSORS_MAX - 1], 2 * (ACPI_PROCESSORS_MAX - 1));
}

/* The same processors in both forms, and placeholders with the number that means all. */
TEST(processors_listed_twice)
{
	begin_madt();
	for (uint8_t i = 0; i < 8; i++)
		add_xapic(i, ENABLED);
	add_xapic(UINT8_MAX, ENABLED);
	for (uint32_t i = 0; i < 16; i++)
		add_x2apic(i, ENABLED);
	add_x2apic(UINT32_MAX, ENABLED);
	read_madt();
	assert_int_equal(machine.processor_count, 16);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(machine.apic_ids[i], i);
}

/* The guest of a machine like that gets tables that say what it has. */
TEST(guest_with_half_of_512)
{
	static uint32_t ids[256];
	static uint8_t buffer[ACPI_GUEST_SIZE];
	static const struct acpi_guest empty;
	static struct acpi_guest wish;

	begin_madt();
	for (uint32_t i = 0; i < 512; i++)
		add_x2apic(i, ENABLED);
	for (uint8_t i = 0; i < 48; i++)
		add_ioapic(i);
	read_madt();
	wish = empty;
	for (uint32_t i = 0; i < 256; i++)
		ids[i] = 2 * i;
	wish.apic_ids = ids;
	wish.processor_count = 256;
	assert_int_equal(acpi_guest_build(&acpi, &wish, buffer, sizeof(buffer), 0x1000),
			 ACPI_GUEST_OWN);
	memcpy(tables, buffer, sizeof(buffer));
	assert_null(acpi_init(&acpi, 0x1000));
	assert_true(acpi_read_machine(&acpi, &machine));
	assert_int_equal(machine.processor_count, 256);
	for (uint32_t i = 0; i < 256; i++)
		assert_int_equal(machine.apic_ids[i], 2 * i);
}

/* ---- Memory maps ---- */

static struct memmap map;

/*
 * Below 4 GiB as a client has it, with `pieces` ranges of firmware data that RAM lies around;
 * above, RAM in `nodes` pieces with holes of 64 GiB. In the order of `step`, since firmware need
 * not sort.
 */
static void make_map(uint32_t pieces, uint32_t step, uint32_t nodes, uint64_t node_size)
{
	memset(&map, 0, sizeof(map));
	assert_true(memmap_set(&map, 0, 0x9f000, MEMORY_RAM));
	assert_true(memmap_set(&map, 0x9f000, 0x61000, MEMORY_RESERVED));
	for (uint32_t i = 0; i < pieces; i++) {
		const uint64_t at = MIB + (uint64_t)(i * step % pieces) * 8 * MIB;

		assert_true(memmap_set(&map, at, 7 * MIB, MEMORY_RAM));
		assert_true(memmap_set(&map, at + 7 * MIB, MIB,
				       i % 3 == 0   ? MEMORY_ACPI_NVS
				       : i % 3 == 1 ? MEMORY_RESERVED
						    : MEMORY_ACPI_RECLAIM));
	}
	for (uint32_t i = 0; i < nodes; i++)
		assert_true(memmap_set(&map, 4 * SIZE_1G + i * (node_size + 64 * SIZE_1G),
				       node_size, MEMORY_RAM));
}

TEST(a_terabyte_with_holes)
{
	uint64_t base;

	make_map(60, 1, 8, 128 * SIZE_1G);
	assert_int_equal(memmap_ram_size(&map), 0x9f000 + 60 * 7 * MIB + SIZE_1T);
	assert_int_equal(memmap_end(&map), 4 * SIZE_1G + 8 * 128 * SIZE_1G + 7 * 64 * SIZE_1G);
	assert_true(memmap_find_highest(&map, 100 * SIZE_1G, SIZE_1G, 0, UINT64_MAX, &base));
	assert_int_equal(base, memmap_end(&map) - 100 * SIZE_1G);
	assert_false(memmap_find_highest(&map, 129 * SIZE_1G, SIZE_1G, 0, UINT64_MAX, &base));
	/* The loader's and the VMM's own pieces still find a place. */
	assert_true(memmap_find_lowest(&map, 6 * MIB, SIZE_2M, 16 * MIB, 4 * SIZE_1G, &base));
	assert_true(memmap_set(&map, base, 6 * MIB, MEMORY_RESERVED));
}

/* In any order, with room to spare for what is cut out afterwards. */
TEST(hundreds_of_ranges)
{
	static const uint32_t steps[] = { 1, 199, 101, 7, 77 };

	for (size_t i = 0; i < COUNT_OF(steps); i++) {
		make_map(200, steps[i], 4, SIZE_1G);
		assert_in_range(map.count, 400, MEMMAP_MAX - 16);
		assert_int_equal(memmap_ram_size(&map), 0x9f000 + 200 * 7 * MIB + 4 * SIZE_1G);
	}
}

static uint64_t tables_for_map(bool pages_1g)
{
	const uint64_t size = 64 * MIB;
	void *const memory = aligned_alloc(PAGE_SIZE, size);
	struct page_pool pool = { (uintptr_t)memory, (uintptr_t)memory + size, 0 };
	struct address_space space = { .pool = &pool, .pages_1g = pages_1g };
	uint64_t physical, used;

	assert_non_null(memory);
	space.pml4 = page_pool_take(&pool);
	for (uint32_t i = 0; i < map.count; i++)
		if (map.ranges[i].type == MEMORY_RAM)
			assert_true(paging_map(&space, DIRECT_MAP_BASE + map.ranges[i].base,
					       map.ranges[i].base, map.ranges[i].size, PAGE_WRITE,
					       CACHE_WRITE_BACK));
	assert_true(paging_lookup(&space, DIRECT_MAP_BASE + memmap_end(&map) - 1, &physical, NULL));
	assert_int_equal(physical, memmap_end(&map) - 1);
	used = pool.next - (uintptr_t)memory;
	free(memory);
	return used;
}

/* They come out of the VMM's region, of which half is for EPT and all else. */
TEST(page_tables_fit_the_region)
{
	make_map(200, 1, 8, 128 * SIZE_1G);
	assert_in_range(tables_for_map(true), 1, MIB);
	assert_in_range(tables_for_map(false), 4 * MIB, VMM_SIZE_FIXED / 2);
	make_map(200, 1, 16, 2 * SIZE_1T);
	assert_in_range(tables_for_map(true), 1, 2 * MIB);
}

/* ---- The VMM's region ---- */

#define KIB 0x400ULL

static struct config config;

/* `guests` of them, of `cpus` each; 0: all that the machine has, for the one with its devices. */
static uint64_t region(uint32_t processors, uint32_t guests, uint32_t cpus)
{
	memset(&config, 0, sizeof(config));
	config.guest_count = guests;
	for (uint32_t i = 0; i < guests; i++)
		config.guests[i] = (struct guest_config){ .devices = cpus == 0 ? DEVICES_PASSTHROUGH
									       : DEVICES_NONE,
							  .cpus = cpus };
	return vmm_region_size(&config, processors);
}

TEST(region_of_1_to_512_processors)
{
	const uint64_t of_four = region(4, 1, 0);
	uint64_t before = 0;

	assert_int_equal(region(1, 1, 0), 16 * MIB);
	assert_int_equal(region(2, 1, 0), 16 * MIB);
	/* 168 KiB for each processor with its vcpu; 128 KiB for the guest. */
	assert_in_range(region(512, 1, 0) - VMM_SIZE_FIXED - 512 * 168 * KIB - 128 * KIB, 0,
			SIZE_2M - 1);
	for (uint32_t processors = 1; processors <= CONFIG_CPUS_MAX; processors++) {
		const uint64_t size = region(processors, 1, 0);

		assert_int_equal(size % SIZE_2M, 0);
		assert_true(size >= before);
		before = size;
	}
	/* The key cpus: the others are parked, with stacks and tables of their own, but no vcpu. */
	config.cpus = 4;
	assert_in_range(vmm_region_size(&config, 512), of_four + 508 * VMM_SIZE_PROCESSOR - SIZE_2M,
			of_four + 508 * VMM_SIZE_PROCESSOR + SIZE_2M);
}

/* Eight guests of as many vcpus as the largest machine can have, the most that can be asked for. */
TEST(region_of_the_most_guests)
{
	const uint64_t most = region(CONFIG_CPUS_MAX, CONFIG_GUESTS_MAX, CONFIG_CPUS_MAX);
	uint64_t base;

	assert_in_range(most, 350 * MIB, 400 * MIB);
	/* It is all mapped behind VMM_BASE, at the end of addresses. */
	assert_true(most < -VMM_BASE);
	/* And lies below 4 GiB, where servers leave a gigabyte and more in one piece. */
	memset(&map, 0, sizeof(map));
	assert_true(memmap_set(&map, MIB, 2 * SIZE_1G - 512 * MIB, MEMORY_RAM));
	assert_true(memmap_set(&map, 0x3000000, 16 * MIB, MEMORY_ACPI_NVS));
	assert_true(memmap_set(&map, 4 * SIZE_1G, 508 * SIZE_1G, MEMORY_RAM));
	assert_true(memmap_find_highest(&map, most, SIZE_2M, 0, 4 * SIZE_1G, &base));
	assert_true(base + most <= 2 * SIZE_1G - 511 * MIB);
	assert_int_equal(base % SIZE_2M, 0);
}

/* It may unmap all of its pages, one by one, and other guests must not miss what that takes. */
TEST(region_of_a_guest_that_unmaps_all)
{
	const uint64_t usual = region(1, 1, 1);

	config.guests[0].memory = 8 * SIZE_1G;
	assert_int_equal(vmm_region_size(&config, 1), usual + 8 * SIZE_1G / SIZE_2M * PAGE_SIZE);
	config.guests[0].devices = DEVICES_PASSTHROUGH;
	assert_int_equal(vmm_region_size(&config, 1), usual);
}

_Static_assert(ACPI_PROCESSORS_MAX == CONFIG_CPUS_MAX, "what the MADT names has room in boot_info");

/* ---- PATs ---- */

/*
 * Until each processor has loaded its own, the VMM runs with the firmware's: its code, data and
 * stacks are WB with all of them, devices UC.
 */
TEST(firmwares_pats)
{
	static const uint64_t pats[] = {
		PAT_RESET, PAT_VMM, 0x0407050600070106ULL, /* as Linux has it, before a kexec */
		0x0007010600070106ULL,			   /* as Windows has it */
	};

	for (size_t i = 0; i < COUNT_OF(pats); i++) {
		assert_int_equal(pats[i] >> 8 * CACHE_WRITE_BACK & 0xff, MTRR_WB);
		assert_int_equal(pats[i] >> 8 * CACHE_UNCACHED & 0xff, MTRR_UC);
	}
}

/* ---- MTRRs ---- */

#define DEFAULT(type) ((1ULL << 11) | (1ULL << 10) | (type))
#define VALID	      (1ULL << 11)
#define FIXED_WB      0x0606060606060606ULL
#define FIXED_WP      0x0505050505050505ULL
#define SEGMENTS_MAX  12

struct segment {
	uint64_t end;
	enum mtrr_type type;
};

struct board {
	const char *name;
	struct mtrr_state mtrr;
	struct segment segments[SEGMENTS_MAX]; /* above 1 MiB */
};

#define RANGE(at, bytes, type, bits)                                                     \
	{                                                                                \
		(at) | (type), (((1ULL << (bits)) - 1) & ~((uint64_t)(bytes)-1)) | VALID \
	}
/* RAM, the gap for VGA, option ROMs that are write-protected, the firmware's shadow. */
#define FIXED_USUAL                                                            \
	.fixed = { FIXED_WB, FIXED_WB, 0,	 FIXED_WP, FIXED_WP, FIXED_WP, \
		   FIXED_WP, FIXED_WB, FIXED_WB, FIXED_WB, FIXED_WB }

static const struct board boards[] = {
	{ "client, 39 bits, 16 GiB: all is UC but what is listed, and holes in that",
	  { .def_type = DEFAULT(MTRR_UC),
	    FIXED_USUAL,
	    .physical_bits = 39,
	    .variable_count = 10,
	    .variable = { RANGE(0, 16 * SIZE_1G, MTRR_WB, 39),
			  RANGE(16 * SIZE_1G, 2 * SIZE_1G, MTRR_WB, 39),
			  RANGE(2 * SIZE_1G, 2 * SIZE_1G, MTRR_UC, 39),
			  RANGE(0x7c000000, 64 * MIB, MTRR_UC, 39),
			  RANGE(0x7b800000, 8 * MIB, MTRR_UC, 39) } },
	  { { 0x7b800000, MTRR_WB },
	    { 4 * SIZE_1G, MTRR_UC },
	    { 18 * SIZE_1G, MTRR_WB },
	    { 1ULL << 39, MTRR_UC } } },
	{ "client, 46 bits: all is WB but the holes, a WC framebuffer in one that is not covered",
	  { .def_type = DEFAULT(MTRR_WB),
	    FIXED_USUAL,
	    .physical_bits = 46,
	    .variable_count = 10,
	    .variable = { RANGE(0x80000000, SIZE_1G, MTRR_UC, 46),
			  RANGE(0xe0000000, 512 * MIB, MTRR_UC, 46),
			  RANGE(0xc0000000, 256 * MIB, MTRR_WC, 46),
			  RANGE(0xd0000000, 256 * MIB, MTRR_UC, 46),
			  RANGE(0x4000000000, 0x4000000000, MTRR_UC, 46) } },
	  { { 0x80000000, MTRR_WB },
	    { 0xc0000000, MTRR_UC },
	    { 0xd0000000, MTRR_WC },
	    { 4 * SIZE_1G, MTRR_UC },
	    { 0x4000000000, MTRR_WB },
	    { 0x8000000000, MTRR_UC },
	    { 1ULL << 46, MTRR_WB } } },
	{ "client: the WC framebuffer lies within UC, which wins",
	  { .def_type = DEFAULT(MTRR_WB),
	    FIXED_USUAL,
	    .physical_bits = 39,
	    .variable_count = 8,
	    .variable = { RANGE(2 * SIZE_1G, 2 * SIZE_1G, MTRR_UC, 39),
			  RANGE(0xd0000000, 256 * MIB, MTRR_WC, 39) } },
	  { { 2 * SIZE_1G, MTRR_WB }, { 4 * SIZE_1G, MTRR_UC }, { 1ULL << 39, MTRR_WB } } },
	{ "server, 52 bits: PCIe windows of terabytes, and write-protected flash",
	  { .def_type = DEFAULT(MTRR_WB),
	    FIXED_USUAL,
	    .physical_bits = 52,
	    .variable_count = 10,
	    .variable = { RANGE(0x80000000, SIZE_1G, MTRR_UC, 52),
			  RANGE(0xc0000000, 512 * MIB, MTRR_UC, 52),
			  RANGE(0xe0000000, 256 * MIB, MTRR_UC, 52),
			  RANGE(0xf0000000, 128 * MIB, MTRR_UC, 52),
			  RANGE(0xf8000000, 64 * MIB, MTRR_UC, 52),
			  RANGE(0xfc000000, 32 * MIB, MTRR_UC, 52),
			  RANGE(0xfe000000, 16 * MIB, MTRR_UC, 52),
			  RANGE(0xff000000, 16 * MIB, MTRR_WP, 52),
			  RANGE(1ULL << 45, 1ULL << 45, MTRR_UC, 52) } },
	  { { 0x80000000, MTRR_WB },
	    { 0xff000000, MTRR_UC },
	    { 4 * SIZE_1G, MTRR_WP },
	    { 1ULL << 45, MTRR_WB },
	    { 1ULL << 46, MTRR_UC },
	    { 1ULL << 52, MTRR_WB } } },
	{ "coreboot: no fixed ranges, WB in pieces up to where graphics has stolen, UC cut out of "
	  "them",
	  { .def_type = VALID | MTRR_UC,
	    .physical_bits = 39,
	    .variable_count = 10,
	    .variable = { RANGE(0, 2 * SIZE_1G, MTRR_WB, 39),
			  RANGE(0x7b000000, 16 * MIB, MTRR_UC, 39),
			  RANGE(0x7c000000, 64 * MIB, MTRR_UC, 39),
			  RANGE(0x90000000, 256 * MIB, MTRR_WC, 39),
			  RANGE(0xff000000, 16 * MIB, MTRR_WP, 39),
			  RANGE(4 * SIZE_1G, 4 * SIZE_1G, MTRR_WB, 39),
			  RANGE(8 * SIZE_1G, 1 * SIZE_1G, MTRR_WB, 39),
			  RANGE(9 * SIZE_1G - 128 * MIB, 128 * MIB, MTRR_UC, 39) } },
	  { { 0x7b000000, MTRR_WB },
	    { 0x90000000, MTRR_UC },
	    { 0xa0000000, MTRR_WC },
	    { 0xff000000, MTRR_UC },
	    { 4 * SIZE_1G, MTRR_WP },
	    { 9 * SIZE_1G - 128 * MIB, MTRR_WB },
	    { 1ULL << 39, MTRR_UC } } },
	{ "a virtual machine's: WB, one hole, and WT over a part of the WB",
	  { .def_type = DEFAULT(MTRR_WB),
	    FIXED_USUAL,
	    .physical_bits = 40,
	    .variable_count = 8,
	    .variable = { RANGE(3 * SIZE_1G, SIZE_1G, MTRR_UC, 40),
			  RANGE(SIZE_1G, SIZE_1G, MTRR_WB, 40),
			  RANGE(SIZE_1G, 64 * MIB, MTRR_WT, 40) } },
	  { { SIZE_1G, MTRR_WB },
	    { SIZE_1G + 64 * MIB, MTRR_WT },
	    { 3 * SIZE_1G, MTRR_WB },
	    { 4 * SIZE_1G, MTRR_UC },
	    { 1ULL << 40, MTRR_WB } } },
	{ "firmware that has switched them off: a hypervisor's",
	  { .def_type = MTRR_WB, .physical_bits = 46, .variable_count = 8 },
	  { { 1ULL << 46, MTRR_UC } } },
};

TEST(mtrrs_of_boards)
{
	for (size_t i = 0; i < COUNT_OF(boards); i++) {
		const struct board *const board = &boards[i];
		const uint64_t last = 1ULL << board->mtrr.physical_bits;
		const struct segment *segment = board->segments;
		uint64_t end;

		for (uint64_t at = MIB; at < last; at = end, segment++) {
			const enum mtrr_type type = mtrr_type(&board->mtrr, at, last, &end);

			if (type != segment->type || end != segment->end)
				fail_msg("%s: at 0x%llx type %u up to 0x%llx", board->name,
					 (unsigned long long)at, type, (unsigned long long)end);
		}
	}
}

TEST(fixed_mtrrs_of_boards)
{
	static const struct segment expected[] = { { 0xa0000, MTRR_WB },
						   { 0xc0000, MTRR_UC },
						   { 0xe0000, MTRR_WP } };
	uint64_t at = 0, end;

	for (size_t i = 0; i < COUNT_OF(expected); i++, at = end) {
		assert_int_equal(mtrr_type(&boards[0].mtrr, at, SIZE_1G, &end), expected[i].type);
		assert_int_equal(end, expected[i].end);
	}
	assert_int_equal(mtrr_type(&boards[0].mtrr, at, SIZE_1G, &end), MTRR_WB);
	assert_int_equal(end, SIZE_1G);
}

/* What is not fixed follows the variable ranges, also where VGA's memory lies. */
TEST(boards_without_fixed_mtrrs)
{
	unsigned int count = 0;

	for (size_t i = 0; i < COUNT_OF(boards); i++) {
		const struct mtrr_state *const mtrr = &boards[i].mtrr;
		uint64_t end;

		if (mtrr->def_type & (1ULL << 10))
			continue;
		assert_int_equal(mtrr_type(mtrr, 0, SIZE_1G, &end), boards[i].segments[0].type);
		assert_int_equal(end, SIZE_1G);
		count++;
	}
	assert_int_equal(count, 2);
}

/*
 * Masks as for 36 bits on a processor of 46: the ranges come again every 64 GiB, and that is what
 * the processor does. Looking up each gigabyte of a terabyte must not be felt.
 */
TEST(masks_that_are_too_short)
{
	const struct mtrr_state mtrr = {
		.def_type = DEFAULT(MTRR_WB),
		.physical_bits = 46,
		.variable_count = 2,
		.variable = { RANGE(2 * SIZE_1G, 2 * SIZE_1G, MTRR_UC, 36),
			      RANGE(0x7ff00000, MIB, MTRR_UC, 36) },
	};

	for (uint64_t at = SIZE_1G; at < SIZE_1T; at += SIZE_1G) {
		const uint64_t within = at % (64 * SIZE_1G);
		uint64_t end;

		const enum mtrr_type type = mtrr_type(&mtrr, at, at + SIZE_1G, &end);

		if (within == SIZE_1G) {
			assert_int_equal(type, MTRR_WB);
			assert_int_equal(end, at + SIZE_1G - MIB);
		} else {
			assert_int_equal(type, within / (2 * SIZE_1G) == 1 ? MTRR_UC : MTRR_WB);
			assert_int_equal(end, at + SIZE_1G);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hybrid_client),
		cmocka_unit_test(server_of_512),
		cmocka_unit_test(server_of_more_than_512),
		cmocka_unit_test(processors_listed_twice),
		cmocka_unit_test(guest_with_half_of_512),
		cmocka_unit_test(a_terabyte_with_holes),
		cmocka_unit_test(hundreds_of_ranges),
		cmocka_unit_test(page_tables_fit_the_region),
		cmocka_unit_test(region_of_1_to_512_processors),
		cmocka_unit_test(region_of_the_most_guests),
		cmocka_unit_test(region_of_a_guest_that_unmaps_all),
		cmocka_unit_test(firmwares_pats),
		cmocka_unit_test(mtrrs_of_boards),
		cmocka_unit_test(fixed_mtrrs_of_boards),
		cmocka_unit_test(boards_without_fixed_mtrrs),
		cmocka_unit_test(masks_that_are_too_short),
	};

	acpi_map = map_tables;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
