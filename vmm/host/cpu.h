/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One logical processor: its descriptor tables, its stacks, what runs on it.
 * GS base points to struct cpu while the VMM runs.
 */
#ifndef VMM_HOST_CPU_H
#define VMM_HOST_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/config.h"

struct vcpu;

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS  0x18

#define GDT_CODE64 0x00af9b000000ffffULL /* flat, long mode, DPL 0 */
#define GDT_DATA   0x00cf93000000ffffULL /* flat, writable, DPL 0 */

struct tss64 {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7]; /* ist[0] is IST1 */
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_bitmap;
} __attribute__((packed));
_Static_assert(sizeof(struct tss64) == 104, "SDM 3A, figure 8-11");

struct cpu {
	struct cpu *self;  /* at gs:0 */
	struct vcpu *vcpu; /* current on this processor; NULL before the first entry */
	struct vcpu *vcpus[CONFIG_GUESTS_MAX]; /* that it runs: at most one of a guest */
	uint32_t vcpu_count;
	bool priorities_differ; /* among them */
	uint32_t turn;		/* of vcpus: the current one */
	uint64_t slice_end;	/* TSC: until then it goes on */
	bool boost;		/* the one with the devices has got an interrupt: it is next */
	uint64_t interrupts_dropped, nmis_dropped; /* no guest of this processor was to have them */
	struct vcpu *passthrough; /* the one that has this processor's devices and APIC, or NULL */
	uint32_t id;		  /* 0 is the processor that was booted */
	uint32_t apic_id;
	uint32_t requests; /* enum cpu_request of smp.h, from other processors */
	uint32_t arrived;  /* REQUEST_LOOK was taken, or a guest's NMI; ends cpu_wait() */
	uint64_t command;  /* its APIC's last one, when REQUEST_COMMAND was taken */
	bool serves;	   /* takes and carries out requests at this moment */
	bool stopped;
	bool parked; /* runs no guest: beyond the limit, or it differs from the first one */
	const char *difference; /* from the first processor; NULL: none */
	const char *vmx_error;	/* why this one cannot enter VMX operation; NULL: it has */
	struct vcpu
		*fred_vcpu; /* whose values IA32_FRED_RSP0 and IA32_PL0_SSP hold: fred/native.c */
	void *vmxon_region;
	uint64_t gdt[5]; /* null, code, data, TSS (two slots) */
	struct tss64 tss;
};

/* Interrupt stack table: an entry for what must not find a stack that is broken or in use. */
enum ist { IST_NONE, IST_NMI, IST_DOUBLE_FAULT, IST_MACHINE_CHECK, IST_FAULT, IST_COUNT };

static inline struct cpu *cpu_current(void)
{
	struct cpu *cpu;

	asm("mov %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

/* Set up this processor: GDT, TSS, IDT, GS base, CR0, CR4, EFER as the VMM wants them.
 * Before it there is no cpu_current(), nor may the compiler read it: hence the result. */
struct cpu *cpu_init(uint32_t id);

/* Wait, halted, until cpu->arrived is set: by a request that has come, before or meanwhile. */
void cpu_wait(void);

/* NMIs are blocked after one has caused a VM exit, until an IRET: this is one. */
void cpu_unblock_nmis(void);

/* For ever. */
void cpu_stop(void) __attribute__((noreturn));

/* Write these bytes from the caches to memory, where a reset finds them. */
void cpu_write_back(const void *start, size_t size);

/* Bytes of memory that one processor takes, vcpu not counted. */
size_t cpu_memory_size(void);

#endif
