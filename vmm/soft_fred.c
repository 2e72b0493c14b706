// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns what makes FRED's events reach the VMM, and brings a vcpu's state to the engine and back.
 * The engine has the rules (soft_engine.c), this file has the VMCS.
 */
#include "vmm/soft_fred.h"

#include "lib/fred.h"
#include "lib/layout.h"
#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "lib/x86/vmx.h"
#include "vmm/exit.h"
#include "vmm/guest.h"
#include "vmm/machine.h"
#include "vmm/msr.h"
#include "vmm/soft_decode.h"
#include "vmm/soft_engine.h"
#include "vmm/vcpu.h"
#include "vmm/vmcs.h"
#include "vmm/x86.h"

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

void soft_fred_switch(struct vcpu *vcpu, bool on)
{
	const struct vm *const vm = vcpu->vm;
	const uint64_t efer = vmcs_read(VMCS_GUEST_EFER);

	if (vcpu->soft.stepping)
		soft_fred_stepped(vcpu);
	vcpu->soft.on = on;
	guest_forget_walks(&vcpu->soft.walks);
	vcpu->soft.walks.ram = vm->ram;
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
	vmcs_write(VMCS_EXCEPTION_BITMAP, vm->exception_bitmap);
	if (vm->devices == VM_DEVICES_PASSTHROUGH)
		vmcs_clear_bits(VMCS_PIN_BASED_CONTROLS, PIN_EXTERNAL_INTERRUPT);
}

void handle_descriptor_table(struct vcpu *vcpu)
{
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

/* What every use of the engine needs. */
static void load(struct vcpu *vcpu, struct soft_cpu *cpu)
{
	const uint64_t interruptibility = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

	cpu->rip = vmcs_read(VMCS_GUEST_RIP);
	cpu->rsp = vmcs_read(VMCS_GUEST_RSP);
	cpu->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	load_segment(&cpu->cs, SEG_CS);
	load_segment(&cpu->ss, SEG_SS);
	cpu->cpl = ACCESS_RIGHTS_DPL(cpu->ss.rights);
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

static void store(const struct soft_cpu *cpu)
{
	uint64_t interruptibility = (cpu->sti_blocking ? INTERRUPTIBILITY_STI : 0) |
				    (cpu->nmi_blocking ? INTERRUPTIBILITY_NMI : 0);
	const bool trap = cpu->single_step_pending;

	/* VM entry refuses STI blocking with TF = 1, unless the trap comes at once (27.3.1.5). */
	if ((cpu->rflags & RFLAGS_TF) && !trap)
		interruptibility &= ~(uint64_t)INTERRUPTIBILITY_STI;
	vmcs_write(VMCS_GUEST_RIP, cpu->rip);
	vmcs_write(VMCS_GUEST_RSP, cpu->rsp);
	vmcs_write(VMCS_GUEST_RFLAGS, cpu->rflags);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, interruptibility);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, trap ? PENDING_DEBUG_BS : 0);
	if (cpu->segments_changed) {
		store_segment(&cpu->cs, SEG_CS);
		store_segment(&cpu->ss, SEG_SS);
	}
	if (cpu->swap_gs)
		swap_gs();
}

static void no_memory(struct vcpu *vcpu, const struct soft_cpu *cpu) __attribute__((noreturn));
static void no_memory(struct vcpu *vcpu, const struct soft_cpu *cpu)
{
	guest_failed(vcpu, "fred-no-memory",
		     "software FRED: the stack (RSP 0x%llx), or a page table on the way to it, "
		     "is not memory of the guest; see its CR3 and IA32_FRED_RSP0-3",
		     (unsigned long long)cpu->rsp);
}

/* What an exception does to registers before it is delivered, be that successful or not. */
static void exception_begins(const struct event *event)
{
	if (event->type == EVENT_HARDWARE_EXCEPTION)
		event_set_registers(event);
}

/* Deliver *event, or what becomes of it. */
static void deliver(struct vcpu *vcpu, struct soft_cpu *cpu, struct event *event)
{
	struct event fault;

	exception_begins(event);
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
		case SOFT_FAULT:
			break;
		}
		/* CR2 is set also by a fault that becomes #DF (SDM 3A, 6.15). */
		exception_begins(&fault);
		/*
		 * An interrupt whose delivery faults was taken, and is gone, as in hardware. The
		 * saved RFLAGS of a fault have RF = 1 (SDM 3A, 18.3.1.1).
		 */
		cpu->rflags |= RFLAGS_RF;
		merged = event_merge(event, &fault, event);
		if (merged == MERGE_TRIPLE_FAULT)
			guest_triple_fault(vcpu);
		event->nested = merged == MERGE_SECOND;
	}
}

void soft_fred_deliver(struct vcpu *vcpu, const struct event *event)
{
	struct event delivered = *event;
	struct soft_cpu cpu;

	if (vcpu->soft.stepping)
		soft_fred_stepped(vcpu);
	load(vcpu, &cpu);
	if (event->type == EVENT_EXTERNAL_INTERRUPT || event->type == EVENT_NMI)
		vmcs_write(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	deliver(vcpu, &cpu, &delivered);
}

bool soft_fred_trap_pending(void)
{
	return vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS) != 0;
}

/*
 * Copy the bytes at this address, as far as they can be read: those of the next page may be absent,
 * and then do not belong to the instruction.
 */
static size_t read_code(const struct guest_paging *paging, uint64_t linear, uint8_t *bytes)
{
	const size_t in_page = PAGE_SIZE - (linear & PAGE_MASK);
	size_t first = in_page < INSTRUCTION_MAX ? in_page : INSTRUCTION_MAX;
	struct event fault;
	void *memory;

	if (guest_walk(paging, linear, GUEST_REFETCH, &memory, &fault) != WALK_OK)
		return 0;
	memcpy(bytes, memory, first);
	if (first == INSTRUCTION_MAX ||
	    guest_walk(paging, linear + first, GUEST_REFETCH, &memory, &fault) != WALK_OK)
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
	return soft_decode(bytes, read_code(&cpu->paging, linear, bytes), long_mode);
}

/* The frequent instructions, as their first four bytes in memory. */
#define CODE_ESCAPE    0x0fU
#define CODE_SYSCALL   0x050fU
#define CODE_ERETS     0xca010ff2U
#define CODE_ERETU     0xca010ff3U
#define SYSCALL_LENGTH 2

/* Those bytes; 0 when that is not quick. */
static inline uint32_t peek(const struct soft_cpu *cpu)
{
	const volatile uint32_t *code;

	if (!(cpu->cs.rights & ACCESS_RIGHTS_L) ||
	    (cpu->rip & PAGE_MASK) > PAGE_SIZE - sizeof(*code))
		return 0;
	code = guest_walk_again(&cpu->paging, cpu->rip, GUEST_REFETCH);
	return code ? *code : 0;
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
					   sizeof(selector), fault);
		if (result != SOFT_DONE)
			return result;
	}
	result = soft_lkgs(cpu, selector, &gs, fault);
	if (result != SOFT_DONE)
		return result;
	wrmsr(MSR_IA32_KERNEL_GS_BASE, gs.base);
	gs.base = vmcs_read(VMCS_GUEST_GS_BASE);
	store_segment(&gs, SEG_GS);
	cpu->single_step_pending = cpu->rflags & RFLAGS_TF;
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
	if (result == SOFT_NO_MEMORY)
		no_memory(vcpu, cpu);
	if (result == SOFT_FAULT)
		deliver(vcpu, cpu, &fault);
	else
		store(cpu);
}

/* Apart: the frequent #UD, that of UD2, needs less of the stack. */
static __attribute__((noinline)) bool perform_lkgs(struct vcpu *vcpu)
{
	struct soft_instruction instruction;
	struct soft_cpu cpu;
	struct event fault;

	vcpu->soft.walks.ram = vcpu->vm->ram;
	load(vcpu, &cpu);
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
	const uint64_t rip = vmcs_read(VMCS_GUEST_RIP);
	const struct guest_paging paging = { .walks = &vcpu->soft.walks,
					     .cr3 = vmcs_read(VMCS_GUEST_CR3) };
	const volatile uint8_t *code;

	if (ACCESS_RIGHTS_DPL(vmcs_read(VMCS_GUEST_SS_ACCESS_RIGHTS)) != 0)
		return false;
	/* LKGS begins with a prefix. */
	code = guest_walk_again(&paging, rip, GUEST_REFETCH);
	if (code && *code == CODE_ESCAPE)
		return false;
	return perform_lkgs(vcpu);
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

/* The two returns, when there is nothing about them: false, and the state is as before. */
static inline bool return_quickly(struct soft_cpu *cpu, uint32_t code)
{
	struct event fault;

	if (cpu->cpl != 0)
		return false;
	if (code == CODE_ERETS)
		return soft_erets(cpu, &fault) == SOFT_DONE;
	if (code != CODE_ERETU)
		return false;
	cpu->star = rdmsr(MSR_IA32_STAR);
	return soft_eretu(cpu, &fault) == SOFT_DONE;
}

static __attribute__((noinline)) void undefined_otherwise(struct vcpu *vcpu, struct soft_cpu *cpu,
							  uint32_t code)
{
	struct event event;

	if ((uint16_t)code != CODE_SYSCALL || !vcpu->soft.syscall_enabled) {
		event = event_exception(VECTOR_UD);
		reinterpret(vcpu, cpu, &event);
		return;
	}
	event = (struct event){ .type = EVENT_OTHER,
				.vector = FRED_VECTOR_SYSCALL,
				.instruction_length = SYSCALL_LENGTH };
	cpu->rflags &= ~RFLAGS_RF;
	deliver(vcpu, cpu, &event);
}

void soft_fred_undefined(struct vcpu *vcpu)
{
	struct soft_cpu cpu;
	uint32_t code;

	if (vcpu->soft.stepping)
		soft_fred_stepped(vcpu);
	load(vcpu, &cpu);
	code = peek(&cpu);
	if (return_quickly(&cpu, code))
		store(&cpu);
	else
		undefined_otherwise(vcpu, &cpu, code);
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

void soft_fred_exception(struct vcpu *vcpu, struct event *event)
{
	struct soft_cpu cpu;

	if (vcpu->soft.stepping)
		soft_fred_stepped(vcpu);
	load(vcpu, &cpu);
	/* General detect is a fault; the exit's RFLAGS do not always say so: BX-15. */
	if (event->vector == VECTOR_DB && (event->event_data & EVENT_DEBUG_BD))
		cpu.rflags |= RFLAGS_RF;
	if (event->vector == VECTOR_GP && was_int_n(event)) {
		cpu.rflags &= ~RFLAGS_RF;
	} else if (event->type == EVENT_HARDWARE_EXCEPTION &&
		   (event->vector == VECTOR_UD ||
		    (event->vector == VECTOR_GP && event->error_code == 0))) {
		reinterpret(vcpu, &cpu, event);
		return;
	}
	deliver(vcpu, &cpu, event);
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
