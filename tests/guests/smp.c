/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A Multiboot kernel with the machine's devices that starts the other processors as the manual
 * says, and in ways that no operating system tries (SDM 3A, 10.4, 10.1.1 and 11). Prints TAP. Its
 * command line says how many processors there are. Their APIC IDs have to be 0, 1, 2, ... With
 * " crossing" behind the number it stores across the end of the APIC's page instead.
 */
#include <stdbool.h>
#include <stdint.h>

#define CPUS_MAX   8
#define STACK_SIZE 4096
#define PAGE_SIZE  4096U

/* Pages where processors start, and their vectors. */
#define PAGE_A	 0x8000U
#define PAGE_B	 0x9000U
#define VECTOR_A (PAGE_A / PAGE_SIZE)
#define VECTOR_B (PAGE_B / PAGE_SIZE)

/* lib/hypercall.h */
#define HYPERCALL_CONSOLE_WRITE 1
#define HYPERCALL_END		2
#define HYPERCALL_DENIED	(-3)

#define APIC_BASE	   0xfee00000U
#define APIC_ID		   0x020
#define APIC_TPR	   0x080
#define APIC_EOI	   0x0b0
#define APIC_LDR	   0x0d0
#define APIC_DFR	   0x0e0
#define APIC_SPURIOUS	   0x0f0
#define APIC_ISR_64	   0x120 /* vectors 64 to 95 */
#define APIC_ICR_LOW	   0x300
#define APIC_ICR_HIGH	   0x310
#define APIC_LVT_TIMER	   0x320
#define APIC_LVT_LINT0	   0x350
#define APIC_LVT_ERROR	   0x370
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_CURRENT 0x390
#define APIC_TIMER_DIVIDE  0x3e0

#define SPURIOUS_ENABLED 0x1ff
#define SPURIOUS_RESET	 0xff
#define LVT_MASKED	 (1U << 16)
#define TIMER_PERIODIC	 (1U << 17)
#define ICR_NMI		 (4U << 8)
#define ICR_INIT	 (5U << 8)
#define ICR_SIPI	 (6U << 8)
#define ICR_LOGICAL	 (1U << 11)
#define ICR_BUSY	 (1U << 12)
#define ICR_ASSERT	 (1U << 14)
#define ICR_LEVEL	 (1U << 15)
#define ICR_TO_SELF	 (1U << 18)
#define ICR_TO_OTHERS	 (3U << 18)

#define MSR_APIC_BASE	 0x1b
#define BASE_X2APIC	 (1U << 10)
#define BASE_ENABLE	 (1U << 11)
#define MSR_X2APIC	 0x800
#define MSR_X2APIC_ICR	 0x830
#define MSR_X2APIC_SELF	 0x83f
#define X2APIC_BROADCAST 0xffffffffU

#define CPUID_1_ECX_X2APIC  (1U << 21)
#define CR0_WHAT_INIT_KEEPS 0x60000000U /* CD and NW */
#define CR0_ET		    (1U << 4)
#define CR0_PG		    (1U << 31)
#define CR4_PSE		    (1U << 4)
#define EFLAGS_RESET	    2U
#define DR6_RESET	    0xffff0ff0U
#define DR7_RESET	    0x400U
#define PTE_PRESENT_WRITE   3U
#define PTE_LARGE	    (1U << 7)
#define LARGE_SIZE	    0x400000U

/* Ends of waits, in TSC ticks: for what has to come, and for what must not. */
#define LONG_WAIT  200000000ULL
#define SHORT_WAIT 2000000ULL
#define IPIS	   32
/* An even number: the last one has vector A. */
#define RESTARTS	300
#define RESTARTS_OF_ALL 30

/* What smp_start.asm has found. */
struct record {
	uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
	uint32_t eflags, cr0, cr2, cr3, cr4, dr6, dr7, ip;
	uint32_t cs, ds, es, ss, fs, gs;
	uint32_t last_byte;
	uint16_t gdt_limit;
	uint32_t gdt_base;
	uint16_t idt_limit;
	uint32_t idt_base;
	uint32_t starts;
} __attribute__((packed));

#define record ((volatile struct record *)0x7000)

enum vector { VECTOR_NMI = 2, VECTOR_IPI = 0x40, VECTOR_NO_EOI, VECTOR_FLUSH, VECTOR_TIMER };
enum order { NOTHING, HALT, HALT_FOR_NMI, DIRTY_APIC, READ_APIC, PAGING, READ_PAGE, USE_X2APIC };

struct apic_state {
	uint32_t spurious, ldr, dfr, tpr, timer, lint0, error, initial, current, divide, isr;
};

/* What one processor tells the first one, and is told. */
struct cpu {
	volatile enum order order;
	volatile uint32_t turns, done, ipis, nmis, flushes, timers, no_eois, seen;
	struct apic_state apic;
};

struct idt_entry {
	uint16_t offset_low, selector, type, offset_high;
};

struct pointer {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed));

struct interrupt_frame;

extern uint8_t ap_page_begin[], ap_page_end[];
extern uint64_t gdt[3];
const struct pointer gdt_pointer = { sizeof(gdt) - 1, (uint32_t)gdt };
uint8_t stacks[CPUS_MAX][STACK_SIZE] __attribute__((aligned(16)));
static struct cpu cpus[CPUS_MAX];
static struct idt_entry idt[256];
static uint32_t page_directory[1024] __attribute__((aligned(4096)));
static uint32_t page_table[1024] __attribute__((aligned(4096)));
static uint32_t old_page[1024] __attribute__((aligned(4096)));
static uint32_t new_page[1024] __attribute__((aligned(4096)));
static uint32_t cpu_count, tests, failures;
static bool disabled_apic_keeps; /* a deviation of the emulator: BX-16 in docs/errata.md */

void main(const uint32_t *information) __attribute__((noreturn));
void ap_main(uint32_t id) __attribute__((noreturn));

/* ---- The processor ---- */

static uint64_t read_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

static uint64_t read_msr(uint32_t msr)
{
	uint64_t value;

	asm volatile("rdmsr" : "=A"(value) : "c"(msr));
	return value;
}

static void write_msr(uint32_t msr, uint64_t value)
{
	asm volatile("wrmsr" : : "c"(msr), "A"(value) : "memory");
}

static uint32_t cpuid_1(uint32_t *ecx)
{
	uint32_t eax = 1;
	uint32_t ebx;
	uint32_t edx;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(*ecx), "=d"(edx));
	return eax;
}

static void outb(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a"(value), "d"(port));
}

static bool in_x2apic(void)
{
	return read_msr(MSR_APIC_BASE) & BASE_X2APIC;
}

static volatile uint32_t *apic_register(uint32_t offset)
{
	return (volatile uint32_t *)(APIC_BASE + offset);
}

static uint32_t apic_read(uint32_t offset)
{
	return in_x2apic() ? (uint32_t)read_msr(MSR_X2APIC + offset / 16) : *apic_register(offset);
}

static void apic_write(uint32_t offset, uint32_t value)
{
	if (in_x2apic())
		write_msr(MSR_X2APIC + offset / 16, value);
	else
		*apic_register(offset) = value;
}

static struct cpu *self(void)
{
	const uint32_t id = apic_read(APIC_ID);

	return &cpus[in_x2apic() ? id : id >> 24];
}

/* By MOV from a register; the others below are as good. */
static void send(uint32_t destination, uint32_t command)
{
	if (in_x2apic()) {
		write_msr(MSR_X2APIC_ICR, (uint64_t)destination << 32 | command);
		return;
	}
	*apic_register(APIC_ICR_HIGH) = destination << 24;
	asm volatile("movl %0, (%1)" : : "r"(command), "r"(apic_register(APIC_ICR_LOW)) : "memory");
	while (*apic_register(APIC_ICR_LOW) & ICR_BUSY)
		;
}

/* The assembler has to know the command. */
#define SEND_IMMEDIATE(destination, command)                               \
	do {                                                               \
		*apic_register(APIC_ICR_HIGH) = (destination) << 24;       \
		asm volatile("movl %0, %c1"                                \
			     :                                             \
			     : "i"(command), "i"(APIC_BASE + APIC_ICR_LOW) \
			     : "memory");                                  \
	} while (0)

static uint32_t send_by_xchg(uint32_t destination, uint32_t command)
{
	*apic_register(APIC_ICR_HIGH) = destination << 24;
	asm volatile("xchgl %0, (%1)"
		     : "+r"(command)
		     : "r"(apic_register(APIC_ICR_LOW))
		     : "memory");
	return command;
}

/* ---- What is printed ---- */

static void write_text(const char *text, uint32_t length)
{
	asm volatile("vmcall" : : "a"(HYPERCALL_CONSOLE_WRITE), "b"(text), "c"(length) : "memory");
}

static char line[256];
static uint32_t line_length;

static void add(const char *text)
{
	while (*text && line_length < sizeof(line) - 1)
		line[line_length++] = *text++;
}

static void add_number(uint32_t number, uint32_t base)
{
	char digits[11];
	uint32_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number != 0);
	add(digits + at);
}

static void end_line(void)
{
	add("\n");
	write_text(line, line_length);
	line_length = 0;
}

/* With the deviation that makes it fail, or NULL. */
static void test_unless(const char *name, bool passed, const char *erratum)
{
	tests++;
	failures += !passed && !erratum;
	add(passed ? "ok " : "not ok ");
	add_number(tests, 10);
	add(" - ");
	add(name);
	if (!passed && erratum) {
		add(" # TODO errata ");
		add(erratum);
	}
	end_line();
}

static void test(const char *name, bool passed)
{
	test_unless(name, passed, (const char *)0);
}

static void test_equal(const char *name, uint32_t got, uint32_t expected)
{
	test(name, got == expected);
	if (got == expected)
		return;
	add("#   expected 0x");
	add_number(expected, 16);
	add(", got 0x");
	add_number(got, 16);
	end_line();
}

/* ---- Interrupts ---- */

__attribute__((interrupt)) static void nmi(struct interrupt_frame *frame)
{
	(void)frame;
	self()->nmis++;
}

__attribute__((interrupt)) static void ipi(struct interrupt_frame *frame)
{
	(void)frame;
	self()->ipis++;
	apic_write(APIC_EOI, 0);
}

/* INIT has to end what this interrupt leaves behind. */
__attribute__((interrupt)) static void no_eoi(struct interrupt_frame *frame)
{
	(void)frame;
	self()->no_eois++;
}

__attribute__((interrupt)) static void flush(struct interrupt_frame *frame)
{
	(void)frame;
	asm volatile("invlpg (%0)" : : "r"(LARGE_SIZE) : "memory");
	self()->flushes++;
	apic_write(APIC_EOI, 0);
}

__attribute__((interrupt)) static void timer(struct interrupt_frame *frame)
{
	(void)frame;
	self()->timers++;
	apic_write(APIC_EOI, 0);
}

static void set_gate(uint32_t vector, void (*handler)(struct interrupt_frame *))
{
	const uint32_t offset = (uint32_t)handler;

	idt[vector] = (struct idt_entry){ (uint16_t)offset, 8, 0x8e00, (uint16_t)(offset >> 16) };
}

static void load_idt(void)
{
	const struct pointer idtr = { sizeof(idt) - 1, (uint32_t)idt };

	asm volatile("lidt %0" : : "m"(idtr));
}

/* ---- The other processors ---- */

static void read_apic(struct apic_state *state)
{
	*state = (struct apic_state){
		.spurious = apic_read(APIC_SPURIOUS),
		.ldr = apic_read(APIC_LDR),
		.dfr = in_x2apic() ? ~0U : apic_read(APIC_DFR),
		.tpr = apic_read(APIC_TPR),
		.timer = apic_read(APIC_LVT_TIMER),
		.lint0 = apic_read(APIC_LVT_LINT0),
		.error = apic_read(APIC_LVT_ERROR),
		.initial = apic_read(APIC_TIMER_INITIAL),
		.current = apic_read(APIC_TIMER_CURRENT),
		.divide = apic_read(APIC_TIMER_DIVIDE),
		.isr = apic_read(APIC_ISR_64),
	};
}

/* All that INIT has to put back. */
static void dirty_apic(void)
{
	if (!in_x2apic()) {
		apic_write(APIC_LDR, 0x02000000);
		apic_write(APIC_DFR, 0x0fffffff);
	}
	apic_write(APIC_TPR, 0x20);
	apic_write(APIC_LVT_ERROR, 0xee);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, TIMER_PERIODIC | VECTOR_TIMER);
	apic_write(APIC_TIMER_INITIAL, 100000);
}

static void use_paging(void)
{
	asm volatile("mov %0, %%cr4" : : "r"(CR4_PSE));
	asm volatile("mov %0, %%cr3" : : "r"(page_directory) : "memory");
	asm volatile("mov %%cr0, %%eax\n\tor %0, %%eax\n\tmov %%eax, %%cr0"
		     :
		     : "i"(CR0_PG)
		     : "eax", "memory");
}

static void use_x2apic(void)
{
	write_msr(MSR_APIC_BASE, read_msr(MSR_APIC_BASE) | BASE_X2APIC);
}

static void carry_out(struct cpu *cpu, enum order order)
{
	switch (order) {
	case NOTHING:
		return;
	case HALT:
		cpu->done++;
		asm volatile("hlt" : : : "memory");
		break;
	case HALT_FOR_NMI:
		cpu->done++;
		asm volatile("cli\n\thlt\n\tsti" : : : "memory");
		break;
	case DIRTY_APIC:
		dirty_apic();
		break;
	case READ_APIC:
		read_apic(&cpu->apic);
		break;
	case PAGING:
		use_paging();
		break;
	case READ_PAGE:
		cpu->seen = *(volatile uint32_t *)LARGE_SIZE;
		break;
	case USE_X2APIC:
		use_x2apic();
		break;
	}
	cpu->done++;
}

void ap_main(uint32_t id)
{
	struct cpu *const cpu = &cpus[id];

	load_idt();
	read_apic(&cpu->apic);
	apic_write(APIC_SPURIOUS, SPURIOUS_ENABLED);
	cpu->order = NOTHING;
	cpu->turns = 0;
	asm volatile("sti");
	for (;;) {
		const enum order order = cpu->order;

		cpu->turns++;
		if (order == NOTHING)
			continue;
		cpu->order = NOTHING;
		carry_out(cpu, order);
	}
}

static bool wait_for(const volatile uint32_t *value, uint32_t wanted)
{
	const uint64_t start = read_tsc();

	while (*value != wanted)
		if (read_tsc() - start > LONG_WAIT)
			return false;
	return true;
}

static void wait(void)
{
	const uint64_t start = read_tsc();

	while (read_tsc() - start < SHORT_WAIT)
		;
}

static bool give(struct cpu *cpu, enum order order)
{
	const uint32_t done = cpu->done + 1;

	cpu->order = order;
	return wait_for(&cpu->done, done);
}

/* Goes round in its loop; a processor that has halted or waits for SIPI does not. */
static bool runs(const struct cpu *cpu)
{
	const uint32_t turns = cpu->turns;

	wait();
	return cpu->turns != turns;
}

/* In its loop, and not on the way there. */
static bool wait_for_turn(const struct cpu *cpu)
{
	const uint64_t start = read_tsc();
	const uint32_t turns = cpu->turns;

	while (cpu->turns == turns)
		if (read_tsc() - start > LONG_WAIT)
			return false;
	return true;
}

static bool all_run(void)
{
	bool all = true;

	for (uint32_t i = 1; i < cpu_count; i++)
		all &= runs(&cpus[i]);
	return all;
}

static bool none_runs(void)
{
	bool none = true;

	for (uint32_t i = 1; i < cpu_count; i++)
		none &= !runs(&cpus[i]);
	return none;
}

static bool has_started(uint32_t starts)
{
	return wait_for(&record->starts, starts);
}

static void test_record(uint32_t vector)
{
	uint32_t ecx;

	test_equal("start: CS", record->cs, vector << 8);
	test_equal("start: IP", record->ip, 0);
	test_equal("start: DS, ES, SS, FS, GS",
		   record->ds | record->es | record->ss | record->fs | record->gs, 0);
	test_equal("start: EDX has the processor's signature", record->edx, cpuid_1(&ecx));
	test_equal("start: the other registers",
		   record->eax | record->ebx | record->ecx | record->esi | record->edi |
			   record->ebp | record->esp,
		   0);
	test_equal("start: EFLAGS", record->eflags, EFLAGS_RESET);
	test_equal("start: CR0", record->cr0 & ~CR0_WHAT_INIT_KEEPS, CR0_ET);
	test_equal("start: CR2, CR3, CR4", record->cr2 | record->cr3 | record->cr4, 0);
	test_equal("start: DR6", record->dr6, DR6_RESET);
	test_equal("start: DR7", record->dr7, DR7_RESET);
	test_equal("start: limits of GDT and IDT", record->gdt_limit & record->idt_limit, 0xffff);
	test_equal("start: bases of GDT and IDT", record->gdt_base | record->idt_base, 0);
}

static void test_apic_state(uint32_t id)
{
	const struct apic_state *const apic = &cpus[id].apic;

	test_equal("APIC: spurious-interrupt vector", apic->spurious, SPURIOUS_RESET);
	test_equal("APIC: logical destination", apic->ldr, in_x2apic() ? 1U << id : 0);
	test_equal("APIC: destination format", apic->dfr, ~0U);
	test_equal("APIC: task priority", apic->tpr, 0);
	test_equal("APIC: LVT timer", apic->timer, LVT_MASKED);
	test_equal("APIC: LVT LINT0", apic->lint0, LVT_MASKED);
	test_equal("APIC: LVT error", apic->error, LVT_MASKED);
	test_equal("APIC: timer's counts", apic->initial | apic->current, 0);
	test_equal("APIC: timer's divisor", apic->divide, 0);
	test_equal("APIC: in-service register", apic->isr, 0);
}

/* ---- The tests ---- */

#define INIT_ASSERT (ICR_INIT | ICR_LEVEL | ICR_ASSERT)

static void init_and_sipi(uint32_t id, uint32_t vector)
{
	send(id, INIT_ASSERT);
	wait();
	send(id, ICR_SIPI | vector);
}

static void store_unaligned(uint32_t offset, uint32_t value)
{
	asm volatile("movl %0, (%1)" : : "r"(value), "r"(APIC_BASE + offset) : "memory");
}

/* While a processor waits, the VMM looks at each store. Bytes 4 to 15 of a register are not to be
 * touched (SDM 3A, 11.4.1): of such a store nothing may come, in the VMM least of all. */
static void test_stores_beside_registers(void)
{
	const uint32_t starts = record->starts;
	uint32_t old = ~0U;

	if (in_x2apic())
		return;
	*apic_register(APIC_ICR_HIGH) = 1U << 24;
	for (uint32_t i = 1; i < 16; i++)
		store_unaligned(APIC_ICR_LOW + i, ICR_SIPI | VECTOR_A);
	for (uint32_t offset = PAGE_SIZE - 16; offset <= PAGE_SIZE - 4; offset++)
		store_unaligned(offset, ~0U);
	asm volatile("xchgl %0, (%1)" : "+r"(old) : "r"(APIC_BASE + APIC_ICR_LOW + 2) : "memory");
	wait();
	test_equal("stores beside registers start no processor", record->starts, starts);
	test_equal("an exchange beside a register reads 0", old, 0);
}

/* The numbers of lib/hypercall.h: this guest's section has no test_services = on. */
static void test_services_are_denied(void)
{
	static const uint32_t services[] = { 4, 5, 6, 7, 9, 11, 12, 13 };
	bool all = true;

	for (uint32_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
		int32_t result;

		asm volatile("vmcall" : "=a"(result) : "a"(services[i]), "b"(0), "c"(0), "d"(0));
		all &= result == HYPERCALL_DENIED;
	}
	test("test services are denied", all);
}

static void test_start(struct cpu *cpu)
{
	uint32_t starts = record->starts;

	send(1, ICR_SIPI | VECTOR_A);
	test("SIPI alone starts a processor that has never run", has_started(starts + 1));
	test("it runs", runs(cpu));
	test_record(VECTOR_A);
	test_apic_state(1);

	send(1, ICR_SIPI | VECTOR_B);
	test("it goes on after a second SIPI", runs(cpu));
	test_equal("... and has not started again", record->starts, starts + 1);
	send(1, ICR_INIT | ICR_LEVEL);
	test("it goes on after INIT with level de-assert", runs(cpu));

	starts = record->starts;
	init_and_sipi(1, VECTOR_B);
	test("INIT and SIPI start it again", has_started(starts + 1));
	test_record(VECTOR_B);
}

static void test_init(struct cpu *cpu)
{
	const uint32_t starts = record->starts;
	uint32_t ipis;

	test("the timer is set", give(cpu, DIRTY_APIC));
	wait();
	test("the timer's interrupts come", cpu->timers != 0);
	SEND_IMMEDIATE(1, INIT_ASSERT);
	test("INIT, by MOV of a constant, stops a processor", !runs(cpu));
	ipis = cpu->ipis;
	send(1, ICR_ASSERT | VECTOR_IPI);
	test("it stands after an interrupt", !runs(cpu));
	send_by_xchg(1, ICR_SIPI | VECTOR_A);
	test("SIPI, by XCHG, starts it", has_started(starts + 1));
	test("it runs again", runs(cpu));
	test_unless("the interrupt from before is lost", cpu->ipis == ipis,
		    disabled_apic_keeps ? "BX-16" : (const char *)0);
	test_record(VECTOR_A);
	test_apic_state(1);
}

static void test_init_in_service(struct cpu *cpu)
{
	const uint32_t starts = record->starts;
	uint32_t ipis;

	send(1, ICR_ASSERT | VECTOR_NO_EOI);
	test("an interrupt comes, and is not ended", wait_for(&cpu->no_eois, 1));
	test("the APIC is read", give(cpu, READ_APIC));
	test_equal("it is in service", cpu->apic.isr, 1U << (VECTOR_NO_EOI - 64));
	init_and_sipi(1, VECTOR_A);
	test("INIT and SIPI", has_started(starts + 1) && runs(cpu));
	test_apic_state(1);
	ipis = cpu->ipis;
	send(1, ICR_ASSERT | VECTOR_IPI);
	test("one of lower priority comes now", wait_for(&cpu->ipis, ipis + 1));
}

static void test_interrupts(struct cpu *cpu)
{
	const uint32_t ipis = cpu->ipis;
	const uint32_t done = cpu->done;
	bool all = true;

	for (uint32_t i = 1; i <= IPIS; i++) {
		send(1, ICR_ASSERT | VECTOR_IPI);
		all &= wait_for(&cpu->ipis, ipis + i);
	}
	test("interrupts to another processor", all);
	for (uint32_t i = 1; i <= IPIS; i++) {
		all &= give(cpu, HALT);
		wait();
		all &= cpu->done == done + 2 * i - 1;
		send(1, ICR_ASSERT | VECTOR_IPI);
		all &= wait_for(&cpu->done, done + 2 * i);
	}
	test("interrupts wake it from HLT", all);
	test_equal("each has come once", cpu->ipis, ipis + 2 * IPIS);
}

static void test_self(void)
{
	const uint32_t ipis = cpus[0].ipis;

	send(0, ICR_TO_SELF | ICR_ASSERT | VECTOR_IPI);
	test("an interrupt to itself", wait_for(&cpus[0].ipis, ipis + 1));
	send(0, ICR_ASSERT | VECTOR_IPI);
	test("... and by its APIC ID", wait_for(&cpus[0].ipis, ipis + 2));
}

/* Software-disabled, an APIC takes no interrupts (SDM 3A, 11.4.7.2). */
static void try_disabled_apic(void)
{
	apic_write(APIC_SPURIOUS, SPURIOUS_RESET);
	send(0, ICR_ASSERT | VECTOR_IPI);
	apic_write(APIC_SPURIOUS, SPURIOUS_ENABLED);
	wait();
	disabled_apic_keeps = cpus[0].ipis != 0;
}

static void test_nmis(struct cpu *cpu)
{
	const uint32_t nmis = cpu->nmis;
	uint32_t done, ipis;

	send(1, ICR_ASSERT | ICR_NMI);
	test("an NMI comes to a processor that runs", wait_for(&cpu->nmis, nmis + 1));
	done = cpu->done;
	ipis = cpu->ipis;
	test("it halts with interrupts off", give(cpu, HALT_FOR_NMI));
	wait();
	send(1, ICR_ASSERT | VECTOR_IPI);
	wait();
	test_equal("an interrupt does not wake it", cpu->done, done + 1);
	send(1, ICR_ASSERT | ICR_NMI);
	test("an NMI does", wait_for(&cpu->done, done + 2));
	test_equal("... and came once", cpu->nmis, nmis + 2);
	test("the interrupt comes with the next STI", wait_for(&cpu->ipis, ipis + 1));
}

/*
 * This processor switches its APIC off, the other one halts with interrupts off: there the VMM
 * wants all processors to forget their translations of the APIC's page.
 */
static void test_apic_off(struct cpu *cpu)
{
	const uint64_t base = read_msr(MSR_APIC_BASE);
	const uint32_t starts = record->starts;
	const uint32_t ipis = cpus[0].ipis;

	apic_write(APIC_LVT_ERROR, 0xee);
	write_msr(MSR_APIC_BASE, base & ~(uint64_t)BASE_ENABLE);
	test("the APIC is off", read_msr(MSR_APIC_BASE) == (base & ~(uint64_t)BASE_ENABLE));
	test("another processor halts meanwhile", give(cpu, HALT_FOR_NMI));
	wait();
	write_msr(MSR_APIC_BASE, base);
	test("the APIC is on again", read_msr(MSR_APIC_BASE) == base);
	test_equal("... and has been reset: spurious-interrupt vector", apic_read(APIC_SPURIOUS),
		   SPURIOUS_RESET);
	test_equal("... and has been reset: LVT error", apic_read(APIC_LVT_ERROR), LVT_MASKED);
	apic_write(APIC_SPURIOUS, SPURIOUS_ENABLED);
	send(0, ICR_ASSERT | VECTOR_IPI);
	test("... and takes interrupts", wait_for(&cpus[0].ipis, ipis + 1));
	init_and_sipi(1, VECTOR_A);
	test("... and starts the one that has halted", has_started(starts + 1) && runs(cpu));
}

/* The manual wants 10 ms between the two; processors of today do without. */
static void test_back_to_back(struct cpu *cpu)
{
	uint32_t started = 0;

	while (started < RESTARTS) {
		const uint32_t starts = record->starts;

		if (!wait_for_turn(cpu))
			break;
		send(1, INIT_ASSERT);
		send(1, ICR_SIPI | (started % 2 ? VECTOR_A : VECTOR_B));
		if (!has_started(starts + 1))
			break;
		started++;
	}
	test_equal("SIPI directly behind INIT starts a processor that runs", started, RESTARTS);
	test_record(VECTOR_A);
}

/* In x2APIC mode the manual promises nothing of it, but a VMM cannot do without (11.12.9). */
static bool reads_back(void)
{
	const uint64_t command = 1ULL << 32 | ICR_ASSERT | VECTOR_IPI;

	write_msr(MSR_X2APIC_ICR, command);
	return read_msr(MSR_X2APIC_ICR) == command;
}

static void test_all_back_to_back(void)
{
	uint32_t started = 0;

	while (started < RESTARTS_OF_ALL) {
		const uint32_t starts = record->starts;

		for (uint32_t i = 1; i < cpu_count; i++)
			wait_for_turn(&cpus[i]);
		send(0, ICR_TO_OTHERS | INIT_ASSERT);
		send(0, ICR_TO_OTHERS | ICR_SIPI | VECTOR_B);
		if (!has_started(starts + cpu_count - 1))
			break;
		started++;
	}
	test_equal("... and all others at once", started, RESTARTS_OF_ALL);
}

static void test_all_others(void)
{
	const uint32_t starts = record->starts;
	uint32_t ipis[CPUS_MAX];
	bool all = true;

	send(0, ICR_TO_OTHERS | INIT_ASSERT);
	test("INIT to all others stops all", none_runs());
	send(0, ICR_TO_OTHERS | ICR_SIPI | VECTOR_B);
	test("SIPI to all others starts all", has_started(starts + cpu_count - 1));
	test("all run", all_run());
	for (uint32_t i = 0; i < cpu_count; i++)
		ipis[i] = cpus[i].ipis;
	send(0, ICR_TO_OTHERS | ICR_ASSERT | VECTOR_IPI);
	for (uint32_t i = 1; i < cpu_count; i++)
		all &= wait_for(&cpus[i].ipis, ipis[i] + 1);
	test("an interrupt to all others", all);
	test_equal("... and not to itself", cpus[0].ipis, ipis[0]);
}

static void fill_page_tables(void)
{
	for (uint32_t i = 0; i < 1024; i++)
		page_directory[i] = i * LARGE_SIZE | PTE_LARGE | PTE_PRESENT_WRITE;
	page_directory[1] = (uint32_t)page_table | PTE_PRESENT_WRITE;
	page_table[0] = (uint32_t)old_page | PTE_PRESENT_WRITE;
}

/* All read a page, its entry changes, and an interrupt has them drop what they know. */
static bool remap(uint32_t *page, uint32_t value)
{
	bool all = true;

	*page = value;
	page_table[0] = (uint32_t)page | PTE_PRESENT_WRITE;
	for (uint32_t i = 1; i < cpu_count; i++)
		cpus[i].flushes = 0;
	send(0, ICR_TO_OTHERS | ICR_ASSERT | VECTOR_FLUSH);
	for (uint32_t i = 1; i < cpu_count; i++)
		all &= wait_for(&cpus[i].flushes, 1) && give(&cpus[i], READ_PAGE) &&
		       cpus[i].seen == value;
	return all;
}

static void test_paging(struct cpu *cpu)
{
	const uint32_t starts = record->starts;
	bool all = true;

	fill_page_tables();
	use_paging();
	for (uint32_t i = 1; i < cpu_count; i++)
		all &= give(&cpus[i], PAGING);
	test("all use paging", all);
	for (uint32_t i = 0; i < IPIS; i++)
		all &= remap(i % 2 ? old_page : new_page, i + 1);
	test("changes of a page's entry reach all", all);
	init_and_sipi(1, VECTOR_A);
	test("INIT and SIPI with paging", has_started(starts + 1) && runs(cpu));
	test_record(VECTOR_A);
}

static void test_cluster(void)
{
	const uint32_t others = (1U << cpu_count) - 2;
	const uint32_t starts = record->starts;
	bool all = true;

	send(others, ICR_LOGICAL | INIT_ASSERT);
	test("x2APIC: INIT to a cluster stops all", none_runs());
	send(others, ICR_LOGICAL | ICR_SIPI | VECTOR_A);
	test("x2APIC: SIPI to a cluster starts all", has_started(starts + cpu_count - 1));
	test("x2APIC: all run", all_run());
	for (uint32_t i = 0; i < cpu_count; i++)
		cpus[i].ipis = 0;
	send(others, ICR_LOGICAL | ICR_ASSERT | VECTOR_IPI);
	for (uint32_t i = 1; i < cpu_count; i++)
		all &= wait_for(&cpus[i].ipis, 1);
	test("x2APIC: an interrupt to a cluster", all);
	test_equal("x2APIC: ... that this processor is not in", cpus[0].ipis, 0);
	send(X2APIC_BROADCAST, ICR_ASSERT | VECTOR_IPI);
	for (uint32_t i = 1; i < cpu_count; i++)
		all &= wait_for(&cpus[i].ipis, 2);
	test("x2APIC: an interrupt to all", all && wait_for(&cpus[0].ipis, 1));
}

static void test_x2apic(struct cpu *cpu)
{
	uint32_t starts = record->starts;
	bool all = true;
	uint32_t ecx;

	cpuid_1(&ecx);
	if (!(ecx & CPUID_1_ECX_X2APIC)) {
		test("x2APIC # SKIP this processor has none", true);
		return;
	}
	for (uint32_t i = 1; i < cpu_count; i++)
		all &= give(&cpus[i], USE_X2APIC);
	use_x2apic();
	test("all use x2APIC mode", all);
	send(1, ICR_SIPI | VECTOR_B);
	test("x2APIC: SIPI to one that runs", runs(cpu) && record->starts == starts);
	test("x2APIC: the timer is set", give(cpu, DIRTY_APIC));
	send(1, INIT_ASSERT);
	test("x2APIC: INIT stops a processor", !runs(cpu));
	send(1, ICR_SIPI | VECTOR_B);
	test("x2APIC: SIPI starts it", has_started(starts + 1) && runs(cpu));
	test_record(VECTOR_B);
	test_apic_state(1);
	test_interrupts(cpu);
	test_nmis(cpu);
	test_self();
	if (reads_back())
		test_back_to_back(cpu);
	else
		test("x2APIC: SIPI directly behind INIT # SKIP the APIC does not read back", true);
	test_cluster();
	starts = cpus[0].ipis;
	write_msr(MSR_X2APIC_SELF, VECTOR_IPI);
	test("x2APIC: an interrupt by SELF_IPI", wait_for(&cpus[0].ipis, starts + 1));
}

/*
 * This guest has one processor of a machine with more. Nothing that it sends may let another one
 * run its code: that processor would be outside VMX.
 */
static void test_not_its_own(void)
{
	send(1, ICR_SIPI | VECTOR_A);
	wait();
	init_and_sipi(1, VECTOR_A);
	wait();
	send(1, ICR_NMI | ICR_ASSERT);
	wait();
	init_and_sipi(1, VECTOR_B);
	wait();
	send(0, ICR_TO_OTHERS | INIT_ASSERT);
	wait();
	send(0, ICR_TO_OTHERS | ICR_SIPI | VECTOR_A);
	has_started(1); /* waits for it */
	test_equal("no processor of another starts", record->starts, 0);
	use_x2apic();
	write_msr(MSR_X2APIC_ICR, 1ULL << 32 | INIT_ASSERT);
	wait();
	write_msr(MSR_X2APIC_ICR, 1ULL << 32 | ICR_SIPI | VECTOR_B);
	has_started(1);
	test_equal("x2APIC: no processor of another starts", record->starts, 0);
}

static void test_its_own(void)
{
	struct cpu *const cpu = &cpus[1];

	try_disabled_apic();
	test_services_are_denied();
	test_stores_beside_registers();
	test_start(cpu);
	test_init(cpu);
	test_init_in_service(cpu);
	test_interrupts(cpu);
	test_self();
	test_nmis(cpu);
	test_all_others();
	test_interrupts(cpu);
	test_self();
	test_nmis(cpu);
	test_apic_off(cpu);
	test_back_to_back(cpu);
	test_all_back_to_back();
	test_paging(cpu);
	test_x2apic(cpu);
}

static void prepare(const char *cmdline)
{
	const uint32_t size = (uint32_t)(ap_page_end - ap_page_begin);

	cpu_count = (uint32_t)(cmdline[0] - '0');
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	for (uint32_t i = 0; i < size; i++) {
		((volatile uint8_t *)PAGE_A)[i] = ap_page_begin[i];
		((volatile uint8_t *)PAGE_B)[i] = ap_page_begin[i];
	}
	record->starts = 0;
	set_gate(VECTOR_NMI, nmi);
	set_gate(VECTOR_IPI, ipi);
	set_gate(VECTOR_NO_EOI, no_eoi);
	set_gate(VECTOR_FLUSH, flush);
	set_gate(VECTOR_TIMER, timer);
	load_idt();
	apic_write(APIC_LVT_TIMER, LVT_MASKED);
	apic_write(APIC_LVT_LINT0, LVT_MASKED);
	apic_write(APIC_SPURIOUS, SPURIOUS_ENABLED);
	asm volatile("sti");
}

void main(const uint32_t *information)
{
	const char *const cmdline = (const char *)information[4];

	prepare(cmdline);
	if (cmdline[1] == ' ')
		store_unaligned(PAGE_SIZE - 2, 0);
	if (cpu_count > 1)
		test_its_own();
	else
		test_not_its_own();
	add("1..");
	add_number(tests, 10);
	end_line();
	asm volatile("vmcall" : : "a"(HYPERCALL_END), "b"(failures != 0));
	for (;;)
		asm volatile("cli\n\thlt");
}
