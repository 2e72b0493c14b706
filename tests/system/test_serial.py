# SPDX-License-Identifier: BSD-2-Clause
"""The serial port: where the loader finds it, and what it says without one."""
import emulator

PCI = emulator.Machine(serial="pci")


class TestOnPci:
    def test_is_found(self, loader):
        log = loader("guest = selftest\n", machine=PCI)
        log.find(r"^manfred: loader: serial port at 0x[0-9a-f]+ \(PCI\)")
        log.ends("failed", "no-vmx")

    def test_is_named(self, loader):
        log = loader("guest = selftest\nserial = pci:00:1d.0\nbaud = 57600\n", machine=PCI)
        log.find(r"^manfred: loader: serial port at 0x[0-9a-f]+ \(manfred.cfg\)")
        log.ends("failed", "no-vmx")


class TestAtAPort:
    def test_is_named(self, loader):
        log = loader("guest = selftest\nserial = 0x3f8\n")
        log.find(r"^manfred: loader: serial port at 0x3f8 \(manfred.cfg\)")
        log.ends("failed", "no-vmx")
