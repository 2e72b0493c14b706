/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model of model.h, and what the VMM's handlers call beside.
 */
#include "tests/unit/unit.h"
#include "lib/format.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "tests/unit/model/model.h"
#include "vmm/host/apic.h"
#include "vmm/host/cpu.h"
#include "vmm/host/errata.h"
#include "vmm/exits/table.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/run/sched.h"
#include "vmm/run/startup.h"
#include "vmm/host/smp.h"
#include "vmm/vcpu/rip.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

#define GARBAGE		    0xa5a5a5a5U
#define READ_ONLY_TYPE	    1 /* encoding bits 11:10 */
#define INFO_RESERVED	    0x7fffd000U
#define LONGEST_INSTRUCTION 15
#define SHADOW		    (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)
#define DEBUG_TRAPS	    0x15800U /* bus lock, enabled breakpoint, BS, RTM */

struct model model;
__attribute__((weak)) struct machine machine; /* machine.c has its own */
struct cpu model_cpu;
_Thread_local struct cpu *model_current = &model_cpu;
uint32_t errata_detected;

static bool exists(enum vmcs_field field)
{
	switch (field) {
#define FIELD(name, encoding, group) case VMCS_##name:
#include "lib/x86/vmcs_fields.h"
#undef FIELD
		return !model.absent[field];
	}
	return false;
}

static bool fits(enum vmcs_field field, uint64_t value)
{
	switch (VMCS_FIELD_WIDTH(field)) {
	case VMCS_WIDTH_16:
		return value <= UINT16_MAX;
	case VMCS_WIDTH_32:
		return value <= UINT32_MAX;
	default:
		return true;
	}
}

uint64_t vmcs_read(enum vmcs_field field)
{
	if (!exists(field))
		fail_msg("VMREAD of 0x%x, which is no field", (unsigned int)field);
	return model.fields[field];
}

bool vmcs_read_optional(enum vmcs_field field, uint64_t *value)
{
	if (!exists(field))
		return false;
	*value = model.fields[field];
	return true;
}

void vmcs_write_checked(enum vmcs_field field, uint64_t value, const char *caller)
{
	if (!exists(field) || (field >> 10 & 3) == READ_ONLY_TYPE)
		fail_msg("%s: VMWRITE of 0x%x, which cannot be written", caller,
			 (unsigned int)field);
	if (!fits(field, value))
		fail_msg("%s: VMWRITE of 0x%x: 0x%llx is too wide", caller, (unsigned int)field,
			 (unsigned long long)value);
	model.fields[field] = value;
	model.written[field] = model.entries + 1;
}

void model_set(enum vmcs_field field, uint64_t value)
{
	assert_true(exists(field) && fits(field, value));
	model.fields[field] = value;
}

static struct model_msr *find_msr(uint32_t number)
{
	for (unsigned int i = 0; i < model.msr_count; i++)
		if (model.msrs[i].number == number)
			return &model.msrs[i];
	return NULL;
}

void model_set_msr(uint32_t number, uint64_t value)
{
	struct model_msr *msr = find_msr(number);

	if (!msr) {
		assert_true(model.msr_count < MODEL_MSRS);
		msr = &model.msrs[model.msr_count++];
		msr->number = number;
	}
	msr->value = value;
}

uint64_t model_msr(uint32_t number)
{
	const struct model_msr *const msr = find_msr(number);

	return msr ? msr->value : model.msr;
}

uint64_t model_rdmsr(uint32_t number)
{
	model.msr_reads++;
	if (model.on_rdmsr)
		model.on_rdmsr(number);
	return model_msr(number);
}

void model_wrmsr(uint32_t number, uint64_t value)
{
	model.msr_writes++;
	model.msr_written = number;
	if (find_msr(number))
		model_set_msr(number, value);
	else
		model.msr = value;
	if (model.on_wrmsr)
		model.on_wrmsr(number, value);
}

/* SDM 1, 13.4.3: the standard format. */
#define XSTATE_BV  512
#define HEADER_END 576
static const struct {
	unsigned int bit, offset;
} components[MODEL_COMPONENTS] = { { 0, 0 }, { 1, 160 }, { 2, HEADER_END }, { 18, 2752 } };

static bool is_disabled(unsigned int bit)
{
	return model_msr(MSR_IA32_XFD) >> bit & 1;
}

/* Nothing is written for a component in its initial state, or that XFD disables. */
void model_xsave(void *area)
{
	uint64_t present = 0;

	for (size_t i = 0; i < MODEL_COMPONENTS; i++) {
		const unsigned int bit = components[i].bit;

		if (!(model.xcr0 >> bit & 1) || is_disabled(bit) || model.extended[i] == 0)
			continue;
		memcpy((char *)area + components[i].offset, &model.extended[i], sizeof(uint64_t));
		present |= 1ULL << bit;
	}
	memcpy((char *)area + XSTATE_BV, &present, sizeof(present));
}

bool model_xrstor(const void *area)
{
	const char *const bytes = area;
	uint64_t present;

	memcpy(&present, bytes + XSTATE_BV, sizeof(present));
	for (size_t i = XSTATE_BV + sizeof(present); i < HEADER_END; i++)
		if (bytes[i] != 0)
			return false;
	if (present & ~model.xcr0)
		return false;
	for (size_t i = 0; i < MODEL_COMPONENTS; i++) {
		const unsigned int bit = components[i].bit;

		if (!(model.xcr0 >> bit & 1))
			continue;
		if (!(present >> bit & 1)) {
			model.extended[i] = 0;
			continue;
		}
		if (is_disabled(bit))
			fail_msg("XRSTOR of state that XFD disables: #NM");
		memcpy(&model.extended[i], bytes + components[i].offset, sizeof(uint64_t));
	}
	return true;
}

bool model_logged(const char *text)
{
	return strstr(model.log, text) != NULL;
}

void model_reset(void)
{
	memset(&model, 0, sizeof(model));
	memset(&machine, 0, sizeof(machine));
	memset(&model_cpu, 0, sizeof(model_cpu));
	model_current = &model_cpu;
	errata_detected = 0;
	model.dr6 = DR6_RESET;
	model.strict_errors = true;
	model_set(VMCS_GUEST_CR0, CR0_PE | CR0_NE | CR0_PG);
	model_set(VMCS_GUEST_CR4, CR4_PAE);
	model_set(VMCS_GUEST_DR7, DR7_RESET);
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_IF);
	model_set(VMCS_ENTRY_EXCEPTION_ERROR_CODE, GARBAGE);
	model_set(VMCS_ENTRY_INSTRUCTION_LENGTH, GARBAGE);
	model_set(VMCS_INJECTED_EVENT_DATA, GARBAGE);
	model_exit(EXIT_REASON_CPUID);
}

static bool pushes_error_code(unsigned int vector)
{
	static const bool with[32] = { [8] = true,  [10] = true, [11] = true, [12] = true,
				       [13] = true, [14] = true, [17] = true, [21] = true };

	return with[vector];
}

/* The guest takes its events by FRED. */
static bool uses_fred(void)
{
	return model.has_fred && (model.fields[VMCS_GUEST_CR4] & CR4_FRED);
}

/* SDM 3C, 27.2.1.3 */
static const char *type_error(unsigned int type, unsigned int vector)
{
	switch (type) {
	case 1:
		return "type 1";
	case 2:
		return vector != 2 ? "NMI with another vector than 2" : NULL;
	case 3:
		return vector > 31 ? "hardware exception above 31" : NULL;
	case 7:
		if (vector > 2)
			return "other event above 2";
		return vector != 0 && !uses_fred() ? "SYSCALL or SYSENTER without FRED" : NULL;
	default:
		return NULL;
	}
}

static bool was_written(enum vmcs_field field)
{
	return model.written[field] == model.entries + 1;
}

static const char *field_error(uint32_t info)
{
	const unsigned int type = INTERRUPTION_TYPE(info);
	const unsigned int vector = INTERRUPTION_VECTOR(info);
	const bool error_code = info & INTERRUPTION_ERROR_CODE_VALID;
	const uint64_t length = model.fields[VMCS_ENTRY_INSTRUCTION_LENGTH];

	if (info & INFO_RESERVED)
		return "reserved bit";
	if ((info & INTERRUPTION_NESTED) && (type != 3 || !model.has_fred))
		return "nested, but no hardware exception or no FRED";
	if (error_code && type != 3)
		return "error code with another type than hardware exception";
	if (error_code && !(model.fields[VMCS_GUEST_CR0] & CR0_PE))
		return "error code in real mode";
	if (model.strict_errors && type == 3 && (model.fields[VMCS_GUEST_CR0] & CR0_PE) &&
	    error_code != pushes_error_code(vector))
		return "error code does not belong to the vector";
	if (error_code && model.fields[VMCS_ENTRY_EXCEPTION_ERROR_CODE] > 0xffff)
		return "error code above 16 bits";
	if (error_code && !was_written(VMCS_ENTRY_EXCEPTION_ERROR_CODE))
		return "error code of an earlier event";
	if (uses_fred() && !was_written(VMCS_INJECTED_EVENT_DATA))
		return "event data of an earlier event";
	if (type < 4 || (type == 7 && vector == 0))
		return NULL;
	if (!was_written(VMCS_ENTRY_INSTRUCTION_LENGTH))
		return "instruction length of an earlier event";
	return length == 0 || length > LONGEST_INSTRUCTION ? "instruction length" : NULL;
}

static bool single_steps(void)
{
	return (model.fields[VMCS_GUEST_RFLAGS] & RFLAGS_TF) &&
	       !(model.fields[VMCS_GUEST_DEBUGCTL] & DEBUGCTL_BTF);
}

/* SDM 3C, 27.3.1.5 */
static const char *guest_state_error(void)
{
	const uint64_t blocking = model.fields[VMCS_GUEST_INTERRUPTIBILITY];
	const bool interrupts = model.fields[VMCS_GUEST_RFLAGS] & RFLAGS_IF;
	const uint32_t info = (uint32_t)model.fields[VMCS_ENTRY_INTERRUPTION_INFO];
	const unsigned int type = INTERRUPTION_TYPE(info);
	const unsigned int vector = INTERRUPTION_VECTOR(info);

	if ((blocking & SHADOW) == SHADOW)
		return "blocking by STI and by MOV SS";
	if ((blocking & INTERRUPTIBILITY_STI) && !interrupts)
		return "blocking by STI with IF = 0";
	if (((blocking & SHADOW) || model.fields[VMCS_GUEST_ACTIVITY_STATE] == ACTIVITY_HLT) &&
	    !(model.fields[VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS] & PENDING_DEBUG_BS) !=
		    !single_steps())
		return "a single step that waits in spite of TF or BTF, or none with TF";
	if (!(info & INTERRUPTION_VALID))
		return NULL;
	if (type == 0 && (!interrupts || (blocking & SHADOW)))
		return "interrupt while interrupts are blocked";
	if (type == 2 && (blocking & (SHADOW | INTERRUPTIBILITY_NMI)))
		return "NMI while NMIs are blocked";
	if (model.fields[VMCS_GUEST_ACTIVITY_STATE] == ACTIVITY_HLT && type != 0 && type != 2 &&
	    !(type == 3 && (vector == VECTOR_DB || vector == VECTOR_MC)) &&
	    !(type == 7 && vector == 0))
		return "an event that does not end HLT";
	return NULL;
}

const char *model_entry_error(void)
{
	const uint32_t info = (uint32_t)model.fields[VMCS_ENTRY_INTERRUPTION_INFO];
	const char *error = NULL;

	if ((info & INTERRUPTION_VALID) && !was_written(VMCS_ENTRY_INTERRUPTION_INFO))
		error = "the event of an earlier entry";
	else if (info & INTERRUPTION_VALID)
		error = type_error(INTERRUPTION_TYPE(info), INTERRUPTION_VECTOR(info));
	if (!error && (info & INTERRUPTION_VALID))
		error = field_error(info);
	return error ? error : guest_state_error();
}

static bool trap_waits(void)
{
	return model.fields[VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS] & DEBUG_TRAPS;
}

struct model_entry model_vm_entry(void)
{
	const uint32_t info = (uint32_t)model.fields[VMCS_ENTRY_INTERRUPTION_INFO];
	const char *const error = model_entry_error();
	struct model_entry entry = { .injected = info & INTERRUPTION_VALID };
	struct event *const event = &entry.event;

	if (error)
		fail_msg("VM entry fails with interruption information 0x%x: %s", info, error);
	model.entries++;
	if (!entry.injected)
		return entry;
	/* These types lose it (27.7.3), and as an interrupt or NMI would never do. */
	if (INTERRUPTION_TYPE(info) < 3 && trap_waits())
		fail_msg("a debug trap is lost by injection of 0x%x", info);
	event->type = (uint8_t)INTERRUPTION_TYPE(info);
	event->vector = INTERRUPTION_VECTOR(info);
	event->nested = info & INTERRUPTION_NESTED;
	event->has_error_code = info & INTERRUPTION_ERROR_CODE_VALID;
	if (event->has_error_code)
		event->error_code = (uint32_t)model.fields[VMCS_ENTRY_EXCEPTION_ERROR_CODE];
	if (event->type >= 4)
		event->instruction_length = (uint8_t)model.fields[VMCS_ENTRY_INSTRUCTION_LENGTH];
	if (event->type == 3 && event->vector == VECTOR_PF)
		event->event_data = model.cr2;
	if (uses_fred()) {
		if (event->event_data != 0)
			assert_int_equal(event->event_data, model.fields[VMCS_INJECTED_EVENT_DATA]);
		event->event_data = model.fields[VMCS_INJECTED_EVENT_DATA];
	}
	model.fields[VMCS_GUEST_INTERRUPTIBILITY] &= ~(uint64_t)SHADOW;
	if (event->type == 2)
		model.fields[VMCS_GUEST_INTERRUPTIBILITY] |= INTERRUPTIBILITY_NMI;
	model.fields[VMCS_GUEST_ACTIVITY_STATE] = ACTIVITY_ACTIVE;
	return entry;
}

int model_window_exit(void)
{
	const uint64_t controls = model.fields[VMCS_PROC_BASED_CONTROLS];
	const uint64_t blocking = model.fields[VMCS_GUEST_INTERRUPTIBILITY];

	if ((blocking & INTERRUPTIBILITY_MOV_SS) || trap_waits())
		return -1;
	/* Whether STI holds it back is the processor's choice (26.2): here it does not. */
	if ((controls & PROC_NMI_WINDOW) && !(blocking & INTERRUPTIBILITY_NMI))
		return EXIT_REASON_NMI_WINDOW;
	if (blocking & SHADOW)
		return -1;
	if ((controls & PROC_INTERRUPT_WINDOW) && (model.fields[VMCS_GUEST_RFLAGS] & RFLAGS_IF))
		return EXIT_REASON_INTERRUPT_WINDOW;
	return -1;
}

void model_exit(enum exit_reason reason)
{
	model.fields[VMCS_ENTRY_INTERRUPTION_INFO] &= ~(uint64_t)INTERRUPTION_VALID;
	model_set(VMCS_EXIT_REASON, reason);
	model_set(VMCS_IDT_VECTORING_INFO, GARBAGE & ~INTERRUPTION_VALID);
	model_set(VMCS_IDT_VECTORING_ERROR_CODE, GARBAGE);
	model_set(VMCS_EXIT_INSTRUCTION_LENGTH, GARBAGE);
	model_set(VMCS_ORIGINAL_EVENT_DATA, GARBAGE);
}

void model_exit_in_delivery(enum exit_reason reason, const struct event *event)
{
	model_exit(reason);
	/* Bit 12 is undefined. */
	model_set(VMCS_IDT_VECTORING_INFO,
		  INTERRUPTION_VALID | INTERRUPTION_NMI_UNBLOCKED | event->vector |
			  (uint32_t)event->type << 8 | (event->nested ? INTERRUPTION_NESTED : 0) |
			  (event->has_error_code ? INTERRUPTION_ERROR_CODE_VALID : 0));
	if (event->has_error_code)
		model_set(VMCS_IDT_VECTORING_ERROR_CODE, event->error_code);
	if (event->type >= 4)
		model_set(VMCS_EXIT_INSTRUCTION_LENGTH, event->instruction_length);
	if (uses_fred())
		model_set(VMCS_ORIGINAL_EVENT_DATA, event->event_data);
	if (event->type == 3 && event->vector == VECTOR_PF)
		model.cr2 = event->event_data;
	if (event->type == 2)
		model.fields[VMCS_GUEST_INTERRUPTIBILITY] |= INTERRUPTIBILITY_NMI;
}

static void end_guest(const char *reason)
{
	if (!model.end)
		fail_msg("the guest ended: %s", reason);
	model.end_reason = reason;
	longjmp(*model.end, 1);
}

/* test_rip.c has the real ones. */
__attribute__((weak)) void raise_gp(struct vcpu *vcpu __attribute__((unused)))
{
	model.gps++;
}

__attribute__((weak)) void raise_ud(struct vcpu *vcpu __attribute__((unused)))
{
	model.uds++;
}

/* apic.c has a test of its own: here no interrupt is in service. */
__attribute__((weak)) bool apic_return_interrupt(uint8_t vector __attribute__((unused)))
{
	return false;
}

/* smp.c and sipi.c have tests of their own, where these two are the real ones. */
__attribute__((weak)) void smp_request_others(enum cpu_request request __attribute__((unused)))
{
	model.requests++;
}

/* sched.c has tests of its own, and so has what writes much. */
__attribute__((weak)) void sched_charge(struct vcpu *vcpu __attribute__((unused)))
{
}

__attribute__((weak)) bool log_enabled(enum log_level level __attribute__((unused)))
{
	return true;
}

/* INIT and SIPI are kept from the machine. */
__attribute__((weak)) bool sipi_command(struct vcpu *vcpu __attribute__((unused)), uint64_t icr)
{
	model.commands++;
	return (icr >> 8 & 7) == 5 || (icr >> 8 & 7) == 6;
}

__attribute__((weak)) void skip_instruction(void)
{
	model.skips++;
}

void panic(const char *reason, const char *format __attribute__((unused)), ...)
{
	end_guest(reason);
	abort();
}

void log_line(enum log_level level __attribute__((unused)), const char *format, ...)
{
	char line[512];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = format_string_v(line, sizeof(line), format, arguments);
	va_end(arguments);
	assert_in_range(length, 0, sizeof(line) - 1);
	/* Full: the oldest lines are forgotten. */
	if (model.log_length + (size_t)length + 2 > sizeof(model.log))
		model.log_length = 0;
	memcpy(model.log + model.log_length, line, (size_t)length);
	model.log_length += (size_t)length;
	model.log[model.log_length++] = '\n';
	model.log[model.log_length] = '\0';
}
