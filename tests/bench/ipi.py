# SPDX-License-Identifier: BSD-2-Clause
"""An interrupt from one vcpu to another on another processor, as the built-in guest measures it.

In TSC ticks of the emulator with two processors, each of which executes as many
instructions as the clock has ticks; the clock goes on in steps of some instructions."""
import sys

from exits import LINE, print_line  # also sets the path of the tools

import boot
import emulator

FOLDER = emulator.BUILD / "bench" / "ipi"
CONFIG = "[guest two]\nguest = selftest\ncpus = 2\nfred = off\ncmdline = scenario=bench-ipi\n"
TIMEOUT = 240
LINES = {
    "ipi-running": "to one that runs",
    "ipi-halted": "to one in HLT",
}


def main():
    bochs = emulator.Bochs()
    machine = emulator.Machine(cpus=2)
    bochs.require(machine)
    image = FOLDER / "disk.img"
    boot.manfred_image(image, CONFIG)
    result = boot.boot(bochs, image, machine, TIMEOUT)
    found = {line[0]: tuple(map(int, line[1:])) for line in LINE.findall(result.log)}
    if not result.ok or not found.keys() >= LINES.keys():
        sys.exit(f"bench: the built-in guest failed; see {FOLDER}")
    print("\nInterrupt from one vcpu to another, hypercall to memory behind the handler, in ticks")
    print(f"  {'':<20}{'median':>8}{'min':>8}{'max':>8}")
    for name, text in LINES.items():
        print_line(text, found[name], None)


if __name__ == "__main__":
    main()
