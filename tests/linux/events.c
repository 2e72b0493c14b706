/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events that a user program causes: exceptions, page faults, system calls, interrupts. Each must
 * reach the program as the right signal, at the right instruction, with the right data; and all
 * registers must come back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/x86/cpu.h"
#include "tests/linux/check.h"
#include "tests/linux/events.h"

#define PAGE_BYTES     4096UL
#define OFFSET	       0x123UL /* of the access in its page */
#define KERNEL_ADDRESS 0xffffffff81000000UL
#define FREE_PORT      0x80
#define NON_CANONICAL  (1UL << 62)
#define NO_SELECTOR    0x7fbU /* beyond the GDT */
#define RET	       0xc3
#define UD2_BYTES      2
#define STACK_BYTES    32768
#define BAD_STACK      0x1000UL

/* Bits of a page fault's error code. */
#define PF_PRESENT 0x1U
#define PF_WRITE   0x2U
#define PF_USER	   0x4U
#define PF_FETCH   0x10U

#define SENTINEL 0x1122334455667700UL

struct caught caught;
uintptr_t event_at;
uintptr_t event_after;
uint64_t event_result;
long spin_us = 50000;
static void (*repair)(void); /* what lets the instruction succeed; NULL: it is passed over */

void catch_event(int signal, siginfo_t *info, void *context)
{
	greg_t *const registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	caught.count++;
	caught.signal = signal;
	caught.code = info->si_code;
	caught.address = (uintptr_t)info->si_addr;
	caught.rip = (uintptr_t)registers[REG_RIP];
	caught.vector = (unsigned int)registers[REG_TRAPNO];
	caught.error = (unsigned int)registers[REG_ERR];
	caught.cr2 = (uintptr_t)registers[REG_CR2];
	caught.stack = (uintptr_t)__builtin_frame_address(0);
	registers[REG_EFL] &= ~(greg_t)RFLAGS_AC;
	if (repair)
		repair();
	else if (caught.rip == event_at)
		registers[REG_RIP] = (greg_t)event_after;
}

void catch_signals(void (*handler)(int, siginfo_t *, void *))
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
	const struct sigaction action = { .sa_sigaction = handler,
					  .sa_flags = SA_SIGINFO | SA_ONSTACK };

	memset(&caught, 0, sizeof(caught));
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
}

bool caught_once(int signal, int code, unsigned int vector, unsigned int error, uintptr_t address,
		 uintptr_t rip)
{
	if (caught.count != 1)
		return FAIL("%d signals, expected 1", caught.count);
	if (caught.signal != signal || caught.code != code)
		return FAIL("expected signal %d code %d, got %d code %d", signal, code,
			    caught.signal, caught.code);
	if (caught.vector != vector || caught.error != error)
		return FAIL("expected vector %u error code %#x, got %u %#x", vector, error,
			    caught.vector, caught.error);
	if (caught.address != address || caught.rip != rip)
		return FAIL("expected address %#lx rip %#lx, got %#lx %#lx", address, rip,
			    caught.address, caught.rip);
	return true;
}

/* ---- Exceptions ---- */

static bool check_divide(void)
{
	RAISE(0, "xor %%eax, %%eax; xor %%edx, %%edx; xor %%ecx, %%ecx", "div %%ecx", "");
	return caught_once(SIGFPE, FPE_INTDIV, VECTOR_DE, 0, event_at, event_at);
}

static bool check_int1(void)
{
	RAISE(0, "", ".byte 0xf1", "");
	return caught_once(SIGTRAP, TRAP_BRKPT, VECTOR_DB, 0, event_after, event_after);
}

static bool check_int3(void)
{
	RAISE(0, "", "int3", "");
	return caught_once(SIGTRAP, SI_KERNEL, VECTOR_BP, 0, 0, event_after);
}

static bool check_int_3(void)
{
	RAISE(0, "", ".byte 0xcd, 3", "");
	return caught_once(SIGTRAP, SI_KERNEL, VECTOR_BP, 0, 0, event_after);
}

/* A vector that no program may use. */
static bool check_int_20(void)
{
	const unsigned int idt_entry = 0x20 << 3 | 2; /* which Linux says with FRED, too */

	RAISE(0, "", "int $0x20", "");
	return caught_once(SIGSEGV, SI_KERNEL, VECTOR_GP, idt_entry, 0, event_at);
}

static bool check_invalid(void)
{
	RAISE(0, "", "ud2", "");
	return caught_once(SIGILL, ILL_ILLOPN, VECTOR_UD, 0, event_at, event_at);
}

/* FRED's returns are not for programs, whether the kernel uses FRED or not. */
static bool check_eretu(void)
{
	RAISE(0, "", ".byte 0xf3, 0x0f, 0x01, 0xca", "");
	return caught_once(SIGILL, ILL_ILLOPN, VECTOR_UD, 0, event_at, event_at);
}

static bool check_erets(void)
{
	RAISE(0, "", ".byte 0xf2, 0x0f, 0x01, 0xca", "");
	return caught_once(SIGILL, ILL_ILLOPN, VECTOR_UD, 0, event_at, event_at);
}

static bool check_sysenter(void)
{
	if (!uses_fred())
		return SKIP("without FRED, SYSENTER in 64-bit code is a 32-bit system call");
	RAISE(0, "", "sysenter", "");
	return caught_once(SIGILL, ILL_ILLOPN, VECTOR_UD, 0, event_after, event_after);
}

static bool check_privileged(void)
{
	RAISE(0, "", "cli", "");
	return caught_once(SIGSEGV, SI_KERNEL, VECTOR_GP, 0, 0, event_at);
}

static bool check_noncanonical(void)
{
	RAISE(NON_CANONICAL, "", "mov (%%rax), %%al", "");
	return caught_once(SIGSEGV, SI_KERNEL, VECTOR_GP, 0, 0, event_at);
}

static bool check_selector(void)
{
	RAISE(NO_SELECTOR, "", "mov %%eax, %%es", "");
	return caught_once(SIGSEGV, SI_KERNEL, VECTOR_GP, NO_SELECTOR & ~3U, 0, event_at);
}

static bool check_stack_segment(void)
{
	RAISE(NON_CANONICAL, "", "mov (%%rsp, %%rax), %%al", "");
	return caught_once(SIGBUS, SI_KERNEL, VECTOR_SS, 0, 0, event_at);
}

/* With RFLAGS.AC; the handler clears it, as nothing else here would survive it. */
static bool check_alignment(void)
{
	RAISE((uintptr_t)&event_at + 1, "pushf; orq $0x40000, (%%rsp); popf", "mov (%%rax), %%eax",
	      "");
	return caught_once(SIGBUS, BUS_ADRALN, VECTOR_AC, 0, 0, event_at);
}

/* 1 / 0 with all exceptions masked but that one; the next instruction that waits raises it. */
static bool check_x87(void)
{
	RAISE(0, "fninit; pushq $0x37b; fldcw (%%rsp); pop %%rdx; fldz; fld1; fdiv %%st(1), %%st",
	      "fwait", "");
	return caught_once(SIGFPE, FPE_FLTDIV, VECTOR_MF, 0, event_at, event_at);
}

/* A division by zero with all exceptions masked but that one. */
static bool check_simd(void)
{
	RAISE(0,
	      "pushq $0x1d80; ldmxcsr (%%rsp); pop %%rdx; cvtsi2ss %%esp, %%xmm0;"
	      "xorps %%xmm1, %%xmm1",
	      "divss %%xmm1, %%xmm0", "");
	return caught_once(SIGFPE, FPE_FLTDIV, VECTOR_XM, 0, event_at, event_at);
}

/* The I/O permission bitmap in the TSS works with FRED, too. */
static bool check_port(void)
{
	RAISE(0, "", "out %%al, $0x80", "");
	if (!caught_once(SIGSEGV, SI_KERNEL, VECTOR_GP, 0, 0, event_at))
		return false;
	if (ioperm(FREE_PORT, 1, 1) != 0)
		return SKIP("the kernel has no ioperm()");
	RAISE(0, "", "out %%al, $0x80", "");
	return caught.count == 0 || FAIL("ioperm() lets nothing through");
}

/* ---- Page faults ---- */

static char *page;

static void allow_all(void)
{
	mmap(page, PAGE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset(page, RET, PAGE_BYTES); /* for the one that is called */
}

/* A page that may be accessed so, and that is present. */
static void make_page(int protection)
{
	page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page[0] = 1;
	mprotect(page, PAGE_BYTES, protection);
	repair = allow_all;
}

/* The one fault that came, after which the instruction has run again. */
static bool faulted(int code, unsigned int error, uintptr_t address, uintptr_t rip)
{
	if (caught.cr2 != address)
		return FAIL("expected CR2 %#lx, got %#lx", address, caught.cr2);
	return caught_once(SIGSEGV, code, VECTOR_PF, error, address, rip);
}

static bool check_read(void)
{
	make_page(PROT_READ);
	munmap(page, PAGE_BYTES);
	RAISE(page + OFFSET, "", "movzbl (%%rax), %%eax", "");
	if (event_result != RET)
		return FAIL("read %#lx behind the fault", event_result);
	return faulted(SEGV_MAPERR, PF_USER, (uintptr_t)page + OFFSET, event_at);
}

static bool check_write(void)
{
	make_page(PROT_READ);
	RAISE(page + OFFSET, "", "movb $1, (%%rax)", "");
	if (page[OFFSET] != 1)
		return FAIL("the write is lost");
	return faulted(SEGV_ACCERR, PF_PRESENT | PF_WRITE | PF_USER, (uintptr_t)page + OFFSET,
		       event_at);
}

static bool check_execute(void)
{
	make_page(PROT_READ | PROT_WRITE);
	RAISE(page + OFFSET, "", "call *%%rax", "");
	return faulted(SEGV_ACCERR, PF_PRESENT | PF_USER | PF_FETCH, (uintptr_t)page + OFFSET,
		       (uintptr_t)page + OFFSET);
}

/* With linear address-space separation the page tables are not even asked. */
static bool check_kernel_address(void)
{
	const bool lass = has_flag("lass");

	RAISE(KERNEL_ADDRESS + OFFSET, "", "mov (%%rax), %%al", "");
	if (lass)
		return caught_once(SIGSEGV, SI_KERNEL, VECTOR_GP, 0, 0, event_at);
	return faulted(SEGV_MAPERR, PF_PRESENT | PF_USER, KERNEL_ADDRESS + OFFSET, event_at);
}

/* The kernel's own fault on a program's page: one that it brings in, one that it cannot. */
static bool check_kernel_fault(void)
{
	char *const fresh =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ends[2];

	if (pipe(ends) != 0 || write(ends[1], "ab", 2) != 2)
		return FAIL("pipe: error %d", errno);
	if (read(ends[0], fresh + OFFSET, 1) != 1 || fresh[OFFSET] != 'a')
		return FAIL("the kernel cannot write to a new page");
	munmap(fresh, PAGE_BYTES);
	if (read(ends[0], fresh + OFFSET, 1) != -1 || errno != EFAULT)
		return FAIL("expected error %d without a page, got %d", EFAULT, errno);
	return true;
}

/* ---- Signal frames and registers ---- */

void set_registers(uint64_t registers[REGISTERS])
{
	for (size_t i = 0; i < REGISTERS; i++)
		registers[i] = SENTINEL + i;
}

bool same_registers(const char *where, const uint64_t *registers, uint64_t offset,
		    unsigned int except)
{
	for (size_t i = 0; i < REGISTERS; i++) {
		if (!(except >> i & 1) && registers[i] != SENTINEL + i + offset)
			return FAIL("%s: register %zu: expected %#lx, got %#lx", where, i,
				    SENTINEL + i + offset, registers[i]);
	}
	return true;
}

static bool frame_is_right;

static void change_registers(int signal, siginfo_t *info, void *context)
{
	greg_t *const registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)signal;
	(void)info;
	frame_is_right = same_registers("in the handler", (const uint64_t *)registers, 0, 0);
	for (size_t i = 0; i < REGISTERS; i++)
		registers[i] += 0x100;
	if (registers[REG_RIP] == (greg_t)(uintptr_t)events_fault_at)
		registers[REG_RIP] = (greg_t)(uintptr_t)events_fault_after;
}

static bool check_signal_registers(void)
{
	uint64_t registers[REGISTERS];

	catch_signals(change_registers);
	set_registers(registers);
	events_fault(registers);
	return frame_is_right && same_registers("behind the handler", registers, 0x100, 0);
}

static void stop_spinning(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	frame_is_right =
		same_registers("at the interrupt",
			       (const uint64_t *)((ucontext_t *)context)->uc_mcontext.gregs, 0, 0);
	events_spin_stop = 1;
}

/* Timer interrupts hit a loop that keeps a value in each register. */
static bool check_interrupts(void)
{
	const struct sigaction action = { .sa_sigaction = stop_spinning, .sa_flags = SA_SIGINFO };
	const struct itimerval soon = { .it_value.tv_usec = spin_us };
	uint64_t registers[REGISTERS];

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	set_registers(registers);
	events_spin(registers);
	return frame_is_right && same_registers("behind the loop", registers, 0, 0);
}

static char trace[16];

static void trace_add(char letter)
{
	const char text[] = { letter, 0 };

	strcat(trace, text);
}

/* SIGUSR1's handler causes SIGILL, whose handler causes SIGSEGV, whose handler repairs. */
static void nest(int signal, siginfo_t *info, void *context)
{
	const char letter = signal == SIGUSR1 ? 'a' : signal == SIGILL ? 'b' : 'c';

	(void)info;
	trace_add(letter);
	if (signal == SIGUSR1) {
		asm volatile("ud2" : : : "memory");
	} else if (signal == SIGILL) {
		*(volatile char *)page = 1;
		((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += UD2_BYTES;
	} else {
		allow_all();
	}
	trace_add((char)(letter - 'a' + 'A'));
}

static bool check_signal_nested(void)
{
	const struct sigaction action = { .sa_sigaction = nest, .sa_flags = SA_SIGINFO };

	make_page(PROT_READ);
	catch_signals(nest);
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	return strcmp(trace, "abcCBA") == 0 || FAIL("expected abcCBA, got %s", trace);
}

/* A push through a bad RSP: the signal's frame must go to the other stack. */
static bool check_signal_stack(void)
{
	static char memory[STACK_BYTES];
	const stack_t stack = { .ss_sp = memory, .ss_size = sizeof(memory) };

	sigaltstack(&stack, NULL);
	RAISE(BAD_STACK, "mov %%rsp, %%rdx; mov %%rax, %%rsp", "push %%rcx", "mov %%rdx, %%rsp");
	if (caught.stack - (uintptr_t)memory >= sizeof(memory))
		return FAIL("the handler's stack is at %#lx", caught.stack);
	return faulted(SEGV_MAPERR, PF_WRITE | PF_USER, BAD_STACK - sizeof(uint64_t), event_at);
}

static const struct check checks[] = {
	{ "divide", check_divide },
	{ "int1", check_int1 },
	{ "int3", check_int3 },
	{ "int-3", check_int_3 },
	{ "int-0x20", check_int_20 },
	{ "ud2", check_invalid },
	{ "eretu", check_eretu },
	{ "erets", check_erets },
	{ "sysenter-64", check_sysenter },
	{ "privileged", check_privileged },
	{ "non-canonical", check_noncanonical },
	{ "selector", check_selector },
	{ "stack-segment", check_stack_segment },
	{ "alignment", check_alignment },
	{ "x87", check_x87 },
	{ "simd", check_simd },
	{ "port", check_port },
	{ "fault-read", check_read },
	{ "fault-write", check_write },
	{ "fault-execute", check_execute },
	{ "fault-kernel", check_kernel_address },
	{ "fault-in-kernel", check_kernel_fault },
	{ "signal-registers", check_signal_registers },
	{ "signal-nested", check_signal_nested },
	{ "signal-stack", check_signal_stack },
	{ "interrupts", check_interrupts },
};
const struct check_list event_checks = CHECK_LIST(checks);
