#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes build/manfred.img: Manfred on a stick, with its menu and the files of tools/stick/.

Variables, given to make: KERNEL=file, INITRD=file and CMDLINE=text put a Linux guest in.
"""
import re
import sys

import boot
import emulator
import run

STICK = emulator.ROOT / "tools/stick"
IMAGE = emulator.BUILD / "manfred.img"
TEXTS = ("manfred.cfg", "fredcheck.cfg", "README.txt")


def with_keys(text, keys):
    """The text of the sample manfred.cfg with these keys in force."""
    for key, value in keys.items():
        text, count = re.subn(rf"^#?{key} = .*$", lambda _: f"{key} = {value}", text, flags=re.M)
        if count != 1:
            raise ValueError(f"manfred.cfg of the stick has {count} lines for {key}")
    return text


def for_windows(text):
    """A stick is read everywhere."""
    return text.replace("\n", "\r\n").encode("utf-8")


def stick_files(kernel="", initrd="", cmdline=""):
    """What is on the stick: names, and paths or bytes."""
    texts = {name: (STICK / name).read_text("ascii") for name in TEXTS}
    files = {boot.BOOT_FILE: boot.LOADER, "fredcheck.efi": boot.FREDCHECK}
    keys = {}
    if kernel:
        keys = {"guest": "linux", "kernel": r"\vmlinuz"}
        files["vmlinuz"] = kernel
    if initrd:
        keys["initrd"] = r"\initrd.img"
        files["initrd.img"] = initrd
    if cmdline:
        keys["cmdline"] = cmdline
    texts["manfred.cfg"] = with_keys(texts["manfred.cfg"], keys)
    files.update((name, for_windows(text)) for name, text in texts.items())
    return files


def main():
    kernel, initrd = run.variable("KERNEL"), run.variable("INITRD")
    try:
        cmdline = run.config_value("CMDLINE")
        if (initrd or cmdline) and not kernel:
            raise run.UsageError("INITRD and CMDLINE are for a guest: name its KERNEL")
        for name, path in (("KERNEL", kernel), ("INITRD", initrd)):
            if path:
                run.guest_file(name, path)
    except run.UsageError as error:
        sys.exit(f"image: {error}")
    boot.mkimage.make_image(IMAGE, stick_files(kernel, initrd, cmdline))
    what = f"Linux ({kernel}) and the conformance suite" if kernel else "the conformance suite"
    print(f"image: {IMAGE.relative_to(emulator.ROOT)} boots into a menu, with {what}")


if __name__ == "__main__":
    main()
