/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the kernel take its events by FRED, or by the IDT? What /proc/cpuinfo says must agree with
 * what can be seen of it: registers behind SYSCALL, the entry code on a task's stack, the FRED
 * MSRs. And NMIs, which take the same way in.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "tests/linux/check.h"
#include "tests/linux/events.h"

#define FRED_ENTRY "asm_fred_entrypoint_user"
#define IDT_ENTRY  "entry_SYSCALL_64"

/* Linux's choice: #DB at level 1, NMI and #MC at 2, #DF at 3. */
#define LINUX_STKLVLS                                                                         \
	(FRED_STKLVL(VECTOR_DB, 1) | FRED_STKLVL(VECTOR_NMI, 2) | FRED_STKLVL(VECTOR_MC, 2) | \
	 FRED_STKLVL(VECTOR_DF, 3))

#define NO_MSR 0x12345U

/* Enough for a child to come to its pause(), and for the kernel's log to be written. */
#define WAIT_NS 20000000L

/* The local APIC's registers. */
#define APIC_BYTES	 4096UL
#define APIC_ID		 0x20
#define APIC_ICR_LOW	 0x300
#define APIC_ICR_HIGH	 0x310
#define APIC_ICR_NMI	 0x4400U /* delivery mode NMI, level asserted */
#define APIC_ICR_PENDING (1U << 12)
#define NMIS		 3L

/* SYSCALL and its return keep all registers but RAX; without FRED they change RCX and R11, too. */
static bool check_syscall(void)
{
	const unsigned int rax = 1U << (REG_RAX - REG_R8);
	const unsigned int rcx_r11 = 1U << (REG_RCX - REG_R8) | 1U << (REG_R11 - REG_R8);
	uint64_t registers[REGISTERS];

	set_registers(registers);
	registers[REG_RAX] = SYS_getpid;
	events_syscall(registers);
	if ((pid_t)registers[REG_RAX] != getpid())
		return FAIL("getpid: expected %d, got %#lx", getpid(), registers[REG_RAX]);
	if (!same_registers("behind SYSCALL", registers, 0, uses_fred() ? rax : rax | rcx_r11))
		return false;
	if (!uses_fred() && registers[REG_RCX] != (uintptr_t)events_syscall_after)
		return FAIL("no FRED, but RCX is %#lx", registers[REG_RCX]);
	printf("linux: note SYSCALL %s RCX and R11\n", uses_fred() ? "keeps" : "changes");
	return true;
}

/* Where a task that waits in a system call came into the kernel: the last entry on its stack. */
static bool check_entry(void)
{
	const struct timespec short_time = { .tv_nsec = WAIT_NS };
	const char *const entry = uses_fred() ? FRED_ENTRY : IDT_ENTRY;
	const pid_t child = fork();
	char text[2048] = "";
	char name[32];
	FILE *file;

	if (child == 0) {
		pause();
		_exit(0);
	}
	nanosleep(&short_time, NULL);
	snprintf(name, sizeof(name), "/proc/%d/stack", child);
	file = fopen(name, "r");
	if (file) {
		text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
		fclose(file);
	}
	kill(child, SIGKILL);
	if (!strstr(text, entry))
		return FAIL("no %s in %s: %s", entry, name, text);
	printf("linux: note a system call enters by %s\n", entry);
	return true;
}

bool read_msr(unsigned int processor, uint32_t msr, uint64_t *value)
{
	char name[32];
	bool done;
	int device;

	snprintf(name, sizeof(name), "/dev/cpu/%u/msr", processor);
	device = open(name, O_RDONLY);
	done = pread(device, value, sizeof(*value), msr) == sizeof(*value);
	close(device);
	return done;
}

/* The kernel has set the FRED MSRs as Linux does, or has left them 0. */
static bool check_msrs(void)
{
	uint64_t apic_base;
	uint64_t config;
	uint64_t levels;

	if (!read_msr(0, MSR_IA32_APIC_BASE, &apic_base))
		return SKIP("no /dev/cpu/0/msr");
	if (!read_msr(0, MSR_IA32_FRED_CONFIG, &config) ||
	    !read_msr(0, MSR_IA32_FRED_STKLVLS, &levels))
		return uses_fred() ? FAIL("no FRED MSRs") : SKIP("no FRED MSRs");
	printf("linux: note IA32_FRED_CONFIG %#lx, IA32_FRED_STKLVLS %#lx\n", config, levels);
	if (!uses_fred())
		return (config == 0 && levels == 0) || FAIL("not 0 although FRED is off");
	/* The entry point is in the kernel's half of the addresses, and this code runs at level 0.
	 */
	return ((int64_t)config < 0 && !(config & (FRED_CONFIG_RESERVED | FRED_CONFIG_CSL_MASK)) &&
		levels == LINUX_STKLVLS) ||
	       FAIL("expected levels %#lx", LINUX_STKLVLS);
}

/* The kernel survives the #GP that an MSR which does not exist raises in it, and passes it on. */
static bool check_no_msr(void)
{
	uint64_t value;

	if (!read_msr(0, MSR_IA32_APIC_BASE, &value))
		return SKIP("no /dev/cpu/0/msr");
	errno = 0;
	return (!read_msr(0, NO_MSR, &value) && errno == EIO) ||
	       FAIL("expected error %d, got %d", EIO, errno);
}

/* How many NMIs processor 0 has had; -1 when the kernel does not count them. */
static long nmi_count(void)
{
	const char *const counts = file_line("/proc/interrupts", "NMI:");

	return *counts ? atol(counts) : -1;
}

/* The local APIC's registers; NULL with the reason when a program cannot reach them. */
static volatile uint32_t *map_apic(void)
{
	uint64_t base;
	void *apic;
	int memory;

	if (!read_msr(0, MSR_IA32_APIC_BASE, &base)) {
		SKIP("no /dev/cpu/0/msr");
		return NULL;
	}
	if (!(base & APIC_BASE_ENABLE) || (base & APIC_BASE_X2APIC)) {
		SKIP("the local APIC's registers are not in memory: base %#lx", base);
		return NULL;
	}
	memory = open("/dev/mem", O_RDWR | O_SYNC);
	apic = mmap(NULL, APIC_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory,
		    (off_t)(base & APIC_BASE_ADDRESS_MASK));
	close(memory);
	if (apic == MAP_FAILED) {
		SKIP("/dev/mem does not map the local APIC (iomem=relaxed lets it)");
		return NULL;
	}
	return apic;
}

/*
 * The program makes the local APIC send an NMI to this processor, and another when the kernel has
 * counted it: the second comes only when the return from the first has unblocked NMIs.
 */
static bool check_nmi(void)
{
	volatile uint32_t *const apic = map_apic();
	const struct timespec short_time = { .tv_nsec = WAIT_NS };
	const long before = nmi_count();

	if (!apic)
		return false;
	/* The kernel complains of each NMI, and would do so in the middle of a line. */
	tcdrain(STDOUT_FILENO);
	for (long i = 1; i <= NMIS; i++) {
		apic[APIC_ICR_HIGH / sizeof(*apic)] = apic[APIC_ID / sizeof(*apic)];
		apic[APIC_ICR_LOW / sizeof(*apic)] = APIC_ICR_NMI;
		while (apic[APIC_ICR_LOW / sizeof(*apic)] & APIC_ICR_PENDING)
			;
		if (nmi_count() != before + i)
			return FAIL("after %ld NMIs the kernel has counted %ld", i,
				    nmi_count() - before);
	}
	nanosleep(&short_time, NULL);
	return true;
}

static const struct check checks[] = {
	{ "syscall", check_syscall }, { "entry", check_entry }, { "fred-msrs", check_msrs },
	{ "no-msr", check_no_msr },   { "nmi", check_nmi },
};
const struct check_list proof_checks = CHECK_LIST(checks);
