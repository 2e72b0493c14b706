// SPDX-License-Identifier: BSD-2-Clause
/* Owns VMX root operation of each processor: entering it, leaving it. */
#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "lib/x86/vmx.h"
#include "vmm/host/cpu.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/host/x86.h"

/*
 * SDM 3C, 29.4.3.3: translations of whoever used VMX before outlive VMXON. A processor without EPT
 * or VPIDs has none of them.
 */
static bool forget_translations(void)
{
	const uint64_t ept = EPT_CAP_INVEPT | EPT_CAP_INVEPT_ALL;
	const uint64_t vpid = VPID_CAP_INVVPID | VPID_CAP_INVVPID_ALL;
	uint64_t capabilities;

	if (!rdmsr_safe(MSR_IA32_VMX_EPT_VPID_CAP, &capabilities))
		return true;
	return ((capabilities & ept) != ept || invept(INVEPT_ALL, 0)) &&
	       ((capabilities & vpid) != vpid || invvpid(INVVPID_ALL, 0, 0));
}

const char *vmx_enable(void)
{
	struct cpu *const cpu = cpu_current();
	uint32_t revision;
	uint64_t address;
	bool failed;

	if (!machine_can_use_vmx())
		return "has no VMX, or firmware has locked it off";
	revision = (uint32_t)(rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION_MASK);
	write_cr0((read_cr0() | rdmsr(MSR_IA32_VMX_CR0_FIXED0)) & rdmsr(MSR_IA32_VMX_CR0_FIXED1));
	write_cr4((read_cr4() | rdmsr(MSR_IA32_VMX_CR4_FIXED0)) & rdmsr(MSR_IA32_VMX_CR4_FIXED1));
	cpu->vmxon_region = page_alloc();
	memcpy(cpu->vmxon_region, &revision, sizeof(revision));
	address = virt_to_phys(cpu->vmxon_region);
	asm volatile("vmxon %1" : "=@ccbe"(failed) : "m"(address) : "memory");
	if (failed) {
		cpu->vmxon_region = NULL;
		return "fails at VMXON";
	}
	return forget_translations() ? NULL : "fails at INVEPT or INVVPID";
}

void vmx_disable(void)
{
	if (cpu_current()->vmxon_region == NULL)
		return;
	asm volatile("vmxoff" : : : "cc", "memory");
	write_cr4(read_cr4() & ~CR4_VMXE);
	cpu_current()->vmxon_region = NULL;
}
