/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What processors do to one another: stale translations go away before a system call ends,
 * membarrier() is a barrier elsewhere, a wake-up reaches another processor at once, and NMIs reach
 * all. Each also asks /proc/interrupts, so that a check does not pass by another way.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "tests/linux/check.h"
#include "tests/linux/smp.h"

#define PAGE_BYTES    4096UL
#define REMAPS	      20U
#define PROTECTS      20U
#define BARRIERS      200U
#define WAKES	      100U
#define WAKE_PRIORITY 10
#define SLEEP_DELAY   2000U
#define DELAYS	      16U
#define NMI_WAIT_NS   50000000L
#define NMI_WAITS     20
/* A watcher may be somewhere else when an interrupt is sent, so that it is not: but seldom. */
#define MOST(rounds) ((long)(rounds) / 2)

/* ---- Remapping ---- */

static atomic_uint generation;		 /* what the page said at the last change's end */
static atomic_uint seen[PROCESSORS_MAX]; /* what each processor has read of it */
static volatile unsigned int *page;

/* Reads the page; what it says must not be older than the last change whose end is known. */
static bool watch_page(unsigned int processor)
{
	while (!smp_stop) {
		const unsigned int expected = generation;
		const unsigned int found = *page;

		if (found < expected)
			return FAIL("processor %u reads page %u after %u has been mapped",
				    processor, found, expected);
		seen[processor] = found;
	}
	return true;
}

/* All but `changer` have read the page as it is, and so have a translation to it. */
static bool all_have_seen(unsigned int changer)
{
	for (unsigned int i = 0; i < processors; i++)
		while (i != changer && seen[i] < generation)
			if (smp_stop)
				return false;
	return true;
}

/* Two pages of a file take turns at one address. */
static bool remap_from(unsigned int changer, int file, volatile unsigned int *both)
{
	for (unsigned int i = 0; i < REMAPS; i++) {
		const unsigned int next = generation + 1;
		const off_t offset = next % 2 ? (off_t)PAGE_BYTES : 0;

		both[(size_t)offset / sizeof(*both)] = next;
		if (mmap((void *)page, PAGE_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED, file,
			 offset) == MAP_FAILED)
			return FAIL("mmap: %s", strerror(errno));
		generation = next;
		if (!all_have_seen(changer))
			return false;
	}
	return true;
}

/* Every processor in turn changes the mapping, and all others look. */
static bool check_remap(void)
{
	const int file = memfd_create("pages", 0);
	volatile unsigned int *both;
	bool ok = ftruncate(file, 2 * (off_t)PAGE_BYTES) == 0;

	both = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	page = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, file, 0);
	if (!ok || both == MAP_FAILED || page == MAP_FAILED)
		return FAIL("mmap: %s", strerror(errno));
	for (unsigned int changer = 0; ok && changer < processors; changer++) {
		const unsigned int other = (changer + 1) % processors;
		struct worker workers[PROCESSORS_MAX] = { 0 };
		const long before = interrupts_on(other, "TLB:");

		ok = pin(changer) && start_others(workers, changer, watch_page) &&
		     remap_from(changer, file, both);
		smp_stop = true;
		ok &= join_workers(workers, processors);
		if (ok && interrupts_on(other, "TLB:") < before + MOST(REMAPS))
			ok = FAIL("processor %u has had %ld shootdowns of %u", other,
				  interrupts_on(other, "TLB:") - before, REMAPS);
	}
	return ok;
}

/* ---- Protection ---- */

static atomic_uint closed;		    /* how often the page has been closed to writes */
static atomic_uint opened;		    /* ... and been opened again */
static atomic_uint faulted[PROCESSORS_MAX]; /* the last closing that has stopped each writer */
static volatile uint64_t *counters;	    /* the page: a word for each */

/* A write met the closed page: wait here until it is open. */
static void wait_for_opening(int signal, siginfo_t *info, void *context)
{
	const unsigned int wanted = closed;

	(void)signal;
	(void)info;
	(void)context;
	faulted[sched_getcpu()] = wanted;
	while (opened < wanted && !smp_stop)
		_mm_pause();
}

static bool write_page(unsigned int processor)
{
	while (!smp_stop)
		counters[processor]++;
	return true;
}

/* No writer gets on behind the system call that closes the page; each is stopped by a fault. */
static bool stays_closed(unsigned int changer)
{
	uint64_t before[PROCESSORS_MAX];

	memcpy(before, (const void *)counters, processors * sizeof(*before));
	closed++;
	for (unsigned int i = 0; i < processors; i++) {
		do {
			if (smp_stop)
				return false;
			if (counters[i] != before[i])
				return FAIL("processor %u writes to a page that is closed", i);
		} while (i != changer && faulted[i] < closed);
	}
	return memcmp(before, (const void *)counters, processors * sizeof(*before)) == 0 ||
	       FAIL("a closed page changes");
}

static bool protect_from(unsigned int changer)
{
	for (unsigned int i = 0; i < PROTECTS; i++) {
		uint64_t start[PROCESSORS_MAX];

		memcpy(start, (const void *)counters, processors * sizeof(*start));
		for (unsigned int j = 0; j < processors; j++)
			while (j != changer && counters[j] == start[j])
				if (smp_stop)
					return false;
		if (mprotect((void *)counters, PAGE_BYTES, PROT_READ) != 0)
			return FAIL("mprotect: %s", strerror(errno));
		if (!stays_closed(changer))
			return false;
		mprotect((void *)counters, PAGE_BYTES, PROT_READ | PROT_WRITE);
		opened = closed;
	}
	return true;
}

static bool check_protect(void)
{
	const struct sigaction action = { .sa_sigaction = wait_for_opening,
					  .sa_flags = SA_SIGINFO };
	bool ok = true;

	sigaction(SIGSEGV, &action, NULL);
	counters =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (unsigned int changer = 0; ok && changer < processors; changer++) {
		struct worker workers[PROCESSORS_MAX] = { 0 };

		ok = pin(changer) && start_others(workers, changer, write_page) &&
		     protect_from(changer);
		smp_stop = true;
		/* Whoever waits in the handler goes back to a page that may be written. */
		mprotect((void *)counters, PAGE_BYTES, PROT_READ | PROT_WRITE);
		ok &= join_workers(workers, processors);
	}
	return ok;
}

/* ---- Barriers ---- */

static volatile unsigned int x;
static volatile unsigned int y;
static atomic_uint barrier_round;
static atomic_uint barrier_done;
static unsigned int fast_saw;

static void delay(unsigned int turns)
{
	for (unsigned int i = 0; i < turns; i++)
		_mm_pause();
}

/* Writes x and reads y with no barrier but the compiler's. */
static bool fast_side(unsigned int processor)
{
	(void)processor;
	for (unsigned int i = 1; i <= BARRIERS; i++) {
		while (barrier_round < i)
			if (smp_stop)
				return true;
		delay(i % DELAYS);
		x = 1;
		fast_saw = y;
		barrier_done = i;
	}
	/* Stays on its processor until the last barrier has come. */
	while (!smp_stop)
		;
	return true;
}

/* Writes y and reads x with membarrier() between, which is a barrier on the other side, too. */
static bool slow_side(void)
{
	for (unsigned int i = 1; i <= BARRIERS; i++) {
		unsigned int slow_saw;

		x = y = 0;
		barrier_round = i;
		delay(i / DELAYS);
		y = 1;
		if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
			return FAIL("membarrier: %s", strerror(errno));
		slow_saw = x;
		while (barrier_done < i)
			if (smp_stop)
				return false;
		if (!fast_saw && !slow_saw)
			return FAIL("neither side sees the other's write in round %u", i);
	}
	return true;
}

static bool check_barrier(void)
{
	bool ok = true;

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0)
		return FAIL("membarrier: %s", strerror(errno));
	for (unsigned int slow = 0; ok && slow < processors; slow++) {
		const unsigned int fast = (slow + 1) % processors;
		const long before = interrupts_on(fast, "CAL:");
		struct worker worker;

		smp_stop = false;
		barrier_round = barrier_done = 0;
		ok = pin(slow) && start_worker(&worker, fast, fast_side) && slow_side();
		smp_stop = true;
		ok &= join_workers(&worker, 1);
		if (ok && interrupts_on(fast, "CAL:") < before + MOST(BARRIERS))
			ok = FAIL("processor %u has had %ld calls of %u", fast,
				  interrupts_on(fast, "CAL:") - before, BARRIERS);
	}
	return ok;
}

/* ---- Wake-ups ---- */

static atomic_uint bells[2]; /* a side sleeps at its own, until the other rings it */
static atomic_uint rings;
static bool wake_from_work; /* the processors have other things to do */

/* Wakes the other side, which sleeps or is about to. */
static bool ring(unsigned int side)
{
	long woken = 0;

	/* It has come to its sleep, most times: else it would need no interrupt. */
	delay(SLEEP_DELAY);
	rings++;
	while (woken == 0 && !smp_stop)
		woken = syscall(SYS_futex, &bells[side], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	return woken == 1 || FAIL("FUTEX_WAKE: %s", strerror(errno));
}

static bool sleep_until(unsigned int side, unsigned int expected)
{
	if (syscall(SYS_futex, &bells[side], FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) != 0)
		return FAIL("FUTEX_WAIT: %s", strerror(errno));
	return rings == expected || FAIL("woken by ring %u, expected %u", rings, expected);
}

/* Each side sleeps until the other wakes it, and then wakes the other. */
static bool play(unsigned int side)
{
	const struct sched_param priority = { .sched_priority = WAKE_PRIORITY };
	bool ok = true;

	if (wake_from_work && sched_setscheduler(0, SCHED_FIFO, &priority) != 0)
		return FAIL("sched_setscheduler: %s", strerror(errno));
	for (unsigned int i = 0; i < WAKES && ok; i++) {
		if (side == 0)
			ok = ring(1) && sleep_until(0, 2 * i + 2);
		else
			ok = sleep_until(1, 2 * i + 1) && ring(0);
	}
	return ok;
}

static bool play_first(unsigned int processor)
{
	(void)processor;
	return play(0);
}

static bool play_second(unsigned int processor)
{
	(void)processor;
	return play(1);
}

static bool spin(unsigned int processor)
{
	(void)processor;
	while (!smp_stop)
		;
	return true;
}

/* Interrupts by which one processor makes another look for work. */
static long wake_ups(unsigned int processor)
{
	return interrupts_on(processor, "RES:") + interrupts_on(processor, "CAL:");
}

/*
 * Between two processors: two threads, and for each of them one that has the processor otherwise,
 * which only an interrupt, or the next tick, takes it away from.
 */
static bool ping_pong(unsigned int first, unsigned int second)
{
	const long before[] = { wake_ups(first), wake_ups(second) };
	struct worker spinners[2] = { 0 };
	struct worker players[2] = { 0 };
	bool ok = true;

	smp_stop = false;
	rings = 0;
	if (wake_from_work)
		ok = start_worker(&spinners[0], first, spin) &&
		     start_worker(&spinners[1], second, spin);
	/* The second first: the first one would not let go of its processor until that sleeps. */
	ok = ok && start_worker(&players[1], second, play_second) &&
	     start_worker(&players[0], first, play_first);
	if (!ok)
		smp_stop = true;
	ok &= join_workers(players, 2);
	smp_stop = true;
	ok &= join_workers(spinners, 2);
	if (!ok || !wake_from_work)
		return ok;
	return (wake_ups(first) >= before[0] + MOST(WAKES) &&
		wake_ups(second) >= before[1] + MOST(WAKES)) ||
	       FAIL("processors %u and %u have had %ld and %ld wake-ups of %u", first, second,
		    wake_ups(first) - before[0], wake_ups(second) - before[1], WAKES);
}

static bool all_ping_pong(bool busy)
{
	bool ok = true;

	wake_from_work = busy;
	for (unsigned int i = 1; ok && i < processors; i++)
		ok = ping_pong(i - 1, i);
	return ok;
}

/* Processors that have nothing to do wait by HLT or MWAIT; here a lost interrupt is a hang. */
static bool check_wake_idle(void)
{
	return all_ping_pong(false);
}

static bool check_wake_busy(void)
{
	return all_ping_pong(true);
}

/* ---- NMIs ---- */

/* The kernel asks all other processors by NMI what they do. */
static bool check_nmi_all(void)
{
	const struct timespec pause = { .tv_nsec = NMI_WAIT_NS };
	const int file = open("/proc/sysrq-trigger", O_WRONLY);
	long before[PROCESSORS_MAX];

	for (unsigned int i = 0; i < processors; i++)
		before[i] = interrupts_on(i, "NMI:");
	/* The kernel says something, and would do so in the middle of a line. */
	tcdrain(STDOUT_FILENO);
	if (!pin(0) || write(file, "l", 1) != 1)
		return SKIP("no /proc/sysrq-trigger");
	for (unsigned int i = 1; i < processors; i++) {
		for (int j = 0; j < NMI_WAITS && interrupts_on(i, "NMI:") == before[i]; j++)
			nanosleep(&pause, NULL);
		if (interrupts_on(i, "NMI:") == before[i])
			return FAIL("no NMI on processor %u", i);
	}
	return true;
}

static const struct check checks[] = {
	{ "smp-remap", check_remap },	      { "smp-protect", check_protect },
	{ "smp-barrier", check_barrier },     { "smp-wake-idle", check_wake_idle },
	{ "smp-wake-busy", check_wake_busy }, { "smp-nmi", check_nmi_all },
};
const struct check_list ipi_checks = CHECK_LIST(checks);
