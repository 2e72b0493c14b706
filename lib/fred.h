/* SPDX-License-Identifier: BSD-2-Clause */
/* Which values FRED's MSRs accept: what WRMSR, VM entry and VM exit check alike. */
#ifndef LIB_FRED_H
#define LIB_FRED_H

#include <stdbool.h>
#include <stdint.h>

/* Is this a linear address, on a processor with so many bits of them (48 or 57)? */
static inline bool is_canonical(uint64_t address, unsigned int linear_bits)
{
	const unsigned int shift = 64 - linear_bits;

	return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

/*
 * Does WRMSR take this value for this MSR (IA32_FRED_RSP0-3, STKLVLS, SSP1-3, CONFIG, or
 * IA32_PL0_SSP)? False means #GP(0), or of a VM entry that it fails. FRED specification, 5.1.
 */
bool fred_msr_accepts(uint32_t msr, uint64_t value, unsigned int linear_bits);

#endif
