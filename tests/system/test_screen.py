# SPDX-License-Identifier: BSD-2-Clause
"""The screen console: what a picture of the emulated screen shows, read as text."""
import gzip
import itertools
import pathlib
import struct

import emulator
import mkfont
import pytest

FONT = "/usr/share/consolefonts/spleen-8x16.psfu.gz"
GLYPH_WIDTH = 8
# Bochs draws its own bar above the machine's screen.
HEADER_HEIGHT = 32


def read_picture(path):
    """Lines of a 24-bit BMP file from the top on, as bytes of its green channel."""
    data = path.read_bytes()
    start = struct.unpack_from("<I", data, 10)[0]
    width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
    assert bits == 24
    stride = (width * 3 + 3) // 4 * 4
    lines = [data[start + y * stride :][: width * 3][1::3] for y in range(abs(height))]
    return lines[::-1] if height > 0 else lines


def read_text(lines):
    """The text that pixels show: rows of cells, each of which must be a glyph."""
    with gzip.open(FONT) as file:
        glyphs = mkfont.read_font(file.read())
    characters = {glyphs[code]: chr(code) for code in mkfont.CHARACTERS}
    rows = []
    for top in range(0, len(lines) - mkfont.HEIGHT + 1, mkfont.HEIGHT):
        row = ""
        for left in range(0, len(lines[0]) - GLYPH_WIDTH + 1, GLYPH_WIDTH):
            glyph = bytearray()
            for line in lines[top : top + mkfont.HEIGHT]:
                pixels = line[left : left + GLYPH_WIDTH]
                assert set(pixels) <= {0, 255}
                glyph.append(sum(0x80 >> x for x, pixel in enumerate(pixels) if pixel))
            row += characters[bytes(glyph)]
        rows.append(row.rstrip())
    return rows


class TestScreen:
    WIDTH, HEIGHT = 800, 600  # what OVMF chooses with this graphics card

    @pytest.fixture(scope="class")
    def log(self, bochs, manfred):
        if not bochs.has_graphics:
            pytest.skip(f"{bochs.binary} has no display library {emulator.GRAPHICS_DISPLAY}")
        return manfred(
            {"guest": "selftest", "fred": "off", "console": "both", "at_end": "halt"},
            machine=emulator.Machine(graphics=True),
            grace=4,
        )

    @pytest.fixture(scope="class")
    def rows(self, log):
        """The screen at the end of the run; the picture of it is kept as screen.bmp."""
        folder = pathlib.Path(log.folder)
        pictures = sorted(folder.glob("SDL_window1-*.bmp"))
        last = pictures.pop().rename(folder / "screen.bmp")
        for picture in pictures:
            picture.unlink()
        lines = read_picture(last)
        lines = lines[HEADER_HEIGHT : HEADER_HEIGHT + self.HEIGHT]
        return read_text([line[: self.WIDTH] for line in lines])

    def test_the_loader_finds_the_framebuffer(self, log):
        log.says(rf"screen {self.WIDTH}x{self.HEIGHT}, framebuffer at 0x[0-9a-f]+")
        log.ends("ok")

    def test_the_screen_shows_the_end_of_the_log(self, log, rows):
        """As many lines as it shows, wrapped where the screen ends."""
        shown = list(itertools.dropwhile(lambda row: not row, reversed(rows)))[::-1]
        columns = self.WIDTH // GLYPH_WIDTH
        logged = [
            line[at : at + columns].rstrip()
            for line in log.result.lines
            for at in range(0, max(len(line), 1), columns)
        ]
        assert len(logged) > 2 * len(rows), "the log is too short for this test: nothing scrolled"
        assert len(shown) > len(rows) // 3
        assert shown == logged[-len(shown) :]
