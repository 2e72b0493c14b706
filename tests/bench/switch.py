# SPDX-License-Identifier: BSD-2-Clause
"""What it costs to switch to another guest, in TSC ticks, which are instructions in the emulator.

Two built-in guests on one processor give way to each other: from one's VMCALL to its return are two
switches and the other's loop, and half of it is a switch with all that belongs to it: the exit, the
choice, VMCS and registers, the entry. Then what a second guest costs Linux that does nothing."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import boot  # noqa: E402 (after the path is set)
import emulator  # noqa: E402

FOLDER = emulator.BUILD / "bench" / "switch"
LINE = re.compile(r"^(\w+): bench: (\S+) (\d+) min (\d+) max (\d+)$", re.MULTILINE)
INIT = re.compile(r"^linux: init at tsc (\d+)$", re.MULTILINE)
ENTRY = re.compile(r"^\[ *(\d+)\] manfred: entering guest main$", re.MULTILINE)
LATENCY = re.compile(r"^linux: latency of \d+ sleeps: median (\d+), 99.9 % (\d+), worst (\d+) ticks$",
                     re.MULTILINE)
LINUX = ("at_end = poweroff\nfred = {fred}\n[guest main]\nguest = linux\nkernel = \\vmlinuz\n"
         "initrd = \\initrd.img\ncmdline = {cmdline}\n{others}")
LINUX_FILES = {"vmlinuz": boot.KERNEL, "initrd.img": boot.INITRD}
SAMPLES = 10000
SUITES = 3  # one after the other they last as long as the sleeps
TIMEOUT = 300
TARGET = 600
SHARE_TARGET = 1.01
KINDS = {
    "switch-same": "registers alike",
    "switch-stacks": "other IA32_FRED_RSP0, IA32_PL0_SSP",
    "switch-msrs": "other system call MSRs, DR0 to DR3",
    "switch-extended": "other XSAVE contents",
}


def run(text, files=None, **options):
    image = FOLDER / "disk.img"
    boot.manfred_image(image, text, files, **options)
    return boot.boot(emulator.Bochs(), image, timeout=TIMEOUT).log


def print_switches():
    native = emulator.Bochs().probe(emulator.Machine())["fred"]
    text = f"at_end = poweroff\nfred = {'native' if native else 'off'}\n" + "".join(
        f"[guest {name}]\nmemory = 8M\ncmdline = scenario=bench-switch seed={seed}\n"
        for seed, name in enumerate(("a", "b"))
    )
    found = {line[1]: line[2:] for line in LINE.findall(run(text)) if line[0] == "a"}
    if found.keys() < KINDS.keys() - {"switch-stacks"}:
        sys.exit(f"bench: the guests did not measure everything; see {FOLDER}")
    print("A switch to another guest, in instructions")
    print(f"  {'':<38}{'median':>8}{'min':>8}{'max':>8}{'target':>8}")
    for kind, text in KINDS.items():
        if kind not in found:
            print(f"  {text:<38}: no native FRED")
            continue
        median, low, high = map(int, found[kind])
        print(f"  {text:<38}{median:>8,}{low:>8,}{high:>8,}{TARGET:>8,}"
              f"{'   above target' if median > TARGET else ''}")


def linux_ticks(others):
    text = LINUX.format(fred="off", cmdline=boot.CMDLINE, others=others)
    log = run(text, LINUX_FILES, data_partition=True)
    start, init = ENTRY.search(log), INIT.search(log)
    if not start or not init:
        sys.exit(f"bench: Linux did not come to init; see {FOLDER}")
    return int(init[1]) - int(start[1])


def print_latency():
    """Of Linux' sleeps: alone, and beside guests that run the suite all the time."""
    print(f"\nHow late {SAMPLES:,} sleeps of 50 us end in Linux, in TSC ticks, fred = soft")
    print(f"  {'':<38}{'median':>10}{'99.9 %':>10}{'worst':>10}")
    for name, others in (
        ("alone", ""),
        ("beside the suite", "".join(f"[guest s{i}]\nmemory = 32M\n" for i in range(SUITES))),
    ):
        log = run(LINUX.format(fred="soft", cmdline=f"{boot.CMDLINE} manfred.latency={SAMPLES}",
                               others=others), LINUX_FILES, data_partition=True)
        found = LATENCY.search(log)
        if not found:
            sys.exit(f"bench: Linux did not measure; see {FOLDER}")
        print(f"  {name:<38}" + "".join(f"{int(ticks):>10,}" for ticks in found.groups()))


def main():
    print_switches()
    alone = linux_ticks("")
    beside = linux_ticks("[guest idle]\nmemory = 8M\ncmdline = scenario=idle\n")
    print("\nLinux from its entry to init")
    print(f"  alone                     {alone:>16,}")
    print(f"  beside a guest that idles {beside:>16,}   ratio {beside / alone:.4f}, "
          f"target {SHARE_TARGET}{'' if beside <= SHARE_TARGET * alone else ': above'}")
    print_latency()


if __name__ == "__main__":
    main()
