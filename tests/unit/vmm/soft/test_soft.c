/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/soft/soft.c over the model of a VMCS, with the real engine, walk, decoder and event queue:
 * what reaches the engine and what becomes of it, and that all is as before when FRED is off again.
 */
#include "tests/unit/unit.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "lib/x86/vmx.h"
#include "tests/unit/model/model.h"
#include "tests/unit/soft_guest.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/run/inject.h"
#include "vmm/vcpu/msr_policy.h"
#include "vmm/soft/decode.h"
#include "vmm/soft/soft.h"
#include "vmm/host/trap.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define KERNEL_BASE	 0xffff888000000000ULL
#define PAGE(n)		 (KERNEL_BASE + (n)*PAGE_SIZE)
#define LEVEL_TOP(level) (PAGE(1 + (level)) + 0x800)
#define CURRENT_STACK	 PAGE(5)
#define GDT_BASE	 PAGE(6)
#define NO_PAGE		 PAGE(9)
#define CODE_PAGE	 0xa000ULL /* physical */
#define ENTRY_POINT	 0xffffffff81000000ULL
#define RIP		 0xffffffff81234ff0ULL
#define USER_RIP	 0x401234ULL
#define USER_RSP	 0x7ffc12345673ULL
#define GS_BASE		 0x1111ULL
#define KERNEL_GS_BASE	 0x2222ULL
#define IDT_LIMIT	 0xfffU
#define SYSENTER_CS	 0x10U
#define OTHER_EXCEPTIONS (1U << VECTOR_UD)
#define USER_CS		 0x33
#define USER_CS32	 0x23
#define USER_SS		 0x2b

#define FIELD(name) vmcs_read(VMCS_##name)

static struct vm vm;
static struct vcpu vcpu;
static bool efer_exits, sysenter_exits, may_step;

/* ---- What the sources under test call beside ---- */

const uint8_t trap_fred_entry[1];

struct cpuid_leaf cpuid(uint32_t leaf __attribute__((unused)),
			uint32_t subleaf __attribute__((unused)))
{
	return (struct cpuid_leaf){ 0 };
}

bool machine_may_set(uint32_t capability_msr, uint32_t bit)
{
	assert_int_equal(capability_msr, MSR_IA32_VMX_PROCBASED_CTLS2);
	assert_int_equal(bit, PROC2_DESCRIPTOR_TABLE);
	return may_step;
}

void *page_alloc(void)
{
	fail();
	return NULL;
}

uint64_t virt_to_phys(const void *address)
{
	return (uintptr_t)address;
}

/* Only an erratum's way round asks for it. */
bool guest_read_linear(const struct vm *of __attribute__((unused)),
		       uint64_t linear __attribute__((unused)), void *to __attribute__((unused)),
		       uint64_t size __attribute__((unused)))
{
	fail();
	return false;
}

uint64_t vcpu_gpr(const struct vcpu *of, unsigned int number)
{
	return number == 0 ? of->regs.rax : number == 3 ? of->regs.rbx : 0;
}

void msr_set_exits(const struct vcpu *of, uint32_t msr, bool exits)
{
	assert_ptr_equal(of, &vcpu);
	if (msr == MSR_IA32_EFER)
		efer_exits = exits;
	else if (msr == MSR_IA32_SYSENTER_CS)
		sysenter_exits = exits;
	else
		fail();
}

/* ---- The guest ---- */

static void set_segment(enum segment which, uint16_t selector, uint32_t rights)
{
	model_set(VMCS_SEGMENT(VMCS_GUEST_ES_SELECTOR, which), selector);
	model_set(VMCS_SEGMENT(VMCS_GUEST_ES_ACCESS_RIGHTS, which), rights);
	model_set(VMCS_SEGMENT(VMCS_GUEST_ES_LIMIT, which), 0xffffffff);
}

static void in_ring0(void)
{
	model_set(VMCS_GUEST_RIP, RIP);
	model_set(VMCS_GUEST_RSP, CURRENT_STACK + 0x800);
	set_segment(SEG_CS, 0x10, 0xa09b);
	set_segment(SEG_SS, 0x18, 0xc093);
}

static void in_ring3(void)
{
	model_set(VMCS_GUEST_RIP, USER_RIP);
	model_set(VMCS_GUEST_RSP, USER_RSP);
	set_segment(SEG_CS, USER_CS, 0xa0fb);
	set_segment(SEG_SS, USER_SS, 0xc0f3);
}

static void set_up_vmcs(void)
{
	model_set(VMCS_GUEST_CR0, CR0_PE | CR0_PG | CR0_WP | CR0_NE);
	model_set(VMCS_GUEST_CR3, GUEST_CR3);
	model_set(VMCS_CR4_READ_SHADOW, CR4_FRED);
	model_set(VMCS_GUEST_EFER, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
	model_set(VMCS_GUEST_SYSENTER_CS, SYSENTER_CS);
	model_set(VMCS_GUEST_IDTR_LIMIT, IDT_LIMIT);
	model_set(VMCS_GUEST_GDTR_BASE, GDT_BASE);
	model_set(VMCS_GUEST_GDTR_LIMIT, 0x7f);
	model_set(VMCS_GUEST_LDTR_ACCESS_RIGHTS, ACCESS_RIGHTS_UNUSABLE);
	model_set(VMCS_GUEST_GS_BASE, GS_BASE);
	model_set(VMCS_SECONDARY_PROC_CONTROLS, 1);
	in_ring0();
}

static int set_up(void **state __attribute__((unused)))
{
	model_reset();
	guest_clear(4);
	for (unsigned int page = 1; page < 9; page++)
		guest_map(PAGE(page), page * PAGE_SIZE, ENTRY_P | ENTRY_W);
	machine.linear_bits = 48;
	machine.physical_mask = (1ULL << 46) - 1;
	machine.has_monitor_trap = true;
	may_step = true;
	model_set_msr(MSR_IA32_STAR, 0x00230010ULL << 32);
	model_set_msr(MSR_IA32_KERNEL_GS_BASE, KERNEL_GS_BASE);
	vm = (struct vm){ .devices = VM_DEVICES_PASSTHROUGH,
			  .ram = guest_walks.ram,
			  .fred = FRED_BACKEND_SOFT,
			  .required_exceptions = 1U << VECTOR_UD };
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.vm = &vm;
	vcpu.soft.state.config = ENTRY_POINT;
	for (unsigned int level = 0; level < FRED_LEVELS; level++)
		vcpu.soft.state.rsp[level] = LEVEL_TOP(level);
	efer_exits = sysenter_exits = false;
	set_up_vmcs();
	event_set_exits(&vcpu, OTHER_EXCEPTIONS);
	return 0;
}

static int set_up_on(void **state)
{
	set_up(state);
	soft_fred_switch(&vcpu, true);
	return 0;
}

static uint64_t *slot(uint64_t linear)
{
	return (uint64_t *)(guest_ram + (linear & 0xffff));
}

/* The guest is at its entry point for this ring, on this stack, with this frame. */
static void expect_delivered(bool user, uint64_t top, uint64_t frame_rip, uint64_t frame_ss)
{
	const uint64_t *const frame = slot(top - 64);

	assert_int_equal(FIELD(GUEST_RIP), ENTRY_POINT + (user ? 0 : 0x100));
	assert_int_equal(FIELD(GUEST_RSP), top - 64);
	assert_int_equal(FIELD(GUEST_RFLAGS), 2);
	assert_int_equal(frame[1], frame_rip);
	assert_int_equal(frame[5], frame_ss);
	assert_int_equal(FIELD(GUEST_CS_SELECTOR), 0x10);
	assert_int_equal(FIELD(GUEST_SS_SELECTOR), 0x18);
	assert_int_equal(FIELD(GUEST_CS_ACCESS_RIGHTS), 0xa09b);
	assert_int_equal(FIELD(GUEST_SS_ACCESS_RIGHTS), 0xc093);
	assert_int_equal(FIELD(GUEST_GS_BASE), user ? KERNEL_GS_BASE : GS_BASE);
	assert_int_equal(model_msr(MSR_IA32_KERNEL_GS_BASE), user ? GS_BASE : KERNEL_GS_BASE);
	assert_int_equal(FIELD(ENTRY_INTERRUPTION_INFO) & INTERRUPTION_VALID, 0);
}

/* A fault of the instruction at RIP, as exits/table.c hands it on. */
static void raise(struct event event)
{
	model_set(VMCS_GUEST_RFLAGS, FIELD(GUEST_RFLAGS) | RFLAGS_RF);
	if (event.vector == VECTOR_UD && event.type == EVENT_HARDWARE_EXCEPTION)
		soft_fred_undefined(&vcpu);
	else
		soft_fred_exception(&vcpu, &event);
}

/* What is at RIP; the next page is absent. The VMM has been there before. */
static void set_code(const uint8_t *code, size_t size)
{
	const uint64_t rip = FIELD(GUEST_RIP);
	const struct guest_paging paging = { .walks = &vcpu.soft.walks,
					     .cr3 = GUEST_CR3,
					     .cr4 = CR4_PAE,
					     .efer = EFER_LME | EFER_LMA | EFER_NXE };
	struct event fault;
	void *memory;

	guest_map(rip & ~PAGE_MASK, CODE_PAGE, ENTRY_P | ENTRY_U);
	memset(guest_ram + CODE_PAGE, 0xcc, PAGE_SIZE);
	memcpy(guest_ram + CODE_PAGE + (rip & PAGE_MASK), code, size);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(guest_walk(&paging, rip, GUEST_REFETCH, &memory, &fault), WALK_OK);
	if (vcpu.soft.on)
		assert_ptr_equal(guest_walk_again(&paging, rip, GUEST_REFETCH), memory);
}

#define RAISE_AT(vector_event, ...)                         \
	do {                                                \
		static const uint8_t bytes[] = __VA_ARGS__; \
		set_code(bytes, sizeof(bytes));             \
		raise(vector_event);                        \
	} while (0)
#define BYTES(...)          \
	{                   \
		__VA_ARGS__ \
	}
#define UD  event_exception(VECTOR_UD)
#define GP0 event_exception_error(VECTOR_GP, 0)

/* ---- On and off ---- */

static void on_and_off(void)
{
	static uint64_t before[MODEL_FIELDS];

	memcpy(before, model.fields, sizeof(before));
	soft_fred_switch(&vcpu, true);
	assert_true(vcpu.soft.on && efer_exits && sysenter_exits);
	assert_int_equal(FIELD(EXCEPTION_BITMAP), 0xffffffff);
	assert_int_equal(FIELD(GUEST_IDTR_LIMIT), 0);
	assert_int_equal(FIELD(GUEST_EFER), EFER_LME | EFER_LMA | EFER_NXE);
	assert_int_equal(FIELD(GUEST_SYSENTER_CS), 0);
	assert_true(FIELD(PIN_BASED_CONTROLS) & PIN_EXTERNAL_INTERRUPT);
	assert_int_equal(FIELD(SECONDARY_PROC_CONTROLS),
			 1 | (machine.has_monitor_trap && may_step ? PROC2_DESCRIPTOR_TABLE : 0));
	soft_fred_switch(&vcpu, false);
	assert_false(vcpu.soft.on || efer_exits || sysenter_exits);
	assert_memory_equal(model.fields, before, sizeof(before));
}

TEST(off_is_as_before_on)
{
	on_and_off();
	model_set(VMCS_GUEST_EFER, EFER_LME | EFER_LMA | EFER_NXE);
	on_and_off();
	may_step = false;
	on_and_off();
	may_step = true;
	machine.has_monitor_trap = false;
	on_and_off();
	/* The VMM has the interrupts of a guest without devices in any case. */
	vm.devices = VM_DEVICES_NONE;
	model_set(VMCS_PIN_BASED_CONTROLS, PIN_EXTERNAL_INTERRUPT);
	on_and_off();
}

/* Also what the guest has asked for before, and LKGS' #UD whatever that was. */
TEST(exits_of_exceptions_are_as_before)
{
	event_set_exits(&vcpu, 1U << VECTOR_PF);
	soft_fred_switch(&vcpu, true);
	soft_fred_switch(&vcpu, false);
	assert_int_equal(FIELD(EXCEPTION_BITMAP), 1U << VECTOR_PF | 1U << VECTOR_UD);
}

TEST(what_the_guest_writes_meanwhile_is_kept)
{
	soft_fred_switch(&vcpu, true);
	assert_true(soft_fred_wrmsr(&vcpu, MSR_IA32_SYSENTER_CS, 0x20));
	assert_int_equal(FIELD(GUEST_SYSENTER_CS), 0);
	vcpu.soft.syscall_enabled = false;
	soft_fred_switch(&vcpu, false);
	assert_int_equal(FIELD(GUEST_SYSENTER_CS), 0x20);
	assert_false(FIELD(GUEST_EFER) & EFER_SCE);
}

TEST(stepping_over_lidt)
{
	handle_descriptor_table(&vcpu);
	assert_int_equal(FIELD(GUEST_IDTR_LIMIT), IDT_LIMIT);
	assert_true(FIELD(PROC_BASED_CONTROLS) & PROC_MONITOR_TRAP);
	assert_false(FIELD(SECONDARY_PROC_CONTROLS) & PROC2_DESCRIPTOR_TABLE);
	model_set(VMCS_GUEST_IDTR_LIMIT, 0x7ff); /* LIDT */
	soft_fred_stepped(&vcpu);
	assert_int_equal(FIELD(GUEST_IDTR_LIMIT), 0);
	assert_false(FIELD(PROC_BASED_CONTROLS) & PROC_MONITOR_TRAP);
	assert_true(FIELD(SECONDARY_PROC_CONTROLS) & PROC2_DESCRIPTOR_TABLE);
	soft_fred_switch(&vcpu, false);
	assert_int_equal(FIELD(GUEST_IDTR_LIMIT), 0x7ff);
}

/* The exit has saved RF = 0: a breakpoint on the instruction would be hit for ever. */
TEST(what_is_stepped_over_keeps_rf)
{
	handle_descriptor_table(&vcpu);
	assert_true(FIELD(GUEST_RFLAGS) & RFLAGS_RF);
}

/* A vcpu may be saved at any exit. */
TEST(switched_off_while_stepping)
{
	handle_descriptor_table(&vcpu);
	soft_fred_switch(&vcpu, false);
	assert_false(vcpu.soft.stepping);
	assert_int_equal(FIELD(GUEST_IDTR_LIMIT), IDT_LIMIT);
	assert_false(FIELD(SECONDARY_PROC_CONTROLS) & PROC2_DESCRIPTOR_TABLE);
	assert_false(FIELD(PROC_BASED_CONTROLS) & PROC_MONITOR_TRAP);
}

TEST(lidt_that_faults_or_is_interrupted)
{
	handle_descriptor_table(&vcpu);
	raise(event_exception_error(VECTOR_GP, 8));
	assert_false(vcpu.soft.stepping);
	assert_int_equal(FIELD(GUEST_IDTR_LIMIT), 0);
	assert_false(FIELD(PROC_BASED_CONTROLS) & PROC_MONITOR_TRAP);
	handle_descriptor_table(&vcpu);
	soft_fred_deliver(&vcpu, &(struct event){ .type = EVENT_NMI, .vector = VECTOR_NMI });
	assert_false(vcpu.soft.stepping);
	assert_int_equal(FIELD(GUEST_IDTR_LIMIT), 0);
	/* Somebody else's steps go on. */
	handle_descriptor_table(&vcpu);
	vcpu.steps_left = 1;
	soft_fred_stepped(&vcpu);
	assert_true(FIELD(PROC_BASED_CONTROLS) & PROC_MONITOR_TRAP);
}

/* ---- What exceptions become ---- */

TEST(exceptions)
{
	raise(event_page_fault(2, 0x1234));
	expect_delivered(false, CURRENT_STACK + 0x800, RIP, 0x0203000e00000018);
	assert_int_equal(model.cr2, 0x1234);
	assert_int_equal(slot(FIELD(GUEST_RSP))[0], 2);
	assert_int_equal(slot(FIELD(GUEST_RSP))[3], 0x10202);
	assert_int_equal(slot(FIELD(GUEST_RSP))[6], 0x1234);
	set_up_on(NULL);
	in_ring3();
	soft_fred_exception(&vcpu, &(struct event){ .type = EVENT_SOFTWARE_EXCEPTION,
						    .vector = VECTOR_BP,
						    .instruction_length = 1 });
	expect_delivered(true, LEVEL_TOP(0), USER_RIP + 1, 0x120600030000002b);
}

TEST(int_n_is_a_fault_of_the_empty_idt)
{
	const struct event int_80 = { .type = EVENT_SOFTWARE_INTERRUPT,
				      .vector = 0x80,
				      .instruction_length = 2 };

	in_ring3();
	model_exit_in_delivery(EXIT_REASON_EXCEPTION_NMI, &int_80);
	raise(event_exception_error(VECTOR_GP, 0x80 * 8 + 2));
	expect_delivered(true, LEVEL_TOP(0), USER_RIP + 2, 0x220400800002002b);
	/* RF was the fault's. */
	assert_int_equal(slot(FIELD(GUEST_RSP))[3], 0x202);
}

TEST(syscall)
{
	in_ring3();
	RAISE_AT(UD, BYTES(0x0f, 0x05));
	expect_delivered(true, LEVEL_TOP(0), USER_RIP + 2, 0x220700010002002b);
	assert_int_equal(slot(FIELD(GUEST_RSP))[3], 0x202);
	/* In ring 0, and with prefixes. */
	set_up_on(NULL);
	RAISE_AT(UD, BYTES(0x66, 0x48, 0x0f, 0x05));
	expect_delivered(false, CURRENT_STACK + 0x800, RIP + 4, 0x4207000100020018);
}

TEST(syscall_that_is_undefined)
{
	in_ring3();
	vcpu.soft.syscall_enabled = false;
	RAISE_AT(UD, BYTES(0x0f, 0x05));
	expect_delivered(true, LEVEL_TOP(0), USER_RIP, 0x020300060000002b);
	set_up_on(NULL);
	in_ring3();
	set_segment(SEG_CS, USER_CS32, 0xc0fb);
	RAISE_AT(UD, BYTES(0x0f, 0x05));
	expect_delivered(true, LEVEL_TOP(0), USER_RIP, 0x000300060000002b);
	/* Another exception there is not this. */
	set_up_on(NULL);
	in_ring3();
	RAISE_AT(GP0, BYTES(0x0f, 0x05));
	expect_delivered(true, LEVEL_TOP(0), USER_RIP, 0x0203000d0000002b);
}

TEST(sysenter_and_sysexit)
{
	in_ring3();
	set_segment(SEG_CS, USER_CS32, 0xc0fb);
	RAISE_AT(GP0, BYTES(0x0f, 0x34));
	expect_delivered(true, LEVEL_TOP(0), USER_RIP + 2, 0x200700020002002b);
	set_up_on(NULL);
	RAISE_AT(GP0, BYTES(0x0f, 0x35));
	expect_delivered(false, CURRENT_STACK + 0x800, RIP, 0x0203000600000018);
	/* Other exceptions there are not these. */
	set_up_on(NULL);
	RAISE_AT(UD, BYTES(0x0f, 0x34));
	expect_delivered(false, CURRENT_STACK + 0x800, RIP, 0x0203000600000018);
	set_up_on(NULL);
	RAISE_AT(event_exception_error(VECTOR_GP, 8), BYTES(0x0f, 0x34));
	expect_delivered(false, CURRENT_STACK + 0x800, RIP, 0x0203000d00000018);
}

TEST(an_instruction_at_the_end_of_memory)
{
	in_ring3();
	model_set(VMCS_GUEST_RIP, 0x401ffe);
	RAISE_AT(UD, BYTES(0x0f, 0x05));
	expect_delivered(true, LEVEL_TOP(0), 0x402000, 0x220700010002002b);
	set_up_on(NULL);
	in_ring3();
	model_set(VMCS_GUEST_RIP, 0x401fff);
	RAISE_AT(UD, BYTES(0x0f));
	expect_delivered(true, LEVEL_TOP(0), 0x401fff, 0x020300060000002b);
}

/* KV-1: RFLAGS of the exit may lack RF. Both ways: what is known from the first time is quick. */
TEST(faults_have_rf_whatever_the_exit_says)
{
	const uint64_t rflags = RFLAGS_RESERVED | RFLAGS_IF;

	for (uint8_t vector = 0; vector < EXCEPTION_VECTORS; vector++)
		for (unsigned int i = 0; i < 2; i++) {
			struct event event = event_has_error_code(vector)
						     ? event_exception_error(vector, 0)
						     : event_exception(vector);
			const bool fault = vector != VECTOR_DB && vector != VECTOR_MC;

			if (i == 0)
				set_up_on(NULL);
			in_ring0();
			model_set(VMCS_GUEST_RFLAGS, rflags);
			soft_fred_exception(&vcpu, &event);
			assert_int_equal(slot(FIELD(GUEST_RSP))[3],
					 rflags | (fault ? RFLAGS_RF : 0));
		}
}

/* ... and what is no fault has what the exit says. */
TEST(software_exceptions_have_no_rf)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct event int3 = { .type = EVENT_SOFTWARE_EXCEPTION,
				      .vector = VECTOR_BP,
				      .instruction_length = 1 };

		in_ring0();
		model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED);
		soft_fred_exception(&vcpu, &int3);
		assert_int_equal(slot(FIELD(GUEST_RSP))[3], RFLAGS_RESERVED);
	}
}

TEST(general_detect_is_a_fault)
{
	soft_fred_exception(&vcpu, &(struct event){ .type = EVENT_HARDWARE_EXCEPTION,
						    .vector = VECTOR_DB,
						    .event_data = 1 << 13 });
	assert_int_equal(slot(FIELD(GUEST_RSP))[3], 0x10202);
	assert_true(model.dr6 & 1 << 13);
}

TEST(interrupts_end_hlt)
{
	const struct event interrupt = { .type = EVENT_EXTERNAL_INTERRUPT, .vector = 0x41 };

	model_set(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	soft_fred_deliver(&vcpu, &interrupt);
	expect_delivered(false, CURRENT_STACK + 0x800, RIP, 0x0200004100000018);
	assert_int_equal(FIELD(GUEST_ACTIVITY_STATE), ACTIVITY_ACTIVE);
}

TEST(blocking)
{
	model_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	soft_fred_deliver(&vcpu, &(struct event){ .type = EVENT_NMI, .vector = VECTOR_NMI });
	expect_delivered(false, CURRENT_STACK + 0x800, RIP, 0x0202000200050018);
	assert_int_equal(FIELD(GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
}

/* ---- Faults in a delivery ---- */

static const char *end_of(struct event event)
{
	memset(&vcpu.end, 0, sizeof(vcpu.end));
	raise(event);
	return vcpu.end.reason;
}

TEST(a_nested_page_fault)
{
	in_ring3();
	vcpu.soft.state.rsp[0] = NO_PAGE + 0x800;
	vcpu.soft.state.stklvls = 1ULL << 2 * VECTOR_PF;
	soft_fred_deliver(&vcpu,
			  &(struct event){ .type = EVENT_EXTERNAL_INTERRUPT, .vector = 0x41 });
	expect_delivered(true, LEVEL_TOP(1), USER_RIP, 0x0603000e0000002b);
	assert_int_equal(model.cr2, NO_PAGE + 0x7f8);
	assert_int_equal(slot(FIELD(GUEST_RSP))[0], 2);
	assert_int_equal(slot(FIELD(GUEST_RSP))[3], 0x10202); /* RF: a fault */
	assert_int_equal(slot(FIELD(GUEST_RSP))[6], NO_PAGE + 0x7f8);
	assert_int_equal(vcpu.soft.state.config, ENTRY_POINT | 1);
}

/* The NMI is gone, as an interrupt would be; but its blocking has begun. */
TEST(an_nmi_whose_frame_faults_blocks_nmis)
{
	in_ring3();
	vcpu.soft.state.rsp[0] = NO_PAGE + 0x800;
	vcpu.soft.state.stklvls = 1ULL << 2 * VECTOR_PF;
	soft_fred_deliver(&vcpu, &(struct event){ .type = EVENT_NMI, .vector = VECTOR_NMI });
	expect_delivered(true, LEVEL_TOP(1), USER_RIP, 0x0603000e0000002b);
	assert_int_equal(FIELD(GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
}

TEST(a_double_fault)
{
	in_ring3();
	vcpu.soft.state.rsp[0] = vcpu.soft.state.rsp[1] = NO_PAGE + 0x800;
	vcpu.soft.state.stklvls = 1ULL << 2 * VECTOR_PF | 3ULL << 2 * VECTOR_DF;
	raise(event_page_fault(6, 0x5000));
	expect_delivered(true, LEVEL_TOP(3), USER_RIP, 0x020300080000002b);
	assert_int_equal(slot(FIELD(GUEST_RSP))[6], 0);
	/* CR2 is that of the last page fault, though it was never delivered. */
	assert_int_equal(model.cr2, NO_PAGE + 0x7f8);
}

/* However it begins: with no stack at all it comes to an end. */
TEST(no_stack_at_all_is_a_triple_fault)
{
	for (uint8_t type = 0; type < 8; type++) {
		const struct event event = { .type = type,
					     .vector = VECTOR_NMI,
					     .instruction_length = type >= 4 };

		if (type == 1)
			continue;
		set_up_on(NULL);
		in_ring3();
		for (unsigned int level = 0; level < FRED_LEVELS; level++)
			vcpu.soft.state.rsp[level] = NO_PAGE;
		vcpu.soft.state.rsp[0] = vcpu.soft.state.rsp[3] = NO_PAGE + 0x40;
		vcpu.soft.state.stklvls = 0xffffULL << 2 * VECTOR_DF;
		assert_string_equal(end_of(event), "triple-fault");
		assert_int_equal(FIELD(GUEST_RIP), USER_RIP);
	}
}

/* ---- 32-bit code ---- */

/* SW-2: the guest is where FRED delivers nothing. */
static void expect_no_delivery(void (*come)(void))
{
	for (unsigned int i = 0; i < 2; i++) {
		memset(&vcpu.end, 0, sizeof(vcpu.end));
		in_ring0();
		set_segment(SEG_CS, 0x10, ACCESS_RIGHTS_CODE32);
		come();
		assert_true(vcpu.end.requested);
		assert_string_equal(vcpu.end.reason, "fred-32-bit-ring0");
		assert_int_equal(FIELD(GUEST_RIP), RIP & UINT32_MAX);
		/* Again, where the walk to the frame is known. */
		in_ring0();
		raise(event_exception(VECTOR_DE));
		in_ring0();
		raise(event_exception(VECTOR_DE));
	}
}

static void come_page_fault(void)
{
	model_set(VMCS_GUEST_RIP, RIP & UINT32_MAX);
	raise(event_page_fault(0, 0x1234));
}

static void come_undefined(void)
{
	model_set(VMCS_GUEST_RIP, RIP & UINT32_MAX);
	raise(UD);
}

static void come_interrupt(void)
{
	model_set(VMCS_GUEST_RIP, RIP & UINT32_MAX);
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_IF);
	if (!soft_fred_interrupt(&vcpu, 0x41))
		soft_fred_deliver(
			&vcpu, &(struct event){ .type = EVENT_EXTERNAL_INTERRUPT, .vector = 0x41 });
}

TEST(no_event_in_32_bit_code_of_ring0)
{
	expect_no_delivery(come_page_fault);
	expect_no_delivery(come_undefined);
	expect_no_delivery(come_interrupt);
}

static void in_32_bit_ring3(uint64_t rip)
{
	in_ring3();
	set_segment(SEG_CS, USER_CS32, 0xc0fb);
	model_set(VMCS_GUEST_RIP, rip);
}

/* The instruction behind the last one is that at 0. The second time the walk to the frame is known.
 */
TEST(rip_of_32_bit_code_wraps)
{
	static const uint64_t ends[] = { 0xffffffff, 0xfffffffe };

	for (unsigned int i = 0; i < 2; i++) {
		for (size_t n = 0; n < COUNT_OF(ends); n++) {
			struct event into = { .type = EVENT_SOFTWARE_EXCEPTION,
					      .vector = VECTOR_OF,
					      .instruction_length = 2 };

			in_32_bit_ring3(ends[n]);
			soft_fred_exception(&vcpu, &into);
			assert_int_equal(slot(FIELD(GUEST_RSP))[1], n == 0 ? 1 : 0);
		}
		/* One that the VMM has stepped over, as exits/table.c leaves it. */
		in_32_bit_ring3(1ULL << 32);
		soft_fred_deliver(&vcpu, &(struct event){ .type = EVENT_NMI, .vector = 2 });
		assert_int_equal(slot(FIELD(GUEST_RSP))[1], 0);
		model_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	}
	/* 64-bit code goes on. */
	in_ring3();
	model_set(VMCS_GUEST_RIP, 0xffffffff);
	soft_fred_exception(&vcpu, &(struct event){ .type = EVENT_SOFTWARE_EXCEPTION,
						    .vector = VECTOR_BP,
						    .instruction_length = 1 });
	assert_int_equal(slot(FIELD(GUEST_RSP))[1], 1ULL << 32);
}

/* SYSENTER with its last byte at 0, by a segment that begins there. */
TEST(instructions_of_32_bit_code_wrap)
{
	guest_map(0xfffff000, CODE_PAGE, ENTRY_P | ENTRY_U);
	guest_map(0, 8 * PAGE_SIZE, ENTRY_P | ENTRY_U);
	guest_ram[CODE_PAGE + 0xfff] = 0x0f;
	guest_ram[8 * PAGE_SIZE] = 0x34;
	in_32_bit_ring3(0xffffffff);
	raise(GP0);
	expect_delivered(true, LEVEL_TOP(0), 1, 0x200700020002002b);
}

TEST(a_stack_in_no_memory)
{
	guest_map(PAGE(1), GUEST_RAM, ENTRY_P | ENTRY_W);
	in_ring3();
	assert_string_equal(end_of(UD), "fred-no-memory");
}

/* ---- Instructions of FRED ---- */

static void put_frame(uint64_t rsp, uint64_t rip, uint64_t cs, uint64_t rflags, uint64_t ss)
{
	const uint64_t frame[6] = { 0, rip, cs, rflags, PAGE(5) + 0xf00, ss };

	model_set(VMCS_GUEST_RSP, rsp);
	memcpy(slot(rsp), frame, sizeof(frame));
}

TEST(erets)
{
	vcpu.soft.state.config |= 2;
	put_frame(PAGE(5), RIP + 0x100, 0x10010, 0x246, 0x50018);
	model_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	RAISE_AT(UD, BYTES(0xf2, 0x0f, 0x01, 0xca));
	assert_int_equal(FIELD(GUEST_RIP), RIP + 0x100);
	assert_int_equal(FIELD(GUEST_RSP), PAGE(5) + 0xf00);
	assert_int_equal(FIELD(GUEST_RFLAGS), 0x246);
	assert_int_equal(FIELD(GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_STI);
	assert_int_equal(vcpu.soft.state.config, ENTRY_POINT | 1);
	assert_int_equal(FIELD(GUEST_GS_BASE), GS_BASE);
}

TEST(eretu)
{
	put_frame(PAGE(5), USER_RIP, USER_CS32, 0x202, USER_SS);
	RAISE_AT(UD, BYTES(0xf3, 0x0f, 0x01, 0xca));
	assert_int_equal(FIELD(GUEST_RIP), USER_RIP);
	assert_int_equal(FIELD(GUEST_CS_SELECTOR), USER_CS32);
	assert_int_equal(FIELD(GUEST_CS_ACCESS_RIGHTS), 0xc0fb);
	assert_int_equal(FIELD(GUEST_CS_LIMIT), 0xffffffff);
	assert_int_equal(FIELD(GUEST_SS_ACCESS_RIGHTS), 0xc0f3);
	assert_int_equal(FIELD(GUEST_GS_BASE), KERNEL_GS_BASE);
	assert_int_equal(model_msr(MSR_IA32_KERNEL_GS_BASE), GS_BASE);
}

TEST(returns_that_fault)
{
	/* A CS that belongs to ring 0. */
	put_frame(CURRENT_STACK + 0x800, USER_RIP, 0x10, 0x202, USER_SS);
	RAISE_AT(UD, BYTES(0xf3, 0x0f, 0x01, 0xca));
	expect_delivered(false, CURRENT_STACK + 0x800, RIP, 0x0203000d00000018);
	/* In ring 3 they are undefined. */
	set_up_on(NULL);
	in_ring3();
	RAISE_AT(UD, BYTES(0xf2, 0x0f, 0x01, 0xca));
	expect_delivered(true, LEVEL_TOP(0), USER_RIP, 0x020300060000002b);
}

/* Canonical is what the guest's paging translates, though the processor could do more. */
TEST(addresses_of_a_guest_with_4_levels)
{
	machine.linear_bits = 57;
	put_frame(CURRENT_STACK + 0x800, 1ULL << 48, 0x10, 0x202, 0x18);
	RAISE_AT(UD, BYTES(0xf2, 0x0f, 0x01, 0xca));
	expect_delivered(false, CURRENT_STACK + 0x800, RIP, 0x0203000d00000018);
	set_up_on(NULL);
	machine.linear_bits = 57;
	/* The low bits of this stack's address are those of one that is there. */
	vcpu.soft.state.rsp[3] = LEVEL_TOP(3) & ~(1ULL << 63);
	vcpu.soft.state.stklvls = 3ULL << 2 * VECTOR_PF;
	raise(event_page_fault(6, 0x5000));
	/* #SS in the delivery of #PF. */
	expect_delivered(false, CURRENT_STACK + 0x800, RIP, 0x0203000800000018);
}

TEST(a_trap_comes_before_interrupts)
{
	put_frame(PAGE(5), RIP + 0x100, 0x10, 0x302, 0x30018);
	RAISE_AT(UD, BYTES(0xf2, 0x0f, 0x01, 0xca));
	assert_int_equal(FIELD(GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_DEBUG_BS);
	event_queue_interrupt(&vcpu, 0x41);
	event_queue_nmi(&vcpu);
	event_prepare_entry(&vcpu);
	assert_int_equal(FIELD(GUEST_RIP), RIP + 0x100);
	assert_null(model_entry_error());
	/* The processor delivers the trap: an exit. */
	model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	model_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	event_prepare_entry(&vcpu);
	expect_delivered(false, PAGE(5) + 0xf00, RIP + 0x100, 0x0202000200040018);
}

/* VM entry would refuse blocking by STI with TF = 1 and no trap that waits. */
TEST(sti_blocking_with_single_steps)
{
	put_frame(PAGE(5), RIP + 0x100, 0x10, 0x302, 0x10018);
	RAISE_AT(UD, BYTES(0xf2, 0x0f, 0x01, 0xca));
	assert_int_equal(FIELD(GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
	assert_int_equal(FIELD(GUEST_INTERRUPTIBILITY), 0);
}

/* The handler of a step, say, returns to code that is not stepped. */
TEST(sti_blocking_behind_the_last_step)
{
	put_frame(PAGE(5), RIP + 0x100, 0x10, 0x202, 0x10018);
	model_set(VMCS_GUEST_RFLAGS, 0x102);
	RAISE_AT(UD, BYTES(0xf2, 0x0f, 0x01, 0xca));
	assert_int_equal(FIELD(GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_DEBUG_BS);
	assert_null(model_entry_error());
}

TEST(sti_blocking_with_steps_by_branch)
{
	put_frame(PAGE(5), RIP + 0x100, 0x10, 0x302, 0x30018);
	model_set(VMCS_GUEST_DEBUGCTL, DEBUGCTL_BTF);
	RAISE_AT(UD, BYTES(0xf2, 0x0f, 0x01, 0xca));
	assert_null(model_entry_error());
}

TEST(machine_check_ends_hlt)
{
	for (unsigned int i = 0; i < 3; i++) {
		in_ring0();
		model_set(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
		raise(event_exception(VECTOR_MC));
		assert_int_equal(FIELD(GUEST_ACTIVITY_STATE), ACTIVITY_ACTIVE);
	}
}

/* ---- The quick way ---- */

#define INT3_EVENT                                                                             \
	{                                                                                      \
		.type = EVENT_SOFTWARE_EXCEPTION, .vector = VECTOR_BP, .instruction_length = 1 \
	}
#define UNDEFINED                                                     \
	{                                                             \
		.type = EVENT_HARDWARE_EXCEPTION, .vector = VECTOR_UD \
	}
#define SYSCALL            \
	{                  \
		0x0f, 0x05 \
	}
#define ERETS                          \
	{                              \
		0xf2, 0x0f, 0x01, 0xca \
	}
#define ERETU                          \
	{                              \
		0xf3, 0x0f, 0x01, 0xca \
	}

static const struct quick_case {
	const char *name;
	bool user;
	uint64_t blocking, rflags;
	struct event event;
	uint8_t code[4];
	uint64_t cs, new_rflags, ss; /* of a frame; no CS: there is none */
} quick_cases[] = {
	{ .name = "INT3 of ring 0", .rflags = 0x202, .event = INT3_EVENT },
	{ .name = "INT3 of ring 3", .user = true, .rflags = 0x202, .event = INT3_EVENT },
	{ .name = "#NM",
	  .rflags = 0x202,
	  .event = { .type = EVENT_HARDWARE_EXCEPTION,
		     .vector = VECTOR_NM,
		     .event_data = 1 << 18 } },
	{ .name = "#PF of ring 3",
	  .user = true,
	  .rflags = 0x202,
	  .event = { .type = EVENT_HARDWARE_EXCEPTION,
		     .vector = VECTOR_PF,
		     .has_error_code = true,
		     .error_code = 6,
		     .event_data = 8 } },
	{ .name = "#PF, level 3, nested",
	  .rflags = 2,
	  .event = { .type = EVENT_HARDWARE_EXCEPTION,
		     .vector = VECTOR_PF,
		     .has_error_code = true,
		     .nested = true,
		     .event_data = 8 } },
	{ .name = "INT3, NMIs blocked",
	  .user = true,
	  .blocking = INTERRUPTIBILITY_NMI,
	  .rflags = 0x302,
	  .event = INT3_EVENT },
	{ .name = "SYSCALL", .user = true, .rflags = 0x302, .event = UNDEFINED, .code = SYSCALL },
	{ .name = "SYSCALL of ring 0", .rflags = 0x202, .event = UNDEFINED, .code = SYSCALL },
	{ .name = "ERETS",
	  .rflags = 0x202,
	  .event = UNDEFINED,
	  .code = ERETS,
	  .cs = 0x10010,
	  .new_rflags = 0x246,
	  .ss = 0x40018 },
	{ .name = "ERETS, NMIs blocked",
	  .blocking = INTERRUPTIBILITY_NMI,
	  .rflags = 0x202,
	  .event = UNDEFINED,
	  .code = ERETS,
	  .cs = 0x10,
	  .new_rflags = 2,
	  .ss = 0x18 },
	{ .name = "ERETS unblocks NMIs",
	  .blocking = INTERRUPTIBILITY_NMI,
	  .rflags = 2,
	  .event = UNDEFINED,
	  .code = ERETS,
	  .cs = 0x10,
	  .new_rflags = 2,
	  .ss = 0x40018 },
	{ .name = "ERETU",
	  .rflags = 2,
	  .event = UNDEFINED,
	  .code = ERETU,
	  .cs = USER_CS,
	  .new_rflags = 0x202,
	  .ss = USER_SS },
	{ .name = "ERETU to 32 bits",
	  .rflags = 2,
	  .event = UNDEFINED,
	  .code = ERETU,
	  .cs = USER_CS32,
	  .new_rflags = 0x202,
	  .ss = USER_SS },
	{ .name = "ERETU unblocks NMIs",
	  .blocking = INTERRUPTIBILITY_NMI,
	  .rflags = 2,
	  .event = UNDEFINED,
	  .code = ERETU,
	  .cs = USER_CS,
	  .new_rflags = 0x302,
	  .ss = 0x40000 | USER_SS },
};

static void arrange(const struct quick_case *c)
{
	vcpu.soft.state.config = ENTRY_POINT | (c->cs == 0x10010 ? 2 : 0);
	vcpu.soft.state.stklvls = FRED_STKLVL(VECTOR_PF, 3);
	model_set_msr(MSR_IA32_KERNEL_GS_BASE, KERNEL_GS_BASE);
	model_set_msr(MSR_IA32_XFD_ERR, 0);
	model.cr2 = 0;
	model_set(VMCS_GUEST_GS_BASE, GS_BASE);
	if (c->user)
		in_ring3();
	else
		in_ring0();
	model_set(VMCS_GUEST_RFLAGS, c->rflags);
	model_set(VMCS_GUEST_INTERRUPTIBILITY, c->blocking);
	model_set(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	for (unsigned int level = 0; level < FRED_LEVELS; level++)
		memset(slot(LEVEL_TOP(level) - 64), 0xcc, 64);
	memset(slot(CURRENT_STACK + 0x800 - 64), 0xcc, 64);
	if (c->cs != 0)
		put_frame(PAGE(5), c->cs & 3 ? USER_RIP : RIP + 0x100, c->cs, c->new_rflags, c->ss);
}

/* What came of it. */
struct outcome {
	uint64_t fields[MODEL_FIELDS];
	uint64_t kernel_gs_base, xfd_err, cr2;
	struct fred_state state;
	uint8_t stacks[5 * PAGE_SIZE];
};

static void look(struct outcome *outcome)
{
	memset(outcome, 0, sizeof(*outcome));
	memcpy(outcome->fields, model.fields, sizeof(model.fields));
	outcome->kernel_gs_base = model_msr(MSR_IA32_KERNEL_GS_BASE);
	outcome->xfd_err = model_msr(MSR_IA32_XFD_ERR);
	outcome->cr2 = model.cr2;
	outcome->state = vcpu.soft.state;
	memcpy(outcome->stacks, slot(PAGE(1)), sizeof(outcome->stacks));
}

/* Only where all that it needs is known; and then it does what the careful way does. */
TEST(the_quick_way_is_the_careful_way)
{
	static struct outcome careful, quick;

	for (size_t i = 0; i < sizeof(quick_cases) / sizeof(quick_cases[0]); i++) {
		const struct quick_case *const c = &quick_cases[i];

		set_up_on(NULL);
		arrange(c);
		set_code(c->code, sizeof(c->code));
		raise(c->event);
		/* Once more: the first time set accessed bits, and no walk was kept. */
		guest_forget_walks(&vcpu.soft.walks);
		arrange(c);
		raise(c->event);
		look(&careful);
		arrange(c);
		/* The careful way writes this field. */
		model.absent[VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS] = true;
		raise(c->event);
		look(&quick);
		if (memcmp(&careful, &quick, sizeof(careful)) != 0)
			fail_msg("%s", c->name);
	}
}

static void expect_interrupt_refused(const char *why)
{
	static uint64_t before[MODEL_FIELDS];

	memcpy(before, model.fields, sizeof(before));
	if (soft_fred_interrupt(&vcpu, 0x41))
		fail_msg("%s", why);
	assert_memory_equal(model.fields, before, sizeof(before));
	assert_int_equal(vcpu.soft.state.config, ENTRY_POINT);
}

TEST(interrupts_at_once)
{
	const struct event interrupt = { .type = EVENT_EXTERNAL_INTERRUPT, .vector = 0x41 };

	expect_interrupt_refused("no walk is known");
	for (unsigned int i = 0; i < 2; i++) {
		in_ring0();
		model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_IF);
		soft_fred_deliver(&vcpu, &interrupt);
	}
	in_ring0();
	expect_interrupt_refused("IF is 0");
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_IF);
	model_set(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	expect_interrupt_refused("in the shadow of STI");
	model_set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
	expect_interrupt_refused("a trap comes first");
	model_set(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	vcpu_set_work(&vcpu, WORK_NMI);
	expect_interrupt_refused("an NMI comes first");
	vcpu_clear_work(&vcpu, WORK_NMI);
	vcpu.cr8 = 1;
	expect_interrupt_refused("CR8 is to be asked");
	vcpu.cr8 = 0;
	model_set(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	assert_true(soft_fred_interrupt(&vcpu, 0x42));
	expect_delivered(false, CURRENT_STACK + 0x800, RIP, 0x0200004200000018);
	assert_int_equal(FIELD(GUEST_ACTIVITY_STATE), ACTIVITY_ACTIVE);
	in_ring0();
	model_set(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED | RFLAGS_IF);
	handle_descriptor_table(&vcpu);
	expect_interrupt_refused("while stepping");
}

#define GDT_ENTRY 0x40
#define TLS	  0x12cff3345678ffffULL
#define TLS_BASE  0x12345678ULL

static void expect_gs(uint16_t selector, uint32_t rights, uint64_t kernel_base)
{
	assert_int_equal(FIELD(GUEST_GS_SELECTOR), selector);
	assert_int_equal(FIELD(GUEST_GS_ACCESS_RIGHTS), rights);
	assert_int_equal(FIELD(GUEST_GS_BASE), GS_BASE);
	assert_int_equal(model_msr(MSR_IA32_KERNEL_GS_BASE), kernel_base);
}

TEST(lkgs)
{
	vcpu.regs.rbx = 0xdead0043;
	*slot(GDT_BASE + GDT_ENTRY) = TLS;
	RAISE_AT(UD, BYTES(0xf2, 0x0f, 0x00, 0xf3)); /* bx */
	expect_gs(0x43, 0xc0f3, TLS_BASE);
	assert_int_equal(FIELD(GUEST_RIP), RIP + 4);
	assert_int_equal(FIELD(GUEST_RFLAGS), 0x202);
	/* Null, from memory: [rax + rbx * 8 - 8]. */
	vcpu.regs.rax = PAGE(7);
	vcpu.regs.rbx = 2;
	*slot(PAGE(7) + 8) = 0;
	RAISE_AT(UD, BYTES(0xf2, 0x0f, 0x00, 0x74, 0xd8, 0xf8));
	expect_gs(0, ACCESS_RIGHTS_UNUSABLE, 0);
	assert_int_equal(FIELD(GUEST_RIP), RIP + 10);
}

/* It is no branch. */
TEST(lkgs_is_stepped)
{
	*slot(GDT_BASE + GDT_ENTRY) = TLS;
	vcpu.regs.rbx = 0x43;
	model_set(VMCS_GUEST_RFLAGS, 0x302);
	RAISE_AT(UD, BYTES(0xf2, 0x0f, 0x00, 0xf3));
	assert_int_equal(FIELD(GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_DEBUG_BS);
	in_ring0();
	model_set(VMCS_GUEST_DEBUGCTL, DEBUGCTL_BTF);
	RAISE_AT(UD, BYTES(0xf2, 0x0f, 0x00, 0xf3));
	assert_int_equal(FIELD(GUEST_RIP), RIP + 4);
	assert_int_equal(FIELD(GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
}

TEST(lkgs_operands)
{
	/* [rip + 0x10], and gs:[rax] of 32 bits: both are the page after RIP's. */
	guest_map(RIP + 0x10, 8 * PAGE_SIZE, ENTRY_P);
	*slot(0x8000) = *slot(0x8008) = 0x43ULL << 32 | 0x43;
	*slot(GDT_BASE + GDT_ENTRY) = TLS;
	RAISE_AT(UD, BYTES(0xf2, 0x0f, 0x00, 0x35, 0x08, 0, 0, 0));
	expect_gs(0x43, 0xc0f3, TLS_BASE);
	set_up_on(NULL);
	*slot(GDT_BASE + GDT_ENTRY) = TLS;
	*slot(PAGE(7)) = 0x43;
	model_set(VMCS_GUEST_GS_BASE, PAGE(7) - 8);
	vcpu.regs.rax = 0xffffffff00000008ULL;
	RAISE_AT(UD, BYTES(0x65, 0x67, 0xf2, 0x0f, 0x00, 0x30));
	assert_int_equal(FIELD(GUEST_GS_SELECTOR), 0x43);
	assert_int_equal(FIELD(GUEST_GS_BASE), PAGE(7) - 8);
	/* An operand that is not there. */
	set_up_on(NULL);
	vcpu.regs.rax = NO_PAGE;
	RAISE_AT(UD, BYTES(0xf2, 0x0f, 0x00, 0x30));
	expect_delivered(false, CURRENT_STACK + 0x800, RIP, 0x0203000e00000018);
	assert_int_equal(model.cr2, NO_PAGE);
}

/* An address that is not canonical: by SS it is another fault. RAX is the index. */
TEST(lkgs_of_the_stack)
{
	static const struct {
		uint8_t code[9];
		uint64_t frame_ss;
	} cases[] = {
		{ { 0xf2, 0x0f, 0x00, 0x74, 0x05, 0 }, 0x0203000c00000018 },	   /* rbp + rax */
		{ { 0xf2, 0x0f, 0x00, 0x34, 0x04 }, 0x0203000c00000018 },	   /* rsp + rax */
		{ { 0xf2, 0x0f, 0x00, 0x30 }, 0x0203000d00000018 },		   /* rax */
		{ { 0xf2, 0x41, 0x0f, 0x00, 0x74, 0x05, 0 }, 0x0203000d00000018 }, /* r13 + rax */
		{ { 0xf2, 0x0f, 0x00, 0x34, 0x05, 0, 0, 0, 0 }, 0x0203000d00000018 }, /* rax + 0 */
		{ { 0xf2, 0x64, 0x0f, 0x00, 0x74, 0x05, 0 }, 0x0203000d00000018 },    /* fs: */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_up_on(NULL);
		vcpu.regs.rax = 1ULL << 47;
		set_code(cases[i].code, sizeof(cases[i].code));
		raise(UD);
		expect_delivered(false, CURRENT_STACK + 0x800, RIP, cases[i].frame_ss);
		assert_int_equal(slot(FIELD(GUEST_RSP))[0], 0);
	}
}

TEST(lkgs_from_the_ldt)
{
	model_set(VMCS_GUEST_LDTR_BASE, PAGE(7));
	model_set(VMCS_GUEST_LDTR_LIMIT, 0xf);
	model_set(VMCS_GUEST_LDTR_ACCESS_RIGHTS, ACCESS_RIGHTS_LDT);
	*slot(PAGE(7) + 8) = TLS;
	vcpu.regs.rax = 0xf;
	RAISE_AT(UD, BYTES(0xf2, 0x0f, 0x00, 0xf0));
	expect_gs(0xf, 0xc0f3, TLS_BASE);
	/* What LDTR has when it is not usable does not count. */
	model_set(VMCS_GUEST_LDTR_ACCESS_RIGHTS, ACCESS_RIGHTS_UNUSABLE);
	RAISE_AT(UD, BYTES(0xf2, 0x0f, 0x00, 0xf0));
	assert_int_equal(FIELD(GUEST_RIP), ENTRY_POINT + 0x100);
	assert_int_equal(slot(FIELD(GUEST_RSP))[0], 0xc);
	assert_int_equal(slot(FIELD(GUEST_RSP))[5], 0x0203000d00000018);
}

TEST(lkgs_with_fred_off)
{
	static const uint8_t lkgs_ax[] = { 0xf2, 0x0f, 0x00, 0xf0 };
	static const uint8_t erets[] = { 0xf2, 0x0f, 0x01, 0xca };

	soft_fred_switch(&vcpu, false);
	*slot(GDT_BASE + GDT_ENTRY) = TLS;
	set_code(lkgs_ax, sizeof(lkgs_ax));
	vcpu.regs.rax = 0x43;
	assert_true(soft_fred_performs_lkgs(&vcpu));
	expect_gs(0x43, 0xc0f3, TLS_BASE);
	assert_int_equal(FIELD(GUEST_RIP), RIP + 4);
	/* Its faults are the guest's, by its IDT. */
	vcpu.regs.rax = 0x1000;
	set_code(lkgs_ax, sizeof(lkgs_ax));
	assert_true(soft_fred_performs_lkgs(&vcpu));
	assert_true(vcpu.work & WORK_EVENT);
	assert_int_equal(vcpu.event.vector, VECTOR_GP);
	assert_int_equal(vcpu.event.error_code, 0x1000);
	assert_int_equal(FIELD(GUEST_RIP), RIP + 4);
	/* Not in ring 3, and nothing else: not even ERETS. */
	in_ring3();
	assert_false(soft_fred_performs_lkgs(&vcpu));
	in_ring0();
	set_code(erets, sizeof(erets));
	assert_false(soft_fred_performs_lkgs(&vcpu));
}

/* There, CR3 leads to no tables of 64-bit mode, or nowhere: nothing may be marked as accessed. */
TEST(no_lkgs_outside_64_bit_mode)
{
	static const uint8_t lkgs_ax[] = { 0xf2, 0x0f, 0x00, 0xf0 };
	static uint8_t before[GUEST_RAM];

	soft_fred_switch(&vcpu, false);
	set_code(lkgs_ax, sizeof(lkgs_ax));
	guest_forget_walks(&vcpu.soft.walks);
	*guest_entry(RIP, 4) &= ~ENTRY_A;
	memcpy(before, guest_ram, sizeof(before));
	set_segment(SEG_CS, 0x10, ACCESS_RIGHTS_CODE32);
	assert_false(soft_fred_performs_lkgs(&vcpu));
	/* Before paging is on, L may be anything. */
	set_segment(SEG_CS, 0x10, ACCESS_RIGHTS_CODE64);
	model_set(VMCS_GUEST_EFER, EFER_LME);
	assert_false(soft_fred_performs_lkgs(&vcpu));
	assert_memory_equal(guest_ram, before, sizeof(before));
}

/* ---- MSRs ---- */

static uint64_t read_msr(uint32_t msr)
{
	uint64_t value;

	assert_true(soft_fred_rdmsr(&vcpu, msr, &value));
	return value;
}

TEST(msrs_of_fred)
{
	static const struct {
		uint32_t msr;
		uint64_t good, bad;
	} rows[] = {
		{ MSR_IA32_FRED_RSP0, 0xffff800000000040, 0xffff800000000020 },
		{ MSR_IA32_FRED_RSP3, 0x00007fffffffffc0, 0x0000800000000000 },
		{ MSR_IA32_FRED_SSP1, 0xffff800000000008, 0xffff800000000004 },
		{ MSR_IA32_FRED_SSP3, 0x8, 0xff00000000000000 },
		{ MSR_IA32_PL0_SSP, 0x4, 0x2 },
		{ MSR_IA32_FRED_CONFIG, 0xffffffff810007cb, 0xffffffff810007cf },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_true(soft_fred_wrmsr(&vcpu, rows[i].msr, rows[i].good));
		assert_int_equal(read_msr(rows[i].msr), rows[i].good);
		assert_false(soft_fred_wrmsr(&vcpu, rows[i].msr, rows[i].bad));
		assert_int_equal(read_msr(rows[i].msr), rows[i].good);
	}
	assert_true(soft_fred_wrmsr(&vcpu, MSR_IA32_FRED_STKLVLS, ~0ULL));
	assert_int_equal(read_msr(MSR_IA32_FRED_STKLVLS), ~0ULL);
	assert_int_equal(model.msr_writes, 0);
}

TEST(msrs_that_fred_hides)
{
	assert_int_equal(read_msr(MSR_IA32_EFER), EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
	vcpu.soft.syscall_enabled = false;
	assert_int_equal(read_msr(MSR_IA32_EFER), EFER_LME | EFER_LMA | EFER_NXE);
	assert_int_equal(read_msr(MSR_IA32_SYSENTER_CS), SYSENTER_CS);
	assert_true(soft_fred_wrmsr(&vcpu, MSR_IA32_SYSENTER_CS, 0x30));
	assert_int_equal(read_msr(MSR_IA32_SYSENTER_CS), 0x30);
}

TEST(other_msrs)
{
	uint64_t value;

	assert_false(soft_fred_wrmsr(&vcpu, 0x12345, 0x77));
	assert_false(soft_fred_rdmsr(&vcpu, 0x12345, &value));
	assert_int_equal(read_msr(MSR_IA32_SYSENTER_CS), SYSENTER_CS);
	/* A guest without software FRED has none of them. */
	vm.fred = FRED_BACKEND_NONE;
	assert_false(soft_fred_rdmsr(&vcpu, MSR_IA32_FRED_CONFIG, &value));
	assert_false(soft_fred_wrmsr(&vcpu, MSR_IA32_FRED_CONFIG, 0));
}

#define RUN(name)    cmocka_unit_test_setup(name, set_up)
#define RUN_ON(name) cmocka_unit_test_setup(name, set_up_on)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(off_is_as_before_on),
		RUN(exits_of_exceptions_are_as_before),
		RUN(what_the_guest_writes_meanwhile_is_kept),
		RUN_ON(stepping_over_lidt),
		RUN_ON(what_is_stepped_over_keeps_rf),
		RUN_ON(switched_off_while_stepping),
		RUN_ON(lidt_that_faults_or_is_interrupted),
		RUN_ON(exceptions),
		RUN_ON(int_n_is_a_fault_of_the_empty_idt),
		RUN_ON(syscall),
		RUN_ON(syscall_that_is_undefined),
		RUN_ON(sysenter_and_sysexit),
		RUN_ON(an_instruction_at_the_end_of_memory),
		RUN_ON(faults_have_rf_whatever_the_exit_says),
		RUN_ON(software_exceptions_have_no_rf),
		RUN_ON(general_detect_is_a_fault),
		RUN_ON(interrupts_end_hlt),
		RUN_ON(blocking),
		RUN_ON(a_nested_page_fault),
		RUN_ON(addresses_of_a_guest_with_4_levels),
		RUN_ON(an_nmi_whose_frame_faults_blocks_nmis),
		RUN_ON(a_double_fault),
		RUN_ON(no_stack_at_all_is_a_triple_fault),
		RUN_ON(no_event_in_32_bit_code_of_ring0),
		RUN_ON(rip_of_32_bit_code_wraps),
		RUN_ON(instructions_of_32_bit_code_wrap),
		RUN_ON(a_stack_in_no_memory),
		RUN_ON(erets),
		RUN_ON(eretu),
		RUN_ON(returns_that_fault),
		RUN_ON(a_trap_comes_before_interrupts),
		RUN_ON(sti_blocking_with_single_steps),
		RUN_ON(sti_blocking_behind_the_last_step),
		RUN_ON(machine_check_ends_hlt),
		RUN_ON(sti_blocking_with_steps_by_branch),
		RUN_ON(the_quick_way_is_the_careful_way),
		RUN_ON(interrupts_at_once),
		RUN_ON(lkgs),
		RUN_ON(lkgs_is_stepped),
		RUN_ON(lkgs_operands),
		RUN_ON(lkgs_of_the_stack),
		RUN_ON(lkgs_from_the_ldt),
		RUN_ON(lkgs_with_fred_off),
		RUN_ON(no_lkgs_outside_64_bit_mode),
		RUN_ON(msrs_of_fred),
		RUN_ON(msrs_that_fred_hides),
		RUN_ON(other_msrs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
