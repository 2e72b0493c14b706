# SPDX-License-Identifier: BSD-2-Clause
"""The serial port: where the loader finds it, and what it says without one."""
import fcntl
import os
import subprocess

import boot
import emulator
import pytest
from pexpect import fdpexpect

# Its exit status for at_end = debug-exit.
QEMU_FAILED = 35
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


class TestNeverReady:
    """Nobody takes what the port sends, from the middle of a menu on: the boot goes on without."""

    # More than fits into the pipe and the port's own buffer before the countdown ends.
    MENU_SECONDS = 12

    def test_goes_on_without(self, qemu, tmp_path):
        image, line = tmp_path / "disk.img", tmp_path / "line"
        boot.manfred_image(image, {"menu": self.MENU_SECONDS, "at_end": "debug-exit"})
        ends = []
        for name in ("line.in", "line.out"):
            os.mkfifo(tmp_path / name)
            ends.append(os.open(tmp_path / name, os.O_RDWR))
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)
        machine = subprocess.Popen(qemu.command(image, emulator.Machine(), f"pipe,path={line}"))
        try:
            reader = fdpexpect.fdspawn(ends[1], timeout=60)
            reader.expect("starts in ")
            assert machine.wait(timeout=120) == QEMU_FAILED
            # The end line is none of what was sent, so the port was given up.
            os.set_blocking(ends[1], False)
            assert b"end status" not in reader.buffer + os.read(ends[1], 65536)
        finally:
            machine.kill()
            machine.wait()
            for end in ends:
                os.close(end)


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
