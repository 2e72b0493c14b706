# SPDX-License-Identifier: BSD-2-Clause
"""The tools themselves: what they refuse, and what they promise to callers."""
import os
import re
import subprocess
import sys

import boot
import emulator
import pytest
import run


def run_tool(**variables):
    """tools/run.py with these variables; its exit status and what it said on standard error."""
    done = subprocess.run(
        [sys.executable, str(emulator.ROOT / "tools/run.py")],
        env=dict(os.environ, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stderr


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
            ({"CONFIG": "manfred.cfg", "FRED": "soft", "CPUS": "2"}, "set there: FRED\n"),
        ),
    )
    def test_wrong_variable(self, variables, line):
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

    @pytest.mark.parametrize(
        "text,files",
        (
            ("guest = selftest\r\n".encode("utf-16"), []),
            (b"guest = linux # \xe4\r\nkernel = vmlinuz\r\n", ["vmlinuz"]),
        ),
    )
    def test_leaves_the_rest_to_the_loader(self, tmp_path, monkeypatch, text, files):
        path = tmp_path / "test.cfg"
        path.write_bytes(text)
        images = []
        monkeypatch.setattr(boot, "manfred_image", lambda *image, **_: images.append(image))
        run.make_image_of("image", str(path))
        assert [(image[1], list(image[2])) for image in images] == [(text, files)]

    def test_misses_one(self, tmp_path):
        path = tmp_path / "test.cfg"
        path.write_text("kernel = \\absent\n")
        with pytest.raises(run.UsageError, match="absent: no such file"):
            run.make_image_of("image", str(path))


class TestExitStatus:
    """What a script that starts an emulator gets to know without reading the log."""

    @pytest.mark.parametrize(
        "variables,status",
        (
            ({"TESTS": "cpuid.*", "AT_END": "debug-exit"}, 0),
            ({"TESTS": "no-such-test"}, 1),
            ({"TIMEOUT": "1"}, 124),
            ({"EMULATOR": "qemu"}, 1),
            ({"EMULATOR": "qemu", "TIMEOUT": "1"}, 124),
            ({"EMULATOR": "vmware"}, 2),
        ),
    )
    def test_run(self, variables, status):
        assert run_tool(GUEST="selftest", **variables)[0] == status

    @pytest.fixture(scope="class")
    def log(self, loader):
        return loader({"guest": "selftest", "at_end": "debug-exit"}, grace=30)

    def test_debug_exit(self, log):
        """The loader's end, on QEMU: (0x11 << 1) | 1."""
        log.ends("failed", "no-vmx")
        assert log.result.exit_status == 35


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
