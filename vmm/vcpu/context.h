/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of a vcpu is neither in its VMCS nor in struct vcpu while it runs, but in the processor's
 * registers: the one list of it. Beside it there are only IA32_FRED_RSP0 and IA32_PL0_SSP:
 * fred/native.c.
 */
#ifndef VMM_VCPU_CONTEXT_H
#define VMM_VCPU_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;
struct vcpu;

#define SWITCHED_MSRS 14 /* as context.c lists them */

struct switched {
	uint64_t cr2, dr[4], dr6;
	uint64_t msrs[SWITCHED_MSRS];
	uint64_t xcr0;
	uint32_t msrs_present; /* a bit for each that the processor has */
};

/* Once, before anything else here: which of the MSRs this machine has. */
void switch_probe(void);

/* Can extended state be saved? It takes XSAVE. */
bool switch_possible(void);

/* Bytes of an XSAVE area that holds all that this processor has; to be aligned to 64. */
size_t switch_xsave_size(void);

/* What a processor has after its reset; `xsave` may be NULL. */
void switch_reset(struct switched *s, void *xsave);

/*
 * The vcpu's guest has no CET and cannot reach its MSRs: between two such vcpus they need not be
 * switched.
 */
void switch_forgo_shadow_stacks(struct switched *s);

/* IA32_XSS of them. */
uint64_t switch_xss(const struct switched *s);

/* Take the processor's registers, all extended state with them; nothing of it is changed. */
void switch_save(struct switched *s, void *xsave);

/*
 * Load them. Registers that have their value already, by `now`, are not written; NULL: nothing is
 * known of them. Returns NULL, or in words what the processor refuses.
 */
const char *switch_load(const struct switched *s, const void *xsave, const struct switched *now);

/* Fill them with what no guest has, for a test: switch_load() has to bring back every one. */
void switch_poison(uint64_t poison);

/* What a guest that begins must find, on this processor. */
void switch_load_reset(void);

/* Make another vcpu of this processor the current one: VMCS and registers. */
void switch_to(struct cpu *cpu, struct vcpu *to);

#endif
