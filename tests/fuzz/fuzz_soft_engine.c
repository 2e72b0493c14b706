/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Software FRED on any state that a guest can bring about, and any guest memory, with the page
 * tables in it: they may map themselves, and change once while they are used. A fault has changed
 * nothing; what is done leaves a state that FRED allows.
 */
#define GUEST_PAGES 2U

#include "tests/fuzz/fuzz.h"
#include "lib/fred.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "tests/unit/model/model.h"
#include "tests/unit/soft_guest.h"
#include "vmm/host/capabilities.h"
#include "vmm/soft/engine.h"

enum operation { DELIVER, ERETS, ERETU, LKGS, READ, OPERATIONS };

/* The input: this, and then guest memory. */
struct input {
	uint64_t rip, rsp, rflags, star, gdt_base, ldt_base, linear, event_data;
	uint64_t cr0, cr4, efer;
	struct fred_state fred;
	uint32_t gdt_limit, ldt_limit, cs_rights, ss_rights, error_code, pkru;
	/* After so many uses of memory, this entry of the tables becomes that. */
	uint32_t change_after, change_entry;
	uint64_t change_to;
	uint16_t cs, ss, selector;
	uint8_t operation, user, sti, nmi, type, vector, length, nested;
};

struct machine machine = { .physical_mask = (1ULL << 46) - 1 };
struct model model;

struct event event_exception_error(uint8_t vector, uint32_t error_code)
{
	return (struct event){ .type = EVENT_HARDWARE_EXCEPTION,
			       .vector = vector,
			       .has_error_code = true,
			       .error_code = error_code };
}

struct event event_page_fault(uint32_t error_code, uint64_t linear)
{
	struct event event = event_exception_error(VECTOR_PF, error_code);

	event.event_data = linear;
	return event;
}

/* ---- Seeds: one table that is all levels, and page 1 with the stack and the GDT ---- */

#define PAGE_1	    0xffffffffffe01000ULL /* indexes 511, 511, 511, 1 */
#define STACK_TOP   (PAGE_1 + 0x400)
#define USER_PAGE_1 0x2000ULL
#define GDT	    (PAGE_1 + 0x800)

static void put(uint8_t *image, size_t offset, uint64_t value)
{
	memcpy(image + offset, &value, sizeof(value));
}

static void put_memory(uint8_t *image, const struct input *input)
{
	const uint64_t frame[6] = { 0, PAGE_1, input->cs, 0x246, STACK_TOP, input->ss };
	const uint64_t user_frame[6] = { 0, 0x1000, 0x33, 0x246, 0x1800, 0x2b };

	put(image, 0, ENTRY_P | ENTRY_W | ENTRY_U);
	put(image, 8, PAGE_SIZE | ENTRY_P | ENTRY_W);
	put(image, 16, PAGE_SIZE | ENTRY_P | ENTRY_W | ENTRY_U);
	put(image, 511 * 8, ENTRY_P | ENTRY_W);
	memcpy(image + PAGE_SIZE + 0x400, input->operation == ERETS ? frame : user_frame,
	       sizeof(frame));
	if (input->operation == ERETU && input->selector != 0) {
		put(image, PAGE_SIZE + 0x410, 0x43);
		put(image, PAGE_SIZE + 0x428, 0x4b);
	}
	put(image, PAGE_SIZE + 0x840, 0x00affa000000ffffULL);
	put(image, PAGE_SIZE + 0x848, 0x00cff2000000ffffULL);
}

#define SEEDS 8

size_t fuzz_seed(unsigned int number, uint8_t *buffer)
{
	static const uint8_t operations[SEEDS] = { DELIVER, DELIVER, DELIVER, ERETS,
						   ERETU,   ERETU,   LKGS,    READ };
	struct input input = { .rip = PAGE_1,
			       .rsp = STACK_TOP,
			       .rflags = RFLAGS_RESERVED | RFLAGS_IF | RFLAGS_AC,
			       .star = 0x00230010ULL << 32,
			       .gdt_base = GDT,
			       .gdt_limit = 0x4f,
			       .linear = USER_PAGE_1,
			       .cr0 = CR0_WP,
			       .cr4 = CR4_SMAP | CR4_PKE,
			       .efer = EFER_NXE,
			       .cs_rights = ACCESS_RIGHTS_CODE64,
			       .ss_rights = ACCESS_RIGHTS_DATA,
			       .change_after = 99,
			       .cs = 0x10,
			       .ss = 0x18,
			       .type = EVENT_HARDWARE_EXCEPTION,
			       .vector = VECTOR_PF };

	if (number >= SEEDS)
		return 0;
	input.operation = operations[number];
	input.user = number == 1;
	input.fred.config = PAGE_1 | (number == 2 ? FRED_CONFIG_REDZONE_MASK : 0);
	input.fred.stklvls = number == 2 ? ~0ULL : 0;
	for (unsigned int i = 0; i < FRED_LEVELS; i++)
		input.fred.rsp[i] = STACK_TOP + 0x100 * i;
	input.selector = number == 5 || number == 6 ? 0x43 : 0;
	memset(buffer, 0, SAMPLE_MAX);
	memcpy(buffer, &input, sizeof(input));
	put_memory(buffer + sizeof(input), &input);
	return sizeof(input) + PAGE_SIZE + 0x900;
}

/* ---- One input ---- */

static struct input input;
static struct fred_state fred;
static uint32_t uses;

static void change_tables(uint64_t physical __attribute__((unused)))
{
	if (uses++ == input.change_after)
		memcpy(guest_ram + input.change_entry % 512 * 8, &input.change_to, 8);
}

static uint64_t canonical(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 16) >> 16);
}

/* What WRMSR and the processor have seen to. */
static void make_legal(void)
{
	const uint64_t config = canonical(input.fred.config & FRED_CONFIG_ENTRY_MASK);

	fred = input.fred;
	fred.config = config | (input.fred.config & (PAGE_MASK & ~FRED_CONFIG_RESERVED));
	for (unsigned int i = 0; i < FRED_LEVELS; i++)
		fred.rsp[i] = canonical(fred.rsp[i] & ~FRED_RSP_RESERVED);
	REQUIRE((fred.config & FRED_CONFIG_RESERVED) == 0);
	input.cs &= 0xfffc;
	input.ss &= 0xfffc;
}

static struct soft_cpu make_cpu(void)
{
	return (struct soft_cpu){
		.rip = input.rip,
		.rsp = input.rsp,
		.rflags = (input.rflags & 0x3d7fd5) | RFLAGS_RESERVED,
		.cs = { .selector = input.cs, .rights = input.cs_rights },
		.ss = { .selector = input.ss, .rights = input.ss_rights },
		.cpl = input.user & 1 ? 3 : 0,
		.sti_blocking = input.sti & 1,
		.nmi_blocking = input.nmi & 1,
		.fred = &fred,
		.star = input.star,
		.gdt_base = canonical(input.gdt_base),
		.ldt_base = canonical(input.ldt_base),
		.gdt_limit = input.gdt_limit & 0xffff,
		.ldt_limit = input.ldt_limit,
		.paging = { .walks = &guest_walks,
			    .cr0 = input.cr0,
			    .cr4 = input.cr4,
			    .efer = input.efer },
	};
}

static struct event make_event(void)
{
	struct event event = { .type = input.type % 8,
			       .vector = input.vector,
			       .has_error_code = input.error_code != 0,
			       .error_code = input.error_code,
			       .event_data = input.event_data };

	if (event.type == 1 || event.type == EVENT_HARDWARE_EXCEPTION) {
		event.type = EVENT_HARDWARE_EXCEPTION;
		event.vector %= EXCEPTION_VECTORS;
		event.nested = input.nested & 1;
	} else if (event.type == EVENT_NMI) {
		event.vector = VECTOR_NMI;
	}
	if (event.type >= EVENT_SOFTWARE_INTERRUPT)
		event.instruction_length = 1 + input.length % 15;
	return event;
}

static void check_unchanged(const struct soft_cpu *cpu, const struct soft_cpu *before,
			    const struct fred_state *fred_before)
{
	struct soft_cpu same = *cpu;

	same.paging.smap_suspended = before->paging.smap_suspended;
	REQUIRE(memcmp(&same, before, sizeof(same)) == 0);
	REQUIRE(memcmp(&fred, fred_before, sizeof(fred)) == 0);
}

static void check_fault(const struct event *fault)
{
	REQUIRE(fault->type == EVENT_HARDWARE_EXCEPTION && fault->has_error_code);
	REQUIRE(fault->vector >= VECTOR_NP && fault->vector <= VECTOR_PF);
	REQUIRE(!fault->nested && fault->instruction_length == 0);
	REQUIRE(fault->vector == VECTOR_PF || fault->error_code <= 0xffff);
	if (fault->vector == VECTOR_PF)
		REQUIRE(is_canonical(fault->event_data, guest_walks.linear_bits));
}

static void check_delivered(const struct soft_cpu *cpu, const struct soft_cpu *before,
			    uint64_t old_config)
{
	const uint64_t entry = (fred.config & FRED_CONFIG_ENTRY_MASK) + (before->cpl ? 0 : 0x100);

	REQUIRE(cpu->rip == entry && cpu->rsp % 64 == 0 && cpu->rflags == RFLAGS_RESERVED);
	REQUIRE(cpu->cpl == 0 && !cpu->sti_blocking && !cpu->single_step_pending);
	REQUIRE(before->cpl != 0 || (fred.config & 3) >= (old_config & 3));
	REQUIRE(cpu->swap_gs == (before->cpl != 0) && cpu->segments_changed == cpu->swap_gs);
}

static void check_returned(const struct soft_cpu *cpu, uint64_t old_config)
{
	const uint32_t cs = cpu->cs.rights;
	const bool is_user = input.operation % OPERATIONS == ERETU;

	REQUIRE((cpu->rflags & 0xffffffffffc2802aULL) == RFLAGS_RESERVED);
	REQUIRE((fred.config & 3) <= (old_config & 3));
	REQUIRE(!cpu->sti_blocking || (cpu->rflags & RFLAGS_IF));
	REQUIRE(cpu->swap_gs == is_user && cpu->cpl == (is_user ? 3 : 0));
	REQUIRE(is_canonical(cpu->rip, guest_walks.linear_bits));
	if (!is_user)
		return;
	/* VM entry's checks of CS and SS (SDM 3C, 27.3.1.2), and IOPL 0. */
	REQUIRE((cpu->cs.selector & 3) == 3 && (cpu->ss.selector & 3) == 3);
	REQUIRE((cs & 0x99) == 0x99 && ((cs & 4) || ACCESS_RIGHTS_DPL(cs) == 3));
	REQUIRE((cpu->ss.rights & 0xfb) == 0xf3 && !(cpu->rflags & 0x3000));
	REQUIRE(((cs | cpu->ss.rights) & ~0xf0ffU) == 0);
	REQUIRE((cs & ACCESS_RIGHTS_L) || (cpu->rip <= cpu->cs.limit && cpu->rsp <= 0xffffffff));
}

static void check_gs(const struct soft_segment *gs)
{
	REQUIRE(gs->base <= 0xffffffff);
	REQUIRE((gs->selector & 0xfffc) ? (gs->rights & 0x91) == 0x91
					: gs->rights == ACCESS_RIGHTS_UNUSABLE);
}

static enum soft_result perform(struct soft_cpu *cpu, struct soft_segment *gs, struct event *fault)
{
	const struct event event = make_event();
	uint64_t operand;

	switch (input.operation % OPERATIONS) {
	case DELIVER:
		return soft_deliver(cpu, &event, fault);
	case ERETS:
		return soft_erets(cpu, fault);
	case ERETU:
		return soft_eretu(cpu, fault);
	case LKGS:
		return soft_lkgs(cpu, input.selector, gs, fault);
	default:
		return soft_read_operand(cpu, input.linear, &operand, sizeof(operand),
					 input.selector & 1, fault);
	}
}

static void check_done(const struct soft_cpu *cpu, const struct soft_cpu *before,
		       const struct fred_state *fred_before, const struct soft_segment *gs)
{
	switch (input.operation % OPERATIONS) {
	case DELIVER:
		check_delivered(cpu, before, fred_before->config);
		break;
	case ERETS:
	case ERETU:
		check_returned(cpu, fred_before->config);
		break;
	case LKGS:
		check_gs(gs);
		break;
	default:
		break;
	}
	/* Of FRED's registers only the current stack level changes. */
	REQUIRE(((fred.config ^ fred_before->config) & ~FRED_CONFIG_CSL_MASK) == 0);
	fred.config = fred_before->config;
	REQUIRE(memcmp(&fred, fred_before, sizeof(fred)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct soft_cpu cpu, before;
	struct fred_state fred_before;
	struct soft_segment gs;
	struct event fault;
	enum soft_result result;

	guest_clear(4);
	if (size < sizeof(input))
		return 0;
	memcpy(&input, data, sizeof(input));
	size -= sizeof(input);
	memcpy(guest_ram, data + sizeof(input), size < GUEST_RAM ? size : GUEST_RAM);
	make_legal();
	fred_before = fred;
	before = cpu = make_cpu();
	if (cpu.cpl != 0 && input.operation % OPERATIONS != DELIVER)
		return 0;
	model.pkru = input.pkru;
	guest_walks.linear_bits = cpu.paging.cr4 & CR4_LA57 ? 57 : 48;
	machine.has_1g_pages = true;
	uses = 0;
	guest_hook = change_tables;
	result = perform(&cpu, &gs, &fault);
	if (result == SOFT_DONE) {
		check_done(&cpu, &before, &fred_before, &gs);
		return 0;
	}
	check_unchanged(&cpu, &before, &fred_before);
	if (result == SOFT_FAULT)
		check_fault(&fault);
	return 0;
}
