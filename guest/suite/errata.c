// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the list of tests that known deviations of processors and emulators make fail. FR-n is what
 * docs/errata.md describes. A failure is expected only when the platform is said to have it.
 */
#include <stddef.h>

#include "guest/suite/suite.h"
#include "lib/string.h"

/* The first pattern that matches, and whose erratum the platform is known for, counts. */
static const struct {
	const char *tests, *erratum;
} errata[] = {
	/* What software FRED cannot trap; SW-n is described in docs/softfred.md. */
	{ "fred-ud.swapgs_undefined", "SW-1" },
	{ "fred-far.ret_to_*", "SW-2" },
	{ "fred-far.iret_to_*", "SW-2" },
	{ "fred-far.j*_to_32_bit*", "SW-2" },
	{ "fred-far.call_to_32_bit*", "SW-2" },
	{ "fred-far.jmp_through_gate_faults", "SW-2" },
	{ "fred-far.call_through_gate_faults", "SW-2" },
	{ "fred-far.ring3_*_through_gate_faults", "SW-2" },
	{ "fred-shadow.sti_int_n", "BX-14" },
	{ "fred-event.ring0_db_gd", "FR-12" },
	{ "fred-shadow.sti_int*", "FR-8" },
	{ "fred-shadow.sti_ud", "FR-8" },
	{ "fred-shadow.sti_pf", "FR-8" },
	{ "fred-shadow.interrupt_waits_after_event_in_shadow", "FR-8" },
	{ "fred-shadow.interrupt_waits_for_end_of_handler", "FR-4" },
	{ "fred-level.db_gd_*", "FR-12" },
	{ "fred-step.ring?_syscall", "FR-12" },
	{ "fred-step.ring?_int1", "FR-12" },
	{ "fred-nested.ring?_int*", "FR-7" }, /* INT n, INT3, INT1 and interrupts */
	{ "fred-nested.ring?_sys*", "FR-7" },
	{ "fred-nmi.nested_page_fault", "FR-7" },
	{ "fredvm-nested.ring?_int*", "FR-7" },
	{ "fredvm-nested.ring?_sys*", "FR-7" },
	{ "fredvm-delivery.*_db_gd*", "FR-12" },
	{ "fredvm-snapshot.*_db_gd*", "FR-12" },
	{ "fredvm-intercept.ring0_db_gd*", "FR-12" },
	{ "fred-msr.config_*canonical*", "FR-20" },
	{ "fred-msr.config_by_wrmsrns", "FR-20" },
	{ "fred-msr.ssp*", "FR-17" },
	{ "fred-msr.pl0_ssp_*", "FR-17" },
	{ "fred-lkgs.memory_*", NULL },
	{ "fred-lkgs.*_faults*", "FR-11" },
	{ "fred-erets.ss_bit_16_makes_sti_shadow", "FR-8" },
	{ "fred-eretu.*flat_compat*", "FR-10" },
	{ "fred-eretu.to_gdt_conforming", "FR-21" },
	{ "fred-far.ring3_*_to_conforming", "FR-24" },
	{ "fred-eretu.star_compared_with_whole_selector", "FR-22" },
	{ "fred-cet.erets_at_level_1", "FR-9" },
	{ "fred-cet.erets_3_to_2", "FR-9" },
	{ "fred-cet.erets_other_level_in_cs_faults", "FR-9" },
	{ "fred-cet.user_ssp_loaded_and_saved", "FR-9" },
	{ "fred-cet.user_and_supervisor_ssp", "FR-9" },
	{ "fred-cet.pl0_ssp_misaligned_faults", "FR-7" },
};

const char *erratum_of_test(const char *name, bool (*is_known)(const char *erratum))
{
	for (size_t i = 0; i < sizeof(errata) / sizeof(errata[0]); i++)
		if (pattern_matches(errata[i].tests, name) &&
		    (!errata[i].erratum || is_known(errata[i].erratum)))
			return errata[i].erratum;
	return NULL;
}

bool erratum_has_tests(const char *identifier, size_t length)
{
	for (size_t i = 0; i < sizeof(errata) / sizeof(errata[0]); i++)
		if (errata[i].erratum && strlen(errata[i].erratum) == length &&
		    strncmp(errata[i].erratum, identifier, length) == 0)
			return true;
	return false;
}
