/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks from Linux's user space that the machine below behaves: one line per
 * check on standard output, "linux: ok NAME", "linux: not ok NAME (why)" or
 * "linux: skip NAME (why)", and a count at the end. Each runs in a process of
 * its own. Static, since it runs from an initramfs without libraries.
 *
 *   checks all    every check that one processor is enough for
 *   checks smp N  those of several processors, of which there have to be N
 *   checks latency N  how late sleeps end, of so many
 *   checks tsc    the time-stamp counter: when did init begin?
 *   checks drain  wait until the console has sent all (before a power-off)
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "tests/linux/check.h"
#include "tests/linux/smp.h"

#define DISK		"/dev/sda2"
#define DISK_BYTES	(2U << 20)
#define DISK_INTERRUPT	"14:" /* of the ISA bus, in every emulator of the tests */
#define FAULT_BYTES	(256UL << 20)
#define PAGE_BYTES	4096UL
#define PROCESSES	200
#define HYPERVISOR_LEAF 0x40000000
#define SIGNATURE	"ManfredManfr"
/*
 * A sleep of one second may seem early by this much, as "cpu MHz" is a round
 * number, and be late by that much: the timer's tick and the way back.
 */
#define SLEEP_EARLY 0.01
#define SLEEP_LATE  0.1
#define ALARM_US    20000

/* A check that takes longer hangs; in a soak the guest's seconds may be short. */
#define CHECK_SECONDS 5
#define SMP_SECONDS   20 /* processors may have to share one of the host's */
#define SOAK_LIMIT    500

static const char *self; /* this program's path */

/* How the check that runs has gone; in memory that its process shares with run_lists(). */
static struct outcome {
	bool ok;
	bool skipped;
	char why[256];
} * outcome;

bool check_failed(bool skipped, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(outcome->why, sizeof(outcome->why), format, arguments);
	va_end(arguments);
	outcome->skipped = skipped;
	return false;
}

void keep_own_reason(void)
{
	outcome = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

const char *check_reason(void)
{
	return outcome->why;
}

const char *file_line(const char *file, const char *key)
{
	static char line[8192];
	FILE *stream = fopen(file, "r");
	const char *start = line;
	bool found = false;

	while (stream && !found && fgets(line, sizeof(line), stream)) {
		start = line + strspn(line, " ");
		found = strncmp(start, key, strlen(key)) == 0;
	}
	if (stream)
		fclose(stream);
	return found ? start + strlen(key) : "";
}

bool has_flag(const char *flag)
{
	const char *flags = file_line("/proc/cpuinfo", "flags");
	const size_t length = strlen(flag);

	for (const char *at = strstr(flags, flag); at; at = strstr(at + 1, flag)) {
		if (at[-1] == ' ' && (at[length] == ' ' || at[length] == '\n'))
			return true;
	}
	return false;
}

bool uses_fred(void)
{
	return has_flag("fred");
}

static bool check_hypervisor_flag(void)
{
	return has_flag("hypervisor") || FAIL("no flag hypervisor in /proc/cpuinfo");
}

static bool check_signature(void)
{
	unsigned int leaf;
	unsigned int words[3];
	char text[sizeof(words) + 1] = "";

	__cpuid(HYPERVISOR_LEAF, leaf, words[0], words[1], words[2]);
	memcpy(text, words, sizeof(words));
	return strcmp(text, SIGNATURE) == 0 || FAIL("CPUID says \"%s\"", text);
}

static bool check_no_vmx(void)
{
	return !has_flag("vmx") || FAIL("flag vmx in /proc/cpuinfo");
}

static bool check_clock(void)
{
	const double mhz = atof(strchr(file_line("/proc/cpuinfo", "cpu MHz"), ':') + 1);
	const struct timespec second = { .tv_sec = 1 };
	uint64_t start;
	double seconds;

	start = __rdtsc();
	if (clock_nanosleep(CLOCK_MONOTONIC, 0, &second, NULL) != 0)
		return FAIL("clock_nanosleep: %s", strerror(errno));
	seconds = (double)(__rdtsc() - start) / (mhz * 1e6);
	printf("linux: note clock: 1 s of sleep is %.4f s of TSC at %.0f MHz\n", seconds, mhz);
	return (seconds > 1.0 - SLEEP_EARLY && seconds < 1.0 + SLEEP_LATE) ||
	       FAIL("1 s of sleep is %.4f s of TSC", seconds);
}

/* Fills the buffer with words that no earlier run has left on the disk. */
static void fill(uint64_t *words, size_t count)
{
	uint64_t state = __rdtsc() | 1;

	for (size_t i = 0; i < count; i++) {
		/* xorshift64 */
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		words[i] = state;
	}
}

static bool drop_caches(int disk)
{
	const int control = open("/proc/sys/vm/drop_caches", O_WRONLY);
	const bool dropped = control >= 0 && write(control, "3", 1) == 1;

	close(control);
	return dropped && ioctl(disk, BLKFLSBUF) == 0;
}

static bool check_disk(void)
{
	static uint64_t written[DISK_BYTES / sizeof(uint64_t)];
	static uint64_t found[DISK_BYTES / sizeof(uint64_t)];
	const int disk = open(DISK, O_RDWR);
	bool ok;

	if (disk < 0)
		return FAIL("open " DISK ": %s", strerror(errno));
	fill(written, sizeof(written) / sizeof(written[0]));
	if (pwrite(disk, written, sizeof(written), 0) != (ssize_t)sizeof(written) || fsync(disk))
		ok = FAIL("write: %s", strerror(errno));
	else if (!drop_caches(disk))
		ok = FAIL("drop caches: %s", strerror(errno));
	else if (pread(disk, found, sizeof(found), 0) != (ssize_t)sizeof(found))
		ok = FAIL("read: %s", strerror(errno));
	else
		ok = memcmp(written, found, sizeof(found)) == 0 || FAIL("other data came back");
	close(disk);
	return ok;
}

static bool check_processes(void)
{
	for (int i = 0; i < PROCESSES; i++) {
		const int expected = i % 100;
		const pid_t child = fork();
		int status;

		if (child < 0)
			return FAIL("fork %d: %s", i, strerror(errno));
		if (child == 0) {
			char number[16];

			snprintf(number, sizeof(number), "%d", expected);
			execl(self, self, "exit", number, NULL);
			_exit(255);
		}
		if (waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != expected)
			return FAIL("process %d: status %#x, expected exit %d", i, (unsigned)status,
				    expected);
	}
	return true;
}

static bool check_faults(void)
{
	uint64_t *memory =
		mmap(NULL, FAULT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const size_t step = PAGE_BYTES / sizeof(uint64_t);
	const size_t count = FAULT_BYTES / PAGE_BYTES;
	bool ok = true;

	if (memory == MAP_FAILED)
		return FAIL("mmap: %s", strerror(errno));
	/* One fault per page is the point: no large pages. */
	madvise(memory, FAULT_BYTES, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < count; i++)
		memory[i * step + i % step] = ~i;
	for (size_t i = 0; i < count && ok; i++) {
		if (memory[i * step + i % step] != ~i)
			ok = FAIL("page %zu holds something else", i);
	}
	munmap(memory, FAULT_BYTES);
	return ok;
}

static volatile sig_atomic_t signal_count;
static void *volatile fault_address;
static sigjmp_buf fault_return;

static void count_signal(int signal)
{
	(void)signal;
	signal_count++;
}

static void leave_fault(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	fault_address = info->si_addr;
	siglongjmp(fault_return, 1);
}

static bool check_signal_self(void)
{
	const struct sigaction action = { .sa_handler = count_signal };

	signal_count = 0;
	sigaction(SIGUSR1, &action, NULL);
	kill(getpid(), SIGUSR1);
	return signal_count == 1 || FAIL("SIGUSR1 came %d times", (int)signal_count);
}

static bool check_signal_fault(void)
{
	const struct sigaction action = { .sa_sigaction = leave_fault, .sa_flags = SA_SIGINFO };
	char *page = mmap(NULL, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile char *const target = page + 123;

	fault_address = NULL;
	sigaction(SIGSEGV, &action, NULL);
	if (sigsetjmp(fault_return, 1) == 0) {
		*target = 1;
		return FAIL("no SIGSEGV");
	}
	signal(SIGSEGV, SIG_DFL);
	munmap(page, PAGE_BYTES);
	return fault_address == (void *)target ||
	       FAIL("SIGSEGV at %p, expected %p", fault_address, (void *)target);
}

static bool check_signal_alarm(void)
{
	const struct sigaction action = { .sa_handler = count_signal };
	const struct itimerval soon = { .it_value.tv_usec = ALARM_US };
	sigset_t alarm_only;
	sigset_t before;

	signal_count = 0;
	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	/* Blocked until sigsuspend: it cannot come before the wait for it. */
	sigprocmask(SIG_BLOCK, &alarm_only, &before);
	setitimer(ITIMER_REAL, &soon, NULL);
	sigsuspend(&before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return signal_count == 1 || FAIL("SIGALRM came %d times", (int)signal_count);
}

/* The guest has a MADT: interrupts come by IOAPIC and local APIC, and not by the 8259. */
static bool check_apic_interrupts(void)
{
	const char *line = file_line("/proc/interrupts", DISK_INTERRUPT);

	if (!strstr(line, "IO-APIC") || atoi(line) == 0)
		return FAIL("the disk's interrupt:%s", line);
	line = file_line("/proc/interrupts", "LOC:");
	return atoi(line) > 0 || FAIL("the local timer's interrupts:%s", line);
}

static const struct check machine_checks[] = {
	{ "hypervisor-flag", check_hypervisor_flag },
	{ "signature", check_signature },
	{ "no-vmx", check_no_vmx },
	{ "clock", check_clock },
	{ "disk", check_disk },
	{ "apic-interrupts", check_apic_interrupts },
	{ "processes", check_processes },
	{ "faults", check_faults },
	{ "signal-self", check_signal_self },
	{ "signal-fault", check_signal_fault },
	{ "signal-alarm", check_signal_alarm },
};

static const struct check_list machine_list = CHECK_LIST(machine_checks);
static const struct check_list *const lists[] = {
	&machine_list, &event_checks, &step_checks, &compat_checks, &proof_checks,
};
static const struct check_list *const smp_lists[] = { &smp_checks, &ipi_checks };

/* Runs the check in a child; a child that dies or takes longer has failed. */
static void run_check(const struct check *check, time_t seconds)
{
	const struct timespec limit = { .tv_sec = seconds };
	sigset_t child_ends;
	bool late;
	int status;
	pid_t child;

	sigemptyset(&child_ends);
	sigaddset(&child_ends, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child_ends, NULL);
	*outcome = (struct outcome){ 0 };
	child = fork();
	if (child == 0) {
		sigprocmask(SIG_UNBLOCK, &child_ends, NULL);
		outcome->ok = check->run();
		fflush(stdout);
		_exit(0);
	}
	late = sigtimedwait(&child_ends, NULL, &limit) < 0;
	if (late)
		kill(child, SIGKILL);
	waitpid(child, &status, 0);
	if (late)
		outcome->ok = FAIL("hangs");
	else if (WIFSIGNALED(status))
		outcome->ok = FAIL("killed by signal %d", WTERMSIG(status));
}

/* All checks of `size` lists; one that takes more than `limit` seconds has failed. */
static int run_lists(const struct check_list *const *which, size_t size, time_t limit)
{
	unsigned int count = 0;
	unsigned int failed = 0;
	unsigned int skipped = 0;

	keep_own_reason();
	printf("linux: note memory %ld kB\n", atol(file_line("/proc/meminfo", "MemTotal:")));
	printf("linux: note fred %d\n", uses_fred());
	fflush(stdout);
	for (size_t i = 0; i < size; i++) {
		for (size_t j = 0; j < which[i]->count; j++, count++) {
			const struct check *check = &which[i]->checks[j];

			run_check(check, limit);
			if (outcome->ok)
				printf("linux: ok %s\n", check->name);
			else
				printf("linux: %s %s (%s)\n", outcome->skipped ? "skip" : "not ok",
				       check->name, outcome->why);
			failed += !outcome->ok && !outcome->skipped;
			skipped += outcome->skipped;
			fflush(stdout);
		}
	}
	printf("linux: %u checks, %u failed, %u skipped\n", count, failed, skipped);
	return failed ? 1 : 0;
}

/* The checks that make load of many kinds and look at no clock. */
static bool is_load(const char *name)
{
	static const char *const names[] = {
		"disk",		  "processes",	   "faults",	   "signal-self",
		"signal-fault",	  "divide",	   "int3",	   "selector",
		"fault-write",	  "signal-nested", "step-flag",	   "ptrace-step",
		"ptrace-syscall", "compat-int80",  "compat-fault", "compat-step",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Mixed load until the guest has been up for so many seconds, or something fails. */
static int soak(int seconds)
{
	unsigned int count = 0;

	keep_own_reason();
	while (atoi(file_line("/proc/uptime", "")) < seconds)
		for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
			for (size_t j = 0; j < lists[i]->count; j++) {
				const struct check *check = &lists[i]->checks[j];

				if (!is_load(check->name))
					continue;
				run_check(check, SOAK_LIMIT);
				count++;
				if (!outcome->ok) {
					printf("linux: not ok %s (%s), after %u\n", check->name,
					       outcome->why, count);
					return 1;
				}
			}
	printf("linux: soak of %u checks, up %d s\n", count, atoi(file_line("/proc/uptime", "")));
	return 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	self = argv[0];
	if (strcmp(command, "all") == 0)
		return run_lists(lists, sizeof(lists) / sizeof(lists[0]), CHECK_SECONDS);
	if (strcmp(command, "smp") == 0 && argc == 3) {
		processors = (unsigned int)atoi(argv[2]);
		if (processors < 2 || processors > PROCESSORS_MAX)
			return 2;
		return run_lists(smp_lists, sizeof(smp_lists) / sizeof(smp_lists[0]), SMP_SECONDS);
	}
	if (strcmp(command, "soak") == 0 && argc == 3)
		return soak(atoi(argv[2]));
	if (strcmp(command, "exit") == 0 && argc == 3)
		return atoi(argv[2]);
	if (strcmp(command, "latency") == 0 && argc == 3)
		return measure_latency(atoi(argv[2]));
	if (strcmp(command, "tsc") == 0) {
		printf("%llu\n", (unsigned long long)__rdtsc());
		return 0;
	}
	if (strcmp(command, "drain") == 0)
		return tcdrain(STDOUT_FILENO) == 0 ? 0 : 1;
	fputs("usage: checks all|smp PROCESSORS|soak SECONDS|latency SAMPLES|tsc|drain\n", stderr);
	return 2;
}
