// SPDX-License-Identifier: BSD-2-Clause
/* Carries out the end of a guest that a handler has asked for (vcpu/end_request.h). */
#include "vmm/guest_end.h"

#include "vmm/base/log.h"
#include "vmm/end.h"
#include "vmm/fred/vmcs_dump.h"
#include "vmm/run/vm_list.h"
#include "vmm/vcpu/trace.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm.h"

/* The VMCS is as the exit has left it. */
static void report(const struct vcpu *vcpu)
{
	if (vm_is_last(vcpu->vm))
		machine_end_begin();
	else if (vcpu->vm->devices == VM_DEVICES_PASSTHROUGH)
		log_take_back_serial();
	log_error("guest %s: %s", vcpu->vm->name, vcpu->end.text);
	vcpu_print_registers(vcpu);
	vmcs_dump();
	trace_print(&vcpu->trace);
}

void guest_end_carry_out(struct vcpu *vcpu)
{
	const struct end_request *const end = &vcpu->end;

	if (end->of_machine)
		machine_end_as_guest_wished(end->wish, end->reason);
	if (end->text[0] != '\0')
		report(vcpu);
	vm_end(vcpu->vm, end->status, end->reason);
}
