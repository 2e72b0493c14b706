// SPDX-License-Identifier: BSD-2-Clause
/*
 * Round trips as the guest sees them, in TSC ticks: one instruction that exits, measured many
 * times, less the same without it. tests/bench/exits.py reads the lines.
 */
#include "guest/machine/fred.h"
#include "guest/machine/machine.h"
#include "guest/machine/smp.h"
#include "guest/suite/suite.h"
#include "lib/string.h"

#define SAMPLES	  10000
#define HISTOGRAM 8192
/* So often the other guest gives way: more often than there are samples. */
#define GIVEN_BACK (5 * SAMPLES)

/* What the measured instruction gets in RAX, RCX and RDX. */
struct operands {
	uint64_t rax, rcx, rdx;
};

typedef uint64_t sample_function(const struct operands *operands);

/*
 * Ticks from one RDTSC to the next with `text` between them. Each RDTSC begins a new trace by a
 * jump (see read_tsc()); R8 keeps the start, since the other registers may be the text's.
 */
#define SAMPLE(name, text)                                                                \
	static uint64_t name(const struct operands *operands)                             \
	{                                                                                 \
		uint64_t ticks, rcx = operands->rcx;                                      \
                                                                                          \
		asm volatile("jmp 1f\n1:\trdtsc\n\tmovl %%eax, %%r8d\n\t"                 \
			     "movq %2, %%rax\n\tmovq %3, %%rdx\n\t" text                  \
			     "\n\tjmp 2f\n2:\trdtsc\n\tsubl %%r8d, %%eax"                 \
			     : "=&a"(ticks), "+c"(rcx)                                    \
			     : "D"(operands->rax), "r"(operands->rdx), "S"(test_pages[0]) \
			     : "rbx", "rdx", "r8", "memory", "cc");                       \
		return (uint32_t)ticks;                                                   \
	}

SAMPLE(sample_empty, "")
SAMPLE(sample_cpuid, "cpuid")
SAMPLE(sample_vmcall, "vmcall")
SAMPLE(sample_invd, "invd")
SAMPLE(sample_rdmsr, "rdmsr")
SAMPLE(sample_wrmsr, "wrmsr")
SAMPLE(sample_ud2, "ud2")
SAMPLE(sample_int3, "int3")
SAMPLE(sample_read, "movq (%%rsi), %%rbx")
SAMPLE(sample_fault, "movq (%%rdx), %%rbx")

/* machine/boot.asm: the shortest handler that goes on behind UD2 */
extern const char bench_skip_ud2[];

static uint64_t sample_unmapped(const struct operands *operands)
{
	ept_unmap(test_pages[0]);
	return sample_read(operands);
}

/* fred.asm: handlers of FRED's events; the second goes on behind sample_fault()'s access. */
extern const char bench_fred_return[], bench_fred_skip[];

/* The handler's stack is not there when the processor pushes the frame. */
static uint64_t sample_int3_redelivered(const struct operands *operands)
{
	ept_unmap(fred_stack_page(1));
	return sample_int3(operands);
}

static uint64_t sample_fault_redelivered(const struct operands *operands)
{
	ept_unmap(fred_stack_page(1));
	return sample_fault(operands);
}

/* The VMM measures. */
static uint64_t sample_switch(const struct operands *operands)
{
	return (uint64_t)hypercall(HYPERCALL_SWITCH, operands->rax, 0, 0, 0);
}

static uint64_t sample_nothing(const struct operands *operands)
{
	(void)operands;
	return 0;
}

/* Samples by their value; longer ones count as the last. */
static uint32_t histogram[HISTOGRAM];

struct result {
	uint64_t median, min, max;
};

static struct result measure(sample_function *sample, const struct operands *operands)
{
	struct result result = { 0, ~0ULL, 0 };
	uint32_t below = 0;

	memset(histogram, 0, sizeof(histogram));
	for (unsigned int i = 0; i < SAMPLES; i++) {
		const uint64_t ticks = sample(operands);

		histogram[ticks < HISTOGRAM ? ticks : HISTOGRAM - 1]++;
		if (ticks < result.min)
			result.min = ticks;
		if (ticks > result.max)
			result.max = ticks;
	}
	while (below + histogram[result.median] <= SAMPLES / 2)
		below += histogram[result.median++];
	return result;
}

/* One line: the same without the instruction is taken off. */
static void report(const char *name, sample_function *sample, sample_function *without,
		   struct operands operands)
{
	const uint64_t base = measure(without, &operands).median;
	const struct result r = measure(sample, &operands);

	print("bench: %s %lld min %lld max %lld", name, (long long)(r.median - base),
	      (long long)(r.min - base), (long long)(r.max - base));
}

static void bench_fred(void)
{
	const struct operands fault = { .rdx = UNMAPPED_ADDRESS };

	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_BP, 1) |
						    FRED_STKLVL(VECTOR_PF, 1) });
	report("fred-cpuid", sample_cpuid, sample_empty, (struct operands){ 0 });
	report("fred-vmcall", sample_vmcall, sample_empty,
	       (struct operands){ .rax = HYPERCALL_NOP });
	write_msr(MSR_IA32_FRED_CONFIG, (uintptr_t)bench_fred_return);
	report("fred-redeliver-int3", sample_int3_redelivered, sample_int3, (struct operands){ 0 });
	write_msr(MSR_IA32_FRED_CONFIG, (uintptr_t)bench_fred_skip);
	report("fred-redeliver-pf", sample_fault_redelivered, sample_fault, fault);
	fred_end();
	report("fred-switch-same", sample_switch, sample_nothing, (struct operands){ .rax = 0 });
	report("fred-switch-other", sample_switch, sample_nothing, (struct operands){ .rax = 1 });
}

/* The rest of fred.asm: TSC before the instruction that raises an event, at the handler, and
 * behind the return. */
struct bench_times {
	uint32_t start, handler, end;
};

extern const char bench_fred_stamp[], bench_int3[], bench_sti[], bench_syscall[], bench_load[];
void bench_run_ring0(const char *code, struct bench_times *times);
void bench_run_ring3(const char *code, struct bench_times *times);

/* What the measuring itself is: RDTSC and a MOV; RDTSC, the handler's own work, and a jump. */
#define OWN_DELIVERY	 2
#define OWN_RETURN_RING0 4
#define OWN_RETURN_RING3 6

/* RAX is the code, RCX its ring, RDX whether the return is meant. */
static uint64_t sample_event(const struct operands *operands)
{
	const char *const code = (const char *)operands->rax;
	struct bench_times times = { 0 };

	if (code == bench_sti)
		interrupt_self(VECTOR_INTERRUPT);
	(operands->rcx == 0 ? bench_run_ring0 : bench_run_ring3)(code, &times);
	if (code == bench_sti)
		interrupt_acknowledge();
	if (!operands->rdx)
		return times.handler - times.start - OWN_DELIVERY;
	return times.end - times.handler -
	       (operands->rcx == 0 ? OWN_RETURN_RING0 : OWN_RETURN_RING3);
}

static void report_event(const char *delivery, const char *back, const char *code,
			 unsigned int ring)
{
	struct operands operands = { .rax = (uintptr_t)code, .rcx = ring };

	report(delivery, sample_event, sample_nothing, operands);
	operands.rdx = 1;
	report(back, sample_event, sample_nothing, operands);
}

void bench_run_events(void)
{
	if (!has_fred())
		guest_fail("no FRED");
	fred_begin(&(struct fred_setup){ 0 });
	write_msr(MSR_IA32_FRED_CONFIG, (uintptr_t)bench_fred_stamp);
	report_event("int3-delivery", "int3-erets", bench_int3, 0);
	report_event("interrupt-delivery", "interrupt-erets", bench_sti, 0);
	report_event("syscall-delivery", "syscall-eretu", bench_syscall, 3);
	report_event("pf-delivery", "pf-eretu", bench_load, 3);
	fred_end();
}

/* All bits of a time in the last seconds. */
static unsigned long long tsc_of(uint32_t low)
{
	const uint64_t now = read_tsc();

	return now - (uint32_t)((uint32_t)now - low);
}

/*
 * One INT3 whose handler's stack the VMM does not have mapped: when it was raised, when its handler
 * began, when it was done. What the VMM saw between is in its trace, with log = trace.
 */
void bench_run_timeline(void)
{
	struct bench_times times = { 0 };

	if (!has_fred())
		guest_fail("no FRED");
	fred_begin(&(struct fred_setup){ .stklvls = FRED_STKLVL(VECTOR_BP, 1) });
	write_msr(MSR_IA32_FRED_CONFIG, (uintptr_t)bench_fred_stamp);
	bench_run_ring0(bench_int3,
			&times); /* once without: what is read for the first time is not meant */
	ept_unmap(fred_stack_page(1));
	bench_run_ring0(bench_int3, &times);
	fred_end();
	print("timeline: int3 raised %llu handler %llu returned %llu", tsc_of(times.start),
	      tsc_of(times.handler), tsc_of(times.end));
	hypercall(HYPERCALL_TRACE, 0, 0, 0, 0);
}

/* From the hypercall that sends an interrupt to what the other processor has written behind it. */
static uint64_t sample_ipi(const struct operands *operands)
{
	const uint64_t done = second.done + 2;
	uint64_t start;

	catch_begin();
	if (!second_give((enum second_order)operands->rax))
		guest_fail("the second processor does not answer");
	start = read_tsc();
	hypercall(HYPERCALL_IPI, 1, VECTOR_INTERRUPT, 0, 0);
	if (!second_wait(done))
		guest_fail("an interrupt for the second processor was lost");
	catch_end();
	return read_tsc() - start;
}

void bench_run_ipi(void)
{
	const struct operands running = { .rax = SECOND_SPIN };
	const struct operands halted = { .rax = SECOND_HALT };

	if (!second_start(0))
		guest_fail("a second processor is needed: cpus = 2 in a section of manfred.cfg");
	report("ipi-running", sample_ipi, sample_nothing, running);
	report("ipi-halted", sample_ipi, sample_nothing, halted);
}

static uint64_t sample_give_way(const struct operands *operands)
{
	const uint64_t start = read_tsc();

	(void)operands;
	hypercall(HYPERCALL_YIELD, 0, 0, 0, 0);
	return (read_tsc() - start) / 2;
}

/* The other guest, which keeps the registers of a reset. */
static void give_way_back(void)
{
	for (unsigned int i = 0; i < GIVEN_BACK; i++)
		hypercall(HYPERCALL_YIELD, 0, 0, 0, 0);
}

static void change_registers(void)
{
	static const uint32_t msrs[] = { MSR_IA32_KERNEL_GS_BASE, MSR_IA32_STAR, MSR_IA32_LSTAR,
					 MSR_IA32_CSTAR, MSR_IA32_FMASK };

	for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
		write_msr(msrs[i], 0x1000 + i);
	write_dr0(0x1000);
	write_dr1(0x2000);
	write_dr2(0x3000);
	write_dr3(0x4000);
}

void bench_run_switch(uint64_t seed)
{
	const struct operands none = { 0 };

	if (seed != 0) {
		give_way_back();
		return;
	}
	report("switch-same", sample_give_way, sample_nothing, none);
	if (has_fred() && hypercall(HYPERCALL_SWITCH, 0, 0, 0, 0) >= 0) {
		write_msr(MSR_IA32_FRED_RSP0, fred_stack_top(0));
		report("switch-stacks", sample_give_way, sample_nothing, none);
	}
	change_registers();
	report("switch-msrs", sample_give_way, sample_nothing, none);
	switch_fill_extended();
	report("switch-extended", sample_give_way, sample_nothing, none);
}

void bench_run(void)
{
	const uint64_t efer = try_rdmsr(MSR_IA32_EFER);

	report("cpuid", sample_cpuid, sample_empty, (struct operands){ 0 });
	report("vmcall", sample_vmcall, sample_empty, (struct operands){ .rax = HYPERCALL_NOP });
	report("invd", sample_invd, sample_empty, (struct operands){ 0 });
	report("rdmsr", sample_rdmsr, sample_empty,
	       (struct operands){ .rcx = MSR_IA32_FEATURE_CONTROL });
	report("wrmsr", sample_wrmsr, sample_empty,
	       (struct operands){ .rax = (uint32_t)efer, .rcx = MSR_IA32_EFER, .rdx = efer >> 32 });
	gate_set_handler(VECTOR_UD, (uintptr_t)bench_skip_ud2);
	report("ud", sample_ud2, sample_empty, (struct operands){ 0 });
	report("ept-violation", sample_unmapped, sample_read, (struct operands){ 0 });
	/* Software FRED has other costs, and no registers to switch. */
	if (has_fred() && hypercall(HYPERCALL_SWITCH, 0, 0, 0, 0) >= 0)
		bench_fred();
	else
		print("bench: no native FRED");
}
