// SPDX-License-Identifier: BSD-2-Clause
/* Owns the part of the GDT that tests may fill, and the GDT's limit while they do. */
#include "guest/machine/segments.h"

#include "guest/machine/machine.h"

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static struct table_pointer closed;

void segments_open(void)
{
	const struct table_pointer open = { PAGE_SIZE - 1, (uintptr_t)gdt_page };

	asm volatile("sgdt %0" : "=m"(closed));
	asm volatile("lgdt %0" : : "m"(open));
	asm volatile("lldt %w0" : : "r"(0));
}

void segments_close(void)
{
	for (size_t offset = SELECTOR_TEST_1; offset < PAGE_SIZE; offset += sizeof(uint64_t))
		*(uint64_t *)(gdt_page + offset) = 0;
	asm volatile("lgdt %0" : : "m"(closed));
}

static uint64_t *entry(unsigned int selector)
{
	return &((uint64_t *)gdt_page)[selector / sizeof(uint64_t)];
}

void segment_set(unsigned int selector, uint64_t descriptor)
{
	*entry(selector) = descriptor;
	/* The processor reads it behind the compiler's back. */
	asm volatile("" : : : "memory");
}

uint64_t segment_get(unsigned int selector)
{
	asm volatile("" : : : "memory");
	return *entry(selector);
}

void segment_set_call_gate(unsigned int selector, unsigned int dpl, unsigned int code,
			   uint64_t target)
{
	segment_set(selector,
		    (target & 0xffff) | (uint64_t)code << 16 |
			    (uint64_t)(ACCESS_PRESENT | ACCESS_DPL(dpl) | ACCESS_CALL_GATE) << 40 |
			    (target >> 16 & 0xffff) << 48);
	segment_set(selector + 8, target >> 32);
}
