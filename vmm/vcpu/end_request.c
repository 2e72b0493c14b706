// SPDX-License-Identifier: BSD-2-Clause
/* Owns vcpu->end: that this vcpu's guest has to end, and why. */
#include "vmm/vcpu/end_request.h"

#include <stdarg.h>

#include "lib/format.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

/*
 * VCPU_ENDS keeps the vcpu from its guest: run/startup.c looks at each state but VCPU_RUNS. An INIT
 * or SIPI of another vcpu may take its place, and then leads to the same look.
 */
static struct end_request *request(struct vcpu *vcpu)
{
	if (vcpu->end.requested)
		return NULL;
	vcpu->end.requested = true;
	vcpu->state = VCPU_ENDS;
	vcpu_set_work(vcpu, WORK_LOOK);
	return &vcpu->end;
}

void guest_failed(struct vcpu *vcpu, const char *reason, const char *format, ...)
{
	struct end_request *const end = request(vcpu);
	va_list arguments;

	if (!end)
		return;
	end->status = END_FAILED;
	end->reason = reason;
	va_start(arguments, format);
	format_string_v(end->text, sizeof(end->text), format, arguments);
	va_end(arguments);
}

void guest_triple_fault(struct vcpu *vcpu)
{
	guest_failed(
		vcpu, "triple-fault",
		"triple fault: an exception could not be delivered, nor the double fault after it; "
		"see the guest's IDT and stack at RIP 0x%llx",
		(unsigned long long)vmcs_read(VMCS_GUEST_RIP));
}

void guest_ends(struct vcpu *vcpu, enum end_status status, const char *reason)
{
	struct end_request *const end = request(vcpu);

	if (!end)
		return;
	end->status = status;
	end->reason = reason;
}

void guest_ends_machine(struct vcpu *vcpu, enum end_wish wish, const char *reason)
{
	struct end_request *const end = request(vcpu);

	if (!end)
		return;
	end->of_machine = true;
	end->wish = wish;
	end->reason = reason;
}
