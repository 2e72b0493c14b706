# SPDX-License-Identifier: BSD-2-Clause
"""The serial port: where the loader finds it, and what it says without one."""
import emulator
import pytest

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


class TestNone:
    """Without a port nothing can be read; that QEMU is told to exit shows that nothing hangs."""

    @pytest.mark.parametrize(
        "value", ("auto", "none", "0x3f8", "pci:00:1d.0", "mmio:0x1fff00000000,4")
    )
    def test_goes_on_without(self, loader, value):
        config = {"guest": "selftest", "at_end": "debug-exit", "serial": value, "baud": 9600}
        log = loader(config, machine=emulator.Machine(serial="none"))
        assert not log.result.timed_out
        assert log.result.log == ""


class TestRefused:
    def test_not_a_word_by_the_firmware_either(self, loader):
        log = loader({"guest": "selftest", "at_end": "debug-exit", "serial": "none"})
        assert not log.result.timed_out
        log.lacks("manfred")


class TestNamedWrongly:
    def test_says_so_by_the_firmware(self, loader):
        """Whose own console is on the port that was not named."""
        log = loader({"guest": "selftest", "serial": "0x2f8"})
        log.find(r"^manfred: no serial port answers at the place that the key serial names")
        log.find(r"^manfred: loader: no serial port")
        log.ends("failed", "no-vmx")
