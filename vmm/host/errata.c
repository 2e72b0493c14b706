// SPDX-License-Identifier: BSD-2-Clause
/* Owns the list of deviations that this platform has shown. */
#include "vmm/host/errata.h"

#include "vmm/base/log.h"

static const char *const symptoms[ERRATUM_COUNT] = {
	[ERRATUM_FR_3] = "VM exit saves FRED's MSRs to the wrong fields: fields not used",
	[ERRATUM_FR_4] = "FRED delivery leaves maskable interrupts open: they are intercepted",
	[ERRATUM_FR_6] =
		"an exit in the delivery of SYSCALL reports an older event: repeated by RIP",
	[ERRATUM_FR_7] = "not every nested exception is told as nested: nothing can be done",
	[ERRATUM_FR_8] = "the frame does not tell of STI blocking: nothing can be done",
	[ERRATUM_FR_9] = "FRED and shadow stacks do not work together: guests get no CET",
	[ERRATUM_FR_11] = "an LKGS that faults exchanges the GS bases: nothing can be done",
	[ERRATUM_FR_12] = "vector 1 has event data of #DB with any type: nothing can be done",
	[ERRATUM_FR_13] = "an injected instruction length shows in any frame: it is written as 0",
	[ERRATUM_FR_14] = "WRMSRNS exits as if it had an immediate operand: handled alike",
	[ERRATUM_FR_18] = "VM entry takes illegal FRED state: the VMM writes none",
	[ERRATUM_FR_19] = "after a VM entry with IF=0 interrupts do not exit: they come late",
	[ERRATUM_FR_20] = "WRMSR of IA32_FRED_CONFIG takes any address: nothing can be done",
	[ERRATUM_FR_23] = "an exit in a delivery sets RF: cleared where the event leaves it alone",
};

uint32_t errata_detected;
static unsigned int count;

unsigned int errata_count(void)
{
	return count;
}

void erratum_report(enum erratum erratum)
{
	if (erratum_detected(erratum))
		return;
	errata_detected |= 1U << erratum;
	count++;
	log_info("erratum FR-%d: %s", (int)erratum, symptoms[erratum]);
}
