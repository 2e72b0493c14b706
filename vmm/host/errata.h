/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deviations of a platform from the architecture that the self-test at start-up has seen: see
 * docs/errata.md for each. Manfred works around one only when it was detected.
 */
#ifndef VMM_HOST_ERRATA_H
#define VMM_HOST_ERRATA_H

#include <stdbool.h>
#include <stdint.h>

/* The number is that of the identifier: ERRATUM_FR_4 is "FR-4". */
enum erratum {
	ERRATUM_FR_3 = 3,   /* VM exit saves FRED's MSRs to the wrong fields */
	ERRATUM_FR_4 = 4,   /* FRED delivery leaves maskable interrupts open */
	ERRATUM_FR_6 = 6,   /* an exit in the delivery of SYSCALL reports an older event */
	ERRATUM_FR_7 = 7,   /* nested exceptions are not told as such */
	ERRATUM_FR_8 = 8,   /* the frame has no STI blocking */
	ERRATUM_FR_9 = 9,   /* shadow stacks go wrong at delivery and return */
	ERRATUM_FR_11 = 11, /* an LKGS that faults exchanges the GS bases */
	ERRATUM_FR_12 = 12, /* event data of vector 1 that is no #DB */
	ERRATUM_FR_13 = 13, /* an injected instruction length shows in any frame */
	ERRATUM_FR_14 = 14, /* WRMSRNS exits as its form with an immediate operand */
	ERRATUM_FR_18 = 18, /* VM entry takes a FRED state that it should refuse */
	ERRATUM_FR_19 = 19, /* after an entry with IF=0 interrupts do not exit */
	ERRATUM_FR_20 = 20, /* IA32_FRED_CONFIG takes addresses that are not canonical */
	ERRATUM_FR_23 = 23, /* an exit in a delivery leaves RF set whatever is delivered */
	ERRATUM_COUNT = 32,
};

/* A bit for each that the self-test has seen. */
extern uint32_t errata_detected;

static inline bool erratum_detected(enum erratum erratum)
{
	return errata_detected >> erratum & 1;
}

unsigned int errata_count(void);

/* Remember it and log it, once. */
void erratum_report(enum erratum erratum);

#endif
