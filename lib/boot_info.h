/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one struct that the loader hands to the VMM. It lies in the VMM's region;
 * every address in it is physical unless its name says otherwise.
 */
#ifndef LIB_BOOT_INFO_H
#define LIB_BOOT_INFO_H

#include <stddef.h>
#include <stdint.h>

#include "lib/config.h"
#include "lib/memmap.h"
#include "lib/uart.h"

#define BOOT_INFO_MAGIC 0x31304445524e414dULL /* "MANRED01", little endian */

struct boot_file {
	uint64_t base; /* page aligned; 0 when there is no such file */
	uint64_t size; /* bytes */
};

/* The files of one guest, as its struct guest_config names them. */
struct boot_guest {
	struct boot_file kernel; /* guest = linux or multiboot */
	struct boot_file initrd;
	struct boot_file modules[CONFIG_MODULES_MAX];
};

enum framebuffer_format { FRAMEBUFFER_NONE, FRAMEBUFFER_RGBX, FRAMEBUFFER_BGRX, FRAMEBUFFER_MASKS };

struct framebuffer {
	uint64_t base;
	uint64_t size; /* bytes */
	uint32_t width, height;
	uint32_t stride; /* pixels in a line */
	uint32_t format; /* enum framebuffer_format */
	uint32_t red_mask, green_mask, blue_mask;
	uint32_t reserved_mask; /* bits of a pixel that mean nothing */
};

struct boot_info {
	uint64_t magic;
	uint64_t size; /* sizeof(struct boot_info): catches a loader and a VMM that do not match */

	uint64_t vmm_base;    /* the VMM's region, mapped at VMM_BASE */
	uint64_t vmm_size;    /* bytes, a multiple of 2 MiB: enough for all processors and guests */
	uint64_t pool_base;   /* first free page of the region: everything above is the page pool */
	uint64_t page_tables; /* the PML4 that is loaded in CR3, within the region */
	uint64_t log_base;    /* memory of the log that survives a reset, lib/logring.h */
	uint64_t log_size;    /* bytes; 0: there is none */
	uint64_t trampoline;  /* the one identity-mapped page that the VMM unmaps on entry */

	uint64_t rsdp;	  /* ACPI root pointer; 0: firmware has none */
	struct uart uart; /* the serial port, set up; UART_NONE: none that answers */
	struct framebuffer framebuffer;

	/* All that the firmware has enabled, whatever the key cpus says; the one that boots first.
	 */
	uint32_t processor_count;   /* at least 1 */
	uint32_t processors_beyond; /* more than apic_ids has room for */
	uint32_t apic_ids[CONFIG_CPUS_MAX];
	/*
	 * A page of free RAM below 1 MiB, never page 0: where other processors begin (SIPI). It is
	 * RAM like any other in memmap, so it is free only until guests run. 0: there is none.
	 */
	uint64_t ap_page;

	struct boot_file selftest; /* the built-in guest's ELF file */
	struct boot_guest guests[CONFIG_GUESTS_MAX];

	struct config config;
	struct memmap
		memmap; /* after ExitBootServices: the VMM's region and the log are RESERVED */
};

#endif
