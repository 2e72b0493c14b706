/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single steps by RFLAGS.TF and by ptrace, and what else a debugger does: registers, breakpoints,
 * stops at system calls.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/linux/check.h"
#include "tests/linux/events.h"

#define DR7_WATCH    0xd0001UL /* breakpoint 0: writes of 4 bytes */
#define DR6_CAUSES   0xf
#define STEPS_MAX    32
#define EXIT_STATUS  42
#define SYSCALL_STOP (SIGTRAP | 0x80) /* with PTRACE_O_TRACESYSGOOD */
#define OTHER_PARENT 4711
#define INT3	     0xccL
#define BYTE_MASK    0xffL
#define SYSCALLS_MAX 8

/* step.asm */
void step_by_flag(void);
void step_code(void);
void step_exit(void);
extern const char step_exit_stop[];
extern const char step_code_end[];
extern const char step_behind_syscall[];
extern const char step_behind_int[];
extern const uintptr_t step_points[];

static uintptr_t steps[STEPS_MAX];
static volatile unsigned int step_count;

static void record_step(int signal, siginfo_t *info, void *context)
{
	const greg_t rip = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];

	(void)signal;
	if (info->si_code == TRAP_TRACE && step_count < STEPS_MAX)
		steps[step_count] = (uintptr_t)rip;
	step_count++;
}

/*
 * Without FRED the kernel returns from a system call by IRET when TF is 1, and the next trap comes
 * behind the instruction that IRET went to. ERETU traps right there (FRED specification, 6.1.3).
 */
static bool only_with_fred(uintptr_t point)
{
	return point == (uintptr_t)step_behind_syscall || point == (uintptr_t)step_behind_int;
}

static bool check_step_flag(void)
{
	unsigned int count = 0;

	catch_signals(record_step);
	step_by_flag();
	for (const uintptr_t *point = step_points; *point; point++) {
		if (only_with_fred(*point) && !uses_fred())
			continue;
		if (count >= step_count || steps[count] != *point)
			return FAIL("step %u: expected %#lx, got %#lx", count, *point,
				    count < STEPS_MAX ? steps[count] : 0);
		count++;
	}
	return count == step_count || FAIL("expected %u steps, got %u", count, step_count);
}

/* A child that stops at once, and then runs `body`; 0 with the reason when it does not. */
static pid_t start_tracee(void (*body)(void))
{
	const pid_t child = fork();
	int status;

	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		body();
		_exit(EXIT_STATUS);
	}
	if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
		FAIL("the tracee does not stop");
		return 0;
	}
	ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	return child;
}

/* Lets the tracee go on; it must stop with this signal. */
static bool go_on(enum __ptrace_request how, pid_t child, int stop,
		  struct user_regs_struct *registers)
{
	int status;

	if (ptrace(how, child, NULL, NULL) != 0 || waitpid(child, &status, 0) != child)
		return FAIL("ptrace: error %d", errno);
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != stop)
		return FAIL("expected a stop by signal %d, got status %#x", stop, (unsigned)status);
	return ptrace(PTRACE_GETREGS, child, NULL, registers) == 0 || FAIL("PTRACE_GETREGS");
}

static bool ends_with(pid_t child, int expected)
{
	int status;

	ptrace(PTRACE_CONT, child, NULL, NULL);
	waitpid(child, &status, 0);
	return (WIFEXITED(status) && WEXITSTATUS(status) == expected) ||
	       FAIL("expected exit %d, got status %#x", expected, (unsigned)status);
}

static bool check_ptrace_registers(void)
{
	const pid_t child = start_tracee(step_exit);
	struct user_regs_struct registers;

	if (!child || !go_on(PTRACE_CONT, child, SIGTRAP, &registers))
		return false;
	if (registers.rip != (uintptr_t)step_exit_stop || registers.rbx != 1)
		return FAIL("expected rip %p rbx 1, got %#llx %llu", step_exit_stop, registers.rip,
			    registers.rbx);
	registers.rbx = EXIT_STATUS;
	ptrace(PTRACE_SETREGS, child, NULL, &registers);
	return ends_with(child, EXIT_STATUS);
}

/*
 * Linux reports a step over a system call when the call ends. With FRED, ERETU then traps once more
 * at the same instruction, as the frame says "system call" and TF is 1.
 */
static bool check_ptrace_step(void)
{
	const pid_t child = start_tracee(step_code);
	const uintptr_t *point = step_points;
	struct user_regs_struct registers;

	if (!child)
		return false;
	do {
		if (!go_on(PTRACE_SINGLESTEP, child, SIGTRAP, &registers))
			return false;
		if (registers.rip < (uintptr_t)step_code ||
		    registers.rip > (uintptr_t)step_code_end)
			continue;
		if (point > step_points && registers.rip == point[-1] &&
		    only_with_fred(point[-1]) && uses_fred())
			continue;
		if (registers.rip != *point)
			return FAIL("expected %#lx, got %#llx", *point, registers.rip);
		point++;
	} while (registers.rip != (uintptr_t)step_code_end);
	return ends_with(child, EXIT_STATUS);
}

static bool check_ptrace_breakpoint(void)
{
	const pid_t child = start_tracee(step_code);
	void *const place = (void *)(uintptr_t)step_behind_syscall;
	struct user_regs_struct registers;
	long original;

	if (!child)
		return false;
	errno = 0;
	original = ptrace(PTRACE_PEEKTEXT, child, place, NULL);
	if (errno || ptrace(PTRACE_POKETEXT, child, place, (original & ~BYTE_MASK) | INT3) != 0)
		return FAIL("ptrace: error %d", errno);
	if (!go_on(PTRACE_CONT, child, SIGTRAP, &registers))
		return false;
	if (registers.rip != (uintptr_t)place + 1)
		return FAIL("expected %#lx, got %#llx", (uintptr_t)place + 1, registers.rip);
	registers.rip--;
	ptrace(PTRACE_SETREGS, child, NULL, &registers);
	ptrace(PTRACE_POKETEXT, child, place, original);
	if (!go_on(PTRACE_SINGLESTEP, child, SIGTRAP, &registers))
		return false;
	if (registers.rip != (uintptr_t)place + 1)
		return FAIL("a step ends at %#llx", registers.rip);
	return ends_with(child, EXIT_STATUS);
}

static volatile uint64_t watched;

static void write_watched(void)
{
	watched = 1;
}

static bool set_debug_register(pid_t child, size_t number, uint64_t value)
{
	const size_t offset = offsetof(struct user, u_debugreg) + number * sizeof(value);

	return ptrace(PTRACE_POKEUSER, child, (void *)offset, (void *)value) == 0 ||
	       FAIL("DR%zu: error %d", number, errno);
}

/* A write to `watched` stops the tracee, and DR6 as the kernel keeps it says which breakpoint it
 * was. */
static bool check_ptrace_watchpoint(void)
{
	const pid_t child = start_tracee(write_watched);
	struct user_regs_struct registers;
	siginfo_t info = { 0 };
	long dr6;

	if (!child || !set_debug_register(child, 0, (uintptr_t)&watched) ||
	    !set_debug_register(child, 7, DR7_WATCH) ||
	    !go_on(PTRACE_CONT, child, SIGTRAP, &registers))
		return false;
	ptrace(PTRACE_GETSIGINFO, child, NULL, &info);
	if (info.si_code != TRAP_HWBKPT)
		return FAIL("expected code %d, got %d", TRAP_HWBKPT, info.si_code);
	dr6 = ptrace(PTRACE_PEEKUSER, child, offsetof(struct user, u_debugreg[6]), NULL);
	if ((dr6 & DR6_CAUSES) != 1)
		return FAIL("DR6 is %#lx", dr6);
	return ends_with(child, EXIT_STATUS);
}

static void ask_parent(void)
{
	_exit(getppid() == OTHER_PARENT ? EXIT_STATUS : 1);
}

static bool check_ptrace_syscall(void)
{
	const pid_t child = start_tracee(ask_parent);
	struct user_regs_struct registers = { 0 };

	if (!child)
		return false;
	for (unsigned int i = 0; i < SYSCALLS_MAX && registers.orig_rax != SYS_getppid; i++) {
		if (!go_on(PTRACE_SYSCALL, child, SYSCALL_STOP, &registers))
			return false;
	}
	if (registers.orig_rax != SYS_getppid || (long)registers.rax != -ENOSYS)
		return FAIL("at entry: number %lld, rax %lld", registers.orig_rax, registers.rax);
	if (!go_on(PTRACE_SYSCALL, child, SYSCALL_STOP, &registers))
		return false;
	if ((pid_t)registers.rax != getpid())
		return FAIL("at exit: expected rax %d, got %lld", getpid(), registers.rax);
	registers.rax = OTHER_PARENT;
	ptrace(PTRACE_SETREGS, child, NULL, &registers);
	return ends_with(child, EXIT_STATUS);
}

static const struct check checks[] = {
	{ "step-flag", check_step_flag },
	{ "ptrace-registers", check_ptrace_registers },
	{ "ptrace-step", check_ptrace_step },
	{ "ptrace-breakpoint", check_ptrace_breakpoint },
	{ "ptrace-watchpoint", check_ptrace_watchpoint },
	{ "ptrace-syscall", check_ptrace_syscall },
};
const struct check_list step_checks = CHECK_LIST(checks);
