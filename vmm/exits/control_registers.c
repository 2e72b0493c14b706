// SPDX-License-Identifier: BSD-2-Clause
/*
 * The guest's control registers. The guest owns all bits but a few; only a
 * change of one of those, CR8 of a guest without an APIC, and XSETBV exit.
 */
#include "vmm/vcpu/control_registers.h"

#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "lib/x86/vmx.h"
#include "vmm/vcpu/cpuid_policy.h"
#include "vmm/vcpu/rip.h"
#include "vmm/vmx/ept.h"
#include "vmm/exits/table.h"
#include "vmm/host/capabilities.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define CR0_RESERVED_HIGH 0xffffffff00000000ULL
#define CR8_MASK	  0xfULL
#define CR3_PAE_MASK	  0xffffffe0ULL
#define CR3_PCID_MASK	  0xfffULL
#define PDPTES		  4
#define PDPTE_PRESENT	  1ULL
#define PDPTE_RESERVED	  0x1e6ULL /* below the physical address */
#define DESCRIPTOR_TYPE	  0xfULL

/* The register as the guest reads it. */
static uint64_t guest_cr0(void)
{
	const uint64_t owned = cr0_owned();

	return (vmcs_read(VMCS_CR0_READ_SHADOW) & owned) | (vmcs_read(VMCS_GUEST_CR0) & ~owned);
}

/*
 * VM entry takes the PDPTEs from the VMCS when EPT is on and the guest uses PAE paging. It refuses
 * those at which MOV to CR0 faults.
 */
static bool load_pdptes(const struct vcpu *vcpu)
{
	const uint64_t cr3 = vmcs_read(VMCS_GUEST_CR3) & CR3_PAE_MASK;
	const void *const table = guest_memory(vcpu->vm, cr3, PDPTES * sizeof(uint64_t));
	uint64_t pdptes[PDPTES];

	if (!table)
		return false;
	/* Once: another vcpu may change them. */
	memcpy(pdptes, table, sizeof(pdptes));
	for (unsigned int i = 0; i < PDPTES; i++)
		if ((pdptes[i] & PDPTE_PRESENT) &&
		    (pdptes[i] & (PDPTE_RESERVED | ~machine.physical_mask)))
			return false;
	for (unsigned int i = 0; i < PDPTES; i++)
		vmcs_write((enum vmcs_field)(VMCS_GUEST_PDPTE0 + 2 * i), pdptes[i]);
	return true;
}

/* SDM 3A 2.5 and 5.4.1, SDM 2B "MOV": which values MOV to CR0 refuses. */
static bool cr0_is_legal(uint64_t value, uint64_t old)
{
	const uint64_t cr4 = vmcs_read(VMCS_GUEST_CR4);
	const uint64_t efer = vmcs_read(VMCS_GUEST_EFER);
	const bool cs_l = vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS) & ACCESS_RIGHTS_L;
	const uint64_t tr_type = vmcs_read(VMCS_GUEST_TR_ACCESS_RIGHTS) & DESCRIPTOR_TYPE;

	if ((value & CR0_RESERVED_HIGH) || ((value & CR0_PG) && !(value & CR0_PE)) ||
	    ((value & CR0_NW) && !(value & CR0_CD)) || (!(value & CR0_WP) && (cr4 & CR4_CET)))
		return false;
	if (!(old & CR0_PG) && (value & CR0_PG) && (efer & EFER_LME))
		return (cr4 & CR4_PAE) && !cs_l &&
		       tr_type == (ACCESS_RIGHTS_TSS_BUSY & DESCRIPTOR_TYPE);
	if ((old & CR0_PG) && !(value & CR0_PG))
		return !((efer & EFER_LMA) && cs_l) && !(cr4 & CR4_PCIDE);
	return true;
}

/*
 * What the processor does beside: LMA follows PG, and PAE paging loads the PDPTEs when one of PG,
 * CD and NW changes (SDM 3A, 4.4.1). False when that faults.
 */
static bool switch_paging(const struct vcpu *vcpu, uint64_t value, uint64_t changed)
{
	const uint64_t efer = vmcs_read(VMCS_GUEST_EFER);
	const bool on = value & CR0_PG;

	if (efer & EFER_LME) {
		if (!(changed & CR0_PG))
			return true;
		vmcs_write(VMCS_GUEST_EFER, on ? efer | EFER_LMA : efer & ~EFER_LMA);
		if (on)
			vmcs_set_bits(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST);
		else
			vmcs_clear_bits(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST);
		return true;
	}
	return !on || !(changed & (CR0_PG | CR0_CD | CR0_NW)) ||
	       !(vmcs_read(VMCS_GUEST_CR4) & CR4_PAE) || load_pdptes(vcpu);
}

static void mov_to_cr0(struct vcpu *vcpu, uint64_t value)
{
	const uint64_t old = guest_cr0();

	value |= CR0_ET;
	if (!cr0_is_legal(value, old) || !switch_paging(vcpu, value, old ^ value)) {
		raise_gp(vcpu);
		return;
	}
	cr_set_cr0(value);
	if ((old ^ value) & CR0_PG)
		cr_flush_tlb();
	skip_instruction();
}

/* The register as the guest reads it. */
static uint64_t guest_cr4(const struct vcpu *vcpu)
{
	const uint64_t own = vcpu->guest_cr4_allowed;

	return (vmcs_read(VMCS_CR4_READ_SHADOW) & ~own) | (vmcs_read(VMCS_GUEST_CR4) & own);
}

/* SDM 3A 2.5 and 4.10.1, SDM 2B "MOV": which values MOV to CR4 refuses in 64-bit mode. */
static bool cr4_is_legal(uint64_t value, uint64_t old)
{
	const uint64_t set = value & ~old;

	return (value & CR4_PAE) && !((value ^ old) & CR4_LA57) &&
	       !((set & CR4_PCIDE) && (vmcs_read(VMCS_GUEST_CR3) & CR3_PCID_MASK)) &&
	       !((set & CR4_CET) && !(vmcs_read(VMCS_GUEST_CR0) & CR0_WP));
}

/*
 * The guest owns every bit that it may set: it has tried to set another one, which is an error, or
 * to change FRED of software.
 */
static void mov_to_cr4(struct vcpu *vcpu, uint64_t value)
{
	const uint64_t old = guest_cr4(vcpu);

	if (vcpu->vm->fred != FRED_BACKEND_SOFT ||
	    ((old ^ value) & ~(vcpu->guest_cr4_allowed | CR4_FRED)) || !in_64_bit_mode() ||
	    !cr4_is_legal(value, old)) {
		raise_gp(vcpu);
		return;
	}
	skip_instruction();
	cr_set_cr4(vcpu, value & ~CR4_FRED);
	vmcs_write(VMCS_CR4_READ_SHADOW, value);
	if ((old ^ value) & ~CR4_FRED)
		cr_flush_tlb();
	if ((old ^ value) & CR4_FRED)
		soft_fred_switch(vcpu, value & CR4_FRED);
}

static void access_cr8(struct vcpu *vcpu, uint64_t qualification)
{
	const unsigned int gpr = CR_ACCESS_GPR(qualification);

	if (CR_ACCESS_TYPE(qualification) == CR_ACCESS_MOV_FROM) {
		vcpu_set_gpr(vcpu, gpr, vcpu->cr8);
	} else if (vcpu_gpr(vcpu, gpr) & ~CR8_MASK) {
		raise_gp(vcpu);
		return;
	} else {
		vcpu->cr8 = (uint8_t)vcpu_gpr(vcpu, gpr);
	}
	skip_instruction();
}

/* The value for a control register. */
static uint64_t operand(const struct vcpu *vcpu, uint64_t qualification)
{
	const uint64_t value = vcpu_gpr(vcpu, CR_ACCESS_GPR(qualification));

	return in_64_bit_mode() ? value : (uint32_t)value;
}

void handle_cr_access(struct vcpu *vcpu)
{
	const uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	const unsigned int type = CR_ACCESS_TYPE(qualification);

	if (CR_ACCESS_REGISTER(qualification) == 8)
		access_cr8(vcpu, qualification);
	else if (CR_ACCESS_REGISTER(qualification) == 0 && type == CR_ACCESS_MOV_TO)
		mov_to_cr0(vcpu, operand(vcpu, qualification));
	else if (CR_ACCESS_REGISTER(qualification) == 4 && type == CR_ACCESS_MOV_TO)
		mov_to_cr4(vcpu, operand(vcpu, qualification));
	else
		guest_failed(vcpu, "cr-access",
			     "control register access with qualification 0x%llx: not expected",
			     (unsigned long long)qualification);
}

void handle_xsetbv(struct vcpu *vcpu)
{
	const uint64_t value = vcpu->regs.rdx << 32 | (uint32_t)vcpu->regs.rax;

	/* XCR0 stays the guest's while the VMM runs: the VMM has no vector registers to save. */
	if ((value & ~machine.xcr0_supported) || !xsetbv_safe((uint32_t)vcpu->regs.rcx, value))
		raise_gp(vcpu);
	else
		skip_instruction();
}
