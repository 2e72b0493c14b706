# SPDX-License-Identifier: BSD-2-Clause
"""The self-test of the platform's FRED, on an emulator that has FRED."""
import re

import pytest

# docs/errata.md: what the development version of Bochs shows, which offers no FRED controls.
DEVELOPMENT_BOCHS = {4, 6, 7, 8, 9, 11, 12, 13, 14, 18, 19, 20, 23}
# What can be seen only where there are the controls.
OF_CONTROLS = {3}


class TestSelfTest:
    @pytest.fixture(scope="class")
    def log(self, fred_bochs, manfred):
        return manfred({"guest": "selftest", "tests": "cpuid*"})

    @pytest.fixture(scope="class")
    def errata(self, log):
        return [int(number) for number in re.findall(r"manfred: erratum FR-(\d+): ", log.result.log)]

    def test_sums_up(self, log, errata):
        """All checks but those of CET, of WRMSRNS, of the APIC and of the controls are possible
        everywhere."""
        found = log.says(r"FRED self-test: (\d+) checks passed, (\d+) errata$")
        assert int(found[2]) == len(errata)
        assert int(found[1]) + int(found[2]) >= 14

    def test_reports_each_erratum_once(self, errata):
        assert len(errata) == len(set(errata))

    def test_errata_are_the_known_ones(self, log, errata):
        if "FRED: by VMCS controls" in log.result.log:
            assert set(errata) <= DEVELOPMENT_BOCHS | OF_CONTROLS
        else:
            assert set(errata) == DEVELOPMENT_BOCHS

    def test_nothing_else_goes_wrong(self, log, errata):
        """A deviation without an identifier, or an unexpected exit, is a line of its own."""
        log.lacks(r"FRED self-test: (?!\d+ checks)")
        if 3 not in errata:
            log.lacks(r"FRED: not by .* self-test of")

    def test_guest_runs_after_it(self, log):
        log.ends("ok")


class TestOff:
    def test_no_self_test_without_use(self, fred_bochs, manfred):
        log = manfred({"guest": "selftest", "fred": "off", "tests": "cpuid*"})
        log.ends("ok")
        log.lacks(r"self-test|erratum")
