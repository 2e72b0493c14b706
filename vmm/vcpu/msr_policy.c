// SPDX-License-Identifier: BSD-2-Clause
/*
 * The MSR policy: one table, from which the bitmap is made. What is not in it
 * faults. exits/msr.c has the values of virtual MSRs.
 */
#include "vmm/vcpu/msr_policy.h"

#include <stdbool.h>
#include <stddef.h>

#include "lib/fred.h"
#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

enum policy {
	FAULT,	 /* #GP, as if the processor had no such MSR */
	DIRECT,	 /* the guest reaches the MSR, no exit */
	DEVICE,	 /* DIRECT for a guest with the machine's devices, FAULT for others */
	FRED,	 /* DIRECT for a guest with native FRED, FAULT for others */
	CET,	 /* DIRECT for a guest with shadow stacks, VIRTUAL for others */
	VIRTUAL, /* handle_rdmsr() and write_virtual() */
	IGNORE,	 /* writes: dropped */
};

struct msr_policy {
	uint32_t first, last;
	enum policy read, write;
	const char *why;
};

#define ONE(msr) (msr), (msr)

static const struct msr_policy policies[] = {
	{ ONE(MSR_IA32_TSC), DIRECT, DEVICE,
	  "turns and clocks go by it: who has the devices can stop other guests in any case" },
	{ ONE(MSR_IA32_PLATFORM_ID), DIRECT, FAULT, "tells nothing of the VMM" },
	{ ONE(MSR_IA32_APIC_BASE), DEVICE, VIRTUAL,
	  "must not move the APIC's page, nor switch it off: exits/apic_base.c" },
	{ ONE(MSR_IA32_FEATURE_CONTROL), VIRTUAL, VIRTUAL, "locked, VMX off: guests have no VMX" },
	{ ONE(MSR_IA32_TSC_ADJUST), DEVICE, DEVICE, "as the TSC" },
	{ ONE(MSR_IA32_SPEC_CTRL), DEVICE, DEVICE, "the VMM runs with the guest's choice" },
	{ ONE(MSR_IA32_PRED_CMD), FAULT, DEVICE, "a command, no state" },
	{ ONE(MSR_IA32_FLUSH_CMD), FAULT, DEVICE, "a command, no state" },
	{ ONE(MSR_IA32_BIOS_UPDT_TRIG), FAULT, IGNORE, "microcode belongs to the machine's owner" },
	{ ONE(MSR_IA32_BIOS_SIGN_ID), DIRECT, IGNORE,
	  "reading the revision begins with a write of 0" },
	{ ONE(MSR_IA32_XAPIC_DISABLE_STATUS), DEVICE, FAULT, "the guest has the local APIC" },
	{ ONE(MSR_PLATFORM_INFO), VIRTUAL, FAULT,
	  "the ratios, by which clocks are calibrated; nothing whose MSR faults" },
	{ ONE(MSR_IA32_UMWAIT_CONTROL), DEVICE, DEVICE, "limits UMWAIT, which others do not have" },
	{ ONE(MSR_IA32_MPERF), DEVICE, DEVICE, "counts the guest's time and ours alike" },
	{ ONE(MSR_IA32_APERF), DEVICE, DEVICE, "counts the guest's time and ours alike" },
	{ ONE(MSR_IA32_MTRRCAP), DEVICE, FAULT, "constant" },
	{ ONE(MSR_IA32_ARCH_CAPABILITIES), VIRTUAL, FAULT,
	  "without what the guest does not get; with software FRED RDCL_NO: docs/softfred.md" },
	{ MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_EIP, DIRECT, DIRECT, "in the VMCS" },
	{ ONE(MSR_IA32_MCG_CAP), DEVICE, FAULT, "machine checks go to the guest" },
	{ MSR_IA32_MCG_STATUS, MSR_IA32_MCG_CTL, DEVICE, DEVICE, "machine checks go to the guest" },
	{ MSR_IA32_MC0_CTL, MSR_IA32_MC_LAST, DEVICE, DEVICE, "machine checks go to the guest" },
	{ MSR_IA32_MC0_CTL2, MSR_IA32_MC_LAST_CTL2, DEVICE, DEVICE, "and so do corrected ones" },
	{ ONE(MSR_IA32_MISC_ENABLE), VIRTUAL, IGNORE,
	  "has switches for the whole processor; what they switch is as CPUID shows it" },
	{ ONE(MSR_IA32_DEBUGCTL), DIRECT, DIRECT, "in the VMCS" },
	{ MSR_IA32_MTRR_PHYSBASE0, MSR_IA32_MTRR_PHYS_LAST, DEVICE, IGNORE,
	  "the EPT has the types that they gave at the start; the VMM's memory needs them" },
	{ ONE(MSR_IA32_MTRR_FIX64K_00000), DEVICE, IGNORE, "as above" },
	{ MSR_IA32_MTRR_FIX16K_80000, MSR_IA32_MTRR_FIX16K_A0000, DEVICE, IGNORE, "as above" },
	{ MSR_IA32_MTRR_FIX4K_C0000, MSR_IA32_MTRR_FIX4K_F8000, DEVICE, IGNORE, "as above" },
	{ ONE(MSR_IA32_MTRR_DEF_TYPE), DEVICE, IGNORE, "as above" },
	{ ONE(MSR_IA32_PAT), DIRECT, DIRECT, "in the VMCS" },
	{ ONE(MSR_IA32_XFD), DIRECT, DIRECT, "the VMM touches no extended state" },
	{ ONE(MSR_IA32_XFD_ERR), DIRECT, DIRECT, "as XFD" },
	{ ONE(MSR_IA32_XSS), VIRTUAL, VIRTUAL,
	  "the states of CET, for a guest with shadow stacks" },
	{ ONE(MSR_IA32_TSC_DEADLINE), DEVICE, DEVICE, "the guest has the local APIC" },
	{ MSR_IA32_X2APIC_FIRST, MSR_IA32_X2APIC_LAST, DEVICE, DEVICE,
	  "the guest has the local APIC" },
	{ ONE(MSR_IA32_EFER), DIRECT, VIRTUAL, "reserved bits and LMA are checked" },
	{ MSR_IA32_STAR, MSR_IA32_FMASK, DIRECT, DIRECT, "the VMM makes no system calls" },
	{ MSR_IA32_FS_BASE, MSR_IA32_GS_BASE, DIRECT, DIRECT, "in the VMCS" },
	{ ONE(MSR_IA32_KERNEL_GS_BASE), DIRECT, DIRECT, "the VMM never executes SWAPGS" },
	{ ONE(MSR_IA32_TSC_AUX), DIRECT, DIRECT, "the VMM never executes RDTSCP" },
	{ ONE(MSR_IA32_FRED_RSP0), FRED, FRED,
	  "changes with every task and is dead in the VMM, which never comes from ring 3" },
	{ MSR_IA32_FRED_RSP1, MSR_IA32_FRED_RSP3, FRED, FRED,
	  "guest and VMM have their own: VM entry and exit switch them" },
	{ ONE(MSR_IA32_FRED_STKLVLS), FRED, FRED,
	  "switched as RSP1; written once, but to look at it would gain nothing" },
	{ MSR_IA32_FRED_SSP1, MSR_IA32_FRED_SSP3, FRED, FRED, "switched as RSP1" },
	{ ONE(MSR_IA32_FRED_CONFIG), FRED, FRED, "switched as RSP1, with the stack level in it" },
	{ ONE(MSR_IA32_PL0_SSP), CET, CET,
	  "without shadow stacks it has no effect: a FRED guest's is virtual, others have none" },
	{ MSR_IA32_PL1_SSP, MSR_IA32_ISST, CET, CET, "the VMM has no shadow stacks" },
	{ ONE(MSR_IA32_U_CET), CET, CET, "the VMM has no user mode" },
	{ ONE(MSR_IA32_S_CET), CET, CET, "in the VMCS" },
	{ MSR_IA32_VMX_BASIC, MSR_IA32_VMX_EXIT_CTLS2, FAULT, FAULT, "this guest has no VMX" },
};

/* Layout of the MSR bitmaps: SDM 3C, 25.6.9. */
#define BITMAP_READ_LOW	 0x000
#define BITMAP_WRITE	 0x800
#define BITMAP_HIGH	 0x400
#define BITMAP_MSRS	 0x2000U
#define BITMAP_HIGH_BASE 0xc0000000U

/* The byte and the bit of an MSR in the half of a bitmap that is for reads or writes. */
static uint8_t *bitmap_byte(uint8_t *bitmap, uint32_t msr)
{
	if (msr >= BITMAP_HIGH_BASE)
		return bitmap + BITMAP_HIGH + (msr - BITMAP_HIGH_BASE) / 8;
	return bitmap + msr / 8;
}

static bool is_in_bitmap(uint32_t msr)
{
	return msr < BITMAP_MSRS || msr - BITMAP_HIGH_BASE < BITMAP_MSRS;
}

static void allow(uint8_t *bitmap, uint32_t msr)
{
	if (is_in_bitmap(msr))
		*bitmap_byte(bitmap, msr) &= (uint8_t) ~(1U << msr % 8);
}

static void forbid(uint8_t *bitmap, uint32_t msr)
{
	if (is_in_bitmap(msr))
		*bitmap_byte(bitmap, msr) |= (uint8_t)(1U << msr % 8);
}

static bool is_direct(enum policy policy, const struct vm *vm)
{
	return policy == DIRECT || (policy == DEVICE && vm->devices == VM_DEVICES_PASSTHROUGH) ||
	       (policy == FRED && vm->fred == FRED_BACKEND_NATIVE) ||
	       (policy == CET && vm->shadow_stacks);
}

/* The bits that this policy allows for one of its MSRs. */
static void apply(const struct msr_policy *policy, const struct vm *vm, uint8_t *bitmap,
		  uint32_t msr)
{
	if (is_direct(policy->read, vm))
		allow(bitmap + BITMAP_READ_LOW, msr);
	if (is_direct(policy->write, vm))
		allow(bitmap + BITMAP_WRITE, msr);
}

static const struct msr_policy *find(uint32_t msr)
{
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
		if (msr >= policies[i].first && msr <= policies[i].last)
			return &policies[i];
	return NULL;
}

void msr_bitmap_fill(const struct vm *vm, uint8_t *bitmap)
{
	for (size_t i = 0; i < PAGE_SIZE; i++)
		bitmap[i] = 0xff;
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		const struct msr_policy *const p = &policies[i];

		for (uint32_t msr = p->first; msr <= p->last; msr++)
			apply(p, vm, bitmap, msr);
	}
}

void msr_set_exits(const struct vcpu *vcpu, uint32_t msr, bool exits)
{
	forbid(vcpu->msr_bitmap + BITMAP_READ_LOW, msr);
	forbid(vcpu->msr_bitmap + BITMAP_WRITE, msr);
	if (!exits)
		apply(find(msr), vcpu->vm, vcpu->msr_bitmap, msr);
}

void msr_set_write_exits(const struct vcpu *vcpu, uint32_t msr, bool exits)
{
	if (exits)
		forbid(vcpu->msr_bitmap + BITMAP_WRITE, msr);
	else
		apply(find(msr), vcpu->vm, vcpu->msr_bitmap, msr);
}

bool msr_write_is_dropped(uint32_t msr, const char **why)
{
	const struct msr_policy *const policy = find(msr);

	if (!policy || policy->write != IGNORE)
		return false;
	*why = policy->why;
	return true;
}
