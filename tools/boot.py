# SPDX-License-Identifier: BSD-2-Clause
"""Disk images that boot something: Manfred with a guest, or Linux without Manfred."""
import pathlib

import acpi_tables
import emulator
import mkimage

BOOT_FILE = "EFI/BOOT/BOOTX64.EFI"
LOADER = emulator.BUILD / "manfred.efi"
FREDCHECK = emulator.BUILD / "fredcheck.efi"
CHAIN_LOADER = emulator.BUILD / "tools/chain.efi"
KERNEL = emulator.BUILD / "platform/vmlinuz"
INITRD = emulator.BUILD / "linux/initrd.img"
# Self-tests and serial chatter cost an emulated processor much.
CMDLINE = "console=ttyS0 cryptomgr.notests=1 quiet mitigations=off nokaslr"


def config_text(options):
    """manfred.cfg of a dict; a list stands for a key that is given several times."""
    lines = []
    for key, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            lines.append(f"{key} = {one}\n")
    return "".join(lines)


def manfred_image(image, config, files=None, data_partition=False, name=BOOT_FILE):
    """`config` is the text of manfred.cfg, or a dict; None for no file at all.
    `files` maps further names on the ESP to paths or bytes. The loader is
    `name`: with another than BOOT_FILE the firmware starts its shell."""
    content = {name: LOADER}
    if config is not None:
        text = config if isinstance(config, (str, bytes)) else config_text(config)
        content["manfred.cfg"] = text.encode() if isinstance(text, str) else text
    content.update(files or {})
    mkimage.make_image(image, content, data_partition)


def fredcheck_image(image, config, firmware=None):
    """The suite on the bare machine; `config` is a dict for fredcheck.cfg, `firmware` as below."""
    files = {"fredcheck.cfg": config_text(config).encode()}
    if firmware:
        files.update({BOOT_FILE: CHAIN_LOADER, "next.efi": FREDCHECK, firmware: b"yes"})
    else:
        files[BOOT_FILE] = FREDCHECK
    mkimage.make_image(image, files)


def linux_image(image, kernel=KERNEL, initrd=INITRD, cmdline="", processors=None, dead_vtd=False,
                section=None, others="", **options):
    """Manfred with a Linux guest; `cmdline` is added to the usual one. `processors`, a list of
    (APIC ID, flags), are those in the ACPI tables of the firmware, which has none without;
    `dead_vtd` gives these a VT-d unit that does not obey. The options are keys of a section of that name, if any; `others` are further sections."""
    config = {"guest": "linux", "kernel": r"\vmlinuz"}
    files = {"vmlinuz": kernel}
    name = BOOT_FILE
    if processors:
        files.update({BOOT_FILE: CHAIN_LOADER, "acpi": acpi_tables.tables(processors, dead_vtd)})
        name = "next.efi"
    if initrd:
        config["initrd"] = r"\initrd.img"
        files["initrd.img"] = initrd
    config["cmdline"] = f"{CMDLINE} {cmdline}".strip()
    config.update(options)
    text = (f"[guest {section}]\n" if section else "") + config_text(config) + others
    manfred_image(image, text, files, data_partition=True, name=name)


def bare_linux_image(image, kernel=KERNEL, initrd=INITRD, cmdline=""):
    """The same Linux on the machine itself, to compare with."""
    text = rf"initrd=\initrd.img {CMDLINE} {cmdline}".strip()
    files = {BOOT_FILE: CHAIN_LOADER, "next.efi": kernel, "initrd.img": initrd}
    mkimage.make_image(image, dict(files, options=text.encode()), data_partition=True)


def firmware_image(image, config, firmware):
    """Manfred on a machine whose firmware has locked VMX off, `lock-vmx`, runs with 5-level
    paging, `la57`, or has ranges in its memory map that cannot be, `memory-map`."""
    files = {BOOT_FILE: CHAIN_LOADER, firmware: b"yes"}
    manfred_image(image, config, files, name="next.efi")


def boot(machine_emulator, image, machine=emulator.Machine(), timeout=300, **options):
    """Runs the image; its log and the emulator's files lie beside it."""
    image = pathlib.Path(image)
    return emulator.run(machine_emulator, image, machine, timeout, image.parent, **options)
