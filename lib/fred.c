// SPDX-License-Identifier: BSD-2-Clause
/* Owns the checks of FRED's MSRs. */
#include "lib/fred.h"

#include "lib/x86/fred.h"
#include "lib/x86/msr.h"

bool fred_msr_accepts(uint32_t msr, uint64_t value, unsigned int linear_bits)
{
	uint64_t reserved;

	switch (msr) {
	case MSR_IA32_FRED_STKLVLS:
		return true;
	case MSR_IA32_FRED_CONFIG:
		reserved = FRED_CONFIG_RESERVED;
		break;
	case MSR_IA32_PL0_SSP:
		reserved = PL0_SSP_RESERVED;
		break;
	case MSR_IA32_FRED_SSP1:
	case MSR_IA32_FRED_SSP2:
	case MSR_IA32_FRED_SSP3:
		reserved = FRED_SSP_RESERVED;
		break;
	default:
		reserved = FRED_RSP_RESERVED;
	}
	return !(value & reserved) && is_canonical(value, linear_bits);
}
