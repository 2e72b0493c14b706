// SPDX-License-Identifier: BSD-2-Clause
/* The guest's registers, by number and for a report. */
#include "vmm/vcpu/vcpu.h"

#include "vmm/base/log.h"
#include "vmm/host/x86.h"
#include "vmm/vmx/vmcs.h"

#define GPR_RSP 4U

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

void vcpu_set_segment(enum segment segment, uint16_t selector, uint32_t limit, uint32_t rights)
{
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_SELECTOR, segment), selector);
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_BASE, segment), 0);
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_LIMIT, segment), limit);
	vmcs_write(VMCS_SEGMENT(VMCS_GUEST_ES_ACCESS_RIGHTS, segment), rights);
}
