"""Sketches as files."""

from __future__ import annotations

import struct

import cv2
import numpy as np
from isal import isal_zlib

from vlsm_jax.synth.sketches.painting import LEVELS, Sketch

JPEG_QUALITY = 85

_DEFLATE_LEVEL = 1
"""Of 0 to 3: higher ones take longer and find no more on plain paper with thin lines."""
_PALETTE, _COLOURS = 3, 2  # What PNG calls a picture of positions in a palette, and one of red, green and blue.


def encode_image(sketch: Sketch) -> tuple[bytes, str]:
    """Returns a sketch as the bytes of a file and the suffix of its name, "png" or "jpg".

    A scan is written without loss, one of few colours with a palette; a photograph as JPEG. The same sketch gives the
    same bytes.
    """
    if sketch.photograph:
        return cv2.imencode(".jpg", sketch.pixels, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes(), "jpg"
    pixels, colours = sketch.pixels, sketch.palette
    height, width = pixels.shape[:2]
    if colours is None:
        return _png(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).reshape(height, -1), width, 8, _COLOURS), "png"
    bits = 4 if len(colours) <= LEVELS else 8
    return _png(_paired(pixels) if bits == 4 else pixels, width, bits, _PALETTE, colours), "png"


def _paired(pixels: np.ndarray) -> np.ndarray:
    """Returns numbers below 16 [H, W] as bytes of two, the left one in front."""
    if pixels.shape[1] % 2:
        pixels = np.pad(pixels, ((0, 0), (0, 1)))
    pairs = np.ascontiguousarray(pixels).view("<u2")  # The left pixel is the lower byte.
    return (pairs << 4 | pairs >> 8).astype(np.uint8)


def _png(rows: np.ndarray, width: int, bits: int, kind: int, colours: np.ndarray | None = None) -> bytes:
    """Returns a PNG of rows of bytes [H, B].

    Written here since libraries that write PNG compress with zlib, which takes four times as long as drawing the lines,
    for larger files. Without a filter: lines on a plain page are smallest so, and by far fastest.
    """
    height, length = rows.shape
    lines = np.empty((height, 1 + length), np.uint8)
    lines[:, 0] = 0  # Of each row: it is not filtered.
    lines[:, 1:] = rows
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))]
    if colours is not None:
        chunks.append((b"PLTE", colours.tobytes()))
    chunks += [(b"IDAT", isal_zlib.compress(lines, _DEFLATE_LEVEL)), (b"IEND", b"")]
    out = [b"\x89PNG\r\n\x1a\n"]
    for name, data in chunks:
        check = isal_zlib.crc32(data, isal_zlib.crc32(name))
        out += [struct.pack(">I", len(data)), name, data, struct.pack(">I", check)]
    return b"".join(out)
