/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is asked of the firmware itself: its variables (UEFI 2.10, 3.3 and 8.5.4), and a reset.
 */
#include "boot/loader.h"

static const EFI_GUID global_variable = EFI_GLOBAL_VARIABLE;

static bool get_variable(const struct loader *loader, const CHAR16 *name, void *value, UINTN size)
{
	EFI_GUID guid = global_variable;
	UINTN got = size;

	return !EFI_ERROR(loader->system->RuntimeServices->GetVariable((CHAR16 *)name, &guid, NULL,
								       &got, value)) &&
	       got == size;
}

static EFI_GUID own_variable = {
	0x1d7c3f3a, 0x7be1, 0x4c0e, { 0x9d, 0x4f, 0x52, 0x8a, 0x60, 0x3e, 0xb7, 0x21 }
};

/* A variable of this name that an operating system has made has other attributes. */
bool firmware_get_number(const struct loader *loader, const uint16_t *name, uint32_t attributes,
			 uint64_t *value)
{
	UINTN size = sizeof(*value);
	UINT32 found;

	return !EFI_ERROR(loader->system->RuntimeServices->GetVariable(
		       (CHAR16 *)name, &own_variable, &found, &size, value)) &&
	       size == sizeof(*value) && found == attributes;
}

bool firmware_set_number(const struct loader *loader, const uint16_t *name, uint32_t attributes,
			 uint64_t value)
{
	/* Attributes cannot be changed. */
	loader->system->RuntimeServices->SetVariable((CHAR16 *)name, &own_variable, 0, 0, NULL);
	return !EFI_ERROR(loader->system->RuntimeServices->SetVariable(
		(CHAR16 *)name, &own_variable, attributes, sizeof(value), &value));
}

bool firmware_secure_boot(const struct loader *loader)
{
	uint8_t on;

	return get_variable(loader, L"SecureBoot", &on, sizeof(on)) && on == 1;
}

bool firmware_has_setup(const struct loader *loader)
{
	uint64_t supported;

	return get_variable(loader, L"OsIndicationsSupported", &supported, sizeof(supported)) &&
	       (supported & EFI_OS_INDICATIONS_BOOT_TO_FW_UI);
}

void firmware_reset(const struct loader *loader)
{
	loader->system->RuntimeServices->ResetSystem(EfiResetCold, EFI_SUCCESS, 0, NULL);
}

bool firmware_enter_setup(struct loader *loader)
{
	EFI_GUID guid = global_variable;
	uint64_t indications = 0;
	EFI_STATUS status;

	get_variable(loader, L"OsIndications", &indications, sizeof(indications));
	indications |= EFI_OS_INDICATIONS_BOOT_TO_FW_UI;
	status = loader->system->RuntimeServices->SetVariable(
		L"OsIndications", &guid,
		EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS |
			EFI_VARIABLE_RUNTIME_ACCESS,
		sizeof(indications), &indications);
	if (EFI_ERROR(status))
		return firmware_failed(loader, status, "the firmware does not take the wish");
	firmware_reset(loader);
	return true;
}
