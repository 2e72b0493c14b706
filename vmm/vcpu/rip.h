/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a guest goes on behind an exit: after the instruction that exited, or with an exception
 * instead. All of it works on the current VMCS.
 */
#ifndef VMM_VCPU_RIP_H
#define VMM_VCPU_RIP_H

#include "lib/x86/cpu.h"
#include "vmm/vmx/vmcs.h"

struct vcpu;

/* Else the upper halves of registers do not count, and RIP has 32 bits. */
static inline bool in_64_bit_mode(void)
{
	return (vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS) & ACCESS_RIGHTS_L) &&
	       (vmcs_read(VMCS_GUEST_EFER) & EFER_LMA);
}

/*
 * Where the instruction that exited is the last one in the 4 GiB of 32-bit code, rip_skip() leaves
 * a carry in RIP. VM entry refuses that, with nothing changed, so that it can be repeated (SDM
 * 3C, 27.8): asking here costs the exit path nothing. False: that was not the reason.
 */
bool rip_wrap(void);

/* Go on behind the instruction that exited. */
void skip_instruction(void);
/* The same where the exit does not tell how long the instruction is. */
void skip_bytes(unsigned int length);

/* Deliver an exception instead of the instruction. */
void raise_ud(struct vcpu *vcpu);
void raise_gp(struct vcpu *vcpu);

/* STI or MOV SS block nothing any more. */
void rip_end_shadow(uint64_t interruptibility);
/* RFLAGS.TF is 1: the instruction that is over causes a single step. */
void rip_pend_single_step(void);

/* skip_instruction() for those who know the length: inline, for the exit path has no LTO. */
static inline __attribute__((always_inline)) void rip_skip(uint64_t length)
{
	const uint64_t rip = vmcs_read(VMCS_GUEST_RIP);
	uint64_t interruptibility;

	vmcs_write(VMCS_GUEST_RIP, rip + length);
	interruptibility = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
	if (__builtin_expect(interruptibility & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS),
			     0))
		rip_end_shadow(interruptibility);
	if (__builtin_expect(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_TF, 0))
		rip_pend_single_step();
}

#endif
