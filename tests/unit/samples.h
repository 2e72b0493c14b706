/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small sound files and tables, byte by byte from their specifications, for the
 * unit tests to damage and the fuzzers to start from. Each function fills a
 * buffer of SAMPLE_MAX bytes and returns the size.
 */
#ifndef TESTS_UNIT_SAMPLES_H
#define TESTS_UNIT_SAMPLES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SAMPLE_MAX 8192

#define UNUSED_OK __attribute__((unused))

UNUSED_OK static void put_8(uint8_t *buffer, size_t offset, uint8_t value)
{
	buffer[offset] = value;
}

UNUSED_OK static void put_16(uint8_t *buffer, size_t offset, uint16_t value)
{
	memcpy(buffer + offset, &value, sizeof(value));
}

UNUSED_OK static void put_32(uint8_t *buffer, size_t offset, uint32_t value)
{
	memcpy(buffer + offset, &value, sizeof(value));
}

UNUSED_OK static void put_64(uint8_t *buffer, size_t offset, uint64_t value)
{
	memcpy(buffer + offset, &value, sizeof(value));
}

/* A relocatable kernel of 4 KiB behind a setup part of 1 KiB; needs 8 MiB at 16 MiB. */
UNUSED_OK static size_t sample_bzimage(uint8_t *file)
{
	memset(file, 0, SAMPLE_MAX);
	put_8(file, 0x1f1, 1);	     /* setup_sects */
	put_32(file, 0x1f4, 256);    /* syssize, in paragraphs */
	put_16(file, 0x1fe, 0xaa55); /* boot_flag */
	put_16(file, 0x200, 0x6aeb); /* jump over the header, to 0x26c */
	memcpy(file + 0x202, "HdrS", 4);
	put_16(file, 0x206, 0x020f);	 /* version */
	put_8(file, 0x211, 0x01);	 /* loadflags: LOADED_HIGH */
	put_32(file, 0x22c, 0x7fffffff); /* initrd_addr_max */
	put_32(file, 0x230, 0x200000);	 /* kernel_alignment */
	put_8(file, 0x234, 1);		 /* relocatable_kernel */
	put_16(file, 0x236, 0x0001);	 /* xloadflags: KERNEL_64 */
	put_32(file, 0x238, 2047);	 /* cmdline_size */
	put_32(file, 0x248, 0x100);	 /* payload_offset */
	put_32(file, 0x24c, 0x800);	 /* payload_length */
	put_64(file, 0x258, 0x1000000);	 /* pref_address */
	put_32(file, 0x260, 0x800000);	 /* init_size */
	return 1024 + 4096;
}

/* Two segments to load, text and data with bss, and a note between them. */
UNUSED_OK static size_t sample_elf64(uint8_t *file)
{
	static const struct {
		uint32_t type, flags;
		uint64_t offset, address, file_size, memory_size;
	} headers[] = {
		{ 1, 5, 0x1000, 0x100000, 0x200, 0x200 },
		{ 4, 4, 0x1200, 0, 0x20, 0x20 },
		{ 1, 6, 0x1800, 0x102000, 0x100, 0x3000 },
	};

	memset(file, 0, SAMPLE_MAX);
	memcpy(file,
	       "\x7f"
	       "ELF\x02\x01\x01",
	       7);
	put_16(file, 16, 2);	    /* ET_EXEC */
	put_16(file, 18, 62);	    /* EM_X86_64 */
	put_32(file, 20, 1);	    /* version */
	put_64(file, 24, 0x100010); /* entry */
	put_64(file, 32, 64);	    /* program headers */
	put_16(file, 52, 64);
	put_16(file, 54, 56);
	put_16(file, 56, 3);
	for (size_t i = 0; i < 3; i++) {
		const size_t at = 64 + i * 56;

		put_32(file, at, headers[i].type);
		put_32(file, at + 4, headers[i].flags);
		put_64(file, at + 8, headers[i].offset);
		put_64(file, at + 16, headers[i].address + 0xffffffff80000000ULL);
		put_64(file, at + 24, headers[i].address);
		put_64(file, at + 32, headers[i].file_size);
		put_64(file, at + 40, headers[i].memory_size);
	}
	return 0x1900;
}

/* One segment; a Multiboot header at its start when asked for. */
UNUSED_OK static size_t sample_elf32(uint8_t *file, int with_multiboot)
{
	memset(file, 0, SAMPLE_MAX);
	memcpy(file,
	       "\x7f"
	       "ELF\x01\x01\x01",
	       7);
	put_16(file, 16, 2); /* ET_EXEC */
	put_16(file, 18, 3); /* EM_386 */
	put_32(file, 20, 1);
	put_32(file, 24, 0x10000c); /* entry */
	put_32(file, 28, 52);	    /* program headers */
	put_16(file, 40, 52);
	put_16(file, 42, 32);
	put_16(file, 44, 1);
	put_32(file, 52, 1);	    /* PT_LOAD */
	put_32(file, 56, 0x1000);   /* offset */
	put_32(file, 60, 0x100000); /* virtual */
	put_32(file, 64, 0x100000); /* physical */
	put_32(file, 68, 0x400);    /* in the file */
	put_32(file, 72, 0x2000);   /* in memory */
	put_32(file, 76, 7);
	if (with_multiboot) {
		put_32(file, 0x1000, 0x1badb002);
		put_32(file, 0x1004, 3);
		put_32(file, 0x1008, 0U - 0x1badb002U - 3);
	}
	return 0x1400;
}

/* Not an ELF file: the Multiboot header at 0x40 says where to load it. */
UNUSED_OK static size_t sample_multiboot_flat(uint8_t *file)
{
	memset(file, 0, SAMPLE_MAX);
	put_32(file, 0x40, 0x1badb002);
	put_32(file, 0x44, 0x10000);
	put_32(file, 0x48, 0U - 0x1badb002U - 0x10000);
	put_32(file, 0x4c, 0x100040); /* header's address */
	put_32(file, 0x50, 0x100020); /* load address: byte 0x20 of the file */
	put_32(file, 0x54, 0x100800); /* end of what the file has */
	put_32(file, 0x58, 0x104000); /* end of bss */
	put_32(file, 0x5c, 0x100060); /* entry */
	return 0x900;
}

/* Make the bytes of a table sum to 0 by the byte at `checksum`. */
UNUSED_OK static void fix_checksum(uint8_t *table, size_t length, size_t checksum)
{
	uint8_t sum = 0;

	table[checksum] = 0;
	for (size_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + table[i]);
	table[checksum] = (uint8_t)(0x100U - sum);
}

UNUSED_OK static void put_table(uint8_t *memory, size_t at, const char *signature, uint32_t length)
{
	memcpy(memory + at, signature, 4);
	put_32(memory, at + 4, length);
	fix_checksum(memory + at, length, 9);
}

/* Where sample_acpi has its tables. */
enum {
	ACPI_AT_RSDT = 0x40,
	ACPI_AT_XSDT = 0x80,
	ACPI_AT_FADT = 0x100,
	ACPI_AT_MADT = 0x300,
	ACPI_AT_DSDT = 0x400,
	ACPI_SAMPLE_SIZE = 0x500,
	ACPI_DSDT_LENGTH = 60,
	ACPI_MADT_LENGTH = 44 + 3 * 8 + 16 + 12 + 10,
};

/*
 * Tables in physical memory from address 0 on, with the RSDP first: two usable
 * processors with a local APIC and one with an x2APIC, one that is off, an
 * IOAPIC; sleep type 5 is 5 and 1.
 */
UNUSED_OK static size_t sample_acpi(uint8_t *memory)
{
	static const uint8_t entries[] = {
		0, 8,  0, 0, 1, 0, 0,	 0,				/* APIC 0 */
		0, 8,  1, 4, 1, 0, 0,	 0,				/* APIC 4 */
		0, 8,  2, 6, 0, 0, 0,	 0,				/* APIC 6: off */
		9, 16, 0, 0, 0, 1, 0,	 0,    1,  0, 0, 0, 3, 0, 0, 0, /* x2APIC 256 */
		1, 12, 7, 0, 0, 0, 0xc0, 0xfe, 24, 0, 0, 0,		/* IOAPIC */
		2, 10, 0, 0, 2, 0, 0,	 0,    0,  0,			/* override */
	};
	/* A name that only looks like it; then Name (\_S5, Package () { 5, One, 0, 0 }) */
	static const uint8_t aml[] = { '_',  'S',  '5', '_',  0x08, '\\', '_', 'S', '5', '_',
				       0x12, 0x08, 4,	0x0a, 5,    1,	  0,   0,   0xa3 };

	memset(memory, 0, SAMPLE_MAX);
	memcpy(memory, "RSD PTR ", 8);
	put_8(memory, 15, 2);
	put_32(memory, 16, ACPI_AT_RSDT);
	put_32(memory, 20, 36);
	put_64(memory, 24, ACPI_AT_XSDT);
	fix_checksum(memory, 20, 8);
	fix_checksum(memory, 36, 32);

	put_32(memory, ACPI_AT_RSDT + 36, ACPI_AT_FADT);
	put_32(memory, ACPI_AT_RSDT + 40, ACPI_AT_MADT);
	put_table(memory, ACPI_AT_RSDT, "RSDT", 44);
	put_64(memory, ACPI_AT_XSDT + 36, ACPI_AT_FADT);
	put_64(memory, ACPI_AT_XSDT + 44, ACPI_AT_MADT);
	put_table(memory, ACPI_AT_XSDT, "XSDT", 52);

	put_32(memory, ACPI_AT_FADT + 40, ACPI_AT_DSDT);
	put_32(memory, ACPI_AT_FADT + 48, 0xb2); /* SMI command port */
	put_8(memory, ACPI_AT_FADT + 52, 0xf0);	 /* ACPI enable */
	put_32(memory, ACPI_AT_FADT + 64, 0x604);
	put_32(memory, ACPI_AT_FADT + 112, 1U << 10); /* has a reset register */
	put_8(memory, ACPI_AT_FADT + 116, 1);	      /* I/O space */
	put_64(memory, ACPI_AT_FADT + 120, 0xcf9);
	put_8(memory, ACPI_AT_FADT + 128, 0x0f);
	put_64(memory, ACPI_AT_FADT + 140, ACPI_AT_DSDT);
	put_table(memory, ACPI_AT_FADT, "FACP", 244);

	memcpy(memory + ACPI_AT_MADT + 44, entries, sizeof(entries));
	put_table(memory, ACPI_AT_MADT, "APIC", ACPI_MADT_LENGTH);

	memcpy(memory + ACPI_AT_DSDT + 36, aml, sizeof(aml));
	put_table(memory, ACPI_AT_DSDT, "DSDT", ACPI_DSDT_LENGTH);
	return ACPI_SAMPLE_SIZE;
}

/* An SPCR with this revision, interface type, and generic address structure. */
UNUSED_OK static size_t sample_spcr(uint8_t *memory, uint8_t revision, uint8_t subtype,
				    uint8_t space, uint8_t bits, uint8_t access, uint64_t address)
{
	const uint32_t size = 80;

	memset(memory, 0, size);
	put_8(memory, 8, revision);
	put_8(memory, 36, subtype);
	put_8(memory, 40, space);
	put_8(memory, 41, bits);
	put_8(memory, 43, access);
	put_64(memory, 44, address);
	put_8(memory, 52, 1); /* interrupts: IRQ 4 */
	put_8(memory, 53, 4);
	put_8(memory, 58, 7);	 /* 115,200 */
	put_8(memory, 60, 1);	 /* stop bits */
	put_32(memory, 64, ~0U); /* not on PCI */
	put_table(memory, 0, "SPCR", size);
	return size;
}

#define DBG2_AT_DEVICE 44

/* A DBG2 as coreboot writes it for Intel's LPSS: one device, a UART at 0xfe034000. */
UNUSED_OK static size_t sample_dbg2(uint8_t *memory)
{
	static const char name[] = "\\_SB.PCI0.UAR2";
	const uint32_t size = DBG2_AT_DEVICE + 53;
	uint8_t *const device = memory + DBG2_AT_DEVICE;

	memset(memory, 0, size);
	put_32(memory, 36, DBG2_AT_DEVICE);
	put_32(memory, 40, 1);
	put_8(device, 1, 53);
	put_8(device, 3, 1);		/* registers */
	put_8(device, 4, sizeof(name)); /* its length and place */
	put_8(device, 6, 38);
	put_8(device, 13, 0x80); /* type: serial port; subtype: 16550 */
	put_8(device, 18, 22);
	put_8(device, 20, 34);
	put_8(device, 25, 3); /* access: double words; no bit width */
	put_64(device, 26, 0xfe034000);
	put_32(device, 34, 0x1000);
	memcpy(device + 38, name, sizeof(name));
	put_table(memory, 0, "DBG2", size);
	return size;
}

enum {
	DMAR_AT_GRAPHICS = 48,
	DMAR_AT_RESERVED = DMAR_AT_GRAPHICS + 24,
	DMAR_AT_ALL = DMAR_AT_RESERVED + 32,
	DMAR_LENGTH = DMAR_AT_ALL + 16 + 8,
	DMAR_GRAPHICS_UNIT = 0xfed90000,
	DMAR_OTHER_UNIT = 0xfed91000,
	DMAR_RESERVED_BASE = 0x3b800000,
	DMAR_RESERVED_END = 0x40000000,
};

/*
 * A DMAR as of a client board: a unit for the graphics and one for all else, with two pages of
 * registers; memory that the graphics use; a structure of a type that nobody knows.
 */
UNUSED_OK static size_t sample_dmar(uint8_t *memory)
{
	static const uint8_t graphics[] = { 1, 8, 0, 0, 0, 0, 2, 0 }; /* 00:02.0 */
	uint8_t *const unit = memory + DMAR_AT_GRAPHICS;
	uint8_t *const reserved = memory + DMAR_AT_RESERVED;
	uint8_t *const all = memory + DMAR_AT_ALL;

	memset(memory, 0, DMAR_LENGTH);
	put_8(memory, 36, 38); /* 39 bits of address */
	put_8(memory, 37, 1);
	put_16(unit, 2, 24);
	put_64(unit, 8, DMAR_GRAPHICS_UNIT);
	memcpy(unit + 16, graphics, sizeof(graphics));
	put_16(reserved, 0, 1);
	put_16(reserved, 2, 32);
	put_64(reserved, 8, DMAR_RESERVED_BASE);
	put_64(reserved, 16, DMAR_RESERVED_END - 1);
	memcpy(reserved + 24, graphics, sizeof(graphics));
	put_16(all, 2, 16);
	put_8(all, 4, 1); /* all that no other one has */
	put_8(all, 5, 1);
	put_64(all, 8, DMAR_OTHER_UNIT);
	put_16(all + 16, 0, 99);
	put_16(all + 16, 2, 8);
	put_table(memory, 0, "DMAR", DMAR_LENGTH);
	return DMAR_LENGTH;
}

#endif
