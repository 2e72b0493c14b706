# SPDX-License-Identifier: BSD-2-Clause
"""The screen console: what a picture of the emulated screen shows, read as text."""
import itertools
import json
import pathlib
import re
import socket
import subprocess
import sys
import textwrap
import time

import boot
import emulator
import mkfont
import mkimage
import pytest
import screenshots
from PIL import Image

FONTS = "/usr/share/consolefonts/spleen-{}x{}.psfu.gz"
GLYPH_WIDTH = 8
WIDTH, HEIGHT = 800, 600  # what OVMF chooses with this graphics card
COLUMNS = WIDTH // GLYPH_WIDTH
SCREEN_PROGRAM = emulator.BUILD / "tools/screen.efi"
READ_QR = emulator.ROOT / "tests/unit/read_qr.py"

BLACK = (0, 0, 0)
GREEN = (0x40, 0xE0, 0x60)
GREY = (0xA0, 0xA0, 0xA0)
NO_GLYPH = "\x7f"


def read_cells(picture, width=GLYPH_WIDTH, scale=1):
    """The rows of a screen, each a list of (character, colour); a cell that shows no glyph of the
    font in one colour on black, each of its pixels scale x scale of the screen's, is NO_GLYPH."""
    height = 2 * width
    _, glyphs = mkfont.read_font(FONTS.format(width, height))
    characters = {glyphs[chr(code)]: chr(code) for code in mkfont.CHARACTERS}
    size = (picture.width // scale, picture.height // scale)
    small = picture.crop((0, 0, size[0] * scale, size[1] * scale)).resize(size, Image.NEAREST)
    assert small.resize((size[0] * scale, size[1] * scale), Image.NEAREST) == picture.crop(
        (0, 0, size[0] * scale, size[1] * scale)
    )
    rows = []
    for top in range(0, size[1] - height + 1, height):
        row = []
        for left in range(0, size[0] - width + 1, width):
            pixels = list(small.crop((left, top, left + width, top + height)).getdata())
            inks = set(pixels) - {BLACK}
            glyph = b"".join(
                bits_of(pixels[line : line + width]) for line in range(0, len(pixels), width)
            )
            known = len(inks) <= 1 and glyph in characters
            row.append((characters[glyph] if known else NO_GLYPH, inks.pop() if inks else BLACK))
        rows.append(row)
    return rows


def bits_of(pixels):
    """A line of a glyph, in whole bytes."""
    size = (len(pixels) + 7) // 8
    bits = sum(1 << (8 * size - 1 - x) for x, pixel in enumerate(pixels) if pixel != BLACK)
    return bits.to_bytes(size, "big")


def text_of(row):
    return "".join(character for character, _ in row).rstrip()


def colour_of(row, text):
    """The one colour that this text has in the row."""
    start = "".join(character for character, _ in row).index(text)
    colours = {colour for character, colour in row[start : start + len(text)] if character != " "}
    assert len(colours) == 1
    return colours.pop()


def start(bochs, manfred, files=None, name=boot.BOOT_FILE, **config):
    if not bochs.has_graphics:
        pytest.skip(f"{bochs.binary} has no display library {emulator.GRAPHICS_DISPLAY}")
    return manfred(
        dict(config, console="both", at_end="halt"),
        files,
        name=name,
        machine=emulator.Machine(graphics=True),
        grace=screenshots.GRACE_SECONDS,
    )


class TestScreen:
    """A boot that ends with a long report: nothing takes its place on the screen."""

    @pytest.fixture(scope="class")
    def log(self, bochs, manfred):
        return start(bochs, manfred, guest="selftest", fred="off", debug="invalid-guest-state")

    @pytest.fixture(scope="class")
    def rows(self, log):
        """The screen at the end of the run; the picture of it is kept as screen.png."""
        return [text_of(row) for row in read_cells(screenshots.last_screen(log.folder, log.result))]

    def test_the_loader_finds_the_framebuffer(self, log):
        log.says(rf"screen {WIDTH}x{HEIGHT}, framebuffer at 0x[0-9a-f]+")
        log.ends("failed")

    def test_the_screen_shows_the_end_of_the_log(self, log, rows):
        """As many lines as it shows, wrapped before the word that does not fit."""
        shown = list(itertools.dropwhile(lambda row: not row, reversed(rows)))[::-1]
        logged = [
            row.rstrip()
            for line in log.result.lines
            for row in textwrap.wrap(line, COLUMNS, drop_whitespace=False, break_on_hyphens=False) or [""]
        ]
        assert len(logged) > 2 * len(rows), "the log is too short for this test: nothing scrolled"
        assert len(shown) > len(rows) // 3
        assert shown == logged[-len(shown) :]


class TestResultScreen:
    """The page at the end of the built-in guest's tests, against the log of the same run."""

    CHAPTER = re.compile(r"^# (\S+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)$", re.MULTILINE)

    @pytest.fixture(scope="class")
    def log(self, bochs, manfred):
        return start(bochs, manfred, guest="selftest", fred="off")

    @pytest.fixture(scope="class")
    def picture(self, log):
        return screenshots.last_screen(log.folder, log.result)

    @pytest.fixture(scope="class")
    def rows(self, picture):
        return read_cells(picture)

    @pytest.fixture(scope="class")
    def counts(self, log):
        """Chapters' names with what passed, failed, was expected to fail and skipped."""
        return {
            name: (passed, failed, expected, skipped)
            for name, passed, failed, skipped, expected, _ in self.CHAPTER.findall(log.result.log)
        }

    def test_it_says_that_all_has_passed(self, log, rows):
        log.ends("ok", "guest-end")
        assert text_of(rows[0]).startswith("PASSED  Manfred ")
        assert colour_of(rows[0], "PASSED") == GREEN
        assert text_of(rows[2]).endswith(", FRED off")

    def test_every_chapter_has_its_line(self, rows, counts):
        assert len(counts) > 30
        texts = [text_of(row) for row in rows]
        for name, numbers in counts.items():
            line = f"{name:16}{numbers[0]:>6}" + "".join(f"{number:>5}" for number in numbers[1:])
            found = [row for row, text in zip(rows, texts) if line in text]
            assert len(found) == 1, line
            assert colour_of(found[0], line) == (GREEN if numbers[0] != "0" else GREY)

    def test_totals_and_end(self, log, rows, counts):
        totals = [sum(int(numbers[i]) for numbers in counts.values()) for i in range(4)]
        line = f"{'all':16}{totals[0]:>6}" + "".join(f"{total:>5}" for total in totals[1:])
        assert [row for row in rows if text_of(row).startswith(line)]
        assert text_of(rows[-1]).rstrip(NO_GLYPH + " ") == log.says("(end status=.*)")[1]

    def test_the_qr_code_says_the_same(self, log, counts):
        read = subprocess.run(
            [sys.executable, READ_QR, pathlib.Path(log.folder, "screen.png")],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        totals = [sum(int(numbers[i]) for numbers in counts.values()) for i in range(4)]
        said = "{} PASSED {} FAILED {} EXPECTED {} SKIPPED ".format(*totals)
        assert re.match(rf"MANFRED [0-9.]+(?:-[0-9A-Z-]+)? OFF: {sum(totals)} TESTS {said}", read)


class TestSmallScreen:
    """640x480: the page of results fits, the QR code too."""

    @pytest.fixture(scope="class")
    def log(self, bochs, manfred):
        files = {boot.BOOT_FILE: boot.CHAIN_LOADER, "small-screen": b"yes"}
        return start(bochs, manfred, files, "next.efi", guest="selftest", fred="off")

    @pytest.fixture(scope="class")
    def rows(self, log):
        return [text_of(row) for row in read_cells(screenshots.last_screen(log.folder, log.result))]

    def test_has_every_chapter(self, log, rows):
        log.says(r"screen 640x480, framebuffer at 0x[0-9a-f]+")
        log.ends("ok", "guest-end")
        assert (len(rows), rows[0][:15]) == (30, "PASSED  Manfred")
        for name, *_ in TestResultScreen.CHAPTER.findall(log.result.log):
            assert any(name in row.split() for row in rows), name

    def test_has_the_end(self, log, rows):
        assert rows[-1].rstrip(NO_GLYPH + " ") == log.says("(end status=.*)")[1]
        assert NO_GLYPH in rows[-1]


class TestLargeScreens:
    """The text on screens that Bochs has not: drawn by tools/efi/screen.c in QEMU."""

    DRAWN = re.compile(r"screen: (\d+)x(\d+) font (\d+) scale (\d+) end")

    @pytest.fixture
    def show(self, qemu, tmp_path):
        """Boots on such a screen; returns how the text was laid out, and a picture."""
        started = []

        def start(width, height):
            mkimage.make_image(tmp_path / "disk.img", {boot.BOOT_FILE: SCREEN_PROGRAM})
            log = tmp_path / "serial.log"
            control = tmp_path / "control"
            process = subprocess.Popen(
                [
                    *qemu.command(tmp_path / "disk.img", emulator.Machine(), f"file,path={log}"),
                    *("-vga", "none", "-device", f"VGA,vgamem_mb=64,xres={width},yres={height}"),
                    *("-qmp", f"unix:{control},server=on,wait=off"),
                ],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            started.append(process)
            drawn = self.wait_for(log)
            self.take_picture(control, tmp_path / "screen.ppm")
            with Image.open(tmp_path / "screen.ppm") as picture:
                return [int(number) for number in drawn.groups()], picture.convert("RGB")

        yield start
        for process in started:
            emulator.kill(process)

    def wait_for(self, log):
        for _ in range(240):
            time.sleep(0.25)
            found = log.exists() and self.DRAWN.search(emulator.plain(log.read_bytes()))
            if found:
                return found
        pytest.fail(f"nothing was drawn: see {log}")

    @staticmethod
    def take_picture(control, path):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(control))
            answers = line.makefile()
            dump = {"execute": "screendump", "arguments": {"filename": str(path)}}
            for command in ({"execute": "qmp_capabilities"}, dump):
                line.sendall(json.dumps(command).encode())
                while "return" not in json.loads(answers.readline()):
                    pass

    @pytest.mark.parametrize(
        "width, height, font, scale",
        [(1920, 1080, 12, 1), (2560, 1600, 16, 1), (2880, 1800, 12, 2)],
    )
    def test_all_characters_in_all_places(self, show, width, height, font, scale):
        laid_out, picture = show(width, height)
        assert laid_out == [width, height, font, scale]
        assert picture.size == (width, height)
        rows = read_cells(picture, font, scale)
        assert len(rows) == height // (2 * font * scale)
        assert len(rows[0]) == width // (font * scale)
        characters = "".join(map(chr, mkfont.CHARACTERS)) * 3
        for number, row in enumerate(rows):
            first = number % len(mkfont.CHARACTERS)
            assert [character for character, _ in row] == list(characters[first:][: len(row)])
            assert {colour for character, colour in row if character != " "} == {GREEN}
