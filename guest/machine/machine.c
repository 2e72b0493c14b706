// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the guest's page tables, GDT, TSS, IDT and stacks, and what its handlers caught.
 */
#include "guest/machine/machine.h"

#include "guest/machine/fred.h"
#include "guest/suite/suite.h"
#include "lib/paging.h"
#include "lib/string.h"

#define ALIGNED_PAGE __attribute__((aligned(PAGE_SIZE)))

#define POOL_PAGES  40
#define STACK_PAGES 4

#define DESCRIPTOR_CODE 0x00209b0000000000ULL /* 64-bit, present, accessed */
#define DESCRIPTOR_DATA 0x0000930000000000ULL
#define DESCRIPTOR_TSS	0x0000890000000000ULL
#define DESCRIPTOR_DPL3 0x0000600000000000ULL

#define GATE_INTERRUPT 0x8eU
#define GATE_DPL3      0x60U
#define GATE_PRESENT   0x80U

struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint8_t ist;
	uint8_t attributes;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t reserved;
};

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_bitmap;
} __attribute__((packed));

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

_Static_assert(sizeof(struct gate) == 16, "SDM 3A, figure 6-8");
_Static_assert(sizeof(struct tss) == 104, "SDM 3A, figure 8-11");

/* guest.ld and boot.asm */
extern const char guest_text[], guest_user_text[], guest_rodata[], guest_data[], guest_end[];
extern const uint64_t exception_stubs[256];
extern const char fragment_left[], main_stack_guard[];
void tables_load(const struct table_pointer *gdt, const struct table_pointer *idt);
void tables_load_second(const struct table_pointer *gdt, const struct table_pointer *idt);
void fragment_run_ring0(const char *code, uint64_t argument);
void fragment_run_ring3(const char *code, uint64_t argument, uint64_t user_rsp, uint64_t rflags);
void guest_exception(struct frame *frame);

static uint8_t pool_pages[POOL_PAGES][PAGE_SIZE] ALIGNED_PAGE;
static struct page_pool pool;
static struct address_space space;

static uint8_t stacks[1 + IST_COUNT][STACK_PAGES][PAGE_SIZE] ALIGNED_PAGE;
uint64_t user_stack[PAGE_SIZE / sizeof(uint64_t)] ALIGNED_PAGE;

uint8_t test_pages[TEST_PAGES][PAGE_SIZE] ALIGNED_PAGE;
uint8_t idt_page[PAGE_SIZE] ALIGNED_PAGE;
uint8_t gdt_page[PAGE_SIZE] ALIGNED_PAGE;
uint8_t tss_page[PAGE_SIZE] ALIGNED_PAGE;

bool is_bare;
struct catcher catcher;
uint64_t catch_resume;
uint64_t kernel_rsp; /* while ring 3 runs */
uint64_t fragment_rsp;

uint64_t *page_entry(const void *page)
{
	uint64_t *table = (uint64_t *)(uintptr_t)space.pml4;

	for (unsigned int shift = 39; shift > 12; shift -= 9) {
		uint64_t *const entry = &table[((uintptr_t)page >> shift) & 0x1ff];

		table = (uint64_t *)(uintptr_t)(*entry & ~(PTE_NO_EXECUTE | PAGE_MASK));
	}
	return &table[((uintptr_t)page >> 12) & 0x1ff];
}

void page_set_rights(const void *page, uint64_t rights)
{
	uint64_t *const entry = page_entry(page);

	*entry = (*entry & ~PTE_RIGHTS) | rights;
	invlpg(page);
}

/* The tables above a page let ring 3 through; the page's own entry decides. */
static void open_tables_to_user(const void *page)
{
	uint64_t *table = (uint64_t *)(uintptr_t)space.pml4;

	for (unsigned int shift = 39; shift > 12; shift -= 9) {
		uint64_t *const entry = &table[((uintptr_t)page >> shift) & 0x1ff];

		*entry |= PTE_USER;
		table = (uint64_t *)(uintptr_t)(*entry & ~(PTE_NO_EXECUTE | PAGE_MASK));
	}
}

static void map(const char *start, const char *end, enum page_rights rights)
{
	const uint64_t address = (uintptr_t)start;

	if (!paging_map(&space, address, address, (uint64_t)(end - start), rights,
			CACHE_WRITE_BACK))
		guest_fail("no memory for page tables");
}

bool page_map_large(uint64_t address)
{
	return paging_map(&space, address, address, SIZE_2M, PAGE_WRITE, CACHE_WRITE_BACK);
}

static void page_tables_init(uint64_t memory_size)
{
	const uint64_t efer = try_rdmsr(MSR_IA32_EFER);

	pool.next = (uintptr_t)pool_pages;
	pool.end = pool.next + sizeof(pool_pages);
	space.pool = &pool;
	space.pml4 = page_pool_take(&pool);
	space.pages_1g = cpuid(0x80000001, 0).edx & CPUID_80000001_EDX_1G;
	/* Page 0 stays unmapped: nobody means it. */
	map((const char *)PAGE_SIZE, guest_text, PAGE_WRITE);
	map(guest_text, guest_rodata, PAGE_EXECUTE);
	map(guest_rodata, guest_data, PAGE_READ);
	map(guest_data, guest_end, PAGE_WRITE);
	map(guest_end, (const char *)(uintptr_t)memory_size, PAGE_WRITE);
	try_wrmsr(MSR_IA32_EFER, efer | EFER_NXE | EFER_SCE);
	write_cr0(read_cr0() | CR0_WP);
	write_cr3(space.pml4);

	page_set_rights(main_stack_guard, 0);
	open_tables_to_user(guest_user_text);
	for (const char *page = guest_user_text; page < guest_rodata; page += PAGE_SIZE)
		page_set_rights(page, PTE_CODE | PTE_USER);
	page_set_rights(user_stack, PTE_DATA | PTE_USER);
}

uint8_t *stack_top_page(enum ist ist)
{
	return stacks[ist][STACK_PAGES - 1];
}

void gate_set_handler(unsigned int vector, uint64_t handler)
{
	struct gate *const gate = &((struct gate *)idt_page)[vector];

	gate->offset_low = (uint16_t)handler;
	gate->offset_middle = (uint16_t)(handler >> 16);
	gate->offset_high = (uint32_t)(handler >> 32);
}

void gate_set_present(unsigned int vector, bool present)
{
	struct gate *const gate = &((struct gate *)idt_page)[vector];

	gate->attributes = (uint8_t)(gate->attributes & ~GATE_PRESENT);
	if (present)
		gate->attributes |= GATE_PRESENT;
}

void gate_set_ist(unsigned int vector, enum ist ist)
{
	((struct gate *)idt_page)[vector].ist = (uint8_t)ist;
}

static void gates_init(void)
{
	struct gate *const gates = (struct gate *)idt_page;

	for (unsigned int vector = 0; vector < 256; vector++) {
		gates[vector].selector = SELECTOR_KERNEL_CODE;
		gates[vector].attributes = GATE_INTERRUPT;
		gate_set_handler(vector, exception_stubs[vector]);
	}
	gates[VECTOR_BP].attributes |= GATE_DPL3;
	gates[VECTOR_SOFTWARE].attributes |= GATE_DPL3;
	gates[VECTOR_USER_LEAVE].attributes |= GATE_DPL3;
	gate_set_ist(VECTOR_DF, IST_DOUBLE_FAULT);
	gate_set_ist(VECTOR_NMI, IST_NMI);
}

static const struct table_pointer gdt_pointer = { SELECTOR_TSS + 15, (uintptr_t)gdt_page };
static const struct table_pointer idt_pointer = { PAGE_SIZE - 1, (uintptr_t)idt_page };

static void segments_init(void)
{
	uint64_t *const gdt = (uint64_t *)gdt_page;
	struct tss *const tss = (struct tss *)tss_page;
	const uint64_t base = (uintptr_t)tss;

	tss->rsp[0] = (uintptr_t)stack_top_page(IST_NONE) + PAGE_SIZE;
	for (unsigned int ist = 1; ist <= IST_COUNT; ist++)
		tss->ist[ist - 1] = (uintptr_t)stack_top_page((enum ist)ist) + PAGE_SIZE;
	tss->io_bitmap = sizeof(*tss);
	gdt[SELECTOR_KERNEL_CODE / 8] = DESCRIPTOR_CODE;
	gdt[SELECTOR_KERNEL_DATA / 8] = DESCRIPTOR_DATA;
	gdt[SELECTOR_USER_DATA / 8] = DESCRIPTOR_DATA | DESCRIPTOR_DPL3;
	gdt[SELECTOR_USER_CODE / 8] = DESCRIPTOR_CODE | DESCRIPTOR_DPL3;
	gdt[SELECTOR_TSS / 8] = DESCRIPTOR_TSS | (sizeof(*tss) - 1) | (base & 0xffffff) << 16 |
				(base >> 24 & 0xff) << 56;
	gdt[SELECTOR_TSS / 8 + 1] = base >> 32;
	tables_load(&gdt_pointer, &idt_pointer);
	try_wrmsr(MSR_IA32_STAR, STAR_OF_GUEST);
}

void machine_init(uint64_t memory_size, bool bare)
{
	if (memory_size < (uintptr_t)guest_end)
		guest_fail("too little memory");
	gates_init();
	segments_init();
	page_tables_init(memory_size);
	is_bare = bare;
	if (bare)
		apic_init();
}

/* What machine_init() and the tests have given the first processor. */
static struct {
	uint64_t cr0, cr3, cr4, efer;
} registers_of_first;

void machine_prepare_second(void)
{
	registers_of_first.cr0 = read_cr0();
	registers_of_first.cr3 = read_cr3();
	registers_of_first.cr4 = read_cr4();
	registers_of_first.efer = read_msr(MSR_IA32_EFER);
}

void machine_init_second(void)
{
	write_msr(MSR_IA32_EFER, registers_of_first.efer);
	write_cr4(registers_of_first.cr4);
	write_cr3(registers_of_first.cr3);
	write_cr0(registers_of_first.cr0);
	tables_load_second(&gdt_pointer, &idt_pointer);
}

void catch_begin(void)
{
	catcher = (struct catcher){ .armed = true };
	catch_resume = 0;
	write_dr6(DR6_RESET);
	write_cr2(0);
}

unsigned int catch_end(void)
{
	catcher.armed = false;
	catch_resume = 0;
	return catcher.count;
}

bool has_breakpoints(void)
{
	uint64_t address;

	catch_begin();
	asm volatile("leaq 1f(%%rip), %0\n\tmovq %0, %%dr0\n\tmovq %1, %%dr7\n\tnop\n1:\tnop"
		     : "=&r"(address)
		     : "r"(DR7_RESET | DR7_L0)
		     : "memory");
	write_dr7(DR7_RESET);
	return catch_end() != 0;
}

uint64_t user_stack_top(void)
{
	return (uintptr_t)user_stack + sizeof(user_stack);
}

void fragment_run(unsigned int ring, const struct fragment *fragment, uint64_t argument)
{
	uint64_t *const return_address = (uint64_t *)user_stack_top() - 1;
	const bool with_fred = read_cr4() & CR4_FRED;

	catch_resume = (uintptr_t)fragment->next;
	*return_address = (uintptr_t)user_leave;
	if (ring == 0)
		(with_fred ? fred_run_ring0 : fragment_run_ring0)(fragment->code, argument);
	else
		(with_fred ? fred_run_ring3 : fragment_run_ring3)(fragment->code, argument,
								  (uintptr_t)return_address,
								  RFLAGS_RESERVED | RFLAGS_IF);
}

/* Go on behind fragment_run_ring3(). */
static void leave_user(struct frame *frame)
{
	frame->rip = (uintptr_t)fragment_left;
	frame->cs = SELECTOR_KERNEL_CODE;
	frame->rflags = RFLAGS_RESERVED;
	frame->rsp = kernel_rsp;
	frame->ss = SELECTOR_KERNEL_DATA;
}

/* Called by boot.asm for all vectors. */
void guest_exception(struct frame *frame)
{
	struct caught *const caught = &catcher.events[catcher.count];

	if (frame->vector == VECTOR_USER_LEAVE && (frame->cs & 3)) {
		leave_user(frame);
		return;
	}
	if (!catcher.armed || catcher.count == CAUGHT_MAX)
		guest_unexpected(frame);
	caught->frame = *frame;
	caught->frame_address = (uintptr_t)frame;
	caught->cr2 = read_cr2();
	caught->dr6 = read_dr6();
	caught->dr7 = read_dr7();
	catcher.count++;
	if (frame->vector == VECTOR_DB)
		/* One step is enough; and a breakpoint must not be met again (SDM 3B, 18.3.1.1). */
		frame->rflags = (frame->rflags & ~RFLAGS_TF) | RFLAGS_RF;
	if (catch_resume != 0)
		frame->rip = catch_resume;
	catch_resume = 0;
	if (catcher.hook)
		catcher.hook(frame);
}
