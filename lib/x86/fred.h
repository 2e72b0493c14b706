/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FRED (flexible return and event delivery): the return frame, the fields of its two augmented
 * selectors, and the bits of its MSRs. Source: FRED specification, chapters 4 to 6.
 */
#ifndef LIB_X86_FRED_H
#define LIB_X86_FRED_H

#include <stdint.h>

#define FRED_LEVELS 4U

/* What delivery pushes: always 64 bytes at a 64-byte boundary, RSP points to the error code. */
struct fred_frame {
	uint64_t error_code; /* 0 when the event has none */
	uint64_t rip;
	uint64_t cs; /* FRED_CS_* */
	uint64_t rflags;
	uint64_t rsp;
	uint64_t ss; /* FRED_SS_* */
	uint64_t event_data;
	uint64_t reserved; /* 0 */
};
_Static_assert(sizeof(struct fred_frame) == 64, "FRED specification, 5.2");

/* Augmented CS. */
#define FRED_SELECTOR_MASK 0xffffULL
#define FRED_CS_CSL_SHIFT  16
#define FRED_CS_CSL(cs)	   ((unsigned int)((cs) >> FRED_CS_CSL_SHIFT & 3))
#define FRED_CS_WFE	   (1ULL << 18) /* the supervisor's IBT tracker waited for ENDBRANCH */

/* Augmented SS. */
#define FRED_SS_STI	     (1ULL << 16)
#define FRED_SS_SOFTWARE     (1ULL << 17) /* SYSCALL, SYSENTER or INT n */
#define FRED_SS_NMI	     (1ULL << 18)
#define FRED_SS_VECTOR_SHIFT 32
#define FRED_SS_TYPE_SHIFT   48
#define FRED_SS_ENCLAVE	     (1ULL << 56)
#define FRED_SS_LONG_MODE    (1ULL << 57) /* CS.L was 1 */
#define FRED_SS_NESTED	     (1ULL << 58)
#define FRED_SS_LENGTH_SHIFT 60
#define FRED_SS_VECTOR(ss)   ((uint8_t)((ss) >> FRED_SS_VECTOR_SHIFT))
#define FRED_SS_TYPE(ss)     ((uint8_t)((ss) >> FRED_SS_TYPE_SHIFT & 0xf))
#define FRED_SS_LENGTH(ss)   ((uint8_t)((ss) >> FRED_SS_LENGTH_SHIFT))

/* Vectors of the type "other event" (7). */
#define FRED_VECTOR_SYSCALL  1U
#define FRED_VECTOR_SYSENTER 2U

/* IA32_FRED_CONFIG */
#define FRED_CONFIG_CSL_MASK	    3ULL
#define FRED_CONFIG_SSP_ADJUST	    (1ULL << 3) /* 8 off SSP when the level stays */
#define FRED_CONFIG_REDZONE_SHIFT   6		/* in units of 64 bytes */
#define FRED_CONFIG_REDZONE_MASK    0x1c0ULL
#define FRED_CONFIG_INTERRUPT_SHIFT 9 /* stack level of maskable interrupts */
#define FRED_CONFIG_INTERRUPT_MASK  0x600ULL
#define FRED_CONFIG_RESERVED	    0x834ULL
#define FRED_CONFIG_ENTRY_MASK	    (~0xfffULL) /* entry point for events of ring 3 */
#define FRED_ENTRY_RING0	    0x100ULL	/* the one for events of ring 0 lies behind it */

/* IA32_FRED_STKLVLS: two bits a vector. */
#define FRED_STKLVL(vector, level) ((uint64_t)(level) << (2 * (vector)))

/* Reserved low bits of the pointers in IA32_FRED_RSP0-3, IA32_FRED_SSP1-3, IA32_PL0_SSP. */
#define FRED_RSP_RESERVED 0x3fULL
#define FRED_SSP_RESERVED 0x7ULL
#define PL0_SSP_RESERVED  0x3ULL

#endif
