/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/vcpu/event.c against the model of a processor: what is queued is delivered, once, as it was,
 * at the first VM entry that can deliver it.
 */
#include <pthread.h>

#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "tests/unit/model/model.h"
#include "vmm/host/apic.h"
#include "vmm/host/errata.h"
#include "vmm/run/inject.h"
#include "vmm/vcpu/event.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/host/capabilities.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

#define INTERRUPT(n)   ((struct event){ .type = EVENT_EXTERNAL_INTERRUPT, .vector = (n) })
#define NMI	       ((struct event){ .type = EVENT_NMI, .vector = 2 })
#define SHADOW	       (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)
#define WINDOWS	       (PROC_NMI_WINDOW | PROC_INTERRUPT_WINDOW)
#define OTHER_CONTROLS (PROC_SECONDARY | PROC_MSR_BITMAPS | PROC_HLT)
#define FAULT_ADDRESS  0xffff8000dead5008ULL
#define OTHER_ADDRESS  0x7ffe1234fff8ULL
#define DEBUG_CAUSES   0x4002ULL    /* BS, B1 */
#define AMX_STATE      (1ULL << 18) /* in IA32_XFD_ERR */
#define DR6_BUS_LOCK   (1ULL << 11)
#define DR6_RTM	       (1ULL << 16)

static struct vcpu vcpu;
static struct vm owner;

/* What stands at the guest's RIP. */
static const uint8_t *code;

bool guest_read_linear(const struct vm *vm __attribute__((unused)),
		       uint64_t linear __attribute__((unused)), void *to, uint64_t size)
{
	if (!code)
		return false;
	memcpy(to, code, size);
	return true;
}

/* These guests have no software FRED. */
void soft_fred_deliver(struct vcpu *of __attribute__((unused)),
		       const struct event *event __attribute__((unused)))
{
	fail();
}

/* The APIC of a guest that has it: vectors 32 to 95, a bit each, in service; and those given back.
 */
static uint64_t in_service, returned;

bool apic_return_interrupt(uint8_t vector)
{
	const uint64_t bit = 1ULL << (vector - 32);

	if (in_service < bit || in_service >> (vector - 32) != 1)
		return false;
	in_service &= ~bit;
	returned |= bit;
	return true;
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	memset(&vcpu, 0, sizeof(vcpu));
	owner.devices = VM_DEVICES_NONE;
	vcpu.vm = &owner;
	in_service = returned = 0;
	memset(&machine, 0, sizeof(machine));
	errata_detected = 0;
	code = NULL;
	model_set(VMCS_PROC_BASED_CONTROLS, OTHER_CONTROLS);
	return 0;
}

/* The guest has FRED, and it is on. */
static void enable_fred(void)
{
	model.has_fred = true;
	machine.fred_method = FRED_METHOD_VMCS;
	model.fields[VMCS_GUEST_CR4] |= CR4_FRED;
}

static struct model_entry enter(void)
{
	event_prepare_entry(&vcpu);
	return model_vm_entry();
}

static void assert_same(const struct event *a, const struct event *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->vector, b->vector);
	assert_int_equal(a->nested, b->nested);
	assert_int_equal(a->has_error_code, b->has_error_code);
	assert_int_equal(a->error_code, b->error_code);
	assert_int_equal(a->instruction_length, b->instruction_length);
	assert_int_equal(a->event_data, b->event_data);
}

static bool in_fred_guest(void)
{
	return vmcs_read(VMCS_GUEST_CR4) & CR4_FRED;
}

/* Without FRED, causes and states are in DR6 and IA32_XFD_ERR, which have tests of their own. */
static struct event as_the_guest_meets(struct event event)
{
	if (event.vector != VECTOR_PF && !in_fred_guest())
		event.event_data = 0;
	return event;
}

static void assert_delivers(struct event expected)
{
	const struct model_entry entry = enter();

	assert_true(entry.injected);
	expected = as_the_guest_meets(expected);
	assert_same(&entry.event, &expected);
}

static void assert_delivers_nothing(void)
{
	assert_false(enter().injected);
}

static uint64_t windows(void)
{
	const uint64_t controls = vmcs_read(VMCS_PROC_BASED_CONTROLS);

	assert_int_equal(controls & ~(uint64_t)WINDOWS, OTHER_CONTROLS);
	return controls & WINDOWS;
}

static void assert_idle(void)
{
	model_exit(EXIT_REASON_CPUID);
	assert_delivers_nothing();
	assert_int_equal(vcpu.work, 0);
	assert_int_equal(windows(), 0);
}

static bool has_error_code(unsigned int vector)
{
	return strchr("\x08\x0a\x0b\x0c\x0d\x0e\x11\x15", (int)vector) && vector != 0;
}

static uint64_t event_data(unsigned int vector)
{
	switch (vector) {
	case VECTOR_PF:
		return FAULT_ADDRESS;
	case VECTOR_DB:
		return DEBUG_CAUSES;
	case VECTOR_NM:
		return AMX_STATE;
	default:
		return 0;
	}
}

static struct event exception(unsigned int vector)
{
	return (struct event){ .type = EVENT_HARDWARE_EXCEPTION,
			       .vector = (uint8_t)vector,
			       .has_error_code = has_error_code(vector),
			       .error_code = has_error_code(vector) ? 0x1000 + vector : 0,
			       .event_data = event_data(vector) };
}

static struct event software(unsigned int type, unsigned int vector, unsigned int length)
{
	return (struct event){ .type = (uint8_t)type,
			       .vector = (uint8_t)vector,
			       .instruction_length = (uint8_t)length };
}

/* Every event that there is: all vectors of all types, software events with several lengths. */
static void for_each_event(void (*check)(struct event event))
{
	for (unsigned int vector = 0; vector < 256; vector++) {
		check(INTERRUPT((uint8_t)vector));
		for (unsigned int length = 1; length <= 15; length += 7)
			check(software(EVENT_SOFTWARE_INTERRUPT, vector, length));
	}
	for (unsigned int vector = 0; vector < 32; vector++) {
		struct event event = exception(vector);

		check(event);
		if (model.has_fred && vector != VECTOR_DF) {
			event.nested = true;
			check(event);
		}
	}
	check(NMI);
	check(software(EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB, 1));
	check(software(EVENT_SOFTWARE_EXCEPTION, VECTOR_BP, 1));
	check(software(EVENT_SOFTWARE_EXCEPTION, VECTOR_OF, 2));
	if (model.has_fred) {
		check(software(EVENT_OTHER, 1, 2)); /* SYSCALL */
		check(software(EVENT_OTHER, 2, 3)); /* SYSENTER */
	}
}

/* ---- Events as values ---- */

static void check_info(struct event event)
{
	const uint32_t info = event_to_info(&event);

	assert_int_equal(info & 0xff, event.vector);
	assert_int_equal(info >> 8 & 7, event.type);
	assert_int_equal(info >> 11 & 1, event.has_error_code);
	assert_int_equal(info >> 13 & 1, event.nested);
	assert_int_equal(info >> 31, 1);
	assert_int_equal(info & 0x7fffd000, 0);
}

TEST(interruption_information)
{
	model.has_fred = true;
	for_each_event(check_info);
}

TEST(constructors)
{
	const struct event ud = event_exception(VECTOR_UD);
	const struct event gp = event_exception_error(VECTOR_GP, 0x100d);
	const struct event pf = event_page_fault(0x100e, FAULT_ADDRESS);
	const struct event expected[] = { exception(VECTOR_UD), exception(VECTOR_GP),
					  exception(VECTOR_PF) };

	assert_same(&ud, &expected[0]);
	assert_same(&gp, &expected[1]);
	assert_same(&pf, &expected[2]);
	for (unsigned int vector = 0; vector < 256; vector++)
		assert_int_equal(event_has_error_code((uint8_t)vector),
				 vector < 32 && has_error_code(vector));
}

/* ---- SDM 3A, table 6-5 ---- */

/* By vector: benign, contributory, page fault, double fault. */
static const char classes[] = "CBBBBBBBDBCCCCPBBBBBPCBBBBBBBBBB";

static enum event_merge_result expected_merge(char first, char second)
{
	static const struct {
		char first, second;
		enum event_merge_result result;
	} table[] = {
		{ 'C', 'C', MERGE_DOUBLE_FAULT }, { 'P', 'C', MERGE_DOUBLE_FAULT },
		{ 'P', 'P', MERGE_DOUBLE_FAULT }, { 'D', 'C', MERGE_TRIPLE_FAULT },
		{ 'D', 'P', MERGE_TRIPLE_FAULT }, { 'D', 'D', MERGE_TRIPLE_FAULT },
		{ 'C', 'D', MERGE_DOUBLE_FAULT }, { 'P', 'D', MERGE_DOUBLE_FAULT },
	};

	for (size_t i = 0; i < COUNT_OF(table); i++)
		if (table[i].first == first && table[i].second == second)
			return table[i].result;
	return MERGE_SECOND;
}

static void check_merge(const struct event *first, char first_class, const struct event *second,
			char second_class)
{
	struct event merged = { 0 };
	const enum event_merge_result result = event_merge(first, second, &merged);

	assert_int_equal(result, expected_merge(first_class, second_class));
	if (result == MERGE_SECOND) {
		assert_same(&merged, second);
	} else if (result == MERGE_DOUBLE_FAULT) {
		struct event df = exception(VECTOR_DF);

		df.error_code = 0;
		assert_same(&merged, &df);
	}
}

TEST(merge_of_all_exceptions)
{
	for (unsigned int a = 0; a < 32; a++)
		for (unsigned int b = 0; b < 32; b++) {
			const struct event first = exception(a), second = exception(b);

			check_merge(&first, classes[a], &second, classes[b]);
		}
}

static void check_benign_first(struct event first)
{
	if (first.type != EVENT_HARDWARE_EXCEPTION)
		for (unsigned int b = 0; b < 32; b++) {
			const struct event second = exception(b);

			check_merge(&first, 'B', &second, classes[b]);
		}
}

TEST(merge_of_other_types)
{
	model.has_fred = true;
	for_each_event(check_benign_first);
}

/* ---- Queued, delivered ---- */

static void check_delivered(struct event event)
{
	model_exit(EXIT_REASON_CPUID);
	/* What VM entry leaves of the NMI before. */
	model.fields[VMCS_GUEST_INTERRUPTIBILITY] = 0;
	event_queue(&vcpu, event);
	assert_delivers(event);
	assert_idle();
}

TEST(every_event_is_delivered_as_it_was)
{
	for_each_event(check_delivered);
}

TEST(every_event_is_delivered_to_a_fred_guest)
{
	enable_fred();
	for_each_event(check_delivered);
}

TEST(every_event_is_delivered_where_error_codes_are_free)
{
	struct event event = exception(VECTOR_UD);

	model.strict_errors = false;
	for_each_event(check_delivered);
	event.has_error_code = true;
	event.error_code = 0xbeef;
	check_delivered(event);
}

/* In real mode nothing pushes an error code, and VM entry refuses one. */
TEST(real_mode_has_no_error_codes)
{
	model.fields[VMCS_GUEST_CR0] = CR0_NE;
	for (unsigned int vector = 0; vector < 32; vector++) {
		struct event expected = exception(vector);

		model_exit(EXIT_REASON_CPUID);
		event_queue(&vcpu, expected);
		expected.has_error_code = false;
		expected.error_code = 0;
		assert_delivers(expected);
	}
}

TEST(exceptions_do_not_mind_what_blocks_interrupts)
{
	model.fields[VMCS_GUEST_RFLAGS] &= ~RFLAGS_IF;
	for (unsigned int blocking = 0; blocking < 16; blocking++) {
		if ((blocking & SHADOW) == SHADOW || (blocking & INTERRUPTIBILITY_STI) ||
		    (blocking & INTERRUPTIBILITY_SMI))
			continue;
		model_exit(EXIT_REASON_CPUID);
		model_set(VMCS_GUEST_INTERRUPTIBILITY, blocking);
		event_queue(&vcpu, exception(VECTOR_GP));
		assert_delivers(exception(VECTOR_GP));
		assert_int_equal(windows(), 0);
	}
}

TEST(cr2_is_written_for_page_faults_only)
{
	for (unsigned int vector = 0; vector < 32; vector++) {
		struct event event = exception(vector);

		model.cr2 = OTHER_ADDRESS;
		model_exit(EXIT_REASON_CPUID);
		event_queue(&vcpu, event);
		enter();
		assert_int_equal(model.cr2, vector == VECTOR_PF ? FAULT_ADDRESS : OTHER_ADDRESS);
	}
}

/* ---- Debug exceptions ---- */

static uint64_t expected_dr6(uint64_t before, uint64_t causes)
{
	uint64_t dr6 = before | (causes & 0xe00f) | DR6_RTM;

	if (causes & DR6_RTM)
		dr6 &= ~DR6_RTM;
	if (causes & DR6_BUS_LOCK)
		dr6 &= ~DR6_BUS_LOCK;
	return dr6;
}

TEST(debug_exception_sets_dr6)
{
	static const unsigned int bits[] = { 0, 1, 2, 3, 11, 13, 14, 16 };
	static const uint64_t before[] = { DR6_RESET, DR6_RESET | 0xe, DR6_RESET & ~DR6_BUS_LOCK,
					   (DR6_RESET | 1ULL << 14) & ~DR6_RTM };

	for (size_t i = 0; i < COUNT_OF(before); i++)
		for (unsigned int set = 1; set < 1U << COUNT_OF(bits); set++) {
			struct event event = exception(VECTOR_DB);

			for (size_t bit = 0; bit < COUNT_OF(bits); bit++)
				if (set & 1U << bit)
					event.event_data |= 1ULL << bits[bit];
			model_exit(EXIT_REASON_EXCEPTION_NMI);
			model.dr6 = before[i];
			model_set(VMCS_GUEST_DR7, DR7_RESET | DR7_GD | 0xff);
			model_set(VMCS_GUEST_DEBUGCTL, 0xffff);
			event_queue(&vcpu, event);
			assert_delivers(event);
			assert_int_equal(model.dr6, expected_dr6(before[i], event.event_data));
			assert_int_equal(vmcs_read(VMCS_GUEST_DR7), DR7_RESET | 0xff);
			assert_int_equal(vmcs_read(VMCS_GUEST_DEBUGCTL), 0xfffc);
		}
}

TEST(debug_exception_ignores_what_is_no_cause)
{
	struct event event = exception(VECTOR_DB);

	event.event_data = 1ULL << 12 | 1ULL << 14 | 1ULL << 40; /* 12: enabled breakpoint */
	event_queue(&vcpu, event);
	assert_delivers(event);
	assert_int_equal(model.dr6, DR6_RESET | 1ULL << 14);
}

/* Its first delivery has written DR6: that stays, active-low bits too. */
TEST(interrupted_debug_exception_keeps_dr6)
{
	const struct event event = exception(VECTOR_DB);

	model_exit_in_delivery(EXIT_REASON_EPT_VIOLATION, &event);
	model.dr6 = (DR6_RESET | 2) & ~DR6_BUS_LOCK;
	event_complete_interrupted(&vcpu);
	assert_delivers(event);
	assert_int_equal(model.dr6, (DR6_RESET | 2) & ~DR6_BUS_LOCK);
}

TEST(only_debug_exceptions_touch_debug_registers)
{
	model_set(VMCS_GUEST_DR7, DR7_RESET | DR7_GD);
	model.dr6 = 0;
	for (unsigned int vector = 0; vector < 32; vector++) {
		struct event event = exception(vector);

		event.event_data |= 1;
		if (vector == VECTOR_DB)
			continue;
		model_exit(EXIT_REASON_CPUID);
		event_queue(&vcpu, event);
		enter();
	}
	model_exit(EXIT_REASON_CPUID);
	event_queue(&vcpu, software(EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB, 1));
	enter();
	assert_int_equal(model.dr6, 0);
	assert_int_equal(vmcs_read(VMCS_GUEST_DR7), DR7_RESET | DR7_GD);
}

/* ---- An exit in the middle of a delivery ---- */

/* Straight from the exit's fields, or by the queue: the guest meets the same. */
static bool repeat_by_queue;

static void repeat(void)
{
	if (repeat_by_queue)
		event_complete_interrupted(&vcpu);
	else
		assert_true(event_repeat_interrupted(&vcpu));
	repeat_by_queue = !repeat_by_queue;
}

static void check_interrupted(struct event event)
{
	model.fields[VMCS_GUEST_INTERRUPTIBILITY] = 0;
	for (unsigned int times = 0; times < 4; times++) {
		model_exit_in_delivery(EXIT_REASON_EPT_VIOLATION, &event);
		repeat();
		assert_delivers(event);
	}
	assert_idle();
}

TEST(interrupted_delivery_is_repeated)
{
	for_each_event(check_interrupted);
}

TEST(interrupted_delivery_is_repeated_in_a_fred_guest)
{
	enable_fred();
	for_each_event(check_interrupted);
}

TEST(nothing_was_interrupted)
{
	model_exit(EXIT_REASON_EPT_VIOLATION);
	event_complete_interrupted(&vcpu);
	assert_false(event_repeat_interrupted(&vcpu));
	assert_int_equal(vcpu.work, 0);
	assert_idle();
}

/* A later exception, with neither error code nor length, gets nothing of the earlier events. */
TEST(nothing_stale_is_delivered)
{
	static const unsigned int vectors[] = { VECTOR_PF, VECTOR_UD, VECTOR_GP, VECTOR_DE };

	for (size_t i = 0; i < COUNT_OF(vectors); i++) {
		struct event event = exception(vectors[i]);

		check_delivered(event);
		check_interrupted(event);
		check_delivered(software(EVENT_SOFTWARE_INTERRUPT, 0x80, 2 + (unsigned int)i));
		event = software(EVENT_SOFTWARE_EXCEPTION, VECTOR_BP, 1);
		check_interrupted(event);
	}
}

TEST(nmi_blocking_at_interrupted_delivery)
{
	const struct event nmi = NMI;

	model_exit_in_delivery(EXIT_REASON_EPT_VIOLATION, &nmi);
	assert_true(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI);
	event_complete_interrupted(&vcpu);
	assert_delivers(nmi);
	assert_true(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI);

	/* Blocked for another reason: an exception in the NMI's handler does not unblock. */
	const struct event gp = exception(VECTOR_GP);
	model_exit_in_delivery(EXIT_REASON_EPT_VIOLATION, &gp);
	event_complete_interrupted(&vcpu);
	assert_delivers(gp);
	assert_true(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI);
}

TEST(interrupted_iret_blocks_nmis_again)
{
	model_exit(EXIT_REASON_EPT_VIOLATION);
	event_iret_interrupted();
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
	event_queue_nmi(&vcpu);
	assert_delivers_nothing();
	assert_int_equal(windows(), PROC_NMI_WINDOW);
}

/* ---- FRED's event data ---- */

/* Without FRED in the processor there is no such field to write. */
TEST(no_event_data_without_fred)
{
	event_queue(&vcpu, exception(VECTOR_PF));
	enter();
	assert_int_equal(model.written[VMCS_INJECTED_EVENT_DATA], 0);
}

/* A guest that has FRED but does not use it at the moment: the field is there, and means nothing.
 */
/* By an IDT that a guest with software FRED has loaded where that is not seen. */
TEST(no_event_data_with_software_fred)
{
	const struct event int_n = software(EVENT_SOFTWARE_INTERRUPT, 0x80, 2);

	model_set(VMCS_CR4_READ_SHADOW, CR4_FRED);
	model_exit_in_delivery(EXIT_REASON_EPT_VIOLATION, &int_n);
	model.absent[VMCS_ORIGINAL_EVENT_DATA] = true;
	event_queue_nmi(&vcpu);
	assert_true(event_repeat_interrupted(&vcpu));
	assert_same(&vcpu.event, &int_n);
}

TEST(event_data_is_written_while_fred_is_off)
{
	model.has_fred = true;
	machine.fred_method = FRED_METHOD_MSR_AREAS;
	event_queue(&vcpu, exception(VECTOR_UD));
	enter();
	assert_int_equal(vmcs_read(VMCS_INJECTED_EVENT_DATA), 0);
	assert_int_not_equal(model.written[VMCS_INJECTED_EVENT_DATA], 0);
}

static struct event earlier;

static void check_after_earlier(struct event event)
{
	check_delivered(earlier);
	check_delivered(event);
	check_interrupted(earlier);
	check_interrupted(event);
}

/* After #PF, #DB and #NM of XFD every event has its own data, which is mostly none. */
TEST(no_stale_event_data)
{
	static const unsigned int vectors[] = { VECTOR_PF, VECTOR_DB, VECTOR_NM };

	enable_fred();
	for (size_t i = 0; i < COUNT_OF(vectors); i++) {
		earlier = exception(vectors[i]);
		for_each_event(check_after_earlier);
	}
}

/* The event that is delivered instead has its own data, not that of the one it interrupted. */
TEST(event_data_of_merged_events)
{
	struct event expected = exception(VECTOR_DF);

	enable_fred();
	expected.error_code = 0;
	model_exit_in_delivery(EXIT_REASON_EXCEPTION_NMI,
			       &(struct event){ .type = EVENT_HARDWARE_EXCEPTION,
						.vector = VECTOR_PF,
						.has_error_code = true,
						.event_data = FAULT_ADDRESS });
	event_complete_interrupted(&vcpu);
	event_queue(&vcpu, event_page_fault(0, OTHER_ADDRESS));
	assert_delivers(expected);
}

/* XFD's #NM sets the MSR as well; another #NM leaves it as it is. */
TEST(xfd_err_is_written_for_its_exception_only)
{
	struct event event = exception(VECTOR_NM);

	model_set_msr(MSR_IA32_XFD_ERR, 0);
	event_queue(&vcpu, event);
	enter();
	assert_int_equal(model_msr(MSR_IA32_XFD_ERR), AMX_STATE);
	model_exit(EXIT_REASON_CPUID);
	event.event_data = 0;
	event_queue(&vcpu, event);
	enter();
	assert_int_equal(model_msr(MSR_IA32_XFD_ERR), AMX_STATE);
	assert_int_equal(model.msr_writes, 1);
}

/* The event data of #DB is its causes; what DR6 still has of an earlier one is not among them. */
TEST(debug_event_data_is_not_sticky)
{
	struct event event = exception(VECTOR_DB);

	enable_fred();
	model.dr6 = DR6_RESET | 0xf;
	event.event_data = 1ULL << 14;
	event_queue(&vcpu, event);
	assert_delivers(event);
	assert_int_equal(model.dr6, DR6_RESET | 0xf | 1ULL << 14);
}

/* ---- Errata of FRED ---- */

/* FR-13: the length shows in the frame of any event: it is 0 where an event has none. */
TEST(no_stale_instruction_length)
{
	errata_detected = 1U << ERRATUM_FR_13;
	enable_fred();
	check_delivered(software(EVENT_SOFTWARE_INTERRUPT, 0x80, 2));
	assert_int_equal(vmcs_read(VMCS_ENTRY_INSTRUCTION_LENGTH), 2);
	check_delivered(exception(VECTOR_UD));
	assert_int_equal(vmcs_read(VMCS_ENTRY_INSTRUCTION_LENGTH), 0);
	check_delivered(software(EVENT_SOFTWARE_INTERRUPT, 0x80, 2));
	check_delivered(INTERRUPT(0x40));
	assert_int_equal(vmcs_read(VMCS_ENTRY_INSTRUCTION_LENGTH), 0);
}

static void check_rf(struct event event)
{
	const bool fault = event.type == EVENT_HARDWARE_EXCEPTION && event.vector != VECTOR_DB;

	for (unsigned int set = 0; set < 4; set++) {
		errata_detected = set & 1 ? 1U << ERRATUM_FR_23 : 0;
		model.fields[VMCS_GUEST_RFLAGS] |= RFLAGS_RF;
		model.fields[VMCS_GUEST_INTERRUPTIBILITY] = 0;
		model_exit_in_delivery(EXIT_REASON_EPT_VIOLATION, &event);
		repeat_by_queue = set & 2;
		repeat();
		assert_delivers(event);
		assert_int_equal(!(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_RF), (set & 1) && !fault);
	}
}

/* FR-23: RF is set by the exit, whatever was delivered; only faults are to leave it set. */
TEST(rf_at_interrupted_delivery)
{
	enable_fred();
	for_each_event(check_rf);
}

/* A SYSCALL's delivery is interrupted; the processor tells of an older event. */
static void interrupt_in_disguise(const uint8_t *at_rip)
{
	const struct event older = exception(VECTOR_PF);

	code = at_rip;
	model_exit_in_delivery(EXIT_REASON_EPT_VIOLATION, &older);
	model_set(VMCS_EXIT_INSTRUCTION_LENGTH, 2);
	repeat();
}

TEST(interrupted_syscall_repeats_itself)
{
	static const uint8_t syscall[] = { 0x0f, 0x05 }, sysenter[] = { 0x0f, 0x34 };

	errata_detected = 1U << ERRATUM_FR_6;
	enable_fred();
	for (unsigned int times = 0; times < 2; times++) {
		interrupt_in_disguise(syscall);
		assert_idle();
		interrupt_in_disguise(sysenter);
		assert_idle();
	}
}

/* With any of these it is what the processor says it is. */
TEST(what_is_no_syscall_in_disguise)
{
	static const uint8_t syscall[] = { 0x0f, 0x05 }, ud2[] = { 0x0f, 0x0b };

	enable_fred();
	interrupt_in_disguise(syscall); /* a processor without the erratum */
	assert_delivers(exception(VECTOR_PF));
	errata_detected = 1U << ERRATUM_FR_6;
	interrupt_in_disguise(ud2);
	assert_delivers(exception(VECTOR_PF));
	interrupt_in_disguise(NULL); /* no code at RIP */
	assert_delivers(exception(VECTOR_PF));
	code = syscall;
	check_interrupted(software(EVENT_OTHER, 1, 2));
	check_interrupted(software(EVENT_SOFTWARE_INTERRUPT, 0x80, 3));
}

/* ---- A second exception while the first event was being delivered ---- */

/* The first event's delivery met `second`; true when that was one fault too many. */
static bool queue_second(const struct event *first, const struct event *second)
{
	model_exit_in_delivery(EXIT_REASON_EXCEPTION_NMI, first);
	event_complete_interrupted(&vcpu);
	event_queue(&vcpu, *second);
	if (!vcpu.end.requested)
		return false;
	assert_string_equal(vcpu.end.reason, "triple-fault");
	return true;
}

static void check_second(const struct event *first, unsigned int vector, bool fred)
{
	const char first_class =
		first->type == EVENT_HARDWARE_EXCEPTION ? classes[first->vector] : 'B';
	const enum event_merge_result result = expected_merge(first_class, classes[vector]);
	struct event second = exception(vector), expected = second;

	set_up(NULL);
	if (fred)
		enable_fred();
	assert_int_equal(queue_second(first, &second), result == MERGE_TRIPLE_FAULT);
	if (result == MERGE_TRIPLE_FAULT)
		return;
	expected.nested = fred && vector != VECTOR_DF;
	if (result == MERGE_DOUBLE_FAULT) {
		expected = exception(VECTOR_DF);
		expected.error_code = 0;
	}
	assert_delivers(expected);
	if (vector == VECTOR_PF)
		assert_int_equal(model.cr2, second.event_data);
	/* Interrupts and NMIs have left their source: they are still owed. */
	if (first->type == EVENT_EXTERNAL_INTERRUPT || first->type == EVENT_NMI) {
		model_exit(EXIT_REASON_CPUID);
		assert_delivers(*first);
	}
	assert_idle();
}

static void check_all_seconds(struct event first)
{
	for (unsigned int vector = 0; vector < 32; vector++)
		check_second(&first, vector, false);
}

static void check_all_seconds_fred(struct event first)
{
	for (unsigned int vector = 0; vector < 32; vector++)
		check_second(&first, vector, true);
}

TEST(second_exception)
{
	for_each_event(check_all_seconds);
}

TEST(second_exception_is_nested_with_fred)
{
	enable_fred();
	for_each_event(check_all_seconds_fred);
}

/* ---- Priorities, blocking, windows ---- */

TEST(exception_before_nmi_before_interrupt)
{
	event_queue_interrupt(&vcpu, 0x31);
	event_queue_nmi(&vcpu);
	event_queue_interrupt(&vcpu, 0xe0);
	event_queue(&vcpu, exception(VECTOR_UD));
	assert_delivers(exception(VECTOR_UD));
	assert_int_equal(windows(), WINDOWS);

	model_exit(EXIT_REASON_NMI_WINDOW);
	event_close_nmi_window();
	assert_delivers(NMI);
	assert_int_equal(windows(), PROC_INTERRUPT_WINDOW);

	model_exit(EXIT_REASON_INTERRUPT_WINDOW);
	event_close_interrupt_window();
	assert_delivers(INTERRUPT(0xe0));
	assert_int_equal(windows(), PROC_INTERRUPT_WINDOW);

	model_exit(EXIT_REASON_INTERRUPT_WINDOW);
	event_close_interrupt_window();
	assert_delivers(INTERRUPT(0x31));
	assert_idle();
}

/* An NMI that waits: which window does it ask for? */
static uint64_t window_for_nmi(bool waits, uint64_t blocking)
{
	if (!waits)
		return 0;
	return blocking & INTERRUPTIBILITY_STI ? PROC_INTERRUPT_WINDOW : PROC_NMI_WINDOW;
}

/* All combinations of what can block: each alone is enough, and the window tells when it ends. */
TEST(blocking_of_interrupts_and_nmis)
{
	for (unsigned int set = 0; set < 64; set++) {
		const uint64_t blocking = set & 0xb;
		const bool enabled = set & 4, masked = set & 0x10, nmi = set & 0x20;
		const bool shadow = blocking & SHADOW;
		const bool nmi_open = nmi && !shadow && !(blocking & INTERRUPTIBILITY_NMI);
		const bool interrupt_open = enabled && !shadow && !masked && !nmi_open;
		struct model_entry entry;

		if (shadow && (blocking & SHADOW) == SHADOW)
			continue;
		if ((blocking & INTERRUPTIBILITY_STI) && !enabled)
			continue;
		set_up(NULL);
		model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | (enabled ? RFLAGS_IF : 0));
		model_set(VMCS_GUEST_INTERRUPTIBILITY, blocking);
		vcpu.cr8 = masked ? 5 : 4;
		event_queue_interrupt(&vcpu, 0x5f);
		if (nmi)
			event_queue_nmi(&vcpu);
		entry = enter();
		assert_int_equal(entry.injected, nmi_open || interrupt_open);
		if (entry.injected)
			assert_int_equal(entry.event.type,
					 nmi_open ? EVENT_NMI : EVENT_EXTERNAL_INTERRUPT);
		assert_int_equal(windows(),
				 window_for_nmi(nmi && !nmi_open, blocking) |
					 (!masked && !interrupt_open ? PROC_INTERRUPT_WINDOW : 0));
	}
}

/* An injection would take the place of the trap, which would never come (SDM 3C, 27.7.3). */
TEST(a_trap_comes_before_interrupts_and_nmis)
{
	event_queue_nmi(&vcpu);
	event_queue_interrupt(&vcpu, 0x40);
	model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
	assert_delivers_nothing();
	assert_int_equal(windows(), WINDOWS);
	assert_int_equal(model_window_exit(), -1);
	/* The guest has taken it. */
	model_exit(EXIT_REASON_NMI_WINDOW);
	model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	event_close_nmi_window();
	assert_delivers(NMI);
}

/* These are the conditions of breakpoints that are not enabled. */
TEST(what_is_no_trap_holds_nothing_back)
{
	event_queue_interrupt(&vcpu, 0x40);
	model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0xf);
	assert_delivers(INTERRUPT(0x40));
}

/* Some processors exit for the NMI window at once, before the instruction behind STI. */
TEST(an_nmi_behind_sti_does_not_exit_for_ever)
{
	model_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	event_queue_nmi(&vcpu);
	assert_delivers_nothing();
	assert_int_equal(model_window_exit(), -1);
	/* That instruction is over. */
	model_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	assert_int_equal(model_window_exit(), EXIT_REASON_INTERRUPT_WINDOW);
	model_exit(EXIT_REASON_INTERRUPT_WINDOW);
	event_close_interrupt_window();
	assert_delivers(NMI);
	assert_idle();
}

TEST(cr8_holds_back_its_class_and_those_below)
{
	for (unsigned int cr8 = 0; cr8 < 16; cr8++)
		for (unsigned int vector = 0; vector < 256; vector++) {
			set_up(NULL);
			vcpu.cr8 = (uint8_t)cr8;
			event_queue_interrupt(&vcpu, (uint8_t)vector);
			if (cr8 == 0 || vector / 16 > cr8) {
				assert_delivers(INTERRUPT((uint8_t)vector));
				assert_idle();
				continue;
			}
			assert_delivers_nothing();
			assert_int_equal(windows(), 0);
			/* The exit of the MOV to CR8 that lowers it. */
			model_exit(EXIT_REASON_CR_ACCESS);
			vcpu.cr8 = (uint8_t)(vector < 16 ? 0 : vector / 16 - 1);
			assert_delivers(INTERRUPT((uint8_t)vector));
			assert_idle();
		}
}

TEST(raising_cr8_closes_the_interrupt_window)
{
	model.fields[VMCS_GUEST_RFLAGS] &= ~RFLAGS_IF;
	event_queue_interrupt(&vcpu, 0x40);
	assert_delivers_nothing();
	assert_int_equal(windows(), PROC_INTERRUPT_WINDOW);
	model_exit(EXIT_REASON_CR_ACCESS);
	vcpu.cr8 = 4;
	assert_delivers_nothing();
	assert_int_equal(windows(), 0);
}

TEST(every_pending_interrupt_is_delivered_highest_first)
{
	for (unsigned int vector = 16; vector < 256; vector++)
		event_queue_interrupt(&vcpu, (uint8_t)vector);
	for (unsigned int vector = 255; vector >= 16; vector--) {
		assert_delivers(INTERRUPT((uint8_t)vector));
		model_exit(EXIT_REASON_INTERRUPT_WINDOW);
	}
	assert_idle();
}

/* Work bits and vectors are changed one after the other: the bits alone promise nothing. */
TEST(work_bit_without_a_vector)
{
	vcpu_set_work(&vcpu, WORK_INTERRUPT);
	assert_false(event_ends_halt(&vcpu));
	assert_delivers_nothing();
	assert_int_equal(windows(), 0);
	vcpu.cr8 = 1;
	assert_delivers_nothing();
	vcpu_clear_work(&vcpu, WORK_INTERRUPT);
	vcpu_set_work(&vcpu, WORK_INTERRUPT_ARRIVED);
	assert_delivers_nothing();
	assert_idle();
}

#define SENT 200000U

/* Another processor sends a vector; now and then it waits until the last one is taken. */
static void *send_vectors(void *done)
{
	uint32_t random = 1;

	for (unsigned int i = 0; i < SENT; i++) {
		uint8_t vector;

		random = random * 1664525 + 1013904223;
		vector = (uint8_t)(32 + (random >> 16) % 224);
		event_send_interrupt(&vcpu, vector);
		while ((random >> 8 & 3) != 0 &&
		       (__atomic_load_n(&vcpu.pending_interrupts[vector / 64], __ATOMIC_SEQ_CST) >>
				vector % 64 &
			1))
			;
	}
	__atomic_store_n((bool *)done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

/* As run/entry.asm: what arrives until the entry is looked at before it. */
static bool enter_while_others_send(void)
{
	bool injected;

	do
		event_prepare_entry(&vcpu);
	while (vcpu.work & WORK_INTERRUPT_ARRIVED);
	injected = model_vm_entry().injected;
	model_exit(EXIT_REASON_INTERRUPT_WINDOW);
	event_close_interrupt_window();
	return injected;
}

TEST(another_processor_sends_while_vectors_are_delivered)
{
	bool done = false, last;
	pthread_t sender;
	uint64_t delivered = 0;

	assert_int_equal(pthread_create(&sender, NULL, send_vectors, &done), 0);
	do {
		last = __atomic_load_n(&done, __ATOMIC_SEQ_CST);
		while (enter_while_others_send())
			delivered++;
	} while (!last);
	pthread_join(sender, NULL);
	assert_int_equal(vcpu.interrupts.taken, SENT);
	assert_int_equal(delivered, vcpu.interrupts.delivered);
	assert_int_equal(delivered + vcpu.interrupts.merged, SENT);
	assert_int_equal(event_interrupts_waiting(&vcpu), 0);
	assert_idle();
}

/* An interrupt wakes a halted guest; so does an NMI. */
#define IN_SERVICE(vector) (1ULL << ((vector)-32))

static void acknowledge(uint8_t vector)
{
	in_service |= IN_SERVICE(vector);
	event_queue_interrupt(&vcpu, vector);
}

/* The guest has the APIC, and has raised its priority since they were acknowledged. */
TEST(the_apic_takes_back_what_is_held_back)
{
	owner.devices = VM_DEVICES_PASSTHROUGH;
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED);
	acknowledge(0x31);
	acknowledge(0x35);
	acknowledge(0x42);
	model.cr8 = 3;
	/* Not before it could be delivered. */
	assert_delivers_nothing();
	assert_int_equal(returned, 0);
	assert_int_equal(windows(), PROC_INTERRUPT_WINDOW);
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_IF);
	assert_delivers_nothing();
	assert_int_equal(returned, IN_SERVICE(0x31) | IN_SERVICE(0x35) | IN_SERVICE(0x42));
	assert_int_equal(in_service, 0);
	assert_int_equal(vcpu.interrupts.taken, 0);
	assert_idle();
}

TEST(the_apic_takes_back_nothing_else)
{
	owner.devices = VM_DEVICES_PASSTHROUGH;
	/* All pass. */
	model.cr8 = 2;
	acknowledge(0x31);
	assert_delivers(INTERRUPT(0x31));
	/* From an old interrupt controller, which knows no priority. */
	model_exit(EXIT_REASON_CPUID);
	in_service = 0;
	model.cr8 = 15;
	event_queue_interrupt(&vcpu, 0x31);
	assert_delivers(INTERRUPT(0x31));
	model_exit(EXIT_REASON_CPUID);
	event_queue_interrupt(&vcpu, 0x08);
	assert_delivers(INTERRUPT(0x08));
	/* Without an APIC the priority is the VMM's: the processor's means nothing. */
	model_exit(EXIT_REASON_CPUID);
	owner.devices = VM_DEVICES_NONE;
	acknowledge(0x31);
	assert_delivers(INTERRUPT(0x31));
	assert_int_equal(returned, 0);
	assert_idle();
}

/* What does not wake a vcpu that halts. */
TEST(what_ends_a_halt)
{
	vcpu.cr8 = 4;
	event_queue_interrupt(&vcpu, 0x40);
	assert_false(event_ends_halt(&vcpu));
	vcpu_set_work(&vcpu, WORK_INTERRUPT_ARRIVED);
	assert_false(event_ends_halt(&vcpu));
	vcpu.nmis_blocked = true;
	event_queue_nmi(&vcpu);
	vcpu_set_work(&vcpu, WORK_NMI_ARRIVED);
	assert_false(event_ends_halt(&vcpu));
	vcpu.nmis_blocked = false;
	assert_true(event_ends_halt(&vcpu));
	vcpu.nmis_blocked = true;
	event_queue_interrupt(&vcpu, 0x50);
	assert_true(event_ends_halt(&vcpu));
}

TEST(halted_guest)
{
	model_set(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	event_queue_interrupt(&vcpu, 0x40);
	assert_delivers(INTERRUPT(0x40));
	assert_int_equal(vmcs_read(VMCS_GUEST_ACTIVITY_STATE), ACTIVITY_ACTIVE);
	model_exit(EXIT_REASON_HLT);
	model_set(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	event_queue_nmi(&vcpu);
	assert_delivers(NMI);
	assert_idle();
}

/* Delivered at another exit than that of its window: the window is not left open. */
TEST(windows_close_at_any_exit)
{
	model.fields[VMCS_GUEST_RFLAGS] &= ~RFLAGS_IF;
	model_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	event_queue_interrupt(&vcpu, 0x40);
	event_queue_nmi(&vcpu);
	assert_delivers_nothing();
	assert_int_equal(windows(), WINDOWS);
	model_exit(EXIT_REASON_EPT_VIOLATION);
	model_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	assert_delivers(NMI);
	assert_int_equal(windows(), PROC_INTERRUPT_WINDOW);
	model_exit(EXIT_REASON_EPT_VIOLATION);
	model.fields[VMCS_GUEST_RFLAGS] |= RFLAGS_IF;
	assert_delivers(INTERRUPT(0x40));
	assert_idle();
}

TEST(closing_windows)
{
	model_set(VMCS_PROC_BASED_CONTROLS, OTHER_CONTROLS | WINDOWS);
	event_close_interrupt_window();
	assert_int_equal(windows(), PROC_NMI_WINDOW);
	event_close_nmi_window();
	assert_int_equal(windows(), 0);
}

/* ---- An NMI that hits the VMM ---- */

TEST(nmi_that_arrives_in_the_vmm)
{
	vcpu_set_work(&vcpu, WORK_NMI_ARRIVED);
	assert_delivers(NMI);
	assert_idle();
}

static void check_nmi_behind(struct event event)
{
	struct model_entry entry;

	if (event.type == EVENT_NMI)
		return;
	model_exit(EXIT_REASON_CPUID);
	model.fields[VMCS_GUEST_INTERRUPTIBILITY] = 0;
	event_queue(&vcpu, event);
	event_prepare_entry(&vcpu);
	for (unsigned int i = 0; i < 2; i++) {
		vcpu_set_work(&vcpu, WORK_NMI_ARRIVED);
		event_prepare_entry(&vcpu);
	}
	assert_int_equal(windows(), PROC_NMI_WINDOW);
	entry = model_vm_entry();
	event.event_data = entry.event.event_data;
	assert_same(&entry.event, &event);
	model_exit(EXIT_REASON_NMI_WINDOW);
	assert_delivers(NMI);
	assert_idle();
}

TEST(nmi_behind_an_event_that_is_programmed)
{
	enable_fred();
	for_each_event(check_nmi_behind);
}

TEST(nmi_overtakes_a_waiting_interrupt)
{
	model.fields[VMCS_GUEST_RFLAGS] &= ~RFLAGS_IF;
	event_queue_interrupt(&vcpu, 0x40);
	event_prepare_entry(&vcpu);
	vcpu_set_work(&vcpu, WORK_NMI_ARRIVED);
	assert_delivers(NMI);
	assert_int_equal(windows(), PROC_INTERRUPT_WINDOW);
}

/* ---- Long random sequences against what is owed to the guest ---- */

struct owed {
	bool interrupts[256];
	bool nmi;
	bool first; /* the event that has to be delivered before anything else */
	struct event event;
};

static struct owed owed;
static uint64_t random_state;

static unsigned int random_below(unsigned int limit)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned int)(random_state >> 33) % limit;
}

static int highest_owed(void)
{
	for (int vector = 255; vector >= 0; vector--)
		if (owed.interrupts[vector])
			return vector;
	return -1;
}

static void owe_exception(struct event event)
{
	event_queue(&vcpu, event);
	owed.first = true;
	owed.event = event;
}

/* The guest's own doings between two exits. */
static void guest_runs(void)
{
	uint64_t *const blocking = &model.fields[VMCS_GUEST_INTERRUPTIBILITY];
	uint64_t *const rflags = &model.fields[VMCS_GUEST_RFLAGS];

	*blocking &= ~(uint64_t)SHADOW;
	model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	switch (random_below(7)) {
	case 0:
		*rflags &= ~RFLAGS_IF;
		break;
	case 1:
		*rflags |= RFLAGS_IF;
		*blocking |= random_below(2) ? INTERRUPTIBILITY_STI : 0;
		break;
	case 2:
		*blocking |= INTERRUPTIBILITY_MOV_SS;
		break;
	case 3:
		*blocking &= ~(uint64_t)INTERRUPTIBILITY_NMI;
		break;
	case 4:
		vcpu.cr8 = (uint8_t)random_below(16);
		break;
	case 5:
		/* It steps over an instruction that exits. */
		model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
		break;
	default:
		break;
	}
}

/* An exit hits the delivery of this event; perhaps a second exception does. */
static void delivery_is_interrupted(const struct event *event)
{
	model_exit_in_delivery(EXIT_REASON_EPT_VIOLATION, event);
	owed.first = true;
	owed.event = *event;
	if (random_below(2)) {
		event_repeat_interrupted(&vcpu);
		return;
	}
	event_complete_interrupted(&vcpu);
	if (random_below(2) || event->type == EVENT_HARDWARE_EXCEPTION)
		return;
	if (event->type == EVENT_EXTERNAL_INTERRUPT)
		owed.interrupts[event->vector] = true;
	else if (event->type == EVENT_NMI)
		owed.nmi = true;
	owe_exception(exception(random_below(2) ? VECTOR_PF : VECTOR_GP));
	owed.event.nested = in_fred_guest();
}

static void something_happens(void)
{
	const unsigned int vector = 16 + random_below(240);

	model_exit(EXIT_REASON_CPUID);
	switch (random_below(6)) {
	case 0:
		event_queue_interrupt(&vcpu, (uint8_t)vector);
		owed.interrupts[vector] = true;
		break;
	case 1:
		event_queue_nmi(&vcpu);
		owed.nmi = true;
		break;
	case 2:
		owe_exception(exception(random_below(32)));
		break;
	case 3:
		owe_exception(software(EVENT_SOFTWARE_INTERRUPT, vector, 1 + random_below(15)));
		break;
	default:
		break;
	}
}

/* What has to be delivered now; false: nothing. Takes it off the account. */
static bool take_expected(struct event *event)
{
	const uint64_t blocking = model.fields[VMCS_GUEST_INTERRUPTIBILITY];
	const bool shadow =
		(blocking & SHADOW) || model.fields[VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS] != 0;
	const int vector = highest_owed();

	if (owed.first) {
		*event = owed.event;
		owed.first = false;
		return true;
	}
	if (owed.nmi && !shadow && !(blocking & INTERRUPTIBILITY_NMI)) {
		*event = NMI;
		owed.nmi = false;
		return true;
	}
	if (vector / 16 > vcpu.cr8 && !shadow && (model.fields[VMCS_GUEST_RFLAGS] & RFLAGS_IF)) {
		*event = INTERRUPT((uint8_t)vector);
		owed.interrupts[vector] = false;
		return true;
	}
	return false;
}

static struct model_entry enter_and_compare(void)
{
	struct event expected = { 0 };
	struct model_entry entry;
	bool any;

	event_prepare_entry(&vcpu);
	any = take_expected(&expected);
	if (random_below(8) == 0) {
		vcpu_set_work(&vcpu, WORK_NMI_ARRIVED);
		event_prepare_entry(&vcpu);
		owed.nmi = true;
		any = any || take_expected(&expected);
	}
	assert_int_equal(windows(),
			 window_for_nmi(owed.nmi, model.fields[VMCS_GUEST_INTERRUPTIBILITY]) |
				 (highest_owed() / 16 > vcpu.cr8 ? PROC_INTERRUPT_WINDOW : 0));
	entry = model_vm_entry();
	assert_int_equal(entry.injected, any);
	expected = as_the_guest_meets(expected);
	if (any)
		assert_same(&entry.event, &expected);
	return entry;
}

static void run_random_sequence(void)
{
	random_state = 20261121;
	memset(&owed, 0, sizeof(owed));
	for (unsigned int i = 0; i < 200000; i++) {
		const struct model_entry entry = enter_and_compare();
		const int window = model_window_exit();

		if (entry.injected && random_below(4) == 0) {
			delivery_is_interrupted(&entry.event);
			continue;
		}
		if (window < 0) {
			guest_runs();
			something_happens();
			continue;
		}
		model_exit((enum exit_reason)window);
		if (window == EXIT_REASON_NMI_WINDOW)
			event_close_nmi_window();
		else
			event_close_interrupt_window();
	}
	/* Then nothing new comes and nothing blocks: all that is owed is paid. */
	vcpu.cr8 = 0;
	for (unsigned int i = 0; i < 300; i++) {
		model_exit(EXIT_REASON_CPUID);
		model_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
		model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
		model.fields[VMCS_GUEST_RFLAGS] |= RFLAGS_IF;
		enter_and_compare();
		random_state = 0;
	}
	assert_false(owed.nmi || owed.first || highest_owed() >= 0);
	assert_idle();
}

TEST(random_sequences)
{
	run_random_sequence();
}

TEST(random_sequences_with_fred)
{
	enable_fred();
	run_random_sequence();
}

/* ---- The model itself refuses what a processor refuses ---- */

static const char *refusal(const struct event *event)
{
	model_exit(EXIT_REASON_CPUID);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, event_to_info(event));
	vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, event->error_code);
	vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, event->instruction_length);
	return model_entry_error();
}

TEST(model_refuses_bad_injections)
{
	struct event event = { .type = 1, .vector = 32 };

	assert_non_null(refusal(&event));
	event = (struct event){ .type = EVENT_NMI, .vector = 3 };
	assert_non_null(refusal(&event));
	event = (struct event){ .type = EVENT_HARDWARE_EXCEPTION, .vector = 32 };
	assert_non_null(refusal(&event));
	event = exception(VECTOR_GP);
	assert_null(refusal(&event));
	event.nested = true;
	assert_non_null(refusal(&event));
	event = exception(VECTOR_GP);
	event.has_error_code = false;
	assert_non_null(refusal(&event));
	event = exception(VECTOR_GP);
	event.error_code = 0x10000;
	assert_non_null(refusal(&event));
	event = software(EVENT_SOFTWARE_INTERRUPT, 0x80, 0);
	assert_non_null(refusal(&event));
	event = software(EVENT_OTHER, 1, 2);
	assert_non_null(refusal(&event));
	event = INTERRUPT(0x40);
	assert_null(refusal(&event));
	model_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	assert_non_null(refusal(&event));
	event = NMI;
	model_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	assert_non_null(refusal(&event));
}

#define RUN(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(interruption_information),
		RUN(constructors),
		RUN(merge_of_all_exceptions),
		RUN(merge_of_other_types),
		RUN(every_event_is_delivered_as_it_was),
		RUN(every_event_is_delivered_to_a_fred_guest),
		RUN(every_event_is_delivered_where_error_codes_are_free),
		RUN(real_mode_has_no_error_codes),
		RUN(exceptions_do_not_mind_what_blocks_interrupts),
		RUN(cr2_is_written_for_page_faults_only),
		RUN(debug_exception_sets_dr6),
		RUN(debug_exception_ignores_what_is_no_cause),
		RUN(interrupted_debug_exception_keeps_dr6),
		RUN(only_debug_exceptions_touch_debug_registers),
		RUN(interrupted_delivery_is_repeated),
		RUN(interrupted_delivery_is_repeated_in_a_fred_guest),
		RUN(nothing_was_interrupted),
		RUN(nothing_stale_is_delivered),
		RUN(nmi_blocking_at_interrupted_delivery),
		RUN(interrupted_iret_blocks_nmis_again),
		RUN(no_event_data_without_fred),
		RUN(no_event_data_with_software_fred),
		RUN(event_data_is_written_while_fred_is_off),
		RUN(no_stale_event_data),
		RUN(event_data_of_merged_events),
		RUN(xfd_err_is_written_for_its_exception_only),
		RUN(debug_event_data_is_not_sticky),
		RUN(no_stale_instruction_length),
		RUN(rf_at_interrupted_delivery),
		RUN(interrupted_syscall_repeats_itself),
		RUN(what_is_no_syscall_in_disguise),
		RUN(second_exception),
		RUN(second_exception_is_nested_with_fred),
		RUN(exception_before_nmi_before_interrupt),
		RUN(blocking_of_interrupts_and_nmis),
		RUN(a_trap_comes_before_interrupts_and_nmis),
		RUN(what_is_no_trap_holds_nothing_back),
		RUN(an_nmi_behind_sti_does_not_exit_for_ever),
		RUN(cr8_holds_back_its_class_and_those_below),
		RUN(raising_cr8_closes_the_interrupt_window),
		RUN(every_pending_interrupt_is_delivered_highest_first),
		RUN(work_bit_without_a_vector),
		RUN(another_processor_sends_while_vectors_are_delivered),
		RUN(the_apic_takes_back_what_is_held_back),
		RUN(the_apic_takes_back_nothing_else),
		RUN(what_ends_a_halt),
		RUN(halted_guest),
		RUN(windows_close_at_any_exit),
		RUN(closing_windows),
		RUN(nmi_that_arrives_in_the_vmm),
		RUN(nmi_behind_an_event_that_is_programmed),
		RUN(nmi_overtakes_a_waiting_interrupt),
		RUN(random_sequences),
		RUN(random_sequences_with_fred),
		RUN(model_refuses_bad_injections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
