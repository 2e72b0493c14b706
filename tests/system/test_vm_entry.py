# SPDX-License-Identifier: BSD-2-Clause
"""The VMM's rules of VM entry against those of the emulator: every bit of every VMCS field."""
import re

import emulator
import pytest

# How many guests vmm/selftest/flip_guests.c has, and what their flips come to at least.
GUESTS = 14
FLIPS_AT_LEAST = 80000
DIFFERENCE = (
    r"manfred: flip-vmcs: (?P<guest>[^:]+): (?P<field>\w+) bits (?P<bits>[0-9a-f]+): "
    r"rules: (?P<rules>.*); processor: (?P<processor>.*)$"
)
# Deviations of Bochs 3.0 in docs/errata.md: field, a part of what the rules say, what the processor does.
ERRATA = (
    ("BX-18", "GUEST_DEBUGCTL", "reserved bit", "entered"),
    ("BX-18", "GUEST_CR0", "needs CR0.PG", "entered"),
    ("BX-18", "GUEST_RIP", "not canonical", "entered"),
    ("BX-18", "GUEST_PENDING_DEBUG_EXCEPTIONS", "reserved bit", "entered"),
    ("BX-19", "GUEST_ACTIVITY_STATE", "does not end the guest's activity", "entered"),
    ("BX-19", "GUEST_INTERRUPTIBILITY", "while NMIs are blocked", "entered"),
    ("BX-19", "GUEST_PENDING_DEBUG_EXCEPTIONS", "a single step is pending", "entered"),
    ("BX-19", "GUEST_RFLAGS", "a single step is pending", "entered"),
    ("BX-19", "GUEST_DEBUGCTL", "a single step is pending", "entered"),
    ("BX-20", "PIN_BASED_CONTROLS", "posted interrupts need virtual-interrupt", "entered"),
    ("BX-20", "POSTED_INTERRUPT_DESCRIPTOR", "no rule", "VMfail 7"),
    ("BX-21", "ENTRY_CONTROLS", "only SMM", "exit 33, qualification 0"),
    ("BX-21", "GUEST_INTERRUPTIBILITY", "NMI is injected in the shadow of STI",
     "exit 33, qualification 0"),
)


def is_explained_by(erratum, difference):
    _, field, words, processor = erratum
    return (difference["field"] == field and words in difference["rules"]
            and difference["processor"] == processor)


class TestVmEntryRules:
    @pytest.fixture(scope="class")
    def log(self, bochs, manfred):
        if bochs.probe(emulator.Machine())["fred"]:
            pytest.skip("the emulator's deviations at VM entry are listed for Bochs 3.0 only")
        return manfred({"guest": "selftest", "debug": "flip-vmcs", "tests": "cpuid.*"}, timeout=300)

    @pytest.fixture(scope="class")
    def differences(self, log):
        return list(re.finditer(DIFFERENCE, log.result.log, re.MULTILINE))

    @pytest.fixture(scope="class")
    def total(self, log):
        return [int(number) for number in log.says(
            r"flip-vmcs: (\d+) flips in (\d+) guests: (\d+) refused, (\d+) entered, (\d+) skipped, "
            r"(\d+) differences").groups()]

    def test_every_difference_is_an_erratum(self, differences):
        unexplained = [found[0] for found in differences
                       if not any(is_explained_by(erratum, found) for erratum in ERRATA)]
        assert not unexplained

    def test_every_erratum_is_met(self, differences):
        """One that is not met is explained no more."""
        assert not [erratum for erratum in ERRATA
                    if not any(is_explained_by(erratum, found) for found in differences)]

    def test_all_was_tried(self, total, differences):
        flips, guests, refused, entered, skipped, count = total
        assert guests == GUESTS and flips >= FLIPS_AT_LEAST
        assert refused + entered + skipped == flips
        # Refused and entered, each by a large part: neither the rules nor the entries are idle.
        assert refused > flips // 4 and entered > flips // 4
        assert skipped < flips // 10
        assert count == sum(int(found["bits"], 16).bit_count() for found in differences)

    def test_the_boot_goes_on(self, log):
        log.ends("ok")
