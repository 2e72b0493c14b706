/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/vmx/vtd.c against two units of VT-d, as far as their specification says what registers, queue
 * and tables mean: sound ones, as some firmware leaves them, and ones that lack something or never
 * answer. A unit walks root and context tables in memory, where it may find less than the caches
 * have.
 */
#include "tests/unit/samples.h"
#include "tests/unit/unit.h"
#include "lib/acpi.h"
#include "lib/layout.h"
#include "tests/unit/model/model.h"
#include "vmm/host/apic.h"
#include "vmm/vmx/ept.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/base/mmio.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vtd.h"

#define UNITS	   2
#define FAULTS	   4
#define FAULTS_AT  0x400U
#define TE	   (1U << 31)
#define SRTP	   (1U << 30)
#define WBF	   (1U << 27)
#define QIE	   (1U << 26)
#define IRE	   (1U << 25)
#define CFI	   (1U << 23)
#define ONE_TIME   (SRTP | WBF)
#define CAP	   (4ULL << 8 | FAULTS_AT / 16ULL << 24 | 3ULL << 34 | (FAULTS - 1ULL) << 40)
#define CAP_DRAIN  (3ULL << 54)
#define ECAP	   3ULL
#define RSDP_AT	   0x10000ULL
#define XSDT_AT	   0x40
#define DMAR_AT	   0x100
#define PAGES_MAX  32
#define VMM_BASE_P 0x30000000ULL
#define VMM_SIZE_P 0x1000000ULL

static struct unit {
	uint64_t cap, ecap, rtaddr, root, iqa;
	uint32_t status, fsts, fectl, pmen, iqh, iqt;
	uint32_t deaf;	   /* commands that it never carries out */
	bool queue_dead;   /* what is in the queue stays there */
	bool queue_errors; /* and the unit says so */
	uint64_t faults[FAULTS][2];
	bool contexts_fresh, translations_fresh; /* invalidated since the root was set */
	uint64_t invalidated_with;		 /* the descriptor */
} units[UNITS];
static const uint64_t bases[UNITS] = { DMAR_GRAPHICS_UNIT, DMAR_OTHER_UNIT };
static uint8_t tables[0x400];
static struct boot_info boot;
static struct vm vm;
static bool locked_x2apic;
static uint8_t *pages[PAGES_MAX];
static unsigned int page_count;
static struct {
	uint64_t base, size;
} excluded[8];
static unsigned int excluded_count;

/* ---- What the VMM has ---- */

void *page_alloc(void)
{
	uint8_t *const page = aligned_alloc(PAGE_SIZE, 2 * PAGE_SIZE);

	assert_true(page && page_count < PAGES_MAX);
	memset(page, 0, PAGE_SIZE);
	memset(page + PAGE_SIZE, 0xff, PAGE_SIZE); /* memory, in which the caches are not yet */
	pages[page_count++] = page;
	return page;
}

uint64_t virt_to_phys(const void *address)
{
	return (uintptr_t)address;
}

static void write_line_back(const void *line)
{
	memcpy((uint8_t *)(uintptr_t)line + PAGE_SIZE, line, 64);
}

volatile void *mmio_map(uint64_t address, uint64_t size)
{
	for (unsigned int i = 0; i < UNITS; i++)
		if (address == bases[i]) {
			assert_int_equal(size % PAGE_SIZE, 0);
			return &units[i];
		}
	fail_msg("no unit at 0x%llx", (unsigned long long)address);
	return NULL;
}

static const void *map_tables(uint64_t physical, size_t size)
{
	const uint64_t start = physical - RSDP_AT;

	return start < sizeof(tables) && size <= sizeof(tables) - start ? tables + start : NULL;
}

uint64_t ept_machine_end(const struct boot_info *of __attribute__((unused)))
{
	return 4 * SIZE_1G;
}

bool apic_is_locked_x2apic(void)
{
	return locked_x2apic;
}

void ept_exclude(uint64_t base, uint64_t size)
{
	assert_true(excluded_count < COUNT_OF(excluded));
	excluded[excluded_count].base = base;
	excluded[excluded_count++].size = size;
}

/* ---- A unit ---- */

static const uint64_t *memory_of(const struct unit *unit, uint64_t physical)
{
	return (const uint64_t *)(uintptr_t)(physical + (unit->ecap & 1 ? 0 : PAGE_SIZE));
}

static void carry_out_queue(struct unit *unit)
{
	for (; unit->iqh != unit->iqt; unit->iqh += 16) {
		const uint64_t *const descriptor =
			(const uint64_t *)(uintptr_t)(unit->iqa + unit->iqh);

		assert_true(unit->status & QIE);
		switch (descriptor[0] & 0xf) {
		case 1:
			assert_int_equal(descriptor[0], 0x11);
			unit->contexts_fresh = true;
			break;
		case 2:
			/* Translations last: they depend on contexts. */
			assert_true(unit->contexts_fresh);
			assert_int_equal(descriptor[0] & ~0xc0ULL, 0x12);
			unit->invalidated_with = descriptor[0];
			unit->translations_fresh = true;
			break;
		case 5:
			assert_int_equal(descriptor[0] & 0xffffffff, 0x25);
			assert_int_equal(descriptor[1] & 3, 0);
			*(uint32_t *)(uintptr_t)descriptor[1] = (uint32_t)(descriptor[0] >> 32);
			break;
		default:
			fail_msg("descriptor 0x%llx", (unsigned long long)descriptor[0]);
		}
	}
}

static void switch_on(struct unit *unit, uint32_t bit)
{
	if (bit == SRTP) {
		assert_false(unit->status & TE);
		unit->root = unit->rtaddr;
		unit->contexts_fresh = unit->translations_fresh = false;
	}
	if (bit == QIE)
		assert_int_equal(unit->iqt, 0);
	if (bit == TE)
		assert_true((unit->status & SRTP) && unit->contexts_fresh &&
			    unit->translations_fresh);
	unit->status |= bit;
	if (bit == WBF) /* done */
		unit->status &= ~WBF;
}

/* One command at a time; what persists is written again (10.4.4 of the specification). */
static void obey(struct unit *unit, uint32_t value)
{
	const uint32_t persists = unit->status & ~(uint32_t)ONE_TIME;
	const uint32_t changed = (value & ~(uint32_t)ONE_TIME) ^ persists;
	const uint32_t command = changed | (value & ONE_TIME);

	assert_int_equal(command & (command - 1), 0);
	if (command == 0)
		return;
	if (command & unit->deaf) {
		if (command == WBF)
			unit->status |= WBF;
		return;
	}
	if (value & command) {
		switch_on(unit, command);
		return;
	}
	unit->status &= ~command;
	if (command == QIE)
		unit->iqh = 0;
}

static struct unit *unit_of(const volatile void *registers)
{
	return (struct unit *)(uintptr_t)registers;
}

uint32_t mmio_read_32(const volatile void *registers, uint32_t offset)
{
	const struct unit *const unit = unit_of(registers);

	switch (offset) {
	case 0x1c:
		return unit->status;
	case 0x34:
		return unit->fsts;
	case 0x64:
		return unit->pmen;
	case 0x80:
		return unit->iqh;
	case 0x88:
		return unit->iqt;
	default:
		fail_msg("read of 0x%x", offset);
		return 0;
	}
}

uint64_t mmio_read_64(const volatile void *registers, uint32_t offset)
{
	const struct unit *const unit = unit_of(registers);

	if (offset == 0x08)
		return unit->cap;
	if (offset == 0x10)
		return unit->ecap;
	assert_in_range(offset, FAULTS_AT, FAULTS_AT + sizeof(unit->faults) - 8);
	return unit->faults[(offset - FAULTS_AT) / 16][offset / 8 % 2];
}

void mmio_write_32(volatile void *registers, uint32_t offset, uint32_t value)
{
	struct unit *const unit = unit_of(registers);

	switch (offset) {
	case 0x18:
		obey(unit, value);
		return;
	case 0x34:
		unit->fsts &= ~(value & 0x7dU);
		return;
	case 0x38:
		unit->fectl = value;
		return;
	case 0x64:
		if (!(unit->deaf & 1U))
			unit->pmen = value >> 31;
		return;
	default:
		assert_in_range(offset, FAULTS_AT, FAULTS_AT + sizeof(unit->faults) - 4);
		assert_int_equal(offset % 16, 12);
		assert_int_equal(value, 1U << 31);
		unit->faults[(offset - FAULTS_AT) / 16][1] &= ~(1ULL << 63);
	}
}

void mmio_write_64(volatile void *registers, uint32_t offset, uint64_t value)
{
	struct unit *const unit = unit_of(registers);

	switch (offset) {
	case 0x20:
		assert_int_equal(value & 0xfff, 0); /* legacy mode */
		unit->rtaddr = value;
		return;
	case 0x88:
		assert_int_equal(value % 16, 0);
		assert_true(value < PAGE_SIZE);
		unit->iqt = (uint32_t)value;
		if (unit->status & QIE && unit->queue_errors)
			unit->fsts |= 1U << 4;
		else if ((unit->status & QIE) && !unit->queue_dead)
			carry_out_queue(unit);
		return;
	case 0x90:
		assert_int_equal(value & 0xfff, 0); /* 256 descriptors of 128 bits */
		assert_false(unit->status & QIE);
		unit->iqa = value;
		return;
	default:
		fail_msg("write of 0x%x", offset);
	}
}

/* The second-level table of a requester, as the unit finds it; 0: its requests are refused. */
static uint64_t table_of(const struct unit *unit, unsigned int source)
{
	const uint64_t *const root = memory_of(unit, unit->root) + (source >> 8) * 2;
	const uint64_t *context;

	if (!(root[0] & 1))
		return 0;
	assert_int_equal(root[0] & 0xffe, 0);
	assert_int_equal(root[1], 0);
	context = memory_of(unit, root[0] & ~0xfffULL) + (source & 0xff) * 2;
	if (!(context[0] & 1))
		return 0;
	/* Faults are processed, untranslated requests are translated, all others refused. */
	assert_int_equal(context[0] & 0xffe, 0);
	assert_int_equal(context[1] & 7, 2);		   /* four levels */
	assert_int_equal(context[1] & ~0xffff07ULL, 0);	   /* reserved */
	assert_int_not_equal(context[1] >> 8 & 0xffff, 0); /* 0 is reserved with caching mode */
	return context[0] & ~0xfffULL;
}

/* ---- The machine ---- */

static void put_tables(void)
{
	memset(tables, 0, sizeof(tables));
	memcpy(tables, "RSD PTR ", 8);
	put_8(tables, 15, 2);
	put_32(tables, 20, 36);
	put_64(tables, 24, RSDP_AT + XSDT_AT);
	fix_checksum(tables, 20, 8);
	fix_checksum(tables, 36, 32);
	put_64(tables, XSDT_AT + 36, RSDP_AT + DMAR_AT);
	put_table(tables, XSDT_AT, "XSDT", 44);
	sample_dmar(tables + DMAR_AT);
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	model.on_clflush = write_line_back;
	memset(units, 0, sizeof(units));
	for (unsigned int i = 0; i < UNITS; i++)
		units[i] = (struct unit){ .cap = CAP, .ecap = ECAP };
	memset(&boot, 0, sizeof(boot));
	put_tables();
	boot.rsdp = RSDP_AT;
	boot.vmm_base = VMM_BASE_P;
	boot.vmm_size = VMM_SIZE_P;
	boot.processor_count = 1;
	machine.ept_vpid_cap = 3ULL << 16; /* 2M, 1G */
	locked_x2apic = false;
	excluded_count = 0;
	vm = (struct vm){ .name = "linux", .ept = page_alloc(), .boot = &boot };
	return 0;
}

static int tear_down(void **state __attribute__((unused)))
{
	while (page_count > 0)
		free(pages[--page_count]);
	return 0;
}

/* vmx/vtd.c keeps what it has found: so what is not taken is tested in the order of main(). */
static void expect_unused(const char *why)
{
	char line[160];

	vtd_probe(&boot);
	assert_false(vtd_is_taken());
	assert_int_equal(excluded_count, 0);
	snprintf(line, sizeof(line), "VT-d: not used: %s; devices can reach all memory\n", why);
	assert_string_equal(model.log, line);
	vtd_start(&vm);
	vtd_log_faults();
	assert_string_equal(model.log, line);
	for (unsigned int i = 0; i < UNITS; i++)
		assert_int_equal(units[i].rtaddr, 0);
	tear_down(NULL);
	set_up(NULL);
}

TEST(what_a_unit_may_lack)
{
	units[1].cap = UINT64_MAX;
	expect_unused("a unit does not answer");
	units[1].cap = CAP & ~(4ULL << 8);
	expect_unused("a unit has no tables of four levels");
	units[0].cap = CAP & ~(1ULL << 34);
	expect_unused("a unit has not the page sizes of EPT");
	units[1].cap = CAP & ~(1ULL << 35);
	expect_unused("a unit has not the page sizes of EPT");
	units[1].cap = CAP | 1ULL << 7;
	expect_unused("a unit keeps missing translations (caching mode)");
	units[1].ecap = ECAP & ~2ULL;
	expect_unused("a unit has no queue for invalidation");
	units[0].status = IRE;
	expect_unused("the firmware has interrupt remapping on");
}

TEST(what_the_machine_may_lack)
{
	boot.rsdp = 0;
	expect_unused("the firmware has no table DMAR");
	tables[XSDT_AT + 40]++;
	expect_unused("the firmware has no table DMAR");
	tables[DMAR_AT + 40]++;
	expect_unused("the firmware has no table DMAR");
	put_64(tables, DMAR_AT + DMAR_AT_ALL + 8, 0);
	fix_checksum(tables + DMAR_AT, DMAR_LENGTH, 9);
	expect_unused("a unit has no sound address");
	put_64(tables, DMAR_AT + DMAR_AT_ALL + 8, 0x3fff80000000);
	fix_checksum(tables + DMAR_AT, DMAR_LENGTH, 9);
	expect_unused("a unit has no sound address");
	boot.config.vtd = VTD_OFF;
	expect_unused("vtd = off");
	locked_x2apic = true;
	expect_unused("the guest needs interrupt remapping for its x2APIC");
	boot.processor_count = 2;
	boot.apic_ids[1] = 255;
	expect_unused("the guest needs interrupt remapping for its x2APIC");
	boot.vmm_base = DMAR_RESERVED_END - PAGE_SIZE;
	expect_unused("a device of the firmware uses memory that is not the guest's");
	put_64(tables, DMAR_AT + DMAR_AT_RESERVED + 16, 4 * SIZE_1G);
	fix_checksum(tables + DMAR_AT, DMAR_LENGTH, 9);
	expect_unused("a device of the firmware uses memory that is not the guest's");
}

static void expect_translating(const struct unit *unit)
{
	assert_true(unit->status & TE);
	assert_int_equal(unit->fectl, 1U << 31);
	for (unsigned int source = 0; source < 0x10000; source++)
		assert_int_equal(table_of(unit, source), (uintptr_t)vm.ept);
}

static void expect_started(void)
{
	model.log_length = 0;
	vtd_start(&vm);
	assert_string_equal(model.log,
			    "VT-d: 2 units: the devices reach what guest linux reaches\n");
	for (unsigned int i = 0; i < UNITS; i++)
		expect_translating(&units[i]);
}

TEST(each_source_has_the_tables_of_the_guest)
{
	vtd_probe(&boot);
	assert_true(vtd_is_taken());
	assert_false(machine.tables_in_memory);
	assert_int_equal(excluded_count, 2);
	assert_int_equal(excluded[0].base, DMAR_GRAPHICS_UNIT);
	assert_int_equal(excluded[0].size, PAGE_SIZE);
	assert_int_equal(excluded[1].base, DMAR_OTHER_UNIT);
	assert_int_equal(excluded[1].size, 2 * PAGE_SIZE);
	expect_started();
	assert_int_equal(units[0].invalidated_with, 0x12);
}

/* The EPT uses what it can: a unit need not know more. */
TEST(page_sizes_as_the_processor_has_them)
{
	machine.ept_vpid_cap = 1ULL << 16;
	units[0].cap = CAP & ~(1ULL << 35);
	vtd_probe(&boot);
	expect_started();
}

/* The table says one page, the registers go on. */
TEST(fault_registers_behind_the_first_page)
{
	units[0].cap = (CAP & ~(0x3ffULL << 24)) | 0x100ULL << 24;
	vtd_probe(&boot);
	assert_int_equal(excluded[0].size, 2 * PAGE_SIZE);
}

TEST(drains_what_is_on_its_way)
{
	units[0].cap |= CAP_DRAIN;
	vtd_probe(&boot);
	expect_started();
	assert_int_equal(units[0].invalidated_with, 0xd2);
	assert_int_equal(units[1].invalidated_with, 0x12);
}

TEST(flushes_write_buffers)
{
	units[1].cap |= 1ULL << 4;
	vtd_probe(&boot);
	expect_started();
	units[1].deaf = WBF;
	vtd_start(&vm);
	assert_true(model_logged("the unit at 0xfed91000 does not obey"));
}

/* Every table and descriptor is in memory when the unit looks for it. */
TEST(a_unit_that_does_not_see_the_caches)
{
	units[1].ecap = ECAP & ~1ULL;
	vtd_probe(&boot);
	assert_true(machine.tables_in_memory);
	expect_started();
}

/* Translating for the firmware, by a queue in use; memory protected by address; interrupts in the
 * compatible form let through, which is none of ours. */
TEST(takes_over_from_the_firmware)
{
	static uint64_t its_queue[512] __attribute__((aligned(4096)));

	vtd_probe(&boot);
	for (unsigned int i = 0; i < UNITS; i++) {
		units[i].cap |= 3ULL << 5;
		units[i].status = TE | SRTP | QIE | CFI;
		units[i].iqa = (uintptr_t)its_queue;
		units[i].iqh = units[i].iqt = 0x40;
		units[i].pmen = 1;
		units[i].fsts = 0x03;
		units[i].faults[2][1] = 1ULL << 63 | 5ULL << 32 | 0x10;
	}
	vtd_probe(&boot); /* once more, since it has read what they can do */
	expect_started();
	for (unsigned int i = 0; i < UNITS; i++) {
		assert_int_equal(units[i].pmen, 0);
		assert_true(units[i].status & CFI);
	}
	model.log_length = 0;
	model.log[0] = '\0';
	vtd_log_faults();
	assert_string_equal(model.log, ""); /* the firmware's are not told as the guest's */
}

TEST(a_queue_of_the_firmware_that_is_stuck)
{
	units[0].status = QIE;
	units[0].iqt = 0x40;
	vtd_probe(&boot);
	expect_started();
	/* One that has been switched off keeps its tail. */
	units[0].status &= ~(TE | QIE);
	units[0].iqt = 0x40;
	units[0].iqh = 0;
	expect_started();
}

static void expect_given_up(unsigned int unit)
{
	char line[160];

	vtd_probe(&boot);
	model.log_length = 0;
	vtd_start(&vm);
	snprintf(line, sizeof(line),
		 "VT-d: the unit at 0x%llx does not obey, and all are off: devices can reach all "
		 "memory\n",
		 (unsigned long long)bases[unit]);
	assert_string_equal(model.log, line);
	for (unsigned int i = 0; i < UNITS; i++)
		assert_true(!(units[i].status & TE) || (units[i].deaf & TE));
	/* It stays the VMM's, and nothing is read from it at the end. */
	assert_true(vtd_is_taken());
	units[0].faults[0][1] = 1ULL << 63;
	vtd_log_faults();
	assert_string_equal(model.log, line);
	tear_down(NULL);
	set_up(NULL);
}

TEST(a_unit_that_does_not_obey)
{
	units[1].deaf = SRTP;
	expect_given_up(1);
	units[1].deaf = QIE;
	expect_given_up(1);
	units[0].deaf = TE;
	expect_given_up(0);
	units[1].deaf = TE;
	units[1].status = TE;
	expect_given_up(1);
	units[1].queue_dead = true;
	expect_given_up(1);
	/* The other one still translates for the firmware, which is gone. */
	units[0].deaf = SRTP;
	units[1].status = TE;
	expect_given_up(0);
	units[0].queue_errors = true;
	expect_given_up(0);
	units[0].cap |= 1ULL << 5;
	units[0].pmen = 1;
	units[0].deaf = 1U;
	expect_given_up(0);
}

TEST(faults_are_told_once)
{
	vtd_probe(&boot);
	expect_started();
	units[0].faults[1][0] = 0x3ab45000;
	units[0].faults[1][1] = 1ULL << 63 | 5ULL << 32 | 0x02fa;
	units[1].faults[0][0] = 0x7fff00000000;
	units[1].faults[0][1] = 1ULL << 63 | 1ULL << 62 | 6ULL << 32 | 0xff08;
	units[1].faults[3][1] = 1ULL << 32; /* not valid */
	units[1].fsts = 0x03;
	model.log_length = 0;
	vtd_log_faults();
	assert_string_equal(
		model.log,
		"VT-d: device 02:1f.2: its write to page 0x3ab45000 was refused, reason 5\n"
		"VT-d: device ff:01.0: its read of page 0x7fff00000000 was refused, reason 6\n"
		"VT-d: the unit at 0xfed91000 has refused more than it could record\n");
	model.log_length = 0;
	model.log[0] = '\0';
	vtd_log_faults();
	assert_string_equal(model.log, "");
}

#define RUN(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	/* First those that do not take the units: they are taken for good. */
	const struct CMUnitTest tests[] = {
		RUN(what_a_unit_may_lack),
		RUN(what_the_machine_may_lack),
		RUN(each_source_has_the_tables_of_the_guest),
		RUN(page_sizes_as_the_processor_has_them),
		RUN(fault_registers_behind_the_first_page),
		RUN(drains_what_is_on_its_way),
		RUN(flushes_write_buffers),
		RUN(a_unit_that_does_not_see_the_caches),
		RUN(takes_over_from_the_firmware),
		RUN(a_queue_of_the_firmware_that_is_stuck),
		RUN(a_unit_that_does_not_obey),
		RUN(faults_are_told_once),
	};

	acpi_map = map_tables;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
