/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's memory for the tests of software FRED: some pages of RAM, page tables in them, and what
 * the sources of software FRED call beside. For one source of a program.
 */
#ifndef TESTS_UNIT_SOFT_GUEST_H
#define TESTS_UNIT_SOFT_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/layout.h"
#include "vmm/vmx/ept.h"
#include "vmm/vcpu/event.h"
#include "vmm/soft/walk.h"

#ifndef GUEST_PAGES
#define GUEST_PAGES 64U
#endif
#define GUEST_RAM (GUEST_PAGES * PAGE_SIZE)
#define GUEST_CR3 (GUEST_RAM - PAGE_SIZE) /* the top table; the others lie below it */

/* Entries of page tables (SDM 3A, 5.5.4). */
#define ENTRY_P	      (1ULL << 0)
#define ENTRY_W	      (1ULL << 1)
#define ENTRY_U	      (1ULL << 2)
#define ENTRY_A	      (1ULL << 5)
#define ENTRY_D	      (1ULL << 6)
#define ENTRY_PS      (1ULL << 7)
#define ENTRY_NX      (1ULL << 63)
#define ENTRY_KEY(k)  ((uint64_t)(k) << 59)
#define ENTRY_ADDRESS 0x000ffffffffff000ULL

#define TABLE_ENTRY (ENTRY_P | ENTRY_W | ENTRY_U)

static _Alignas(PAGE_SIZE) uint8_t guest_ram[GUEST_RAM];
static struct guest_walks guest_walks; /* with no RAM in it each walk is a new one */
static unsigned int guest_levels = 4;
static uint64_t guest_last_table = GUEST_CR3;
/* Runs at every use of guest memory, before it. */
static void (*guest_hook)(uint64_t physical);

void *guest_memory(const struct vm *vm __attribute__((unused)), uint64_t physical, uint64_t size)
{
	if (guest_hook)
		guest_hook(physical);
	if (physical >= GUEST_RAM || size > GUEST_RAM - physical)
		return NULL;
	return guest_ram + physical;
}

static inline void guest_clear(unsigned int levels)
{
	memset(guest_ram, 0, sizeof(guest_ram));
	guest_levels = levels;
	guest_last_table = GUEST_CR3;
	guest_hook = NULL;
	guest_forget_walks(&guest_walks);
	guest_walks.linear_bits = levels == 5 ? 57 : 48;
	guest_walks.ram = (struct guest_ram){ .size = GUEST_RAM, .memory = guest_ram };
}

/* The entry for this address at this level (1: of a 4 KiB page), with tables on the way to it. */
static inline uint64_t *guest_entry(uint64_t linear, unsigned int level)
{
	uint8_t *table = guest_ram + GUEST_CR3;

	for (unsigned int l = guest_levels;; l--) {
		uint64_t *const entry = (uint64_t *)table + (linear >> (3 + 9 * l) & 0x1ff);

		if (l == level)
			return entry;
		if (!(*entry & ENTRY_P)) {
			guest_last_table -= PAGE_SIZE;
			*entry = guest_last_table | TABLE_ENTRY;
		}
		table = guest_ram + (*entry & ENTRY_ADDRESS);
	}
}

static inline void guest_map(uint64_t linear, uint64_t physical, uint64_t bits)
{
	*guest_entry(linear, 1) = physical | bits;
}

#endif
