/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fredcheck.efi: the built-in guest of Manfred on the bare machine, where its chapters about FRED
 * judge the processor itself. Puts the image at its addresses, starts it, and at the end shows its
 * results and writes them to files.
 */
#include "boot/cpu.h"
#include "boot/la57.h"
#include "boot/loader.h"
#include "boot/memory_attribute.h"
#include "lib/console.h"
#include "lib/debug_exit.h"
#include "lib/format.h"
#include "lib/layout.h"
#include "lib/paging.h"
#include "lib/result_screen.h"
#include "lib/results_json.h"
#include "lib/string.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"

/* Bochs ends at these bytes; on other machines nothing listens at this port. */
#define PORT_BOCHS_SHUTDOWN 0x8900U
#define BOCHS_SHUTDOWN	    "Shutdown"

#define LINE_MAX  128
#define JSON_MAX  0x4000
#define TEXT_SIZE 0x80000ULL /* several times what the suite prints */

/* EFI_TIMER_ARCH_PROTOCOL (PI 1.7, volume 2, 12.13), as far as it is used here. */
#define TIMER_GUID                                                     \
	{                                                              \
		0x26baccb3, 0x6f42, 0x11d4,                            \
		{                                                      \
			0xbc, 0xe7, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81 \
		}                                                      \
	}

struct timer {
	void *register_handler;
	EFI_STATUS(EFIAPI *set_period)(struct timer *this, UINT64 period); /* 0: stop it */
	EFI_STATUS(EFIAPI *get_period)(struct timer *this, UINT64 *period);
};

static struct loader loader;
static struct selftest_info suite_info;
static struct elf suite;
static struct timer *timer; /* NULL: the suite runs without firmware, and no file is written */
static UINT64 timer_period;
static uint64_t firmware_tables; /* CR3, where they have five levels */

static bool check_machine(void)
{
	if (!processor_has_fred())
		return loader_fail(&loader, EFI_UNSUPPORTED, "no-fred",
				   "this processor has no FRED (CPUID.(7,1):EAX[17] is 0)");
	return true;
}

/* Pages at these addresses, which the suite maps to themselves. */
static EFI_STATUS allocate_at(EFI_PHYSICAL_ADDRESS base, uint64_t end)
{
	const UINTN pages = (UINTN)((end - base + PAGE_MASK) / PAGE_SIZE);
	const EFI_STATUS status =
		loader.boot->AllocatePages(AllocateAddress, EfiLoaderCode, pages, &base);

	if (EFI_ERROR(status))
		return status;
	loader.allocations[loader.allocation_count].base = base;
	loader.allocations[loader.allocation_count].pages = pages;
	loader.allocation_count++;
	if (end > suite_info.memory_size)
		suite_info.memory_size = end;
	return EFI_SUCCESS;
}

static bool can_be_executed(uint64_t address)
{
	struct page_pool pool = { 0 };
	struct address_space space = { .pml4 = la57_lower_tables(), .pool = &pool };
	enum page_rights rights;
	uint64_t physical;

	return paging_lookup(&space, address, &physical, &rights) && (rights & PAGE_EXECUTE);
}

/*
 * The suite begins and ends with the firmware's page tables, and newer firmware lets nothing be
 * executed in memory that it gives away, unless it is asked to.
 */
static bool allow_execution(uint64_t base, uint64_t end)
{
	EFI_GUID guid = MEMORY_ATTRIBUTE_GUID;
	struct memory_attribute *memory;
	void *found;

	if (!EFI_ERROR(loader.boot->LocateProtocol(&guid, NULL, &found))) {
		memory = found;
		memory->clear(memory, base, (end - base + PAGE_MASK) & ~PAGE_MASK, EFI_MEMORY_XP);
	}
	return can_be_executed(base) ||
	       loader_fail(&loader, EFI_ACCESS_DENIED, "no-execute",
			   "the firmware lets nothing be executed at 0x%llx, where the suite must "
			   "be",
			   (unsigned long long)base);
}

/* At the image's own addresses: no others will do, it is not position-independent. */
static bool allocate_segment(const struct elf_segment *segment)
{
	const uint64_t base = segment->physical_address & ~PAGE_MASK;
	const uint64_t end = segment->physical_address + segment->memory_size;
	const EFI_STATUS status = allocate_at(base, end);

	if (EFI_ERROR(status))
		return loader_fail(&loader, status, "no-memory",
				   "the firmware uses the memory at 0x%llx to 0x%llx, where the "
				   "suite must be (status 0x%lx)",
				   (unsigned long long)base, (unsigned long long)end - 1,
				   (unsigned long)status);
	return !(segment->flags & ELF_SEGMENT_EXECUTE) || allow_execution(base, end);
}

/* Behind the image; without it there is no file of the suite's output. */
static void place_text(void)
{
	const uint64_t base = (suite_info.memory_size + PAGE_MASK) & ~PAGE_MASK;
	struct selftest_text *const text = (struct selftest_text *)(uintptr_t)base;

	if (EFI_ERROR(allocate_at(base, base + TEXT_SIZE)))
		return;
	text->length = 0;
	suite_info.text = base;
	suite_info.text_size = TEXT_SIZE;
}

static bool place_suite(void)
{
	const size_t size = (uintptr_t)selftest_image_end - (uintptr_t)selftest_image_start;
	const char *const error = elf_parse(selftest_image_start, size, &suite);
	struct elf_segment segment;

	if (error)
		return loader_fail(&loader, EFI_LOAD_ERROR, "bad-image", "the suite's image: %s",
				   error);
	for (uint32_t i = 0; elf_next_segment(&suite, &i, &segment);) {
		uint8_t *const to = (uint8_t *)(uintptr_t)segment.physical_address;

		if (!allocate_segment(&segment))
			return false;
		memcpy(to, suite.file + segment.offset, (size_t)segment.file_size);
		memset(to + segment.file_size, 0,
		       (size_t)(segment.memory_size - segment.file_size));
	}
	place_text();
	/* The suite maps its memory by large pages. */
	suite_info.memory_size = (suite_info.memory_size + SIZE_2M - 1) & ~(SIZE_2M - 1);
	return true;
}

static void describe(void)
{
	const struct config *const config = &loader.info.config;
	const struct guest_config *const suite_config = &config->guests[0];

	suite_info.bare = 1;
	if (config->console & CONSOLE_SERIAL)
		suite_info.uart = (uintptr_t)&loader.info.uart;
	suite_info.end = (uintptr_t)suite_leave;
	string_copy(suite_info.cmdline, suite_config->cmdline, sizeof(suite_info.cmdline));
	string_copy(suite_info.tests, suite_config->tests, sizeof(suite_info.tests));
	string_copy(suite_info.errata, suite_config->errata, sizeof(suite_info.errata));
}

/*
 * The suite takes the processor, and the files are written behind it, so the firmware has to stay:
 * without its timer, whose interrupts would hit tests. Where it has none that can be stopped, or
 * shadow stacks or FRED that would not be found again, it has to go.
 */
static bool prepare_firmware(void)
{
	EFI_GUID guid = TIMER_GUID;
	void *found;

	if ((read_cr4() & (CR4_CET | CR4_FRED)) ||
	    EFI_ERROR(loader.boot->LocateProtocol(&guid, NULL, &found)))
		return leave_firmware(&loader);
	timer = found;
	if (EFI_ERROR(timer->get_period(timer, &timer_period)) ||
	    EFI_ERROR(timer->set_period(timer, 0))) {
		timer = NULL;
		return leave_firmware(&loader);
	}
	console_firmware_is_gone(); /* the screen is for the results */
	return true;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
	bool ok;

	loader.program = "fredcheck";
	loader.image = image;
	loader.system = system;
	loader.boot = system->BootServices;
	loader.boot->SetWatchdogTimer(0, 0, 0, NULL);

	console_init(&loader);
	ok = prepare_memory_map(&loader);
	ok = ok && open_volume(&loader);
	ok = ok && read_config(&loader);
	ok = ok && read_options(&loader);
	ok = ok && check_machine();
	ok = ok && collect_facts(&loader);
	ok = ok && place_suite();
	ok = ok && prepare_four_levels(&loader);
	ok = ok && prepare_firmware(); /* the point of no return */
	if (!ok)
		return give_up(&loader);
	describe();
	if (read_cr4() & CR4_LA57)
		firmware_tables = read_cr3();
	enter_four_levels();
	suite_enter(&suite_info, suite.entry);
}

/* The start-up code of GNU-EFI 3.0.16 and later calls this name instead. */
EFI_STATUS _entry(EFI_HANDLE image, EFI_SYSTEM_TABLE *system) __attribute__((alias("efi_main")));

static void describe_processor(struct result_facts *facts)
{
	char name[CPUID_NAME_SIZE] = { 0 };

	processor_name(name);
	result_cpu_name(facts->cpu_name, name);
	facts->cpu_signature = cpuid(1).eax;
	facts->microcode = processor_microcode();
}

static void show_on_screen(const struct results *results, const struct result_facts *facts)
{
	static struct console console;

	if (!(loader.info.config.console & CONSOLE_SCREEN) ||
	    !console_layout(&console, &loader.info.framebuffer))
		return;
	console_begin(&console, (volatile void *)(uintptr_t)loader.info.framebuffer.base);
	result_screen_draw(&console, results, facts);
}

/* The firmware goes on, as before the suite. */
static void write_files(const struct results *results, const struct result_facts *facts)
{
	static char json[JSON_MAX];
	const struct selftest_text *const tap =
		(const struct selftest_text *)(uintptr_t)suite_info.text;
	const struct text_piece json_text = { json,
					      results_json(json, sizeof(json), results, facts) };

	timer->set_period(timer, timer_period);
	if (tap != NULL) {
		const struct text_piece tap_text = { tap->bytes, (size_t)tap->length };

		write_file(&loader, "fredcheck.tap", NULL, &tap_text, 1);
	}
	if (write_file(&loader, "fredcheck.json", NULL, &json_text, 1))
		loader_log(&loader, "results are in \\fredcheck.tap and \\fredcheck.json");
}

/* The firmware's own way off may not come back: Bochs, which has none, is asked first. */
static _Noreturn void power_off(void)
{
	static const char bochs[] = BOCHS_SHUTDOWN;

	if (loader.info.config.at_end != AT_END_HALT) {
		for (size_t i = 0; i < sizeof(bochs) - 1; i++)
			port_write(PORT_BOCHS_SHUTDOWN, (uint8_t)bochs[i]);
		loader.system->RuntimeServices->ResetSystem(
			loader.info.config.at_end == AT_END_REBOOT ? EfiResetCold
								   : EfiResetShutdown,
			EFI_SUCCESS, 0, NULL);
	}
	for (;;) {
		disable_interrupts();
		halt();
	}
}

void suite_left(uint64_t failed, const struct results *results)
{
	struct result_facts facts = {
		.title = "FRED conformance of the bare machine",
		.method = "by the processor",
		.in_short = "bare",
		.last_line = results->bail_out,
	};
	char line[LINE_MAX];

	if (firmware_tables != 0) {
		la57_switch(firmware_tables);
		loader_log(&loader, "the firmware goes on, CR4 is %llx",
			   (unsigned long long)read_cr4());
	}
	format_string(line, sizeof(line), "fredcheck: end status=%s reason=%s exits=0",
		      failed ? "failed" : "ok", failed ? "tests" : "tests-passed");
	describe_processor(&facts);
	if (results->bail_out[0] == '\0')
		facts.last_line = line;
	show_on_screen(results, &facts);
	if (timer != NULL)
		write_files(results, &facts);
	console_print("%s", line);
	if (loader.info.config.at_end == AT_END_DEBUG_EXIT)
		port_write(PORT_DEBUG_EXIT, failed ? DEBUG_EXIT_FAILED : DEBUG_EXIT_OK);
	power_off();
}
