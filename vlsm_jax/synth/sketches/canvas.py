"""A canvas: anti-aliased lines, faces and names on a page that may be seen at an angle.

Coordinates are pixels of the page. A view, a projective map, takes them to the picture, so that a page photographed at
an angle has lines and letters as sharp as any other.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

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

_FAINT = (205,) * 4
"""What lies under a name is rubbed out until it is no darker than this."""

_CORNERS = np.array([(0, 0), (1, 0), (0, 1), (1, 1)])


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

    def lines(
        self, paths: Sequence[np.ndarray] | np.ndarray, ink: Ink, width: int = 1, *, closed: bool = False
    ) -> None:
        """Draws paths of fixed coordinates: [P, K, 2], or each [K, 2], which takes longer where lines are wide."""
        if not len(paths):
            return
        if width != 2:
            cv2.polylines(self.image, paths, closed, ink, width, cv2.LINE_AA, _SHIFT)
            return
        # Two thin lines beside each other: drawn several times faster than one of two pixels.
        for offset in _BESIDE:
            beside = paths + offset if isinstance(paths, np.ndarray) else [path + offset for path in paths]
            cv2.polylines(self.image, beside, closed, ink, 1, cv2.LINE_AA, _SHIFT)

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

    def text(
        self, labels: Sequence[Label], lettering: Lettering, table: np.ndarray, drift: Sequence[int] = (0,)
    ) -> None:
        """Writes names, and rubs out what would be hard to read them on.

        Args:
          labels: what to write and where.
          lettering: the hand.
          table: the ink, see `ink_table`.
          drift: how far below its line each word of a name in turn is written, in pixels.
        """
        if self._view is None:
            for label in labels:
                for y, x, ink in _words(label, lettering, drift):
                    self._blot(ink, x, y, table)
        elif labels:
            self._write_turned(labels, lettering, table, drift)

    def stamp(self, picture: np.ndarray, left: int, top: int) -> None:
        """Darkens the page by a grey picture [h, w], whose upper left corner is a whole pixel of the page."""
        if self._view is not None:
            height, width = picture.shape
            corners = self.seen(np.array((left, top)) + _CORNERS * (width, height))
            low = np.floor(corners.min(0))
            turn = _turns(corners[None], low[None], np.array([(width, height)]))[0]
            extent = (np.ceil(corners.max(0)) - low + 1).astype(int).tolist()
            picture = cv2.warpAffine(picture, turn, extent, flags=cv2.INTER_LINEAR, borderValue=255)
            left, top = low.astype(int).tolist()
        region = self.image[max(top, 0) : top + picture.shape[0], max(left, 0) : left + picture.shape[1]]
        picture = picture[max(-top, 0) :, max(-left, 0) :][: region.shape[0], : region.shape[1]]
        np.minimum(region, picture, out=region)

    def _write_turned(
        self, labels: Sequence[Label], lettering: Lettering, table: np.ndarray, drift: Sequence[int]
    ) -> None:
        """Writes names as they are seen: over the size of a name the view is as good as affine."""
        boxes = np.array([label.box for label in labels])
        starts = np.floor(boxes[:, :2]) - 1
        sizes = np.ceil(boxes[:, 2:]) + 2 - starts
        corners = self.seen(starts[:, None] + sizes[:, None] * _CORNERS)  # [L, 4, 2]
        lows = np.floor(corners.min(1))
        places = lows.astype(int).tolist()
        extents = (np.ceil(corners.max(1)) - lows + 1).astype(int).tolist()
        turns = _turns(corners, lows, sizes)
        for label, (left, top), (width, height), (x, y), extent, turn in zip(
            labels, starts.astype(int).tolist(), sizes.astype(int).tolist(), places, extents, turns, strict=True
        ):
            ink = np.zeros((height, width), np.uint8)
            for row, column, picture in _words(label, lettering, drift):
                row, column = row - top, column - left
                piece = ink[max(row, 0) : row + picture.shape[0], max(column, 0) : column + picture.shape[1]]
                if piece.shape != picture.shape:
                    picture = picture[max(-row, 0) :, max(-column, 0) :][: piece.shape[0], : piece.shape[1]]
                np.maximum(piece, picture, out=piece)
            self._blot(cv2.warpAffine(ink, turn, extent, flags=cv2.INTER_LINEAR), x, y, table)

    def _blot(self, ink: np.ndarray, x: int, y: int, table: np.ndarray) -> None:
        """Darkens the picture where there is ink; parts beyond the edge are lost."""
        a, b = max(y, 0), max(x, 0)
        region = self.image[a : y + ink.shape[0], b : x + ink.shape[1]]
        if not region.size:
            return
        if region.shape[:2] != ink.shape:
            ink = ink[a - y : a - y + region.shape[0], b - x : b - x + region.shape[1]]
        if region.shape[:2] == (1, 1):  # OpenCV would take a single pixel for a number.
            region[:] = np.minimum(np.maximum(region, _FAINT[0]), table[ink[0, 0]])
            return
        # OpenCV, as on so few pixels NumPy takes longer to begin than to compute.
        cv2.max(region, _FAINT, region)
        cv2.min(region, cv2.LUT(ink, table) if table.ndim == 1 else cv2.applyColorMap(ink, table), region)


@functools.lru_cache(maxsize=1 << 14)
def _placed(lettering: Lettering, size: int, lines: tuple[tuple[str, ...], ...]) -> tuple[tuple, ...]:
    """Returns for each word of a name its place (y, x), from the top and the middle of the name, and its picture."""
    out = []
    for k, line in enumerate(lines):
        base = round((ASCENT + k * LINE_HEIGHT) * size)
        for text, offset in zip(line, offsets(lettering, line), strict=True):
            ink, left, top = word(lettering, size, text)
            out.append((base + top, round(offset * size) + left, ink))
    return tuple(out)


def _words(label: Label, lettering: Lettering, drift: Sequence[int]) -> list[tuple[int, int, np.ndarray]]:
    """Returns the place (y, x) of each word of a name on the page and its picture."""
    left, top, right, _ = label.box
    y, x = round(top), round((left + right) / 2)
    placed = _placed(lettering, label.font_size, label.lines)
    return [
        (y + row + down, x + column, ink)
        for (row, column, ink), down in zip(placed, itertools.cycle(drift), strict=False)
    ]


def _turns(corners: np.ndarray, lows: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Returns the affine maps [L, 2, 3] of pictures of `sizes` [L, 2] whose corners are seen at [L, 4, 2].

    Columns: what a step to the right and a step down on the page become, and where the first pixel's middle lies,
    counted from `lows` [L, 2].
    """
    turns = np.empty((len(sizes), 2, 3))
    turns[:, :, :2] = np.swapaxes((corners[:, 1:3] - corners[:, :1]) / sizes[:, :, None], 1, 2)
    turns[:, :, 2] = corners[:, 0] - lows - 0.5 + 0.5 * (turns[:, :, 0] + turns[:, :, 1])
    return turns


@functools.lru_cache(maxsize=256)
def ink_table(ink: Ink) -> np.ndarray:
    """Returns what a white pixel becomes under each amount of ink: uint8 [256] or [256, 1, 3]."""
    amount = np.arange(256)[:, None] / 255
    table = np.rint(255 - amount * (255 - np.atleast_1d(ink))).astype(np.uint8)
    return table[:, 0] if isinstance(ink, int) else table[:, None]


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
