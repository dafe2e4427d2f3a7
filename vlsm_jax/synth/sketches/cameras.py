"""Cameras: how a page comes to be a picture. A scan shows it as it is; a photograph has perspective, light and noise.

Which imperfections a photograph has is drawn. All of it leaves names legible: a page keeps nine tenths of its size, a
shadow takes a third of the light at most, and blur stays below a pixel.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from vlsm_jax.synth.dice import Dice
from vlsm_jax.synth.sketches.geometry import Box

_FIELD = (12, 18)  # Rows and columns of the light before it is spread over the picture.
_DOWN, _ACROSS = np.mgrid[-1 : 1 : _FIELD[0] * 1j, -1 : 1 : _FIELD[1] * 1j]
_FROM_MIDDLE = (_ACROSS**2 + _DOWN**2) / 2
_NOISE = 640  # Side of the tile of noise from which pictures take a part.


class Camera(NamedTuple):
    """One photograph.

    Attributes:
      view: [3, 3], from the page to the picture; None when it is seen straight.
      light: uint8 [rows, columns], 255 where all light arrives.
      noise: strength of the sensor's noise, one of three levels; -1 for none.
      at: where in the tile of noise.
      blur: standard deviation in pixels, 0 for none.
      cast: light by red, green and blue, 1 for neutral.
      desk: grey of what lies around the page.
    """

    view: np.ndarray | None
    light: np.ndarray
    noise: int
    at: tuple[int, int]
    blur: float
    cast: tuple[float, float, float]
    desk: int


def draw_camera(rng: np.random.Generator, size: tuple[int, int], *, glare: bool = False) -> Camera:
    """Returns a camera for pages of `size` (width, height); `glare` lights a spot and dims the rest."""
    dice = Dice(rng)
    view = _view(dice, size) if dice.chance(0.75) else None
    v, u = _DOWN, _ACROSS
    light = np.ones(_FIELD)
    if dice.chance(0.6):  # Vignette: darker towards the corners.
        light -= dice.between(0.06, 0.2) * _FROM_MIDDLE
    if dice.chance(0.5):  # The shadow of a hand, a head or a phone: a soft edge across the page.
        angle, soft = dice.between(0, 2 * math.pi), dice.between(0.08, 0.4)
        edge = u * (math.cos(angle) / soft) + v * (math.sin(angle) / soft) - dice.between(-0.5, 0.7) / soft
        light *= 1 - dice.between(0.08, 0.26) / (1 + np.exp(np.minimum(-edge, 30)))
    if glare:
        spot = ((u - dice.between(-0.9, 0.9)) / 0.5) ** 2 + ((v - dice.between(-0.9, 0.4)) / 0.7) ** 2
        light *= 0.86 + 0.14 * np.exp(-spot)
    light *= 255 * dice.between(0.93, 1.0) / light.max()  # The camera's own exposure makes up for most of it.
    warm = float(rng.normal(0, 0.035)) if dice.chance(0.8) else 0.0
    cast = (min(1 + warm, 1.0), 1.0 - 0.3 * abs(warm), min(1 - warm, 1.0))
    blur = dice.between(0.35, 0.6) if dice.chance(0.4) else 0.0
    at = dice.whole(0, (1 << 16) - 1), dice.whole(0, (1 << 16) - 1)
    return Camera(view, np.rint(light).astype(np.uint8), dice.whole(-1, 2), at, blur, cast, dice.whole(90, 189))


def _view(dice: Dice, size: tuple[int, int]) -> np.ndarray:
    """Returns a projective map that moves each corner of the page inwards by up to a twentieth."""
    width, height = size
    corners = [(0, 0), (width, 0), (width, height), (0, height)]
    moved = [
        (
            x + (dice.between(0, 0.05) * (width if x == 0 else -width)),
            y + dice.between(0, 0.05) * (height if y == 0 else -height),
        )
        for x, y in corners
    ]
    return cv2.getPerspectiveTransform(np.array(corners, np.float32), np.array(moved, np.float32))


def letter_scales(view: np.ndarray | None, boxes: Sequence[Box]) -> np.ndarray:
    """Returns how much higher letters in boxes [N] of the page are in the picture: |d(view)/dy| at their middles."""
    if view is None:
        return np.ones(len(boxes))
    sides = np.array(boxes)
    mapped = (sides[:, :2] + sides[:, 2:]) / 2 @ view[:, :2].T + view[:, 2]
    w = mapped[:, 2:]
    slope = (view[:2, 1] - mapped[:, :2] * (view[2, 1] / w)) / w
    return np.hypot(slope[:, 0], slope[:, 1])


@functools.lru_cache(maxsize=3)
def _noise(level: int) -> np.ndarray:
    """Returns how much light the sensor misses, uint8 [side, side]: a tile made once, from a fixed seed."""
    rng = np.random.default_rng(20_000 + level)
    amount = rng.normal(0, (2.0, 3.5, 5.0)[level], (_NOISE, _NOISE)) + (4, 6, 8)[level]
    tile = np.clip(np.rint(amount), 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(tile, (3, 3), 0.6)


@functools.lru_cache(maxsize=3)
def _colour_noise(level: int) -> np.ndarray:
    """Returns `_noise` [side, side, 3], alike in all channels."""
    return cv2.merge([_noise(level)] * 3)


def expose(camera: Camera, image: np.ndarray) -> np.ndarray:
    """Returns a page as the camera takes it.

    Args:
      camera: which.
      image: uint8, grey [H, W], which is left without the cast, or blue, green and red [H, W, 3].
    """
    height, width = image.shape[:2]
    light, noise = camera.light, _noise
    if image.ndim == 3:
        light = np.rint(light[..., None] * np.array(camera.cast[::-1])).astype(np.uint8)
        noise = _colour_noise
    light = cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)
    if camera.noise >= 0:
        tile = noise(camera.noise)
        rows, columns = min(height, _NOISE), min(width, _NOISE)
        y, x = camera.at[0] % (_NOISE - rows + 1), camera.at[1] % (_NOISE - columns + 1)
        part = tile[y : y + rows, x : x + columns]
        if (rows, columns) != (height, width):
            part = cv2.copyMakeBorder(part, 0, height - rows, 0, width - columns, cv2.BORDER_WRAP)
        light = cv2.subtract(light, part)
    if camera.blur:
        image = cv2.GaussianBlur(image, (3, 3), camera.blur)
    return cv2.multiply(image, light, scale=1 / 255)
