"""Strokes of a hand: lines that tremble, dashes, and arrow heads, as points on the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_LEAST_HEAD = 4.0
"""Of an arrow, in pixels, however short its line is."""


class _Rope(NamedTuple):
    """Paths laid end to end, with a gap between each and the next, so that one look-up finds points on all of them.

    Attributes:
      points: [N, 2], those of all paths.
      along: [N], how far along the rope they are.
      starts, lengths: [P], where each path begins and how long it is.
    """

    points: np.ndarray
    along: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, paths: Sequence[np.ndarray]) -> _Rope:
        """Returns the rope of some paths."""
        points = np.concatenate(paths)
        ends = np.array(list(map(len, paths))).cumsum()
        leaps = np.zeros(len(points))
        delta = points[1:] - points[:-1]
        np.hypot(delta[:, 0], delta[:, 1], out=leaps[1:])
        leaps[ends[:-1]] = 1.0
        along = leaps.cumsum()
        starts = np.zeros(len(paths))
        starts[1:] = along[ends[:-1]]
        return cls(points, along, starts, along[ends - 1] - starts)

    def at(self, places: np.ndarray) -> np.ndarray:
        """Returns the points [..., 2] at places [...] along the rope."""
        out = np.empty((*places.shape, 2))
        out[..., 0] = np.interp(places, self.along, self.points[:, 0])
        out[..., 1] = np.interp(places, self.along, self.points[:, 1])
        return out


def trembling(paths: Sequence[np.ndarray], rng: np.random.Generator, shake: float, step: float = 15.0) -> np.ndarray:
    """Returns paths [P, K, 2] drawn by a hand: each of as many points as the longest needs about every `step` pixels.

    Points are moved by `shake` pixels (standard deviation), less where they are closer than `step`.
    """
    if not len(paths):
        return np.zeros((0, 2, 2))
    rope = _Rope.of(paths)
    pieces = np.maximum(np.rint(rope.lengths / step), 1)[:, None]
    at = np.minimum(np.arange(int(pieces.max()) + 1), pieces)  # [P, K], the last point again and again.
    out = rope.at(rope.starts[:, None] + at * (rope.lengths[:, None] / pieces))
    moved = rng.normal(0, shake, out.shape)
    return out + moved[np.arange(len(at))[:, None], at.astype(int)]


def dashes(paths: Sequence[np.ndarray], length: float = 4.5) -> np.ndarray:
    """Returns the dashes [D, 2, 2] of all paths, as long as the gaps between them."""
    if not len(paths):
        return np.zeros((0, 2, 2))
    rope = _Rope.of(paths)
    pieces = np.maximum(np.rint(rope.lengths / length), 1)
    counts = ((pieces + 1) // 2).astype(int)
    path = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(path)) - np.repeat(np.cumsum(counts) - counts, counts)
    piece = (rope.lengths / pieces)[path]
    begins = rope.starts[path] + 2 * within * piece
    return rope.at(np.stack([begins, begins + piece], 1))


def heads(paths: Sequence[np.ndarray], length: float, spread: float = 0.42) -> np.ndarray:
    """Returns the arrow head at the end of each path, [A, 3, 2]: a wing, the tip, the other wing.

    A head is no longer than half of a straight path, so that some of the line is seen.
    """
    if not len(paths):
        return np.zeros((0, 3, 2))
    c, s = math.cos(spread), math.sin(spread)
    out = []
    for path in paths:
        straight = len(path) == 2
        points = path.tolist()
        tx, ty = points[-1]
        bx, by = points[0] if straight else _behind(points, length)
        x, y = bx - tx, by - ty
        far = max(math.hypot(x, y), 1e-9)
        scale = min(length, max((0.5 if straight else 0.8) * far, _LEAST_HEAD)) / far
        x, y = x * scale, y * scale
        out.append(((tx + c * x - s * y, ty + s * x + c * y), (tx, ty), (tx + c * x + s * y, ty + c * y - s * x)))
    return np.array(out)


def _behind(points: list[list[float]], length: float) -> list[float]:
    """Returns the last point of a path that is `length` before its end, else its first."""
    end = points[-1]
    for point in reversed(points):
        if math.dist(point, end) >= length:
            return point
    return points[0]
