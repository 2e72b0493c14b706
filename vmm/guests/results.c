// SPDX-License-Identifier: BSD-2-Clause
/* Owns the results of the built-in guest's tests, and what of this machine goes with them. */
#include "vmm/guests/results.h"

#include "lib/format.h"
#include "lib/result_screen.h"
#include "lib/x86/msr.h"
#include "vmm/host/errata.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/screen.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/host/x86.h"

#define CPUID_NAME_FIRST 0x80000002U
#define CPUID_NAME_LAST	 0x80000004U

static const struct vm *judged;
static struct results results; /* of its tests; with its console_lock */

void guest_results_read(const struct vm *vm, const char *text, size_t length)
{
	const struct vm *nobody = NULL;

	if (vm->config->kind != GUEST_SELFTEST)
		return;
	__atomic_compare_exchange_n(&judged, &nobody, vm, false, __ATOMIC_RELAXED,
				    __ATOMIC_RELAXED);
	if (judged == vm)
		results_read(&results, text, length);
}

static void describe_processor(struct result_facts *facts)
{
	struct cpuid_leaf name[CPUID_NAME_LAST - CPUID_NAME_FIRST + 1] = { 0 };
	uint64_t microcode;

	if (cpuid(0x80000000U, 0).eax >= CPUID_NAME_LAST)
		for (uint32_t leaf = CPUID_NAME_FIRST; leaf <= CPUID_NAME_LAST; leaf++)
			name[leaf - CPUID_NAME_FIRST] = cpuid(leaf, 0);
	result_cpu_name(facts->cpu_name, name);
	/* SDM 3A, 10.11.7.1: CPUID puts the revision there. */
	wrmsr_safe(MSR_IA32_BIOS_SIGN_ID, 0);
	facts->cpu_signature = cpuid(1, 0).eax;
	if (rdmsr_safe(MSR_IA32_BIOS_SIGN_ID, &microcode))
		facts->microcode = (uint32_t)(microcode >> 32);
}

static void describe_method(struct result_facts *facts, enum fred_backend backend)
{
	static const struct {
		const char *method, *in_short;
	} native[] = {
		[FRED_METHOD_NONE] = { "", "" }, /* no guest has native FRED then */
		[FRED_METHOD_MSR_AREAS] = { "by the processor (MSR areas)", "native-msr" },
		[FRED_METHOD_VMCS] = { "by the processor (VMCS controls)", "native-vmcs" },
	};

	switch (backend) {
	case FRED_BACKEND_NONE:
		facts->method = facts->in_short = "off";
		break;
	case FRED_BACKEND_NATIVE:
		facts->method = native[machine.fred_method].method;
		facts->in_short = native[machine.fred_method].in_short;
		break;
	case FRED_BACKEND_SOFT:
		facts->method = "by software";
		facts->in_short = "soft";
		break;
	}
}

void guest_results_show(const char *last_line)
{
	struct result_facts facts = { .title = "conformance of a guest", .last_line = last_line };
	char identifier[RESULT_NAME_SIZE];

	if (!results.complete)
		return;
	describe_processor(&facts);
	describe_method(&facts, judged->fred);
	for (int i = 0; i < ERRATUM_COUNT; i++)
		if (erratum_detected((enum erratum)i)) {
			format_string(identifier, sizeof(identifier), "FR-%d", i);
			results_add_deviation(&results, identifier);
		}
	screen_show_results(&results, &facts);
}
