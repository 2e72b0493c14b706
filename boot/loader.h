/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of the loader share: one struct loader, and the steps that
 * efi_main calls one after the other. A step returns false when it has failed
 * and has said why by loader_fail. fredcheck.efi is made of the same parts.
 */
#ifndef BOOT_LOADER_H
#define BOOT_LOADER_H

#include <efi.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/boot_info.h"
#include "lib/elf.h"
#include "lib/paging.h"
#include "lib/results.h"
#include "lib/hypercall.h"

#define ALLOCATIONS_MAX 128
#define CPUID_NAME_SIZE 48
#define MIB(bytes)	((unsigned long long)(bytes) >> 20)
/* Highest address + 1, for allocations that may lie anywhere. */
#define ANYWHERE UINT64_MAX
#define BELOW_4G 0x100000000ULL
#define BELOW_1M 0x100000ULL

/* The firmware's memory map as GetMemoryMap last gave it. */
struct firmware_map {
	uint8_t *buffer;
	UINTN capacity; /* bytes */
	UINTN size;	/* bytes */
	UINTN key;
	UINTN descriptor_size;
};

/* The serial port. */
struct serial {
	struct uart *uart;  /* in boot_info, as the VMM gets it */
	const char *source; /* what has told that it is there */
	bool described;	    /* by the firmware's tables: so it is set up already */
};

struct loader {
	const char *program; /* begins its lines, and names its configuration file */
	bool config_needed;  /* a missing configuration file is an error */
	EFI_HANDLE image;
	EFI_SYSTEM_TABLE *system;
	EFI_BOOT_SERVICES *boot;
	EFI_LOADED_IMAGE *loaded_image;
	EFI_FILE_HANDLE volume;
	struct firmware_map map;

	/* Pages to give back when the loader fails. */
	struct {
		uint64_t base;
		UINTN pages;
	} allocations[ALLOCATIONS_MAX];
	unsigned int allocation_count;

	/* Set by loader_fail. */
	EFI_STATUS status;
	const char *reason;

	struct serial serial;
	struct boot_info info;
	uint64_t boot_info; /* where the VMM finds its copy of info, physical */
	struct elf vmm;	    /* the VMM's image */
	struct page_pool pool;
	struct address_space space;
};

/* report.c */

/* Print "manfred: " and the text on serial and screen, and keep the reason for the end line. */
bool loader_fail(struct loader *loader, EFI_STATUS status, const char *reason, const char *format,
		 ...) __attribute__((format(printf, 4, 5)));
/* The same for a call of the firmware that has failed, with its status behind the text. */
bool firmware_failed(struct loader *loader, EFI_STATUS status, const char *what);
/* Print "manfred: loader: " and the text, unless the log level is below info. */
void loader_log(struct loader *loader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Say how it ended, and return to the firmware, or stop where there is none any more. */
EFI_STATUS give_up(struct loader *loader);

/* console.c */
/* Find the firmware's text consoles, and a UART as `serial = auto` says. */
void console_init(struct loader *loader);
/* What manfred.cfg says about them: console, serial, baud. */
void console_configure(struct loader *loader);
void console_select(uint32_t console); /* CONSOLE_* bits; what is not there is left out */
/* A byte from the serial line, or -1; also where the firmware reads it itself. */
int console_get(void);
/* To the first of the `lines` lines that were drawn; 0: a new screen. */
void console_home(unsigned int lines);
void console_draw(const char *line, bool highlighted);
void console_firmware_is_gone(void); /* from now on by port only */
/* One line; the end of line is added. */
void console_print_v(const char *prefix, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));
void console_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* serial.c */
/* The UART that is meant, if it answers; its kind is UART_NONE if none does. */
void serial_find(struct loader *loader, const struct serial_choice *choice, struct serial *serial);

/* files.c */
/* What a failed call of the boot volume's file system means, and what can be done about it. */
const char *volume_trouble(EFI_STATUS status);
/* The volume that manfred.efi was started from. */
bool open_volume(struct loader *loader);
/* \manfred.cfg into info.config; fredcheck.efi's may be missing. */
bool read_config(struct loader *loader);
/* The options of the EFI application over it, then what keys mean together. */
bool read_options(struct loader *loader);
/* Kernel, initrd and modules of all guests into pages of their own. */
bool load_guest_files(struct loader *loader);

/* A program of the boot volume, to be started by the firmware. */
bool load_program(struct loader *loader, const char *path, struct boot_file *program);

/* firmware.c */
bool firmware_secure_boot(const struct loader *loader); /* is it on? */
bool firmware_has_setup(const struct loader *loader);	/* can the next boot lead into it? */
bool firmware_enter_setup(struct loader *loader);
void firmware_reset(const struct loader *loader);
/* A variable of Manfred's own, with these attributes (EFI_VARIABLE_*). */
bool firmware_get_number(const struct loader *loader, const uint16_t *name, uint32_t attributes,
			 uint64_t *value);
bool firmware_set_number(const struct loader *loader, const uint16_t *name, uint32_t attributes,
			 uint64_t value);

/* menu.c */
/*
 * Show the menu, if manfred.cfg wants one, load the guests' files, and check the processor. What is
 * chosen is in info.config then. What fails says why, and the menu comes back if there is somebody.
 */
bool menu_run(struct loader *loader);
/* Let the user read what is on the screen: until a key, or for half a minute. */
void menu_pause(const struct loader *loader);

/* machine.c */
/* Refuse what the VMM could only die of: no VMX, VMX locked off, no NX. */
bool check_processor(struct loader *loader);
/* Where the firmware runs with 5-level paging: make leaving it ready, while there is a firmware. */
bool prepare_four_levels(struct loader *loader);
/* Leave it, with interrupts disabled: nothing of the firmware may be called from now on. */
void enter_four_levels(void);
/* As CPUID has it, with its blanks and without a terminating 0; all 0 where it has none. */
void processor_name(char name[CPUID_NAME_SIZE]);
/* Its revision; 0 in a virtual machine, which need not have the MSR. */
uint32_t processor_microcode(void);
/* What a report has to name, into the log; ACPI root pointer, framebuffer, processors and the page
 * where they can begin. */
bool collect_facts(struct loader *loader);
/* ACPI's root pointer, that of 2.0 and later if there is one; 0: none. */
uint64_t find_rsdp(const EFI_SYSTEM_TABLE *system);
/* All handles with a protocol, at most `max` of them; returns how many. */
UINTN find_handles(struct loader *loader, EFI_GUID *protocol, EFI_HANDLE *handles, UINTN max);

/* memory.c */
/* A buffer for the firmware's map, while memory can still be allocated. */
bool prepare_memory_map(struct loader *loader);
/* Pages, aligned to a power of two, as high as possible below `below`; 0 when there are none. */
uint64_t allocate_memory(struct loader *loader, uint64_t size, uint64_t align, uint64_t below);
/* Give back what allocate_memory gave after its first `keep` times. */
void free_memory(struct loader *loader, unsigned int keep);
uint64_t largest_free_block(struct loader *loader, uint64_t below); /* bytes */
/* All that is RAM by its nature, whoever uses it, as RAM ranges. */
bool collect_ram(struct loader *loader, struct memmap *ram);
/* ExitBootServices, and info.memmap. When it fails loader->boot may be NULL: no firmware left. */
bool leave_firmware(struct loader *loader);

/* logs.c */
/* Memory for the log that is the same in every boot; before anything else takes some. */
void logs_find(struct loader *loader);
/* What the boot before has left there to \manfred.log; then it is this boot's. */
void logs_save(struct loader *loader);
/* A line of the loader's, for the next boot to find. */
void logs_line(const char *line, size_t length);

/* write.c */
struct text_piece {
	const char *text;
	size_t length;
};

/*
 * A file in the root of the boot volume, of this content; a line says when it cannot be written.
 * What it was before is then the file `before`, unless that is NULL.
 */
bool write_file(struct loader *loader, const char *name, const char *before,
		const struct text_piece *pieces, size_t count);
/* Where the power was cut while that was being replaced: the new one. */
void recover_file(struct loader *loader, const char *name);

/* place.c */
/* The VMM's region, with the image, a place for boot_info, and the page pool behind them. */
bool place_vmm(struct loader *loader);
/* The VMM's first page tables, as lib/layout.h describes them. */
bool build_page_tables(struct loader *loader);

/*
 * enter.asm: switch to the VMM's page tables and jump. `info` and `entry` are
 * virtual addresses there. Lies in one page that must be mapped identically.
 */
_Noreturn void enter_vmm(uint64_t info, uint64_t entry, uint64_t page_tables);

/* fredcheck_enter.asm */
/* Save the processor's state of now, and start the suite. */
_Noreturn void suite_enter(const struct selftest_info *info, uint64_t entry);
/* What the suite calls at its end: goes on in suite_left() with the state as it was saved. */
extern const uint8_t suite_leave[];
/* fredcheck.c */
_Noreturn void suite_left(uint64_t failed, const struct results *results);

/* blob_vmm.asm, blob_selftest.asm */
extern const uint8_t vmm_image_start[], vmm_image_end[];
extern const uint8_t selftest_image_start[], selftest_image_end[];

#endif
