/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/vcpu/guest_walk.c: a guest's code, found through page tables of each kind (SDM 3A, 5.3
 * to 5.5).
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "tests/unit/model/model.h"
#include "vmm/soft/operands.h"
#include "vmm/vmx/ept.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

#define RAM_SIZE   0x800000ULL
#define PAGE	   0x1000ULL
#define CR3	   0x1020ULL /* of PAE: 32-byte aligned */
#define TABLE_2	   0x2000ULL
#define TABLE_3	   0x3000ULL
#define TABLE_4	   0x4000ULL
#define CODE	   0x5000ULL
#define PRESENT	   1ULL
#define LARGE	   0x80ULL
#define FIRST_BYTE 0xc7

static uint8_t ram[RAM_SIZE];
static struct vm vm;

void *guest_memory(const struct vm *of __attribute__((unused)), uint64_t guest_physical,
		   uint64_t size)
{
	return guest_physical <= RAM_SIZE && size <= RAM_SIZE - guest_physical
		       ? ram + guest_physical
		       : NULL;
}

static void put(uint64_t address, uint64_t entry, size_t size)
{
	memcpy(ram + address, &entry, size);
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(ram, 0, sizeof(ram));
	for (unsigned int i = 0; i < INSTRUCTION_MAX; i++)
		ram[CODE + i] = (uint8_t)(FIRST_BYTE + i);
	vmcs_write(VMCS_GUEST_CR0, CR0_PE | CR0_ET | CR0_NE | CR0_PG);
	vmcs_write(VMCS_GUEST_CR3, CR3);
	vmcs_write(VMCS_GUEST_EFER, 0);
	vmcs_write(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE32);
	vmcs_write(VMCS_GUEST_CS_BASE, 0);
	return 0;
}

static void expect_code(uint64_t rip, unsigned int size)
{
	uint8_t bytes[INSTRUCTION_MAX];

	vmcs_write(VMCS_GUEST_RIP, rip);
	assert_int_equal(guest_read_code(&vm, bytes), size);
	assert_memory_equal(bytes, ram + CODE, size);
}

TEST(no_paging)
{
	vmcs_write(VMCS_GUEST_CR0, CR0_PE | CR0_ET | CR0_NE);
	vmcs_write(VMCS_GUEST_CS_BASE, PAGE);
	expect_code(CODE - PAGE, INSTRUCTION_MAX);
	/* Addresses have 32 bits. */
	vmcs_write(VMCS_GUEST_CS_BASE, 0xfffff000);
	expect_code(CODE + PAGE, INSTRUCTION_MAX);
	expect_code(RAM_SIZE + PAGE, 0);
}

TEST(of_32_bits)
{
	vmcs_write(VMCS_GUEST_CR4, 0);
	put(0x1000 + 4 * 0x3ff, TABLE_2 | PRESENT, 4);
	put(TABLE_2 + 4 * 0x3fe, CODE | PRESENT, 4);
	expect_code(0xffffe000, INSTRUCTION_MAX);
	/* The last bytes of a page, and none on the next. */
	memcpy(ram + CODE + PAGE - 2, ram + CODE, 2);
	expect_code(0xffffeffe, 2);
	expect_code(0xffffd000, 0);
	expect_code(0x1000, 0);
}

TEST(of_4_mib)
{
	vmcs_write(VMCS_GUEST_CR4, CR4_PSE);
	put(0x1000 + 4 * 0x300, LARGE | PRESENT, 4);
	expect_code(0xc0000000 + CODE, INSTRUCTION_MAX);
	/* Bits 39:32 of the page are in bits 20:13: there is no memory. */
	put(0x1000 + 4 * 0x300, LARGE | PRESENT | 1U << 13, 4);
	expect_code(0xc0000000 + CODE, 0);
}

TEST(without_pse_the_bit_means_nothing)
{
	vmcs_write(VMCS_GUEST_CR4, 0);
	put(0x1000, TABLE_2 | LARGE | PRESENT, 4);
	put(TABLE_2 + 4, CODE | PRESENT, 4);
	expect_code(PAGE, INSTRUCTION_MAX);
}

TEST(of_pae)
{
	vmcs_write(VMCS_GUEST_CR4, CR4_PAE);
	put(CR3 + 8 * 3, TABLE_2 | PRESENT, 8);
	put(TABLE_2 + 8 * 0x1ff, TABLE_3 | PRESENT, 8);
	put(TABLE_3 + 8 * 0x1fe, CODE | PRESENT | 1ULL << 63, 8);
	expect_code(0xffffe000, INSTRUCTION_MAX);
	put(TABLE_2 + 8, LARGE | PRESENT, 8);
	expect_code(0xc0200000 + CODE, INSTRUCTION_MAX);
	expect_code(0x1000, 0);
}

/* An instruction that goes around the end of the 4 GiB, with PAE and in compatibility mode. */
TEST(code_wraps_at_4_gib)
{
	memcpy(ram + CODE + PAGE - 2, ram + CODE, 2);
	memcpy(ram + CODE + PAGE, ram + CODE + 2, INSTRUCTION_MAX - 2);
	vmcs_write(VMCS_GUEST_CR4, CR4_PAE);
	put(CR3, TABLE_2 | PRESENT, 8);
	put(CR3 + 8 * 3, TABLE_2 | PRESENT, 8);
	put(TABLE_2, TABLE_3 | PRESENT, 8);
	put(TABLE_2 + 8 * 0x1ff, TABLE_3 | PRESENT, 8);
	put(TABLE_3, (CODE + PAGE) | PRESENT, 8);
	put(TABLE_3 + 8 * 0x1ff, CODE | PRESENT, 8);
	expect_code(0xfffffffe, INSTRUCTION_MAX);
	vmcs_write(VMCS_GUEST_EFER, EFER_LME | EFER_LMA);
	vmcs_write(VMCS_GUEST_CR3, TABLE_4);
	put(TABLE_4, 0x1000 | PRESENT, 8);
	put(0x1000, TABLE_2 | PRESENT, 8);
	put(0x1000 + 8 * 3, TABLE_2 | PRESENT, 8);
	expect_code(0xfffffffe, INSTRUCTION_MAX);
}

TEST(of_64_bits)
{
	vmcs_write(VMCS_GUEST_CR4, CR4_PAE);
	vmcs_write(VMCS_GUEST_EFER, EFER_LME | EFER_LMA);
	vmcs_write(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE64);
	vmcs_write(VMCS_GUEST_CS_BASE, PAGE); /* means nothing there */
	put(0x1000 + 8 * 0x1ff, TABLE_2 | PRESENT, 8);
	put(TABLE_2 + 8 * 0x1fe, TABLE_3 | PRESENT, 8);
	put(TABLE_3, TABLE_4 | PRESENT, 8);
	put(TABLE_4 + 8, CODE | PRESENT, 8);
	expect_code(0xffffffff80001000, INSTRUCTION_MAX);
	put(TABLE_3 + 8, LARGE | PRESENT, 8);
	expect_code(0xffffffff80200000 + CODE, INSTRUCTION_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(no_paging, set_up),
		cmocka_unit_test_setup(of_32_bits, set_up),
		cmocka_unit_test_setup(of_4_mib, set_up),
		cmocka_unit_test_setup(without_pse_the_bit_means_nothing, set_up),
		cmocka_unit_test_setup(of_pae, set_up),
		cmocka_unit_test_setup(code_wraps_at_4_gib, set_up),
		cmocka_unit_test_setup(of_64_bits, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
