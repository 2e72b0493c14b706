/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/vcpu/msr_policy.c: the bitmap that comes from the policy, bit by bit, and what RDMSR and
 * WRMSR of all other MSRs do.
 */
#include "tests/unit/unit.h"
#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "tests/unit/model/model.h"
#include "vmm/exits/table.h"
#include "vmm/host/capabilities.h"
#include "vmm/exits/apic_base.h"
#include "vmm/vcpu/msr_policy.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define HIGH_MSRS	   0xc0000000U
#define RANGE		   0x2000U /* MSRs in each half of the bitmap */
#define APIC_AT		   0xfee00000ULL
#define APIC_OFF	   (APIC_AT | 1 << 8)
#define UNTOUCHED	   0x1122334455667788ULL
#define KNOWN_CAPABILITIES 0x0026ULL /* IBRS_ALL, RSBA, MDS_NO */
#define GARBAGE_HIGH	   0xdddddddd00000000ULL

static struct vm vm;
static struct vcpu vcpu;
static uint8_t bitmap[PAGE_SIZE + 1];

/* This guest has no software FRED. */
bool soft_fred_rdmsr(const struct vcpu *of __attribute__((unused)),
		     uint32_t msr __attribute__((unused)), uint64_t *value __attribute__((unused)))
{
	return false;
}

bool soft_fred_wrmsr(struct vcpu *of __attribute__((unused)), uint32_t msr __attribute__((unused)),
		     uint64_t value __attribute__((unused)))
{
	return false;
}

static uint64_t apic_base_written;

uint64_t apic_base_read(void)
{
	return APIC_OFF;
}

/* Both mode bits, or the second one alone. */
bool apic_base_write(struct vcpu *of, uint64_t value)
{
	assert_ptr_equal(of, &vcpu);
	apic_base_written = value;
	return value & 1 << 11;
}

static struct cpuid_leaf features; /* leaf 7 */

struct cpuid_leaf cpuid(uint32_t leaf __attribute__((unused)),
			uint32_t subleaf __attribute__((unused)))
{
	return features;
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	features = (struct cpuid_leaf){ 0 };
	apic_base_written = 0;
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.vm = &vm;
	return 0;
}

/* ---- The bitmap ---- */

enum access { READ = 1, WRITE = 2, BOTH = 3 };

struct allowed {
	uint32_t first, last;
	enum access access;
};

/* What is in the VMCS, or what no guest can do harm with. */
static const struct allowed for_all[] = {
	{ 0x10, 0x10, READ },
	{ 0x17, 0x17, READ },
	{ 0x8b, 0x8b, READ },
	{ 0x174, 0x176, BOTH },
	{ 0x1c4, 0x1c5, BOTH },
	{ 0x1d9, 0x1d9, BOTH },
	{ 0x277, 0x277, BOTH },
	{ 0xc0000080, 0xc0000080, READ },
	{ 0xc0000081, 0xc0000084, BOTH },
	{ 0xc0000100, 0xc0000103, BOTH },
};

/* Beside these, with the machine's devices. */
static const struct allowed for_device_owners[] = {
	{ 0x10, 0x10, WRITE },	 { 0x1b, 0x1b, READ },	 { 0x3b, 0x3b, BOTH },
	{ 0x48, 0x48, BOTH },	 { 0x49, 0x49, WRITE },	 { 0xbd, 0xbd, READ },
	{ 0xe1, 0xe1, BOTH },	 { 0xe7, 0xe8, BOTH },	 { 0xfe, 0xfe, READ },
	{ 0x10b, 0x10b, WRITE }, { 0x179, 0x179, READ }, { 0x17a, 0x17b, BOTH },
	{ 0x200, 0x21f, READ },	 { 0x250, 0x250, READ }, { 0x258, 0x259, READ },
	{ 0x268, 0x26f, READ },	 { 0x280, 0x29f, BOTH }, { 0x2ff, 0x2ff, READ },
	{ 0x400, 0x47f, BOTH },	 { 0x6e0, 0x6e0, BOTH }, { 0x800, 0x8ff, BOTH },
};

/* With FRED, and with shadow stacks. */
static const struct allowed for_fred[] = { { 0x1cc, 0x1d4, BOTH } };
static const struct allowed for_cet[] = {
	{ 0x6a0, 0x6a0, BOTH },
	{ 0x6a2, 0x6a2, BOTH },
	{ 0x6a4, 0x6a8, BOTH },
};

static bool is_in(const struct allowed *list, size_t count, uint32_t msr, enum access access)
{
	for (size_t i = 0; i < count; i++)
		if (msr >= list[i].first && msr <= list[i].last && (list[i].access & access))
			return true;
	return false;
}

static bool is_allowed(uint32_t msr, enum access access)
{
	return is_in(for_all, COUNT_OF(for_all), msr, access) ||
	       (vm.fred == FRED_BACKEND_NATIVE &&
		is_in(for_fred, COUNT_OF(for_fred), msr, access)) ||
	       (vm.shadow_stacks && is_in(for_cet, COUNT_OF(for_cet), msr, access)) ||
	       (vm.devices == VM_DEVICES_PASSTHROUGH &&
		is_in(for_device_owners, COUNT_OF(for_device_owners), msr, access));
}

/* SDM 3C, 25.6.9: a kilobyte each for reads low, reads high, writes low, writes high. */
static bool exits(uint32_t msr, enum access access)
{
	const unsigned int part = (msr >= HIGH_MSRS ? 1U : 0) + (access == WRITE ? 2U : 0);
	const uint32_t bit = msr & (RANGE - 1);

	return bitmap[part * 0x400 + bit / 8] >> bit % 8 & 1;
}

static void check_bitmap(void)
{
	memset(bitmap, 0x5a, sizeof(bitmap));
	msr_bitmap_fill(&vm, bitmap);
	assert_int_equal(bitmap[PAGE_SIZE], 0x5a);
	for (uint32_t msr = 0; msr < RANGE; msr++)
		for (enum access access = READ; access <= WRITE; access++)
			if (exits(msr, access) == is_allowed(msr, access) ||
			    exits(HIGH_MSRS + msr, access) == is_allowed(HIGH_MSRS + msr, access))
				fail_msg("%s of MSR 0x%x or 0x%x",
					 access == READ ? "read" : "write", msr, HIGH_MSRS + msr);
}

TEST(bitmap_of_a_guest_without_devices)
{
	vm.devices = VM_DEVICES_NONE;
	check_bitmap();
}

TEST(bitmap_of_a_guest_with_the_machine)
{
	vm.devices = VM_DEVICES_PASSTHROUGH;
	check_bitmap();
}

TEST(bitmap_of_a_guest_with_fred)
{
	vm.fred = FRED_BACKEND_NATIVE;
	check_bitmap();
}

TEST(bitmap_of_a_guest_with_shadow_stacks)
{
	vm.shadow_stacks = true;
	check_bitmap();
	vm.fred = FRED_BACKEND_NATIVE;
	check_bitmap();
}

/* ---- RDMSR ---- */

static bool read_msr(uint32_t msr, uint64_t *value)
{
	const unsigned int gps = model.gps, skips = model.skips;

	vcpu.regs = (struct guest_regs){ .rax = UNTOUCHED,
					 .rdx = UNTOUCHED,
					 .rcx = GARBAGE_HIGH | msr };
	handle_rdmsr(&vcpu);
	if (model.gps != gps) {
		assert_int_equal(model.gps, gps + 1);
		assert_int_equal(model.skips, skips);
		assert_int_equal(vcpu.regs.rax, UNTOUCHED);
		assert_int_equal(vcpu.regs.rdx, UNTOUCHED);
		return false;
	}
	assert_int_equal(model.skips, skips + 1);
	assert_int_equal(vcpu.regs.rax >> 32, 0);
	assert_int_equal(vcpu.regs.rdx >> 32, 0);
	*value = vcpu.regs.rdx << 32 | vcpu.regs.rax;
	return true;
}

/* Few have a value of ours; all others that exit fault, in the bitmap's range or not. */
TEST(reads_that_exit)
{
	static const uint32_t starts[] = { 0, 0x40000000, HIGH_MSRS, 0xfffff000 };
	uint64_t value;

	model.msr = UNTOUCHED;
	vm.devices = VM_DEVICES_PASSTHROUGH;
	for (size_t i = 0; i < COUNT_OF(starts); i++)
		for (uint32_t msr = starts[i]; msr - starts[i] < 0x1000; msr++) {
			if (is_allowed(msr, READ))
				continue;
			assert_int_equal(read_msr(msr, &value), msr == 0x3a || msr == 0xda0 ||
									msr == 0xce ||
									msr == 0x1a0);
		}
	assert_true(read_msr(0x3a, &value));
	assert_int_equal(value, 1); /* locked, VMX off */
	assert_true(read_msr(0xda0, &value));
	assert_int_equal(value, 0);
}

/* No MSR of these is the guest's. */
TEST(arch_capabilities_tell_of_no_further_msrs)
{
	/* TSX_CTRL, MCU_CONTROL, MISC_PACKAGE_CTLS, ENERGY_FILTERING_CTL, DOITM, MCU_ENUMERATION,
	 * FB_CLEAR_CTRL, XAPIC_DISABLE_STATUS, MCU_EXTENDED_SERVICE, OVERCLOCKING_STATUS, GDS_CTRL
	 */
	static const unsigned int msrs[] = { 7, 9, 10, 11, 12, 16, 18, 21, 22, 23, 25 };
	/* MDS_NO, TAA_NO, FB_CLEAR, BHI_NO, GDS_NO, RFDS_CLEAR, ITS_NO */
	static const unsigned int told[] = { 5, 8, 17, 20, 26, 28, 62 };
	uint64_t value;

	features.edx = 1U << 29;
	model.msr = ~0ULL;
	assert_true(read_msr(0x10a, &value));
	for (size_t i = 0; i < COUNT_OF(msrs); i++)
		assert_false(value >> msrs[i] & 1);
	for (size_t i = 0; i < COUNT_OF(told); i++)
		assert_true(value >> told[i] & 1);
	assert_false(value >> 63);
	/* But of this, with the local APIC. */
	vm.devices = VM_DEVICES_PASSTHROUGH;
	assert_true(read_msr(0x10a, &value));
	assert_true(value >> 21 & 1);
}

/* With software FRED the guest shall not think of Meltdown: Linux would not use FRED. */
TEST(arch_capabilities)
{
	uint64_t value;

	model.msr = KNOWN_CAPABILITIES;
	assert_false(read_msr(0x10a, &value));
	features.edx = 1U << 29;
	assert_true(read_msr(0x10a, &value));
	assert_int_equal(value, KNOWN_CAPABILITIES);
	vm.fred = FRED_BACKEND_SOFT;
	assert_true(read_msr(0x10a, &value));
	assert_int_equal(value, KNOWN_CAPABILITIES | 1);
	features.edx = 0;
	assert_true(read_msr(0x10a, &value));
	assert_int_equal(value, 1);
}

/* MONITOR, performance monitoring and SpeedStep are hidden: BTS and PEBS unavailable. */
TEST(misc_enable_is_as_cpuid_shows)
{
	uint64_t value;

	model.msr = ~0ULL;
	assert_false(read_msr(0x1a0, &value));
	vm.devices = VM_DEVICES_PASSTHROUGH;
	assert_true(read_msr(0x1a0, &value));
	assert_int_equal(value, ~(1ULL << 3 | 1ULL << 7 | 1ULL << 16 | 1ULL << 18));
	model.msr = 1; /* fast strings */
	assert_true(read_msr(0x1a0, &value));
	assert_int_equal(value, 1 | 1ULL << 11 | 1ULL << 12);
}

/* No CPUID faulting (31), no PPIN (23), no limits that can be programmed (28 to 30). */
TEST(platform_info_has_the_ratios)
{
	uint64_t value;

	model.msr = ~0ULL;
	assert_false(read_msr(0xce, &value));
	vm.devices = VM_DEVICES_PASSTHROUGH;
	assert_true(read_msr(0xce, &value));
	assert_int_equal(value, 0xffULL << 8 | 0xffULL << 40);
}

/* ---- WRMSR ---- */

static bool write_msr(uint32_t msr, uint64_t value)
{
	const unsigned int gps = model.gps, skips = model.skips;

	vcpu.regs = (struct guest_regs){ .rax = GARBAGE_HIGH | (uint32_t)value,
					 .rdx = GARBAGE_HIGH | value >> 32,
					 .rcx = GARBAGE_HIGH | msr };
	handle_wrmsr(&vcpu);
	assert_int_equal(model.gps - gps + model.skips - skips, 1);
	return model.gps == gps;
}

static bool is_ignored(uint32_t msr)
{
	static const struct allowed ignored[] = {
		{ 0x79, 0x79, WRITE },	 { 0x8b, 0x8b, WRITE },	  { 0x1a0, 0x1a0, WRITE },
		{ 0x200, 0x21f, WRITE }, { 0x250, 0x250, WRITE }, { 0x258, 0x259, WRITE },
		{ 0x268, 0x26f, WRITE }, { 0x2ff, 0x2ff, WRITE },
	};

	return is_in(ignored, COUNT_OF(ignored), msr, WRITE);
}

/* Dropped or refused: nothing reaches the processor. */
TEST(writes_that_exit)
{
	static const uint32_t starts[] = { 0, 0x40000000, HIGH_MSRS, 0xfffff000 };

	for (size_t i = 0; i < COUNT_OF(starts); i++)
		for (uint32_t msr = starts[i]; msr - starts[i] < 0x1000; msr++) {
			if (is_allowed(msr, WRITE))
				continue;
			assert_int_equal(write_msr(msr, UNTOUCHED), is_ignored(msr));
		}
	assert_int_equal(model.msr_written, 0);
	assert_int_equal(vmcs_read(VMCS_GUEST_EFER), 0);
}

TEST(xss_stays_0)
{
	assert_true(write_msr(0xda0, 0));
	assert_false(write_msr(0xda0, 1ULL << 11));
	assert_false(write_msr(0xda0, 1ULL << 32));
}

/* With CET its states can be enabled, in the processor's own register. */
TEST(xss_of_a_guest_with_cet)
{
	uint64_t value;

	vm.xss = XSS_CET;
	model_set_msr(0xda0, 0);
	for (unsigned int bit = 0; bit < 64; bit++) {
		const bool accepted = bit == 11 || bit == 12;
		const uint64_t before = model_msr(0xda0);

		assert_int_equal(write_msr(0xda0, 1ULL << bit), accepted);
		assert_int_equal(model_msr(0xda0), accepted ? 1ULL << bit : before);
	}
	assert_true(write_msr(0xda0, 3 << 11));
	assert_true(read_msr(0xda0, &value));
	assert_int_equal(value, 3 << 11);
}

/* Another guest's value, which is there for the moment, or the firmware's. */
TEST(xss_without_cet_is_0)
{
	uint64_t value;

	model_set_msr(0xda0, 1 << 8);
	assert_true(read_msr(0xda0, &value));
	assert_int_equal(value, 0);
	assert_true(write_msr(0xda0, 0));
	assert_int_equal(model.msr_writes, 0);
}

TEST(apic_base)
{
	assert_false(write_msr(0x1b, APIC_AT | 3 << 10)); /* no devices, no APIC */
	assert_int_equal(apic_base_written, 0);
	vm.devices = VM_DEVICES_PASSTHROUGH;
	assert_true(write_msr(0x1b, APIC_AT | 3 << 10));
	assert_int_equal(apic_base_written, APIC_AT | 3 << 10);
	assert_false(write_msr(0x1b, APIC_AT | 1 << 10));
}

/* Without devices it is read by nobody; with them it exits only while the guest's APIC is off. */
TEST(apic_base_of_an_apic_that_is_off)
{
	uint64_t value = UNTOUCHED;

	assert_false(read_msr(0x1b, &value));
	vm.devices = VM_DEVICES_PASSTHROUGH;
	assert_true(read_msr(0x1b, &value));
	assert_int_equal(value, APIC_OFF);
}

/* ---- IA32_PL0_SSP, which a FRED guest has without shadow stacks, too ---- */

#define PL0_SSP 0x6a4U

TEST(pl0_ssp_of_a_fred_guest)
{
	uint64_t value = UNTOUCHED;

	vm.fred = FRED_BACKEND_NATIVE;
	machine.linear_bits = 48;
	assert_true(read_msr(PL0_SSP, &value));
	assert_int_equal(value, 0);
	for (unsigned int bit = 0; bit < 64; bit++) {
		const bool accepted = bit >= 2 && bit < 47;

		vcpu.pl0_ssp = UNTOUCHED;
		assert_int_equal(write_msr(PL0_SSP, 1ULL << bit), accepted);
		assert_int_equal(vcpu.pl0_ssp, accepted ? 1ULL << bit : UNTOUCHED);
		assert_true(read_msr(PL0_SSP, &value));
		assert_int_equal(value, vcpu.pl0_ssp);
	}
	assert_true(write_msr(PL0_SSP, ~3ULL));
	/* The processor's own is nobody's then. */
	assert_int_equal(model.msr_reads + model.msr_writes, 0);
}

TEST(no_pl0_ssp_without_fred)
{
	uint64_t value;

	machine.linear_bits = 48;
	assert_false(read_msr(PL0_SSP, &value));
	assert_false(write_msr(PL0_SSP, 0));
}

/* A FRED guest without shadow stacks has no other MSR of CET. */
TEST(no_cet_msrs_without_shadow_stacks)
{
	static const uint32_t msrs[] = { 0x6a0, 0x6a2, 0x6a5, 0x6a6, 0x6a7, 0x6a8 };
	uint64_t value;

	vm.fred = FRED_BACKEND_NATIVE;
	for (size_t i = 0; i < COUNT_OF(msrs); i++) {
		assert_false(read_msr(msrs[i], &value));
		assert_false(write_msr(msrs[i], 0));
	}
}

/* ---- IA32_EFER ---- */

#define EFER 0xc0000080U

static bool write_efer(uint64_t cr0, uint64_t old, uint64_t value)
{
	bool written;

	model_set(VMCS_GUEST_CR0, cr0);
	model_set(VMCS_GUEST_EFER, old);
	written = write_msr(EFER, value);
	if (!written)
		assert_int_equal(vmcs_read(VMCS_GUEST_EFER), old);
	return written;
}

TEST(efer_bits)
{
	for (unsigned int bit = 0; bit < 64; bit++)
		assert_int_equal(write_efer(CR0_PE, 0, 1ULL << bit),
				 bit == 0 || bit == 8 || bit == 10 || bit == 11);
}

/* LMA is not software's to write: neither set nor cleared. */
TEST(efer_lma_follows_paging_only)
{
	assert_true(write_efer(CR0_PE, EFER_LME, EFER_LME | EFER_LMA));
	assert_int_equal(vmcs_read(VMCS_GUEST_EFER), EFER_LME);
	assert_true(write_efer(CR0_PE | CR0_PG, EFER_LME | EFER_LMA, EFER_LME | EFER_NXE));
	assert_int_equal(vmcs_read(VMCS_GUEST_EFER), EFER_LME | EFER_LMA | EFER_NXE);
}

TEST(efer_lme_changes_without_paging_only)
{
	assert_true(write_efer(CR0_PE, EFER_SCE, EFER_LME));
	assert_int_equal(vmcs_read(VMCS_GUEST_EFER), EFER_LME);
	assert_true(write_efer(CR0_PE, EFER_LME, EFER_SCE));
	assert_int_equal(vmcs_read(VMCS_GUEST_EFER), EFER_SCE);
	assert_false(write_efer(CR0_PE | CR0_PG, EFER_SCE, EFER_LME));
	assert_false(write_efer(CR0_PE | CR0_PG, EFER_LME | EFER_LMA, EFER_LMA));
	assert_true(write_efer(CR0_PE | CR0_PG, 0, EFER_NXE));
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(bitmap_of_a_guest_without_devices),
		RUN(bitmap_of_a_guest_with_the_machine),
		RUN(bitmap_of_a_guest_with_fred),
		RUN(bitmap_of_a_guest_with_shadow_stacks),
		RUN(reads_that_exit),
		RUN(arch_capabilities_tell_of_no_further_msrs),
		RUN(arch_capabilities),
		RUN(misc_enable_is_as_cpuid_shows),
		RUN(platform_info_has_the_ratios),
		RUN(writes_that_exit),
		RUN(xss_stays_0),
		RUN(xss_of_a_guest_with_cet),
		RUN(xss_without_cet_is_0),
		RUN(apic_base),
		RUN(apic_base_of_an_apic_that_is_off),
		RUN(pl0_ssp_of_a_fred_guest),
		RUN(no_pl0_ssp_without_fred),
		RUN(no_cet_msrs_without_shadow_stacks),
		RUN(efer_bits),
		RUN(efer_lma_follows_paging_only),
		RUN(efer_lme_changes_without_paging_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
