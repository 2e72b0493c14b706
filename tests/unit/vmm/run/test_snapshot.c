/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/run/snapshot.c with the files that own what it saves: nothing of a vcpu is lost when all of
 * it is destroyed in the middle of an event's delivery, and nothing is taken from a bad snapshot.
 */
#include "tests/unit/unit.h"
#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "tests/unit/model/model.h"
#include "vmm/host/cpu.h"
#include "vmm/host/errata.h"
#include "vmm/run/create.h"
#include "vmm/run/enter.h"
#include "vmm/vcpu/event.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/run/snapshot.h"
#include "vmm/vcpu/timer.h"
#include "vmm/vmx/rule.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define GARBAGE	      0x5a
#define LINEAR_BITS   48
#define STACK(level)  (0xffff888000010000ULL + 0x1000ULL * (level))
#define FAULT_ADDRESS 0xffff8000dead5008ULL

static struct vm vm;
static struct vcpu vcpu;
static struct vcpu_snapshot snapshot;
static uint8_t vmcs_region[PAGE_SIZE], area[PAGE_SIZE];
static bool nmi_while_destroyed, others_act_while_destroyed;
static struct cpu cpu;
static const char *entry_rule; /* what vmcs_check() says */
static const char *view_rule;  /* what vmcs_judge() says of the vcpu as its guest sees it */
static bool seen_with_fred;    /* ... where it saw CR4.FRED */
static jmp_buf entered;

/* ---- What vmm/ needs beside ---- */

const uint8_t trap_fred_entry[1];

struct cpuid_leaf cpuid(uint32_t leaf, uint32_t subleaf)
{
	return (struct cpuid_leaf){ .eax = leaf == 0xd && subleaf == 1 ? CPUID_D_1_EAX_XSAVES : 0,
				    .ecx = leaf == 0xd ? 0x2b00 : 0 };
}

bool machine_may_set(uint32_t capability_msr __attribute__((unused)),
		     uint32_t bit __attribute__((unused)))
{
	return true;
}

bool guest_read_linear(const struct vm *of __attribute__((unused)),
		       uint64_t linear __attribute__((unused)), void *to __attribute__((unused)),
		       uint64_t size __attribute__((unused)))
{
	return false;
}

void *page_alloc(void)
{
	return area;
}

uint64_t virt_to_phys(const void *address)
{
	return (uintptr_t)address;
}

void *phys_to_virt(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

/* The rules of events are the real ones; those of the fields, which are only patterns here, are
 * not. */
static uint64_t read_field(const struct vmcs_reader *reader __attribute__((unused)),
			   enum vmcs_field name)
{
	return vmcs_read(name);
}

static uint64_t read_msr(const struct vmcs_reader *reader __attribute__((unused)), uint32_t msr)
{
	return msr == MSR_IA32_VMX_BASIC ? VMX_BASIC_ANY_ERROR_CODE | VMX_BASIC_NESTED_EXCEPTION
					 : 0;
}

struct vmcs_reader vmcs_reader_current(struct vmcs_processor *processor)
{
	*processor = (struct vmcs_processor){ .linear_bits = LINEAR_BITS, .has_cet = true };
	return (struct vmcs_reader){ .field = read_field, .msr = read_msr, .processor = processor };
}

const char *vmcs_check_event(const struct vmcs_reader *reader)
{
	const struct judged judged = { .reader = reader, .processor = reader->processor };

	return rules_of_event(&judged);
}

struct vmcs_verdict vmcs_judge(const struct vmcs_reader *reader)
{
	const uint64_t cr4 = reader->field(reader, VMCS_GUEST_CR4);

	seen_with_fred = cr4 & CR4_FRED;
	return (struct vmcs_verdict){ .rule = view_rule };
}

const char *vmcs_check(void)
{
	return entry_rule;
}

/* A VMCS out of use is undefined, whatever its region holds. */
void vcpu_vmcs_clear(const struct vcpu *of)
{
	assert_ptr_equal(of, &vcpu);
	for (size_t i = 0; i < MODEL_FIELDS; i++)
		model.fields[i] = GARBAGE;
	if (nmi_while_destroyed)
		vcpu_set_work(&vcpu, WORK_NMI_ARRIVED);
	if (others_act_while_destroyed) {
		event_send_interrupt(&vcpu, 0x51);
		vcpu.startup.init = true;
		vcpu.state = VCPU_WAITS_FOR_SIPI;
	}
}

/* Other processors follow these, and change these, while the vcpu is destroyed. */
static void assert_others_find_their_way(void)
{
	assert_ptr_equal(vcpu.vm, &vm);
	assert_ptr_equal(vcpu.cpu, &cpu);
	assert_int_equal(vcpu.index, 3);
	if (!others_act_while_destroyed) {
		assert_int_equal(vcpu.state, VCPU_RUNS);
		assert_false(vcpu.startup.init || vcpu.startup.sipi);
	}
}

void vcpu_run(struct vcpu *of)
{
	fred_load(of);
	longjmp(entered, 1);
}

/* ---- A guest in the middle of something ---- */

/* Without those of controls that are off in every guest. */
static const enum vmcs_field guest_fields[] = {
#define IN_CONTROL(name)   VMCS_##name,
#define IN_EXIT_INFO(name) VMCS_##name,
#define IN_GUEST(name)	   VMCS_##name,
#define IN_HOST(name)	   VMCS_##name,
#define IN_UNUSED(name)
#define FIELD(name, encoding, group) IN_##group(name)
#include "lib/x86/vmcs_fields.h"
#undef FIELD
};

/* By the SDM's rule: encoding bits 11:10. */
static bool is_guest_field(enum vmcs_field field)
{
	return (field >> 10 & 3) == 2;
}

static void fill_fields(void)
{
	for (size_t i = 0; i < COUNT_OF(guest_fields); i++)
		if (is_guest_field(guest_fields[i]))
			model_set(guest_fields[i], 0x4000 + i);
	model_set(VMCS_GUEST_CR0, CR0_PE | CR0_NE | CR0_PG);
	model_set(VMCS_GUEST_CR4, CR4_PAE | CR4_VMXE | CR4_FRED);
	model_set(VMCS_GUEST_EFER, EFER_LME | EFER_LMA);
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_IF);
	model_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0xf);
	model_set(VMCS_CR0_READ_SHADOW, CR0_PE | CR0_CD);
	model_set(VMCS_CR4_READ_SHADOW, CR4_PAE);
	event_set_exits(&vcpu, 1U << VECTOR_PF);
	model_set(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST);
}

static const uint32_t own_msrs[] = {
	MSR_IA32_KERNEL_GS_BASE, MSR_IA32_STAR,	   MSR_IA32_LSTAR,     MSR_IA32_CSTAR,
	MSR_IA32_FMASK,		 MSR_IA32_TSC_AUX, MSR_IA32_XFD_ERR,   MSR_IA32_SPEC_CTRL,
	MSR_IA32_U_CET,		 MSR_IA32_PL1_SSP, MSR_IA32_PL3_SSP,   MSR_IA32_PL1_SSP + 1,
	MSR_IA32_FRED_RSP0,	 MSR_IA32_PL0_SSP, MSR_IA32_FRED_RSP1, MSR_IA32_XSS,
};

static void fill_registers(void)
{
	uint64_t *const gprs = &vcpu.regs.rax;

	for (size_t i = 0; i < sizeof(vcpu.regs) / sizeof(*gprs); i++)
		gprs[i] = 0x1111 * (i + 1);
	for (size_t i = 0; i < COUNT_OF(own_msrs); i++)
		model_set_msr(own_msrs[i], 0x7000 + 0x40 * i);
	model_set_msr(MSR_IA32_XSS, XSS_CET);
	model_set_msr(MSR_IA32_XFD, MODEL_XFD);
	for (size_t i = 0; i < MODEL_COMPONENTS; i++)
		model.extended[i] = 0xabc0 + i;
	for (size_t i = 0; i < 4; i++)
		model.dr[i] = 0xd000 + i;
	model.xcr0 = 3; /* AVX state is there, and hidden at the moment */
	model.dr6 = DR6_RESET | 2;
	model.cr2 = 0xc2;
}

static struct fred_state fred_state(void)
{
	struct fred_state state = { .config = 0xfffffffff0001000ULL | 2, .stklvls = 0x2000030024 };

	for (unsigned int i = 0; i < FRED_LEVELS; i++) {
		state.rsp[i] = STACK(i);
		state.ssp[i] = STACK(i) + 0x800;
	}
	return state;
}

/* A vcpu that has run with this state. */
static void fill_fred(void)
{
	const struct fred_state state = fred_state();

	fred_vmcs_init(&vcpu);
	assert_true(fred_write_state(&vcpu, &state));
	fred_load(&vcpu);
	/* The guest has changed these since. */
	model_set_msr(MSR_IA32_FRED_RSP0, STACK(7));
	model_set_msr(MSR_IA32_PL0_SSP, STACK(8));
}

/* What waits is delivered by vmm/vcpu/event.c, not by software. */
void soft_fred_deliver(struct vcpu *of __attribute__((unused)),
		       const struct event *event __attribute__((unused)))
{
	fail();
}

/* While it is on, the processor's EFER.SCE is 0. */
void soft_fred_switch(struct vcpu *of, bool on)
{
	assert_int_not_equal(of->soft.on, on);
	of->soft.on = on;
	model_set(VMCS_GUEST_EFER, on ? EFER_LMA : EFER_LMA | EFER_SCE);
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&vm, 0, sizeof(vm));
	vm.fred = FRED_BACKEND_NATIVE;
	vm.shadow_stacks = true;
	vm.xss = XSS_CET;
	model.has_fred = true;
	machine.fred_method = FRED_METHOD_VMCS;
	machine.linear_bits = LINEAR_BITS;
	machine.xcr0_supported = MODEL_XCR0;
	machine.cr4_fixed0 = CR4_VMXE;
	machine.has_xfd = true;
	machine.has_cet = true;
	machine.has_monitor_trap = true;
	machine.has_preemption_timer = true;
	switch_probe();
	timer_init(&vcpu);
	vcpu.vm = &vm;
	vcpu.cpu = &cpu;
	vcpu.index = 3;
	vcpu.vmcs = (uintptr_t)vmcs_region;
	vcpu.guest_cr4_allowed = CR4_PAE | CR4_FRED;
	vcpu.exits_by_reason[EXIT_REASON_CPUID] = 77;
	vcpu.interrupts = (struct interrupt_counts){ .taken = 5, .delivered = 3, .merged = 1 };
	entry_rule = NULL;
	nmi_while_destroyed = others_act_while_destroyed = false;
	view_rule = NULL;
	fill_fields();
	fill_registers();
	fill_fred();
	return 0;
}

/* The same, with FRED's MSRs in memory. */
static int set_up_areas(void **state)
{
	set_up(state);
	machine.fred_method = FRED_METHOD_MSR_AREAS;
	fill_fred();
	return 0;
}

/* ---- Destroyed and made again ---- */

/* All that the guest can see, as far as it is not in the snapshot's own struct. */
static struct seen {
	struct model model;
	struct vcpu vcpu;
	struct fred_state fred;
} before, after, destroyed;
static const struct vcpu *destroyed_fred_vcpu;

void vcpu_vmcs_init(struct vcpu *of)
{
	destroyed.model = model;
	destroyed.vcpu = vcpu;
	destroyed_fred_vcpu = model_cpu.fred_vcpu;
	assert_others_find_their_way();
	memset(model.fields, 0, sizeof(model.fields));
	fred_vmcs_init(of);
}

static void look(struct seen *seen)
{
	seen->model = model;
	seen->vcpu = vcpu;
	fred_read_state(&vcpu, &seen->fred);
}

static void interrupt_in_delivery(void)
{
	const struct event ud = { .type = EVENT_HARDWARE_EXCEPTION, .vector = VECTOR_UD };

	model_exit_in_delivery(EXIT_REASON_EPT_VIOLATION, &ud);
	event_complete_interrupted(&vcpu);
}

static void assert_all_is_there(void)
{
	look(&after);
	for (size_t i = 0; i < COUNT_OF(guest_fields); i++)
		if (is_guest_field(guest_fields[i]) &&
		    before.model.fields[guest_fields[i]] != after.model.fields[guest_fields[i]])
			fail_msg("field 0x%x is lost", (unsigned int)guest_fields[i]);
	for (size_t i = 0; i < before.model.msr_count; i++)
		if (after.model.msrs[i].value != before.model.msrs[i].value)
			fail_msg("MSR 0x%x is lost", (unsigned int)before.model.msrs[i].number);
	assert_memory_equal(&before.vcpu.regs, &after.vcpu.regs, sizeof(vcpu.regs));
	assert_memory_equal(&before.fred, &after.fred, sizeof(before.fred));
	assert_memory_equal(before.model.extended, after.model.extended, sizeof(model.extended));
	assert_memory_equal(before.model.dr, after.model.dr, sizeof(model.dr));
	assert_memory_equal(before.vcpu.pending_interrupts, after.vcpu.pending_interrupts,
			    sizeof(vcpu.pending_interrupts));
	assert_int_equal(before.model.cr2, after.model.cr2);
	assert_int_equal(before.model.dr6, after.model.dr6);
	assert_int_equal(before.model.xcr0, after.model.xcr0);
	assert_int_equal(before.vcpu.cr8, after.vcpu.cr8);
	assert_int_equal(before.vcpu.timer_vector, after.vcpu.timer_vector);
	assert_int_equal(before.vcpu.deadline, after.vcpu.deadline);
	assert_int_equal(before.vcpu.steps_left, after.vcpu.steps_left);
	assert_int_equal(vcpu.exits_by_reason[EXIT_REASON_CPUID], 77);
	assert_memory_equal(&before.vcpu.interrupts, &after.vcpu.interrupts,
			    sizeof(vcpu.interrupts));
	assert_ptr_equal(vcpu.vm, &vm);
}

/* Save, destroy, restore, with the poison between them seen to be there. */
static void restore_after_destruction(void)
{
	vcpu_set_work(&vcpu, WORK_SNAPSHOT);
	if (setjmp(entered) == 0) {
		snapshot_prepare_entry(&vcpu);
		fail_msg("the guest was not entered");
	}
	assert_int_equal(vcpu.work & WORK_SNAPSHOT, 0);
	for (size_t i = 0; i < sizeof(vmcs_region); i++)
		assert_int_equal(vmcs_region[i], GARBAGE);
}

TEST(every_register_comes_back)
{
	vcpu.cr8 = 9;
	assert_true(timer_arm(&vcpu, 1000, 0x55));
	assert_true(timer_step(&vcpu, 3));
	interrupt_in_delivery();
	look(&before);
	restore_after_destruction();
	assert_all_is_there();
	assert_int_equal(vmcs_read(VMCS_CR0_READ_SHADOW), CR0_PE | CR0_CD);
	assert_int_equal(vmcs_read(VMCS_CR4_READ_SHADOW), CR4_PAE);
	assert_int_equal(vmcs_read(VMCS_EXCEPTION_BITMAP), 1U << VECTOR_PF);
	assert_true(vmcs_read(VMCS_ENTRY_CONTROLS) & ENTRY_IA32E_GUEST);
	assert_true(vcpu.work & WORK_LOOK);
	assert_true(vmcs_read(VMCS_PROC_BASED_CONTROLS) & PROC_MONITOR_TRAP);
}

/* Between the two nothing is left: what comes back can come from the snapshot only. */
TEST(all_is_destroyed)
{
	const uint64_t *const had = &before.vcpu.regs.rax, *const has = &destroyed.vcpu.regs.rax;

	interrupt_in_delivery();
	look(&before);
	restore_after_destruction();
	for (size_t i = 0; i < sizeof(vcpu.regs) / sizeof(*had); i++)
		assert_int_not_equal(had[i], has[i]);
	for (size_t i = 0; i < before.model.msr_count; i++)
		if (destroyed.model.msrs[i].value == before.model.msrs[i].value &&
		    before.model.msrs[i].number != MSR_IA32_FRED_RSP1)
			fail_msg("MSR 0x%x is left", (unsigned int)before.model.msrs[i].number);
	for (size_t i = 0; i < MODEL_COMPONENTS; i++)
		assert_int_equal(destroyed.model.extended[i], 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_not_equal(before.model.dr[i], destroyed.model.dr[i]);
	assert_int_not_equal(before.model.cr2, destroyed.model.cr2);
	assert_int_not_equal(before.model.dr6, destroyed.model.dr6);
	assert_int_not_equal(before.vcpu.event.vector, destroyed.vcpu.event.vector);
	assert_int_not_equal(before.vcpu.fred_rsp0, destroyed.vcpu.fred_rsp0);
	assert_int_not_equal(before.vcpu.pl0_ssp, destroyed.vcpu.pl0_ssp);
	assert_int_equal(destroyed.vcpu.work, 0);
	assert_null(destroyed_fred_vcpu);
}

TEST(what_cannot_be_restored_ends_the_guest)
{
	entry_rule = "some rule";
	interrupt_in_delivery();
	vcpu_set_work(&vcpu, WORK_SNAPSHOT);
	snapshot_prepare_entry(&vcpu);
	assert_true(vcpu.end.requested);
	assert_string_equal(vcpu.end.reason, "snapshot");
}

static void check_event(struct event event)
{
	struct model_entry entry;

	set_up(NULL);
	model_exit_in_delivery(EXIT_REASON_EPT_VIOLATION, &event);
	event_complete_interrupted(&vcpu);
	restore_after_destruction();
	entry = model_vm_entry();
	assert_true(entry.injected);
	assert_int_equal(entry.event.type, event.type);
	assert_int_equal(entry.event.vector, event.vector);
	assert_int_equal(entry.event.nested, event.nested);
	assert_int_equal(entry.event.has_error_code, event.has_error_code);
	assert_int_equal(entry.event.error_code, event.error_code);
	assert_int_equal(entry.event.instruction_length, event.instruction_length);
	assert_int_equal(entry.event.event_data, event.event_data);
}

/* With the event data, which other interfaces for saved vcpus forget. */
TEST(events_in_delivery_come_back)
{
	for (unsigned int vector = 0; vector < EXCEPTION_VECTORS; vector++) {
		struct event event = event_exception((uint8_t)vector);

		event.has_error_code = event_has_error_code((uint8_t)vector);
		event.error_code = event.has_error_code ? 0xbe00 + vector : 0;
		if (vector == VECTOR_PF)
			event.event_data = FAULT_ADDRESS;
		else if (vector == VECTOR_DB)
			event.event_data = 0x4002;
		else if (vector == VECTOR_NM)
			event.event_data = MODEL_XFD;
		check_event(event);
		event.nested = vector != VECTOR_DF;
		check_event(event);
	}
	check_event((struct event){ .type = EVENT_NMI, .vector = VECTOR_NMI });
	check_event((struct event){ .type = EVENT_EXTERNAL_INTERRUPT, .vector = 0xe1 });
	for (uint8_t type = EVENT_SOFTWARE_INTERRUPT; type <= EVENT_OTHER; type++)
		for (uint8_t vector = 1; vector <= 2; vector++)
			check_event((struct event){
				.type = type, .vector = vector, .instruction_length = 2 });
}

TEST(what_waits_behind_the_event_comes_back)
{
	model_exit_in_delivery(EXIT_REASON_EPT_VIOLATION,
			       &(struct event){ .type = EVENT_SOFTWARE_INTERRUPT,
						.vector = 0x80,
						.instruction_length = 2 });
	event_complete_interrupted(&vcpu);
	event_queue_nmi(&vcpu);
	event_queue_interrupt(&vcpu, 0x31);
	event_queue_interrupt(&vcpu, 0xe0);
	look(&before);
	restore_after_destruction();
	assert_all_is_there();
	assert_int_equal(vcpu.work, WORK_NMI | WORK_INTERRUPT);
	assert_int_equal(model_vm_entry().event.vector, 0x80);
}

TEST(nmi_in_the_meantime_is_not_lost)
{
	nmi_while_destroyed = true;
	model_exit_in_delivery(EXIT_REASON_EPT_VIOLATION,
			       &(struct event){ .type = EVENT_EXTERNAL_INTERRUPT, .vector = 0x40 });
	event_complete_interrupted(&vcpu);
	restore_after_destruction();
	assert_int_equal(vcpu.work, WORK_NMI);
}

/* A vector, and INIT: neither is lost, and what waited before is there as well. */
TEST(what_others_send_in_the_meantime_is_not_lost)
{
	others_act_while_destroyed = true;
	model_exit_in_delivery(EXIT_REASON_EPT_VIOLATION,
			       &(struct event){ .type = EVENT_EXTERNAL_INTERRUPT, .vector = 0x40 });
	event_complete_interrupted(&vcpu);
	event_queue_interrupt(&vcpu, 0x31);
	restore_after_destruction();
	assert_int_equal(vcpu.work, WORK_INTERRUPT);
	assert_int_equal(event_interrupts_waiting(&vcpu), 2);
	assert_int_equal(vcpu.pending_interrupts[0], 1ULL << 0x31);
	assert_int_equal(vcpu.pending_interrupts[1], 1ULL << (0x51 - 64));
	assert_int_equal(vcpu.interrupts.taken, 5 + 2);
	assert_true(vcpu.startup.init);
	assert_int_equal(vcpu.state, VCPU_WAITS_FOR_SIPI);
}

/* An exit between two instructions, or in one, is not what it waits for. */
TEST(waits_for_an_interrupted_delivery)
{
	vcpu_set_work(&vcpu, WORK_SNAPSHOT);
	model_exit(EXIT_REASON_CPUID);
	event_queue(&vcpu, event_exception(VECTOR_UD));
	snapshot_prepare_entry(&vcpu);
	assert_int_equal(vcpu.work, WORK_SNAPSHOT);
	assert_true(model_vm_entry().injected);
}

/* ---- A snapshot is input ---- */

static void save(void)
{
	set_up(NULL);
	event_queue(&vcpu, event_page_fault(2, FAULT_ADDRESS));
	vcpu_save(&vcpu, &snapshot);
	vcpu_vmcs_init(&vcpu);
	vcpu_clear_work(&vcpu, WORK_EVENT);
}

TEST(sound_snapshot)
{
	save();
	assert_null(vcpu_restore(&vcpu, &snapshot));
	assert_int_equal(vcpu.work, WORK_EVENT);
}

/* The fields are saved as the guest sees them, and what FRED of software needs is made anew. */
TEST(software_fred_comes_back)
{
	const struct fred_state fred = { .config = 0xffff800000001002,
					 .stklvls = 0x24,
					 .rsp = { 0x1000, 0x2000, 0x3000, 0x4000 } };
	struct event event = event_page_fault(2, FAULT_ADDRESS);

	vm.fred = FRED_BACKEND_SOFT;
	model_set(VMCS_GUEST_CR4, model.fields[VMCS_GUEST_CR4] & ~CR4_FRED);
	model_set(VMCS_CR4_READ_SHADOW, CR4_FRED);
	vcpu.soft.state = fred;
	soft_fred_switch(&vcpu, true);
	event.nested = true;
	event_queue(&vcpu, event);
	vcpu_save(&vcpu, &snapshot);
	assert_true(vcpu.soft.on);
	assert_true(snapshot.fields[SAVED_GUEST_EFER] & EFER_SCE);

	memset(&vcpu.soft, 0x5a, sizeof(vcpu.soft));
	memset(&vcpu.event, 0x5a, sizeof(vcpu.event));
	vcpu_clear_work(&vcpu, WORK_EVENT);
	vcpu_vmcs_init(&vcpu);
	assert_null(vcpu_restore(&vcpu, &snapshot));
	assert_true(seen_with_fred);
	assert_true(vcpu.soft.on);
	assert_false(vcpu.soft.stepping);
	assert_memory_equal(&vcpu.soft.state, &fred, sizeof(fred));
	assert_int_equal(vcpu.work, WORK_EVENT);
	assert_true(vcpu.event.nested);
	assert_int_equal(vcpu.event.event_data, FAULT_ADDRESS);
}

/* One thing that is wrong, and a part of what has to be said of it. */
#define DAMAGE(member, wrong, words)                                           \
	do {                                                                   \
		const char *said;                                              \
		save();                                                        \
		snapshot.member = (wrong);                                     \
		said = vcpu_restore(&vcpu, &snapshot);                         \
		if (!said || !strstr(said, words))                             \
			fail_msg("%s: \"%s\"", #member, said ? said : "fine"); \
	} while (0)

TEST(bad_snapshots)
{
	DAMAGE(magic, 0, "no snapshot");
	DAMAGE(version, SNAPSHOT_VERSION + 1, "version");
	DAMAGE(size, sizeof(snapshot) - 8, "version");
	DAMAGE(cr8, 16, "CR8");
	DAMAGE(switched.dr6, 1ULL << 32, "DR6");
	DAMAGE(timer_armed, 2, "timer");
	DAMAGE(timer_vector, 256, "timer");
	DAMAGE(fields[SAVED_GUEST_CR4], CR4_PAE | CR4_SMXE, "CR4");
	DAMAGE(fields[SAVED_GUEST_CR4], 1ULL << 33, "CR4");
	DAMAGE(cr4_shadow, CR4_PAE | CR4_SMXE, "CR4");
	DAMAGE(fields[SAVED_GUEST_CR0], CR0_PE | CR0_NE | CR0_PG | CR0_CD, "CR0");
	DAMAGE(fields[SAVED_GUEST_CS_SELECTOR], 0x10000, "too wide");
	DAMAGE(fields[SAVED_GUEST_CS_LIMIT], 1ULL << 32, "too wide");
	DAMAGE(work, WORK_SNAPSHOT, "work");
	DAMAGE(event_info, snapshot.event_info | 1U << 14, "pending event");
	DAMAGE(event_info, snapshot.event_info & ~INTERRUPTION_VALID, "pending event");
	DAMAGE(event_info, snapshot.event_info & ~INTERRUPTION_ERROR_CODE_VALID, "pending event");
	DAMAGE(event_info, INTERRUPTION_VALID | 1U << 8, "pending event");
	DAMAGE(event_info, INTERRUPTION_VALID | 7U << 8, "pending event");
	DAMAGE(event_info, INTERRUPTION_VALID | 2U << 8 | 3, "pending event");
	DAMAGE(event_error_code, 0x10000, "pending event");
	DAMAGE(event_instruction_length, 256, "pending event");
	DAMAGE(xsave[520], 1, "XSAVE");
	DAMAGE(fred.config, FRED_CONFIG_RESERVED, "FRED");
	DAMAGE(fred.rsp[0], STACK(0) + 8, "FRED");
	DAMAGE(fred.rsp[3], 1ULL << 47, "FRED");
	DAMAGE(fred.ssp[0], 1, "FRED");
	DAMAGE(fred.ssp[2], 4, "FRED");
}

TEST(msr_that_wrmsr_refuses)
{
	save();
	model.refuses = true;
	assert_non_null(vcpu_restore(&vcpu, &snapshot));
	model.refuses = false;
}

TEST(rules_of_vm_entry)
{
	save();
	entry_rule = "guest RIP is not canonical";
	assert_string_equal(vcpu_restore(&vcpu, &snapshot), entry_rule);
	entry_rule = NULL;
	view_rule = "guest CR4.FRED is 1 outside IA-32e mode";
	assert_string_equal(vcpu_restore(&vcpu, &snapshot), view_rule);
}

/* Nested exceptions and SYSCALL are events of FRED. */
TEST(events_that_need_fred)
{
	save();
	snapshot.event_info |= INTERRUPTION_NESTED;
	assert_null(vcpu_restore(&vcpu, &snapshot));
	snapshot.fields[SAVED_GUEST_CR4] &= ~CR4_FRED;
	assert_non_null(vcpu_restore(&vcpu, &snapshot));
	snapshot.event_info = INTERRUPTION_VALID | 7U << 8 | FRED_VECTOR_SYSCALL;
	snapshot.event_instruction_length = 2;
	assert_non_null(vcpu_restore(&vcpu, &snapshot));
	snapshot.fields[SAVED_GUEST_CR4] |= CR4_FRED;
	assert_null(vcpu_restore(&vcpu, &snapshot));
}

TEST(state_that_the_processor_lacks)
{
	save();
	model.absent[VMCS_GUEST_SSP] = true;
	assert_non_null(strstr(vcpu_restore(&vcpu, &snapshot), "does not have"));
	snapshot.fields[SAVED_GUEST_SSP] = 0;
	assert_null(vcpu_restore(&vcpu, &snapshot));
	vcpu_save(&vcpu, &snapshot);
	assert_int_equal(snapshot.fields[SAVED_GUEST_SSP], 0);
	machine.has_preemption_timer = false;
	snapshot.timer_armed = 1;
	assert_non_null(strstr(vcpu_restore(&vcpu, &snapshot), "timer"));
	snapshot.timer_armed = 0;
	machine.has_monitor_trap = false;
	snapshot.steps_left = 1;
	assert_non_null(strstr(vcpu_restore(&vcpu, &snapshot), "step"));
}

/* The processor has more of extended state than guests are shown. */
TEST(extended_state_that_is_hidden)
{
	save();
	snapshot.switched.xcr0 |= XCR0_PKRU;
	assert_non_null(strstr(vcpu_restore(&vcpu, &snapshot), "XCR0"));
	set_up(NULL);
	save();
	vm.xss = 0;
	assert_non_null(strstr(vcpu_restore(&vcpu, &snapshot), "IA32_XSS"));
	vm.xss = XSS_CET;
	assert_null(vcpu_restore(&vcpu, &snapshot));
}

static uint64_t xss_after_switch(const struct vcpu *from, struct vcpu *to)
{
	cpu.vcpu = (struct vcpu *)from;
	switch_to(&cpu, to);
	return model_msr(MSR_IA32_XSS);
}

/* Each guest has its own IA32_XSS; one without CET runs with 0. Firmware's is gone before. */
TEST(a_switch_brings_xss)
{
	static uint8_t areas[2][0x2b00] __attribute__((aligned(64)));
	static struct vcpu with, without;

	with.vm = without.vm = &vm;
	with.xsave = areas[0];
	without.xsave = areas[1];
	switch_reset(&with.switched, with.xsave);
	switch_reset(&without.switched, without.xsave);
	switch_forgo_shadow_stacks(&without.switched);
	model_set_msr(MSR_IA32_XSS, 1 << 8);
	switch_load_reset();
	assert_int_equal(model_msr(MSR_IA32_XSS), 0);
	model_wrmsr(MSR_IA32_XSS, XSS_CET);
	assert_int_equal(xss_after_switch(&with, &without), 0);
	assert_int_equal(xss_after_switch(&without, &with), XSS_CET);
}

TEST(vectors_and_the_work_bit_belong_together)
{
	save();
	snapshot.work |= WORK_INTERRUPT;
	assert_non_null(strstr(vcpu_restore(&vcpu, &snapshot), "vectors disagree"));
	snapshot.pending_interrupts[3] = 1ULL << 63;
	assert_null(vcpu_restore(&vcpu, &snapshot));
	save();
	snapshot.pending_interrupts[3] = 1ULL << 63;
	assert_non_null(strstr(vcpu_restore(&vcpu, &snapshot), "vectors disagree"));
	/* Sent by another processor, and not looked at yet: saved as one that waits. */
	set_up(NULL);
	event_send_interrupt(&vcpu, 0x51);
	vcpu_save(&vcpu, &snapshot);
	assert_int_equal(snapshot.work, WORK_INTERRUPT);
}

TEST(machines_where_it_is_possible)
{
	assert_true(snapshot_possible());
	machine.xcr0_supported = 0;
	assert_false(snapshot_possible());
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)
#define RUN_AREAS(name)                                                 \
	{                                                               \
#name " with MSR areas", name, set_up_areas, NULL, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(every_register_comes_back),
		RUN_AREAS(every_register_comes_back),
		RUN(all_is_destroyed),
		RUN_AREAS(all_is_destroyed),
		RUN(what_cannot_be_restored_ends_the_guest),
		RUN(events_in_delivery_come_back),
		RUN(what_waits_behind_the_event_comes_back),
		RUN_AREAS(what_waits_behind_the_event_comes_back),
		RUN(nmi_in_the_meantime_is_not_lost),
		RUN(what_others_send_in_the_meantime_is_not_lost),
		RUN(waits_for_an_interrupted_delivery),
		RUN(sound_snapshot),
		RUN(software_fred_comes_back),
		RUN(bad_snapshots),
		RUN(msr_that_wrmsr_refuses),
		RUN(rules_of_vm_entry),
		RUN(events_that_need_fred),
		RUN(state_that_the_processor_lacks),
		RUN(extended_state_that_is_hidden),
		RUN(a_switch_brings_xss),
		RUN(vectors_and_the_work_bit_belong_together),
		RUN(machines_where_it_is_possible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
