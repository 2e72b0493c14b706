# SPDX-License-Identifier: BSD-2-Clause
"""fredcheck.efi: the FRED chapters on the machine itself, and the same lines from a guest."""
import re

import emulator
import pytest

TESTS = "fred-*"
TESTS_AT_LEAST = 600
RESULT = re.compile(r"^(?:not )?ok \d+ - .*$", re.MULTILINE)
# FR-10 makes a test pass or fail by chance.
BY_CHANCE = re.compile(r"^(?:not )?(ok .* # TODO errata FR-10)$")
# Chapter, passed, failed, skipped, expected failures, unexpected passes.
SUMMARY = re.compile(r"^# (fred-\S+)" + r" +(\d+)" * 5 + "$", re.MULTILINE)


class TestBare:
    @pytest.fixture(scope="class")
    def errata(self, fred_bochs):
        """Shadow stacks too: Manfred hides those of FR-9 from guests, the machine does not."""
        return fred_bochs.errata(emulator.Machine()) + ",FR-9"

    @pytest.fixture(scope="class")
    def bare(self, fred_bochs, fredcheck, errata):
        return fredcheck(fred_bochs, tests=TESTS, errata=errata)

    @pytest.fixture(scope="class")
    def guest(self, manfred, errata):
        return manfred({"guest": "selftest", "tests": TESTS, "errata": errata})

    def test_bare_has_no_failure(self, bare):
        bare.lacks(r"^not ok(?!.*# TODO errata FR-\d+$)")
        bare.ends("ok", "tests-passed")

    def test_enough_tests(self, bare):
        assert len(RESULT.findall(bare.result.log)) >= TESTS_AT_LEAST
        bare.lacks(r"# SKIP no FRED")

    def test_guest_says_the_same(self, bare, guest):
        """Line for line: FRED of a guest is FRED of the processor; but for CET, which guests
        do not get where it does not work with FRED."""
        on_bare, in_guest = (
            [BY_CHANCE.sub(r"\1", line) for line in RESULT.findall(log.result.log)]
            for log in (bare, guest)
        )
        assert len(on_bare) == len(in_guest)
        differ = [pair for pair in zip(on_bare, in_guest) if pair[0] != pair[1]]
        # The VMM lets no interrupt into a guest whose IF is 0, whatever the processor does.
        differ = [pair for pair in differ if not pair[0].endswith(" # TODO errata FR-4")]
        if re.search(r"manfred: erratum FR-9: .*guests get no CET", guest.result.log):
            differ = [pair for pair in differ if "# SKIP no CET " not in pair[1]]
        assert not differ

    def test_a_test_is_named_before_it_runs(self, bare):
        """A machine that hangs or resets has nobody else to say where."""
        log = bare.result.log
        results = re.findall(r"^(?:not )?ok \d+ - (\S+)", log, re.MULTILINE)
        assert re.findall(r"^# (fred-[\w-]+\.\S+)$", log, re.MULTILINE) == results

    def test_summary_counts_the_lines(self, bare):
        log = bare.result.log
        chapters = SUMMARY.findall(log)
        assert chapters
        for name, *numbers in chapters:
            lines = re.findall(rf"^(not )?ok \d+ - {name}(?:\.\S+)?( # \w+)?.*$", log, re.MULTILINE)
            passed, failed, skipped, expected, unexpected = map(int, numbers)
            assert passed == lines.count(("", ""))
            assert failed == lines.count(("not ", ""))
            assert skipped == lines.count(("", " # SKIP"))
            assert expected == lines.count(("not ", " # TODO"))
            assert unexpected == lines.count(("", " # TODO"))


class TestNoExecute:
    """Firmware that lets nothing be executed in the memory that it gives away, unless it is asked to."""

    def test_is_asked_to(self, fred_bochs, fredcheck):
        errata = fred_bochs.errata(emulator.Machine())
        log = fredcheck(fred_bochs, firmware="no-execute", tests="fred-nmi.*", errata=errata)
        log.ends("ok", "tests-passed")
        log.find(r"^fredcheck: loader: results are in")


class TestUnlistedErrata:
    def test_deviations_are_failures_unless_they_are_listed(self, fred_bochs, fredcheck):
        """The #DB for general detect lacks its cause, on a processor with FR-12; one that has it
        right is not accused."""
        log = fredcheck(fred_bochs, tests="fred-event.ring0_db_gd", errata="FR-11,FR-21")
        if re.search(r"^ok 1 - fred-event\.ring0_db_gd$", log.result.log, re.MULTILINE):
            log.ends("ok", "tests-passed")
            pytest.skip("FR-12: the emulator does not have it")
        log.find(r"^not ok 1 - fred-event\.ring0_db_gd$")
        log.find(r"^#   event data: expected 0x2000, got 0x0$")
        log.find(r"^#   FR-12 looks like this \(docs/errata\.md\); errata = FR-12 expects it$")
        log.ends("failed", "tests")


class TestTripleFault:
    def test_is_one_and_no_hang(self, fred_bochs, manfred):
        log = manfred({"guest": "selftest", "cmdline": "scenario=fred-triple-fault"})
        log.find(r"^# guest: scenario fred-triple-fault$")
        log.says(r"triple fault")
        log.ends("failed")


class TestWithoutFred:
    def test_says_so(self, qemu, fredcheck):
        log = fredcheck(qemu)
        log.find(r"^fredcheck: this processor has no FRED \(CPUID\.\(7,1\):EAX\[17\] is 0\)$")
        log.ends("failed", "no-fred")
