# SPDX-License-Identifier: BSD-2-Clause
"""The stick: what is on its image, that it boots, and who writes it."""
import os
import subprocess

import boot
import emulator
import image as stick
import mkimage
import pytest
from test_menu import ENTRIES, drawn

MKUSB = emulator.ROOT / "tools/mkusb.sh"
MIB = 1 << 20
DISK_SIZE = 64 * MIB
NAMES = {boot.BOOT_FILE, "fredcheck.efi", "manfred.cfg", "fredcheck.cfg", "README.txt"}


def partition_table(path):
    done = subprocess.run(["sgdisk", "-p", "-i", "1", path], stdout=subprocess.PIPE, text=True,
                          check=True)
    return done.stdout


@pytest.fixture(scope="class")
def built(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "manfred.img"
    mkimage.make_image(path, stick.stick_files())
    return path


class TestContent:
    def test_has_all_files(self, built):
        listed = subprocess.run(["mdir", "-/", "-b", "-i", f"{built}@@{MIB}", "::"],
                                stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        assert {name[3:] for name in listed if not name.endswith("/")} == NAMES

    def test_is_reproducible(self, built, tmp_path):
        # Dates of files and of the clock are none of the image's business.
        files = {}
        for name, source in stick.stick_files().items():
            path = tmp_path / name.replace("/", "-")
            path.write_bytes(source if isinstance(source, bytes) else source.read_bytes())
            os.utime(path, (1, 1))
            files[name] = path
        mkimage.make_image(tmp_path / "again.img", files)
        assert built.read_bytes() == (tmp_path / "again.img").read_bytes()

    def test_identifiers_follow_from_the_content(self, built, tmp_path):
        mkimage.make_image(tmp_path / "other.img", dict(stick.stick_files(), other=b""))
        ours, others = (
            [line for line in partition_table(path).splitlines() if "GUID" in line]
            for path in (built, tmp_path / "other.img")
        )
        assert "EFI system partition" in ours[1]
        assert len(ours) == 3  # of the disk, the partition's type, the partition
        assert ours[0] != others[0] and ours[1] == others[1] and ours[2] != others[2]

    def test_texts_are_for_every_system(self):
        for name, content in stick.stick_files().items():
            if isinstance(content, bytes):
                assert content.count(b"\r\n") == content.count(b"\n") > 0, name
                assert max(content) < 0x80, name

    def test_a_guest_that_is_not_to_be(self, monkeypatch):
        monkeypatch.setenv("KERNEL", __file__)
        monkeypatch.setenv("CMDLINE", "quiet # loud")
        with pytest.raises(SystemExit, match="image: CMDLINE=quiet # loud: .* begins a comment"):
            stick.main()

    def test_a_guest(self, tmp_path):
        files = stick.stick_files("kernel file", "initrd file", "root=/dev/für")
        lines = files["manfred.cfg"].decode("utf-8").split("\r\n")
        for line in ("guest = linux", r"kernel = \vmlinuz", r"initrd = \initrd.img",
                     "cmdline = root=/dev/für", "menu = 5"):
            assert lines.count(line) == 1
        assert files["vmlinuz"] == "kernel file" and files["initrd.img"] == "initrd file"


class TestBoot:
    def test_the_image(self, terminal, built):
        started = terminal(built)
        started.expect(drawn(0))
        started.expect("starts in 4 s")
        started.send("2")
        started.expect("fredcheck: this processor has no FRED")

    def test_its_files_on_another_stick(self, terminal, built, tmp_path):
        subprocess.run(["mcopy", "-s", "-i", f"{built}@@{MIB}", "::*", tmp_path], check=True)
        assert (tmp_path / boot.BOOT_FILE).is_file()
        started = terminal(f"fat:rw:{tmp_path}")
        started.expect(drawn(0, ENTRIES))
        started.expect("manfred: loader: guest = selftest")
        started.expect("reason=no-vmx")


def write_stick(device, image, answer="yes\n", **variables):
    done = subprocess.run(
        [MKUSB, image, device], input=answer, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=dict(os.environ, **variables), text=True, timeout=60, check=False)
    return done.returncode, done.stdout


@pytest.fixture
def disk(tmp_path):
    """A loop device, which is a disk that is not removable, and its file."""
    file = tmp_path / "disk"
    file.write_bytes(bytes(DISK_SIZE))
    done = subprocess.run(["losetup", "-f", "--show", file], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no loop device: {done.stderr.strip()}")
    device = done.stdout.strip()
    yield device, file
    subprocess.run(["losetup", "-d", device], check=True)


class TestMake:
    """make usb, in a folder with an image of other settings."""

    @pytest.fixture
    def make(self, tmp_path):
        for part in ("Makefile", "lib", "tests", "tools", "vmm", "boot", "guest"):
            (tmp_path / part).symlink_to(emulator.ROOT / part)
        (tmp_path / "build").mkdir()
        (tmp_path / "build/manfred.img").write_text("somebody's Linux is in it")

        def run(*arguments):
            done = subprocess.run(["make", "-C", tmp_path, "--no-print-directory", *arguments],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                                  timeout=60)
            assert sorted(path.name for path in (tmp_path / "build").iterdir()) == ["manfred.img"]
            assert (tmp_path / "build/manfred.img").read_text() == "somebody's Linux is in it"
            return done.returncode, done.stdout

        return run

    def test_leaves_the_image_alone(self, make):
        status, said = make("usb", "DEV=/dev/null")
        assert status != 0
        assert said.startswith("usb: /dev/null is no block device\n")

    def test_takes_no_settings_of_an_image(self, make):
        status, said = make("usb", "DEV=/dev/null", "KERNEL=/vmlinuz")
        assert status != 0
        assert "KERNEL, INITRD and CMDLINE are for make image" in said


class TestUsb:
    def test_refuses_what_is_no_disk(self, tmp_path):
        assert write_stick(tmp_path, "image") == (1, f"usb: {tmp_path} is no block device\n")
        assert write_stick("", "image") == (1, "usb: name the stick: make usb DEV=/dev/sdX\n")

    def test_refuses_a_fixed_disk(self, disk, tmp_path):
        (tmp_path / "image").write_bytes(b"M" * MIB)
        status, said = write_stick(disk[0], tmp_path / "image")
        assert status == 1
        assert "is not removable" in said
        assert disk[1].read_bytes() == bytes(DISK_SIZE)

    def test_refuses_a_mounted_one(self, disk, tmp_path):
        """FORCE is for disks that are not removable."""
        (tmp_path / "image").write_bytes(b"M" * MIB)
        subprocess.run(["mkfs.ext4", "-q", disk[0]], check=True)
        folder = tmp_path / "mounted"
        folder.mkdir()
        done = subprocess.run(["mount", disk[0], folder], stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no mount: {done.stderr.strip()}")
        try:
            before = disk[1].read_bytes()
            assert write_stick(disk[0], tmp_path / "image", FORCE="1") == (
                1, f"usb: {disk[0]} is in use: unmount it first\n")
            assert disk[1].read_bytes() == before
        finally:
            subprocess.run(["umount", folder], check=True)

    def test_refuses_a_small_one(self, disk, tmp_path):
        (tmp_path / "image").write_bytes(b"M" * (DISK_SIZE + 512))
        status, said = write_stick(disk[0], tmp_path / "image", FORCE="1")
        assert status == 1
        assert "is too small" in said

    def test_writes_after_a_yes(self, disk, built):
        status, said = write_stick(disk[0], built, "y\n", FORCE="1")
        assert status == 1 and said.endswith("usb: nothing written\n")
        assert disk[1].read_bytes() == bytes(DISK_SIZE)
        status, said = write_stick(disk[0], built, FORCE="1")
        assert status == 0 and said.endswith(f"usb: {disk[0]} boots Manfred\n")
        self.check_stick(disk[1], built)

    def test_writes_over_another_table(self, disk, built):
        """A second partition table at the stick's end from before does not stay there."""
        subprocess.run(["sgdisk", "-n", "1:2048:4095", "-c", "1:OTHER", disk[0]], check=True,
                       stdout=subprocess.DEVNULL)
        assert write_stick(disk[0], built, FORCE="1")[0] == 0
        self.check_stick(disk[1], built)

    @staticmethod
    def check_stick(file, image):
        """What the image has, but for the tables, which are sound on a disk of this size."""
        told = subprocess.run(["sgdisk", "-v", file], stdout=subprocess.PIPE, text=True, check=True)
        assert "No problems found" in told.stdout, told.stdout
        ours, meant = (
            [line for line in partition_table(path).splitlines() if "GUID" in line or "name" in line]
            for path in (file, image)
        )
        assert ours == meant
        written, meant = file.read_bytes(), image.read_bytes()
        assert written[MIB:len(meant) - MIB] == meant[MIB:-MIB]
