// SPDX-License-Identifier: BSD-2-Clause
/* Start-up, from the loader's jump to the first VM entry. */
#include <stddef.h>
#include <stdint.h>

#include "lib/boot_info.h"
#include "lib/format.h"
#include "lib/logring.h"
#include "lib/version.h"
#include "lib/x86/cpu.h"
#include "lib/x86/ports.h"
#include "vmm/host/apic.h"
#include "vmm/base/screen.h"
#include "vmm/base/serial.h"
#include "vmm/fred/native.h"
#include "vmm/guest_end.h"
#include "vmm/host/cpu.h"
#include "vmm/end.h"
#include "vmm/host_events.h"
#include "vmm/run/create.h"
#include "vmm/run/enter.h"
#include "vmm/run/startup.h"
#include "vmm/selftest/checks.h"
#include "vmm/selftest/flips.h"
#include "vmm/host/power.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/host/smp.h"
#include "vmm/vcpu/context.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vm.h"
#include "vmm/host/x86.h"

void vmm_main(const struct boot_info *boot) __attribute__((noreturn));

/* entry.asm */
void vcpu_launch(struct vcpu *vcpu) __attribute__((noreturn));
void vcpu_resume(struct vcpu *vcpu) __attribute__((noreturn));
extern const uint8_t vmexit_entry[], vmexit_entry_traced[], vmexit_entry_watched[];

#define ENDLESS 1000000

/*
 * A loader of another build: nothing in what it hands over is where it should be, and the port of a
 * PC's first UART is the only place where this can be said.
 */
static void check_boot_info(const struct boot_info *boot)
{
	struct uart uart = { PORT_COM1, UART_PORT, 1, 8, UART_CLOCK_PC, 0 };
	char text[256];
	int length;

	if (boot->magic == BOOT_INFO_MAGIC && boot->size == sizeof(*boot))
		return;
	length = format_string(text, sizeof(text),
			       "\r\nmanfred: loader and VMM are of different builds: boot_info has "
			       "mark 0x%llx and %llu bytes, wanted are 0x%llx and %llu\r\n"
			       "manfred: end status=failed reason=boot-info exits=0\r\n",
			       (unsigned long long)boot->magic, (unsigned long long)boot->size,
			       (unsigned long long)BOOT_INFO_MAGIC,
			       (unsigned long long)sizeof(*boot));
	if (!uart_answers(&uart))
		cpu_stop();
	for (int i = 0; i < length; i++)
		uart_put(&uart, text[i]);
	uart_drain(&uart);
	cpu_stop();
}

static int overflow_stack(int depth)
{
	volatile int here = depth;

	return depth == 0 ? 0 : overflow_stack(depth - 1) + here;
}

/* The damage that manfred.cfg asks for with debug = ...: what the VMM says about it is under test.
 */
static void do_damage(enum debug_fault fault)
{
	const volatile uint64_t *volatile nowhere = NULL;

	switch (fault) {
	case DEBUG_VMM_FAULT:
		(void)*nowhere;
		break;
	case DEBUG_VMM_STACK_OVERFLOW:
		overflow_stack(ENDLESS);
		break;
	case DEBUG_VMM_WRITE_TEXT:
		*(volatile uint8_t *)(uintptr_t)vmm_main = 0;
		break;
	case DEBUG_VMM_NMI:
		/* The second comes only when the return from the first unblocked NMIs. */
		apic_send_self_nmi();
		apic_send_self_nmi();
		break;
	case DEBUG_VMM_PANIC: /* vm.c */
	case DEBUG_BOOT_INFO: /* the loader */
	case DEBUG_FLIP_VMCS:
	case DEBUG_NONE:
	case DEBUG_INVALID_GUEST_STATE:
		break;
	}
}

static void start_log(const struct boot_info *boot)
{
	struct logring *ring = NULL;

	logring_written = cpu_write_back;
	if (boot->log_size != 0)
		ring = logring_open(phys_to_virt(boot->log_base), boot->log_size);
	log_init(boot->config.log, ring);
	if (boot->config.console & CONSOLE_SERIAL)
		serial_init(&boot->uart);
	log_set_consoles(boot->config.console & CONSOLE_SERIAL ? serial_write : NULL,
			 serial_take_back,
			 (boot->config.console & CONSOLE_SCREEN) && screen_init(&boot->framebuffer)
				 ? screen_write
				 : NULL);
}

/* What lower rooms call of upper ones. */
static void connect_rooms(void)
{
	static const struct guest_entry entry = {
		.exit = vmexit_entry,
		.exit_traced = vmexit_entry_traced,
		.exit_watched = vmexit_entry_watched,
		.launch = vcpu_launch,
		.resume = vcpu_resume,
	};

	enter_init(&entry);
	startup_set_guest_end(guest_end_carry_out);
}

static void log_memory(void)
{
	uint64_t used, total;

	memory_usage(&used, &total);
	log_info("the VMM uses %llu of %llu KiB, %llu KiB of them per processor and vcpu",
		 (unsigned long long)(used * PAGE_SIZE / 1024),
		 (unsigned long long)(total * PAGE_SIZE / 1024),
		 (unsigned long long)((cpu_memory_size() + vcpu_memory_size()) / 1024));
}

static void enter_vmx(void)
{
	const char *const error = vmx_enable();

	if (error)
		panic("vmxon", "the first processor %s: CR0 %llx, CR4 %llx", error,
		      (unsigned long long)read_cr0(), (unsigned long long)read_cr4());
}

void vmm_main(const struct boot_info *boot)
{
	check_boot_info(boot);
	end_init(boot); /* how a boot ends that cannot go on */
	host_events_init();
	memory_init(boot); /* the rest of the region, the page tables: before any allocation */
	cpu_init(0);	   /* GDT, TSS, IDT, per-CPU data: from here on a fault is caught */
	start_log(boot);   /* the consoles: from here on it is reported */
	log_info("Manfred " MANFRED_VERSION ", VMM at 0x%llx, %llu MiB of RAM, %u processors",
		 (unsigned long long)boot->vmm_base,
		 (unsigned long long)(memmap_ram_size(&boot->memmap) >> 20), boot->processor_count);
	do_damage(boot->config.debug);
	connect_rooms();
	io_init(boot->rsdp); /* how to turn the machine off */
	machine_probe();     /* what VMX can do here */
	fred_probe();	     /* what FRED can do, and how guests get its MSRs */
	switch_probe();	     /* which registers it has beside the VMCS */
	enter_vmx();
	fred_check(boot); /* and whether what it has of FRED works */
	if (boot->config.debug == DEBUG_FLIP_VMCS)
		flip_vmcs(boot);
	smp_start(boot);
	vm_load_all(boot);
	log_memory();
	smp_run(vm_run_all);
}
