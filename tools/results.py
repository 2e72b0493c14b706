#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The results of a whole run as files that other programs read, in build/results/.

  results.py begin            forget those of the last run
  results.py unit PROGRAM...  run the unit tests: unit.xml
  results.py fuzz ROUNDS PROGRAM...  run the fuzzers: fuzz.xml
  results.py merge            guest.xml from the serial logs of this run's boots; everything in
                              all.xml (JUnit) and all.tap (TAP 13)

system.xml is pytest's own. Exit status: 0, or 1 when a test failed (merge: never for that).
"""
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import emulator
import guest_log

RESULTS = emulator.BUILD / "results"
SYSTEM = emulator.BUILD / "system"
STAMP = RESULTS / "begin"
PARTS = ("unit", "fuzz", "system", "guest")
PROGRAM_SECONDS = 120
# What XML 1.0 cannot carry.
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# JUnit knows "skipped" only; its type tells a failure that was expected.
EXPECTED_TYPES = ("pytest.xfail", "erratum")


def xml_text(text):
    return NOT_XML.sub("?", text)


def add_case(suite, classname, name, seconds=0.0):
    return ET.SubElement(
        suite, "testcase", classname=classname, name=name, time=f"{seconds:.3f}"
    )


def add_note(case, kind, message, text="", **attributes):
    note = ET.SubElement(case, kind, message=xml_text(message), **attributes)
    note.text = xml_text(text)


def write(name, suites):
    """The suites with their counts, as JUnit's elder readers want them."""
    root = ET.Element("testsuites")
    for suite in suites:
        cases = suite.findall("testcase")
        for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped",) * 2):
            suite.set(attribute, str(sum(case.find(kind) is not None for case in cases)))
        suite.set("tests", str(len(cases)))
        suite.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")
        root.append(suite)
    for attribute in ("tests", "failures", "errors", "skipped"):
        root.set(attribute, str(sum(int(suite.get(attribute)) for suite in suites)))
    RESULTS.mkdir(parents=True, exist_ok=True)
    ET.indent(root)
    ET.ElementTree(root).write(RESULTS / name, encoding="utf-8", xml_declaration=True)


def begin():
    RESULTS.mkdir(parents=True, exist_ok=True)
    for old in RESULTS.glob("*"):
        old.unlink()
    STAMP.touch()


def run_program(command, **environment):
    """Exit status, output and seconds; None for a program that did not end."""
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, env=dict(os.environ, **environment), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PROGRAM_SECONDS, check=False,
        )
        status, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        status, output = None, late.stdout or b""
    return status, output.decode("utf-8", "replace"), time.monotonic() - started


def judge(case, status, output):
    """An error in `case` unless the program ended well. Returns whether it did."""
    if status == 0:
        return True
    how = "did not end in time" if status is None else f"exit status {status}"
    add_note(case, "error", how, output)
    return False


def numbered(programs):
    """Each program with its place among all, to be printed."""
    return ((f"{i} of {len(programs)}: {program}", program) for i, program in enumerate(programs, 1))


def unit_suite(title, program):
    """cmocka's own XML, and an error when the program died before or after it."""
    name = pathlib.Path(program).name
    file = RESULTS / f"{name}.cmocka"
    file.unlink(missing_ok=True)  # cmocka does not overwrite
    status, output, seconds = run_program(
        [program], CMOCKA_MESSAGE_OUTPUT="XML", CMOCKA_XML_FILE=str(file)
    )
    suite = ET.Element("testsuite", name=f"unit.{name}")
    if file.exists():
        for case in ET.parse(file).iter("testcase"):
            case.set("classname", f"unit.{name}")
            suite.append(case)
        file.unlink()
    failed = [case for case in suite if case.find("failure") is not None]
    for case in failed:
        print(f"{case.get('name')}: {case.findtext('failure').strip()}")
    # cmocka's exit status counts the failed tests: those are told already.
    if status != len(failed) or not len(suite):
        case = add_case(suite, f"unit.{name}", "(ends well)", seconds)
        if judge(case, status, output):
            add_note(case, "error", "no test ran", output)
        print(output)
    print(f"== {title}: {len(suite)} tests{', FAILED' if status else ''}", flush=True)
    return suite


def fuzz_suite(rounds, programs):
    suite = ET.Element("testsuite", name="fuzz")
    for title, program in numbered(programs):
        print(f"== {title}: {rounds} damaged inputs", flush=True)
        status, output, seconds = run_program([program, "-n", rounds])
        case = add_case(suite, "fuzz", pathlib.Path(program).name, seconds)
        if not judge(case, status, output):
            print(f"{output}\n{program}: {case.find('error').get('message')}")
    return suite


def finish(part, suites):
    """Writes the file of this part and says how many; the exit status."""
    write(f"{part}.xml", suites)
    cases = [case for suite in suites for case in suite.iter("testcase")]
    bad = sum(is_failure(case) for case in cases)
    print(f"{part}: {len(cases) - bad} passed, {bad} failed")
    return 1 if bad else 0


def is_failure(case):
    return case.find("failure") is not None or case.find("error") is not None


def guest_suite(folder, log, wanted_failures):
    """The suite's results of one boot. Where the system tests of that boot passed, failures are what
    they wanted to see."""
    suite = ET.Element("testsuite", name=f"guest.{folder}")
    for test in log.tests:
        case = add_case(suite, f"guest.{folder}.{test.chapter}", test.name.partition(".")[2])
        details = "\n".join(test.details)
        if test.outcome == guest_log.SKIPPED:
            add_note(case, "skipped", test.reason, type="guest.skip")
        elif test.outcome == guest_log.EXPECTED:
            add_note(case, "skipped", test.reason, details, type="erratum")
        elif test.outcome == guest_log.FAILED and wanted_failures:
            add_note(case, "skipped", "fails as the system test wants it", details, type="erratum")
        elif test.outcome == guest_log.FAILED:
            add_note(case, "failure", (test.details or ["failed"])[0], details)
    return suite


def guest_suites(system):
    """Of the boots since `begin`; of all when there was none."""
    since = STAMP.stat().st_mtime if STAMP.exists() else 0
    judged, failed = set(), set()
    for case in (system.iter("testcase") if system is not None else ()):
        name = case.get("classname", "").rpartition(".")[2]
        judged.add(name)
        if is_failure(case):
            failed.add(name)
    suites = []
    for path in sorted(SYSTEM.glob("*/serial.log")):
        log = guest_log.Log.read(path)
        if path.stat().st_mtime >= since and log.tests:
            test_class = path.parent.name.rpartition("-")[0]
            suites.append(guest_suite(path.parent.name, log, test_class in judged - failed))
    return suites


def tap_lines(suites):
    number = 0
    yield "TAP version 13"
    for suite in suites:
        for case in suite.iter("testcase"):
            number += 1
            name = f"{case.get('classname')}.{case.get('name')}".replace("#", "")
            skipped = case.find("skipped")
            directive = ""
            passed = not is_failure(case)
            if skipped is not None:
                expected = skipped.get("type") in EXPECTED_TYPES
                passed = not expected
                reason = " ".join(skipped.get("message", "").split())
                directive = f" # {'TODO' if expected else 'SKIP'} {reason}"
            yield f"{'ok' if passed else 'not ok'} {number} - {name}{directive}"
    yield f"1..{number}"


def read_part(part):
    path = RESULTS / f"{part}.xml"
    return ET.parse(path).getroot() if path.exists() else None


def merge():
    system = read_part("system")
    write("guest.xml", guest_suites(system))
    suites = []
    for part in PARTS:
        root = read_part(part)
        for suite in (root.iter("testsuite") if root is not None else ()):
            if part == "system":
                suite.set("name", "system")
                for case in suite.iter("testcase"):
                    case.set("classname", case.get("classname").replace("tests.", "", 1))
            suites.append(suite)
    write("all.xml", suites)
    lines = list(tap_lines(suites))
    (RESULTS / "all.tap").write_text("\n".join(lines) + "\n", "utf-8")
    print(f"results: {len(lines) - 2} in {os.path.relpath(RESULTS)}/all.xml and all.tap")
    return 0


def main(arguments):
    what, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    RESULTS.mkdir(parents=True, exist_ok=True)
    if what == "begin" and not rest:
        return begin()
    if what == "unit" and rest:
        return finish("unit", [unit_suite(*one) for one in numbered(rest)])
    if what == "fuzz" and len(rest) > 1:
        return finish("fuzz", [fuzz_suite(rest[0], rest[1:])])
    if what == "merge" and not rest:
        return merge()
    print(__doc__.strip(), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
