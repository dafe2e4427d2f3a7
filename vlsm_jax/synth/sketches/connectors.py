"""Connectors: lines with right angles, as drawing programs make them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vlsm_jax.synth.sketches.detours import POINTS, SIMPLE, extent, middles, places, plain, varied
from vlsm_jax.synth.sketches.geometry import Box, Point, crossed_squarely
from vlsm_jax.synth.sketches.routes import (
    THROUGH_ICON,
    THROUGH_NAME,
    blocked_wires,
    ends_clipped,
    looped,
    straight_clipped,
)
from vlsm_jax.synth.sketches.tracks import NEAR, SEEN, Tracks, Wire

_TRIED, _MANY = 6, 60
"""How many of the best paths are compared with the lines already drawn: between middles, of all."""
_KEPT = (0, 8, 24)
"""Of how many detours variants are tried, and of how many more where all of these lie on other lines."""
_AGAIN = 6.0
"""How bad it is for the second line of a pair to run beside the first."""
_FINE = 2.0
"""A path that is worse by no more than this for the lines already drawn is taken without a look at more."""
_SIMPLE = 1.2
"""And one of two bends that is worse by no more than this than the best that there could be."""
_ENOUGH_MORE = 6.0
"""And one that is worse by this much more before the last look."""
_PIXEL = 0.004
"""How bad each pixel of length is."""
_PIXELS = np.full(2 * (POINTS - 1), _PIXEL)
_HEAD, _CRAMPED = 9.0, 3.0
"""How long the last stretch of a flow is at least, in pixels, and how bad a shorter one is."""
_OWN_NAME = 0.6
"""How bad it is for a line to come out of its own name: it begins there, and names stand below most icons."""


def _filled(path: list[Point]) -> list[Point]:
    return path + [path[-1]] * (POINTS - len(path))


def _simplest(start: Box, end: Box) -> list[Point]:
    """Returns the first of `_direct` without a shift."""
    x0, y0, x1, y1 = middles(start, end)
    if x0 == x1 or y0 == y1:
        return _filled([(x0, y0), (x1, y1)])
    a, b = (start.right, end.left) if x1 > x0 else (start.left, end.right)
    if abs(b - a) > 8 and (b > a) == (x1 > x0):
        x = (a + b) / 2
        return _filled([(x0, y0), (x, y0), (x, y1), (x1, y1)])
    return _filled([(x0, y0), (x1, y0), (x1, y1)])


class _Floor(NamedTuple):
    """What stands on a page: icons, names, both, both as obstacles [2 N, 4], how bad they are, where lines may go."""

    icons: Sequence[Box]
    names: Sequence[Box]
    every: Sequence[Box]
    obstacles: np.ndarray
    weights: np.ndarray
    page: Box


def _drawn(path: list[Point], wire: Wire, floor: _Floor) -> tuple[list[Point], bool]:
    """Returns what is seen of a path, and whether it is cramped.

    It is where the last stretch has no room for an arrow head, or a name hides a bend.
    """
    path = [path[0], *(b for a, b in itertools.pairwise(path) if a != b)]
    seen = ends_clipped(path, wire, floor.icons, floor.names)
    if len(path) == 2:
        return seen, False
    return seen, len(seen) < len(path) or (wire.flow and math.dist(seen[-1], seen[-2]) < _HEAD)


def _near(wire: Wire, floor: _Floor, where: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the obstacles that any path by some places may run through, and how bad it is for each."""
    obstacles, count = floor.obstacles, len(floor.icons)
    weights = floor.weights.copy()
    weights[wire.source] = weights[wire.target] = 0
    weights[count + wire.source] = weights[count + wire.target] = _OWN_NAME
    left, top, right, bottom = extent(where)
    near = (obstacles[:, 0] < right) & (obstacles[:, 1] < bottom) & (obstacles[:, 2] > left) & (obstacles[:, 3] > top)
    return obstacles[near], weights[near]


def _badness(paths: np.ndarray, obstacles: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns how bad each path [P, K, 2] is by what it runs through and by its length; compare `costs`."""
    length = np.abs(paths[:, 1:] - paths[:, :-1]).reshape(len(paths), -1) @ _PIXELS
    return crossed_squarely(paths, obstacles) @ weights + length


class _Search:
    """The best path found so far for one wire, and how bad it is."""

    def __init__(self, wire: Wire, floor: _Floor, tracks: Tracks):
        self.wire, self.floor, self.tracks = wire, floor, tracks
        self.path: list[Point] = []
        self.least = math.inf

    def among(self, paths: np.ndarray, badness: np.ndarray, order: np.ndarray) -> None:
        """Keeps the best of some paths [P, K, 2] if it is better than the one that there is.

        Args:
          paths: what there is to choose from.
          badness: [P], how bad they are, other lines being ignored.
          order: of those that are compared with the lines already drawn, the best first.
        """
        for k, bad in zip(order.tolist(), badness[order].tolist(), strict=True):
            if bad >= self.least:
                return
            path = paths[k].tolist()
            total = bad + self.tracks.misread(path, self.wire)
            if total < self.least:
                seen, cramped = _drawn(path, self.wire, self.floor)
                total += _CRAMPED * cramped
                if total < self.least:
                    self.least, self.path = total, seen


def _search(number: int, wire: Wire, again: bool, floor: _Floor, tracks: Tracks) -> list[Point]:
    """Returns the path of a wire that has something in its way."""
    icons, names = floor.icons, floor.names
    start, end = icons[wire.source], icons[wire.target]
    shift = (number % 3 + 1) * 3.0 if again else (wire.source % 5 - 2) * 1.5
    ends = names[wire.source], names[wire.target]
    where = places(start, end, ends, floor.every, floor.page, 2.0 * (number % 4), shift)
    near = _near(wire, floor, where)
    search = _Search(wire, floor, tracks)

    def looked_at(paths: np.ndarray, bends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        badness = _badness(paths, *near) + bends
        if again:
            badness += _AGAIN * (np.ptp(paths, 1).min(1) < 2 * NEAR)
        return paths, badness

    paths, badness = looked_at(*plain(where, slice(SIMPLE)))
    search.among(paths, badness, np.argsort(badness, kind="stable")[:_TRIED])
    (ax, ay), (bx, by) = start.center, end.center
    if search.least <= _PIXEL * (abs(ax - bx) + abs(ay - by)) + _SIMPLE:
        return search.path
    more, their_badness = looked_at(*plain(where, slice(SIMPLE, None)))
    paths, badness = np.concatenate([paths, more]), np.concatenate([badness, their_badness])
    order = np.argsort(badness, kind="stable")
    search.among(paths, badness, order[:_TRIED])
    enough = badness[order[0]] + _FINE
    for few, many in itertools.pairwise(_KEPT):
        if search.least <= enough:
            break
        paths, badness = looked_at(*varied(where, order[few:many]))
        search.among(paths, badness, np.argsort(badness, kind="stable")[:_MANY])
        enough += _ENOUGH_MORE
    return search.path


def connect(wires: Sequence[Wire], icons: Sequence[Box], names: Sequence[Box], page: Box) -> list[np.ndarray]:
    """Returns a path of right angles [K, 2] per wire; arguments as for `route`."""
    if not wires:
        return []
    every = [*icons, *names]
    obstacles = np.array(every)
    obstacles[: len(icons)] += (-2, -2, 2, 2)
    simplest = [_simplest(icons[w.source], icons[w.target]) for w in wires]
    corners = np.array(simplest)
    blocked = blocked_wires(wires, corners, obstacles, crossed_squarely)
    weights = np.full(len(every), THROUGH_NAME)
    weights[: len(icons)] = THROUGH_ICON
    floor = _Floor(icons, names, every, obstacles, weights, page)
    tracks = Tracks()
    drawn: set[frozenset[int]] = set()
    out: list[np.ndarray] = [np.empty((0, 2))] * len(wires)
    # What is straight has no choice, so the rest gives way to it.
    for i in sorted(range(len(wires)), key=lambda i: blocked[i] or simplest[i][1] != simplest[i][2]):
        wire = wires[i]
        if wire.source == wire.target:
            out[i] = np.array(looped(icons[wire.source]))
            continue
        pair = frozenset(wire[:2])
        again = pair in drawn
        drawn.add(pair)
        path, bad = simplest[i], blocked[i] or again
        if bad or tracks.shared(path, wire) > SEEN:
            bad = True
        elif path[1] == path[2]:
            path = straight_clipped(path[0], path[1], wire, icons, names)
        else:
            path, bad = _drawn(path, wire, floor)  # Bad if cramped.
        if bad:
            path = _search(i, wire, again, floor, tracks)
        tracks.add(path, wire)
        out[i] = np.array(path)
    return out
