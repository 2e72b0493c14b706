/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of rules (rules_*.c) share: a VMCS with its controls as they are in effect, and
 * the questions that many rules ask. A function of rules returns the first one that is broken, in
 * words, or NULL.
 */
#ifndef VMM_VMX_RULE_H
#define VMM_VMX_RULE_H

#include "lib/fred.h"
#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "vmm/vmx/rules.h"

enum control_word {
	CONTROL_PIN,
	CONTROL_PROC,
	CONTROL_PROC2,
	CONTROL_PROC3,
	CONTROL_EXIT,
	CONTROL_EXIT2,
	CONTROL_ENTRY,
	CONTROL_WORDS
};

struct judged {
	const struct vmcs_reader *reader;
	const struct vmcs_processor *processor;
	uint64_t controls[CONTROL_WORDS]; /* 0 where another control does not activate the word */
};

#define VECTOR_MTF 0 /* of the event type "other" */

#define RULE(holds, text)            \
	do {                         \
		if (!(holds))        \
			return text; \
	} while (0)

#define LENGTH_OF(array) (sizeof(array) / sizeof((array)[0]))

/* rules_controls.c, rules_event.c */
const char *rules_of_controls(const struct judged *v);
const char *rules_of_event(const struct judged *v);
/* rules_host.c */
const char *rules_of_host(const struct judged *v);
/* rules_guest.c */
const char *rules_of_guest_registers(const struct judged *v);
const char *rules_of_guest_msrs(const struct judged *v);
const char *rules_of_guest_fred(const struct judged *v);
/* rules_segments.c */
const char *rules_of_guest_segments(const struct judged *v);
/* rules_state.c */
const char *rules_of_guest_activity(const struct judged *v);
const char *rules_of_guest_blocking(const struct judged *v);
const char *rules_of_nmi_behind_sti(const struct judged *v);
const char *rules_of_debug_exceptions(const struct judged *v);
const char *rules_of_link_pointer(const struct judged *v);
const char *rules_of_pdptes(const struct judged *v);
/* rules_state.c: the number of the first entry that is refused, from 1; 0: none is. */
uint64_t rules_of_msr_area(const struct judged *v);

static inline uint64_t field(const struct judged *v, enum vmcs_field name)
{
	return v->reader->field(v->reader, name);
}

static inline uint64_t capability(const struct judged *v, uint32_t msr)
{
	return v->reader->msr(v->reader, msr);
}

static inline const void *memory(const struct judged *v, uint64_t address, size_t size)
{
	return v->reader->memory(v->reader, address, size);
}

/* All of these bits are 1. */
static inline bool has(const struct judged *v, enum control_word word, uint64_t bits)
{
	return (v->controls[word] & bits) == bits;
}

static inline bool has_bits(const struct judged *v, enum vmcs_field name, uint64_t bits)
{
	return (field(v, name) & bits) == bits;
}

static inline bool is_ia32e_guest(const struct judged *v)
{
	return has(v, CONTROL_ENTRY, ENTRY_IA32E_GUEST);
}

static inline bool is_unrestricted(const struct judged *v)
{
	return has(v, CONTROL_PROC2, PROC2_UNRESTRICTED_GUEST);
}

static inline bool is_linear(const struct judged *v, uint64_t address)
{
	return is_canonical(address, v->processor->linear_bits);
}

static inline bool is_linear_field(const struct judged *v, enum vmcs_field name)
{
	return is_linear(v, field(v, name));
}

static inline bool is_physical(const struct judged *v, uint64_t address)
{
	return (address & ~v->processor->physical_mask) == 0;
}

/* IA32_VMX_CRn_FIXED0 has the bits that must be 1, FIXED1 those that may be. */
static inline bool is_fixed(uint64_t value, uint64_t fixed0, uint64_t fixed1)
{
	return (value & fixed0) == fixed0 && (value & ~fixed1) == 0;
}

/* CR3 has no bit above physical addresses, but LAM's two where there is LAM. */
static inline bool is_cr3(const struct judged *v, uint64_t cr3)
{
	return is_physical(v, v->processor->has_lam ? cr3 & ~CR3_LAM : cr3);
}

/* Each byte of IA32_PAT is a memory type: UC, WC, WT, WP, WB, UC-. */
static inline bool is_pat(uint64_t pat)
{
	for (unsigned int shift = 0; shift < 64; shift += 8) {
		const unsigned int type = pat >> shift & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

#define S_CET_TRACKER  (3ULL << 10) /* SUPPRESS and WAIT_FOR_ENDBRANCH: never both */
#define S_CET_RESERVED 0x3c0ULL
#define SSP_RESERVED   3ULL

/* IA32_S_CET of host or guest; outside 64-bit mode it has 32 bits. */
static inline bool is_s_cet(const struct judged *v, uint64_t value, bool wide)
{
	return is_linear(v, value) && (value & S_CET_TRACKER) != S_CET_TRACKER &&
	       !(value & S_CET_RESERVED) && (wide || value <= UINT32_MAX);
}

static inline bool is_ssp(const struct judged *v, uint64_t value, bool wide)
{
	return is_linear(v, value) && !(value & SSP_RESERVED) && (wide || value <= UINT32_MAX);
}

/* FRED's MSRs have the same rules in the VMCS as with WRMSR. */
#define FRED_RULE(v, side, name)                                                         \
	RULE(fred_msr_accepts(MSR_IA32_FRED_##name, field(v, VMCS_##side##_FRED_##name), \
			      (v)->processor->linear_bits),                              \
	     #side "_FRED_" #name " has a value that its MSR does not take")
#define FRED_RULES(v, side)                 \
	do {                                \
		FRED_RULE(v, side, CONFIG); \
		FRED_RULE(v, side, RSP1);   \
		FRED_RULE(v, side, RSP2);   \
		FRED_RULE(v, side, RSP3);   \
		FRED_RULE(v, side, SSP1);   \
		FRED_RULE(v, side, SSP2);   \
		FRED_RULE(v, side, SSP3);   \
	} while (0)

#endif
