// SPDX-License-Identifier: BSD-2-Clause
/*
 * The state in which a vcpu begins, and what INIT makes of one that runs: nothing of the struct,
 * the VMCS and the processor's registers may go on that INIT ends. XCR0, XSS, extended state and
 * MSRs go on, as the processor has it.
 */
#include "lib/paging.h"
#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "lib/x86/vmx.h"
#include "vmm/host/capabilities.h"
#include "vmm/host/x86.h"
#include "vmm/run/create.h"
#include "vmm/run/enter.h"
#include "vmm/soft/soft.h"
#include "vmm/vcpu/control_registers.h"
#include "vmm/vcpu/event.h"
#include "vmm/vcpu/timer.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

void vcpu_set_reset_state(struct vcpu *vcpu)
{
	cr_set_cr0(CR0_ET);
	cr_set_cr4(vcpu, 0);
	vmcs_write(VMCS_GUEST_CR3, 0);
	vmcs_write(VMCS_GUEST_EFER, 0);
	vmcs_write(VMCS_GUEST_PAT, PAT_RESET);
	vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
	vmcs_write(VMCS_GUEST_DR7, DR7_RESET);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED);
	vmcs_write(VMCS_GUEST_RSP, 0);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_CS, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_ESP, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_EIP, 0);
	vmcs_write(VMCS_GUEST_GDTR_BASE, 0);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, 0);
	vmcs_write(VMCS_GUEST_IDTR_BASE, 0);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, 0);
	if (machine.controls.entry & ENTRY_LOAD_CET) {
		vmcs_write(VMCS_GUEST_S_CET, 0);
		vmcs_write(VMCS_GUEST_SSP, 0);
		vmcs_write(VMCS_GUEST_ISST, 0);
	}
	vmcs_write(VMCS_VMCS_LINK_POINTER, ~0ULL);
	write_dr6(DR6_RESET);
}

/* What the VMM does on the vcpu's behalf: the virtual clock, test services, and what it has seen.
 */
static void forget_services(struct vcpu *vcpu)
{
	timer_forget(vcpu);
	if (vcpu->livelock.watched)
		vcpu_watch(vcpu, false);
	vcpu->livelock = (struct livelock){ 0 };
	vcpu_clear_work(vcpu, WORK_SNAPSHOT);
	event_set_exits(vcpu, vcpu->vm->exception_bitmap);
	vcpu->halted = false;
	vcpu->cr8 = 0;
}

/*
 * SDM 3A, table 10-1: INIT leaves CR0.CD and NW, FPU, XCR0, the TSC and MSRs alone, and empties the
 * TLB. The MSRs that the VMCS has are as after a reset, for vcpu_set_reset_state() is that of both:
 * kernels set them anew.
 */
void vcpu_reset(struct vcpu *vcpu)
{
	const uint64_t caching = vmcs_read(VMCS_CR0_READ_SHADOW) & (CR0_CD | CR0_NW);

	if (vcpu->soft.on)
		soft_fred_switch(vcpu, false);
	event_forget(vcpu);
	forget_services(vcpu);
	memset(&vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs.rdx = cpuid(1, 0).eax;
	vcpu_set_reset_state(vcpu);
	cr_set_cr0(caching | CR0_ET);
	vmcs_clear_bits(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST);
	write_cr2(0);
	write_dr0(0);
	write_dr1(0);
	write_dr2(0);
	write_dr3(0);
	cr_flush_tlb();
}
