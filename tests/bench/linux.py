# SPDX-License-Identifier: BSD-2-Clause
"""Linux from its start to init, in TSC ticks: under Manfred and on the bare emulator.

One tick is one emulated instruction. Both counts begin where the kernel's own
code does: at the last line that the VMM prints before it enters the guest, and
at the line that the chain loader prints before it starts the kernel."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import boot  # noqa: E402 (after the path is set)
import emulator  # noqa: E402

FOLDER = emulator.BUILD / "bench"
TARGET = 1.02
INIT = re.compile(r"^linux: init at tsc (\d+)$", re.MULTILINE)
BARE_START = re.compile(r"^chain: start at tsc (\d+)$", re.MULTILINE)
VMM_LINE = re.compile(r"^\[ *(\d+)\] manfred: ", re.MULTILINE)


def ticks(log, start):
    """From the last match of `start` before init to init."""
    init = INIT.search(log)
    starts = start.findall(log[: init.start()]) if init else []
    if not starts:
        sys.exit(f"bench: Linux did not come to init; see {FOLDER}")
    return int(init[1]) - int(starts[-1])


def main():
    bochs = emulator.Bochs()
    bochs.require(emulator.Machine())
    bare = FOLDER / "bare" / "disk.img"
    boot.bare_linux_image(bare)
    on_bare = ticks(boot.boot(bochs, bare, until=INIT, grace=0).log, BARE_START)
    guest = FOLDER / "guest" / "disk.img"
    boot.linux_image(guest)
    as_guest = ticks(boot.boot(bochs, guest, until=INIT, grace=0).log, VMM_LINE)
    print("Linux from kernel entry to init, in instructions")
    print(f"  bare emulator   {on_bare:>16,}")
    print(f"  under Manfred   {as_guest:>16,}")
    print(f"  ratio           {as_guest / on_bare:>16.4f}   (target: {TARGET} or less)")


if __name__ == "__main__":
    main()
