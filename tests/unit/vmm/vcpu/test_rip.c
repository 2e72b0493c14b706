/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/vcpu/rip.c: what an instruction that exited leaves behind, and what an exception does in its
 * place.
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "tests/unit/model/model.h"
#include "vmm/vcpu/event.h"
#include "vmm/vcpu/rip.h"
#include "vmm/vcpu/vcpu.h"

#define LENGTH 3
#define RIP    0x401000ULL
#define END    (1ULL << 32)

static struct vcpu vcpu;
static struct event queued;

void event_queue(struct vcpu *of, struct event event)
{
	assert_ptr_equal(of, &vcpu);
	queued = event;
}

struct event event_exception(uint8_t vector)
{
	return (struct event){ .type = EVENT_HARDWARE_EXCEPTION, .vector = vector };
}

struct event event_exception_error(uint8_t vector, uint32_t error_code)
{
	return (struct event){ .type = EVENT_HARDWARE_EXCEPTION,
			       .vector = vector,
			       .has_error_code = true,
			       .error_code = error_code };
}

static void in_mode(bool long_mode, bool code64)
{
	model_set(VMCS_GUEST_EFER, long_mode ? EFER_LME | EFER_LMA : 0);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS,
		  code64 ? ACCESS_RIGHTS_CODE64 : ACCESS_RIGHTS_CODE32);
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(&queued, 0, sizeof(queued));
	in_mode(true, true);
	model_set(VMCS_GUEST_RIP, RIP);
	model_set(VMCS_EXIT_INSTRUCTION_LENGTH, LENGTH);
	return 0;
}

TEST(goes_on_behind_the_instruction)
{
	skip_instruction();
	assert_int_equal(vmcs_read(VMCS_GUEST_RIP), RIP + LENGTH);
	skip_bytes(1);
	assert_int_equal(vmcs_read(VMCS_GUEST_RIP), RIP + LENGTH + 1);
	assert_int_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
}

TEST(an_instruction_ends_shadows)
{
	model_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI | INTERRUPTIBILITY_NMI);
	skip_instruction();
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
}

TEST(an_instruction_is_a_step)
{
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_TF);
	skip_instruction();
	assert_int_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_DEBUG_BS);
	model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	model_set(VMCS_GUEST_DEBUGCTL, DEBUGCTL_BTF);
	skip_instruction();
	assert_int_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
}

/* In all modes but 64-bit mode the next instruction is that at 0, or the one behind it. */
TEST(rip_wraps_outside_64_bit_mode)
{
	for (unsigned int mode = 0; mode < 3; mode++)
		for (uint64_t length = 1; length <= 15; length++)
			for (uint64_t rip = END - length; rip < END; rip++) {
				in_mode(mode & 1, mode == 2);
				model_set(VMCS_GUEST_RIP, rip);
				rip_skip(length);
				assert_true(rip_wrap());
				assert_int_equal(vmcs_read(VMCS_GUEST_RIP), rip + length - END);
				assert_false(rip_wrap());
			}
}

TEST(rip_of_64_bit_code_does_not_wrap)
{
	model_set(VMCS_GUEST_RIP, END - 1);
	skip_instruction();
	assert_false(rip_wrap());
	assert_int_equal(vmcs_read(VMCS_GUEST_RIP), END - 1 + LENGTH);
}

/* Whatever else VM entry refuses is not made to look right. */
TEST(other_values_of_rip_are_left_alone)
{
	static const uint64_t values[] = { RIP, END - 1, END + 15, 2 * END, ~0ULL };

	in_mode(true, false);
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		model_set(VMCS_GUEST_RIP, values[i]);
		assert_false(rip_wrap());
		assert_int_equal(vmcs_read(VMCS_GUEST_RIP), values[i]);
	}
}

TEST(exceptions_are_faults)
{
	raise_ud(&vcpu);
	assert_int_equal(queued.vector, VECTOR_UD);
	assert_true(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_RF);
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED);
	raise_gp(&vcpu);
	assert_int_equal(queued.vector, VECTOR_GP);
	assert_true(queued.has_error_code);
	assert_true(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_RF);
	assert_int_equal(vmcs_read(VMCS_GUEST_RIP), RIP);
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(goes_on_behind_the_instruction),
		RUN(an_instruction_ends_shadows),
		RUN(an_instruction_is_a_step),
		RUN(rip_wraps_outside_64_bit_mode),
		RUN(rip_of_64_bit_code_does_not_wrap),
		RUN(other_values_of_rip_are_left_alone),
		RUN(exceptions_are_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
