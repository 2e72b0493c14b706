// SPDX-License-Identifier: BSD-2-Clause
/*
 * Judges a VMCS by the rules of the files rules_*.c, in the order in which a processor applies
 * them; and reads the current VMCS and this processor for that.
 */
#include "vmm/vmx/rules.h"

#include "vmm/base/memory.h"
#include "vmm/host/capabilities.h"
#include "vmm/host/x86.h"
#include "vmm/vmx/rule.h"
#include "vmm/vmx/vmcs.h"

/* IA32_SPEC_CTRL: IBRS, STIBP, SSBD, and what CPUID leaf 7, subleaf 2 has, in its order. */
#define SPEC_CTRL_BASE	    7ULL
#define SPEC_CTRL_PSFD	    (1ULL << 7)
#define SPEC_CTRL_IPRED	    (3ULL << 3)
#define SPEC_CTRL_RRSBA	    (3ULL << 5)
#define SPEC_CTRL_DDPD_U    (1ULL << 8)
#define SPEC_CTRL_BHI_DIS_S (1ULL << 10)
#define CPUID_7_2_PSFD	    (1U << 0)
#define CPUID_7_2_IPRED	    (1U << 1)
#define CPUID_7_2_RRSBA	    (1U << 2)
#define CPUID_7_2_DDPD_U    (1U << 3)
#define CPUID_7_2_BHI	    (1U << 4)
#define CPUID_PERFORMANCE   0xaU
#define PERF_FIXED_SHIFT    32
#define PERF_METRICS	    (1ULL << 48)

/* ---- Judging ---- */

static struct judged look_at(const struct vmcs_reader *reader)
{
	struct judged v = { .reader = reader, .processor = reader->processor };

	v.controls[CONTROL_PIN] = field(&v, VMCS_PIN_BASED_CONTROLS);
	v.controls[CONTROL_PROC] = field(&v, VMCS_PROC_BASED_CONTROLS);
	v.controls[CONTROL_EXIT] = field(&v, VMCS_EXIT_CONTROLS);
	v.controls[CONTROL_ENTRY] = field(&v, VMCS_ENTRY_CONTROLS);
	if (has(&v, CONTROL_PROC, PROC_SECONDARY))
		v.controls[CONTROL_PROC2] = field(&v, VMCS_SECONDARY_PROC_CONTROLS);
	if (has(&v, CONTROL_PROC, PROC_TERTIARY))
		v.controls[CONTROL_PROC3] = field(&v, VMCS_TERTIARY_PROC_CONTROLS);
	if (has(&v, CONTROL_EXIT, EXIT_SECONDARY))
		v.controls[CONTROL_EXIT2] = field(&v, VMCS_SECONDARY_EXIT_CONTROLS);
	return v;
}

static const struct {
	const char *(*rules)(const struct judged *v);
	enum vmcs_refusal refusal;
	uint64_t qualification;
} parts[] = {
	{ rules_of_controls, VMCS_BAD_CONTROLS, 0 },
	{ rules_of_event, VMCS_BAD_CONTROLS, 0 },
	{ rules_of_host, VMCS_BAD_HOST, 0 },
	{ rules_of_guest_registers, VMCS_BAD_GUEST, 0 },
	{ rules_of_guest_msrs, VMCS_BAD_GUEST, 0 },
	{ rules_of_guest_segments, VMCS_BAD_GUEST, 0 },
	{ rules_of_guest_activity, VMCS_BAD_GUEST, 0 },
	{ rules_of_guest_blocking, VMCS_BAD_GUEST, 0 },
	{ rules_of_guest_fred, VMCS_BAD_GUEST, 0 },
	{ rules_of_nmi_behind_sti, VMCS_BAD_GUEST, ENTRY_FAILURE_NMI },
	{ rules_of_debug_exceptions, VMCS_BAD_GUEST, 0 },
	{ rules_of_link_pointer, VMCS_BAD_GUEST, ENTRY_FAILURE_LINK_POINTER },
	{ rules_of_pdptes, VMCS_BAD_GUEST, ENTRY_FAILURE_PDPTE },
};

struct vmcs_verdict vmcs_judge(const struct vmcs_reader *reader)
{
	const struct judged v = look_at(reader);
	uint64_t entry;

	for (size_t i = 0; i < LENGTH_OF(parts); i++) {
		const char *const broken = parts[i].rules(&v);

		if (broken)
			return (struct vmcs_verdict){ .refusal = parts[i].refusal,
						      .qualification = parts[i].qualification,
						      .rule = broken };
	}
	entry = rules_of_msr_area(&v);
	if (entry != 0)
		return (struct vmcs_verdict){ .refusal = VMCS_BAD_MSR_AREA,
					      .qualification = entry,
					      .rule = "the VM-entry MSR-load area has an MSR or "
						      "value that it may not have" };
	return (struct vmcs_verdict){ .refusal = VMCS_ACCEPTED };
}

const char *vmcs_check_event(const struct vmcs_reader *reader)
{
	const struct judged v = look_at(reader);
	const char *const broken = rules_of_event(&v);

	return broken ? broken : rules_of_guest_fred(&v);
}

/* ---- The current VMCS ---- */

static uint64_t current_field(const struct vmcs_reader *reader __attribute__((unused)),
			      enum vmcs_field name)
{
	uint64_t value;

	/* A control that makes a missing field matter is refused before. */
	return vmcs_read_optional(name, &value) ? value : 0;
}

static uint64_t current_msr(const struct vmcs_reader *reader __attribute__((unused)), uint32_t msr)
{
	return rdmsr(msr);
}

/* Not tried: it would change the register. What the VMM puts into the area it has checked. */
static bool current_msr_accepts(const struct vmcs_reader *reader __attribute__((unused)),
				uint32_t msr __attribute__((unused)),
				uint64_t value __attribute__((unused)))
{
	return true;
}

static const void *current_memory(const struct vmcs_reader *reader __attribute__((unused)),
				  uint64_t address, size_t size)
{
	const void *const seen = phys_to_virt(address);

	return memory_is_mapped(seen, size) ? seen : NULL;
}

static uint64_t spec_ctrl_bits(void)
{
	const uint32_t extended = cpuid(7, 0).eax >= 2 ? cpuid(7, 2).edx : 0;

	return SPEC_CTRL_BASE | (extended & CPUID_7_2_PSFD ? SPEC_CTRL_PSFD : 0) |
	       (extended & CPUID_7_2_IPRED ? SPEC_CTRL_IPRED : 0) |
	       (extended & CPUID_7_2_RRSBA ? SPEC_CTRL_RRSBA : 0) |
	       (extended & CPUID_7_2_DDPD_U ? SPEC_CTRL_DDPD_U : 0) |
	       (extended & CPUID_7_2_BHI ? SPEC_CTRL_BHI_DIS_S : 0);
}

static uint64_t perf_global_bits(void)
{
	const struct cpuid_leaf leaf = cpuid(CPUID_PERFORMANCE, 0);
	const unsigned int general = leaf.eax >> 8 & 0xff, fixed = leaf.edx & 0x1f;

	return ((1ULL << general) - 1) | (((1ULL << fixed) - 1) | leaf.ecx) << PERF_FIXED_SHIFT |
	       PERF_METRICS;
}

static void describe_processor(struct vmcs_processor *p)
{
	const struct cpuid_leaf features = cpuid(7, 0), more = cpuid(7, 1);
	const bool nx = cpuid(0x80000001, 0).edx & CPUID_80000001_EDX_NX;

	*p = (struct vmcs_processor){
		.physical_mask = machine.physical_mask,
		.linear_bits = machine.linear_bits,
		.in_ia32e_mode = true,
		.efer = EFER_SCE | EFER_LME | EFER_LMA | (nx ? EFER_NXE : 0),
		.debugctl = ~DEBUGCTL_RESERVED,
		.perf_global_ctrl = perf_global_bits(),
		.spec_ctrl = spec_ctrl_bits(),
		.has_cet = (features.ecx & CPUID_7_ECX_SHSTK) || (features.edx & CPUID_7_EDX_IBT),
		.has_lam = more.eax & CPUID_7_1_EAX_LAM,
		.has_rtm = features.ebx & CPUID_7_EBX_RTM,
		.has_bus_lock_detection = features.ecx & CPUID_7_ECX_BUS_LOCK,
		.has_sgx = features.ebx & CPUID_7_EBX_SGX,
	};
	if (!p->has_bus_lock_detection)
		p->debugctl &= ~DEBUGCTL_BUS_LOCK;
	if (!p->has_rtm)
		p->debugctl &= ~DEBUGCTL_RTM;
}

struct vmcs_reader vmcs_reader_current(struct vmcs_processor *processor)
{
	describe_processor(processor);
	return (struct vmcs_reader){
		.field = current_field,
		.msr = current_msr,
		.msr_accepts = current_msr_accepts,
		.memory = current_memory,
		.processor = processor,
		.vmcs = vmptrst(),
	};
}

const char *vmcs_check(void)
{
	struct vmcs_processor processor;
	const struct vmcs_reader reader = vmcs_reader_current(&processor);

	return vmcs_judge(&reader).rule;
}
