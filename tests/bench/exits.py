# SPDX-License-Identifier: BSD-2-Clause
"""Round trips from the guest to the VMM and back, as the built-in guest measures them.

In TSC ticks, which are instructions in the emulator; the median of 10,000, less
the same loop without the instruction. KVM's figures are those of Linux 7.2,
measured in the same way in the same emulator."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import boot  # noqa: E402 (after the path is set)
import emulator  # noqa: E402

FOLDER = emulator.BUILD / "bench" / "exits"
LINE = re.compile(r"^bench: (\S+) (-?\d+) min (-?\d+) max (-?\d+)$", re.MULTILINE)
MEMORY = re.compile(r"the VMM uses (\d+) of \d+ KiB, (\d+) KiB of them per processor")
TIMEOUT = 120
# The guest's name of it: what it is, ticks with KVM, ticks that we want to need at most.
ROUND_TRIPS = {
    "cpuid": ("CPUID leaf 0", 1064, 106),
    "vmcall": ("VMCALL", 1258, 125),
    "invd": ("INVD", 608, 60),
    "rdmsr": ("RDMSR, intercepted", 1252, 125),
    "wrmsr": ("WRMSR, intercepted", 1240, 124),
    "ud": ("#UD reflected", 3328, 330),
    "ept-violation": ("EPT violation", 3278, 320),
}
# The same guest with CR4.FRED = 1, and what only FRED has: what it is, ticks at most (a name: those of
# that line, None: no target).
FRED = {
    "fred-cpuid": ("CPUID leaf 0", "cpuid"),
    "fred-vmcall": ("VMCALL", "vmcall"),
    "fred-redeliver-int3": ("INT3, stack unmapped", 250),
    "fred-redeliver-pf": ("#PF, stack unmapped", 250),
    "fred-switch-same": ("switch, same RSP0", None),
    "fred-switch-other": ("switch, other RSP0", None),
}
NO_FRED = "bench: no native FRED"


def measured(log, names, folder=FOLDER):
    """The lines of these names, each as (median, min, max)."""
    found = {line[0]: tuple(map(int, line[1:])) for line in LINE.findall(log)}
    if not found.keys() >= set(names):
        sys.exit(f"bench: the built-in guest did not measure everything; see {folder}")
    return found


def print_line(text, ticks, target, last=""):
    median, low, high = ticks
    verdict = "   above target" if target is not None and median > target else ""
    aim = "" if target is None else f"{target:,}"
    print(f"  {text:<20}{median:>8,}{low:>8,}{high:>8,}{aim:>8}{last:>8}{verdict}")


def print_fred(result):
    if NO_FRED in result.log:
        print(
            "\nNative FRED: NOT MEASURED, since this emulator's processor has none; "
            "BOCHS= names an emulator that has"
        )
        return
    found = measured(result.log, FRED)
    print("\nFRED, in instructions: round trips with CR4.FRED = 1, against those without; an event")
    print("whose frame cannot be pushed, to its handler, with the page mapped; FRED's part of a")
    print("switch to another vcpu and back")
    print(f"  {'':<20}{'median':>8}{'min':>8}{'max':>8}{'target':>8}{'without':>8}")
    for name, (text, target) in FRED.items():
        without = ""
        if isinstance(target, str):
            target = found[target][0]
            without = f"{target:,}"
        print_line(text, found[name], target, without)


def main():
    bochs = emulator.Bochs()
    bochs.require(emulator.Machine())
    image = FOLDER / "disk.img"
    boot.manfred_image(image, {"guest": "selftest", "cmdline": "scenario=bench"})
    result = boot.boot(bochs, image, timeout=TIMEOUT)
    if not result.ok:
        sys.exit(f"bench: the built-in guest failed; see {FOLDER}")
    found = measured(result.log, ROUND_TRIPS)
    print("Round trips, in instructions")
    print(f"  {'':<20}{'median':>8}{'min':>8}{'max':>8}{'target':>8}{'KVM':>8}")
    for name, (text, kvm, target) in ROUND_TRIPS.items():
        print_line(text, found[name], target, f"{kvm:,}")
    print_fred(result)
    memory = MEMORY.search(result.log)
    if memory:
        print(f"\nMemory of the VMM: {memory[1]} KiB, {memory[2]} KiB of them per processor")


if __name__ == "__main__":
    main()
