# SPDX-License-Identifier: BSD-2-Clause
"""VT-d in QEMU's model: the VMM's code, but neither VMX nor a guest (tools/efi/vtd.c)."""
import re

import boot
import emulator
import mkimage
import pytest

PROGRAM = emulator.BUILD / "tools/vtd.efi"
# The program has the same formula.
DATA = bytes((i * 7 + (i >> 8)) & 0xFF for i in range(0x20000))
# A plan of few is a program that has given up early.
CHECKS_AT_LEAST = 14
PLAN = re.compile(r"^1\.\.(\d+)$", re.MULTILINE)


@pytest.fixture(scope="class")
def result(qemu):
    folder = emulator.BUILD / "system/TestVtd-1"
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / "disk.img"
    mkimage.make_image(image, {boot.BOOT_FILE: PROGRAM, "data": DATA})
    machine = emulator.Machine(vtd=True)
    done = emulator.run(qemu, image, machine, 60, folder, until=PLAN, grace=0)
    image.unlink()
    return done


class TestVtd:
    def test_devices_reach_what_the_guest_reaches(self, result):
        plan = PLAN.search(result.log)
        assert plan, result.log[-3000:] + result.emulator_log
        lines = re.findall(r"^(ok|not ok) \d+ - (.*)$", result.log, re.MULTILINE)
        assert len(lines) == int(plan[1]) >= CHECKS_AT_LEAST
        assert [name for state, name in lines if state != "ok"] == [], result.log[-3000:]
