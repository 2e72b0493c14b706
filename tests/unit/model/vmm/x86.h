/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stands in for vmm/x86.h in the unit tests of the VMM: the same instructions, on the model's
 * registers.
 */
#ifndef VMM_X86_H
#define VMM_X86_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/unit/model/model.h"

struct cpuid_leaf {
	uint32_t eax, ebx, ecx, edx;
};

/* The test says what the processor answers. */
struct cpuid_leaf cpuid(uint32_t leaf, uint32_t subleaf);

static inline uint64_t rdmsr(uint32_t msr)
{
	return model_rdmsr(msr);
}

static inline bool rdmsr_safe(uint32_t msr, uint64_t *value)
{
	if (msr == model.msr_missing)
		return false;
	*value = model_rdmsr(msr);
	return true;
}

static inline bool wrmsr_safe(uint32_t msr, uint64_t value)
{
	if (model.refuses)
		model.msr_written = msr;
	else
		model_wrmsr(msr, value);
	return !model.refuses;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	model_wrmsr(msr, value);
}

static inline bool xsetbv_safe(uint32_t xcr, uint64_t value)
{
	if (model.refuses || xcr != 0)
		return false;
	model.xcr0 = value;
	return true;
}

static inline bool invept(uint64_t type __attribute__((unused)),
			  uint64_t ept_pointer __attribute__((unused)))
{
	model.invepts++;
	return true;
}

static inline uint64_t read_cr2(void)
{
	return model.cr2;
}

static inline void write_cr2(uint64_t value)
{
	model.cr2 = value;
}

static inline uint64_t read_cr4(void)
{
	return model.cr4;
}

static inline uint64_t read_dr6(void)
{
	return model.dr6;
}

static inline void write_dr6(uint64_t value)
{
	model.dr6 = value;
}

#endif
