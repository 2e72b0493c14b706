# SPDX-License-Identifier: BSD-2-Clause
"""System tests: boot a disk image in an emulator, and read its serial log.

A boot costs seconds to a minute, so each class of tests is one boot: its
fixture `log` has class scope, and the tests look at different lines of it; where
the boot itself is the test, one test is one boot.
pytest-xdist runs classes in parallel (--dist loadscope). The logs of
a class are left in build/system/<its name>-<number>/.
"""
import collections
import os
import pathlib
import re
import sys
import tty

import pexpect
import pytest
from pexpect import fdpexpect

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(ROOT / "tests/bench"))

import boot  # noqa: E402 (after the path is set)
import emulator  # noqa: E402
import progress  # noqa: E402


def linux_checks(pattern):
    """The names in the tables of these files of tests/linux/."""
    return [
        name
        for source in sorted(ROOT.glob(f"tests/linux/{pattern}"))
        for name in re.findall(r'\{ "([a-z0-9-]+)", check_\w+ \}', source.read_text())
    ]


SMP_CHECKS = linux_checks("smp*.c")
LINUX_CHECKS = [check for check in linux_checks("*.c") if check not in SMP_CHECKS]
# Runs them all; iomem=relaxed lets one of them have the local APIC.
LINUX_TEST = "manfred.test=all iomem=relaxed"


class Boot:
    """One finished run, with the questions that tests ask."""

    def __init__(self, result, folder):
        self.result = result
        self.folder = folder

    def find(self, pattern):
        """The first match of `pattern` in the log, which must be there."""
        found = re.search(pattern, self.result.log, re.MULTILINE)
        assert found, f"no line matches {pattern!r}; {self._tail()}"
        return found

    def says(self, pattern):
        """As find, in a line of Manfred's own (the VMM's begin with the time)."""
        return self.find(rf"^(?:\[ *\d+\] )?manfred: .*{pattern}")

    def lacks(self, pattern):
        found = re.search(pattern, self.result.log, re.MULTILINE)
        assert not found, f"{found[0]!r} is in the log; {self._tail()}"

    def ends(self, status, reason=None):
        """The end line says `status`, and `reason` when one is given."""
        assert self.result.end, f"no end line; {self._tail()}"
        assert self.result.end[0] == status, self._tail()
        if reason:
            assert self.result.end[1] == reason, self._tail()

    def _tail(self):
        why = "timed out" if self.result.timed_out else self.result.emulator_log[-600:]
        tail = "\n".join(self.result.lines[-25:])
        return f"{why}\nsee {self.folder}/serial.log, which ends:\n{tail}"


def linux_check(log, check, may_skip=(), errata=None):
    """This check of Linux's has passed. Those of `may_skip` may say why they cannot run; `errata` maps
    those that a known deviation of the emulator makes fail to its identifier and to the end of what
    they say then."""
    found = log.find(rf"^linux: (ok|not ok|skip) {check}(?: \((.*)\))?$")
    if found[1] == "skip" and check in may_skip:
        pytest.skip(found[2])
    if found[1] == "not ok":
        identifier, symptom = (errata or {}).get(check, (None, None))
        if identifier and found[2].endswith(symptom):
            pytest.xfail(f"{identifier}: {found[2]}")
    assert found[1] == "ok", found[0]


def _start(request, run_on, make_image, machine, timeout, grace, until=emulator.END_LINE):
    """Makes an image, boots it, and removes it: the log is what stays."""
    count = _boots[request.cls.__name__] = _boots.get(request.cls.__name__, 0) + 1
    folder = emulator.BUILD / "system" / f"{request.cls.__name__}-{count}"
    image = folder / "disk.img"
    make_image(image)
    result = boot.boot(run_on, image, machine, timeout, grace=grace, until=until)
    image.unlink()
    return Boot(result, folder)


_boots = {}


def pytest_configure(config):
    """One run of the system tests at a time: the next one would overwrite this one's disks."""
    # A worker of pytest-xdist: its parent has the lock.
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    lock = emulator.folder_lock(emulator.BUILD / "system")
    try:
        lock.__enter__()
    except emulator.FolderInUse as used:
        pytest.exit(str(used), returncode=pytest.ExitCode.USAGE_ERROR)
    config.add_cleanup(lambda: lock.__exit__(None, None, None))
    config.pluginmanager.register(ProgressLines(config))


class ProgressLines:
    """How far a long run is, now and then."""

    def __init__(self, config):
        self.config, self.session, self.done = config, None, 0
        self.progress = progress.Progress("system")

    def pytest_sessionstart(self, session):
        self.session = session

    def pytest_runtest_logreport(self, report):
        if report.when != "teardown":
            return
        self.done += 1
        group = " ".join(report.nodeid.rpartition("/")[2].split("::")[:2])
        line = self.progress.line(self.done, self.session.testscollected, group)
        if line:
            reporter = self.config.pluginmanager.getplugin("terminalreporter")
            reporter.ensure_newline()
            reporter.write_line(line)


def pytest_terminal_summary(terminalreporter):
    """At the end of a run: what did not run or was expected to fail, and why, one line a reason."""
    reasons = collections.Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reasons["skipped: " + report.longrepr[2].removeprefix("Skipped: ")] += 1
    for report in terminalreporter.stats.get("xfailed", []):
        reasons["expected failure: " + report.wasxfail.removeprefix("reason: ").split(":")[0]] += 1
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{reason} ({count} test{'s' if count > 1 else ''})")


@pytest.fixture(scope="session")
def bochs():
    """The emulator with VMX, checked."""
    found = emulator.Bochs()
    found.require(emulator.Machine())
    return found


@pytest.fixture(scope="session")
def fred_bochs(bochs):
    """The same when it has FRED; the tests that want it are skipped when it has not."""
    if not bochs.probe(emulator.Machine())["fred"]:
        pytest.skip("native FRED: the emulator has no FRED (set BOCHS= to one that has)")
    return bochs


@pytest.fixture(scope="session")
def qemu():
    """A machine without VMX; quick, for what the loader does before it needs VMX."""
    return emulator.Qemu()


@pytest.fixture
def terminal(qemu):
    """A terminal on the serial line of the machine without VMX: terminal(image) boots it."""
    started = []

    def start(image, machine=emulator.Machine(), timeout=60):
        words = qemu.command(image, machine, "stdio,signal=off")
        started.append(pexpect.spawn(words[0], words[1:], timeout=timeout, encoding="latin-1"))
        return started[-1]

    yield start
    for one in started:
        one.close(force=True)


@pytest.fixture
def bochs_terminal(bochs, tmp_path):
    """The same on the machine with VMX."""
    started = []

    def start(image, machine=emulator.Machine(), timeout=120):
        ours, its = os.openpty()
        tty.setraw(its)
        process = bochs.start(image, machine, tmp_path, os.ttyname(its))
        started.append((process, ours, its))
        return fdpexpect.fdspawn(ours, timeout=timeout, encoding="latin-1")

    yield start
    for process, *ends in started:
        emulator.kill(process)
        for end in ends:
            os.close(end)


@pytest.fixture(scope="class")
def linux(request, bochs):
    """Boots Linux under Manfred: linux(cmdline="...", key=value of manfred.cfg, ...)."""

    def run(machine=emulator.Machine(), timeout=300, grace=emulator.GRACE_SECONDS,
            until=emulator.END_LINE, **options):
        def make_image(image):
            boot.linux_image(image, **options)

        return _start(request, bochs, make_image, machine, timeout, grace, until)

    return run


def _manfred_runner(request, run_on, default_timeout):
    def run(config, files=None, machine=emulator.Machine(), timeout=default_timeout, grace=0,
            firmware=None, **options):
        def make_image(image):
            if firmware:
                boot.firmware_image(image, config, firmware)
            else:
                boot.manfred_image(image, config, files, **options)

        return _start(request, run_on, make_image, machine, timeout, grace)

    return run


@pytest.fixture(scope="class")
def manfred(request, bochs):
    """Boots Manfred with a manfred.cfg, a dict or text, and further files on the ESP;
    firmware: on a machine whose firmware is so, see boot.firmware_image."""
    return _manfred_runner(request, bochs, 120)


@pytest.fixture(scope="class")
def fredcheck(request):
    """Boots fredcheck.efi on an emulator: fredcheck(run_on, key=value of fredcheck.cfg, ...)."""

    def run(run_on, machine=emulator.Machine(), timeout=120, firmware=None, **config):
        def make_image(image):
            boot.fredcheck_image(image, config, firmware)

        return _start(request, run_on, make_image, machine, timeout, grace=0)

    return run


@pytest.fixture(scope="class")
def loader(request, qemu):
    """The same on the machine without VMX."""
    return _manfred_runner(request, qemu, 60)
