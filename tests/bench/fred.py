# SPDX-License-Identifier: BSD-2-Clause
"""FRED's events as the built-in guest measures them: by software, native, and on the bare machine.

In instructions of the emulator, the median of 10,000: from the one that raises an event to the
first one of its handler, and from the return to the one behind it. What the instruction itself
does counts as one."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import boot  # noqa: E402 (after the path is set)
import emulator  # noqa: E402
import exits  # noqa: E402

FOLDER = emulator.BUILD / "bench" / "fred"
SCENARIO = {"cmdline": "scenario=bench-events"}
TIMEOUT = 200
# What software FRED is to need at most.
DELIVERY, RETURN = 400, 300
# The guest's names of delivery and return: what it is.
EVENTS = {
    ("int3-delivery", "int3-erets"): ("INT3", "ERETS"),
    ("interrupt-delivery", "interrupt-erets"): ("interrupt", "ERETS"),
    ("syscall-delivery", "syscall-eretu"): ("SYSCALL", "ERETU"),
    ("pf-delivery", "pf-eretu"): ("#PF from ring 3", "ERETU"),
}
NAMES = {name for pair in EVENTS for name in pair}


def measure(bochs, way):
    image = FOLDER / way / "disk.img"
    if way == "bare":
        boot.fredcheck_image(image, SCENARIO)
    else:
        boot.manfred_image(image, {"guest": "selftest", "fred": way, **SCENARIO})
    result = boot.boot(bochs, image, timeout=TIMEOUT)
    if not result.ok:
        sys.exit(f"bench: the built-in guest failed; see {image.parent}")
    return exits.measured(result.log, NAMES, image.parent)


def print_line(text, ways, target, count):
    """`count` gives the ticks that a way needs."""
    soft = count(ways["soft"])
    line = f"  {text:<24}{soft:>8,}"
    for way in list(ways)[1:]:
        line += f"{count(ways[way]):>8,}{soft / count(ways[way]):>8.0f}"
    print(f"{line}{target:>8,}{'' if soft <= target else '   above target'}")


def main():
    bochs = emulator.Bochs()
    machine = emulator.Machine()
    bochs.require(machine)
    ways = ["soft"]
    if bochs.probe(machine)["fred"]:
        ways += ["native", "bare"]
    ways = {way: measure(bochs, way) for way in ways}
    print("\nFRED's events, in instructions, by software and in other ways, with software's ratio")
    print("  " + " " * 24 + f"{'soft':>8}"
          + "".join(f"{way:>8}{'ratio':>8}" for way in list(ways)[1:]) + f"{'target':>8}")
    for (delivery, back), (event, instruction) in EVENTS.items():
        print_line(event, ways, DELIVERY, lambda found: found[delivery][0])
        print_line(f"{event}, {instruction}", ways, RETURN, lambda found: found[back][0])
        print_line("  both", ways, DELIVERY + RETURN,
                   lambda found: found[delivery][0] + found[back][0])
    if len(ways) == 1:
        print("  Not measured: native and bare, since this emulator's processor has no FRED;"
              " BOCHS= names one")


if __name__ == "__main__":
    main()
