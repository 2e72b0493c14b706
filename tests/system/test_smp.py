# SPDX-License-Identifier: BSD-2-Clause
"""Several processors: Linux has all of them, and ends from any of them."""
import re

import emulator
import pytest
from conftest import SMP_CHECKS, linux_check

FIRMWARE_STARTS = re.compile("BdsDxe: starting")
# Checks that say why they cannot run without FRED.
NEED_FRED = ("smp-fred-msrs",)
TIMEOUT = 600


def smp_cmdline(cpus, end="poweroff"):
    """All checks, and an end from the last processor."""
    return f"manfred.smp={cpus} manfred.end={end} manfred.end_on={cpus - 1}"


class Checks:
    """What every boot shows; a class of it says which machine it is, and the FRED."""

    CPUS = 2
    MAY_SKIP = ()

    @pytest.mark.parametrize("check", SMP_CHECKS)
    def test_check(self, log, check):
        linux_check(log, check, may_skip=self.MAY_SKIP)

    def test_count(self, log):
        log.find(rf"^linux: {len(SMP_CHECKS)} checks, ")

    def test_no_kernel_warning(self, log):
        log.lacks(r"WARNING:|BUG:|Oops|Call Trace|unchecked MSR|soft lockup|rcu.*stall")

    def test_powers_off(self, log):
        log.find(rf"^linux: poweroff on processor {self.CPUS - 1}$")
        log.ends("ok")


class TestSmpWithoutFred(Checks):
    MAY_SKIP = NEED_FRED

    @pytest.fixture(scope="class")
    def log(self, linux):
        machine = emulator.Machine(cpus=self.CPUS)
        return linux(machine=machine, cmdline=smp_cmdline(self.CPUS), fred="off", timeout=TIMEOUT)


class TestSmpFour(Checks):
    CPUS = 4

    @pytest.fixture(scope="class")
    def log(self, linux):
        machine = emulator.Machine(cpus=self.CPUS)
        return linux(machine=machine, cmdline=smp_cmdline(self.CPUS), fred="soft", timeout=TIMEOUT)

    def test_uses_fred(self, log):
        log.find(r"^linux: note fred 1$")


class TestSmpNative(Checks):
    @pytest.fixture(scope="class")
    def log(self, fred_bochs, linux):
        machine = emulator.Machine(cpus=self.CPUS)
        cmdline = smp_cmdline(self.CPUS)
        log = linux(machine=machine, cmdline=cmdline, fred="native", timeout=TIMEOUT)
        if "reason=no-fred" in log.result.log:
            pytest.skip("native FRED: the emulator's has BX-13 with several processors")
        return log

    def test_uses_fred(self, log):
        log.find(r"^linux: note fred 1$")


class TestSmpReboot:
    """A reboot by the last of two processors."""

    @pytest.fixture(scope="class")
    def log(self, linux):
        until = (emulator.END_LINE, FIRMWARE_STARTS)
        cmdline = "manfred.end=reboot manfred.end_on=1"
        return linux(machine=emulator.Machine(cpus=2), cmdline=cmdline, until=until)

    def test_reboots(self, log):
        log.find(r"^linux: reboot on processor 1$")
        log.ends("ok")
        after = log.result.log.split("manfred: end ", 1)[1]
        assert FIRMWARE_STARTS.search(after), "the machine did not reset"
