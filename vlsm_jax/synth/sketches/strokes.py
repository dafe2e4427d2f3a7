"""Strokes of a hand: lines that tremble, dashes, and arrow heads, as points on the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def resampled(path: np.ndarray, step: float) -> np.ndarray:
    """Returns points [K, 2] along a path, evenly about `step` apart, its ends included."""
    leaps = np.hypot(path[1:, 0] - path[:-1, 0], path[1:, 1] - path[:-1, 1])
    total = float(leaps.sum())
    count = max(round(total / step), 1)
    at = np.arange(count + 1) / count
    if len(path) == 2:
        return path[0] + (path[1] - path[0]) * at[:, None]
    along = np.concatenate([[0.0], np.cumsum(leaps)])
    at = at * total
    return np.stack([np.interp(at, along, path[:, 0]), np.interp(at, along, path[:, 1])], 1)


def trembling(paths: Sequence[np.ndarray], rng: np.random.Generator, shake: float, step: float = 15.0) -> np.ndarray:
    """Returns paths [P, K, 2] drawn by a hand: each of as many points as the longest needs about every `step` pixels.

    Points are moved by `shake` pixels (standard deviation), less where they are closer than `step`.
    """
    if not len(paths):
        return np.zeros((0, 2, 2))
    ends = np.array([(path[0], path[-1]) for path in paths])
    leaps = ends[:, 1] - ends[:, 0]
    pieces = np.maximum(np.rint(np.hypot(leaps[:, 0], leaps[:, 1]) / step), 1).astype(int)
    bent = {i: resampled(path, step) for i, path in enumerate(paths) if len(path) > 2}
    for i, path in bent.items():
        pieces[i] = len(path) - 1
    at = np.minimum(np.arange(pieces.max() + 1), pieces[:, None])  # [P, K], the last point again and again.
    out = ends[:, :1] + leaps[:, None] * (at / pieces[:, None])[..., None]
    for i, path in bent.items():
        out[i] = path[at[i]]
    moved = rng.normal(0, shake, out.shape)
    return out + np.take_along_axis(moved, at[..., None], 1)


def dashes(path: np.ndarray, length: float = 4.5) -> np.ndarray:
    """Returns the dashes [D, 2, 2] of a path, as long as the gaps between them."""
    points = resampled(path, length)
    count = len(points) // 2
    return points[: 2 * count].reshape(count, 2, 2)


def heads(paths: Sequence[np.ndarray], length: float, spread: float = 0.42) -> np.ndarray:
    """Returns the arrow head at the end of each path, [A, 3, 2]: a wing, the tip, the other wing.

    A head is no longer than half of its path.
    """
    if not len(paths):
        return np.zeros((0, 3, 2))
    tips = np.array([path[-1] for path in paths])
    back = np.array([_behind(path, length) for path in paths])
    delta = back - tips
    far = np.maximum(np.hypot(delta[:, 0], delta[:, 1]), 1e-9)[:, None]
    delta *= np.minimum(length, 1.2 * far) / far
    c, s = math.cos(spread), math.sin(spread)
    x, y = delta[:, 0], delta[:, 1]
    left = tips + np.stack([c * x - s * y, s * x + c * y], 1)
    right = tips + np.stack([c * x + s * y, c * y - s * x], 1)
    return np.stack([left, tips, right], 1)


def _behind(path: np.ndarray, length: float) -> np.ndarray:
    """Returns the last point of a path that is `length` before its end, else its first."""
    tip = path[-1]
    for point in path[-2::-1]:
        if math.hypot(point[0] - tip[0], point[1] - tip[1]) >= length:
            return point
    return path[0]
