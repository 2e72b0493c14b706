// SPDX-License-Identifier: BSD-2-Clause
/* Owns the choice of the vcpu that runs. */
#include "vmm/sched.h"

#include "vmm/cpu.h"
#include "vmm/sipi.h"
#include "vmm/vcpu.h"

/* Wait until the vcpu can run. */
static void wait_for(struct vcpu *vcpu)
{
	struct cpu *const cpu = cpu_current();

	for (;;) {
		/* In this order: what comes behind the look ends the wait. */
		cpu->arrived = false;
		vcpu_clear_work(vcpu, WORK_LOOK);
		if (sipi_carry_out(vcpu))
			return;
		cpu_wait();
	}
}

void sched_add(struct vcpu *vcpu)
{
	struct cpu *const cpu = cpu_current();

	cpu->vcpus[cpu->vcpu_count++] = vcpu;
}

void sched_start(void)
{
	struct vcpu *const vcpu = cpu_current()->vcpu;

	/* No guest has this processor; what others ask of it comes by NMI all the same. */
	if (!vcpu)
		cpu_stop();
	wait_for(vcpu);
	vcpu_run(vcpu);
}

void sched_look(struct vcpu *vcpu)
{
	wait_for(vcpu);
}
