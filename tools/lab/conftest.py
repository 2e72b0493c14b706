# SPDX-License-Identifier: BSD-2-Clause
"""The log of one boot of the board; labgrid's own fixture `target` is the board."""
import pytest


@pytest.fixture(scope="session")
def log(target):
    strategy = target.get_driver("Strategy")
    strategy.transition("ended")
    yield strategy.log
    strategy.transition("off")
