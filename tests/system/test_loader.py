# SPDX-License-Identifier: BSD-2-Clause
"""What the loader says about bad input: one clear line, the end line, no hang."""
import emulator
import pytest

MIB = 1 << 20

# name: (manfred.cfg, further files, the line to be seen, the reason in the end line)
BAD_INPUT = {
    "no-config": (None, {}, r"^manfred: manfred\.cfg: not found", "missing-file"),
    "unknown-key": (
        "guest = selftest\ngest = linux\n",
        {},
        r'^manfred\.cfg:2: .*"gest".*guest.*kernel',
        "config",
    ),
    "bad-value": ("guest = foo\n", {}, r"^manfred\.cfg:1: .*foo.*selftest, linux", "config"),
    "no-equals": ("# comment\n\nguest\n", {}, r"^manfred\.cfg:3: ", "config"),
    "bad-memory": ("memory = lots\n", {}, r"^manfred\.cfg:1: memory", "config"),
    "nul-byte": (b"guest = self\0test\n", {}, r"^manfred\.cfg:1: ", "config"),
    "linux-without-kernel": ("guest = linux\n", {}, r"^manfred\.cfg:.*needs.*kernel", "config"),
    "huge-config": (b"# a comment\n" * 8192, {}, r"^manfred: manfred\.cfg: ", "config"),
    "missing-kernel": (
        "guest = linux\nkernel = \\absent\n",
        {},
        r"^manfred: kernel = \\absent: not found",
        "missing-file",
    ),
    "missing-initrd": (
        "guest = linux\nkernel = \\k\ninitrd = \\absent\n",
        {"k": b"not a kernel"},
        r"^manfred: initrd = \\absent: not found",
        "missing-file",
    ),
    "unknown-section": ("log = info\n[linux]\n", {}, r"^manfred\.cfg:2: .*\[guest NAME\]", "config"),
    "key-of-all-in-section": (
        "[guest a]\nlog = info\n",
        {},
        r'^manfred\.cfg:2: "log" is no key of a guest; allowed are guest, kernel',
        "config",
    ),
    "two-owners-of-the-devices": (
        "kernel = \\k\n\n[guest a]\nguest = linux\n[guest b]\nguest = multiboot\n",
        {},
        r"^manfred\.cfg:5: guest b: .*passthrough.*one guest.*guest a has it",
        "config",
    ),
    "missing-kernel-of-a-section": (
        "[guest a]\n[guest b]\nguest = linux\nkernel = \\absent\n",
        {},
        r"^manfred: guest b: kernel = \\absent: not found",
        "missing-file",
    ),
    "empty-kernel": ("guest = linux\nkernel = \\k\n", {"k": b""}, r"^manfred: kernel", "bad-file"),
}


class TestBadInput:
    @pytest.mark.parametrize("name", BAD_INPUT)
    def test_says_what_is_wrong(self, loader, name):
        config, files, line, reason = BAD_INPUT[name]
        log = loader(config, files)
        log.find(line)
        log.ends("failed", reason)


class TestSmallMachine:
    def test_initrd_larger_than_memory(self, loader):
        log = loader(
            "guest = linux\nkernel = \\k\ninitrd = \\initrd\n",
            {"k": b"not a kernel", "initrd": bytes(80 * MIB)},
            machine=emulator.Machine(memory=64),
        )
        log.find(r"^manfred: initrd.* 80 MiB.*MiB")
        log.ends("failed", "no-memory")


class TestNoVmx:
    def test_says_so(self, loader):
        log = loader("guest = selftest\n")
        log.find(r"^manfred: .*no VMX")
        log.ends("failed", "no-vmx")


class TestOptions:
    """Started from the firmware's shell, with options that override the file."""

    CONFIG = "guest = linux\nlog = error\n"

    @pytest.fixture
    def shell(self, loader):
        def run(options):
            files = {"startup.nsh": f"fs0:\\manfred.efi {options}\r\n".encode()}
            return loader(self.CONFIG, files, name="manfred.efi")

        return run

    def test_override_the_file(self, shell):
        log = shell("guest=selftest log=info")
        log.find(r"^manfred: loader: guest = selftest")
        log.ends("failed", "no-vmx")

    def test_of_sections(self, loader):
        config = "fred = soft\n\n[guest a]\n\n[guest b-2]\nguest = linux\nkernel = \\absent\n"
        options = 'b-2.kernel="\\a kernel" b-2.initrd=\\i a.memory=8M'
        files = {
            "startup.nsh": f"fs0:\\manfred.efi {options}\r\n".encode(),
            "a kernel": b"one",
            "i": b"two",
        }
        log = loader(config, files, name="manfred.efi")
        log.find(r"^manfred: loader: guest a: guest = selftest")
        log.find(r"^manfred: loader: guest b-2: guest = linux")
        log.find(r"^manfred: loader: guest b-2: kernel \\a kernel 0 KiB at 0x")
        log.find(r"^manfred: loader: guest b-2: initrd \\i 0 KiB at 0x")
        log.ends("failed", "no-vmx")

    def test_of_no_section(self, shell):
        log = shell("guest=selftest b.fred=off")
        log.find(r"^manfred: options: no section \[guest b\] in the file")
        log.ends("failed", "config")

    def test_bad_option(self, shell):
        log = shell("guest=selftest fred=maybe")
        log.find(r"^manfred: options: fred.*maybe.*auto, native, soft, off")
        log.ends("failed", "config")
