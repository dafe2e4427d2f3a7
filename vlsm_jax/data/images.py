"""Sketches from disk to the square an encoder sees.

A factory sketch is wide (3:2 to 3:1) and its Source and Sink sit at the two ends. The stock CLIP processor resizes the
short side and crops the middle, which cuts both off; the default here pads to a square instead.
"""

from __future__ import annotations

import enum
import os
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

# CLIP's mean colour as 8-bit values: padding with it is zero after normalisation (transformers' LlavaImageProcessor
# pads with the same grey).
PAD_COLOUR = (122, 116, 104)


class Fit(enum.Enum):
    """How a picture of any shape becomes a square."""

    PAD = "pad"  # letter-box: the whole picture, centred, on grey
    SQUASH = "squash"  # resize both sides, changing the aspect ratio
    CROP = "crop"  # the paper's code: short side to size, then the centre; loses the ends of a wide sketch


class ImageError(ValueError):
    """A picture that is missing, unreadable or unreasonable; the message names the file."""


def fit_image(image: Image.Image, size: int, fit: Fit = Fit.PAD) -> np.ndarray:
    """Returns `image` as uint8 RGB [size, size, 3]."""
    image = image.convert("RGB")
    width, height = image.size
    if fit is Fit.PAD:
        side = max(width, height)
        if width != height:
            square = Image.new("RGB", (side, side), PAD_COLOUR)
            square.paste(image, ((side - width) // 2, (side - height) // 2))
            image = square
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    elif fit is Fit.SQUASH:
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    else:
        scale = size / min(width, height)
        wide = (max(size, round(width * scale)), max(size, round(height * scale)))
        image = image.resize(wide, Image.Resampling.BICUBIC)
        left, top = (wide[0] - size) // 2, (wide[1] - size) // 2
        image = image.crop((left, top, left + size, top + size))
    return np.asarray(image, dtype=np.uint8)


def load_image(path: str | os.PathLike, size: int, fit: Fit = Fit.PAD) -> np.ndarray:
    """Reads a picture and returns it as uint8 RGB [size, size, 3].

    Raises:
      ImageError: the file is missing, is not a picture, is truncated, or unpacks to an unreasonable number of pixels.
    """
    path = os.fspath(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return fit_image(image, size, fit)
    except FileNotFoundError as error:
        raise ImageError(f"no image at {path}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path} is not a picture that can be read; PNG and JPEG are") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{path} is refused: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's errors for truncated and broken files
        raise ImageError(f"{path} cannot be read: {error}") from error
