// SPDX-License-Identifier: BSD-2-Clause
/*
 * Makes vcpus: VMCS, controls, host state, and the guest's first state. What
 * changes later is changed by the owner of the field.
 */
#include "vmm/vcpu/vcpu.h"

#include "lib/layout.h"
#include "lib/string.h"
#include "lib/paging.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "vmm/host/cpu.h"
#include "vmm/vcpu/cpuid_policy.h"
#include "vmm/vcpu/control_registers.h"
#include "vmm/vmx/ept.h"
#include "vmm/fred/errata.h"
#include "vmm/fred/native.h"
#include "vmm/exits/ports.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/vcpu/msr_policy.h"
#include "vmm/run/sched.h"
#include "vmm/host/smp.h"
#include "vmm/vcpu/timer.h"
#include "vmm/host/trap.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define STACK_PAGES 4
#define VCPU_PAGES  ((sizeof(struct vcpu) + PAGE_SIZE - 1) / PAGE_SIZE)
#define VCPU_MEMORY ((1 + STACK_PAGES + VCPU_PAGES) * PAGE_SIZE)
/* With the VMCS, the MSR bitmap and FRED's MSR areas. */
_Static_assert(VCPU_MEMORY + 3 * PAGE_SIZE <= VMM_SIZE_VCPU, "the loader counts on less");

#define SEGMENT_LIMIT_4G   0xffffffffU
#define TSS_LIMIT	   0x67U
#define GPR_RSP		   4U
#define BOOT_SELECTOR_CODE 0x10
#define BOOT_SELECTOR_DATA 0x18

_Static_assert(offsetof(struct vcpu, regs) == 0, "entry.asm");
_Static_assert(offsetof(struct vcpu, regs_end) == sizeof(struct guest_regs), "entry.asm");
_Static_assert(offsetof(struct guest_regs, r15) == 14 * sizeof(uint64_t), "entry.asm");

/* run/entry.asm */
void vcpu_launch(struct vcpu *vcpu) __attribute__((noreturn));
void vcpu_resume(struct vcpu *vcpu) __attribute__((noreturn));
extern const uint8_t vmexit_entry[], vmexit_entry_traced[], vmexit_entry_watched[];
extern const uint8_t vcpu_launch_begin[], vcpu_launch_end[];
extern const uint8_t vcpu_resume_begin[], vcpu_resume_end[];
extern const uint8_t cpu_wait_begin[], cpu_wait_end[];

static uint64_t *gpr(struct vcpu *vcpu, unsigned int number)
{
	/* struct guest_regs has the processor's order, without RSP: that is in the VMCS. */
	return &vcpu->regs.rax + (number > GPR_RSP ? number - 1 : number);
}

uint64_t vcpu_gpr(const struct vcpu *vcpu, unsigned int number)
{
	return number == GPR_RSP ? vmcs_read(VMCS_GUEST_RSP) : *gpr((struct vcpu *)vcpu, number);
}

void vcpu_set_gpr(struct vcpu *vcpu, unsigned int number, uint64_t value)
{
	if (number == GPR_RSP)
		vmcs_write(VMCS_GUEST_RSP, value);
	else
		*gpr(vcpu, number) = value;
}

void vcpu_print_registers(const struct vcpu *vcpu)
{
	const struct guest_regs *const r = &vcpu->regs;
#define SHOW(a, b, c, d)                                                                        \
	log_error("  guest " #a "=%016llx " #b "=%016llx " #c "=%016llx " #d "=%016llx",        \
		  (unsigned long long)r->a, (unsigned long long)r->b, (unsigned long long)r->c, \
		  (unsigned long long)r->d)
	SHOW(rax, rbx, rcx, rdx);
	SHOW(rsi, rdi, rbp, r8);
	SHOW(r9, r10, r11, r12);
#undef SHOW
	log_error("  guest r13=%016llx r14=%016llx r15=%016llx cr2=%016llx",
		  (unsigned long long)r->r13, (unsigned long long)r->r14,
		  (unsigned long long)r->r15, (unsigned long long)read_cr2());
	log_error("  guest rip=%016llx rsp=%016llx rflags=%016llx dr6=%016llx",
		  (unsigned long long)vmcs_read(VMCS_GUEST_RIP),
		  (unsigned long long)vmcs_read(VMCS_GUEST_RSP),
		  (unsigned long long)vmcs_read(VMCS_GUEST_RFLAGS), (unsigned long long)read_dr6());
}

static bool vmclear(const struct vcpu *vcpu)
{
	bool failed;

	asm volatile("vmclear %1" : "=@ccbe"(failed) : "m"(vcpu->vmcs) : "memory");
	return !failed;
}

bool vcpu_watch(const struct vcpu *vcpu, bool watched)
{
	if (vcpu->vm->boot->config.log == LOG_TRACE)
		return false;
	vmcs_write(VMCS_HOST_RIP, (uint64_t)(watched ? vmexit_entry_watched : vmexit_entry));
	return true;
}

static void make_vmcs_current(const struct vcpu *vcpu)
{
	const uint32_t revision = (uint32_t)(machine.vmx_basic & VMX_BASIC_REVISION_MASK);
	void *const region = phys_to_virt(vcpu->vmcs);

	memset(region, 0, PAGE_SIZE);
	memcpy(region, &revision, sizeof(revision));
	if (!vmclear(vcpu))
		panic("vmclear", "VMCLEAR of a new VMCS failed");
	if (!vmptrld(&vcpu->vmcs))
		panic("vmptrld", "VMPTRLD of a new VMCS failed");
}

void vcpu_vmcs_clear(const struct vcpu *vcpu)
{
	if (!vmclear(vcpu))
		panic("vmclear", "VMCLEAR of the current VMCS failed");
}

static void set_controls(struct vcpu *vcpu)
{
	const struct vmx_controls *const c = &machine.controls;
	const struct vm *const vm = vcpu->vm;
	uint32_t pin = c->pin;
	uint32_t proc = c->proc;

	if (vm->devices == VM_DEVICES_NONE) {
		/* Interrupts of the machine are not for this guest, and it has no APIC for CR8. */
		pin |= PIN_EXTERNAL_INTERRUPT;
		proc |= PROC_CR8_LOAD | PROC_CR8_STORE;
	} else if (vm->fred == FRED_BACKEND_NATIVE && erratum_detected(ERRATUM_FR_4)) {
		/* Injected, they come only when the guest's RFLAGS let them. */
		pin |= PIN_EXTERNAL_INTERRUPT;
	}
	vmcs_write(VMCS_PIN_BASED_CONTROLS, pin);
	vmcs_write(VMCS_PROC_BASED_CONTROLS, proc);
	vmcs_write(VMCS_SECONDARY_PROC_CONTROLS, guest_secondary_controls(vm));
	vmcs_write(VMCS_EXIT_CONTROLS, c->exit);
	vmcs_write(VMCS_ENTRY_CONTROLS, c->entry);
	event_set_exits(vcpu, vm->exception_bitmap);
	vmcs_write(VMCS_PAGE_FAULT_ERROR_MASK, 0);
	vmcs_write(VMCS_PAGE_FAULT_ERROR_MATCH, 0);
	vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
	vmcs_write(VMCS_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	vmcs_write(VMCS_IO_BITMAP_A, virt_to_phys(vm->io_bitmaps));
	vmcs_write(VMCS_IO_BITMAP_B, virt_to_phys(vm->io_bitmaps + PAGE_SIZE));
	vmcs_write(VMCS_MSR_BITMAP, virt_to_phys(vcpu->msr_bitmap));
	vmcs_write(VMCS_EPT_POINTER, vm->ept_pointer);
	if (c->proc2 & PROC2_VPID)
		vmcs_write(VMCS_VPID, vcpu->vpid);
	if (c->proc2 & PROC2_XSAVES)
		vmcs_write(VMCS_XSS_EXITING_BITMAP, 0);
	if (c->proc2 & PROC2_ENCLS)
		vmcs_write(VMCS_ENCLS_EXITING_BITMAP, ~0ULL);
	if (c->proc2 & PROC2_ENCLV)
		vmcs_write(VMCS_ENCLV_EXITING_BITMAP, ~0ULL);
}

static void set_host_state(struct vcpu *vcpu, const uint8_t *exit_entry)
{
	struct cpu *const cpu = cpu_current();
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr, idtr;

	asm("sgdt %0" : "=m"(gdtr));
	asm("sidt %0" : "=m"(idtr));
	vmcs_write(VMCS_HOST_CR0, read_cr0());
	vmcs_write(VMCS_HOST_CR3, read_cr3());
	vmcs_write(VMCS_HOST_CR4, read_cr4());
	vmcs_write(VMCS_HOST_ES_SELECTOR, SELECTOR_DATA);
	vmcs_write(VMCS_HOST_CS_SELECTOR, SELECTOR_CODE);
	vmcs_write(VMCS_HOST_SS_SELECTOR, SELECTOR_DATA);
	vmcs_write(VMCS_HOST_DS_SELECTOR, SELECTOR_DATA);
	vmcs_write(VMCS_HOST_FS_SELECTOR, 0);
	vmcs_write(VMCS_HOST_GS_SELECTOR, 0);
	vmcs_write(VMCS_HOST_TR_SELECTOR, SELECTOR_TSS);
	vmcs_write(VMCS_HOST_FS_BASE, 0);
	vmcs_write(VMCS_HOST_GS_BASE, (uint64_t)cpu);
	vmcs_write(VMCS_HOST_TR_BASE, (uint64_t)&cpu->tss);
	vmcs_write(VMCS_HOST_GDTR_BASE, gdtr.base);
	vmcs_write(VMCS_HOST_IDTR_BASE, idtr.base);
	vmcs_write(VMCS_HOST_SYSENTER_CS, 0);
	vmcs_write(VMCS_HOST_SYSENTER_ESP, 0);
	vmcs_write(VMCS_HOST_SYSENTER_EIP, 0);
	vmcs_write(VMCS_HOST_PAT, PAT_VMM);
	vmcs_write(VMCS_HOST_EFER, rdmsr(MSR_IA32_EFER));
	if (machine.controls.exit & EXIT_LOAD_CET) {
		vmcs_write(VMCS_HOST_S_CET, 0);
		vmcs_write(VMCS_HOST_SSP, 0);
		vmcs_write(VMCS_HOST_ISST, 0);
	}
	vmcs_write(VMCS_HOST_RSP, (uint64_t)&vcpu->regs_end);
	vmcs_write(VMCS_HOST_RIP, (uint64_t)exit_entry);
}

void vcpu_set_segment(enum segment segment, uint16_t selector, uint32_t limit, uint32_t rights)
{
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_SELECTOR, segment), selector);
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_BASE, segment), 0);
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_LIMIT, segment), limit);
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_ACCESS_RIGHTS, segment), rights);
}

static void set_flat_segments(uint32_t code_rights)
{
	for (enum segment s = SEG_ES; s <= SEG_GS; s++)
		vcpu_set_segment(s, BOOT_SELECTOR_DATA, SEGMENT_LIMIT_4G, ACCESS_RIGHTS_DATA);
	vcpu_set_segment(SEG_CS, BOOT_SELECTOR_CODE, SEGMENT_LIMIT_4G, code_rights);
	vcpu_set_segment(SEG_LDTR, 0, 0, ACCESS_RIGHTS_UNUSABLE);
	vcpu_set_segment(SEG_TR, 0, TSS_LIMIT, ACCESS_RIGHTS_TSS_BUSY);
}

void vcpu_vmcs_init(struct vcpu *vcpu)
{
	const bool traced = vcpu->vm->boot->config.log == LOG_TRACE;

	make_vmcs_current(vcpu);
	vcpu->launched = false;
	set_controls(vcpu);
	set_host_state(vcpu, traced ? vmexit_entry_traced : vmexit_entry);
	vcpu_set_reset_state(vcpu);
	fred_vmcs_init(vcpu);
	timer_init(vcpu);
}

void vm_prepare(struct vm *vm)
{
	fred_choose(vm);
	/* Software FRED pushes to no shadow stack. */
	vm->shadow_stacks = machine.has_cet && vm->fred != FRED_BACKEND_SOFT &&
			    !(vm->fred == FRED_BACKEND_NATIVE && erratum_detected(ERRATUM_FR_9));
	vm->io_bitmaps = pages_alloc(2);
	io_bitmaps_fill(vm, vm->io_bitmaps);
	ept_create(vm);
}

struct vcpu *vcpu_create(struct vm *vm, uint32_t index)
{
	static uint16_t vpids; /* 0 is the VMM's own */
	struct vcpu *const vcpu = stack_alloc(STACK_PAGES, VCPU_PAGES);

	vcpu->vm = vm;
	vcpu->cpu = cpu_current();
	vcpu->index = index;
	vcpu->guest_cr4_allowed = guest_cr4_allowed(vm);
	vcpu->vpid = __atomic_add_fetch(&vpids, 1, __ATOMIC_RELAXED);
	vcpu->msr_bitmap = page_alloc();
	msr_bitmap_fill(vm, vcpu->msr_bitmap);
	vcpu->vmcs = virt_to_phys(page_alloc());
	vcpu_vmcs_init(vcpu);
	switch_reset(&vcpu->switched, NULL);
	vm->vcpus[index] = vcpu;
	if (vm->devices == VM_DEVICES_PASSTHROUGH)
		vcpu->cpu->passthrough = vcpu;
	vcpu->cpu->vcpu = vcpu;
	return vcpu;
}

size_t vcpu_memory_size(void)
{
	return VCPU_MEMORY;
}

void vcpu_set_mode64(const struct vcpu *vcpu, const struct mode64 *mode)
{
	set_flat_segments(ACCESS_RIGHTS_CODE64);
	cr_set_cr0(CR0_PE | CR0_ET | CR0_NE | CR0_PG);
	cr_set_cr4(vcpu, CR4_PAE);
	vmcs_write(VMCS_GUEST_CR3, mode->cr3);
	vmcs_write(VMCS_GUEST_EFER, EFER_LME | EFER_LMA);
	vmcs_set_bits(VMCS_ENTRY_CONTROLS, ENTRY_IA32E_GUEST);
	vmcs_write(VMCS_GUEST_GDTR_BASE, mode->gdt);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, BOOT_GDT_SIZE - 1);
	vmcs_write(VMCS_GUEST_RIP, mode->rip);
	vmcs_write(VMCS_GUEST_RSP, mode->rsp);
}

void vcpu_set_mode32(uint32_t rip)
{
	set_flat_segments(ACCESS_RIGHTS_CODE32);
	cr_set_cr0(CR0_PE | CR0_ET | CR0_NE);
	vmcs_write(VMCS_GUEST_RIP, rip);
}

void boot_gdt_write(uint64_t gdt[BOOT_GDT_SIZE / sizeof(uint64_t)])
{
	gdt[0] = 0;
	gdt[1] = 0;
	gdt[BOOT_SELECTOR_CODE / 8] = GDT_CODE64;
	gdt[BOOT_SELECTOR_DATA / 8] = GDT_DATA;
}

void vcpu_run(struct vcpu *vcpu)
{
	fred_load(vcpu);
	if (vcpu->launched)
		vcpu_resume(vcpu);
	if (vcpu->vm->boot->config.debug == DEBUG_INVALID_GUEST_STATE)
		vmcs_clear_bits(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED);
	vcpu->launched = true;
	vcpu_launch(vcpu);
}

/* From any place of this range back to its start. */
static bool begin_again(struct trap_frame *frame, const uint8_t *begin, const uint8_t *end)
{
	const bool inside = frame->rip >= (uint64_t)begin && frame->rip < (uint64_t)end;

	if (inside)
		frame->rip = (uint64_t)begin;
	return inside;
}

/* Between the test of vcpu->work and VM entry what has come must be seen (run/entry.asm). */
static void enter_again(struct trap_frame *frame, const struct vcpu *vcpu)
{
	if (begin_again(frame, vcpu_resume_begin, vcpu_resume_end) ||
	    begin_again(frame, vcpu_launch_begin, vcpu_launch_end))
		frame->rsp = (uint64_t)vcpu;
}

void vcpu_nmi_in_host(struct trap_frame *frame)
{
	struct cpu *const cpu = cpu_current();
	struct vcpu *const vcpu = cpu->vcpu;

	if (!smp_take_nmi()) {
		if (!vcpu) {
			/* A guest may send a parked processor any number of them. */
			if (!cpu->parked)
				log_error("an NMI came before there was a guest to have it: "
					  "dropped");
			return;
		}
		sched_nmi();
	}
	/* A wait that has not begun yet must see what has come. */
	begin_again(frame, cpu_wait_begin, cpu_wait_end);
	if (vcpu)
		enter_again(frame, vcpu);
}

/* The VMM runs with interrupts off. An emulator delivers one nevertheless: docs/errata.md, FR-4. */
void vcpu_interrupt_in_host(struct trap_frame *frame)
{
	struct vcpu *const vcpu = cpu_current()->vcpu;

	if (!vcpu) {
		log_error("interrupt 0x%llx came before there was a guest to have it: dropped",
			  (unsigned long long)frame->vector);
		return;
	}
	sched_interrupt((uint8_t)frame->vector);
	enter_again(frame, vcpu);
}
