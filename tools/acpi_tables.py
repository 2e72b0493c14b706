# SPDX-License-Identifier: BSD-2-Clause
"""ACPI tables for an emulator whose firmware has none: tools/efi/chain.c puts them into memory.

By the ACPI specification 6.5, chapter 5, and the registers of the PIIX4, where OVMF puts them.
"""
import struct

# tools/efi/chain.c has the same.
ADDRESS = 0x7000000
PAGE = 0x1000
LOCAL_APIC = 0xFEE00000
IOAPIC = 0xFEC00000

ENABLED, DISABLED = 1, 0  # flags of a processor

PM_BASE = 0xB000
SCI_INTERRUPT = 9
# Name (\_S5, Package () { Zero, Zero }): the PIIX4's soft off is sleep type 0.
DSDT = b"\x08_S5_\x12\x04\x02\x00\x00"


def _with_checksum(data, at):
    return data[:at] + bytes([-sum(data) & 0xFF]) + data[at + 1 :]


def _table(signature, revision, body):
    header = struct.pack("<4sIBB6s8sI4sI", signature, 36 + len(body), revision, 0, b"TESTER",
                         b"EMULATED", 1, b"TEST", 1)
    return _with_checksum(header + body, 9)


def _madt(processors):
    body = struct.pack("<II", LOCAL_APIC, 1)
    for uid, (apic_id, flags) in enumerate(processors):
        body += struct.pack("<BBBBI", 0, 8, uid, apic_id, flags)
    body += struct.pack("<BBBBII", 1, 12, len(processors), 0, IOAPIC, 0)
    # The timer is at pin 2; the SCI is level-triggered and active high on this chipset.
    body += struct.pack("<BBBBIH", 2, 10, 0, 0, 2, 0)
    body += struct.pack("<BBBBIH", 2, 10, 0, SCI_INTERRUPT, SCI_INTERRUPT, 0xD)
    return _table(b"APIC", 3, body)


def _fadt(dsdt):
    """Of ACPI 1.0 in its length: fixed hardware by 32-bit addresses, and ACPI mode is on."""
    body = struct.pack("<II", 0, dsdt)
    body += struct.pack("<BBHIBBBB", 1, 0, SCI_INTERRUPT, 0, 0, 0, 0, 0)
    # PM1a and PM1b events, PM1a and PM1b control, PM2, timer, two GPE blocks
    body += struct.pack("<8I", PM_BASE, 0, PM_BASE + 4, 0, 0, PM_BASE + 8, 0, 0)
    body += struct.pack("<8B", 4, 2, 0, 4, 0, 0, 0, 0)
    # No C2 nor C3; RTC's alarm day, month and century at no place; WBINVD works.
    body += struct.pack("<HHHHBBBBBHBI", 0xFFFF, 0xFFFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    return _table(b"FACP", 1, body)


def _dmar(unit):
    body = struct.pack("<BB10x", 47, 0)
    return _table(b"DMAR", 1, body + struct.pack("<HHBBHQ", 0, 16, 1, 0, 0, unit))


def _vtd_registers():
    """Of a unit that has all (levels, page sizes, queue) and obeys nothing: it is memory."""
    capabilities = 4 << 8 | 0x40 << 24 | 3 << 34
    return bytes(8) + struct.pack("<QQ", capabilities, 3) + bytes(PAGE - 24)


def tables(processors, vtd=False):
    """The memory from ADDRESS on; `processors` is a list of (APIC ID, flags); `vtd`: a DMAR with a
    unit that does not obey, in the page behind the tables."""
    memory = bytearray(64)

    def put(table):
        address = ADDRESS + len(memory)
        memory.extend(table)
        memory.extend(bytes(-len(memory) % 16))
        return address

    madt = put(_madt(processors))
    fadt = put(_fadt(put(_table(b"DSDT", 1, DSDT))))
    found = [madt, fadt] + ([put(_dmar(ADDRESS + PAGE))] if vtd else [])
    xsdt = put(_table(b"XSDT", 1, struct.pack(f"<{len(found)}Q", *found)))
    rsdp = struct.pack("<8sB6sBIIQB3x", b"RSD PTR ", 0, b"TESTER", 2, 0, 36, xsdt, 0)
    rsdp = _with_checksum(_with_checksum(rsdp[:20], 8) + rsdp[20:], 32)
    memory[: len(rsdp)] = rsdp
    if vtd:
        memory.extend(bytes(PAGE - len(memory)) + _vtd_registers())
    return bytes(memory)
