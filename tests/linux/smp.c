/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several processors, each by itself: all are there and alike, events reach programs on each of
 * them, clocks agree, and each can be taken offline and online again. What they do to one another
 * is in smp_ipi.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "tests/linux/check.h"
#include "tests/linux/events.h"
#include "tests/linux/smp.h"

#define PAGE_BYTES   4096UL
#define MIGRATIONS   100
#define SPIN_US	     5000 /* at least one tick, and the alarm */
#define HANDOVERS    300U
#define HOTPLUGS     6U	    /* of all processors together */
#define TSC_AUX_CPU  0xfffU /* Linux: the processor's number; above it, the node's */
#define NS_IN_SECOND 1000000000LL

unsigned int processors;
atomic_bool smp_stop;

bool pin(unsigned int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0 ||
	       FAIL("no thread runs on processor %u: %s", processor, strerror(errno));
}

static void *work(void *argument)
{
	const struct worker *const worker = argument;
	const bool ok = pin(worker->processor) && worker->run(worker->processor);

	if (!ok)
		smp_stop = true;
	return (void *)(uintptr_t)ok;
}

bool start_worker(struct worker *worker, unsigned int processor,
		  bool (*run)(unsigned int processor))
{
	worker->processor = processor;
	worker->run = run;
	worker->running = pthread_create(&worker->thread, NULL, work, worker) == 0;
	return worker->running || FAIL("no thread for processor %u", processor);
}

bool start_others(struct worker *workers, unsigned int except, bool (*run)(unsigned int processor))
{
	smp_stop = false;
	for (unsigned int i = 0; i < processors; i++)
		if (i != except && !start_worker(&workers[i], i, run))
			return false;
	return true;
}

bool join_workers(struct worker *workers, unsigned int count)
{
	bool all = true;
	void *ok;

	for (unsigned int i = 0; i < count; i++) {
		if (workers[i].running)
			all &= pthread_join(workers[i].thread, &ok) == 0 && ok;
		workers[i].running = false;
	}
	return all;
}

long interrupts_on(unsigned int processor, const char *kind)
{
	const char *counts = file_line("/proc/interrupts", kind);
	long count = 0;

	for (unsigned int i = 0; i <= processor; i++) {
		char *end;

		count = strtol(counts, &end, 10);
		counts = end;
	}
	return count;
}

/* ---- The processors ---- */

/* /sys/.../online lists exactly the first `count` processors. */
static bool online_are(unsigned int count)
{
	const char *const found = file_line("/sys/devices/system/cpu/online", "");
	char expected[32] = "0\n";

	if (count > 1)
		snprintf(expected, sizeof(expected), "0-%u\n", count - 1);
	return strcmp(found, expected) == 0 ||
	       FAIL("expected processors %.*s online, got %.*s", (int)strcspn(expected, "\n"),
		    expected, (int)strcspn(found, "\n"), found);
}

static bool check_online(void)
{
	const long count = sysconf(_SC_NPROCESSORS_ONLN);

	return online_are(processors) &&
	       (count == processors || FAIL("expected %u, got %ld", processors, count));
}

/* Every processor has the flags of processor 0, FRED among them, and an APIC ID of its own. */
static bool check_alike(void)
{
	FILE *const file = fopen("/proc/cpuinfo", "r");
	static char flags[8192];
	static char line[8192];
	bool ids[PROCESSORS_MAX * 2] = { false };
	unsigned int blocks = 0;
	unsigned int id;
	bool ok = true;

	while (ok && file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "flags\t", strlen("flags\t")) == 0) {
			if (blocks++ == 0)
				strcpy(flags, line);
			ok = strcmp(flags, line) == 0 ||
			     FAIL("processor %u has other flags: %.150s", blocks - 1, line);
		} else if (sscanf(line, "apicid : %u", &id) == 1) {
			ok = (id < sizeof(ids) && !ids[id]) || FAIL("APIC ID %u comes twice", id);
			ids[id % sizeof(ids)] = true;
		}
	}
	if (file)
		fclose(file);
	return ok && (blocks == processors || FAIL("%u processors in /proc/cpuinfo", blocks));
}

/* The program's thread goes round: it runs where it wants to, and the processor knows its number.
 */
static bool check_migrate(void)
{
	for (unsigned int i = 0; i < MIGRATIONS; i++) {
		const unsigned int target = i % processors;
		unsigned int aux = 0;

		if (!pin(target))
			return false;
		if (sched_getcpu() != (int)target)
			return FAIL("expected processor %u, got %d", target, sched_getcpu());
		if (has_flag("rdtscp"))
			__rdtscp(&aux);
		if (has_flag("rdtscp") && (aux & TSC_AUX_CPU) != target)
			return FAIL("expected TSC_AUX %u, got %#x", target, aux);
	}
	return true;
}

/* ---- Events ---- */

/* An event of each kind, by the checks that have it. */
static const char *const event_names[] = {
	"divide",	    "int3",	     "int-0x20",    "ud2",
	"selector",	    "fault-read",    "fault-write", "fault-in-kernel",
	"signal-registers", "signal-nested", "interrupts",  "step-flag",
	"ptrace-step",
};

static const struct check *find_check(const char *name)
{
	static const struct check_list *const lists[] = { &event_checks, &step_checks };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (size_t j = 0; j < lists[i]->count; j++)
			if (strcmp(lists[i]->checks[j].name, name) == 0)
				return &lists[i]->checks[j];
	return NULL;
}

/* A child that dies with its parent runs `body`, whose result is how it ends. */
static pid_t start_child(bool (*body)(unsigned int argument), unsigned int argument)
{
	const pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(body(argument) ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	return child;
}

static bool child_passes(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		return FAIL("error %d", errno);
	if (!WIFEXITED(status))
		return FAIL("killed by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status) == EXIT_SUCCESS;
}

static bool run_event(unsigned int index)
{
	const struct check *const check = find_check(event_names[index]);

	return check ? check->run() : FAIL("there is no such check");
}

/* Every kind of event on this processor, each in a process of its own; says which one fails. */
static bool run_events(unsigned int processor)
{
	bool ok = true;

	keep_own_reason();
	spin_us = SPIN_US;
	for (unsigned int i = 0; ok && i < sizeof(event_names) / sizeof(event_names[0]); i++) {
		ok = pin(processor) && child_passes(start_child(run_event, i));
		if (!ok)
			printf("linux: note processor %u: %s: %s\n", processor, event_names[i],
			       check_reason());
	}
	fflush(stdout);
	return ok;
}

/* On all processors at the same time. */
static bool check_events(void)
{
	pid_t children[PROCESSORS_MAX];
	unsigned int failed = 0;

	for (unsigned int i = 0; i < processors; i++)
		children[i] = start_child(run_events, i);
	for (unsigned int i = 0; i < processors; i++)
		failed += !child_passes(children[i]);
	return failed == 0 || FAIL("fail on %u processors, see the notes", failed);
}

/* The kernel has given each processor the same entry point and levels, and stacks of its own. */
static bool check_fred_msrs(void)
{
	static const uint32_t common[] = { MSR_IA32_FRED_CONFIG, MSR_IA32_FRED_STKLVLS };
	static const uint32_t own[] = { MSR_IA32_FRED_RSP1, MSR_IA32_FRED_RSP2,
					MSR_IA32_FRED_RSP3 };
	uint64_t first;
	uint64_t value;

	if (!uses_fred())
		return SKIP("no FRED");
	for (unsigned int i = 1; i < processors; i++) {
		for (size_t j = 0; j < sizeof(common) / sizeof(common[0]); j++)
			if (!read_msr(0, common[j], &first) || !read_msr(i, common[j], &value) ||
			    first != value || !value)
				return FAIL("processor %u: MSR %#x is %#lx, but %#lx on 0", i,
					    common[j], value, first);
		for (size_t j = 0; j < sizeof(own) / sizeof(own[0]); j++)
			for (unsigned int other = 0; other < i; other++)
				if (!read_msr(other, own[j], &first) ||
				    !read_msr(i, own[j], &value) || first == value || !value)
					return FAIL("processors %u and %u: MSR %#x is %#lx, %#lx",
						    other, i, own[j], first, value);
	}
	return true;
}

/* ---- Clocks ---- */

static atomic_uint handovers;
static struct {
	int64_t clock;
	uint64_t tsc;
	bool tsc_counts; /* Linux takes the TSC for its clock, so that all have to agree */
} last;

static int64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_IN_SECOND + now.tv_nsec;
}

/* Whose turn it is reads the clocks, which must not be behind those of the one before. */
static bool hand_over(unsigned int processor)
{
	while (!smp_stop) {
		const unsigned int turn = handovers;
		int64_t now;
		uint64_t tsc;

		if (turn == HANDOVERS)
			return true;
		if (turn % processors != processor)
			continue;
		_mm_lfence();
		tsc = __rdtsc();
		_mm_lfence();
		now = clock_now();
		if (now < last.clock)
			return FAIL("processor %u: the clock is back by %ld ns", processor,
				    last.clock - now);
		if (last.tsc_counts && tsc < last.tsc)
			return FAIL("processor %u: the TSC is back by %lu", processor,
				    last.tsc - tsc);
		last.clock = now;
		last.tsc = tsc;
		handovers = turn + 1;
	}
	return true;
}

static bool check_clocks(void)
{
	const char *const source =
		file_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", "");
	struct worker workers[PROCESSORS_MAX] = { 0 };
	int64_t before;

	last.tsc_counts = strncmp(source, "tsc", strlen("tsc")) == 0;
	printf("linux: note clocksource %s", source);
	before = last.clock = clock_now();
	last.tsc = __rdtsc();
	if (!start_others(workers, processors, hand_over))
		smp_stop = true;
	return join_workers(workers, processors) &&
	       (last.clock > before || FAIL("time stands still"));
}

/* ---- Offline and online ---- */

/* System calls and page faults, wherever the kernel lets the thread run. */
static void *make_load(void *unused)
{
	(void)unused;
	while (!smp_stop) {
		char *const page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		page[0] = 1;
		munmap(page, PAGE_BYTES);
	}
	return NULL;
}

static bool set_online(unsigned int processor, bool online)
{
	char name[64];
	bool done;
	int file;

	snprintf(name, sizeof(name), "/sys/devices/system/cpu/cpu%u/online", processor);
	file = open(name, O_WRONLY);
	done = write(file, online ? "1" : "0", 1) == 1;
	if (!done)
		FAIL("processor %u, online %d: %s", processor, online, strerror(errno));
	close(file);
	return done;
}

static bool off_and_on(unsigned int processor)
{
	if (!set_online(processor, false))
		return false;
	if (sysconf(_SC_NPROCESSORS_ONLN) != (long)processors - 1)
		return FAIL("processor %u is offline, but %ld are online", processor,
			    sysconf(_SC_NPROCESSORS_ONLN));
	if (!set_online(processor, true) || !online_are(processors))
		return false;
	return child_passes(start_child(run_events, processor)) ||
	       FAIL("events fail on processor %u when it is back, see the note", processor);
}

/* The kernel stops all processors for each of these, while they have work to do. */
static bool check_hotplug(void)
{
	const unsigned int others = processors - 1;
	pthread_t load[PROCESSORS_MAX];
	bool ok = true;

	for (unsigned int i = 0; i < others; i++)
		pthread_create(&load[i], NULL, make_load, NULL);
	for (unsigned int i = 0; i < HOTPLUGS && ok; i++)
		ok = off_and_on(1 + i % others);
	smp_stop = true;
	for (unsigned int i = 0; i < others; i++)
		pthread_join(load[i], NULL);
	return ok;
}

static const struct check checks[] = {
	{ "smp-online", check_online },	      { "smp-alike", check_alike },
	{ "smp-migrate", check_migrate },     { "smp-events", check_events },
	{ "smp-fred-msrs", check_fred_msrs }, { "smp-clocks", check_clocks },
	{ "smp-hotplug", check_hotplug },
};
const struct check_list smp_checks = CHECK_LIST(checks);
