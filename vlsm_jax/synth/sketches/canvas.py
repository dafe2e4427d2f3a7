"""A canvas: anti-aliased lines, faces and names on a page that may be seen at an angle.

Coordinates are pixels of the page. A view, a projective map, takes them to the picture, so that a page photographed at
an angle has lines and letters as sharp as any other.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from vlsm_jax.synth.sketches.lettering import LINE_HEIGHT, Lettering, offsets, word
from vlsm_jax.synth.sketches.pages import Label
from vlsm_jax.synth.sketches.shapes import Icon

Ink = int | tuple[int, int, int]
"""Grey, or blue, green and red."""

_SHIFT = 4  # Bits behind the point of the coordinates that lines are drawn with.
_BESIDE = (np.array((-6, -5), np.int32), np.array((6, 5), np.int32))
ASCENT = 0.82
"""From the top of a line to its base line, in font sizes."""

_FAINT = 205
"""What lies under a name is rubbed out until it is no darker than this."""


class Canvas:
    """Draws on one page.

    Attributes:
      image: uint8 [H, W] or [H, W, 3].
    """

    def __init__(self, size: tuple[int, int], paper: Ink, view: np.ndarray | None = None):
        width, height = size
        shape = (height, width) if isinstance(paper, int) else (height, width, 3)
        self.image = np.empty(shape, np.uint8)
        self.image[0] = paper
        self.image[1:] = self.image[0]  # Row by row is several times faster than colour by colour.
        self.paper = paper
        self._view = view

    def seen(self, points: np.ndarray) -> np.ndarray:
        """Returns where points [..., 2] of the page are in the picture."""
        if self._view is None:
            return points
        mapped = points @ self._view[:, :2].T + self._view[:, 2]
        return mapped[..., :2] / mapped[..., 2:]

    def fixed(self, points: np.ndarray) -> np.ndarray:
        """Returns points [..., 2] of the page in the coordinates that `lines` and `face` take."""
        return np.rint((self.seen(points) - 0.5) * (1 << _SHIFT)).astype(np.int32)

    def lines(self, paths: Sequence[np.ndarray], ink: Ink, width: int = 1, *, closed: bool = False) -> None:
        """Draws paths of fixed coordinates, each [K, 2]."""
        if not len(paths):
            return
        if width != 2:
            cv2.polylines(self.image, paths, closed, ink, width, cv2.LINE_AA, _SHIFT)
            return
        # Two thin lines beside each other: drawn several times faster than one of two pixels.
        for offset in _BESIDE:
            cv2.polylines(self.image, [path + offset for path in paths], closed, ink, 1, cv2.LINE_AA, _SHIFT)

    def streaks(self, paths: Sequence[np.ndarray], ink: Ink, width: int) -> None:
        """Draws wide faint paths of fixed coordinates, each [K, 2], without smoothing their edges."""
        cv2.polylines(self.image, paths, False, ink, width, cv2.LINE_8, _SHIFT)

    def face(self, path: np.ndarray, ink: Ink) -> None:
        """Fills a polygon of fixed coordinates."""
        cv2.fillPoly(self.image, (path,), ink, cv2.LINE_AA, _SHIFT)

    def icons(self, icons: Sequence[Icon], corners: Sequence[np.ndarray], inks: dict[int, Ink], line: Ink, width: int):
        """Draws icons.

        Args:
          icons: what to draw.
          corners: for each icon its points on the page in fixed coordinates.
          inks: what stands for each tone of a face.
          line: of the edges.
          width: of the edges.
        """
        image = self.image
        for icon, points in zip(icons, corners, strict=True):
            for start, stop, tone, outlined, closed in icon.shapes:
                path = (points[start:stop],)
                if tone >= 0:
                    cv2.fillPoly(image, path, inks[tone], cv2.LINE_8, _SHIFT)
                if outlined:
                    cv2.polylines(image, path, closed, line, width, cv2.LINE_AA, _SHIFT)

    # --- Names --------------------------------------------------------------------------------------------------------

    def text(self, label: Label, lettering: Lettering, table: np.ndarray, drift: Sequence[int] = (0,)) -> None:
        """Writes a name, and rubs out what would be hard to read it on.

        Args:
          label: what to write and where.
          lettering: the hand.
          table: the ink, see `ink_table`.
          drift: how far below its line each word in turn is written, in pixels.
        """
        box = label.box
        left, top = round(box.left), round(box.top)
        if self._view is not None:
            ink = np.zeros((round(box.bottom) - top + 3, round(box.right) - left + 3), np.uint8)
            self._write(label, lettering, drift, left - 1, top - 1, ink)
            self._blot(*self._turned(ink, left - 1, top - 1), table)
            return
        for y, x, picture in self._words(label, lettering, drift):
            self._blot(picture, x, y, table)

    def _words(self, label: Label, lettering: Lettering, drift: Sequence[int]) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yields the place (y, x) of each word of a name and its picture."""
        box, size = label.box, label.font_size
        middle, at = (box.left + box.right) / 2, 0
        for k, line in enumerate(label.lines):
            base = round(box.top + (ASCENT + k * LINE_HEIGHT) * size)
            for text, offset in zip(line, offsets(lettering, line), strict=True):
                ink, left, top = word(lettering, size, text)
                yield base + drift[at % len(drift)] + top, round(middle + offset * size) + left, ink
                at += 1

    def _write(self, label: Label, lettering: Lettering, drift: Sequence[int], left: int, top: int, ink: np.ndarray):
        for y, x, picture in self._words(label, lettering, drift):
            y, x = y - top, x - left
            piece = ink[max(y, 0) : y + picture.shape[0], max(x, 0) : x + picture.shape[1]]
            source = picture[max(-y, 0) :, max(-x, 0) :][: piece.shape[0], : piece.shape[1]]
            np.maximum(piece, source, out=piece)

    def _turned(self, ink: np.ndarray, left: int, top: int) -> tuple[np.ndarray, int, int]:
        """Returns a picture that lies at (left, top) of the page as it is seen, and where it is in the picture.

        Over the size of a name the view is as good as affine.
        """
        height, width = ink.shape
        corners = np.array(
            [(left, top), (left + width, top), (left, top + height), (left + width, top + height)], float
        )
        seen = self.seen(corners).astype(np.float32)
        low = np.floor(seen.min(0))
        high = np.ceil(seen.max(0))
        source = np.array([(0, 0), (width, 0), (0, height)], np.float32) - 0.5
        turn = cv2.getAffineTransform(source, seen[:3] - low - 0.5)
        w, h = (high - low).astype(int).tolist()
        return cv2.warpAffine(ink, turn, (w + 1, h + 1), flags=cv2.INTER_LINEAR), int(low[0]), int(low[1])

    def _blot(self, ink: np.ndarray, x: int, y: int, table: np.ndarray) -> None:
        """Darkens the picture where there is ink; parts beyond the edge are lost."""
        a, b = max(y, 0), max(x, 0)
        region = self.image[a : y + ink.shape[0], b : x + ink.shape[1]]
        if not region.size:
            return
        ink = ink[a - y : a - y + region.shape[0], b - x : b - x + region.shape[1]]
        if region.min() < _FAINT - 25:
            np.maximum(region, _FAINT, out=region)
        np.minimum(region, table[ink], out=region)


@functools.lru_cache(maxsize=256)
def ink_table(ink: Ink) -> np.ndarray:
    """Returns what a white pixel becomes under each amount of ink: uint8 [256] or [256, 3]."""
    amount = np.arange(256)[:, None] / 255
    table = np.rint(255 - amount * (255 - np.atleast_1d(ink))).astype(np.uint8)
    return table[:, 0] if isinstance(ink, int) else table


def corners_of(icons: Sequence[Icon], boxes: Sequence[tuple[float, float, float, float]]) -> np.ndarray:
    """Returns the points of all icons on the page, one after the other [P, 2]; each fills the width of its box."""
    sizes = [len(icon.points) for icon in icons]
    at = np.array(boxes)
    scale = (at[:, 2] - at[:, 0]) / np.array([icon.width for icon in icons])
    middle = (at[:, :2] + at[:, 2:]) / 2
    every = np.concatenate([icon.points for icon in icons])
    return every * np.repeat(scale, sizes)[:, None] + np.repeat(middle, sizes, 0)


def parted(points: np.ndarray, icons: Sequence[Icon]) -> list[np.ndarray]:
    """Returns the points [P, 2] of all icons as one array per icon."""
    out, start = [], 0
    for icon in icons:
        stop = start + len(icon.points)
        out.append(points[start:stop])
        start = stop
    return out
