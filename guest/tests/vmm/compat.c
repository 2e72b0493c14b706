// SPDX-License-Identifier: BSD-2-Clause
/*
 * Exits of 32-bit code: the upper halves of registers do not count, and RIP ends at 4 GiB. Each
 * instruction is the last one of its segment, behind which RIP is 0.
 */
#include "guest/machine/machine.h"
#include "guest/machine/segments.h"
#include "guest/suite/suite.h"

#define GARBAGE (0xdeadbeefULL << 32)

struct compat_regs {
	uint64_t rax, rbx, rcx, rdx;
};

/* compat_fragments.asm */
void compat_run(struct compat_regs *regs, uint64_t length);
extern const char compat_cpuid[], compat_cpuid_end[] asm("compat_cpuid.end"), compat_vmcall[],
	compat_vmcall_end[] asm("compat_vmcall.end"), compat_mov_cr0[],
	compat_mov_cr0_end[] asm("compat_mov_cr0.end");

static void run(const char *code, const char *end, struct compat_regs *regs)
{
	segments_open();
	segment_set(SELECTOR_TEST_1, DESCRIPTOR(ACCESS_PRESENT | ACCESS_CODE, FLAG_32 | FLAG_4K,
						(uintptr_t)end, LIMIT_MAX));
	catch_begin();
	compat_run(regs, (uint64_t)(end - code));
	expect_no_event();
	segments_close();
}

static void rip_wraps(uint64_t argument)
{
	struct compat_regs regs = { .rax = GARBAGE };
	const uint64_t before = exits(EXIT_REASON_CPUID);

	(void)argument;
	run(compat_cpuid, compat_cpuid_end, &regs);
	check_equal("exits by CPUID", exits(EXIT_REASON_CPUID) - before, 1);
	check_equal("EBX", (uint32_t)regs.rbx, cpuid(0, 0).ebx);
}

/* With a bit that is the VMM's: no exit without it. */
static void mov_to_cr0(uint64_t argument)
{
	const uint64_t cr0 = read_cr0();
	struct compat_regs regs = { .rax = (cr0 ^ CR0_CD) | GARBAGE };

	(void)argument;
	run(compat_mov_cr0, compat_mov_cr0_end, &regs);
	check_equal("CR0", read_cr0(), cr0 ^ CR0_CD);
	write_cr0(cr0);
}

static void hypercall_operands(uint64_t argument)
{
	struct compat_regs regs = { .rax = HYPERCALL_EXIT_COUNT | GARBAGE,
				    .rbx = EXIT_REASON_CPUID | GARBAGE };

	(void)argument;
	run(compat_vmcall, compat_vmcall_end, &regs);
	check_equal("EAX", (uint32_t)regs.rax, (uint32_t)exits(EXIT_REASON_CPUID));
}

static void hypercall_number(uint64_t argument)
{
	struct compat_regs regs = { .rax = HYPERCALL_NOP | GARBAGE };

	(void)argument;
	run(compat_vmcall, compat_vmcall_end, &regs);
	check_equal("EAX", (uint32_t)regs.rax, (uint32_t)HYPERCALL_OK);
}

static const struct test tests[] = {
	{ "rip_wraps", rip_wraps, 0 },
	{ "mov_to_cr0", mov_to_cr0, 0 },
	{ "hypercall_operands", hypercall_operands, 0 },
	{ "hypercall_number", hypercall_number, 0 },
};

const struct chapter chapter_compat = CHAPTER("compat", tests);
