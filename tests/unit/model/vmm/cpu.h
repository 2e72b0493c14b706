/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stands in for vmm/cpu.h in the unit tests of the VMM: the one processor is the model's.
 */
#ifndef VMM_CPU_H
#define VMM_CPU_H

#include <stdint.h>

struct vcpu;

struct cpu {
	struct vcpu *vcpu;
	struct vcpu *fred_vcpu;
};

extern struct cpu model_cpu;

static inline struct cpu *cpu_current(void)
{
	return &model_cpu;
}

#endif
