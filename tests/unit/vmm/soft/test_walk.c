/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/soft/walk.c: a supervisor's accesses through page tables of 4 and 5 levels. Rights, error
 * codes, accessed and dirty bits as SDM 3A, 5.4 to 5.8 has them.
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "tests/unit/model/model.h"
#include "tests/unit/soft_guest.h"
#include "vmm/host/capabilities.h"
#include "vmm/soft/walk.h"

#define LINEAR	  0xffff888012345678ULL
#define LINEAR_57 0xff11223344556678ULL
#define FRAME	  0x3000ULL

/* Bits of a page fault's error code. */
#define PF_P	1U
#define PF_W	2U
#define PF_RSVD 8U
#define PF_PK	0x20U

static struct guest_paging paging;
static struct event fault;
static void *memory;

struct event event_page_fault(uint32_t error_code, uint64_t linear)
{
	return (struct event){ .type = EVENT_HARDWARE_EXCEPTION,
			       .vector = VECTOR_PF,
			       .error_code = error_code,
			       .event_data = linear };
}

static void set_up_levels(unsigned int levels)
{
	model_reset();
	machine.physical_mask = (1ULL << 46) - 1;
	machine.linear_bits = levels == 5 ? 57 : 48;
	machine.has_1g_pages = true;
	guest_clear(levels);
	paging = (struct guest_paging){ .walks = &guest_walks,
					.cr0 = CR0_PE | CR0_PG | CR0_WP,
					.cr3 = GUEST_CR3,
					.cr4 = CR4_PAE | (levels == 5 ? CR4_LA57 : 0),
					.efer = EFER_LME | EFER_LMA | EFER_NXE };
	memory = NULL;
}

static int set_up(void **state __attribute__((unused)))
{
	set_up_levels(4);
	guest_map(LINEAR, FRAME, ENTRY_P | ENTRY_W);
	return 0;
}

static void expect_ok(uint64_t linear, enum guest_access access, uint64_t physical)
{
	assert_int_equal(guest_walk(&paging, linear, access, &memory, &fault), WALK_OK);
	assert_ptr_equal(memory, guest_ram + physical);
}

static void expect_fault(uint64_t linear, enum guest_access access, uint32_t error)
{
	assert_int_equal(guest_walk(&paging, linear, access, &memory, &fault), WALK_FAULT);
	assert_int_equal(fault.type, EVENT_HARDWARE_EXCEPTION);
	assert_int_equal(fault.vector, VECTOR_PF);
	assert_int_equal(fault.error_code, error);
	assert_int_equal(fault.event_data, linear);
}

/* ---- Where it leads ---- */

TEST(four_levels)
{
	expect_ok(LINEAR, GUEST_READ, FRAME + 0x678);
	/* Bits 63 and 11:0 of CR3 are no address: PCIDs. */
	paging.cr3 |= 1ULL << 63 | 0xfff;
	expect_ok(LINEAR, GUEST_WRITE, FRAME + 0x678);
}

TEST(five_levels)
{
	set_up_levels(5);
	guest_map(LINEAR_57, FRAME, ENTRY_P | ENTRY_W);
	expect_ok(LINEAR_57, GUEST_WRITE, FRAME + 0x678);
	assert_true(*guest_entry(LINEAR_57, 5) & ENTRY_A);
	*guest_entry(LINEAR_57, 5) &= ~ENTRY_P;
	expect_fault(LINEAR_57, GUEST_READ, 0);
}

TEST(large_pages)
{
	/* The first 2 MiB, the first 1 GiB; PAT is bit 12. */
	*guest_entry(0x40004567, 2) = ENTRY_P | ENTRY_W | ENTRY_PS | 1ULL << 12;
	expect_ok(0x40004567, GUEST_WRITE, 0x4567);
	assert_int_equal(*guest_entry(0x40004567, 2),
			 ENTRY_P | ENTRY_W | ENTRY_PS | 1ULL << 12 | ENTRY_A | ENTRY_D);
	*guest_entry(0x80000000, 3) = ENTRY_P | ENTRY_PS;
	expect_ok(0x8002a001, GUEST_READ, 0x2a001);
	expect_fault(0x8002a001, GUEST_WRITE, PF_P | PF_W);
	/* Not every processor has those of 1 GiB. */
	machine.has_1g_pages = false;
	expect_fault(0x8002a001, GUEST_READ, PF_P | PF_RSVD);
}

TEST(no_memory)
{
	guest_map(LINEAR, GUEST_RAM, ENTRY_P | ENTRY_W);
	assert_int_equal(guest_walk(&paging, LINEAR, GUEST_READ, &memory, &fault), WALK_NO_MEMORY);
	for (unsigned int level = 2; level <= 4; level++) {
		set_up(NULL);
		*guest_entry(LINEAR, level) = GUEST_RAM | TABLE_ENTRY;
		assert_int_equal(guest_walk(&paging, LINEAR, GUEST_READ, &memory, &fault),
				 WALK_NO_MEMORY);
	}
	paging.cr3 = machine.physical_mask & ~PAGE_MASK;
	assert_int_equal(guest_walk(&paging, LINEAR, GUEST_READ, &memory, &fault), WALK_NO_MEMORY);
}

/* ---- Faults ---- */

TEST(not_present_at_any_level)
{
	for (unsigned int level = 1; level <= 4; level++) {
		set_up(NULL);
		*guest_entry(LINEAR, level) &= ~ENTRY_P;
		/* All other bits are the guest's: reserved ones are not looked at. */
		*guest_entry(LINEAR, level) |= 0x000fc00000000000ULL;
		expect_fault(LINEAR, GUEST_READ, 0);
		expect_fault(LINEAR, GUEST_WRITE, PF_W);
	}
}

/* Entries whose bits are reserved (SDM 3A, tables 5-15 to 5-20), of MAXPHYADDR 46. */
static const struct {
	unsigned int level;
	uint64_t bits;
	bool reserved;
} reserved_rows[] = {
	{ 1, 1ULL << 46, true },
	{ 2, 1ULL << 46, true },
	{ 3, 1ULL << 51, true },
	{ 4, 1ULL << 51, true },
	{ 4, ENTRY_PS, true },
	{ 3, ENTRY_PS | 1ULL << 13, true },
	{ 3, ENTRY_PS | 1ULL << 29, true },
	{ 2, ENTRY_PS | 1ULL << 13, true },
	{ 2, ENTRY_PS | 1ULL << 20, true },
	/* In the last level bit 7 is PAT; bits 52 to 58 and 8 to 11 are software's. */
	{ 1, ENTRY_PS | 0x07f0000000000f00ULL, false },
	{ 2, 0x07f0000000000f00ULL, false },
	{ 4, 0x07f0000000000f00ULL, false },
	/* Not execute: no matter for data. */
	{ 1, ENTRY_NX, false },
	{ 4, ENTRY_NX, false },
};

TEST(reserved_bits)
{
	for (size_t i = 0; i < COUNT_OF(reserved_rows); i++) {
		set_up(NULL);
		*guest_entry(LINEAR, reserved_rows[i].level) |= reserved_rows[i].bits;
		if (reserved_rows[i].bits & ENTRY_PS && reserved_rows[i].level > 1)
			*guest_entry(LINEAR, reserved_rows[i].level) &=
				~(ENTRY_ADDRESS & ~reserved_rows[i].bits);
		if (reserved_rows[i].reserved)
			expect_fault(LINEAR, GUEST_WRITE, PF_P | PF_W | PF_RSVD);
		else
			expect_ok(LINEAR, GUEST_WRITE, FRAME + 0x678);
	}
}

TEST(no_execute_is_reserved_without_nxe)
{
	for (unsigned int level = 1; level <= 4; level++) {
		set_up(NULL);
		paging.efer &= ~EFER_NXE;
		*guest_entry(LINEAR, level) |= ENTRY_NX;
		expect_fault(LINEAR, GUEST_READ, PF_P | PF_RSVD);
	}
}

TEST(read_only_at_any_level)
{
	for (unsigned int level = 1; level <= 4; level++) {
		set_up(NULL);
		*guest_entry(LINEAR, level) &= ~ENTRY_W;
		expect_ok(LINEAR, GUEST_READ, FRAME + 0x678);
		expect_fault(LINEAR, GUEST_WRITE, PF_P | PF_W);
		paging.cr0 &= ~CR0_WP;
		expect_ok(LINEAR, GUEST_WRITE, FRAME + 0x678);
	}
}

TEST(user_pages_and_smap)
{
	guest_map(LINEAR, FRAME, ENTRY_P | ENTRY_W | ENTRY_U);
	expect_ok(LINEAR, GUEST_WRITE, FRAME + 0x678);
	/* SMEP is about fetches. */
	paging.cr4 |= CR4_SMEP;
	expect_ok(LINEAR, GUEST_WRITE, FRAME + 0x678);
	paging.cr4 |= CR4_SMAP;
	expect_fault(LINEAR, GUEST_READ, PF_P);
	expect_fault(LINEAR, GUEST_WRITE, PF_P | PF_W);
	paging.smap_suspended = true;
	expect_ok(LINEAR, GUEST_READ, FRAME + 0x678);
	paging.smap_suspended = false;
	/* A user page is one that all levels make one. */
	for (unsigned int level = 1; level <= 4; level++) {
		*guest_entry(LINEAR, level) &= ~ENTRY_U;
		expect_ok(LINEAR, GUEST_WRITE, FRAME + 0x678);
		*guest_entry(LINEAR, level) |= ENTRY_U;
	}
}

TEST(protection_keys)
{
	const unsigned int key = 11;

	guest_map(LINEAR, FRAME, ENTRY_P | ENTRY_W | ENTRY_U | ENTRY_KEY(key));
	model.pkru = ~0U;
	expect_ok(LINEAR, GUEST_WRITE, FRAME + 0x678); /* CR4.PKE = 0 */
	paging.cr4 |= CR4_PKE;
	expect_fault(LINEAR, GUEST_READ, PF_P | PF_PK);
	expect_fault(LINEAR, GUEST_WRITE, PF_P | PF_W | PF_PK);
	model.pkru = 2U << 2 * key;
	expect_ok(LINEAR, GUEST_READ, FRAME + 0x678);
	expect_fault(LINEAR, GUEST_WRITE, PF_P | PF_W | PF_PK);
	paging.cr0 &= ~CR0_WP;
	expect_ok(LINEAR, GUEST_WRITE, FRAME + 0x678);
	model.pkru = ~(3U << 2 * key);
	expect_ok(LINEAR, GUEST_WRITE, FRAME + 0x678);
	/* Keys are those of user pages. */
	model.pkru = ~0U;
	*guest_entry(LINEAR, 1) &= ~ENTRY_U;
	expect_ok(LINEAR, GUEST_WRITE, FRAME + 0x678);
}

/* ---- Accessed and dirty ---- */

TEST(reading_sets_accessed)
{
	expect_ok(LINEAR, GUEST_READ, FRAME + 0x678);
	for (unsigned int level = 1; level <= 4; level++)
		assert_int_equal(*guest_entry(LINEAR, level) & (ENTRY_A | ENTRY_D), ENTRY_A);
}

TEST(writing_sets_dirty_in_the_last)
{
	expect_ok(LINEAR, GUEST_WRITE, FRAME + 0x678);
	assert_int_equal(*guest_entry(LINEAR, 1), FRAME | ENTRY_P | ENTRY_W | ENTRY_A | ENTRY_D);
	for (unsigned int level = 2; level <= 4; level++)
		assert_int_equal(*guest_entry(LINEAR, level) & (ENTRY_A | ENTRY_D), ENTRY_A);
}

TEST(a_refused_write_leaves_no_dirty_bit)
{
	*guest_entry(LINEAR, 1) &= ~ENTRY_W;
	expect_fault(LINEAR, GUEST_WRITE, PF_P | PF_W);
	assert_false(*guest_entry(LINEAR, 1) & ENTRY_D);
}

/* ---- Tables that change while they are walked ---- */

static unsigned int uses_left;
static uint64_t *changing;
static uint64_t change;

static void change_once(uint64_t physical __attribute__((unused)))
{
	if (uses_left-- == 0)
		*changing = change;
}

/* After `uses` of memory: entries are uses 0 to 3, each read right after its use. */
static void change_after(unsigned int uses, uint64_t *entry, uint64_t value)
{
	uses_left = uses;
	changing = entry;
	change = value;
	guest_hook = change_once;
}

TEST(unmapped_after_it_was_read)
{
	change_after(3, guest_entry(LINEAR, 2), 0);
	expect_fault(LINEAR, GUEST_WRITE, PF_W);
	/* No bit was set in an entry that had become another. */
	assert_int_equal(*guest_entry(LINEAR, 2), 0);
}

TEST(mapped_elsewhere_after_it_was_read)
{
	uint64_t *const top = guest_entry(LINEAR, 4);
	uint64_t *const leaf = guest_entry(LINEAR, 1);
	const uint64_t old = *top;

	/* Another table at level 3, empty but for the same entry. */
	memcpy(guest_ram + 0x8000, guest_ram + (old & ENTRY_ADDRESS), PAGE_SIZE);
	change_after(2, top, 0x8000 | TABLE_ENTRY);
	expect_ok(LINEAR, GUEST_WRITE, FRAME + 0x678);
	assert_int_equal(*top, 0x8000 | TABLE_ENTRY | ENTRY_A);
	assert_true(*leaf & ENTRY_D);
}

TEST(bits_that_others_set_are_kept)
{
	uint64_t *const entry = guest_entry(LINEAR, 3);
	const uint64_t other = 1ULL << 9;

	change_after(3, entry, *entry | other);
	expect_ok(LINEAR, GUEST_READ, FRAME + 0x678);
	assert_int_equal(*entry & (other | ENTRY_A), other | ENTRY_A);
}

TEST(a_table_that_maps_itself)
{
	/* The same entry at all four levels. */
	uint64_t *const self = (uint64_t *)(guest_ram + GUEST_CR3) + 511;

	*self = GUEST_CR3 | ENTRY_P | ENTRY_W;
	expect_ok(0xffffffffffffff08ULL, GUEST_WRITE, GUEST_CR3 + 0xf08);
	assert_int_equal(*self, GUEST_CR3 | ENTRY_P | ENTRY_W | ENTRY_A | ENTRY_D);
}

/* ---- Walks that are kept ---- */

static void expect_kept(uint64_t linear, enum guest_access access, uint64_t physical)
{
	/* The first sets bits, the second finds them set. */
	expect_ok(linear, access, physical);
	expect_ok(linear, access, physical);
	assert_ptr_equal(guest_walk_again(&paging, linear, access), guest_ram + physical);
}

TEST(kept_as_long_as_its_entries_are_the_same)
{
	for (unsigned int levels = 4; levels <= 5; levels++)
		for (unsigned int level = 1; level <= levels; level++) {
			set_up_levels(levels);
			guest_map(LINEAR_57, FRAME, ENTRY_P | ENTRY_W);
			expect_kept(LINEAR_57, GUEST_WRITE, FRAME + 0x678);
			*guest_entry(LINEAR_57, level) &= ~ENTRY_P;
			assert_null(guest_walk_again(&paging, LINEAR_57, GUEST_WRITE));
			expect_fault(LINEAR_57, GUEST_WRITE, PF_W);
			*guest_entry(LINEAR_57, level) |= ENTRY_P;
			expect_kept(LINEAR_57, GUEST_WRITE, FRAME + 0x678);
		}
}

TEST(kept_for_one_page_one_cr3_and_one_access)
{
	const uint64_t same_slot = LINEAR + WALKS_KEPT * PAGE_SIZE;

	guest_map(same_slot, 0x9000, ENTRY_P | ENTRY_W);
	expect_kept(LINEAR, GUEST_READ, FRAME + 0x678);
	assert_null(guest_walk_again(&paging, LINEAR, GUEST_WRITE));
	assert_null(guest_walk_again(&paging, same_slot, GUEST_READ));
	paging.cr3 += 1;
	assert_null(guest_walk_again(&paging, LINEAR, GUEST_READ));
	paging.cr3 -= 1;
	expect_kept(same_slot, GUEST_READ, 0x9678);
	assert_null(guest_walk_again(&paging, LINEAR, GUEST_READ));
	guest_forget_walks(&guest_walks);
	assert_null(guest_walk_again(&paging, same_slot, GUEST_READ));
}

TEST(not_kept_when_there_are_rights_to_check)
{
	/* A user's page is kept for instructions only, which have been fetched already. */
	*guest_entry(LINEAR, 1) |= ENTRY_U;
	expect_ok(LINEAR, GUEST_READ, FRAME + 0x678);
	expect_ok(LINEAR, GUEST_READ, FRAME + 0x678);
	assert_null(guest_walk_again(&paging, LINEAR, GUEST_READ));
	paging.cr4 |= CR4_SMAP;
	expect_fault(LINEAR, GUEST_READ, PF_P);
	expect_kept(LINEAR, GUEST_REFETCH, FRAME + 0x678);
	/* Writable only because CR0.WP is 0. */
	paging.cr4 &= ~CR4_SMAP;
	*guest_entry(LINEAR, 1) = FRAME | ENTRY_P;
	paging.cr0 &= ~CR0_WP;
	expect_ok(LINEAR, GUEST_WRITE, FRAME + 0x678);
	expect_ok(LINEAR, GUEST_WRITE, FRAME + 0x678);
	assert_null(guest_walk_again(&paging, LINEAR, GUEST_WRITE));
}

TEST(large_pages_are_kept_by_the_small_page)
{
	*guest_entry(0x40004567, 2) = ENTRY_P | ENTRY_W | ENTRY_PS;
	expect_kept(0x40004567, GUEST_WRITE, 0x4567);
	expect_kept(0x4000a123, GUEST_WRITE, 0xa123);
	*guest_entry(0x40004567, 2) &= ~ENTRY_W;
	expect_fault(0x40004567, GUEST_WRITE, PF_P | PF_W);
}

TEST(partial_registers_do_for_what_is_kept_only)
{
	expect_kept(LINEAR, GUEST_READ, FRAME + 0x678);
	paging = (struct guest_paging){ .walks = &guest_walks, .cr3 = GUEST_CR3, .partial = true };
	expect_ok(LINEAR, GUEST_READ, FRAME + 0x678);
	assert_int_equal(guest_walk(&paging, LINEAR, GUEST_WRITE, &memory, &fault), WALK_PARTIAL);
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(four_levels),
		RUN(five_levels),
		RUN(large_pages),
		RUN(no_memory),
		RUN(not_present_at_any_level),
		RUN(reserved_bits),
		RUN(no_execute_is_reserved_without_nxe),
		RUN(read_only_at_any_level),
		RUN(user_pages_and_smap),
		RUN(protection_keys),
		RUN(reading_sets_accessed),
		RUN(writing_sets_dirty_in_the_last),
		RUN(a_refused_write_leaves_no_dirty_bit),
		RUN(unmapped_after_it_was_read),
		RUN(mapped_elsewhere_after_it_was_read),
		RUN(bits_that_others_set_are_kept),
		RUN(a_table_that_maps_itself),
		RUN(kept_as_long_as_its_entries_are_the_same),
		RUN(kept_for_one_page_one_cr3_and_one_access),
		RUN(not_kept_when_there_are_rights_to_check),
		RUN(large_pages_are_kept_by_the_small_page),
		RUN(partial_registers_do_for_what_is_kept_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
