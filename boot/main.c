/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * manfred.efi: the UEFI application. Collects what the firmware knows, places
 * the VMM and the guest's files in memory, leaves boot services and jumps. What
 * fails before that is said in a line, and the firmware gets the machine back.
 */
#include "boot/loader.h"
#include "lib/layout.h"
#include "lib/string.h"

_Noreturn static void hand_over(struct loader *loader)
{
	struct boot_info *const info = &loader->info;

	info->magic = BOOT_INFO_MAGIC;
	info->size = sizeof(*info) - (info->config.debug == DEBUG_BOOT_INFO ? 1 : 0);
	info->pool_base = loader->pool.next;
	info->page_tables = loader->space.pml4;
	memcpy((void *)(uintptr_t)loader->boot_info, info, sizeof(*info));
	enter_four_levels();
	enter_vmm(VMM_BASE + (loader->boot_info - info->vmm_base), loader->vmm.entry,
		  loader->space.pml4);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
	static struct loader loader;
	EFI_STATUS status;
	bool ok, pause;

	loader.program = "manfred";
	loader.config_needed = true;
	loader.image = image;
	loader.system = system;
	loader.boot = system->BootServices;
	loader.boot->SetWatchdogTimer(0, 0, 0, NULL);

	console_init(&loader);
	logs_find(&loader);
	ok = prepare_memory_map(&loader);
	ok = ok && open_volume(&loader);
	ok = ok && read_config(&loader);
	ok = ok && read_options(&loader);
	/* With a menu, or without a sound manfred.cfg, somebody may be there to read. */
	pause = !ok || loader.info.config.menu != 0;
	if (ok)
		logs_save(&loader);
	ok = ok && menu_run(&loader);
	ok = ok && collect_facts(&loader);
	ok = ok && place_vmm(&loader);
	ok = ok && build_page_tables(&loader);
	ok = ok && prepare_four_levels(&loader);
	ok = ok && leave_firmware(&loader); /* the point of no return */
	if (!ok) {
		status = give_up(&loader);
		if (pause)
			menu_pause(&loader);
		return status;
	}
	hand_over(&loader);
}

/* The start-up code of GNU-EFI 3.0.16 and later calls this name instead. */
EFI_STATUS _entry(EFI_HANDLE image, EFI_SYSTEM_TABLE *system) __attribute__((alias("efi_main")));
