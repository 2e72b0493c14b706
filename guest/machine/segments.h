/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors that tests put into the guest's GDT, above those that machine.c has there. A test
 * opens the GDT, sets what it needs, and closes it: then they are gone, and beyond the limit.
 */
#ifndef GUEST_MACHINE_SEGMENTS_H
#define GUEST_MACHINE_SEGMENTS_H

#include <stdint.h>

/* The first free selectors, in steps of 8; a gate or a TSS takes two. */
#define SELECTOR_TEST_1 0x40U
#define SELECTOR_TEST_2 0x48U
#define SELECTOR_TEST_3 0x50U

#define SELECTOR_LDT 4U /* TI */
#define RPL(level)   ((unsigned int)(level))

/* Access byte: type, S, DPL, P */
#define ACCESS_PRESENT	     0x80U
#define ACCESS_DPL(level)    ((unsigned int)(level) << 5)
#define ACCESS_DATA	     0x12U /* writable */
#define ACCESS_READ_ONLY     0x10U
#define ACCESS_EXPAND_DOWN   0x16U
#define ACCESS_CODE	     0x1aU /* readable */
#define ACCESS_EXECUTE_ONLY  0x18U
#define ACCESS_CONFORMING    0x1eU
#define ACCESS_ACCESSED	     0x01U
#define ACCESS_TSS_AVAILABLE 0x09U
#define ACCESS_CALL_GATE     0x0cU

/* Flags above the limit */
#define FLAG_LONG 0x2U
#define FLAG_32	  0x4U
#define FLAG_4K	  0x8U

#define LIMIT_MAX 0xfffffU

#define DESCRIPTOR(access, flags, base, limit)                              \
	(((uint64_t)(limit)&0xffff) | ((uint64_t)(base)&0xffffff) << 16 |   \
	 (uint64_t)(access) << 40 | ((uint64_t)(limit) >> 16 & 0xf) << 48 | \
	 (uint64_t)(flags) << 52 | ((uint64_t)(base) >> 24 & 0xff) << 56)
#define DESCRIPTOR_ACCESSED ((uint64_t)ACCESS_ACCESSED << 40)

/* Flat segments */
#define DESCRIPTOR_CODE64(dpl)                                                             \
	DESCRIPTOR(ACCESS_PRESENT | ACCESS_DPL(dpl) | ACCESS_CODE, FLAG_LONG | FLAG_4K, 0, \
		   LIMIT_MAX)
#define DESCRIPTOR_CODE32(dpl) \
	DESCRIPTOR(ACCESS_PRESENT | ACCESS_DPL(dpl) | ACCESS_CODE, FLAG_32 | FLAG_4K, 0, LIMIT_MAX)
#define DESCRIPTOR_CONFORMING32(dpl)                                                           \
	DESCRIPTOR(ACCESS_PRESENT | ACCESS_DPL(dpl) | ACCESS_CONFORMING, FLAG_32 | FLAG_4K, 0, \
		   LIMIT_MAX)
#define DESCRIPTOR_FLAT_DATA(dpl) \
	DESCRIPTOR(ACCESS_PRESENT | ACCESS_DPL(dpl) | ACCESS_DATA, FLAG_32 | FLAG_4K, 0, LIMIT_MAX)

/* The whole page of the GDT is within the limit; no LDT. */
void segments_open(void);
void segments_close(void);

/* Set one descriptor, by its selector (RPL is ignored). */
void segment_set(unsigned int selector, uint64_t descriptor);
uint64_t segment_get(unsigned int selector);
/* A call gate of 16 bytes. */
void segment_set_call_gate(unsigned int selector, unsigned int dpl, unsigned int code,
			   uint64_t target);

#endif
