// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the guest's CR0 and CR4 in the VMCS, with their masks and read shadows.
 * exits/control_registers.c has what a guest's MOV does to them.
 */
#include "vmm/vcpu/control_registers.h"

#include "lib/x86/cpu.h"
#include "lib/x86/vmx.h"
#include "vmm/host/capabilities.h"
#include "vmm/host/x86.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

/*
 * CR0.NE must be 1 in VMX operation. CD and NW would reach the VMM: a VM exit does not load
 * them (SDM 3C, 28.5.1).
 */
uint64_t cr0_owned(void)
{
	return (machine.cr0_fixed0 & ~(CR0_PE | CR0_PG)) | CR0_NE | CR0_CD | CR0_NW;
}

void cr_flush_tlb(void)
{
	if (machine.controls.proc2 & PROC2_VPID)
		invvpid(INVVPID_ALL, 0, 0);
}

void cr_set_cr0(uint64_t value)
{
	const uint64_t forced = (machine.cr0_fixed0 & ~(CR0_PE | CR0_PG)) | CR0_NE;

	vmcs_write(VMCS_CR0_GUEST_HOST_MASK, cr0_owned());
	vmcs_write(VMCS_CR0_READ_SHADOW, value);
	vmcs_write(VMCS_GUEST_CR0, (value & ~(CR0_CD | CR0_NW)) | forced);
}

void cr_set_cr4(const struct vcpu *vcpu, uint64_t value)
{
	vmcs_write(VMCS_CR4_GUEST_HOST_MASK, ~vcpu->guest_cr4_allowed);
	vmcs_write(VMCS_CR4_READ_SHADOW, value);
	vmcs_write(VMCS_GUEST_CR4, value | machine.cr4_fixed0);
}
