"""Small changes to a sketch, as paper, pen and camera make them; what it says stays legible, and it is never mirrored.

The strength 1 stands for: turned by up to 2 degrees, corners moved by up to 2 % of the sides (the whole picture stays
in sight), brightness and contrast changed by up to 15 %, noise of up to 6 of 255 levels, and JPEG of quality 60 to 95
for every other picture. All of it is drawn from the generator that is passed in.
"""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

TURN = 2.0  # degrees
SHIFT = 0.02  # of a side
LIGHT = 0.15
NOISE = 6.0  # levels
JPEG_SHARE = 0.5
JPEG_QUALITY = (60, 95)


def augment(image: Image.Image, rng: np.random.Generator, strength: float = 1.0) -> Image.Image:
    """Returns a changed copy of `image`, RGB and of the same size.

    Args:
      image: of any mode.
      rng: decides the changes; the same state gives the same picture.
      strength: 0 changes nothing, 1 as in the module docstring, others in proportion.
    """
    if strength <= 0:
        return image.convert("RGB")
    image = _moved(image.convert("RGB"), rng, strength)
    pixels = _lit(np.asarray(image), rng, strength)
    image = Image.fromarray(_noisy(pixels, rng, strength))
    if rng.random() < JPEG_SHARE:
        worst, best = JPEG_QUALITY
        quality = round(best - min(1.0, strength) * rng.random() * (best - worst))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        image = Image.open(buffer).convert("RGB")
    return image


def _moved(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Turns and tilts; what comes into sight behind the edges has the colour of the border."""
    width, height = image.size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    angle = math.radians(strength * rng.uniform(-TURN, TURN))
    turn = np.array([(math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))])
    centre = np.array([width / 2, height / 2])
    moved = (corners - centre) @ turn.T + strength * rng.uniform(-SHIFT, SHIFT, (4, 2)) * (width, height)
    # Made smaller until all of it is in sight: a Source or Sink at the end of a line must not leave the picture.
    moved /= max(1.0, (np.abs(moved) / np.maximum(centre, 1)).max())
    border = np.asarray(image)[[0, -1]].reshape(-1, 3)
    return image.transform(
        image.size,
        Image.Transform.PERSPECTIVE,
        _projection(moved + centre, corners),
        Image.Resampling.BILINEAR,
        fillcolor=tuple(int(level) for level in np.median(border, axis=0)),
    )


def _projection(source: np.ndarray, target: np.ndarray) -> list[float]:
    """Returns a, ..., h of x' = (ax + by + c) / (gx + hy + 1), y' = (dx + ey + f) / (...), `source` to `target`."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        values += [u, v]
    return np.linalg.solve(np.array(rows), np.array(values)).tolist()


def _lit(pixels: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    brightness, contrast = 1 + strength * rng.uniform(-LIGHT, LIGHT, 2)
    levels = np.arange(256)
    mean = float(pixels[::8, ::8].mean())
    table = ((levels - mean) * contrast + mean) * brightness
    return np.clip(np.rint(table), 0, 255).astype(np.uint8)[pixels]


def _noisy(pixels: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    most = min(127.0, strength * NOISE) * rng.random()
    noise = np.rint(np.linspace(-most, most, 256)).astype(np.int16)  # looked up: several times as fast as a bell
    return np.clip(pixels + noise[rng.integers(0, 256, pixels.shape, np.uint8)], 0, 255).astype(np.uint8)
