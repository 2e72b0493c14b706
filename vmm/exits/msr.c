// SPDX-License-Identifier: BSD-2-Clause
/* RDMSR and WRMSR that exit. Owns the values of virtual MSRs. */
#include "vmm/exits/table.h"

#include <stdbool.h>
#include <stddef.h>

#include "lib/fred.h"
#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "vmm/base/log.h"
#include "vmm/exits/apic_base.h"
#include "vmm/host/capabilities.h"
#include "vmm/host/x86.h"
#include "vmm/run/startup.h"
#include "vmm/vcpu/msr_policy.h"
#include "vmm/vcpu/rip.h"
#include "vmm/run/sched.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

/*
 * Linux switches FRED off on a processor that it takes to be vulnerable to Meltdown, since its
 * page-table isolation does not go with FRED.
 */
static bool read_arch_capabilities(const struct vcpu *vcpu, uint64_t *value)
{
	const bool has_msr = cpuid(7, 0).edx & CPUID_7_EDX_ARCH_CAPABILITIES;
	const bool soft = vcpu->vm->fred == FRED_BACKEND_SOFT;
	uint64_t shown = ARCH_CAPABILITIES_VULNERABILITIES;

	if (vcpu->vm->devices == VM_DEVICES_PASSTHROUGH)
		shown |= ARCH_CAPABILITIES_XAPIC_STATUS;
	*value = (has_msr ? rdmsr(MSR_IA32_ARCH_CAPABILITIES) & shown : 0) |
		 (soft ? ARCH_CAPABILITIES_RDCL_NO : 0);
	return has_msr || soft;
}

/* What CPUID hides, the MSRs of a guest with the devices do not show. */
static bool read_device(const struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	if (vcpu->vm->devices != VM_DEVICES_PASSTHROUGH)
		return false;
	switch (msr) {
	case MSR_IA32_APIC_BASE: /* exits only while it is off for the guest */
		*value = apic_base_read();
		return true;
	case MSR_PLATFORM_INFO:
		*value = rdmsr(msr) & PLATFORM_INFO_RATIOS;
		return true;
	case MSR_IA32_MISC_ENABLE:
		*value = (rdmsr(msr) & ~MISC_ENABLE_HIDDEN) | MISC_ENABLE_UNAVAILABLE;
		return true;
	default:
		return false;
	}
}

/* SDM 3A 2.2.1: LME cannot change while paging is on, and LMA follows from LME and CR0.PG only. */
static bool write_efer(struct vcpu *vcpu, uint64_t value)
{
	const uint64_t old = vmcs_read(VMCS_GUEST_EFER);
	const uint64_t writable = EFER_SCE | EFER_LME | EFER_NXE;

	if (value & ~(writable | EFER_LMA))
		return false;
	if (((old ^ value) & EFER_LME) && (vmcs_read(VMCS_GUEST_CR0) & CR0_PG))
		return false;
	if (vcpu->soft.on) {
		vcpu->soft.syscall_enabled = value & EFER_SCE;
		guest_forget_walks(&vcpu->soft.walks);
		value &= ~EFER_SCE;
	}
	vmcs_write(VMCS_GUEST_EFER, (value & writable) | (old & EFER_LMA));
	return true;
}

static bool write_pl0_ssp(struct vcpu *vcpu, uint64_t value)
{
	if (vcpu->vm->fred != FRED_BACKEND_NATIVE)
		return soft_fred_wrmsr(vcpu, MSR_IA32_PL0_SSP, value);
	if (!fred_msr_accepts(MSR_IA32_PL0_SSP, value, machine.linear_bits))
		return false;
	vcpu->pl0_ssp = value;
	return true;
}

/* It exits while there is a processor to be started: run/startup.c. */
static bool write_icr(struct vcpu *vcpu, uint64_t value)
{
	if (vcpu->vm->devices != VM_DEVICES_PASSTHROUGH)
		return false;
	if ((rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_X2APIC) && sipi_command(vcpu, value))
		return true;
	return wrmsr_safe(MSR_IA32_X2APIC_ICR, value);
}

/* The real one has been 0 since the start, where the guest may set nothing. */
static bool write_xss(const struct vm *vm, uint64_t value)
{
	if (value & ~vm->xss)
		return false;
	if (vm->xss != 0)
		wrmsr(MSR_IA32_XSS, value);
	return true;
}

static bool write_virtual(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	switch (msr) {
	case MSR_IA32_EFER:
		return false; /* write_efer() has refused it */
	case MSR_IA32_APIC_BASE:
		return vcpu->vm->devices == VM_DEVICES_PASSTHROUGH && apic_base_write(vcpu, value);
	case MSR_IA32_XSS:
		return write_xss(vcpu->vm, value);
	case MSR_IA32_PL0_SSP:
		return write_pl0_ssp(vcpu, value);
	case MSR_IA32_FEATURE_CONTROL:
		return false; /* locked */
	case MSR_IA32_X2APIC_ICR:
		return write_icr(vcpu, value);
	default:
		return soft_fred_wrmsr(vcpu, msr, value);
	}
}

/* A guest may cause as many lines as it likes, in its own turns. */
static void charge_for_line(struct vcpu *vcpu)
{
	if (log_enabled(LOG_DEBUG))
		sched_charge(vcpu);
}

static void refuse(struct vcpu *vcpu, const char *instruction, uint32_t msr)
{
	log_debug("guest %s: %s of MSR 0x%x at RIP 0x%llx: #GP", vcpu->vm->name, instruction, msr,
		  (unsigned long long)vmcs_read(VMCS_GUEST_RIP));
	charge_for_line(vcpu);
	raise_gp(vcpu);
}

static void answer(struct vcpu *vcpu, uint64_t value)
{
	vcpu->regs.rax = (uint32_t)value;
	vcpu->regs.rdx = value >> 32;
	skip_instruction();
}

/* Apart from the frequent ones, which need no registers saved then; as write_other(). */
static __attribute__((noinline)) void read_other(struct vcpu *vcpu, uint32_t msr)
{
	uint64_t value;

	if (msr == MSR_IA32_PL0_SSP && vcpu->vm->fred == FRED_BACKEND_NATIVE)
		answer(vcpu, vcpu->pl0_ssp);
	else if (msr == MSR_IA32_XSS)
		answer(vcpu, vcpu->vm->xss ? rdmsr(MSR_IA32_XSS) : 0);
	else if (msr == MSR_IA32_ARCH_CAPABILITIES && read_arch_capabilities(vcpu, &value))
		answer(vcpu, value);
	else if (soft_fred_rdmsr(vcpu, msr, &value) || read_device(vcpu, msr, &value))
		answer(vcpu, value);
	else
		refuse(vcpu, "RDMSR", msr);
}

void handle_rdmsr(struct vcpu *vcpu)
{
	const uint32_t msr = (uint32_t)vcpu->regs.rcx;

	if (msr == MSR_IA32_FEATURE_CONTROL)
		answer(vcpu, FEATURE_CONTROL_LOCKED);
	else
		read_other(vcpu, msr);
}

static __attribute__((noinline)) void write_other(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	const char *why;

	if (write_virtual(vcpu, msr, value)) {
		skip_instruction();
	} else if (msr_write_is_dropped(msr, &why)) {
		log_debug("guest %s: WRMSR of MSR 0x%x dropped: %s", vcpu->vm->name, msr, why);
		charge_for_line(vcpu);
		skip_instruction();
	} else {
		refuse(vcpu, "WRMSR", msr);
	}
}

void handle_wrmsr(struct vcpu *vcpu)
{
	const uint32_t msr = (uint32_t)vcpu->regs.rcx;
	const uint64_t value = vcpu->regs.rdx << 32 | (uint32_t)vcpu->regs.rax;

	if (msr == MSR_IA32_EFER && write_efer(vcpu, value))
		skip_instruction();
	else
		write_other(vcpu, msr, value);
}
