// SPDX-License-Identifier: BSD-2-Clause
/*
 * The self-test of the platform's FRED: what is checked, and what follows from it. Owns nothing:
 * what it changes of the processor, it puts back. docs/errata.md has the deviations it knows.
 */
#include "vmm/selftest/checks.h"

#include <stddef.h>

#include "lib/format.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "vmm/host/apic.h"
#include "vmm/run/create.h"
#include "vmm/vmx/ept.h"
#include "vmm/host/errata.h"
#include "vmm/vcpu/event.h"
#include "vmm/fred/native.h"
#include "vmm/selftest/probe.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/exit_names.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define PIC_MASTER_MASK 0x21
#define PIC_SLAVE_MASK	0xa1
#define PIC_ALL		0xff

#define STAR_SELECTORS	   ((uint64_t)PROBE_USER_BASE << 48 | (uint64_t)PROBE_KERNEL_CS << 32)
#define CET_SHSTK_ENABLE   1ULL
#define TEST_INTERRUPT	   0xf1 /* of the highest class: it alone passes CR8 = 14 */
#define CR8_HOLD_ALL	   15ULL
#define INT_N_LENGTH	   2
#define WRMSR_LENGTH	   2
#define SYSCALL_LENGTH	   2
#define STALE_LENGTH	   5
#define PF_ERROR_USER	   4U
#define PF_ERROR_WRITE	   2U
#define MSR_NOT_IN_BITMAPS 0x2000U
#define BAD_SELECTOR	   BOOT_GDT_SIZE
/* VM-instruction errors (SDM 3C, 32.4) */
#define ERROR_CONTROL_FIELD	 7U
#define ERROR_HOST_STATE	 8U
#define ACCESS_RIGHTS_DPL1	 (1U << 5)
#define ACCESS_RIGHTS_CONFORMING (1U << 2)
#define NON_CANONICAL		 (1ULL << 63)

/* IA32_FRED_RSP0 to IA32_FRED_CONFIG follow one another; all but the first are switched. */
#define FRED_MSRS (MSR_IA32_FRED_CONFIG - MSR_IA32_FRED_RSP0 + 1)
/* A legal value of any of them, another one for each and for each user. */
#define PATTERN(msr, salt)                                                         \
	((uint64_t)(salt) << 32 | ((uint64_t)(msr)-MSR_IA32_FRED_RSP0 + 1) << 20 | \
	 ((msr) == MSR_IA32_FRED_CONFIG ? FRED_CONFIG_SSP_ADJUST | 2 /* level */ : 0))
enum { SALT_HOST = 1, SALT_LOADED, SALT_WRITTEN };

/* The one that is not of the processor but of the method by which guests get their MSRs. */
#define ERRATUM_OF_METHOD ERRATUM_FR_3

enum verdict { AS_SPECIFIED, NOT_POSSIBLE, KNOWN_DEVIATION, WRONG };

static struct vcpu *vcpu;
/* What the check that runs has seen that is not as specified: the first such thing. */
static char seen_wrong[160];

/* ---- What comes of one entry ---- */

static bool differs(const char *what, uint64_t seen, uint64_t right)
{
	if (seen != right && seen_wrong[0] == '\0')
		format_string(seen_wrong, sizeof(seen_wrong), "%s is 0x%llx, and should be 0x%llx",
			      what, (unsigned long long)seen, (unsigned long long)right);
	return seen != right;
}

/* Run up to an exit with just this reason. False: another one or none, which is noted. */
static bool run_until(uint32_t expected_reason)
{
	uint32_t reason;

	if (!probe_run(vcpu)) {
		format_string(seen_wrong, sizeof(seen_wrong), "no VM entry: %s",
			      vmcs_instruction_error_name(vmcs_read(VMCS_INSTRUCTION_ERROR)));
		return false;
	}
	reason = vmcs_read32(VMCS_EXIT_REASON);
	if (reason == expected_reason)
		return true;
	format_string(seen_wrong, sizeof(seen_wrong), "exit %s%s, qualification 0x%llx, at 0x%llx",
		      exit_reason_name(EXIT_REASON_BASIC(reason)),
		      reason & EXIT_REASON_ENTRY_FAILURE ? " at VM entry" : "",
		      (unsigned long long)vmcs_read(VMCS_EXIT_QUALIFICATION),
		      (unsigned long long)vmcs_read(VMCS_GUEST_RIP));
	return false;
}

/* A delivery: where the guest goes on, and what it finds there. */
struct delivery {
	uint64_t rip, rsp;
	struct fred_frame frame;
};

static bool is_software(const struct event *event)
{
	return event->type >= EVENT_SOFTWARE_INTERRUPT;
}

/* FRED specification, 5.1.2, for a guest that is at level 0 and has its interrupts there. */
static unsigned int level_of(const struct event *event, unsigned int ring)
{
	if ((ring == 3 && !event->nested && event->vector != VECTOR_DF) ||
	    event->type == EVENT_EXTERNAL_INTERRUPT || event->type == EVENT_SOFTWARE_INTERRUPT ||
	    event->type == EVENT_OTHER)
		return 0;
	return (unsigned int)(PROBE_STKLVLS >> 2 * event->vector & 3);
}

static uint64_t augmented_ss(const struct event *event, uint64_t length)
{
	uint64_t ss = vmcs_read(VMCS_GUEST_SS_SELECTOR) | FRED_SS_LONG_MODE |
		      (uint64_t)event->vector << FRED_SS_VECTOR_SHIFT |
		      (uint64_t)event->type << FRED_SS_TYPE_SHIFT | length << FRED_SS_LENGTH_SHIFT;

	if (vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_STI)
		ss |= FRED_SS_STI;
	if (event->type == EVENT_SOFTWARE_INTERRUPT || event->type == EVENT_OTHER)
		ss |= FRED_SS_SOFTWARE;
	if (event->type == EVENT_NMI)
		ss |= FRED_SS_NMI;
	return event->nested ? ss | FRED_SS_NESTED : ss;
}

/* What the architecture says of the delivery of this event to the guest as it is now. */
static struct delivery expect(const struct event *event)
{
	const unsigned int ring = ACCESS_RIGHTS_DPL(vmcs_read32(VMCS_GUEST_SS_ACCESS_RIGHTS));
	const unsigned int level = level_of(event, ring);
	const uint64_t length = is_software(event) ? event->instruction_length : 0;
	const uint64_t rsp = vmcs_read(VMCS_GUEST_RSP);
	const uint64_t stack =
		ring == 3 || level > 0 ? PROBE_TOP(PROBE_LEVEL0 + level) : rsp & ~FRED_RSP_RESERVED;

	return (struct delivery){
		.rip = PROBE_ADDRESS(PROBE_CODE) + (ring == 3 ? 0 : FRED_ENTRY_RING0),
		.rsp = stack - sizeof(struct fred_frame),
		.frame = { .error_code = event->error_code,
			   .rip = vmcs_read(VMCS_GUEST_RIP) + length,
			   .cs = vmcs_read(VMCS_GUEST_CS_SELECTOR),
			   .rflags = vmcs_read(VMCS_GUEST_RFLAGS),
			   .rsp = rsp,
			   .ss = augmented_ss(event, length),
			   .event_data = event->event_data },
	};
}

/* The guest is in the handler of an event, which has exited at once. */
static bool read_delivery(struct delivery *seen)
{
	const struct fred_frame *frame;

	seen->rip = vmcs_read(VMCS_GUEST_RIP);
	seen->rsp = vmcs_read(VMCS_GUEST_RSP);
	frame = probe_memory(vcpu, seen->rsp);
	if (!frame ||
	    differs("the entry point", seen->rip & ~FRED_ENTRY_RING0, PROBE_ADDRESS(PROBE_CODE)))
		return false;
	seen->frame = *frame;
	/* Whether RF is set so that an instruction can be repeated is not FRED's affair. */
	seen->frame.rflags &= ~RFLAGS_RF;
	return true;
}

static bool run_to_handler(struct delivery *seen)
{
	return run_until(EXIT_REASON_VMCALL) && read_delivery(seen);
}

static bool same(const struct delivery *seen, const struct delivery *right)
{
	return !(differs("the handler's RIP", seen->rip, right->rip) ||
		 differs("the handler's RSP", seen->rsp, right->rsp) ||
		 differs("the frame's error code", seen->frame.error_code,
			 right->frame.error_code) ||
		 differs("the frame's RIP", seen->frame.rip, right->frame.rip) ||
		 differs("the frame's CS", seen->frame.cs, right->frame.cs) ||
		 differs("the frame's RFLAGS", seen->frame.rflags, right->frame.rflags) ||
		 differs("the frame's RSP", seen->frame.rsp, right->frame.rsp) ||
		 differs("the frame's SS", seen->frame.ss, right->frame.ss) ||
		 differs("the frame's event data", seen->frame.event_data,
			 right->frame.event_data) ||
		 differs("the frame's last word", seen->frame.reserved, right->frame.reserved));
}

/* Run up to the handler and compare. `deviant` is what an erratum makes of it; NULL: none known. */
static enum verdict run_and_compare(const struct delivery *right, const struct delivery *deviant)
{
	struct delivery seen;

	if (!run_to_handler(&seen))
		return WRONG;
	if (same(&seen, right))
		return AS_SPECIFIED;
	return deviant && same(&seen, deviant) ? KNOWN_DEVIATION : WRONG;
}

/* ---- FRED's MSRs ---- */

static bool guest_rdmsr(uint32_t msr, uint64_t *value)
{
	vmcs_write(VMCS_GUEST_RIP, probe_address(fred_check_rdmsr));
	vcpu->regs.rcx = msr;
	if (!run_until(EXIT_REASON_VMCALL))
		return false;
	*value = vcpu->regs.rdx << 32 | vcpu->regs.rax;
	return true;
}

static bool guest_wrmsr(uint32_t msr, uint64_t value)
{
	vmcs_write(VMCS_GUEST_RIP, probe_address(fred_check_wrmsr));
	vcpu->regs.rcx = msr;
	vcpu->regs.rax = (uint32_t)value;
	vcpu->regs.rdx = value >> 32;
	return run_until(EXIT_REASON_VMCALL);
}

/* After an exit: the VMM's own values. What is not there is put back. */
static bool host_is_loaded(const uint64_t host[FRED_MSRS])
{
	bool loaded = true;

	for (uint32_t i = 1; i < FRED_MSRS; i++) {
		if (differs("an MSR of the VMM", rdmsr(MSR_IA32_FRED_RSP0 + i), host[i])) {
			loaded = false;
			wrmsr(MSR_IA32_FRED_RSP0 + i, host[i]);
		}
	}
	return loaded;
}

static enum verdict check_loaded(const uint64_t host[FRED_MSRS])
{
	struct fred_state state = { 0 };
	uint64_t value;

	for (uint32_t msr = MSR_IA32_FRED_RSP0; msr <= MSR_IA32_FRED_CONFIG; msr++)
		*fred_state_of(&state, msr) = PATTERN(msr, SALT_LOADED);
	wrmsr(MSR_IA32_FRED_RSP0, state.rsp[0]);
	for (uint32_t msr = MSR_IA32_FRED_RSP0; msr <= MSR_IA32_FRED_CONFIG; msr++)
		/* Written each time: whether exits save them right is asked later. */
		if (!fred_write_state(vcpu, &state) || !guest_rdmsr(msr, &value) ||
		    differs("an MSR in the guest", value, PATTERN(msr, SALT_LOADED)) ||
		    !host_is_loaded(host))
			return WRONG;
	return AS_SPECIFIED;
}

static enum verdict check_saved(const uint64_t host[FRED_MSRS])
{
	struct fred_state state;
	bool wrong = false;

	for (uint32_t msr = MSR_IA32_FRED_RSP0; msr <= MSR_IA32_FRED_CONFIG; msr++)
		if (!guest_wrmsr(msr, PATTERN(msr, SALT_WRITTEN)) || !host_is_loaded(host))
			return WRONG;
	fred_read_state(vcpu, &state);
	state.rsp[0] = rdmsr(MSR_IA32_FRED_RSP0);
	for (uint32_t msr = MSR_IA32_FRED_RSP0; msr <= MSR_IA32_FRED_CONFIG; msr++)
		wrong |= differs("a saved MSR", *fred_state_of(&state, msr),
				 PATTERN(msr, SALT_WRITTEN));
	if (!wrong)
		return AS_SPECIFIED;
	return machine.fred_method == FRED_METHOD_VMCS ? KNOWN_DEVIATION : WRONG;
}

static enum verdict check_msrs(void)
{
	uint64_t host[FRED_MSRS];
	enum verdict verdict;

	for (uint32_t i = 0; i < FRED_MSRS; i++)
		host[i] = rdmsr(MSR_IA32_FRED_RSP0 + i);
	probe_reset(vcpu, 0, fred_check_rdmsr);
	verdict = check_loaded(host);
	return verdict == AS_SPECIFIED ? check_saved(host) : verdict;
}

/* A value that WRMSR has to refuse. */
static enum verdict check_wrmsr(void)
{
	const struct event gp = event_exception_error(VECTOR_GP, 0);
	struct delivery seen, right;

	probe_reset(vcpu, 0, fred_check_wrmsr);
	right = expect(&gp);
	if (!guest_wrmsr(MSR_IA32_FRED_CONFIG, NON_CANONICAL))
		return WRONG;
	if (!differs("RIP", vmcs_read(VMCS_GUEST_RIP), right.rip))
		return read_delivery(&seen) && same(&seen, &right) ? AS_SPECIFIED : WRONG;
	return vmcs_read(VMCS_GUEST_RIP) == right.frame.rip + WRMSR_LENGTH ? KNOWN_DEVIATION
									   : WRONG;
}

/* ---- What VM entry has to refuse ---- */

/* The entry does not come about, for this reason; what is wrong is noted. */
static bool entry_fails(const char *what, uint64_t error)
{
	if (!probe_run(vcpu))
		return !differs(what, vmcs_read(VMCS_INSTRUCTION_ERROR), error);
	differs(what, 0, error);
	return false;
}

static bool guest_state_fails(const char *what)
{
	const uint32_t right = EXIT_REASON_ENTRY_GUEST_STATE | EXIT_REASON_ENTRY_FAILURE;

	if (!probe_run(vcpu)) {
		differs(what, vmcs_read(VMCS_INSTRUCTION_ERROR), 0);
		return false;
	}
	return !differs(what, vmcs_read32(VMCS_EXIT_REASON), right);
}

/* One bit too many for each field: reserved ones, and an address that is none. */
static uint64_t reserved_of(uint32_t msr)
{
	if (msr == MSR_IA32_FRED_STKLVLS)
		return 0;
	if (msr == MSR_IA32_FRED_CONFIG)
		return FRED_CONFIG_RESERVED | NON_CANONICAL;
	return (msr < MSR_IA32_FRED_STKLVLS ? FRED_RSP_RESERVED : FRED_SSP_RESERVED) |
	       NON_CANONICAL;
}

static bool guest_msr_is_refused(uint32_t msr, uint64_t bit)
{
	probe_reset(vcpu, 0, fred_check_entries);
	vmcs_write(fred_guest_field(msr), vmcs_read(fred_guest_field(msr)) ^ bit);
	return guest_state_fails("what a bad FRED field of the guest leads to");
}

static bool host_msr_is_refused(uint32_t msr, uint64_t bit)
{
	const uint64_t right = vmcs_read(fred_host_field(msr));
	bool refused;

	probe_reset(vcpu, 0, fred_check_entries);
	vmcs_write(fred_host_field(msr), right ^ bit);
	refused = entry_fails("what a bad FRED field of the host leads to", ERROR_HOST_STATE);
	vmcs_write(fred_host_field(msr), right);
	if (!refused)
		wrmsr(msr, right);
	return refused;
}

static bool msrs_are_refused(void)
{
	bool refused = true;

	for (uint32_t msr = MSR_IA32_FRED_RSP1; msr <= MSR_IA32_FRED_CONFIG; msr++)
		for (uint64_t rest = reserved_of(msr); rest != 0; rest &= rest - 1) {
			const uint64_t bit = rest & -rest;

			refused &= guest_msr_is_refused(msr, bit);
			refused &= host_msr_is_refused(msr, bit);
		}
	return refused;
}

/* States in which FRED leaves no guest, though they are legal without. */
static bool states_are_refused(void)
{
	bool refused;

	probe_reset(vcpu, 3, fred_check_entries);
	vmcs_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IOPL);
	refused = guest_state_fails("what IOPL in ring 3 leads to");
	probe_reset(vcpu, 3, fred_check_entries);
	vmcs_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	refused &= guest_state_fails("what STI blocking in ring 3 leads to");
	probe_reset(vcpu, 0, fred_check_entries);
	vmcs_clear_bits(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_L);
	refused &= guest_state_fails("what compatibility mode in ring 0 leads to");
	probe_reset(vcpu, 0, fred_check_entries);
	vmcs_set_bits(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_CONFORMING);
	vmcs_set_bits(VMCS_GUEST_SS_ACCESS_RIGHTS, ACCESS_RIGHTS_DPL1);
	refused &= guest_state_fails("what ring 1 leads to");
	return refused;
}

static bool injection_is_refused(uint32_t info, uint32_t error_code, uint32_t length)
{
	bool refused;

	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, INTERRUPTION_VALID | info);
	vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, error_code);
	vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, length);
	refused = entry_fails("what an illegal injection leads to", ERROR_CONTROL_FIELD);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	return refused;
}

/* clang-format off */
#define INFO(type, vector) ((uint32_t)(type) << INTERRUPTION_TYPE_SHIFT | (vector))
/* clang-format on */

static bool injections_are_refused(void)
{
	static const struct {
		uint32_t info, error_code, length;
	} cases[] = {
		{ INFO(1, VECTOR_UD), 0, 0 },
		{ INFO(EVENT_NMI, VECTOR_BP), 0, 0 },
		{ INFO(EVENT_HARDWARE_EXCEPTION, 32), 0, 0 },
		{ INFO(EVENT_OTHER, 3), 0, 2 },
		{ INFO(EVENT_SOFTWARE_INTERRUPT, 0x80), 0, 16 },
		{ INFO(EVENT_SOFTWARE_EXCEPTION, VECTOR_BP), 0, 16 },
		{ INFO(EVENT_OTHER, FRED_VECTOR_SYSCALL), 0, 16 },
		{ INFO(EVENT_HARDWARE_EXCEPTION, VECTOR_UD) | INTERRUPTION_NMI_UNBLOCKED, 0, 0 },
		{ INFO(EVENT_HARDWARE_EXCEPTION, VECTOR_UD) | INTERRUPTION_NESTED << 1, 0, 0 },
		{ INFO(EVENT_EXTERNAL_INTERRUPT, 0x55) | INTERRUPTION_NESTED, 0, 0 },
		{ INFO(EVENT_SOFTWARE_INTERRUPT, 0x80) | INTERRUPTION_NESTED, 0, 2 },
		{ INFO(EVENT_EXTERNAL_INTERRUPT, 0x55) | INTERRUPTION_ERROR_CODE_VALID, 0, 0 },
		{ INFO(EVENT_NMI, VECTOR_NMI) | INTERRUPTION_ERROR_CODE_VALID, 0, 0 },
		{ INFO(EVENT_SOFTWARE_INTERRUPT, VECTOR_GP) | INTERRUPTION_ERROR_CODE_VALID, 0, 2 },
		{ INFO(EVENT_SOFTWARE_EXCEPTION, VECTOR_BP) | INTERRUPTION_ERROR_CODE_VALID, 0, 1 },
		{ INFO(EVENT_HARDWARE_EXCEPTION, VECTOR_GP) | INTERRUPTION_ERROR_CODE_VALID,
		  0x10000, 0 },
	};
	bool refused = true;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		probe_reset(vcpu, 0, fred_check_entries);
		vmcs_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
		refused &=
			injection_is_refused(cases[i].info, cases[i].error_code, cases[i].length);
	}
	return refused;
}

/* Manfred writes nothing of the kind, so that an entry which takes it all does no harm. */
static enum verdict check_refusal(void)
{
	bool refused = injections_are_refused() & states_are_refused();

	if (machine.fred_method == FRED_METHOD_VMCS)
		refused &= msrs_are_refused();
	return refused ? AS_SPECIFIED : KNOWN_DEVIATION;
}

/* ---- Injection ---- */

/* clang-format off */
#define HARDWARE(v, ...) { .type = EVENT_HARDWARE_EXCEPTION, .vector = (v), __VA_ARGS__ }
#define SOFTWARE(t, v, l) { .type = (t), .vector = (v), .instruction_length = (l) }
/* clang-format on */

static enum verdict check_injected_length(void)
{
	const struct event ud = event_exception(VECTOR_UD);
	struct delivery right, deviant;

	probe_reset(vcpu, 0, fred_check_entries);
	deviant = right = expect(&ud);
	deviant.frame.ss |= (uint64_t)STALE_LENGTH << FRED_SS_LENGTH_SHIFT;
	vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, STALE_LENGTH);
	event_queue(vcpu, ud);
	return run_and_compare(&right, &deviant);
}

static enum verdict check_injection(void)
{
	/* clang-format off */
	static const struct {
		unsigned int ring;
		struct event event;
	} cases[] = {
		{ 0, HARDWARE(VECTOR_PF, .has_error_code = true, .error_code = 0x13,
			      .event_data = 0xffff987654321000, .nested = true) },
		{ 3, HARDWARE(VECTOR_UD, .event_data = 0) },
		{ 3, HARDWARE(VECTOR_PF, .has_error_code = true, .error_code = 7,
			      .event_data = 0x123456789abc) },
		{ 0, HARDWARE(VECTOR_DB, .event_data = PENDING_DEBUG_BS | 1) },
		{ 3, HARDWARE(VECTOR_GP, .has_error_code = true, .error_code = 0x1234,
			      .nested = true) },
		{ 3, HARDWARE(VECTOR_DF, .has_error_code = true) },
		{ 0, { .type = EVENT_NMI, .vector = VECTOR_NMI } },
		{ 3, { .type = EVENT_EXTERNAL_INTERRUPT, .vector = 0x55 } },
		{ 3, SOFTWARE(EVENT_SOFTWARE_INTERRUPT, 0x80, INT_N_LENGTH) },
		{ 0, SOFTWARE(EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB, 1) },
		{ 3, SOFTWARE(EVENT_SOFTWARE_EXCEPTION, VECTOR_BP, 1) },
		{ 3, SOFTWARE(EVENT_OTHER, FRED_VECTOR_SYSCALL, SYSCALL_LENGTH) },
		{ 0, SOFTWARE(EVENT_OTHER, FRED_VECTOR_SYSENTER, SYSCALL_LENGTH) },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct delivery right;

		probe_reset(vcpu, cases[i].ring, fred_check_entries);
		vmcs_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
		right = expect(&cases[i].event);
		event_queue(vcpu, cases[i].event);
		if (run_and_compare(&right, NULL) != AS_SPECIFIED)
			return WRONG;
	}
	return AS_SPECIFIED;
}

/* ---- An exit in the delivery ---- */

static bool exit_tells(const struct event *event)
{
	const uint32_t info = vmcs_read32(VMCS_IDT_VECTORING_INFO) & ~INTERRUPTION_NMI_UNBLOCKED;

	return !(
		differs("the original event", info, event_to_info(event)) ||
		differs("its event data", vmcs_read(VMCS_ORIGINAL_EVENT_DATA), event->event_data) ||
		(event->has_error_code &&
		 differs("its error code", vmcs_read(VMCS_IDT_VECTORING_ERROR_CODE),
			 event->error_code)) ||
		(is_software(event) &&
		 differs("its instruction length", vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH),
			 event->instruction_length)));
}

/*
 * The guest's next instruction raises this event. Let an EPT violation interrupt its delivery, then
 * finish it. KNOWN_DEVIATION: the exit did not tell what was interrupted.
 */
static enum verdict interrupt_delivery(const struct event *event)
{
	const struct delivery right = expect(event);
	bool exited, told;

	ept_unmap_page(vcpu->vm, right.rsp);
	exited = run_until(EXIT_REASON_EPT_VIOLATION);
	told = exited && exit_tells(event);
	ept_map_missing(vcpu->vm, right.rsp);
	if (!told)
		return exited ? KNOWN_DEVIATION : WRONG;
	event_complete_interrupted(vcpu);
	return run_and_compare(&right, NULL);
}

static enum verdict check_syscall_interrupted(void)
{
	static const struct event event =
		SOFTWARE(EVENT_OTHER, FRED_VECTOR_SYSCALL, SYSCALL_LENGTH);

	probe_reset(vcpu, 3, fred_check_syscall);
	return interrupt_delivery(&event);
}

/* INT n is no fault: its frame must not have RF, and so the guest must not after the exit. */
static enum verdict check_resume_flag(void)
{
	uint64_t rsp;

	probe_reset(vcpu, 0, fred_check_int_n);
	rsp = (vmcs_read(VMCS_GUEST_RSP) & ~FRED_RSP_RESERVED) - sizeof(struct fred_frame);
	ept_unmap_page(vcpu->vm, rsp);
	if (!run_until(EXIT_REASON_EPT_VIOLATION))
		return WRONG;
	ept_map_missing(vcpu->vm, rsp);
	return differs("RF", vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_RF, 0) ? KNOWN_DEVIATION
									  : AS_SPECIFIED;
}

static enum verdict interrupt_deliveries(unsigned int ring)
{
	/* clang-format off */
	static const struct {
		const uint8_t *code;
		struct event event;
	} cases[] = {
		{ fred_check_int3, SOFTWARE(EVENT_SOFTWARE_EXCEPTION, VECTOR_BP, 1) },
		{ fred_check_int_n, SOFTWARE(EVENT_SOFTWARE_INTERRUPT, 0x20, INT_N_LENGTH) },
		{ fred_check_ud2, HARDWARE(VECTOR_UD, .event_data = 0) },
		{ fred_check_read_rbx, HARDWARE(VECTOR_PF, .has_error_code = true,
						.event_data = PROBE_ADDRESS(PROBE_ABSENT)) },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event event = cases[i].event;

		if (ring == 3 && event.has_error_code)
			event.error_code |= PF_ERROR_USER;
		probe_reset(vcpu, ring, cases[i].code);
		vcpu->regs.rbx = PROBE_ADDRESS(PROBE_ABSENT);
		if (interrupt_delivery(&event) != AS_SPECIFIED)
			return WRONG;
	}
	return AS_SPECIFIED;
}

static enum verdict check_interrupted(void)
{
	const enum verdict verdict = interrupt_deliveries(0);

	return verdict == AS_SPECIFIED ? interrupt_deliveries(3) : verdict;
}

/* ---- Nested exceptions ---- */

/* From ring 3, with a page fault on the stack of level 0. */
static enum verdict fault_in_delivery(const uint8_t *code)
{
	const uint64_t no_stack = PROBE_TOP(PROBE_ABSENT);
	struct event event = event_page_fault(PF_ERROR_WRITE, 0);
	struct delivery seen, right;

	probe_reset(vcpu, 3, code);
	wrmsr(MSR_IA32_FRED_RSP0, no_stack);
	event.nested = true;
	right = expect(&event);
	if (!run_to_handler(&seen))
		return WRONG;
	/* In which order the words of a frame are stored is left open. */
	if (no_stack - seen.frame.event_data <= sizeof(struct fred_frame))
		right.frame.event_data = seen.frame.event_data;
	if (same(&seen, &right))
		return AS_SPECIFIED;
	return FRED_SS_VECTOR(seen.frame.ss) == VECTOR_DF ? KNOWN_DEVIATION : WRONG;
}

static enum verdict check_nested_in_int_n(void)
{
	return fault_in_delivery(fred_check_int_n);
}

static enum verdict check_nested_in_exception(void)
{
	return fault_in_delivery(fred_check_ud2);
}

/*
 * An exception that exits: its bit 13 tells whether it has come in FRED's delivery of another
 * event, and then the exit has that one, too.
 */
static enum verdict check_nested_exit(void)
{
	const uint32_t page_fault = INTERRUPTION_VALID | INTERRUPTION_ERROR_CODE_VALID |
				    INFO(EVENT_HARDWARE_EXCEPTION, VECTOR_PF);
	const struct event ud = event_exception(VECTOR_UD);
	const uint32_t bitmap = vmcs_read32(VMCS_EXCEPTION_BITMAP);
	bool right;

	vmcs_write(VMCS_EXCEPTION_BITMAP, 1U << VECTOR_PF);
	probe_reset(vcpu, 3, fred_check_ud2);
	wrmsr(MSR_IA32_FRED_RSP0, PROBE_TOP(PROBE_ABSENT));
	right = run_until(EXIT_REASON_EXCEPTION_NMI) && exit_tells(&ud) &&
		!differs("the nested exception", vmcs_read32(VMCS_EXIT_INTERRUPTION_INFO),
			 page_fault | INTERRUPTION_NESTED);
	probe_reset(vcpu, 0, fred_check_read_rbx);
	vcpu->regs.rbx = PROBE_ADDRESS(PROBE_ABSENT);
	right = right && run_until(EXIT_REASON_EXCEPTION_NMI) &&
		!differs("the event before the exception", vmcs_read32(VMCS_IDT_VECTORING_INFO),
			 0) &&
		!differs("the exception", vmcs_read32(VMCS_EXIT_INTERRUPTION_INFO), page_fault);
	vmcs_write(VMCS_EXCEPTION_BITMAP, bitmap);
	return right ? AS_SPECIFIED : WRONG;
}

/* ---- Details ---- */

static enum verdict check_sti_blocking(void)
{
	static const struct event bp = SOFTWARE(EVENT_SOFTWARE_EXCEPTION, VECTOR_BP, 1);
	const struct event ud = event_exception(VECTOR_UD);
	struct delivery right, deviant;
	enum verdict native, injected;

	probe_reset(vcpu, 0, fred_check_sti_int3);
	deviant = expect(&bp);
	deviant.frame.rip++; /* behind STI */
	deviant.frame.rflags |= RFLAGS_IF;
	right = deviant;
	right.frame.ss |= FRED_SS_STI;
	native = run_and_compare(&right, &deviant);

	probe_reset(vcpu, 0, fred_check_entries);
	vmcs_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	deviant = right = expect(&ud);
	deviant.frame.ss &= ~FRED_SS_STI;
	event_queue(vcpu, ud);
	injected = run_and_compare(&right, &deviant);
	return native > injected ? native : injected;
}

static enum verdict check_int1_event_data(void)
{
	static const struct event int1 =
		SOFTWARE(EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB, 1);
	struct delivery right, deviant;

	probe_reset(vcpu, 0, fred_check_int1);
	vmcs_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_TF);
	deviant = right = expect(&int1);
	deviant.frame.event_data = PENDING_DEBUG_BS;
	return run_and_compare(&right, &deviant);
}

static enum verdict check_lkgs(void)
{
	const uint64_t active = PROBE_ADDRESS(PROBE_STACK), kernel = PROBE_ADDRESS(PROBE_GDT);
	const struct event gp = event_exception_error(VECTOR_GP, BAD_SELECTOR);
	struct delivery right;

	probe_reset(vcpu, 0, fred_check_lkgs);
	vmcs_write(VMCS_GUEST_GS_BASE, active);
	wrmsr(MSR_IA32_KERNEL_GS_BASE, kernel);
	vcpu->regs.rax = BAD_SELECTOR;
	right = expect(&gp);
	if (run_and_compare(&right, NULL) != AS_SPECIFIED)
		return WRONG;
	if (differs("the GS base", vmcs_read(VMCS_GUEST_GS_BASE), active))
		return rdmsr(MSR_IA32_KERNEL_GS_BASE) == active ? KNOWN_DEVIATION : WRONG;
	return differs("IA32_KERNEL_GS_BASE", rdmsr(MSR_IA32_KERNEL_GS_BASE), kernel)
		       ? WRONG
		       : AS_SPECIFIED;
}

static enum verdict check_wrmsrns(void)
{
	if (!(cpuid(7, 1).eax & CPUID_7_1_EAX_WRMSRNS))
		return NOT_POSSIBLE;
	probe_reset(vcpu, 0, fred_check_wrmsrns);
	vcpu->regs.rcx = MSR_NOT_IN_BITMAPS;
	if (run_until(EXIT_REASON_WRMSR))
		return AS_SPECIFIED;
	return vmcs_read32(VMCS_EXIT_REASON) == EXIT_REASON_WRMSRNS_IMMEDIATE ? KNOWN_DEVIATION
									      : WRONG;
}

/* ---- Interrupts ---- */

static bool has_apic(void)
{
	return rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ENABLE;
}

/* One that waits until CR8 is below 15. False: there is no APIC to send it. */
static bool send_interrupt(void)
{
	if (!has_apic())
		return false;
	write_cr8(CR8_HOLD_ALL);
	apic_send_self(TEST_INTERRUPT);
	return true;
}

/* The guest's RBX tells when it came (checks.asm). */
static enum verdict came_when(uint64_t right)
{
	const uint64_t when = vcpu->regs.rbx;

	if (when <= 1)
		apic_end_of_interrupt();
	if (!differs("when the interrupt comes", when, right))
		return AS_SPECIFIED;
	return when <= 1 ? KNOWN_DEVIATION : WRONG;
}

/* In the handler of INT3, where IF is 0. */
static enum verdict check_interrupts_closed(void)
{
	struct fred_state state = probe_fred_state();

	if (!send_interrupt())
		return NOT_POSSIBLE;
	probe_reset(vcpu, 0, fred_check_int3);
	state.config = PROBE_ADDRESS(PROBE_CODE_CR8);
	vmcs_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_IF);
	if (!fred_write_state(vcpu, &state) || !run_until(EXIT_REASON_VMCALL))
		return WRONG;
	return came_when(1);
}

/* The other way round: one that exits does so whatever IF is. */
static enum verdict check_interrupt_exits(void)
{
	bool exited;

	if (!send_interrupt())
		return NOT_POSSIBLE;
	probe_reset(vcpu, 0, fred_check_lower_cr8);
	vmcs_set_bits(VMCS_PIN_BASED_CONTROLS, PIN_EXTERNAL_INTERRUPT);
	exited = run_until(EXIT_REASON_EXTERNAL_INTERRUPT);
	vmcs_clear_bits(VMCS_PIN_BASED_CONTROLS, PIN_EXTERNAL_INTERRUPT);
	return exited ? came_when(0) : WRONG;
}

/* ---- Shadow stacks ---- */

/* Where a return that goes right comes to. */
static bool returns_to(const uint8_t *return_code, uint64_t rip, uint64_t ssp)
{
	vmcs_write(VMCS_GUEST_RIP, probe_address(return_code));
	return run_until(EXIT_REASON_VMCALL) &&
	       !differs("RIP after the return", vmcs_read(VMCS_GUEST_RIP), rip) &&
	       !differs("SSP after the return", vmcs_read(VMCS_GUEST_SSP), ssp);
}

static bool shadow_stack_in_ring0(void)
{
	const uint64_t top = PROBE_TOP(PROBE_SHADOW);
	const uint64_t *const shadow = probe_memory(vcpu, top - 3 * sizeof(*shadow));
	struct fred_state state = probe_fred_state();
	struct delivery seen;

	state.config |= 1; /* the stack level, which is in the CS that is pushed, and stays */
	return fred_write_state(vcpu, &state) && run_to_handler(&seen) &&
	       !differs("SSP", vmcs_read(VMCS_GUEST_SSP), top - 3 * sizeof(*shadow)) &&
	       !differs("the SSP pushed", shadow[0], top) &&
	       !differs("the RIP pushed", shadow[1], seen.frame.rip) &&
	       !differs("the CS pushed", shadow[2], seen.frame.cs) &&
	       returns_to(fred_check_erets, seen.frame.rip, top);
}

static bool shadow_stack_of_ring3(void)
{
	const uint64_t top = PROBE_TOP(PROBE_USER_SHADOW);
	struct delivery seen;

	return run_to_handler(&seen) &&
	       !differs("SSP", vmcs_read(VMCS_GUEST_SSP), PROBE_TOP(PROBE_SHADOW)) &&
	       !differs("IA32_PL3_SSP", rdmsr(MSR_IA32_PL3_SSP), top) &&
	       returns_to(fred_check_eretu, seen.frame.rip, top);
}

/* INT3 and the return from it. */
static enum verdict check_shadow_stacks(void)
{
	bool right = true;

	if (!machine.has_cet)
		return NOT_POSSIBLE;
	wrmsr(MSR_IA32_U_CET, CET_SHSTK_ENABLE);
	wrmsr(MSR_IA32_PL0_SSP, PROBE_TOP(PROBE_SHADOW));
	for (unsigned int ring = 0; ring <= 3; ring += 3) {
		probe_reset(vcpu, ring, fred_check_int3);
		vmcs_set_bits(VMCS_GUEST_CR4, CR4_CET);
		vmcs_write(VMCS_GUEST_S_CET, CET_SHSTK_ENABLE);
		vmcs_write(VMCS_GUEST_SSP, PROBE_TOP(ring == 0 ? PROBE_SHADOW : PROBE_USER_SHADOW));
		right &= ring == 0 ? shadow_stack_in_ring0() : shadow_stack_of_ring3();
	}
	vmcs_write(VMCS_GUEST_S_CET, 0);
	vmcs_write(VMCS_GUEST_SSP, 0);
	/* Whatever goes wrong here: guests are better off without. */
	return right ? AS_SPECIFIED : KNOWN_DEVIATION;
}

/* ---- All of it ---- */

/* What is worked around in vcpu/event.c comes before the checks that use vcpu/event.c. */
static const struct check {
	const char *name;
	enum verdict (*run)(void);
	enum erratum known; /* of KNOWN_DEVIATION; 0: that is WRONG as well */
} checks[] = {
	{ "MSRs at entry and exit", check_msrs, ERRATUM_FR_3 },
	{ "refusal by VM entry", check_refusal, ERRATUM_FR_18 },
	{ "refusal of a bad value by WRMSR", check_wrmsr, ERRATUM_FR_20 },
	{ "length of an injected exception", check_injected_length, ERRATUM_FR_13 },
	{ "injection", check_injection, 0 },
	{ "interrupted delivery of SYSCALL", check_syscall_interrupted, ERRATUM_FR_6 },
	{ "RF after an interrupted delivery", check_resume_flag, ERRATUM_FR_23 },
	{ "interrupted delivery", check_interrupted, 0 },
	{ "fault in the delivery of INT n", check_nested_in_int_n, ERRATUM_FR_7 },
	{ "fault in the delivery of an exception", check_nested_in_exception, 0 },
	{ "exit by a nested exception", check_nested_exit, 0 },
	{ "STI blocking in the frame", check_sti_blocking, ERRATUM_FR_8 },
	{ "event data of INT1", check_int1_event_data, ERRATUM_FR_12 },
	{ "LKGS with a bad selector", check_lkgs, ERRATUM_FR_11 },
	{ "exit of WRMSRNS", check_wrmsrns, ERRATUM_FR_14 },
	{ "interrupts after delivery", check_interrupts_closed, ERRATUM_FR_4 },
	{ "interrupts that exit", check_interrupt_exits, ERRATUM_FR_19 },
	{ "shadow stacks", check_shadow_stacks, ERRATUM_FR_9 },
};

/* AS_SPECIFIED and NOT_POSSIBLE are well; anything else has been reported. */
static enum verdict run_check(const struct check *check)
{
	enum verdict verdict;

	seen_wrong[0] = '\0';
	verdict = check->run();
	if (verdict == KNOWN_DEVIATION && check->known != 0) {
		log_debug("FRED self-test: %s: %s", check->name, seen_wrong);
		erratum_report(check->known);
		return KNOWN_DEVIATION;
	}
	if (verdict == AS_SPECIFIED || verdict == NOT_POSSIBLE)
		return verdict;
	log_error("FRED self-test: %s: %s", check->name, seen_wrong);
	return WRONG;
}

/* With the method that is chosen now. False: it cannot be trusted, and another one is chosen. */
static bool run_checks(const struct boot_info *boot)
{
	unsigned int passed = 0;
	bool trusted = true;

	vcpu = probe_create(boot);
	for (size_t i = 0; trusted && i < sizeof(checks) / sizeof(checks[0]); i++) {
		const enum verdict verdict = run_check(&checks[i]);

		passed += verdict == AS_SPECIFIED;
		trusted = verdict != WRONG &&
			  !(verdict == KNOWN_DEVIATION && checks[i].known == ERRATUM_OF_METHOD);
		if (!trusted) {
			char why[80];

			format_string(why, sizeof(why), "self-test of %s", checks[i].name);
			fred_lower_method(why);
		}
	}
	probe_destroy(vcpu);
	if (trusted)
		log_info("FRED self-test: %u checks passed, %u errata", passed, errata_count());
	return trusted;
}

/* What the checks change of the processor and the machine. */
struct borrowed {
	uint64_t star, kernel_gs_base, u_cet, pl0_ssp, pl3_ssp, cr8;
	uint64_t fred[FRED_MSRS];
	uint32_t apic_spurious;
	uint8_t pic_master, pic_slave;
};

static void borrow(struct borrowed *b)
{
	b->star = rdmsr(MSR_IA32_STAR);
	b->kernel_gs_base = rdmsr(MSR_IA32_KERNEL_GS_BASE);
	if (machine.has_cet) {
		b->u_cet = rdmsr(MSR_IA32_U_CET);
		b->pl0_ssp = rdmsr(MSR_IA32_PL0_SSP);
		b->pl3_ssp = rdmsr(MSR_IA32_PL3_SSP);
	}
	for (uint32_t i = 0; i < FRED_MSRS; i++)
		b->fred[i] = rdmsr(MSR_IA32_FRED_RSP0 + i);
	b->pic_master = inb(PIC_MASTER_MASK);
	b->pic_slave = inb(PIC_SLAVE_MASK);
	if (has_apic())
		b->apic_spurious = apic_spurious();
	b->cr8 = read_cr8();

	/* The firmware's devices are still at work: no interrupt but the test's own. */
	outb(PIC_MASTER_MASK, PIC_ALL);
	outb(PIC_SLAVE_MASK, PIC_ALL);
	write_cr8(CR8_HOLD_ALL);
	wrmsr(MSR_IA32_STAR, STAR_SELECTORS);
	/* Without shadow stacks the VMM's own SSPs have no effect: values that can be told. */
	for (uint32_t msr = MSR_IA32_FRED_SSP1; msr <= MSR_IA32_FRED_SSP3; msr++)
		wrmsr(msr, PATTERN(msr, SALT_HOST));
}

static void give_back(const struct borrowed *b)
{
	wrmsr(MSR_IA32_STAR, b->star);
	wrmsr(MSR_IA32_KERNEL_GS_BASE, b->kernel_gs_base);
	if (machine.has_cet) {
		wrmsr(MSR_IA32_U_CET, b->u_cet);
		wrmsr(MSR_IA32_PL0_SSP, b->pl0_ssp);
		wrmsr(MSR_IA32_PL3_SSP, b->pl3_ssp);
	}
	for (uint32_t i = 0; i < FRED_MSRS; i++)
		wrmsr(MSR_IA32_FRED_RSP0 + i, b->fred[i]);
	if (has_apic())
		apic_set_spurious(b->apic_spurious);
	write_cr8(b->cr8);
	outb(PIC_MASTER_MASK, b->pic_master);
	outb(PIC_SLAVE_MASK, b->pic_slave);
}

static bool is_wanted(const struct config *config)
{
	for (uint32_t i = 0; i < config->guest_count; i++)
		if (config->guests[i].fred == FRED_AUTO || config->guests[i].fred == FRED_NATIVE)
			return true;
	return false;
}

void fred_check(const struct boot_info *boot)
{
	struct borrowed borrowed = { 0 };

	if (machine.fred_method == FRED_METHOD_NONE || !is_wanted(&boot->config))
		return;
	borrow(&borrowed);
	while (!run_checks(boot) && machine.fred_method != FRED_METHOD_NONE)
		continue;
	give_back(&borrowed);
}
