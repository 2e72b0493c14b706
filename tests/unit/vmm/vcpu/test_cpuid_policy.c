/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/vcpu/cpuid_policy.c over a processor that has everything: the guest sees what is virtualized,
 * and no more; and may set the CR4 bits that belong to what it sees.
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "tests/unit/model/model.h"
#include "vmm/vcpu/cpuid_policy.h"
#include "vmm/exits/table.h"
#include "vmm/host/capabilities.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

#define ALL	    0xffffffffU
#define HYPERVISOR  0x40000000U
#define EXTENDED    0x80000000U
#define ALL_CONTROL (PROC2_RDTSCP | PROC2_INVPCID | PROC2_XSAVES | PROC2_USER_WAIT)

static struct vm vm;
static struct vcpu vcpu;

/* What the processor answers, and to what. */
static struct cpuid_leaf answer;
static unsigned int questions;

struct cpuid_leaf cpuid(uint32_t leaf, uint32_t subleaf)
{
	(void)leaf;
	(void)subleaf;
	questions++;
	return answer;
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&vm, 0, sizeof(vm));
	vcpu.vm = &vm;
	vm.devices = VM_DEVICES_PASSTHROUGH;
	answer = (struct cpuid_leaf){ ALL, ALL, ALL, ALL };
	questions = 0;
	machine.controls.proc2 = ALL_CONTROL;
	machine.cr4_fixed1 = ~0ULL;
	return 0;
}

static struct cpuid_leaf ask(uint32_t leaf, uint32_t subleaf)
{
	return guest_cpuid(&vm, leaf, subleaf, 0);
}

/* Bits that no guest may see, whatever the processor has. */
static const struct hidden {
	const char *name;
	uint32_t leaf, subleaf;
	unsigned int reg; /* EAX to EDX */
	unsigned int bit;
} hidden[] = {
	{ "DTES64", 1, 0, 2, 2 },   { "MONITOR", 1, 0, 2, 3 },	   { "DS-CPL", 1, 0, 2, 4 },
	{ "VMX", 1, 0, 2, 5 },	    { "SMX", 1, 0, 2, 6 },	   { "EIST", 1, 0, 2, 7 },
	{ "TM2", 1, 0, 2, 8 },	    { "SDBG", 1, 0, 2, 11 },	   { "PDCM", 1, 0, 2, 15 },
	{ "DS", 1, 0, 3, 21 },	    { "PBE", 1, 0, 3, 31 },	   { "SGX", 7, 0, 1, 2 },
	{ "PQM", 7, 0, 1, 12 },	    { "PQE", 7, 0, 1, 15 },	   { "PT", 7, 0, 1, 25 },
	{ "CET_SS", 7, 0, 2, 7 },   { "TME", 7, 0, 2, 13 },	   { "KL", 7, 0, 2, 23 },
	{ "ENQCMD", 7, 0, 2, 29 },  { "SGX_LC", 7, 0, 2, 30 },	   { "PKS", 7, 0, 2, 31 },
	{ "UINTR", 7, 0, 3, 5 },    { "PCONFIG", 7, 0, 3, 18 },	   { "LBR", 7, 0, 3, 19 },
	{ "CET_IBT", 7, 0, 3, 20 }, { "core caps", 7, 0, 3, 30 },  { "FRED", 7, 1, 0, 17 },
	{ "LKGS", 7, 1, 0, 18 },    { "NMI source", 7, 1, 0, 20 }, { "LAM", 7, 1, 0, 26 },
	{ "MSRLIST", 7, 1, 0, 27 }, { "LASS", 7, 1, 0, 6 },	   { "HRESET", 7, 1, 0, 22 },
};

static uint32_t reg_of(const struct cpuid_leaf *leaf, unsigned int reg)
{
	const uint32_t regs[] = { leaf->eax, leaf->ebx, leaf->ecx, leaf->edx };

	return regs[reg];
}

TEST(features_that_are_not_virtualized)
{
	for (size_t i = 0; i < COUNT_OF(hidden); i++) {
		const struct cpuid_leaf leaf =
			guest_cpuid(&vm, hidden[i].leaf, hidden[i].subleaf, ~0ULL);

		if (reg_of(&leaf, hidden[i].reg) >> hidden[i].bit & 1)
			fail_msg("the guest sees %s", hidden[i].name);
	}
}

/* FRED and LKGS together, and CET's two, exactly when the guest gets them. */
TEST(features_of_some_guests)
{
	const uint32_t fred = CPUID_7_1_EAX_FRED | CPUID_7_1_EAX_LKGS;

	assert_int_equal(ask(7, 1).eax & fred, 0);
	vm.fred = FRED_BACKEND_NATIVE;
	assert_int_equal(ask(7, 1).eax & fred, fred);
	assert_int_equal(ask(7, 0).ecx & CPUID_7_ECX_SHSTK, 0);
	assert_int_equal(ask(7, 0).edx & CPUID_7_EDX_IBT, 0);
	vm.shadow_stacks = true;
	assert_true(ask(7, 0).ecx & CPUID_7_ECX_SHSTK);
	assert_true(ask(7, 0).edx & CPUID_7_EDX_IBT);
	vm.fred = FRED_BACKEND_NONE;
	assert_int_equal(ask(7, 1).eax & fred, 0);
	assert_true(ask(7, 1).eax & CPUID_7_1_EAX_WRMSRNS); /* the processor's own */
}

TEST(nothing_that_the_processor_has_not)
{
	answer = (struct cpuid_leaf){ 0 };
	for (uint32_t leaf = 0; leaf < 0x40; leaf++)
		for (uint32_t subleaf = 0; subleaf < 4; subleaf++) {
			struct cpuid_leaf r = ask(leaf, subleaf);

			if (leaf == 1)
				r.ecx &= ~CPUID_1_ECX_HYPERVISOR;
			assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
		}
}

/* Leaves with a way to see or to steer the whole machine, and those that are not known. */
TEST(leaves_that_are_not_there)
{
	static const uint32_t absent[] = {
		0x3,
		0x5,
		0x8,
		0x9,
		0xa,
		0xc,
		0xe,
		0xf,
		0x10,
		0x12,
		0x14,
		0x17,
		0x19,
		0x1b,
		0x1c,
		0x20,
		0x23,
		0x24,
		0x25,
		0x40,
		0x7f,
		ALL,
		EXTENDED + 9,
		EXTENDED + 0xa,
		EXTENDED + 0x1f,
		0xc0000000,
	};

	for (size_t i = 0; i < COUNT_OF(absent); i++)
		for (uint32_t subleaf = 0; subleaf < 3; subleaf++) {
			const struct cpuid_leaf r = ask(absent[i], subleaf);

			assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
		}
	assert_int_equal(ask(7, 2).edx, 0);
	assert_int_equal(ask(7, 3).eax, 0);
	assert_int_equal(questions, 0);
}

TEST(highest_leaf)
{
	assert_int_equal(ask(0, 0).eax, 0x1f);
	answer.eax = 0x16;
	assert_int_equal(ask(0, 0).eax, 0x16);
	answer.eax = 9;
	assert_int_equal(ask(7, 0).eax, 1);
	answer.eax = 0;
	assert_int_equal(ask(7, 0).eax, 0);
}

TEST(hypervisor_leaf)
{
	char signature[13] = "";
	struct cpuid_leaf r = ask(HYPERVISOR, 0);

	assert_int_equal(r.eax, HYPERVISOR);
	memcpy(signature, &r.ebx, 4);
	memcpy(signature + 4, &r.ecx, 4);
	memcpy(signature + 8, &r.edx, 4);
	assert_string_equal(signature, "ManfredManfr");
	for (uint32_t leaf = 1; leaf < 0x100; leaf++) {
		r = ask(HYPERVISOR + leaf, 0);
		assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
	}
	assert_int_equal(questions, 0);
	assert_true(ask(1, 0).ecx & CPUID_1_ECX_HYPERVISOR);
}

/* They mirror the guest's CR4, not the VMM's. */
TEST(bits_that_follow_cr4)
{
	assert_false(guest_cpuid(&vm, 1, 0, ~CR4_OSXSAVE).ecx & CPUID_1_ECX_OSXSAVE);
	assert_true(guest_cpuid(&vm, 1, 0, CR4_OSXSAVE).ecx & CPUID_1_ECX_OSXSAVE);
	assert_false(guest_cpuid(&vm, 7, 0, ~CR4_PKE).ecx & CPUID_7_ECX_OSPKE);
	assert_true(guest_cpuid(&vm, 7, 0, CR4_PKE).ecx & CPUID_7_ECX_OSPKE);
}

/* Instructions that are #UD without a control (SDM 3C, 26.3). */
TEST(instructions_that_need_a_control)
{
	assert_true(ask(7, 0).ecx & 1 << 5);
	assert_true(ask(7, 0).ebx & 1 << 10);
	assert_true(ask(0xd, 1).eax & 1 << 3);
	assert_true(ask(EXTENDED + 1, 0).edx & 1 << 27);
	machine.controls.proc2 = 0;
	assert_false(ask(7, 0).ecx & 1 << 5);
	assert_false(ask(7, 0).ecx & 1 << 22); /* RDPID, with RDTSCP */
	assert_false(ask(7, 0).ebx & 1 << 10);
	assert_false(ask(0xd, 1).eax & 1 << 3);
	assert_false(ask(EXTENDED + 1, 0).edx & 1 << 27);
}

TEST(no_supervisor_state)
{
	const struct cpuid_leaf r = ask(0xd, 1);

	assert_int_equal(r.ecx | r.edx, 0); /* IA32_XSS takes 0 only */
}

/* Leaf 0DH and its sub-leaves tell of what XCR0 and IA32_XSS take, and of nothing else. */
TEST(extended_state)
{
	const uint64_t xcr0 = 7 | 1 << 9 | 1 << 17, high = 1ULL << 40;

	machine.xcr0_supported = xcr0 | high;
	machine.xsave_size = 0x1234;
	vm.xss = XSS_CET;
	assert_int_equal(ask(0xd, 0).eax, xcr0);
	assert_int_equal(ask(0xd, 0).edx, high >> 32);
	assert_int_equal(ask(0xd, 0).ecx, 0x1234);
	assert_int_equal(ask(0xd, 1).eax, 0x1f);
	assert_int_equal(ask(0xd, 1).ecx, 3 << 11);
	assert_int_equal(ask(0xd, 1).edx, 0);
	for (uint32_t i = 2; i < 100; i++) {
		const struct cpuid_leaf r = ask(0xd, i);
		const bool shown = i == 2 || i == 9 || i == 11 || i == 12 || i == 17 || i == 40;

		assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, shown ? ALL : 0);
	}
	/* Above 63 there is no component, and no bit to be shifted to. */
	machine.xcr0_supported = ~0ULL;
	assert_int_equal(ask(0xd, 64 + 2).eax, 0);
	assert_int_equal(ask(0xd, 63).eax, 0);
}

/* Local APIC, MCE, MTRR, MCA; x2APIC, TSC deadline. */
TEST(devices_of_the_machine)
{
	const uint32_t edx = 1 << 7 | 1 << 9 | 1 << 12 | 1 << 14, ecx = 1 << 21 | 1 << 24;

	assert_int_equal(ask(1, 0).edx & edx, edx);
	assert_int_equal(ask(1, 0).ecx & ecx, ecx);
	vm.devices = VM_DEVICES_NONE;
	assert_int_equal(ask(1, 0).edx & edx, 0);
	assert_int_equal(ask(1, 0).ecx & ecx, 0);
}

/* TSC_ADJUST; WAITPKG; IBRS, STIBP, L1D_FLUSH, SSBD: see vcpu/msr_policy.c. */
TEST(features_with_msrs_of_the_machine)
{
	const uint32_t edx = 7U << 26 | 1U << 31;

	assert_true(ask(7, 0).ebx & 1 << 1);
	assert_true(ask(7, 0).ecx & 1 << 5);
	assert_int_equal(ask(7, 0).edx & edx, edx);
	vm.devices = VM_DEVICES_NONE;
	assert_false(ask(7, 0).ebx & 1 << 1);
	assert_false(ask(7, 0).ecx & 1 << 5);
	assert_int_equal(ask(7, 0).edx & edx, 0);
}

/* ---- Secondary controls ---- */

#define OTHER_CONTROLS (PROC2_EPT | PROC2_UNRESTRICTED_GUEST | PROC2_ENCLS)

TEST(controls_of_what_is_shown)
{
	machine.controls.proc2 = OTHER_CONTROLS | ALL_CONTROL;
	assert_int_equal(guest_secondary_controls(&vm), OTHER_CONTROLS | ALL_CONTROL);
	machine.controls.proc2 = OTHER_CONTROLS;
	assert_int_equal(guest_secondary_controls(&vm), OTHER_CONTROLS);
}

/* A guest without devices sees no WAITPKG: TPAUSE, UMWAIT and UMONITOR are #UD. */
TEST(no_control_for_what_is_hidden)
{
	machine.controls.proc2 = OTHER_CONTROLS | ALL_CONTROL;
	vm.devices = VM_DEVICES_NONE;
	assert_int_equal(guest_secondary_controls(&vm),
			 OTHER_CONTROLS | (ALL_CONTROL & ~PROC2_USER_WAIT));
	answer = (struct cpuid_leaf){ 0 };
	assert_int_equal(guest_secondary_controls(&vm), OTHER_CONTROLS);
	/* RDPID is enough for the one that it has with RDTSCP. */
	answer.ecx = CPUID_7_ECX_RDPID;
	assert_int_equal(guest_secondary_controls(&vm), OTHER_CONTROLS | PROC2_RDTSCP);
}

/* ---- CR4 ---- */

TEST(cr4_of_a_processor_with_everything)
{
	const uint64_t allowed = guest_cr4_allowed(&vm);

	assert_int_equal(allowed, CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE |
					  CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR |
					  CR4_OSXMMEXCPT | CR4_UMIP | CR4_LA57 | CR4_FSGSBASE |
					  CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP | CR4_PKE);
	/* By name, those that would be a hole: one of them is above bit 31. */
	assert_false(allowed & (CR4_VMXE | CR4_SMXE | CR4_CET | CR4_UINTR | CR4_FRED));
}

TEST(cr4_of_some_guests)
{
	const uint64_t plain = guest_cr4_allowed(&vm);

	vm.fred = FRED_BACKEND_NATIVE;
	assert_int_equal(guest_cr4_allowed(&vm), plain | CR4_FRED);
	vm.shadow_stacks = true;
	assert_int_equal(guest_cr4_allowed(&vm), plain | CR4_FRED | CR4_CET);
	machine.cr4_fixed1 = 0xffffffff;
	assert_int_equal(guest_cr4_allowed(&vm), plain | CR4_CET);
}

TEST(cr4_bits_need_their_feature)
{
	static const struct {
		uint64_t cr4;
		uint32_t leaf;
		unsigned int reg, bit;
	} features[] = {
		{ CR4_PCIDE, 1, 2, 17 }, { CR4_OSXSAVE, 1, 2, 26 }, { CR4_FSGSBASE, 7, 1, 0 },
		{ CR4_SMEP, 7, 1, 7 },	 { CR4_SMAP, 7, 1, 20 },    { CR4_UMIP, 7, 2, 2 },
		{ CR4_PKE, 7, 2, 3 },	 { CR4_LA57, 7, 2, 16 },
	};
	const uint64_t all = guest_cr4_allowed(&vm);

	for (size_t i = 0; i < COUNT_OF(features); i++) {
		uint32_t regs[4] = { ALL, ALL, ALL, ALL };

		regs[features[i].reg] &= ~(1U << features[i].bit);
		answer = (struct cpuid_leaf){ regs[0], regs[1], regs[2], regs[3] };
		assert_int_equal(all & ~guest_cr4_allowed(&vm) & features[i].cr4, features[i].cr4);
	}
}

TEST(cr4_bits_that_vmx_does_not_allow)
{
	const uint64_t all = guest_cr4_allowed(&vm);

	machine.cr4_fixed1 = ~(CR4_LA57 | CR4_PCE);
	assert_int_equal(guest_cr4_allowed(&vm), all & ~(CR4_LA57 | CR4_PCE));
}

/* ---- The exit ---- */

TEST(the_exit_answers_in_the_registers)
{
	answer = (struct cpuid_leaf){ 0x1fU, 0xaaaaaaaa, 0xbbbbbbbb, 0xcccccccc };
	memset(&vcpu.regs, 0xee, sizeof(vcpu.regs));
	vcpu.regs.rax = 0xdddddddd00000000ULL;
	handle_cpuid(&vcpu);
	assert_int_equal(vcpu.regs.rax, 0x1f);
	assert_int_equal(vcpu.regs.rbx, 0xaaaaaaaa);
	assert_int_equal(vcpu.regs.rcx, 0xbbbbbbbb);
	assert_int_equal(vcpu.regs.rdx, 0xcccccccc);
	assert_int_equal(vcpu.regs.rsi, 0xeeeeeeeeeeeeeeeeULL);
	assert_int_equal(model.skips, 1);
	assert_int_equal(model.gps, 0);
}

/* The guest's CR4 is what it may set, as it is, and the rest as it believes. */
TEST(the_exit_looks_at_the_guests_cr4)
{
	model_set(VMCS_GUEST_CR4, CR4_OSXSAVE | CR4_VMXE);
	vcpu.regs = (struct guest_regs){ .rax = 1 };
	handle_cpuid(&vcpu);
	assert_true(vcpu.regs.rcx & CPUID_1_ECX_OSXSAVE);
	model_set(VMCS_GUEST_CR4, CR4_VMXE);
	vcpu.regs = (struct guest_regs){ .rax = 1 };
	handle_cpuid(&vcpu);
	assert_false(vcpu.regs.rcx & CPUID_1_ECX_OSXSAVE);
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(features_that_are_not_virtualized),
		RUN(features_of_some_guests),
		RUN(nothing_that_the_processor_has_not),
		RUN(leaves_that_are_not_there),
		RUN(highest_leaf),
		RUN(hypervisor_leaf),
		RUN(bits_that_follow_cr4),
		RUN(instructions_that_need_a_control),
		RUN(no_supervisor_state),
		RUN(extended_state),
		RUN(devices_of_the_machine),
		RUN(features_with_msrs_of_the_machine),
		RUN(controls_of_what_is_shown),
		RUN(no_control_for_what_is_hidden),
		RUN(cr4_of_a_processor_with_everything),
		RUN(cr4_of_some_guests),
		RUN(cr4_bits_need_their_feature),
		RUN(cr4_bits_that_vmx_does_not_allow),
		RUN(the_exit_answers_in_the_registers),
		RUN(the_exit_looks_at_the_guests_cr4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
