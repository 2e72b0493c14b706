#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
r"""Boots Manfred in the emulator, the serial log live on standard output.

Variables, given to make (`make run GUEST=selftest`), override manfred.cfg:

  GUEST=linux|selftest|multiboot  KERNEL=file INITRD=file CMDLINE=text MODULES="file..."
  MEMORY=size of the guest (256M) FRED=auto|native|soft|off  LOG=error|info|debug|trace
  TESTS=pattern (selftest)        DEBUG=deliberate damage    AT_END=poweroff|reboot|halt|debug-exit
  ERRATA=identifiers of deviations that the selftest expects: FR-4,FR-7
  CONFIG=file, a whole manfred.cfg, instead of all above: the files that it names are
    taken from its folder; \vmlinuz and \initrd.img, if not there, are Debian's and ours
  CPUS=processors                 MACHINE_MEMORY=MiB         TIMEOUT=seconds
  BOCHS=program BXSHARE=folder    another Bochs              MODEL=its processor model
  EMULATOR=bochs|qemu             qemu: a machine without VMX, for the loader

The whole log is left in build/run/serial.log. Exit status, on either emulator: 0
when the end line says ok, 1 when it does not or there is none, 2 for wrong
usage, 124 when time is up.
"""
import os
import pathlib
import re
import signal
import sys

import boot
import emulator

STATUS_OK, STATUS_FAILED, STATUS_USAGE, STATUS_TIMEOUT = 0, 1, 2, 124
FOLDER = emulator.BUILD / "run"
GUESTS = ("linux", "selftest", "multiboot")
# Variables that are keys of manfred.cfg by another case.
PLAIN_KEYS = ("CMDLINE", "MEMORY", "CPUS", "FRED", "LOG", "TESTS", "ERRATA", "DEBUG", "AT_END")
# What stands for the keys of manfred.cfg; CPUS is also how many the machine has.
CONFIG_VARIABLES = ("GUEST", "KERNEL", "INITRD", "MODULES",
                    *(name for name in PLAIN_KEYS if name != "CPUS"))
# `kernel = \vmlinuz`, in any section of a manfred.cfg.
FILE_LINE = re.compile(r"^[ \t]*(?:kernel|initrd|module)[ \t]*=[ \t]*(.*?)[ \t]*(?:[ \t]#.*)?$",
                       re.MULTILINE)
PLATFORM_FILES = {"vmlinuz": boot.KERNEL, "initrd.img": boot.INITRD}
# `make run-fredcheck`: the selftest on the machine itself, by fredcheck.efi.
BARE = "bare"


class UsageError(Exception):
    """What is wrong with the variables, in one line."""


def variable(name, default=""):
    return os.environ.get(name, "").strip() or default


def number(name, default):
    text = variable(name, str(default))
    if not text.isdecimal() or int(text) == 0:
        raise UsageError(f"{name}={text}: a number above 0 is wanted")
    return int(text)


def config_value(name):
    """Of a variable that becomes a line of manfred.cfg."""
    value = variable(name)
    if "\n" in value or re.search(r"(?:^|[ \t])#", value):
        raise UsageError(f"{name}={value}: in manfred.cfg a '#' behind a blank begins a comment, "
                         "and a value has one line")
    return value


def guest_file(name, path):
    if not os.path.isfile(path):
        raise UsageError(f"{name}={path}: no such file")
    return path


def make_image_of(image, path):
    """`path` is a manfred.cfg; what it names lies beside it."""
    given = [name for name in CONFIG_VARIABLES if variable(name)]
    if given:
        raise UsageError(f"CONFIG is a whole manfred.cfg; with it, set there: {', '.join(given)}")
    text = pathlib.Path(guest_file("CONFIG", path)).read_bytes()
    files = {}
    # What is no UTF-8, or has other line ends, is for the loader to judge.
    for named in FILE_LINE.findall(text.decode("utf-8", "replace").replace("\r\n", "\n")):
        name = named.replace("\\", "/").lstrip("/")
        beside = pathlib.Path(path).parent / name
        source = beside if beside.is_file() else PLATFORM_FILES.get(name, beside)
        files[name] = guest_file("CONFIG: the file", str(source))
    boot.manfred_image(image, text, files, data_partition=True)


def make_image(image):
    if variable("CONFIG"):
        make_image_of(image, variable("CONFIG"))
        return
    guest = variable("GUEST", "linux")
    plain = {name.lower(): config_value(name) for name in PLAIN_KEYS if variable(name)}
    if guest == BARE:
        boot.fredcheck_image(image, plain)
        return
    if guest not in GUESTS:
        raise UsageError(f"GUEST={guest}: allowed are {', '.join(GUESTS)}")
    config = {"guest": guest}
    files = {}
    kernel = variable("KERNEL", str(boot.KERNEL) if guest == "linux" else "")
    # A kernel of the user's own does not get our initramfs unasked.
    initrd = variable("INITRD", str(boot.INITRD) if kernel == str(boot.KERNEL) else "")
    if guest == "multiboot" and not kernel:
        raise UsageError("GUEST=multiboot needs KERNEL=file")
    if guest == "linux":
        config["cmdline"] = boot.CMDLINE
    for key, path in (("kernel", kernel), ("initrd", initrd)):
        if path and guest != "selftest":
            config[key] = "\\" + key
            files[key] = guest_file(key.upper(), path)
    for index, path in enumerate(variable("MODULES").split()):
        config.setdefault("module", []).append(f"\\module{index}")
        files[f"module{index}"] = guest_file("MODULES", path)
    config.update(plain)
    boot.manfred_image(image, config, files, data_partition=True)


def find_emulator(machine):
    name = variable("EMULATOR", "bochs")
    if name == "qemu":
        return emulator.Qemu()
    if name != "bochs":
        raise UsageError(f"EMULATOR={name}: allowed are bochs, qemu")
    bochs = emulator.Bochs()
    bochs.require(machine)
    return bochs


def echo(lines):
    print(lines, end="", flush=True)


def run():
    machine = emulator.Machine(
        memory=number("MACHINE_MEMORY", 512), cpus=number("CPUS", 1), model=variable("MODEL")
    )
    timeout = number("TIMEOUT", 600)
    image = FOLDER / "manfred.img"
    make_image(image)
    result = boot.boot(find_emulator(machine), image, machine, timeout, echo=echo)
    log = os.path.relpath(FOLDER / "serial.log")
    if result.end:
        print(f"\nrun: status={result.end[0]} in {result.seconds:.0f} s; the log is {log}")
        return STATUS_OK if result.ok else STATUS_FAILED
    if result.timed_out:
        print(f"\nrun: no end line within TIMEOUT={timeout} s; the log is {log}")
        return STATUS_TIMEOUT
    print(f"\n{result.emulator_log}\nrun: the emulator ended without an end line; the log is {log}")
    return STATUS_FAILED


def main():
    # So that a stopped run stops its emulator too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STATUS_FAILED))
    pathlib.Path(FOLDER).mkdir(parents=True, exist_ok=True)
    try:
        sys.exit(run())
    except UsageError as error:
        print(f"run: {error}", file=sys.stderr)
        sys.exit(STATUS_USAGE)
    except emulator.EmulatorError as error:
        print(f"run: {error}", file=sys.stderr)
        sys.exit(STATUS_FAILED)
    except KeyboardInterrupt:
        sys.exit(STATUS_FAILED)


if __name__ == "__main__":
    main()
