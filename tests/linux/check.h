/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the Linux guest's checks share: the shape of a check, how it says why it failed
 * or cannot run, and whether the kernel uses FRED.
 */
#ifndef TESTS_LINUX_CHECK_H
#define TESTS_LINUX_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Runs in a process of its own: it may change signal handlers, and die. */
struct check {
	const char *name;
	bool (*run)(void);
};

struct check_list {
	const struct check *checks;
	size_t count;
};

#define CHECK_LIST(table)                                 \
	{                                                 \
		table, sizeof(table) / sizeof((table)[0]) \
	}

extern const struct check_list event_checks;  /* events.c */
extern const struct check_list step_checks;   /* step.c */
extern const struct check_list compat_checks; /* compat.c */
extern const struct check_list proof_checks;  /* proofs.c */
extern const struct check_list smp_checks;    /* smp.c */
extern const struct check_list ipi_checks;    /* smp_ipi.c */

/* What a check returns when it failed, or cannot run here: false, and the reason is kept. */
#define FAIL(...) check_failed(false, __VA_ARGS__)
#define SKIP(...) check_failed(true, __VA_ARGS__)
bool check_failed(bool skipped, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The reason that was kept last. */
const char *check_reason(void);

/* From now on the reasons of this process and its children are kept apart from its parent's. */
void keep_own_reason(void);

/* The rest of the line of `file` that begins with `key` or blanks and `key`, in a static buffer; ""
 * if none. */
const char *file_line(const char *file, const char *key);

/* Does /proc/cpuinfo have this flag? */
bool has_flag(const char *flag);

/* An MSR of this processor; false when there is none, or the kernel's module for it is absent. */
bool read_msr(unsigned int processor, uint32_t msr, uint64_t *value);

/* The kernel takes its events by FRED. */
bool uses_fred(void);

/* latency.c: print how late so many sleeps end. Returns the exit status. */
int measure_latency(int samples);

#endif
