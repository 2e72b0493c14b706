# SPDX-License-Identifier: BSD-2-Clause
"""On a board: the boot ends as it should, and the suite passes. See labgrid.yaml."""


def test_end(log):
    assert log.end == ("ok", "guest-end")


def test_suite(log):
    assert log.complete(), "the serial line has lost some of the results"
    assert [test.name for test in log.tests if test.outcome == "failed"] == []
