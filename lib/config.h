/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * manfred.cfg: the keys, their types, and the parser. The loader parses the
 * file and its own command line into one struct config; the VMM only reads it.
 */
#ifndef LIB_CONFIG_H
#define LIB_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/serial.h"

#define CONFIG_GUESTS_MAX  8
#define CONFIG_NAME_MAX	   32
#define CONFIG_PATH_MAX	   256
#define CONFIG_CMDLINE_MAX 2048
#define CONFIG_PATTERN_MAX 64
#define CONFIG_ERRATA_MAX  128
#define CONFIG_MODULES_MAX 8
#define CONFIG_CPUS_MAX	   512
#define CONFIG_MENU_MAX	   600
#define CONFIG_BAUD_MAX	   4000000

enum guest_kind { GUEST_SELFTEST, GUEST_LINUX, GUEST_MULTIBOOT };
enum guest_devices { DEVICES_BY_KIND, DEVICES_NONE, DEVICES_PASSTHROUGH };
enum guest_console { GUEST_CONSOLE_LOG, GUEST_CONSOLE_NONE };
enum guest_test_services { TEST_SERVICES_BY_KIND, TEST_SERVICES_OFF, TEST_SERVICES_ON };
enum guest_priority { PRIORITY_NORMAL, PRIORITY_HIGH };
enum fred_mode { FRED_AUTO, FRED_NATIVE, FRED_SOFT, FRED_OFF };
enum vtd_mode { VTD_AUTO, VTD_OFF };
enum log_level { LOG_ERROR, LOG_INFO, LOG_DEBUG, LOG_TRACE };
enum at_end {
	AT_END_GUEST, /* no key given: do what the guest asked for */
	AT_END_POWEROFF,
	AT_END_REBOOT,
	AT_END_HALT,
	AT_END_DEBUG_EXIT, /* lib/debug_exit.h; power off where nothing listens */
};

/* Bits of config.console. */
enum { CONSOLE_SERIAL = 1, CONSOLE_SCREEN = 2 };

/* Deliberate damage, so that tests can see what Manfred says about it. */
enum debug_fault {
	DEBUG_NONE,
	DEBUG_INVALID_GUEST_STATE, /* the first VM entry has an illegal RFLAGS */
	DEBUG_VMM_FAULT,	   /* the VMM reads an unmapped address */
	DEBUG_VMM_STACK_OVERFLOW,  /* the VMM recurses into its guard page */
	DEBUG_VMM_WRITE_TEXT,	   /* the VMM writes to its own code */
	DEBUG_VMM_PANIC,	   /* every processor ends the boot at the same time */
	DEBUG_VMM_NMI,		   /* the VMM sends itself two NMIs, and goes on */
	DEBUG_BOOT_INFO,	   /* the loader's boot_info has another size than the VMM's */
	DEBUG_FLIP_VMCS,	   /* no damage: vmm/selftest/flips.h */
};

struct guest_config {
	char name[CONFIG_NAME_MAX]; /* of its section; without sections that of its kind */
	uint32_t line;		    /* of its section in the file; 0: the file has no sections */
	enum guest_kind kind;
	enum guest_devices devices; /* never DEVICES_BY_KIND after config_complete() */
	enum guest_console console; /* what becomes of text that it writes by hypercall */
	enum guest_priority priority;
	/* Hypercalls that reach into the VMM; never TEST_SERVICES_BY_KIND after config_complete()
	 */
	enum guest_test_services test_services;
	enum fred_mode fred;
	uint32_t cpus; /* processors that it has; 0: one without devices, all with them */
	uint32_t cpu;  /* index of the first of them */
	uint32_t module_count;
	uint64_t memory; /* bytes of guest memory at most; 0: all, or what its kind needs */
	char kernel[CONFIG_PATH_MAX];
	char initrd[CONFIG_PATH_MAX];
	char cmdline[CONFIG_CMDLINE_MAX];
	char tests[CONFIG_PATTERN_MAX]; /* which tests of the selftest guest; "" for all */
	char errata[CONFIG_ERRATA_MAX]; /* deviations that the selftest guest expects: "FR-4,FR-7"
					 */
	char modules[CONFIG_MODULES_MAX][CONFIG_PATH_MAX];
};

struct config {
	enum log_level log;
	enum at_end at_end;
	enum debug_fault debug;
	enum vtd_mode vtd;
	uint32_t console; /* CONSOLE_* bits */
	struct serial_choice serial;
	uint32_t baud;	      /* bits per second; 0: as the firmware has set it */
	uint32_t cpus;	      /* how many of the machine's processors to use; 0: all */
	uint32_t menu;	      /* seconds that the loader's menu waits; 0: no menu */
	uint32_t guest_count; /* at least 1 */
	struct guest_config guests[CONFIG_GUESTS_MAX];
};

/* One line that says what is wrong and what is allowed; line 0: no line to blame. */
struct config_error {
	unsigned int line;
	char text[320];
};

/* What an empty manfred.cfg means: one guest, the selftest, console = both, log = info. */
void config_defaults(struct config *config);

/*
 * Apply the text of a manfred.cfg: "key = value" lines, and "[guest NAME]", after
 * which the keys are those of that guest. Guest keys before the first section are
 * the defaults of all sections; without sections they describe the only guest. A
 * comment starts at a '#' that is the first of its line or follows a blank. A key
 * given twice is wrong (but module), as are control characters; CRLF and a byte
 * order mark are not.
 * Returns false at the first line that is wrong, and says so in *error.
 */
bool config_parse_file(struct config *config, const char *text, size_t length,
		       struct config_error *error);

/*
 * Apply options as given to the EFI application: words "key=value", a value
 * with spaces in double quotes; "NAME.key=value" is a key of that section, a guest's
 * key without a name one of the first guest. They override the file; the first
 * module drops all those of the file. error->line is 0.
 */
bool config_parse_options(struct config *config, const char *text, size_t length,
			  struct config_error *error);

/*
 * What follows the program's name in the options. The UEFI shell passes it as it was typed, perhaps
 * with its path, in quotes, or without ".efi"; firmware does not pass it.
 */
const char *config_skip_program(const char *options, const char *program);

/*
 * Fill in what follows from other keys (name, devices), and check what keys mean
 * together (guest = linux needs a kernel, one guest at most has the devices...).
 * To be called last. error->line is that of the guest's section, if it has one.
 */
bool config_complete(struct config *config, struct config_error *error);

/*
 * Instead of the guests of the file one selftest, with the keys of the first guest if that is one,
 * but its command line.
 */
void config_choose_selftest(struct config *config, enum fred_mode fred);

/* How many of the machine's processors to use, and how many vcpus a guest has with so many. */
uint32_t config_processors(const struct config *config, uint32_t of_machine);
uint32_t config_vcpus(const struct guest_config *guest, uint32_t processors);

const char *config_guest_name(enum guest_kind guest);

#endif
