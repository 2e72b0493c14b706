/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/vmx/ept.c: every entry of the tables that it makes is looked at. A guest with the machine's
 * devices reaches each address as it is, with the MTRRs' type, and the VMM's region never.
 */
#include "tests/unit/unit.h"
#include "lib/layout.h"
#include "lib/x86/msr.h"
#include "tests/unit/model/model.h"
#include "vmm/vmx/ept.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/vcpu/vcpu.h"

#define ENTRIES	     512
#define PAGES_MAX    8192
#define SIZE_4G	     (4 * SIZE_1G)
#define MTRR_ENABLE  (1ULL << 11)
#define MTRR_FIXED   (1ULL << 10)
#define MTRR_VALID   (1ULL << 11)
#define MACHINES     40
#define ADDRESS_BITS 39
#define APIC_PAGE    0xfee00000ULL
#define VMM_AT	     (SIZE_1G + 6 * SIZE_2M)
#define VMM_SIZE     (16 * 0x100000ULL)

static void *pages[PAGES_MAX];
static unsigned int page_count;
static struct vm vm;
static struct boot_info boot;
static uint64_t random_state;

/* ---- The VMM's memory: addresses are the host's; behind each page what memory has of it ---- */

void *page_alloc(void)
{
	uint8_t *const page = aligned_alloc(PAGE_SIZE, 2 * PAGE_SIZE);

	assert_true(page && page_count < PAGES_MAX);
	memset(page, 0, PAGE_SIZE);
	memset(page + PAGE_SIZE, 0xee, PAGE_SIZE);
	pages[page_count++] = page;
	return page;
}

uint64_t virt_to_phys(const void *address)
{
	return (uintptr_t)address;
}

void *phys_to_virt(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(&vm, 0, sizeof(vm));
	memset(&boot, 0, sizeof(boot));
	vm.boot = &boot;
	boot.vmm_base = VMM_AT;
	boot.vmm_size = VMM_SIZE;
	machine.ept_vpid_cap = EPT_CAP_2M | EPT_CAP_1G;
	machine.mtrr.physical_bits = ADDRESS_BITS;
	machine.physical_mask = (1ULL << ADDRESS_BITS) - 1;
	machine.mtrr.def_type = MTRR_ENABLE | MTRR_WB;
	return 0;
}

static int tear_down(void **state __attribute__((unused)))
{
	while (page_count > 0)
		free(pages[--page_count]);
	return 0;
}

/* ---- Walking the tables ---- */

struct leaf {
	uint64_t guest, host, size;
	enum mtrr_type type;
};

static struct leaf leaf_of(uint64_t entry, uint64_t guest, uint64_t size)
{
	const struct leaf leaf = { .guest = guest,
				   .host = entry & EPT_ADDRESS_MASK,
				   .size = size,
				   .type = (enum mtrr_type)(entry >> 3 & 7) };
	const uint64_t large = size > PAGE_SIZE ? EPT_LARGE : 0;

	assert_int_equal(entry, leaf.host | EPT_RWX | EPT_MEMORY_TYPE(leaf.type) | large);
	assert_int_equal(leaf.host % size, 0);
	return leaf;
}

/* Call `visit` for each leaf, in the order of addresses. */
static void walk(const uint64_t *table, uint64_t size, uint64_t base,
		 void (*visit)(const struct leaf *leaf))
{
	for (uint64_t i = 0; i < ENTRIES; i++) {
		const uint64_t entry = table[i];
		const uint64_t guest = base + i * size;

		if (entry == 0)
			continue;
		if (size == PAGE_SIZE || (entry & EPT_LARGE)) {
			const struct leaf leaf = leaf_of(entry, guest, size);

			assert_true(size <= SIZE_1G);
			visit(&leaf);
			continue;
		}
		assert_int_equal(entry & ~EPT_ADDRESS_MASK, EPT_RWX);
		walk(phys_to_virt(entry & EPT_ADDRESS_MASK), size / ENTRIES, guest, visit);
	}
}

static uint64_t leaf_at(uint64_t guest)
{
	const uint64_t *table = vm.ept;

	for (uint64_t size = ENTRIES * SIZE_1G;; size /= ENTRIES) {
		const uint64_t entry = table[guest / size % ENTRIES];

		if (entry == 0 || size == PAGE_SIZE || (entry & EPT_LARGE))
			return entry;
		table = phys_to_virt(entry & EPT_ADDRESS_MASK);
	}
}

static void walk_all(void (*visit)(const struct leaf *leaf))
{
	assert_int_equal(vm.ept_pointer, virt_to_phys(vm.ept) | 6 | 3 << 3);
	walk(vm.ept, SIZE_1G * ENTRIES, 0, visit);
}

static uint64_t covered; /* all up to here is mapped, but for the VMM */

static void visit_machine(const struct leaf *leaf)
{
	uint64_t end;

	assert_int_equal(leaf->host, leaf->guest);
	assert_false(leaf->guest < boot.vmm_base + VMM_SIZE &&
		     boot.vmm_base < leaf->guest + leaf->size);
	assert_int_equal(mtrr_type(&machine.mtrr, leaf->guest, leaf->guest + leaf->size, &end),
			 leaf->type);
	assert_int_equal(end, leaf->guest + leaf->size);
	assert_true(leaf->size < SIZE_1G || (machine.ept_vpid_cap & EPT_CAP_1G));
	if (covered == boot.vmm_base)
		covered += VMM_SIZE;
	if (leaf->guest == covered)
		covered += leaf->size;
}

/* Everything up to `end` is mapped; what lies behind may be. */
static void check_machine(uint64_t end)
{
	covered = 0;
	walk_all(visit_machine);
	assert_true(covered >= end);
}

static unsigned int largest; /* in units of 4 KiB */

static void visit_largest(const struct leaf *leaf)
{
	if (leaf->size / PAGE_SIZE > largest)
		largest = (unsigned int)(leaf->size / PAGE_SIZE);
}

/* ---- The machine as it is ---- */

static uint64_t random_below(uint64_t limit)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (random_state >> 20) % limit;
}

static enum mtrr_type random_type(void)
{
	static const enum mtrr_type types[] = { MTRR_UC, MTRR_WC, MTRR_WT, MTRR_WP, MTRR_WB };

	return types[random_below(COUNT_OF(types))];
}

static void random_mtrrs(void)
{
	struct mtrr_state *const mtrrs = &machine.mtrr;

	mtrrs->def_type = MTRR_ENABLE | (random_below(2) ? MTRR_FIXED : 0) |
			  (random_below(3) ? MTRR_WB : random_type());
	for (unsigned int i = 0; i < MTRR_FIXED_COUNT; i++)
		for (unsigned int byte = 0; byte < 8; byte++)
			mtrrs->fixed[i] |= (uint64_t)random_type() << 8 * byte;
	mtrrs->variable_count = (uint32_t)random_below(9);
	for (unsigned int i = 0; i < mtrrs->variable_count; i++) {
		const uint64_t size = PAGE_SIZE << random_below(22);

		mtrrs->variable[i].base =
			(random_below(20 * SIZE_1G) & ~(size - 1)) | random_type();
		mtrrs->variable[i].mask = (~(size - 1) & machine.physical_mask) | MTRR_VALID;
	}
}

static void random_machine(void)
{
	const uint64_t ram = SIZE_1G + random_below(12 * SIZE_1G);

	random_mtrrs();
	vm.devices = VM_DEVICES_PASSTHROUGH;
	machine.ept_vpid_cap = EPT_CAP_2M | (random_below(2) ? EPT_CAP_1G : 0);
	assert_true(memmap_set(&boot.memmap, 0, ram & ~PAGE_MASK, MEMORY_RAM));
	boot.vmm_base = random_below((ram - VMM_SIZE) / SIZE_2M) * SIZE_2M;
	assert_true(memmap_set(&boot.memmap, boot.vmm_base, VMM_SIZE, MEMORY_RESERVED));
}

static uint64_t mapped_end(void)
{
	const uint64_t end = memmap_ram_end(&boot.memmap);

	return end > SIZE_4G ? end : SIZE_4G;
}

TEST(random_machines)
{
	for (random_state = 0; random_state < MACHINES; random_state++) {
		const uint64_t seed = random_state;

		set_up(NULL);
		random_machine();
		ept_create(&vm);
		check_machine(mapped_end());
		tear_down(NULL);
		random_state = seed;
	}
}

/* Devices above RAM come when they are touched; whatever the guest touches, the VMM stays out. */
TEST(random_devices)
{
	for (random_state = 0; random_state < MACHINES; random_state++) {
		const uint64_t seed = random_state;

		set_up(NULL);
		random_machine();
		ept_create(&vm);
		for (unsigned int i = 0; i < 60; i++) {
			const uint64_t vmm = boot.vmm_base + random_below(VMM_SIZE);
			const uint64_t device =
				mapped_end() +
				random_below(i < 20 ? SIZE_2M
						    : machine.physical_mask + 1 - mapped_end());

			assert_true(ept_map_missing(&vm, device));
			assert_false(ept_map_missing(&vm, vmm));
		}
		check_machine(mapped_end());
		tear_down(NULL);
		random_state = seed;
	}
}

static void create_machine(void)
{
	vm.devices = VM_DEVICES_PASSTHROUGH;
	assert_true(memmap_set(&boot.memmap, 0, 8 * SIZE_1G, MEMORY_RAM));
	ept_create(&vm);
}

TEST(pages_are_as_large_as_can_be)
{
	create_machine();
	walk_all(visit_largest);
	assert_int_equal(largest, SIZE_1G / PAGE_SIZE);
	/* PML4, PDPT, and one directory: the VMM shares its gigabyte with the guest. */
	assert_int_equal(page_count, 3);
}

static uint64_t below_log, above_log; /* where the leaf below it ends, and the next one begins */

static void visit_log(const struct leaf *leaf)
{
	if (leaf->guest < boot.log_base)
		below_log = leaf->guest + leaf->size;
	else if (above_log == 0)
		above_log = leaf->guest;
}

/* The log of this boot is for the next one to read, and no guest's. */
TEST(the_log_is_the_vmms)
{
	boot.log_base = 64 * SIZE_2M;
	boot.log_size = 4 * PAGE_SIZE;
	above_log = 0;
	create_machine();
	for (uint64_t offset = 0; offset < boot.log_size; offset += PAGE_SIZE) {
		assert_true(ept_is_vmm_memory(&vm, boot.log_base + offset));
		assert_false(ept_map_missing(&vm, boot.log_base + offset));
	}
	assert_false(ept_is_vmm_memory(&vm, boot.log_base - 1));
	assert_false(ept_is_vmm_memory(&vm, boot.log_base + boot.log_size));
	walk_all(visit_log);
	assert_int_equal(below_log, boot.log_base);
	assert_int_equal(above_log, boot.log_base + boot.log_size);
}

static void write_line_back(const void *line)
{
	memcpy((uint8_t *)(uintptr_t)line + PAGE_SIZE, line, 64);
}

/* A VT-d unit that does not look into the caches finds the same tables, whenever they change. */
TEST(tables_are_in_memory)
{
	machine.tables_in_memory = true;
	model.on_clflush = write_line_back;
	for (random_state = 0; random_state < MACHINES; random_state++) {
		const uint64_t seed = random_state;

		random_machine();
		ept_create(&vm);
		for (unsigned int i = 0; i < 20; i++)
			ept_map_missing(&vm, mapped_end() + random_below(2 * SIZE_1G));
		for (unsigned int i = 0; i < page_count; i++)
			assert_memory_equal(pages[i], (uint8_t *)pages[i] + PAGE_SIZE, PAGE_SIZE);
		tear_down(NULL);
		memset(&boot.memmap, 0, sizeof(boot.memmap));
		random_state = seed;
	}
}

static uint64_t below_registers, above_registers;

static void visit_registers(const struct leaf *leaf)
{
	if (leaf->guest < 0xfed90000)
		below_registers = leaf->guest + leaf->size;
	else if (above_registers == 0)
		above_registers = leaf->guest;
}

/* Last in the list: what is excluded stays so. */
TEST(registers_that_are_excluded)
{
	ept_exclude(0xfed90000, 2 * PAGE_SIZE);
	create_machine();
	assert_false(ept_map_missing(&vm, 0xfed90000));
	assert_false(ept_map_missing(&vm, 0xfed91fff));
	above_registers = 0;
	walk_all(visit_registers);
	assert_int_equal(below_registers, 0xfed90000);
	assert_int_equal(above_registers, 0xfed92000);
}

TEST(edges_of_the_vmm)
{
	create_machine();
	assert_false(ept_is_vmm_memory(&vm, VMM_AT - 1));
	assert_true(ept_is_vmm_memory(&vm, VMM_AT));
	assert_true(ept_is_vmm_memory(&vm, VMM_AT + VMM_SIZE - 1));
	assert_false(ept_is_vmm_memory(&vm, VMM_AT + VMM_SIZE));
	assert_false(ept_map_missing(&vm, VMM_AT));
	assert_false(ept_map_missing(&vm, VMM_AT + VMM_SIZE - 1));
}

TEST(no_addresses_that_the_processor_has_not)
{
	create_machine();
	assert_true(ept_map_missing(&vm, machine.physical_mask));
	assert_false(ept_map_missing(&vm, machine.physical_mask + 1));
	assert_false(ept_map_missing(&vm, ~0ULL));
	/* 52 bits of address, but tables of four levels: not the page at 0 once more. */
	machine.physical_mask = (1ULL << 52) - 1;
	machine.mtrr.physical_bits = 52;
	assert_false(ept_map_missing(&vm, 1ULL << 48));
	assert_false(ept_map_missing(&vm, 1ULL << 48 | VMM_AT));
	assert_true(ept_map_missing(&vm, (1ULL << 48) - 1));
	check_machine(8 * SIZE_1G);
}

static void visit_below_limit(const struct leaf *leaf)
{
	assert_true(leaf->guest + leaf->size <= machine.physical_mask + 1);
	visit_machine(leaf);
}

/*
 * Firmware reserves addresses that the processor has not, or that four levels do not translate:
 * not the pages at 0 once more, and no tables for the terabytes below.
 */
TEST(ranges_above_all_addresses)
{
	static const struct {
		unsigned int bits;
		uint64_t reserved;
	} cases[] = { { 39, 1ULL << 39 },
		      { 39, 1ULL << 45 },
		      { 39, 1ULL << 48 },
		      { 52, 1ULL << 48 },
		      { 52, (1ULL << 52) - SIZE_2M },
		      { 46, 1ULL << 45 } };

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set_up(NULL);
		machine.ept_vpid_cap = EPT_CAP_2M;
		machine.physical_mask = (1ULL << cases[i].bits) - 1;
		machine.mtrr.physical_bits = cases[i].bits;
		assert_true(memmap_set(&boot.memmap, cases[i].reserved, SIZE_2M, MEMORY_RESERVED));
		create_machine();
		covered = 0;
		walk_all(visit_below_limit);
		assert_int_equal(covered, 8 * SIZE_1G);
		tear_down(NULL);
	}
}

/* RAM there is none that a guest could have. */
TEST(ram_above_all_addresses)
{
	assert_true(memmap_set(&boot.memmap, SIZE_4G, 1ULL << 40, MEMORY_RAM));
	create_machine();
	covered = 0;
	walk_all(visit_below_limit);
	assert_int_equal(covered, machine.physical_mask + 1);
}

static void set_address_bits(unsigned int bits)
{
	machine.physical_mask = (1ULL << bits) - 1;
	machine.mtrr.physical_bits = bits;
}

static void create_with_ram(uint64_t end)
{
	vm.devices = VM_DEVICES_PASSTHROUGH;
	assert_true(memmap_set(&boot.memmap, 0, 2 * SIZE_1G, MEMORY_RAM));
	/* A window for devices, as large as the RAM below it. */
	assert_true(memmap_set(&boot.memmap, SIZE_4G, end / 2 - SIZE_4G, MEMORY_RAM));
	assert_true(memmap_set(&boot.memmap, end - end / 4, end / 4, MEMORY_RAM));
	ept_create(&vm);
}

/* The largest machine that there are page tables for: 128 entries of the PML4. */
TEST(sixty_four_terabytes)
{
	const uint64_t ram = 64ULL << 40;

	set_address_bits(52);
	create_with_ram(ram);
	check_machine(ram);
	/* PML4, a PDPT for each 512 GiB, and the directory beside the VMM. */
	assert_int_equal(page_count, 1 + ram / (ENTRIES * SIZE_1G) + 1);
	/* A device's 64-bit window in each half of what is left. */
	assert_true(ept_map_missing(&vm, ram));
	assert_true(ept_map_missing(&vm, (200ULL << 40) + 0x5000));
	assert_int_equal(page_count, 1 + ram / (ENTRIES * SIZE_1G) + 1 + 2 * 2);
	check_machine(ram);
}

/* Without pages of 1 GiB: a terabyte's tables take less than a third of what the VMM has. */
TEST(a_terabyte_in_pages_of_2_mib)
{
	const uint64_t ram = 1024 * SIZE_1G;

	machine.ept_vpid_cap = EPT_CAP_2M;
	set_address_bits(46);
	create_with_ram(ram);
	check_machine(ram);
	assert_int_equal(page_count, 1 + 2 + ram / SIZE_1G);
	assert_in_range(page_count * PAGE_SIZE, 1, VMM_SIZE_FIXED / 3);
	assert_true(ept_map_missing(&vm, (1ULL << 46) - 1));
	check_machine(ram);
}

/* MTRRs of a server: PCIe windows above 4 GiB and above 32 TiB are UC, RAM on both sides of one. */
TEST(windows_of_terabytes)
{
	const uint64_t ram = 2048 * SIZE_1G;
	const uint64_t window = 512 * SIZE_1G;

	set_address_bits(46);
	machine.mtrr.variable_count = 2;
	machine.mtrr.variable[0].base = window | MTRR_UC;
	machine.mtrr.variable[0].mask = (~(window - 1) & machine.physical_mask) | MTRR_VALID;
	machine.mtrr.variable[1].base = 1ULL << 45 | MTRR_UC;
	machine.mtrr.variable[1].mask = 1ULL << 45 | MTRR_VALID;
	create_with_ram(ram);
	assert_true(ept_map_missing(&vm, 1ULL << 45));
	check_machine(ram);
	assert_int_equal(page_count, 1 + ram / window + 1 + 2);
}

TEST(machine_pages_cannot_be_unmapped)
{
	create_machine();
	assert_false(ept_unmap_page(&vm, 0x5000));
	assert_false(ept_unmap_page(&vm, VMM_AT));
	check_machine(8 * SIZE_1G);
}

TEST(machine_memory_that_the_vmm_may_touch)
{
	create_machine();
	assert_true(memmap_set(&vm.memmap, 0, 8 * SIZE_1G, MEMORY_RAM));
	assert_true(memmap_set(&vm.memmap, VMM_AT, VMM_SIZE, MEMORY_RESERVED));
	assert_ptr_equal(guest_memory(&vm, 0x5008, 32), (void *)0x5008);
	assert_ptr_equal(guest_memory(&vm, VMM_AT - 8, 8), (void *)(VMM_AT - 8));
	assert_null(guest_memory(&vm, VMM_AT - 8, 9));
	assert_null(guest_memory(&vm, VMM_AT, 1));
	assert_null(guest_memory(&vm, 8 * SIZE_1G - 1, 2));
	assert_null(guest_memory(&vm, ~0ULL, 2));
}

/* ---- A small VM with memory of its own ---- */

#define OWN_GUEST SIZE_1G
#define OWN_HOST  (3 * SIZE_1G - 4 * SIZE_2M)
#define OWN_SIZE  (10 * SIZE_2M)

static uint64_t hole; /* the page that is not mapped */

static void create_own(void)
{
	vm.devices = VM_DEVICES_NONE;
	vm.memory = (struct vm_memory){ .guest_base = OWN_GUEST,
					.host_base = OWN_HOST,
					.size = OWN_SIZE };
	ept_create(&vm);
}

static void visit_own(const struct leaf *leaf)
{
	assert_int_equal(leaf->host - OWN_HOST, leaf->guest - OWN_GUEST);
	assert_int_equal(leaf->type, MTRR_WB);
	if (covered == hole)
		covered += PAGE_SIZE;
	assert_int_equal(leaf->guest, covered);
	covered += leaf->size;
}

static void check_own(uint64_t absent)
{
	covered = OWN_GUEST;
	hole = absent;
	walk_all(visit_own);
	if (covered == hole)
		covered += PAGE_SIZE;
	assert_int_equal(covered, OWN_GUEST + OWN_SIZE);
}

TEST(own_memory)
{
	create_own();
	check_own(0);
	assert_false(ept_is_vmm_memory(&vm, VMM_AT));
}

TEST(page_goes_and_comes_back)
{
	static const uint64_t offsets[] = { 0, 0x5000, SIZE_2M - PAGE_SIZE, SIZE_2M,
					    OWN_SIZE - PAGE_SIZE };

	create_own();
	for (size_t i = 0; i < COUNT_OF(offsets); i++) {
		const uint64_t page = OWN_GUEST + offsets[i];

		assert_true(ept_unmap_page(&vm, page + 0x123));
		assert_int_equal(model.invepts, i + 1);
		check_own(page);
		assert_true(ept_map_missing(&vm, page + 0xfff));
		check_own(0);
	}
}

TEST(nothing_but_own_memory)
{
	static const uint64_t outside[] = { 0,	      OWN_GUEST - 1,	 OWN_GUEST + OWN_SIZE,
					    OWN_HOST, VMM_AT + VMM_SIZE, ~0ULL };

	create_own();
	for (size_t i = 0; i < COUNT_OF(outside); i++) {
		assert_false(ept_map_missing(&vm, outside[i]));
		assert_false(ept_unmap_page(&vm, outside[i]));
	}
	check_own(0);
	assert_int_equal(model.invepts, 0);
}

/* ---- The tables of one guest are not those of all ---- */

/* A page of its own for the APICs, taken and given back while violations come to it. */
TEST(no_table_is_lost_by_a_watched_page)
{
	unsigned int before;

	create_machine();
	model_set_msr(MSR_IA32_APIC_BASE, APIC_PAGE | APIC_BASE_ENABLE);
	ept_limit(&vm, 0);
	before = page_count;
	for (unsigned int i = 0; i < 10000; i++) {
		ept_set_writable(&vm, APIC_PAGE, false);
		assert_true(ept_map_missing(&vm, APIC_PAGE));
		/* Nor does a violation end the watch. */
		assert_int_equal(leaf_at(APIC_PAGE) & EPT_WRITE, 0);
		ept_set_writable(&vm, APIC_PAGE, true);
		assert_true(ept_map_missing(&vm, APIC_PAGE));
	}
	assert_int_equal(page_count, before);
	check_machine(8 * SIZE_1G);
}

/* A touch per GiB above RAM takes a table each. */
TEST(devices_take_no_more_tables_than_the_guest_may_have)
{
	unsigned int before, mapped = 0;

	create_machine();
	ept_limit(&vm, 10);
	before = page_count;
	for (uint64_t gib = 100; gib < 500; gib++)
		mapped += ept_map_missing(&vm, gib * SIZE_1G);
	assert_int_equal(mapped, 10);
	assert_int_equal(page_count, before + 10);
	assert_true(vm.ept_used_up);
	/* What is mapped goes on, and so does what needs no new table. */
	assert_true(ept_map_missing(&vm, 100 * SIZE_1G));
	assert_true(ept_map_missing(&vm, 100 * SIZE_1G + SIZE_2M));
	assert_int_equal(page_count, before + 10);
}

TEST(own_pages_use_their_tables_again)
{
	unsigned int before;

	create_own();
	ept_limit(&vm, 1);
	before = page_count;
	for (unsigned int i = 0; i < 1000; i++) {
		assert_true(ept_unmap_page(&vm, OWN_GUEST + i % ENTRIES * PAGE_SIZE));
		assert_true(ept_map_missing(&vm, OWN_GUEST + i % ENTRIES * PAGE_SIZE));
		/* A second table is one too many; this ends no guest. */
		assert_false(ept_unmap_page(&vm, OWN_GUEST + SIZE_2M));
		assert_false(vm.ept_used_up);
	}
	assert_int_equal(page_count, before + 1);
	check_own(0);
}

TEST(own_memory_that_the_vmm_may_touch)
{
	create_own();
	assert_ptr_equal(guest_memory(&vm, OWN_GUEST, OWN_SIZE), (void *)OWN_HOST);
	assert_ptr_equal(guest_memory(&vm, OWN_GUEST + OWN_SIZE - 1, 1),
			 (void *)(OWN_HOST + OWN_SIZE - 1));
	assert_null(guest_memory(&vm, OWN_GUEST, OWN_SIZE + 1));
	assert_null(guest_memory(&vm, OWN_GUEST + 1, OWN_SIZE));
	assert_null(guest_memory(&vm, OWN_GUEST + 1, ~0ULL));
	assert_null(guest_memory(&vm, OWN_GUEST + OWN_SIZE, 0));
	assert_null(guest_memory(&vm, OWN_GUEST - 1, 1));
}

#define RUN(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(random_machines),
		RUN(random_devices),
		RUN(pages_are_as_large_as_can_be),
		RUN(the_log_is_the_vmms),
		RUN(edges_of_the_vmm),
		RUN(no_addresses_that_the_processor_has_not),
		RUN(ranges_above_all_addresses),
		RUN(ram_above_all_addresses),
		RUN(sixty_four_terabytes),
		RUN(a_terabyte_in_pages_of_2_mib),
		RUN(windows_of_terabytes),
		RUN(machine_pages_cannot_be_unmapped),
		RUN(machine_memory_that_the_vmm_may_touch),
		RUN(own_memory),
		RUN(page_goes_and_comes_back),
		RUN(nothing_but_own_memory),
		RUN(no_table_is_lost_by_a_watched_page),
		RUN(devices_take_no_more_tables_than_the_guest_may_have),
		RUN(own_pages_use_their_tables_again),
		RUN(own_memory_that_the_vmm_may_touch),
		RUN(tables_are_in_memory),
		RUN(registers_that_are_excluded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
