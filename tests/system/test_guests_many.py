# SPDX-License-Identifier: BSD-2-Clause
"""Several guests on one processor: what they have is theirs, and who dies dies alone."""
import re

import boot
import emulator
import pytest
from conftest import LINUX_TEST, linux_check

MULTIBOOT_FILES = {"kernel": emulator.BUILD / "tests/multiboot.bin", "module": b"text"}
LINUX_FILES = {"vmlinuz": boot.KERNEL, "initrd.img": boot.INITRD}
LINUX = {
    "guest": "linux",
    "kernel": r"\vmlinuz",
    "initrd": r"\initrd.img",
    "cmdline": f"{boot.CMDLINE} {LINUX_TEST}",
}
SWITCHES = 1000000


def config(guests, **machine):
    """manfred.cfg of dicts by name; the machine's keys, and defaults of all guests, before them."""
    sections = [f"[guest {name}]\n{boot.config_text(keys)}" for name, keys in guests.items()]
    return boot.config_text(machine) + "".join(sections)


def switching(count, each, spin=0):
    return {
        f"g{seed}": {
            "memory": "8M",
            "cmdline": f"scenario=switch switches={each} seed={seed} spin={spin}",
        }
        for seed in range(count)
    }


class Switches:
    """Guests that compare every register after every switch."""

    GUESTS = 0
    EACH = 0
    SPIN = 0

    @pytest.fixture(scope="class")
    def log(self, manfred):
        guests = switching(self.GUESTS, self.EACH, self.SPIN)
        return manfred(config(guests, at_end="poweroff", **self.KEYS), timeout=400)

    KEYS = {}

    def test_no_difference(self, log):
        log.lacks(r"# switch: ")
        found = re.findall(r"^g\d: switch: (\d+) switches, \d+ rounds, 0 differences", log.result.log,
                           re.MULTILINE)
        assert len(found) == self.GUESTS
        assert sum(map(int, found)) >= self.GUESTS * self.EACH

    def test_ends_well(self, log):
        log.ends("ok", "guest-end")


class TestSwitchesOfTwo(Switches):
    GUESTS, EACH, KEYS = 2, 10000, {"fred": "off"}


class TestSwitchesOfFourByTime(Switches):
    """Nobody gives way: turns end by the preemption timer."""

    GUESTS, EACH, SPIN, KEYS = 4, 40, 1, {"fred": "soft"}


class TestSwitchesOfEight(Switches):
    GUESTS, EACH, KEYS = 8, SWITCHES // 8, {"fred": "soft"}


class TestSwitchesNative(Switches):
    GUESTS, EACH, KEYS = 4, 10000, {"fred": "native"}

    @pytest.fixture(scope="class", autouse=True)
    def needs_fred(self, fred_bochs):
        """The emulator has it, or these tests are skipped."""


class TestPriorities:
    """A guest of high priority leaves the processor to another one only while it waits in HLT."""

    @pytest.fixture(scope="class")
    def log(self, manfred):
        guests = {
            "normal": {"tests": "event.*"},
            "high": {"tests": "timer.*", "priority": "high"},
        }
        return manfred(config(guests, at_end="poweroff", fred="off", memory="8M"), timeout=200)

    def test_the_other_waits(self, log):
        before_hlt = log.result.log.split("high: ok 5 - timer.preempts_a_busy_loop")[0]
        assert before_hlt.count("high: ok ") == 4
        assert "\nnormal: " not in before_hlt

    def test_the_other_runs_in_hlt(self, log):
        """It became current for each HLT that waits, and once more when the first had ended."""
        log.says(r"guest normal, vcpu 0: \d+ exits, current 3 times$")

    @pytest.mark.parametrize("guest", ["high", "normal"])
    def test_passes(self, log, guest):
        log.find(rf"^{guest}: # tests \d+, failed 0,")

    def test_ends_well(self, log):
        log.ends("ok", "guest-end")


class TestLinuxAndTwo:
    """Linux with devices, and two conformance guests that share its processor."""

    @pytest.fixture(scope="class")
    def log(self, bochs, manfred):
        errata = bochs.errata(emulator.Machine())
        guests = {
            "main": LINUX,
            "suite1": {"tests": "fred-*", "errata": errata},
            "suite2": {"tests": "fredvm-*", "errata": errata},
        }
        text = config(guests, at_end="poweroff", fred="soft")
        return manfred(text, LINUX_FILES, timeout=500, data_partition=True)

    @pytest.mark.parametrize("guest", ["suite1", "suite2"])
    def test_suites_pass(self, log, guest):
        log.find(rf"^{guest}: # tests \d+, failed 0,")
        log.lacks(rf"^{guest}: not ok (?!.*# TODO errata )")
        log.says(rf"guest {guest}: stopped \(guest-end\)")

    @pytest.mark.parametrize("check", ["clock", "disk", "apic-interrupts", "processes"])
    def test_linux(self, log, check):
        linux_check(log, check)

    def test_linux_goes_on(self, log):
        log.find(r"^linux: poweroff")
        log.lacks(r"WARNING:|BUG:|Oops|Call Trace|Clocksource .* unstable|clock skew")

    def test_interrupts(self, log):
        """None of Linux's was lost, and none was another guest's."""
        log.find(r"guest main, vcpu 0: .*\n+.*interrupts: (\d+) taken, \1 delivered, 0 merged, 0 waiting")
        log.lacks(r"for no guest")

    def test_ends_well(self, log):
        log.ends("ok")


class TestDyingGuests:
    """Each in its own way, while one goes on to its end."""

    @pytest.fixture(scope="class")
    def log(self, manfred):
        guests = {
            "triple": {"cmdline": "scenario=triple-fault"},
            "nowhere": {"cmdline": "scenario=touch-nowhere"},
            "halted": {"cmdline": "scenario=halt"},
            "endless": {"cmdline": "scenario=endless"},
            "failed": {"cmdline": "scenario=end-failed"},
            "lives": {"tests": "fred-level.*"},
        }
        return manfred(config(guests, at_end="poweroff", fred="soft", memory="16M"), timeout=400)

    def test_each_is_reported(self, log):
        log.says(r"guest triple: triple fault")
        log.says(r"guest nowhere: the guest's read of guest-physical address 0x1200000 .* neither")
        log.says(r"guest endless: the same exception 1000000 times in a row at RIP 0x")
        log.says(r"guest triple: stopped \(triple-fault\), \d others? go")
        log.says(r"guest nowhere: stopped \(no-memory-there\), \d others? go")
        log.says(r"guest halted: stopped \(guest-halted\), \d others? go")
        log.says(r"guest failed: stopped \(guest-end\), \d others? go")

    def test_others_go_on(self, log):
        log.find(r"^lives: # tests \d+, failed 0,")

    def test_the_boot_has_failed(self, log):
        log.ends("failed", "triple-fault")


class TestIsolation:
    """A guest with the devices has all memory but that of the VMM and of the other guests."""

    @pytest.fixture(scope="class")
    def secret(self, manfred):
        """Where another guest's memory lies; the same in each boot of one machine."""
        log = self.boot(manfred, "hello")
        log.ends("ok")
        return log.says(r"guest other: 8 MiB at 0x([0-9a-f]+), no devices")[1]

    @staticmethod
    def boot(manfred, cmdline):
        guests = {
            "reader": {
                "guest": "multiboot",
                "kernel": r"\kernel",
                "module": r"\module",
                "cmdline": cmdline,
            },
            "other": {"memory": "8M", "tests": "cpuid.*"},
        }
        return manfred(config(guests, at_end="poweroff", fred="off"), MULTIBOOT_FILES)

    def test_memory_of_another_guest(self, manfred, secret):
        log = self.boot(manfred, f"a{secret}")
        log.lacks(r"the read came back")
        log.says(r"guest reader: the guest's read of guest-physical address 0x0*" + secret)
        log.says(r"guest reader: stopped \([a-z-]+\), 1 other goes on")
        log.find(r"^other: # tests \d+, failed 0,")
        log.ends("failed")


class TestA20Gate:
    """A guest with the devices closes the gate by all ways of a PC. Where it closes, the memory of
    seven other guests and of the VMM aliases itself."""

    WAYS = [
        "port 0x92",
        "16 bits to port 0x91",
        "D1H of the keyboard controller",
        "DDH of the keyboard controller",
        "FDH of the keyboard controller",
    ]

    @pytest.fixture(scope="class")
    def log(self, manfred):
        others = {f"other{i}": {"memory": "8M", "tests": "cpuid.*"} for i in range(7)}
        gate = {"guest": "multiboot", "kernel": r"\kernel", "cmdline": "gate"}
        return manfred(config({"gate": gate, **others}, at_end="poweroff", fred="off"),
                       {"kernel": MULTIBOOT_FILES["kernel"]})

    @pytest.mark.parametrize("way", WAYS)
    def test_stays_open(self, log, way):
        log.find(rf"multiboot: {re.escape(way)}: the A20 gate stays open$")

    def test_others_are_unharmed(self, log):
        passed = re.findall(r"^other\d: # tests \d+, failed 0,", log.result.log, re.MULTILINE)
        assert len(passed) == 7

    def test_ends_well(self, log):
        log.ends("ok", "guest-end")
