# SPDX-License-Identifier: BSD-2-Clause
"""The tools themselves: what they refuse, and what they promise to callers."""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import boot
import emulator
import pytest
import run


RUN = [sys.executable, str(emulator.ROOT / "tools/run.py")]


@pytest.fixture
def run_tool(tmp_path):
    """tools/run.py with these variables; its exit status and the last line that it said."""

    def start(**variables):
        done = subprocess.run(
            RUN,
            env=dict(os.environ, **{"FOLDER": str(tmp_path / "run"), **variables}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout.splitlines()[-1]

    return start


class TestRefusals:
    @pytest.mark.parametrize(
        "model,line",
        (
            ("phenom_8650_toliman", "has no VMX with processor model phenom_8650_toliman"),
            ("core2_penryn_t9600", "has no EPT with processor model core2_penryn_t9600"),
        ),
    )
    def test_processor(self, bochs, model, line):
        with pytest.raises(emulator.EmulatorError, match=line):
            bochs.require(emulator.Machine(model=model))

    def test_broken_division(self, bochs, monkeypatch):
        facts = dict(bochs.probe(emulator.Machine()), idiv=0)
        monkeypatch.setattr(bochs, "probe", lambda machine: facts)
        with pytest.raises(emulator.EmulatorError, match="divides wrongly"):
            bochs.require(emulator.Machine())

    def test_no_emulator(self, monkeypatch):
        monkeypatch.setenv("BOCHS", "/nowhere/bochs")
        with pytest.raises(emulator.EmulatorError, match="no Bochs at /nowhere/bochs"):
            emulator.Bochs()


class TestRunUsage:
    @pytest.mark.parametrize(
        "variables,line",
        (
            ({"GUEST": "windows"}, "allowed are linux, selftest, multiboot"),
            ({"KERNEL": "/nowhere/vmlinuz"}, "no such file"),
            ({"GUEST": "multiboot"}, "needs KERNEL"),
            ({"GUEST": "selftest", "TIMEOUT": "soon"}, "a number above 0"),
            ({"CONFIG": "/nowhere/manfred.cfg"}, "no such file"),
            ({"CMDLINE": "a # b"}, "begins a comment"),
            ({"CONFIG": "manfred.cfg", "FRED": "soft", "CPUS": "2"}, "set there: FRED"),
            ({"FRED": "nativ"}, "run: fred = nativ: allowed are auto, native, soft, off"),
            ({"LOG": "loud"}, "run: log = loud: allowed are"),
            ({"MEMORY": "much"}, "run: memory = much: allowed is a number"),
            ({"GUEST": "selftest", "KERNEL": "/nowhere"}, "run: KERNEL: not for GUEST=selftest"),
            ({"GUEST": "linux", "TESTS": "cpuid.*", "ERRATA": "FR-7"}, "run: TESTS, ERRATA: not for GUEST=linux"),
            ({"GUEST": "bare", "FRED": "soft"}, "run: FRED: not for make run-fredcheck"),
            ({"KERNEL": "/tmp"}, "run: KERNEL=/tmp: this is a folder"),
            ({"MACHINE_MEMORY": "1"}, "run: MACHINE_MEMORY=1: at least 64 is wanted"),
        ),
    )
    def test_wrong_variable(self, run_tool, variables, line):
        status, said = run_tool(**variables)
        assert status == 2
        assert line in said


class TestConfigFile:
    def test_brings_the_files_that_it_names(self, tmp_path, monkeypatch):
        text = (
            "log = debug\n[guest main]\nkernel = \\vmlinuz # Debian's\n\tinitrd=\\boot/own.img\n"
            "# kernel = \\not-this\n[guest side]\ncmdline = kernel = \\nor-this\nmodule = a b\n"
        )
        (tmp_path / "boot").mkdir()
        for name in ("boot/own.img", "a b"):
            (tmp_path / name).write_text("something")
        path = tmp_path / "test.cfg"
        path.write_text(text)
        images = []
        monkeypatch.setattr(boot, "manfred_image", lambda *image, **_: images.append(image))
        run.make_image_of("image", str(path))
        files = {
            "vmlinuz": str(boot.KERNEL),
            "boot/own.img": str(tmp_path / "boot/own.img"),
            "a b": str(tmp_path / "a b"),
        }
        assert images == [("image", text.encode(), files)]

    def test_has_lines_of_another_system(self, tmp_path, monkeypatch):
        path = tmp_path / "test.cfg"
        path.write_bytes(b"guest = linux # \xc3\xa4\r\nkernel = vmlinuz\r\n")
        images = []
        monkeypatch.setattr(boot, "manfred_image", lambda *image, **_: images.append(image))
        run.make_image_of("image", str(path))
        assert [(image[1], list(image[2])) for image in images] == [(path.read_bytes(), ["vmlinuz"])]

    @pytest.mark.parametrize(
        "text,line",
        (
            ("guest = selftest\r\n".encode("utf-16"), r"test\.cfg:1: the file is in UTF-16"),
            (b"log = info\nguest = linus\n", r"test\.cfg:2: guest = linus: allowed are selftest"),
            (b"guest = linux\n", r"test\.cfg: guest = linux needs the key kernel"),
            (b"[guest a]\nguest = linux\n", r"test\.cfg:1: guest a: guest = linux needs the key kernel"),
        ),
    )
    def test_is_wrong(self, tmp_path, text, line):
        """What the loader would say, before the boot."""
        path = tmp_path / "test.cfg"
        path.write_bytes(text)
        with pytest.raises(run.UsageError, match=line):
            run.make_image_of("image", str(path))

    def test_misses_one(self, tmp_path):
        path = tmp_path / "test.cfg"
        path.write_text("guest = linux\nkernel = \\absent\n")
        with pytest.raises(run.UsageError, match="absent: no such file"):
            run.make_image_of("image", str(path))


class TestExitStatus:
    """What a script that starts an emulator gets to know without reading the log."""

    @pytest.mark.parametrize(
        "variables,status,line",
        (
            ({"TESTS": "cpuid.*", "AT_END": "debug-exit"}, 0, "run: status=ok reason=guest-end in "),
            ({"TESTS": "no-such-test"}, 1, "run: status=failed reason=guest-end in "),
            ({"TIMEOUT": "1"}, 124, "run: status=failed reason=timeout (not a byte on the serial line within TIMEOUT=1 s)"),
            ({"EMULATOR": "qemu"}, 1, "run: status=failed reason=no-vmx in "),
            ({"EMULATOR": "qemu", "TIMEOUT": "1"}, 124, "run: status=failed reason=timeout ("),
            ({"EMULATOR": "vmware"}, 2, "run: EMULATOR=vmware: allowed are bochs, qemu"),
            # Bochs' own reason, which is not in its log.
            ({"CPUS": "256"}, 1, "run: status=failed reason=emulator (numerical parameter 'n_processors' was set to 256"),
        ),
    )
    def test_run(self, run_tool, variables, status, line):
        ended, said = run_tool(GUEST="selftest", **variables)
        assert ended == status
        assert said.startswith(line)

    def test_expects_what_the_emulator_is_known_for(self, bochs, monkeypatch):
        """The default of ERRATA; `make run ERRATA=` asks for none."""
        machine = emulator.Machine()
        configs = []
        monkeypatch.setattr(boot, "manfred_image", lambda _, config, *__, **___: configs.append(config))
        monkeypatch.setenv("GUEST", "selftest")
        run.make_image("image", lambda: bochs.errata(machine))
        monkeypatch.setenv("ERRATA", "")
        run.make_image("image", lambda: bochs.errata(machine))
        monkeypatch.delenv("ERRATA")
        run.make_image("image", lambda: emulator.Qemu().errata(machine))
        assert [config.get("errata") for config in configs] == [bochs.errata(machine), None, None]

    def test_a_failure_that_has_a_name(self, bochs, tmp_path):
        if bochs.errata(emulator.Machine()) != emulator.SOFT_FRED_ERRATA:
            pytest.skip("BX-14 is of software FRED")
        image = tmp_path / "disk.img"
        boot.manfred_image(image, {"guest": "selftest", "tests": "fred-shadow.sti_int_n"})
        result = boot.boot(bochs, image, timeout=120, grace=0)
        assert result.end[:2] == ("failed", "guest-end")
        assert "#   BX-14 looks like this (docs/errata.md); errata = BX-14 expects it" in result.log

    @pytest.fixture(scope="class")
    def log(self, loader):
        return loader({"guest": "selftest", "at_end": "debug-exit"}, grace=30)

    def test_debug_exit(self, log):
        """The loader's end, on QEMU: (0x11 << 1) | 1."""
        log.ends("failed", "no-vmx")
        assert log.result.exit_status == 35


class TestEndings:
    """Whatever ends tools/run.py ends its emulator, and the log is there. On QEMU, waiting in a menu."""

    @pytest.fixture
    def started(self, tmp_path):
        config = tmp_path / "test.cfg"
        config.write_text("menu = 300\n")
        folder = tmp_path / "run"
        folder.mkdir()
        for name in emulator.LOG_NAMES:
            (folder / name).write_text("the run before")
        process = subprocess.Popen(
            RUN, env=dict(os.environ, EMULATOR="qemu", CONFIG=str(config), TIMEOUT="100", FOLDER=str(folder)),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        log = folder / "serial.log"
        self.wait_for(lambda: log.exists() and b"starts in 299 s" in log.read_bytes())
        (emulated,) = self.children(process.pid)
        yield process, emulated, log
        for one in (process.pid, emulated):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        process.wait()

    @staticmethod
    def wait_for(condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.1)

    @staticmethod
    def children(process):
        with open(f"/proc/{process}/task/{process}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]

    @staticmethod
    def state(process):
        """Its letter in /proc; "" when it is gone."""
        try:
            with open(f"/proc/{process}/stat", encoding="latin-1") as file:
                return file.read().rpartition(")")[2].split()[0].replace("Z", "")
        except FileNotFoundError:
            return ""

    @pytest.mark.parametrize("ending", ("INT", "HUP", "QUIT", "TERM", "KILL"))
    def test_signal(self, started, ending):
        process, emulated, log = started
        assert b"the run before" not in log.read_bytes()
        os.kill(process.pid, getattr(signal, f"SIG{ending}"))
        process.wait(30)
        self.wait_for(lambda: not self.state(emulated), 10)
        assert b"starts in 299 s" in log.read_bytes()

    def test_ctrl_z(self, started):
        process, emulated, log = started
        os.kill(process.pid, signal.SIGTSTP)
        self.wait_for(lambda: (self.state(process.pid), self.state(emulated)) == ("T", "T"), 10)
        size = log.stat().st_size
        time.sleep(2)
        assert log.stat().st_size == size
        os.kill(process.pid, signal.SIGCONT)
        self.wait_for(lambda: log.stat().st_size > size, 10)

    def test_second_run_in_the_folder(self, started, run_tool):
        process, _, log = started
        status, said = run_tool(EMULATOR="qemu", GUEST="selftest", FOLDER=str(log.parent))
        assert status == 1
        assert said.startswith(f"run: process {process.pid} boots in ") and "already" in said


class TestPanic:
    """A Linux that panics, here for want of its root, says so on its serial line, not to Manfred."""

    @pytest.mark.parametrize("cmdline", ("panic=0", "panic=-1"))
    def test_is_a_failure(self, run_tool, cmdline):
        status, said = run_tool(CMDLINE=f"{boot.CMDLINE} rdinit=/absent {cmdline}", TIMEOUT="250")
        assert status == 1
        assert said.startswith("run: status=failed reason=kernel-panic (the guest's: VFS: Unable to mount root fs")


class TestFolderNames:
    """Blanks, commas and letters of other alphabets: the emulators' settings have them in quotes."""

    @pytest.fixture
    def folder(self, tmp_path):
        return tmp_path / "Übung, neu"

    @pytest.mark.parametrize("name", ("bochs", "qemu"))
    def test_boots(self, bochs, qemu, folder, name):
        image = folder / "disk.img"
        boot.manfred_image(image, {"guest": "selftest", "tests": "cpuid.*"})
        result = boot.boot({"bochs": bochs, "qemu": qemu}[name], image, timeout=120, grace=0)
        assert result.end[:2] == {"bochs": ("ok", "guest-end"), "qemu": ("failed", "no-vmx")}[name]

    def test_what_has_no_place(self, bochs, tmp_path):
        with pytest.raises(emulator.EmulatorError, match="Bochs cannot run from .*: its settings"):
            boot.boot(bochs, tmp_path / "a:b" / "disk.img")

    def test_builds(self, tmp_path):
        """The Makefile in such a folder: its compiler's map of names, and the bytes that come out."""
        for name in ("here", "Übung, neu"):
            folder = tmp_path / name
            folder.mkdir()
            for part in ("Makefile", "lib", "tests", "tools", "vmm", "boot", "guest"):
                (folder / part).symlink_to(emulator.ROOT / part)
            (folder / "build").mkdir()
            (folder / "build/.setup-build").touch()
            subprocess.run(["make", "-s", "-C", folder, "build/vmm/vmm/main.c.o"], check=True,
                           stdout=subprocess.DEVNULL)
        one, two = ((tmp_path / name / "build/vmm/vmm/main.c.o").read_bytes() for name in ("here", "Übung, neu"))
        assert one == two


class TestImages:
    def test_same_input_same_bytes(self, tmp_path):
        for name in ("one", "two"):
            boot.linux_image(tmp_path / name, cmdline="a b")
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


class TestErrataTables:
    """docs/errata.md and docs/softfred.md name the deviations that the code names, and no others."""

    @staticmethod
    def read(name):
        return (emulator.ROOT / name).read_text("utf-8")

    @pytest.fixture(scope="class")
    def rows(self):
        """Identifier: the row's other cells."""
        text = self.read("docs/errata.md") + self.read("docs/softfred.md")
        found = re.findall(r"^\| ([A-Z]{2}-\d+) \|(.*)\|$", text, re.MULTILINE)
        assert len(found) == len(dict(found)), "an identifier has two rows"
        return dict(found)

    def test_code_names_no_other(self, rows):
        folders = ("boot", "guest", "lib", "tools", "vmm")
        sources = [file for folder in folders for file in (emulator.ROOT / folder).rglob("*.*")]
        for file in sources:
            if file.suffix in (".c", ".h", ".asm", ".py", ".sh"):
                named = set(re.findall(r"\b(?:BX|FR|FW|KV|SW)-\d+\b", file.read_text("utf-8")))
                assert named <= rows.keys(), file

    def test_those_of_the_self_test(self, rows):
        """Their numbers are those of `enum erratum`, each with its line for the log."""
        told = {name for name, row in rows.items() if name[:2] == "FR" and "self-test" in row}
        for file in ("vmm/host/errata.h", "vmm/host/errata.c"):
            numbers = re.findall(r"\bERRATUM_FR_(\d+)\b(?:\] =| = )", self.read(file))
            assert {f"FR-{number}" for number in numbers} == told, file

    def test_those_that_the_built_in_guest_shows(self, rows):
        told = {name for name, row in rows.items() if "Suite" in row or name[:2] == "SW"}
        assert set(re.findall(r'"([A-Z]{2}-\d+)"', self.read("guest/suite/errata.c"))) == told
        assert set(emulator.FRED_ERRATA.split(",")) <= rows.keys()


class TestVariables:
    """What make is given, and what it finds in the environment."""

    @staticmethod
    def make(*arguments, **environment):
        return subprocess.run(["make", "-n", *arguments], cwd=emulator.ROOT, env=dict(os.environ, **environment),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=60)

    def test_one_that_nobody_reads(self):
        done = self.make("run", "GEUST=selftest")
        assert done.returncode == 2
        assert "no variable of this Makefile: GEUST; make help lists them" in done.stderr

    def test_all_that_somebody_reads(self):
        names = set(re.findall(r'variable\("([A-Z_]+)"', (emulator.ROOT / "tools/run.py").read_text()))
        names |= {*run.CONFIG_VARIABLES, "CC", "V", "BOCHS", "BXSHARE", "FUZZ_SECONDS", "FORCE", "MIRROR"}
        done = self.make("help", *(f"{name}=x" for name in names))
        assert done.returncode == 0, done.stderr

    def test_of_the_environment(self):
        """Names like LOG mean other things there: said, not taken."""
        said = self.make("run", GUEST="selftest", LOG="x").stdout
        assert "of the environment not taken: GUEST LOG; give them behind make: make run GUEST=..." in said
        assert "not taken" not in self.make("run", "GUEST=selftest").stdout


class TestBuildName:
    """tools/build-name in repositories of its own: the commit, whatever the folder."""

    @staticmethod
    def call(folder, *words):
        done = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", **IDENTITY})
        return done.stdout.strip()

    def name(self, folder):
        said = self.call(folder, "tools/build-name")
        return re.fullmatch(r'/\* .* \*/\n#define MANFRED_BUILD "(.*)"', said)[1]

    @pytest.fixture
    def repository(self, tmp_path):
        folder = tmp_path / "first"
        (folder / "tools").mkdir(parents=True)
        for name in ("tools/build-name", "tools/commit", ".gitattributes"):
            shutil.copy(emulator.ROOT / name, folder / name)
        self.call(folder, "git", "init", "-q")
        self.call(folder, "git", "add", ".")
        self.call(folder, "git", "commit", "-q", "-m", "first")
        return folder

    def test_is_the_commit(self, repository, tmp_path):
        commit = "-" + self.call(repository, "git", "rev-parse", "HEAD")[:12]
        assert self.name(repository) == commit
        self.call(repository, "git", "tag", "v1")  # which a shallow clone lacks
        self.call(tmp_path, "git", "clone", "-q", "first", "Übung 2")
        assert self.name(repository) == self.name(tmp_path / "Übung 2") == commit
        (repository / "tools/commit").write_text("changed")
        assert self.name(repository) == f"{commit}-dirty"

    def test_in_an_archive(self, repository, tmp_path):
        commit = "-" + self.call(repository, "git", "rev-parse", "HEAD")[:12]
        (tmp_path / "second").mkdir()
        self.call(repository, "git", "archive", "-o", "../archive.tar", "HEAD")
        self.call(tmp_path, "tar", "-xf", "archive.tar", "-C", "second")
        assert self.name(tmp_path / "second") == commit

    def test_without_git(self, repository):
        shutil.rmtree(repository / ".git")
        assert self.name(repository) == ""

    def test_inside_another_repository(self, repository):
        """Whose commit says nothing about ours."""
        inner = repository / "copy"
        (inner / "tools").mkdir(parents=True)
        for name in ("tools/build-name", "tools/commit"):
            shutil.copy(emulator.ROOT / name, inner / name)
        assert self.name(inner) == ""


IDENTITY = {f"GIT_{who}_{what}": "test@example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
