/* SPDX-License-Identifier: BSD-2-Clause */
/* VT-d units: registers and tables (Intel VT-d architecture specification, chapters 6, 9 and 11).
 */
#ifndef LIB_X86_VTD_H
#define LIB_X86_VTD_H

/* Registers: offsets from the unit's base. */
#define VTD_CAP	   0x08U
#define VTD_ECAP   0x10U
#define VTD_GCMD   0x18U
#define VTD_GSTS   0x1cU
#define VTD_RTADDR 0x20U
#define VTD_FSTS   0x34U
#define VTD_FECTL  0x38U
#define VTD_PMEN   0x64U
#define VTD_IQH	   0x80U
#define VTD_IQT	   0x88U
#define VTD_IQA	   0x90U

#define VTD_CAP_WRITE_BUFFER	 (1ULL << 4)  /* is to be flushed by software */
#define VTD_CAP_PROTECTED	 (3ULL << 5)  /* has a protected low or high region */
#define VTD_CAP_CACHING_MODE	 (1ULL << 7)  /* keeps that there is no translation */
#define VTD_CAP_WALK_4		 (1ULL << 10) /* SAGAW: tables of four levels, 48 bits */
#define VTD_CAP_FAULTS(cap)	 ((uint32_t)((cap) >> 24 & 0x3ff) * 16) /* FRO: offset */
#define VTD_CAP_2M		 (1ULL << 34)
#define VTD_CAP_1G		 (1ULL << 35)
#define VTD_CAP_FAULT_COUNT(cap) ((uint32_t)((cap) >> 40 & 0xff) + 1)
#define VTD_ECAP_COHERENT	 (1ULL << 0) /* looks into the caches for its tables */
#define VTD_ECAP_QUEUE		 (1ULL << 1) /* has queued invalidation */

/* Commands, and the bits of the status that answer them. */
#define VTD_TRANSLATION	      (1U << 31)
#define VTD_SET_ROOT	      (1U << 30)
#define VTD_FLUSH_WRITES      (1U << 27)
#define VTD_QUEUE	      (1U << 26)
#define VTD_REMAPS_INTERRUPTS (1U << 25)
/* Bits of the status that are to be written again with each command: not the one-time ones. */
#define VTD_GCMD_PERSISTENT 0x96ffffffU

#define VTD_FSTS_OVERFLOW 1U
#define VTD_FSTS_QUEUE	  (7U << 4) /* errors of the queue: it has stopped */
#define VTD_FSTS_CLEAR	  0x7dU	    /* all that writing 1 clears */
#define VTD_FECTL_MASKED  (1U << 31)
#define VTD_PMEN_STATUS	  1U

/* A fault recording register has 16 bytes: page, then source, type and reason. */
#define VTD_FAULT_SIZE	    16U
#define VTD_FAULT_PAGE	    0x000ffffffffff000ULL
#define VTD_FAULT_HIGH	    8U
#define VTD_FAULT_SOURCE(h) ((unsigned int)(h)&0xffff)
#define VTD_FAULT_REASON(h) ((unsigned int)((h) >> 32) & 0xff)
#define VTD_FAULT_READ	    (1ULL << 62)
#define VTD_FAULT_VALID	    (1ULL << 63)
#define VTD_FAULT_VALID_AT  12U /* the four bytes that it is in, and its bit there */
#define VTD_FAULT_VALID_32  (1U << 31)

/* Descriptors of the invalidation queue. */
#define VTD_INVALIDATE_CONTEXTS	    (1ULL | 1ULL << 4) /* all */
#define VTD_INVALIDATE_TRANSLATIONS (2ULL | 1ULL << 4)
/* Wait for writes and reads that are on their way: as the unit can (bits 54 and 55). */
#define VTD_INVALIDATE_DRAIN(cap) ((cap) >> 48 & 0xc0)
#define VTD_WAIT		  (5ULL | 1ULL << 5) /* write the status data */
#define VTD_WAIT_DATA_SHIFT	  32
#define VTD_DESCRIPTOR_SHIFT	  4

/* Root and context entries of legacy mode; translation type 0: requests with untranslated addresses
 * are translated by second-level tables, all others are refused. */
#define VTD_ENTRIES	       256U /* buses, and functions on one */
#define VTD_PRESENT	       1ULL
#define VTD_CONTEXT_WALK_4     2ULL
#define VTD_CONTEXT_DOMAIN(id) ((uint64_t)(id) << 8)

/* Entries of second-level tables. */
#define VTD_PAGE_READ	 (1ULL << 0)
#define VTD_PAGE_WRITE	 (1ULL << 1)
#define VTD_PAGE_LARGE	 (1ULL << 7)
#define VTD_PAGE_ADDRESS 0x000ffffffffff000ULL
#define VTD_PAGE_IGNORED (1ULL << 2 | 0xfULL << 3) /* execute; memory type, ignore PAT */
/* Snoop control and transient mapping, which not every unit has. */
#define VTD_PAGE_RESERVED (1ULL << 11 | 1ULL << 62)

#endif
