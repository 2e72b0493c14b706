# SPDX-License-Identifier: BSD-2-Clause
"""Runs an emulator on a disk image and reads its serial line.

Everything that is particular to Bochs or QEMU lives here: how to find them,
what they can do, their configuration, and when a run is over. A run is judged
by its serial log alone: Bochs' exit status says nothing, and QEMU's only with
at_end = debug-exit.
"""
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import tempfile
import time

import mkimage

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
PLATFORM = BUILD / "platform" / "root"
LIBRARIES = PLATFORM / "usr/lib/x86_64-linux-gnu"
FIRMWARE = PLATFORM / "usr/share/ovmf/OVMF.fd"
# With Secure Boot: code and variables in two files.
FIRMWARE_PARTS = PLATFORM / "usr/share/OVMF"
PROBE = BUILD / "tools/probe.efi"
VGA_FIRMWARE = PLATFORM / "usr/share/bochs/VGABIOS-lgpl-latest"
FIRMWARE_BASE = 0xFFC00000

END_LINE = re.compile(r"(?:manfred|fredcheck): end status=(ok|failed) reason=(\S+) exits=(\d+)")
# Firmware colours and clears its screen on the serial line, too.
ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-9;=?]*[A-Za-z]|[()][A-Z0-9])")
PROBE_LINE = re.compile(r"probe: (.*) end")
# After the last line a machine powers off, or resets: let that be seen.
GRACE_SECONDS = 2.0
PROBE_SECONDS = 60

# Where SDL draws when there is no screen: into BMP files, in the folder of the run.
GRAPHICS_DISPLAY = "sdl2"
GRAPHICS_ENVIRONMENT = {
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
    "SDL_VIDEO_DUMMY_SAVE_FRAMES": "1",
}

# A processor that Bochs knows, best first: with FRED, then the default.
FRED_MODEL = "wildcat_lake"
PLAIN_MODEL = "corei7_icelake_u"
# What Bochs' FRED does otherwise than the architecture: identifiers of docs/errata.md that tests
# of the built-in guest name.
FRED_ERRATA = "FR-4,FR-7,FR-8,FR-10,FR-11,FR-12,FR-20,FR-21,FR-22,FR-24"
# ... and what its stock releases make software FRED miss.
SOFT_FRED_ERRATA = "BX-14"
# Instructions in an emulated second, as the devices count it.
IPS = 100_000_000
# MiB that Bochs itself takes at most; of a larger machine it puts into a file what is not in use.
HOST_MEMORY_MAX = 2048
# 2026-01-01: the emulated clock starts at the same time in every run.
TIME0 = 1767225600


def plain(log):
    """The text of a log's bytes, without what only terminals understand."""
    return ESCAPE_SEQUENCE.sub("", log.decode("utf-8", "replace").replace("\r", ""))


class EmulatorError(Exception):
    """The emulator is missing, or cannot run Manfred; the text is one line."""


@dataclasses.dataclass
class Result:
    """What a run said, and how it ended."""

    log: str
    timed_out: bool
    seconds: float
    emulator_log: str = ""
    exit_status: int | None = None  # of an emulator that ended by itself

    @property
    def lines(self):
        return self.log.splitlines()

    @property
    def end(self):
        """The end line as (status, reason, exits), or None."""
        found = END_LINE.search(self.log)
        return (found[1], found[2], int(found[3])) if found else None

    @property
    def ok(self):
        return self.end is not None and self.end[0] == "ok"


@dataclasses.dataclass
class Machine:
    """The emulated hardware."""

    memory: int = 512  # MiB
    cpus: int = 1
    model: str = ""  # "": the best that the emulator has
    features: str = ""  # Bochs: what its model gets besides; QEMU's are part of `model`
    ips: int = IPS  # instructions in a second of its devices
    # Bochs: a graphics card that the firmware has a framebuffer of. What it shows
    # is in the run's folder, a picture a second: SDL_window1-NUMBER.bmp.
    graphics: bool = False
    # QEMU: where the serial line is: "isa" (COM1), "pci", or "none".
    serial: str = "isa"
    # QEMU: whose keys the firmware has that enforces Secure Boot: "ms", or "snakeoil", a key for
    # tests; "": it does not.
    secure_boot: str = ""
    read_only: bool = False  # QEMU: the disk
    stick: bool = False  # QEMU: the disk is a USB stick, for pull_stick()
    screen: bool = True  # QEMU: there is one
    unreadable: bytes = b""  # QEMU: the first sector with these bytes gives an error
    vtd: bool = False  # QEMU: an IOMMU of Intel's, and the device "edu" that makes DMA on demand


class Bochs:
    """Bochs of the unpacked Debian release, or the one that BOCHS names."""

    def __init__(self):
        own = os.environ.get("BOCHS")
        self.environment = dict(os.environ)
        if own:
            self.binary = pathlib.Path(own)
            self.command = [str(self.binary)]
        else:
            self.binary = PLATFORM / "usr/bin/bochs-bin"
            # Through the release's own loader: its C library is not the host's.
            self.command = [
                str(PLATFORM / "usr/lib64/ld-linux-x86-64.so.2"),
                "--library-path",
                f"{LIBRARIES}:{LIBRARIES}/pulseaudio",
                str(self.binary),
            ]
            self.environment["BXSHARE"] = str(PLATFORM / "usr/share/bochs")
            self.environment["LTDL_LIBRARY_PATH"] = str(LIBRARIES / "bochs/plugins")
        if not self.binary.is_file():
            raise EmulatorError(f"no Bochs at {self.binary}")
        self.models = self._ask("--help", "cpu").split()
        self.display = self._find_display()

    def _ask(self, *arguments):
        """What the emulator prints with these arguments and no machine to run."""
        done = subprocess.run(
            [*self.command, *arguments],
            env={**self.environment, **GRAPHICS_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
            check=False,
        )
        return done.stdout

    @property
    def default_model(self):
        return FRED_MODEL if FRED_MODEL in self.models else PLAIN_MODEL

    def _has_display(self, display):
        return "Begin simulation" in self._ask("-n", "-q", f"display_library: {display}")

    @property
    def has_graphics(self):
        """Can it run a machine with graphics=True?"""
        return self._has_display(GRAPHICS_DISPLAY)

    def _find_display(self):
        """A display that needs none; a build has it when its menu comes up."""
        for display in ("nogui", 'rfb, options="timeout=0"'):
            if self._has_display(display):
                return display
        raise EmulatorError(f"{self.binary} has neither display library nogui nor rfb")

    def start(self, image, machine, folder, serial):
        """Starts the emulator; its serial line goes to the path `serial`."""
        pathlib.Path(f"{image}.lock").unlink(missing_ok=True)
        model = machine.model or self.default_model
        if model not in self.models:
            raise EmulatorError(f"{self.binary} has no processor model {model}")
        # A terminal is read, too.
        mode = "term" if pathlib.Path(serial).is_char_device() else "file"
        lines = [
            f"display_library: {GRAPHICS_DISPLAY if machine.graphics else self.display}",
            f"log: {folder}/bochs.log",
            "panic: action=fatal",
            "error: action=report",
            "info: action=ignore",
            "debug: action=ignore",
            f"memory: guest={machine.memory}, host={min(machine.memory, HOST_MEMORY_MAX)}",
            f"romimage: file={FIRMWARE}, address={FIRMWARE_BASE:#x}",
            f"vgaromimage: file={VGA_FIRMWARE}",
            f"pci: enabled=1, chipset=i440fx{', slot1=cirrus' if machine.graphics else ''}",
            f"cpu: model={model}, count={machine.cpus}, ips={machine.ips}, reset_on_triple_fault=1"
            + (f', add_features="{machine.features}"' if machine.features else ""),
            f"clock: sync=none, time0={TIME0}",
            f"com1: enabled=1, mode={mode}, dev={serial}",
            "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14",
            f"ata0-master: type=disk, mode=flat, path={image}",
            "boot: disk",
        ]
        if machine.graphics:
            lines.append("vga: extension=cirrus, update_freq=1")
        config = folder / "bochsrc"
        config.write_text("\n".join(lines) + "\n", encoding="ascii")
        process = subprocess.Popen(
            [*self.command, "-q", "-f", str(config)],
            cwd=folder,
            env={**self.environment, **(GRAPHICS_ENVIRONMENT if machine.graphics else {})},
            stdin=subprocess.PIPE,
            stdout=open(folder / "bochs.out", "wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        # A Bochs with a debugger waits for "continue"; others do not read it.
        process.stdin.write(b"c\n")
        process.stdin.flush()
        return process

    def probe(self, machine):
        """What tools/efi/probe.c finds with this binary and processor model, as
        a dict; asked once, then read from build/probe/."""
        model = machine.model or self.default_model
        state = self.binary.stat()
        asked = hashlib.sha256(PROBE.read_bytes()).hexdigest()
        key = f"{self.binary.resolve()} {state.st_size} {state.st_mtime_ns} {model} {asked}"
        answers = BUILD / "probe"
        answer = answers / (hashlib.sha256(key.encode()).hexdigest()[:16] + ".json")
        if answer.exists():
            return json.loads(answer.read_text("ascii"))
        answers.mkdir(parents=True, exist_ok=True)
        # A folder of its own: several may probe at once, with the same answer.
        with tempfile.TemporaryDirectory(dir=answers) as folder:
            image = pathlib.Path(folder, "probe.img")
            mkimage.make_image(image, {"EFI/BOOT/BOOTX64.EFI": PROBE})
            result = run(self, image, Machine(model=model), PROBE_SECONDS, folder, PROBE_LINE, 0)
        found = PROBE_LINE.search(result.log)
        if not found:
            complaint = (result.emulator_log.strip() or "it says nothing").splitlines()[-1]
            raise EmulatorError(f"{self.binary} does not reach a UEFI application: {complaint}")
        facts = {name: int(value) for name, value in (f.split("=") for f in found[1].split())}
        answer.write_text(json.dumps(facts), "ascii")
        return facts

    def require(self, machine):
        """Raises EmulatorError when this emulator is known to be no good."""
        facts = self.probe(machine)
        if not facts["idiv"]:
            raise EmulatorError(
                f"{self.binary} divides wrongly (IDIV of a 64-bit register): take another build"
            )
        for fact, name in (("vmx", "VMX"), ("ept", "EPT"), ("unrestricted", "unrestricted guest")):
            if not facts[fact]:
                raise EmulatorError(
                    f"{self.binary} has no {name} with processor model "
                    f"{machine.model or self.default_model}"
                )

    def errata(self, machine):
        """The deviations that the built-in guest is to expect, for its key `errata`."""
        return FRED_ERRATA if self.probe(machine)["fred"] else SOFT_FRED_ERRATA

    @staticmethod
    def complaints(folder):
        """What the emulator itself had to say: the tail of its log."""
        log = folder / "bochs.log"
        return log.read_text("latin-1")[-4000:] if log.exists() else ""


class Qemu:
    """The host's QEMU without KVM: a machine that has no VMX."""

    def __init__(self, program="qemu-system-x86_64"):
        self.program = program

    def command(self, image, machine, backend):
        """Its words; `backend` is the character device at the other end of the serial line."""
        serial = {
            "isa": ["-device", "isa-serial,chardev=line"],
            "pci": ["-device", "pci-serial,chardev=line,addr=1d.0"],
            "none": [],
        }[machine.serial]
        firmware = ["-machine", "pc,accel=tcg", "-bios", str(FIRMWARE)]
        if machine.secure_boot:
            flash = "if=pflash,format=raw,snapshot=on,file="
            firmware = [
                "-machine", "q35,smm=on,accel=tcg",
                "-global", "driver=cfi.pflash01,property=secure,value=on",
                "-drive", f"{flash}{FIRMWARE_PARTS}/OVMF_CODE_4M.{machine.secure_boot}.fd",
                "-drive", f"{flash}{FIRMWARE_PARTS}/OVMF_VARS_4M.{machine.secure_boot}.fd",
            ]
        if machine.vtd:
            firmware = [
                "-machine", "q35,accel=tcg", "-bios", str(FIRMWARE),
                "-device", "intel-iommu,intremap=off,aw-bits=48",
                "-device", "edu,addr=1c.0,dma_mask=0xffffffff",
            ]
        return [self.program, *firmware, "-cpu", machine.model or "max",
                "-smp", str(machine.cpus), "-m", str(machine.memory),
                *self._disk(image, machine), "-serial", "none",
                *([] if machine.screen else ["-vga", "none"]),
                "-chardev", f"{backend},id=line", *serial,
                "-display", "none", "-monitor", "none", "-net", "none",
                "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]

    @staticmethod
    def _disk(image, machine):
        drive = f"format=raw,file={image}"
        if machine.unreadable:
            sector = pathlib.Path(image).read_bytes().index(machine.unreadable) // 512
            fault = "file.inject-error.0"
            drive = (f"if=virtio,format=raw,rerror=report,file.driver=blkdebug,"
                     f"{fault}.event=read_aio,{fault}.sector={sector},"
                     f"file.image.driver=file,file.image.filename={image}")
        elif machine.read_only:
            drive += ",if=virtio,readonly=on"
        if not machine.stick:
            return ["-drive", drive]
        return ["-drive", f"if=none,id=disk,{drive}", "-device", "qemu-xhci",
                "-device", "usb-storage,drive=disk,id=stick,removable=on",
                "-qmp", f"unix:{image}.qmp,server=on,wait=off"]

    @staticmethod
    def pull_stick(image):
        """As a hand does it while the machine runs."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(f"{image}.qmp")
            answers = monitor.makefile()
            json.loads(answers.readline())  # its greeting
            for command in ({"execute": "qmp_capabilities"},
                            {"execute": "device_del", "arguments": {"id": "stick"}}):
                monitor.sendall(json.dumps(command).encode())
                while True:  # events come between
                    answer = json.loads(answers.readline())
                    if "error" in answer:
                        raise EmulatorError(answer["error"]["desc"])
                    if "return" in answer:
                        break

    def start(self, image, machine, folder, serial):
        return subprocess.Popen(
            self.command(image, machine, f"file,path={serial}"),
            stdin=subprocess.PIPE,
            stdout=open(folder / "qemu.out", "wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @staticmethod
    def complaints(folder):
        return (folder / "qemu.out").read_text("latin-1")[-4000:]


def run(emulator, image, machine, timeout, folder, until=END_LINE, grace=GRACE_SECONDS, echo=None):
    """Runs `image` until a line matches `until` (and `grace` more seconds have
    passed), the emulator ends, or `timeout` seconds are over. Several patterns
    are waited for one after the other. `echo` is called with the log's lines as
    they come. The log is left in serial.log."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        serial = pathlib.Path(scratch, "serial")
        os.mkfifo(serial)
        # Open for both: the emulator's open then never waits, and we see no early end.
        reader = os.open(serial, os.O_RDWR | os.O_NONBLOCK)
        process = emulator.start(pathlib.Path(image).resolve(), machine, folder.resolve(), serial)
        try:
            started = time.monotonic()
            waiting = [until] if isinstance(until, re.Pattern) else list(until)
            log, timed_out = _follow(process, reader, started + timeout, waiting, grace, echo)
        finally:
            exit_status = process.poll()
            kill(process)
            os.close(reader)
            pathlib.Path(f"{image}.lock").unlink(missing_ok=True)
    (folder / "serial.log").write_bytes(log)
    seconds = time.monotonic() - started
    return Result(plain(log), timed_out, seconds, emulator.complaints(folder), exit_status)


def _follow(process, reader, deadline, waiting, grace, echo):
    """Reads the serial line to the end of the run; returns the log, and whether
    time ran out before the lines that it waited for."""
    log = bytearray()
    scanned = 0
    gone = False
    while time.monotonic() < deadline:
        # A short wait at most, since only polling tells that the emulator is gone.
        ready, _, _ = select.select([reader], [], [], min(0.25, deadline - time.monotonic()))
        if ready:
            log += os.read(reader, 65536)
        elif gone:
            break
        else:
            gone = process.poll() is not None
        end = log.rfind(b"\n") + 1
        if end > scanned:
            lines = plain(log[scanned:end])
            scanned = end
            if echo:
                echo(lines)
            for line in lines.splitlines():
                if waiting and waiting[0].search(line):
                    waiting.pop(0)
                    if not waiting:
                        deadline = min(deadline, time.monotonic() + grace)
    if echo and scanned < len(log):
        # The last line: an emulator that powers off may drop its end.
        echo(plain(log[scanned:]) + "\n")
    return bytes(log), bool(waiting) and not gone


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    if process.stdin:
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
