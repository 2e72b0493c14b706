// SPDX-License-Identifier: BSD-2-Clause
/* Owns HOST_RIP, and vcpu->launched. */
#include "vmm/run/enter.h"

#include "lib/x86/cpu.h"
#include "vmm/fred/native.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vmcs.h"

static struct guest_entry entry;

void enter_init(const struct guest_entry *of_entry)
{
	entry = *of_entry;
}

static bool is_traced(const struct vcpu *vcpu)
{
	return vcpu->vm->boot->config.log == LOG_TRACE;
}

const uint8_t *exit_entry(const struct vcpu *vcpu, bool watched)
{
	if (is_traced(vcpu))
		return entry.exit_traced;
	return watched ? entry.exit_watched : entry.exit;
}

bool vcpu_watch(const struct vcpu *vcpu, bool watched)
{
	if (is_traced(vcpu))
		return false;
	vmcs_write(VMCS_HOST_RIP, (uint64_t)exit_entry(vcpu, watched));
	return true;
}

void vcpu_run(struct vcpu *vcpu)
{
	fred_load(vcpu);
	if (vcpu->launched)
		entry.resume(vcpu); /* does not return */
	if (vcpu->vm->boot->config.debug == DEBUG_INVALID_GUEST_STATE)
		vmcs_clear_bits(VMCS_GUEST_RFLAGS, RFLAGS_RESERVED);
	vcpu->launched = true;
	entry.launch(vcpu);
	__builtin_unreachable();
}
