/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/soft/engine.c, with the real page walk below it: every event's way in, every check of the two
 * returns and of LKGS, and that what is delivered comes back as it was. The expected values are
 * written out from the FRED specification, chapters 5 and 6, not computed as the engine does.
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "tests/unit/model/model.h"
#include "tests/unit/soft_guest.h"
#include "vmm/host/capabilities.h"
#include "vmm/soft/engine.h"

/* The stacks: a page each, whose page number is that of guest memory. */
#define KERNEL_BASE	 0xffff888000000000ULL
#define STACK_PAGE(n)	 (KERNEL_BASE + (n)*PAGE_SIZE)
#define LEVEL_TOP(level) (STACK_PAGE(1 + (level)) + 0x800)
#define CURRENT_STACK	 STACK_PAGE(5)
#define USER_PAGE	 STACK_PAGE(6)
#define READ_ONLY_PAGE	 STACK_PAGE(7)
#define NO_PAGE		 STACK_PAGE(9)
#define GDT_BASE	 STACK_PAGE(10)
#define LDT_BASE	 STACK_PAGE(12)
#define LAST_PAGE	 0xfffffffffffff000ULL
#define LOW_END		 0x0000800000000000ULL /* the first address that is not canonical */
#define HIGH_START	 0xffff800000000000ULL

#define ENTRY_POINT 0xffffffff81000000ULL
#define RIP	    0xffffffff81234567ULL
#define USER_RIP    0x401234ULL
#define USER_RSP    0x7ffc12345673ULL

#define KERNEL_CS 0x10
#define KERNEL_SS 0x18
#define USER_CS	  0x33
#define USER_CS32 0x23
#define USER_SS	  0x2b
#define STAR	  (0x00230010ULL << 32)

#define CODE64_0 0xa09bU
#define DATA_0	 0xc093U
#define CODE64_3 0xa0fbU
#define CODE32_3 0xc0fbU
#define DATA_3	 0xc0f3U

#define TF 0x100ULL
#define IF 0x200ULL
#define AC 0x40000ULL

static struct soft_cpu cpu, before;
static struct fred_state fred, fred_before;
static uint8_t ram_before[GUEST_RAM];
static struct event fault;

struct event event_exception_error(uint8_t vector, uint32_t error_code)
{
	return (struct event){ .type = EVENT_HARDWARE_EXCEPTION,
			       .vector = vector,
			       .has_error_code = true,
			       .error_code = error_code };
}

struct event event_page_fault(uint32_t error_code, uint64_t linear)
{
	return (struct event){ .type = EVENT_HARDWARE_EXCEPTION,
			       .vector = VECTOR_PF,
			       .has_error_code = true,
			       .error_code = error_code,
			       .event_data = linear };
}

static void map_guest(void)
{
	guest_clear(4);
	for (unsigned int page = 1; page <= 13; page++)
		if (page != 9)
			guest_map(STACK_PAGE(page), page * PAGE_SIZE, ENTRY_P | ENTRY_W);
	*guest_entry(USER_PAGE, 1) |= ENTRY_U;
	*guest_entry(READ_ONLY_PAGE, 1) &= ~ENTRY_W;
	guest_map(LAST_PAGE, 14 * PAGE_SIZE, ENTRY_P | ENTRY_W | ENTRY_NX);
}

static void in_ring0(void)
{
	cpu.cpl = 0;
	cpu.rip = RIP;
	cpu.rsp = CURRENT_STACK + 0x805;
	cpu.rflags = 0x246;
	cpu.cs = (struct soft_segment){ KERNEL_CS, 0xffffffff, CODE64_0, 0 };
	cpu.ss = (struct soft_segment){ KERNEL_SS, 0xffffffff, DATA_0, 0 };
}

static void in_ring3(void)
{
	cpu.cpl = 3;
	cpu.rip = USER_RIP;
	cpu.rsp = USER_RSP;
	cpu.rflags = 0x246;
	cpu.cs = (struct soft_segment){ USER_CS, 0xffffffff, CODE64_3, 0 };
	cpu.ss = (struct soft_segment){ USER_SS, 0xffffffff, DATA_3, 0 };
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	machine.linear_bits = 57; /* the guest does not use them all */
	machine.physical_mask = (1ULL << 46) - 1;
	map_guest();
	fred = (struct fred_state){ .config = ENTRY_POINT };
	for (unsigned int level = 0; level < FRED_LEVELS; level++)
		fred.rsp[level] = LEVEL_TOP(level);
	memset(&cpu, 0, sizeof(cpu));
	cpu.fred = &fred;
	cpu.star = STAR;
	cpu.gdt_base = GDT_BASE;
	cpu.gdt_limit = 0x7f;
	cpu.paging = (struct guest_paging){ .walks = &guest_walks,
					    .cr0 = CR0_PE | CR0_PG | CR0_WP,
					    .cr3 = GUEST_CR3,
					    .cr4 = CR4_PAE | CR4_FRED,
					    .efer = EFER_LME | EFER_LMA | EFER_NXE };
	in_ring0();
	return 0;
}

static void set_level(unsigned int level)
{
	fred.config = (fred.config & ~3ULL) | level;
}

static void remember(void)
{
	before = cpu;
	fred_before = fred;
	memcpy(ram_before, guest_ram, sizeof(guest_ram));
}

static uint64_t *slot(uint64_t linear)
{
	return (uint64_t *)(guest_ram + (linear & 0xffff));
}

/* A fault, and nothing has changed: not the state, and of memory no byte outside page tables. */
static void expect_fault_of(const char *name, enum soft_result result, uint8_t vector,
			    uint32_t error, uint64_t address)
{
	if (result != SOFT_FAULT || fault.type != 3 || fault.vector != vector ||
	    !fault.has_error_code || fault.error_code != error || fault.event_data != address)
		fail_msg("%s: result %d, vector %u, error 0x%x, address 0x%llx", name, (int)result,
			 fault.vector, fault.error_code, (unsigned long long)fault.event_data);
	/* Who is asking is told to the walk before each access. */
	cpu.paging.smap_suspended = before.paging.smap_suspended;
	if (memcmp(&cpu, &before, sizeof(cpu)) != 0 ||
	    memcmp(&fred, &fred_before, sizeof(fred)) != 0)
		fail_msg("%s: state has changed", name);
	if (memcmp(guest_ram, ram_before, 16 * PAGE_SIZE) != 0)
		fail_msg("%s: memory has changed", name);
}

/* ---- Delivery ---- */

enum level_source { FROM_STKLVLS, FROM_CONFIG, NEVER };

struct event_row {
	const char *name;
	struct event event;
	uint64_t ss; /* of the frame: bits 63 to 17, in 64-bit mode */
	enum level_source source;
	bool user_too; /* the level counts in ring 3 as well */
};

#define EVENT(t, v, ...) .event = { .type = (t), .vector = (v), __VA_ARGS__ }
#define ERROR(code)	 .has_error_code = true, .error_code = (code)
#define LENGTH(bytes)	 .instruction_length = (bytes)

static const struct event_row events[] = {
	{ .name = "interrupt 0x20", EVENT(0, 0x20), 0x0200002000000000, FROM_CONFIG },
	{ .name = "interrupt 0xff", EVENT(0, 0xff), 0x020000ff00000000, FROM_CONFIG },
	{ .name = "NMI", EVENT(2, 2), 0x0202000200040000, FROM_STKLVLS },
	{ .name = "NMI with sources",
	  EVENT(2, 2, .event_data = 0x5),
	  0x0202000200040000,
	  FROM_STKLVLS },
	{ .name = "#DE", EVENT(3, 0), 0x0203000000000000, FROM_STKLVLS },
	{ .name = "#DB", EVENT(3, 1, .event_data = 0x4002), 0x0203000100000000, FROM_STKLVLS },
	{ .name = "#NM of XFD",
	  EVENT(3, 7, .event_data = 1ULL << 18),
	  0x0203000700000000,
	  FROM_STKLVLS },
	{ .name = "#DF", EVENT(3, 8, ERROR(0)), 0x0203000800000000, FROM_STKLVLS, true },
	{ .name = "#GP", EVENT(3, 13, ERROR(0xfffc)), 0x0203000d00000000, FROM_STKLVLS },
	{ .name = "#PF",
	  EVENT(3, 14, ERROR(0x80000007), .event_data = USER_RSP),
	  0x0203000e00000000,
	  FROM_STKLVLS },
	{ .name = "#MC", EVENT(3, 18), 0x0203001200000000, FROM_STKLVLS },
	{ .name = "vector 31", EVENT(3, 31), 0x0203001f00000000, FROM_STKLVLS },
	{ .name = "nested #PF",
	  EVENT(3, 14, ERROR(2), .event_data = 8, .nested = true),
	  0x0603000e00000000,
	  FROM_STKLVLS,
	  true },
	{ .name = "nested #SS",
	  EVENT(3, 12, ERROR(0), .nested = true),
	  0x0603000c00000000,
	  FROM_STKLVLS,
	  true },
	{ .name = "INT 0x80", EVENT(4, 0x80, LENGTH(2)), 0x2204008000020000, NEVER },
	{ .name = "INT 3 of two bytes", EVENT(4, 3, LENGTH(2)), 0x2204000300020000, NEVER },
	{ .name = "INT 255", EVENT(4, 255, LENGTH(2)), 0x220400ff00020000, NEVER },
	{ .name = "INT1", EVENT(5, 1, LENGTH(1)), 0x1205000100000000, FROM_STKLVLS },
	{ .name = "INT3", EVENT(6, 3, LENGTH(1)), 0x1206000300000000, FROM_STKLVLS },
	{ .name = "INTO", EVENT(6, 4, LENGTH(1)), 0x1206000400000000, FROM_STKLVLS },
	{ .name = "SYSCALL", EVENT(7, 1, LENGTH(2)), 0x2207000100020000, NEVER },
	{ .name = "SYSENTER", EVENT(7, 2, LENGTH(2)), 0x2207000200020000, NEVER },
	{ .name = "SYSCALL of 15 bytes", EVENT(7, 1, LENGTH(15)), 0xf207000100020000, NEVER },
	/* A vector that IA32_FRED_STKLVLS has no bits for. */
	{ .name = "type 6, vector 0x40", EVENT(6, 0x40, LENGTH(1)), 0x1206004000000000, NEVER },
};

/* The only stack level that is not 0 is this one. */
static void set_event_level(const struct event_row *row, unsigned int level)
{
	if (row->source == FROM_CONFIG)
		fred.config |= (uint64_t)level << 9;
	else if (row->source == FROM_STKLVLS)
		fred.stklvls = (uint64_t)level << 2 * row->event.vector;
	else /* These must not count. */
		fred.stklvls = ~0ULL;
}

static void expect_frame(const struct event_row *row, uint64_t rsp, uint64_t cs, uint64_t ss)
{
	const uint64_t expected[8] = { row->event.error_code,
				       before.rip + row->event.instruction_length,
				       cs,
				       before.rflags,
				       before.rsp,
				       ss,
				       row->event.event_data,
				       0 };
	const uint64_t *const frame = slot(rsp);

	for (unsigned int i = 0; i < 8; i++)
		if (frame[i] != expected[i])
			fail_msg("%s, CPL %u: frame +%02x: 0x%llx, not 0x%llx", row->name,
				 before.cpl, i * 8, (unsigned long long)frame[i],
				 (unsigned long long)expected[i]);
	/* And that is all that was written. */
	memcpy((uint8_t *)slot(rsp), ram_before + ((uint8_t *)slot(rsp) - guest_ram), 64);
	assert_memory_equal(guest_ram, ram_before, 16 * PAGE_SIZE);
}

static void deliver(const struct event_row *row)
{
	/* Whatever was in the frame's memory is overwritten. */
	memset(guest_ram + PAGE_SIZE, 0xcc, 8 * PAGE_SIZE);
	remember();
	assert_int_equal(soft_deliver(&cpu, &row->event, &fault), SOFT_DONE);
}

static void expect_level(const char *name, unsigned int level)
{
	if (fred.config != ((fred_before.config & ~3ULL) | level))
		fail_msg("%s: CONFIG 0x%llx, not level %u", name, (unsigned long long)fred.config,
			 level);
	assert_memory_equal(fred.rsp, fred_before.rsp, sizeof(fred.rsp));
	assert_int_equal(fred.stklvls, fred_before.stklvls);
}

static void deliver_from_ring0(const struct event_row *row, unsigned int old, unsigned int level)
{
	const unsigned int wanted = row->source == NEVER ? 0 : level;
	const unsigned int new = wanted > old ? wanted : old;

	set_up(NULL);
	set_level(old);
	set_event_level(row, level);
	deliver(row);
	expect_level(row->name, new);
	assert_int_equal(cpu.rip, ENTRY_POINT + 0x100);
	/* 0x805 aligned down is 0x800. */
	assert_int_equal(cpu.rsp, (new > old ? LEVEL_TOP(new) : CURRENT_STACK + 0x800) - 64);
	assert_int_equal(cpu.rflags, 2);
	assert_int_equal(cpu.cpl, 0);
	assert_false(cpu.swap_gs || cpu.segments_changed || cpu.single_step_pending);
	assert_memory_equal(&cpu.cs, &before.cs, sizeof(cpu.cs));
	assert_memory_equal(&cpu.ss, &before.ss, sizeof(cpu.ss));
	assert_int_equal(cpu.nmi_blocking, row->event.type == 2);
	expect_frame(row, cpu.rsp, KERNEL_CS | (uint64_t)old << 16, KERNEL_SS | row->ss);
}

TEST(from_ring0)
{
	for (size_t i = 0; i < COUNT_OF(events); i++)
		for (unsigned int old = 0; old < 4; old++)
			for (unsigned int level = 0; level < 4; level++)
				deliver_from_ring0(&events[i], old, level);
}

static void expect_ring0_segments(uint16_t cs, uint16_t ss)
{
	assert_int_equal(cpu.cpl, 0);
	assert_true(cpu.swap_gs && cpu.segments_changed);
	assert_int_equal(cpu.cs.selector, cs);
	assert_int_equal(cpu.cs.rights, CODE64_0);
	assert_int_equal(cpu.ss.selector, ss);
	assert_int_equal(cpu.ss.rights, DATA_0);
	assert_true(cpu.cs.limit == 0xffffffff && cpu.ss.limit == 0xffffffff);
	assert_true(cpu.cs.base == 0 && cpu.ss.base == 0);
}

/* In ring 3 IA32_FRED_CONFIG has some level, which is not looked at. */
static void deliver_from_ring3(const struct event_row *row, unsigned int old, unsigned int level)
{
	const unsigned int new = row->user_too ? level : 0;

	set_up(NULL);
	in_ring3();
	set_level(old);
	set_event_level(row, level);
	deliver(row);
	expect_level(row->name, new);
	assert_int_equal(cpu.rip, ENTRY_POINT);
	assert_int_equal(cpu.rsp, LEVEL_TOP(new) - 64);
	assert_int_equal(cpu.rflags, 2);
	expect_ring0_segments(KERNEL_CS, KERNEL_SS);
	assert_int_equal(cpu.nmi_blocking, row->event.type == 2);
	expect_frame(row, cpu.rsp, USER_CS, USER_SS | row->ss);
}

TEST(from_ring3)
{
	for (size_t i = 0; i < COUNT_OF(events); i++)
		for (unsigned int old = 0; old < 4; old++)
			for (unsigned int level = 0; level < 4; level++)
				deliver_from_ring3(&events[i], old, level);
}

#define FIND(row) (&events[row])
enum { ROW_INTERRUPT = 0, ROW_NMI = 2, ROW_DE = 4 };

TEST(a_compatibility_mode_program)
{
	in_ring3();
	cpu.cs = (struct soft_segment){ USER_CS32, 0xffffffff, CODE32_3, 0 };
	deliver(FIND(ROW_INTERRUPT));
	expect_frame(FIND(ROW_INTERRUPT), cpu.rsp, USER_CS32, USER_SS | 0x0000002000000000);
}

TEST(red_zone_and_alignment)
{
	for (unsigned int zone = 0; zone < 8; zone++)
		for (unsigned int offset = 0; offset < 64; offset++) {
			set_up(NULL);
			fred.config |= zone << 6;
			cpu.rsp = CURRENT_STACK + 0x800 + offset;
			deliver(FIND(ROW_DE));
			assert_int_equal(cpu.rsp, CURRENT_STACK + 0x800 - 64 * (zone + 1));
			assert_int_equal(slot(cpu.rsp)[4], CURRENT_STACK + 0x800 + offset);
		}
}

TEST(a_stack_switch_has_no_red_zone)
{
	fred.config |= 7 << 6;
	fred.stklvls = 1;
	deliver(FIND(ROW_DE));
	assert_int_equal(cpu.rsp, LEVEL_TOP(1) - 64);
	set_up(NULL);
	in_ring3();
	fred.config |= 7 << 6;
	deliver(FIND(ROW_DE));
	assert_int_equal(cpu.rsp, LEVEL_TOP(0) - 64);
}

TEST(sti_blocking_goes_to_the_frame)
{
	cpu.sti_blocking = true;
	deliver(FIND(ROW_DE));
	assert_false(cpu.sti_blocking);
	expect_frame(FIND(ROW_DE), cpu.rsp, KERNEL_CS, KERNEL_SS | 0x0203000000010000);
}

TEST(nmi_blocking_stays)
{
	cpu.nmi_blocking = true;
	deliver(FIND(ROW_DE));
	assert_true(cpu.nmi_blocking);
}

TEST(all_of_rflags_is_saved)
{
	cpu.rflags = 0x3f7fd7;
	deliver(FIND(ROW_DE));
	assert_int_equal(cpu.rflags, 2);
	assert_int_equal(slot(cpu.rsp)[3], 0x3f7fd7);
}

TEST(selectors_of_star_lose_their_rpl)
{
	in_ring3();
	cpu.star = 0x00230013ULL << 32;
	deliver(FIND(ROW_DE));
	expect_ring0_segments(0x10, 0x18);
	set_up(NULL);
	in_ring3();
	cpu.star = 0xfff8ULL << 32;
	deliver(FIND(ROW_DE));
	expect_ring0_segments(0xfff8, 0);
}

#define PF(code) .vector = 14, .error = (code)

/* Stacks that cannot be pushed on. */
static const struct {
	const char *name;
	uint64_t top;
	uint64_t entry_set, cr4, rflags, efer_clear;
	uint8_t cpl, vector; /* vector 0: it works */
	uint32_t error;
} pushes[] = {
	{ .name = "unmapped", NO_PAGE + 0x40, PF(2) },
	{ .name = "unmapped, top at a page's end", NO_PAGE + PAGE_SIZE, PF(2) },
	{ .name = "unmapped page above is not touched", NO_PAGE },
	{ .name = "unmapped, from ring 3", NO_PAGE + 0x800, .cpl = 3, PF(2) },
	{ .name = "read-only", READ_ONLY_PAGE + 0x40, PF(3) },
	{ .name = "user page without SMAP", USER_PAGE + 0x40 },
	{ .name = "user page with SMAP", USER_PAGE + 0x40, .cr4 = CR4_SMAP, PF(3) },
	{ .name = "user page with SMAP, AC", USER_PAGE + 0x40, .cr4 = CR4_SMAP, .rflags = AC },
	{ .name = "user page with SMAP, AC, from ring 3",
	  USER_PAGE + 0x40,
	  .cr4 = CR4_SMAP,
	  .rflags = AC,
	  .cpl = 3,
	  PF(3) },
	{ .name = "user page with SMEP", USER_PAGE + 0x40, .cr4 = CR4_SMEP },
	{ .name = "no execute", STACK_PAGE(8) + 0x40, .entry_set = ENTRY_NX },
	{ .name = "no execute without NXE",
	  STACK_PAGE(8) + 0x40,
	  .entry_set = ENTRY_NX,
	  .efer_clear = EFER_NXE,
	  PF(0xb) },
	{ .name = "reserved bit", STACK_PAGE(8) + 0x40, .entry_set = 1ULL << 50, PF(0xb) },
	{ .name = "the first canonical address above", HIGH_START, .vector = 12 },
	{ .name = "the last canonical ones below", LOW_END, PF(2) },
	{ .name = "not canonical", LOW_END + 0x40, .vector = 12 },
	{ .name = "not canonical, from ring 3", 0x1234000000000000, .cpl = 3, .vector = 12 },
	{ .name = "address 0 wraps", 0 },
};

TEST(stacks_that_cannot_be_pushed_on)
{
	for (size_t i = 0; i < COUNT_OF(pushes); i++) {
		enum soft_result result;

		set_up(NULL);
		if (pushes[i].cpl == 3)
			in_ring3();
		fred.stklvls = pushes[i].cpl == 3 ? 0 : 1; /* of #DE */
		fred.rsp[pushes[i].cpl == 3 ? 0 : 1] = pushes[i].top;
		cpu.paging.cr4 |= pushes[i].cr4;
		cpu.paging.efer &= ~pushes[i].efer_clear;
		cpu.rflags |= pushes[i].rflags;
		*guest_entry(STACK_PAGE(8), 1) |= pushes[i].entry_set;
		if (pushes[i].efer_clear) /* then the last page cannot be mapped so */
			guest_map(LAST_PAGE, 14 * PAGE_SIZE, ENTRY_P | ENTRY_W);
		remember();
		result = soft_deliver(&cpu, &events[ROW_DE].event, &fault);
		if (pushes[i].vector != 0)
			expect_fault_of(pushes[i].name, result, pushes[i].vector, pushes[i].error,
					pushes[i].vector == 14 ? pushes[i].top - 8 : 0);
		else if (result != SOFT_DONE || cpu.rsp != pushes[i].top - 64)
			fail_msg("%s: vector %u", pushes[i].name, fault.vector);
	}
}

TEST(a_stack_in_no_memory)
{
	guest_map(STACK_PAGE(1), GUEST_RAM, ENTRY_P | ENTRY_W);
	in_ring3();
	assert_int_equal(soft_deliver(&cpu, &events[ROW_DE].event, &fault), SOFT_NO_MEMORY);
}

TEST(linear_addresses_of_57_bits)
{
	cpu.paging.cr4 |= CR4_LA57;
	guest_clear(5);
	guest_map(0xff11000000001000ULL, 0x1000, ENTRY_P | ENTRY_W);
	cpu.rsp = 0xff11000000001100ULL;
	deliver(FIND(ROW_DE));
	assert_int_equal(cpu.rsp, 0xff110000000010c0ULL);
	assert_int_equal(soft_erets(&cpu, &fault), SOFT_DONE);
	assert_int_equal(cpu.rsp, 0xff11000000001100ULL);
}

/* ---- Both returns ---- */

enum { SLOT_RIP = 1, SLOT_CS, SLOT_RFLAGS, SLOT_RSP, SLOT_SS };

static enum soft_result (*perform)(struct soft_cpu *, struct event *);

/* A frame that ERETS takes, at RSP. */
static uint64_t *erets_frame(void)
{
	uint64_t *frame;

	set_up(NULL);
	perform = soft_erets;
	cpu.rsp = CURRENT_STACK + 0x400;
	cpu.rflags = 2;
	frame = slot(cpu.rsp);
	frame[0] = ~0ULL; /* error code: skipped */
	frame[SLOT_RIP] = RIP;
	frame[SLOT_CS] = KERNEL_CS;
	frame[SLOT_RFLAGS] = 0x246;
	frame[SLOT_RSP] = CURRENT_STACK + 0x803;
	frame[SLOT_SS] = KERNEL_SS;
	frame[6] = frame[7] = ~0ULL; /* not looked at */
	return frame;
}

static uint64_t *eretu_frame(void)
{
	uint64_t *const frame = erets_frame();

	perform = soft_eretu;
	frame[SLOT_RIP] = USER_RIP;
	frame[SLOT_CS] = USER_CS;
	frame[SLOT_RSP] = USER_RSP;
	frame[SLOT_SS] = USER_SS;
	return frame;
}

static void expect_return(const char *name)
{
	const uint64_t *const frame = slot(cpu.rsp);
	const struct soft_cpu old = cpu;

	remember();
	if (perform(&cpu, &fault) != SOFT_DONE)
		fail_msg("%s: vector %u, error 0x%x", name, fault.vector, fault.error_code);
	assert_int_equal(cpu.rip, frame[SLOT_RIP]);
	assert_int_equal(cpu.rsp, frame[SLOT_RSP]);
	assert_int_equal(cpu.rflags, frame[SLOT_RFLAGS]);
	assert_int_equal(cpu.cpl, perform == soft_eretu ? 3 : 0);
	assert_int_equal(cpu.swap_gs, perform == soft_eretu);
	assert_int_equal(cpu.segments_changed, perform == soft_eretu);
	if (perform == soft_erets) {
		assert_memory_equal(&cpu.cs, &old.cs, sizeof(cpu.cs));
		assert_memory_equal(&cpu.ss, &old.ss, sizeof(cpu.ss));
	}
	assert_memory_equal(fred.rsp, fred_before.rsp, sizeof(fred.rsp));
	assert_memory_equal(guest_ram, ram_before, 16 * PAGE_SIZE);
}

static void expect_gp(const char *name, uint32_t error)
{
	remember();
	expect_fault_of(name, perform(&cpu, &fault), 13, error, 0);
}

/* For each slot that is checked, the bits of the frames above that may be the other way. */
#define ARITHMETIC_FLAGS 0x8d5ULL /* CF PF AF ZF SF OF */
#define CONTROL_FLAGS	 (0x400ULL | TF | IF | 0x4000ULL | 0x10000ULL | AC | 0x380000ULL)

static const struct {
	const char *name;
	uint64_t *(*make)(void);
	unsigned int slot;
	uint64_t free;
	uint64_t elsewhere; /* these lead to the descriptor tables */
} walked_slots[] = {
	{ .name = "ERETS, CS", erets_frame, SLOT_CS, 0x70000 },
	{ .name = "ERETS, RFLAGS",
	  erets_frame,
	  SLOT_RFLAGS,
	  ARITHMETIC_FLAGS | CONTROL_FLAGS | RFLAGS_IOPL },
	{ .name = "ERETS, SS", erets_frame, SLOT_SS, 0xffffffff00070000 },
	{ .name = "ERETS, RIP", erets_frame, SLOT_RIP, LOW_END - 1 },
	{ .name = "ERETS, RSP", erets_frame, SLOT_RSP, ~0ULL },
	{ .name = "ERETU, CS", eretu_frame, SLOT_CS, 0, 0xfffc },
	{ .name = "ERETU, RFLAGS", eretu_frame, SLOT_RFLAGS, ARITHMETIC_FLAGS | CONTROL_FLAGS },
	{ .name = "ERETU, SS", eretu_frame, SLOT_SS, 0xffffffff00070000, 0xfffc },
	{ .name = "ERETU, RIP", eretu_frame, SLOT_RIP, LOW_END - 1 },
	{ .name = "ERETU, RSP", eretu_frame, SLOT_RSP, ~0ULL },
};

TEST(every_bit_of_the_frame)
{
	for (size_t i = 0; i < COUNT_OF(walked_slots); i++)
		for (unsigned int bit = 0; bit < 64; bit++) {
			const uint64_t flip = 1ULL << bit;
			char name[64];

			if (walked_slots[i].elsewhere & flip)
				continue;
			snprintf(name, sizeof(name), "%s, bit %u", walked_slots[i].name, bit);
			walked_slots[i].make()[walked_slots[i].slot] ^= flip;
			if (walked_slots[i].free & flip)
				expect_return(name);
			else
				expect_gp(name, 0);
		}
}

TEST(level_after_erets)
{
	for (unsigned int old = 0; old < 4; old++)
		for (uint64_t saved = 0; saved < 4; saved++) {
			erets_frame()[SLOT_CS] |= saved << 16;
			set_level(old);
			expect_return("level");
			expect_level("level", saved < old ? (unsigned int)saved : old);
		}
}

TEST(eretu_needs_level_0)
{
	for (unsigned int level = 1; level < 4; level++) {
		eretu_frame();
		set_level(level);
		expect_gp("level", 0);
	}
	/* Before the frame is read. */
	cpu.rsp = NO_PAGE;
	expect_gp("level, no frame", 0);
	/* The frame's is not looked at: bits 63:16 of CS are 0. */
	eretu_frame();
	set_level(0);
	expect_return("level 0");
	expect_level("level 0", 0);
}

TEST(ring0_keeps_its_own_selectors)
{
	erets_frame()[SLOT_SS] = 0;
	cpu.ss.selector = 0;
	expect_return("null SS");
	erets_frame()[SLOT_CS] = USER_CS;
	expect_gp("CS of ring 3", 0);
	erets_frame()[SLOT_SS] = USER_SS;
	expect_gp("SS of ring 3", 0);
}

TEST(single_steps)
{
	static const struct {
		uint64_t before, frame, ss;
		bool pending;
	} rows[] = {
		{ 2, 0x102, 0, false },	     /* the next instruction traps */
		{ 2, 0x102, 0x20000, true }, /* an INT n or SYSCALL that was stepped over */
		{ 2, 0x002, 0x20000, false },
		{ 0x102, 0x002, 0, true }, /* the return itself was stepped over */
		{ 0x102, 0x102, 0x20000, true },
	};

	for (unsigned int i = 0; i < 2 * COUNT_OF(rows); i++) {
		uint64_t *const frame = i & 1 ? eretu_frame() : erets_frame();

		cpu.rflags = rows[i / 2].before;
		frame[SLOT_RFLAGS] = rows[i / 2].frame;
		frame[SLOT_SS] |= rows[i / 2].ss;
		expect_return("single step");
		if (cpu.single_step_pending != rows[i / 2].pending)
			fail_msg("row %u", i / 2);
	}
}

TEST(sti_blocking_after_a_return)
{
	static const struct {
		uint64_t rflags, ss;
		bool before, after;
	} rows[] = {
		{ 0x202, 0x10000, false, true },
		{ 0x202, 0x10000, true, false }, /* one instruction only, even in a chain */
		{ 0x002, 0x10000, false, false },
		{ 0x202, 0, false, false },
		{ 0x202, 0, true, false },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		uint64_t *const frame = erets_frame();

		frame[SLOT_RFLAGS] = rows[i].rflags;
		frame[SLOT_SS] |= rows[i].ss;
		cpu.sti_blocking = rows[i].before;
		expect_return("STI");
		assert_int_equal(cpu.sti_blocking, rows[i].after);
		/* Not in ring 3. */
		eretu_frame()[SLOT_SS] |= rows[i].ss;
		cpu.sti_blocking = rows[i].before;
		expect_return("STI");
		assert_false(cpu.sti_blocking);
	}
}

TEST(nmis_are_unblocked_by_bit_18_only)
{
	for (unsigned int i = 0; i < 8; i++) {
		uint64_t *const frame = i & 1 ? eretu_frame() : erets_frame();

		frame[SLOT_SS] |= i & 2 ? 0x40000 : 0;
		cpu.nmi_blocking = i & 4;
		expect_return("NMI");
		assert_int_equal(cpu.nmi_blocking, (i & 4) && !(i & 2));
	}
}

TEST(a_return_that_faults_unblocks_nothing)
{
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t *const frame = i & 1 ? eretu_frame() : erets_frame();

		frame[SLOT_SS] |= 0x40000;
		frame[SLOT_RFLAGS] = 0;
		cpu.nmi_blocking = true;
		expect_gp("NMI", 0);
	}
}

/* Where the frame is: RSP, and the fault that reading the five slots from RSP + 8 raises. */
static const struct {
	const char *name;
	uint64_t rsp, cr4, rflags;
	uint8_t vector;
	uint32_t error;
	uint64_t address;
} pops[] = {
	{ .name = "unmapped", NO_PAGE + 0x40, PF(0), .address = NO_PAGE + 0x48 },
	{ .name = "RIP is the first of an unmapped page",
	  NO_PAGE - 8,
	  .vector = 14,
	  .address = NO_PAGE },
	{ .name = "RSP' is in an unmapped page", NO_PAGE - 0x20, .vector = 14, .address = NO_PAGE },
	{ .name = "SS' is cut in two", NO_PAGE - 0x2c, .vector = 14, .address = NO_PAGE },
	{ .name = "user page, SMAP",
	  USER_PAGE + 0x100,
	  .cr4 = CR4_SMAP,
	  PF(1),
	  .address = USER_PAGE + 0x108 },
	{ .name = "not canonical", LOW_END, .vector = 12 },
	{ .name = "becomes not canonical", LOW_END - 8, .vector = 12 },
	/* And these can. */
	{ .name = "user page, SMAP, AC", USER_PAGE + 0x100, .cr4 = CR4_SMAP, .rflags = AC },
	{ .name = "user page", USER_PAGE + 0x100 },
	{ .name = "read-only page", READ_ONLY_PAGE + 0x100 },
	{ .name = "SS' ends at an unmapped page", NO_PAGE - 0x30 },
	{ .name = "error code is in an unmapped page", STACK_PAGE(10) - 8 },
	{ .name = "across two pages, not aligned", STACK_PAGE(2) - 0x13 },
};

static void copy_frame(uint64_t rsp, const uint64_t frame[6])
{
	memcpy((uint8_t *)slot(rsp) + 8, frame + 1, 40);
}

TEST(frames_that_cannot_be_read)
{
	for (size_t i = 0; i < 2 * COUNT_OF(pops); i++) {
		uint64_t frame[6];

		memcpy(frame, i & 1 ? eretu_frame() : erets_frame(), sizeof(frame));
		cpu.rsp = pops[i / 2].rsp;
		cpu.rflags |= pops[i / 2].rflags;
		cpu.paging.cr4 |= pops[i / 2].cr4;
		copy_frame(cpu.rsp, frame);
		remember();
		if (pops[i / 2].vector != 0) {
			expect_fault_of(pops[i / 2].name, perform(&cpu, &fault), pops[i / 2].vector,
					pops[i / 2].error, pops[i / 2].address);
			continue;
		}
		if (perform(&cpu, &fault) != SOFT_DONE || cpu.rip != frame[SLOT_RIP] ||
		    cpu.rsp != frame[SLOT_RSP] || cpu.rflags != frame[SLOT_RFLAGS])
			fail_msg("%s: vector %u", pops[i / 2].name, fault.vector);
	}
}

/* ---- Segments of ring 3, and of LKGS ---- */

static void expect_segment(const struct soft_segment *segment, uint16_t selector, uint32_t rights,
			   uint64_t base, uint32_t limit)
{
	if (segment->selector != selector || segment->rights != rights || segment->base != base ||
	    segment->limit != limit)
		fail_msg("selector 0x%x: rights 0x%x, base 0x%llx, limit 0x%x", segment->selector,
			 segment->rights, (unsigned long long)segment->base, segment->limit);
}

TEST(flat_segments_of_star)
{
	/* There is no GDT at all. */
	eretu_frame();
	cpu.gdt_limit = 0;
	expect_return("64-bit");
	expect_segment(&cpu.cs, USER_CS, CODE64_3, 0, 0xffffffff);
	expect_segment(&cpu.ss, USER_SS, DATA_3, 0, 0xffffffff);
	eretu_frame()[SLOT_CS] = USER_CS32;
	cpu.gdt_limit = 0;
	slot(cpu.rsp)[SLOT_RSP] &= 0xffffffff;
	expect_return("32-bit");
	expect_segment(&cpu.cs, USER_CS32, CODE32_3, 0, 0xffffffff);
	expect_segment(&cpu.ss, USER_SS, DATA_3, 0, 0xffffffff);
}

TEST(a_32_bit_program_has_32_bit_registers)
{
	uint64_t *const frame = eretu_frame();

	frame[SLOT_CS] = USER_CS32;
	frame[SLOT_RIP] = 0x1234567800401234ULL; /* not even canonical */
	frame[SLOT_RSP] = 0xffffffff80001000ULL;
	assert_int_equal(soft_eretu(&cpu, &fault), SOFT_DONE);
	assert_int_equal(cpu.rip, 0x00401234);
	assert_int_equal(cpu.rsp, 0x80001000);
}

#define CODE64	   0x00affb000000ffffULL
#define CODE32	   0x00cffb000000ffffULL
#define DATA	   0x00cff3000000ffffULL
#define CONFORMING 0x00af9f000000ffffULL /* DPL 0 */
#define GDT_CS	   0x40
#define GDT_SS	   0x48

/* Selectors that are not STAR's, and the fault of ERETU; vector 0: it is done. */
static const struct {
	const char *name;
	uint64_t cs_descriptor, ss_descriptor;
	uint16_t cs, ss;
	uint8_t vector;
	uint32_t error;
} descriptors[] = {
	{ .name = "64-bit", CODE64, DATA, 0x43, 0x4b },
	{ .name = "32-bit", CODE32, DATA, 0x43, 0x4b },
	{ .name = "conforming", CONFORMING, DATA, 0x43, 0x4b },
	{ .name = "CS of STAR, SS not", CODE64, DATA, USER_CS, 0x4b, 13, 0x30 },
	{ .name = "SS of STAR, CS not", CODE64, DATA, 0x43, USER_SS, 13, 0x28 },
	{ .name = "null CS", CODE64, DATA, 0x3, 0x4b, 13, 0 },
	{ .name = "null SS", CODE64, DATA, 0x43, 0x3, 13, 0 },
	{ .name = "CS at the GDT's end", CODE64, DATA, 0x7b, 0x4b, 13, 0x78 },
	{ .name = "CS beyond the GDT", CODE64, DATA, 0x83, 0x4b, 13, 0x80 },
	{ .name = "CS far beyond the GDT", CODE64, DATA, 0xfffb, 0x4b, 13, 0xfff8 },
	{ .name = "SS beyond the GDT", CODE64, DATA, 0x43, 0x83, 13, 0x80 },
	{ .name = "CS of the LDT, which is empty", CODE64, DATA, 0x47, 0x4b, 13, 0x44 },
	{ .name = "CS is data", DATA, DATA, 0x43, 0x4b, 13, 0x40 },
	{ .name = "CS is a system segment", 0x00afeb000000ffffULL, DATA, 0x43, 0x4b, 13, 0x40 },
	{ .name = "CS of DPL 0", 0x00af9b000000ffffULL, DATA, 0x43, 0x4b, 13, 0x40 },
	{ .name = "CS of DPL 2", 0x00afdb000000ffffULL, DATA, 0x43, 0x4b, 13, 0x40 },
	{ .name = "CS with L and D", 0x00effb000000ffffULL, DATA, 0x43, 0x4b, 13, 0x40 },
	{ .name = "CS not present", 0x00af7b000000ffffULL, DATA, 0x43, 0x4b, 11, 0x40 },
	{ .name = "CS execute-only", 0x00aff9000000ffffULL, DATA, 0x43, 0x4b },
	{ .name = "SS is code", CODE64, CODE64, 0x43, 0x4b, 13, 0x48 },
	{ .name = "SS is a system segment", CODE64, 0x00cfe3000000ffffULL, 0x43, 0x4b, 13, 0x48 },
	{ .name = "SS read-only", CODE64, 0x00cff1000000ffffULL, 0x43, 0x4b, 13, 0x48 },
	{ .name = "SS of DPL 0", CODE64, 0x00cf93000000ffffULL, 0x43, 0x4b, 13, 0x48 },
	{ .name = "SS not present", CODE64, 0x00cf73000000ffffULL, 0x43, 0x4b, 12, 0x48 },
	{ .name = "SS expand-down", CODE64, 0x00cff7000000ffffULL, 0x43, 0x4b },
	/* CS is looked at first. */
	{ .name = "both are bad", DATA, CODE64, 0x43, 0x4b, 13, 0x40 },
};

TEST(segments_from_the_gdt)
{
	for (size_t i = 0; i < COUNT_OF(descriptors); i++) {
		uint64_t *const frame = eretu_frame();

		*slot(GDT_BASE + GDT_CS) = descriptors[i].cs_descriptor;
		*slot(GDT_BASE + GDT_SS) = descriptors[i].ss_descriptor;
		frame[SLOT_CS] = descriptors[i].cs;
		frame[SLOT_SS] = descriptors[i].ss;
		frame[SLOT_RSP] &= 0xffffffff;
		if (descriptors[i].vector == 0) {
			expect_return(descriptors[i].name);
			continue;
		}
		remember();
		expect_fault_of(descriptors[i].name, soft_eretu(&cpu, &fault),
				descriptors[i].vector, descriptors[i].error, 0);
	}
}

TEST(parts_of_a_descriptor)
{
	uint64_t *const frame = eretu_frame();

	*slot(GDT_BASE + GDT_CS) = 0x12d6fb3456789abcULL; /* 4 KiB units, 32-bit, AVL */
	*slot(GDT_BASE + GDT_SS) = 0x98417276543210feULL | 0x80ULL << 40;
	frame[SLOT_CS] = 0x43;
	frame[SLOT_SS] = 0x4b;
	frame[SLOT_RSP] &= 0xffffffff;
	perform = soft_eretu;
	remember();
	assert_int_equal(soft_eretu(&cpu, &fault), SOFT_DONE);
	expect_segment(&cpu.cs, 0x43, 0xd0fb, 0x12345678, 0x69abcfff);
	expect_segment(&cpu.ss, 0x4b, 0x40f3, 0x98765432, 0x110fe);
	/* SS was not marked as accessed. */
	assert_int_equal(*slot(GDT_BASE + GDT_SS), 0x9841f376543210feULL);
	assert_int_equal(*slot(GDT_BASE + GDT_CS), 0x12d6fb3456789abcULL);
}

TEST(rip_beyond_a_32_bit_segment)
{
	uint64_t *const frame = eretu_frame();

	*slot(GDT_BASE + GDT_CS) = 0x0040fb000000ffffULL; /* 64 KiB */
	*slot(GDT_BASE + GDT_SS) = DATA;
	frame[SLOT_CS] = 0x43;
	frame[SLOT_SS] = 0x4b;
	frame[SLOT_RSP] = 0x1000;
	frame[SLOT_RIP] = 0xffff;
	expect_return("the last byte");
	eretu_frame();
	*slot(GDT_BASE + GDT_CS) = 0x0040fb000000ffffULL;
	*slot(GDT_BASE + GDT_SS) = DATA;
	frame[SLOT_CS] = 0x43;
	frame[SLOT_SS] = 0x4b;
	frame[SLOT_RIP] = 0x10000;
	expect_gp("beyond", 0);
}

TEST(rip_of_a_64_bit_segment_of_the_gdt)
{
	uint64_t *const frame = eretu_frame();

	*slot(GDT_BASE + GDT_CS) = CODE64;
	*slot(GDT_BASE + GDT_SS) = DATA;
	frame[SLOT_CS] = 0x43;
	frame[SLOT_SS] = 0x4b;
	frame[SLOT_RIP] = LOW_END;
	expect_gp("not canonical", 0);
	frame[SLOT_RIP] = LOW_END - 1;
	expect_return("canonical");
}

TEST(segments_from_the_ldt)
{
	uint64_t *const frame = eretu_frame();

	cpu.ldt_base = LDT_BASE + 1; /* nobody aligned it */
	cpu.ldt_limit = 0xf;
	memcpy((uint8_t *)slot(LDT_BASE) + 1, &(uint64_t){ CODE64 }, 8);
	memcpy((uint8_t *)slot(LDT_BASE) + 9, &(uint64_t){ DATA }, 8);
	frame[SLOT_CS] = 0x7;
	frame[SLOT_SS] = 0xf;
	/* 4, the first of the LDT, is not null. */
	expect_return("LDT");
	expect_segment(&cpu.cs, 0x7, CODE64_3, 0, 0xffffffff);
	expect_segment(&cpu.ss, 0xf, DATA_3, 0, 0xffffffff);
	eretu_frame();
	cpu.ldt_base = LDT_BASE + 1;
	cpu.ldt_limit = 0xe;
	memcpy((uint8_t *)slot(LDT_BASE) + 1, &(uint64_t){ CODE64 }, 8);
	memcpy((uint8_t *)slot(LDT_BASE) + 9, &(uint64_t){ DATA }, 8);
	frame[SLOT_CS] = 0x7;
	frame[SLOT_SS] = 0xf;
	expect_gp("a limit one less", 0xc);
}

TEST(descriptors_across_pages)
{
	uint64_t *const frame = eretu_frame();
	const uint64_t descriptor = CODE64 & ~(1ULL << 40); /* not marked as accessed */

	/* The type, byte 5, is the first byte of the next page. */
	cpu.gdt_base = STACK_PAGE(11) - GDT_CS - 5;
	memcpy((uint8_t *)slot(STACK_PAGE(11) - 5), &descriptor, 8);
	memcpy((uint8_t *)slot(STACK_PAGE(11) + 3), &(uint64_t){ DATA }, 8);
	frame[SLOT_CS] = 0x43;
	frame[SLOT_SS] = 0x4b;
	assert_int_equal(soft_eretu(&cpu, &fault), SOFT_DONE);
	expect_segment(&cpu.cs, 0x43, CODE64_3, 0, 0xffffffff);
	assert_int_equal(*(uint8_t *)slot(STACK_PAGE(11)), 0xfb);
	/* And that page is not there. */
	eretu_frame();
	cpu.gdt_base = NO_PAGE - GDT_CS - 5;
	frame[SLOT_CS] = 0x43;
	frame[SLOT_SS] = 0x4b;
	remember();
	expect_fault_of("next page", soft_eretu(&cpu, &fault), 14, 0, NO_PAGE);
}

TEST(a_table_in_a_user_page)
{
	uint64_t *const frame = eretu_frame();

	frame[SLOT_CS] = 0x43;
	frame[SLOT_SS] = 0x4b;
	cpu.gdt_base = USER_PAGE;
	cpu.paging.cr4 |= CR4_SMAP;
	/* An implicit access: AC is no matter, nor is what an access before it was. */
	cpu.rflags |= AC;
	cpu.paging.smap_suspended = true;
	remember();
	expect_fault_of("SMAP", soft_eretu(&cpu, &fault), 14, 1, USER_PAGE + GDT_CS);
}

TEST(a_table_that_ends_at_the_canonical_hole)
{
	uint64_t *const frame = eretu_frame();

	frame[SLOT_CS] = 0x43;
	frame[SLOT_SS] = 0x4b;
	cpu.gdt_base = LOW_END - GDT_CS;
	expect_gp("GDT", 0);
	cpu.gdt_base = LOW_END - GDT_CS - 4;
	guest_map(LOW_END - PAGE_SIZE, 8 * PAGE_SIZE, ENTRY_P);
	expect_gp("GDT, half of the descriptor", 0);
}

/* LKGS: the checks of MOV to GS. */
static const struct {
	const char *name;
	uint64_t descriptor;
	uint16_t selector;
	uint8_t vector;
	uint32_t error;
} loads[] = {
	{ .name = "data of DPL 3", DATA, 0x43 },
	{ .name = "data of DPL 3, RPL 0", DATA, 0x40 },
	{ .name = "data of DPL 0, RPL 0", 0x00cf93000000ffffULL, 0x40 },
	{ .name = "data of DPL 0, RPL 3", 0x00cf93000000ffffULL, 0x43, 13, 0x40 },
	{ .name = "data of DPL 1, RPL 2", 0x00cfb3000000ffffULL, 0x42, 13, 0x40 },
	{ .name = "read-only data", 0x00cff1000000ffffULL, 0x43 },
	{ .name = "readable code", CODE64, 0x43 },
	{ .name = "execute-only code", 0x00aff9000000ffffULL, 0x43, 13, 0x40 },
	{ .name = "code of DPL 0, RPL 3", 0x00af9b000000ffffULL, 0x43, 13, 0x40 },
	{ .name = "conforming code of DPL 0, RPL 3", CONFORMING, 0x43 },
	{ .name = "a TSS", 0x00cfe9000000ffffULL, 0x43, 13, 0x40 },
	{ .name = "not present", 0x00cf73000000ffffULL, 0x43, 11, 0x40 },
	{ .name = "not present and not allowed", 0x00cf13000000ffffULL, 0x43, 13, 0x40 },
	{ .name = "beyond the GDT", DATA, 0x80, 13, 0x80 },
	{ .name = "of the empty LDT", DATA, 0x44, 13, 0x44 },
};

TEST(lkgs)
{
	for (size_t i = 0; i < COUNT_OF(loads); i++) {
		struct soft_segment gs;
		enum soft_result result;

		set_up(NULL);
		*slot(GDT_BASE + GDT_CS) = loads[i].descriptor;
		remember();
		result = soft_lkgs(&cpu, loads[i].selector, &gs, &fault);
		if (loads[i].vector != 0)
			expect_fault_of(loads[i].name, result, loads[i].vector, loads[i].error, 0);
		else if (result != SOFT_DONE || gs.selector != loads[i].selector)
			fail_msg("%s: vector %u, error 0x%x", loads[i].name, fault.vector,
				 fault.error_code);
	}
}

TEST(lkgs_of_null)
{
	for (uint16_t selector = 0; selector < 4; selector++) {
		struct soft_segment gs;

		cpu.gdt_base = NO_PAGE;
		assert_int_equal(soft_lkgs(&cpu, selector, &gs, &fault), SOFT_DONE);
		expect_segment(&gs, selector, 1U << 16, 0, 0);
	}
}

TEST(lkgs_takes_base_and_limit)
{
	struct soft_segment gs;

	*slot(GDT_BASE + GDT_CS) = 0xff40f2123456789aULL;
	assert_int_equal(soft_lkgs(&cpu, 0x43, &gs, &fault), SOFT_DONE);
	expect_segment(&gs, 0x43, 0x40f3, 0xff123456, 0x789a);
	assert_int_equal(*slot(GDT_BASE + GDT_CS), 0xff40f3123456789aULL);
}

TEST(operands)
{
	uint16_t value;

	*(uint8_t *)slot(STACK_PAGE(2) - 1) = 0x34;
	*(uint8_t *)slot(STACK_PAGE(2)) = 0x12;
	assert_int_equal(soft_read_operand(&cpu, STACK_PAGE(2) - 1, &value, 2, false, &fault),
			 SOFT_DONE);
	assert_int_equal(value, 0x1234);
	remember();
	expect_fault_of("hole", soft_read_operand(&cpu, LOW_END, &value, 2, false, &fault), 13, 0,
			0);
	expect_fault_of("hole, by SS", soft_read_operand(&cpu, LOW_END, &value, 2, true, &fault),
			12, 0, 0);
	expect_fault_of("half", soft_read_operand(&cpu, NO_PAGE - 1, &value, 2, false, &fault), 14,
			0, NO_PAGE);
}

/* ---- There and back again ---- */

#define ROUNDS 20000

static uint64_t random_state;

static uint64_t random_64(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dULL;
}

static uint64_t random_below(uint64_t limit)
{
	return (random_64() >> 16) % limit;
}

/* Any state that software may be in with FRED on. */
static void random_cpu(void)
{
	const bool user = random_below(2);

	set_up(NULL);
	fred.config |= random_below(8) << 6 | random_below(4) << 9;
	fred.stklvls = random_64();
	cpu.star = (random_below(0x1ff0) << 3 | 3) << 48 | 0x0010ULL << 32;
	cpu.nmi_blocking = random_below(2);
	if (user) {
		const bool is_32 = random_below(2);
		const uint16_t base = (uint16_t)(cpu.star >> 48);

		in_ring3();
		cpu.rip = is_32 ? (uint32_t)random_64() : random_64() >> 17;
		cpu.rsp = is_32 ? (uint32_t)random_64() : random_64();
		cpu.cs.selector = (uint16_t)(is_32 ? base : base + 16);
		cpu.cs.rights = is_32 ? CODE32_3 : CODE64_3;
		cpu.ss.selector = (uint16_t)(base + 8);
		cpu.rflags = 2 | (random_64() & (ARITHMETIC_FLAGS | CONTROL_FLAGS));
	} else {
		set_level((unsigned int)random_below(4));
		cpu.rip = HIGH_START | random_64() >> 18;
		cpu.rsp = CURRENT_STACK + 0x400 + random_below(0xc00);
		cpu.rflags = 2 | (random_64() & (ARITHMETIC_FLAGS | CONTROL_FLAGS | RFLAGS_IOPL));
		cpu.sti_blocking = (cpu.rflags & IF) && random_below(2);
	}
}

static enum soft_result return_to(bool user)
{
	if (!user)
		return soft_erets(&cpu, &fault);
	/* What software has to do after a nested exception or #DF. */
	set_level(0);
	return soft_eretu(&cpu, &fault);
}

static void expect_same_segment(const struct soft_segment *a, const struct soft_segment *b)
{
	expect_segment(a, b->selector, b->rights, b->base, b->limit);
}

static void there_and_back(const struct event_row *row)
{
	const bool user = cpu.cpl == 3;
	const bool steps = row->event.type == 4 || row->event.type == 7;

	if (row->event.type == 2)
		cpu.nmi_blocking = false;
	remember();
	/* The return gives RIP behind the instruction: of 32 bits in compatibility mode. */
	before.rip += row->event.instruction_length;
	if (user && !(cpu.cs.rights & 0x2000))
		before.rip = (uint32_t)before.rip;
	assert_int_equal(soft_deliver(&cpu, &row->event, &fault), SOFT_DONE);
	assert_true(cpu.rsp % 64 == 0 && cpu.swap_gs == user);
	cpu.swap_gs = cpu.segments_changed = false;
	if (return_to(user) != SOFT_DONE)
		fail_msg("%s, CPL %u: vector %u", row->name, before.cpl, fault.vector);
	assert_int_equal(cpu.rip, before.rip);
	assert_int_equal(cpu.rsp, before.rsp);
	assert_int_equal(cpu.rflags, before.rflags);
	assert_int_equal(cpu.cpl, before.cpl);
	assert_int_equal(cpu.sti_blocking, before.sti_blocking);
	assert_int_equal(cpu.nmi_blocking, before.nmi_blocking);
	assert_int_equal(cpu.swap_gs, user);
	assert_int_equal(cpu.single_step_pending, steps && (before.rflags & TF));
	expect_same_segment(&cpu.cs, &before.cs);
	expect_same_segment(&cpu.ss, &before.ss);
	if (!user)
		assert_memory_equal(&fred, &fred_before, sizeof(fred));
}

TEST(deliver_then_return)
{
	random_state = 0x9e3779b97f4a7c15ULL;
	for (unsigned int round = 0; round < ROUNDS; round++) {
		random_cpu();
		there_and_back(&events[random_below(COUNT_OF(events))]);
	}
}

/* Each event interrupts the handler of the one before; the returns come in reverse. */
TEST(events_in_events)
{
	random_state = 1;
	for (unsigned int round = 0; round < ROUNDS / 20; round++) {
		uint64_t stack[20][4];
		unsigned int depth;

		set_up(NULL);
		fred.stklvls = random_64();
		for (depth = 0; depth < 20; depth++) {
			const struct event_row *const row = &events[random_below(COUNT_OF(events))];

			stack[depth][0] = cpu.rip + row->event.instruction_length;
			stack[depth][1] = cpu.rsp;
			stack[depth][2] = cpu.rflags;
			stack[depth][3] = fred.config;
			assert_int_equal(soft_deliver(&cpu, &row->event, &fault), SOFT_DONE);
			assert_true((fred.config & 3) >= (stack[depth][3] & 3));
		}
		while (depth-- > 0) {
			assert_int_equal(soft_erets(&cpu, &fault), SOFT_DONE);
			assert_int_equal(cpu.rip, stack[depth][0]);
			assert_int_equal(cpu.rsp, stack[depth][1]);
			assert_int_equal(cpu.rflags, stack[depth][2]);
			assert_int_equal(fred.config, stack[depth][3]);
		}
	}
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(from_ring0),
		RUN(from_ring3),
		RUN(a_compatibility_mode_program),
		RUN(red_zone_and_alignment),
		RUN(a_stack_switch_has_no_red_zone),
		RUN(sti_blocking_goes_to_the_frame),
		RUN(nmi_blocking_stays),
		RUN(all_of_rflags_is_saved),
		RUN(selectors_of_star_lose_their_rpl),
		RUN(stacks_that_cannot_be_pushed_on),
		RUN(a_stack_in_no_memory),
		RUN(linear_addresses_of_57_bits),
		RUN(every_bit_of_the_frame),
		RUN(level_after_erets),
		RUN(eretu_needs_level_0),
		RUN(ring0_keeps_its_own_selectors),
		RUN(single_steps),
		RUN(sti_blocking_after_a_return),
		RUN(nmis_are_unblocked_by_bit_18_only),
		RUN(a_return_that_faults_unblocks_nothing),
		RUN(frames_that_cannot_be_read),
		RUN(flat_segments_of_star),
		RUN(a_32_bit_program_has_32_bit_registers),
		RUN(segments_from_the_gdt),
		RUN(parts_of_a_descriptor),
		RUN(rip_beyond_a_32_bit_segment),
		RUN(rip_of_a_64_bit_segment_of_the_gdt),
		RUN(segments_from_the_ldt),
		RUN(descriptors_across_pages),
		RUN(a_table_in_a_user_page),
		RUN(a_table_that_ends_at_the_canonical_hole),
		RUN(lkgs),
		RUN(lkgs_of_null),
		RUN(lkgs_takes_base_and_limit),
		RUN(operands),
		RUN(deliver_then_return),
		RUN(events_in_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
