// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns what makes FRED's events reach the VMM, and brings a vcpu's state to the engine and back.
 * The engine has the rules (engine.c), this file has the VMCS.
 */
#include "vmm/soft/soft.h"

#include "lib/fred.h"
#include "lib/layout.h"
#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "lib/x86/vmx.h"
#include "vmm/exits/table.h"
#include "vmm/run/inject.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/host/capabilities.h"
#include "vmm/vcpu/msr_policy.h"
#include "vmm/soft/decode.h"
#include "vmm/soft/engine.h"
#include "vmm/soft/rules.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define ALL_EXCEPTIONS 0xffffffffU

/* Can the instructions that load and store IDTR be stepped over? Else they go unseen. */
static bool can_step_descriptor_tables(void)
{
	return machine.has_monitor_trap &&
	       machine_may_set(MSR_IA32_VMX_PROCBASED_CTLS2, PROC2_DESCRIPTOR_TABLE);
}

/* An empty IDT: INT n becomes #GP, and the VMCS tells what was being delivered. */
static void take_idt(struct vcpu *vcpu)
{
	vcpu->soft.idt_limit = (uint16_t)vmcs_read(VMCS_GUEST_IDTR_LIMIT);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, 0);
	if (can_step_descriptor_tables())
		vmcs_set_bits(VMCS_SECONDARY_PROC_CONTROLS, PROC2_DESCRIPTOR_TABLE);
}

static void give_idt_back(const struct vcpu *vcpu)
{
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, vcpu->soft.idt_limit);
	vmcs_clear_bits(VMCS_SECONDARY_PROC_CONTROLS, PROC2_DESCRIPTOR_TABLE);
}

/* While FRED is on CR4.LA57 does not change: that takes leaving 64-bit mode. */
static void begin_walks(struct vcpu *vcpu)
{
	struct guest_walks *const walks = &vcpu->soft.walks;

	guest_forget_walks(walks);
	walks->ram = vcpu->vm->ram;
	walks->linear_bits =
		vmcs_read(VMCS_GUEST_CR4) & CR4_LA57 ? LINEAR_BITS_5_LEVELS : LINEAR_BITS_4_LEVELS;
}

void soft_fred_switch(struct vcpu *vcpu, bool on)
{
	const struct vm *const vm = vcpu->vm;
	const uint64_t efer = vmcs_read(VMCS_GUEST_EFER);

	if (vcpu->soft.stepping)
		soft_fred_stepped(vcpu);
	vcpu->soft.on = on;
	begin_walks(vcpu);
	msr_set_exits(vcpu, MSR_IA32_EFER, on);
	msr_set_exits(vcpu, MSR_IA32_SYSENTER_CS, on);
	if (on) {
		vcpu->soft.syscall_enabled = efer & EFER_SCE;
		vcpu->soft.sysenter_cs = vmcs_read32(VMCS_GUEST_SYSENTER_CS);
		vmcs_write(VMCS_GUEST_EFER, efer & ~EFER_SCE);
		vmcs_write(VMCS_GUEST_SYSENTER_CS, 0);
		vmcs_write(VMCS_EXCEPTION_BITMAP, ALL_EXCEPTIONS);
		vmcs_set_bits(VMCS_PIN_BASED_CONTROLS, PIN_EXTERNAL_INTERRUPT);
		take_idt(vcpu);
		return;
	}
	give_idt_back(vcpu);
	vmcs_write(VMCS_GUEST_EFER, efer | (vcpu->soft.syscall_enabled ? EFER_SCE : 0));
	vmcs_write(VMCS_GUEST_SYSENTER_CS, vcpu->soft.sysenter_cs);
	event_set_exits(vcpu, vcpu->exceptions);
	if (vm->devices == VM_DEVICES_PASSTHROUGH)
		vmcs_clear_bits(VMCS_PIN_BASED_CONTROLS, PIN_EXTERNAL_INTERRUPT);
}

/*
 * The exit has saved RF = 0, whatever it was (SDM 3C, 28.3.3). The breakpoint on the instruction,
 * if there is one, has been hit already: a #DB comes before the exit. While stepping, the quick way
 * finds no walk, and so need not ask.
 */
void handle_descriptor_table(struct vcpu *vcpu)
{
	vmcs_set_bits(VMCS_GUEST_RFLAGS, RFLAGS_RF);
	guest_forget_walks(&vcpu->soft.walks);
	give_idt_back(vcpu);
	vmcs_set_bits(VMCS_PROC_BASED_CONTROLS, PROC_MONITOR_TRAP);
	vcpu->soft.stepping = true;
}

void soft_fred_stepped(struct vcpu *vcpu)
{
	vcpu->soft.stepping = false;
	if (vcpu->steps_left == 0)
		vmcs_clear_bits(VMCS_PROC_BASED_CONTROLS, PROC_MONITOR_TRAP);
	if (vcpu->soft.on)
		take_idt(vcpu);
}

static void load_segment(struct soft_segment *segment, enum segment which)
{
	segment->selector = (uint16_t)vmcs_read(VMCS_SEGMENT(VMCS_GUEST_ES_SELECTOR, which));
	segment->rights = vmcs_read32(VMCS_SEGMENT(VMCS_GUEST_ES_ACCESS_RIGHTS, which));
}

static inline __attribute__((always_inline)) void store_segment(const struct soft_segment *segment,
								enum segment which)
{
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_SELECTOR, which), segment->selector);
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_BASE, which), segment->base);
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_LIMIT, which), segment->limit);
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_ACCESS_RIGHTS, which), segment->rights);
}

/*
 * Far transfers of ring 0 lead to 32-bit code, which FRED forbids and nothing traps (SW-2). An
 * event there has no handler: FRED's returns refuse such a CS, and its entry points are 64-bit
 * code.
 */
static __attribute__((noinline, cold)) void refuse_32_bit_ring0(struct vcpu *vcpu,
								const struct soft_cpu *cpu)
{
	guest_failed(vcpu, "fred-32-bit-ring0",
		     "software FRED: an event came in 32-bit code of ring 0 (CS 0x%x, RIP 0x%llx), "
		     "where FRED delivers none: see SW-2 in docs/softfred.md",
		     cpu->cs.selector, (unsigned long long)cpu->rip);
}

/* What every use of the engine needs. False, and the guest ends: no event can be delivered here. */
static __attribute__((warn_unused_result)) bool load(struct vcpu *vcpu, struct soft_cpu *cpu)
{
	const uint64_t interruptibility = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

	cpu->rip = vmcs_read(VMCS_GUEST_RIP);
	cpu->rsp = vmcs_read(VMCS_GUEST_RSP);
	cpu->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	load_segment(&cpu->cs, SEG_CS);
	load_segment(&cpu->ss, SEG_SS);
	cpu->cpl = ACCESS_RIGHTS_DPL(cpu->ss.rights);
	if (!(cpu->cs.rights & ACCESS_RIGHTS_L)) {
		/* skip_instruction() leaves a carry: see handle_entry_failure(). */
		cpu->rip = (uint32_t)cpu->rip;
		if (cpu->cpl == 0) {
			refuse_32_bit_ring0(vcpu, cpu);
			return false;
		}
	}
	cpu->sti_blocking = interruptibility & INTERRUPTIBILITY_STI;
	cpu->nmi_blocking = interruptibility & INTERRUPTIBILITY_NMI;
	cpu->fred = &vcpu->soft.state;
	/* ERETU needs it as well: see perform(). */
	if (cpu->cpl != 0)
		cpu->star = rdmsr(MSR_IA32_STAR);
	cpu->paging.vm = vcpu->vm;
	cpu->paging.walks = &vcpu->soft.walks;
	cpu->paging.cr3 = vmcs_read(VMCS_GUEST_CR3);
	cpu->paging.partial = true;
	cpu->swap_gs = false;
	cpu->segments_changed = false;
	cpu->single_step_pending = false;
	return true;
}

/* For SOFT_PARTIAL, and for what always needs it. */
static void load_rest(struct soft_cpu *cpu)
{
	const bool has_ldt = !(vmcs_read(VMCS_GUEST_LDTR_ACCESS_RIGHTS) & ACCESS_RIGHTS_UNUSABLE);

	cpu->paging.cr0 = vmcs_read(VMCS_GUEST_CR0);
	cpu->paging.cr4 = vmcs_read(VMCS_GUEST_CR4);
	cpu->paging.efer = vmcs_read(VMCS_GUEST_EFER);
	cpu->gdt_base = vmcs_read(VMCS_GUEST_GDTR_BASE);
	cpu->gdt_limit = vmcs_read32(VMCS_GUEST_GDTR_LIMIT);
	cpu->ldt_base = vmcs_read(VMCS_GUEST_LDTR_BASE);
	cpu->ldt_limit = has_ldt ? vmcs_read32(VMCS_GUEST_LDTR_LIMIT) : 0;
	cpu->paging.partial = false;
}

static void swap_gs(void)
{
	const uint64_t base = vmcs_read(VMCS_GUEST_GS_BASE);

	vmcs_write(VMCS_GUEST_GS_BASE, rdmsr(MSR_IA32_KERNEL_GS_BASE));
	wrmsr(MSR_IA32_KERNEL_GS_BASE, base);
}

static inline uint64_t interruptibility_of(const struct soft_cpu *cpu)
{
	return (cpu->sti_blocking ? INTERRUPTIBILITY_STI : 0) |
	       (cpu->nmi_blocking ? INTERRUPTIBILITY_NMI : 0);
}

/* With BTF, TF traps behind branches only. */
static bool single_steps(uint64_t rflags)
{
	return (rflags & RFLAGS_TF) && !(vmcs_read(VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF);
}

/*
 * `before` is what the VMCS says of interruptibility, and then no trap waits there; or NOT_KNOWN of
 * both.
 */
#define NOT_KNOWN (~0ULL)

static inline __attribute__((always_inline)) void store_from(const struct soft_cpu *cpu,
							     uint64_t before)
{
	uint64_t interruptibility = interruptibility_of(cpu);
	const bool trap = cpu->single_step_pending;

	/* With STI blocking, VM entry wants that a trap waits exactly when the guest steps
	 * (27.3.1.5). */
	if (cpu->sti_blocking && trap != single_steps(cpu->rflags))
		interruptibility &= ~(uint64_t)INTERRUPTIBILITY_STI;
	vmcs_write(VMCS_GUEST_RIP, cpu->rip);
	vmcs_write(VMCS_GUEST_RSP, cpu->rsp);
	vmcs_write(VMCS_GUEST_RFLAGS, cpu->rflags);
	if (interruptibility != before)
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, interruptibility);
	if (trap || before == NOT_KNOWN)
		vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, trap ? PENDING_DEBUG_BS : 0);
	if (cpu->segments_changed) {
		store_segment(&cpu->cs, SEG_CS);
		store_segment(&cpu->ss, SEG_SS);
	}
	if (cpu->swap_gs)
		swap_gs();
}

static void store(const struct soft_cpu *cpu)
{
	store_from(cpu, NOT_KNOWN);
}

static void no_memory(struct vcpu *vcpu, const struct soft_cpu *cpu)
{
	guest_failed(vcpu, "fred-no-memory",
		     "software FRED: the stack (RSP 0x%llx), or a page table on the way to it, "
		     "is not memory of the guest; see its CR3 and IA32_FRED_RSP0-3",
		     (unsigned long long)cpu->rsp);
}

/*
 * What an event does to registers before it is delivered, be that successful or not. An NMI blocks
 * others from then on: the handler of a fault in its delivery runs with NMIs blocked.
 */
static void event_begins(struct soft_cpu *cpu, const struct event *event)
{
	if (event->type == EVENT_HARDWARE_EXCEPTION)
		event_set_registers(event);
	else if (event->type == EVENT_NMI)
		cpu->nmi_blocking = true;
}

/* Deliver *event, or what becomes of it. */
static void deliver(struct vcpu *vcpu, struct soft_cpu *cpu, struct event *event)
{
	struct event fault;

	event_begins(cpu, event);
	for (;;) {
		enum event_merge_result merged;

		switch (soft_deliver(cpu, event, &fault)) {
		case SOFT_DONE:
			store(cpu);
			return;
		case SOFT_PARTIAL:
			load_rest(cpu);
			continue;
		case SOFT_NO_MEMORY:
			no_memory(vcpu, cpu);
			return;
		case SOFT_FAULT:
			break;
		}
		/* CR2 is set also by a fault that becomes #DF (SDM 3A, 6.15). */
		event_begins(cpu, &fault);
		/*
		 * An interrupt whose delivery faults was taken, and is gone, as in hardware. The
		 * saved RFLAGS of a fault have RF = 1 (SDM 3A, 18.3.1.1).
		 */
		cpu->rflags |= RFLAGS_RF;
		merged = event_merge(event, &fault, event);
		if (merged == MERGE_TRIPLE_FAULT) {
			guest_triple_fault(vcpu);
			return;
		}
		event->nested = merged == MERGE_SECOND;
	}
}

void soft_fred_deliver(struct vcpu *vcpu, const struct event *event)
{
	struct event delivered = *event;
	struct soft_cpu cpu;

	if (vcpu->soft.stepping)
		soft_fred_stepped(vcpu);
	if (!load(vcpu, &cpu))
		return;
	if (event->type == EVENT_EXTERNAL_INTERRUPT || event->type == EVENT_NMI)
		vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	deliver(vcpu, &cpu, &delivered);
}

/*
 * Copy the bytes at this address, as far as they can be read: those of the next page may be absent,
 * and then do not belong to the instruction.
 */
static size_t read_code(const struct guest_paging *paging, uint64_t linear, bool long_mode,
			uint8_t *bytes)
{
	const size_t in_page = PAGE_SIZE - (linear & PAGE_MASK);
	size_t first = in_page < INSTRUCTION_MAX ? in_page : INSTRUCTION_MAX;
	struct event fault;
	void *memory;

	if (guest_walk(paging, linear, GUEST_REFETCH, &memory, &fault) != WALK_OK)
		return 0;
	memcpy(bytes, memory, first);
	linear += first;
	if (!long_mode)
		linear = (uint32_t)linear;
	if (first == INSTRUCTION_MAX ||
	    guest_walk(paging, linear, GUEST_REFETCH, &memory, &fault) != WALK_OK)
		return first;
	memcpy(bytes + first, memory, INSTRUCTION_MAX - first);
	return INSTRUCTION_MAX;
}

/* The instruction at RIP. */
static struct soft_instruction fetch(struct soft_cpu *cpu)
{
	const bool long_mode = cpu->cs.rights & ACCESS_RIGHTS_L;
	const uint64_t linear =
		long_mode ? cpu->rip
			  : (uint32_t)(vmcs_read(VMCS_GUEST_CS_BASE) + (uint32_t)cpu->rip);
	uint8_t bytes[INSTRUCTION_MAX] = { 0 };

	load_rest(cpu);
	return soft_decode(bytes, read_code(&cpu->paging, linear, long_mode, bytes), long_mode);
}

static uint64_t operand_address(const struct vcpu *vcpu, const struct soft_cpu *cpu,
				const struct soft_instruction *instruction)
{
	const struct memory_operand *const operand = &instruction->operand;
	uint64_t address = (uint64_t)(int64_t)operand->displacement;

	if (operand->base == REGISTER_RIP)
		address += cpu->rip + instruction->length;
	else if (operand->base != REGISTER_NONE)
		address += vcpu_gpr(vcpu, operand->base);
	if (operand->index != REGISTER_NONE)
		address += vcpu_gpr(vcpu, operand->index) << operand->scale;
	if (operand->address_32)
		address = (uint32_t)address;
	if (operand->segment == OVERRIDE_FS)
		address += vmcs_read(VMCS_GUEST_FS_BASE);
	else if (operand->segment == OVERRIDE_GS)
		address += vmcs_read(VMCS_GUEST_GS_BASE);
	return address;
}

/* By SS: SDM 2A, 2.1.5 and 2.2.1.3. In 64-bit mode prefixes of SS and DS change nothing. */
static bool is_on_stack(const struct memory_operand *operand)
{
	return operand->segment == OVERRIDE_NONE &&
	       (operand->base == REGISTER_SP || operand->base == REGISTER_BP);
}

static enum soft_result lkgs(struct vcpu *vcpu, struct soft_cpu *cpu,
			     const struct soft_instruction *instruction, struct event *fault)
{
	uint16_t selector = 0;
	struct soft_segment gs;
	enum soft_result result;

	load_rest(cpu);
	if (instruction->operand.in_register) {
		selector = (uint16_t)vcpu_gpr(vcpu, instruction->operand.base);
	} else {
		result = soft_read_operand(cpu, operand_address(vcpu, cpu, instruction), &selector,
					   sizeof(selector), is_on_stack(&instruction->operand),
					   fault);
		if (result != SOFT_DONE)
			return result;
	}
	result = soft_lkgs(cpu, selector, &gs, fault);
	if (result != SOFT_DONE)
		return result;
	wrmsr(MSR_IA32_KERNEL_GS_BASE, gs.base);
	gs.base = vmcs_read(VMCS_GUEST_GS_BASE);
	store_segment(&gs, SEG_GS);
	cpu->single_step_pending = single_steps(cpu->rflags);
	cpu->rip += instruction->length;
	cpu->rflags &= ~RFLAGS_RF;
	cpu->sti_blocking = false;
	return SOFT_DONE;
}

static enum soft_result perform_once(struct vcpu *vcpu, struct soft_cpu *cpu,
				     const struct soft_instruction *instruction,
				     struct event *fault)
{
	if (instruction->opcode == SOFT_ERETS)
		return soft_erets(cpu, fault);
	if (instruction->opcode == SOFT_LKGS)
		return lkgs(vcpu, cpu, instruction, fault);
	cpu->star = rdmsr(MSR_IA32_STAR);
	return soft_eretu(cpu, fault);
}

/*
 * Perform an instruction of ring 0. RFLAGS.RF is that of the fault that brought us here: the
 * instruction has none.
 */
static void perform(struct vcpu *vcpu, struct soft_cpu *cpu,
		    const struct soft_instruction *instruction)
{
	enum soft_result result;
	struct event fault;

	result = perform_once(vcpu, cpu, instruction, &fault);
	if (__builtin_expect(result == SOFT_PARTIAL, 0)) {
		load_rest(cpu);
		result = perform_once(vcpu, cpu, instruction, &fault);
	}
	if (result == SOFT_FAULT)
		deliver(vcpu, cpu, &fault);
	else if (result == SOFT_NO_MEMORY)
		no_memory(vcpu, cpu);
	else
		store(cpu);
}

static bool is_syscall(const struct vcpu *vcpu, const struct soft_cpu *cpu,
		       const struct soft_instruction *instruction, uint8_t vector)
{
	if (instruction->opcode == SOFT_SYSCALL)
		return vector == VECTOR_UD && vcpu->soft.syscall_enabled &&
		       (cpu->cs.rights & ACCESS_RIGHTS_L);
	return instruction->opcode == SOFT_SYSENTER && vector == VECTOR_GP;
}

/* #UD and #GP(0): is it an instruction that FRED gives another meaning? */
static __attribute__((noinline)) void reinterpret(struct vcpu *vcpu, struct soft_cpu *cpu,
						  struct event *event)
{
	const struct soft_instruction instruction = fetch(cpu);

	if (is_syscall(vcpu, cpu, &instruction, event->vector)) {
		*event = (struct event){ .type = EVENT_OTHER,
					 .vector = instruction.opcode == SOFT_SYSCALL
							   ? FRED_VECTOR_SYSCALL
							   : FRED_VECTOR_SYSENTER,
					 .instruction_length = instruction.length };
		cpu->rflags &= ~RFLAGS_RF;
	} else if (instruction.opcode >= SOFT_ERETS && event->vector == VECTOR_UD &&
		   cpu->cpl == 0) {
		perform(vcpu, cpu, &instruction);
		return;
	} else if (instruction.opcode == SOFT_SYSEXIT) {
		*event = event_exception(VECTOR_UD);
	}
	deliver(vcpu, cpu, event);
}

/* The IDT is empty: a #GP while something was being delivered was INT n. */
static bool was_int_n(struct event *event)
{
	const uint32_t original = vmcs_read32(VMCS_IDT_VECTORING_INFO);

	if (!(original & INTERRUPTION_VALID))
		return false;
	*event = (struct event){ .type = EVENT_SOFTWARE_INTERRUPT,
				 .vector = INTERRUPTION_VECTOR(original),
				 .instruction_length =
					 (uint8_t)vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH) };
	return true;
}

static __attribute__((noinline)) void exception_with_care(struct vcpu *vcpu, struct event *event)
{
	struct soft_cpu cpu;

	if (vcpu->soft.stepping)
		soft_fred_stepped(vcpu);
	if (!load(vcpu, &cpu))
		return;
	/* The exit's RFLAGS do not always say so: BX-15, KV-1. */
	if (event_is_fault(event))
		cpu.rflags |= RFLAGS_RF;
	if (event->vector == VECTOR_GP && was_int_n(event)) {
		cpu.rflags &= ~RFLAGS_RF;
	} else if (event->type == EVENT_HARDWARE_EXCEPTION &&
		   (event->vector == VECTOR_UD ||
		    (event->vector == VECTOR_GP && event->error_code == 0))) {
		reinterpret(vcpu, &cpu, event);
		return;
	} else if (event->vector == VECTOR_MC) {
		/* It may have ended HLT, and the exit tells of the state before. */
		vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	}
	deliver(vcpu, &cpu, event);
}

/*
 * The frequent events, quickly. They go by the same rules, in a soft_cpu whose address nobody is
 * given, so that it stays in registers; the memory has to be where a kept walk says. Whatever is
 * seldom makes these functions return false, and nothing has changed then.
 */

/* Neither ring 0, nor where the end of an instruction may wrap: the careful way knows these. */
static inline bool is_quick_32_bit_code(uint32_t rights)
{
	return !(rights & (ACCESS_RIGHTS_L | TYPE_CONFORMING)) && ACCESS_RIGHTS_DPL(rights) != 0 &&
	       vmcs_read(VMCS_GUEST_RIP) <= UINT32_MAX - INSTRUCTION_MAX;
}

/* All but the selectors and STAR. While stepping, no walk is kept: see handle_descriptor_table().
 */
static inline __attribute__((always_inline)) bool load_quickly(struct vcpu *vcpu,
							       struct soft_cpu *cpu)
{
	uint64_t interruptibility, blocking;
	uint32_t unusual;

	cpu->cs.rights = vmcs_read32(VMCS_GUEST_CS_ACCESS_RIGHTS);
	interruptibility = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
	unusual = (cpu->cs.rights ^ ACCESS_RIGHTS_L) & (ACCESS_RIGHTS_L | TYPE_CONFORMING);
	blocking = interruptibility & ~(uint64_t)INTERRUPTIBILITY_NMI;
	if (__builtin_expect((unusual | blocking) != 0, 0) &&
	    (blocking != 0 || !is_quick_32_bit_code(cpu->cs.rights)))
		return false;
	/* That of code which does not conform is the CPL. */
	cpu->cpl = ACCESS_RIGHTS_DPL(cpu->cs.rights);
	cpu->rip = vmcs_read(VMCS_GUEST_RIP);
	cpu->rsp = vmcs_read(VMCS_GUEST_RSP);
	cpu->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	cpu->sti_blocking = false;
	cpu->nmi_blocking = interruptibility & INTERRUPTIBILITY_NMI;
	cpu->fred = &vcpu->soft.state;
	cpu->paging.walks = &vcpu->soft.walks;
	cpu->paging.cr3 = vmcs_read(VMCS_GUEST_CR3);
	cpu->swap_gs = false;
	cpu->segments_changed = false;
	cpu->single_step_pending = false;
	return true;
}

static inline void load_selectors(struct soft_cpu *cpu)
{
	cpu->cs.selector = (uint16_t)vmcs_read(VMCS_GUEST_CS_SELECTOR);
	cpu->ss.selector = (uint16_t)vmcs_read(VMCS_GUEST_SS_SELECTOR);
}

/*
 * Exits that are no debug exceptions and come without blocking by MOV SS leave no trap in the VMCS
 * (SDM 3C, 28.3.4): see store_from().
 */
static inline __attribute__((always_inline)) bool deliver_quickly(struct soft_cpu *cpu,
								  const struct event *event)
{
	const struct soft_push push = soft_plan_push(cpu, event);
	void *const memory = guest_walk_again(&cpu->paging, push.last, GUEST_WRITE);
	const uint64_t before = interruptibility_of(cpu);

	if (!memory)
		return false;
	load_selectors(cpu);
	if (cpu->cpl != 0)
		cpu->star = rdmsr(MSR_IA32_STAR);
	/* Where it might wrap, load_quickly() has refused. */
	soft_push(cpu, event, &push, memory, cpu->rip + event->instruction_length);
	store_from(cpu, before);
	return true;
}

static inline __attribute__((always_inline)) bool erets_quickly(struct soft_cpu *cpu)
{
	const uint64_t before = interruptibility_of(cpu);
	struct fred_frame frame;

	/* What STI blocking takes of a step that waits is seldom, too: see store_from(). */
	if (!soft_pop_again(cpu, &frame) || (frame.ss & FRED_SS_STI))
		return false;
	load_selectors(cpu);
	if (!soft_return_to_ring0(cpu, &frame))
		return false;
	store_from(cpu, before);
	return true;
}

static inline __attribute__((always_inline)) bool eretu_quickly(struct soft_cpu *cpu)
{
	const uint64_t before = interruptibility_of(cpu);
	struct fred_frame frame;

	if (soft_stack_level(cpu) != 0 || !soft_pop_again(cpu, &frame) ||
	    !soft_is_user_frame(&frame))
		return false;
	cpu->star = rdmsr(MSR_IA32_STAR);
	if (!soft_has_star_segments(cpu, &frame) || !soft_return_to_star(cpu, &frame))
		return false;
	store_from(cpu, before);
	return true;
}

/* The frequent instructions, as their first four bytes in memory. */
#define CODE_ESCAPE    0x0fU
#define CODE_SYSCALL   0x050fU
#define CODE_ERETS     0xca010ff2U
#define CODE_ERETU     0xca010ff3U
#define SYSCALL_LENGTH 2

/* Those bytes; 0 when that is not quick. */
static inline __attribute__((always_inline)) uint32_t peek(const struct soft_cpu *cpu)
{
	const volatile uint32_t *code;

	if (!(cpu->cs.rights & ACCESS_RIGHTS_L) ||
	    (cpu->rip & PAGE_MASK) > PAGE_SIZE - sizeof(*code))
		return 0;
	code = guest_walk_again(&cpu->paging, cpu->rip, GUEST_REFETCH);
	return code ? *code : 0;
}

static inline __attribute__((always_inline)) bool undefined_quickly(struct vcpu *vcpu)
{
	const struct event syscall = { .type = EVENT_OTHER,
				       .vector = FRED_VECTOR_SYSCALL,
				       .instruction_length = SYSCALL_LENGTH };
	struct soft_cpu cpu;
	uint32_t code;

	if (!load_quickly(vcpu, &cpu))
		return false;
	code = peek(&cpu);
	if (code == CODE_ERETS)
		return cpu.cpl == 0 && erets_quickly(&cpu);
	if (code == CODE_ERETU)
		return cpu.cpl == 0 && eretu_quickly(&cpu);
	if ((uint16_t)code != CODE_SYSCALL || !vcpu->soft.syscall_enabled)
		return false;
	/* RF is that of the fault which brought us here: the instruction has none. */
	cpu.rflags &= ~RFLAGS_RF;
	return deliver_quickly(&cpu, &syscall);
}

/* Apart: what it needs of the stack the quick way need not pay for. */
static __attribute__((noinline)) void undefined_with_care(struct vcpu *vcpu)
{
	struct event undefined = event_exception(VECTOR_UD);

	exception_with_care(vcpu, &undefined);
}

void soft_fred_undefined(struct vcpu *vcpu)
{
	if (__builtin_expect(!undefined_quickly(vcpu), 0))
		undefined_with_care(vcpu);
}

/* The exceptions that may be something else, or have more to them. */
#define CAREFUL_EXCEPTIONS (1U << VECTOR_DB | 1U << VECTOR_UD | 1U << VECTOR_GP | 1U << VECTOR_MC)

static inline __attribute__((always_inline)) bool exception_quickly(struct vcpu *vcpu,
								    const struct event *event)
{
	struct soft_cpu cpu;

	if ((CAREFUL_EXCEPTIONS >> event->vector & 1) || !load_quickly(vcpu, &cpu))
		return false;
	if (event->type == EVENT_HARDWARE_EXCEPTION) {
		/* As they must be in any case. */
		event_set_registers(event);
		cpu.rflags |= RFLAGS_RF;
	}
	return deliver_quickly(&cpu, event);
}

void soft_fred_exception(struct vcpu *vcpu, struct event *event)
{
	if (__builtin_expect(!exception_quickly(vcpu, event), 0))
		exception_with_care(vcpu, event);
}

bool soft_fred_interrupt(struct vcpu *vcpu, uint8_t vector)
{
	const struct event event = { .type = EVENT_EXTERNAL_INTERRUPT, .vector = vector };
	struct soft_cpu cpu;

	/* Nothing else waits, and nothing holds it back: see event_prepare_entry(). */
	if ((vcpu->work | vcpu->cr8) != 0 || vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS) != 0 ||
	    !load_quickly(vcpu, &cpu) || !(cpu.rflags & RFLAGS_IF) ||
	    !deliver_quickly(&cpu, &event))
		return false;
	vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	return true;
}

/* Apart: the frequent #UD, that of UD2, needs less of the stack. */
static __attribute__((noinline)) bool perform_lkgs(struct vcpu *vcpu)
{
	struct soft_instruction instruction;
	struct soft_cpu cpu;
	struct event fault;

	/* Elsewhere there is no LKGS, and no page tables of the kind that is walked here. */
	if (!(vmcs_read(VMCS_GUEST_EFER) & EFER_LMA) ||
	    !(vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS) & ACCESS_RIGHTS_L))
		return false;
	begin_walks(vcpu);
	if (!load(vcpu, &cpu))
		return false;
	instruction = fetch(&cpu);
	if (instruction.opcode != SOFT_LKGS)
		return false;
	switch (lkgs(vcpu, &cpu, &instruction, &fault)) {
	case SOFT_DONE:
		store(&cpu);
		break;
	case SOFT_FAULT:
		event_queue(vcpu, fault);
		break;
	default:
		no_memory(vcpu, &cpu);
	}
	/* While FRED is off, changes of EFER are not seen. */
	guest_forget_walks(&vcpu->soft.walks);
	return true;
}

bool soft_fred_performs_lkgs(struct vcpu *vcpu)
{
	struct guest_paging paging;
	const volatile uint8_t *code;

	if (ACCESS_RIGHTS_DPL(vmcs_read(VMCS_GUEST_SS_ACCESS_RIGHTS)) != 0)
		return false;
	paging.walks = &vcpu->soft.walks;
	paging.cr3 = vmcs_read(VMCS_GUEST_CR3);
	/* LKGS begins with a prefix. */
	code = guest_walk_again(&paging, vmcs_read(VMCS_GUEST_RIP), GUEST_REFETCH);
	if (code && *code == CODE_ESCAPE)
		return false;
	return perform_lkgs(vcpu);
}

bool soft_fred_rdmsr(const struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct fred_state state = vcpu->soft.state;

	if (vcpu->vm->fred != FRED_BACKEND_SOFT)
		return false;
	if (fred_state_of(&state, msr)) {
		*value = *fred_state_of(&state, msr);
		return true;
	}
	if (msr == MSR_IA32_EFER) {
		*value = vmcs_read(VMCS_GUEST_EFER) |
			 (vcpu->soft.on && vcpu->soft.syscall_enabled ? EFER_SCE : 0);
		return true;
	}
	*value = vcpu->soft.sysenter_cs;
	return msr == MSR_IA32_SYSENTER_CS && vcpu->soft.on;
}

bool soft_fred_wrmsr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	uint64_t *const slot = fred_state_of(&vcpu->soft.state, msr);

	if (vcpu->vm->fred != FRED_BACKEND_SOFT)
		return false;
	if (slot) {
		if (!fred_msr_accepts(msr, value, machine.linear_bits))
			return false;
		*slot = value;
		return true;
	}
	if (msr != MSR_IA32_SYSENTER_CS || !vcpu->soft.on)
		return false;
	vcpu->soft.sysenter_cs = (uint32_t)value;
	return true;
}
