#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Draws docs/img/timeline-soft.svg and, where the emulator has FRED, timeline-native.svg: one INT3
whose frame EPT does not map, step by step, from the trace of a boot. Exit status: 0, 1 without one."""
import sys

import emulator
import guest_log
import report
import report_page

IMAGES = emulator.ROOT / "docs/img"


def picture(way, log):
    """The SVG file of this log."""
    return report_page.timeline_file(way, report_page.steps(guest_log.Log(log)))


def main():
    bochs = emulator.Bochs()
    machine = emulator.Machine()
    bochs.require(machine)
    has_fred = bochs.probe(machine)["fred"]
    for way in ("soft", "native") if has_fred else ("soft",):
        log = report.boot_one(bochs, has_fred, way, "timeline")
        path = IMAGES / f"timeline-{way}.svg"
        path.write_text(picture(way, log.text), "utf-8")
        print(f"timeline: {path.relative_to(emulator.ROOT)}")


if __name__ == "__main__":
    try:
        main()
    except emulator.EmulatorError as error:
        sys.exit(f"timeline: {error}")
