# SPDX-License-Identifier: BSD-2-Clause
"""System tests: boot a disk image in an emulator, and read its serial log.

A boot costs seconds to a minute, so each class of tests is one boot: its
fixture `log` has class scope, and the tests look at different lines of it; where
the boot itself is the test, one test is one boot.
pytest-xdist runs classes in parallel (--dist loadscope). The logs of
a class are left in build/system/<its name>-<number>/.
"""
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import boot  # noqa: E402 (after the path is set)
import emulator  # noqa: E402


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


def _start(request, run_on, make_image, machine, timeout, grace):
    """Makes an image, boots it, and removes it: the log is what stays."""
    count = _boots[request.cls.__name__] = _boots.get(request.cls.__name__, 0) + 1
    folder = emulator.BUILD / "system" / f"{request.cls.__name__}-{count}"
    image = folder / "disk.img"
    make_image(image)
    result = boot.boot(run_on, image, machine, timeout, grace=grace)
    image.unlink()
    return Boot(result, folder)


_boots = {}


@pytest.fixture(scope="session")
def bochs():
    """The emulator with VMX, checked."""
    found = emulator.Bochs()
    found.require(emulator.Machine())
    return found


@pytest.fixture(scope="session")
def qemu():
    """A machine without VMX; quick, for what the loader does before it needs VMX."""
    return emulator.Qemu()


@pytest.fixture(scope="class")
def linux(request, bochs):
    """Boots Linux under Manfred: linux(cmdline="...", key=value of manfred.cfg, ...)."""

    def run(machine=emulator.Machine(), timeout=300, grace=emulator.GRACE_SECONDS, **options):
        def make_image(image):
            boot.linux_image(image, **options)

        return _start(request, bochs, make_image, machine, timeout, grace)

    return run


def _manfred_runner(request, run_on, default_timeout):
    def run(config, files=None, machine=emulator.Machine(), timeout=default_timeout, grace=0,
            locked=False, **options):
        def make_image(image):
            if locked:
                boot.locked_image(image, config)
            else:
                boot.manfred_image(image, config, files, **options)

        return _start(request, run_on, make_image, machine, timeout, grace)

    return run


@pytest.fixture(scope="class")
def manfred(request, bochs):
    """Boots Manfred with a manfred.cfg, a dict or text, and further files on the ESP;
    locked: on a machine whose firmware has locked VMX off."""
    return _manfred_runner(request, bochs, 120)


@pytest.fixture(scope="class")
def loader(request, qemu):
    """The same on the machine without VMX."""
    return _manfred_runner(request, qemu, 60)
