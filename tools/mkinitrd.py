#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Packs the Linux guest's initramfs: busybox, kernel modules, our init and its programs.

Written as a cpio archive ("newc") by hand: device nodes need no root this way,
and the same input gives the same bytes. Not compressed: unpacking would cost an
emulated processor more than reading.

    tools/mkinitrd.py OUTPUT INIT PROGRAM...
"""
import lzma
import pathlib
import stat
import sys

PLATFORM = pathlib.Path(__file__).resolve().parent.parent / "build/platform"
MODULES = ("scsi_common", "scsi_mod", "sd_mod", "libata", "ata_piix", "msr")
FOLDERS = ("bin", "dev", "modules", "proc", "sys")


class Archive:
    """The format is described in the kernel's buffer-format.rst."""

    def __init__(self):
        self.data = bytearray()
        self.inode = 0

    def add(self, name, mode, content=b"", device=(0, 0)):
        self.inode += 1
        path = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
        self.data += b"070701" + b"".join(b"%08x" % field for field in fields) + path
        self._align()
        self.data += content
        self._align()

    def _align(self):
        self.data += bytes(-len(self.data) % 4)


def kernel_module(name):
    """A module's bytes; b"" when the kernel has it built in."""
    for found in PLATFORM.glob(f"kernel/**/{name}.ko*"):
        data = found.read_bytes()
        return lzma.decompress(data) if found.suffix == ".xz" else data
    return b""


def main():
    output, init, *programs = sys.argv[1:]
    archive = Archive()
    for folder in FOLDERS:
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    busybox = (PLATFORM / "root/usr/bin/busybox").read_bytes()
    archive.add("bin/busybox", stat.S_IFREG | 0o755, busybox)
    archive.add("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    for name in MODULES:
        module = kernel_module(name)
        if module:
            archive.add(f"modules/{name}.ko", stat.S_IFREG | 0o644, module)
    archive.add("init", stat.S_IFREG | 0o755, pathlib.Path(init).read_bytes())
    for program in map(pathlib.Path, programs):
        archive.add(program.name, stat.S_IFREG | 0o755, program.read_bytes())
    archive.add("TRAILER!!!", 0)
    pathlib.Path(output).write_bytes(archive.data)


if __name__ == "__main__":
    main()
