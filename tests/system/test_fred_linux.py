# SPDX-License-Identifier: BSD-2-Clause
"""Native FRED on an emulator that has it: Linux as a guest, and the VMM's own faults."""
import re

import emulator
import pytest
from conftest import LINUX_CHECKS, LINUX_TEST, linux_check

# ERETU to flat 32-bit code faults by chance there, and Linux ends the program by SIGSEGV.
FR_10 = ("FR-10", "killed by signal 11")
ERRATA = {check: FR_10 for check in LINUX_CHECKS if check.startswith("compat-")}
METHODS = ("VMCS controls", "MSR areas")


class TestFredLinux:
    @pytest.fixture(scope="class")
    def log(self, fred_bochs, linux):
        return linux(cmdline=LINUX_TEST, fred="native")

    @pytest.fixture(scope="class")
    def method(self, log):
        """How the VMM switches the FRED state, as it says at the end."""
        return log.says(r"fred: native by ([A-Za-z ]+), guest CR4\.FRED=1, ")[1]

    @pytest.mark.parametrize("check", LINUX_CHECKS)
    def test_check(self, log, check):
        linux_check(log, check, errata=ERRATA)

    def test_count(self, log):
        log.find(rf"^linux: {len(LINUX_CHECKS)} checks, ")

    def test_events_come_by_fred(self, log):
        log.find(r"^linux: note fred 1$")
        log.find(r"^linux: note SYSCALL keeps RCX and R11$")
        log.find(r"^linux: note a system call enters by asm_fred_entrypoint_user$")

    def test_the_vmm_has_the_same_state_as_linux(self, log, method):
        config = log.says(r"IA32_FRED_CONFIG=([0-9a-f]+)")[1]
        levels = log.says(r"STKLVLS=([0-9a-f]+)")[1]
        assert int(config, 16) != 0
        log.find(rf"^linux: note IA32_FRED_CONFIG 0x{config}, IA32_FRED_STKLVLS 0x{levels}$")

    @pytest.mark.parametrize("wanted", METHODS)
    def test_method(self, fred_bochs, log, method, wanted):
        """The one that the controls of the emulator allow, unless the VMM says why it is not."""
        if method != wanted:
            pytest.skip(f"native FRED by {wanted}: on this emulator it is by {method}")
        has_controls = fred_bochs.probe(emulator.Machine())["fred-vmcs"]
        if wanted == "MSR areas" and has_controls:
            log.says(r"FRED: not by VMCS controls: .*; MSR areas$")
        else:
            assert has_controls == (wanted == "VMCS controls")

    def test_no_kernel_warning(self, log):
        log.lacks(r"WARNING:|BUG:|Oops|Call Trace|unchecked MSR")

    def test_powers_off(self, log):
        log.find(r"^linux: poweroff$")
        log.ends("ok")


class TestFaultInTheVmm:
    """The same report whether the VMM takes its exceptions by FRED or by its IDT."""

    @pytest.mark.parametrize("damage", ("vmm-fault", "vmm-stack-overflow", "vmm-write-text"))
    def test_report(self, fred_bochs, manfred, damage):
        reports = []
        for model in (emulator.FRED_MODEL, emulator.PLAIN_MODEL):
            machine = emulator.Machine(model=model)
            assert fred_bochs.probe(machine)["fred"] == (model == emulator.FRED_MODEL)
            log = manfred({"guest": "selftest", "debug": damage}, machine=machine)
            log.ends("failed")
            reports.append(self._report(log))
        assert reports[0] == reports[1]
        assert len(reports[0]) > 10

    @staticmethod
    def _report(log):
        """The lines from the fault on, without times and register values."""
        lines = log.result.log[log.says(r"(exception|#PF|page fault|stack)").start() :]
        return [re.sub(r"\[ *\d+\] |\b[0-9a-f]{8,16}\b", "", line) for line in lines.splitlines()]
