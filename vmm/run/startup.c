// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns vcpu->state and vcpu->startup: who waits for SIPI, and what was sent to whom. Also which
 * accesses to the local APICs exit.
 */
#include "vmm/run/startup.h"

#include "lib/layout.h"
#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "vmm/host/apic.h"
#include "vmm/host/cpu.h"
#include "vmm/end.h"
#include "vmm/run/create.h"
#include "vmm/vmx/ept.h"
#include "vmm/base/log.h"
#include "vmm/vcpu/msr_policy.h"
#include "vmm/host/smp.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm.h"
#include "vmm/vmx/vmcs.h"
#include "vmm/host/x86.h"

/* Interrupt command register (SDM 3A, 11.6.1) */
#define ICR_MODE(icr)	   ((icr) >> 8 & 7)
#define ICR_MODE_INIT	   5U
#define ICR_MODE_SIPI	   6U
#define ICR_LOGICAL	   (1ULL << 11)
#define ICR_ASSERT	   (1ULL << 14)
#define ICR_LEVEL	   (1ULL << 15)
#define ICR_SHORTHAND(icr) ((icr) >> 18 & 3)
#define SHORTHAND_ALL	   2U
#define ICR_ID_XAPIC(icr)  ((uint32_t)((icr) >> 56))
#define ICR_ID_X2APIC(icr) ((uint32_t)((icr) >> 32))
#define BROADCAST_XAPIC	   0xffU
#define BROADCAST_X2APIC   0xffffffffU

#define REAL_MODE_LIMIT	    0xffffU
#define SIPI_PAGE_SHIFT	    12
#define SIPI_SELECTOR_SHIFT 8
#define PAGE_OF_VECTOR(v)   ((uint64_t)(v) << SIPI_PAGE_SHIFT)

static void (*end_guest)(struct vcpu *vcpu); /* does not return */

void startup_set_guest_end(void (*carry_out_end)(struct vcpu *vcpu))
{
	end_guest = carry_out_end;
}

static bool in_x2apic_mode(void)
{
	return rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_X2APIC;
}

static bool is_waiting(const struct vcpu *vcpu)
{
	return vcpu->state != VCPU_RUNS;
}

/* An NMI that has come ends HLT, but the vcpu's own processor has not carried it out yet. */
static bool is_woken_by_nmi(const struct vcpu *vcpu)
{
	return vcpu->state == VCPU_HALTED && vcpu_nmi_ends_halt(vcpu);
}

/*
 * Let stores to the APICs exit exactly as long as there is a vcpu to start. The other processors
 * leave their guests, so that none goes on with what it knew before. With vm->lock.
 */
static void watch_apics(struct vm *vm)
{
	const uint64_t page = rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDRESS_MASK;
	bool wanted = false;

	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		wanted |= is_waiting(vm->vcpus[i]);
	if (wanted == vm->apics_watched || vm->devices != VM_DEVICES_PASSTHROUGH)
		return;
	vm->apics_watched = wanted;
	/* Before our own take its place: see catch_up_on_sipi(). */
	if (wanted)
		cpu_current()->command = apic_command();
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		msr_set_write_exits(vm->vcpus[i], MSR_IA32_X2APIC_ICR, wanted);
	ept_set_writable(vm, page, !wanted);
	smp_request(cpu_current(), REQUEST_INVEPT);
	/* One that still finds the page read-only has a violation, and then it knows. */
	if (wanted)
		smp_request_others((enum cpu_request)(REQUEST_INVEPT | REQUEST_COMMAND));
}

void sipi_init(struct vm *vm)
{
	spin_lock(&vm->lock);
	for (uint32_t i = 1; i < vm->vcpu_count; i++) {
		vm->vcpus[i]->state = VCPU_WAITS_FOR_SIPI;
		/* A first SIPI finds what INIT leaves, and not what the firmware has left. */
		vm->vcpus[i]->startup.init = vm->devices == VM_DEVICES_PASSTHROUGH;
	}
	watch_apics(vm);
	spin_unlock(&vm->lock);
}

static void set_real_mode_segments(uint8_t vector)
{
	for (enum segment s = SEG_ES; s <= SEG_GS; s++)
		vcpu_set_segment(s, 0, REAL_MODE_LIMIT, ACCESS_RIGHTS_DATA16);
	vcpu_set_segment(SEG_CS, (uint16_t)(vector << SIPI_SELECTOR_SHIFT), REAL_MODE_LIMIT,
			 ACCESS_RIGHTS_CODE16);
	vmcs_write(VMCS_GUEST_CS_BASE, PAGE_OF_VECTOR(vector));
	vcpu_set_segment(SEG_LDTR, 0, REAL_MODE_LIMIT, ACCESS_RIGHTS_LDT);
	vcpu_set_segment(SEG_TR, 0, REAL_MODE_LIMIT, ACCESS_RIGHTS_TSS_BUSY);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, REAL_MODE_LIMIT);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, REAL_MODE_LIMIT);
}

static void start(struct vcpu *vcpu, const struct startup *how)
{
	struct mode64 mode = vcpu->vm->start.mode64;

	log_debug("guest %s: vcpu %u starts at 0x%llx", vcpu->vm->name, vcpu->index,
		  (unsigned long long)(how->in_mode64 ? how->rip : PAGE_OF_VECTOR(how->vector)));
	if (how->in_mode64) {
		mode.rip = how->rip;
		mode.rsp = how->rsp;
		vcpu_set_mode64(vcpu, &mode);
		vcpu->regs.rdi = how->rdi;
	} else {
		set_real_mode_segments(how->vector);
		vmcs_write(VMCS_GUEST_RIP, 0);
	}
}

static __attribute__((noinline)) bool carry_out(struct vcpu *vcpu)
{
	struct vm *const vm = vcpu->vm;
	struct startup *const s = &vcpu->startup;
	struct startup how;
	bool runs;

	if (vcpu->end.requested)
		end_guest(vcpu);
	spin_lock(&vm->lock);
	how = *s;
	s->init = s->sipi = false;
	spin_unlock(&vm->lock);
	if (how.init) {
		vcpu_reset(vcpu);
		apic_reset();
	}
	if (how.sipi)
		start(vcpu, &how);
	spin_lock(&vm->lock);
	if (is_woken_by_nmi(vcpu)) {
		vcpu->state = VCPU_RUNS;
		watch_apics(vm);
	}
	runs = vcpu->state == VCPU_RUNS && !s->init;
	spin_unlock(&vm->lock);
	return runs;
}

bool sipi_carry_out(struct vcpu *vcpu)
{
	const struct startup *const s = &vcpu->startup;

	if (__builtin_expect(!s->init && !s->sipi && vcpu->state == VCPU_RUNS, 1))
		return true;
	return carry_out(vcpu);
}

/* With vm->lock. */
static bool all_wait(const struct vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		if (!is_waiting(vm->vcpus[i]) || is_woken_by_nmi(vm->vcpus[i]))
			return false;
	return true;
}

void sipi_halted(struct vcpu *vcpu)
{
	struct vm *const vm = vcpu->vm;
	bool last;

	spin_lock(&vm->lock);
	if (!vcpu->startup.init)
		vcpu->state = VCPU_HALTED;
	watch_apics(vm);
	last = all_wait(vm);
	spin_unlock(&vm->lock);
	/* That of a guest with the devices is a way to turn the machine off. */
	if (last && vm->devices == VM_DEVICES_NONE)
		guest_ends(vcpu, END_OK, "guest-halted");
	else if (last)
		guest_ends_machine(vcpu, END_WISH_POWEROFF, "guest-halted");
	vcpu_set_work(vcpu, WORK_LOOK);
}

/* INIT of the first processor is how firmware or a keyboard controller reboots a PC. */
static void init(struct vcpu *vcpu)
{
	if (vcpu->index == 0) {
		guest_ends_machine(cpu_current()->vcpu, END_WISH_REBOOT, "guest-init");
		return;
	}
	vcpu->startup.init = true;
	vcpu->startup.sipi = false;
	vcpu->state = VCPU_WAITS_FOR_SIPI;
	watch_apics(vcpu->vm);
	smp_request(vcpu->cpu, REQUEST_LOOK);
}

/* A processor that does not wait for SIPI does not notice it (SDM 3C, 26.5): false. */
static bool sipi(struct vcpu *vcpu, struct startup how)
{
	if (vcpu->state != VCPU_WAITS_FOR_SIPI)
		return false;
	how.init = vcpu->startup.init;
	how.sipi = true;
	vcpu->startup = how;
	vcpu->state = VCPU_RUNS;
	watch_apics(vcpu->vm);
	smp_request(vcpu->cpu, REQUEST_LOOK);
	return true;
}

bool sipi_start(struct vcpu *vcpu, uint64_t rip, uint64_t rsp, uint64_t rdi)
{
	const struct startup how = { .in_mode64 = true, .rip = rip, .rsp = rsp, .rdi = rdi };
	bool started;

	spin_lock(&vcpu->vm->lock);
	started = sipi(vcpu, how);
	spin_unlock(&vcpu->vm->lock);
	return started;
}

/*
 * INIT has cleared the logical ID of an xAPIC that waits: a logical destination reaches none of
 * these. That of an x2APIC follows from its ID (SDM 3A, 11.12.10.2).
 */
static bool is_destination(const struct vcpu *vcpu, const struct vcpu *sender, uint64_t icr)
{
	const bool x2apic = in_x2apic_mode();
	const uint32_t id = vcpu->cpu->apic_id;
	const uint32_t destination = x2apic ? ICR_ID_X2APIC(icr) : ICR_ID_XAPIC(icr);

	if (ICR_SHORTHAND(icr) != 0)
		return vcpu == sender ? ICR_SHORTHAND(icr) <= SHORTHAND_ALL
				      : ICR_SHORTHAND(icr) >= SHORTHAND_ALL;
	if (destination == (x2apic ? BROADCAST_X2APIC : BROADCAST_XAPIC))
		return true;
	if (icr & ICR_LOGICAL)
		return x2apic && destination >> 16 == id >> 4 && (destination >> (id & 0xf) & 1);
	return destination == id;
}

bool sipi_command(struct vcpu *vcpu, uint64_t icr)
{
	struct vm *const vm = vcpu->vm;
	const bool is_init = ICR_MODE(icr) == ICR_MODE_INIT;

	if (!is_init && ICR_MODE(icr) != ICR_MODE_SIPI)
		return false;
	/* The other half of INIT, which processors of today ignore. */
	if (is_init && (icr & ICR_LEVEL) && !(icr & ICR_ASSERT))
		return true;
	spin_lock(&vm->lock);
	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		if (!is_destination(vm->vcpus[i], vcpu, icr))
			continue;
		if (is_init)
			init(vm->vcpus[i]);
		else
			sipi(vm->vcpus[i], (struct startup){ .vector = (uint8_t)icr });
	}
	spin_unlock(&vm->lock);
	return true;
}

/*
 * INIT has come by the machine, since nobody waited and the APICs were not watched. A SIPI directly
 * behind it went the same way before the watch began, and was lost: it is what one of the guest's
 * APICs had sent last then. One that had sent this INIT last is yet to send SIPI. With vm->lock.
 */
static void catch_up_on_sipi(struct vcpu *vcpu)
{
	const struct vm *const vm = vcpu->vm;
	struct startup how = { .sipi = false };

	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		const uint64_t icr = vm->vcpus[i]->cpu->command;

		if (!is_destination(vcpu, vm->vcpus[i], icr))
			continue;
		if (ICR_MODE(icr) == ICR_MODE_INIT)
			return;
		if (ICR_MODE(icr) == ICR_MODE_SIPI)
			how = (struct startup){ .sipi = true, .vector = (uint8_t)icr };
	}
	if (how.sipi)
		sipi(vcpu, how);
}

void handle_init(struct vcpu *vcpu)
{
	struct vcpu *const owner = vcpu->cpu->passthrough;

	/* Of a guest that does not have this processor. */
	if (!owner)
		return;
	spin_lock(&owner->vm->lock);
	init(owner);
	catch_up_on_sipi(owner);
	spin_unlock(&owner->vm->lock);
}
