// SPDX-License-Identifier: BSD-2-Clause
/* Owns the FRED state of the VMM itself: its exceptions, interrupts and NMIs. */
#include "vmm/host/host_fred.h"

#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "vmm/host/trap.h"
#include "vmm/host/x86.h"

void fred_host_enable(const uint64_t stacks[3])
{
	/*
	 * A report of a fault needs a stack that is still good: level 1, where interrupts go as
	 * well (entry.asm reads guest registers below RSP). NMI and #MC come at any time:
	 * level 2.
	 */
	uint64_t levels = 0;

	if (cpuid(7, 0).eax < 1 || !(cpuid(7, 1).eax & CPUID_7_1_EAX_FRED))
		return;
	for (unsigned int vector = 0; vector < EXCEPTION_VECTORS; vector++)
		levels |= FRED_STKLVL(vector, vector == VECTOR_DF			    ? 3
					      : vector == VECTOR_NMI || vector == VECTOR_MC ? 2
											    : 1);
	wrmsr(MSR_IA32_FRED_CONFIG,
	      (uint64_t)trap_fred_entry | 1ULL << FRED_CONFIG_INTERRUPT_SHIFT);
	wrmsr(MSR_IA32_FRED_STKLVLS, levels);
	for (unsigned int i = 0; i < 3; i++)
		wrmsr(MSR_IA32_FRED_RSP1 + i, stacks[i]);
	write_cr4(read_cr4() | CR4_FRED);
}
