/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A processor in VMX operation, as far as the VMM's C code sees it: the current VMCS, the registers
 * that the VMCS does not hold, VM entry with its checks of event injection, VM exit. It is written
 * from SDM 3C, chapters 27 and 28, and shares no code with the VMM.
 */
#ifndef TESTS_UNIT_MODEL_H
#define TESTS_UNIT_MODEL_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/x86/vmx.h"
#include "vmm/vcpu/event.h"

struct vcpu;

#define MODEL_FIELDS 0x8000 /* encodings */
#define MODEL_MSRS   64
/* x87, SSE, AVX, and AMX's tiles: the one that XFD can disable. */
#define MODEL_COMPONENTS 4
#define MODEL_XCR0	 (7ULL | MODEL_XFD)
#define MODEL_XFD	 (1ULL << 18)
#define MODEL_LOG_SIZE	 16384

struct model {
	uint64_t fields[MODEL_FIELDS];
	uint32_t written[MODEL_FIELDS]; /* the field was written after so many VM entries, + 1 */
	uint32_t entries;
	bool absent[MODEL_FIELDS]; /* the processor has no such field */
	uint64_t cr2, cr3, cr4, cr8, dr[4], dr6, xcr0, tsc;
	uint32_t pkru;
	/* The state components, a number each for all of it. */
	uint64_t extended[MODEL_COMPONENTS];
	uint64_t msr;	      /* the value of every MSR that model_set_msr() does not know */
	uint32_t msr_written; /* the number of the last one written */
	uint32_t msr_missing; /* the processor has no such MSR; 0: it has all */
	unsigned int msr_reads, msr_writes;
	struct model_msr {
		uint32_t number;
		uint64_t value;
	} msrs[MODEL_MSRS];
	unsigned int msr_count;
	/* Before each RDMSR, and behind each WRMSR; NULL: nothing. */
	void (*on_rdmsr)(uint32_t number);
	void (*on_wrmsr)(uint32_t number, uint64_t value);
	void (*on_pause)(void);
	/* The test's I/O ports; without them an access ends the test. */
	uint32_t (*on_in)(uint16_t port, unsigned int size);
	void (*on_out)(uint16_t port, unsigned int size, uint32_t value);
	bool refuses;	    /* WRMSR and XSETBV of a guest's value fault */
	bool strict_errors; /* IA32_VMX_BASIC[56] = 0: error codes only where they belong */
	bool has_fred;	    /* with it IA32_VMX_BASIC[58] */
	unsigned int invepts, invvpids;
	void (*on_invept)(void);	      /* NULL: nothing more than counting */
	void (*on_clflush)(const void *line); /* NULL: nothing */
	unsigned int requests;		      /* smp_request_others() */
	unsigned int commands;		      /* sipi_command() */
	unsigned int gps;		      /* raise_gp() */
	unsigned int uds;		      /* raise_ud() */
	unsigned int skips;		      /* skip_instruction() */
	/* Where panic() goes; it fails the test when this is NULL. */
	jmp_buf *end;
	const char *end_reason;
	char log[MODEL_LOG_SIZE]; /* what log_line() has said lately, a line each */
	size_t log_length;
};

extern struct model model;

/* A processor without FRED, its guest in 64-bit mode with interrupts enabled. */
void model_reset(void);

/* Set a field as the processor does, which may write all of them. */
void model_set(enum vmcs_field field, uint64_t value);

/* From now on this MSR has a value of its own. */
void model_set_msr(uint32_t number, uint64_t value);
uint64_t model_msr(uint32_t number);

/* What RDMSR and WRMSR do. */
uint64_t model_rdmsr(uint32_t number);
void model_wrmsr(uint32_t number, uint64_t value);

/* What XSAVE does, and XRSTOR: false when it faults. */
void model_xsave(void *area);
bool model_xrstor(const void *area);

/* Is this in what was logged? */
bool model_logged(const char *text);

/* What a VM entry makes of the fields that deal with events. */
struct model_entry {
	bool injected;
	/* As the guest meets it: event_data is that of FRED's frame, and without FRED CR2 with #PF
	 * and else 0; the instruction length is that of an event that has one. */
	struct event event;
};

/* The rule that a VM entry would fail by, in words; NULL when it succeeds. */
const char *model_entry_error(void);

/* Enter the guest, deliver. A VM entry that fails ends the test. */
struct model_entry model_vm_entry(void);

/* The reason of the VM exit that follows at once because of a window control; -1: none. */
int model_window_exit(void);

/* An exit between two instructions. What it leaves undefined is filled with garbage. */
void model_exit(enum exit_reason reason);

/* An exit in the middle of the delivery of this event. */
void model_exit_in_delivery(enum exit_reason reason, const struct event *event);

#endif
