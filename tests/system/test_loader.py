# SPDX-License-Identifier: BSD-2-Clause
"""What the loader says about bad input: one clear line, the end line, no hang."""
import random

import boot
import emulator
import pytest

MIB = 1 << 20
RUBBISH = random.Random(1)
LINUX = "guest = linux\nkernel = \\k\n"
MULTIBOOT = emulator.BUILD / "tests/multiboot.bin"


# Of the parser's messages one of each kind: tests/unit/lib/test_config.c has them all.
# name: (manfred.cfg, further files, the line to be seen, the reason in the end line)
BAD_INPUT = {
    "no-config": (None, {}, r"^manfred: manfred\.cfg: not found", "missing-file"),
    "bad-value": ("guest = foo\n", {}, r"^manfred\.cfg:1: .*foo.*selftest, linux", "config"),
    "nul-byte": (b"guest = selftest\nfred = s\0ft\n", {}, r"^manfred\.cfg:2: ", "config"),
    "linux-without-kernel": ("guest = linux\n", {}, r"^manfred\.cfg:.*needs.*kernel", "config"),
    "huge-config": (
        RUBBISH.randbytes(MIB),
        {},
        r"^manfred: manfred\.cfg: has 1048576 bytes, at most 65536 are allowed",
        "config",
    ),
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
    "missing-kernel-of-a-section": (
        "[guest a]\n[guest b]\nguest = linux\nkernel = \\absent\n",
        {},
        r"^manfred: guest b: kernel = \\absent: not found",
        "missing-file",
    ),
    "empty-kernel": (LINUX, {"k": b""}, r"^manfred: kernel = \\k: the file is empty", "bad-file"),
    "empty-initrd": (
        LINUX + "initrd = /i\n",
        {"k": b"not a kernel", "i": b""},
        r"^manfred: initrd = /i: the file is empty",
        "bad-file",
    ),
    "kernel-is-a-folder": (
        "guest = linux\nkernel = \\EFI\n",
        {},
        r"^manfred: kernel = \\EFI: is a folder",
        "missing-file",
    ),
    "kernel-is-no-name": (
        "guest = linux\nkernel = \\a*b?c:d\n",
        {},
        r"^manfred: kernel = \\a\*b\?c:d: no file can have this name",
        "missing-file",
    ),
    # A packed kernel; EFI zboot and kernels for ARM are the same to the loader.
    "packed-kernel": (
        LINUX,
        {"k": b"\x1f\x8b" + bytes(4096)},
        r"^manfred: kernel = \\k: .* is not a Linux bzImage for x86: it has no setup header$",
        "bad-kernel",
    ),
    "half-a-kernel": (
        LINUX,
        {"k": lambda: boot.KERNEL.read_bytes()[: MIB]},
        r"^manfred: kernel = \\k: the kernel file is truncated",
        "bad-kernel",
    ),
    "bad-multiboot-kernel": (
        "[guest a]\nguest = multiboot\nkernel = \\k\n",
        {"k": b"no ELF file" * 1000},
        r"^manfred: guest a: kernel = \\k: the kernel file has no Multiboot header",
        "bad-kernel",
    ),
}


class TestBadInput:
    @pytest.mark.parametrize("name", BAD_INPUT)
    def test_says_what_is_wrong(self, loader, name):
        config, files, line, reason = BAD_INPUT[name]
        made = {name: file() if callable(file) else file for name, file in files.items()}
        log = loader(config, made)
        log.find(line)
        log.ends("failed", reason)


class TestGoodInput:
    """What looks wrong and is not: it goes on, to the lack of VMX."""

    def test_names_and_line_ends(self, loader):
        files = {
            "dir/A Kernel with a long name": MULTIBOOT,
            "dir/A Module": b"1" * 1024,
            "Für alle Ω": b"2" * 2048,
        }
        log = loader(
            "\ufeffguest = multiboot\r\n\r\nkernel = /DIR/a kernel with a long name\r\n"
            "module = dir\\AMODUL~1\r\nmodule = Für alle Ω",
            files,
        )
        log.find(r"^manfred: loader: kernel /DIR/a kernel with a long name \d+ KiB at 0x")
        log.find(r"^manfred: loader: module dir\\AMODUL~1 1 KiB at 0x")
        log.find(r"^manfred: loader: module Für alle Ω 2 KiB at 0x")
        log.ends("failed", "no-vmx")


class TestBrokenStick:
    def test_a_block_cannot_be_read(self, loader, tmp_path_factory):
        kernel = RUBBISH.randbytes(3 * MIB)
        bad = emulator.Machine(unreadable=kernel[MIB:MIB + 512])
        log = loader(LINUX, {"k": kernel}, machine=bad)
        log.find(r"^manfred: kernel cannot be read: the boot volume reports an error: try another")
        log.ends("failed", "boot-volume")


class TestNoScreen:
    def test_goes_on(self, loader):
        """With an empty manfred.cfg, which means the built-in guest."""
        log = loader("", machine=emulator.Machine(screen=False))
        log.find(r"^manfred: loader: guest = selftest")
        log.ends("failed", "no-vmx")


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
        def run(options, program="manfred.efi"):
            files = {"startup.nsh": f"fs0:\\{program} {options}\r\n".encode()}
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
            "startup.nsh": f'"fs0:\\manfred.efi" {options}\r\n'.encode(),
            "a kernel": boot.KERNEL,
            "i": b"two",
        }
        log = loader(config, files, name="manfred.efi")
        log.find(r"^manfred: loader: guest a: guest = selftest")
        log.find(r"^manfred: loader: guest b-2: guest = linux")
        log.find(r"^manfred: loader: guest b-2: kernel \\a kernel \d+ KiB at 0x")
        log.find(r"^manfred: loader: guest b-2: initrd \\i 0 KiB at 0x")
        log.ends("failed", "no-vmx")

    def test_of_no_section(self, shell):
        log = shell("guest=selftest b.fred=off", program="manfred")
        log.find(r"^manfred: options: no section \[guest b\] in the file")
        log.ends("failed", "config")
