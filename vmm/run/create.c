// SPDX-License-Identifier: BSD-2-Clause
/*
 * Makes vcpus: VMCS, controls, host state, and the guest's first state. What
 * changes later is changed by the owner of the field.
 */
#include "vmm/run/create.h"

#include "lib/layout.h"
#include "lib/string.h"
#include "lib/paging.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "vmm/base/log.h"
#include "vmm/host/cpu.h"
#include "vmm/run/enter.h"
#include "vmm/vcpu/cpuid_policy.h"
#include "vmm/vcpu/control_registers.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/ept.h"
#include "vmm/host/errata.h"
#include "vmm/fred/native.h"
#include "vmm/vcpu/io_policy.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/vcpu/msr_policy.h"
#include "vmm/host/smp.h"
#include "vmm/vcpu/timer.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

#define STACK_PAGES 4
#define VCPU_PAGES  ((sizeof(struct vcpu) + PAGE_SIZE - 1) / PAGE_SIZE)
#define VCPU_MEMORY ((1 + STACK_PAGES + VCPU_PAGES) * PAGE_SIZE)
/* With the VMCS, the MSR bitmap and FRED's MSR areas. */
_Static_assert(VCPU_MEMORY + 3 * PAGE_SIZE <= VMM_SIZE_VCPU, "the loader counts on less");

#define SEGMENT_LIMIT_4G   0xffffffffU
#define TSS_LIMIT	   0x67U
#define BOOT_SELECTOR_CODE 0x10
#define BOOT_SELECTOR_DATA 0x18

_Static_assert(offsetof(struct vcpu, regs) == 0, "entry.asm");
_Static_assert(offsetof(struct vcpu, regs_end) == sizeof(struct guest_regs), "entry.asm");
_Static_assert(offsetof(struct guest_regs, r15) == 14 * sizeof(uint64_t), "entry.asm");

static bool vmclear(const struct vcpu *vcpu)
{
	bool failed;

	asm volatile("vmclear %1" : "=@ccbe"(failed) : "m"(vcpu->vmcs) : "memory");
	return !failed;
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
	make_vmcs_current(vcpu);
	vcpu->launched = false;
	set_controls(vcpu);
	set_host_state(vcpu, exit_entry(vcpu, false));
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
	vm->xss = vm->shadow_stacks ? machine.xss_supported : 0;
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
