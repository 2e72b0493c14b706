// SPDX-License-Identifier: BSD-2-Clause
/*
 * Far transfers while FRED is on: none changes the ring, none goes through a call gate, and ring 0
 * stays in 64-bit mode. In ring 3 all of the rest is as ever.
 */
#include "guest/tests/fred/return.h"
#include "guest/machine/segments.h"
#include "guest/suite/suite.h"

#define INT_N_LENGTH 2

struct far_pointer {
	uint64_t offset;
	uint16_t selector;
} __attribute__((packed));

/*
 * A far transfer of ring 0 to the label behind it, with RAX at `pointer` (JMP, CALL) or with a
 * frame on the stack (IRET, RET). `rip` becomes the address of the instruction.
 */
#define TRANSFER(name, push, instruction)                                                  \
	static void name(uint64_t selector, uint64_t ss, uint64_t *rip)                    \
	{                                                                                  \
		struct far_pointer pointer = { 0, (uint16_t)selector };                    \
                                                                                           \
		asm volatile(TRY("movq %%rsp, %%rbx\n\tleaq 9f(%%rip), %%rcx\n\t"          \
				 "movq %%rcx, (%%rax)\n\t" push "leaq 1f(%%rip), %0\n1:\t" \
				 ".byte " instruction) "movq %%rbx, %%rsp"                 \
			     : "=&d"(*rip)                                                 \
			     : "a"(&pointer), "D"(selector), "S"(ss)                       \
			     : "rbx", "rcx", "r11", "memory", "cc");                       \
	}

TRANSFER(jmp_far, "", "0x48, 0xff, 0x28")
TRANSFER(call_far, "", "0x48, 0xff, 0x18")
TRANSFER(ret_far, "pushq %%rsi\n\tpushq %%rbx\n\tpushq %%rdi\n\tpushq %%rcx\n\t", "0x48, 0xcb")
TRANSFER(iret, "pushq %%rsi\n\tpushq %%rbx\n\tpushq $2\n\tpushq %%rdi\n\tpushq %%rcx\n\t",
	 "0x48, 0xcf")

static void (*const transfers[])(uint64_t selector, uint64_t ss, uint64_t *rip) = {
	jmp_far,
	call_far,
	ret_far,
	iret,
};
enum { JMP, CALL, RET, IRET };

static void same_level(uint64_t index)
{
	uint64_t rip;

	fred_begin(&(struct fred_setup){ 0 });
	transfers[index](SELECTOR_KERNEL_CODE, SELECTOR_KERNEL_DATA, &rip);
	expect_no_fred_event();
}

/* #GP with this selector, in ring 0. */
static void expect_refused(uint64_t index, uint64_t selector, uint64_t ss)
{
	uint64_t rip;

	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_GP, 1) });
	transfers[index](selector, ss, &rip);
	expect_fred_event(&(struct fred_expected){
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_GP,
		.error_code = (uint32_t)selector & ~3U,
		.level = 1,
		.rip = rip,
		.rsp = fred.events[0].stack.frame.rsp,
		.rflags = RFLAGS_RF,
	});
}

#define OUTER(index, ring) ((uint64_t)(ring) << 8 | (index))

/* With the descriptors that the ring needs. */
static void outer_ring(uint64_t argument)
{
	const unsigned int ring = (unsigned int)(argument >> 8);

	segments_open();
	segment_set(SELECTOR_TEST_1, DESCRIPTOR_CODE64(ring));
	segment_set(SELECTOR_TEST_2, DESCRIPTOR_FLAT_DATA(ring));
	expect_refused(argument & 0xff, SELECTOR_TEST_1 | ring, SELECTOR_TEST_2 | ring);
	segments_close();
}

static void code_32_bit(uint64_t index)
{
	segments_open();
	segment_set(SELECTOR_TEST_1, DESCRIPTOR_CODE32(0));
	expect_refused(index, SELECTOR_TEST_1, SELECTOR_KERNEL_DATA);
	segments_close();
}

extern const char far_gate_target[];
/* Where the gates lead: back to the label behind the transfer, which RCX has. */
asm(".pushsection .text\nfar_gate_target:\n\tjmp *%rcx\n.popsection");

static void call_gate(uint64_t index)
{
	segments_open();
	segment_set_call_gate(SELECTOR_TEST_1, 0, SELECTOR_KERNEL_CODE, (uintptr_t)far_gate_target);
	expect_refused(index, SELECTOR_TEST_1, 0);
	segments_close();
}

/* The same gate is good without FRED. */
static void call_gate_off(uint64_t index)
{
	uint64_t rip;

	segments_open();
	segment_set_call_gate(SELECTOR_TEST_1, 0, SELECTOR_KERNEL_CODE, (uintptr_t)far_gate_target);
	catch_begin();
	transfers[index](SELECTOR_TEST_1, 0, &rip);
	expect_no_event();
	segments_close();
}

extern const char far_jmp_compat[], far_call_compat[], far_retf_compat[], far_iret_compat[];
extern const char far_jmp_back[], far_retf_back[], far_iret_back[], far_iret_64[];
extern const char far_call_gate[], far_jmp_gate[];

#define COMPAT_CALL_PUSHES 8

static const struct user_transfer {
	const char *code;
	bool compat; /* where it leads */
	unsigned int pushed;
} user_transfers[] = {
	{ far_jmp_compat, true, 0 },  { far_call_compat, true, COMPAT_CALL_PUSHES },
	{ far_retf_compat, true, 0 }, { far_iret_compat, true, 0 },
	{ far_jmp_back, false, 0 },   { far_retf_back, false, 0 },
	{ far_iret_back, false, 0 },  { far_iret_64, false, 0 },
};
enum { JMP_COMPAT, CALL_COMPAT, RETF_COMPAT, IRET_COMPAT, JMP_BACK, RETF_BACK, IRET_BACK, IRET_64 };

static void ring3_by(uint64_t index, uint64_t code)
{
	const struct user_transfer *const transfer = &user_transfers[index];
	struct fred_frame *const frame = return_frame_ring3();

	segments_open();
	segment_set(SELECTOR_TEST_1, code);
	frame->rip = (uintptr_t)transfer->code;
	fred_begin(&(struct fred_setup){ 0 });
	fred.hook = return_leave;
	fred_try_eretu(frame);
	expect_fred_event(&(struct fred_expected){
		.type = EVENT_SOFTWARE_INTERRUPT,
		.vector = VECTOR_SOFTWARE,
		.length = INT_N_LENGTH,
		.ring = 3,
		.compat = transfer->compat,
		.cs = transfer->compat ? SELECTOR_TEST_1 | 3 : SELECTOR_USER_CODE,
		.rip = (uintptr_t)(transfer->compat ? return_user32_saved : return_user64_saved),
		.rsp = frame->rsp - transfer->pushed,
		.rflags = RFLAGS_IF,
	});
	segments_close();
}

static void ring3(uint64_t index)
{
	ring3_by(index, DESCRIPTOR_CODE32(3));
}

/* Ring 3 stays ring 3 in it: that ring 0 has no 32-bit code does not concern it. */
static void ring3_conforming(uint64_t index)
{
	ring3_by(index, DESCRIPTOR_CONFORMING32(0));
}

static void ring3_gate(uint64_t code)
{
	struct fred_frame *const frame = return_frame_ring3();

	segments_open();
	segment_set_call_gate(SELECTOR_TEST_2, 3, SELECTOR_KERNEL_CODE, (uintptr_t)far_gate_target);
	frame->rip = code;
	fred_begin(&(struct fred_setup){ 0 });
	fred.hook = return_leave;
	fred_try_eretu(frame);
	expect_fred_event(&(struct fred_expected){
		.type = EVENT_HARDWARE_EXCEPTION,
		.vector = VECTOR_GP,
		.error_code = SELECTOR_TEST_2,
		.ring = 3,
		.rip = code,
		.rsp = frame->rsp,
		.rflags = RFLAGS_RF | RFLAGS_IF,
	});
	segments_close();
}

static void ring3_call_gate(uint64_t argument)
{
	(void)argument;
	ring3_gate((uintptr_t)far_call_gate);
}

static void ring3_jmp_gate(uint64_t argument)
{
	(void)argument;
	ring3_gate((uintptr_t)far_jmp_gate);
}

static const struct test tests[] = {
	{ "jmp_in_ring0", same_level, JMP },
	{ "call_in_ring0", same_level, CALL },
	{ "ret_in_ring0", same_level, RET },
	{ "iret_in_ring0", same_level, IRET },
	{ "ret_to_ring1_faults", outer_ring, OUTER(RET, 1) },
	{ "ret_to_ring2_faults", outer_ring, OUTER(RET, 2) },
	{ "ret_to_ring3_faults", outer_ring, OUTER(RET, 3) },
	{ "iret_to_ring1_faults", outer_ring, OUTER(IRET, 1) },
	{ "iret_to_ring2_faults", outer_ring, OUTER(IRET, 2) },
	{ "iret_to_ring3_faults", outer_ring, OUTER(IRET, 3) },
	{ "jmp_to_32_bit_ring0_faults", code_32_bit, JMP },
	{ "call_to_32_bit_ring0_faults", code_32_bit, CALL },
	{ "ret_to_32_bit_ring0_faults", code_32_bit, RET },
	{ "iret_to_32_bit_ring0_faults", code_32_bit, IRET },
	{ "jmp_through_gate_faults", call_gate, JMP },
	{ "call_through_gate_faults", call_gate, CALL },
	{ "jmp_through_gate_works_without_fred", call_gate_off, JMP },
	{ "call_through_gate_works_without_fred", call_gate_off, CALL },
	{ "ring3_jmp_to_compat", ring3, JMP_COMPAT },
	{ "ring3_call_to_compat", ring3, CALL_COMPAT },
	{ "ring3_ret_to_compat", ring3, RETF_COMPAT },
	{ "ring3_iret_to_compat", ring3, IRET_COMPAT },
	{ "ring3_jmp_from_compat", ring3, JMP_BACK },
	{ "ring3_ret_from_compat", ring3, RETF_BACK },
	{ "ring3_iret_from_compat", ring3, IRET_BACK },
	{ "ring3_iret_in_64_bit", ring3, IRET_64 },
	{ "ring3_jmp_to_conforming", ring3_conforming, JMP_COMPAT },
	{ "ring3_call_to_conforming", ring3_conforming, CALL_COMPAT },
	{ "ring3_ret_to_conforming", ring3_conforming, RETF_COMPAT },
	{ "ring3_iret_to_conforming", ring3_conforming, IRET_COMPAT },
	{ "ring3_call_through_gate_faults", ring3_call_gate, 0 },
	{ "ring3_jmp_through_gate_faults", ring3_jmp_gate, 0 },
};

const struct chapter chapter_fred_far = FRED_CHAPTER("fred-far", tests);
