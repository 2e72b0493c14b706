/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/host/smp.c with processors that are threads. An NMI is a signal, which has its properties: it
 * comes at any time, its handler blocks the next one, and one at most waits. The tests are one boot
 * of a machine, from its start to its end: their order counts.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "tests/unit/unit.h"
#include "lib/layout.h"
#include "tests/unit/model/model.h"
#include "vmm/host/apic.h"
#include "vmm/host/cpu.h"
#include "vmm/host/power.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/host/smp.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/host/x86.h"

#define START_PAGE     0x8000ULL
#define IDS	       16
#define ID_ABSENT      4
#define ID_DIFFERENT   6
#define ID_LAST	       8
#define ID_NOT_WANTED  10
#define ID_WITHOUT_VMX 12
#define ID_TOO_LARGE   300
/* SMM has the processors while one of them should start. */
#define SMI_US	      200000
#define CPUS	      3
#define NMI	      SIGUSR1
#define COMMAND	      0x4600ULL
#define WATCHDOG      120 /* seconds: a lost request is an endless wait */
#define BARRIERS      2000
#define TOKEN_ROUNDS  5000
#define STRESS_ROUNDS 15000
#define SEED	      0x9e3779b9U

/* At the end of host/ap_start.asm, where real mode and then host/smp.c look for them. */
struct start_parameters {
	uint16_t gdt_limit;
	uint32_t gdt_base;
	uint16_t padding;
	uint32_t jump_offset;
	uint16_t jump_selector;
	uint16_t padding2;
	uint64_t cr3, stack, argument, entry;
} __attribute__((packed));

extern const uint8_t ap_start_begin[], ap_start_parameters[], ap_start_end[];

/* One of the machine's processors, by its APIC ID. */
struct processor {
	pthread_t thread;
	bool runs;
	struct cpu cpu;
	struct vcpu vcpu;
	sigjmp_buf stop;
	bool vmx;
	uint64_t stack;
	uint64_t start_us; /* not before, in the first processor's time */
	unsigned int inits, sipis, nmis_sent, nmis_of_guest;
	bool entered; /* the work of guests */
};

static struct processor processors[IDS];
static _Thread_local uint32_t id_here;
static _Alignas(PAGE_SIZE) uint8_t start_page[PAGE_SIZE];
static bool start_page_mapped;
static struct boot_info boot = {
	.processor_count = 8,
	.apic_ids = { 0, 2, ID_ABSENT, ID_DIFFERENT, ID_LAST, ID_NOT_WANTED, ID_WITHOUT_VMX,
		      ID_TOO_LARGE },
	.processors_beyond = 5,
	.ap_page = START_PAGE,
	.config.cpus = CPUS,
};
static unsigned int errors; /* seen by any processor */
static uint64_t time_us;    /* that the first processor has waited */

/* ---- The machine ---- */

static void nmi_arrives(int signal __attribute__((unused)))
{
	if (!smp_take_nmi())
		__atomic_add_fetch(&processors[id_here].nmis_of_guest, 1, __ATOMIC_SEQ_CST);
}

static void send_nmi(uint32_t id)
{
	if (__atomic_load_n(&processors[id].runs, __ATOMIC_SEQ_CST))
		pthread_kill(processors[id].thread, NMI);
}

void apic_send_nmi(uint32_t id)
{
	__atomic_add_fetch(&processors[id].nmis_sent, 1, __ATOMIC_SEQ_CST);
	send_nmi(id);
}

static const struct start_parameters *parameters(void)
{
	return (const void *)(start_page + (ap_start_parameters - ap_start_begin));
}

static void *begin(void *of)
{
	struct processor *const p = of;
	void (*const entry)(uint64_t) = (void (*)(uint64_t))parameters()->entry;

	id_here = (uint32_t)(p - processors);
	while (__atomic_load_n(&time_us, __ATOMIC_SEQ_CST) < p->start_us)
		sched_yield();
	if (sigsetjmp(p->stop, 0) == 0)
		entry(parameters()->argument);
	return NULL;
}

void apic_send_init(uint32_t id)
{
	processors[id].inits++;
}

void apic_send_sipi(uint32_t id, uint8_t vector)
{
	struct processor *const p = &processors[id];

	assert_true(start_page_mapped);
	assert_int_equal(vector, START_PAGE / PAGE_SIZE);
	if (p->sipis++ != 0 || id == ID_ABSENT)
		return;
	p->stack = parameters()->stack;
	p->start_us = time_us + (id == ID_LAST ? SMI_US : 0);
	p->runs = true;
	assert_int_equal(pthread_create(&p->thread, NULL, begin, p), 0);
}

/* An absent one need not be waited for, nor the end of an SMI. */
void io_delay(uint64_t microseconds)
{
	const struct timespec time = { .tv_nsec = (long)microseconds * 1000 };

	__atomic_add_fetch(&time_us, microseconds, __ATOMIC_SEQ_CST);
	if (time_us < processors[ID_LAST].start_us)
		return;
	if (processors[ID_ABSENT].sipis == 0 || processors[ID_DIFFERENT].inits != 0)
		nanosleep(&time, NULL);
}

uint32_t apic_id(void)
{
	return id_here;
}

uint64_t apic_command(void)
{
	return COMMAND + id_here;
}

struct cpu *cpu_init(uint32_t id)
{
	struct processor *const p = &processors[id_here];

	p->cpu.id = id;
	p->cpu.vcpu = &p->vcpu;
	model_current = &p->cpu;
	return &p->cpu;
}

void cpu_wait(void)
{
	while (!__atomic_load_n(&cpu_current()->arrived, __ATOMIC_SEQ_CST))
		sched_yield();
}

void cpu_stop(void)
{
	struct processor *const p = &processors[id_here];

	__atomic_store_n(&p->runs, false, __ATOMIC_SEQ_CST);
	siglongjmp(p->stop, 1);
}

const char *machine_difference(void)
{
	return id_here == ID_DIFFERENT ? "EPT" : NULL;
}

const char *vmx_enable(void)
{
	if (id_here == ID_WITHOUT_VMX)
		return "has no VMX";
	processors[id_here].vmx = true;
	return NULL;
}

bool apic_can_name(uint32_t id)
{
	return id < 255;
}

void vmx_disable(void)
{
	processors[id_here].vmx = false;
}

void *stack_alloc(unsigned int pages, unsigned int tail)
{
	static uint8_t *top = (uint8_t *)0x10000;

	assert_int_equal(tail, 0);
	return top += pages * PAGE_SIZE;
}

void *phys_to_virt(uint64_t address)
{
	assert_int_equal(address, START_PAGE);
	return start_page;
}

void memory_map_start_page(uint64_t page)
{
	assert_int_equal(page, START_PAGE);
	start_page_mapped = true;
}

void memory_unmap_start_page(uint64_t page)
{
	assert_int_equal(page, START_PAGE);
	start_page_mapped = false;
}

/* ---- What the processors do: the same job, all at a time ---- */

static void (*job)(unsigned int cpu);
static unsigned int jobs, jobs_done;
static jmp_buf back_in_main;

static void work(void)
{
	unsigned int done = 0;

	if (cpu_current()->id == 0)
		longjmp(back_in_main, 1);
	processors[id_here].entered = true;
	for (;;) {
		while (__atomic_load_n(&jobs, __ATOMIC_SEQ_CST) == done)
			sched_yield();
		done++;
		job(cpu_current()->id);
		__atomic_add_fetch(&jobs_done, 1, __ATOMIC_SEQ_CST);
	}
}

static void let_do(void (*what)(unsigned int cpu))
{
	job = what;
	__atomic_store_n(&jobs_done, 0, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&jobs, 1, __ATOMIC_SEQ_CST);
	what(0);
	while (__atomic_load_n(&jobs_done, __ATOMIC_SEQ_CST) != CPUS - 1)
		sched_yield();
	assert_int_equal(errors, 0);
}

static void note(bool right)
{
	if (!right)
		__atomic_add_fetch(&errors, 1, __ATOMIC_SEQ_CST);
}

static struct processor *processor(unsigned int cpu)
{
	return &processors[smp_cpu(cpu)->apic_id];
}

static unsigned int nmis_of_guest(void)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < CPUS; i++)
		count += __atomic_load_n(&processor(i)->nmis_of_guest, __ATOMIC_SEQ_CST);
	return count;
}

/* ---- Start ---- */

TEST(the_page_leads_to_64_bit_code)
{
	const struct start_parameters *const p = parameters();
	const size_t code_size = (size_t)(ap_start_parameters - ap_start_begin);
	const uint64_t *const gdt = (const uint64_t *)(start_page + PAGE_SIZE) - 3;

	assert_memory_equal(start_page, ap_start_begin, code_size);
	assert_int_equal(p->gdt_limit, 3 * sizeof(uint64_t) - 1);
	assert_int_equal(p->gdt_base, START_PAGE + PAGE_SIZE - 3 * sizeof(uint64_t));
	assert_int_equal(gdt[0], 0);
	assert_int_equal(gdt[1], GDT_CODE64);
	assert_int_equal(p->jump_selector, 8);
	assert_in_range(p->jump_offset, START_PAGE + 1, START_PAGE + code_size - 1);
	assert_int_equal(p->cr3, model.cr3);
}

TEST(as_many_start_as_are_wanted)
{
	assert_int_equal(smp_count(), CPUS);
	assert_int_equal(smp_cpu(0)->apic_id, 0);
	assert_int_equal(smp_cpu(1)->apic_id, 2);
	assert_int_equal(smp_cpu(2)->apic_id, ID_LAST);
	for (unsigned int i = 1; i < CPUS; i++) {
		assert_int_equal(smp_cpu(i)->id, i);
		assert_true(processor(i)->vmx);
		assert_int_equal(processor(i)->inits, 1);
	}
	assert_int_not_equal(processor(1)->stack, processor(2)->stack);
	assert_false(start_page_mapped);
	assert_int_equal(smp_count(), 3);
	assert_true(model_logged("3 of 8 processors run the VMM"));
}

TEST(an_smi_is_waited_for)
{
	assert_int_equal(processors[ID_LAST].sipis, 2);
	assert_true(time_us >= processors[ID_LAST].start_us);
	assert_true(time_us < processors[ID_LAST].start_us + SMI_US);
}

TEST(who_does_not_start_is_reset)
{
	assert_int_equal(processors[ID_ABSENT].sipis, 2);
	assert_int_equal(processors[ID_ABSENT].inits, 2);
	assert_true(model_logged("processor with APIC ID 4 does not start"));
}

/* In VMX operation INIT and SIPI of a guest do not reach them. */
TEST(one_that_differs_is_parked)
{
	assert_true(processors[ID_DIFFERENT].vmx);
	assert_true(processors[ID_DIFFERENT].cpu.parked);
	assert_true(model_logged("processor with APIC ID 6 is parked: its EPT differs"));
}

TEST(one_beyond_the_limit_is_parked)
{
	assert_int_equal(processors[ID_NOT_WANTED].inits, 1);
	assert_true(processors[ID_NOT_WANTED].vmx);
	assert_true(processors[ID_NOT_WANTED].cpu.parked);
	assert_true(model_logged("2 processors are parked in VMX operation"));
}

TEST(one_that_cannot_be_taken_is_named)
{
	assert_false(processors[ID_WITHOUT_VMX].vmx);
	assert_true(
		model_logged("processor with APIC ID 12 has no VMX: it is left out, and a guest"));
	assert_true(model_logged("APIC ID 300 cannot be named by an xAPIC: it is left out"));
	assert_true(model_logged("5 processors more than the 512 that the VMM takes"));
}

TEST(all_run)
{
	if (setjmp(back_in_main) == 0)
		smp_run(work);
}

static unsigned int at_barrier;

static void meet(unsigned int cpu __attribute__((unused)))
{
	for (unsigned int i = 1; i <= BARRIERS; i++) {
		__atomic_add_fetch(&at_barrier, 1, __ATOMIC_SEQ_CST);
		smp_barrier();
		note(__atomic_load_n(&at_barrier, __ATOMIC_SEQ_CST) == i * CPUS);
		smp_barrier();
	}
}

TEST(nobody_passes_a_barrier_alone)
{
	let_do(meet);
}

/* ---- Requests ---- */

/* Processor 1 has NMIs blocked while `step` is odd. */
static unsigned int step;

static void block_nmis(unsigned int cpu)
{
	sigset_t nmi;

	if (cpu != 1)
		return;
	sigemptyset(&nmi);
	sigaddset(&nmi, NMI);
	pthread_sigmask(SIG_BLOCK, &nmi, NULL);
	__atomic_store_n(&step, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&step, __ATOMIC_SEQ_CST) == 1)
		sched_yield();
	__atomic_store_n(&cpu_current()->arrived, false, __ATOMIC_SEQ_CST);
	vcpu_clear_work(cpu_current()->vcpu, WORK_LOOK);
	pthread_sigmask(SIG_UNBLOCK, &nmi, NULL);
}

static void request_all_of_blocked(unsigned int cpu)
{
	struct cpu *const target = smp_cpu(1);

	block_nmis(cpu);
	if (cpu != 0)
		return;
	while (__atomic_load_n(&step, __ATOMIC_SEQ_CST) != 1)
		sched_yield();
	for (int i = 0; i < 3; i++)
		smp_request(target, REQUEST_LOOK);
	smp_request(target, REQUEST_INVEPT);
	note(model.invepts == 0);
	__atomic_store_n(&step, 2, __ATOMIC_SEQ_CST);
}

TEST(requests_under_way_have_one_nmi)
{
	const unsigned int before = processor(1)->nmis_sent;

	model.invepts = 0;
	let_do(request_all_of_blocked);
	assert_int_equal(processor(1)->nmis_sent, before + 1);
	assert_int_equal(model.invepts, 1);
	assert_true(smp_cpu(1)->arrived);
	assert_true(smp_cpu(1)->vcpu->work & WORK_LOOK);
	assert_int_equal(smp_cpu(1)->requests, 0);
	smp_request_others(REQUEST_INVEPT);
	assert_int_equal(processor(1)->nmis_sent, before + 2);
	assert_int_equal(model.invepts, 3);
	assert_int_equal(nmis_of_guest(), 0);
}

static void await_blocked(unsigned int cpu)
{
	block_nmis(cpu);
	if (cpu == 2) {
		while (__atomic_load_n(&step, __ATOMIC_SEQ_CST) != 1)
			sched_yield();
		io_delay(1000);
		__atomic_store_n(&step, 2, __ATOMIC_SEQ_CST);
	}
	if (cpu != 0)
		return;
	while (__atomic_load_n(&step, __ATOMIC_SEQ_CST) == 0)
		sched_yield();
	smp_request_others(REQUEST_INVEPT);
	note(__atomic_load_n(&step, __ATOMIC_SEQ_CST) == 2 && model.invepts == 2);
}

TEST(a_requester_waits_until_it_is_done)
{
	model.invepts = 0;
	step = 0;
	let_do(await_blocked);
}

/* Else its yielding would make seconds minutes. */
static void pause_for_no_time(void)
{
}

/* As when a guest has made it deaf: the boot ends by name. */
static void await_deaf(unsigned int cpu)
{
	jmp_buf end;

	block_nmis(cpu);
	if (cpu != 0)
		return;
	while (__atomic_load_n(&step, __ATOMIC_SEQ_CST) == 0)
		sched_yield();
	model.end = &end;
	if (setjmp(end) == 0) {
		smp_request_others(REQUEST_INVEPT);
		note(false);
	}
	note(strcmp(model.end_reason, "no-answer") == 0);
	model.end = NULL;
	__atomic_store_n(&step, 2, __ATOMIC_SEQ_CST);
}

TEST(a_wait_for_a_deaf_processor_ends)
{
	step = 0;
	model.on_pause = pause_for_no_time;
	let_do(await_deaf);
	model.on_pause = NULL;
	smp_request_others(REQUEST_INVEPT);
}

/* What was asked for while NMIs were lost is done, and does not count as a guest's NMI. */
static void lose_nmi(unsigned int cpu)
{
	if (cpu == 1) {
		__atomic_store_n(&processors[id_here].runs, false, __ATOMIC_SEQ_CST);
		__atomic_store_n(&step, 1, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&step, __ATOMIC_SEQ_CST) == 1)
			sched_yield();
		__atomic_store_n(&processors[id_here].runs, true, __ATOMIC_SEQ_CST);
		smp_take_lost_nmi();
		note(cpu_current()->requests == 0 && (cpu_current()->vcpu->work & WORK_LOOK));
		smp_take_lost_nmi();
	}
	if (cpu != 0)
		return;
	while (__atomic_load_n(&step, __ATOMIC_SEQ_CST) == 0)
		sched_yield();
	smp_request(smp_cpu(1), REQUEST_LOOK);
	smp_request(smp_cpu(1), REQUEST_INVEPT);
	__atomic_store_n(&step, 2, __ATOMIC_SEQ_CST);
}

TEST(a_lost_nmi_is_made_up_for)
{
	model.invepts = 0;
	vcpu_clear_work(smp_cpu(1)->vcpu, WORK_LOOK);
	step = 0;
	let_do(lose_nmi);
	assert_int_equal(model.invepts, 1);
	assert_int_equal(nmis_of_guest(), 0);
}

TEST(x2apic_mode_is_needed_for_large_ids_only)
{
	const uint32_t id = smp_cpu(2)->apic_id;

	assert_false(smp_needs_x2apic());
	smp_cpu(2)->apic_id = 254;
	assert_false(smp_needs_x2apic());
	smp_cpu(2)->apic_id = 255;
	assert_true(smp_needs_x2apic());
	smp_cpu(2)->apic_id = id;
}

TEST(others_tell_what_they_have_sent)
{
	model.invepts = 0;
	smp_request_others((enum cpu_request)(REQUEST_COMMAND | REQUEST_INVEPT));
	for (unsigned int i = 1; i < CPUS; i++)
		assert_int_equal(smp_cpu(i)->command, COMMAND + smp_cpu(i)->apic_id);
	assert_int_equal(model.invepts, 2);
}

TEST(a_request_to_oneself_is_done_at_once)
{
	model.invepts = 0;
	smp_request(smp_cpu(0), REQUEST_INVEPT);
	assert_int_equal(model.invepts, 1);
	vcpu_clear_work(smp_cpu(0)->vcpu, WORK_LOOK);
	smp_request(smp_cpu(0), REQUEST_LOOK);
	assert_true(smp_cpu(0)->vcpu->work & WORK_LOOK);
	assert_int_equal(processor(0)->nmis_sent, 0);
}

TEST(an_nmi_that_nobody_asked_for_is_a_guests)
{
	const unsigned int before = nmis_of_guest();

	raise(NMI);
	assert_int_equal(nmis_of_guest(), before + 1);
	processor(0)->nmis_of_guest = 0;
}

/* ---- Many requests at a time ---- */

static unsigned int token;

/* As in run/sched.c: the look comes between the clearing and the wait. */
static void await_token(unsigned int value)
{
	for (;;) {
		__atomic_store_n(&cpu_current()->arrived, false, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&token, __ATOMIC_SEQ_CST) == value)
			return;
		cpu_wait();
	}
}

static void pass_token(unsigned int cpu)
{
	for (unsigned int round = 0; round < TOKEN_ROUNDS; round++) {
		await_token(round * CPUS + cpu);
		__atomic_add_fetch(&token, 1, __ATOMIC_SEQ_CST);
		smp_request(smp_cpu((cpu + 1) % CPUS), REQUEST_LOOK);
	}
}

TEST(no_wake_is_lost)
{
	let_do(pass_token);
	assert_int_equal(token, TOKEN_ROUNDS * CPUS);
	assert_int_equal(nmis_of_guest(), 0);
}

/* How often each has changed an EPT, and what of that each other's INVEPT was behind. */
static unsigned int changed[CPUS], seen[CPUS][CPUS];

static void forget(void)
{
	const unsigned int here = cpu_current()->id;

	for (unsigned int i = 0; i < CPUS; i++)
		__atomic_store_n(&seen[here][i], __atomic_load_n(&changed[i], __ATOMIC_SEQ_CST),
				 __ATOMIC_SEQ_CST);
}

static void change(unsigned int cpu)
{
	const unsigned int now = __atomic_add_fetch(&changed[cpu], 1, __ATOMIC_SEQ_CST);

	smp_request_others(REQUEST_INVEPT);
	for (unsigned int i = 0; i < CPUS; i++)
		note(i == cpu || __atomic_load_n(&seen[i][cpu], __ATOMIC_SEQ_CST) == now);
}

static void ask_at_random(unsigned int cpu)
{
	uint32_t random = SEED * (cpu + 1);

	for (unsigned int i = 0; i < STRESS_ROUNDS; i++) {
		random ^= random << 13;
		random ^= random >> 17;
		random ^= random << 5;
		if (random % 2 == 0)
			change(cpu);
		else
			smp_request(smp_cpu(random / 2 % CPUS), REQUEST_LOOK);
	}
}

static void assert_all_taken(void)
{
	smp_request_others(REQUEST_INVEPT);
	for (unsigned int i = 0; i < CPUS; i++) {
		while (__atomic_load_n(&smp_cpu(i)->requests, __ATOMIC_SEQ_CST) != 0)
			sched_yield();
		assert_true(smp_cpu(i)->vcpu->work & WORK_LOOK);
	}
}

TEST(all_ask_all)
{
	model.on_invept = forget;
	let_do(ask_at_random);
	assert_all_taken();
	assert_int_equal(nmis_of_guest(), 0);
}

static unsigned int nmis_by_device;
static bool device_stops;

static void *device(void *unused __attribute__((unused)))
{
	const struct timespec interval = { .tv_nsec = 20000 };

	for (uint32_t cpu = 0; !__atomic_load_n(&device_stops, __ATOMIC_SEQ_CST); cpu++) {
		__atomic_add_fetch(&nmis_by_device, 1, __ATOMIC_SEQ_CST);
		send_nmi(smp_cpu(cpu % CPUS)->apic_id);
		nanosleep(&interval, NULL);
	}
	return NULL;
}

/* Two NMIs may become one, as in a processor; but none is invented. */
TEST(all_ask_all_while_guests_have_nmis)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, device, NULL), 0);
	let_do(ask_at_random);
	let_do(ask_at_random);
	__atomic_store_n(&device_stops, true, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	assert_all_taken();
	assert_in_range(nmis_of_guest(), 1, nmis_by_device);
}

/* ---- End ---- */

TEST(the_first_that_ends_the_boot_stops_the_others)
{
	unsigned int sent;

	assert_true(smp_stop_others());
	for (unsigned int i = 1; i < CPUS; i++) {
		assert_true(smp_cpu(i)->stopped);
		assert_false(processor(i)->vmx);
		pthread_join(processor(i)->thread, NULL);
	}
	assert_false(processors[ID_NOT_WANTED].entered);
	assert_false(processors[ID_DIFFERENT].entered);
	assert_false(smp_cpu(0)->stopped);
	sent = processor(1)->nmis_sent;
	assert_true(smp_stop_others());
	assert_int_equal(processor(1)->nmis_sent, sent);
	model_current = smp_cpu(2);
	assert_false(smp_stop_others());
	model_current = smp_cpu(0);
}

static int boot_machine(void **state __attribute__((unused)))
{
	const struct itimerval watchdog = { .it_value.tv_sec = WATCHDOG };
	const struct sigaction action = { .sa_handler = nmi_arrives, .sa_flags = SA_RESTART };

	setitimer(ITIMER_REAL, &watchdog, NULL);
	sigaction(NMI, &action, NULL);
	model_reset();
	model.cr3 = 0x1234000;
	processors[0].thread = pthread_self();
	processors[0].runs = true;
	cpu_init(0);
	smp_start(&boot);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_leads_to_64_bit_code),
		cmocka_unit_test(as_many_start_as_are_wanted),
		cmocka_unit_test(an_smi_is_waited_for),
		cmocka_unit_test(who_does_not_start_is_reset),
		cmocka_unit_test(one_that_differs_is_parked),
		cmocka_unit_test(one_beyond_the_limit_is_parked),
		cmocka_unit_test(one_that_cannot_be_taken_is_named),
		cmocka_unit_test(all_run),
		cmocka_unit_test(nobody_passes_a_barrier_alone),
		cmocka_unit_test(requests_under_way_have_one_nmi),
		cmocka_unit_test(a_requester_waits_until_it_is_done),
		cmocka_unit_test(a_wait_for_a_deaf_processor_ends),
		cmocka_unit_test(a_lost_nmi_is_made_up_for),
		cmocka_unit_test(x2apic_mode_is_needed_for_large_ids_only),
		cmocka_unit_test(others_tell_what_they_have_sent),
		cmocka_unit_test(a_request_to_oneself_is_done_at_once),
		cmocka_unit_test(an_nmi_that_nobody_asked_for_is_a_guests),
		cmocka_unit_test(no_wake_is_lost),
		cmocka_unit_test(all_ask_all),
		cmocka_unit_test(all_ask_all_while_guests_have_nmis),
		cmocka_unit_test(the_first_that_ends_the_boot_stops_the_others),
	};

	return cmocka_run_group_tests(tests, boot_machine, NULL);
}
