// SPDX-License-Identifier: BSD-2-Clause
/*
 * The built-in guest: runs the tests, or (cmdline scenario=NAME) something that the VMM must
 * survive and report. Owns its output and its end: hypercalls in a VM, the serial port and a
 * function of fredcheck.efi on the bare machine.
 */
#include <stdarg.h>

#include "guest/machine/fred.h"
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"
#include "lib/format.h"
#include "lib/results.h"
#include "lib/string.h"
#include "lib/tap.h"
#include "lib/uart.h"

#define LINE_MAX 256

static const char scenario_key[] = "scenario=";
static struct selftest_info info;
static uint64_t cr3_at_start;
static struct uart uart;       /* used on the bare machine only */
static struct results results; /* on the bare machine; elsewhere the VMM reads them */

_Noreturn void guest_main(const struct selftest_info *given);

/* For the loader, which has a file system. */
static void keep_text(const char *text, size_t length)
{
	struct selftest_text *const kept = (struct selftest_text *)(uintptr_t)info.text;

	if (kept == NULL || length > info.text_size - sizeof(*kept) - kept->length)
		return;
	memcpy(kept->bytes + kept->length, text, length);
	kept->length += length;
}

/* A call may take a part only. */
static void write_to_log(const char *text, size_t length)
{
	while (length > 0) {
		const long taken =
			hypercall(HYPERCALL_CONSOLE_WRITE, (uintptr_t)text, length, 0, 0);

		if (taken <= 0)
			return;
		text += taken;
		length -= (size_t)taken;
	}
}

void tap_write(const char *text, size_t length)
{
	if (!info.bare) {
		write_to_log(text, length);
		return;
	}
	results_read(&results, text, length);
	keep_text(text, length);
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n')
			uart_put(&uart, '\r');
		uart_put(&uart, text[i]);
	}
}

void print(const char *format, ...)
{
	char line[LINE_MAX];
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	length = (size_t)format_string_v(line, sizeof(line) - 1, format, arguments);
	va_end(arguments);
	if (length > sizeof(line) - 2)
		length = sizeof(line) - 2;
	line[length++] = '\n';
	tap_write(line, length);
}

static _Noreturn void end(uint64_t status)
{
	if (info.bare) {
		void (*const end_bare)(uint64_t, const struct results *) =
			(void (*)(uint64_t, const struct results *))(uintptr_t)info.end;

		fred_end();
		apic_leave();
		write_cr3(cr3_at_start);
		end_bare(status, &results);
	}
	hypercall(HYPERCALL_END, status, 0, 0, 0);
	for (;;)
		asm volatile("cli\n\thlt");
}

void guest_fail(const char *why)
{
	print("# guest: %s", why);
	end(1);
}

/* The number behind this key, after the scenario's name on the command line. */
static uint64_t option(const char *key, uint64_t if_missing)
{
	const char *at = info.cmdline;
	uint64_t value = 0;

	while ((at = strchr(at, ' ')) && strncmp(++at, key, strlen(key)) != 0)
		;
	if (!at)
		return if_missing;
	for (at += strlen(key); *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (uint64_t)(*at - '0');
	return value;
}

static void triple_fault(void)
{
	gate_set_present(VECTOR_UD, false);
	gate_set_present(VECTOR_NP, false);
	gate_set_present(VECTOR_DF, false);
	asm volatile("ud2");
}

/* Memory that the guest does not have. */
static void touch_nowhere(void)
{
	const uint64_t address = (info.memory_size & ~(SIZE_2M - 1)) + SIZE_2M;

	if (!page_map_large(address))
		guest_fail("no memory for page tables");
	(void)*(volatile uint64_t *)(uintptr_t)address;
}

static void halt(void)
{
	/* With interrupts off none ends it. */
	inject(INJECT(EVENT_EXTERNAL_INTERRUPT, VECTOR_INTERRUPT), 0, 0, 0);
	asm volatile("cli\n\thlt");
}

static void end_failed(void)
{
	end(1);
}

static _Noreturn void run_tests(const char *tests)
{
	const struct suite_options options = { tests, info.errata, info.bare };

	end(suite_run(&options) ? 0 : 1);
}

static void port_io(void)
{
	run_tests("io.*");
}

static void bench(void)
{
	bench_run();
	end(0);
}

static void bench_ipi(void)
{
	bench_run_ipi();
	end(0);
}

static void bench_events(void)
{
	bench_run_events();
	end(0);
}

static void timeline(void)
{
	bench_run_timeline();
	end(0);
}

static void bench_switch(void)
{
	bench_run_switch(option("seed=", 0));
	end(0);
}

/* The handler returns to the instruction that has raised the exception. */
extern const char iret_alone[];
asm(".pushsection .text\niret_alone:\tiretq\n.popsection");

static void endless(void)
{
	gate_set_handler(VECTOR_UD, (uintptr_t)iret_alone);
	asm volatile("ud2");
}

static void idle(void)
{
	for (;;)
		asm volatile("sti\n\thlt");
}

static void switch_guests(void)
{
	end(switch_run(option("switches=", 1000), option("seed=", 0), option("spin=", 0) != 0) ? 0
											       : 1);
}

static const struct {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{ "switch", switch_guests },
	{ "bench-switch", bench_switch },
	{ "idle", idle },
	{ "endless", endless },
	{ "triple-fault", triple_fault },
	{ "fred-triple-fault", fred_triple_fault },
	{ "touch-nowhere", touch_nowhere },
	{ "halt", halt },
	{ "end-failed", end_failed },
	{ "port-io", port_io },
	{ "bench", bench },
	{ "bench-events", bench_events },
	{ "bench-ipi", bench_ipi },
	{ "timeline", timeline },
};

static _Noreturn void run_scenario(const char *name)
{
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		const size_t length = strlen(scenarios[i].name);

		if (strncmp(name, scenarios[i].name, length) != 0 ||
		    (name[length] != '\0' && name[length] != ' '))
			continue;
		print("# guest: scenario %s", name);
		scenarios[i].run();
		guest_fail("the scenario did not end the guest");
	}
	guest_fail("no such scenario");
}

/* Called by machine/boot.asm. */
void guest_main(const struct selftest_info *given)
{
	info = *given;
	if (info.uart != 0)
		uart = *(const struct uart *)(uintptr_t)info.uart;
	cr3_at_start = read_cr3();
	machine_init(info.memory_size, info.bare);
	/* Uncached by the MTRRs, as all device memory. */
	if (uart.kind == UART_MMIO && !page_map_large(uart.base & ~(SIZE_2M - 1)))
		uart.kind = UART_NONE;
	if (strncmp(info.cmdline, scenario_key, strlen(scenario_key)) == 0)
		run_scenario(info.cmdline + strlen(scenario_key));
	run_tests(info.tests);
}
