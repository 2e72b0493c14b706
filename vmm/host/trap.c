// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns the VMM's IDT, and what becomes of an event in the VMM, by IDT or FRED: an exception is a
 * bug of the VMM, it is reported with registers and callers, and the boot ends. An NMI or an
 * interrupt belongs to the guest.
 */
#include "vmm/host/trap.h"

#include <stdbool.h>
#include <stddef.h>

#include "lib/layout.h"
#include "lib/symbols.h"
#include "lib/x86/cpu.h"
#include "lib/x86/fred.h"
#include "vmm/host/cpu.h"
#include "vmm/base/log.h"
#include "vmm/base/memory.h"
#include "vmm/host/x86.h"

#define VECTORS		 256
#define GATE_INTERRUPT64 0x8e /* present, DPL 0, 64-bit interrupt gate */
#define BACKTRACE_DEPTH	 24

struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint8_t ist;
	uint8_t type;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct gate) == 16, "SDM 3A, figure 6-8");

struct fixup {
	uint64_t faulting_rip;
	uint64_t go_on_at;
};

extern const uint64_t trap_stubs[VECTORS];
extern const struct fixup fixup_table_start[], fixup_table_end[];

static struct gate idt[VECTORS];
static trap_handler *nmi_handler, *interrupt_handler;

static const char *const vector_names[EXCEPTION_VECTORS] = {
	[VECTOR_DE] = "divide error",
	[VECTOR_DB] = "debug",
	[VECTOR_NMI] = "NMI",
	[VECTOR_BP] = "breakpoint",
	[VECTOR_OF] = "overflow",
	[VECTOR_BR] = "bound range",
	[VECTOR_UD] = "invalid opcode",
	[VECTOR_NM] = "device not available",
	[VECTOR_DF] = "double fault",
	[VECTOR_TS] = "invalid TSS",
	[VECTOR_NP] = "segment not present",
	[VECTOR_SS] = "stack fault",
	[VECTOR_GP] = "general protection",
	[VECTOR_PF] = "page fault",
	[VECTOR_MF] = "x87 error",
	[VECTOR_AC] = "alignment check",
	[VECTOR_MC] = "machine check",
	[VECTOR_XM] = "SIMD error",
	[VECTOR_VE] = "virtualization exception",
	[VECTOR_CP] = "control protection",
};

static uint8_t ist_of(int vector)
{
	switch (vector) {
	case VECTOR_NMI:
		return IST_NMI;
	case VECTOR_DF:
		return IST_DOUBLE_FAULT;
	case VECTOR_MC:
		return IST_MACHINE_CHECK;
	default:
		/* A stack overflow raises #PF: the report needs a stack that is still good. */
		return IST_FAULT;
	}
}

void trap_init(void)
{
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (uint64_t)idt };

	for (int i = 0; i < VECTORS; i++)
		idt[i] = (struct gate){
			.offset_low = (uint16_t)trap_stubs[i],
			.selector = SELECTOR_CODE,
			.ist = ist_of(i),
			.type = GATE_INTERRUPT64,
			.offset_middle = (uint16_t)(trap_stubs[i] >> 16),
			.offset_high = (uint32_t)(trap_stubs[i] >> 32),
		};
	asm volatile("lidt %0" : : "m"(idtr));
}

static void print_caller(uint64_t address)
{
	uint64_t offset = 0;
	const char *const name = symbol_lookup(address, &offset);

	log_error("  %016llx %s+0x%llx", (unsigned long long)address, name ? name : "?",
		  (unsigned long long)offset);
}

/* Frames of one stack only: a frame pointer that leaves upward order or alignment ends the walk. */
void backtrace(uint64_t rip, uint64_t rbp)
{
	print_caller(rip);
	for (int depth = 0; depth < BACKTRACE_DEPTH; depth++) {
		const uint64_t *const frame = (const uint64_t *)rbp;

		if (rbp % sizeof(uint64_t) != 0 || rbp < VMM_BASE ||
		    !memory_is_mapped(frame, 2 * sizeof(uint64_t)) || frame[1] == 0)
			return;
		print_caller(frame[1]);
		if (frame[0] <= rbp)
			return;
		rbp = frame[0];
	}
}

static void print_registers(const struct trap_frame *f)
{
	const uint64_t cs = f->cs & FRED_SELECTOR_MASK;
	const uint64_t ss = f->ss & FRED_SELECTOR_MASK;

#define SHOW(a, x, b, y, c, z, d, w)                                                         \
	log_error("  " a "=%016llx " b "=%016llx " c "=%016llx " d "=%016llx",               \
		  (unsigned long long)(x), (unsigned long long)(y), (unsigned long long)(z), \
		  (unsigned long long)(w))
	SHOW("rip", f->rip, "rsp", f->rsp, "rflags", f->rflags, "cs", cs);
	SHOW("rax", f->rax, "rbx", f->rbx, "rcx", f->rcx, "rdx", f->rdx);
	SHOW("rsi", f->rsi, "rdi", f->rdi, "rbp", f->rbp, "r8", f->r8);
	SHOW("r9", f->r9, "r10", f->r10, "r11", f->r11, "r12", f->r12);
	SHOW("r13", f->r13, "r14", f->r14, "r15", f->r15, "ss", ss);
#undef SHOW
	log_error("  cr0=%016llx cr2=%016llx cr3=%016llx cr4=%016llx",
		  (unsigned long long)read_cr0(), (unsigned long long)read_cr2(),
		  (unsigned long long)read_cr3(), (unsigned long long)read_cr4());
}

static void report_fault(const struct trap_frame *frame)
{
	static int reports;

	/* A fault in the report itself: say the least, and if that faults as well, stop. */
	if (++reports == 2)
		panic_end("vmm-fault-in-report");
	if (reports > 2)
		for (;;)
			hlt();
	panic_begin();
	log_error("fault in the VMM: %s (vector %llu), error code 0x%llx, on processor %u",
		  vector_names[frame->vector] ? vector_names[frame->vector] : "reserved vector",
		  (unsigned long long)frame->vector, (unsigned long long)frame->error_code,
		  cpu_current()->id);
	print_registers(frame);
	log_error("called from:");
	backtrace(frame->rip, frame->rbp);
	panic_end("vmm-fault");
}

static bool fix_up(struct trap_frame *frame)
{
	for (const struct fixup *f = fixup_table_start; f < fixup_table_end; f++) {
		if (f->faulting_rip == frame->rip) {
			frame->rip = f->go_on_at;
			return true;
		}
	}
	return false;
}

void trap_set_handlers(trap_handler *nmi, trap_handler *interrupt)
{
	nmi_handler = nmi;
	interrupt_handler = interrupt;
}

void trap_handle(struct trap_frame *frame)
{
	if (frame->vector == VECTOR_NMI)
		nmi_handler(frame);
	else if (frame->vector >= EXCEPTION_VECTORS)
		interrupt_handler(frame);
	else if (frame->vector != VECTOR_GP || !fix_up(frame))
		report_fault(frame);
}
