/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/host/capabilities.c on the processor that Linux' KVM gives its guests, when these may have
 * VMX: all that Manfred cannot do without is there, and docs/hardware.md lists just that.
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "lib/x86/vmx.h"
#include "tests/unit/model/model.h"
#include "vmm/host/capabilities.h"
#include "vmm/host/x86.h"

#define DOCS	   "docs/hardware.md"
#define DOCS_MAX   65536
#define NAMES_MAX  64
#define NAME_SIZE  64
#define ROW_SOURCE "nested_vmx_setup_"

/* Bits that are 1 where there are no TRUE MSRs to say that they need not be (SDM 3D, A.3 to A.5).
 */
#define PIN_DEFAULT   0x00000016U
#define PROC_DEFAULT  0x0401e172U
#define EXIT_DEFAULT  0x00036dffU
#define ENTRY_DEFAULT 0x000011ffU

#define ENTRY_TO_SMM	      (1U << 10)
#define ENTRY_END_DUAL	      (1U << 11)
#define PROC_IO_UNCONDITIONAL (1U << 24)
#define PROC_PAUSE	      (1U << 30)
#define PROC_TPR_SHADOW	      (1U << 21)
#define EPT_CAP_EXECUTE_ONLY  (1ULL << 0)

/*
 * What KVM offers on any processor that it supports nested VMX on: arch/x86/kvm/vmx/nested.c. What
 * it passes on only where the processor has it, Manfred must do without, but for what every
 * processor with EPT and unrestricted guests has.
 */
static const struct capability {
	uint32_t msr;
	uint32_t must, may;
} kvm[] = {
	/* nested_vmx_setup_pinbased_ctls() */
	{ MSR_IA32_VMX_TRUE_PINBASED_CTLS, PIN_DEFAULT,
	  PIN_DEFAULT | PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI | PIN_PREEMPTION_TIMER },
	/* nested_vmx_setup_cpubased_ctls() */
	{ MSR_IA32_VMX_TRUE_PROCBASED_CTLS, PROC_DEFAULT & ~(PROC_CR3_LOAD | PROC_CR3_STORE),
	  PROC_DEFAULT | PROC_INTERRUPT_WINDOW | PROC_NMI_WINDOW | PROC_TSC_OFFSETTING | PROC_HLT |
		  PROC_INVLPG | PROC_MWAIT | PROC_CR8_LOAD | PROC_CR8_STORE | PROC_MOV_DR |
		  PROC_IO_UNCONDITIONAL | PROC_IO_BITMAPS | PROC_MONITOR_TRAP | PROC_MONITOR |
		  PROC_RDPMC | PROC_RDTSC | PROC_PAUSE | PROC_TPR_SHADOW | PROC_SECONDARY |
		  PROC_MSR_BITMAPS },
	/* nested_vmx_setup_secondary_ctls() */
	{ MSR_IA32_VMX_PROCBASED_CTLS2, 0,
	  PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED_GUEST | PROC2_DESCRIPTOR_TABLE },
	/* nested_vmx_setup_exit_ctls() */
	{ MSR_IA32_VMX_TRUE_EXIT_CTLS, EXIT_DEFAULT & ~EXIT_SAVE_DEBUG,
	  EXIT_DEFAULT | EXIT_HOST_64BIT | EXIT_LOAD_PAT | EXIT_SAVE_PAT | EXIT_LOAD_EFER |
		  EXIT_SAVE_EFER | EXIT_SAVE_PREEMPTION_TIMER | EXIT_ACK_INTERRUPT },
	/* nested_vmx_setup_entry_ctls() */
	{ MSR_IA32_VMX_TRUE_ENTRY_CTLS, ENTRY_DEFAULT & ~ENTRY_LOAD_DEBUG,
	  ENTRY_DEFAULT | ENTRY_IA32E_GUEST | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER },
};

/* nested_vmx_setup_secondary_ctls(): ept_caps and vpid_caps */
#define KVM_EPT_VPID_CAP                                                                        \
	(EPT_CAP_WALK_4 | EPT_CAP_WRITE_BACK | EPT_CAP_EXECUTE_ONLY | EPT_CAP_2M | EPT_CAP_1G | \
	 EPT_CAP_INVEPT | EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL | VPID_CAP_INVVPID |       \
	 VPID_CAP_INVVPID_ALL)
/* nested_vmx_setup_misc_data(); the timer's rate is 5 */
#define KVM_MISC (VMX_MISC_SAVES_LMA | VMX_MISC_ACTIVITY_HLT | 5)
/* nested_vmx_setup_basic(): a VMCS of a page in write-back memory */
#define KVM_BASIC (VMX_BASIC_TRUE_CONTROLS | 6ULL << 50 | 0x1000ULL << 32 | 0x11e57ed0)
/* nested_vmx_setup_cr_fixed() */
#define KVM_CR0_FIXED0 0x80000021ULL

static char names[NAMES_MAX][NAME_SIZE]; /* of what is missed, each once */
static unsigned int name_count;

/* Of another core: this bit of that register is the other way. */
static struct {
	uint32_t leaf, subleaf;
	struct cpuid_leaf bits;
} changed;
static uint32_t highest_leaf;

/* Leaf 0DH of a processor with all components so far, and CET. */
static bool has_states;

/* A size and an offset for each that XCR0 enables; those of XSS have no offset. */
static struct cpuid_leaf extended_state(uint32_t subleaf)
{
	if (subleaf == 0)
		return (struct cpuid_leaf){ .eax = 0xe02ff, .ecx = 0x5000 };
	if (subleaf == 1)
		return (struct cpuid_leaf){ .eax = 0x1f, .ecx = 0x1fd00 };
	return (struct cpuid_leaf){ .eax = 0x100,
				    .ebx = subleaf < 20 ? 0x240 + 0x100 * subleaf : 0 };
}

struct cpuid_leaf cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_leaf r = { 0 };

	if (leaf == 0)
		r.eax = highest_leaf;
	else if (leaf == 1)
		r.ecx = CPUID_1_ECX_VMX | CPUID_1_ECX_XSAVE;
	else if (leaf == 7 && has_states)
		r = (struct cpuid_leaf){ .ecx = CPUID_7_ECX_SHSTK, .edx = CPUID_7_EDX_IBT };
	else if (leaf == 0xd && has_states)
		r = extended_state(subleaf);
	else if (leaf == 0x80000000)
		r.eax = 0x80000008;
	else if (leaf == 0x80000008)
		r.eax = 0x302e;
	if (leaf == changed.leaf && subleaf == changed.subleaf) {
		r.eax ^= changed.bits.eax;
		r.ebx ^= changed.bits.ebx;
		r.ecx ^= changed.bits.ecx;
		r.edx ^= changed.bits.edx;
	}
	return r;
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(&changed, 0, sizeof(changed));
	highest_leaf = 0xd;
	model.msr = 0;
	has_states = false;
	for (size_t i = 0; i < COUNT_OF(kvm); i++)
		model_set_msr(kvm[i].msr, (uint64_t)kvm[i].may << 32 | kvm[i].must);
	model_set_msr(MSR_IA32_VMX_EPT_VPID_CAP, KVM_EPT_VPID_CAP);
	model_set_msr(MSR_IA32_VMX_MISC, KVM_MISC);
	model_set_msr(MSR_IA32_VMX_BASIC, KVM_BASIC);
	model_set_msr(MSR_IA32_VMX_CR0_FIXED0, KVM_CR0_FIXED0);
	model_set_msr(MSR_IA32_VMX_CR0_FIXED1, UINT32_MAX);
	model_set_msr(MSR_IA32_VMX_CR4_FIXED0, CR4_VMXE);
	model_set_msr(MSR_IA32_VMX_CR4_FIXED1, UINT32_MAX);
	model_set_msr(MSR_IA32_FEATURE_CONTROL,
		      FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX_OUTSIDE);
	return 0;
}

/* Does machine_probe() take this processor? */
static bool accepts(void)
{
	jmp_buf end;

	model.end = &end;
	if (setjmp(end) == 0) {
		machine_probe();
		return true;
	}
	assert_string_equal(model.end_reason, "vmx-capabilities");
	return false;
}

/* The log says "VMX pin-based controls: NMI exiting is missing". */
static void note_missing(void)
{
	const char *const end = strstr(model.log, " is missing");
	const char *start = end;
	char name[NAME_SIZE];

	assert_non_null(end);
	while (start > model.log && start[-1] != ':' && start[-1] != '\n')
		start--;
	start += *start == ' ';
	snprintf(name, sizeof(name), "%.*s", (int)(end - start), start);
	for (unsigned int i = 0; i < name_count; i++)
		if (strcmp(names[i], name) == 0)
			return;
	assert_in_range(name_count, 0, NAMES_MAX - 1);
	memcpy(names[name_count++], name, sizeof(name));
}

static void try_without(uint32_t msr, uint64_t bit)
{
	set_up(NULL);
	model_set_msr(msr, model_rdmsr(msr) & ~bit);
	if (!accepts())
		note_missing();
}

TEST(kvm_has_all_that_is_needed)
{
	assert_true(accepts());
	assert_false(model_logged("missing"));
}

/* Take away one capability after the other: what is missed then is in the docs, and no more. */
TEST(the_docs_list_what_is_needed)
{
	static char docs[DOCS_MAX];
	FILE *const file = fopen(DOCS, "r");
	unsigned int rows = 0;

	assert_non_null(file);
	docs[fread(docs, 1, sizeof(docs) - 1, file)] = '\0';
	fclose(file);
	for (size_t i = 0; i < COUNT_OF(kvm); i++)
		for (unsigned int bit = 32; bit < 64; bit++)
			try_without(kvm[i].msr, 1ULL << bit);
	for (unsigned int bit = 0; bit < 64; bit++) {
		try_without(MSR_IA32_VMX_EPT_VPID_CAP, 1ULL << bit);
		try_without(MSR_IA32_VMX_MISC, 1ULL << bit);
	}
	assert_in_range(name_count, 20, NAMES_MAX);
	for (unsigned int i = 0; i < name_count; i++) {
		char row[NAME_SIZE + 8];
		const int length = snprintf(row, sizeof(row), "\n| %s |", names[i]);

		assert_in_range(length, 1, sizeof(row) - 1);
		if (strstr(docs, row) == NULL)
			fail_msg(DOCS " has no row for: %s", names[i]);
	}
	for (const char *at = docs; (at = strstr(at, "| `" ROW_SOURCE)) != NULL; at++)
		rows++;
	assert_int_equal(rows, name_count);
}

/* A control that cannot be switched off is as bad as one that is not there. */
TEST(exits_that_cannot_be_switched_off)
{
	static const uint32_t bits[] = { PROC_CR3_LOAD, PROC_CR3_STORE, PROC_INVLPG, PROC_RDTSC };
	const uint32_t msr = MSR_IA32_VMX_TRUE_PROCBASED_CTLS;

	for (size_t i = 0; i < COUNT_OF(bits); i++) {
		set_up(NULL);
		model_set_msr(msr, model_rdmsr(msr) | bits[i]);
		assert_false(accepts());
		assert_true(model_logged("cannot be switched off"));
	}
}

/* Hidden from all guests: they are to exit, where the processor can. */
TEST(hidden_instructions_exit)
{
	const uint32_t bits = PROC_MWAIT | PROC_MONITOR | PROC_RDPMC,
		       sgx = PROC2_ENCLS | PROC2_ENCLV;
	const uint64_t proc2 = model_rdmsr(MSR_IA32_VMX_PROCBASED_CTLS2);

	assert_true(accepts());
	assert_int_equal(machine.controls.proc & bits, bits);
	assert_int_equal(machine.controls.proc2 & sgx, 0);
	model_set_msr(MSR_IA32_VMX_PROCBASED_CTLS2, proc2 | (uint64_t)sgx << 32);
	assert_true(accepts());
	assert_int_equal(machine.controls.proc2 & sgx, sgx);
}

static void allow(uint32_t msr, uint32_t bits)
{
	model_set_msr(msr, model_rdmsr(msr) | (uint64_t)bits << 32);
}

/* MPX (3, 4) and APX (19) are hidden, so that XCR0 does not take them: CET is the last of XSS. */
TEST(extended_state_of_what_is_shown)
{
	has_states = true;
	allow(MSR_IA32_VMX_TRUE_ENTRY_CTLS, ENTRY_LOAD_CET);
	allow(MSR_IA32_VMX_TRUE_EXIT_CTLS, EXIT_LOAD_CET);
	assert_true(accepts());
	assert_int_equal(machine.xcr0_supported, 0x602e7);
	assert_int_equal(machine.xsave_size, 0x240 + 0x100 * 18 + 0x100);
	/* Without XSAVES in guests there is no IA32_XSS, and no CET. */
	assert_int_equal(machine.xss_supported, 0);
	assert_false(machine.has_cet);
	allow(MSR_IA32_VMX_PROCBASED_CTLS2, PROC2_XSAVES);
	assert_true(accepts());
	assert_int_equal(machine.xss_supported, 3 << 11);
	assert_true(machine.has_cet);
}

TEST(no_extended_state_without_xsave)
{
	has_states = true;
	changed.leaf = 1;
	changed.bits.ecx = CPUID_1_ECX_XSAVE;
	assert_true(accepts());
	assert_int_equal(machine.xcr0_supported | machine.xss_supported | machine.xsave_size, 0);
}

/* VPIDs keep translations over exits: not without a way to flush them. */
TEST(no_vpids_without_invvpid)
{
	static const uint64_t needed[] = { VPID_CAP_INVVPID, VPID_CAP_INVVPID_ALL };

	assert_true(accepts());
	assert_true(machine.controls.proc2 & PROC2_VPID);
	for (size_t i = 0; i < COUNT_OF(needed); i++) {
		model_set_msr(MSR_IA32_VMX_EPT_VPID_CAP, KVM_EPT_VPID_CAP & ~needed[i]);
		assert_true(accepts());
		assert_false(machine.controls.proc2 & PROC2_VPID);
	}
}

/* Hybrid processors: a core whose VMX is another one is left out. */
TEST(cores_that_differ)
{
	static const struct {
		uint32_t msr;
		uint64_t bit;
	} changes[] = {
		{ MSR_IA32_VMX_BASIC, VMX_BASIC_ANY_ERROR_CODE },
		{ MSR_IA32_VMX_MISC, VMX_MISC_ZERO_LENGTH },
		{ MSR_IA32_VMX_EPT_VPID_CAP, EPT_CAP_1G },
		{ MSR_IA32_VMX_CR4_FIXED1, 1ULL << 23 },
		{ MSR_IA32_VMX_PROCBASED_CTLS2, (uint64_t)PROC2_VPID << 32 },
	};

	assert_true(accepts());
	assert_null(machine_difference());
	for (size_t i = 0; i < COUNT_OF(changes); i++) {
		const uint64_t value = model_rdmsr(changes[i].msr);

		model_set_msr(changes[i].msr, value ^ changes[i].bit);
		assert_non_null(machine_difference());
		model_set_msr(changes[i].msr, value);
		assert_null(machine_difference());
	}
	model_set_msr(MSR_IA32_FEATURE_CONTROL, FEATURE_CONTROL_LOCKED);
	assert_string_equal(machine_difference(), "IA32_FEATURE_CONTROL");
}

/* FRED's controls are told by an MSR of their own. */
TEST(cores_that_differ_in_later_controls)
{
	const uint64_t exit = model_rdmsr(MSR_IA32_VMX_TRUE_EXIT_CTLS);

	model_set_msr(MSR_IA32_VMX_EXIT_CTLS, exit | (uint64_t)EXIT_SECONDARY << 32);
	model_set_msr(MSR_IA32_VMX_EXIT_CTLS2, 3);
	assert_true(accepts());
	assert_null(machine_difference());
	model_set_msr(MSR_IA32_VMX_EXIT_CTLS2, 2);
	assert_string_equal(machine_difference(), "set of VMX controls");
	model_set_msr(MSR_IA32_VMX_EXIT_CTLS2, 3);
	assert_null(machine_difference());
	model_set_msr(MSR_IA32_VMX_TRUE_EXIT_CTLS, exit ^ (uint64_t)EXIT_LOAD_CET << 32);
	assert_string_equal(machine_difference(), "set of VMX controls");
}

/* MSRs that a processor need not have are not read there. */
static void expect_no_optional(uint32_t number)
{
	assert_int_not_equal(number, MSR_IA32_VMX_EXIT_CTLS2);
	assert_false(number >= MSR_IA32_VMX_TRUE_PINBASED_CTLS &&
		     number <= MSR_IA32_VMX_TRUE_ENTRY_CTLS);
}

TEST(first_processors_with_vmx)
{
	model_set_msr(MSR_IA32_VMX_BASIC, KVM_BASIC & ~VMX_BASIC_TRUE_CONTROLS);
	model_set_msr(MSR_IA32_VMX_PINBASED_CTLS, model_rdmsr(MSR_IA32_VMX_TRUE_PINBASED_CTLS));
	model_set_msr(MSR_IA32_VMX_PROCBASED_CTLS, model_rdmsr(MSR_IA32_VMX_TRUE_PROCBASED_CTLS));
	model_set_msr(MSR_IA32_VMX_EXIT_CTLS, model_rdmsr(MSR_IA32_VMX_TRUE_EXIT_CTLS));
	model_set_msr(MSR_IA32_VMX_ENTRY_CTLS, model_rdmsr(MSR_IA32_VMX_TRUE_ENTRY_CTLS));
	model.on_rdmsr = expect_no_optional;
	assert_true(accepts());
	assert_null(machine_difference());
}

/* What decides for all processors has to be on all; what is a core's own need not. */
TEST(cores_whose_cpuid_differs)
{
	static const struct {
		uint32_t leaf, subleaf;
		struct cpuid_leaf bits;
		const char *what;
	} cases[] = {
		{ 1, 0, { .ecx = CPUID_1_ECX_XSAVE }, "CPUID leaf 1" },
		{ 7, 0, { .ecx = CPUID_7_ECX_SHSTK }, "CPUID leaf 7" },
		{ 7, 0, { .edx = CPUID_7_EDX_IBT }, "CPUID leaf 7" },
		{ 7, 1, { .eax = CPUID_7_1_EAX_FRED }, "CPUID leaf 7.1" },
		{ 7, 1, { .eax = CPUID_7_1_EAX_LKGS }, "CPUID leaf 7.1" },
		{ 7, 1, { .eax = CPUID_7_1_EAX_WRMSRNS }, "CPUID leaf 7.1" },
		{ 0xd, 0, { .eax = 0x4 }, "CPUID leaf 0DH" },
		{ 0xd, 0, { .edx = 0x40000000 }, "CPUID leaf 0DH" },
		{ 0xd, 1, { .eax = CPUID_D_1_EAX_XFD }, "CPUID leaf 0DH.1" },
		{ 0x80000001, 0, { .edx = CPUID_80000001_EDX_1G }, "CPUID leaf 80000001H" },
		{ 0x80000008, 0, { .eax = 1 }, "CPUID leaf 80000008H" },
		{ 1, 0, { .ebx = 0xff000000, .ecx = CPUID_1_ECX_OSXSAVE }, NULL },
		{ 7, 0, { .ecx = CPUID_7_ECX_OSPKE }, NULL },
		{ 7, 1, { .eax = 7U << 10 }, NULL }, /* fast short string operations */
		{ 0xd, 0, { .ebx = 0x340 }, NULL },  /* follows XCR0 */
		{ 0xb, 0, { .edx = 1 }, NULL },
	};

	assert_true(accepts());
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *what;

		changed.leaf = cases[i].leaf;
		changed.subleaf = cases[i].subleaf;
		changed.bits = cases[i].bits;
		what = machine_difference();
		if (cases[i].what)
			assert_string_equal(what, cases[i].what);
		else
			assert_null(what);
	}

	/* Leaves that there are not count as 0. */
	changed.leaf = 7;
	changed.subleaf = 1;
	changed.bits = (struct cpuid_leaf){ .eax = CPUID_7_1_EAX_FRED };
	highest_leaf = 6;
	assert_null(machine_difference());
}

static void refuse_write(uint32_t number, uint64_t value __attribute__((unused)))
{
	fail_msg("WRMSR to 0x%x", number);
}

/*
 * SMIs are the firmware's: VMX treats them as it does by default, with the monitor for them off
 * (SDM 3C, 32.14 and 32.15), although silicon offers it and firmware may have prepared one.
 */
TEST(smm_is_left_to_the_firmware)
{
	const uint32_t msr = MSR_IA32_VMX_TRUE_ENTRY_CTLS;

	model_set_msr(msr, model_rdmsr(msr) | (uint64_t)(ENTRY_TO_SMM | ENTRY_END_DUAL) << 32);
	model_set_msr(MSR_IA32_VMX_BASIC, KVM_BASIC | 1ULL << 49);
	model.on_wrmsr = refuse_write;
	assert_true(accepts());
	assert_int_equal(machine.controls.entry & (ENTRY_TO_SMM | ENTRY_END_DUAL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(kvm_has_all_that_is_needed, set_up),
		cmocka_unit_test(the_docs_list_what_is_needed),
		cmocka_unit_test(exits_that_cannot_be_switched_off),
		cmocka_unit_test_setup(hidden_instructions_exit, set_up),
		cmocka_unit_test_setup(extended_state_of_what_is_shown, set_up),
		cmocka_unit_test_setup(no_extended_state_without_xsave, set_up),
		cmocka_unit_test_setup(no_vpids_without_invvpid, set_up),
		cmocka_unit_test_setup(cores_that_differ, set_up),
		cmocka_unit_test_setup(cores_that_differ_in_later_controls, set_up),
		cmocka_unit_test_setup(first_processors_with_vmx, set_up),
		cmocka_unit_test_setup(cores_whose_cpuid_differs, set_up),
		cmocka_unit_test_setup(smm_is_left_to_the_firmware, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
