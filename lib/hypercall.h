/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interface between a guest and Manfred: VMCALL with the number in RAX and
 * arguments in RBX, RCX, RDX, RSI; the result is in RAX, all other registers
 * keep their values. Only from CPL 0; elsewhere VMCALL raises #UD, as on a
 * processor without VMX. The built-in guest knows nothing else of the VMM.
 *
 * INJECT, EXIT_COUNT, TRACE, VMCS_DUMP, STEP, SNAPSHOT, INTERCEPT and SWITCH are
 * test services: the result is HYPERCALL_DENIED in a guest whose section of
 * manfred.cfg does not have test_services = on, the default of the built-in one.
 */
#ifndef LIB_HYPERCALL_H
#define LIB_HYPERCALL_H

/* CPUID leaf with the signature in EBX, ECX, EDX; EAX is the highest leaf of the range. */
#define MANFRED_CPUID_LEAF	0x40000000
#define MANFRED_CPUID_SIGNATURE "ManfredManfr"

enum hypercall {
	HYPERCALL_NOP = 0, /* does nothing: for measuring */
	/*
	 * RBX: guest-physical address, RCX: bytes, at most 4096. To the log as they are. Result:
	 * how many were taken. Where guests share the processor that is one line at most, so that
	 * the others get their turns: write the rest by another call.
	 */
	HYPERCALL_CONSOLE_WRITE = 1,
	/* RBX: 0 ok, else failed. The guest ends here. */
	HYPERCALL_END = 2,
	/* RBX: guest-physical address. The next access to its page exits, and maps it again. */
	HYPERCALL_UNMAP_PAGE = 3,
	/*
	 * Inject an event at the next VM entry. RBX: VM-entry interruption information, RCX: error
	 * code, RDX: instruction length (types 4 to 7), RSI: event data, which is the linear
	 * address of #PF, causes of #DB, and the IA32_XFD_ERR of #NM; of others it is not looked
	 * at. With CR4.FRED also nested exceptions (bit 13; not #DF), SYSCALL and SYSENTER (type 7,
	 * vectors 1 and 2).
	 */
	HYPERCALL_INJECT = 4,
	/* RBX: basic exit reason. Result: exits of this vcpu for it so far. */
	HYPERCALL_EXIT_COUNT = 5,
	/* Print the newest exits (log = trace, or steps). Not where guests share the processor. */
	HYPERCALL_TRACE = 6,
	/* Print the decoded VMCS. Not where guests share the processor. */
	HYPERCALL_VMCS_DUMP = 7,
	/* The virtual clock. RBX: TSC ticks from now, RCX: vector (32 to 255) of one interrupt. */
	HYPERCALL_TIMER = 8,
	/* RBX: instructions to step over with an exit after each (exit reason 37). */
	HYPERCALL_STEP = 9,
	/*
	 * RBX: vector (32 to 255). A physical interrupt of the local APIC, taken by the VMM.
	 * HYPERCALL_QUEUED: not by the APIC, which others have or share.
	 */
	HYPERCALL_SELF_INTERRUPT = 10,
	/*
	 * At the next exit in the middle of an event's delivery, the VMM saves the vcpu, destroys
	 * it with every register, makes it again from what it has saved, and delivers the event.
	 */
	HYPERCALL_SNAPSHOT = 11,
	/*
	 * RBX: a bit for each exception (0 to 31) that exits, to be reflected. Result: those
	 * before. While FRED is on by software all do, and nothing else is taken.
	 */
	HYPERCALL_INTERCEPT = 12,
	/*
	 * What FRED costs a switch to another vcpu with FRED and back: TSC ticks in the VMM. RBX: 0
	 * when the other one has the same IA32_FRED_RSP0 and IA32_PL0_SSP, 1 when others.
	 */
	HYPERCALL_SWITCH = 13,
	/*
	 * Start another vcpu of this guest, which waits as after INIT: in the state in which the
	 * first one begins, but RBX: its index, RCX: RIP, RDX: RSP, RSI: what it finds in RDI.
	 */
	HYPERCALL_START = 14,
	/* RBX: index of a vcpu of this guest, RCX: vector (32 to 255) of an interrupt for it. */
	HYPERCALL_IPI = 15,
	/* Give the rest of this turn to the processor's next guest, if it has one. */
	HYPERCALL_YIELD = 16,
	/* Result: how often the processor has switched to this vcpu. */
	HYPERCALL_SWITCHES = 17,
};

/* Results in RAX, as signed numbers. */
#define HYPERCALL_OK	  0L
#define HYPERCALL_QUEUED  1L
#define HYPERCALL_UNKNOWN (-1L)
#define HYPERCALL_INVALID (-2L)
#define HYPERCALL_DENIED  (-3L) /* a test service, and this guest has none */

/*
 * What the built-in guest finds at the guest-physical address in RDI when it
 * starts: in 64-bit mode at CPL 0, its memory identity-mapped from 0 with 2 MiB
 * pages, flat segments, interrupts off, RSP valid, no IDT. It is loaded by its
 * ELF file's physical addresses. fredcheck.efi starts the same image on the bare
 * machine in the same state, but for the GDT and the page tables, which are the
 * firmware's, and map the same.
 */
struct selftest_info {
	unsigned long long
		memory_size; /* bytes, from guest-physical 0; free but for the ELF's segments,
			      * this struct and the first tables: both below 1 MiB */
	char cmdline[256];
	char tests[64];	  /* pattern of manfred.cfg, "" for all */
	char errata[128]; /* known deviations of the platform: identifiers with commas between */
	/* Only on the bare machine; 0 in a VM, where there are hypercalls for this: */
	unsigned int bare;	 /* 1: no hypercalls */
	unsigned long long uart; /* address of a struct uart (lib/uart.h); 0: write to none */
	/* void end(uint64_t failed, const struct results *results): with CR3 as at the start */
	unsigned long long end;
	/* Where a struct selftest_text of so many bytes is, for all that is printed; 0: nowhere. */
	unsigned long long text;
	unsigned long long text_size;
};

/* What the suite has printed, as far as there was room. */
struct selftest_text {
	unsigned long long length; /* bytes */
	char bytes[];
};

#endif
