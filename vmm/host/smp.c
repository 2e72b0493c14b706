// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the list of processors, their start, and requests between them.
 *
 * Every processor that the firmware names is brought into VMX operation, also one that no guest may
 * have. Those are parked: VMX root operation blocks INIT (SDM 3C, 24.8), so that a guest with the
 * machine's APIC cannot start one outside VMX.
 *
 * A requester sends an NMI when it finds no request under way, and the NMI handler takes all that
 * there are: so each NMI of ours is met by one taking of requests, and what remains are guests'.
 */
#include "vmm/host/smp.h"

#include <stddef.h>

#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "vmm/host/apic.h"
#include "vmm/host/cpu.h"
#include "vmm/host/power.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/host/x86.h"

#define AP_STACK_PAGES 4
#define SIPI_COUNT     2
/* SDM 3A, 11.4.4.1: 10 ms from INIT to SIPI, 200 us to the second. */
#define INIT_DELAY_US 10000
#define SIPI_DELAY_US 200
#define START_WAIT_US 500000
/* How long an end of the boot waits for the others, in polls. */
#define STOP_POLLS 10000000
/* Seconds, on any machine: SMM, or a host of which this is a guest, may have the other processor.
 */
#define ANSWER_POLLS 100000000
/* How long an NMI takes to arrive that was sent already, in polls. */
#define ARRIVAL_POLLS 100000

enum gdt_slot { GDT_NULL, GDT_CODE, GDT_DATA_SLOT, GDT_SLOTS };

/* At the end of ap_start.asm. */
struct ap_start_parameters {
	uint16_t gdt_limit;
	uint32_t gdt_base;
	uint16_t padding;
	uint32_t jump_offset; /* from the start of the page, to which it is added */
	uint16_t jump_selector;
	uint16_t padding2;
	uint64_t cr3;
	uint64_t stack;
	uint64_t argument;
	uint64_t entry;
} __attribute__((packed));

extern const uint8_t ap_start_begin[], ap_start_parameters[], ap_start_end[];

static struct cpu *cpus[CONFIG_CPUS_MAX]; /* that run guests */
static unsigned int count;
static unsigned int parked;
static struct cpu *arrived_cpu; /* the one that is being started, when it has set itself up */
static uint32_t limit;		/* processors that may run guests, as manfred.cfg says */
static void (*entry_of_all)(void);
static uint32_t ending; /* a processor ends the boot */

unsigned int smp_count(void)
{
	return count;
}

struct cpu *smp_cpu(unsigned int index)
{
	return cpus[index];
}

/* A processor that has started waits here until there is something for it to run. */
static void ap_main(uint64_t id) __attribute__((noreturn));
static void ap_main(uint64_t id)
{
	struct cpu *const cpu = cpu_init((uint32_t)id);

	cpu->apic_id = apic_id();
	cpu->difference = machine_difference();
	cpu->parked = cpu->difference != NULL || id >= limit;
	cpu->vmx_error = vmx_enable();
	__atomic_store_n(&arrived_cpu, cpu, __ATOMIC_RELEASE);
	for (;;) {
		/* Clear before testing: a request that comes in between must not be lost. */
		__atomic_store_n(&cpu->arrived, false, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&entry_of_all, __ATOMIC_ACQUIRE) && !cpu->parked)
			entry_of_all();
		cpu_wait();
	}
}

/* Fill the page where processors start. The stack differs from one to the next. */
static struct ap_start_parameters *prepare_page(uint64_t page)
{
	uint8_t *const to = phys_to_virt(page);
	const size_t size = (size_t)(ap_start_end - ap_start_begin);
	struct ap_start_parameters *const parameters =
		(struct ap_start_parameters *)(to + (ap_start_parameters - ap_start_begin));
	uint64_t *const gdt = (uint64_t *)(to + PAGE_SIZE) - GDT_SLOTS;

	memcpy(to, ap_start_begin, size);
	gdt[GDT_NULL] = 0;
	gdt[GDT_CODE] = GDT_CODE64;
	gdt[GDT_DATA_SLOT] = GDT_DATA;
	parameters->gdt_limit = GDT_SLOTS * sizeof(*gdt) - 1;
	parameters->gdt_base = (uint32_t)(page + PAGE_SIZE - GDT_SLOTS * sizeof(*gdt));
	parameters->jump_offset += (uint32_t)page;
	parameters->jump_selector = GDT_CODE * sizeof(*gdt);
	parameters->cr3 = read_cr3();
	parameters->entry = (uint64_t)ap_main;
	return parameters;
}

static bool has_started(void)
{
	return __atomic_load_n(&arrived_cpu, __ATOMIC_ACQUIRE) != NULL;
}

/* One that the VMM does not have can be started by a guest that has the machine's APIC. */
static void log_not_taken(uint32_t apic, const char *why)
{
	log_error("processor with APIC ID %u %s: it is left out, and a guest with the machine's "
		  "APIC could run code on it outside VMX",
		  apic, why);
}

/* The processor that has arrived runs guests, or is parked. */
static void take(struct cpu *cpu)
{
	if (cpu->vmx_error) {
		log_not_taken(cpu->apic_id, cpu->vmx_error);
		return;
	}
	if (cpu->difference)
		log_error("processor with APIC ID %u is parked: its %s differs from that of the "
			  "first one",
			  cpu->apic_id, cpu->difference);
	if (cpu->parked)
		parked++;
	else
		cpus[count++] = cpu;
}

static void start_processor(uint32_t apic, uint64_t page, struct ap_start_parameters *p)
{
	if (!apic_can_name(apic)) {
		log_not_taken(apic, "cannot be named by an xAPIC");
		return;
	}
	p->stack = (uint64_t)stack_alloc(AP_STACK_PAGES, 0);
	p->argument = count;
	__atomic_store_n(&arrived_cpu, NULL, __ATOMIC_RELEASE);
	apic_send_init(apic);
	io_delay(INIT_DELAY_US);
	for (int i = 0; i < SIPI_COUNT && !has_started(); i++) {
		apic_send_sipi(apic, (uint8_t)(page / PAGE_SIZE));
		io_delay(SIPI_DELAY_US);
	}
	for (uint64_t waited = 0; waited < START_WAIT_US && !has_started(); waited++)
		io_delay(1);
	if (has_started()) {
		take(arrived_cpu);
		return;
	}
	/* It may not start later either, on the stack of the next one. */
	apic_send_init(apic);
	log_not_taken(apic, "does not start");
}

static void start_others(const struct boot_info *boot)
{
	struct ap_start_parameters *parameters;

	if (boot->ap_page == 0) {
		log_error("no free page below 1 MiB: the other processors cannot be started, and a "
			  "guest with the machine's APIC could run code on them outside VMX");
		return;
	}
	memory_map_start_page(boot->ap_page);
	parameters = prepare_page(boot->ap_page);
	for (uint32_t i = 0; i < boot->processor_count; i++)
		if (boot->apic_ids[i] != cpus[0]->apic_id)
			start_processor(boot->apic_ids[i], boot->ap_page, parameters);
	memory_unmap_start_page(boot->ap_page);
}

void smp_start(const struct boot_info *boot)
{
	struct cpu *const self = cpu_current();

	self->apic_id = apic_id();
	cpus[count++] = self;
	limit = config_processors(&boot->config, boot->processor_count);
	if (boot->processor_count > 1)
		start_others(boot);
	if (boot->processors_beyond != 0)
		log_error("%u processors more than the %u that the VMM takes: a guest with the "
			  "machine's APIC could run code on them outside VMX",
			  boot->processors_beyond, CONFIG_CPUS_MAX);
	log_info("%u of %u processors run the VMM", count, boot->processor_count);
	if (parked != 0)
		log_info("%u processors are parked in VMX operation: no guest can start them",
			 parked);
}

void smp_run(void (*entry)(void))
{
	__atomic_store_n(&entry_of_all, entry, __ATOMIC_RELEASE);
	for (unsigned int i = 1; i < count; i++)
		smp_request(cpus[i], REQUEST_LOOK);
	entry();
	__builtin_unreachable();
}

void smp_barrier(void)
{
	static uint32_t arrivals;
	const uint32_t arrival = __atomic_fetch_add(&arrivals, 1, __ATOMIC_SEQ_CST);
	const uint32_t all = (arrival / count + 1) * count;

	while ((int32_t)(__atomic_load_n(&arrivals, __ATOMIC_SEQ_CST) - all) < 0)
		pause();
}

static void forget_translations(void)
{
	if (!invept(INVEPT_ALL, 0))
		panic("invept", "INVEPT failed: this processor promised it");
}

void smp_request(struct cpu *cpu, enum cpu_request request)
{
	if (cpu == cpu_current()) {
		if (request == REQUEST_INVEPT)
			forget_translations();
		else if (cpu->vcpu)
			vcpu_set_work(cpu->vcpu, WORK_LOOK);
		return;
	}
	if (__atomic_fetch_or(&cpu->requests, (uint32_t)request, __ATOMIC_SEQ_CST) == 0)
		apic_send_nmi(cpu->apic_id);
}

static bool is_done(const struct cpu *cpu, enum cpu_request request)
{
	return !(__atomic_load_n(&cpu->requests, __ATOMIC_SEQ_CST) & (uint32_t)request) &&
	       !__atomic_load_n(&cpu->serves, __ATOMIC_SEQ_CST);
}

/* It takes NMIs in a guest and in the VMM, and exits/apic_base.c keeps its APIC on. */
static void wait_for_answer(const struct cpu *cpu, enum cpu_request request)
{
	for (int polls = 0; !is_done(cpu, request); polls++) {
		if (polls == ANSWER_POLLS)
			panic("no-answer",
			      "processor %u (APIC ID %u) takes no NMI of another processor any "
			      "more",
			      cpu->id, cpu->apic_id);
		pause();
	}
}

void smp_request_others(enum cpu_request request)
{
	for (unsigned int i = 0; i < count; i++)
		if (cpus[i] != cpu_current())
			smp_request(cpus[i], request);
	for (unsigned int i = 0; i < count; i++)
		if (cpus[i] != cpu_current())
			wait_for_answer(cpus[i], request);
}

/* All but REQUEST_LOOK, which is by far the most frequent one: each IPI has it. */
static __attribute__((noinline)) void carry_out(struct cpu *cpu, uint32_t requests)
{
	if (requests & REQUEST_STOP) {
		/* First: an INIT that VMX root operation has blocked comes with VMXOFF. */
		__atomic_store_n(&cpu->stopped, true, __ATOMIC_RELEASE);
		vmx_disable();
		cpu_stop();
	}
	if (requests & REQUEST_INVEPT)
		forget_translations();
	if (requests & REQUEST_COMMAND)
		cpu->command = apic_command();
}

bool smp_take_nmi(void)
{
	struct cpu *const cpu = cpu_current();
	uint32_t requests;

	__atomic_store_n(&cpu->serves, true, __ATOMIC_SEQ_CST);
	requests = __atomic_exchange_n(&cpu->requests, 0, __ATOMIC_SEQ_CST);
	if (__builtin_expect(requests & ~(uint32_t)REQUEST_LOOK, 0))
		carry_out(cpu, requests);
	if (requests & REQUEST_LOOK) {
		cpu->arrived = true;
		if (cpu->vcpu)
			vcpu_set_work(cpu->vcpu, WORK_LOOK);
	}
	__atomic_store_n(&cpu->serves, false, __ATOMIC_SEQ_CST);
	return requests != 0;
}

/* An NMI that is only late must find its request: else it would count as a guest's. */
void smp_take_lost_nmi(void)
{
	const struct cpu *const cpu = cpu_current();

	for (int polls = 0; polls < ARRIVAL_POLLS; polls++) {
		if (__atomic_load_n(&cpu->requests, __ATOMIC_SEQ_CST) == 0)
			return;
		pause();
	}
	smp_take_nmi();
}

bool smp_needs_x2apic(void)
{
	for (unsigned int i = 0; i < count; i++)
		if (cpus[i]->apic_id >= XAPIC_ID_ALL)
			return true;
	return false;
}

bool smp_stop_others(void)
{
	const uint32_t self = cpu_current()->id + 1;
	uint32_t ender = 0;

	if (!__atomic_compare_exchange_n(&ending, &ender, self, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return ender == self;
	for (unsigned int i = 0; i < count; i++)
		if (cpus[i] != cpu_current())
			smp_request(cpus[i], REQUEST_STOP);
	for (unsigned int i = 0; i < count; i++)
		for (int polls = 0; polls < STOP_POLLS; polls++) {
			if (cpus[i] == cpu_current() ||
			    __atomic_load_n(&cpus[i]->stopped, __ATOMIC_ACQUIRE))
				break;
			pause();
		}
	return true;
}
