// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the guest's RIP, and what the end of an instruction does beside moving it. Exceptions that
 * take the instruction's place.
 */
#include "vmm/vcpu/rip.h"

#include "vmm/soft/operands.h"
#include "vmm/vcpu/event.h"

#define RIP_CARRY (1ULL << 32)

/* SDM 3C 27.7.3 and 28.3.4: an instruction that exits does not do what its end would have done. */
void rip_end_shadow(uint64_t interruptibility)
{
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY,
		   interruptibility & ~(uint64_t)(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
}

void rip_pend_single_step(void)
{
	if (!(vmcs_read(VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF))
		vmcs_set_bits(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
}

bool rip_wrap(void)
{
	const uint64_t rip = vmcs_read(VMCS_GUEST_RIP);

	if (in_64_bit_mode() || rip < RIP_CARRY || rip - RIP_CARRY >= INSTRUCTION_MAX)
		return false;
	vmcs_write(VMCS_GUEST_RIP, rip - RIP_CARRY);
	return true;
}

void skip_instruction(void)
{
	rip_skip(vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH));
}

/* Unlike one that exits by itself, an instruction with an EPT violation has left RF = 1 (28.3.3).
 */
void skip_bytes(unsigned int length)
{
	vmcs_clear_bits(VMCS_GUEST_RFLAGS, RFLAGS_RF);
	rip_skip(length);
}

/* SDM 3A, 18.3.1.1: a fault saves RF = 1, so that its instruction may be repeated. */
void raise_ud(struct vcpu *vcpu)
{
	vmcs_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_RF);
	event_queue(vcpu, event_exception(VECTOR_UD));
}

void raise_gp(struct vcpu *vcpu)
{
	vmcs_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_RF);
	event_queue(vcpu, event_exception_error(VECTOR_GP, 0));
}
