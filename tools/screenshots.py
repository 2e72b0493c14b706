#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes the pictures of the screen in docs/img/, each from a boot in the emulator.

    tools/screenshots.py [NAME...]     without names: all of them

The emulated clock, and with it the picture, is the same in every run.
"""
import pathlib
import re
import sys

from PIL import Image

import boot
import emulator

IMAGES = emulator.ROOT / "docs/img"
SCREEN = re.compile(r"screen (\d+)x(\d+), framebuffer at")
# Before the loader tells: OVMF's, with Bochs' graphics card.
FIRMWARE_SCREEN = (800, 600)
# Bochs draws its own bar above the machine's screen.
HEADER_HEIGHT = 32
# A picture is taken every emulated second, the last one when all has been drawn.
GRACE_SECONDS = 4
BOOT_SECONDS = 600


class ScreenshotError(Exception):
    """Why there is no picture, in one line."""


def last_complete(pictures):
    """The emulator was ended at any time: it may have been writing the last one."""
    for path in pictures[:-3:-1]:
        try:
            with Image.open(path) as picture:
                return picture.convert("RGB")
        except OSError:
            continue
    raise ScreenshotError(f"{pictures[-1]} is no picture")


def last_screen(folder, result):
    """What the machine's screen showed at the end of a run with graphics; it is kept as screen.png,
    and Bochs' own pictures are removed."""
    size = SCREEN.search(result.log)
    pictures = sorted(pathlib.Path(folder).glob("SDL_window1-*.bmp"))
    if not pictures:
        raise ScreenshotError(f"nothing was on the screen: see {folder}/serial.log")
    width, height = (int(size[1]), int(size[2])) if size else FIRMWARE_SCREEN
    area = (0, HEADER_HEIGHT, width, HEADER_HEIGHT + height)
    picture = last_complete(pictures).crop(area)
    for path in pictures:
        path.unlink()
    # A palette: the page has six colours, and a small file.
    picture.quantize(colors=16, dither=Image.Dither.NONE).save(
        pathlib.Path(folder, "screen.png"), optimize=True
    )
    return picture


def boot_result(bochs, machine, image):
    """The page at the end of the built-in guest."""
    config = {"guest": "selftest", "console": "both", "at_end": "halt"}
    config["errata"] = bochs.errata(machine)
    boot.manfred_image(image, config)


def boot_menu(_bochs, _machine, image):
    """The loader's menu, waiting for a key."""
    boot.linux_image(image, menu=BOOT_SECONDS)


# Who makes the image, and the line behind which the picture is there.
PICTURES = {
    "result": (boot_result, emulator.END_LINE),
    "menu": (boot_menu, re.compile(r"or a digit")),
}


def take(bochs, name):
    """Boots, and writes docs/img/NAME.png."""
    folder = emulator.BUILD / "screenshots" / name
    image = folder / "disk.img"
    machine = emulator.Machine(graphics=True)
    folder.mkdir(parents=True, exist_ok=True)
    make_image, until = PICTURES[name]
    make_image(bochs, machine, image)
    result = boot.boot(bochs, image, machine, BOOT_SECONDS, until=until, grace=GRACE_SECONDS)
    image.unlink()
    last_screen(folder, result)
    IMAGES.mkdir(exist_ok=True)
    (folder / "screen.png").replace(IMAGES / f"{name}.png")
    print(f"screenshots: docs/img/{name}.png")


def main(names):
    unknown = set(names) - set(PICTURES)
    if unknown:
        raise ScreenshotError(f"no picture is called {', '.join(sorted(unknown))}")
    bochs = emulator.Bochs()
    if not bochs.has_graphics:
        raise ScreenshotError(f"{bochs.binary} has no display library {emulator.GRAPHICS_DISPLAY}")
    for name in names or PICTURES:
        take(bochs, name)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ScreenshotError, emulator.EmulatorError) as error:
        sys.exit(f"screenshots: {error}")
