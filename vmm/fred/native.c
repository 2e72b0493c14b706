// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the FRED state of guests: the FRED fields of the VMCS, or the VM-entry
 * and VM-exit MSR areas, and IA32_FRED_RSP0 and IA32_PL0_SSP, which nothing but software switches.
 */
#include "vmm/fred/native.h"

#include <stddef.h>

#include "lib/config.h"
#include "lib/fred.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "lib/x86/msr.h"
#include "lib/x86/vmx.h"
#include "vmm/host/cpu.h"
#include "vmm/host/errata.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

/* What VM entry and exit switch, by either method; the order of the entries in an MSR area. */
static const struct {
	uint32_t msr;
	enum vmcs_field guest, host;
} switched[] = {
	{ MSR_IA32_FRED_CONFIG, VMCS_GUEST_FRED_CONFIG, VMCS_HOST_FRED_CONFIG },
	{ MSR_IA32_FRED_STKLVLS, VMCS_GUEST_FRED_STKLVLS, VMCS_HOST_FRED_STKLVLS },
	{ MSR_IA32_FRED_RSP1, VMCS_GUEST_FRED_RSP1, VMCS_HOST_FRED_RSP1 },
	{ MSR_IA32_FRED_RSP2, VMCS_GUEST_FRED_RSP2, VMCS_HOST_FRED_RSP2 },
	{ MSR_IA32_FRED_RSP3, VMCS_GUEST_FRED_RSP3, VMCS_HOST_FRED_RSP3 },
	{ MSR_IA32_FRED_SSP1, VMCS_GUEST_FRED_SSP1, VMCS_HOST_FRED_SSP1 },
	{ MSR_IA32_FRED_SSP2, VMCS_GUEST_FRED_SSP2, VMCS_HOST_FRED_SSP2 },
	{ MSR_IA32_FRED_SSP3, VMCS_GUEST_FRED_SSP3, VMCS_HOST_FRED_SSP3 },
};
#define SWITCHED (sizeof(switched) / sizeof(switched[0]))

static size_t index_of(uint32_t msr)
{
	size_t i = 0;

	while (switched[i].msr != msr)
		i++;
	return i;
}

enum vmcs_field fred_guest_field(uint32_t msr)
{
	return switched[index_of(msr)].guest;
}

enum vmcs_field fred_host_field(uint32_t msr)
{
	return switched[index_of(msr)].host;
}

static const char *const method_names[] = {
	[FRED_METHOD_NONE] = "guests get it by software",
	[FRED_METHOD_MSR_AREAS] = "MSR areas",
	[FRED_METHOD_VMCS] = "VMCS controls",
};

/* All that FRED brings. Some have those of shadow stacks only with CET: docs/errata.md, FR-17. */
static const char *missing_msr(void)
{
	uint64_t value;

	for (uint32_t msr = MSR_IA32_FRED_RSP0; msr <= MSR_IA32_FRED_CONFIG; msr++)
		if (!rdmsr_safe(msr, &value))
			return "not all of FRED's MSRs exist (FR-17)";
	if (!rdmsr_safe(MSR_IA32_PL0_SSP, &value))
		return "IA32_PL0_SSP, FRED's SSP of level 0, does not exist (FR-17)";
	return NULL;
}

/* What keeps every method from working; NULL: nothing. */
static const char *missing_for_any(void)
{
	const uint32_t features = cpuid(7, 0).eax >= 1 ? cpuid(7, 1).eax : 0;

	if (!(features & CPUID_7_1_EAX_FRED))
		return "the processor has no FRED (CPUID leaf 7.1, EAX bit 17)";
	if (!(features & CPUID_7_1_EAX_LKGS))
		return "the processor has no LKGS (CPUID leaf 7.1, EAX bit 18)";
	if (!(machine.cr4_fixed1 & CR4_FRED))
		return "CR4.FRED cannot be 1 in VMX operation (IA32_VMX_CR4_FIXED1 bit 32)";
	if (!(machine.vmx_basic & VMX_BASIC_NESTED_EXCEPTION))
		return "nested exceptions cannot be injected (IA32_VMX_BASIC bit 58)";
	return missing_msr();
}

/* What keeps the VMCS method from working; NULL: nothing. All or nothing, as in Linux' KVM. */
static const char *missing_for_vmcs(void)
{
	uint64_t exit2;

	if (!machine_may_set(MSR_IA32_VMX_ENTRY_CTLS, ENTRY_LOAD_FRED))
		return "no VM-entry control load-guest-FRED (bit 23)";
	if (!machine_may_set(MSR_IA32_VMX_EXIT_CTLS, EXIT_SECONDARY))
		return "no secondary VM-exit controls (VM-exit control bit 31)";
	exit2 = rdmsr(MSR_IA32_VMX_EXIT_CTLS2);
	if (!(exit2 & EXIT2_SAVE_FRED))
		return "no VM-exit control save-guest-FRED (IA32_VMX_EXIT_CTLS2 bit 0)";
	if (!(exit2 & EXIT2_LOAD_FRED))
		return "no VM-exit control load-host-FRED (IA32_VMX_EXIT_CTLS2 bit 1)";
	return NULL;
}

void fred_probe(void)
{
	const char *const why = missing_for_any();

	machine.linear_bits = cpuid(0x80000008, 0).eax >> 8 & 0xff;
	if (why) {
		log_info("FRED: %s; %s", why, method_names[FRED_METHOD_NONE]);
		return;
	}
	machine.fred_method = FRED_METHOD_VMCS;
	if (missing_for_vmcs())
		fred_lower_method(missing_for_vmcs());
	else
		log_info("FRED: by %s", method_names[machine.fred_method]);
}

void fred_lower_method(const char *why)
{
	machine.fred_method--;
	log_info("FRED: not by %s: %s; %s", method_names[machine.fred_method + 1], why,
		 method_names[machine.fred_method]);
}

static enum fred_backend choose(enum fred_mode wish)
{
	const bool native = machine.fred_method != FRED_METHOD_NONE;

	switch (wish) {
	case FRED_OFF:
		return FRED_BACKEND_NONE;
	case FRED_SOFT:
		return FRED_BACKEND_SOFT;
	case FRED_NATIVE:
		if (!native)
			panic("no-fred", "fred = native: not possible on this machine, see above; "
					 "fred = auto or soft gives the guest FRED by software");
		return FRED_BACKEND_NATIVE;
	default:
		return native ? FRED_BACKEND_NATIVE : FRED_BACKEND_SOFT;
	}
}

/* As it says itself: not all that are have the MSR. */
static bool is_immune_to_meltdown(void)
{
	return (cpuid(7, 0).edx & CPUID_7_EDX_ARCH_CAPABILITIES) &&
	       (rdmsr(MSR_IA32_ARCH_CAPABILITIES) & ARCH_CAPABILITIES_RDCL_NO);
}

void fred_choose(struct vm *vm)
{
	const uint32_t features = cpuid(7, 0).eax >= 1 ? cpuid(7, 1).eax : 0;

	vm->fred = choose(vm->config->fred);
	if (vm->fred == FRED_BACKEND_SOFT && vm->devices == VM_DEVICES_PASSTHROUGH &&
	    !is_immune_to_meltdown())
		log_info("FRED: the guest is told that this processor is immune to Meltdown, which "
			 "it may not be, else Linux uses no FRED; fred = off to isolate page "
			 "tables");
	/* FRED comes with LKGS, also while it is off. */
	if (vm->fred == FRED_BACKEND_SOFT && !(features & CPUID_7_1_EAX_LKGS))
		vm->required_exceptions |= 1U << VECTOR_UD;
}

static void use_fields(void)
{
	vmcs_set_bits(VMCS_ENTRY_CONTROLS, ENTRY_LOAD_FRED);
	vmcs_set_bits(VMCS_EXIT_CONTROLS, EXIT_SECONDARY);
	vmcs_write(VMCS_SECONDARY_EXIT_CONTROLS, EXIT2_SAVE_FRED | EXIT2_LOAD_FRED);
	for (size_t i = 0; i < SWITCHED; i++) {
		vmcs_write(switched[i].guest, 0);
		vmcs_write(switched[i].host, rdmsr(switched[i].msr));
	}
}

/* The guest's values are stored where they are loaded from: one area is both. */
static void use_areas(struct vcpu *vcpu)
{
	struct vmx_msr_entry *const guest = vcpu->fred_area ? vcpu->fred_area : page_alloc();
	struct vmx_msr_entry *const host = guest + SWITCHED;

	for (size_t i = 0; i < SWITCHED; i++) {
		guest[i] = (struct vmx_msr_entry){ .index = switched[i].msr };
		host[i] = (struct vmx_msr_entry){ .index = switched[i].msr,
						  .value = rdmsr(switched[i].msr) };
	}
	vcpu->fred_area = guest;
	vmcs_write(VMCS_ENTRY_MSR_LOAD_ADDRESS, virt_to_phys(guest));
	vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, SWITCHED);
	vmcs_write(VMCS_EXIT_MSR_STORE_ADDRESS, virt_to_phys(guest));
	vmcs_write(VMCS_EXIT_MSR_STORE_COUNT, SWITCHED);
	vmcs_write(VMCS_EXIT_MSR_LOAD_ADDRESS, virt_to_phys(host));
	vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, SWITCHED);
}

void fred_vmcs_init(struct vcpu *vcpu)
{
	if (vcpu->vm->fred != FRED_BACKEND_NATIVE)
		return;
	if (machine.fred_method == FRED_METHOD_VMCS)
		use_fields();
	else
		use_areas(vcpu);
}

/* A guest without FRED has none of them, nor may the processor have the fields. */
static uint64_t read_switched(const struct vcpu *vcpu, size_t i)
{
	if (vcpu->vm->fred != FRED_BACKEND_NATIVE)
		return 0;
	return vcpu->fred_area ? vcpu->fred_area[i].value : vmcs_read(switched[i].guest);
}

static void write_switched(const struct vcpu *vcpu, size_t i, uint64_t value)
{
	if (vcpu->fred_area)
		vcpu->fred_area[i].value = value;
	else if (vcpu->vm->fred == FRED_BACKEND_NATIVE)
		vmcs_write(switched[i].guest, value);
}

uint64_t *fred_state_of(struct fred_state *state, uint32_t msr)
{
	switch (msr) {
	case MSR_IA32_FRED_CONFIG:
		return &state->config;
	case MSR_IA32_FRED_STKLVLS:
		return &state->stklvls;
	case MSR_IA32_FRED_SSP1:
	case MSR_IA32_FRED_SSP2:
	case MSR_IA32_FRED_SSP3:
		return &state->ssp[1 + msr - MSR_IA32_FRED_SSP1];
	case MSR_IA32_FRED_RSP0:
	case MSR_IA32_FRED_RSP1:
	case MSR_IA32_FRED_RSP2:
	case MSR_IA32_FRED_RSP3:
		return &state->rsp[msr - MSR_IA32_FRED_RSP0];
	case MSR_IA32_PL0_SSP:
		return &state->ssp[0];
	default:
		return NULL;
	}
}

/* Its RSP0 and PL0_SSP are in this processor's MSRs, and the guest may have changed them. */
static bool is_loaded(const struct vcpu *vcpu)
{
	return cpu_current()->fred_vcpu == vcpu;
}

static void unload(struct vcpu *vcpu)
{
	if (vcpu->vm->fred == FRED_BACKEND_NATIVE)
		vcpu->fred_rsp0 = rdmsr(MSR_IA32_FRED_RSP0);
	if (vcpu->vm->shadow_stacks)
		vcpu->pl0_ssp = rdmsr(MSR_IA32_PL0_SSP);
}

void fred_read_state(struct vcpu *vcpu, struct fred_state *state)
{
	if (vcpu->vm->fred == FRED_BACKEND_SOFT) {
		*state = vcpu->soft.state;
		return;
	}
	for (size_t i = 0; i < SWITCHED; i++)
		*fred_state_of(state, switched[i].msr) = read_switched(vcpu, i);
	if (is_loaded(vcpu))
		unload(vcpu);
	state->rsp[0] = vcpu->fred_rsp0;
	state->ssp[0] = vcpu->pl0_ssp;
}

bool fred_write_state(struct vcpu *vcpu, const struct fred_state *state)
{
	struct fred_state copy = *state;
	const unsigned int bits = machine.linear_bits;

	for (size_t i = 0; i < SWITCHED; i++)
		if (!fred_msr_accepts(switched[i].msr, *fred_state_of(&copy, switched[i].msr),
				      bits))
			return false;
	if (!fred_msr_accepts(MSR_IA32_FRED_RSP0, state->rsp[0], bits) ||
	    !fred_msr_accepts(MSR_IA32_PL0_SSP, state->ssp[0], bits))
		return false;
	if (vcpu->vm->fred == FRED_BACKEND_SOFT) {
		vcpu->soft.state = *state;
		return true;
	}
	for (size_t i = 0; i < SWITCHED; i++)
		write_switched(vcpu, i, *fred_state_of(&copy, switched[i].msr));
	vcpu->fred_rsp0 = state->rsp[0];
	vcpu->pl0_ssp = state->ssp[0];
	if (is_loaded(vcpu))
		fred_forget(vcpu);
	return true;
}

void fred_load(struct vcpu *vcpu)
{
	struct cpu *const cpu = cpu_current();
	const struct vm *const vm = vcpu->vm;
	struct vcpu *const last = cpu->fred_vcpu;

	if (last == vcpu || (vm->fred != FRED_BACKEND_NATIVE && !vm->shadow_stacks))
		return;
	if (last)
		unload(last);
	if (vm->fred == FRED_BACKEND_NATIVE &&
	    (!last || last->vm->fred != FRED_BACKEND_NATIVE || last->fred_rsp0 != vcpu->fred_rsp0))
		wrmsr(MSR_IA32_FRED_RSP0, vcpu->fred_rsp0);
	/* Without shadow stacks PL0_SSP has no effect, and the guest's is virtual: see
	 * vcpu/msr_policy.c. */
	if (vm->shadow_stacks &&
	    (!last || !last->vm->shadow_stacks || last->pl0_ssp != vcpu->pl0_ssp))
		wrmsr(MSR_IA32_PL0_SSP, vcpu->pl0_ssp);
	cpu->fred_vcpu = vcpu;
}

void fred_forget(const struct vcpu *vcpu)
{
	if (is_loaded(vcpu))
		cpu_current()->fred_vcpu = NULL;
}

void fred_log_use(struct vcpu *vcpu)
{
	const bool soft = vcpu->vm->fred == FRED_BACKEND_SOFT;
	struct fred_state state;
	unsigned int on;

	if (vcpu->vm->fred == FRED_BACKEND_NONE)
		return;
	fred_read_state(vcpu, &state);
	on = soft ? vcpu->soft.on : vmcs_read(VMCS_GUEST_CR4) / CR4_FRED & 1;
	log_info("fred: %s%s, guest CR4.FRED=%u, IA32_FRED_CONFIG=%llx, STKLVLS=%llx",
		 soft ? "software" : "native by ", soft ? "" : method_names[machine.fred_method],
		 on, (unsigned long long)state.config, (unsigned long long)state.stklvls);
}
