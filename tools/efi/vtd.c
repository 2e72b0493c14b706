/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMM's vtd.c and ept.c on a machine with VT-d, without VMX and without a guest: there is no
 * emulator with both. The tables are those of a guest, one page is kept from it as the VMM's memory
 * is, and a device is told to read and write that page and another one. The device is QEMU's "edu",
 * with a buffer and registers that copy between it and memory. TAP on COM1, then it hangs.
 */
#include <efi.h>
#include <stdarg.h>
#include <stdbool.h>

#include "lib/acpi.h"
#include "lib/boot_info.h"
#include "lib/format.h"
#include "lib/layout.h"
#include "lib/string.h"
#include "lib/tap.h"
#include "lib/x86/vmx.h"
#include "tools/efi/serial.h"
#include "vmm/host/apic.h"
#include "vmm/vmx/ept.h"
#include "vmm/base/log.h"
#include "vmm/host/capabilities.h"
#include "vmm/base/memory.h"
#include "vmm/host/smp.h"
#include "vmm/vcpu/vcpu.h"
#include "vmm/vmx/vtd.h"

#define DEVICES_MAX 64
#define EDU_ID	    0x11e81234U
#define EDU_FROM    0x80
#define EDU_TO	    0x88
#define EDU_COUNT   0x90
#define EDU_COMMAND 0x98
#define EDU_START   1U
#define EDU_WRITE   2U /* to memory */
#define EDU_BUFFER  0x40000ULL
#define EDU_POLLS   2000
#define POLL_USEC   1000

#define BYTES	     64
#define SECRET	     0x5a
#define PLAIN	     0xc3
#define FILE_SIZE    0x20000
#define FILE_BYTE(i) ((uint8_t)((i)*7 + ((i) >> 8))) /* tests/system/test_vtd.py has the same */
#define STARTED	     "VT-d: 1 units: the devices reach what guest test reaches"
#define LOG_SIZE     4096
/* A part of the machine in which all of this is. */
#define ADDRESS_BITS 36 /* any processor has them */
#define RAM_END	     SIZE_1G

struct machine machine;
static EFI_SYSTEM_TABLE *efi;
static EFI_PCI_IO_PROTOCOL *edu;
static unsigned int bus, device, function;
static struct boot_info boot;
static struct vm vm;
static uint8_t *allowed, *forbidden; /* a page each */
static char said[LOG_SIZE];	     /* by log_line() */

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

/* ---- What the VMM's files call: addresses are physical, and all memory is mapped ---- */

void tap_write(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		write_serial((const char[]){ text[i], '\0' });
}

void log_line(enum log_level level __attribute__((unused)), const char *format, ...)
{
	const size_t length = strlen(said);
	va_list arguments;

	va_start(arguments, format);
	format_string_v(said + length, sizeof(said) - length, format, arguments);
	va_end(arguments);
	tap_diagnostic("%s", said + length);
}

void panic(const char *reason, const char *format __attribute__((unused)), ...)
{
	tap_diagnostic("panic: %s", reason);
	for (;;)
		hlt();
}

void *page_alloc(void)
{
	EFI_PHYSICAL_ADDRESS page = RAM_END - 1;

	if (EFI_ERROR(efi->BootServices->AllocatePages(AllocateMaxAddress, EfiRuntimeServicesData,
						       1, &page)))
		panic("no-memory", "no page below 1 GiB");
	return memset((void *)page, 0, PAGE_SIZE);
}

uint64_t virt_to_phys(const void *address)
{
	return (uintptr_t)address;
}

void *phys_to_virt(uint64_t address)
{
	return (void *)address;
}

volatile void *mmio_map(uint64_t address, uint64_t size __attribute__((unused)))
{
	return (volatile void *)address;
}

static const void *map_tables(uint64_t physical, size_t size __attribute__((unused)))
{
	return (const void *)physical;
}

bool apic_is_locked_x2apic(void)
{
	return false;
}

void smp_request_others(enum cpu_request request __attribute__((unused)))
{
}

/* ---- The device ---- */

static bool is_edu(EFI_PCI_IO_PROTOCOL *pci)
{
	UINT32 id = 0;

	return !EFI_ERROR(pci->Pci.Read(pci, EfiPciIoWidthUint32, 0, 1, &id)) && id == EDU_ID;
}

static bool find_edu(void)
{
	EFI_GUID guid = EFI_PCI_IO_PROTOCOL_GUID;
	EFI_HANDLE handles[DEVICES_MAX];
	UINTN size = sizeof(handles);
	UINTN segment, b, d, f;

	if (EFI_ERROR(efi->BootServices->LocateHandle(ByProtocol, &guid, NULL, &size, handles)))
		return false;
	for (UINTN i = 0; i < size / sizeof(handles[0]); i++) {
		EFI_PCI_IO_PROTOCOL *pci;

		if (EFI_ERROR(
			    efi->BootServices->HandleProtocol(handles[i], &guid, (void **)&pci)) ||
		    !is_edu(pci))
			continue;
		edu = pci;
		pci->GetLocation(pci, &segment, &b, &d, &f);
		bus = (unsigned int)b;
		device = (unsigned int)d;
		function = (unsigned int)f;
		return !EFI_ERROR(pci->Attributes(
			pci, EfiPciIoAttributeOperationEnable,
			EFI_PCI_IO_ATTRIBUTE_MEMORY | EFI_PCI_IO_ATTRIBUTE_BUS_MASTER, NULL));
	}
	return false;
}

static void edu_write(uint64_t at, uint64_t value)
{
	edu->Mem.Write(edu, EfiPciIoWidthUint32, 0, at, 1, &value);
}

/* Copy BYTES; false when it never ends. */
static bool copy(uint64_t from, uint64_t to, uint32_t direction)
{
	UINT32 busy = EDU_START;

	edu_write(EDU_FROM, from);
	edu_write(EDU_TO, to);
	edu_write(EDU_COUNT, BYTES);
	edu_write(EDU_COMMAND, EDU_START | direction);
	for (int i = 0; i < EDU_POLLS && (busy & EDU_START); i++) {
		efi->BootServices->Stall(POLL_USEC);
		edu->Mem.Read(edu, EfiPciIoWidthUint32, 0, EDU_COMMAND, 1, &busy);
	}
	return !(busy & EDU_START);
}

static bool device_reads(const uint8_t *page)
{
	return copy((uintptr_t)page, EDU_BUFFER, 0);
}

static bool device_writes(const uint8_t *page)
{
	return copy(EDU_BUFFER, (uintptr_t)page, EDU_WRITE);
}

static bool holds(const uint8_t *page, uint8_t byte)
{
	for (int i = 0; i < BYTES; i++)
		if (((const volatile uint8_t *)page)[i] != byte)
			return false;
	return true;
}

/* Does what it reads there arrive here? */
static bool carries(uint8_t *from, uint8_t *to)
{
	memset(from, SECRET, BYTES);
	memset(to, PLAIN, BYTES);
	return device_reads(from) && device_writes(to) && holds(to, SECRET);
}

/* ---- The tests ---- */

/* The firmware's own driver goes through the same tables: a file, with all its bytes. */
static bool reads_file(EFI_HANDLE volume)
{
	EFI_GUID guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
	EFI_SIMPLE_FILE_SYSTEM_PROTOCOL *filesystem;
	EFI_FILE_PROTOCOL *root, *file;
	static uint8_t bytes[FILE_SIZE];
	UINTN size = sizeof(bytes);

	if (EFI_ERROR(efi->BootServices->HandleProtocol(volume, &guid, (void **)&filesystem)) ||
	    EFI_ERROR(filesystem->OpenVolume(filesystem, &root)) ||
	    EFI_ERROR(root->Open(root, &file, (CHAR16 *)L"\\data", EFI_FILE_MODE_READ, 0)) ||
	    EFI_ERROR(file->Read(file, &size, bytes)) || size != sizeof(bytes))
		return false;
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != FILE_BYTE(i))
			return false;
	return true;
}

/* Of this device, page and reason, and nothing else is said. */
static bool recorded(const char *kind, const uint8_t *page, unsigned int reason)
{
	char line[128];

	format_string(line, sizeof(line),
		      "VT-d: device %02x:%02x.%x: its %s page 0x%llx was refused, reason %u", bus,
		      device, function, kind, (unsigned long long)(uintptr_t)page, reason);
	said[0] = '\0';
	vtd_log_faults();
	return strcmp(said, line) == 0;
}

static void start(uint64_t vmm_size)
{
	boot.vmm_base = (uintptr_t)forbidden;
	boot.vmm_size = vmm_size;
	ept_create(&vm);
	said[0] = '\0';
	vtd_start(&vm);
}

static void prepare(uint64_t rsdp)
{
	boot.rsdp = rsdp;
	memmap_set(&boot.memmap, 0, RAM_END, MEMORY_RAM);
	vm = (struct vm){ .name = "test", .devices = VM_DEVICES_PASSTHROUGH, .boot = &boot };
	machine.ept_vpid_cap = EPT_CAP_2M | EPT_CAP_1G;
	machine.physical_mask = (1ULL << ADDRESS_BITS) - 1;
	allowed = page_alloc();
	forbidden = page_alloc();
}

static void test_without(void)
{
	tap_result(carries(forbidden, allowed) && carries(allowed, forbidden),
		   "without translation the device reads and writes both pages");
	vtd_probe(&boot);
	tap_result(vtd_is_taken(), "the unit is found, and has what is needed");
}

static void test_all_mapped(EFI_HANDLE volume)
{
	start(0);
	tap_result(strcmp(said, STARTED) == 0, "translation is on");
	tap_result(carries(forbidden, allowed) && carries(allowed, forbidden),
		   "tables that map all: the device reads and writes both pages");
	tap_result(reads_file(volume), "tables that map all: the firmware reads a file");
	said[0] = '\0';
	vtd_log_faults();
	tap_result(said[0] == '\0', "no fault is recorded");
}

/* The unit translates already, by the tables of before and with their queue. */
static void test_page_kept(EFI_HANDLE volume)
{
	start(PAGE_SIZE);
	tap_result(strcmp(said, STARTED) == 0, "a unit that is on is taken over");
	memset(allowed, PLAIN, BYTES);
	device_reads(allowed);
	memset(forbidden, SECRET, BYTES);
	device_writes(forbidden);
	tap_result(holds(forbidden, SECRET), "the device does not write the page");
	tap_result(recorded("write to", forbidden, 5), "the write is recorded");
	tap_result(!carries(forbidden, allowed), "the device does not read the page");
	tap_result(recorded("read of", forbidden, 6), "the read is recorded");
	tap_result(carries(allowed, allowed + BYTES), "it reads and writes the other one");
	tap_result(reads_file(volume), "the firmware reads a file");
	said[0] = '\0';
	vtd_log_faults();
	tap_result(said[0] == '\0', "no further fault is recorded");
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
	EFI_GUID loaded_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	EFI_GUID acpi_guid = ACPI_20_TABLE_GUID;
	EFI_LOADED_IMAGE_PROTOCOL *self;
	uint64_t rsdp = 0;

	efi = system;
	acpi_map = map_tables;
	tap_begin();
	for (UINTN i = 0; i < system->NumberOfTableEntries; i++)
		if (memcmp(&system->ConfigurationTable[i].VendorGuid, &acpi_guid,
			   sizeof(acpi_guid)) == 0)
			rsdp = (uintptr_t)system->ConfigurationTable[i].VendorTable;
	if (EFI_ERROR(system->BootServices->HandleProtocol(image, &loaded_guid, (void **)&self)) ||
	    !find_edu())
		panic("no-device", "there is no device edu");
	prepare(rsdp);
	test_without();
	test_all_mapped(self->DeviceHandle);
	test_page_kept(self->DeviceHandle);
	tap_end();
	for (;;)
		hlt();
}
