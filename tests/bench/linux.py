# SPDX-License-Identifier: BSD-2-Clause
"""Linux from reset to init, in TSC ticks: under Manfred and on the bare emulator.

One tick is one emulated instruction. From reset, because both ways then read the same files through
the same firmware, only at different moments: on the bare emulator the kernel's EFI stub reads the
initrd, under Manfred the loader has done so before the kernel's entry. The part behind the
entry alone is printed too; the bare figure has the stub's reading in it.

With FRED, if Linux uses it, only guests are compared, from the entry: with FRED by software, by the
processor where it has it, and without."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import boot  # noqa: E402 (after the path is set)
import emulator  # noqa: E402

FOLDER = emulator.BUILD / "bench"
TARGET = 1.02
FRED_TARGET = 1.5
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


def with_fred(bochs, fred):
    """From the entry to init, as a guest with fred = `fred`."""
    image = FOLDER / f"fred-{fred}" / "disk.img"
    boot.linux_image(image, cmdline="fred=on", fred=fred)
    return ticks(boot.boot(bochs, image, until=INIT, grace=0).log, VMM_LINE)[1]


def print_fred(bochs, without):
    has_native = bochs.probe(emulator.Machine())["fred"]
    off = with_fred(bochs, "off") if has_native else without
    soft = with_fred(bochs, "soft")
    print("\nLinux with FRED, from its entry to init            software's ratio to it")
    print(f"  FRED by software          {soft:>16,}")
    if has_native:
        native = with_fred(bochs, "native")
        print(f"  by the processor          {native:>16,} {soft / native:>16.4f}"
              f"   target {FRED_TARGET}{'' if soft <= FRED_TARGET * native else ': above'}")
    else:
        print("  by the processor: NOT MEASURED, since it has none; BOCHS= names one that has")
    print(f"  without FRED              {off:>16,} {soft / off:>16.4f}")


def main():
    bochs = emulator.Bochs()
    bochs.require(emulator.Machine())
    bare = FOLDER / "bare" / "disk.img"
    boot.bare_linux_image(bare)
    on_bare = ticks(boot.boot(bochs, bare, until=INIT, grace=0).log, BARE_START)
    guest = FOLDER / "guest" / "disk.img"
    boot.linux_image(guest, fred="off")
    as_guest = ticks(boot.boot(bochs, guest, until=INIT, grace=0).log, VMM_LINE)
    print("Linux to init, in instructions     from reset   from its entry")
    print(f"  bare emulator             {on_bare[0]:>16,} {on_bare[1]:>16,}")
    print(f"  under Manfred             {as_guest[0]:>16,} {as_guest[1]:>16,}")
    print(f"  ratio (target {TARGET})       {as_guest[0] / on_bare[0]:>16.4f}"
          f" {as_guest[1] / on_bare[1]:>16.4f}")
    print_fred(bochs, as_guest[1])


if __name__ == "__main__":
    main()
