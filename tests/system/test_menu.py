# SPDX-License-Identifier: BSD-2-Clause
"""The loader's menu, by the keys of a terminal on the serial line."""
import re
import subprocess

import boot
import emulator
import pexpect
import pytest

# What the entries say, on a processor without.
NO_FRED, NO_VMX = r"(?: \(no FRED\))?", r"(?: \(no VMX\))?"
ENTRIES = (
    f"FRED conformance as a guest, as manfred.cfg says{NO_VMX}",
    f"FRED conformance of the bare processor{NO_FRED}",
    r"FRED conformance as a guest, FRED by the processor(?: \((?:no VMX, )?no FRED\))?",
    f"FRED conformance as a guest, FRED by software{NO_VMX}",
    "Firmware setup",
    "Reboot",
)
UP, DOWN, ENTER = "\x1b[A", "\x1b[B", "\r"
END = r"end status=(\w+) reason=([\w-]+) exits=0"


def drawn(selected, entries=ENTRIES):
    """What a terminal gets when the menu is drawn: no text is cut."""
    lines = [rf"{'>' if i == selected else ' '} {i + 1}  {text} *\r+\n"
             for i, text in enumerate(entries)]
    return "".join(lines)


@pytest.fixture
def machine(terminal, tmp_path):
    """Boots with a menu, up to where it has been drawn for the first time."""

    def start(config, files=None, entries=ENTRIES):
        image = tmp_path / "disk.img"
        boot.manfred_image(image, config, files)
        started = terminal(image)
        started.expect(drawn(0, entries))
        return started

    return start


class TestKeys:
    def test_arrows_and_digits(self, machine):
        terminal = machine({"menu": 300})
        terminal.expect("starts in 300 s")
        for keys, selected in ((DOWN, 1), (DOWN, 2), (UP, 1), (UP + UP, 5), (DOWN, 0)):
            terminal.send(keys)
            terminal.expect(drawn(selected))
        terminal.expect(r"or a digit +\r+\n")  # no countdown any more
        terminal.send("3")
        terminal.expect(r"manfred: this processor has no FRED")
        terminal.expect("Press a key")
        terminal.send(" ")
        terminal.expect(drawn(2))
        terminal.send("4")
        terminal.expect(r"manfred: this processor has no VMX")
        terminal.expect("Press a key")
        terminal.send(" ")
        terminal.expect(drawn(3))


class TestBeforeAChoice:
    """What QEMU's processor lacks, its name, and which build this is."""

    def test_says_what_is_lacking(self, terminal, tmp_path):
        image = tmp_path / "disk.img"
        boot.manfred_image(image, {"menu": 300})
        started = terminal(image)
        version = subprocess.run(["tools/build-name"], cwd=emulator.ROOT, stdout=subprocess.PIPE, text=True,
                                 check=True).stdout.partition('"')[2].partition('"')[0]
        started.expect(rf"Manfred 0\.1{re.escape(version)} *\r+\nQEMU TCG CPU version \S+ *\r+\n")
        started.expect(drawn(0, (
            r"FRED conformance as a guest, as manfred.cfg says \(no VMX\)",
            r"FRED conformance of the bare processor \(no FRED\)",
            r"FRED conformance as a guest, FRED by the processor \(no VMX, no FRED\)",
            r"FRED conformance as a guest, FRED by software \(no VMX\)",
            "Firmware setup",
            "Reboot",
        )))


class TestWidth:
    COLUMNS = 80

    def test_long_lines_fit_the_screen(self, machine):
        """The end of a path says most; a line of all columns would make an empty one behind it."""
        path = "\\" + "0123456789" * 15 + r"\vmlinuz"
        terminal = machine({"menu": 300, "guest": "linux", "kernel": path},
                           entries=(r"Linux as a guest: \.\.\.[0-9]+\\vmlinuz" + NO_VMX, *ENTRIES[1:]))
        lines = terminal.match[0].splitlines()
        terminal.expect(r"starts in 300 s +\r+\n")
        lines += terminal.before.splitlines() + terminal.match[0].splitlines()
        assert len(lines) > len(ENTRIES)
        assert max(len(line.rstrip("\r")) for line in lines) == self.COLUMNS - 1


class TestCountdown:
    def test_starts_what_the_file_says(self, machine):
        terminal = machine({"menu": 2, "guest": "linux", "kernel": r"\absent"},
                           entries=(r"Linux as a guest: \\absent" + NO_VMX, *ENTRIES[1:]))
        terminal.expect("starts in 2 s")
        terminal.expect("starts in 1 s")
        terminal.expect(r"manfred: kernel = \\absent: not found")
        terminal.expect(END)
        assert terminal.match.groups() == ("failed", "missing-file")
        # The message stays until it has been read.
        terminal.expect("Press a key")
        assert terminal.expect([r"Boot0001|BdsDxe|Shell", pexpect.TIMEOUT], timeout=5) == 1
        terminal.send("x")
        terminal.expect(r"BdsDxe|Shell")


class TestWrongFile:
    def test_who_has_chosen_it_chooses_again(self, machine):
        config = {"menu": 300, "guest": "linux", "kernel": r"\k", "initrd": r"\absent"}
        entries = (r"Linux as a guest: \\k" + NO_VMX, *ENTRIES[1:])
        terminal = machine(config, {"k": b"no kernel"}, entries=entries)
        for _ in range(2):
            terminal.send("1")
            terminal.expect(r"manfred: initrd = \\absent: not found")
            terminal.expect("Press a key")
            terminal.send(" ")
            terminal.expect(drawn(0, entries))
        terminal.send("4")
        terminal.expect(r"manfred: this processor has no VMX")


class TestPulledStick:
    """The stick is pulled out while the menu waits: clear messages, and the menu comes back."""

    def test_says_so(self, terminal, qemu, tmp_path):
        image = tmp_path / "disk.img"
        config = {"menu": 300, "guest": "linux", "kernel": r"\k"}
        boot.manfred_image(image, config, {"k": b"no kernel", "fredcheck.efi": boot.FREDCHECK})
        started = terminal(image, emulator.Machine(stick=True))
        entries = (r"Linux as a guest: \\k" + NO_VMX, *ENTRIES[1:])
        started.expect(drawn(0, entries))
        qemu.pull_stick(image)
        for digit, file in (("1", r"kernel = \\k"), ("2", r"program = \\fredcheck\.efi")):
            started.send(digit)
            started.expect(rf"manfred: {file}: the boot volume is gone: has the stick been pulled out\?\r")
            started.expect("Press a key")
            started.send(" ")
            started.expect(drawn(int(digit) - 1, entries))
        started.send("6")
        started.expect(END)
        assert started.match.groups() == ("ok", "reboot")


class TestBrokenFile:
    def test_can_be_read(self, terminal, tmp_path):
        boot.manfred_image(tmp_path / "disk.img", "guest = linus\n")
        started = terminal(tmp_path / "disk.img")
        started.expect(r"manfred\.cfg:1: guest = linus")
        started.expect(END)
        assert started.match.groups() == ("failed", "config")
        started.expect("Press a key")
        started.send(" ")
        started.expect(r"BdsDxe|Shell")


class TestBareProcessor:
    def test_comes_back_when_it_cannot_run(self, machine):
        files = {"fredcheck.efi": boot.FREDCHECK}
        terminal = machine({"menu": 300}, files)
        terminal.send("2")
        terminal.expect(r"fredcheck: this processor has no FRED")
        terminal.expect(r"fredcheck: end status=failed reason=no-fred")
        terminal.expect("Press a key")
        terminal.send(ENTER)
        terminal.expect(drawn(1))

    def test_is_missing(self, machine):
        terminal = machine({"menu": 300})
        terminal.send("2")
        terminal.expect(r"program = \\fredcheck.efi: not found")
        terminal.expect("Press a key")


class TestSuite:
    """On a machine with VMX, whose processor need not have FRED."""

    def test_by_software(self, bochs_terminal, tmp_path):
        image = tmp_path / "disk.img"
        boot.manfred_image(image, {"menu": 300, "tests": "fred-nmi.*"})
        terminal = bochs_terminal(image)
        terminal.expect(drawn(0))
        terminal.send(DOWN)
        terminal.expect(drawn(1))
        terminal.send("4")
        terminal.expect(r"guest selftest: .* no devices")
        terminal.expect(r"# tests (\d+), failed 0")
        assert int(terminal.match[1]) > 0
        terminal.expect("end status=ok reason=guest-end")


class TestBareSuite:
    def test_runs(self, fred_bochs, bochs_terminal, tmp_path):
        image = tmp_path / "disk.img"
        errata = fred_bochs.errata(emulator.Machine())
        config = {"tests": "fred-nmi.*", "at_end": "halt", "errata": errata}
        files = {
            "fredcheck.efi": boot.FREDCHECK,
            "fredcheck.cfg": boot.config_text(config).encode(),
        }
        boot.manfred_image(image, {"menu": 300}, files)
        terminal = bochs_terminal(image)
        terminal.expect(drawn(0))
        terminal.send("2")
        terminal.expect(r"# tests (\d+), failed 0")
        assert int(terminal.match[1]) > 0
        terminal.expect("fredcheck: end status=ok reason=tests-passed")


class TestFirmware:
    def test_setup(self, machine):
        terminal = machine({"menu": 300})
        terminal.send("5")
        terminal.expect(END)
        assert terminal.match.groups() == ("ok", "firmware-setup")
        terminal.expect(r"Select Language|Boot Manager")

    def test_reboot(self, machine):
        terminal = machine({"menu": 300})
        terminal.send("6")
        terminal.expect(END)
        assert terminal.match.groups() == ("ok", "reboot")
        terminal.expect(drawn(0))
