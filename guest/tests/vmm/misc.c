// SPDX-License-Identifier: BSD-2-Clause
/* What must survive an exit, and instructions of no other chapter. */
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"
#include "lib/string.h"

#define PATTERN	    0x0123456789abcdefULL
#define GPRS	    15 /* all but RSP */
#define VECTORS	    16
#define VECTOR_SIZE 32

/* Only assembly text names it. */
#define USED __attribute__((used))

static void runs(uint64_t argument)
{
	(void)argument;
	catch_begin();
	asm volatile("invd" : : : "memory");
	asm volatile("wbinvd" : : : "memory");
	expect_no_event();
}

static void memory_survives_invd(uint64_t argument)
{
	(void)argument;
	memset(test_pages[0], 0x5a, sizeof(test_pages[0]));
	asm volatile("invd" : : : "memory");
	for (size_t i = 0; i < sizeof(test_pages[0]); i++)
		if (test_pages[0][i] != 0x5a)
			check_failed("offset of a wrong byte", i);
}

/* An interrupt waits; the exit of CPUID in the shadow of STI must end the shadow. */
static void cpuid_in_sti_shadow(uint64_t argument)
{
	uint64_t behind;

	(void)argument;
	catch_begin();
	inject(INJECT(EVENT_EXTERNAL_INTERRUPT, VECTOR_INTERRUPT), 0, 0, 0);
	asm volatile("leaq 1f(%%rip), %0\n\txorl %%eax, %%eax\n\tsti\n\tcpuid\n1:\tnop\n\tcli"
		     : "=&r"(behind)
		     :
		     : "rax", "rbx", "rcx", "rdx", "memory", "cc");
	expect_event(VECTOR_INTERRUPT, 0);
	check_equal("saved RIP", catcher.events[0].frame.rip, behind);
}

/* The registers by the numbers of machine/boot.asm's pushes; INVD exits and changes none. */
static uint64_t gprs_wanted[GPRS] asm("gprs_wanted") USED, gprs_found[GPRS] asm("gprs_found") USED;

static void gprs_survive(uint64_t argument)
{
	(void)argument;
	for (unsigned int i = 0; i < GPRS; i++)
		gprs_wanted[i] = PATTERN * (i + 1);
	asm volatile("pushq %%rbp\n\t"
		     "movq gprs_wanted+0, %%rax\n\tmovq gprs_wanted+8, %%rcx\n\t"
		     "movq gprs_wanted+16, %%rdx\n\tmovq gprs_wanted+24, %%rbx\n\t"
		     "movq gprs_wanted+32, %%rbp\n\tmovq gprs_wanted+40, %%rsi\n\t"
		     "movq gprs_wanted+48, %%rdi\n\tmovq gprs_wanted+56, %%r8\n\t"
		     "movq gprs_wanted+64, %%r9\n\tmovq gprs_wanted+72, %%r10\n\t"
		     "movq gprs_wanted+80, %%r11\n\tmovq gprs_wanted+88, %%r12\n\t"
		     "movq gprs_wanted+96, %%r13\n\tmovq gprs_wanted+104, %%r14\n\t"
		     "movq gprs_wanted+112, %%r15\n\tinvd\n\t"
		     "movq %%rax, gprs_found+0\n\tmovq %%rcx, gprs_found+8\n\t"
		     "movq %%rdx, gprs_found+16\n\tmovq %%rbx, gprs_found+24\n\t"
		     "movq %%rbp, gprs_found+32\n\tmovq %%rsi, gprs_found+40\n\t"
		     "movq %%rdi, gprs_found+48\n\tmovq %%r8, gprs_found+56\n\t"
		     "movq %%r9, gprs_found+64\n\tmovq %%r10, gprs_found+72\n\t"
		     "movq %%r11, gprs_found+80\n\tmovq %%r12, gprs_found+88\n\t"
		     "movq %%r13, gprs_found+96\n\tmovq %%r14, gprs_found+104\n\t"
		     "movq %%r15, gprs_found+112\n\tpopq %%rbp"
		     :
		     :
		     : "rax", "rcx", "rdx", "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
		       "r13", "r14", "r15", "memory");
	for (unsigned int i = 0; i < GPRS; i++)
		check_equal("register", gprs_found[i], gprs_wanted[i]);
}

static uint8_t vectors_wanted[VECTORS][VECTOR_SIZE] asm("vectors_wanted") USED;
static uint8_t vectors_found[VECTORS][VECTOR_SIZE] asm("vectors_found") USED;

#define EACH_VECTOR(move)                                                                        \
	move(0) move(1) move(2) move(3) move(4) move(5) move(6) move(7) move(8) move(9) move(10) \
		move(11) move(12) move(13) move(14) move(15)
#define LOAD_XMM(n)  "movups vectors_wanted+" #n "*32, %%xmm" #n "\n\t"
#define STORE_XMM(n) "movups %%xmm" #n ", vectors_found+" #n "*32\n\t"
#define LOAD_YMM(n)  "vmovups vectors_wanted+" #n "*32, %%ymm" #n "\n\t"
#define STORE_YMM(n) "vmovups %%ymm" #n ", vectors_found+" #n "*32\n\t"

/* The VMM does not save these: it must not touch them. */
static void vectors_survive(uint64_t size)
{
	const uint64_t cr4 = read_cr4();
	const bool avx = size == VECTOR_SIZE;

	if (avx && !(cpuid(0xd, 0).eax & XCR0_AVX)) {
		test_skip("no AVX");
		return;
	}
	for (unsigned int i = 0; i < sizeof(vectors_wanted); i++)
		vectors_wanted[i / VECTOR_SIZE][i % VECTOR_SIZE] = (uint8_t)(i * 11 + 3);
	memset(vectors_found, 0, sizeof(vectors_found));
	write_cr4(cr4 | CR4_OSFXSR | (avx ? CR4_OSXSAVE : 0));
	if (avx) {
		try_xsetbv(0, XCR0_X87 | XCR0_SSE | XCR0_AVX);
		asm volatile(EACH_VECTOR(LOAD_YMM) "invd\n\t" EACH_VECTOR(STORE_YMM)
			     :
			     :
			     : "memory");
	} else {
		asm volatile(EACH_VECTOR(LOAD_XMM) "invd\n\t" EACH_VECTOR(STORE_XMM)
			     :
			     :
			     : "memory");
	}
	write_cr4(cr4);
	for (unsigned int i = 0; i < VECTORS; i++)
		check("vector register", memcmp(vectors_found[i], vectors_wanted[i], size) == 0);
}

static void debug_registers_survive(uint64_t argument)
{
	(void)argument;
	write_dr0(PATTERN & ~NON_CANONICAL);
	write_dr1(1);
	write_dr2(2);
	write_dr3(3);
	write_dr6(DR6_RESET | 2);
	asm volatile("invd" : : : "memory");
	check_equal("DR0", read_dr0(), PATTERN & ~NON_CANONICAL);
	check_equal("DR1", read_dr1(), 1);
	check_equal("DR2", read_dr2(), 2);
	check_equal("DR3", read_dr3(), 3);
	check_equal("DR6", read_dr6(), DR6_RESET | 2);
	check_equal("DR7", read_dr7(), DR7_RESET);
	write_dr6(DR6_RESET);
}

static void cr2_survives(uint64_t argument)
{
	(void)argument;
	write_cr2(PATTERN);
	asm volatile("invd" : : : "memory");
	check_equal("CR2", read_cr2(), PATTERN);
}

static void rflags_survive(uint64_t flags)
{
	uint64_t found;

	asm volatile("pushq %1\n\tpopfq\n\tinvd\n\tpushfq\n\tpopq %0\n\tcld"
		     : "=r"(found)
		     : "r"(flags | RFLAGS_RESERVED)
		     : "memory", "cc");
	check_equal("RFLAGS", found, flags | RFLAGS_RESERVED);
}

static void tsc_does_not_go_back(uint64_t argument)
{
	uint64_t before = read_tsc();

	(void)argument;
	for (unsigned int i = 0; i < 100; i++) {
		uint64_t now;

		cpuid(0, 0);
		now = read_tsc();
		check("TSC grows", now > before);
		before = now;
	}
}

static const struct test tests[] = {
	{ "invd_and_wbinvd_run", runs, 0 },
	{ "memory_survives_invd", memory_survives_invd, 0 },
	{ "cpuid_in_sti_shadow", cpuid_in_sti_shadow, 0 },
	{ "general_registers_survive", gprs_survive, 0 },
	{ "xmm_registers_survive", vectors_survive, VECTOR_SIZE / 2 },
	{ "ymm_registers_survive", vectors_survive, VECTOR_SIZE },
	{ "debug_registers_survive", debug_registers_survive, 0 },
	{ "cr2_survives", cr2_survives, 0 },
	{ "rflags_survive_set", rflags_survive, RFLAGS_STATUS | RFLAGS_DF },
	{ "rflags_survive_clear", rflags_survive, 0 },
	{ "tsc_does_not_go_back", tsc_does_not_go_back, 0 },
};

const struct chapter chapter_misc = CHAPTER("misc", tests);
