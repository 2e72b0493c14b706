#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Prints what the QR codes of a picture say, one line each: read_qr.py PICTURE"""
import sys

import zbar
from PIL import Image


def read_codes(path):
    """The texts of the QR codes in a picture file, as a camera's program reads them."""
    with Image.open(path) as picture:
        grey = picture.convert("L")
    image = zbar.Image(*grey.size, "Y800", grey.tobytes())
    zbar.ImageScanner().scan(image)
    return [symbol.data for symbol in image]


if __name__ == "__main__":
    for text in read_codes(sys.argv[1]):
        print(text)
