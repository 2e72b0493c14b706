# SPDX-License-Identifier: BSD-2-Clause
"""labgrid: how a board gets from off to the end of a boot of Manfred. The end is the end line, which
every boot has; without it in time the boot has failed."""
import enum
import pathlib
import sys
import time

import attr
from labgrid.factory import target_factory
from labgrid.step import step
from labgrid.strategy import Strategy, StrategyError

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import emulator  # noqa: E402 (after the path is set)
import guest_log  # noqa: E402


class Status(enum.Enum):
    """The states of a board."""

    unknown = 0
    off = 1
    written = 2  # the image is on the stick
    ended = 3


@target_factory.reg_driver
@attr.s(eq=False)
class ManfredStrategy(Strategy):
    """Boots the image; `log` is what was said, a guest_log.Log, once the state is `ended`."""

    bindings = {
        "power": "PowerProtocol",
        "console": "ConsoleProtocol",
        # A board that boots from elsewhere has neither.
        "storage": {"USBStorageDriver", None},
        "mux": {"USBSDWireDriver", "USBSDMuxDriver", None},
    }
    status = attr.ib(default=Status.unknown)
    timeout = attr.ib(default=900.0, converter=float)  # seconds from power-on to the end line
    log = attr.ib(default=None, init=False)

    def _off(self):
        self.target.deactivate(self.console)
        self.target.activate(self.power)
        self.power.off()

    def _write(self):
        if self.mux:
            self.target.activate(self.mux)
            self.mux.set_mode("host")
        if self.storage:
            self.target.activate(self.storage)
            self.storage.write_image()
            self.target.deactivate(self.storage)
        if self.mux:
            self.mux.set_mode("dut")

    def _boot(self):
        self.target.activate(self.console)
        self.power.cycle()
        deadline = time.monotonic() + self.timeout
        said = b""
        # Line by line: labgrid tries a pattern on all that it has, for every byte that comes.
        while not emulator.END_LINE.search(emulator.plain(said[said.rfind(b"\n", 0, -1) + 1:])):
            _, before, _, end = self.console.expect("\n", timeout=deadline - time.monotonic())
            said += before + end
        self.log = guest_log.Log(emulator.plain(said))

    @step(args=["status"])
    def transition(self, status, *, step):
        """To this state, by way of those before it."""
        wanted = status if isinstance(status, Status) else Status[status]
        if wanted == Status.unknown:
            raise StrategyError("a board cannot be brought to the state unknown")
        if wanted == self.status:
            step.skip("nothing to do")
            return
        self._off()
        self.status = Status.off
        if wanted.value >= Status.written.value:
            self._write()
            self.status = Status.written
        if wanted == Status.ended:
            self._boot()
            self.status = Status.ended
