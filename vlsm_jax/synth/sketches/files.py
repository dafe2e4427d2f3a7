"""Sketches as files."""

from __future__ import annotations

import io
import zlib

import cv2
from PIL import Image

from vlsm_jax.synth.sketches.painting import LEVELS, Sketch

JPEG_QUALITY = 85


def encode_image(sketch: Sketch) -> tuple[bytes, str]:
    """Returns a sketch as the bytes of a file and the suffix of its name, "png" or "jpg".

    A scan is written without loss, one of few colours with a palette; a photograph as JPEG. The same sketch gives the
    same bytes.
    """
    if sketch.palette is not None:
        image = Image.fromarray(sketch.pixels)
        image.putpalette(sketch.palette.tobytes())
        buffer = io.BytesIO()
        # Of plain paper and thin lines, runs are all there is to find.
        image.save(
            buffer, "PNG", compress_level=2, compress_type=zlib.Z_RLE, bits=4 if len(sketch.palette) <= LEVELS else 8
        )
        return buffer.getvalue(), "png"
    if sketch.photograph:
        return cv2.imencode(".jpg", sketch.pixels, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes(), "jpg"
    # Lines on a plain page are smallest, and by far fastest, without a filter.
    options = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE)
    return cv2.imencode(".png", sketch.pixels, options)[1].tobytes(), "png"
