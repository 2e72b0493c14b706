# SPDX-License-Identifier: BSD-2-Clause
"""The VMM on several processors: a guest with two, and an end of the boot that all want."""
import re

import pytest

import acpi_tables
import emulator

TIMEOUT = 600
KERNEL = emulator.BUILD / "tests/smp.elf"


class TestSecondProcessor:
    """The built-in guest's chapter smp: start, interrupts, translations taken away on both."""

    @pytest.fixture(scope="class")
    def log(self, manfred):
        config = "[guest two]\nguest = selftest\ncpus = 2\ntests = smp.*\n"
        return manfred(config, machine=emulator.Machine(cpus=2))

    def test_are_known_by_their_apic_ids(self, log):
        log.find(r"^manfred: loader: 2 processors")
        page = log.find(r"^manfred: loader: APIC IDs 0 1; the page .* is at 0x([0-9a-f]+)$")[1]
        assert 0 < int(page, 16) < 1 << 20
        assert int(page, 16) % 4096 == 0

    def test_all_run_the_vmm(self, log):
        log.says(r"2 of 2 processors run the VMM")

    def test_says_that_there_is_no_screen(self, log):
        log.says(r"loader: no framebuffer: the screen will stay as it is$")

    @pytest.mark.parametrize(
        "test",
        [
            "start",
            "unmap_elsewhere",
            "interrupt_arrives",
            "interrupt_wakes",
            "interrupt_refused",
        ],
    )
    def test_passes(self, log, test):
        log.find(rf"^ok \d+ - smp\.{test}$")

    def test_ends(self, log):
        log.ends("ok")


class TestEndOfAll:
    """Four processors end the boot at the same moment: one report, one end."""

    @pytest.fixture(scope="class")
    def log(self, manfred):
        config = {"guest": "selftest", "debug": "vmm-panic"}
        return manfred(config, machine=emulator.Machine(cpus=4))

    def test_there_is_one_report(self, log):
        log.says(r"4 of 4 processors run the VMM")
        assert len(re.findall(r"processor \d ends the boot", log.result.log)) == 1

    def test_there_is_one_end(self, log):
        assert log.result.log.count("manfred: end status=") == 1
        log.ends("failed")


class TestLimit:
    """The machine's key cpus: the others are parked in VMX operation, where INIT and SIPI of a guest
    with the machine's APIC do not reach them."""

    @pytest.fixture(scope="class")
    def log(self, manfred):
        config = {"guest": "multiboot", "kernel": r"\kernel", "cmdline": 1, "cpus": 1, "fred": "off"}
        return manfred(config, {"kernel": KERNEL}, machine=emulator.Machine(cpus=2), timeout=TIMEOUT)

    def test_is_kept(self, log):
        log.says(r"1 of 2 processors run the VMM")
        log.says(r"1 processors are parked in VMX operation: no guest can start them")

    def test_guest_cannot_start_the_others(self, log):
        log.find(r"^ok \d+ - no processor of another starts$")
        log.find(r"^ok \d+ - x2APIC: no processor of another starts$")

    def test_ends(self, log):
        log.ends("ok", "guest-end")


class TestMadt:
    """A firmware that has ACPI tables. Of three processors its MADT has two, one that is disabled, and
    one that does not exist; Linux gets one, and another guest has the second. Its DMAR names a VT-d unit
    that obeys no command."""

    PROCESSORS = (
        (0, acpi_tables.ENABLED),
        (1, acpi_tables.DISABLED),
        (7, acpi_tables.ENABLED),
        (2, acpi_tables.ENABLED),
    )
    NEIGHBOUR = "[guest neighbour]\ncpu = 1\ntests = cpuid.*\n"

    @pytest.fixture(scope="class")
    def log(self, linux):
        machine = emulator.Machine(cpus=3)
        return linux(machine=machine, processors=self.PROCESSORS, dead_vtd=True, section="l",
                     cpus=1, fred="off", others=self.NEIGHBOUR, timeout=TIMEOUT)

    def test_is_read(self, log):
        log.says(r"loader: ACPI root pointer at 0x0*7000000$")
        log.says(r"loader: APIC IDs 0 7 2; ")
        log.says(r"2 of 3 processors run the VMM")

    def test_missing_processor_is_left_out(self, log):
        log.says(r"processor with APIC ID 7 does not start: it is left out, and a guest")
        log.lacks(r"APIC ID [012] does not start")

    def test_guest_gets_its_own(self, log):
        log.says(r"guest l: ACPI tables at 0x[0-9a-f]+ for 1 processors, without DMAR$")
        log.find(r"^linux: ACPI tables: APIC DSDT FACP$")

    def test_goes_on_without_vtd(self, log):
        log.says(r"VT-d: the unit at 0x7001000 does not obey, and all are off: devices can reach all")
        log.lacks(r"VT-d: not used")

    def test_linux_has_the_processors_that_it_may_have(self, log):
        log.find(r"^linux: processors: 1 of 1$")

    def test_neighbour_passes(self, log):
        log.find(r"^neighbour: ok \d+ - cpuid\.")
        log.lacks(r"^neighbour: not ok")

    def test_powers_off_by_acpi(self, log):
        log.ends("ok", "guest-poweroff")


class StartOfProcessors:
    """A kernel of our own that starts processors in all the ways of the manual, and tests what they
    find; tests/guests/smp.c."""

    CHECKS_AT_LEAST = 170

    @staticmethod
    def boot(manfred, cpus, fred):
        config = {"guest": "multiboot", "kernel": r"\kernel", "cmdline": cpus, "fred": fred}
        return manfred(config, {"kernel": KERNEL}, machine=emulator.Machine(cpus=cpus),
                       timeout=TIMEOUT)

    def test_all_checks_pass(self, log):
        planned = int(log.find(r"^1\.\.(\d+)$")[1])
        assert planned >= self.CHECKS_AT_LEAST
        log.find(rf"^ok {planned} - ")
        log.lacks(r"^not ok(?!.*# TODO errata BX-16$)")

    def test_ends(self, log):
        log.ends("ok", "guest-end")


class TestStoreAcrossTheEndOfTheApic:
    """The same kernel, which stores to the last bytes of the APIC's page and the next page, while a
    processor waits to be started: its own end, and not a fault of the VMM."""

    @pytest.fixture(scope="class")
    def log(self, manfred):
        config = {"guest": "multiboot", "kernel": r"\kernel", "cmdline": "2 crossing"}
        return manfred(config, {"kernel": KERNEL}, machine=emulator.Machine(cpus=2),
                       timeout=TIMEOUT)

    def test_ends_the_guest_by_name(self, log):
        log.find(r"writes its local APIC otherwise than by .*, linear address 0xfee00ffe$")
        log.ends("failed", "apic-store")


class TestStartOfTwo(StartOfProcessors):
    @pytest.fixture(scope="class")
    def log(self, manfred):
        return self.boot(manfred, 2, "soft")


class TestStartOfFour(StartOfProcessors):
    @pytest.fixture(scope="class")
    def log(self, manfred):
        return self.boot(manfred, 4, "off")
