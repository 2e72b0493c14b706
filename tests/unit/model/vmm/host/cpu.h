/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stands in for vmm/host/cpu.h in the unit tests of the VMM: the same, but that the model says
 * which processor this is. Where there are several, each is a thread.
 */
#ifndef MODEL_VMM_HOST_CPU_H
#define MODEL_VMM_HOST_CPU_H

#define cpu_current cpu_current_by_gs
#include "../../../../../vmm/host/cpu.h"
#undef cpu_current

extern struct cpu model_cpu;
extern _Thread_local struct cpu *model_current;

static inline struct cpu *cpu_current(void)
{
	return model_current;
}

#endif
