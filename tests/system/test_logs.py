# SPDX-License-Identifier: BSD-2-Clause
"""What the loader writes to the boot volume: the log that has outlived a reset."""
import json
import re
import subprocess
import zlib

import boot
import emulator
import pytest

SAVED = re.compile(r"^manfred: loader: the log of the boot before .*$", re.MULTILINE)
LAST_LINE = re.compile(
    rb"^manfred\.log: crc32=([0-9a-f]{8}) bytes=(\d+) records=(\d+) gaps=0 cut=no\n\Z", re.MULTILINE
)


def file_of(image, name):
    """The bytes of a file on the image's ESP; None: there is none."""
    volume = f"{image}@@{1 << 20}"
    done = subprocess.run(["mtype", "-i", volume, f"::{name}"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False)
    return done.stdout if done.returncode == 0 else None


def fill(image):
    """Leaves no room on the image's ESP."""
    volume = f"{image}@@{1 << 20}"
    free = subprocess.run(["mdir", "-i", volume, "::"], stdout=subprocess.PIPE, check=True)
    count = re.search(rb"([\d ]+) bytes free", free.stdout)[1].replace(b" ", b"")
    filler = image.with_suffix(".filler")
    with open(filler, "wb") as file:
        file.truncate(int(count))
    subprocess.run(["mcopy", "-i", volume, filler, "::filler"], check=True)
    filler.unlink()


class TestReset:
    """A boot that ends with a reset, and the start of the next one."""

    OLDER = b"what was saved before\n"

    @pytest.fixture(scope="class")
    def run(self, bochs):
        folder = emulator.BUILD / "system" / "TestLogReset"
        image = folder / "disk.img"
        config = {"guest": "selftest", "tests": "cpuid.*", "at_end": "reboot"}
        boot.manfred_image(image, config, {"manfred.log": self.OLDER, "manfred.old": b"oldest"})
        result = boot.boot(bochs, image, timeout=150, grace=0, until=SAVED)
        files = {name: file_of(image, name) for name in ("manfred.log", "manfred.old")}
        image.unlink()
        return result, files

    def test_says_that_there_is_none_at_first(self, run):
        assert run[0].lines.index("manfred: loader: no log of a boot before has survived in memory") \
            < run[0].lines.index(SAVED.search(run[0].log)[0])

    def test_checksum(self, run):
        data = run[1]["manfred.log"]
        last = LAST_LINE.search(data)
        assert last, data[-200:]
        text = data[: last.start()]
        assert int(last[2]) == len(text)
        assert int(last[1], 16) == zlib.crc32(text)
        assert int(last[3]) > 10

    def test_has_all_that_the_serial_line_has(self, run):
        """Of the first boot, from the loader's line on to the end line."""
        said = run[0].log
        first = said[said.index("manfred: loader: no log of a boot before"):]
        first = first[: emulator.END_LINE.search(first).end()]
        lines = [line for line in first.splitlines() if line][1:]
        kept = [line for line in run[1]["manfred.log"].decode().splitlines() if line]
        assert lines == kept[:-1]

    def test_the_file_before_is_kept(self, run):
        assert run[1]["manfred.old"] == self.OLDER


class TestNotWritten:
    """One clear line, and the boot goes on: here to the lack of VMX."""

    @pytest.fixture
    def run(self, qemu, request):
        """A start from the firmware's shell, a reset, and another start."""
        folder = emulator.BUILD / "system" / f"TestLog-{request.node.name}"
        image = folder / "disk.img"
        startup = b"fs0:\\manfred.efi\r\nreset -w\r\n"

        def start(prepare=lambda image: None, machine=emulator.Machine()):
            boot.manfred_image(image, "guest = selftest\n", {"startup.nsh": startup},
                               name="manfred.efi")
            prepare(image)
            result = boot.boot(qemu, image, machine, timeout=100, grace=0,
                               until=[emulator.END_LINE] * 2)
            assert not result.timed_out, result.log[-2000:]
            kept = file_of(image, "manfred.log")
            image.unlink()
            return result.log, kept

        return start

    def test_otherwise_it_is(self, run):
        log, kept = run()
        assert SAVED.search(log)
        assert b"end status=failed reason=no-vmx" in kept

    def test_full_volume(self, run):
        log, kept = run(fill)
        assert re.search(r"^manfred: \\manfred\.log is not written: the boot volume is full$", log,
                         re.MULTILINE)
        assert kept is None

    def test_read_only_volume(self, run):
        log, kept = run(machine=emulator.Machine(read_only=True))
        assert re.search(r"^manfred: \\manfred\.log is not written: the boot volume is read-only$",
                         log, re.MULTILINE)
        assert kept is None

    def test_small_machine(self, run):
        """No memory at any of the places: nothing to save, and no harm."""
        log, kept = run(machine=emulator.Machine(memory=96))
        assert "manfred: loader: no memory for a log that survives a reset" in log
        assert kept is None


class TestFredcheckFiles:
    """What fredcheck.efi writes when its suite has given the processor back to the firmware."""

    COUNTS = ("passed", "failed", "expected", "skipped")

    @pytest.fixture(scope="class")
    def run(self, fred_bochs):
        folder = emulator.BUILD / "system" / "TestFredcheckFiles"
        image = folder / "disk.img"
        errata = fred_bochs.errata(emulator.Machine())
        boot.fredcheck_image(image, {"tests": "fred-e*", "errata": errata})
        result = boot.boot(fred_bochs, image, timeout=120, grace=0)
        files = {name: file_of(image, name) for name in ("fredcheck.tap", "fredcheck.json")}
        image.unlink()
        return result, files

    def test_tap_is_what_the_serial_line_had(self, run):
        log = run[0].log
        said = log[log.index("TAP version 13"): log.index("fredcheck: loader: results are")]
        assert run[1]["fredcheck.tap"].decode() == said

    def test_json_counts_the_same(self, run):
        results = json.loads(run[1]["fredcheck.json"])
        log = run[0].log
        assert results["complete"] and results["passed"] == run[0].ok
        assert results["bail_out"] == ""
        assert sum(results["totals"].values()) == int(re.search(r"^1\.\.(\d+)$", log, re.MULTILINE)[1])
        for chapter in results["chapters"]:
            line = re.search(rf"^# {chapter['name']} +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)$", log,
                             re.MULTILINE)
            passed, failed, skipped, expected, unexpected = map(int, line.groups())
            assert [chapter[key] for key in self.COUNTS] == [passed + unexpected, failed, expected,
                                                             skipped]
        assert set(results["deviations"]) == set(re.findall(r"^not ok .* # TODO errata (\S+)$", log,
                                                            re.MULTILINE))


class TestFredcheckFullVolume:
    def test_costs_only_the_files(self, fred_bochs):
        image = emulator.BUILD / "system" / "TestFredcheckFullVolume" / "disk.img"
        errata = fred_bochs.errata(emulator.Machine())
        boot.fredcheck_image(image, {"tests": "fred-nmi*", "errata": errata})
        fill(image)
        result = boot.boot(fred_bochs, image, timeout=120, grace=0)
        image.unlink()
        for name in ("tap", "json"):
            assert rf"fredcheck: \fredcheck.{name} is not written: the boot volume is full" in result.lines
        assert result.ok
