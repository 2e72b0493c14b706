/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual processor and its guest. The struct lies directly above its VMM
 * stack: a VM exit loads HOST_RSP with the end of the registers, and pushes them
 * into place; then the stack goes on below.
 */
#ifndef VMM_VCPU_VCPU_H
#define VMM_VCPU_VCPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/boot_info.h"
#include "lib/x86/vmx.h"
#include "vmm/vcpu/livelock.h"
#include "vmm/vmx/ept.h"
#include "vmm/vcpu/end_request.h"
#include "vmm/vcpu/event.h"
#include "vmm/base/log.h"
#include "vmm/soft/soft.h"
#include "vmm/base/spinlock.h"
#include "vmm/vcpu/context.h"
#include "vmm/vcpu/trace.h"

struct cpu;
struct trap_frame;

/* In the order in which entry.asm pushes them: RAX is the last. */
struct guest_regs {
	uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
};

/* Guest-physical memory that is backed by RAM of ours. */
struct vm_memory {
	uint64_t guest_base;
	uint64_t host_base;
	uint64_t size;
};

/* Who gives the guest FRED. */
enum fred_backend {
	FRED_BACKEND_NONE,
	FRED_BACKEND_NATIVE, /* the processor: fred/native.c */
	FRED_BACKEND_SOFT,   /* the VMM: soft/soft.c */
};

/* Start in 64-bit mode; guest-physical addresses. */
struct mode64 {
	uint64_t cr3, rip, rsp, gdt;
};

/* How the first vcpu of a guest begins. */
struct vm_start {
	bool protected_mode32; /* without paging, else as mode64 says */
	uint32_t entry32;
	struct mode64 mode64;
	struct guest_regs regs;
};

enum vm_devices {
	VM_DEVICES_NONE,	/* memory from `memory` only; ports read as ones */
	VM_DEVICES_PASSTHROUGH, /* the machine as it is, but for the VMM's region */
};

struct vm {
	const char *name;
	enum vm_devices devices;
	struct vm_memory memory; /* VM_DEVICES_NONE */
	struct guest_ram ram; /* a large piece of the guest's memory, for software FRED's walks */
	struct memmap memmap; /* what the guest is told */
	struct vm_start start;
	uint64_t *ept; /* PML4 */
	uint64_t ept_pointer;
	uint64_t ept_tables, ept_tables_max; /* it has, it may have; 0: any number */
	bool ept_used_up;		     /* it was refused one */
	uint8_t *io_bitmaps;		     /* two pages */
	uint32_t exception_bitmap;	     /* exceptions that exit when a vcpu begins */
	uint32_t required_exceptions; /* ... and those that always do: #UD, where LKGS needs it */
	enum fred_backend fred;
	bool shadow_stacks; /* the guest has CET */
	uint64_t xss;	    /* bits that the guest may set in IA32_XSS */
	const struct boot_info *boot;
	const struct guest_config *config; /* this guest's part of boot->config */
	const struct boot_guest *files;	   /* and of boot's files */
	struct spinlock lock; /* of the EPT, of apics_watched, of its vcpus' state and startup */
	bool apics_watched;
	uint32_t first_cpu; /* has vcpu 0, the next one vcpu 1 */
	uint32_t vcpu_count;
	struct vcpu *vcpus[CONFIG_CPUS_MAX];
	bool ended;		      /* none of its vcpus runs any more: vm.c */
	struct spinlock console_lock; /* of line, and of what guests/results.c reads */
	struct guest_line line;
};

/* Reasons to call vcpu_prepare_entry() before the next VM entry: one test in the exit path. */
enum vcpu_work {
	WORK_EVENT = 1 << 0,		 /* vcpu.event is to be delivered */
	WORK_NMI = 1 << 1,		 /* an NMI waits */
	WORK_INTERRUPT = 1 << 2,	 /* an acknowledged external interrupt waits */
	WORK_NMI_ARRIVED = 1 << 3,	 /* set by the VMM's NMI handler, at any time */
	WORK_INTERRUPT_ARRIVED = 1 << 4, /* the same for interrupts */
	WORK_SNAPSHOT = 1 << 5,		 /* at the next interrupted delivery: run/snapshot.h */
	WORK_LOOK = 1 << 6,		 /* this processor has something to look at: run/sched.h */
};

/* Interrupts of the machine that the VMM took from the APIC: none may get lost. */
struct interrupt_counts {
	uint64_t taken, delivered;
	uint64_t merged; /* taken while the same vector waited already: the APIC prevents it */
};

enum vcpu_state {
	VCPU_RUNS,
	VCPU_HALTED, /* with interrupts off: until NMI, INIT */
	VCPU_WAITS_FOR_SIPI,
	VCPU_ENDS, /* its guest has to end: end_request.h */
};

/* INIT and SIPI that were sent to a vcpu and are not carried out yet: run/startup.c, with vm->lock.
 */
struct startup {
	bool init, sipi;
	uint8_t vector;
	/* A guest without devices has no SIPI, but a hypercall: 64-bit mode. */
	bool in_mode64;
	uint64_t rip, rsp, rdi;
};

#define INTERRUPT_WORDS 4 /* a bit for each vector */

struct vcpu {
	struct guest_regs regs; /* first: see above */
	uint64_t regs_end;	/* its address is HOST_RSP */
	/*
	 * Up to `cr8`: what other processors read or change at any time, by locked instructions or
	 * with vm->lock. run/snapshot.c does not destroy it.
	 */
	uint32_t work;	/* enum vcpu_work; changed by vcpu_set_work() and vcpu_clear_work() only */
	uint32_t index; /* in vm->vcpus */
	struct vm *vm;
	struct cpu *cpu; /* the processor that runs it, always the same */
	uint32_t turn;	 /* index in cpu->vcpus */
	enum vcpu_state state;
	struct startup startup;
	/* Acknowledged vectors. Only its own processor takes bits away, and keeps WORK_INTERRUPT
	 * set while there are any. */
	uint64_t pending_interrupts[INTERRUPT_WORDS];
	struct interrupt_counts interrupts;
	uint8_t cr8; /* of a guest without an APIC */
	uint8_t timer_vector;
	bool apic_off;			 /* for the guest: exits/apic_base.c */
	bool launched;			 /* its VMCS: VMRESUME is the way to enter */
	struct event event;		 /* valid with WORK_EVENT */
	uint64_t vmcs;			 /* physical */
	uint16_t vpid;			 /* of this vcpu alone */
	uint8_t *msr_bitmap;		 /* one page */
	uint64_t guest_cr4_allowed;	 /* bits that the guest may set */
	uint64_t steps_left;		 /* with the monitor trap flag */
	struct vmx_msr_entry *fred_area; /* FRED's MSRs in memory: NULL when they are in the VMCS */
	uint64_t fred_rsp0, pl0_ssp;	 /* of fred/native.c: in the MSRs while they are loaded */
	struct soft_fred soft;
	uint64_t deadline;	  /* TSC, of its virtual clock; TIMER_NEVER: none */
	bool timer_runs;	  /* the preemption timer, in its VMCS */
	bool halted;		  /* while it is not current: it waits in HLT */
	bool nmis_blocked;	  /* while it waits in HLT: see vcpu_nmi_ends_halt() */
	struct switched switched; /* while it is not current */
	uint8_t *xsave;		  /* NULL where it is alone on its processor */
	uint64_t switches;	  /* how often it was made current */
	uint32_t exceptions;	  /* that exit while software FRED is off: vcpu/event.c */
	struct livelock livelock;
	struct end_request end;
	uint64_t exits_by_reason[EXIT_REASON_COUNT];
	struct trace trace;
};

static inline bool vm_is_smp(const struct vm *vm)
{
	return vm->vcpu_count > 1;
}

/* One instruction each: the NMI handler and other processors may set a bit between any two. What is
 * written before a bit is set is seen by who sees the bit. */
static inline void vcpu_set_work(struct vcpu *vcpu, enum vcpu_work bit)
{
	__atomic_or_fetch(&vcpu->work, (uint32_t)bit, __ATOMIC_SEQ_CST);
}

static inline void vcpu_clear_work(struct vcpu *vcpu, enum vcpu_work bit)
{
	__atomic_and_fetch(&vcpu->work, ~(uint32_t)bit, __ATOMIC_SEQ_CST);
}

/* HLT in a handler of NMIs: none wakes it up before that is over. */
static inline bool vcpu_nmi_ends_halt(const struct vcpu *vcpu)
{
	return (vcpu->work & (WORK_NMI | WORK_NMI_ARRIVED)) && !vcpu->nmis_blocked;
}

/* The guest's GPR by the number that instructions and exit qualifications use; 4 is RSP. */
uint64_t vcpu_gpr(const struct vcpu *vcpu, unsigned int number);
void vcpu_set_gpr(struct vcpu *vcpu, unsigned int number, uint64_t value);

/* Of the current VMCS, with base 0. Rights: ACCESS_RIGHTS_*. */
void vcpu_set_segment(enum segment segment, uint16_t selector, uint32_t limit, uint32_t rights);

/* Print the guest's general registers, RIP, RSP and RFLAGS. */
void vcpu_print_registers(const struct vcpu *vcpu);

#endif
