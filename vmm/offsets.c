// SPDX-License-Identifier: BSD-2-Clause
/* Constants for assembly. Never linked: the build reads the compiler's output. */
#include <stddef.h>

#include "vmm/host/cpu.h"
#include "vmm/vcpu/vcpu.h"

#define DEFINE(name, value) asm volatile("\n->" #name " %0" : : "i"(value))

void offsets(void);

void offsets(void)
{
	DEFINE(CPU_ARRIVED, offsetof(struct cpu, arrived));
	DEFINE(VCPU_WORK, offsetof(struct vcpu, work));
	DEFINE(WORK_NMI_ARRIVED, WORK_NMI_ARRIVED);
	DEFINE(WORK_LOOK, WORK_LOOK);
	DEFINE(WORK_INTERRUPT_ARRIVED, WORK_INTERRUPT_ARRIVED);
}
