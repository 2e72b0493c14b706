// SPDX-License-Identifier: BSD-2-Clause
/* Owns the last line of every boot. */
#include "vmm/end.h"

#include <stdbool.h>

#include "lib/debug_exit.h"
#include "lib/format.h"
#include "vmm/host/cpu.h"
#include "vmm/exits/table.h"
#include "vmm/fred/native.h"
#include "vmm/host/power.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/host/smp.h"
#include "vmm/run/vm_list.h"
#include "vmm/vcpu/exit_counts.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/guests/results.h"
#include "vmm/vmx/vtd.h"
#include "vmm/host/x86.h"

#define LINE_MAX 128

static enum at_end at_end;

static void fail(const char *reason) __attribute__((noreturn));
static void fail(const char *reason)
{
	machine_end(END_FAILED, reason);
}

void end_init(const struct boot_info *boot)
{
	at_end = boot->config.at_end;
	panic_set_end(machine_end_begin, fail);
}

void machine_end_begin(void)
{
	if (!smp_stop_others())
		cpu_stop();
	log_take_back_consoles();
}

static void end(enum end_status status, const char *reason, enum at_end action)
	__attribute__((noreturn));
static void end(enum end_status status, const char *reason, enum at_end action)
{
	struct vcpu *const vcpu = cpu_current() ? cpu_current()->vcpu : NULL;
	const uint64_t exits = vm_exit_count();
	char line[LINE_MAX];

	machine_end_begin();
	if (vcpu) {
		fred_log_use(vcpu);
		vm_statistics_print();
	}
	vtd_log_faults();
	format_string(line, sizeof(line), "end status=%s reason=%s exits=%llu",
		      status == END_OK ? "ok" : "failed", reason, (unsigned long long)exits);
	log_error("%s", line);
	guest_results_show(line);
	vmx_disable();
	if (action == AT_END_DEBUG_EXIT)
		outb(PORT_DEBUG_EXIT, status == END_OK ? DEBUG_EXIT_OK : DEBUG_EXIT_FAILED);
	if (action == AT_END_POWEROFF || action == AT_END_DEBUG_EXIT)
		io_power_off();
	else if (action == AT_END_REBOOT)
		io_reset();
	cpu_stop();
}

void machine_end(enum end_status status, const char *reason)
{
	end(status, reason, at_end == AT_END_GUEST ? AT_END_HALT : at_end);
}

void machine_end_as_guest_wished(enum end_wish wish, const char *reason)
{
	enum at_end action = at_end;

	if (action == AT_END_GUEST)
		action = wish == END_WISH_REBOOT ? AT_END_REBOOT : AT_END_POWEROFF;
	vm_log_cut_off(cpu_current()->vcpu->vm);
	if (vm_failure())
		end(END_FAILED, vm_failure(), action);
	end(END_OK, reason, action);
}
