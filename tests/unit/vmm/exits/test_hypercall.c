/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/exits/hypercall.c and test_services.c with vmm/vcpu/event.c: what a guest may have injected
 * arrives as it asked for, and what VM entry would refuse is refused; test services are for guests
 * that have them; and nobody's text takes the time of others.
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "tests/unit/model/model.h"
#include "vmm/base/memory.h"
#include "vmm/host/apic.h"
#include "vmm/fred/vmcs_dump.h"
#include "vmm/host/cpu.h"
#include "vmm/end.h"
#include "vmm/run/inject.h"
#include "vmm/run/vm_list.h"
#include "vmm/vcpu/rip.h"
#include "vmm/vmx/ept.h"
#include "vmm/host/errata.h"
#include "vmm/exits/table.h"
#include "vmm/fred/native.h"
#include "vmm/vcpu/guest_walk.h"
#include "lib/hypercall.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/run/sched.h"
#include "vmm/run/startup.h"
#include "vmm/host/smp.h"
#include "vmm/run/snapshot.h"
#include "vmm/vcpu/timer.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/guests/results.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define GARBAGE		  0xdeadbeefcafef00dULL
#define FAULT_ADDRESS	  0xffff8000dead5008ULL
#define CODE(vector)	  (INTERRUPTION_ERROR_CODE_VALID | EXCEPTION(vector))
#define EXCEPTION(vector) (INTERRUPTION_VALID | 3U << 8 | (unsigned int)(vector))
#define OTHER(vector)	  (INTERRUPTION_VALID | 7U << 8 | (unsigned int)(vector))
#define SOFTWARE(vector)  (INTERRUPTION_VALID | 4U << 8 | (unsigned int)(vector))

static struct vm vm;
static struct vcpu vcpu;
static struct vcpu second;
static struct cpu cpu_of_second;
static unsigned int looks;
static struct guest_config config;
static char guest_text[] = "text";
static char *lent; /* at 0x3000 */
static char logged[512], judged[512];
static bool can_snapshot;
static bool apic_is_anothers, shares_processor;
static unsigned int steps, dumps, traces, charges;
static unsigned int yields, guests;
static uint64_t rsp0_of_the_other;

/* ---- What vmm/ needs beside ---- */

/* A processor with CET. */
struct cpuid_leaf cpuid(uint32_t leaf, uint32_t subleaf __attribute__((unused)))
{
	return (struct cpuid_leaf){ .ecx = leaf == 7 ? CPUID_7_ECX_SHSTK : 0 };
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

bool guest_read_linear(const struct vm *of __attribute__((unused)),
		       uint64_t linear __attribute__((unused)), void *to __attribute__((unused)),
		       uint64_t size __attribute__((unused)))
{
	return false;
}

void log_raw(const char *text, size_t length)
{
	assert_true(length < sizeof(logged) && vm.console_lock.taken);
	memcpy(logged, text, length);
	logged[length] = '\0';
}

void guest_results_read(const struct vm *writer, const char *text, size_t length)
{
	assert_ptr_equal(writer, &vm);
	assert_true(length < sizeof(judged) && vm.console_lock.taken);
	memcpy(judged, text, length);
	judged[length] = '\0';
}

void apic_send_self(uint8_t vector __attribute__((unused)))
{
	abort();
}

void *guest_memory(const struct vm *of __attribute__((unused)), uint64_t guest_physical,
		   uint64_t size)
{
	if (guest_physical == 0x3000)
		return lent;
	return guest_physical == 0x1000 && size < sizeof(guest_text) ? guest_text : NULL;
}

bool ept_unmap_page(struct vm *of __attribute__((unused)),
		    uint64_t guest_physical __attribute__((unused)))
{
	return false;
}

bool timer_arm(struct vcpu *of __attribute__((unused)), uint64_t ticks __attribute__((unused)),
	       uint8_t vector __attribute__((unused)))
{
	return true;
}

bool timer_step(struct vcpu *of, uint64_t count)
{
	assert_ptr_equal(of, &vcpu);
	steps += (unsigned int)count;
	return true;
}

void trace_print(const struct trace *trace)
{
	assert_ptr_equal(trace, &vcpu.trace);
	traces++;
}

void vmcs_dump(void)
{
	dumps++;
}

unsigned int vm_count(void)
{
	return guests;
}

bool vm_has_devices(void)
{
	return apic_is_anothers;
}

void log_of_guest(const char *name, struct guest_line *line, const char *text, size_t length)
{
	assert_string_equal(name, "alpha");
	assert_ptr_equal(line, &vm.line);
	log_raw(text, length);
}

void sched_give_way(struct vcpu *of)
{
	assert_ptr_equal(of, &vcpu);
	yields++;
}

bool sched_is_shared(const struct cpu *cpu __attribute__((unused)))
{
	return shares_processor;
}

void sched_charge(struct vcpu *of)
{
	assert_ptr_equal(of, &vcpu);
	charges++;
}

bool snapshot_possible(void)
{
	return can_snapshot;
}

void fred_read_state(struct vcpu *of __attribute__((unused)), struct fred_state *state)
{
	*state = (struct fred_state){ .rsp = { 0x1000 } };
}

void fred_load(struct vcpu *to)
{
	if (to != &vcpu)
		rsp0_of_the_other = to->fred_rsp0;
	model.tsc += 10;
}

bool sipi_start(struct vcpu *of, uint64_t rip, uint64_t rsp, uint64_t rdi)
{
	const bool waits = of->state == VCPU_WAITS_FOR_SIPI;

	of->state = VCPU_RUNS;
	of->startup = (struct startup){ .rip = rip, .rsp = rsp, .rdi = rdi };
	return waits;
}

void smp_request(struct cpu *cpu, enum cpu_request request)
{
	assert_ptr_equal(cpu, second.cpu);
	assert_int_equal(request, REQUEST_LOOK);
	looks++;
}

/* This guest has no software FRED. */
void soft_fred_deliver(struct vcpu *of __attribute__((unused)),
		       const struct event *event __attribute__((unused)))
{
	fail();
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&vm, 0, sizeof(vm));
	memset(&config, 0, sizeof(config));
	memset(logged, 0, sizeof(logged));
	memset(judged, 0, sizeof(judged));
	vm.config = &config;
	vcpu.vm = &vm;
	can_snapshot = true;
	apic_is_anothers = shares_processor = false;
	yields = steps = dumps = traces = charges = 0;
	config.test_services = TEST_SERVICES_ON;
	guests = 1;
	model_set(VMCS_GUEST_EFER, EFER_LME | EFER_LMA);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE64);
	return 0;
}

static void enable_fred(void)
{
	model_set_msr(MSR_IA32_VMX_BASIC, VMX_BASIC_ANY_ERROR_CODE | VMX_BASIC_NESTED_EXCEPTION);
	model_set(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE64);
	vm.fred = FRED_BACKEND_NATIVE;
	model.has_fred = true;
	machine.fred_method = FRED_METHOD_VMCS;
	model.fields[VMCS_GUEST_CR4] |= CR4_FRED;
}

static long call(enum hypercall number, uint64_t rbx, uint64_t rcx, uint64_t rdx, uint64_t rsi)
{
	vcpu.regs = (struct guest_regs){
		.rax = number, .rbx = rbx, .rcx = rcx, .rdx = rdx, .rsi = rsi
	};
	model_exit(EXIT_REASON_VMCALL);
	handle_vmcall(&vcpu);
	assert_int_equal(vcpu.regs.rbx, rbx);
	return (long)vcpu.regs.rax;
}

/* Injected with garbage in all registers that the event has no use for. */
static struct event inject(uint64_t info, uint64_t rcx, uint64_t rdx, uint64_t rsi)
{
	struct model_entry entry;

	assert_int_equal(call(HYPERCALL_INJECT, info, rcx, rdx, rsi), HYPERCALL_OK);
	event_prepare_entry(&vcpu);
	entry = model_vm_entry();
	assert_true(entry.injected);
	assert_int_equal(event_to_info(&entry.event), info);
	return entry.event;
}

static void expect_refused(uint64_t info, uint64_t rcx, uint64_t rdx, uint64_t rsi)
{
	if (call(HYPERCALL_INJECT, info, rcx, rdx, rsi) != HYPERCALL_INVALID)
		fail_msg("injected: 0x%llx", (unsigned long long)info);
	assert_int_equal(vcpu.work, 0);
}

/* ---- INJECT ---- */

TEST(event_data_of_those_that_have_it)
{
	enable_fred();
	assert_int_equal(inject(CODE(VECTOR_PF), 7, GARBAGE, FAULT_ADDRESS).event_data,
			 FAULT_ADDRESS);
	assert_int_equal(inject(EXCEPTION(VECTOR_DB), GARBAGE, GARBAGE, ~0ULL).event_data, 0x1680f);
}

/* After a #PF with event data; RSI is garbage. */
TEST(no_event_data_for_others)
{
	enable_fred();
	for (unsigned int vector = 0; vector < EXCEPTION_VECTORS; vector++) {
		const bool code = event_has_error_code((uint8_t)vector);

		if (vector == VECTOR_PF || vector == VECTOR_DB || vector == VECTOR_NM)
			continue;
		inject(CODE(VECTOR_PF), 7, 0, FAULT_ADDRESS);
		assert_int_equal(
			inject(code ? CODE(vector) : EXCEPTION(vector), 0, GARBAGE, GARBAGE)
				.event_data,
			0);
	}
	assert_int_equal(inject(SOFTWARE(0x80), 0, 2, GARBAGE).event_data, 0);
	assert_int_equal(inject(OTHER(1), 0, 2, GARBAGE).event_data, 0);
	assert_int_equal(inject(INTERRUPTION_VALID | 0x40, 0, GARBAGE, GARBAGE).event_data, 0);
	assert_int_equal(inject(INTERRUPTION_VALID | 2 << 8 | 2, 0, GARBAGE, GARBAGE).event_data,
			 0);
}

TEST(xfd_err)
{
	enable_fred();
	model_set_msr(MSR_IA32_XFD_ERR, 3);
	assert_int_equal(inject(EXCEPTION(VECTOR_NM), 0, 0, 0).event_data, 0);
	expect_refused(EXCEPTION(VECTOR_NM), 0, 0, MODEL_XFD);
	machine.has_xfd = true;
	assert_int_equal(call(HYPERCALL_INJECT, EXCEPTION(VECTOR_NM), 0, 0, MODEL_XFD),
			 HYPERCALL_OK);
	assert_int_equal(model_msr(MSR_IA32_XFD_ERR), 3); /* not before the entry */
	event_prepare_entry(&vcpu);
	assert_int_equal(model_vm_entry().event.event_data, MODEL_XFD);
	assert_int_equal(model_msr(MSR_IA32_XFD_ERR), MODEL_XFD);
	model.refuses = true;
	expect_refused(EXCEPTION(VECTOR_NM), 0, 0, 1ULL << 63);
}

TEST(nested_exceptions)
{
	expect_refused(EXCEPTION(VECTOR_UD) | INTERRUPTION_NESTED, 0, 0, 0);
	enable_fred();
	assert_true(inject(EXCEPTION(VECTOR_UD) | INTERRUPTION_NESTED, 0, 0, 0).nested);
	assert_true(inject(CODE(VECTOR_PF) | INTERRUPTION_NESTED, 0, 0, 1).nested);
	expect_refused(CODE(VECTOR_DF) | INTERRUPTION_NESTED, 0, 0, 0);
	expect_refused(SOFTWARE(0x80) | INTERRUPTION_NESTED, 0, 2, 0);
	expect_refused(OTHER(1) | INTERRUPTION_NESTED, 0, 2, 0);
	expect_refused(INTERRUPTION_VALID | INTERRUPTION_NESTED | 0x40, 0, 0, 0);
}

TEST(syscall_and_sysenter)
{
	expect_refused(OTHER(FRED_VECTOR_SYSCALL), 0, 2, 0);
	enable_fred();
	for (unsigned int length = 0; length < 20; length++)
		for (unsigned int vector = 0; vector < 256; vector++)
			if ((vector == 1 || vector == 2) && length >= 1 && length <= 15)
				assert_int_equal(
					inject(OTHER(vector), 0, length, 0).instruction_length,
					length);
			else
				expect_refused(OTHER(vector), 0, length, 0);
}

TEST(what_vm_entry_refuses)
{
	enable_fred();
	expect_refused(EXCEPTION(VECTOR_UD) & ~INTERRUPTION_VALID, 0, 0, 0);
	expect_refused(EXCEPTION(VECTOR_UD) | INTERRUPTION_NMI_UNBLOCKED, 0, 0, 0);
	expect_refused(EXCEPTION(VECTOR_UD) | 1 << 14, 0, 0, 0);
	expect_refused(EXCEPTION(VECTOR_UD) | 1ULL << 32, 0, 0, 0);
	expect_refused(EXCEPTION(VECTOR_GP), 0, 0, 0);
	expect_refused(CODE(VECTOR_UD), 0, 0, 0);
	expect_refused(EXCEPTION(32), 0, 0, 0);
	expect_refused(INTERRUPTION_VALID | 1 << 8 | 0x40, 0, 0, 0);
	expect_refused(INTERRUPTION_VALID | 31, 0, 0, 0);
	expect_refused(INTERRUPTION_VALID | 2 << 8 | 3, 0, 0, 0);
	expect_refused(SOFTWARE(0x80), 0, 0, 0);
	expect_refused(SOFTWARE(0x80), 0, 16, 0);
}

/* ---- SNAPSHOT, INTERCEPT, SWITCH ---- */

TEST(snapshot_is_armed)
{
	assert_int_equal(call(HYPERCALL_SNAPSHOT, 0, 0, 0, 0), HYPERCALL_OK);
	assert_int_equal(vcpu.work, WORK_SNAPSHOT);
	vcpu.work = 0;
	can_snapshot = false;
	assert_int_equal(call(HYPERCALL_SNAPSHOT, 0, 0, 0, 0), HYPERCALL_INVALID);
	assert_int_equal(vcpu.work, 0);
}

TEST(intercept_returns_the_old_bitmap)
{
	model_set(VMCS_EXCEPTION_BITMAP, 0x40);
	assert_int_equal(call(HYPERCALL_INTERCEPT, 0xffffffff, 0, 0, 0), 0x40);
	assert_int_equal(vmcs_read(VMCS_EXCEPTION_BITMAP), 0xffffffff);
	assert_int_equal(call(HYPERCALL_INTERCEPT, 0, 0, 0, 0), 0xffffffff);
	assert_int_equal(call(HYPERCALL_INTERCEPT, 1ULL << 32, 0, 0, 0), HYPERCALL_INVALID);
	assert_int_equal(vmcs_read(VMCS_EXCEPTION_BITMAP), 0);
	/* Software FRED needs all of them. */
	vcpu.soft.on = true;
	model_set(VMCS_EXCEPTION_BITMAP, UINT32_MAX);
	assert_int_equal(call(HYPERCALL_INTERCEPT, 0x40, 0, 0, 0), HYPERCALL_INVALID);
	assert_int_equal(call(HYPERCALL_INTERCEPT, UINT32_MAX, 0, 0, 0), UINT32_MAX);
	assert_int_equal(vmcs_read(VMCS_EXCEPTION_BITMAP), UINT32_MAX);
	vcpu.soft.on = false;
}

/* The guest's LKGS is the VMM's work, which comes as #UD. */
TEST(intercept_leaves_what_the_vmm_needs)
{
	vm.required_exceptions = 1U << VECTOR_UD;
	call(HYPERCALL_INTERCEPT, 1U << VECTOR_PF, 0, 0, 0);
	assert_int_equal(vmcs_read(VMCS_EXCEPTION_BITMAP), 1U << VECTOR_UD | 1U << VECTOR_PF);
	call(HYPERCALL_INTERCEPT, 0, 0, 0, 0);
	assert_int_equal(vmcs_read(VMCS_EXCEPTION_BITMAP), 1U << VECTOR_UD);
	vm.required_exceptions = 0;
}

TEST(switch_is_measured)
{
	assert_int_equal(call(HYPERCALL_SWITCH, 0, 0, 0, 0), HYPERCALL_INVALID);
	vm.fred = FRED_BACKEND_NATIVE;
	assert_int_equal(call(HYPERCALL_SWITCH, 0, 0, 0, 0), 20);
	assert_int_equal(rsp0_of_the_other, 0x1000);
	assert_int_equal(call(HYPERCALL_SWITCH, 1, 0, 0, 0), 20);
	assert_int_not_equal(rsp0_of_the_other, 0x1000);
	assert_int_equal(rsp0_of_the_other & FRED_RSP_RESERVED, 0);
	assert_int_equal(call(HYPERCALL_SWITCH, 2, 0, 0, 0), HYPERCALL_INVALID);
}

/* ---- Test services ---- */

static const enum hypercall services[] = {
	HYPERCALL_INJECT, HYPERCALL_EXIT_COUNT, HYPERCALL_TRACE,     HYPERCALL_VMCS_DUMP,
	HYPERCALL_STEP,	  HYPERCALL_SNAPSHOT,	HYPERCALL_INTERCEPT, HYPERCALL_SWITCH,
};

static long call_service(enum hypercall number)
{
	return call(number, number == HYPERCALL_INJECT ? EXCEPTION(VECTOR_UD) : 1, 0, 0, 0);
}

TEST(services_are_for_guests_that_have_them)
{
	static const enum guest_test_services without[] = { TEST_SERVICES_OFF,
							    TEST_SERVICES_BY_KIND };
	const uint64_t bitmap = vmcs_read(VMCS_EXCEPTION_BITMAP);

	enable_fred();
	for (size_t i = 0; i < COUNT_OF(without); i++)
		for (size_t n = 0; n < COUNT_OF(services); n++) {
			config.test_services = without[i];
			assert_int_equal(call_service(services[n]), HYPERCALL_DENIED);
			assert_int_equal(vcpu.work, 0);
		}
	assert_int_equal(steps + dumps + traces, 0);
	assert_int_equal(vmcs_read(VMCS_EXCEPTION_BITMAP), bitmap);
	config.test_services = TEST_SERVICES_ON;
	for (size_t n = 0; n < COUNT_OF(services); n++)
		assert_true(call_service(services[n]) >= 0);
	assert_int_equal(steps, 1);
	assert_int_equal(dumps, 1);
	assert_int_equal(traces, 1);
	assert_int_equal(vcpu.work, WORK_EVENT | WORK_SNAPSHOT);
	/* What is no test service is for all. */
	config.test_services = TEST_SERVICES_OFF;
	assert_int_equal(call(HYPERCALL_NOP, 0, 0, 0, 0), HYPERCALL_OK);
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, 0x1000, 4, 0, 0), 4);
	assert_int_equal(call(HYPERCALL_YIELD, 0, 0, 0, 0), HYPERCALL_OK);
}

/* A serial port takes a second for them. */
TEST(no_dumps_where_guests_share_a_processor)
{
	shares_processor = true;
	assert_int_equal(call(HYPERCALL_TRACE, 0, 0, 0, 0), HYPERCALL_INVALID);
	assert_int_equal(call(HYPERCALL_VMCS_DUMP, 0, 0, 0, 0), HYPERCALL_INVALID);
	assert_int_equal(dumps + traces, 0);
}

/* ---- Other guests ---- */

TEST(yield_and_its_count)
{
	vcpu.switches = 7;
	assert_int_equal(call(HYPERCALL_YIELD, 0, 0, 0, 0), HYPERCALL_OK);
	assert_int_equal(yields, 1);
	assert_int_equal(call(HYPERCALL_SWITCHES, 0, 0, 0, 0), 7);
}

TEST(interrupt_where_others_have_the_apic)
{
	apic_is_anothers = true;
	assert_int_equal(call(HYPERCALL_SELF_INTERRUPT, 0x41, 0, 0, 0), HYPERCALL_QUEUED);
	assert_int_equal(vcpu.work, WORK_INTERRUPT);
	assert_int_equal(vcpu.pending_interrupts[1], 1ULL << 1);
	assert_int_equal(call(HYPERCALL_SELF_INTERRUPT, 31, 0, 0, 0), HYPERCALL_INVALID);
}

/* ---- The console ---- */

TEST(text_goes_to_the_log)
{
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, 0x1000, 4, 0, 0), 4);
	assert_string_equal(logged, "text");
	assert_string_equal(judged, "text");
	assert_false(vm.console_lock.taken);
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, 0x2000, 4, 0, 0), HYPERCALL_INVALID);
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, 0x1000, 0x1001, 0, 0), HYPERCALL_INVALID);
}

/* The others are to have their turns in between. */
TEST(one_line_at_a_time_where_guests_share_a_processor)
{
	static char text[300];

	guests = 2;
	vm.name = "alpha";
	shares_processor = true;
	lent = memcpy(text, "a\n\nbc\nd", 8);
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, 0x3000, 8, 0, 0), 2);
	assert_string_equal(logged, "a\n");
	assert_string_equal(judged, "a\n");
	assert_int_equal(charges, 1);
	lent += 2;
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, 0x3000, 6, 0, 0), 1);
	lent += 1;
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, 0x3000, 5, 0, 0), 3);
	lent += 3;
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, 0x3000, 2, 0, 0), 2);
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, 0x3000, 0, 0, 0), 0);
	/* A line that does not end. */
	lent = memset(text, 'x', sizeof(text));
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, 0x3000, sizeof(text), 0, 0),
			 sizeof(vm.line.text));
	/* Alone, all of it. */
	shares_processor = false;
	memset(text, '\n', sizeof(text));
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, 0x3000, sizeof(text), 0, 0), sizeof(text));
}

TEST(text_of_one_of_several_guests)
{
	guests = 2;
	vm.name = "alpha";
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, 0x1000, 4, 0, 0), 4);
	assert_string_equal(logged, "text");
	assert_string_equal(judged, "text");
}

TEST(text_of_a_silent_guest)
{
	config.console = GUEST_CONSOLE_NONE;
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, 0x1000, 4, 0, 0), 4);
	assert_string_equal(logged, "");
	assert_string_equal(judged, "text"); /* its tests count nevertheless */
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, 0x2000, 4, 0, 0), HYPERCALL_INVALID);
}

/* ---- VMCALL itself ---- */

TEST(only_from_ring_0)
{
	vcpu.regs.rax = HYPERCALL_NOP;
	model_set(VMCS_GUEST_SS_ACCESS_RIGHTS, ACCESS_RIGHTS_DATA | 3 << 5);
	handle_vmcall(&vcpu);
	assert_int_equal(model.uds, 1);
	assert_int_equal(model.skips, 0);
}

static void add_second(void)
{
	memset(&second, 0, sizeof(second));
	second.vm = &vm;
	second.cpu = &cpu_of_second;
	second.state = VCPU_WAITS_FOR_SIPI;
	vm.vcpus[0] = &vcpu;
	vm.vcpus[1] = &second;
	vm.vcpu_count = 2;
	machine.linear_bits = 48;
	looks = 0;
}

TEST(start_of_another_vcpu)
{
	add_second();
	assert_int_equal(call(HYPERCALL_START, 2, 0x1000, 0x2000, 3), HYPERCALL_INVALID);
	assert_int_equal(call(HYPERCALL_START, 1, 1ULL << 47, 0x2000, 3), HYPERCALL_INVALID);
	assert_int_equal(call(HYPERCALL_START, 1, 0x1000, 1ULL << 47, 3), HYPERCALL_INVALID);
	assert_int_equal(second.state, VCPU_WAITS_FOR_SIPI);
	assert_int_equal(call(HYPERCALL_START, 1, 0x1000, 0x2000, 3), HYPERCALL_OK);
	assert_int_equal(second.startup.rip, 0x1000);
	assert_int_equal(second.startup.rsp, 0x2000);
	assert_int_equal(second.startup.rdi, 3);
	assert_int_equal(call(HYPERCALL_START, 1, 0x1000, 0x2000, 3), HYPERCALL_INVALID);
	/* A guest with the machine's devices has SIPI for it. */
	second.state = VCPU_WAITS_FOR_SIPI;
	vm.devices = VM_DEVICES_PASSTHROUGH;
	assert_int_equal(call(HYPERCALL_START, 1, 0x1000, 0x2000, 3), HYPERCALL_INVALID);
}

TEST(interrupt_for_another_vcpu)
{
	add_second();
	assert_int_equal(call(HYPERCALL_IPI, 2, 0x40, 0, 0), HYPERCALL_INVALID);
	assert_int_equal(call(HYPERCALL_IPI, 1, 31, 0, 0), HYPERCALL_INVALID);
	assert_int_equal(call(HYPERCALL_IPI, 1, 256, 0, 0), HYPERCALL_INVALID);
	assert_int_equal(looks, 0);
	assert_int_equal(call(HYPERCALL_IPI, 1, 0x40, 0, 0), HYPERCALL_OK);
	assert_int_equal(looks, 1);
	assert_int_equal(second.pending_interrupts[1], 1);
	assert_int_equal(vcpu.pending_interrupts[1], 0);
	/* The target may have taken the vector by now: nothing but "look" is true for sure. */
	assert_int_equal(second.work, WORK_INTERRUPT_ARRIVED);
	event_prepare_entry(&second);
	assert_int_equal(model_vm_entry().event.vector, 0x40);
	vm.devices = VM_DEVICES_PASSTHROUGH;
	assert_int_equal(call(HYPERCALL_IPI, 1, 0x40, 0, 0), HYPERCALL_INVALID);
}

static long call_with_garbage(enum hypercall number, uint64_t rbx, uint64_t rcx, uint64_t rdx,
			      uint64_t rsi)
{
	const uint64_t garbage = 0xdeadbeefULL << 32;

	vcpu.regs = (struct guest_regs){ .rax = number | garbage,
					 .rbx = rbx | garbage,
					 .rcx = rcx | garbage,
					 .rdx = rdx | garbage,
					 .rsi = rsi | garbage };
	handle_vmcall(&vcpu);
	return (long)vcpu.regs.rax;
}

/* In 32-bit code they are what is left of something else. */
TEST(upper_halves_of_operands)
{
	add_second();
	assert_int_equal(call_with_garbage(HYPERCALL_NOP, 0, 0, 0, 0), HYPERCALL_UNKNOWN);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE32);
	assert_int_equal(call_with_garbage(HYPERCALL_NOP, 0, 0, 0, 0), HYPERCALL_OK);
	assert_int_equal(call_with_garbage(HYPERCALL_CONSOLE_WRITE, 0x1000, 4, 0, 0), 4);
	assert_int_equal(call_with_garbage(HYPERCALL_IPI, 1, 0x40, 0, 0), HYPERCALL_OK);
	assert_int_equal(second.pending_interrupts[1], 1);
	assert_int_equal(call_with_garbage(HYPERCALL_INJECT, 0x80000b0e, 2, 0, 0x1234),
			 HYPERCALL_OK);
	assert_int_equal(vcpu.event.event_data, 0x1234);
	/* Before IA-32e mode CS.L says nothing. */
	model_set(VMCS_GUEST_EFER, EFER_LME);
	model_set(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CODE64);
	assert_int_equal(call_with_garbage(HYPERCALL_NOP, 0, 0, 0, 0), HYPERCALL_OK);
}

TEST(numbers_that_are_none)
{
	static const uint64_t numbers[] = { 1000, 0x100000004, ~0ULL };

	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		vcpu.regs = (struct guest_regs){ .rax = numbers[i] };
		handle_vmcall(&vcpu);
		assert_int_equal((long)vcpu.regs.rax, HYPERCALL_UNKNOWN);
	}
	assert_int_equal(model.skips, COUNT_OF(numbers));
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(event_data_of_those_that_have_it),
		RUN(no_event_data_for_others),
		RUN(xfd_err),
		RUN(nested_exceptions),
		RUN(syscall_and_sysenter),
		RUN(what_vm_entry_refuses),
		RUN(snapshot_is_armed),
		RUN(intercept_returns_the_old_bitmap),
		RUN(intercept_leaves_what_the_vmm_needs),
		RUN(switch_is_measured),
		RUN(yield_and_its_count),
		RUN(interrupt_where_others_have_the_apic),
		RUN(text_goes_to_the_log),
		RUN(services_are_for_guests_that_have_them),
		RUN(no_dumps_where_guests_share_a_processor),
		RUN(one_line_at_a_time_where_guests_share_a_processor),
		RUN(text_of_one_of_several_guests),
		RUN(text_of_a_silent_guest),
		RUN(only_from_ring_0),
		RUN(start_of_another_vcpu),
		RUN(interrupt_for_another_vcpu),
		RUN(upper_halves_of_operands),
		RUN(numbers_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
