"""Rectangles and paths on a page, in pixels from the upper left corner, y downwards."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Point = tuple[float, float]


class SketchError(ValueError):
    """A Twin that cannot be drawn on a page of the wanted size; the message says why and what to do."""


class Box(NamedTuple):
    """An upright rectangle."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def center(self) -> Point:
        """The middle."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def grown(self, by: float) -> Box:
        """Returns the rectangle with its sides moved outwards."""
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def around(self, other: Box) -> Box:
        """Returns the smallest rectangle around both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def overlaps(self, other: Box) -> bool:
        """Whether the insides of two rectangles meet."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def covers(self, point: Point) -> bool:
        """Whether a point lies inside or on the edge."""
        return self.left <= point[0] <= self.right and self.top <= point[1] <= self.bottom

    def within(self, other: Box) -> bool:
        """Whether this rectangle lies inside another."""
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.top <= self.top
            and self.bottom <= other.bottom
        )


def boxes(*sides: np.ndarray) -> list[Box]:
    """Returns rectangles from their left, top, right and bottom sides, each [N]."""
    return list(map(Box, *[side.tolist() for side in sides]))


def crossed(paths: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Returns [P, N]: whether path p, a row of points [P, K, 2], runs through box n of [N, 4].

    Slab method: a box is the intersection of two strips, and a segment crosses each strip over one interval.
    """
    # Half the digits are enough, and half the memory is quicker.
    sides, paths = np.ascontiguousarray(boxes.T, np.float32), paths.astype(np.float32)
    start = paths[:, :-1, None]
    delta = paths[:, 1:, None] - start
    # A segment along a strip has no slope to divide by: a tiny one gives fractions far outside [0, 1].
    slope = np.float32(1) / np.where(np.abs(delta) < 1e-6, np.float32(1e-6), delta)
    enter, leave = np.float32(0), np.float32(1)
    for axis in (0, 1):
        low = sides[axis] - start[..., axis]
        low *= slope[..., axis]
        high = sides[axis + 2] - start[..., axis]
        high *= slope[..., axis]
        near = np.minimum(low, high)
        far = np.maximum(low, high, out=high)
        enter = np.maximum(enter, near, out=near)
        leave = np.minimum(leave, far, out=far)
    return (enter < leave).any(1)


def crossed_squarely(paths: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Returns what `crossed` does, for paths of right angles only: a segment is as good as the box around it."""
    # Boxes come first and paths last: rows of hundreds are quicker than of dozens.
    left, top, right, bottom = boxes.T[:, :, None, None]
    points = np.ascontiguousarray(paths.T)
    low, high = np.minimum(points[:, :-1], points[:, 1:]), np.maximum(points[:, :-1], points[:, 1:])
    hits = low[0] < right
    hits &= high[0] > left
    hits &= low[1] < bottom
    hits &= high[1] > top
    return np.ascontiguousarray(hits.any(1).T)


def leaving(a: Point, b: Point, box: tuple[float, float, float, float]) -> float | None:
    """Returns at which fraction the segment from a to b leaves a box; None where it misses, 1 if it ends inside."""
    (x, y), (left, top, right, bottom) = a, box
    dx, dy = b[0] - x, b[1] - y
    enter, leave = 0.0, 1.0
    if not -1e-9 < dx < 1e-9:
        near, far = (left - x) / dx, (right - x) / dx
        if near > far:
            near, far = far, near
        enter, leave = near if near > 0.0 else 0.0, far if far < 1.0 else 1.0
    elif not left < x < right:
        return None
    if not -1e-9 < dy < 1e-9:
        near, far = (top - y) / dy, (bottom - y) / dy
        if near > far:
            near, far = far, near
        enter, leave = near if near > enter else enter, far if far < leave else leave
    elif not top < y < bottom:
        return None
    return leave if enter < leave else None


def trimmed(path: list[Point], box: Box, gap: float = 0.0) -> list[Point]:
    """Returns a path from the last point at which it leaves a box grown by a gap, whole where it does not leave it."""
    left, top, right, bottom = box
    left, top, right, bottom = left - gap, top - gap, right + gap, bottom + gap
    for k in range(len(path) - 1, 0, -1):
        a, b = path[k - 1], path[k]
        (ax, ay), (bx, by) = a, b
        # Most segments lie to one side.
        if (
            (ax <= left and bx <= left)
            or (ax >= right and bx >= right)
            or (ay <= top and by <= top)
            or (ay >= bottom and by >= bottom)
        ):
            continue
        at = leaving(a, b, (left, top, right, bottom))
        if at is None:
            continue
        if at >= 1 and k == len(path) - 1:
            return path
        return [(ax + (bx - ax) * at, ay + (by - ay) * at), *path[k:]]
    return path
