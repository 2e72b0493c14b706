#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Turns fonts of Linux's console into the tables of lib/console.h.

Reads PSF, versions 1 and 2, with a Unicode table: a header, the glyphs (lines of whole
bytes, the leftmost pixel is the highest bit), and for each glyph a list of the characters
that it is for. A glyph has to be twice as high as wide.

    tools/mkfont.py FONT.psfu.gz... >font.c     the narrowest first
"""
import gzip
import struct
import sys

MAGIC_1 = 0x0436
MODE_512_GLYPHS = 1
MODE_HAS_TABLE = 2
WIDTH_1 = 8

MAGIC_2 = 0x864AB572
FLAG_HAS_TABLE = 1

CHARACTERS = range(0x20, 0x7F)


def table_1(data):
    """The characters of each glyph: 16 bits each, FFFEh before each sequence, FFFFh at the end."""
    codes = [code for (code,) in struct.iter_unpack("<H", data)]
    while codes:
        end = codes.index(0xFFFF)
        yield [chr(code) for code in codes[: codes.index(0xFFFE) if 0xFFFE in codes[:end] else end]]
        codes = codes[end + 1 :]


def table_2(data):
    """The same in UTF-8, with FEh and FFh."""
    for glyph in data.split(b"\xff")[:-1]:
        yield list(glyph.split(b"\xfe")[0].decode())


def read_font(path):
    """The width of a font's glyphs, and a dict from characters to the bytes of their glyphs."""
    with gzip.open(path) as file:
        data = file.read()
    magic, mode, height = struct.unpack_from("<HBB", data)
    if magic == MAGIC_1 and mode & MODE_HAS_TABLE:
        width, start, size = WIDTH_1, 4, height
        count = 512 if mode & MODE_512_GLYPHS else 256
        read_table = table_1
    else:
        magic, _, start, flags, count, size, height, width = struct.unpack_from("<8L", data)
        if magic != MAGIC_2 or not flags & FLAG_HAS_TABLE:
            raise ValueError(f"{path}: no PSF font with a Unicode table")
        read_table = table_2
    if height != 2 * width or size != (width + 7) // 8 * height:
        raise ValueError(f"{path}: glyphs of {width}x{height}")
    glyphs = {}
    for index, characters in enumerate(read_table(data[start + count * size :])):
        for character in characters:
            glyphs.setdefault(character, data[start + index * size : start + (index + 1) * size])
    return width, glyphs


def main():
    fonts = [read_font(path) for path in sys.argv[1:]]
    print(f"/* Made by tools/mkfont.py from {' '.join(sys.argv[1:])}. */")
    print('#include "lib/console.h"')
    for width, glyphs in fonts:
        size = len(glyphs[chr(CHARACTERS[0])])
        print(f"\nstatic const uint8_t glyphs_{width}[GLYPHS][{size}] = {{")
        for code in CHARACTERS:
            print("\t{ " + ", ".join(f"0x{byte:02x}" for byte in glyphs[chr(code)]) + " },")
        print("};")
    print("\nconst struct console_font console_fonts[CONSOLE_FONTS] = {")
    for width, _ in fonts:
        print(f"\t{{ {width}, glyphs_{width}[0] }},")
    print("};")


if __name__ == "__main__":
    main()
