# SPDX-License-Identifier: BSD-2-Clause
"""Software FRED: guests that use FRED on a processor without it."""
import re

import emulator
import exits
import fred
import pytest
from conftest import LINUX_CHECKS, LINUX_TEST, linux_check

TIMEOUT = 400


def interrupts_delivered(log):
    """How many there were: each that the VMM took from the APIC was delivered, once."""
    line = log.says(r"interrupts: (\d+) taken, (\d+) delivered, (\d+) merged, (\d+) waiting")
    taken, delivered, merged, waiting = map(int, line.groups())
    assert (taken, merged) == (delivered + waiting, 0)
    return delivered


class TestSoftFredLinux:
    @pytest.fixture(scope="class")
    def log(self, linux):
        return linux(cmdline=LINUX_TEST, fred="soft", timeout=TIMEOUT)

    @pytest.mark.parametrize("check", LINUX_CHECKS)
    def test_check(self, log, check):
        linux_check(log, check)

    def test_count(self, log):
        log.find(rf"^linux: {len(LINUX_CHECKS)} checks, ")

    def test_events_come_by_fred(self, log):
        log.find(r"^linux: note fred 1$")
        log.find(r"^linux: note SYSCALL keeps RCX and R11$")
        log.find(r"^linux: note a system call enters by asm_fred_entrypoint_user$")

    def test_the_vmm_has_the_same_state_as_linux(self, log):
        state = log.says(
            r"fred: software, guest CR4\.FRED=1, IA32_FRED_CONFIG=([0-9a-f]+), STKLVLS=([0-9a-f]+)"
        )
        assert int(state[1], 16) != 0
        log.find(rf"^linux: note IA32_FRED_CONFIG 0x{state[1]}, IA32_FRED_STKLVLS 0x{state[2]}$")

    def test_no_interrupt_is_lost(self, log):
        assert interrupts_delivered(log) > 500

    def test_no_kernel_warning(self, log):
        log.lacks(r"WARNING:|BUG:|Oops|Call Trace|unchecked MSR")

    def test_powers_off(self, log):
        log.find(r"^linux: poweroff$")
        log.ends("ok")


class TestSoftFredSoak:
    """Ten minutes of the guest's time under mixed load. The devices' clock runs fast, so that there
    are few instructions from one timer interrupt to the next."""

    MACHINE = emulator.Machine(ips=4_000_000)
    SECONDS = 600

    @pytest.fixture(scope="class")
    def log(self, linux):
        # Linux's clock has to be that of the interrupts: the TSC says less time. Without ACPI it
        # has no local APIC timer, whose clock is the TSC, and takes the 8254 by the 8259.
        cmdline = f"manfred.soak={self.SECONDS} tsc=unstable clocksource=jiffies acpi=off"
        return linux(machine=self.MACHINE, cmdline=cmdline, fred="soft", timeout=TIMEOUT)

    def test_all_goes_well(self, log):
        found = log.find(r"^linux: soak of (\d+) checks, up (\d+)")
        assert int(found[1]) > 0 and int(found[2]) >= self.SECONDS

    def test_no_interrupt_is_lost(self, log):
        assert interrupts_delivered(log) > 100 * self.SECONDS

    def test_no_kernel_warning(self, log):
        log.lacks(r"WARNING:|BUG:|Oops|Call Trace|unchecked MSR")

    def test_powers_off(self, log):
        log.ends("ok")


class TestFredByDefault:
    """fred = auto, by software where the processor has no FRED, and Linux with all of its
    mitigations: it switches FRED off when it takes the processor to be vulnerable to Meltdown
    (docs/softfred.md)."""

    @pytest.fixture(scope="class")
    def log(self, linux):
        return linux(cmdline="mitigations=auto", timeout=TIMEOUT)

    def test_linux_uses_fred(self, log):
        log.find(r"^linux: uses FRED$")
        log.says(r"fred: (software|native by [A-Za-z ]+), guest CR4\.FRED=1")

    def test_powers_off(self, log):
        log.ends("ok")


class TestSoftFredCost:
    """What make bench tells of FRED's events by software, against its aims."""

    @pytest.fixture(scope="class")
    def found(self, manfred):
        log = manfred({"guest": "selftest", "fred": "soft", **fred.SCENARIO}, timeout=fred.TIMEOUT)
        log.ends("ok")
        return exits.measured(log.result.log, fred.NAMES, log.folder)

    @pytest.mark.parametrize("delivery, back", fred.EVENTS)
    def test_event(self, found, delivery, back):
        assert 0 < found[delivery][0] <= fred.DELIVERY
        assert 0 < found[back][0] <= fred.RETURN


class TestSoftFredSuite:
    """The built-in guest says the same under software FRED and by the processor, line for line.
    (On a processor without FRED, TestSelftest runs it under software FRED.)"""

    # What only one of the two has: the processor's deviations, what software cannot trap, shadow
    # stacks.
    ONLY_ONE = re.compile(r"# TODO errata|# SKIP")

    @pytest.fixture(scope="class")
    def lines(self, fred_bochs, manfred):
        errata = fred_bochs.errata(emulator.Machine())
        config = {"guest": "selftest", "tests": "fred-*", "errata": errata}
        return [
            self._results(manfred({**config, "fred": fred}, timeout=TIMEOUT))
            for fred in ("soft", "native")
        ]

    def _results(self, log):
        found = re.findall(r"^((?:not )?ok) \d+ - (\S+)(.*)$", log.result.log, re.MULTILINE)
        return {name: (result, note) for result, name, note in found}

    def test_same_tests(self, lines):
        assert lines[0].keys() == lines[1].keys()
        assert len(lines[0]) > 1000

    def test_same_results(self, lines):
        compared = 0
        for name, (result, note) in lines[0].items():
            other, other_note = lines[1][name]
            if not self.ONLY_ONE.search(note + other_note):
                assert (name, result) == (name, other)
                compared += 1
        assert compared > 900

    def test_nothing_fails_by_software(self, lines):
        """Nor does a deviation of the processor show: software has none of them. But LKGS is the
        processor's own where it has that."""
        failed = [name for name, (result, note) in lines[0].items() if result != "ok"]
        failed = [name for name in failed if not name.startswith("fred-lkgs.")]
        assert set(failed) <= {"fred-shadow.sti_int_n"}  # BX-14
