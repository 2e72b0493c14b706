/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/fred/native.c: which method a processor gets and what the log says about it, what the two
 * methods make of the VMCS, and the two MSRs that are switched by software: no access too many, and
 * never a stale value.
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "lib/x86/vmx.h"
#include "tests/unit/model/model.h"
#include "vmm/host/cpu.h"
#include "vmm/host/errata.h"
#include "vmm/fred/native.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/host/host_fred.h"
#include "vmm/host/trap.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define HOST_VALUE(i) (0x1000ULL * (i))
#define AREA_ENTRIES  64

static struct boot_info boot;
static struct guest_config guest_config;
static struct vm vm, other_vm, plain_vm;
static struct vcpu vcpu, other, plain;

/* What the processor offers. */
static struct cpuid_leaf leaf_7_1, leaf_7;
static uint32_t entry_controls, exit_controls;

static struct vmx_msr_entry area[AREA_ENTRIES];

const uint8_t trap_fred_entry[1];

struct cpuid_leaf cpuid(uint32_t leaf, uint32_t subleaf)
{
	if (leaf == 7)
		return subleaf == 1 ? leaf_7_1 : leaf_7;
	return (struct cpuid_leaf){ .eax = leaf == 0x80000008 ? 48 << 8 | 39 : 0 };
}

bool machine_may_set(uint32_t capability_msr, uint32_t bit)
{
	if (capability_msr == MSR_IA32_VMX_ENTRY_CTLS)
		return entry_controls & bit;
	assert_int_equal(capability_msr, MSR_IA32_VMX_EXIT_CTLS);
	return exit_controls & bit;
}

void *page_alloc(void)
{
	return area;
}

uint64_t virt_to_phys(const void *address)
{
	return (uintptr_t)address;
}

static const uint32_t switched[] = {
	MSR_IA32_FRED_CONFIG, MSR_IA32_FRED_STKLVLS, MSR_IA32_FRED_RSP1, MSR_IA32_FRED_RSP2,
	MSR_IA32_FRED_RSP3,   MSR_IA32_FRED_SSP1,    MSR_IA32_FRED_SSP2, MSR_IA32_FRED_SSP3,
};

/* A processor with all of it. */
static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(&boot, 0, sizeof(boot));
	memset(area, 0, sizeof(area));
	vm = other_vm =
		(struct vm){ .boot = &boot, .config = &guest_config, .fred = FRED_BACKEND_NATIVE };
	plain_vm = (struct vm){ .boot = &boot };
	vcpu = (struct vcpu){ .vm = &vm };
	other = (struct vcpu){ .vm = &other_vm };
	plain = (struct vcpu){ .vm = &plain_vm };
	leaf_7 = (struct cpuid_leaf){ .eax = 1 };
	leaf_7_1 = (struct cpuid_leaf){ .eax = CPUID_7_1_EAX_FRED | CPUID_7_1_EAX_LKGS };
	entry_controls = ENTRY_LOAD_FRED;
	exit_controls = EXIT_SECONDARY;
	machine.linear_bits = 48;
	machine.cr4_fixed1 = CR4_FRED;
	machine.vmx_basic = VMX_BASIC_NESTED_EXCEPTION;
	model_set_msr(MSR_IA32_VMX_EXIT_CTLS2, EXIT2_SAVE_FRED | EXIT2_LOAD_FRED);
	model_set_msr(MSR_IA32_FRED_RSP0, 0);
	model_set_msr(MSR_IA32_PL0_SSP, 0);
	for (size_t i = 0; i < COUNT_OF(switched); i++)
		model_set_msr(switched[i], HOST_VALUE(i));
	model.msr_reads = 0;
	model.msr_writes = 0;
	return 0;
}

/* ---- Negotiation ---- */

static void expect_method(enum fred_method method, const char *words)
{
	machine.fred_method = FRED_METHOD_NONE;
	machine.linear_bits = 0;
	fred_probe();
	if (machine.fred_method != method || !model_logged(words))
		fail_msg("method %d, log: %s", (int)machine.fred_method, model.log);
	assert_null(strchr(strchr(model.log, '\n') + 1, '\n')); /* one line */
}

TEST(everything)
{
	expect_method(FRED_METHOD_VMCS, "by VMCS controls");
	assert_int_equal(machine.linear_bits, 48);
}

TEST(no_fred_in_cpuid)
{
	leaf_7_1.eax &= ~CPUID_7_1_EAX_FRED;
	expect_method(FRED_METHOD_NONE, "no FRED (CPUID leaf 7.1, EAX bit 17)");
}

TEST(no_leaf_7_1)
{
	leaf_7.eax = 0;
	expect_method(FRED_METHOD_NONE, "no FRED");
}

TEST(no_lkgs)
{
	leaf_7_1.eax &= ~CPUID_7_1_EAX_LKGS;
	expect_method(FRED_METHOD_NONE, "no LKGS");
}

TEST(cr4_fred_not_in_vmx)
{
	machine.cr4_fixed1 = 0xffffffff;
	expect_method(FRED_METHOD_NONE, "IA32_VMX_CR4_FIXED1 bit 32");
}

TEST(no_nested_exceptions)
{
	machine.vmx_basic = 0;
	expect_method(FRED_METHOD_NONE, "IA32_VMX_BASIC bit 58");
}

TEST(an_msr_is_missing)
{
	for (size_t i = 0; i < COUNT_OF(switched); i++) {
		set_up(NULL);
		model.msr_missing = switched[i];
		expect_method(FRED_METHOD_NONE, "not all of FRED's MSRs");
	}
}

/* FR-17: without CET there is none, and nothing could switch it. */
TEST(pl0_ssp_is_missing)
{
	model.msr_missing = MSR_IA32_PL0_SSP;
	expect_method(FRED_METHOD_NONE, "IA32_PL0_SSP");
}

TEST(no_load_guest_fred)
{
	entry_controls = 0;
	expect_method(FRED_METHOD_MSR_AREAS, "load-guest-FRED (bit 23); MSR areas");
}

TEST(no_secondary_exit_controls)
{
	exit_controls = 0;
	expect_method(FRED_METHOD_MSR_AREAS, "secondary VM-exit controls");
}

TEST(no_save_guest_fred)
{
	model_set_msr(MSR_IA32_VMX_EXIT_CTLS2, EXIT2_LOAD_FRED);
	expect_method(FRED_METHOD_MSR_AREAS, "save-guest-FRED (IA32_VMX_EXIT_CTLS2 bit 0)");
}

TEST(no_load_host_fred)
{
	model_set_msr(MSR_IA32_VMX_EXIT_CTLS2, EXIT2_SAVE_FRED);
	expect_method(FRED_METHOD_MSR_AREAS, "load-host-FRED (IA32_VMX_EXIT_CTLS2 bit 1)");
}

TEST(lower_and_lower)
{
	machine.fred_method = FRED_METHOD_VMCS;
	fred_lower_method("test A");
	assert_int_equal(machine.fred_method, FRED_METHOD_MSR_AREAS);
	assert_true(model_logged("not by VMCS controls: test A; MSR areas"));
	fred_lower_method("test B");
	assert_int_equal(machine.fred_method, FRED_METHOD_NONE);
	assert_true(model_logged("not by MSR areas: test B; guests get it by software"));
}

/* ---- What the VMCS gets ---- */

TEST(vmcs_method)
{
	machine.fred_method = FRED_METHOD_VMCS;
	model_set(VMCS_GUEST_FRED_RSP1, 0x77);
	fred_vmcs_init(&vcpu);
	assert_true(vmcs_read(VMCS_ENTRY_CONTROLS) & ENTRY_LOAD_FRED);
	assert_true(vmcs_read(VMCS_EXIT_CONTROLS) & EXIT_SECONDARY);
	assert_int_equal(vmcs_read(VMCS_SECONDARY_EXIT_CONTROLS),
			 EXIT2_SAVE_FRED | EXIT2_LOAD_FRED);
	assert_int_equal(vmcs_read(VMCS_GUEST_FRED_RSP1), 0);
	assert_int_equal(vmcs_read(VMCS_HOST_FRED_CONFIG), HOST_VALUE(0));
	assert_int_equal(vmcs_read(VMCS_HOST_FRED_STKLVLS), HOST_VALUE(1));
	assert_int_equal(vmcs_read(VMCS_HOST_FRED_RSP1), HOST_VALUE(2));
	assert_int_equal(vmcs_read(VMCS_HOST_FRED_SSP3), HOST_VALUE(7));
	assert_int_equal(vmcs_read(VMCS_ENTRY_MSR_LOAD_COUNT), 0);
	assert_null(vcpu.fred_area);
}

TEST(msr_area_method)
{
	machine.fred_method = FRED_METHOD_MSR_AREAS;
	fred_vmcs_init(&vcpu);
	assert_int_equal(vmcs_read(VMCS_ENTRY_CONTROLS) & ENTRY_LOAD_FRED, 0);
	assert_ptr_equal(vcpu.fred_area, area);
	assert_int_equal(vmcs_read(VMCS_ENTRY_MSR_LOAD_ADDRESS), (uintptr_t)area);
	assert_int_equal(vmcs_read(VMCS_EXIT_MSR_STORE_ADDRESS), (uintptr_t)area);
	assert_int_equal(vmcs_read(VMCS_EXIT_MSR_LOAD_ADDRESS),
			 (uintptr_t)(area + COUNT_OF(switched)));
	assert_int_equal(vmcs_read(VMCS_ENTRY_MSR_LOAD_COUNT), COUNT_OF(switched));
	assert_int_equal(vmcs_read(VMCS_EXIT_MSR_STORE_COUNT), COUNT_OF(switched));
	assert_int_equal(vmcs_read(VMCS_EXIT_MSR_LOAD_COUNT), COUNT_OF(switched));
	for (size_t i = 0; i < COUNT_OF(switched); i++) {
		const struct vmx_msr_entry *const host = area + COUNT_OF(switched) + i;

		assert_int_equal(area[i].index, host->index);
		assert_int_equal(area[i].value, 0);
		assert_int_equal(area[i].reserved | host->reserved, 0);
		assert_int_equal(host->value, model_msr(host->index));
	}
}

TEST(a_guest_without_fred)
{
	machine.fred_method = FRED_METHOD_VMCS;
	fred_vmcs_init(&plain);
	assert_int_equal(vmcs_read(VMCS_ENTRY_CONTROLS), 0);
	fred_load(&plain);
	assert_int_equal(model.msr_reads + model.msr_writes, 0);
}

static const struct fred_state sample = {
	.config = 0xffff800000001000ULL | 2,
	.stklvls = 0x2000030024,
	.rsp = { 0x1000, 0x2000, 0x3000, 0x4000 },
	.ssp = { 0x1004, 0x2008, 0x3008, 0x4008 },
};

static void check_state(enum fred_method method)
{
	struct fred_state found;

	machine.fred_method = method;
	fred_vmcs_init(&vcpu);
	assert_true(fred_write_state(&vcpu, &sample));
	fred_read_state(&vcpu, &found);
	assert_memory_equal(&found, &sample, sizeof(found));
	if (method == FRED_METHOD_VMCS)
		assert_int_equal(vmcs_read(VMCS_GUEST_FRED_SSP2), sample.ssp[2]);
	else
		assert_int_equal(area[0].value, sample.config);
}

TEST(state_in_the_vmcs)
{
	check_state(FRED_METHOD_VMCS);
}

TEST(state_in_the_areas)
{
	check_state(FRED_METHOD_MSR_AREAS);
}

TEST(state_that_is_refused_changes_nothing)
{
	struct fred_state bad[10], found;

	machine.fred_method = FRED_METHOD_VMCS;
	fred_vmcs_init(&vcpu);
	assert_true(fred_write_state(&vcpu, &sample));
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		bad[i] = sample;
	for (size_t i = 0; i < FRED_LEVELS; i++) {
		bad[i].rsp[i] |= 0x20;
		bad[4 + i].ssp[i] |= 1;
	}
	bad[8].config |= 4;
	bad[9].config = 1ULL << 63;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		bad[i].stklvls = ~0ULL;
		assert_false(fred_write_state(&vcpu, &bad[i]));
		fred_read_state(&vcpu, &found);
		assert_memory_equal(&found, &sample, sizeof(found));
	}
}

/* ---- IA32_FRED_RSP0 and IA32_PL0_SSP ---- */

/* From here on fred_load() of this vcpu makes so many accesses. */
static void expect_load(struct vcpu *to, unsigned int reads, unsigned int writes)
{
	model.msr_reads = 0;
	model.msr_writes = 0;
	fred_load(to);
	assert_int_equal(model.msr_reads, reads);
	assert_int_equal(model.msr_writes, writes);
}

TEST(no_access_when_it_is_loaded)
{
	vcpu.fred_rsp0 = 0x1000;
	expect_load(&vcpu, 0, 1);
	assert_int_equal(model_msr(MSR_IA32_FRED_RSP0), 0x1000);
	expect_load(&vcpu, 0, 0);
	model_set_msr(MSR_IA32_FRED_RSP0, 0x2000); /* the guest's WRMSR */
	expect_load(&vcpu, 0, 0);
	assert_int_equal(model_msr(MSR_IA32_FRED_RSP0), 0x2000);
}

TEST(no_write_when_the_value_is_there)
{
	vcpu.fred_rsp0 = other.fred_rsp0 = 0x1000;
	fred_load(&vcpu);
	expect_load(&other, 1, 0);
	expect_load(&vcpu, 1, 0);
	other.fred_rsp0 = 0x3000;
	expect_load(&other, 1, 1);
	expect_load(&vcpu, 1, 1);
}

/* Either guest may have changed it while it ran. */
TEST(never_stale)
{
	vcpu.fred_rsp0 = other.fred_rsp0 = 0x1000;
	fred_load(&vcpu);
	model_set_msr(MSR_IA32_FRED_RSP0, 0x5000);
	expect_load(&other, 1, 1);
	assert_int_equal(model_msr(MSR_IA32_FRED_RSP0), 0x1000);
	model_set_msr(MSR_IA32_FRED_RSP0, 0x5000);
	expect_load(&vcpu, 1, 0);
	assert_int_equal(model_msr(MSR_IA32_FRED_RSP0), 0x5000);
	assert_int_equal(other.fred_rsp0, 0x5000);
}

/* A guest without FRED in between: it cannot reach the MSR, and it stays loaded. */
TEST(guests_without_fred_do_not_count)
{
	vcpu.fred_rsp0 = 0x1000;
	fred_load(&vcpu);
	expect_load(&plain, 0, 0);
	expect_load(&vcpu, 0, 0);
}

TEST(forgotten_vcpus_are_not_written_to)
{
	vcpu.fred_rsp0 = 0x1000;
	fred_load(&vcpu);
	model_set_msr(MSR_IA32_FRED_RSP0, 0x7000);
	fred_forget(&other);
	assert_ptr_equal(model_cpu.fred_vcpu, &vcpu);
	fred_forget(&vcpu);
	other.fred_rsp0 = 0x7000;
	expect_load(&other, 0, 1);
	assert_int_equal(vcpu.fred_rsp0, 0x1000);
}

TEST(reading_and_writing_the_state_of_a_loaded_vcpu)
{
	struct fred_state found;

	machine.fred_method = FRED_METHOD_VMCS;

	fred_vmcs_init(&vcpu);
	fred_load(&vcpu);
	model_set_msr(MSR_IA32_FRED_RSP0, 0x9000);
	fred_read_state(&vcpu, &found);
	assert_int_equal(found.rsp[0], 0x9000);
	found.rsp[0] = 0xa000;
	assert_true(fred_write_state(&vcpu, &found));
	fred_read_state(&vcpu, &found);
	assert_int_equal(found.rsp[0], 0xa000);
	fred_load(&vcpu);
	assert_int_equal(model_msr(MSR_IA32_FRED_RSP0), 0xa000);
}

/* PL0_SSP goes with shadow stacks, with or without FRED; without them it is virtual. */
TEST(pl0_ssp_goes_with_shadow_stacks)
{
	vcpu.pl0_ssp = 0x100;
	expect_load(&vcpu, 0, 1);
	assert_int_equal(model_msr(MSR_IA32_PL0_SSP), 0);
	other_vm.shadow_stacks = true;
	other.pl0_ssp = 0x200;
	expect_load(&other, 1, 1); /* RSP0 is the same */
	assert_int_equal(model_msr(MSR_IA32_PL0_SSP), 0x200);
	model_set_msr(MSR_IA32_PL0_SSP, 0x300);
	plain_vm.shadow_stacks = true;
	plain.pl0_ssp = 0x300;
	expect_load(&plain, 2, 0);
	assert_int_equal(other.pl0_ssp, 0x300);
	expect_load(&vcpu, 1, 1);
	assert_int_equal(vcpu.pl0_ssp, 0x100);
}

/* ---- manfred.cfg ---- */

static const char *choose(enum fred_mode mode, enum fred_method method)
{
	jmp_buf end;

	guest_config.fred = mode;
	machine.fred_method = method;
	vm.fred = FRED_BACKEND_NONE;
	model.end_reason = NULL;
	model.end = &end;
	if (setjmp(end) == 0)
		fred_choose(&vm);
	model.end = NULL;
	return model.end_reason;
}

TEST(what_manfred_cfg_wishes)
{
	assert_null(choose(FRED_AUTO, FRED_METHOD_NONE));
	assert_int_equal(vm.fred, FRED_BACKEND_SOFT);
	assert_null(choose(FRED_SOFT, FRED_METHOD_VMCS));
	assert_int_equal(vm.fred, FRED_BACKEND_SOFT);
	assert_null(choose(FRED_AUTO, FRED_METHOD_MSR_AREAS));
	assert_int_equal(vm.fred, FRED_BACKEND_NATIVE);
	assert_null(choose(FRED_NATIVE, FRED_METHOD_VMCS));
	assert_int_equal(vm.fred, FRED_BACKEND_NATIVE);
	assert_null(choose(FRED_OFF, FRED_METHOD_VMCS));
	assert_int_equal(vm.fred, FRED_BACKEND_NONE);
	assert_string_equal(choose(FRED_NATIVE, FRED_METHOD_NONE), "no-fred");
}

/* ---- The VMM's own FRED ---- */

TEST(host_without_fred)
{
	leaf_7_1.eax = 0;
	fred_host_enable((const uint64_t[3]){ 1, 2, 3 });
	assert_int_equal(model.msr_writes, 0);
	assert_int_equal(model.cr4, 0);
}

TEST(host_stacks)
{
	const uint64_t stacks[3] = { 0x10000, 0x20000, 0x30000 };
	uint64_t levels;

	fred_host_enable(stacks);
	assert_true(model.cr4 & CR4_FRED);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(model_msr(MSR_IA32_FRED_RSP1 + i), stacks[i]);
	levels = model_msr(MSR_IA32_FRED_STKLVLS);
	assert_int_equal(levels >> 2 * VECTOR_DF & 3, 3);
	assert_int_equal(levels >> 2 * VECTOR_NMI & 3, 2);
	assert_int_equal(levels >> 2 * VECTOR_MC & 3, 2);
	assert_int_equal(levels >> 2 * VECTOR_PF & 3, 1);
	assert_int_equal(model_msr(MSR_IA32_FRED_CONFIG) & FRED_CONFIG_CSL_MASK, 0);
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(everything),
		RUN(no_fred_in_cpuid),
		RUN(no_leaf_7_1),
		RUN(no_lkgs),
		RUN(cr4_fred_not_in_vmx),
		RUN(no_nested_exceptions),
		RUN(an_msr_is_missing),
		RUN(pl0_ssp_is_missing),
		RUN(no_load_guest_fred),
		RUN(no_secondary_exit_controls),
		RUN(no_save_guest_fred),
		RUN(no_load_host_fred),
		RUN(lower_and_lower),
		RUN(vmcs_method),
		RUN(msr_area_method),
		RUN(a_guest_without_fred),
		RUN(state_in_the_vmcs),
		RUN(state_in_the_areas),
		RUN(state_that_is_refused_changes_nothing),
		RUN(no_access_when_it_is_loaded),
		RUN(no_write_when_the_value_is_there),
		RUN(never_stale),
		RUN(guests_without_fred_do_not_count),
		RUN(forgotten_vcpus_are_not_written_to),
		RUN(reading_and_writing_the_state_of_a_loaded_vcpu),
		RUN(pl0_ssp_goes_with_shadow_stacks),
		RUN(what_manfred_cfg_wishes),
		RUN(host_without_fred),
		RUN(host_stacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
