# SPDX-License-Identifier: BSD-2-Clause
"""The built-in guest, Multiboot guests, and guests and files that are wrong."""
import re

import emulator
import pytest

# With FRED the built-in guest has at least these tests of it.
FRED_TESTS_AT_LEAST = 300
MULTIBOOT = emulator.BUILD / "tests/multiboot.bin"


class TestSelftest:
    @pytest.fixture(scope="class")
    def log(self, bochs, manfred):
        config = {"guest": "selftest", "errata": bochs.errata(emulator.Machine())}
        return manfred(config, grace=emulator.GRACE_SECONDS)

    @pytest.fixture(scope="class")
    def planned(self, log):
        return int(log.find(r"^1\.\.(\d+)")[1])

    def test_all_checks_pass(self, log, planned):
        """But for those that a deviation of this very emulator makes fail, each by its identifier."""
        assert planned > 0
        log.find(rf"^(not )?ok {planned} ")
        log.lacks(r"^not ok(?!.*# TODO errata (FR|BX)-\d+$)")

    def test_fred_is_tested(self, fred_bochs, log, planned):
        log.says(r"FRED: by VMCS controls|; MSR areas$")
        run = re.findall(r"^(?:not )?ok \d+ - fred(?:vm)?-(?!.*# SKIP)", log.result.log, re.MULTILINE)
        assert len(run) >= FRED_TESTS_AT_LEAST

    def test_skips_have_a_reason(self, log):
        """What the processor has not, and what software FRED cannot trap."""
        for line in re.findall(r"^ok \d+ - fred-.*# SKIP .*$", log.result.log, re.MULTILINE):
            assert re.search(r"# SKIP (no |what software FRED cannot trap)", line), line

    def test_ends_well(self, log):
        log.ends("ok")


class TestErrataWithoutTests:
    def test_is_refused(self, manfred):
        log = manfred({"guest": "selftest", "tests": "misc.*", "errata": "BX-14,FR-140"})
        log.find(r"^Bail out! errata = FR-140: no test is known to fail by it "
                 r"\(guest/suite/errata\.c\)$")
        log.lacks(r"^ok 1 ")
        log.ends("failed", "guest-end")


class TestMultiboot:
    @pytest.fixture(scope="class")
    def log(self, manfred):
        config = {
            "guest": "multiboot",
            "kernel": r"\kernel",
            "module": r"\module",
            "cmdline": "hello world",
        }
        return manfred(config, {"kernel": MULTIBOOT, "module": b"text of a module"})

    def test_command_line(self, log):
        log.find(r"multiboot: command line hello world$")

    def test_module(self, log):
        log.find(r"multiboot: module text of a module$")

    def test_ends_well(self, log):
        log.ends("ok")

    @pytest.fixture(scope="class")
    def vmm_address(self, log):
        """Where the VMM lies; the same in each boot of one machine."""
        return log.says(r"VMM at 0x([0-9a-f]+)")[1].lstrip("0")

    def test_vmm_memory_is_out_of_reach(self, manfred, vmm_address):
        config = {"guest": "multiboot", "kernel": r"\kernel", "cmdline": f"a{vmm_address}"}
        log = manfred(config, {"kernel": MULTIBOOT})
        log.lacks(r"the read came back")
        log.says(r"the guest's read of .* hit memory of the VMM")
        log.ends("failed", "vmm-memory")


class TestLastLines:
    """A guest leaves the UART so that nothing gets through, and resets the machine."""

    def test_arrive(self, manfred):
        config = {"guest": "multiboot", "kernel": r"\kernel", "cmdline": "uart"}
        log = manfred(config, {"kernel": MULTIBOOT})
        log.ends("ok", "guest-reboot")


class TestTripleFault:
    @pytest.fixture(scope="class")
    def log(self, manfred):
        config = {"guest": "multiboot", "kernel": r"\kernel", "cmdline": "triple"}
        return manfred(config, {"kernel": MULTIBOOT})

    def test_says_so(self, log):
        log.says(r"triple fault")
        log.ends("failed")


class TestDeliberateDamage:
    """The VMM's own mistakes, made on purpose: each is named, and nothing hangs."""

    @pytest.mark.parametrize(
        "damage,line",
        (
            ("invalid-guest-state", r"RFLAGS"),
            ("vmm-fault", r"page fault|#PF"),
            ("vmm-stack-overflow", r"stack|guard"),
            ("vmm-write-text", r"page fault|#PF"),
            ("boot-info", r"loader and VMM are of different builds"),
        ),
    )
    def test_is_reported(self, manfred, damage, line):
        log = manfred({"guest": "selftest", "debug": damage})
        log.says(rf"({line})")
        log.ends("failed")


class TestNmiInTheVmm:
    """An NMI that hits the VMM is taken, and its return lets the next one through."""

    @pytest.fixture(scope="class")
    def log(self, manfred):
        return manfred({"guest": "selftest", "debug": "vmm-nmi", "tests": "cpuid.*"})

    def test_both_are_taken(self, log):
        assert log.result.log.count("an NMI came before there was a guest") == 2

    def test_the_boot_goes_on(self, log):
        log.ends("ok")


class TestVmxLockedOff:
    def test_says_so(self, manfred):
        log = manfred({"guest": "selftest"}, firmware="lock-vmx")
        log.says(r"VMX is locked off by firmware: enable .* in the firmware setup")
        log.ends("failed", "vmx-locked")


class TestOddMemoryMap:
    """A range at 2^48, which four levels of EPT would map at 0 again, and one that wraps."""

    @pytest.fixture(scope="class")
    def log(self, manfred):
        config = {"guest": "selftest", "tests": "ept.*"}
        return manfred(config, firmware="memory-map")

    def test_is_said(self, log):
        log.says(r"memory map: 0x200000000000001 pages from 0xfffffffffffff000 on are no range")

    def test_the_guest_runs(self, log):
        log.lacks(r"^not ok")
        log.ends("ok")


class TestSmallMachine:
    """64 MB, of which the firmware leaves no piece large enough for the VMM."""

    MACHINE = emulator.Machine(memory=64)

    def test_too_small_for_the_vmm(self, manfred):
        log = manfred({"guest": "selftest"}, machine=self.MACHINE)
        log.says(r"the VMM needs 16 MiB in one piece .* the largest free block has \d+ MiB")
        log.ends("failed", "no-memory")

    def test_linux(self, linux):
        log = linux(machine=self.MACHINE)
        log.says(r"(does not fit|largest free block)")
        log.ends("failed")
