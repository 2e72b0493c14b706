# SPDX-License-Identifier: BSD-2-Clause
"""The page of tools/report.py says what the logs say, and stands alone."""
import collections
import re
import xml.etree.ElementTree as ET

import guest_log
import pytest
import report
import timeline as timeline_tool

SUITE = """\
manfred: loader: serial port at 0x3f8 (COM1)
manfred: loader: 1 processor
[ 100] manfred: VMM at 0x1d000000, 491 MiB of RAM, 1 processors
[ 200] manfred: erratum FR-11: an LKGS that faults exchanges the GS bases: nothing can be done
TAP version 13
ok 1 - cpuid.leaf_0
not ok 2 - step.watchpoint
#   <events> & "caught": expected 0x1, got 0x0
ok 3 - step.skipped # SKIP no <debug> registers
not ok 4 - fred-lkgs.fault # TODO errata FR-11
ok 5 - fred-lkgs.other # TODO errata FR-11
1..5
# tests 5, failed 1, skipped 1, expected failures 1
[ 900] manfred: exits: CPUID                    1234
[ 901] manfred: exits: control register access  12
[ 902] manfred: end status=failed reason=guest-end exits=1246
"""
TIMELINE = """\
timeline: int3 raised 1000 handler 1300 returned 1310
[ 2000] manfred: trace: 0: tsc 900 rip 10 CPUID qualification 0 idt-vectoring 0
[ 2001] manfred: trace: 1: tsc 1020 rip 213160 EPT violation qualification d82 idt-vectoring 80000603
[ 2002] manfred: trace: 2: tsc 1400 rip 10 VMCALL qualification 0 idt-vectoring 0
"""
BENCH = "bench: cpuid 4321 min 1 max 5000\nbench: int3-delivery 1388 min 1 max 2\n"
# Anything that would make a browser fetch a file.
OUTSIDE = re.compile(r"https?:|\b(?:src|href|srcset|action|data)=|url\(|@import|<script|<link|<iframe")


def make(tmp_path, **logs):
    """The page of these texts, parsed and as text."""
    arguments = ["--output", str(tmp_path / "page/report.html")]
    for way, texts in logs.items():
        arguments.append(f"--{way}")
        for number, text in enumerate(texts):
            path = tmp_path / f"{way}-{number}.log"
            path.write_bytes(text.encode())
            arguments.append(str(path))
    status = report.main(arguments)
    text = (tmp_path / "page/report.html").read_text("utf-8")
    return status, ET.fromstring(text), text


def text_of(node):
    return " ".join("".join(node.itertext()).split())


def boxes(page):
    """How often each outcome stands in the rows of single tests."""
    rows = [node for node in page.iter("span") if node.get("class") == "row test"]
    classes = (cell.get("class").split()[-1] for row in rows for cell in list(row)[1:])
    return collections.Counter(classes)


def step_texts(picture):
    """What the SVG file says, without numbers."""
    texts = ("".join(node.itertext()) for node in ET.fromstring(picture))
    return [re.sub(r"0x[0-9a-f]+|[0-9,]+", "N", text) for text in texts if text]


class TestPage:
    def test_one_way(self, tmp_path):
        status, page, text = make(tmp_path, soft=[SUITE, TIMELINE, BENCH])
        assert status == 0
        assert boxes(page) == {
            "passed": 1, "failed": 1, "skipped": 1, "expected": 1, "unexpected": 1, "absent": 2 * 5
        }
        assert not OUTSIDE.search(text)
        assert text.startswith("<!DOCTYPE html>")
        told = text_of(page)
        assert "1 passed, 1 failed, 1 skipped, 1 failed as a deviation says" in told
        assert told.count("not run: no log was given") >= 2
        assert "FR-11 an LKGS that faults" in told.replace("FR-11an", "FR-11 an")

    def test_three_ways(self, tmp_path):
        bare = SUITE.replace("not ok 2", "ok 2").replace("failed 1", "failed 0")
        bare = re.sub(r".*manfred: exits.*\n", "", bare)
        _, page, _ = make(tmp_path, soft=[SUITE], native=[SUITE], bare=[bare])
        assert boxes(page) == {
            "passed": 4, "failed": 2, "skipped": 3, "expected": 3, "unexpected": 3
        }
        heads = [text_of(node) for node in page.iter("span") if node.get("class") == "row"]
        step = next(head for head in heads if head.startswith("step (2)"))
        assert step == "step (2)1 passed, 1 skipped1 failed, 1 skipped1 failed, 1 skipped"

    def test_names_of_tests_are_text(self, tmp_path):
        _, page, _ = make(tmp_path, native=[SUITE])
        assert 'native: <events> & "caught": expected 0x1, got 0x0' in text_of(page)
        assert "skipped no <debug> registers" in text_of(page)

    def test_exits(self, tmp_path):
        _, page, _ = make(tmp_path, soft=[SUITE])
        chart = next(node for node in page.iter("svg") if node.get("aria-label") == "exits by reason")
        assert [node.text for node in chart.iter("text")] == [
            "CPUID", "1,234", "control register access", "12"
        ]
        widths = [float(node.get("width")) for node in chart.iter("rect")]
        assert widths[0] > widths[1] > 0

    def test_timeline(self, tmp_path):
        _, page, _ = make(tmp_path, native=[SUITE, TIMELINE])
        rows = [[text_of(cell) for cell in row] for row in page.iter("tr") if len(row) == 4]
        assert [row[:3] for row in rows if row[2] in ("guest", "VMM")] == [
            ["1", "0", "guest"], ["2", "20", "VMM"], ["3", "300", "guest"], ["4", "310", "guest"]
        ]
        assert "EPT violation at 0x213160, a write, while the software exception with vector 3" in (
            text_of(page)
        )

    def test_costs(self, tmp_path):
        _, page, _ = make(tmp_path, soft=[SUITE, BENCH])
        rows = [[text_of(cell) for cell in row] for row in page.iter("tr")]
        assert [row for row in rows if row[0] == "CPUID leaf 0"][0][1:3] == ["not run", "4,321"]
        assert [row for row in rows if row[0] == "INT3, delivery"][0][1:4] == [
            "not run", "not run", "1,388"
        ]

    def test_without_costs_and_timeline(self, tmp_path):
        _, page, _ = make(tmp_path, soft=[SUITE])
        assert "not run: no log of the scenario bench" in text_of(page)
        assert "not run: no log of the scenario timeline" in text_of(page)

    @pytest.mark.parametrize("lost", ("ok 1 - cpuid.leaf_0\n", "# tests 5, failed 1, .*\n"))
    def test_log_with_a_hole(self, tmp_path, lost):
        _, page, _ = make(tmp_path, soft=[re.sub(lost, "", SUITE, count=1)])
        assert "the log is not complete" in text_of(page)

    def test_log_without_results(self, tmp_path, capsys):
        status, page, _ = make(tmp_path, soft=["manfred: end status=failed reason=no-vmx exits=0\n"])
        assert status == 1
        assert "not run: no log has results of the suite" in text_of(page)
        assert "the logs of soft have no results" in capsys.readouterr().err

    def test_no_such_log(self, capsys):
        assert report.main(["--soft", "/nowhere/serial.log"]) == 1
        assert "/nowhere/serial.log" in capsys.readouterr().err


TIMELINE_BOOT = {"guest": "selftest", "cmdline": "scenario=timeline", "log": "trace"}


def steps_in_the_docs(way):
    return step_texts((timeline_tool.IMAGES / f"timeline-{way}.svg").read_text("utf-8"))


class TestOfABoot:
    """The same of real logs: the totals are those that the suite itself has counted."""

    CHAPTERS = "m*"

    @pytest.fixture(scope="class")
    def suite(self, manfred):
        return manfred({"guest": "selftest", "fred": "soft", "tests": self.CHAPTERS})

    @pytest.fixture(scope="class")
    def timeline(self, manfred):
        return manfred({**TIMELINE_BOOT, "fred": "soft"})

    @pytest.fixture(scope="class")
    def page(self, suite, timeline, tmp_path_factory):
        logs = [suite.result.log, timeline.result.log]
        return make(tmp_path_factory.mktemp("report"), soft=logs)

    def test_header(self, page):
        rows = {text_of(row[0]): [text_of(cell) for cell in row[1:]] for row in page[1].iter("tr")}
        assert re.fullmatch(r"\d+\.\d+(-[0-9a-z-]+)?", rows["Manfred"][0])
        assert rows["Date of the machine"][0].startswith("2026-01-01 ")  # emulator.TIME0
        assert re.fullmatch(r".*Intel.*, CPUID\.1:EAX \w+, microcode \w+", rows["Processor"][0])
        assert rows["Memory"][0].endswith(" MiB")
        assert "Method" in rows

    def test_totals(self, suite, page):
        tests, failed, skipped, expected = map(int, suite.find(guest_log.TOTALS.pattern).groups())
        assert tests > 20
        passed = tests - failed - skipped - expected
        told = boxes(page[1])
        assert (told["passed"], told["failed"], told["skipped"], told["expected"]) == (
            passed, failed, skipped, expected
        )
        assert "not complete" not in page[2]
        assert page[0] == 0

    def test_exits(self, suite, page):
        count = int(suite.says(r"end status=ok reason=\S+ exits=(\d+)")[1])
        assert f"soft {count:,}" in text_of(page[1])

    def test_timeline(self, timeline, page):
        rows = [[text_of(cell) for cell in row] for row in page[1].iter("tr") if len(row) == 4]
        steps = [row for row in rows if row[2] in ("guest", "VMM")]
        times = [int(row[1].replace(",", "")) for row in steps]
        found = guest_log.Log(timeline.result.log).timeline
        assert times[0] == 0 and times == sorted(times)
        assert times[-1] == found.returned - found.raised
        assert any("EPT violation" in row[3] and row[2] == "VMM" for row in steps)

    def test_picture(self, timeline):
        """The file for docs/img/ stands alone and has the delivery's steps."""
        text = timeline_tool.picture("soft", timeline.result.log)
        assert "FRED by software" in step_texts(text)[0]
        assert not OUTSIDE.search(text.replace('xmlns="http://www.w3.org/2000/svg"', ""))

    def test_picture_in_the_docs(self, timeline):
        """`make timeline` would draw it with the same steps; other addresses and times may be."""
        fresh = timeline_tool.picture("soft", timeline.result.log)
        assert steps_in_the_docs("soft") == step_texts(fresh)


class TestOfANativeBoot:
    def test_picture_in_the_docs(self, fred_bochs, manfred):
        log = manfred({**TIMELINE_BOOT, "fred": "native"}).result.log
        assert steps_in_the_docs("native") == step_texts(timeline_tool.picture("native", log))
