/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/run/startup.c: a guest with three vcpus. What INIT and SIPI reach and what becomes of it, by
 * the rules of SDM 3A, 10.4 and 11.6; which accesses to the APICs exit meanwhile; and that vm->lock
 * is held where it must be, and nowhere else.
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "tests/unit/model/model.h"
#include "vmm/host/apic.h"
#include "vmm/host/cpu.h"
#include "vmm/end.h"
#include "vmm/run/create.h"
#include "vmm/vmx/ept.h"
#include "vmm/vcpu/msr_policy.h"
#include "vmm/run/startup.h"
#include "vmm/host/smp.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm.h"
#include "vmm/vmx/vmcs.h"

#define VCPUS	  3
#define APIC_PAGE 0xfee00000ULL
#define BASE	  (APIC_PAGE | APIC_BASE_ENABLE)
#define VECTOR	  0x9a

/* Interrupt command register, the low half. */
#define FIXED		0x040f1U
#define NMI		0x04400U
#define INIT		0x0c500U
#define INIT_DEASSERT	0x08500U
#define INIT_EDGE	0x04500U
#define SIPI(vector)	(0x04600U | (vector))
#define LOGICAL		0x00800U
#define TO_SELF		0x40000U
#define TO_ALL		0x80000U
#define TO_ALL_BUT_SELF 0xc0000U
#define X2APIC(id)	((uint64_t)(id) << 32)
#define XAPIC(id)	((uint64_t)(id) << 56)

static struct vm vm;
static struct vcpu vcpus[VCPUS];
static struct cpu cpus[VCPUS];
static const uint32_t ids[VCPUS] = { 0, 1, 0x12 };

static bool page_writable, icr_exits[VCPUS];
static unsigned int page_changes, invepts_here, invepts_elsewhere, looks[VCPUS];
static unsigned int resets[VCPUS], apic_resets;
static struct vcpu *init_during_reset; /* INIT is sent to it while it carries out another */
static bool sipi_follows;
static uint64_t sent[VCPUS];  /* by each APIC of the machine, the last command */
static struct mode64 started; /* of a guest without devices */

/* ---- What run/startup.c calls ---- */

static void assert_locked(bool locked)
{
	assert_int_equal(vm.lock.taken, locked);
}

void ept_set_writable(struct vm *of, uint64_t guest_physical, bool writable)
{
	assert_ptr_equal(of, &vm);
	assert_int_equal(guest_physical, APIC_PAGE);
	assert_locked(true);
	page_writable = writable;
	page_changes++;
}

void msr_set_write_exits(const struct vcpu *of, uint32_t msr, bool exits)
{
	assert_int_equal(msr, MSR_IA32_X2APIC_ICR);
	assert_locked(true);
	icr_exits[of->index] = exits;
}

void smp_request(struct cpu *cpu, enum cpu_request request)
{
	if (request == REQUEST_LOOK) {
		looks[cpu - cpus]++;
		return;
	}
	assert_int_equal(request, REQUEST_INVEPT);
	assert_ptr_equal(cpu, cpu_current());
	invepts_here++;
}

void smp_request_others(enum cpu_request request)
{
	assert_int_equal(request, REQUEST_INVEPT | REQUEST_COMMAND);
	invepts_elsewhere++;
	for (unsigned int i = 0; i < vm.vcpu_count; i++)
		if (&cpus[i] != cpu_current())
			cpus[i].command = sent[i];
}

uint64_t apic_command(void)
{
	return sent[cpu_current() - cpus];
}

void vcpu_reset(struct vcpu *vcpu)
{
	assert_ptr_equal(vcpu->cpu, cpu_current());
	assert_locked(false);
	resets[vcpu->index]++;
	model_set(VMCS_GUEST_RIP, 0xfff0);
	if (vcpu == init_during_reset) {
		init_during_reset = NULL;
		sipi_command(&vcpus[0], X2APIC(vcpu->cpu->apic_id) | INIT);
		if (sipi_follows)
			sipi_command(&vcpus[0], X2APIC(vcpu->cpu->apic_id) | SIPI(VECTOR + 1));
	}
}

void vcpu_set_segment(enum segment segment, uint16_t selector, uint32_t limit, uint32_t rights)
{
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_SELECTOR, segment), selector);
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_BASE, segment), 0);
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_LIMIT, segment), limit);
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_ACCESS_RIGHTS, segment), rights);
}

void vcpu_set_mode64(const struct vcpu *vcpu, const struct mode64 *mode)
{
	assert_ptr_equal(vcpu->cpu, cpu_current());
	started = *mode;
}

void apic_reset(void)
{
	apic_resets++;
}

/* ---- Helpers ---- */

static void on(unsigned int index)
{
	model_current = &cpus[index];
}

static void set_up(unsigned int count, enum vm_devices devices, uint64_t apic_base)
{
	model_reset();
	model_set_msr(MSR_IA32_APIC_BASE, apic_base);
	memset(&vm, 0, sizeof(vm));
	memset(vcpus, 0, sizeof(vcpus));
	memset(cpus, 0, sizeof(cpus));
	memset(icr_exits, 0, sizeof(icr_exits));
	memset(looks, 0, sizeof(looks));
	memset(resets, 0, sizeof(resets));
	memset(sent, 0, sizeof(sent));
	page_changes = invepts_here = invepts_elsewhere = apic_resets = 0;
	page_writable = true;
	init_during_reset = NULL;
	sipi_follows = false;
	vm.name = "test";
	vm.devices = devices;
	vm.vcpu_count = count;
	for (unsigned int i = 0; i < count; i++) {
		vm.vcpus[i] = &vcpus[i];
		vcpus[i].vm = &vm;
		vcpus[i].cpu = &cpus[i];
		vcpus[i].index = i;
		cpus[i].vcpu = cpus[i].passthrough = &vcpus[i];
		cpus[i].apic_id = ids[i];
	}
	on(0);
	sipi_init(&vm);
	assert_locked(false);
}

static void set_up_guest(uint64_t apic_base)
{
	set_up(VCPUS, VM_DEVICES_PASSTHROUGH, apic_base);
}

static void assert_watched(bool watched)
{
	assert_int_equal(vm.apics_watched, watched);
	assert_int_equal(page_writable, !watched);
	for (unsigned int i = 0; i < vm.vcpu_count; i++)
		assert_int_equal(icr_exits[i], watched);
}

static bool command(unsigned int sender, uint64_t icr)
{
	bool taken;

	on(sender);
	taken = sipi_command(&vcpus[sender], icr);
	assert_locked(false);
	return taken;
}

static bool carry_out(unsigned int index)
{
	bool runs;

	on(index);
	runs = sipi_carry_out(&vcpus[index]);
	assert_locked(false);
	return runs;
}

static void start(unsigned int index)
{
	assert_true(command(0, X2APIC(ids[index]) | INIT));
	assert_false(carry_out(index));
	assert_true(command(0, X2APIC(ids[index]) | SIPI(VECTOR)));
	assert_true(carry_out(index));
}

static void halt(unsigned int index)
{
	on(index);
	sipi_halted(&vcpus[index]);
	assert_locked(false);
}

/* What the vcpu begins with when it runs from this vector on. */
static void assert_starts_at(uint8_t vector)
{
	assert_int_equal(vmcs_read(VMCS_GUEST_CS_SELECTOR), vector << 8);
	assert_int_equal(vmcs_read(VMCS_GUEST_CS_BASE), vector << 12);
	assert_int_equal(vmcs_read(VMCS_GUEST_CS_LIMIT), 0xffff);
	assert_int_equal(vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS), ACCESS_RIGHTS_CODE16);
	assert_int_equal(vmcs_read(VMCS_GUEST_SS_BASE), 0);
	assert_int_equal(vmcs_read(VMCS_GUEST_SS_ACCESS_RIGHTS), ACCESS_RIGHTS_DATA16);
	assert_int_equal(vmcs_read(VMCS_GUEST_DS_LIMIT), 0xffff);
	assert_int_equal(vmcs_read(VMCS_GUEST_IDTR_LIMIT), 0xffff);
	assert_int_equal(vmcs_read(VMCS_GUEST_RIP), 0);
}

/* ---- Start ---- */

TEST(all_but_the_first_wait_and_are_watched)
{
	set_up_guest(BASE);
	assert_int_equal(vcpus[0].state, VCPU_RUNS);
	assert_int_equal(vcpus[1].state, VCPU_WAITS_FOR_SIPI);
	assert_int_equal(vcpus[2].state, VCPU_WAITS_FOR_SIPI);
	assert_watched(true);
	assert_int_equal(invepts_here, 1);
	assert_int_equal(invepts_elsewhere, 1);
	assert_true(carry_out(0));
	assert_false(carry_out(1));
}

TEST(a_single_vcpu_is_not_watched)
{
	set_up(1, VM_DEVICES_PASSTHROUGH, BASE);
	assert_watched(false);
	assert_int_equal(page_changes, 0);
}

TEST(a_guest_without_devices_has_no_apics_to_watch)
{
	set_up(VCPUS, VM_DEVICES_NONE, BASE);
	assert_int_equal(vcpus[0].state, VCPU_RUNS);
	assert_false(carry_out(1));
	assert_false(carry_out(2));
	assert_watched(false);
	assert_int_equal(page_changes, 0);
}

TEST(a_guest_without_devices_starts_its_vcpus)
{
	set_up(VCPUS, VM_DEVICES_NONE, BASE);
	vm.start.mode64 = (struct mode64){ .cr3 = 0x1000, .rip = 1, .rsp = 2, .gdt = 0x2000 };
	assert_true(sipi_start(&vcpus[1], 0x100000, 0x200000, 7));
	assert_locked(false);
	assert_int_equal(looks[1], 1);
	assert_true(carry_out(1));
	assert_int_equal(started.cr3, 0x1000);
	assert_int_equal(started.gdt, 0x2000);
	assert_int_equal(started.rip, 0x100000);
	assert_int_equal(started.rsp, 0x200000);
	assert_int_equal(vcpus[1].regs.rdi, 7);
	assert_false(sipi_start(&vcpus[1], 0, 0, 0));
	assert_false(sipi_start(&vcpus[0], 0, 0, 0));
	assert_int_equal(page_changes, 0);
}

TEST(init_and_sipi_start_in_real_mode)
{
	set_up_guest(BASE | APIC_BASE_X2APIC);
	assert_true(command(0, X2APIC(ids[1]) | INIT));
	assert_int_equal(looks[1], 1);
	assert_false(carry_out(1));
	assert_int_equal(resets[1], 1);
	assert_int_equal(apic_resets, 1);
	assert_true(command(0, X2APIC(ids[1]) | SIPI(VECTOR)));
	assert_int_equal(looks[1], 2);
	assert_true(carry_out(1));
	assert_starts_at(VECTOR);
	assert_int_equal(vcpus[1].state, VCPU_RUNS);
	assert_int_equal(resets[1], 1);
	assert_int_equal(looks[2] + resets[2] + resets[0], 0);
	assert_true(carry_out(1));
}

TEST(sipi_before_init_was_carried_out)
{
	set_up_guest(BASE | APIC_BASE_X2APIC);
	command(0, X2APIC(ids[1]) | INIT);
	command(0, X2APIC(ids[1]) | SIPI(VECTOR));
	assert_true(carry_out(1));
	assert_int_equal(resets[1], 1);
	assert_starts_at(VECTOR);
}

/* The processor waits from the beginning, and finds what INIT leaves. */
TEST(sipi_alone_is_enough_at_first)
{
	set_up_guest(BASE | APIC_BASE_X2APIC);
	command(0, X2APIC(ids[1]) | SIPI(VECTOR));
	assert_true(carry_out(1));
	assert_int_equal(resets[1], 1);
	assert_int_equal(apic_resets, 1);
	assert_starts_at(VECTOR);
}

TEST(the_second_sipi_is_ignored)
{
	set_up_guest(BASE | APIC_BASE_X2APIC);
	command(0, X2APIC(ids[1]) | INIT);
	command(0, X2APIC(ids[1]) | SIPI(VECTOR));
	assert_true(command(0, X2APIC(ids[1]) | SIPI(VECTOR + 1)));
	assert_int_equal(looks[1], 2);
	assert_true(carry_out(1));
	assert_starts_at(VECTOR);
}

TEST(sipi_to_a_running_vcpu_is_ignored)
{
	set_up_guest(BASE | APIC_BASE_X2APIC);
	assert_true(command(1, X2APIC(ids[0]) | SIPI(VECTOR)));
	assert_int_equal(looks[0], 0);
	model_set(VMCS_GUEST_RIP, 0x1234);
	assert_true(carry_out(0));
	assert_int_equal(vmcs_read(VMCS_GUEST_RIP), 0x1234);
}

TEST(init_takes_back_a_sipi)
{
	set_up_guest(BASE | APIC_BASE_X2APIC);
	command(0, X2APIC(ids[1]) | INIT);
	command(0, X2APIC(ids[1]) | SIPI(VECTOR));
	command(0, X2APIC(ids[1]) | INIT);
	assert_false(carry_out(1));
	command(0, X2APIC(ids[1]) | SIPI(VECTOR + 1));
	assert_true(carry_out(1));
	assert_starts_at(VECTOR + 1);
}

/* With the SIPI before it: the vcpu must not run, which has the old vector and no second reset. */
TEST(init_while_another_is_carried_out)
{
	set_up_guest(BASE | APIC_BASE_X2APIC);
	command(0, X2APIC(ids[1]) | INIT);
	command(0, X2APIC(ids[1]) | SIPI(VECTOR));
	init_during_reset = &vcpus[1];
	assert_false(carry_out(1));
	assert_int_equal(looks[1], 3);
	assert_false(carry_out(1));
	assert_int_equal(resets[1], 2);
	command(0, X2APIC(ids[1]) | SIPI(VECTOR));
	assert_true(carry_out(1));
}

TEST(init_and_sipi_while_others_are_carried_out)
{
	set_up_guest(BASE | APIC_BASE_X2APIC);
	command(0, X2APIC(ids[1]) | INIT);
	command(0, X2APIC(ids[1]) | SIPI(VECTOR));
	init_during_reset = &vcpus[1];
	sipi_follows = true;
	assert_false(carry_out(1));
	assert_true(carry_out(1));
	assert_int_equal(resets[1], 2);
	assert_starts_at(VECTOR + 1);
}

TEST(watching_ends_with_the_last_that_waits)
{
	set_up_guest(BASE | APIC_BASE_X2APIC);
	start(1);
	assert_watched(true);
	assert_int_equal(page_changes, 1);
	start(2);
	assert_watched(false);
	assert_int_equal(page_changes, 2);
	/* Whoever has the page read-only still, finds out by himself. */
	assert_int_equal(invepts_elsewhere, 1);
	command(0, X2APIC(ids[2]) | INIT);
	assert_watched(true);
	assert_int_equal(invepts_elsewhere, 2);
}

/* ---- Commands ---- */

TEST(destinations)
{
	static const struct {
		const char *name;
		bool x2apic;
		unsigned int sender;
		uint64_t icr;
		unsigned int reached; /* a bit for each vcpu */
	} cases[] = {
		{ "x2APIC, an ID", true, 0, X2APIC(0x12), 4 },
		{ "x2APIC, itself by ID", true, 1, X2APIC(1), 2 },
		{ "x2APIC, nobody's ID", true, 0, X2APIC(2), 0 },
		{ "x2APIC, 0xff is an ID", true, 0, X2APIC(0xff), 0 },
		{ "x2APIC, broadcast", true, 0, X2APIC(0xffffffff), 7 },
		{ "x2APIC, logical broadcast", true, 0, X2APIC(0xffffffff) | LOGICAL, 7 },
		{ "x2APIC, a cluster", true, 0, X2APIC(0x00003) | LOGICAL, 3 },
		{ "x2APIC, one of a cluster", true, 0, X2APIC(0x00002) | LOGICAL, 2 },
		{ "x2APIC, the other cluster", true, 0, X2APIC(0x10004) | LOGICAL, 4 },
		{ "x2APIC, nobody of a cluster", true, 0, X2APIC(0x10003) | LOGICAL, 0 },
		{ "xAPIC, an ID", false, 0, XAPIC(0x12), 4 },
		{ "xAPIC, broadcast", false, 0, XAPIC(0xff), 7 },
		{ "xAPIC, logical", false, 0, XAPIC(0x02) | LOGICAL, 0 },
		{ "xAPIC, the x2APIC's field", false, 0, XAPIC(1) | X2APIC(0x12), 2 },
		{ "self", true, 1, TO_SELF, 2 },
		{ "all, whatever the field says", true, 1, TO_ALL | X2APIC(1), 7 },
		{ "all but self", true, 1, TO_ALL_BUT_SELF | X2APIC(1), 5 },
		{ "xAPIC, all", false, 2, TO_ALL, 7 },
		{ "xAPIC, all but self", false, 2, TO_ALL_BUT_SELF, 3 },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		unsigned int reached = 0;

		set_up_guest(BASE | (cases[i].x2apic ? APIC_BASE_X2APIC : 0));
		vcpus[0].state = VCPU_WAITS_FOR_SIPI;
		assert_true(command(cases[i].sender, cases[i].icr | SIPI(VECTOR)));
		for (unsigned int v = 0; v < VCPUS; v++)
			reached |= (vcpus[v].startup.sipi ? 1U : 0U) << v;
		if (reached != cases[i].reached)
			fail_msg("%s: %x reached, not %x", cases[i].name, reached,
				 cases[i].reached);
	}
}

TEST(level_deassert_does_nothing)
{
	set_up_guest(BASE | APIC_BASE_X2APIC);
	start(1);
	assert_true(command(0, X2APIC(ids[1]) | INIT_DEASSERT));
	assert_int_equal(vcpus[1].state, VCPU_RUNS);
	assert_true(command(0, X2APIC(ids[1]) | INIT_EDGE));
	assert_int_equal(vcpus[1].state, VCPU_WAITS_FOR_SIPI);
}

TEST(other_commands_are_the_apics)
{
	set_up_guest(BASE | APIC_BASE_X2APIC);
	assert_false(command(0, X2APIC(ids[1]) | FIXED));
	assert_false(command(0, X2APIC(ids[1]) | NMI));
	assert_int_equal(looks[1], 0);
}

/* The guest of this vcpu is to end, and no lock is held any more: with this wish and reason. */
static void assert_ends(unsigned int vcpu, bool of_machine, enum end_wish wish, const char *reason)
{
	const struct end_request *const request = &vcpus[vcpu].end;

	assert_true(request->requested);
	assert_int_equal(request->of_machine, of_machine);
	assert_int_equal(request->wish, wish);
	assert_string_equal(request->reason, reason);
	assert_locked(false);
}

TEST(init_of_the_first_reboots)
{
	set_up_guest(BASE | APIC_BASE_X2APIC);
	command(0, TO_ALL | INIT);
	assert_ends(0, true, END_WISH_REBOOT, "guest-init");
}

TEST(init_by_the_machine)
{
	set_up_guest(BASE | APIC_BASE_X2APIC);
	start(1);
	on(1);
	handle_init(&vcpus[1]);
	assert_locked(false);
	assert_false(carry_out(1));
	assert_int_equal(resets[1], 2);

	/* Of a processor where no guest has devices. */
	cpus[2].passthrough = NULL;
	on(2);
	handle_init(&vcpus[2]);
	assert_int_equal(looks[2], 0);

	on(0);
	handle_init(&vcpus[0]);
	assert_ends(0, true, END_WISH_REBOOT, "guest-init");
}

/* All run, and nobody looks at what they send. */
static void set_up_running(void)
{
	set_up_guest(BASE | APIC_BASE_X2APIC);
	start(1);
	start(2);
	assert_watched(false);
}

/* INIT has reached it by the machine. */
static void init_arrives(unsigned int index)
{
	on(index);
	handle_init(&vcpus[index]);
	assert_locked(false);
}

/* What else the other processors' APICs had sent last when the watch began. */
TEST(sipi_that_the_machine_has_lost)
{
	static const struct {
		const char *name;
		uint64_t base;
		uint64_t sent[VCPUS];
		bool starts;
	} cases[] = {
		{ "by the first", APIC_BASE_X2APIC, { X2APIC(1) | SIPI(VECTOR) }, true },
		{ "by another", APIC_BASE_X2APIC, { [2] = X2APIC(1) | SIPI(VECTOR) }, true },
		{ "in xAPIC mode", 0, { XAPIC(1) | SIPI(VECTOR) }, true },
		{ "to all", 0, { TO_ALL_BUT_SELF | SIPI(VECTOR) }, true },
		{ "to another one", 0, { XAPIC(0x12) | SIPI(VECTOR) }, false },
		{ "not yet", 0, { XAPIC(1) | INIT }, false },
		{ "not yet, and an old one", 0, { XAPIC(1) | INIT, 0, XAPIC(1) | SIPI(1) }, false },
		{ "an old one and not yet", 0, { XAPIC(1) | SIPI(1), 0, XAPIC(1) | INIT }, false },
		{ "an interrupt", 0, { XAPIC(1) | FIXED }, false },
		{ "nothing", 0, { 0 }, false },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		set_up_running();
		model_set_msr(MSR_IA32_APIC_BASE, BASE | cases[i].base);
		memcpy(sent, cases[i].sent, sizeof(sent));
		init_arrives(1);
		if (carry_out(1) != cases[i].starts)
			fail_msg("%s: starts %d", cases[i].name, !cases[i].starts);
		assert_int_equal(resets[1], 2);
		assert_watched(!cases[i].starts);
		if (cases[i].starts)
			assert_starts_at(VECTOR);
		else
			assert_int_equal(vcpus[1].state, VCPU_WAITS_FOR_SIPI);
	}
}

/* The second one that INIT reaches finds the watch begun, or, as here, ended again. */
TEST(init_and_sipi_to_all_that_the_machine_has_lost)
{
	set_up_running();
	sent[0] = TO_ALL_BUT_SELF | SIPI(VECTOR);
	init_arrives(1);
	init_arrives(2);
	assert_true(carry_out(1));
	assert_starts_at(VECTOR);
	assert_true(carry_out(2));
	assert_starts_at(VECTOR);
	assert_watched(false);
}

/* ---- HLT with interrupts off ---- */

TEST(a_halted_vcpu_runs_again_by_nmi)
{
	static const enum vcpu_work nmis[] = { WORK_NMI, WORK_NMI_ARRIVED };

	for (size_t i = 0; i < COUNT_OF(nmis); i++) {
		set_up_running();
		halt(1);
		assert_true(vcpus[1].work & WORK_LOOK);
		assert_watched(true);
		assert_false(carry_out(1));
		vcpu_set_work(&vcpus[1], WORK_INTERRUPT);
		assert_false(carry_out(1));
		vcpu_set_work(&vcpus[1], nmis[i]);
		/* HLT in a handler of NMIs. */
		vcpus[1].nmis_blocked = true;
		assert_false(carry_out(1));
		vcpus[1].nmis_blocked = false;
		assert_true(carry_out(1));
		assert_watched(false);
		assert_int_equal(resets[1], 1);
	}
}

TEST(a_halted_vcpu_takes_init_and_no_sipi)
{
	set_up_running();
	halt(1);
	command(0, X2APIC(ids[1]) | SIPI(VECTOR + 1));
	assert_false(carry_out(1));
	start(1);
	assert_int_equal(resets[1], 2);
	assert_watched(false);
}

TEST(nmi_does_not_end_the_wait_for_sipi)
{
	set_up_guest(BASE | APIC_BASE_X2APIC);
	vcpu_set_work(&vcpus[1], WORK_NMI_ARRIVED);
	assert_false(carry_out(1));
}

TEST(init_comes_before_the_halt)
{
	set_up_running();
	command(0, X2APIC(ids[1]) | INIT);
	halt(1);
	assert_int_equal(vcpus[1].state, VCPU_WAITS_FOR_SIPI);
	command(0, X2APIC(ids[1]) | SIPI(VECTOR));
	assert_true(carry_out(1));
}

/* Both came before the exit by HLT: nothing may put it to sleep. */
TEST(init_and_sipi_come_before_the_halt)
{
	set_up_running();
	command(0, X2APIC(ids[1]) | INIT);
	command(0, X2APIC(ids[1]) | SIPI(VECTOR));
	halt(1);
	assert_true(carry_out(1));
	assert_starts_at(VECTOR);
}

TEST(the_last_that_halts_ends_the_machine)
{
	set_up_running();
	halt(1);
	halt(0);
	halt(2);
	assert_ends(2, true, END_WISH_POWEROFF, "guest-halted");
}

static void halt_goes_on(unsigned int index)
{
	halt(index);
	assert_false(vcpus[index].end.requested);
}

/* The NMI has come to a halted vcpu, whose processor has not begun to run it again. */
TEST(last_halt_with_an_nmi_on_the_way)
{
	static const enum vcpu_work nmis[] = { WORK_NMI, WORK_NMI_ARRIVED };

	for (size_t i = 0; i < COUNT_OF(nmis); i++) {
		set_up_running();
		halt(1);
		halt(0);
		vcpu_set_work(&vcpus[1], nmis[i]);
		halt_goes_on(2);
		assert_true(carry_out(1));
	}
	vcpu_clear_work(&vcpus[1], WORK_NMI_ARRIVED);
	halt(1);
	assert_ends(1, true, END_WISH_POWEROFF, "guest-halted");
	/* One that waits for SIPI is not woken up by it. */
	set_up_guest(BASE);
	vcpu_set_work(&vcpus[1], WORK_NMI_ARRIVED);
	halt(0);
	assert_ends(0, true, END_WISH_POWEROFF, "guest-halted");
}

TEST(who_never_started_counts_as_halted)
{
	set_up_guest(BASE);
	halt(0);
	assert_ends(0, true, END_WISH_POWEROFF, "guest-halted");
}

TEST(a_guest_without_devices_ends_alone)
{
	set_up(1, VM_DEVICES_NONE, BASE);
	halt(0);
	assert_ends(0, false, END_WISH_NONE, "guest-halted");
	assert_int_equal(page_changes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_but_the_first_wait_and_are_watched),
		cmocka_unit_test(a_single_vcpu_is_not_watched),
		cmocka_unit_test(a_guest_without_devices_has_no_apics_to_watch),
		cmocka_unit_test(a_guest_without_devices_starts_its_vcpus),
		cmocka_unit_test(init_and_sipi_start_in_real_mode),
		cmocka_unit_test(sipi_before_init_was_carried_out),
		cmocka_unit_test(sipi_alone_is_enough_at_first),
		cmocka_unit_test(the_second_sipi_is_ignored),
		cmocka_unit_test(sipi_to_a_running_vcpu_is_ignored),
		cmocka_unit_test(init_takes_back_a_sipi),
		cmocka_unit_test(init_while_another_is_carried_out),
		cmocka_unit_test(init_and_sipi_while_others_are_carried_out),
		cmocka_unit_test(watching_ends_with_the_last_that_waits),
		cmocka_unit_test(destinations),
		cmocka_unit_test(level_deassert_does_nothing),
		cmocka_unit_test(other_commands_are_the_apics),
		cmocka_unit_test(init_of_the_first_reboots),
		cmocka_unit_test(init_by_the_machine),
		cmocka_unit_test(sipi_that_the_machine_has_lost),
		cmocka_unit_test(init_and_sipi_to_all_that_the_machine_has_lost),
		cmocka_unit_test(a_halted_vcpu_runs_again_by_nmi),
		cmocka_unit_test(a_halted_vcpu_takes_init_and_no_sipi),
		cmocka_unit_test(nmi_does_not_end_the_wait_for_sipi),
		cmocka_unit_test(init_comes_before_the_halt),
		cmocka_unit_test(init_and_sipi_come_before_the_halt),
		cmocka_unit_test(the_last_that_halts_ends_the_machine),
		cmocka_unit_test(last_halt_with_an_nmi_on_the_way),
		cmocka_unit_test(who_never_started_counts_as_halted),
		cmocka_unit_test(a_guest_without_devices_ends_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
