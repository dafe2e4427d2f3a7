"""Routes: where the line of a connection runs, so that it can be followed by eye.

A line is straight where nothing is in its way. Else it takes the best of a few detours: bows to either side and bends
around the outside; what it would run through decides. Lines with right angles are in `connectors`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from vlsm_jax.synth.sketches.detours import places, plain, varied
from vlsm_jax.synth.sketches.geometry import Box, Point, crossed, crossed_squarely, last_inside, trimmed
from vlsm_jax.synth.sketches.tracks import Tracks, Wire

GAP = 2.5
"""Between an icon and the line that ends at it, in pixels."""

THROUGH_ICON, THROUGH_NAME, OFF_PAGE, OWN_NAME = 12.0, 5.0, 1000.0, 1.5
"""How bad it is for a line to run through an icon, a name, beyond the page, and through the name of one of its ends."""

_FINE = 4.0
"""Where no bow is less bad than this a way around is looked for."""
_CORNER = 10.0
_SHORT, _SLANTING = 15.0, 0.7
"""Pixels below which a line is lengthened at its ends, and how far across the page it goes for each pixel down it."""
_KEPT, _TRIED = 5, 30
"""Of how many ways around variants are tried, and how many of these are compared with the lines already drawn."""
_BOWS = np.array((0.14, -0.14, 0.28, -0.28, 0.45, -0.45, 0.7, -0.7))
_STEPS = 10
_T = np.linspace(0, 1, _STEPS)[:, None]
_ARCH = 4 * _T * (1 - _T)


Crossing = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""`crossed`, or what does the same for paths of one kind."""


def costs(paths: np.ndarray, wire: Wire, obstacles: np.ndarray, page: Box, crossing: Crossing = crossed) -> np.ndarray:
    """Returns how bad each path [P, K, 2] is: by what it runs through, and by its length in pages.

    Args:
      paths: that may be taken.
      wire: what they connect.
      obstacles: icons and, in the same order, names [2 N, 4].
      page: where lines may run.
      crossing: which path runs through which box.
    """
    count = len(obstacles) // 2
    hits = crossing(paths, obstacles).astype(float)
    weights = np.repeat((THROUGH_ICON, THROUGH_NAME), count)
    weights[[wire.source, wire.target]] = 0
    weights[[count + wire.source, count + wire.target]] = OWN_NAME
    low, high = paths.min(1), paths.max(1)
    outside = ((low < page[:2]) | (high > page[2:])).any(1)
    steps = paths[:, 1:] - paths[:, :-1]
    length = np.hypot(steps[..., 0], steps[..., 1]).sum(1)
    return hits @ weights + OFF_PAGE * outside + 2 * length / (page.right - page.left)


def ends_clipped(path: list[Point], wire: Wire, icons: Sequence[Box], names: Sequence[Box]) -> list[Point]:
    """Returns the part of a path between two icons, and beyond their names where it would run through these."""
    for end in (wire.source, wire.target):
        _, top, _, bottom = name = names[end]
        path = trimmed(path, icons[end], GAP)
        cut = trimmed(path, name, 1.0)
        # A name that is merely grazed on the way is not where the line starts.
        if cut is not path and math.dist(cut[0], path[0]) < 1.2 * (bottom - top) + 6:
            path = cut
        path = path[::-1]
    return path


def straight_clipped(straight: np.ndarray, wires: Sequence[Wire], icons: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Returns straight lines [W, 2, 2] between the middles of icons, clipped as by `ends_clipped`."""
    ends = np.array([wire[:2] for wire in wires]).T.ravel()  # [2 W], all sources before all targets.
    here = straight.transpose(1, 0, 2).reshape(-1, 2)
    there = straight[:, ::-1].transpose(1, 0, 2).reshape(-1, 2)
    delta = there - here
    length = np.maximum(np.hypot(delta[:, 0], delta[:, 1]), 1e-9)
    around = np.concatenate([icons[ends] + (-GAP, -GAP, GAP, GAP), names[ends] + (-1, -1, 1, 1)])
    edge, name = last_inside(np.concatenate([here, here]), np.concatenate([there, there]), around).reshape(2, -1)
    near = (name - edge) * length < 1.2 * (names[ends, 3] - names[ends, 1]) + 6
    fraction = np.where((name > edge) & (name < 1) & near, name, edge)
    # Between close neighbours a line that begins at their names is but a head; a slanting one grazes the names at most.
    seen = (1 - fraction.reshape(2, -1).sum(0)) * length[: len(wires)]
    slanting = np.abs(delta[:, 0]) > _SLANTING * np.abs(delta[:, 1])
    fraction = np.where(np.tile(seen < _SHORT, 2) & slanting, edge, fraction)
    clipped = here + delta * np.where(fraction < 1, fraction, 0.0)[:, None]
    return clipped.reshape(2, -1, 2).transpose(1, 0, 2)


def looped(box: Box) -> list[Point]:
    """Returns a loop over an icon, for an object that is wired to itself."""
    x, y, radius = (box.left + box.right) / 2, box.top, (box.right - box.left) * 0.3
    angles = np.linspace(math.pi * 0.85, math.pi * 2.15, _STEPS)
    return [(x + radius * math.cos(a), y - radius * 0.2 + radius * math.sin(a)) for a in angles]


def _bows(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Returns parabolas [P, K, 2] whose middles lie beside the straight line, on either side."""
    side = np.array((end[1] - start[1], start[0] - end[0]))
    return (start + (end - start) * _T)[None] + _BOWS[:, None, None] * (_ARCH * side)[None]


def _around(
    wire: Wire, where: list[float], least: float, obstacles: np.ndarray, page: Box, tracks: Tracks
) -> list[Point] | None:
    """Returns the best way around, by `places`, with rounded corners; None if it is no less bad than `least`."""
    paths, bends = plain(where)
    order = np.argsort(costs(paths, wire, obstacles, page, crossed_squarely) + bends, kind="stable")
    paths, bends = varied(where, order[:_KEPT])
    cost = costs(paths, wire, obstacles, page, crossed_squarely) + bends
    found = None
    for k in np.argsort(cost, kind="stable")[:_TRIED].tolist():
        if cost[k] >= least:
            break
        bad = float(cost[k]) + tracks.misread(paths[k].tolist(), wire)
        if bad < least:
            least, found = bad, paths[k]
    return None if found is None else _rounded(found)


def _rounded(path: np.ndarray) -> list[Point]:
    """Returns a path with its corners rounded, as a hand draws it."""
    corners = _without_repeats(list(map(tuple, path.tolist())))
    out = corners[:1]
    for before, at, after in zip(corners, corners[1:], corners[2:], strict=False):
        for other, near in ((before, (1.0, 0.3)), (after, (0.3, 1.0))):
            reach = math.dist(at, other)
            size = min(_CORNER, reach / 3) / reach
            out += [(at[0] + (other[0] - at[0]) * size * t, at[1] + (other[1] - at[1]) * size * t) for t in near]
    return [*out, corners[-1]]


def _without_repeats(path: list[Point]) -> list[Point]:
    return [path[0], *(b for a, b in itertools.pairwise(path) if a != b)]


def blocked_wires(
    wires: Sequence[Wire], paths: np.ndarray, obstacles: np.ndarray, crossing: Crossing = crossed
) -> list[bool]:
    """Returns whether the simplest path [W, K, 2] of each wire runs through icons or names of others [2 N, 4]."""
    hits = crossing(paths, obstacles)
    every, ends = np.arange(len(wires))[:, None], np.array([wire[:2] for wire in wires])
    hits[every, ends] = hits[every, ends + len(obstacles) // 2] = False
    return hits.any(1).tolist()


def route(wires: Sequence[Wire], icons: Sequence[Box], names: Sequence[Box], page: Box) -> list[np.ndarray]:
    """Returns a path [K, 2] per wire, from near the icon of its source to near that of its target.

    Args:
      wires: connections; one from an object to itself becomes a loop.
      icons: what lines end at, by position.
      names: what lines should spare; the name of an object may be its icon's box where it stands inside.
      page: where lines may run.
    """
    if not wires:
        return []
    solid, written = np.array(icons), np.array(names)
    every = [*icons, *names]
    obstacles = np.array(every)
    obstacles[: len(icons)] += (-2, -2, 2, 2)
    centers = (solid[:, :2] + solid[:, 2:]) / 2
    straight = centers[[wire[:2] for wire in wires]]
    blocked = blocked_wires(wires, straight, obstacles)
    clipped = straight_clipped(straight, wires, solid, written)
    drawn: set[frozenset[int]] = set()
    out: list[np.ndarray] = []
    hard: list[tuple[int, float]] = []
    for i, wire in enumerate(wires):
        if wire.source == wire.target:
            out.append(np.array(looped(icons[wire.source])))
            continue
        pair = frozenset(wire[:2])
        again = pair in drawn
        drawn.add(pair)
        if blocked[i] or again:
            paths = _bows(*straight[i])
            cost = costs(paths, wire, obstacles, page) + 0.05 * np.arange(len(paths))
            best = int(np.argmin(cost))
            path = _without_repeats(list(map(tuple, paths[best].tolist())))
            out.append(np.array(ends_clipped(path, wire, icons, names)))
            if cost[best] > _FINE:
                hard.append((i, float(cost[best])))
        else:
            out.append(clipped[i])
    if hard:
        later = {i for i, _ in hard}
        tracks = Tracks()
        for i, wire in enumerate(wires):
            if i not in later:
                tracks.add(out[i].tolist(), wire)
        for i, least in hard:
            start, end = wires[i][:2]
            where = places(
                icons[start], icons[end], (names[start], names[end]), every, page, 2.0 * (i % 3), 1.5 * (i % 3)
            )
            path = _around(wires[i], where, least, obstacles, page, tracks)
            if path:
                path = ends_clipped(path, wires[i], icons, names)
                tracks.add(path, wires[i])
                out[i] = np.array(path)
    return out
