/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/vcpu/control_registers.c: the guest reads what it wrote, the VMCS gets what VMX wants, and a
 * MOV faults exactly when it would on the processor.
 */
#include "tests/unit/unit.h"
#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "tests/unit/model/model.h"
#include "vmm/vcpu/control_registers.h"
#include "vmm/vmx/ept.h"
#include "vmm/exits/table.h"
#include "vmm/host/capabilities.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

#define TSS_16	     0x83U
#define GPR	     11 /* of the MOV */
#define TABLE_AT     0x12340ULL
#define ADDRESS_BITS 40

static struct vm vm;
static struct vcpu vcpu;
static uint64_t gprs[16];
static uint64_t pdptes[4];

uint64_t vcpu_gpr(const struct vcpu *cpu __attribute__((unused)), unsigned int number)
{
	return gprs[number];
}

void vcpu_set_gpr(struct vcpu *cpu __attribute__((unused)), unsigned int number, uint64_t value)
{
	gprs[number] = value;
}

/* The guest has 32 bytes of memory. */
void *guest_memory(const struct vm *of, uint64_t guest_physical, uint64_t size)
{
	assert_ptr_equal(of, &vm);
	return guest_physical == TABLE_AT && size == sizeof(pdptes) ? pdptes : NULL;
}

static int soft_fred; /* what CR4.FRED was switched to last */

void soft_fred_switch(struct vcpu *of __attribute__((unused)), bool on)
{
	soft_fred = on;
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(&vcpu, 0, sizeof(vcpu));
	memset(gprs, 0, sizeof(gprs));
	memset(pdptes, 0, sizeof(pdptes));
	vcpu.vm = &vm;
	machine.cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG;
	machine.cr0_fixed1 = 0xffffffff;
	machine.cr4_fixed0 = CR4_VMXE;
	machine.cr4_fixed1 = ~0ULL;
	machine.physical_mask = (1ULL << ADDRESS_BITS) - 1;
	machine.xcr0_supported = XCR0_X87 | XCR0_SSE | XCR0_AVX;
	model_set(VMCS_GUEST_TR_ACCESS_RIGHTS, ACCESS_RIGHTS_TSS_BUSY);
	return 0;
}

static uint64_t reads(enum vmcs_field mask, enum vmcs_field shadow, enum vmcs_field value)
{
	return (vmcs_read(shadow) & vmcs_read(mask)) | (vmcs_read(value) & ~vmcs_read(mask));
}

static uint64_t guest_reads_cr0(void)
{
	return reads(VMCS_CR0_GUEST_HOST_MASK, VMCS_CR0_READ_SHADOW, VMCS_GUEST_CR0);
}

static uint64_t guest_reads_cr4(void)
{
	return reads(VMCS_CR4_GUEST_HOST_MASK, VMCS_CR4_READ_SHADOW, VMCS_GUEST_CR4);
}

/* A MOV of this value; false when it faults, and then it has changed nothing. */
static bool mov_to_cr(unsigned int cr, uint64_t value)
{
	static struct model before;

	gprs[GPR] = value;
	model_set(VMCS_EXIT_QUALIFICATION, cr | GPR << 8);
	before = model;
	handle_cr_access(&vcpu);
	assert_int_equal(model.gps - before.gps + model.skips - before.skips, 1);
	if (model.skips != before.skips)
		return true;
	assert_memory_equal(model.fields, before.fields, sizeof(model.fields));
	return false;
}

/* ---- CR0 ---- */

TEST(cr0_as_the_guest_reads_it)
{
	static const uint64_t bits[] = { CR0_PE, CR0_MP, CR0_EM, CR0_TS, CR0_ET, CR0_NE,
					 CR0_WP, CR0_AM, CR0_NW, CR0_CD, CR0_PG };
	const uint64_t ours = CR0_NE | CR0_NW | CR0_CD;

	for (unsigned int set = 0; set < 1U << COUNT_OF(bits); set++) {
		uint64_t value = 0;

		for (size_t i = 0; i < COUNT_OF(bits); i++)
			value |= set & 1U << i ? bits[i] : 0;
		cr_set_cr0(value);
		assert_int_equal(guest_reads_cr0(), value);
		assert_int_equal(vmcs_read(VMCS_CR0_GUEST_HOST_MASK), ours);
		assert_int_equal(vmcs_read(VMCS_GUEST_CR0), (value & ~ours) | CR0_NE);
	}
}

/* A processor whose VMX demands more than NE. */
TEST(cr0_of_a_demanding_processor)
{
	machine.cr0_fixed0 |= CR0_WP;
	cr_set_cr0(CR0_PE);
	assert_int_equal(guest_reads_cr0(), CR0_PE);
	assert_int_equal(vmcs_read(VMCS_GUEST_CR0), CR0_PE | CR0_NE | CR0_WP);
}

/* The state in which the guest executes its MOV to CR0. */
struct before {
	bool pg, lme, pae, cs_l, pcide, tss_16;
};

static struct before before_of(unsigned int set)
{
	return (struct before){ .pg = set & 1,
				.lme = set & 2,
				.pae = set & 4,
				.cs_l = set & 8,
				.pcide = set & 16,
				.tss_16 = set & 32 };
}

static uint64_t enter_state(const struct before *state)
{
	const uint64_t cr0 = CR0_ET | CR0_PE | (state->pg ? CR0_PG : 0);
	const bool lma = state->lme && state->pg;

	set_up(NULL);
	cr_set_cr0(cr0);
	model_set(VMCS_GUEST_EFER, (state->lme ? EFER_LME : 0) | (lma ? EFER_LMA : 0));
	model_set(VMCS_ENTRY_CONTROLS, ENTRY_LOAD_EFER | (lma ? ENTRY_IA32E_GUEST : 0));
	model_set(VMCS_GUEST_CR4,
		  (state->pae ? CR4_PAE : 0) | (state->pcide ? CR4_PCIDE : 0) | CR4_VMXE);
	model_set(VMCS_GUEST_CR3, TABLE_AT);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS,
		  state->cs_l ? ACCESS_RIGHTS_CODE64 : ACCESS_RIGHTS_CODE32);
	model_set(VMCS_GUEST_TR_ACCESS_RIGHTS, state->tss_16 ? TSS_16 : ACCESS_RIGHTS_TSS_BUSY);
	return cr0;
}

/* SDM 2B, "MOV - Move to/from Control Registers", exceptions in protected and 64-bit mode. */
static bool faults(const struct before *state, uint64_t value)
{
	const bool pg = value & CR0_PG;

	/* 64-bit mode has more of the register. */
	if (state->cs_l && state->lme && state->pg) {
		if (value >> 32)
			return true;
	} else {
		value = (uint32_t)value;
	}
	if (pg && !(value & CR0_PE))
		return true;
	if ((value & CR0_NW) && !(value & CR0_CD))
		return true;
	if (pg && !state->pg && state->lme)
		return !state->pae || state->cs_l || state->tss_16;
	if (!pg && state->pg)
		return state->pcide || (state->lme && state->cs_l);
	return false;
}

static bool can_be(const struct before *state)
{
	const bool lma = state->lme && state->pg;

	return (!state->pcide || lma) && (!lma || (state->pae && !state->tss_16));
}

static void check_mov_to_cr0(const struct before *state, uint64_t value)
{
	enter_state(state);
	if (!mov_to_cr(0, value)) {
		assert_true(faults(state, value));
		return;
	}
	assert_false(faults(state, value));
	assert_int_equal(guest_reads_cr0(), (uint32_t)value | CR0_ET);
	assert_int_equal(vmcs_read(VMCS_GUEST_CR0) & (CR0_CD | CR0_NW | CR0_NE), CR0_NE);
	assert_int_equal(vmcs_read(VMCS_GUEST_EFER),
			 (state->lme ? EFER_LME : 0) |
				 (state->lme && (value & CR0_PG) ? EFER_LMA : 0));
	assert_int_equal(vmcs_read(VMCS_ENTRY_CONTROLS),
			 ENTRY_LOAD_EFER |
				 (state->lme && (value & CR0_PG) ? ENTRY_IA32E_GUEST : 0));
}

TEST(mov_to_cr0_from_every_state)
{
	static const uint64_t bits[] = { CR0_PE, CR0_NE, CR0_NW, CR0_CD, CR0_PG, 1ULL << 32 };
	unsigned int states = 0;

	for (unsigned int set = 0; set < 64; set++) {
		const struct before before = before_of(set);

		if (!can_be(&before))
			continue;
		states++;
		for (unsigned int wanted = 0; wanted < 1U << COUNT_OF(bits); wanted++) {
			uint64_t value = CR0_WP;

			for (size_t i = 0; i < COUNT_OF(bits); i++)
				value |= wanted & 1U << i ? bits[i] : 0;
			check_mov_to_cr0(&before, value);
		}
	}
	assert_true(states > 20);
}

static const struct before long_mode = { .pg = true, .lme = true, .pae = true, .cs_l = true };

TEST(no_reserved_half_of_cr0)
{
	for (unsigned int bit = 32; bit < 64; bit++) {
		const uint64_t cr0 = enter_state(&long_mode);

		assert_false(mov_to_cr(0, cr0 | 1ULL << bit));
	}
}

/* There the register has no such half: it may hold anything. */
TEST(half_of_cr0_outside_64_bit_mode)
{
	static const struct before others[] = {
		{ .pg = false },
		{ .pg = true },
		{ .pg = true, .pae = true },
		{ .pg = true, .pae = true, .lme = true }, /* compatibility mode */
		{ .cs_l = true }, /* which says nothing outside IA-32e mode */
	};

	for (size_t i = 0; i < COUNT_OF(others); i++) {
		const uint64_t cr0 = enter_state(&others[i]);

		assert_true(mov_to_cr(0, (cr0 ^ CR0_CD) | 0xdeadbeefULL << 32));
		assert_int_equal(guest_reads_cr0(), cr0 ^ CR0_CD);
	}
}

/* ---- PAE paging ---- */

static const struct before pae_off = { .pae = true };
static const struct before pae_on = { .pae = true, .pg = true };

static bool pdptes_are_loaded(void)
{
	for (unsigned int i = 0; i < 4; i++)
		if (vmcs_read((enum vmcs_field)(VMCS_GUEST_PDPTE0 + 2 * i)) != pdptes[i])
			return false;
	return true;
}

static uint64_t with_tables(const struct before *state)
{
	const uint64_t cr0 = enter_state(state);

	for (unsigned int i = 0; i < 4; i++)
		pdptes[i] = 0x100000 * (i + 1) | 1;
	return cr0;
}

TEST(pdptes_are_loaded_with_paging)
{
	uint64_t cr0 = with_tables(&pae_off);

	model_set(VMCS_GUEST_CR3, TABLE_AT | 0x18); /* PWT and PCD */
	assert_true(mov_to_cr(0, cr0 | CR0_PG | CR0_NE));
	assert_true(pdptes_are_loaded());

	cr0 = with_tables(&pae_on);
	assert_true(mov_to_cr(0, cr0 | CR0_CD));
	assert_true(pdptes_are_loaded());
}

TEST(pdptes_are_not_loaded_otherwise)
{
	static const struct before others[] = {
		{ .pae = false, .pg = true },
		{ .pae = true, .lme = true, .pg = true },
		{ .pae = true, .lme = true },
		{ .pae = false },
	};

	for (size_t i = 0; i < COUNT_OF(others); i++) {
		const uint64_t cr0 = with_tables(&others[i]);

		model_set(VMCS_GUEST_CR3, 0); /* where no memory is */
		assert_true(mov_to_cr(0, cr0 | CR0_CD | (others[i].pae ? CR0_PG : 0)));
		assert_int_equal(vmcs_read(VMCS_GUEST_PDPTE0), 0);
	}
	/* Neither does a change of NE only. */
	assert_true(mov_to_cr(0, with_tables(&pae_on) | CR0_NE));
	assert_int_equal(vmcs_read(VMCS_GUEST_PDPTE0), 0);
}

TEST(bad_pdptes_fault)
{
	for (unsigned int entry = 0; entry < 4; entry++)
		for (unsigned int bit = 0; bit < 64; bit++) {
			const uint64_t cr0 = with_tables(&pae_off);
			const bool reserved = (0x1e6ULL >> bit & 1) || bit >= ADDRESS_BITS;

			pdptes[entry] |= 1ULL << bit;
			assert_int_equal(mov_to_cr(0, cr0 | CR0_PG | CR0_NE), !reserved);
			/* One that is not present may hold anything. */
			with_tables(&pae_off);
			pdptes[entry] = (1ULL << bit) & ~1ULL;
			assert_true(mov_to_cr(0, cr0 | CR0_PG | CR0_NE));
		}
	with_tables(&pae_off);
	model_set(VMCS_GUEST_CR3, TABLE_AT + 32);
	assert_false(mov_to_cr(0, CR0_PE | CR0_PG | CR0_NE));
}

/* ---- CR4 ---- */

/* Bit 32 is CR4.FRED: no 32-bit half may lose it. */
TEST(cr4_has_64_bits)
{
	vcpu.guest_cr4_allowed = CR4_PAE | CR4_FRED;
	cr_set_cr4(&vcpu, CR4_PAE | CR4_FRED);
	assert_int_equal(vmcs_read(VMCS_GUEST_CR4), CR4_PAE | CR4_FRED | CR4_VMXE);
	assert_int_equal(vmcs_read(VMCS_CR4_GUEST_HOST_MASK), ~(CR4_PAE | CR4_FRED));
	assert_int_equal(guest_reads_cr4(), CR4_PAE | CR4_FRED);

	vcpu.guest_cr4_allowed = CR4_PAE;
	cr_set_cr4(&vcpu, CR4_PAE);
	assert_int_equal(vmcs_read(VMCS_GUEST_CR4), CR4_PAE | CR4_VMXE);
	assert_true(vmcs_read(VMCS_CR4_GUEST_HOST_MASK) & CR4_FRED);
	assert_int_equal(guest_reads_cr4(), CR4_PAE);
}

TEST(bits_of_cr4_that_the_guest_must_not_set)
{
	vcpu.guest_cr4_allowed = CR4_PAE;
	cr_set_cr4(&vcpu, CR4_PAE);
	assert_false(mov_to_cr(4, CR4_PAE | CR4_VMXE));
	assert_false(mov_to_cr(4, CR4_PAE | CR4_FRED));
}

/* ---- CR8, XCR0, the unexpected ---- */

/* With VPIDs no exit does that. */
TEST(translations_are_flushed_with_paging)
{
	const uint64_t off = CR0_ET | CR0_PE;

	machine.controls.proc2 = PROC2_VPID;
	cr_set_cr0(off | CR0_PG);
	model_set(VMCS_GUEST_CR4, 0);
	assert_true(mov_to_cr(0, off | CR0_PG | CR0_CD));
	assert_int_equal(model.invvpids, 0);
	assert_true(mov_to_cr(0, off));
	assert_int_equal(model.invvpids, 1);
	assert_true(mov_to_cr(0, off | CR0_PG | CR0_CD));
	assert_int_equal(model.invvpids, 2);
	machine.controls.proc2 = 0;
	assert_true(mov_to_cr(0, off));
	assert_int_equal(model.invvpids, 2);
}

TEST(cr4_of_a_guest_with_software_fred)
{
	vm.fred = FRED_BACKEND_SOFT;
	vcpu.guest_cr4_allowed = CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE;
	machine.controls.proc2 = PROC2_VPID;
	cr_set_cr4(&vcpu, CR4_PAE);
	model_set(VMCS_GUEST_EFER, EFER_LME | EFER_LMA);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE32);
	assert_false(mov_to_cr(4, CR4_PAE | CR4_FRED));
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE64);
	model_set(VMCS_GUEST_CR3, 0x1001);
	assert_false(mov_to_cr(4, CR4_FRED));
	assert_false(mov_to_cr(4, CR4_PAE | CR4_FRED | CR4_LA57));
	assert_false(mov_to_cr(4, CR4_PAE | CR4_FRED | CR4_PCIDE));
	assert_false(mov_to_cr(4, CR4_PAE | CR4_FRED | CR4_VMXE));
	assert_true(mov_to_cr(4, CR4_PAE | CR4_FRED));
	assert_int_equal(soft_fred, 1);
	assert_int_equal(guest_reads_cr4(), CR4_PAE | CR4_FRED);
	assert_int_equal(vmcs_read(VMCS_GUEST_CR4), CR4_PAE | CR4_VMXE);
	assert_int_equal(model.invvpids, 0);
	assert_true(mov_to_cr(4, CR4_PAE | CR4_PGE));
	assert_int_equal(soft_fred, 0);
	assert_int_equal(guest_reads_cr4(), CR4_PAE | CR4_PGE);
	assert_int_equal(model.invvpids, 1);
	vm.fred = FRED_BACKEND_NONE;
	assert_false(mov_to_cr(4, CR4_PAE | CR4_FRED));
}

TEST(cr8)
{
	for (uint64_t value = 0; value < 16; value++) {
		assert_true(mov_to_cr(8, value));
		assert_int_equal(vcpu.cr8, value);
		gprs[3] = ~0ULL;
		model_set(VMCS_EXIT_QUALIFICATION, 8 | CR_ACCESS_MOV_FROM << 4 | 3 << 8);
		handle_cr_access(&vcpu);
		assert_int_equal(gprs[3], value);
	}
	assert_int_equal(model.skips, 32);
	for (unsigned int bit = 4; bit < 64; bit++)
		assert_false(mov_to_cr(8, 1ULL << bit));
	assert_int_equal(vcpu.cr8, 15);
}

static void check_unexpected(uint64_t qualification)
{
	model_set(VMCS_EXIT_QUALIFICATION, qualification);
	memset(&vcpu.end, 0, sizeof(vcpu.end));
	handle_cr_access(&vcpu);
	assert_string_equal(vcpu.end.reason, "cr-access");
}

TEST(unexpected_accesses_end_the_guest)
{
	check_unexpected(3);
	check_unexpected(3 | CR_ACCESS_MOV_FROM << 4);
	check_unexpected(CR_ACCESS_CLTS << 4);
	check_unexpected(CR_ACCESS_LMSW << 4);
}

static bool xsetbv(uint64_t xcr, uint64_t value)
{
	const unsigned int skips = model.skips;

	vcpu.regs = (struct guest_regs){ .rcx = xcr,
					 .rax = 0xdeadULL << 32 | (uint32_t)value,
					 .rdx = value >> 32 };
	handle_xsetbv(&vcpu);
	return model.skips == skips + 1;
}

TEST(xsetbv_of_supported_states)
{
	assert_true(xsetbv(0, XCR0_X87 | XCR0_SSE));
	assert_int_equal(model.xcr0, XCR0_X87 | XCR0_SSE);
	assert_false(xsetbv(0, XCR0_X87 | 1ULL << 9));
	assert_false(xsetbv(0, XCR0_X87 | 1ULL << 62));
	assert_false(xsetbv(1, XCR0_X87));
	model.refuses = true; /* the processor knows better: AVX without SSE */
	assert_false(xsetbv(0, XCR0_X87 | XCR0_AVX));
	assert_int_equal(model.xcr0, XCR0_X87 | XCR0_SSE);
	assert_int_equal(model.gps, 4);
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(cr0_as_the_guest_reads_it),
		RUN(cr0_of_a_demanding_processor),
		RUN(mov_to_cr0_from_every_state),
		RUN(no_reserved_half_of_cr0),
		RUN(half_of_cr0_outside_64_bit_mode),
		RUN(pdptes_are_loaded_with_paging),
		RUN(pdptes_are_not_loaded_otherwise),
		RUN(bad_pdptes_fault),
		RUN(cr4_has_64_bits),
		RUN(bits_of_cr4_that_the_guest_must_not_set),
		RUN(translations_are_flushed_with_paging),
		RUN(cr4_of_a_guest_with_software_fred),
		RUN(cr8),
		RUN(unexpected_accesses_end_the_guest),
		RUN(xsetbv_of_supported_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
