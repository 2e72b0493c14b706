// SPDX-License-Identifier: BSD-2-Clause
/*
 * Carries out stores to a watched xAPIC page: INIT and SIPI are run/startup.c's, all else goes to
 * the APIC. Where a store goes is computed from its operand. Keeps no state.
 */
#include "vmm/run/apic_store.h"

#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "vmm/exits/table.h"
#include "vmm/host/apic.h"
#include "vmm/host/x86.h"
#include "vmm/run/startup.h"
#include "vmm/run/store_decode.h"
#include "vmm/vcpu/guest_walk.h"
#include "vmm/vcpu/rip.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

#define STORE_BYTES	   4U
#define REGISTER_ALIGNMENT 16U

static enum code_size code_size(void)
{
	const uint64_t rights = vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS);

	if ((rights & ACCESS_RIGHTS_L) && (vmcs_read(VMCS_GUEST_EFER) & EFER_LMA))
		return CODE_64;
	return rights & ACCESS_RIGHTS_DB ? CODE_32 : CODE_16;
}

static uint64_t cut(uint64_t address, enum code_size size)
{
	switch (size) {
	case CODE_16:
		return (uint16_t)address;
	case CODE_32:
		return (uint32_t)address;
	case CODE_64:
		break;
	}
	return address;
}

/* SDM 1, 3.7.5 and 3.7.5.1: in 64-bit code only FS and GS have a base. */
static uint64_t linear_address(const struct vcpu *vcpu, const struct store *store,
			       enum code_size code)
{
	const struct store_address *const a = &store->address;
	uint64_t address = a->displacement;

	if (a->base == REGISTER_RIP)
		address += vmcs_read(VMCS_GUEST_RIP) + store->length;
	else if (a->base != REGISTER_NONE)
		address += vcpu_gpr(vcpu, a->base);
	if (a->index != REGISTER_NONE)
		address += vcpu_gpr(vcpu, a->index) << a->scale;
	address = cut(address, a->size);
	if (code != CODE_64 || a->segment == SEG_FS || a->segment == SEG_GS)
		address += vmcs_read(VMCS_SEGMENT(VMCS_GUEST_ES_BASE, a->segment));
	return code == CODE_64 ? address : (uint32_t)address;
}

/* What the store writes. False, and the guest ends, when the VMM does not know the instruction. */
static bool fetch_store(struct vcpu *vcpu, enum code_size code, struct store *store)
{
	uint8_t bytes[INSTRUCTION_MAX];
	const size_t size = guest_read_code(vcpu->vm, bytes);

	if (store_decode(bytes, size, code, store))
		return true;
	guest_failed(vcpu, "apic-store",
		     "the guest writes its local APIC by an instruction that is not decoded, at "
		     "RIP 0x%llx: MOV and XCHG of 32 bits are",
		     (unsigned long long)vmcs_read(VMCS_GUEST_RIP));
	return false;
}

/*
 * The offset in the APIC's page. The violation may have another cause than the operand (the
 * delivery of an event, bits that the processor sets in page tables), and a store that crosses the
 * page's start or end has a half that belongs to other memory: these end the guest, and are false.
 */
static bool find_offset(struct vcpu *vcpu, uint64_t linear, uint64_t apic_page, uint32_t *offset)
{
	uint64_t physical;

	*offset = (uint32_t)(linear & PAGE_MASK);
	if (!(vmcs_read32(VMCS_IDT_VECTORING_INFO) & INTERRUPTION_VALID) &&
	    *offset <= PAGE_SIZE - STORE_BYTES && guest_translate(vcpu->vm, linear, &physical) &&
	    (physical & ~PAGE_MASK) == apic_page)
		return true;
	guest_failed(vcpu, "apic-store",
		     "the guest writes its local APIC otherwise than by the memory operand of one "
		     "instruction within the page, at RIP 0x%llx, linear address 0x%llx",
		     (unsigned long long)vmcs_read(VMCS_GUEST_RIP), (unsigned long long)linear);
	return false;
}

bool apic_store(struct vcpu *vcpu, uint64_t guest_physical)
{
	const uint64_t base = rdmsr(MSR_IA32_APIC_BASE);
	const uint64_t apic_page = base & APIC_BASE_ADDRESS_MASK;
	const enum code_size code = code_size();
	uint32_t offset, value, old = 0;
	struct store store;

	if (vcpu->vm->devices != VM_DEVICES_PASSTHROUGH ||
	    (guest_physical & ~PAGE_MASK) != apic_page)
		return false;
	if (!fetch_store(vcpu, code, &store) ||
	    !find_offset(vcpu, linear_address(vcpu, &store, code), apic_page, &offset))
		return true;
	value = store.source == REGISTER_NONE ? store.immediate
					      : (uint32_t)vcpu_gpr(vcpu, store.source);
	/*
	 * An x2APIC has nothing in this page. Software must not touch bytes 4 to 15 of a register
	 * (SDM 3A, 11.4.1): an APIC may take such a store for one to the register, INIT and SIPI
	 * among them. Both are dropped.
	 */
	if (!(base & APIC_BASE_X2APIC) && offset % REGISTER_ALIGNMENT == 0) {
		if (store.exchange)
			old = apic_register(offset);
		if (offset != APIC_ICR_LOW ||
		    !sipi_command(vcpu, (uint64_t)apic_register(APIC_ICR_HIGH) << 32 | value))
			apic_set_register(offset, value);
	}
	if (store.exchange)
		vcpu_set_gpr(vcpu, store.source, old);
	skip_bytes(store.length);
	return true;
}
