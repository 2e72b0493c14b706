// SPDX-License-Identifier: BSD-2-Clause
/* Pages that the EPT has lost: each access maps one again, and nothing else is seen of it. */
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"

#define VALUE	 0x1122334455667788ULL
#define CODE_RET 0xc3

static uint64_t violations_before;

static volatile uint64_t *prepare(void)
{
	volatile uint64_t *const value = (volatile uint64_t *)test_pages[0];

	*value = VALUE;
	violations_before = exits(EXIT_REASON_EPT_VIOLATION);
	return value;
}

static void check_violations(uint64_t expected)
{
	check_equal("EPT violations", exits(EXIT_REASON_EPT_VIOLATION) - violations_before,
		    expected);
}

static void mapped(uint64_t argument)
{
	volatile uint64_t *const value = prepare();

	(void)argument;
	*value = *value + 1;
	check_violations(0);
}

static void read(uint64_t argument)
{
	volatile uint64_t *const value = prepare();

	(void)argument;
	ept_unmap(test_pages[0]);
	check_equal("value", *value, VALUE);
	check_equal("value, read again", *value, VALUE);
	check_violations(1);
}

static void write(uint64_t argument)
{
	volatile uint64_t *const value = prepare();

	(void)argument;
	ept_unmap(test_pages[0]);
	value[1] = 1;
	check_equal("value before it", value[0], VALUE);
	check_equal("value written", value[1], 1);
	check_violations(1);
}

static void read_modify_write(uint64_t argument)
{
	volatile uint64_t *const value = prepare();

	(void)argument;
	ept_unmap(test_pages[0]);
	asm volatile("lock incq %0" : "+m"(*value));
	check_equal("value", *value, VALUE + 1);
	check_violations(1);
}

static void fetch(uint64_t argument)
{
	(void)argument;
	test_pages[0][0] = CODE_RET;
	page_set_rights(test_pages[0], PTE_CODE);
	violations_before = exits(EXIT_REASON_EPT_VIOLATION);
	ept_unmap(test_pages[0]);
	((void (*)(void))(uintptr_t)test_pages[0])();
	page_set_rights(test_pages[0], PTE_DATA);
	check_violations(1);
}

static void across_two_pages(uint64_t argument)
{
	uint8_t *const middle = &test_pages[1][0] - sizeof(uint32_t);
	uint64_t value;

	(void)argument;
	asm volatile("movq %1, (%0)" : : "r"(middle), "r"(VALUE) : "memory");
	prepare();
	ept_unmap(test_pages[0]);
	ept_unmap(test_pages[1]);
	asm volatile("movq (%1), %0" : "=r"(value) : "r"(middle) : "memory");
	check_equal("value", value, VALUE);
	check_violations(2);
}

static void string_copy_over_pages(uint64_t argument)
{
	const uint8_t *from = test_pages[0];
	uint8_t *to = test_pages[2];
	uint64_t bytes = sizeof(test_pages[0]) * 2;

	(void)argument;
	for (size_t i = 0; i < bytes; i++)
		test_pages[i / PAGE_SIZE][i % PAGE_SIZE] = (uint8_t)(i * 7);
	violations_before = exits(EXIT_REASON_EPT_VIOLATION);
	for (unsigned int i = 0; i < TEST_PAGES; i++)
		ept_unmap(test_pages[i]);
	asm volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(bytes) : : "memory");
	check_violations(TEST_PAGES);
	for (size_t i = 0; i < sizeof(test_pages[0]) * 2; i++)
		if (test_pages[2 + i / PAGE_SIZE][i % PAGE_SIZE] != (uint8_t)(i * 7))
			check_failed("offset of a wrong byte", i);
}

static void page_table(uint64_t argument)
{
	volatile uint64_t *const value = prepare();
	const uint64_t entry = (uintptr_t)page_entry(test_pages[0]);

	(void)argument;
	ept_unmap((const void *)(entry & ~PAGE_MASK));
	check_equal("value", *value, VALUE);
	check_violations(1);
}

static void page_table_root(uint64_t argument)
{
	volatile uint64_t *const value = prepare();

	(void)argument;
	ept_unmap((const void *)read_cr3());
	check_equal("value", *value, VALUE);
	check_violations(1);
}

/* The page is gone for the guest and for the EPT: the guest's own fault comes first, and alone. */
static void guest_fault_first(uint64_t argument)
{
	prepare();
	(void)argument;
	page_set_rights(test_pages[0], PTE_READ_ONLY);
	ept_unmap(test_pages[0]);
	catch_begin();
	asm volatile(TRY("movb $1, (%0)") : : "r"(test_pages[0]) : "r11", "memory");
	expect_event(VECTOR_PF, PF_PRESENT | PF_WRITE);
	check_equal("CR2", catcher.events[0].cr2, (uintptr_t)test_pages[0]);
	check_violations(0);
	page_set_rights(test_pages[0], PTE_DATA);
	check_equal("value", *(volatile uint64_t *)test_pages[0], VALUE);
	check_violations(1);
}

static void own_fault(uint64_t rights)
{
	page_set_rights(test_pages[0], rights);
	catch_begin();
	asm volatile(TRY("movb $1, (%0)") : : "r"(test_pages[0]) : "r11", "memory");
	expect_event(VECTOR_PF, PF_WRITE | (rights & PTE_PRESENT ? PF_PRESENT : 0));
	check_equal("CR2", catcher.events[0].cr2, (uintptr_t)test_pages[0]);
	page_set_rights(test_pages[0], PTE_DATA);
}

extern const char main_stack_guard[];

static void guard_page(uint64_t argument)
{
	(void)argument;
	catch_begin();
	asm volatile(TRY("movb $1, (%0)") : : "r"(main_stack_guard) : "r11", "memory");
	expect_event(VECTOR_PF, PF_WRITE);
}

static const struct test tests[] = {
	{ "mapped_page_exits_not", mapped, 0 },
	{ "read", read, 0 },
	{ "write", write, 0 },
	{ "read_modify_write", read_modify_write, 0 },
	{ "fetch", fetch, 0 },
	{ "across_two_pages", across_two_pages, 0 },
	{ "string_copy_over_pages", string_copy_over_pages, 0 },
	{ "page_table", page_table, 0 },
	{ "page_table_root", page_table_root, 0 },
	{ "guest_fault_comes_first", guest_fault_first, 0 },
	{ "own_page_not_present", own_fault, 0 },
	{ "own_page_read_only", own_fault, PTE_READ_ONLY },
	{ "own_stack_has_guard_page", guard_page, 0 },
};

const struct chapter chapter_ept = CHAPTER("ept", tests);
