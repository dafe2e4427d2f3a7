"""Connectors: lines with right angles, as drawing programs make them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from vlsm_jax.synth.sketches.geometry import Box, Point
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
        self._by_level: dict[tuple[int, int], list[tuple[float, float, float, Wire]]] = {}

    @staticmethod
    def _segments(path: list[Point]):
        for (x0, y0), (x1, y1) in itertools.pairwise(path):
            if x0 == x1 and y0 != y1:
                yield 0, x0, min(y0, y1), max(y0, y1)
            elif y0 == y1 and x0 != x1:
                yield 1, y0, min(x0, x1), max(x0, x1)

    def add(self, path: list[Point], wire: Wire) -> None:
        for axis, level, low, high in self._segments(path):
            self._by_level.setdefault((axis, int(level / _NEAR)), []).append((level, low, high, wire))

    def shared(self, path: list[Point], wire: Wire) -> float:
        """Returns the length along which a path lies on lines that it would be mistaken for.

        Lines of one kind that come from one object, or lead to one, may share a trunk.
        """
        total = 0.0
        for axis, level, low, high in self._segments(path):
            bucket = int(level / _NEAR)
            for near in (bucket - 1, bucket, bucket + 1):
                for there, from_, to, other in self._by_level.get((axis, near), ()):
                    if abs(there - level) >= _NEAR or other[:2] == wire[:2]:
                        continue
                    if other[2] == wire[2] and (other[0] == wire[0] or other[1] == wire[1]):
                        continue
                    total += max(min(high, to) - max(low, from_), 0.0)
        return total


def _candidates(start: Box, end: Box, heights: Sequence[float], shift: float) -> list[list[Point]]:
    """Returns paths of right angles between two icons, of `_POINTS` points each, the simplest first."""
    (x0, y0), (x1, y1) = start.center, end.center
    if abs(y1 - y0) < 2:
        y1 = y0
    if abs(x1 - x0) < 2:
        x1 = x0
    across = 1 if x1 >= x0 else -1
    a = start.right if across > 0 else start.left
    b = end.left if across > 0 else end.right
    out = []
    if y0 == y1 or x0 == x1:
        out.append([(x0, y0), (x1, y1)])
    elif across * (b - a) > 8:
        for t in (0.5, 0.7, 0.3, 0.85, 0.15):
            x = a + (b - a) * t + shift
            out.append([(x0, y0), (x, y0), (x, y1), (x1, y1)])
    if y0 != y1 and x0 != x1:
        out.append([(x0, y0), (x1, y0), (x1, y1)])
        out.append([(x0, y0), (x0, y1), (x1, y1)])
    for height in heights:
        out.append([(x0 + shift, y0), (x0 + shift, height), (x1 - shift, height), (x1 - shift, y1)])
        # Around the sides: out of one end, along, and in at the other.
        left, right = a + across * (9 + abs(shift)), b - across * (9 + abs(shift))
        out.append([(x0, y0), (left, y0), (left, height), (right, height), (right, y1), (x1, y1)])
    return [path + [path[-1]] * (_POINTS - len(path)) for path in out]


def connect(wires: Sequence[Wire], icons: Sequence[Box], names: Sequence[Box], page: Box) -> list[np.ndarray]:
    """Returns a path of right angles [K, 2] per wire; arguments as for `route`."""
    if not wires:
        return []
    solid, written = np.array(icons), np.array(names)
    grown = solid + np.array((-2, -2, 2, 2))
    every = np.concatenate([solid, written])
    simplest = np.array([_candidates(icons[w.source], icons[w.target], (), 0.0)[0] for w in wires])
    blocked = blocked_wires(wires, simplest, grown, written).tolist()
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
        path = list(map(tuple, simplest[i].tolist()))
        if blocked[i] or again or tracks.shared(path, wire):
            shift = (i % 3 + 1) * 3.0 if again else (wire.source % 5 - 2) * 1.5
            for around in (False, True):
                heights = levels(start, end, every, page, 2.0 * (i % 4)) if around else ()
                candidates = _candidates(start, end, heights, shift)
                if again:
                    candidates = [path for path in candidates if path[1] != path[2]]
                    if not candidates:
                        continue
                cost = costs(np.array(candidates), wire, grown, written, page).tolist()
                cost = [c + 0.3 * k for k, c in enumerate(cost)]
                least = math.inf
                for k in sorted(range(len(cost)), key=cost.__getitem__)[:_TRIED]:
                    if cost[k] >= least:
                        break
                    total = cost[k] + _MISREAD * tracks.shared(candidates[k], wire)
                    if total < least:
                        least, path = total, candidates[k]
                if least < THROUGH_NAME:
                    break
        tracks.add(path, wire)
        path = [path[0], *(b for a, b in itertools.pairwise(path) if a != b)]
        out.append(np.array(ends_clipped(path, wire, icons, names)))
    return out
