#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Turns a font of Linux's console into the array of lib/console.h.

Reads PSF version 1 with a Unicode table: 4 bytes of header, the glyphs (a byte is a
line of 8 pixels), and for each glyph a list of the 16-bit characters that it is for.

    tools/mkfont.py FONT.psfu.gz >font.c
"""
import gzip
import struct
import sys

MAGIC = 0x0436
MODE_512_GLYPHS = 1
MODE_HAS_TABLE = 2
END_OF_GLYPH = 0xFFFF
START_OF_SEQUENCE = 0xFFFE

HEIGHT = 16
CHARACTERS = range(0x20, 0x7F)


def read_font(data):
    """A dict from Unicode characters to the bytes of their glyphs."""
    magic, mode, height = struct.unpack_from("<HBB", data)
    if magic != MAGIC or not mode & MODE_HAS_TABLE or height != HEIGHT:
        raise ValueError(f"not a PSF 1 font with a Unicode table and glyphs of 8x{HEIGHT}")
    count = 512 if mode & MODE_512_GLYPHS else 256
    table = 4 + count * height
    glyphs = {}
    index = 0
    in_sequence = False
    for (code,) in struct.iter_unpack("<H", data[table:]):
        if code == END_OF_GLYPH:
            index += 1
            in_sequence = False
        elif code == START_OF_SEQUENCE:
            in_sequence = True
        elif not in_sequence:
            start = 4 + index * height
            glyphs.setdefault(code, data[start : start + height])
    return glyphs


def main():
    with gzip.open(sys.argv[1]) as file:
        glyphs = read_font(file.read())
    print(f"/* Made by tools/mkfont.py from {sys.argv[1]}. */")
    print('#include "lib/console.h"\n')
    print("const uint8_t console_font[GLYPH_LAST - GLYPH_FIRST + 1][GLYPH_HEIGHT] = {")
    for code in CHARACTERS:
        print("\t{ " + ", ".join(f"0x{line:02x}" for line in glyphs[code]) + " },")
    print("};")


if __name__ == "__main__":
    main()
