/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Says on COM1 what this machine's processor can do and whether it divides
 * rightly, in one line, and hangs: "probe: vmx=1 vmx-locked-off=0 ept=1
 * unrestricted=1 fred=0 fred-vmcs=0 idiv=1 end". tools/emulator.py reads it.
 */
#include <efi.h>
#include <stdint.h>

#include "lib/format.h"
#include "tools/efi/serial.h"

#define CPUID_1_ECX_VMX		(1U << 5)
#define CPUID_7_1_EAX_FRED	(1U << 17)
#define MSR_FEATURE_CONTROL	0x3a
#define FEATURE_CONTROL_LOCKED	1U
#define FEATURE_CONTROL_VMXON	4U
#define MSR_VMX_PROCBASED_CTLS	0x482
#define MSR_VMX_EXIT_CTLS	0x483
#define MSR_VMX_ENTRY_CTLS	0x484
#define MSR_VMX_PROCBASED_CTL2	0x48b
#define MSR_VMX_EXIT_CTLS2	0x493
#define PROCBASED_SECONDARY	(1U << 31)
#define PROCBASED2_EPT		(1U << 1)
#define PROCBASED2_UNRESTRICTED (1U << 7)
#define ENTRY_LOAD_FRED		(1U << 23)
#define EXIT_SECONDARY		(1U << 31)
#define EXIT2_FRED		3U /* save the guest's, load the host's */

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid result;

	asm volatile("cpuid"
		     : "=a"(result.eax), "=b"(result.ebx), "=c"(result.ecx), "=d"(result.edx)
		     : "a"(leaf), "c"(subleaf));
	return result;
}

static uint64_t rdmsr(uint32_t msr)
{
	uint32_t low;
	uint32_t high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

/* The upper half of a VMX capability MSR: which controls may be 1. */
static uint32_t vmx_allowed(uint32_t msr)
{
	return (uint32_t)(rdmsr(msr) >> 32);
}

/* All controls that make VM entries and exits switch FRED state? */
static int has_fred_controls(void)
{
	return (vmx_allowed(MSR_VMX_ENTRY_CTLS) & ENTRY_LOAD_FRED) &&
	       (vmx_allowed(MSR_VMX_EXIT_CTLS) & EXIT_SECONDARY) &&
	       (rdmsr(MSR_VMX_EXIT_CTLS2) & EXIT2_FRED) == EXIT2_FRED;
}

/* One emulator's binary has a compiler's mistake in IDIV r64: this very division shows it. */
static int idiv_is_right(void)
{
	const int64_t dividend = 0x123456789a;
	const int64_t divisor = 250;
	const int64_t right = 0x12a42f96;
	int64_t quotient = dividend;
	int64_t remainder = 0;

	asm volatile("idivq %2" : "+a"(quotient), "+d"(remainder) : "r"(divisor));
	return quotient == right && remainder == dividend - right * divisor;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
	const int vmx = (cpuid(1, 0).ecx & CPUID_1_ECX_VMX) != 0;
	const int fred = cpuid(0, 0).eax >= 7 && (cpuid(7, 1).eax & CPUID_7_1_EAX_FRED);
	int locked_off = 0;
	uint32_t secondary = 0;
	char line[128];

	(void)image;
	(void)system;
	if (vmx) {
		const uint64_t control = rdmsr(MSR_FEATURE_CONTROL);

		locked_off =
			(control & FEATURE_CONTROL_LOCKED) && !(control & FEATURE_CONTROL_VMXON);
		if (vmx_allowed(MSR_VMX_PROCBASED_CTLS) & PROCBASED_SECONDARY)
			secondary = vmx_allowed(MSR_VMX_PROCBASED_CTL2);
	}
	format_string(line, sizeof(line),
		      "\nprobe: vmx=%d vmx-locked-off=%d ept=%d unrestricted=%d fred=%d "
		      "fred-vmcs=%d idiv=%d end\n",
		      vmx, locked_off, (secondary & PROCBASED2_EPT) != 0,
		      (secondary & PROCBASED2_UNRESTRICTED) != 0, fred,
		      vmx && fred && has_fred_controls(), idiv_is_right());
	write_serial(line);
	for (;;)
		asm volatile("hlt");
}
