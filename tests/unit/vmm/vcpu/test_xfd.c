/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/vcpu/xfd.c: IA32_XFD_ERR still has the value of an earlier #NM, and only XFD's own #NM may
 * get it as event data.
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "tests/unit/model/model.h"
#include "vmm/host/capabilities.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/vcpu/xfd.h"
#include "vmm/vmx/vmcs.h"

#define LAST MODEL_XFD

static const uint8_t *code;
static unsigned int code_size;

unsigned int guest_read_code(const struct vm *vm __attribute__((unused)), uint8_t *bytes)
{
	memcpy(bytes, code, code_size);
	return code_size;
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	machine.has_xfd = true;
	model_set_msr(MSR_IA32_XFD_ERR, LAST);
	model_set(VMCS_GUEST_CR0, CR0_PE | CR0_PG | CR0_NE);
	model_set(VMCS_GUEST_EFER, EFER_LME | EFER_LMA);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE64);
	code_size = 0;
	return 0;
}

#define DATA(...)                                                \
	({                                                       \
		static const uint8_t bytes_[] = { __VA_ARGS__ }; \
		code = bytes_;                                   \
		code_size = sizeof(bytes_);                      \
		xfd_of_exit(NULL);                               \
	})
#define TILEZERO  0xc4, 0xe2, 0x7b, 0x49, 0xc0
#define FNINIT	  0xdb, 0xe3
#define FLD1	  0xd9, 0xe8
#define FADD_MEM  0xdc, 0x07
#define FXSAVE	  0x0f, 0xae, 0x07
#define FXRSTOR64 0x48, 0x0f, 0xae, 0x0f
#define XRSTOR	  0x0f, 0xae, 0x2f
#define EVEX_MOV  0x62, 0xf1, 0x7c, 0x48, 0x28, 0xc1

TEST(without_em_it_is_xfds)
{
	assert_int_equal(DATA(TILEZERO), LAST);
}

TEST(with_ts_it_is_not)
{
	model.fields[VMCS_GUEST_CR0] |= CR0_TS;
	assert_int_equal(DATA(TILEZERO), 0);
	model.fields[VMCS_GUEST_CR0] |= CR0_EM;
	assert_int_equal(DATA(TILEZERO), 0);
}

TEST(with_em_the_instruction_tells)
{
	model.fields[VMCS_GUEST_CR0] |= CR0_EM;
	assert_int_equal(DATA(FNINIT), 0);
	assert_int_equal(DATA(FLD1), 0);
	assert_int_equal(DATA(FADD_MEM), 0);
	assert_int_equal(DATA(FXSAVE), 0);
	assert_int_equal(DATA(FXRSTOR64), 0);
	assert_int_equal(DATA(0x65, 0x67, 0x41, FADD_MEM), 0);
	assert_int_equal(DATA(TILEZERO), LAST);
	assert_int_equal(DATA(EVEX_MOV), LAST);
	assert_int_equal(DATA(XRSTOR), LAST);
	assert_int_equal(DATA(0x48, XRSTOR), LAST);
}

/* 4xH is INC and DEC there, which raise no #NM; x87 behind segment prefixes does. */
TEST(outside_of_64_bit_mode)
{
	model.fields[VMCS_GUEST_CR0] |= CR0_EM;
	model_set(VMCS_GUEST_EFER, 0);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE32);
	assert_int_equal(DATA(0x2e, FADD_MEM), 0);
	assert_int_equal(DATA(0x48, FNINIT), LAST);
	assert_int_equal(DATA(EVEX_MOV), LAST);
}

TEST(code_that_is_gone)
{
	model.fields[VMCS_GUEST_CR0] |= CR0_EM;
	code_size = 0;
	assert_int_equal(xfd_of_exit(NULL), 0);
	assert_int_equal(DATA(0x66, 0x66), 0);
	assert_int_equal(DATA(0x0f), LAST);
}

TEST(without_the_msr)
{
	machine.has_xfd = false;
	assert_int_equal(DATA(TILEZERO), 0);
	assert_int_equal(model.msr_reads, 0);
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(without_em_it_is_xfds),
		RUN(with_ts_it_is_not),
		RUN(with_em_the_instruction_tells),
		RUN(outside_of_64_bit_mode),
		RUN(code_that_is_gone),
		RUN(without_the_msr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
