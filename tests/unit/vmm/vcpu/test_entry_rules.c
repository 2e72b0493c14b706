/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/vcpu/entry_rules.c with the rules of VM entry: which events from outside are taken, on
 * processors with and without CET and FRED, and for guests that have FRED by software.
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "tests/unit/model/model.h"
#include "vmm/base/memory.h"
#include "vmm/host/capabilities.h"
#include "vmm/host/x86.h"
#include "vmm/vcpu/entry_rules.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

static struct vcpu vcpu;
static bool has_cet;

struct cpuid_leaf cpuid(uint32_t leaf, uint32_t subleaf __attribute__((unused)))
{
	return (struct cpuid_leaf){ .ecx = leaf == 7 && has_cet ? CPUID_7_ECX_SHSTK : 0,
				    .edx = leaf == 0x80000001 ? CPUID_80000001_EDX_NX : 0 };
}

void *phys_to_virt(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

bool memory_is_mapped(const void *address __attribute__((unused)),
		      uint64_t size __attribute__((unused)))
{
	return false;
}

/* What event.c calls for events that are delivered. */
bool guest_read_linear(const struct vm *of __attribute__((unused)),
		       uint64_t linear __attribute__((unused)), void *to __attribute__((unused)),
		       uint64_t size __attribute__((unused)))
{
	return false;
}

void soft_fred_deliver(struct vcpu *of __attribute__((unused)),
		       const struct event *event __attribute__((unused)))
{
	fail();
}

/* A processor without CET and FRED, which has an error code where the vector has one. */
static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(&vcpu, 0, sizeof(vcpu));
	has_cet = false;
	model.msr = 0xffffffffULL << 32;
	machine.physical_mask = (1ULL << 40) - 1;
	machine.linear_bits = 48;
	model_set_msr(MSR_IA32_VMX_BASIC, 0);
	model_set_msr(MSR_IA32_VMX_MISC, 7 << 6);
	model_set_msr(MSR_IA32_VMX_EPT_VPID_CAP, EPT_CAP_WALK_4 | EPT_CAP_WRITE_BACK);
	model_set_msr(MSR_IA32_VMX_CR0_FIXED0, CR0_PE | CR0_NE | CR0_PG);
	model_set_msr(MSR_IA32_VMX_CR0_FIXED1, 0xffffffff);
	model_set_msr(MSR_IA32_VMX_CR4_FIXED0, CR4_VMXE);
	model_set_msr(MSR_IA32_VMX_CR4_FIXED1, 0xffffffff);
	model_set(VMCS_PIN_BASED_CONTROLS, PIN_NMI | PIN_VIRTUAL_NMI);
	model_set(VMCS_PROC_BASED_CONTROLS, PROC_SECONDARY);
	model_set(VMCS_SECONDARY_PROC_CONTROLS, PROC2_EPT | PROC2_UNRESTRICTED_GUEST);
	model_set(VMCS_EXIT_CONTROLS, EXIT_HOST_64BIT);
	model_set(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST | ENTRY_LOAD_EFER);
	model_set(VMCS_EPT_POINTER, EPTP_WALK_4 | EPTP_WRITE_BACK);
	model_set(VMCS_HOST_CR0, CR0_PE | CR0_NE | CR0_PG);
	model_set(VMCS_HOST_CR4, CR4_VMXE | CR4_PAE);
	model_set(VMCS_HOST_CS_SELECTOR, 8);
	model_set(VMCS_HOST_TR_SELECTOR, 0x18);
	model_set(VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE);
	model_set(VMCS_GUEST_EFER, EFER_LME | EFER_LMA);
	model_set(VMCS_VMCS_LINK_POINTER, ~0ULL);
	for (unsigned int s = SEG_ES; s <= SEG_GS; s++) {
		model_set(VMCS_SEGMENT(VMCS_GUEST_ES_ACCESS_RIGHTS, s), ACCESS_RIGHTS_DATA);
		model_set(VMCS_SEGMENT(VMCS_GUEST_ES_LIMIT, s), 0xffffffff);
	}
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE64);
	model_set(VMCS_GUEST_LDTR_ACCESS_RIGHTS, ACCESS_RIGHTS_UNUSABLE);
	model_set(VMCS_GUEST_TR_ACCESS_RIGHTS, ACCESS_RIGHTS_TSS_BUSY);
	model_set(VMCS_GUEST_TR_LIMIT, 0x67);
	return 0;
}

static void use_native_fred(void)
{
	model_set_msr(MSR_IA32_VMX_BASIC, VMX_BASIC_ANY_ERROR_CODE | VMX_BASIC_NESTED_EXCEPTION);
	model_set_msr(MSR_IA32_VMX_CR4_FIXED1, 0x1ffffffff);
	model.fields[VMCS_GUEST_CR4] |= CR4_FRED;
}

static void use_soft_fred(void)
{
	model_set(VMCS_CR4_READ_SHADOW, CR4_PAE | CR4_FRED);
}

static struct event exception(unsigned int vector, bool error_code)
{
	return (struct event){ .type = EVENT_HARDWARE_EXCEPTION,
			       .vector = (uint8_t)vector,
			       .has_error_code = error_code };
}

static struct event software(unsigned int type, unsigned int vector, unsigned int length)
{
	return (struct event){ .type = (uint8_t)type,
			       .vector = (uint8_t)vector,
			       .instruction_length = (uint8_t)length };
}

static bool is_taken(struct event event)
{
	return event_is_injectable(&event);
}

static const struct event nmi = { .type = EVENT_NMI, .vector = VECTOR_NMI };
static const struct event interrupt = { .type = EVENT_EXTERNAL_INTERRUPT, .vector = 0x40 };

static bool pushes_error_code(unsigned int vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21;
}

/* ---- Events ---- */

TEST(exceptions)
{
	for (unsigned int vector = 0; vector < 256; vector++) {
		const bool code = vector < 32 && pushes_error_code(vector);

		/* #CP does not exist without CET, with an error code or without. */
		assert_int_equal(is_taken(exception(vector, code)),
				 vector < 32 && vector != VECTOR_CP);
		assert_false(is_taken(exception(vector, !code)));
	}
	has_cet = true;
	assert_true(is_taken(exception(VECTOR_CP, true)));
	assert_false(is_taken(exception(VECTOR_CP, false)));
}

TEST(other_events)
{
	struct event event = nmi;

	assert_true(is_taken(nmi));
	event.vector = 3;
	assert_false(is_taken(event));
	event = nmi;
	event.nested = true;
	assert_false(is_taken(event));
	/* It waits until the guest takes it. */
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED);
	assert_true(is_taken(interrupt));
	event = interrupt;
	event.has_error_code = true;
	assert_false(is_taken(event));
	event.has_error_code = false;
	event.type = 1;
	assert_false(is_taken(event));
	for (unsigned int type = EVENT_SOFTWARE_INTERRUPT; type <= EVENT_SOFTWARE_EXCEPTION; type++)
		for (unsigned int length = 0; length < 20; length++)
			assert_int_equal(is_taken(software(type, 3, length)),
					 length >= 1 && length <= 15);
	event = exception(VECTOR_GP, true);
	event.error_code = 0x10000;
	assert_false(is_taken(event));
}

TEST(real_mode)
{
	model_set(VMCS_GUEST_CR0, CR0_NE);
	assert_true(is_taken(exception(VECTOR_GP, true)));
	assert_true(is_taken(exception(VECTOR_GP, false)));
	assert_false(is_taken(exception(VECTOR_UD, true)));
}

/* What only FRED has, by the processor and by software. */
static void check_fred_events(void (*enable)(void))
{
	struct event event = exception(VECTOR_UD, false);

	event.nested = true;
	set_up(NULL);
	assert_false(is_taken(event));
	assert_false(is_taken(software(EVENT_OTHER, FRED_VECTOR_SYSCALL, 2)));
	enable();
	assert_true(is_taken(event));
	event = exception(VECTOR_DF, true);
	event.nested = true;
	assert_false(is_taken(event));
	for (unsigned int vector = 0; vector < 4; vector++)
		assert_int_equal(is_taken(software(EVENT_OTHER, vector, 2)),
				 vector == FRED_VECTOR_SYSCALL || vector == FRED_VECTOR_SYSENTER);
	/* Processors with FRED do not compare error codes with vectors. */
	assert_true(is_taken(exception(VECTOR_CP, true)));
}

TEST(events_of_fred)
{
	check_fred_events(use_native_fred);
	check_fred_events(use_soft_fred);
}

/* FRED in a guest that is not where FRED can be on: its events would not be delivered. */
static void check_fred_states(void (*enable)(void))
{
	static const struct {
		enum vmcs_field field;
		uint64_t value;
	} states[] = {
		{ VMCS_ENTRY_CONTROLS, ENTRY_LOAD_EFER },
		{ VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE32 },
		{ VMCS_GUEST_SS_ACCESS_RIGHTS, ACCESS_RIGHTS_DATA | 1 << 5 },
	};

	for (size_t i = 0; i < COUNT_OF(states); i++) {
		set_up(NULL);
		model_set(states[i].field, states[i].value);
		assert_true(is_taken(exception(VECTOR_UD, false)));
		enable();
		assert_false(is_taken(exception(VECTOR_UD, false)));
	}
}

TEST(fred_outside_64_bit_mode)
{
	check_fred_states(use_native_fred);
	check_fred_states(use_soft_fred);
}

/* ---- A whole vcpu ---- */

static void expect(const char *words)
{
	const char *const rule = vcpu_broken_rule(&vcpu);

	if (!rule || !strstr(rule, words))
		fail_msg("\"%s\", not \"...%s...\"", rule ? rule : "", words);
}

TEST(vcpus)
{
	assert_null(vcpu_broken_rule(&vcpu));
	use_soft_fred();
	assert_null(vcpu_broken_rule(&vcpu));
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE32);
	expect("CPL 0 in 32-bit code");
	/* The processor itself would not mind. */
	model_set(VMCS_CR4_READ_SHADOW, CR4_PAE);
	assert_null(vcpu_broken_rule(&vcpu));
	model_set(VMCS_GUEST_PAT, 2);
	assert_null(vcpu_broken_rule(&vcpu));
	model.fields[VMCS_ENTRY_CONTROLS] |= ENTRY_LOAD_PAT;
	expect("PAT");
}

/* The event that waits is judged where it will be, not what the last entry left there. */
TEST(waiting_event)
{
	model_set(VMCS_ENTRY_INTERRUPTION_INFO, ~0U);
	assert_null(vcpu_broken_rule(&vcpu));
	vcpu.event = exception(VECTOR_UD, false);
	model_set(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	assert_null(vcpu_broken_rule(&vcpu));
	vcpu.work = WORK_EVENT;
	expect("activity state");
	model_set(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	assert_null(vcpu_broken_rule(&vcpu));
	vcpu.event.error_code = 0x12345;
	assert_null(vcpu_broken_rule(&vcpu)); /* it has none */
	vcpu.event = exception(VECTOR_GP, true);
	assert_null(vcpu_broken_rule(&vcpu));
	vcpu.event.error_code = 0x12345;
	expect("error code");
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(exceptions),
		RUN(other_events),
		RUN(real_mode),
		RUN(events_of_fred),
		RUN(fred_outside_64_bit_mode),
		RUN(vcpus),
		RUN(waiting_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
