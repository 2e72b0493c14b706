// SPDX-License-Identifier: BSD-2-Clause
/* Rules of VM entry for the host state (SDM 3C, 28.2.2 to 28.2.4): a VM exit could not load it. */
#include "vmm/vmx/rule.h"

#define SELECTOR_TI_RPL 7U

static const char *check_control_registers(const struct judged *v)
{
	RULE(is_fixed(field(v, VMCS_HOST_CR0), capability(v, MSR_IA32_VMX_CR0_FIXED0),
		      capability(v, MSR_IA32_VMX_CR0_FIXED1)),
	     "host CR0 has a bit that VMX operation does not allow");
	RULE(is_fixed(field(v, VMCS_HOST_CR4), capability(v, MSR_IA32_VMX_CR4_FIXED0),
		      capability(v, MSR_IA32_VMX_CR4_FIXED1)),
	     "host CR4 has a bit that VMX operation does not allow");
	RULE(!has_bits(v, VMCS_HOST_CR4, CR4_CET) || has_bits(v, VMCS_HOST_CR0, CR0_WP),
	     "host CR4.CET is 1 with CR0.WP = 0");
	RULE(is_cr3(v, field(v, VMCS_HOST_CR3)), "host CR3 is above the physical address width");
	return NULL;
}

static const char *check_segments(const struct judged *v)
{
	static const struct {
		enum vmcs_field field;
		const char *rule;
	} selectors[] = {
		{ VMCS_HOST_ES_SELECTOR, "the host's ES selector has an RPL or is in the LDT" },
		{ VMCS_HOST_CS_SELECTOR, "the host's CS selector has an RPL or is in the LDT" },
		{ VMCS_HOST_SS_SELECTOR, "the host's SS selector has an RPL or is in the LDT" },
		{ VMCS_HOST_DS_SELECTOR, "the host's DS selector has an RPL or is in the LDT" },
		{ VMCS_HOST_FS_SELECTOR, "the host's FS selector has an RPL or is in the LDT" },
		{ VMCS_HOST_GS_SELECTOR, "the host's GS selector has an RPL or is in the LDT" },
		{ VMCS_HOST_TR_SELECTOR, "the host's TR selector has an RPL or is in the LDT" },
	};

	for (size_t i = 0; i < LENGTH_OF(selectors); i++)
		RULE(!(field(v, selectors[i].field) & SELECTOR_TI_RPL), selectors[i].rule);
	RULE(field(v, VMCS_HOST_CS_SELECTOR) != 0, "the host's CS selector is null");
	RULE(field(v, VMCS_HOST_TR_SELECTOR) != 0, "the host's TR selector is null");
	RULE(has(v, CONTROL_EXIT, EXIT_HOST_64BIT) || field(v, VMCS_HOST_SS_SELECTOR) != 0,
	     "the SS selector of a 32-bit host is null");
	return NULL;
}

static const char *check_addresses(const struct judged *v)
{
	static const struct {
		enum vmcs_field field;
		const char *rule;
	} addresses[] = {
		{ VMCS_HOST_FS_BASE, "the host's FS base is not canonical" },
		{ VMCS_HOST_GS_BASE, "the host's GS base is not canonical" },
		{ VMCS_HOST_TR_BASE, "the host's TR base is not canonical" },
		{ VMCS_HOST_GDTR_BASE, "the host's GDTR base is not canonical" },
		{ VMCS_HOST_IDTR_BASE, "the host's IDTR base is not canonical" },
		{ VMCS_HOST_SYSENTER_ESP, "the host's SYSENTER_ESP is not canonical" },
		{ VMCS_HOST_SYSENTER_EIP, "the host's SYSENTER_EIP is not canonical" },
	};

	for (size_t i = 0; i < LENGTH_OF(addresses); i++)
		RULE(is_linear_field(v, addresses[i].field), addresses[i].rule);
	return NULL;
}

static const char *check_msrs(const struct judged *v)
{
	const struct vmcs_processor *const p = v->processor;
	const uint64_t mode = has(v, CONTROL_EXIT, EXIT_HOST_64BIT) ? EFER_LME | EFER_LMA : 0;

	RULE(!has(v, CONTROL_EXIT, EXIT_LOAD_PERF_GLOBAL) ||
		     !(field(v, VMCS_HOST_PERF_GLOBAL_CTRL) & ~p->perf_global_ctrl),
	     "host PERF_GLOBAL_CTRL has a reserved bit");
	RULE(!has(v, CONTROL_EXIT, EXIT_LOAD_PAT) || is_pat(field(v, VMCS_HOST_PAT)),
	     "host PAT has a memory type that does not exist");
	RULE(!has(v, CONTROL_EXIT, EXIT_LOAD_PKRS) || field(v, VMCS_HOST_PKRS) <= UINT32_MAX,
	     "host PKRS has a bit above 31");
	RULE(!has(v, CONTROL_EXIT2, EXIT2_LOAD_SPEC_CTRL) ||
		     !(field(v, VMCS_HOST_SPEC_CTRL) & ~p->spec_ctrl),
	     "host SPEC_CTRL has a reserved bit");
	if (!has(v, CONTROL_EXIT, EXIT_LOAD_EFER))
		return NULL;
	RULE(!(field(v, VMCS_HOST_EFER) & ~p->efer), "host EFER has a reserved bit");
	RULE((field(v, VMCS_HOST_EFER) & (EFER_LME | EFER_LMA)) == mode,
	     "host EFER's LME and LMA differ from the control \"host address-space size\"");
	return NULL;
}

static const char *check_cet_and_fred(const struct judged *v)
{
	const bool wide = has(v, CONTROL_EXIT, EXIT_HOST_64BIT);

	if (has(v, CONTROL_EXIT, EXIT_LOAD_CET)) {
		RULE(is_s_cet(v, field(v, VMCS_HOST_S_CET), wide),
		     "host S_CET has a value that its MSR does not take");
		RULE(is_ssp(v, field(v, VMCS_HOST_SSP), wide),
		     "host SSP is not canonical or not aligned");
		RULE(is_linear_field(v, VMCS_HOST_ISST),
		     "the host's interrupt SSP table is not canonical");
	}
	if (has(v, CONTROL_EXIT2, EXIT2_LOAD_FRED))
		FRED_RULES(v, HOST);
	RULE(!has_bits(v, VMCS_HOST_CR4, CR4_FRED) || wide,
	     "host CR4.FRED is 1, and VM exit does not load a 64-bit host");
	return NULL;
}

/* SDM 3C, 28.2.4: with 32-bit and 64-bit code on either side of the entry and of the exit. */
static const char *check_address_space(const struct judged *v)
{
	const bool wide = has(v, CONTROL_EXIT, EXIT_HOST_64BIT);

	RULE(wide == v->processor->in_ia32e_mode,
	     "the control \"host address-space size\" differs from the mode of this entry");
	RULE(wide || !is_ia32e_guest(v), "an IA-32e mode guest needs a 64-bit host");
	if (wide) {
		RULE(has_bits(v, VMCS_HOST_CR4, CR4_PAE), "host CR4.PAE is 0 in a 64-bit host");
		RULE(is_linear_field(v, VMCS_HOST_RIP), "host RIP is not canonical");
		return NULL;
	}
	RULE(!has_bits(v, VMCS_HOST_CR4, CR4_PCIDE), "host CR4.PCIDE is 1 in a 32-bit host");
	RULE(field(v, VMCS_HOST_RIP) <= UINT32_MAX, "the RIP of a 32-bit host is above 4 GiB");
	return NULL;
}

const char *rules_of_host(const struct judged *v)
{
	static const char *(*const parts[])(const struct judged *) = {
		check_address_space, check_control_registers, check_segments, check_addresses,
		check_msrs,	     check_cet_and_fred,
	};

	for (size_t i = 0; i < LENGTH_OF(parts); i++) {
		const char *const broken = parts[i](v);

		if (broken)
			return broken;
	}
	return NULL;
}
