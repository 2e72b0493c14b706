// SPDX-License-Identifier: BSD-2-Clause
/* Reads the counts of exits, which exits/table.c keeps, for the end of the boot. */
#include "vmm/vcpu/exit_counts.h"

#include "vmm/base/log.h"
#include "vmm/vcpu/event.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/exit_names.h"

uint64_t exit_count(const struct vcpu *vcpu)
{
	uint64_t count = 0;

	for (unsigned int i = 0; i < EXIT_REASON_COUNT; i++)
		count += vcpu->exits_by_reason[i];
	return count;
}

void exit_statistics_print(const struct vcpu *vcpu)
{
	const struct interrupt_counts *const i = &vcpu->interrupts;

	if (i->taken != 0)
		log_info("interrupts: %llu taken, %llu delivered, %llu merged, %u waiting",
			 (unsigned long long)i->taken, (unsigned long long)i->delivered,
			 (unsigned long long)i->merged, event_interrupts_waiting(vcpu));
	for (uint32_t reason = 0; reason < EXIT_REASON_COUNT; reason++)
		if (vcpu->exits_by_reason[reason] != 0)
			log_info("exits: %-24s %llu", exit_reason_name(reason),
				 (unsigned long long)vcpu->exits_by_reason[reason]);
}
