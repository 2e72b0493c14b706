/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/vmx/rules.c with the rules: nothing is said of a sound VMCS, each rule is named when it alone
 * is broken, with the way in which the VM entry fails, and the model agrees about every event.
 */
#include "tests/unit/unit.h"
#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "tests/unit/model/model.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/host/x86.h"
#include "vmm/vmx/rules.h"
#include "vmm/vmx/vmcs.h"

#define NOT_CANONICAL	    0x0000800000000000ULL
#define FAR		    (1ULL << 40) /* above the physical address width */
#define MEMORY		    0x7000ULL	 /* a page that can be read */
#define REVISION	    0x12ULL
#define ENTRY		    (ENTRY_IA32E_GUEST | ENTRY_LOAD_EFER | ENTRY_LOAD_PAT | ENTRY_LOAD_DEBUG)
#define VALID(type, vector) (INTERRUPTION_VALID | (unsigned int)(type) << 8 | (vector))

static struct cpuid_leaf features; /* CPUID leaf 7 */
static uint8_t page[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

struct cpuid_leaf cpuid(uint32_t leaf, uint32_t subleaf)
{
	if (leaf == 7 && subleaf == 0)
		return features;
	return (struct cpuid_leaf){ .edx = leaf == 0x80000001 ? CPUID_80000001_EDX_NX : 0 };
}

/* One page of physical memory can be read: the one at MEMORY. */
void *phys_to_virt(uint64_t address)
{
	return page + (address - MEMORY);
}

bool memory_is_mapped(const void *address, uint64_t size)
{
	return (const uint8_t *)address >= page &&
	       (const uint8_t *)address + size <= page + sizeof(page);
}

static void set_segments(void)
{
	for (unsigned int s = SEG_ES; s <= SEG_GS; s++) {
		model_set(VMCS_SEGMENT(VMCS_GUEST_ES_ACCESS_RIGHTS, s), ACCESS_RIGHTS_DATA);
		model_set(VMCS_SEGMENT(VMCS_GUEST_ES_LIMIT, s), 0xffffffff);
	}
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE64);
	model_set(VMCS_GUEST_LDTR_ACCESS_RIGHTS, ACCESS_RIGHTS_LDT);
	model_set(VMCS_GUEST_TR_ACCESS_RIGHTS, ACCESS_RIGHTS_TSS_BUSY);
	model_set(VMCS_GUEST_TR_LIMIT, 0x67);
}

/* A processor that has everything. */
static void set_processor(void)
{
	model.msr = 0xffffffffULL << 32; /* every control may be 0 or 1 */
	model.strict_errors = false;
	machine.physical_mask = FAR - 1;
	machine.linear_bits = 48;
	features = (struct cpuid_leaf){ .eax = 1,
					.ebx = CPUID_7_EBX_SGX | CPUID_7_EBX_RTM,
					.ecx = CPUID_7_ECX_BUS_LOCK | CPUID_7_ECX_SHSTK };
	model_set_msr(MSR_IA32_VMX_BASIC,
		      REVISION | VMX_BASIC_TRUE_CONTROLS | VMX_BASIC_ANY_ERROR_CODE);
	model_set_msr(MSR_IA32_VMX_MISC, 4 << 16 | 7 << 6);
	model_set_msr(MSR_IA32_VMX_EPT_VPID_CAP,
		      EPT_CAP_WALK_4 | EPT_CAP_WRITE_BACK | EPT_CAP_ACCESSED_DIRTY);
	model_set_msr(MSR_IA32_VMX_CR0_FIXED0, CR0_PE | CR0_NE | CR0_PG);
	model_set_msr(MSR_IA32_VMX_CR0_FIXED1, 0xffffffff);
	model_set_msr(MSR_IA32_VMX_CR4_FIXED0, CR4_VMXE);
	model_set_msr(MSR_IA32_VMX_CR4_FIXED1, 0x1ffffffff);
	model_set_msr(MSR_IA32_VMX_PROCBASED_CTLS3, ~0ULL);
	model_set_msr(MSR_IA32_VMX_VMFUNC, VMFUNC_EPTP_SWITCHING);
	model_set_msr(MSR_IA32_VMX_EXIT_CTLS2,
		      EXIT2_SAVE_FRED | EXIT2_LOAD_FRED | EXIT2_LOAD_SPEC_CTRL);
}

/* A 64-bit guest that can be entered. */
static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(page, 0, sizeof(page));
	set_processor();
	model_set(VMCS_PIN_BASED_CONTROLS, PIN_NMI | PIN_VIRTUAL_NMI);
	model_set(VMCS_PROC_BASED_CONTROLS, PROC_IO_BITMAPS | PROC_MSR_BITMAPS | PROC_SECONDARY);
	model_set(VMCS_SECONDARY_PROC_CONTROLS, PROC2_EPT | PROC2_UNRESTRICTED_GUEST | PROC2_VPID);
	model_set(VMCS_EXIT_CONTROLS, EXIT_HOST_64BIT | EXIT_LOAD_EFER | EXIT_LOAD_PAT);
	model_set(VMCS_ENTRY_CONTROLS, ENTRY);
	model_set(VMCS_VPID, 1);
	model_set(VMCS_EPT_POINTER, 0x1000 | EPTP_WALK_4 | EPTP_WRITE_BACK);
	model_set(VMCS_HOST_CR0, CR0_PE | CR0_NE | CR0_PG);
	model_set(VMCS_HOST_CR4, CR4_VMXE | CR4_PAE);
	model_set(VMCS_HOST_CS_SELECTOR, 8);
	model_set(VMCS_HOST_TR_SELECTOR, 0x18);
	model_set(VMCS_HOST_EFER, EFER_LME | EFER_LMA);
	model_set(VMCS_GUEST_CR4, CR4_PAE | CR4_VMXE);
	model_set(VMCS_GUEST_EFER, EFER_LME | EFER_LMA);
	model_set(VMCS_VMCS_LINK_POINTER, ~0ULL);
	set_segments();
	return 0;
}

TEST(sound_vmcs)
{
	const char *const rule = vmcs_check();

	if (rule)
		fail_msg("%s", rule);
}

/* ---- Other modes than 64-bit ---- */

static void leave_long_mode(uint64_t cr0, uint64_t cr4)
{
	model_set(VMCS_GUEST_CR0, cr0);
	model_set(VMCS_GUEST_CR4, CR4_VMXE | cr4);
	model_set(VMCS_GUEST_EFER, 0);
	model_set(VMCS_ENTRY_CONTROLS, ENTRY & ~(uint64_t)ENTRY_IA32E_GUEST);
}

static void use_real_mode(void)
{
	leave_long_mode(CR0_NE, CR4_PAE);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE16);
	model_set(VMCS_GUEST_CS_LIMIT, 0xffff);
}

/* 32-bit code with PAE paging. */
static void use_pae(void)
{
	leave_long_mode(CR0_PE | CR0_NE | CR0_PG, CR4_PAE);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE32);
}

static void use_v86(void)
{
	use_pae();
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_VM);
	for (unsigned int s = SEG_ES; s <= SEG_GS; s++) {
		model_set(VMCS_SEGMENT(VMCS_GUEST_ES_SELECTOR, s), 0x1234);
		model_set(VMCS_SEGMENT(VMCS_GUEST_ES_BASE, s), 0x12340);
		model_set(VMCS_SEGMENT(VMCS_GUEST_ES_LIMIT, s), 0xffff);
		model_set(VMCS_SEGMENT(VMCS_GUEST_ES_ACCESS_RIGHTS, s), 0xf3);
	}
}

/* Ring 3 in a guest that is not unrestricted: RPLs count. */
static void use_ring3(void)
{
	model_set(VMCS_SECONDARY_PROC_CONTROLS, PROC2_EPT | PROC2_VPID);
	for (unsigned int s = SEG_ES; s <= SEG_GS; s++) {
		model.fields[VMCS_SEGMENT(VMCS_GUEST_ES_ACCESS_RIGHTS, s)] |= 3 << 5;
		model_set(VMCS_SEGMENT(VMCS_GUEST_ES_SELECTOR, s), 0x23);
	}
}

/* A 32-bit host, judged by a processor outside IA-32e mode. */
static bool in_32bit_host;
static void use_32bit_host(void)
{
	use_pae();
	model_set(VMCS_EXIT_CONTROLS, EXIT_LOAD_EFER | EXIT_LOAD_PAT);
	model_set(VMCS_HOST_EFER, 0);
	model_set(VMCS_HOST_SS_SELECTOR, 0x10);
	in_32bit_host = true;
}

static void (*const modes[])(void) = {
	NULL, use_real_mode, use_pae, use_v86, use_ring3, use_32bit_host,
};

static struct vmcs_verdict judge(void)
{
	struct vmcs_processor processor;
	const struct vmcs_reader reader = vmcs_reader_current(&processor);

	processor.in_ia32e_mode = !in_32bit_host;
	return vmcs_judge(&reader);
}

static void set_mode(void (*mode)(void))
{
	set_up(NULL);
	in_32bit_host = false;
	if (mode)
		mode();
}

TEST(sound_modes)
{
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		set_mode(modes[i]);
		if (judge().rule)
			fail_msg("mode %zu: %s", i, judge().rule);
	}
}

/* ---- Every rule, broken once ---- */

#define INFO		       VMCS_ENTRY_INTERRUPTION_INFO
#define GUEST_AR(segment)      VMCS_GUEST_##segment##_ACCESS_RIGHTS
#define PROC(bits)	       VMCS_PROC_BASED_CONTROLS, PROC_SECONDARY | (bits)
#define PROC2(bits)	       VMCS_SECONDARY_PROC_CONTROLS, PROC2_EPT | (bits)
#define TERTIARY	       PROC(PROC_TERTIARY)
#define ENTRY_WITH(bits)       VMCS_ENTRY_CONTROLS, ENTRY | (bits)
#define EXIT_WITH(bits)	       VMCS_EXIT_CONTROLS, EXIT_HOST_64BIT | (bits)
#define IN_EVENT(type, vector) INFO, VALID(type, vector)
#define VAPIC		       VMCS_VIRTUAL_APIC_ADDRESS

static const struct damage {
	enum vmcs_refusal refusal;
	uint64_t qualification;
	void (*mode)(void); /* NULL: 64-bit */
	const char *words;
	struct {
		enum vmcs_field field;
		uint64_t value;
	} set[5]; /* unused ones are 0: the VPID, field 0, has a test of its own */
} damages[] = {
#define CONTROLS(words, ...)	       { VMCS_BAD_CONTROLS, 0, NULL, words, { __VA_ARGS__ } },
#define HOST(words, ...)	       { VMCS_BAD_HOST, 0, NULL, words, { __VA_ARGS__ } },
#define HOST32(words, ...)	       { VMCS_BAD_HOST, 0, use_32bit_host, words, { __VA_ARGS__ } },
#define GUEST(words, ...)	       { VMCS_BAD_GUEST, 0, NULL, words, { __VA_ARGS__ } },
#define MODE(mode, words, ...)	       { VMCS_BAD_GUEST, 0, mode, words, { __VA_ARGS__ } },
#define QUALIFIED(q, mode, words, ...) { VMCS_BAD_GUEST, q, mode, words, { __VA_ARGS__ } },
#include "tests/unit/vmm/vmx/rule_damages.h"
};

static void apply(const struct damage *d)
{
	set_mode(d->mode);
	for (size_t i = 0; i < COUNT_OF(d->set); i++)
		if (d->set[i].field != 0 || d->set[i].value != 0)
			model_set(d->set[i].field, d->set[i].value);
}

TEST(every_rule_broken)
{
	for (size_t i = 0; i < COUNT_OF(damages); i++) {
		const struct damage *const d = &damages[i];
		struct vmcs_verdict verdict;

		apply(d);
		verdict = judge();
		if (!verdict.rule || !strstr(verdict.rule, d->words))
			fail_msg("%zu: \"%s\", not \"...%s...\"", i,
				 verdict.rule ? verdict.rule : "", d->words);
		if (verdict.refusal != d->refusal || verdict.qualification != d->qualification)
			fail_msg("%s: refusal %d, qualification %d", d->words, (int)verdict.refusal,
				 (int)verdict.qualification);
	}
}

static void expect(const char *words, const char *what)
{
	const char *const rule = vmcs_check();

	if (!rule || !strstr(rule, words))
		fail_msg("%s: \"%s\", not \"...%s...\"", what, rule ? rule : "", words);
}

static void write_event(uint32_t info, uint64_t error_code, uint64_t length)
{
	vmcs_write(VMCS_INJECTED_EVENT_DATA, 0);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, info);
	vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, error_code);
	vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, length);
}

TEST(vpid)
{
	model_set(VMCS_VPID, 0);
	expect("VPID is 0", "VPID");
	model_set(VMCS_SECONDARY_PROC_CONTROLS, PROC2_EPT);
	assert_null(vmcs_check());
}

/* What is off may hold anything: no bitmap, area, timer, debug control or PAT is looked at. */
TEST(what_is_not_used_is_not_judged)
{
	set_mode(NULL);
	model_set(VMCS_PROC_BASED_CONTROLS, 0);
	model_set(VMCS_SECONDARY_PROC_CONTROLS, ~0U);
	model_set(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST);
	model_set(VMCS_EXIT_CONTROLS, EXIT_HOST_64BIT);
	model_set(VMCS_SECONDARY_EXIT_CONTROLS, ~0ULL);
	model_set(VMCS_TERTIARY_PROC_CONTROLS, ~0ULL);
	model_set(VMCS_IO_BITMAP_A, 1);
	model_set(VMCS_MSR_BITMAP, 1);
	model_set(VMCS_EPT_POINTER, ~0ULL);
	model_set(VMCS_ENTRY_MSR_LOAD_ADDRESS, ~0ULL);
	model_set(VMCS_TPR_THRESHOLD, ~0U);
	model_set(VMCS_GUEST_PAT, ~0ULL);
	model_set(VMCS_HOST_PAT, ~0ULL);
	model_set(VMCS_HOST_EFER, ~0ULL);
	model_set(VMCS_GUEST_EFER, ~0ULL);
	model_set(VMCS_GUEST_DEBUGCTL, ~0ULL);
	model_set(VMCS_GUEST_DR7, ~0ULL);
	model_set(VMCS_GUEST_PDPTE0, ~0ULL);
	model_set(VMCS_GUEST_SSP, ~0ULL);
	assert_null(vmcs_check());
}

/* Limits on both sides of a rule. */
TEST(what_is_just_allowed)
{
	static const struct {
		enum vmcs_field field;
		uint64_t value;
	} cases[] = {
		{ VMCS_CR3_TARGET_COUNT, 4 },
		{ VMCS_GUEST_RIP, 1ULL << 47 }, /* behind the lower half's last byte */
		{ VMCS_GUEST_PAT, 0x0706050401000100 },
		{ VMCS_GUEST_IDTR_LIMIT, 0xffff },
		{ VMCS_GUEST_DEBUGCTL, DEBUGCTL_BUS_LOCK | DEBUGCTL_RTM | 0x7fc3 },
		{ VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_ENCLAVE },
		{ VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_RTM | PENDING_DEBUG_ENABLED },
		{ VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BUS_LOCK | 0x100f },
		{ VMCS_EPT_POINTER, 0x1000 | EPTP_ACCESSED_DIRTY | EPTP_WALK_4 | EPTP_WRITE_BACK },
		{ GUEST_AR(LDTR), ACCESS_RIGHTS_UNUSABLE },
		{ GUEST_AR(DS), ACCESS_RIGHTS_UNUSABLE | 0xfffeU },
		{ GUEST_AR(CS), ACCESS_RIGHTS_CODE64 | ACCESS_RIGHTS_UNUSABLE },
		{ GUEST_AR(CS), 0xa093 }, /* a data segment: unrestricted guest */
		{ VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_WAIT_FOR_SIPI },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set_mode(NULL);
		model_set(cases[i].field, cases[i].value);
		if (vmcs_check())
			fail_msg("%zu: %s", i, vmcs_check());
	}
}

/* Features of the processor that rules ask for. */
TEST(what_this_processor_lacks)
{
	static const struct {
		enum vmcs_field field;
		uint64_t value;
		const char *words;
	} cases[] = {
		{ VMCS_GUEST_DEBUGCTL, DEBUGCTL_RTM, "DEBUGCTL" },
		{ VMCS_GUEST_DEBUGCTL, DEBUGCTL_BUS_LOCK, "DEBUGCTL" },
		{ VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BUS_LOCK, "bus lock" },
		{ VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_RTM | PENDING_DEBUG_ENABLED,
		  "transaction" },
		{ VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_ENCLAVE, "SGX" },
		{ VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_SHUTDOWN, "not support" },
		{ VMCS_EPT_POINTER, 0x1000 | EPTP_ACCESSED_DIRTY | EPTP_WALK_4 | EPTP_WRITE_BACK,
		  "accessed and dirty" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set_mode(NULL);
		features = (struct cpuid_leaf){ 0 };
		model_set_msr(MSR_IA32_VMX_MISC, 0);
		model_set_msr(MSR_IA32_VMX_EPT_VPID_CAP, EPT_CAP_WALK_4 | EPT_CAP_WRITE_BACK);
		model_set(cases[i].field, cases[i].value);
		expect(cases[i].words, "feature");
	}
}

/* IA32_VMX_BASIC[48]: no structure above 4 GiB. */
TEST(structures_below_4g)
{
	model_set(VMCS_MSR_BITMAP, 1ULL << 32);
	assert_null(vmcs_check());
	model_set_msr(MSR_IA32_VMX_BASIC, VMX_BASIC_32BIT_ADDRESSES | VMX_BASIC_ANY_ERROR_CODE);
	expect("MSR bitmap", "BASIC");
}

/* IA32_VMX_BASIC[56] = 0: an error code just where the vector has one. #CP is a vector of CET. */
TEST(error_codes_by_vector)
{
	for (unsigned int cet = 0; cet <= 1; cet++) {
		for (unsigned int vector = 0; vector < EXCEPTION_VECTORS; vector++) {
			const bool pushes = vector == 8 || (vector >= 10 && vector <= 14) ||
					    vector == 17 || (vector == VECTOR_CP && cet);

			set_mode(NULL);
			features.ecx = cet ? CPUID_7_ECX_SHSTK : 0;
			model_set_msr(MSR_IA32_VMX_BASIC, 0);
			write_event(VALID(EVENT_HARDWARE_EXCEPTION, vector), 0, 0);
			assert_int_equal(!vmcs_check(), !pushes);
			write_event(VALID(EVENT_HARDWARE_EXCEPTION, vector) |
					    INTERRUPTION_ERROR_CODE_VALID,
				    0, 0);
			assert_int_equal(!vmcs_check(), pushes);
		}
	}
}

/* ---- Memory ---- */

TEST(memory_that_rules_look_at)
{
	const uint32_t revision = REVISION, shadow_revision = REVISION | 1U << 31;

	memcpy(page, &revision, sizeof(revision));
	model_set(VMCS_VMCS_LINK_POINTER, MEMORY);
	assert_null(vmcs_check());
	memcpy(page, &shadow_revision, sizeof(shadow_revision));
	expect("another revision", "link");
	model.fields[VMCS_SECONDARY_PROC_CONTROLS] |= PROC2_VMCS_SHADOWING;
	assert_null(vmcs_check());

	/* The virtual TPR */
	set_mode(NULL);
	model_set(PROC(PROC_TPR_SHADOW));
	model_set(VAPIC, MEMORY);
	model_set(VMCS_TPR_THRESHOLD, 3);
	page[0x80] = 0x2f;
	expect("virtual TPR", "TPR");
	page[0x80] = 0x30;
	assert_null(vmcs_check());

	/* PDPTEs, without EPT from memory */
	use_pae();
	model_set(VMCS_SECONDARY_PROC_CONTROLS, 0);
	model_set(VMCS_GUEST_CR3, MEMORY | 0x40);
	page[0x40] = 1;
	model_set(VMCS_GUEST_CR0, CR0_PE | CR0_NE | CR0_PG);
	assert_null(vmcs_check());
	page[0x48] = 5;
	expect("PDPTE", "memory");
	/* What cannot be read is not judged. */
	model_set(VMCS_GUEST_CR3, MEMORY + 0x1000);
	assert_null(vmcs_check());
}

static uint64_t refused_entry(uint32_t index, uint32_t reserved)
{
	const struct vmx_msr_entry entries[2] = { { .index = MSR_IA32_STAR },
						  { .index = index, .reserved = reserved } };
	struct vmcs_verdict verdict;

	set_mode(NULL);
	memcpy(page + 0x100, entries, sizeof(entries));
	model_set(VMCS_ENTRY_MSR_LOAD_COUNT, 2);
	model_set(VMCS_ENTRY_MSR_LOAD_ADDRESS, MEMORY + 0x100);
	verdict = judge();
	assert_int_equal(verdict.refusal, verdict.rule ? VMCS_BAD_MSR_AREA : VMCS_ACCEPTED);
	return verdict.qualification;
}

TEST(msr_load_area)
{
	assert_int_equal(refused_entry(MSR_IA32_LSTAR, 0), 0);
	assert_int_equal(refused_entry(MSR_IA32_LSTAR, 1), 2);
	assert_int_equal(refused_entry(MSR_IA32_FS_BASE, 0), 2);
	assert_int_equal(refused_entry(MSR_IA32_GS_BASE, 0), 2);
	assert_int_equal(refused_entry(MSR_IA32_X2APIC_FIRST, 0), 2);
	assert_int_equal(refused_entry(MSR_IA32_X2APIC_LAST, 0), 2);
	assert_int_equal(refused_entry(MSR_IA32_SMM_MONITOR_CTL, 0), 2);
	assert_int_equal(refused_entry(MSR_IA32_BIOS_UPDT_TRIG, 0), 2);
	assert_int_equal(refused_entry(MSR_IA32_BIOS_SIGN_ID, 0), 2);
}

/* A processor that allows a control to be 1 only, or 0 only. */
TEST(controls_that_are_not_allowed)
{
	model.msr = 0xffffffff00000000ULL | 1 << 4;
	assert_non_null(strstr(vmcs_check(), "pin-based"));
	set_mode(NULL);
	model_set_msr(MSR_IA32_VMX_TRUE_PROCBASED_CTLS, ~(1ULL << 63 | 0xffffffff));
	expect("a processor-based", "PROC");
	set_mode(NULL);
	model_set_msr(MSR_IA32_VMX_PROCBASED_CTLS2, (uint64_t)PROC2_EPT << 32);
	expect("a secondary processor-based", "PROC2");
	set_mode(NULL);
	model_set_msr(MSR_IA32_VMX_PROCBASED_CTLS3, 0);
	model_set(TERTIARY);
	model_set(VMCS_TERTIARY_PROC_CONTROLS, 1);
	expect("a tertiary", "PROC3");
	set_mode(NULL);
	model_set_msr(MSR_IA32_VMX_TRUE_EXIT_CTLS, 0);
	expect("a VM-exit", "EXIT");
	set_mode(NULL);
	model_set_msr(MSR_IA32_VMX_TRUE_ENTRY_CTLS, 0);
	expect("a VM-entry", "ENTRY");
	/* Without IA32_VMX_BASIC[55] the MSRs are others. */
	model_set_msr(MSR_IA32_VMX_BASIC, VMX_BASIC_ANY_ERROR_CODE);
	assert_null(vmcs_check());
}

TEST(single_step_in_the_shadow_of_mov_ss)
{
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_TF);
	model_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS);
	assert_non_null(vmcs_check());
	model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
	assert_null(vmcs_check());
	model_set(VMCS_GUEST_DEBUGCTL, DEBUGCTL_BTF);
	assert_non_null(vmcs_check());
	model_set(VMCS_GUEST_DEBUGCTL, 0);
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED);
	assert_non_null(vmcs_check());
	model_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	assert_null(vmcs_check());
	model_set(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	assert_non_null(vmcs_check());
}

/* ---- FRED ---- */

/* The guest has FRED on, by the VMCS, and so has the host; CPL 0 or 3. */
static void use_fred(unsigned int cpl)
{
	model.has_fred = true;
	model_set_msr(MSR_IA32_VMX_BASIC, VMX_BASIC_ANY_ERROR_CODE | VMX_BASIC_NESTED_EXCEPTION);
	model.fields[VMCS_GUEST_CR4] |= CR4_FRED;
	model.fields[VMCS_HOST_CR4] |= CR4_FRED;
	model.fields[VMCS_ENTRY_CONTROLS] |= ENTRY_LOAD_FRED;
	model_set(VMCS_EXIT_CONTROLS, EXIT_SECONDARY | EXIT_HOST_64BIT);
	model_set(VMCS_SECONDARY_EXIT_CONTROLS, EXIT2_SAVE_FRED | EXIT2_LOAD_FRED);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE64 | cpl << 5);
	model_set(VMCS_GUEST_SS_ACCESS_RIGHTS, ACCESS_RIGHTS_DATA | cpl << 5);
}

TEST(sound_fred)
{
	use_fred(0);
	assert_null(vmcs_check());
	use_fred(3);
	assert_null(vmcs_check());
	/* 32-bit code at CPL 3; all that only CPL 0 may have at CPL 0. */
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE32 | 3 << 5);
	assert_null(vmcs_check());
	use_fred(0);
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_IF | 3 << 12);
	model_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	assert_null(vmcs_check());
}

/* What FRED adds to the rules of a guest that has it on. */
static const struct fred_damage {
	unsigned int cpl;
	enum vmcs_field field;
	uint64_t value;
	const char *words;
} fred_damages[] = {
	{ 1, VMCS_GUEST_RIP, 0, "CPL 1 or 2" },
	{ 2, VMCS_GUEST_RIP, 0, "CPL 1 or 2" },
	{ 0, VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE32, "32-bit code" },
	{ 3, VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | 1 << 12, "IOPL" },
	{ 3, VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | 2 << 12, "IOPL" },
	{ 3, VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI, "shadow of STI" },
	{ 0, VMCS_SECONDARY_EXIT_CONTROLS, 1ULL << 40, "secondary VM-exit control" },
	{ 0, VMCS_SECONDARY_EXIT_CONTROLS, EXIT2_LOAD_FRED | 8, "secondary VM-exit control" },
};

TEST(every_damage_to_fred_has_its_words)
{
	for (size_t i = 0; i < COUNT_OF(fred_damages); i++) {
		const struct fred_damage *const d = &fred_damages[i];

		set_up(NULL);
		use_fred(d->cpl);
		model_set(d->field, d->value);
		expect(d->words, "FRED");
		/* Without FRED there is no such rule. */
		if (d->field == VMCS_SECONDARY_EXIT_CONTROLS)
			continue;
		model.fields[VMCS_GUEST_CR4] &= ~CR4_FRED;
		model.fields[VMCS_HOST_CR4] &= ~CR4_FRED;
		assert_null(vmcs_check());
	}
}

TEST(fred_needs_long_mode)
{
	use_real_mode();
	use_fred(0);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, 0x9b);
	expect("outside IA-32e mode", "real mode");
}

static const struct {
	const char *name;
	enum vmcs_field guest, host;
	uint64_t reserved;
} fred_fields[] = {
	{ "FRED_CONFIG", VMCS_GUEST_FRED_CONFIG, VMCS_HOST_FRED_CONFIG, 0x834 },
	{ "FRED_RSP1", VMCS_GUEST_FRED_RSP1, VMCS_HOST_FRED_RSP1, 0x3f },
	{ "FRED_RSP2", VMCS_GUEST_FRED_RSP2, VMCS_HOST_FRED_RSP2, 0x3f },
	{ "FRED_RSP3", VMCS_GUEST_FRED_RSP3, VMCS_HOST_FRED_RSP3, 0x3f },
	{ "FRED_STKLVLS", VMCS_GUEST_FRED_STKLVLS, VMCS_HOST_FRED_STKLVLS, 0 },
	{ "FRED_SSP1", VMCS_GUEST_FRED_SSP1, VMCS_HOST_FRED_SSP1, 7 },
	{ "FRED_SSP2", VMCS_GUEST_FRED_SSP2, VMCS_HOST_FRED_SSP2, 7 },
	{ "FRED_SSP3", VMCS_GUEST_FRED_SSP3, VMCS_HOST_FRED_SSP3, 7 },
};

/* One bit set is not canonical from bit 47 on; STKLVLS takes any value. */
TEST(every_bit_of_freds_fields)
{
	for (size_t i = 0; i < 2 * COUNT_OF(fred_fields); i++) {
		const bool host = i & 1;
		const enum vmcs_field field =
			host ? fred_fields[i / 2].host : fred_fields[i / 2].guest;

		for (unsigned int bit = 0; bit < 64; bit++) {
			const bool bad = field != VMCS_GUEST_FRED_STKLVLS &&
					 field != VMCS_HOST_FRED_STKLVLS &&
					 (fred_fields[i / 2].reserved >> bit & 1 || bit >= 47);

			set_up(NULL);
			use_fred(0);
			model_set(field, 1ULL << bit);
			if (bad)
				expect(fred_fields[i / 2].name, host ? "host" : "guest");
			else
				assert_null(vmcs_check());
			/* Not loaded, it may hold anything. */
			model.fields[VMCS_ENTRY_CONTROLS] &= ~(uint64_t)ENTRY_LOAD_FRED;
			model_set(VMCS_SECONDARY_EXIT_CONTROLS, 0);
			assert_null(vmcs_check());
		}
	}
}

TEST(shadow_stacks)
{
	static const struct {
		enum vmcs_field field;
		uint64_t value;
		const char *words;
	} cases[] = {
		{ VMCS_GUEST_S_CET, 3 << 10, "S_CET" },
		{ VMCS_GUEST_S_CET, 1 << 6, "S_CET" },
		{ VMCS_GUEST_S_CET, 1 << 9, "S_CET" },
		{ VMCS_GUEST_S_CET, NOT_CANONICAL, "S_CET" },
		{ VMCS_GUEST_SSP, 1, "SSP" },
		{ VMCS_GUEST_SSP, 2, "SSP" },
		{ VMCS_GUEST_SSP, NOT_CANONICAL, "SSP" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set_up(NULL);
		model_set(cases[i].field, cases[i].value);
		assert_null(vmcs_check());
		model.fields[VMCS_ENTRY_CONTROLS] |= ENTRY_LOAD_CET;
		expect(cases[i].words, "CET");
		model_set(cases[i].field, 1 << 2);
		assert_null(vmcs_check());
	}
	model.fields[VMCS_GUEST_CR4] |= CR4_CET;
	expect("CR0.WP", "CET");
	model.fields[VMCS_GUEST_CR0] |= CR0_WP;
	assert_null(vmcs_check());
}

/* ---- Events ---- */

static void compare(uint32_t info)
{
	const char *const model_rule = model_entry_error();
	const char *const rule = vmcs_check();

	if (!model_rule != !rule)
		fail_msg("event 0x%x: the checker says \"%s\", the model \"%s\"", info,
			 rule ? rule : "fine", model_rule ? model_rule : "fine");
}

/* All types, all vectors, all flags, in every state that matters for them. */
TEST(events_as_in_the_model)
{
	static const uint32_t flags[] = { 0,
					  INTERRUPTION_ERROR_CODE_VALID,
					  INTERRUPTION_NMI_UNBLOCKED,
					  INTERRUPTION_NESTED,
					  1U << 14,
					  1U << 30 };
	static const uint64_t codes[] = { 0, 0xffff, 0x10000 };
	static const uint64_t lengths[] = { 0, 1, 15, 16 };

	for (unsigned int set = 0; set < 128; set++) {
		set_up(NULL);
		model.has_fred = set & 1;
		model_set_msr(MSR_IA32_VMX_BASIC,
			      VMX_BASIC_ANY_ERROR_CODE |
				      (set & 1 ? VMX_BASIC_NESTED_EXCEPTION : 0));
		if ((set & 0x41) == 0x41)
			use_fred(0);
		model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | (set & 2 ? RFLAGS_IF : 0));
		model_set(VMCS_GUEST_INTERRUPTIBILITY, set >> 2 & 0xb);
		if (set & 0x10)
			model_set(VMCS_GUEST_ACTIVITY_STATE, set >> 2 & 3 ? 0 : ACTIVITY_HLT);
		for (uint32_t type = 0; type < 8; type++)
			for (uint32_t vector = 0; vector < 64; vector++)
				for (size_t i = 0; i < COUNT_OF(flags) * 12; i++) {
					const uint32_t info =
						VALID(type, vector) | flags[i % COUNT_OF(flags)];

					write_event(info, codes[i / COUNT_OF(flags) % 3],
						    lengths[i / COUNT_OF(flags) / 3]);
					compare(info);
				}
	}
}

TEST(injected_events_of_type_7)
{
	write_event(VALID(EVENT_OTHER, FRED_VECTOR_SYSCALL), 0, 2);
	expect("CR4.FRED is 0", "SYSCALL");
	write_event(VALID(EVENT_OTHER, 3), 0, 2);
	expect("neither MTF nor SYSCALL nor SYSENTER", "vector 3");
	write_event(VALID(EVENT_OTHER, 0), 0, 0);
	assert_null(vmcs_check());
	model_set_msr(MSR_IA32_VMX_PROCBASED_CTLS, ~(uint64_t)PROC_MONITOR_TRAP << 32);
	expect("monitor trap", "MTF");
	use_fred(0);
	write_event(VALID(EVENT_OTHER, FRED_VECTOR_SYSENTER), 0, 2);
	assert_null(vmcs_check());
	write_event(VALID(EVENT_OTHER, FRED_VECTOR_SYSENTER), 0, 0);
	expect("impossible length", "SYSENTER");
}

TEST(nested_events)
{
	write_event(VALID(EVENT_HARDWARE_EXCEPTION, VECTOR_UD) | INTERRUPTION_NESTED, 0, 0);
	expect("nested", "no FRED");
	use_fred(0);
	assert_null(vmcs_check());
	write_event(VALID(EVENT_SOFTWARE_INTERRUPT, 0x80) | INTERRUPTION_NESTED, 0, 2);
	expect("nested", "INT n");
}

TEST(no_error_code_in_real_mode)
{
	use_real_mode();
	write_event(VALID(EVENT_HARDWARE_EXCEPTION, VECTOR_GP), 0, 0);
	assert_null(vmcs_check());
	write_event(VALID(EVENT_HARDWARE_EXCEPTION, VECTOR_GP) | INTERRUPTION_ERROR_CODE_VALID, 0,
		    0);
	assert_non_null(strstr(vmcs_check(), "real mode"));
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(sound_vmcs),
		RUN(sound_modes),
		RUN(every_rule_broken),
		RUN(vpid),
		RUN(what_is_not_used_is_not_judged),
		RUN(what_is_just_allowed),
		RUN(what_this_processor_lacks),
		RUN(structures_below_4g),
		RUN(error_codes_by_vector),
		RUN(memory_that_rules_look_at),
		RUN(msr_load_area),
		RUN(controls_that_are_not_allowed),
		RUN(sound_fred),
		RUN(every_damage_to_fred_has_its_words),
		RUN(fred_needs_long_mode),
		RUN(every_bit_of_freds_fields),
		RUN(shadow_stacks),
		RUN(single_step_in_the_shadow_of_mov_ss),
		RUN(events_as_in_the_model),
		RUN(injected_events_of_type_7),
		RUN(nested_events),
		RUN(no_error_code_in_real_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
