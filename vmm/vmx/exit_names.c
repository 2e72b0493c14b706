// SPDX-License-Identifier: BSD-2-Clause
/* What exit reasons are called in logs. */
#include "vmm/vmx/exit_names.h"

#include "lib/x86/vmx.h"

static const char *const exit_names[EXIT_REASON_COUNT] = {
	[EXIT_REASON_EXCEPTION_NMI] = "exception or NMI",
	[EXIT_REASON_EXTERNAL_INTERRUPT] = "external interrupt",
	[EXIT_REASON_TRIPLE_FAULT] = "triple fault",
	[EXIT_REASON_INIT] = "INIT",
	[EXIT_REASON_INTERRUPT_WINDOW] = "interrupt window",
	[EXIT_REASON_NMI_WINDOW] = "NMI window",
	[EXIT_REASON_TASK_SWITCH] = "task switch",
	[EXIT_REASON_CPUID] = "CPUID",
	[EXIT_REASON_GETSEC] = "GETSEC",
	[EXIT_REASON_HLT] = "HLT",
	[EXIT_REASON_INVD] = "INVD",
	[EXIT_REASON_RDPMC] = "RDPMC",
	[EXIT_REASON_VMCALL] = "VMCALL",
	[EXIT_REASON_VMCLEAR] = "VMCLEAR",
	[EXIT_REASON_VMLAUNCH] = "VMLAUNCH",
	[EXIT_REASON_VMPTRLD] = "VMPTRLD",
	[EXIT_REASON_VMPTRST] = "VMPTRST",
	[EXIT_REASON_VMREAD] = "VMREAD",
	[EXIT_REASON_VMRESUME] = "VMRESUME",
	[EXIT_REASON_VMWRITE] = "VMWRITE",
	[EXIT_REASON_VMXOFF] = "VMXOFF",
	[EXIT_REASON_VMXON] = "VMXON",
	[EXIT_REASON_CR_ACCESS] = "control register access",
	[EXIT_REASON_IO] = "I/O",
	[EXIT_REASON_RDMSR] = "RDMSR",
	[EXIT_REASON_WRMSR] = "WRMSR",
	[EXIT_REASON_ENTRY_GUEST_STATE] = "invalid guest state",
	[EXIT_REASON_ENTRY_MSR_LOAD] = "MSR loading",
	[EXIT_REASON_MWAIT] = "MWAIT",
	[EXIT_REASON_MONITOR_TRAP] = "monitor trap flag",
	[EXIT_REASON_MONITOR] = "MONITOR",
	[EXIT_REASON_ENTRY_MACHINE_CHECK] = "machine check during entry",
	[EXIT_REASON_EPT_VIOLATION] = "EPT violation",
	[EXIT_REASON_EPT_MISCONFIG] = "EPT misconfiguration",
	[EXIT_REASON_GDTR_IDTR] = "GDTR or IDTR",
	[EXIT_REASON_LDTR_TR] = "LDTR or TR",
	[EXIT_REASON_INVEPT] = "INVEPT",
	[EXIT_REASON_PREEMPTION_TIMER] = "preemption timer",
	[EXIT_REASON_INVVPID] = "INVVPID",
	[EXIT_REASON_XSETBV] = "XSETBV",
	[EXIT_REASON_VMFUNC] = "VMFUNC",
	[EXIT_REASON_ENCLS] = "ENCLS",
	[EXIT_REASON_ENCLV] = "ENCLV",
	[EXIT_REASON_SEAMCALL] = "SEAMCALL",
	[EXIT_REASON_TDCALL] = "TDCALL",
	[EXIT_REASON_RDMSR_IMMEDIATE] = "RDMSR immediate",
	[EXIT_REASON_WRMSRNS_IMMEDIATE] = "WRMSRNS immediate",
};

const char *exit_reason_name(uint32_t reason)
{
	const uint32_t basic = EXIT_REASON_BASIC(reason);

	return basic < EXIT_REASON_COUNT && exit_names[basic] ? exit_names[basic]
							      : "unknown reason";
}
