# SPDX-License-Identifier: BSD-2-Clause
"""Linux as the guest, with the real devices."""
import re

import emulator
import pytest
from conftest import LINUX_CHECKS, LINUX_TEST, linux_check

FIRMWARE_STARTS = re.compile("BdsDxe: starting")
# Checks that say why they cannot run without FRED.
NEED_FRED = ("sysenter-64", "fred-msrs")
# The kernel, its page structures and the initramfs take this much at most.
KERNEL_TAKES_KB = 80 << 10


class TestLinuxChecks:
    """Without FRED, on any emulator; test_fred_linux.py has it with FRED. With more than 4 GiB of
    memory, most of which Linux takes from its upper end."""

    MACHINE = emulator.Machine(memory=6144)

    @pytest.fixture(scope="class")
    def log(self, linux):
        return linux(cmdline=LINUX_TEST, fred="off", machine=self.MACHINE, timeout=600)

    @pytest.mark.parametrize("check", LINUX_CHECKS)
    def test_check(self, log, check):
        linux_check(log, check, may_skip=NEED_FRED)

    def test_count(self, log):
        log.find(rf"^linux: {len(LINUX_CHECKS)} checks, ")

    def test_memory(self, log):
        """The firmware keeps what lies between 3 and 4 GiB for devices."""
        assert int(log.find(r"^linux: note memory (\d+) kB$")[1]) > 4 << 20

    def test_events_come_by_the_idt(self, log):
        log.find(r"^linux: note fred 0$")
        log.find(r"^linux: note SYSCALL changes RCX and R11$")
        log.find(r"^linux: note a system call enters by entry_SYSCALL_64")

    def test_no_kernel_warning(self, log):
        log.lacks(r"WARNING:|BUG:|Oops|Call Trace|unchecked MSR")

    def test_powers_off(self, log):
        log.find(r"^linux: poweroff$")
        log.ends("ok")


class TestLinuxReboot:
    """Less memory than the machine has, and a reboot at the end."""

    MEMORY_KB = 256 << 10

    @pytest.fixture(scope="class")
    def log(self, linux):
        # To the end, and until the firmware has come up once more.
        until = (emulator.END_LINE, FIRMWARE_STARTS)
        return linux(cmdline="manfred.end=reboot", memory="256M", until=until)

    def test_greets(self, log):
        log.find(r"^linux: hello from Linux ")
        log.find(r"^linux: runs under a hypervisor$")
        log.find(r"^linux: sees no VMX$")

    def test_memory_is_limited(self, log):
        size = int(log.find(r"^linux: MemTotal: +(\d+) kB$")[1])
        assert self.MEMORY_KB - KERNEL_TAKES_KB < size < self.MEMORY_KB

    def test_reboots(self, log):
        log.ends("ok")
        after = log.result.log.split("manfred: end ", 1)[1]
        assert FIRMWARE_STARTS.search(after), "the machine did not reset"


class TestLinuxInitrdTooLarge:
    """It fits into the machine, but not into the guest's share."""

    @pytest.fixture(scope="class")
    def log(self, linux, tmp_path_factory):
        initrd = tmp_path_factory.mktemp("initrd") / "large"
        initrd.write_bytes(bytes(40 << 20))
        return linux(initrd=initrd, memory="96M", machine=emulator.Machine(memory=256))

    def test_says_so(self, log):
        log.says(r"initrd of 40 MiB")
        log.ends("failed")
