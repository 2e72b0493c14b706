# SPDX-License-Identifier: BSD-2-Clause
"""Firmware that runs with 5-level paging. OVMF does not: tools/efi/chain.c switches it on, so that
OVMF goes on with it."""
import pytest

import emulator

LA57 = emulator.Machine(features="la57")
LA57_IS_SET = r" [0-9a-f]*[13579bdf][0-9a-f]{3}$"
FIRMWARE_HAS_IT = r"^chain: the firmware goes on, CR4 is" + LA57_IS_SET
LEFT = r"^\w+: loader: the firmware runs with 5-level paging: it is switched off$"


class TestLoader:
    """The way there, back, and there again, on the machine without VMX."""

    def test_comes_as_far_as_ever(self, loader):
        machine = emulator.Machine(model="max,la57=on")
        log = loader({"guest": "selftest"}, firmware="la57", machine=machine)
        log.find(FIRMWARE_HAS_IT)
        log.ends("failed", "no-vmx")


class TestVmm:
    """One processor: OVMF sets up the others as it found the first, and they cannot follow it."""

    @pytest.fixture(scope="class")
    def log(self, manfred):
        config = {"guest": "selftest", "tests": "cr.*"}
        return manfred(config, firmware="la57", machine=LA57)

    def test_leaves_it(self, log):
        log.find(FIRMWARE_HAS_IT)
        log.find(LEFT)

    def test_guest_passes(self, log):
        log.find(r"^ok \d+ - cr\.\S+$")
        log.ends("ok")


class TestBare:
    """fredcheck.efi returns to it: the firmware then writes its files."""

    @pytest.fixture(scope="class")
    def log(self, fred_bochs, fredcheck):
        errata = fred_bochs.errata(emulator.Machine()) + ",FR-9"
        return fredcheck(fred_bochs, LA57, firmware="la57", tests="fred-*", errata=errata)

    def test_leaves_it(self, log):
        log.find(FIRMWARE_HAS_IT)
        log.find(LEFT)

    def test_passes(self, log):
        log.ends("ok")

    def test_returns_to_it(self, log):
        log.find(r"^fredcheck: loader: the firmware goes on, CR4 is" + LA57_IS_SET)
        log.find(r"^fredcheck: loader: results are in \\fredcheck\.tap and \\fredcheck\.json$")
