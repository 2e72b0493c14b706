# SPDX-License-Identifier: BSD-2-Clause
"""The VMM on several processors: a guest with two, and an end of the boot that all want."""
import re

import pytest

import emulator


class TestSecondProcessor:
    """The built-in guest's chapter smp: start, interrupts, translations taken away on both."""

    @pytest.fixture(scope="class")
    def log(self, manfred):
        config = "[guest two]\nguest = selftest\ncpus = 2\ntests = smp.*\n"
        return manfred(config, machine=emulator.Machine(cpus=2))

    def test_all_run_the_vmm(self, log):
        log.says(r"2 of 2 processors run the VMM")

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
    """The machine's key cpus: the others are left alone."""

    @pytest.fixture(scope="class")
    def log(self, manfred):
        config = "cpus = 1\n[guest one]\nguest = selftest\ntests = cpuid.*\n"
        return manfred(config, machine=emulator.Machine(cpus=2))

    def test_is_kept(self, log):
        log.says(r"1 of 2 processors run the VMM")
        log.ends("ok")
