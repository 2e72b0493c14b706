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


def main():
    bochs = emulator.Bochs()
    bochs.require(emulator.Machine())
    image = FOLDER / "disk.img"
    boot.manfred_image(image, {"guest": "selftest", "cmdline": "scenario=bench"})
    result = boot.boot(bochs, image, timeout=TIMEOUT)
    found = {line[0]: line[1:] for line in LINE.findall(result.log)}
    if not result.ok or found.keys() != ROUND_TRIPS.keys():
        sys.exit(f"bench: the built-in guest did not measure everything; see {FOLDER}")
    print("Round trips, in instructions")
    print(f"  {'':<20}{'median':>8}{'min':>8}{'max':>8}{'target':>8}{'KVM':>8}")
    for name, (text, kvm, target) in ROUND_TRIPS.items():
        median, low, high = map(int, found[name])
        verdict = "" if median <= target else "   above target"
        print(f"  {text:<20}{median:>8,}{low:>8,}{high:>8,}{target:>8,}{kvm:>8,}{verdict}")
    memory = MEMORY.search(result.log)
    if memory:
        print(f"\nMemory of the VMM: {memory[1]} KiB, {memory[2]} KiB of them per processor")


if __name__ == "__main__":
    main()
