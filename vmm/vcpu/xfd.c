// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tells an #NM of XFD from one of CR0. The processor writes IA32_XFD_ERR with its own only, and
 * leaves the last value with others (SDM 1, 13.14): the MSR alone does not tell.
 */
#include "vmm/vcpu/xfd.h"

#include <stdbool.h>
#include <stddef.h>

#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "vmm/host/capabilities.h"
#include "vmm/host/x86.h"
#include "vmm/soft/operands.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/vmx/vmcs.h"

#define REX_MASK     0xf0
#define REX	     0x40
#define X87_MASK     0xf8
#define X87	     0xd8 /* to 0xdf */
#define ESCAPE	     0x0f
#define GROUP_15     0xae /* FXSAVE is its /0, FXRSTOR /1 */
#define MODRM_REG(m) ((m) >> 3 & 7)

static bool is_prefix(uint8_t byte, bool code64)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66:
	case 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return code64 && (byte & REX_MASK) == REX;
	}
}

/*
 * What CR0.EM disables with #NM; MMX and SSE raise #UD (SDM 3A, 2.5). XFD cannot disable any of it.
 * Code that another vcpu has unmapped meanwhile counts as such.
 */
static bool is_emulated(const struct vm *vm)
{
	const bool code64 = (vmcs_read(VMCS_GUEST_EFER) & EFER_LMA) &&
			    (vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS) & ACCESS_RIGHTS_L);
	uint8_t bytes[INSTRUCTION_MAX];
	const size_t size = guest_read_code(vm, bytes);
	size_t at = 0;

	while (at < size && is_prefix(bytes[at], code64))
		at++;
	if (at == size || (bytes[at] & X87_MASK) == X87)
		return true;
	return at + 2 < size && bytes[at] == ESCAPE && bytes[at + 1] == GROUP_15 &&
	       MODRM_REG(bytes[at + 2]) <= 1;
}

uint64_t xfd_of_exit(const struct vm *vm)
{
	const uint64_t cr0 = vmcs_read(VMCS_GUEST_CR0);

	/* TS is looked at first. */
	if (!machine.has_xfd || (cr0 & CR0_TS) || ((cr0 & CR0_EM) && is_emulated(vm)))
		return 0;
	return rdmsr(MSR_IA32_XFD_ERR);
}
