# SPDX-License-Identifier: BSD-2-Clause
"""Secure Boot: refused without a signature, and at work with one."""
import subprocess

import boot
import emulator
import pytest

KEYS = emulator.PLATFORM / "usr/share/ovmf"
KEY, CERTIFICATE = KEYS / "PkKek-1-snakeoil.key", KEYS / "PkKek-1-snakeoil.pem"
# The firmware's set-up of System Management Mode takes its time.
SECONDS = 100


@pytest.fixture
def signed(tmp_path):
    """The loader, signed by the key that the firmware knows."""
    key, loader = tmp_path / "key", tmp_path / "manfred.efi"
    subprocess.run(["openssl", "rsa", "-in", KEY, "-passin", "pass:snakeoil", "-out", key],
                   check=True, capture_output=True)
    subprocess.run(["sbsign", "--key", key, "--cert", CERTIFICATE, "--output", loader,
                    boot.LOADER], check=True, capture_output=True)
    return loader


class TestSecureBoot:
    def test_refuses_what_is_not_signed(self, terminal, tmp_path):
        image = tmp_path / "disk.img"
        boot.manfred_image(image, {"guest": "selftest"})
        started = terminal(image, emulator.Machine(secure_boot="ms"), SECONDS)
        started.expect("failed to load Boot.*: Access Denied")

    def test_is_told_of(self, terminal, signed, tmp_path):
        image = tmp_path / "disk.img"
        files = {boot.BOOT_FILE: signed, "fredcheck.efi": boot.FREDCHECK}
        boot.manfred_image(image, {"menu": 300}, files, name="unsigned.efi")
        started = terminal(image, emulator.Machine(secure_boot="snakeoil"), SECONDS)
        started.expect("Manfred .*, Secure Boot is on")
        started.send("2")
        started.expect(r"manfred: \\fredcheck.efi: the firmware refuses it")
