# SPDX-License-Identifier: BSD-2-Clause
"""The files that a whole run leaves for other programs, read back by other people's readers."""
import os
import xml.etree.ElementTree as ET

import junitparser
import progress
import pytest
import results
import tap.parser

# What a boot of the suite leaves: noise of the firmware, lines of the VMM in between.
GUEST_LOG = """\
BdsDxe: starting Boot0001
[   123] manfred: entering guest selftest
TAP version 13
ok 1 - cpuid.leaf_0
not ok 2 - step.watchpoint
#   events caught: expected 0x1, got 0x0
#   a second line with \x01 and <angle & brackets>
[   456] manfred: a line of the VMM
ok 3 - fred-cet.ring0 # SKIP no CET here
not ok 4 - fred-lkgs.fault # TODO errata FR-11
#   GS base: expected 0x1, got 0x2
ok 5 - fred-lkgs.other # TODO errata FR-11
1..5
# tests 5, failed 1, skipped 1, expected failures 1
[   789] manfred: end status=failed reason=guest-end exits=7
"""
CMOCKA = """\
<?xml version="1.0" encoding="UTF-8" ?>
<testsuites><testsuite name="tests" time="0.001" tests="2" failures="{failures}" errors="0" skipped="0">
<testcase name="one" time="0.001"></testcase>
<testcase name="two" time="0.000">{failure}</testcase>
</testsuite></testsuites>
"""
FAILURE = "<failure><![CDATA[0 != 1]]></failure>"
PYTEST = """\
<testsuites><testsuite name="pytest">
<testcase classname="tests.system.test_x.TestBoot" name="test_a" time="1.5"/>
<testcase classname="tests.system.test_x.TestBoot" name="test_b" time="0">
<skipped type="pytest.skip" message="no FRED&#10;here">reason</skipped></testcase>
<testcase classname="tests.system.test_x.TestBoot" name="test_c" time="0">
<skipped type="pytest.xfail" message="BX-1: known"/></testcase>
{more}</testsuite></testsuites>
"""
SYSTEM_FAILURE = (
    '<testcase classname="tests.system.test_x.TestBoot" name="test_d"><failure message="no"/></testcase>'
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """build/, but empty."""
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(results, "STAMP", tmp_path / "results/begin")
    monkeypatch.setattr(results, "SYSTEM", tmp_path / "system")
    return tmp_path


def program(folder, name, body):
    """A program as `make unit` runs it."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def cmocka_program(folder, name, failures):
    text = CMOCKA.format(failures=failures, failure=FAILURE if failures else "")
    return program(folder, name, f"cat > $CMOCKA_XML_FILE <<'END'\n{text}END\nexit {failures}")


def boot_log(folder, name="TestBoot-1", text=GUEST_LOG):
    (folder / "system" / name).mkdir(parents=True)
    (folder / "system" / name / "serial.log").write_bytes(text.encode())


def junit(folder, name):
    """{classname.name: result kind}, and the counts of the file itself."""
    file = junitparser.JUnitXml.fromfile(str(folder / "results" / name))
    kinds = {}
    for suite in file:
        for case in suite:
            kind = [type(result).__name__ for result in case.result]
            kinds[f"{case.classname}.{case.name}"] = kind[0] if kind else "Passed"
    return kinds, (file.tests, file.failures, file.errors, file.skipped)


class TestUnit:
    def test_all_pass(self, folder, capsys):
        assert results.main(["unit", cmocka_program(folder, "test_a", 0)]) == 0
        assert "unit: 2 passed, 0 failed" in capsys.readouterr().out
        assert junit(folder, "unit.xml")[1] == (2, 0, 0, 0)

    def test_one_fails(self, folder, capsys):
        programs = [cmocka_program(folder, "test_a", 1), cmocka_program(folder, "test_b", 0)]
        assert results.main(["unit", *programs]) == 1
        assert "two: 0 != 1" in capsys.readouterr().out
        kinds, counts = junit(folder, "unit.xml")
        assert kinds["unit.test_a.two"] == "Failure"
        assert counts == (4, 1, 0, 0)

    @pytest.mark.parametrize("body", ("echo ==1==ERROR: AddressSanitizer; exit 1", "exit 0"))
    def test_one_that_leaves_no_results(self, folder, body, capsys):
        assert results.main(["unit", program(folder, "test_dies", body)]) == 1
        kinds, counts = junit(folder, "unit.xml")
        assert kinds == {"unit.test_dies.(ends well)": "Error"}
        assert counts == (1, 0, 1, 0)
        assert ("AddressSanitizer" in capsys.readouterr().out) == ("Sanitizer" in body)

    def test_one_that_does_not_end(self, folder, monkeypatch):
        monkeypatch.setattr(results, "PROGRAM_SECONDS", 0.2)
        assert results.main(["fuzz", "10", program(folder, "elf", "exec sleep 30")]) == 1
        assert junit(folder, "fuzz.xml")[0] == {"fuzz.elf": "Error"}

    def test_fuzzers_get_their_rounds(self, folder):
        assert results.main(["fuzz", "10", program(folder, "elf", 'test "$*" = "-n 10"')]) == 0


class TestMerge:
    @pytest.fixture
    def whole(self, folder):
        """A run of all parts; more of system.xml can be given."""

        def run(more=""):
            results.begin()
            boot_log(folder)
            results.main(["unit", cmocka_program(folder, "test_a", 0)])
            results.main(["fuzz", "10", program(folder, "elf", "exit 0")])
            (folder / "results/system.xml").write_text(PYTEST.format(more=more))
            assert results.main(["merge"]) == 0
            return junit(folder, "all.xml")

        return run

    def test_junit(self, whole):
        kinds, counts = whole(SYSTEM_FAILURE)
        assert counts == (2 + 1 + 4 + 5, 2, 0, 2 + 2)
        assert kinds["unit.test_a.one"] == "Passed"
        assert kinds["system.test_x.TestBoot.test_d"] == "Failure"
        assert kinds["guest.TestBoot-1.step.watchpoint"] == "Failure"
        assert kinds["guest.TestBoot-1.fred-lkgs.fault"] == "Skipped"
        assert kinds["guest.TestBoot-1.fred-lkgs.other"] == "Passed"

    def test_failures_that_a_system_test_wants(self, whole):
        kinds, counts = whole()
        assert counts == (12 - 1, 0, 0, 2 + 3)
        assert kinds["guest.TestBoot-1.step.watchpoint"] == "Skipped"

    def test_details_of_a_failure(self, folder, whole):
        whole(SYSTEM_FAILURE)
        failure = ET.parse(folder / "results/guest.xml").find(".//failure")
        assert failure.get("message") == "events caught: expected 0x1, got 0x0"
        assert "with ? and <angle & brackets>" in failure.text

    def test_tap(self, folder, whole):
        kinds, _ = whole(SYSTEM_FAILURE)
        lines = list(tap.parser.Parser().parse_file(str(folder / "results/all.tap")))
        assert [line.category for line in lines[:1] + lines[-1:]] == ["version", "plan"]
        tests = [line for line in lines if line.category == "test"]
        assert [test.number for test in tests] == list(range(1, len(kinds) + 1))
        assert lines[-1].expected_tests == len(tests)
        told = {
            test.description.lstrip("- "): (test.ok, bool(test.skip), bool(test.todo)) for test in tests
        }
        assert told["system.test_x.TestBoot.test_b"] == (True, True, False)
        assert told["system.test_x.TestBoot.test_c"] == (False, False, True)
        assert told["system.test_x.TestBoot.test_d"] == (False, False, False)
        assert told["guest.TestBoot-1.fred-lkgs.fault"] == (False, False, True)
        assert told["guest.TestBoot-1.fred-cet.ring0"] == (True, True, False)

    def test_boots_of_an_earlier_run(self, folder):
        boot_log(folder)
        os.utime(folder / "system/TestBoot-1/serial.log", (1, 1))
        results.begin()
        assert results.main(["merge"]) == 0
        assert junit(folder, "all.xml") == ({}, (0, 0, 0, 0))


def test_wrong_usage(folder, capsys):
    assert results.main(["unit"]) == 2
    assert "results.py merge" in capsys.readouterr().err


class TestProgress:
    """What `make test` says on its way."""

    @pytest.fixture(autouse=True)
    def times(self, tmp_path, monkeypatch):
        monkeypatch.setattr(progress, "TIMES", tmp_path / "times.json")

    def test_parts(self, capsys):
        progress.begin("unit", "1", "3")
        assert capsys.readouterr().out == (
            "test: part 1 of 3: unit; about 2 min for it, 23 min for all that is left\n")
        progress.end("unit")
        progress.begin("unit", "1", "3")  # it took no time
        assert "about 1 s for it, 22 min" in capsys.readouterr().out

    def test_broken_file(self):
        progress.TIMES.write_text("{")
        assert progress.read_times() == progress.FIRST_TIMES

    def test_estimate(self):
        progress.remember(system=1000)
        now = [0.0]
        lines = progress.Progress("system", lambda: now[0])
        assert lines.line(1, 100, "a") is None  # too early for a line
        now[0] = 40.0
        assert lines.line(10, 100, "test_smp.py TestSmp") == (
            "system: 10 of 100 tests, at test_smp.py TestSmp; 40 s so far, about 14 min to go")
        now[0] = 50.0
        assert lines.line(11, 100, "a") is None
        now[0] = 1500.0
        assert lines.line(99, 100, "a").endswith("25 min so far, about 15 s to go")
