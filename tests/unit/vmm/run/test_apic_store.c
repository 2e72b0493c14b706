/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/run/apic_store.c: where a store to the watched xAPIC page goes is a matter of its operand
 * alone, whatever the processor tells of the guest-physical address; INIT and SIPI are kept from
 * the machine; and no offset, size or mode of addressing leads the VMM to touch anything else.
 */
#include "tests/unit/unit.h"
#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "tests/unit/model/model.h"
#include "vmm/host/apic.h"
#include "vmm/run/apic_store.h"
#include "vmm/run/startup.h"
#include "vmm/run/store_decode.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/vcpu/rip.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

#define APIC_PAGE   0xfee00000ULL
#define APIC_LINEAR 0xffffffffff5fc000ULL /* where Linux has it */
#define BASE	    (APIC_PAGE | APIC_BASE_ENABLE)
#define EOI	    0xb0U
#define RIP	    0xffffffff81000000ULL
#define INIT	    0x0c500U
#define SIPI	    0x0469aU
#define NMI	    0x04400U
#define REGISTERS   (PAGE_SIZE / sizeof(uint32_t))

static struct vm vm;
static struct vcpu vcpu;
static uint32_t registers[REGISTERS];
static unsigned int reads, writes, skipped, commands;
static uint64_t icr;
static uint8_t code[INSTRUCTION_MAX];
static bool low_bits_are_told = true;

/* ---- What vmm/run/apic_store.c calls ---- */

uint32_t apic_register(uint32_t offset)
{
	if (offset % 16 != 0 || offset >= PAGE_SIZE)
		fail_msg("the VMM reads the APIC's page at 0x%x", offset);
	reads++;
	return registers[offset / sizeof(uint32_t)];
}

void apic_set_register(uint32_t offset, uint32_t value)
{
	if (offset % 16 != 0 || offset >= PAGE_SIZE)
		fail_msg("the VMM writes the APIC's page at 0x%x", offset);
	writes++;
	registers[offset / sizeof(uint32_t)] = value;
}

bool sipi_command(struct vcpu *of, uint64_t command)
{
	assert_ptr_equal(of, &vcpu);
	commands++;
	icr = command;
	return (command >> 8 & 7) == 5 || (command >> 8 & 7) == 6;
}

unsigned int guest_read_code(const struct vm *of, uint8_t *bytes)
{
	assert_ptr_equal(of, &vm);
	memcpy(bytes, code, sizeof(code));
	return sizeof(code);
}

/* The APIC's page at APIC_LINEAR and by its own address, RAM everywhere else but at the top. */
bool guest_translate(const struct vm *of, uint64_t linear, uint64_t *physical)
{
	assert_ptr_equal(of, &vm);
	*physical = linear;
	if ((linear & ~PAGE_MASK) == APIC_LINEAR)
		*physical = APIC_PAGE | (linear & PAGE_MASK);
	return linear < 0xfffffffffffff000;
}

/* By their numbers: RSP is in the VMCS. */
static uint64_t *gpr(struct vcpu *of, unsigned int number)
{
	assert_in_range(number, 0, 15);
	if (number == 4)
		return &model.fields[VMCS_GUEST_RSP];
	return &of->regs.rax + (number < 4 ? number : number - 1);
}

uint64_t vcpu_gpr(const struct vcpu *of, unsigned int number)
{
	struct vcpu copy = *of;

	return *gpr(&copy, number);
}

void vcpu_set_gpr(struct vcpu *of, unsigned int number, uint64_t value)
{
	*gpr(of, number) = value;
}

void skip_bytes(unsigned int length)
{
	skipped += length;
}

/* ---- Helpers ---- */

#define CODE(...) memcpy(code, (const uint8_t[INSTRUCTION_MAX]){ __VA_ARGS__ }, sizeof(code))
/* The guest is to end because of this store; nothing of it has been done. */
#define ENDS(statement)                                             \
	do {                                                        \
		assert_true(statement);                             \
		assert_true(vcpu.end.requested);                    \
		assert_string_equal(vcpu.end.reason, "apic-store"); \
		memset(&vcpu.end, 0, sizeof(vcpu.end));             \
	} while (0)

static void set_mode(uint32_t cs_rights, uint64_t efer)
{
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, cs_rights);
	model_set(VMCS_GUEST_EFER, efer);
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	model_set_msr(MSR_IA32_APIC_BASE, BASE);
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(registers, 0, sizeof(registers));
	reads = writes = skipped = commands = 0;
	vm.devices = VM_DEVICES_PASSTHROUGH;
	vcpu.vm = &vm;
	model_set(VMCS_GUEST_RIP, RIP);
	/* In 64-bit code these are no part of an address. */
	for (enum segment s = SEG_ES; s <= SEG_DS; s++)
		model_set(VMCS_SEGMENT(VMCS_GUEST_ES_BASE, s), 0x1234);
	set_mode(ACCESS_RIGHTS_CODE64, EFER_LME | EFER_LMA);
	CODE(0x89, 0x07); /* mov [rdi], eax */
	return 0;
}

/* KVM tells the page of a guest-physical address, a processor all of it. */
static int set_up_page_only(void **state)
{
	low_bits_are_told = false;
	return set_up(state);
}

static int set_up_all_bits(void **state)
{
	low_bits_are_told = true;
	return set_up(state);
}

/* The instruction at RIP stores to this offset. */
static bool violation(uint64_t offset)
{
	return apic_store(&vcpu, APIC_PAGE + (low_bits_are_told ? offset : 0));
}

static bool store(uint64_t offset)
{
	vcpu.regs.rdi = APIC_LINEAR + offset;
	return violation(offset);
}

TEST(init_and_sipi_do_not_reach_the_machine)
{
	registers[APIC_ICR_HIGH / 4] = 2U << 24;
	registers[APIC_ICR_LOW / 4] = 0x55;
	vcpu.regs.rax = 0xffffffff00000000 | INIT;
	assert_true(store(APIC_ICR_LOW));
	assert_int_equal(icr, 2ULL << 56 | INIT);
	vcpu.regs.rax = SIPI;
	assert_true(store(APIC_ICR_LOW));
	assert_int_equal(icr, 2ULL << 56 | SIPI);
	assert_int_equal(registers[APIC_ICR_LOW / 4], 0x55);
	assert_int_equal(skipped, 4);
}

TEST(other_stores_reach_the_apic)
{
	vcpu.regs.rax = NMI;
	assert_true(store(APIC_ICR_LOW));
	assert_int_equal(registers[APIC_ICR_LOW / 4], NMI);
	assert_int_equal(commands, 1);
	/* What would be INIT in the other register. */
	vcpu.regs.rax = INIT;
	assert_true(store(APIC_ICR_HIGH));
	assert_int_equal(registers[APIC_ICR_HIGH / 4], INIT);
	CODE(0xc7, 0x07, 0x78, 0x56, 0x34, 0x12); /* mov dword [rdi], 0x12345678 */
	assert_true(store(EOI));
	assert_int_equal(registers[EOI / 4], 0x12345678);
	assert_int_equal(skipped, 2 + 2 + 6);
	assert_int_equal(commands, 1);
}

TEST(exchange_gets_the_old_value)
{
	CODE(0x87, 0x0f); /* xchg [rdi], ecx */
	registers[EOI / 4] = 0x11;
	vcpu.regs.rcx = 0xffffffff00000022;
	assert_true(store(EOI));
	assert_int_equal(registers[EOI / 4], 0x22);
	assert_int_equal(vcpu.regs.rcx, 0x11);
	assert_int_equal(skipped, 2);
}

/* ---- Where it goes ---- */

static void assert_goes_to(uint32_t offset, unsigned int length)
{
	vcpu.regs.rax = 7;
	if (!violation(offset) || registers[offset / 4] != 7 || skipped != length)
		fail_msg("not at 0x%x: %u writes, %u bytes skipped", offset, writes, skipped);
	memset(registers, 0, sizeof(registers));
	skipped = 0;
}

TEST(operands_of_64_bit_code)
{
	vcpu.regs.rdi = APIC_LINEAR - 0x300;
	CODE(0x89, 0x87, 0xb0, 3, 0, 0); /* mov [rdi + 0x3b0], eax */
	assert_goes_to(EOI, 6);
	vcpu.regs.rbx = APIC_LINEAR;
	vcpu.regs.r12 = EOI / 4;
	CODE(0x42, 0x89, 0x04, 0xa3); /* mov [rbx + r12 * 4], eax */
	assert_goes_to(EOI, 4);
	model_set(VMCS_GUEST_RSP, APIC_LINEAR + EOI - 8);
	CODE(0x89, 0x44, 0x24, 8); /* mov [rsp + 8], eax */
	assert_goes_to(EOI, 4);
	CODE(0x89, 0x04, 0x25, 0xb0, 0xc0, 0x5f, 0xff); /* mov [0xffffffffff5fc0b0], eax */
	assert_goes_to(EOI, 7);
	CODE(0xa3, 0xb0, 0xc0, 0x5f, 0xff, 0xff, 0xff, 0xff, 0xff);
	assert_goes_to(EOI, 9);
	model_set(VMCS_GUEST_RIP, APIC_LINEAR - 0x100);
	CODE(0x89, 0x05, 0xaa, 1, 0, 0); /* mov [rip + 0x1aa], eax */
	assert_goes_to(EOI, 6);
	model_set(VMCS_GUEST_GS_BASE, APIC_LINEAR - 0x1000);
	vcpu.regs.rdi = 0x1000;
	CODE(0x65, 0x89, 0x87, 0xb0, 0, 0, 0); /* mov gs:[rdi + 0xb0], eax */
	assert_goes_to(EOI, 7);
	/* An address of 32 bits: the sum is cut. */
	vcpu.regs.rdi = 0xffffffff80000000 | EOI;
	CODE(0x67, 0x89, 0x87, 0, 0, 0xe0, 0x7e); /* mov [edi + 0x7ee00000], eax */
	assert_goes_to(EOI, 7);
}

TEST(operands_of_32_bit_code)
{
	set_mode(ACCESS_RIGHTS_CODE32, 0);
	for (enum segment s = SEG_ES; s <= SEG_GS; s++)
		model_set(VMCS_SEGMENT(VMCS_GUEST_ES_BASE, s), 0);
	CODE(0xa3, 0xb0, 0x00, 0xe0, 0xfe); /* mov [0xfee000b0], eax */
	assert_goes_to(EOI, 5);
	CODE(0x89, 0x05, 0xb0, 0x00, 0xe0, 0xfe); /* the same: relative to nothing */
	assert_goes_to(EOI, 6);
	model_set(VMCS_GUEST_SS_BASE, 0x80000000);
	vcpu.regs.rbp = 0xffffffff7ee00000;
	CODE(0x89, 0x85, 0xb0, 0, 0, 0); /* mov [ebp + 0xb0], eax */
	assert_goes_to(EOI, 6);
	model_set(VMCS_GUEST_ES_BASE, 0xfee00080);
	vcpu.regs.rdi = 0x30;
	CODE(0x26, 0x89, 0x07); /* mov es:[edi], eax */
	assert_goes_to(EOI, 3);
	/* The L bit means nothing outside of IA-32e mode. */
	set_mode(ACCESS_RIGHTS_CODE32 | ACCESS_RIGHTS_L, 0);
	CODE(0xa3, 0xb0, 0x00, 0xe0, 0xfe);
	assert_goes_to(EOI, 5);
	CODE(0x44); /* inc esp here, a prefix in 64-bit mode */
	ENDS(violation(EOI));
}

TEST(operands_of_16_bit_code)
{
	set_mode(ACCESS_RIGHTS_CODE16, 0);
	model_set(VMCS_GUEST_DS_BASE, 0);
	vcpu.regs.rdi = APIC_PAGE + EOI;
	CODE(0x66, 0x67, 0x89, 0x07); /* mov [edi], eax */
	assert_goes_to(EOI, 4);
	model_set(VMCS_GUEST_DS_BASE, APIC_PAGE);
	vcpu.regs.rbx = 0xabcdff00;
	vcpu.regs.rsi = 0x100;
	CODE(0x66, 0x89, 0x80, 0xb0, 0); /* mov [bx + si + 0xb0], eax */
	assert_goes_to(EOI, 5);
}

/* ---- Every offset ---- */

/* Bytes 4 to 15 of a register are not to be touched, and the VMM does not, for the guest. */
TEST(unaligned_stores_within_the_page_are_dropped)
{
	for (uint32_t offset = 0; offset <= PAGE_SIZE - 4; offset++) {
		const bool aligned = offset % 16 == 0;

		set_up(NULL);
		vcpu.regs.rax = INIT;
		assert_true(store(offset));
		assert_int_equal(writes, aligned && offset != APIC_ICR_LOW);
		assert_int_equal(commands, offset == APIC_ICR_LOW);
		assert_int_equal(skipped, 2);
		CODE(0x87, 0x0f); /* xchg [rdi], ecx */
		vcpu.regs.rcx = ~0ULL;
		assert_true(store(offset));
		assert_int_equal(vcpu.regs.rcx, aligned && offset != APIC_ICR_LOW ? INIT : 0);
	}
}

static void assert_ends(uint64_t linear)
{
	set_up(NULL);
	vcpu.regs.rdi = linear;
	ENDS(apic_store(&vcpu, APIC_PAGE));
	assert_int_equal(reads + writes + skipped + commands, 0);
}

TEST(stores_across_an_end_of_the_page)
{
	for (uint64_t i = 1; i < 4; i++) {
		assert_ends(APIC_LINEAR - i);
		assert_ends(APIC_LINEAR + PAGE_SIZE - i);
	}
}

/* Page tables in the APIC's page, or page tables that another vcpu has changed. */
TEST(the_operand_is_not_what_has_hit_the_page)
{
	assert_ends(0x1000);
	assert_ends(APIC_LINEAR + PAGE_SIZE);
	assert_ends(0xfffffffffffff000); /* not mapped */
}

/* Its stack is in the APIC's page, and RIP at a store that has not been executed. */
static void assert_delivery_ends(void)
{
	const struct event ud = { .type = EVENT_HARDWARE_EXCEPTION, .vector = VECTOR_UD };

	vcpu.regs.rdi = APIC_LINEAR + EOI;
	model_exit_in_delivery(EXIT_REASON_EPT_VIOLATION, &ud);
	ENDS(violation(EOI));
	assert_int_equal(reads + writes + skipped + commands, 0);
}

TEST(the_delivery_of_an_event_has_hit_the_page)
{
	assert_delivery_ends();
}

TEST(what_is_no_store_to_an_apic)
{
	assert_false(apic_store(&vcpu, APIC_PAGE + PAGE_SIZE));
	assert_false(apic_store(&vcpu, APIC_PAGE - 4));
	vm.devices = VM_DEVICES_NONE;
	assert_false(store(EOI));
	assert_int_equal(skipped, 0);
}

/* Nothing is there, and nothing comes of it: the page must not become writable by it. */
TEST(an_x2apic_has_nothing_in_the_page)
{
	model_set_msr(MSR_IA32_APIC_BASE, BASE | APIC_BASE_X2APIC);
	vcpu.regs.rax = INIT;
	assert_true(store(APIC_ICR_LOW));
	assert_true(store(EOI));
	assert_int_equal(reads + writes + commands, 0);
	assert_int_equal(skipped, 4);
}

TEST(an_instruction_that_is_not_decoded_ends_the_guest)
{
	CODE(0x48, 0x89, 0x07); /* mov [rdi], rax */
	ENDS(store(APIC_ICR_LOW));
	assert_int_equal(skipped, 0);
}

#define RUN(name) cmocka_unit_test_setup(name, set_up_all_bits)
#define RUN_BOTH(name)                                                               \
	RUN(name),                                                                   \
	{                                                                            \
#name ", the page alone is told", name, set_up_page_only, NULL, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN_BOTH(init_and_sipi_do_not_reach_the_machine),
		RUN_BOTH(other_stores_reach_the_apic),
		RUN_BOTH(exchange_gets_the_old_value),
		RUN_BOTH(operands_of_64_bit_code),
		RUN_BOTH(operands_of_32_bit_code),
		RUN_BOTH(operands_of_16_bit_code),
		RUN_BOTH(unaligned_stores_within_the_page_are_dropped),
		RUN(stores_across_an_end_of_the_page),
		RUN(the_operand_is_not_what_has_hit_the_page),
		RUN(the_delivery_of_an_event_has_hit_the_page),
		RUN(what_is_no_store_to_an_apic),
		RUN(an_x2apic_has_nothing_in_the_page),
		RUN(an_instruction_that_is_not_decoded_ends_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
