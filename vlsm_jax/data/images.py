"""Sketches from disk to the square an encoder sees.

A factory sketch is wide (3:2 to 3:1) and its Source and Sink sit at the two ends. The stock CLIP processor resizes the
short side and crops the middle, which cuts both off; the default here pads to a square instead.
"""

from __future__ import annotations

import contextlib
import enum
import io
import os
import stat
import struct
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

# CLIP's mean colour as 8-bit values: padding with it is zero after normalisation (transformers' LlavaImageProcessor
# pads with the same grey).
PAD_COLOUR = (122, 116, 104)

# Bytes of one picture's file. A scan or a photo takes 1 to 15 MB; what is larger is a mistake that stalls a worker.
LARGEST_FILE = 32 * 2**20

# File suffixes of the formats that Pillow names.
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "MPO": ".jpg", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}


class Fit(enum.Enum):
    """How a picture of any shape becomes a square."""

    PAD = "pad"  # letter-box: the whole picture, centred, on grey
    SQUASH = "squash"  # resize both sides, changing the aspect ratio
    CROP = "crop"  # the paper's code: short side to size, then the centre; loses the ends of a wide sketch


class ImageError(ValueError):
    """A picture that is missing, unreadable or unreasonable; the message names the file."""


class _Fitting(NamedTuple):
    """How a picture becomes a square: laid on a canvas, resized, and cut; widths and heights, in pixels.

    Attributes:
      canvas: of what is resized. corner: where the picture's upper left corner lies on it.
      resized: what it becomes. cut: the upper left corner of the square in that.
    """

    canvas: tuple[int, int]
    corner: tuple[int, int]
    resized: tuple[int, int]
    cut: tuple[int, int]


def _fitting(picture: tuple[int, int], size: int, fit: Fit) -> _Fitting:
    if fit is Fit.PAD:
        side = max(picture)
        return _Fitting((side, side), ((side - picture[0]) // 2, (side - picture[1]) // 2), (size, size), (0, 0))
    if fit is Fit.SQUASH:
        return _Fitting(picture, (0, 0), (size, size), (0, 0))
    # The longer side is cut to whole pixels, not rounded, as in CLIP's own preprocessing.
    wide, high = (int(size * side / min(picture)) for side in picture)
    return _Fitting(picture, (0, 0), (wide, high), ((wide - size) // 2, (high - size) // 2))


def fit_image(image: Image.Image, size: int, fit: Fit = Fit.PAD) -> np.ndarray:
    """Returns `image` as uint8 RGB [size, size, 3]."""
    image = image.convert("RGB")
    made = _fitting(image.size, size, fit)
    if made.canvas != image.size:
        canvas = Image.new("RGB", made.canvas, PAD_COLOUR)
        canvas.paste(image, made.corner)
        image = canvas
    image = image.resize(made.resized, Image.Resampling.BICUBIC)
    left, top = made.cut
    return np.asarray(image.crop((left, top, left + size, top + size)), dtype=np.uint8)


def fitted(points: np.ndarray, picture: tuple[int, int], size: int, fit: Fit = Fit.PAD) -> np.ndarray:
    """Returns where points [N, 2], (x, y) in a picture of (width, height), are in the square made by `fit_image`."""
    made = _fitting((picture[0], picture[1]), size, fit)
    return (points + np.array(made.corner)) * (np.array(made.resized) / made.canvas) - np.array(made.cut)


def load_image(
    source: str | os.PathLike | bytes,
    size: int,
    fit: Fit = Fit.PAD,
    change: Callable[[Image.Image], Image.Image] | None = None,
) -> np.ndarray:
    """Reads a picture, by its path or from the bytes of its file, and returns it as uint8 RGB [size, size, 3].

    `change` is applied before it becomes a square.

    Raises:
      ImageError: the file is missing, is not a picture, is truncated, is larger than `LARGEST_FILE`, or unpacks to an
        unreasonable number of pixels.
    """
    with opened(source) as image:
        return fit_image(image if change is None else change(image), size, fit)


def find_picture_file(path: str | os.PathLike) -> int:
    """Returns the bytes of a picture's file, unread.

    Raises:
      ImageError: it is missing, is no plain file (a pipe would be waited for without end), or is too large.
    """
    name = os.fspath(path)
    try:
        found = os.stat(name)  # noqa: PTH116  (for every row read)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError(f"no image at {name}") from error
    except (OSError, ValueError) as error:  # not permitted; or a name that no file can have
        raise ImageError(f"{name} cannot be read: {error}") from error
    if not stat.S_ISREG(found.st_mode):
        raise ImageError(f"{name} is not a file")
    _check_size(found.st_size, name)
    return found.st_size


def read_picture(source: str | os.PathLike | bytes) -> bytes:
    """Returns the bytes of a picture's file.

    Raises:
      ImageError: see `find_picture_file`.
    """
    if isinstance(source, bytes):
        _check_size(len(source), "the picture")
        return source
    find_picture_file(source)
    try:
        with open(source, "rb", buffering=0) as file:
            return file.read()
    except OSError as error:
        raise ImageError(f"{os.fspath(source)} cannot be read: {error}") from error


def check_picture(source: str | os.PathLike | bytes, data: bytes | None = None) -> str:
    """Looks at a picture without unpacking it, where its format allows, and returns the suffix of its format.

    A PNG's checksums are compared and a JPEG's end is looked for; what is rarer is unpacked. `data` is what
    `read_picture` returned for it, if that was called.

    Raises:
      ImageError: what `load_image` raises.
    """
    name = "the picture" if isinstance(source, bytes) else os.fspath(source)
    data = read_picture(source) if data is None else data
    with opened(data, name) as image:
        kind = image.format or ""
        if kind == "PNG":
            image.verify()
        elif kind in ("JPEG", "MPO"):
            # Open has read up to the pixels. An earlier end would be that of a thumbnail.
            if data.find(b"\xff\xd9", image.fp.tell()) < 0:
                raise OSError("image file is truncated")
        else:
            image.load()
    return SUFFIXES.get(kind, f".{kind.lower()}")


def _check_size(size: int, name: str) -> None:
    if size > LARGEST_FILE:
        raise ImageError(
            f"{name} is refused: {size / 1e6:.1f} MB, over the limit of {LARGEST_FILE / 1e6:.0f} MB for one picture; "
            "save it smaller"
        )


@contextlib.contextmanager
def opened(source: str | os.PathLike | bytes, name: str = "the picture") -> Iterator[Image.Image]:
    """Opens a picture; what fails inside of the block, while its pixels are unpacked, is an `ImageError` too.

    Args:
      source: its file's path or bytes.
      name: of the picture for messages, where `source` is bytes.

    Raises:
      ImageError: what `load_image` raises.
    """
    if isinstance(source, bytes):
        _check_size(len(source), name)
        file: str | io.BytesIO = io.BytesIO(source)
    else:
        name = file = os.fspath(source)
        find_picture_file(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                yield image
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not a picture that can be read; PNG and JPEG are") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name} is refused: {error}") from error
    except (OSError, SyntaxError, ValueError, struct.error) as error:  # Pillow's errors for torn and broken files
        raise ImageError(f"{name} cannot be read: {error}") from error
