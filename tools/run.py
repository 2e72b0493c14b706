#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
r"""Boots Manfred in the emulator, the serial log live on standard output.

Variables, given to make (`make run GUEST=selftest`), override manfred.cfg:

  GUEST=linux|selftest|multiboot  KERNEL=file INITRD=file CMDLINE=text MODULES="file..."
  MEMORY=size of the guest (256M) FRED=auto|native|soft|off  LOG=error|info|debug|trace
  TESTS=pattern (selftest)        DEBUG=deliberate damage    AT_END=poweroff|reboot|halt|debug-exit
  ERRATA=identifiers of deviations that the selftest expects: FR-4,FR-7; those of a
    Bochs that is known by default, ERRATA= for none
  CONFIG=file, a whole manfred.cfg, instead of all above: the files that it names are
    taken from its folder; \vmlinuz and \initrd.img, if not there, are Debian's and ours
  CPUS=processors                 MACHINE_MEMORY=MiB         TIMEOUT=seconds
  BOCHS=program BXSHARE=folder    another Bochs              MODEL=its processor model
  EMULATOR=bochs|qemu             qemu: a machine without VMX, for the loader
  FOLDER=folder of disk and log, by default build/run: two runs at once need two

The whole log is in build/run/serial.log as it comes. Exit status of this program, on
either emulator: 0 when the end line says ok, 1 when it does not, there is none, or the
guest's Linux kernel has panicked, 2 for wrong usage, 124 when time is up. `make run`
makes 2 of all but 0, as make does.
"""
import os
import pathlib
import re
import signal
import subprocess
import sys

import boot
import emulator

STATUS_OK, STATUS_FAILED, STATUS_USAGE, STATUS_TIMEOUT = 0, 1, 2, 124
FOLDER = pathlib.Path(os.environ.get("FOLDER") or emulator.BUILD / "run")
# The loader's parser of manfred.cfg as a program of the host.
CHECK_CONFIG = emulator.BUILD / "tools/check-config"
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
# What would be ignored.
USELESS = {
    "linux": ("MODULES", "TESTS", "ERRATA"),
    "selftest": ("KERNEL", "INITRD", "MODULES"),
    "multiboot": ("INITRD", "TESTS", "ERRATA"),
    BARE: ("CONFIG", "KERNEL", "INITRD", "MODULES", "CMDLINE", "MEMORY", "FRED", "DEBUG"),
}
# The firmware says nothing with less; Manfred itself wants some more, and says so.
MACHINE_MEMORY_MIN = 64


class UsageError(Exception):
    """What is wrong with the variables, in one line."""


def variable(name, default=""):
    return os.environ.get(name, "").strip() or default


def number(name, default, minimum=1):
    text = variable(name, str(default))
    if not text.isdecimal() or int(text) == 0:
        raise UsageError(f"{name}={text}: a number above 0 is wanted")
    if int(text) < minimum:
        raise UsageError(f"{name}={text}: at least {minimum} is wanted")
    return int(text)


def config_value(name):
    """Of a variable that becomes a line of manfred.cfg."""
    value = variable(name)
    if "\n" in value or re.search(r"(?:^|[ \t])#", value):
        raise UsageError(f"{name}={value}: in manfred.cfg a '#' behind a blank begins a comment, "
                         "and a value has one line")
    return value


def guest_file(name, path):
    if os.path.isdir(path):
        raise UsageError(f"{name}={path}: this is a folder")
    if not os.path.isfile(path):
        raise UsageError(f"{name}={path}: no such file")
    return path


def check_config(text, path=None):
    """What the loader's parser says to this manfred.cfg: before the boot, not behind it. `path` is the
    file that the user has written, if it is not made of variables."""
    text = text if isinstance(text, bytes) else text.encode()
    done = subprocess.run([str(CHECK_CONFIG)], input=text, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        line, _, said = done.stdout.decode("utf-8", "replace").strip().partition(" ")
        at = f":{line}" if line != "0" else ""
        raise UsageError(f"{path}{at}: {said}" if path else said)


def make_image_of(image, path):
    """`path` is a manfred.cfg; what it names lies beside it."""
    given = [name for name in CONFIG_VARIABLES if variable(name)]
    if given:
        raise UsageError(f"CONFIG is a whole manfred.cfg; with it, set there: {', '.join(given)}")
    text = pathlib.Path(guest_file("CONFIG", path)).read_bytes()
    check_config(text, path)
    files = {}
    # Other line ends are as good.
    for named in FILE_LINE.findall(text.decode("utf-8", "replace").replace("\r\n", "\n")):
        name = named.replace("\\", "/").lstrip("/")
        beside = pathlib.Path(path).parent / name
        source = beside if beside.is_file() else PLATFORM_FILES.get(name, beside)
        files[name] = guest_file("CONFIG: the file", str(source))
    boot.manfred_image(image, text, files, data_partition=True)


def expected_deviations(guest, errata):
    """For the key `errata`: what ERRATA says, if only that there are none; else those of the emulator."""
    if guest not in ("selftest", BARE) or "ERRATA" in os.environ:
        return {}
    known = errata()
    return {"errata": known} if known else {}


def make_image(image, errata=lambda: ""):
    """`errata` finds out what this emulator is known for."""
    guest = variable("GUEST", "linux")
    useless = [name for name in USELESS.get(guest, ()) if variable(name)]
    if useless:
        raise UsageError(f"{', '.join(useless)}: not for GUEST={guest}" if guest != BARE else
                         f"{', '.join(useless)}: not for make run-fredcheck, which has no guest")
    if variable("CONFIG"):
        make_image_of(image, variable("CONFIG"))
        return
    plain = {name.lower(): config_value(name) for name in PLAIN_KEYS if variable(name)}
    plain.update(expected_deviations(guest, errata))
    if guest == BARE:
        check_config(boot.config_text(plain))
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
    check_config(boot.config_text(config))
    boot.manfred_image(image, config, files, data_partition=True)


def find_emulator():
    name = variable("EMULATOR", "bochs")
    if name not in ("bochs", "qemu"):
        raise UsageError(f"EMULATOR={name}: allowed are bochs, qemu")
    return emulator.Qemu() if name == "qemu" else emulator.Bochs()


class Echo:
    """Prints the log as it comes, up to the end line: what the firmware says behind it buries that."""

    def __init__(self):
        self.ended = False

    def __call__(self, lines):
        if self.ended:
            return
        end = emulator.END_LINE.search(lines)
        if end:
            self.ended = True
            lines = lines[:end.end()] + "\n"
        print(lines, end="", flush=True)


def conclude(result, timeout):
    """The last line names the status and the reason; returns the exit status."""
    log = f"in {result.seconds:.0f} s; the log is {os.path.relpath(FOLDER / 'serial.log')}"
    if result.panic is not None:
        print(f"run: status=failed reason=kernel-panic (the guest's: {result.panic}) {log}")
        return STATUS_FAILED
    if result.end:
        print(f"run: status={result.end[0]} reason={result.end[1]} {log}")
        return STATUS_OK if result.ok else STATUS_FAILED
    if result.timed_out:
        said = "no end line" if result.log else "not a byte on the serial line"
        print(f"run: status=failed reason=timeout ({said} within TIMEOUT={timeout} s); "
              f"the log is {os.path.relpath(FOLDER / 'serial.log')}")
        return STATUS_TIMEOUT
    complaints = result.emulator_log.strip().splitlines() or ["it says nothing"]
    print("".join(f"{line}\n" for line in complaints[:-1]), end="")
    print(f"run: status=failed reason=emulator ({complaints[-1]}) {log}")
    return STATUS_FAILED


def run():
    machine = emulator.Machine(
        memory=number("MACHINE_MEMORY", 512, MACHINE_MEMORY_MIN), cpus=number("CPUS", 1),
        model=variable("MODEL"),
    )
    timeout = number("TIMEOUT", 600)
    image = FOLDER / "manfred.img"
    run_on = find_emulator()
    with emulator.folder_lock(FOLDER):
        make_image(image, lambda: run_on.errata(machine, variable("FRED")))
        run_on.require(machine)
        result = boot.boot(run_on, image, machine, timeout, echo=Echo())
    return conclude(result, timeout)


def main():
    # So that whatever ends this program lets it clean up; Ctrl-C is Python's own.
    for ending in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ending, lambda *_: sys.exit(STATUS_FAILED))
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
