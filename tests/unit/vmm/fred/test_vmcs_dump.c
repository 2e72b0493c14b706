/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/fred/vmcs_dump.c: what a dump says of FRED, in words; and that no field is left out.
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "tests/unit/model/model.h"
#include "vmm/host/cpu.h"
#include "vmm/fred/native.h"
#include "vmm/fred/vmcs_dump.h"
#include "vmm/host/capabilities.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/exit_names.h"
#include "vmm/vmx/vmcs.h"

#define LINUX_STKLVLS 0x2000030024ULL /* #DB 1, NMI 2, #MC 2, #DF 3 */

static struct vm vm;
static struct vcpu vcpu;
static struct fred_state fred;
static struct vmx_msr_entry area[1];

void fred_read_state(struct vcpu *of, struct fred_state *state)
{
	assert_ptr_equal(of, &vcpu);
	*state = fred;
}

const char *exit_reason_name(uint32_t reason)
{
	return (reason & 0xffff) == EXIT_REASON_EPT_VIOLATION ? "EPT violation" : "other";
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&vm, 0, sizeof(vm));
	memset(&fred, 0, sizeof(fred));
	vm.fred = FRED_BACKEND_NATIVE;
	vcpu.vm = &vm;
	model_cpu.vcpu = &vcpu;
	return 0;
}

/* The line that begins with this name, without name and value. */
static const char *words(const char *name)
{
	static char line[512];
	char start[64];
	const char *found;

	model.log_length = 0;
	vmcs_dump();
	snprintf(start, sizeof(start), "  %-32s ", name);
	found = strstr(model.log, start);
	if (!found)
		fail_msg("no line of %s", name);
	found += strlen(start) + 16;
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(found, "\n"), found);
	return line;
}

TEST(every_field_has_a_line)
{
#define IN_CONTROL(name)	     words(name)
#define IN_EXIT_INFO(name)	     words(name)
#define IN_GUEST(name)		     words(name)
#define IN_HOST(name)		     words(name)
#define IN_UNUSED(name)		     assert_null(strstr(model.log, name))
#define FIELD(name, encoding, group) IN_##group(#name);
#include "lib/x86/vmcs_fields.h"
#undef FIELD
}

TEST(absent_fields_have_none)
{
	model.absent[VMCS_GUEST_FRED_CONFIG] = true;
	words("GUEST_FRED_STKLVLS");
	assert_false(model_logged("GUEST_FRED_CONFIG"));
}

TEST(controls)
{
	model_set(VMCS_ENTRY_CONTROLS, ENTRY_LOAD_FRED | ENTRY_LOAD_CET | ENTRY_IA32E_GUEST);
	assert_string_equal(words("ENTRY_CONTROLS"), " ia32e-guest load-cet load-fred");
	model_set(VMCS_EXIT_CONTROLS, EXIT_SECONDARY | EXIT_LOAD_CET | EXIT_HOST_64BIT);
	assert_string_equal(words("EXIT_CONTROLS"), " host-64bit load-cet secondary");
	model_set(VMCS_SECONDARY_EXIT_CONTROLS, EXIT2_LOAD_FRED | EXIT2_SAVE_FRED);
	assert_string_equal(words("SECONDARY_EXIT_CONTROLS"), " save-fred load-fred");
	model_set(VMCS_GUEST_CR4, CR4_FRED);
	assert_string_equal(words("GUEST_CR4"), " fred");
}

TEST(config)
{
	model_set(VMCS_GUEST_FRED_CONFIG, 0xffffffff81a01000ULL | 2 << 9 | 1 << 6 | 3);
	assert_string_equal(
		words("GUEST_FRED_CONFIG"),
		" entry 0xffffffff81a01000, level 3, red zone 64 bytes, interrupts at level 2");
	model_set(VMCS_HOST_FRED_CONFIG, 7 << 6 | FRED_CONFIG_SSP_ADJUST);
	assert_string_equal(
		words("HOST_FRED_CONFIG"),
		" entry 0x0, level 0, red zone 448 bytes, interrupts at level 0, SSP adjusted");
}

TEST(stack_levels)
{
	model_set(VMCS_GUEST_FRED_STKLVLS, LINUX_STKLVLS);
	assert_string_equal(words("GUEST_FRED_STKLVLS"), " #DB->1 NMI->2 #DF->3 #MC->2");
	model_set(VMCS_HOST_FRED_STKLVLS, FRED_STKLVL(9, 1) | FRED_STKLVL(31, 2));
	assert_string_equal(words("HOST_FRED_STKLVLS"), " 9->1 31->2");
	model_set(VMCS_HOST_FRED_STKLVLS, ~0ULL);
	assert_non_null(strstr(words("HOST_FRED_STKLVLS"), " 30->3 31->3"));
}

TEST(events)
{
	static const struct {
		uint32_t info;
		const char *words;
	} events[] = {
		{ 0x0000030e, "" },
		{ 0x80000b0e, " #PF, vector 14, error code" },
		{ 0x80002b0e, " #PF, vector 14, error code, nested" },
		{ 0x80000309, " hardware exception, vector 9" },
		{ 0x80000202, " NMI, vector 2" },
		{ 0x80000020, " external interrupt, vector 32" },
		{ 0x80000480, " software interrupt, vector 128" },
		{ 0x80000501, " privileged software exception, vector 1" },
		{ 0x80000603, " software exception, vector 3" },
		{ 0x80000700, " MTF, vector 0" },
		{ 0x80000701, " SYSCALL, vector 1" },
		{ 0x80000702, " SYSENTER, vector 2" },
		{ 0x80000703, " other event, vector 3" },
	};

	for (size_t i = 0; i < COUNT_OF(events); i++) {
		model_set(VMCS_ENTRY_INTERRUPTION_INFO, events[i].info);
		assert_string_equal(words("ENTRY_INTERRUPTION_INFO"), events[i].words);
		model_set(VMCS_IDT_VECTORING_INFO, events[i].info);
		assert_string_equal(words("IDT_VECTORING_INFO"), events[i].words);
		model_set(VMCS_EXIT_INTERRUPTION_INFO, events[i].info);
		assert_string_equal(words("EXIT_INTERRUPTION_INFO"), events[i].words);
	}
}

TEST(event_data)
{
	static const struct {
		uint32_t info;
		const char *words;
	} events[] = {
		{ 0x0000030e, " of an earlier event" },
		{ 0x80000b0e, " of #PF: linear address" },
		{ 0x80000301, " of #DB: causes" },
		{ 0x80000307, " of #NM: IA32_XFD_ERR" },
		{ 0x80000306, " of #UD" },
		{ 0x80000701, " of SYSCALL" },
		{ 0x80000501, " of privileged software exception" },
	};

	for (size_t i = 0; i < COUNT_OF(events); i++) {
		model_set(VMCS_ENTRY_INTERRUPTION_INFO, events[i].info);
		model_set(VMCS_IDT_VECTORING_INFO, 0);
		assert_string_equal(words("INJECTED_EVENT_DATA"), events[i].words);
		assert_string_equal(words("ORIGINAL_EVENT_DATA"), " of an earlier event");
		model_set(VMCS_ENTRY_INTERRUPTION_INFO, 0);
		model_set(VMCS_IDT_VECTORING_INFO, events[i].info);
		assert_string_equal(words("ORIGINAL_EVENT_DATA"), events[i].words);
	}
}

TEST(what_the_vmcs_does_not_hold)
{
	fred.rsp[0] = 0xffff888000001fc0ULL;
	fred.ssp[0] = 0x12345678;
	words("IA32_FRED_RSP0");
	assert_true(model_logged("IA32_FRED_RSP0                   ffff888000001fc0\n"));
	assert_true(model_logged("IA32_PL0_SSP                     0000000012345678\n"));
	assert_false(model_logged("MSR areas"));
}

TEST(msr_areas)
{
	vcpu.fred_area = area;
	fred.config = 0x5000 | 1;
	fred.stklvls = LINUX_STKLVLS;
	fred.rsp[2] = 0x222240;
	fred.ssp[2] = 0x888;
	assert_string_equal(words("IA32_FRED_CONFIG"),
			    " entry 0x5000, level 1, red zone 0 bytes, interrupts at level 0");
	assert_string_equal(words("IA32_FRED_STKLVLS"), " #DB->1 NMI->2 #DF->3 #MC->2");
	assert_true(
		model_logged("  IA32_FRED_RSP2 0000000000222240, IA32_FRED_SSP2 0000000000000888"));
}

TEST(a_guest_without_fred)
{
	vm.fred = FRED_BACKEND_NONE;
	words("GUEST_CR4");
	assert_false(model_logged("IA32_FRED_RSP0"));
	model_cpu.vcpu = NULL;
	words("GUEST_CR4");
}

TEST(a_failed_write_names_the_field)
{
	jmp_buf end;

	model.end = &end;
	if (setjmp(end) == 0)
		vmcs_write_failed(VMCS_GUEST_FRED_RSP3, 7, "tester");
	model.end = NULL;
	assert_string_equal(model.end_reason, "vmwrite");
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(every_field_has_a_line),
		RUN(absent_fields_have_none),
		RUN(controls),
		RUN(config),
		RUN(stack_levels),
		RUN(events),
		RUN(event_data),
		RUN(what_the_vmcs_does_not_hold),
		RUN(msr_areas),
		RUN(a_guest_without_fred),
		RUN(a_failed_write_names_the_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
