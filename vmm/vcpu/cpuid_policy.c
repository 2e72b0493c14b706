// SPDX-License-Identifier: BSD-2-Clause
/*
 * What CPUID tells a guest: the processor's own answer, cut to what is really
 * virtualized. A leaf or a feature that is not in the table is not there.
 */
#include "vmm/vcpu/cpuid_policy.h"

#include <stdbool.h>
#include <stddef.h>

#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "vmm/exits/table.h"
#include "lib/hypercall.h"
#include "vmm/host/capabilities.h"
#include "vmm/vcpu/rip.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

#define ALL	     0xffffffffU
#define ANY_SUBLEAF  0xffffffffU
#define BIT(n)	     (1U << (n))
#define HIGHEST_LEAF 0x1fU

/* Leaf 1 without: DTES64, MONITOR, DS-CPL, VMX, SMX, EIST, TM2, SDBG, xTPR, PDCM. */
#define LEAF1_ECX                                                                         \
	(ALL & ~(BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | \
		 BIT(14) | BIT(15)))
/* ... without: DS, ACPI thermal control, TM, PBE. */
#define LEAF1_EDX (ALL & ~(BIT(21) | BIT(22) | BIT(29) | BIT(31)))
/* Leaf 7 without: SGX, PQM, MPX, PQE, PT. */
#define LEAF7_EBX (ALL & ~(BIT(2) | BIT(12) | BIT(14) | BIT(15) | BIT(25)))
/*
 * AVX512_VBMI, UMIP, PKU, OSPKE, WAITPKG, AVX512_VBMI2, GFNI, VAES, VPCLMULQDQ, AVX512_VNNI,
 * AVX512_BITALG, VPOPCNTDQ, LA57, RDPID, CLDEMOTE, MOVDIRI, MOVDIR64B, and CET_SS: see adjust().
 * Not PKS, KL, ENQCMD.
 */
#define LEAF7_ECX                                                                          \
	(BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | \
	 BIT(11) | BIT(12) | BIT(14) | BIT(16) | BIT(22) | BIT(25) | BIT(27) | BIT(28) |   \
	 CPUID_7_ECX_SHSTK)
/*
 * AVX512_4VNNIW, 4FMAPS, FSRM, VP2INTERSECT, MD_CLEAR, SERIALIZE, AMX (22, 24, 25),
 * AVX512_FP16, IBRS, STIBP, L1D_FLUSH, ARCH_CAPABILITIES, SSBD, and CET_IBT. Not UINTR, PCONFIG,
 * LBR.
 */
#define LEAF7_EDX                                                                              \
	(BIT(2) | BIT(3) | BIT(4) | BIT(8) | BIT(10) | BIT(14) | BIT(22) | BIT(23) | BIT(24) | \
	 BIT(25) | BIT(26) | BIT(27) | BIT(28) | BIT(29) | BIT(31) | CPUID_7_EDX_IBT)
/* AVX_VNNI, AVX512_BF16, FZRM, FSRS, FSRC, WRMSRNS, AMX_FP16, AVX_IFMA, and FRED with LKGS: see
 * adjust(). Not LAM, MSRLIST. */
#define LEAF7_1_EAX                                                                          \
	(BIT(4) | BIT(5) | BIT(10) | BIT(11) | BIT(12) | BIT(21) | BIT(23) | FRED_FEATURES | \
	 CPUID_7_1_EAX_WRMSRNS)
#define FRED_FEATURES (CPUID_7_1_EAX_FRED | CPUID_7_1_EAX_LKGS)
/* XSAVEOPT, XSAVEC, XGETBV(1), XSAVES, XFD */
#define LEAFD_1_EAX (BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4))
/* ARAT: the APIC timer runs in deep idle states. */
#define LEAF6_EAX BIT(2)
/* The devices that only a pass-through guest has: local APIC, x2APIC, TSC deadline, MTRR, MCE, MCA.
 */
#define LEAF1_EDX_DEVICES (BIT(7) | BIT(9) | BIT(12) | BIT(14))
#define LEAF1_ECX_DEVICES (BIT(21) | BIT(24))
/* Beside, whose MSRs others do not get: TSC_ADJUST, WAITPKG, IBRS, STIBP, L1D_FLUSH, SSBD. */
#define LEAF7_EBX_DEVICES BIT(1)
#define LEAF7_ECX_DEVICES CPUID_7_ECX_WAITPKG
#define LEAF7_EDX_DEVICES (BIT(26) | BIT(27) | BIT(28) | BIT(31))

struct cpuid_policy {
	uint32_t leaf, subleaf;
	struct cpuid_leaf mask;
};

/* Those that guests ask for all the time come first. */
static const struct cpuid_policy policies[] = {
	{ 0x0, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x1, ANY_SUBLEAF, { ALL, ALL, LEAF1_ECX, LEAF1_EDX } },
	{ 0x7, 0, { ALL, LEAF7_EBX, LEAF7_ECX, LEAF7_EDX } },
	{ 0x7, 1, { LEAF7_1_EAX, 0, 0, 0 } },
	{ 0xd, 1, { LEAFD_1_EAX, ALL, ALL, 0 } },
	{ 0xd, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x2, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x4, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x6, ANY_SUBLEAF, { LEAF6_EAX, 0, 0, 0 } },
	{ 0xb, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x15, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x16, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x18, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x1a, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x1d, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x1e, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x1f, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x80000000, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x80000001, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x80000002, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x80000003, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x80000004, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x80000005, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x80000006, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x80000007, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
	{ 0x80000008, ANY_SUBLEAF, { ALL, ALL, ALL, ALL } },
};

static const struct cpuid_policy *const policies_end =
	policies + sizeof(policies) / sizeof(policies[0]);

static struct cpuid_leaf hypervisor_leaf(uint32_t leaf)
{
	struct cpuid_leaf r = { 0 };

	if (leaf == MANFRED_CPUID_LEAF) {
		r.eax = MANFRED_CPUID_LEAF;
		memcpy(&r.ebx, &MANFRED_CPUID_SIGNATURE[0], sizeof(r.ebx));
		memcpy(&r.ecx, &MANFRED_CPUID_SIGNATURE[4], sizeof(r.ecx));
		memcpy(&r.edx, &MANFRED_CPUID_SIGNATURE[8], sizeof(r.edx));
	}
	return r;
}

/*
 * Leaf 0DH: what XCR0 and IA32_XSS take from this guest. The sizes of what it has enabled, EBX of
 * sub-leaves 0 and 1, are the processor's, which has the guest's XCR0 and IA32_XSS.
 */
static inline __attribute__((always_inline)) void adjust_extended_state(const struct vm *vm,
									uint32_t subleaf,
									struct cpuid_leaf *r)
{
	const uint64_t shown = machine.xcr0_supported | vm->xss;

	switch (subleaf) {
	case 0:
		r->eax &= (uint32_t)machine.xcr0_supported;
		r->edx &= (uint32_t)(machine.xcr0_supported >> 32);
		r->ecx = machine.xsave_size;
		break;
	case 1:
		if (!(machine.controls.proc2 & PROC2_XSAVES))
			r->eax &= ~CPUID_D_1_EAX_XSAVES;
		r->ecx &= (uint32_t)vm->xss;
		break;
	default:
		if (subleaf > XSAVE_COMPONENT_LAST || !(shown >> subleaf & 1))
			*r = (struct cpuid_leaf){ 0 };
	}
}

/* Bits that depend on the guest's registers or on the controls; only few leaves have any. */
static inline __attribute__((always_inline)) void adjust(const struct vm *vm, uint32_t leaf,
							 uint32_t subleaf, uint64_t guest_cr4,
							 struct cpuid_leaf *r)
{
	switch (leaf) {
	case 0x0:
		if (r->eax > HIGHEST_LEAF)
			r->eax = HIGHEST_LEAF;
		break;
	case 0x1:
		r->ecx = (r->ecx & ~CPUID_1_ECX_OSXSAVE) | CPUID_1_ECX_HYPERVISOR |
			 (guest_cr4 & CR4_OSXSAVE ? CPUID_1_ECX_OSXSAVE : 0);
		if (vm->devices == VM_DEVICES_NONE) {
			r->ecx &= ~LEAF1_ECX_DEVICES;
			r->edx &= ~LEAF1_EDX_DEVICES;
		}
		break;
	case 0x7:
		if (subleaf == 0) {
			r->eax = r->eax > 1 || vm->fred != FRED_BACKEND_NONE ? 1 : r->eax;
			r->ecx = (r->ecx & ~CPUID_7_ECX_OSPKE) |
				 (guest_cr4 & CR4_PKE ? CPUID_7_ECX_OSPKE : 0);
			if (!(machine.controls.proc2 & PROC2_USER_WAIT))
				r->ecx &= ~CPUID_7_ECX_WAITPKG;
			if (!(machine.controls.proc2 & PROC2_INVPCID))
				r->ebx &= ~CPUID_7_EBX_INVPCID;
			if (!(machine.controls.proc2 & PROC2_RDTSCP))
				r->ecx &= ~CPUID_7_ECX_RDPID;
			if (vm->devices == VM_DEVICES_NONE) {
				r->ebx &= ~LEAF7_EBX_DEVICES;
				r->ecx &= ~LEAF7_ECX_DEVICES;
				r->edx &= ~LEAF7_EDX_DEVICES;
			}
			if (vm->fred == FRED_BACKEND_SOFT)
				r->edx |= CPUID_7_EDX_ARCH_CAPABILITIES;
			if (!vm->shadow_stacks) {
				r->ecx &= ~CPUID_7_ECX_SHSTK;
				r->edx &= ~CPUID_7_EDX_IBT;
			}
		} else if (vm->fred == FRED_BACKEND_NONE) {
			r->eax &= ~FRED_FEATURES;
		} else if (subleaf == 1) {
			r->eax |= FRED_FEATURES;
		}
		break;
	case 0xd:
		adjust_extended_state(vm, subleaf, r);
		break;
	case 0x80000001:
		if (!(machine.controls.proc2 & PROC2_RDTSCP))
			r->edx &= ~CPUID_80000001_EDX_RDTSCP;
		break;
	}
}

/* Inlined into both users: guests ask often, and a struct in two registers costs more than the
 * search. */
static inline __attribute__((always_inline)) struct cpuid_leaf answer(const struct vm *vm,
								      uint32_t leaf,
								      uint32_t subleaf,
								      uint64_t guest_cr4)
{
	struct cpuid_leaf r;

	for (const struct cpuid_policy *p = policies; p < policies_end; p++) {
		if (p->leaf != leaf ||
		    !(__builtin_expect(p->subleaf == ANY_SUBLEAF, 1) || p->subleaf == subleaf))
			continue;
		r = cpuid(leaf, subleaf);
		r.eax &= p->mask.eax;
		r.ebx &= p->mask.ebx;
		r.ecx &= p->mask.ecx;
		r.edx &= p->mask.edx;
		adjust(vm, leaf, subleaf, guest_cr4, &r);
		return r;
	}
	return hypervisor_leaf(leaf);
}

struct cpuid_leaf guest_cpuid(const struct vm *vm, uint32_t leaf, uint32_t subleaf,
			      uint64_t guest_cr4)
{
	return answer(vm, leaf, subleaf, guest_cr4);
}

void handle_cpuid(struct vcpu *vcpu)
{
	const struct cpuid_leaf r = answer(vcpu->vm, (uint32_t)vcpu->regs.rax,
					   (uint32_t)vcpu->regs.rcx, vmcs_read(VMCS_GUEST_CR4));

	vcpu->regs.rax = r.eax;
	vcpu->regs.rbx = r.ebx;
	vcpu->regs.rcx = r.ecx;
	vcpu->regs.rdx = r.edx;
	skip_instruction();
}

/* CR4 bits that exist only with a feature that CPUID must show. */
static const struct {
	uint64_t cr4;
	uint32_t leaf, subleaf;
	struct cpuid_leaf bit;
} cr4_features[] = {
	{ CR4_PCIDE, 1, 0, { .ecx = BIT(17) } },
	{ CR4_OSXSAVE, 1, 0, { .ecx = BIT(26) } },
	{ CR4_FSGSBASE, 7, 0, { .ebx = BIT(0) } },
	{ CR4_SMEP, 7, 0, { .ebx = BIT(7) } },
	{ CR4_SMAP, 7, 0, { .ebx = BIT(20) } },
	{ CR4_UMIP, 7, 0, { .ecx = BIT(2) } },
	{ CR4_PKE, 7, 0, { .ecx = BIT(3) } },
	{ CR4_CET, 7, 0, { .ecx = CPUID_7_ECX_SHSTK } },
	{ CR4_LA57, 7, 0, { .ecx = BIT(16) } },
	{ CR4_FRED, 7, 1, { .eax = CPUID_7_1_EAX_FRED } },
};

uint64_t guest_cr4_allowed(const struct vm *vm)
{
	uint64_t allowed = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE |
			   CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	for (size_t i = 0; i < sizeof(cr4_features) / sizeof(cr4_features[0]); i++) {
		const struct cpuid_leaf bit = cr4_features[i].bit;
		const struct cpuid_leaf r =
			guest_cpuid(vm, cr4_features[i].leaf, cr4_features[i].subleaf, 0);

		if ((r.eax & bit.eax) | (r.ebx & bit.ebx) | (r.ecx & bit.ecx))
			allowed |= cr4_features[i].cr4;
	}
	/* Software FRED wants to see the guest change the bit. */
	if (vm->fred == FRED_BACKEND_SOFT)
		allowed &= ~CR4_FRED;
	return allowed & machine.cr4_fixed1;
}

/* With the control 0 all of these instructions are #UD (SDM 3C, 26.3). */
static const struct {
	uint32_t control;
	uint32_t leaf, subleaf;
	struct cpuid_leaf bits; /* one of them is enough */
} control_features[] = {
	{ PROC2_RDTSCP, 0x80000001, 0, { .edx = CPUID_80000001_EDX_RDTSCP } },
	{ PROC2_RDTSCP, 7, 0, { .ecx = CPUID_7_ECX_RDPID } },
	{ PROC2_INVPCID, 7, 0, { .ebx = CPUID_7_EBX_INVPCID } },
	{ PROC2_XSAVES, 0xd, 1, { .eax = CPUID_D_1_EAX_XSAVES } },
	{ PROC2_USER_WAIT, 7, 0, { .ecx = CPUID_7_ECX_WAITPKG } },
};

uint32_t guest_secondary_controls(const struct vm *vm)
{
	uint32_t hidden = 0, shown = 0;

	for (size_t i = 0; i < sizeof(control_features) / sizeof(control_features[0]); i++) {
		const struct cpuid_leaf bits = control_features[i].bits;
		const struct cpuid_leaf r =
			guest_cpuid(vm, control_features[i].leaf, control_features[i].subleaf, 0);

		if ((r.eax & bits.eax) | (r.ebx & bits.ebx) | (r.ecx & bits.ecx) |
		    (r.edx & bits.edx))
			shown |= control_features[i].control;
		else
			hidden |= control_features[i].control;
	}
	return machine.controls.proc2 & ~(hidden & ~shown);
}
