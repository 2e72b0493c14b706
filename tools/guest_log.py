# SPDX-License-Identifier: BSD-2-Clause
"""Reads a serial log: the results of the suite (lines as lib/tap.c writes them), what was measured,
the exits, the trace, and how the boot ended."""
import dataclasses
import pathlib
import re

import emulator

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
# A deviation of the platform that the run was told of; the test failed, or passed all the same.
EXPECTED, UNEXPECTED = "expected", "unexpected"
OUTCOMES = (PASSED, FAILED, SKIPPED, EXPECTED, UNEXPECTED)

RESULT = re.compile(r"(ok|not ok) \d+ - (\S+)(?: # (SKIP|TODO) (.*))?$")
DETAIL = re.compile(r"#   ?(.*)$")
PLAN = re.compile(r"^1\.\.(\d+)$", re.MULTILINE)
TOTALS = re.compile(
    r"^# tests (\d+), failed (\d+), skipped (\d+), expected failures (\d+)$", re.MULTILINE
)
# Lines of the VMM and of the loader.
EXITS = re.compile(r"manfred: exits: (.*?) +(\d+)$", re.MULTILINE)
ERRATUM = re.compile(r"manfred: erratum (\S+): (.*)$", re.MULTILINE)
TRACE = re.compile(
    r"manfred: trace: \d+: tsc (\d+) rip (\w+) (.*) qualification (\w+) idt-vectoring (\w+)$",
    re.MULTILINE,
)
# Lines of the built-in guest.
BENCH = re.compile(r"^bench: (\S+) (-?\d+) min (-?\d+) max (-?\d+)$", re.MULTILINE)
TIMELINE = re.compile(r"^timeline: (\S+) raised (\d+) handler (\d+) returned (\d+)$", re.MULTILINE)


@dataclasses.dataclass
class Test:
    """One test of the suite."""

    name: str
    outcome: str
    reason: str = ""  # of a skip, or the deviation
    details: list = dataclasses.field(default_factory=list)

    @property
    def chapter(self):
        return self.name.partition(".")[0]


@dataclasses.dataclass
class Timeline:
    """One event, in TSC ticks: raised, the first instruction of its handler, the one behind its return."""

    event: str
    raised: int
    handler: int
    returned: int


@dataclasses.dataclass
class Exit:
    """One line of the trace."""

    tsc: int
    rip: int
    reason: str
    qualification: int
    idt_vectoring: int


class Log:
    """One boot."""

    def __init__(self, text):
        self.text = text
        self.tests = list(_tests(text))
        end = emulator.END_LINE.search(text)
        self.end = (end[1], end[2]) if end else None
        self.exits = {name: int(count) for name, count in EXITS.findall(text)}
        self.errata = dict(ERRATUM.findall(text))
        self.bench = {name: int(median) for name, median, _, _ in BENCH.findall(text)}
        found = TIMELINE.search(text)
        self.timeline = Timeline(found[1], *map(int, found.groups()[1:])) if found else None
        self.trace = [
            Exit(int(tsc), int(rip, 16), reason, int(qualification, 16), int(vectoring, 16))
            for tsc, rip, reason, qualification, vectoring in TRACE.findall(text)
        ]

    @classmethod
    def read(cls, path):
        return cls(emulator.plain(pathlib.Path(path).read_bytes()))

    def fact(self, pattern):
        """What the group of the pattern has matched, or None."""
        found = re.search(pattern, self.text, re.MULTILINE)
        return " ".join(found[1].split()) if found else None

    def counts(self):
        counts = dict.fromkeys(OUTCOMES, 0)
        for test in self.tests:
            counts[test.outcome] += 1
        return counts

    def complete(self):
        """Is every result that the suite has counted there? A serial line can lose some."""
        totals = TOTALS.search(self.text)
        counts = self.counts()
        return totals is not None and tuple(map(int, totals.groups())) == (
            len(self.tests), counts[FAILED], counts[SKIPPED], counts[EXPECTED]
        )


def _tests(text):
    test = None
    for line in text.splitlines():
        found = RESULT.match(line)
        if found:
            if test:
                yield test
            test = Test(found[2], _outcome(found[1] == "ok", found[3]), found[4] or "")
        elif test and (detail := DETAIL.match(line)):
            test.details.append(detail[1])
        elif line.startswith("1.."):
            break
    if test:
        yield test


def _outcome(passed, directive):
    if directive == "SKIP":
        return SKIPPED
    if directive == "TODO":
        return UNEXPECTED if passed else EXPECTED
    return PASSED if passed else FAILED
