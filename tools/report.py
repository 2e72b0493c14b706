#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A page about a run, in one file without others: build/report.html.

  report.py [--soft LOG...] [--native LOG...] [--bare LOG...] [--output FILE]

Each way to have FRED is a column: by software, by the processor in a guest (native), by the
processor without Manfred (bare). Of each way the page takes several serial logs: of the suite, of
the scenarios bench, bench-events and timeline. Without logs it boots what this emulator can run;
those logs stay in build/report/. Exit status: 0, 1 when a boot failed or a log has no result.
"""
import argparse
import pathlib
import sys

import boot
import emulator
import guest_log
import report_page

FOLDER = emulator.BUILD / "report"
OUTPUT = emulator.BUILD / "report.html"
TIMEOUT = 600
WAYS = ("soft", "native", "bare")
NO_FRED = "the emulator's processor has no FRED (BOCHS= names one that has)"
NO_LOG = "no log was given"
# Shadow stacks, too, on the bare machine: Manfred hides those of FR-9 from guests. Software FRED leaves
# LKGS to a processor that has it: FR-11.
ERRATA = {
    "soft": emulator.SOFT_FRED_ERRATA + ",FR-11",
    "native": emulator.FRED_ERRATA,
    "bare": emulator.FRED_ERRATA + ",FR-9",
}
# What is booted of a way, as the guest's scenario; "" is the suite.
SCENARIOS = {
    "soft": ("", "bench", "bench-events", "timeline"),
    "native": ("", "bench", "bench-events", "timeline"),
    "bare": ("", "bench-events"),
}


class Way:
    """What is known of one way; `why` when nothing is."""

    def __init__(self, name, logs, why=""):
        self.name = name
        self.logs = logs
        self.why = why
        self.suite = next((log for log in logs if log.tests), None)
        self.bench = {key: value for log in logs for key, value in log.bench.items()}
        self.timeline = next((log for log in logs if log.timeline), None)

    @property
    def why_no_suite(self):
        """Empty when there is one."""
        if self.suite:
            return ""
        return self.why or "no log has results of the suite"


def boot_one(bochs, has_fred, way, scenario):
    name = f"{way}-{scenario or 'suite'}"
    image = FOLDER / name / "disk.img"
    config = {"errata": ERRATA[way] if has_fred else emulator.SOFT_FRED_ERRATA}
    if scenario:
        config = {"cmdline": f"scenario={scenario}"}
    if scenario == "timeline":
        config["log"] = "trace"
    if way == "bare":
        boot.fredcheck_image(image, config)
    else:
        boot.manfred_image(image, {"guest": "selftest", "fred": way, **config})
    print(f"report: {name}", flush=True)
    result = boot.boot(bochs, image, timeout=TIMEOUT)
    image.unlink()
    if result.end is None:
        raise emulator.EmulatorError(f"{name} has no end line; see {FOLDER / name}/serial.log")
    return guest_log.Log(result.log)


def boot_all():
    bochs = emulator.Bochs()
    machine = emulator.Machine()
    bochs.require(machine)
    has_fred = bochs.probe(machine)["fred"]
    ways = []
    for name in WAYS:
        if name != "soft" and not has_fred:
            ways.append(Way(name, [], NO_FRED))
        else:
            ways.append(Way(name, [boot_one(bochs, has_fred, name, what)
                                   for what in SCENARIOS[name]]))
    return ways


def main(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in WAYS:
        parser.add_argument(f"--{name}", metavar="LOG", nargs="+", default=[])
    parser.add_argument("--output", metavar="FILE", type=pathlib.Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    given = {name: getattr(options, name) for name in WAYS}
    try:
        if any(given.values()):
            ways = [
                Way(name, [guest_log.Log.read(path) for path in paths], "" if paths else NO_LOG)
                for name, paths in given.items()
            ]
        else:
            ways = boot_all()
    except (emulator.EmulatorError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(report_page.page(ways), "utf-8")
    print(f"report: {options.output}")
    missing = [way.name for way in ways if way.logs and not way.suite]
    for name in missing:
        print(f"report: the logs of {name} have no results of the suite", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
