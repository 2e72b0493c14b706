// SPDX-License-Identifier: BSD-2-Clause
/* Owns VMX root operation of each processor: entering it, leaving it. */
#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "lib/x86/vmx.h"
#include "vmm/host/cpu.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/host/x86.h"

/* SDM 3C, 29.4.3.3: translations of whoever used VMX before outlive VMXON. */
static void forget_translations(void)
{
	const uint64_t vpid = VPID_CAP_INVVPID | VPID_CAP_INVVPID_ALL;

	if (!invept(INVEPT_ALL, 0) ||
	    ((machine.ept_vpid_cap & vpid) == vpid && !invvpid(INVVPID_ALL, 0, 0)))
		panic("vmx-invalidate", "INVEPT or INVVPID failed: this processor promised them");
}

void vmx_enable(void)
{
	struct cpu *const cpu = cpu_current();
	const uint32_t revision = (uint32_t)(machine.vmx_basic & VMX_BASIC_REVISION_MASK);
	uint64_t address;
	bool failed;

	write_cr0((read_cr0() | machine.cr0_fixed0) & machine.cr0_fixed1);
	write_cr4((read_cr4() | machine.cr4_fixed0) & machine.cr4_fixed1);
	cpu->vmxon_region = page_alloc();
	memcpy(cpu->vmxon_region, &revision, sizeof(revision));
	address = virt_to_phys(cpu->vmxon_region);
	asm volatile("vmxon %1" : "=@ccbe"(failed) : "m"(address) : "memory");
	if (failed)
		panic("vmxon", "VMXON failed: CR0 %llx (fixed %llx), CR4 %llx (fixed %llx)",
		      (unsigned long long)read_cr0(), (unsigned long long)machine.cr0_fixed0,
		      (unsigned long long)read_cr4(), (unsigned long long)machine.cr4_fixed0);
	forget_translations();
}

void vmx_disable(void)
{
	if (cpu_current()->vmxon_region == NULL)
		return;
	asm volatile("vmxoff" : : : "cc", "memory");
	write_cr4(read_cr4() & ~CR4_VMXE);
	cpu_current()->vmxon_region = NULL;
}
