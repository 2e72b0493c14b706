// SPDX-License-Identifier: BSD-2-Clause
/* Owns the guest of the platform's self-test: its memory, its state, and its VM entries. */
#include "vmm/selftest/probe.h"

#include "lib/string.h"
#include "lib/x86/msr.h"
#include "vmm/host/cpu.h"
#include "vmm/run/create.h"
#include "vmm/run/inject.h"
#include "vmm/vmx/ept.h"
#include "vmm/vcpu/event.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

/* Page-table entries (SDM 3A, 5.5). */
#define PTE_PRESENT  (1ULL << 0)
#define PTE_WRITE    (1ULL << 1)
#define PTE_USER     (1ULL << 2)
#define PTE_ACCESSED (1ULL << 5)
#define PTE_DIRTY    (1ULL << 6)
#define PTE_TABLE    (PTE_PRESENT | PTE_WRITE | PTE_USER)
/* A dirty page that cannot be written is a shadow stack. */
#define PTE_SHADOW (PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY)

#define USER_CS		   (PROBE_USER_BASE + 16)
#define USER_SS		   (PROBE_USER_BASE + 8)
#define ACCESS_RIGHTS_DPL3 (3U << 5)

/* More than any of its code takes: there is an exit by then. */
#define GUARD_TICKS 100000ULL

#define STACK_PATTERN 0xa5

/* checks.asm */
bool fred_check_enter(struct guest_regs *regs, bool launched);
extern const uint8_t fred_check_exit[];

static struct vm vm;
static struct guest_config config; /* fred = auto: by the processor, where this runs */
static bool launched;

uint64_t probe_address(const uint8_t *code)
{
	return PROBE_ADDRESS(PROBE_CODE) + (uint64_t)(code - fred_check_entries);
}

void *probe_memory(const struct vcpu *vcpu, uint64_t address)
{
	return guest_memory(vcpu->vm, address, 1);
}

static void fill_memory(const struct vcpu *vcpu)
{
	uint64_t *const pt = probe_memory(vcpu, PROBE_ADDRESS(PROBE_PT));

	memcpy(probe_memory(vcpu, PROBE_ADDRESS(PROBE_CODE)), fred_check_entries, 2 * PAGE_SIZE);
	for (unsigned int page = PROBE_PML4; page < PROBE_PT; page++)
		*(uint64_t *)probe_memory(vcpu, PROBE_ADDRESS(page)) =
			PROBE_ADDRESS(page + 1) | PTE_TABLE;
	for (unsigned int page = 0; page < PROBE_PAGES; page++)
		pt[page] = PROBE_ADDRESS(page) | PTE_TABLE;
	pt[PROBE_SHADOW] = PROBE_ADDRESS(PROBE_SHADOW) | PTE_SHADOW;
	pt[PROBE_USER_SHADOW] = PROBE_ADDRESS(PROBE_USER_SHADOW) | PTE_SHADOW | PTE_USER;
	boot_gdt_write(probe_memory(vcpu, PROBE_ADDRESS(PROBE_GDT)));
}

struct vcpu *probe_create(const struct boot_info *boot)
{
	struct vcpu *vcpu;

	memset(&vm, 0, sizeof(vm));
	vm.name = "self-test";
	vm.devices = VM_DEVICES_NONE;
	vm.boot = boot;
	vm.config = &config;
	vm_prepare(&vm);
	vcpu = vcpu_create(&vm, 0);
	/* It gets its memory only now, page by page: ept_create() maps large ones. */
	vm.memory.size = PROBE_PAGES * PAGE_SIZE;
	vm.memory.host_base = virt_to_phys(pages_alloc(PROBE_PAGES));
	for (unsigned int page = 0; page < PROBE_PAGES; page++)
		ept_map_missing(&vm, PROBE_ADDRESS(page));
	fill_memory(vcpu);

	/* Nothing is intercepted but what a check asks for. */
	memset(vcpu->msr_bitmap, 0, PAGE_SIZE);
	vmcs_clear_bits(VMCS_PIN_BASED_CONTROLS, PIN_EXTERNAL_INTERRUPT);
	vmcs_clear_bits(VMCS_PROC_BASED_CONTROLS, PROC_CR8_LOAD | PROC_CR8_STORE);
	if (machine.has_preemption_timer) {
		vmcs_set_bits(VMCS_PIN_BASED_CONTROLS, PIN_PREEMPTION_TIMER);
		vmcs_write(VMCS_PREEMPTION_TIMER,
			   GUARD_TICKS >> VMX_MISC_TIMER_RATE(machine.vmx_misc));
	}
	vmcs_write(VMCS_HOST_RIP, (uint64_t)fred_check_exit);
	launched = false;
	return vcpu;
}

void probe_destroy(struct vcpu *vcpu)
{
	vcpu_vmcs_clear(vcpu);
	cpu_current()->vcpu = NULL;
}

struct fred_state probe_fred_state(void)
{
	struct fred_state state = { .config = PROBE_ADDRESS(PROBE_CODE), .stklvls = PROBE_STKLVLS };

	for (unsigned int level = 0; level < FRED_LEVELS; level++)
		state.rsp[level] = PROBE_TOP(PROBE_LEVEL0 + level);
	return state;
}

void probe_reset(struct vcpu *vcpu, unsigned int ring, const uint8_t *code)
{
	const struct mode64 mode = { .cr3 = PROBE_ADDRESS(PROBE_PML4),
				     .rip = probe_address(code),
				     .rsp = PROBE_TOP(PROBE_STACK),
				     .gdt = PROBE_ADDRESS(PROBE_GDT) };
	const struct fred_state state = probe_fred_state();

	vcpu_set_mode64(vcpu, &mode);
	if (ring == 3) {
		vmcs_write(VMCS_GUEST_CS_SELECTOR, USER_CS);
		vmcs_set_bits(VMCS_GUEST_CS_ACCESS_RIGHTS, ACCESS_RIGHTS_DPL3);
		vmcs_write(VMCS_GUEST_SS_SELECTOR, USER_SS);
		vmcs_set_bits(VMCS_GUEST_SS_ACCESS_RIGHTS, ACCESS_RIGHTS_DPL3);
	}
	vmcs_set_bits(VMCS_GUEST_CR0, CR0_WP);
	vmcs_set_bits(VMCS_GUEST_CR4, CR4_FRED);
	vmcs_set_bits(VMCS_GUEST_EFER, EFER_SCE);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	if (!fred_write_state(vcpu, &state))
		panic("fred-check", "the self-test's own FRED state is not legal");
	wrmsr(MSR_IA32_FRED_RSP0, state.rsp[0]);
	memset(&vcpu->regs, 0, sizeof(vcpu->regs));
	for (unsigned int page = PROBE_STACK; page <= PROBE_LEVEL3; page++)
		memset(probe_memory(vcpu, PROBE_TOP(page) - sizeof(struct fred_frame)),
		       STACK_PATTERN, sizeof(struct fred_frame));
}

bool probe_run(struct vcpu *vcpu)
{
	event_prepare_entry(vcpu);
	if (!fred_check_enter(&vcpu->regs, launched))
		return false;
	launched |= !(vmcs_read32(VMCS_EXIT_REASON) & EXIT_REASON_ENTRY_FAILURE);
	return true;
}
