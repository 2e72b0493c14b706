#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes GPT disk images with an EFI system partition, without root.

The same input gives the same bytes: dates are fixed, and identifiers follow from what is in the
image. A second partition, empty, is there for guests that test disks.

    tools/mkimage.py IMAGE BOOTX64.EFI [NAME=FILE]...
"""
import hashlib
import os
import pathlib
import subprocess
import sys
import uuid

SECTOR = 512
MIB = 1 << 20
ALIGN = MIB
# FAT32 is what every firmware reads; below 65,525 clusters it would not be FAT32.
ESP_MIN = 36 * MIB
ESP_SLACK = 2 * MIB
GPT_TAIL = MIB
DATA_SIZE = 4 * MIB
NAMESPACE = uuid.UUID("6d616e66-7265-6400-8000-000000000000")


def _run(*command):
    environment = dict(os.environ, SOURCE_DATE_EPOCH="315532800", TZ="UTC0", LC_ALL="C.UTF-8",
                       MTOOLS_SKIP_CHECK="1")
    # Debian's PATH of an ordinary user lacks the folder of sgdisk.
    environment["PATH"] = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    try:
        done = subprocess.run(
            [str(word) for word in command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        sys.exit(f"mkimage: there is no {command[0]}: tools/setup.sh build installs it")
    if done.returncode:
        sys.exit(f"mkimage: {command[0]} failed:\n{done.stdout}")


def _digest(files):
    """Of all names and contents."""
    digest = hashlib.sha256()
    for name, source in sorted(files.items()):
        content = source if isinstance(source, bytes) else pathlib.Path(source).read_bytes()
        digest.update(name.encode() + bytes(1) + hashlib.sha256(content).digest())
    return digest.hexdigest()


def make_image(image, files, data_partition=False):
    """Writes `image`; `files` maps names on the ESP ("EFI/BOOT/BOOTX64.EFI") to
    paths, or to bytes for content that is made on the fly."""
    image = pathlib.Path(image)
    image.parent.mkdir(parents=True, exist_ok=True)
    image.unlink(missing_ok=True)
    content = sum(len(f) if isinstance(f, bytes) else os.path.getsize(f) for f in files.values())
    esp = max(ESP_MIN, -(-(content + ESP_SLACK) // MIB) * MIB)
    data = DATA_SIZE if data_partition else 0
    with open(image, "wb") as disk:
        disk.truncate(ALIGN + esp + data + GPT_TAIL)

    digest = _digest(files)
    disk_guid, *partition_guids = (uuid.uuid5(NAMESPACE, f"{digest} {n}") for n in range(3))
    first, after = ALIGN // SECTOR, (ALIGN + esp) // SECTOR
    table = ["-a", "1", "-n", f"1:{first}:{after - 1}", "-t", "1:EF00", "-c", "1:MANFRED"]
    table += ["-u", f"1:{partition_guids[0]}"]
    if data:
        table += ["-n", f"2:{after}:{after + data // SECTOR - 1}", "-t", "2:8300", "-c", "2:DATA"]
        table += ["-u", f"2:{partition_guids[1]}"]
    _run("sgdisk", *table, "-U", disk_guid, image)

    volume = f"{image}@@{ALIGN}"
    sectors = esp // SECTOR
    _run("mformat", "-i", volume, "-F", "-c", "1", "-N", digest[:8], "-v", "MANFRED",
         "-T", sectors, "-h", "64", "-s", "32")
    folders = {str(p) for name in files for p in pathlib.PurePosixPath(name).parents} - {"."}
    for folder in sorted(folders):
        _run("mmd", "-i", volume, f"::{folder}")
    for name, source in files.items():
        if isinstance(source, bytes):
            scratch = image.with_suffix(".file")
            scratch.write_bytes(source)
            _run("mcopy", "-i", volume, scratch, f"::{name}")
            scratch.unlink()
        else:
            _run("mcopy", "-i", volume, source, f"::{name}")


def main():
    if len(sys.argv) < 3 or any("=" not in word for word in sys.argv[3:]):
        sys.exit(__doc__)
    files = {"EFI/BOOT/BOOTX64.EFI": sys.argv[2]}
    files.update(word.split("=", 1) for word in sys.argv[3:])
    make_image(sys.argv[1], files)


if __name__ == "__main__":
    main()
