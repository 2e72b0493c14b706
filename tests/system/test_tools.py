# SPDX-License-Identifier: BSD-2-Clause
"""The tools themselves: what they refuse, and what they promise to callers."""
import os
import subprocess
import sys

import boot
import emulator
import pytest


def run_tool(**variables):
    """tools/run.py with these variables; its exit status and what it said on standard error."""
    done = subprocess.run(
        [sys.executable, str(emulator.ROOT / "tools/run.py")],
        env=dict(os.environ, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
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
        ),
    )
    def test_wrong_variable(self, variables, line):
        status, said = run_tool(**variables)
        assert status == 2
        assert line in said


class TestImages:
    def test_same_input_same_bytes(self, tmp_path):
        for name in ("one", "two"):
            boot.linux_image(tmp_path / name, cmdline="a b")
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
