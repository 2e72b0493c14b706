/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Firmware that runs with 5-level paging (CR4.LA57): the way off it, which leads
 * through code without paging, and back to it.
 */
#ifndef BOOT_LA57_H
#define BOOT_LA57_H

#include <stdbool.h>
#include <stdint.h>

/* For the code without paging: bytes in whole pages below 4 GiB. */
#define LA57_MEMORY 0x10000ULL

/* The 4-level page tables of the lowest addresses: those in force, or what is below the fifth. */
uint64_t la57_lower_tables(void);
/* A fifth level in this page, for the addresses of these 4-level tables; returns its CR3. */
uint64_t la57_fifth_level(uint64_t page, uint64_t tables);

/* Make la57_switch ready in LA57_MEMORY bytes at this address, which stay its own. */
bool la57_prepare(uint64_t memory);
/*
 * From 5-level to 4-level paging or the other way round, and go on with these
 * page tables, which must map this program and its stack as those of now do.
 * Leaves interrupts disabled, and CET off; all else is as it was.
 */
void la57_switch(uint64_t cr3);

#endif
