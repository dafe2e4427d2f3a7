"""Lettering: three fonts, the pictures of words in them, and names broken into lines.

Words recur from sketch to sketch, so their pictures are kept; a cache changes how fast a page is written, not what is
on it.
"""

from __future__ import annotations

import enum
import functools
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import ImageFont

LINE_HEIGHT = 1.16
"""From line to line, in font sizes."""

_FINER = 4
"""Letters are drawn this many times larger and reduced: hinting would bend small letters of a hand out of shape."""

MOST_LINES = 3

_PARTS = re.compile(r"[^\s-]+-(?=\S)|\S+\s+\d+\s*$|\S+\s*")
"""What is kept on one line: the first half of a word up to a hyphen, the last word with its number, or a word."""


class Lettering(enum.Enum):
    """A hand, by the name of its font; all fonts are under the SIL Open Font License."""

    PEN = "Kalam"
    MARKER = "Delius"
    STENCIL = "ShareTech"

    # The hash of an enum is computed anew in Python at each look-up; caches need no more than who it is.
    __hash__ = object.__hash__


class Word(NamedTuple):
    """The picture of a word.

    Attributes:
      ink: uint8 [h, w], 255 where the pen was.
      left, top: from where the pen starts on the base line to the picture's upper left corner.
    """

    ink: np.ndarray
    left: int
    top: int


@functools.lru_cache(maxsize=256)
def font(lettering: Lettering, size: int) -> ImageFont.FreeTypeFont:
    """Returns a font of `size` pixels; basic layout, since the letters must not depend on what else is installed."""
    path = Path(__file__).parent / "fonts" / f"{lettering.value}.ttf"
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


@functools.lru_cache(maxsize=64)
def _fallback(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


@functools.lru_cache(maxsize=1 << 12)
def _outline(lettering: Lettering, size: int, letter: str, own: bool) -> Word:
    """Returns a letter of the font, or with `own` false of Pillow's, `_FINER` times as large as on the page."""
    face = font(lettering, size * _FINER) if own else _fallback(size * _FINER)
    mask, (left, top) = face.getmask2(letter, "L", anchor="ls")
    width, height = mask.size
    return Word(np.array(mask, np.uint8).reshape(height, width), left, top)


@functools.lru_cache(maxsize=1 << 14)
def _letter(lettering: Lettering, size: int, letter: str, own: bool, aside: int) -> Word:
    """Returns a letter as it looks where its pen starts a few parts of a pixel, of which there are `_FINER`, aside."""
    ink, left, top = _outline(lettering, size, letter, own)
    height, width = ink.shape
    (column, before), (row, above) = divmod(left + aside, _FINER), divmod(top, _FINER)
    extent = -(-(before + width) // _FINER), -(-(above + height) // _FINER)
    large = np.zeros((extent[1] * _FINER, extent[0] * _FINER), np.uint8)
    large[above : above + height, before : before + width] = ink
    return Word(cv2.resize(large, extent, interpolation=cv2.INTER_AREA) if ink.size else ink, column, row)


@functools.lru_cache(maxsize=1 << 15)
def word(lettering: Lettering, size: int, text: str) -> Word:
    """Returns the picture of a word; letters that the font lacks make the whole word come from Pillow's own font."""
    own = text.isascii()
    # Put together from letters, which recur far more often than words; the fonts have no pairs to be kerned.
    at, placed = 0.0, []
    for letter in text:
        column, aside = divmod(round(at * size * _FINER), _FINER)
        ink, left, top = _letter(lettering, size, letter, own, aside)
        height, width = ink.shape
        if height and width:
            left += column
            placed.append((top, left, top + height, left + width, ink))
        at += _step(lettering, letter, own)
    if not placed:
        return Word(np.zeros((0, 0), np.uint8), 0, 0)
    tops, lefts, bottoms, rights, _ = zip(*placed, strict=True)
    top, left = min(tops), min(lefts)
    ink = np.zeros((max(bottoms) - top, max(rights) - left), np.uint8)
    for y, x, bottom, right, letter_ink in placed:
        part = ink[y - top : bottom - top, x - left : right - left]
        cv2.add(part, letter_ink, part)  # two letters may share a pixel, each a part of it
    ink = cv2.LUT(ink, _STRONGER)
    ink.flags.writeable = False
    return Word(ink, left, top)


_STRONGER = np.rint(255 * (np.arange(256) / 255) ** 0.72).astype(np.uint8)
"""A pen leaves more ink on a thin stroke than its width says."""


@functools.cache
def x_height(lettering: Lettering) -> float:
    """Returns the height of a lower-case x above the base line, in font sizes."""
    _, top, _, _ = font(lettering, 1000).getbbox("x", anchor="ls")
    return -top / 1000


@functools.lru_cache(maxsize=1 << 12)
def _step(lettering: Lettering, letter: str, own: bool) -> float:
    """Returns how far the pen moves over a letter, in font sizes."""
    face = font(lettering, _MEASURED) if own else _fallback(_MEASURED)
    return face.getlength(letter) / _MEASURED


@functools.lru_cache(maxsize=1 << 15)
def advance(lettering: Lettering, text: str) -> float:
    """Returns how far the pen moves over a word, in font sizes."""
    own = text.isascii()
    return sum([_step(lettering, letter, own) for letter in text])


_MEASURED = 200
BLANK = 0.26
"""Between words, in font sizes."""


def line_width(lettering: Lettering, words: Sequence[str]) -> float:
    """Returns how wide a line of words is, in font sizes."""
    return sum([advance(lettering, word) for word in words]) + BLANK * (len(words) - 1)


@functools.lru_cache(maxsize=1 << 15)
def offsets(lettering: Lettering, line: tuple[str, ...]) -> tuple[float, ...]:
    """Returns where each word of a line starts, counted from the middle of the line, in font sizes."""
    at = -line_width(lettering, line) / 2
    out = []
    for text in line:
        out.append(at)
        at += advance(lettering, text) + BLANK
    return tuple(out)


class Wrapped(NamedTuple):
    """A text in lines of words, and the width of the longest line in font sizes."""

    lines: tuple[tuple[str, ...], ...]
    width: float


@functools.lru_cache(maxsize=1 << 15)
def wraps(lettering: Lettering, text: str) -> tuple[Wrapped, ...]:
    """Returns a text in one line, in at most two and in at most three, each as narrow as can be."""
    parts = _PARTS.findall(text.strip())
    if not parts:
        return (Wrapped((), 0.0),) * MOST_LINES
    out: list[Wrapped] = []
    for count in range(1, MOST_LINES + 1):
        if count == MOST_LINES and len(parts) < MOST_LINES:
            parts = [part + " " for part in text.split()]  # The number may stand on a line of its own.
        # There are more ways to break a long text than are worth trying: its end stays together.
        parts = [*parts[:8], "".join(parts[8:])] if len(parts) > 8 else parts
        best = out[-1] if out else None
        for cuts in itertools.combinations(range(1, len(parts)), count - 1):
            bounds = (0, *cuts, len(parts))
            lines = tuple(tuple("".join(parts[a:b]).split()) for a, b in itertools.pairwise(bounds))
            width = max(line_width(lettering, line) for line in lines)
            if best is None or width < best.width - 0.05:
                best = Wrapped(lines, width)
        assert best is not None
        out.append(best)
    return tuple(out)
