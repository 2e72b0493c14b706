// SPDX-License-Identifier: BSD-2-Clause
/* Owns the trace ring. */
#include "vmm/vcpu/trace.h"

#include "vmm/base/log.h"
#include "vmm/vmx/exit_names.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

void trace_record(struct trace *trace)
{
	struct trace_entry *const entry = &trace->entries[trace->count++ % TRACE_ENTRIES];

	entry->tsc = rdtsc();
	entry->guest_rip = vmcs_read(VMCS_GUEST_RIP);
	entry->exit_qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	entry->exit_reason = vmcs_read32(VMCS_EXIT_REASON);
	entry->idt_vectoring_info = vmcs_read32(VMCS_IDT_VECTORING_INFO);
}

void trace_print(const struct trace *trace)
{
	const uint64_t first = trace->count > TRACE_ENTRIES ? trace->count - TRACE_ENTRIES : 0;

	for (uint64_t i = first; i < trace->count; i++) {
		const struct trace_entry *const entry = &trace->entries[i % TRACE_ENTRIES];

		log_error("trace: %llu: tsc %llu rip %llx %s qualification %llx idt-vectoring %x",
			  (unsigned long long)i, (unsigned long long)entry->tsc,
			  (unsigned long long)entry->guest_rip,
			  exit_reason_name(entry->exit_reason),
			  (unsigned long long)entry->exit_qualification, entry->idt_vectoring_info);
	}
}
