/* SPDX-License-Identifier: BSD-2-Clause */
/* The self-test of the platform's FRED. */
#ifndef VMM_SELFTEST_CHECKS_H
#define VMM_SELFTEST_CHECKS_H

struct boot_info;

/*
 * In VMX operation, before there is a guest, and when one may get native FRED: see whether the
 * processor does with FRED what the architecture says. Reports the errata that it finds
 * (fred/errata.h), and takes a lesser FRED method (fred_lower_method) where the chosen one fails.
 * Leaves MSRs, APIC and interrupt controllers as they were.
 */
void fred_check(const struct boot_info *boot);

#endif
