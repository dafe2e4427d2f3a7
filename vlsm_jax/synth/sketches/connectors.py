"""Connectors: lines with right angles, as drawing programs make them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from vlsm_jax.synth.sketches.geometry import Box, Point, crossed_squarely
from vlsm_jax.synth.sketches.routes import THROUGH_NAME, Wire, blocked_wires, costs, ends_clipped, levels, looped

_POINTS = 6
_NEAR = 3.0
_TRIED = 5
"""How many of the best candidates are compared with the lines already drawn."""
_MISREAD = 0.2
"""How bad each pixel is that a line shares with one it would be mistaken for."""


class _Tracks:
    """The level segments of the lines drawn so far, to find how far a line would lie on others."""

    def __init__(self) -> None:
        # By axis, and by the levels that are near: (level, from, to, source, target, flow).
        self._near: tuple[dict[int, list[tuple]], dict[int, list[tuple]]] = {}, {}

    def add(self, path: list[Point], wire: Wire) -> None:
        for (x0, y0), (x1, y1) in itertools.pairwise(path):
            if (x0 == x1) == (y0 == y1):
                continue
            axis, level, a, b = (0, x0, y0, y1) if x0 == x1 else (1, y0, x0, x1)
            segment = (level, min(a, b), max(a, b), *wire)
            bucket, near = int(level / _NEAR), self._near[axis]
            for k in (bucket - 1, bucket, bucket + 1):
                near.setdefault(k, []).append(segment)

    def shared(self, path: list[Point], wire: Wire) -> float:
        """Returns the length along which a path lies on lines that it would be mistaken for.

        Lines of one kind that come from one object, or lead to one, may share a trunk.
        """
        total = 0.0
        source, target, flow = wire
        upright, across = self._near
        x0, y0 = path[0]
        for x1, y1 in path[1:]:
            if x0 == x1:
                near, level, low, high = upright.get(int(x0 / _NEAR)), x0, y0, y1
            else:
                near, level, low, high = across.get(int(y0 / _NEAR)), y0, x0, x1
            x0, y0 = x1, y1
            if near is None or low == high:
                continue
            if low > high:
                low, high = high, low
            for there, from_, to, other_source, other_target, other_flow in near:
                if from_ >= high or to <= low or not -_NEAR < there - level < _NEAR:
                    continue
                # Of two lines that begin and end alike one runs elsewhere in any case.
                if other_source == source and (other_target == target or other_flow == flow):
                    continue
                if other_target == target and other_flow == flow:
                    continue
                total += (high if high < to else to) - (low if low > from_ else from_)
        return total


def _middles(start: Box, end: Box) -> tuple[float, float, float, float]:
    """Returns the middles (x0, y0, x1, y1) of two icons, alike in what differs by less than a line can show."""
    (x0, y0), (x1, y1) = start.center, end.center
    return x0, y0, x0 if abs(x1 - x0) < 2 else x1, y0 if abs(y1 - y0) < 2 else y1


def _filled(path: list[Point]) -> list[Point]:
    return path + [path[-1]] * (_POINTS - len(path))


def _simplest(start: Box, end: Box) -> list[Point]:
    """Returns the first of `_direct` without a shift."""
    x0, y0, x1, y1 = _middles(start, end)
    if x0 == x1 or y0 == y1:
        return _filled([(x0, y0), (x1, y1)])
    a, b = (start.right, end.left) if x1 > x0 else (start.left, end.right)
    if abs(b - a) > 8 and (b > a) == (x1 > x0):
        x = (a + b) / 2
        return _filled([(x0, y0), (x, y0), (x, y1), (x1, y1)])
    return _filled([(x0, y0), (x1, y0), (x1, y1)])


def _direct(start: Box, end: Box, shift: float) -> list[list[Point]]:
    """Returns paths of right angles between two icons, of `_POINTS` points each, the simplest first."""
    x0, y0, x1, y1 = _middles(start, end)
    if x0 == x1 or y0 == y1:
        return [_filled([(x0, y0), (x1, y1)])]
    out = []
    a, b = (start.right, end.left) if x1 > x0 else (start.left, end.right)
    if abs(b - a) > 8 and (b > a) == (x1 > x0):
        for t in (0.5, 0.7, 0.3, 0.85, 0.15):
            x = a + (b - a) * t + shift
            out.append(_filled([(x0, y0), (x, y0), (x, y1), (x1, y1)]))
    out.append(_filled([(x0, y0), (x1, y0), (x1, y1)]))
    out.append(_filled([(x0, y0), (x0, y1), (x1, y1)]))
    return out


def _around(start: Box, end: Box, shift: float, heights: Sequence[float]) -> list[list[Point]]:
    """Returns paths that leave the row of the icons for a height, upwards or downwards or out of their sides."""
    x0, y0, x1, y1 = _middles(start, end)
    side = 9 + abs(shift) if x1 >= x0 else -9 - abs(shift)
    left, right = (start.right + side, end.left - side) if x1 >= x0 else (start.left + side, end.right - side)
    out = []
    for height in heights:
        out.append(_filled([(x0 + shift, y0), (x0 + shift, height), (x1 - shift, height), (x1 - shift, y1)]))
        out.append([(x0, y0), (left, y0), (left, height), (right, height), (right, y1), (x1, y1)])
    return out


def connect(wires: Sequence[Wire], icons: Sequence[Box], names: Sequence[Box], page: Box) -> list[np.ndarray]:
    """Returns a path of right angles [K, 2] per wire; arguments as for `route`."""
    if not wires:
        return []
    every = [*icons, *names]
    obstacles = np.array(every)
    obstacles[: len(icons)] += (-2, -2, 2, 2)
    simplest = [_simplest(icons[w.source], icons[w.target]) for w in wires]
    blocked = blocked_wires(wires, np.array(simplest), obstacles, crossed_squarely)
    tracks = _Tracks()
    drawn: set[frozenset[int]] = set()
    out: list[np.ndarray] = []
    for i, wire in enumerate(wires):
        if wire.source == wire.target:
            out.append(np.array(looped(icons[wire.source])))
            continue
        start, end = icons[wire.source], icons[wire.target]
        pair = frozenset(wire[:2])
        again = pair in drawn
        drawn.add(pair)
        path = simplest[i]
        if blocked[i] or again or tracks.shared(path, wire):
            shift = (i % 3 + 1) * 3.0 if again else (wire.source % 5 - 2) * 1.5
            least, tried = math.inf, 0
            for around in (False, True):
                if around:
                    candidates = _around(start, end, shift, levels(start, end, every, page, 2.0 * (i % 4)))
                else:
                    candidates = _direct(start, end, shift)
                    if again:
                        candidates = [path for path in candidates if path[1] != path[2]]
                        if not candidates:
                            continue
                cost = costs(np.array(candidates), wire, obstacles, page, crossed_squarely).tolist()
                cost = [c + 0.3 * (tried + k) for k, c in enumerate(cost)]
                for k in sorted(range(len(cost)), key=cost.__getitem__)[:_TRIED]:
                    if cost[k] >= least:
                        break
                    total = cost[k] + _MISREAD * tracks.shared(candidates[k], wire)
                    if total < least:
                        least, path = total, candidates[k]
                if least < THROUGH_NAME:
                    break
                tried = len(candidates)
        tracks.add(path, wire)
        path = [path[0], *(b for a, b in itertools.pairwise(path) if a != b)]
        out.append(np.array(ends_clipped(path, wire, icons, names)))
    return out
