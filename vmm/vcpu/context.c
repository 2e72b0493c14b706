// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the list of registers that a switch from one vcpu to another saves and loads, and the
 * switch. Snapshots use the same list.
 */
#include "vmm/vcpu/context.h"

#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "vmm/host/cpu.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/host/x86.h"

#define DR6_ALL		 0xe00fULL /* BT, BS, BD, B0 to B3 */
#define XSAVE_HEADER_END 576
#define XSAVE_MXCSR	 24 /* loaded from the area whatever its header says (SDM 1, 13.8.1) */
#define MXCSR_RESET	 0x1f80U

/* What neither the VMCS nor fred/native.c has. */
static const uint32_t msrs[] = {
	MSR_IA32_KERNEL_GS_BASE, MSR_IA32_STAR,	       MSR_IA32_LSTAR,	   MSR_IA32_CSTAR,
	MSR_IA32_FMASK,		 MSR_IA32_TSC_AUX,     MSR_IA32_SPEC_CTRL, MSR_IA32_U_CET,
	MSR_IA32_PL1_SSP,	 MSR_IA32_PL1_SSP + 1, MSR_IA32_PL3_SSP,   MSR_IA32_XSS,
	MSR_IA32_XFD_ERR,	 MSR_IA32_XFD,
};
_Static_assert(sizeof(msrs) / sizeof(msrs[0]) == SWITCHED_MSRS, "struct switched");

#define ALL_MSRS ((1U << SWITCHED_MSRS) - 1)

static uint32_t msrs_present;

/* Some emulators read any MSR: CPUID is asked first. */
static bool is_offered(uint32_t msr)
{
	switch (msr) {
	case MSR_IA32_U_CET:
	case MSR_IA32_PL1_SSP:
	case MSR_IA32_PL1_SSP + 1:
	case MSR_IA32_PL3_SSP:
		return machine.has_cet;
	case MSR_IA32_XSS:
		return cpuid(0xd, 1).eax & CPUID_D_1_EAX_XSAVES;
	case MSR_IA32_XFD:
	case MSR_IA32_XFD_ERR:
		return machine.has_xfd;
	default:
		return true;
	}
}

void switch_probe(void)
{
	uint64_t value;

	msrs_present = 0;
	for (size_t i = 0; i < SWITCHED_MSRS; i++)
		if (is_offered(msrs[i]) && rdmsr_safe(msrs[i], &value))
			msrs_present |= 1U << i;
}

bool switch_possible(void)
{
	return machine.xcr0_supported != 0;
}

size_t switch_xsave_size(void)
{
	return cpuid(0xd, 0).ecx;
}

void switch_forgo_shadow_stacks(struct switched *s)
{
	for (size_t i = 0; i < SWITCHED_MSRS; i++)
		if (msrs[i] == MSR_IA32_U_CET || msrs[i] == MSR_IA32_XSS ||
		    (msrs[i] >= MSR_IA32_PL1_SSP && msrs[i] <= MSR_IA32_PL3_SSP))
			s->msrs_present &= ~(1U << i);
}

uint64_t switch_xss(const struct switched *s)
{
	for (size_t i = 0; i < SWITCHED_MSRS; i++)
		if (msrs[i] == MSR_IA32_XSS && (s->msrs_present >> i & 1))
			return s->msrs[i];
	return 0;
}

void switch_reset(struct switched *s, void *xsave)
{
	const uint32_t mxcsr = MXCSR_RESET;

	memset(s, 0, sizeof(*s));
	s->dr6 = DR6_RESET;
	s->xcr0 = XCR0_X87;
	s->msrs_present = msrs_present;
	/* The header of an area of zeros says that each component is in its initial state. */
	if (xsave)
		memcpy((uint8_t *)xsave + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
}

/* While XFD is set, XSAVE leaves out what it disables, and XRSTOR of that faults (SDM 1, 13.14). */
static void write_xfd(uint64_t value, uint64_t now)
{
	if (machine.has_xfd && value != now)
		wrmsr(MSR_IA32_XFD, value);
}

/* All extended state, with what the guest's XCR0 hides at the moment: it does not lose that. */
static void save_extended(struct switched *s, void *xsave_area)
{
	const uint64_t xfd = machine.has_xfd ? rdmsr(MSR_IA32_XFD) : 0;

	s->xcr0 = xgetbv(0);
	if (s->xcr0 != machine.xcr0_supported)
		xsetbv_safe(0, machine.xcr0_supported);
	write_xfd(0, xfd);
	xsave(xsave_area);
	write_xfd(xfd, 0);
	if (s->xcr0 != machine.xcr0_supported)
		xsetbv_safe(0, s->xcr0);
}

/* XFD is 0 afterwards: it comes with the MSRs. */
static const char *load_extended(uint64_t xcr0, const void *xsave_area, uint64_t xcr0_now,
				 uint64_t xfd_now)
{
	write_xfd(0, xfd_now);
	if (xcr0_now != machine.xcr0_supported)
		xsetbv_safe(0, machine.xcr0_supported);
	if (!xrstor_safe(xsave_area))
		return "the XSAVE area is one that XRSTOR refuses";
	if ((xcr0 & ~machine.xcr0_supported) ||
	    (xcr0 != machine.xcr0_supported && !xsetbv_safe(0, xcr0)))
		return "XCR0 has a value that XSETBV refuses";
	return NULL;
}

void switch_save(struct switched *s, void *xsave_area)
{
	s->cr2 = read_cr2();
	s->dr[0] = read_dr0();
	s->dr[1] = read_dr1();
	s->dr[2] = read_dr2();
	s->dr[3] = read_dr3();
	s->dr6 = read_dr6();
	s->msrs_present = msrs_present;
	for (uint32_t left = msrs_present; left != 0; left &= left - 1) {
		const unsigned int i = (unsigned int)__builtin_ctz(left);

		s->msrs[i] = rdmsr(msrs[i]);
	}
	save_extended(s, xsave_area);
}

static const char *load_debug_registers(const struct switched *s, const struct switched *now)
{
	if (s->dr6 >> 32)
		return "DR6 has a bit above 31";
	if (!now || now->dr[0] != s->dr[0])
		write_dr0(s->dr[0]);
	if (!now || now->dr[1] != s->dr[1])
		write_dr1(s->dr[1]);
	if (!now || now->dr[2] != s->dr[2])
		write_dr2(s->dr[2]);
	if (!now || now->dr[3] != s->dr[3])
		write_dr3(s->dr[3]);
	if (!now || now->dr6 != s->dr6)
		write_dr6(s->dr6);
	return NULL;
}

const char *switch_load(const struct switched *s, const void *xsave_area,
			const struct switched *now)
{
	const uint64_t xfd_now = machine.has_xfd ? rdmsr(MSR_IA32_XFD) : 0;
	const char *wrong = load_debug_registers(s, now);

	if (!wrong)
		wrong = load_extended(s->xcr0, xsave_area, now ? now->xcr0 : xgetbv(0), xfd_now);
	if (wrong)
		return wrong;
	write_cr2(s->cr2);
	for (uint32_t left = s->msrs_present & ALL_MSRS; left != 0; left &= left - 1) {
		const unsigned int i = (unsigned int)__builtin_ctz(left);
		const bool same = now && now->msrs[i] == s->msrs[i] && msrs[i] != MSR_IA32_XFD;

		if (!same && !wrmsr_safe(msrs[i], s->msrs[i]))
			return "an MSR has a value that WRMSR refuses";
	}
	return NULL;
}

void switch_poison(uint64_t poison)
{
	static const uint8_t initial[XSAVE_HEADER_END] __attribute__((aligned(64)));

	write_cr2(poison);
	write_dr0(poison);
	write_dr1(poison);
	write_dr2(poison);
	write_dr3(poison);
	write_dr6(DR6_RESET | DR6_ALL);
	for (size_t i = 0; i < SWITCHED_MSRS; i++)
		if (!wrmsr_safe(msrs[i], poison))
			wrmsr_safe(msrs[i], 0);
	xsetbv_safe(0, machine.xcr0_supported);
	xrstor_safe(initial);
	xsetbv_safe(0, XCR0_X87);
}

void switch_load_reset(void)
{
	static uint8_t area[XSAVE_HEADER_END] __attribute__((aligned(64)));
	struct switched s;

	if (!switch_possible())
		return;
	switch_reset(&s, area);
	if (switch_load(&s, area, NULL))
		panic("switch", "the processor refuses what its registers have after a reset");
}

/*
 * Both ways at once: a register is read, kept for the one that is left, and written only when the
 * other one has another value. Its numbers are constants here, which a loop over a list would have
 * to fetch: a switch is mostly this.
 */
#define SWITCH_DR(n)                           \
	do {                                   \
		a->dr[n] = read_dr##n();       \
		if (b->dr[n] != a->dr[n])      \
			write_dr##n(b->dr[n]); \
	} while (0)

static inline __attribute__((always_inline)) void switch_debug_registers(struct switched *a,
									 const struct switched *b)
{
	SWITCH_DR(0);
	SWITCH_DR(1);
	SWITCH_DR(2);
	SWITCH_DR(3);
	a->dr6 = read_dr6();
	if (b->dr6 != a->dr6)
		write_dr6(b->dr6);
	a->cr2 = read_cr2();
	write_cr2(b->cr2);
}

/* A value that differs is one that a guest's WRMSR has put there, and the processor has taken. */
static inline __attribute__((always_inline)) void switch_msr(struct switched *a,
							     const struct switched *b,
							     uint32_t wanted, size_t i)
{
	uint64_t now;

	if (!(wanted >> i & 1))
		return;
	now = rdmsr(msrs[i]);
	a->msrs[i] = now;
	if (b->msrs[i] != now)
		wrmsr(msrs[i], b->msrs[i]);
}

static inline __attribute__((always_inline)) void switch_msrs(struct switched *a,
							      const struct switched *b)
{
	const uint32_t wanted = a->msrs_present | b->msrs_present;

	switch_msr(a, b, wanted, 0);
	switch_msr(a, b, wanted, 1);
	switch_msr(a, b, wanted, 2);
	switch_msr(a, b, wanted, 3);
	switch_msr(a, b, wanted, 4);
	switch_msr(a, b, wanted, 5);
	switch_msr(a, b, wanted, 6);
	switch_msr(a, b, wanted, 7);
	switch_msr(a, b, wanted, 8);
	switch_msr(a, b, wanted, 9);
	switch_msr(a, b, wanted, 10);
	switch_msr(a, b, wanted, 11);
	switch_msr(a, b, wanted, 12);
	switch_msr(a, b, wanted, 13);
	_Static_assert(SWITCHED_MSRS == 14, "one line for each");
}

/* XFD, which XSAVE and XRSTOR want to be 0, is as before then. True: the area is refused. */
static bool switch_extended(struct vcpu *from, const struct vcpu *to)
{
	struct switched *const a = &from->switched;
	const struct switched *const b = &to->switched;

	a->xcr0 = xgetbv(0);
	if (__builtin_expect(machine.has_xfd || a->xcr0 != machine.xcr0_supported ||
				     b->xcr0 != machine.xcr0_supported,
			     0)) {
		const uint64_t xfd = machine.has_xfd ? rdmsr(MSR_IA32_XFD) : 0;
		bool refused;

		save_extended(a, from->xsave);
		refused = load_extended(b->xcr0, to->xsave, a->xcr0, xfd) != NULL;
		write_xfd(xfd, 0);
		return refused;
	}
	xsave(from->xsave);
	return !xrstor_safe(to->xsave);
}

void switch_to(struct cpu *cpu, struct vcpu *to)
{
	struct vcpu *const from = cpu->vcpu;

	if (__builtin_expect(!vmptrld(&to->vmcs), 0))
		panic("vmptrld", "guest %s: VMPTRLD of its VMCS failed", to->vm->name);
	if (__builtin_expect(switch_extended(from, to), 0))
		panic("switch", "guest %s: the processor refuses the registers that it gave",
		      to->vm->name);
	switch_debug_registers(&from->switched, &to->switched);
	switch_msrs(&from->switched, &to->switched);
	cpu->vcpu = to;
	to->switches++;
}
