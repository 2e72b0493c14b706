/* SPDX-License-Identifier: BSD-2-Clause */
/* The newest exits of a vcpu, for the end of a boot that went wrong. Recorded with log = trace
 * only. */
#ifndef VMM_VCPU_TRACE_H
#define VMM_VCPU_TRACE_H

#include <stdint.h>

#define TRACE_ENTRIES 32

struct trace_entry {
	uint64_t tsc;
	uint64_t guest_rip;
	uint64_t exit_qualification;
	uint32_t exit_reason;
	uint32_t idt_vectoring_info;
};

struct trace {
	uint64_t count; /* recorded in all; the newest is at (count - 1) % TRACE_ENTRIES */
	struct trace_entry entries[TRACE_ENTRIES];
};

/* Record the exit that the current VMCS shows. */
void trace_record(struct trace *trace);

/* Print the entries, the oldest first. */
void trace_print(const struct trace *trace);

#endif
