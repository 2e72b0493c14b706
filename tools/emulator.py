# SPDX-License-Identifier: BSD-2-Clause
"""Runs an emulator on a disk image and reads its serial line.

Everything that is particular to Bochs or QEMU lives here: how to find them,
what they can do, their configuration, and when a run is over. A run is judged
by its serial log alone: Bochs' exit status says nothing, and QEMU's only with
at_end = debug-exit.
"""
import contextlib
import dataclasses
import fcntl
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
import threading
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
# Linux' last message, on whose serial line it is the only one; "(in 1 s)" and a backtrace follow.
PANIC_LINE = re.compile(r"Kernel panic - not syncing: (.*)")
PANIC_SECONDS = 5.0
# Firmware colours and clears its screen on the serial line, too.
ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-9;=?]*[A-Za-z]|[()][A-Z0-9])")
PROBE_LINE = re.compile(r"probe: (.*) end")
# After the last line a machine powers off, or resets: let that be seen.
GRACE_SECONDS = 2.0
PROBE_SECONDS = 60
# What a run leaves in its folder.
LOG_NAMES = ("serial.log", "bochs.log", "bochs.out", "qemu.out")

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
# A folder's name with one of these breaks Bochs' settings, or the list of its libraries.
UNUSABLE_IN_PATHS = set('":$\n')
# What Bochs says when it does not take its settings: it has no log yet.
BOCHS_LAST_WORDS = re.compile(r"exiting with the following message:\n(?:\[[^]]*\] )?(.*)\n")
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


class FolderInUse(EmulatorError):
    """Another process boots in this folder."""


@contextlib.contextmanager
def folder_lock(folder):
    """For whoever boots in `folder`: two would overwrite each other's disk. Ends with the process."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise FolderInUse(
                f"process {lock.read().strip()} boots in {os.path.relpath(folder)} already: "
                "wait for its end (make run has FOLDER= for two at once)"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


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
    def panic(self):
        """Why a Linux guest's kernel has given up, or None."""
        found = PANIC_LINE.search(self.log)
        return found[1] if found else None

    @property
    def ok(self):
        return self.end is not None and self.end[0] == "ok" and self.panic is None


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


# The emulator dies with us, whatever we die of.
TIED_TO_US = ("setpriv", "--pdeathsig", "KILL")


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
        for path in (PLATFORM, folder):
            unusable = UNUSABLE_IN_PATHS.intersection(str(path))
            if unusable:
                raise EmulatorError(f"Bochs cannot run from {path}: its settings have no place for "
                                    f"{' '.join(map(repr, sorted(unusable)))} in a name")
        pathlib.Path(f"{image}.lock").unlink(missing_ok=True)
        model = machine.model or self.default_model
        if model not in self.models:
            raise EmulatorError(f"{self.binary} has no processor model {model}")
        # A terminal is read, too.
        mode = "term" if pathlib.Path(serial).is_char_device() else "file"
        lines = [
            f"display_library: {GRAPHICS_DISPLAY if machine.graphics else self.display}",
            f'log: "{folder}/bochs.log"',
            "panic: action=fatal",
            "error: action=report",
            "info: action=ignore",
            "debug: action=ignore",
            f"memory: guest={machine.memory}, host={min(machine.memory, HOST_MEMORY_MAX)}",
            f'romimage: file="{FIRMWARE}", address={FIRMWARE_BASE:#x}',
            f'vgaromimage: file="{VGA_FIRMWARE}"',
            f"pci: enabled=1, chipset=i440fx{', slot1=cirrus' if machine.graphics else ''}",
            f"cpu: model={model}, count={machine.cpus}, ips={machine.ips}, reset_on_triple_fault=1"
            + (f', add_features="{machine.features}"' if machine.features else ""),
            f"clock: sync=none, time0={TIME0}",
            f'com1: enabled=1, mode={mode}, dev="{serial}"',
            "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14",
            f'ata0-master: type=disk, mode=flat, path="{image}"',
            "boot: disk",
        ]
        if machine.graphics:
            lines.append("vga: extension=cirrus, update_freq=1")
        config = folder / "bochsrc"
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        process = subprocess.Popen(
            [*TIED_TO_US, *self.command, "-q", "-f", str(config)],
            cwd=folder,
            env={**self.environment, **(GRAPHICS_ENVIRONMENT if machine.graphics else {})},
            stdin=subprocess.PIPE,
            stdout=open(folder / "bochs.out", "wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        # A Bochs with a debugger waits for "continue"; others do not read it.
        with contextlib.suppress(BrokenPipeError):  # it has not taken its settings
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

    def errata(self, machine, fred=""):
        """The deviations that the built-in guest is to expect, for its key `errata`; `fred` is the
        key of that name."""
        native = self.probe(machine)["fred"] and fred != "soft"
        return FRED_ERRATA if native else SOFT_FRED_ERRATA

    @staticmethod
    def complaints(folder):
        """What the emulator itself had to say: the tail of its log, or why it has none."""
        log, output = folder / "bochs.log", folder / "bochs.out"
        if log.exists() and log.stat().st_size > 0:
            return log.read_text("latin-1")[-4000:]
        said = output.read_text("latin-1") if output.exists() else ""
        found = BOCHS_LAST_WORDS.search(said)
        return found[1] if found else said[-4000:]


class Qemu:
    """The host's QEMU without KVM: a machine that has no VMX."""

    def __init__(self, program="qemu-system-x86_64"):
        self.program = program

    def require(self, machine):
        """It is for what comes before VMX is needed."""

    def errata(self, machine, fred=""):
        """None that are known."""
        return ""

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
        path = str(image).replace(",", ",,")
        drive = f"format=raw,file={path}"
        if machine.unreadable:
            sector = pathlib.Path(image).read_bytes().index(machine.unreadable) // 512
            fault = "file.inject-error.0"
            drive = (f"if=virtio,format=raw,rerror=report,file.driver=blkdebug,"
                     f"{fault}.event=read_aio,{fault}.sector={sector},"
                     f"file.image.driver=file,file.image.filename={path}")
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
            [*TIED_TO_US, *self.command(image, machine, f"file,path={serial}")],
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
    passed), the emulator ends, a Linux guest's kernel has panicked, or `timeout`
    seconds are over. Several patterns are waited for one after the other. `echo`
    is called with the log's lines as they come. The log is in serial.log, as far
    as it has come."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in LOG_NAMES:  # those of the run before tell nothing about this one
        (folder / name).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as scratch, open(folder / "serial.log", "wb") as log_file:
        serial = pathlib.Path(scratch, "serial")
        os.mkfifo(serial)
        # Open for both: the emulator's open then never waits, and we see no early end.
        reader = os.open(serial, os.O_RDWR | os.O_NONBLOCK)
        process = emulator.start(pathlib.Path(image).resolve(), machine, folder.resolve(), serial)
        try:
            with _stopping_with_us(process) as clock:
                started = clock()
                waiting = [until] if isinstance(until, re.Pattern) else list(until)
                follower = _Follower(process, reader, log_file, clock, waiting, grace, echo)
                timed_out = follower.follow(started + timeout)
                seconds = clock() - started
        finally:
            exit_status = process.poll()
            kill(process)
            os.close(reader)
            pathlib.Path(f"{image}.lock").unlink(missing_ok=True)
    return Result(plain(follower.log), timed_out, seconds, emulator.complaints(folder), exit_status)


@contextlib.contextmanager
def _stopping_with_us(process):
    """Ctrl-Z stops the emulator, too, which is in a session of its own; both go on together. Gives a
    clock of seconds that stands still meanwhile."""
    stopped = 0.0

    def stop(*_):
        nonlocal stopped
        began = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGCONT)
        stopped += time.monotonic() - began

    def clock():
        return time.monotonic() - stopped

    if threading.current_thread() is not threading.main_thread():
        yield clock
        return
    before = signal.signal(signal.SIGTSTP, stop)
    try:
        yield clock
    finally:
        signal.signal(signal.SIGTSTP, before)


class _Follower:
    """Reads the serial line of a run, and decides when the run is over."""

    def __init__(self, process, reader, log_file, clock, waiting, grace, echo):
        self.process, self.reader, self.log_file, self.clock = process, reader, log_file, clock
        self.waiting, self.grace, self.echo = waiting, grace, echo
        self.log = bytearray()
        self.deadline = 0.0
        self.panicked = False

    def follow(self, deadline):
        """To the end of the run; returns whether time ran out before the lines that it waited for."""
        self.deadline = deadline
        scanned = 0
        gone = False
        while self.clock() < self.deadline:
            # A short wait at most, since only polling tells that the emulator is gone.
            wait = max(0.0, min(0.25, self.deadline - self.clock()))
            ready, _, _ = select.select([self.reader], [], [], wait)
            if ready:
                self._take(os.read(self.reader, 65536))
            elif gone:
                break
            else:
                gone = self.process.poll() is not None
            end = self.log.rfind(b"\n") + 1
            if end > scanned:
                self._judge(plain(self.log[scanned:end]))
                scanned = end
        if self.echo and scanned < len(self.log):
            # The last line: an emulator that powers off may drop its end.
            self.echo(plain(self.log[scanned:]) + "\n")
        return bool(self.waiting) and not gone and not self.panicked

    def _take(self, data):
        self.log += data
        self.log_file.write(data)
        self.log_file.flush()

    def _judge(self, lines):
        """New complete lines."""
        if self.echo:
            self.echo(lines)
        for line in lines.splitlines():
            if not self.panicked and PANIC_LINE.search(line):
                self.panicked = True
                self._end_in(PANIC_SECONDS)
            if self.waiting and self.waiting[0].search(line):
                self.waiting.pop(0)
                if not self.waiting:
                    self._end_in(self.grace)

    def _end_in(self, seconds):
        self.deadline = min(self.deadline, self.clock() + seconds)


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
