// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rules of VM entry for the guest's registers outside its segments (SDM 3C, 28.3.1.1 and 28.3.1.4):
 * control and debug registers, MSRs, RIP, RFLAGS, FRED.
 */
#include "lib/x86/fred.h"
#include "vmm/vmx/rule.h"

#define BNDCFGS_RESERVED 0xffcULL
#define LBR_CTL_RESERVED 0xffffffffff80fff0ULL

static const char *check_cr0(const struct judged *v)
{
	const uint64_t cr0 = field(v, VMCS_GUEST_CR0);
	const uint64_t exempt = is_unrestricted(v) ? CR0_PE | CR0_PG : 0;

	RULE(is_fixed(cr0, capability(v, MSR_IA32_VMX_CR0_FIXED0) & ~exempt,
		      capability(v, MSR_IA32_VMX_CR0_FIXED1)),
	     "guest CR0 has a bit that VMX operation does not allow");
	RULE(!(cr0 & CR0_PG) || (cr0 & CR0_PE), "guest CR0.PG is 1 with CR0.PE = 0");
	RULE((cr0 & CR0_WP) || !has_bits(v, VMCS_GUEST_CR4, CR4_CET),
	     "guest CR4.CET is 1 with CR0.WP = 0");
	return NULL;
}

static const char *check_control_registers(const struct judged *v)
{
	const char *const broken = check_cr0(v);

	if (broken)
		return broken;
	RULE(is_fixed(field(v, VMCS_GUEST_CR4), capability(v, MSR_IA32_VMX_CR4_FIXED0),
		      capability(v, MSR_IA32_VMX_CR4_FIXED1)),
	     "guest CR4 has a bit that VMX operation does not allow");
	RULE(!is_ia32e_guest(v) ||
		     (has_bits(v, VMCS_GUEST_CR0, CR0_PG) && has_bits(v, VMCS_GUEST_CR4, CR4_PAE)),
	     "an IA-32e mode guest needs CR0.PG and CR4.PAE");
	RULE(is_ia32e_guest(v) || !has_bits(v, VMCS_GUEST_CR4, CR4_PCIDE),
	     "guest CR4.PCIDE is 1 outside IA-32e mode");
	RULE(is_cr3(v, field(v, VMCS_GUEST_CR3)), "guest CR3 is above the physical address width");
	return NULL;
}

static const char *check_rip(const struct judged *v)
{
	const uint64_t rip = field(v, VMCS_GUEST_RIP);
	const bool wide =
		is_ia32e_guest(v) && has_bits(v, VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_L);
	const uint64_t upper = rip >> v->processor->linear_bits;

	RULE(wide || rip <= UINT32_MAX, "guest RIP is above 4 GiB outside 64-bit mode");
	/*
	 * Not "canonical": the address behind the last byte of the lower half is allowed, where an
	 * instruction at the end of that half leaves RIP.
	 */
	RULE(!wide || upper == 0 || upper == ~0ULL >> v->processor->linear_bits,
	     "guest RIP is not canonical");
	return NULL;
}

static const char *check_rflags(const struct judged *v)
{
	const uint64_t rflags = field(v, VMCS_GUEST_RFLAGS);
	const uint64_t info = field(v, VMCS_ENTRY_INTERRUPTION_INFO);

	RULE(rflags & RFLAGS_RESERVED, "guest RFLAGS bit 1 is 0");
	RULE(!(rflags & RFLAGS_ALWAYS_0), "guest RFLAGS has a reserved bit");
	RULE(!(rflags & RFLAGS_VM) || !is_ia32e_guest(v), "guest RFLAGS.VM is 1 in IA-32e mode");
	RULE(!(rflags & RFLAGS_VM) || has_bits(v, VMCS_GUEST_CR0, CR0_PE),
	     "guest RFLAGS.VM is 1 with CR0.PE = 0");
	RULE(!(info & INTERRUPTION_VALID) || INTERRUPTION_TYPE(info) != EVENT_EXTERNAL_INTERRUPT ||
		     (rflags & RFLAGS_IF),
	     "an external interrupt is injected with RFLAGS.IF = 0");
	return NULL;
}

const char *rules_of_guest_registers(const struct judged *v)
{
	const char *broken;

	if ((broken = check_control_registers(v)) || (broken = check_rip(v)) ||
	    (broken = check_rflags(v)))
		return broken;
	if (!has(v, CONTROL_ENTRY, ENTRY_LOAD_DEBUG))
		return NULL;
	RULE(!(field(v, VMCS_GUEST_DEBUGCTL) & ~v->processor->debugctl),
	     "guest DEBUGCTL has a reserved bit");
	RULE(field(v, VMCS_GUEST_DR7) <= UINT32_MAX, "guest DR7 has a bit above 31");
	return NULL;
}

static const char *check_efer(const struct judged *v)
{
	const uint64_t efer = field(v, VMCS_GUEST_EFER);

	RULE(!(efer & ~v->processor->efer), "guest EFER has a reserved bit");
	RULE(!(efer & EFER_LMA) == !is_ia32e_guest(v),
	     "guest EFER.LMA differs from the control \"IA-32e mode guest\"");
	RULE(!has_bits(v, VMCS_GUEST_CR0, CR0_PG) || !(efer & EFER_LMA) == !(efer & EFER_LME),
	     "guest EFER.LME differs from EFER.LMA with paging on");
	return NULL;
}

static const char *check_cet(const struct judged *v)
{
	const bool wide = is_ia32e_guest(v);

	RULE(is_s_cet(v, field(v, VMCS_GUEST_S_CET), wide),
	     "guest S_CET has a value that its MSR does not take");
	RULE(is_ssp(v, field(v, VMCS_GUEST_SSP), wide),
	     "guest SSP is not canonical or not aligned");
	RULE(is_linear_field(v, VMCS_GUEST_ISST),
	     "the guest's interrupt SSP table is not canonical");
	return NULL;
}

const char *rules_of_guest_msrs(const struct judged *v)
{
	const struct vmcs_processor *const p = v->processor;
	const char *broken = NULL;

	RULE(is_linear_field(v, VMCS_GUEST_SYSENTER_ESP), "guest SYSENTER_ESP is not canonical");
	RULE(is_linear_field(v, VMCS_GUEST_SYSENTER_EIP), "guest SYSENTER_EIP is not canonical");
	RULE(!has(v, CONTROL_ENTRY, ENTRY_LOAD_PERF_GLOBAL) ||
		     !(field(v, VMCS_GUEST_PERF_GLOBAL_CTRL) & ~p->perf_global_ctrl),
	     "guest PERF_GLOBAL_CTRL has a reserved bit");
	RULE(!has(v, CONTROL_ENTRY, ENTRY_LOAD_PAT) || is_pat(field(v, VMCS_GUEST_PAT)),
	     "guest PAT has a memory type that does not exist");
	RULE(!has(v, CONTROL_ENTRY, ENTRY_LOAD_BNDCFGS) ||
		     (!(field(v, VMCS_GUEST_BNDCFGS) & BNDCFGS_RESERVED) &&
		      is_linear_field(v, VMCS_GUEST_BNDCFGS)),
	     "guest BNDCFGS is not canonical or has a reserved bit");
	RULE(!has(v, CONTROL_ENTRY, ENTRY_LOAD_UINV) || field(v, VMCS_GUEST_UINV) <= UINT8_MAX,
	     "the guest's user-interrupt notification vector is above 255");
	RULE(!has(v, CONTROL_ENTRY, ENTRY_LOAD_LBR) ||
		     !(field(v, VMCS_GUEST_LBR_CTL) & LBR_CTL_RESERVED),
	     "guest LBR_CTL has a reserved bit");
	RULE(!has(v, CONTROL_ENTRY, ENTRY_LOAD_PKRS) || field(v, VMCS_GUEST_PKRS) <= UINT32_MAX,
	     "guest PKRS has a bit above 31");
	RULE(!has(v, CONTROL_ENTRY, ENTRY_LOAD_SPEC_CTRL) ||
		     !(field(v, VMCS_GUEST_SPEC_CTRL) & ~p->spec_ctrl),
	     "guest SPEC_CTRL has a reserved bit");
	if (has(v, CONTROL_ENTRY, ENTRY_LOAD_EFER))
		broken = check_efer(v);
	if (!broken && has(v, CONTROL_ENTRY, ENTRY_LOAD_CET))
		broken = check_cet(v);
	return broken;
}

const char *rules_of_guest_fred(const struct judged *v)
{
	const uint64_t ss = field(v, VMCS_GUEST_SS_ACCESS_RIGHTS);
	const unsigned int dpl = (unsigned int)ACCESS_RIGHTS_DPL(ss);

	if (has(v, CONTROL_ENTRY, ENTRY_LOAD_FRED))
		FRED_RULES(v, GUEST);
	if (!has_bits(v, VMCS_GUEST_CR4, CR4_FRED))
		return NULL;
	RULE(is_ia32e_guest(v), "guest CR4.FRED is 1 outside IA-32e mode");
	RULE(dpl == 0 || dpl == 3, "guest CR4.FRED is 1 at CPL 1 or 2");
	RULE(dpl != 0 || has_bits(v, VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_L),
	     "guest CR4.FRED is 1 at CPL 0 in 32-bit code");
	RULE(dpl != 3 || !(field(v, VMCS_GUEST_RFLAGS) & RFLAGS_IOPL),
	     "guest CR4.FRED is 1 at CPL 3 with an IOPL");
	RULE(dpl != 3 || !has_bits(v, VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI),
	     "guest CR4.FRED is 1 at CPL 3 in the shadow of STI");
	return NULL;
}
