/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 32-bit code: in a 32-bit program (compat32.asm), and in a segment that a 64-bit program jumps to.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/x86/cpu.h"
#include "tests/linux/check.h"
#include "tests/linux/events.h"

#define PROGRAM	      "/compat32"
#define VECTOR_STATUS 100 /* what a handler in PROGRAM adds to the vector */
#define EXEC_FAILED   255
#define SELECTOR_64   0x33
#define SELECTOR_MASK 0xffffL
#define SYS_getpid_32 20
#define OUT_OF_BOUNDS 3
#define BAD_ADDRESS   0x123
#define PF_WRITE_USER 6
#define CODE_SEGMENT  2 /* of user_desc's contents */
#define SELECTOR_32   0x23
#define SELECTOR_LDT  7 /* entry 0, RPL 3 */

/* gate.asm */
uint32_t gate(uint16_t selector, const void *code, uint32_t eax);
extern const char gate_back[];
extern const char gate_int80[];
extern const char gate_sysenter[];
extern const char gate_int3[], gate_int3_after[];
extern const char gate_bound[], gate_bound_after[];
extern const char gate_divide[], gate_divide_after[];
extern const char gate_write[], gate_write_after[];
extern const char gate_syscall[], gate_syscall_after[];

/* Runs PROGRAM's test of this letter; it must exit with `expected`. */
static bool program_exits(char letter, int expected)
{
	const char argument[] = { letter, 0 };
	const pid_t child = fork();
	int status;

	if (child == 0) {
		execl(PROGRAM, PROGRAM, argument, NULL);
		_exit(EXEC_FAILED);
	}
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status))
		return FAIL("expected exit %d, killed by signal %d", expected, WTERMSIG(status));
	return WEXITSTATUS(status) == expected ||
	       FAIL("expected exit %d, got %d", expected, WEXITSTATUS(status));
}

#define PROGRAM_CHECK(name, letter, expected)           \
	static bool check_##name(void)                  \
	{                                               \
		return program_exits(letter, expected); \
	}

PROGRAM_CHECK(int80, 'a', 0)
PROGRAM_CHECK(sysenter, 'b', 0)
PROGRAM_CHECK(vsyscall, 'c', 0)
PROGRAM_CHECK(far, 'd', 0)
PROGRAM_CHECK(into, 'e', VECTOR_STATUS + VECTOR_OF)
PROGRAM_CHECK(bound, 'f', VECTOR_STATUS + VECTOR_BR)
PROGRAM_CHECK(int3, 'g', VECTOR_STATUS + VECTOR_BP)
PROGRAM_CHECK(fault, 'h', VECTOR_STATUS + VECTOR_PF)
PROGRAM_CHECK(divide, 'i', VECTOR_STATUS + VECTOR_DE)
PROGRAM_CHECK(syscall, 'j', VECTOR_STATUS + VECTOR_UD)
PROGRAM_CHECK(return, 'k', 0)
PROGRAM_CHECK(step, 'l', 0)

/* ---- The same in a segment that a 64-bit program jumps to ---- */

/*
 * A 32-bit code segment that is not one of IA32_STAR's: the kernel's way back to it reads the
 * descriptor.
 */
static bool make_segment(void)
{
	struct user_desc segment = {
		.limit = 0xfffff,
		.seg_32bit = 1,
		.contents = CODE_SEGMENT,
		.limit_in_pages = 1,
		.useable = 1,
	};

	return syscall(SYS_modify_ldt, 1, &segment, sizeof(segment)) == 0 ||
	       SKIP("modify_ldt: error %d", errno);
}

static bool check_gate(void)
{
	const uint32_t got = gate(SELECTOR_32, gate_int80, SYS_getpid_32);

	return (pid_t)got == getpid() || FAIL("getpid: expected %d, got %d", getpid(), (int)got);
}

static bool check_gate_int80(void)
{
	uint32_t got;

	if (!make_segment())
		return false;
	got = gate(SELECTOR_LDT, gate_int80, SYS_getpid_32);
	return (pid_t)got == getpid() || FAIL("getpid: expected %d, got %d", getpid(), (int)got);
}

static long rax_at_signal;

/* From wherever SYSENTER's return went to, back to the 64-bit program. */
static void leave_32bit(int signal, siginfo_t *info, void *context)
{
	greg_t *const registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)signal;
	(void)info;
	rax_at_signal = registers[REG_RAX];
	registers[REG_RIP] = (greg_t)(uintptr_t)gate_back;
	registers[REG_CSGSFS] = (registers[REG_CSGSFS] & ~SELECTOR_MASK) | SELECTOR_64;
}

/*
 * The kernel does the call, and returns to where a 32-bit program would have its way back: a
 * 64-bit program has nothing there. The result in RAX tells that the call was done.
 */
static bool check_gate_sysenter(void)
{
	if (!make_segment())
		return false;
	catch_signals(leave_32bit);
	gate(SELECTOR_LDT, gate_sysenter, SYS_getpid_32);
	return rax_at_signal == getpid() ||
	       FAIL("getpid: expected %d, got %ld", getpid(), rax_at_signal);
}

/* A fault or trap in 32-bit code; `eax` is the register's value there. */
static bool gate_raises(const char *code, const char *after, uint32_t eax)
{
	if (!make_segment())
		return false;
	catch_signals(catch_event);
	event_at = (uintptr_t)code;
	event_after = (uintptr_t)after;
	gate(SELECTOR_LDT, code, eax);
	return true;
}

static bool check_gate_int3(void)
{
	return gate_raises(gate_int3, gate_int3_after, 0) &&
	       caught_once(SIGTRAP, SI_KERNEL, VECTOR_BP, 0, 0, event_after);
}

static bool check_gate_bound(void)
{
	return gate_raises(gate_bound, gate_bound_after, OUT_OF_BOUNDS) &&
	       caught_once(SIGSEGV, SI_KERNEL, VECTOR_BR, 0, 0, event_at);
}

static bool check_gate_divide(void)
{
	return gate_raises(gate_divide, gate_divide_after, 0) &&
	       caught_once(SIGFPE, FPE_INTDIV, VECTOR_DE, 0, event_at, event_at);
}

static bool check_gate_write(void)
{
	return gate_raises(gate_write, gate_write_after, BAD_ADDRESS) &&
	       caught_once(SIGSEGV, SEGV_MAPERR, VECTOR_PF, PF_WRITE_USER, BAD_ADDRESS, event_at);
}

/* SYSCALL in 32-bit code is #UD on Intel's processors. */
static bool check_gate_syscall(void)
{
	return gate_raises(gate_syscall, gate_syscall_after, SYS_getpid_32) &&
	       caught_once(SIGILL, ILL_ILLOPN, VECTOR_UD, 0, event_at, event_at);
}

static const struct check checks[] = {
	{ "compat-int80", check_int80 },	 { "compat-sysenter", check_sysenter },
	{ "compat-vsyscall", check_vsyscall },	 { "compat-far", check_far },
	{ "compat-into", check_into },		 { "compat-bound", check_bound },
	{ "compat-int3", check_int3 },		 { "compat-fault", check_fault },
	{ "compat-divide", check_divide },	 { "compat-syscall", check_syscall },
	{ "compat-return", check_return },	 { "compat-step", check_step },
	{ "compat-gate", check_gate },		 { "ldt-int80", check_gate_int80 },
	{ "ldt-sysenter", check_gate_sysenter }, { "ldt-int3", check_gate_int3 },
	{ "ldt-bound", check_gate_bound },	 { "ldt-divide", check_gate_divide },
	{ "ldt-write", check_gate_write },	 { "ldt-syscall", check_gate_syscall },
};
const struct check_list compat_checks = CHECK_LIST(checks);
