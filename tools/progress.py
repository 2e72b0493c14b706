#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Says where `make test` is, and how long it may take, from how long its parts took before.

  progress.py begin PART NUMBER OF   say that this part begins
  progress.py end PART               remember how long it took
"""
import json
import sys
import time

import emulator

TIMES = emulator.BUILD / "test-times.json"
# Seconds on two cores, until there was a run.
FIRST_TIMES = {"unit": 90, "fuzz": 90, "system": 1200}


def read_times():
    """Of the parts: "unit" is how long the last run took, "unit started" when this one began."""
    try:
        return {**FIRST_TIMES, **json.loads(TIMES.read_text("ascii"))}
    except (OSError, ValueError):
        return dict(FIRST_TIMES)


def in_words(seconds):
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min"


def remember(**changes):
    TIMES.parent.mkdir(parents=True, exist_ok=True)
    TIMES.write_text(json.dumps({**read_times(), **changes}), "ascii")


def begin(part, number, count):
    times = read_times()
    parts = list(FIRST_TIMES)
    left = sum(times[later] for later in parts[parts.index(part):])
    print(f"test: part {number} of {count}: {part}; about {in_words(times[part])} for it, "
          f"{in_words(left)} for all that is left", flush=True)
    remember(**{f"{part} started": time.time()})


def end(part):
    remember(**{part: time.time() - read_times()[f"{part} started"]})


class Progress:
    """Of the tests of one part: a line now and then."""

    EVERY = 30.0  # seconds

    def __init__(self, part, clock=time.monotonic):
        self.part, self.clock = part, clock
        self.expected = read_times()[part]
        self.started = self.said = clock()

    def line(self, done, count, group):
        """What there is to say now, or None."""
        now = self.clock()
        if now - self.said < self.EVERY or not count:
            return None
        self.said = now
        spent = now - self.started
        # How long a whole run takes: the last one's time counts less the further this one has come.
        left = 1 - done / count
        whole = left * self.expected + spent
        return (f"{self.part}: {done} of {count} tests, at {group}; {in_words(spent)} so far, "
                f"about {in_words(left * whole)} to go")


def main(arguments):
    if len(arguments) == 4 and arguments[0] == "begin":
        begin(*arguments[1:])
    elif len(arguments) == 2 and arguments[0] == "end":
        end(arguments[1])
    else:
        sys.exit(__doc__.strip())


if __name__ == "__main__":
    main(sys.argv[1:])
