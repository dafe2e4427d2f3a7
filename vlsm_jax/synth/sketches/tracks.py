"""Tracks: where lines run already, so that no other is drawn over them."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from vlsm_jax.synth.sketches.geometry import Point

NEAR = 3.0
"""Lines nearer than this, in pixels, are seen as one."""
SEEN = 2.0
"""Pixels that lines may share unnoticed."""
_MISREAD, _MISREAD_PIXEL = 6.0, 0.1
"""How bad it is when a line lies on one that it would be mistaken for, and how bad each pixel of that."""
_LEVEL = 1.5  # A line that rises by less is level.


class Wire(NamedTuple):
    """A connection by the positions of its objects; `flow` where items pass."""

    source: int
    target: int
    flow: bool


class Tracks:
    """The level segments of the lines drawn so far, to find how far a line would lie on others."""

    def __init__(self) -> None:
        # By axis, and by the levels that are near: (level, from, to, source, target, flow).
        self._near: tuple[dict[int, list[tuple]], dict[int, list[tuple]]] = {}, {}

    def add(self, path: list[Point], wire: Wire) -> None:
        for (x0, y0), (x1, y1) in itertools.pairwise(path):
            upright, across = abs(x0 - x1) < _LEVEL, abs(y0 - y1) < _LEVEL
            if upright == across:
                continue
            axis, level, a, b = (0, x0, y0, y1) if upright else (1, y0, x0, x1)
            segment = (level, min(a, b), max(a, b), *wire)
            bucket, near = int(level / NEAR), self._near[axis]
            for k in (bucket - 1, bucket, bucket + 1):
                near.setdefault(k, []).append(segment)

    def shared(self, path: list[Point], wire: Wire) -> float:
        """Returns the length along which a path lies on lines that it would be mistaken for.

        Two lines of one kind that come from one object, or lead to one, may share a trunk; a pair of lines that do both
        may not, nor may one that comes from where the other leads.
        """
        total = 0.0
        source, target, flow = wire
        upright, across = self._near
        x0, y0 = path[0]
        for x1, y1 in path[1:]:
            if x0 == x1:
                near, level, low, high = upright.get(int(x0 / NEAR)), x0, y0, y1
            else:
                near, level, low, high = across.get(int(y0 / NEAR)), y0, x0, x1
            x0, y0 = x1, y1
            if near is None or low == high:
                continue
            if low > high:
                low, high = high, low
            for there, from_, to, other_source, other_target, other_flow in near:
                if from_ >= high or to <= low or not -NEAR < there - level < NEAR:
                    continue
                if other_flow == flow and (other_source == source) != (other_target == target):
                    continue
                total += (high if high < to else to) - (low if low > from_ else from_)
        return total

    def misread(self, path: list[Point], wire: Wire) -> float:
        """Returns how bad a path of right angles is by what it shares with lines it would be mistaken for."""
        lies = self.shared(path, wire)
        return _MISREAD + _MISREAD_PIXEL * lies if lies > SEEN else 0.0
