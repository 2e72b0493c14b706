# SPDX-License-Identifier: BSD-2-Clause
"""Linux from reset to init, in TSC ticks: under Manfred and on the bare emulator.

One tick is one emulated instruction. From reset, because both ways then read the same files through
the same firmware, only at different moments: on the bare emulator the kernel's EFI stub reads the
initrd, under Manfred the loader has done so before the kernel's entry. The part behind the
entry alone is printed too; the bare figure has the stub's reading in it."""
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
    """At init, and from the last match of `start` before it to init."""
    init = INIT.search(log)
    starts = start.findall(log[: init.start()]) if init else []
    if not starts:
        sys.exit(f"bench: Linux did not come to init; see {FOLDER}")
    return int(init[1]), int(init[1]) - int(starts[-1])


def main():
    bochs = emulator.Bochs()
    bochs.require(emulator.Machine())
    bare = FOLDER / "bare" / "disk.img"
    boot.bare_linux_image(bare)
    on_bare = ticks(boot.boot(bochs, bare, until=INIT, grace=0).log, BARE_START)
    guest = FOLDER / "guest" / "disk.img"
    boot.linux_image(guest)
    as_guest = ticks(boot.boot(bochs, guest, until=INIT, grace=0).log, VMM_LINE)
    print("Linux to init, in instructions     from reset   from its entry")
    print(f"  bare emulator             {on_bare[0]:>16,} {on_bare[1]:>16,}")
    print(f"  under Manfred             {as_guest[0]:>16,} {as_guest[1]:>16,}")
    print(f"  ratio (target {TARGET})       {as_guest[0] / on_bare[0]:>16.4f}"
          f" {as_guest[1] / on_bare[1]:>16.4f}")


if __name__ == "__main__":
    main()
