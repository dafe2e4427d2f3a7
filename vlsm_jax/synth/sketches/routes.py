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
from vlsm_jax.synth.sketches.geometry import Box, Point, crossed, crossed_squarely, leaving, trimmed
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


def costs(
    paths: np.ndarray, wires: Sequence[Wire], obstacles: np.ndarray, page: Box, crossing: Crossing = crossed
) -> np.ndarray:
    """Returns how bad each path [W, P, K, 2] of each wire is: by what it runs through, and by its length in pages.

    Args:
      paths: that may be taken.
      wires: [W], what they connect.
      obstacles: icons and, in the same order, names [2 N, 4].
      page: where lines may run.
      crossing: which path runs through which box.
    """
    count, (each, tried) = len(obstacles) // 2, paths.shape[:2]
    weights = np.full((each, 2, count), ((THROUGH_ICON,), (THROUGH_NAME,)))
    every, ends = np.arange(each)[:, None], [wire[:2] for wire in wires]
    weights[every, 0, ends] = 0
    weights[every, 1, ends] = OWN_NAME
    paths = paths.reshape(each * tried, -1, 2)
    hits = crossing(paths, obstacles).reshape(each, tried, -1)
    points = np.ascontiguousarray(paths.T)
    (left, top), (right, bottom) = points.min(1), points.max(1)
    outside = (left < page.left) | (top < page.top) | (right > page.right) | (bottom > page.bottom)
    steps = paths[:, 1:] - paths[:, :-1]
    length = np.hypot(steps[..., 0], steps[..., 1]).sum(1)
    alone = OFF_PAGE * outside + 2 / (page.right - page.left) * length
    return (hits @ weights.reshape(each, -1, 1))[..., 0] + alone.reshape(each, tried)


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


def straight_clipped(start: Point, end: Point, wire: Wire, icons: Sequence[Box], names: Sequence[Box]) -> list[Point]:
    """Returns the straight line between two points in the icons of a wire, clipped as by `ends_clipped`."""
    (ax, ay), (bx, by) = start, end
    dx, dy = bx - ax, by - ay
    length = max(math.hypot(dx, dy), 1e-9)
    from_edge, from_name = _outside(start, end, icons[wire.source], names[wire.source], length)
    to_edge, to_name = _outside(end, start, icons[wire.target], names[wire.target], length)
    # Between close neighbours a line that begins at their names is but a head; a slanting one grazes the names at most.
    if (1 - from_name - to_name) * length < _SHORT and abs(dx) > _SLANTING * abs(dy):
        from_name, to_name = from_edge, to_edge
    return [(ax + dx * from_name, ay + dy * from_name), (bx - dx * to_name, by - dy * to_name)]


def _outside(start: Point, end: Point, icon: Box, name: Box, length: float) -> tuple[float, float]:
    """Returns at which fractions a line is out of the icon at its start, and out of the name too if it is in its way.

    0 where that would leave nothing of it.
    """
    left, top, right, bottom = icon
    edge = leaving(start, end, (left - GAP, top - GAP, right + GAP, bottom + GAP)) or 0.0
    left, top, right, bottom = name
    beyond = leaving(start, end, (left - 1, top - 1, right + 1, bottom + 1)) or 0.0
    if not edge < beyond < 1 or (beyond - edge) * length >= 1.2 * (bottom - top) + 6:
        beyond = edge
    return (edge if edge < 1 else 0.0), (beyond if beyond < 1 else 0.0)


def looped(box: Box) -> list[Point]:
    """Returns a loop over an icon, for an object that is wired to itself."""
    x, y, radius = (box.left + box.right) / 2, box.top, (box.right - box.left) * 0.3
    angles = np.linspace(math.pi * 0.85, math.pi * 2.15, _STEPS)
    return [(x + radius * math.cos(a), y - radius * 0.2 + radius * math.sin(a)) for a in angles]


def _bows(straight: np.ndarray, bows: np.ndarray) -> np.ndarray:
    """Returns for each line [W, 2, 2] parabolas [W, P, K, 2] whose middles lie beside it, on either side."""
    start, delta = straight[:, None, :1], straight[:, None, 1:] - straight[:, None, :1]
    side = delta[..., ::-1] * (1, -1)
    return start + delta * _T + bows[:, None, None] * _ARCH * side


def _best_bows(
    straight: np.ndarray, wires: Sequence[Wire], obstacles: np.ndarray, page: Box
) -> tuple[np.ndarray, np.ndarray]:
    """Returns for each line [W, 2, 2] the least bad bow [W, K, 2], and how bad it is [W]."""
    best, least = np.empty((len(wires), _STEPS, 2)), np.full(len(wires), np.inf)
    left = np.arange(len(wires))
    # Slight bows first: nothing that bends more is better than one of them that runs through nothing.
    for few, many in ((0, 2), (2, len(_BOWS))):
        paths = _bows(straight[left], _BOWS[few:many])
        cost = costs(paths, [wires[i] for i in left.tolist()], obstacles, page) + 0.05 * np.arange(few, many)
        found = cost.argmin(1)
        bad = cost[np.arange(len(found)), found]
        better = bad < least[left]
        best[left[better]], least[left[better]] = paths[better, found[better]], bad[better]
        left = left[least[left] >= OWN_NAME]
        if not len(left):
            break
    return best, least


def _around(
    wire: Wire, where: list[float], least: float, obstacles: np.ndarray, page: Box, tracks: Tracks
) -> list[Point] | None:
    """Returns the best way around, by `places`, with rounded corners; None if it is no less bad than `least`."""
    paths, bends = plain(where)
    order = np.argsort(costs(paths[None], (wire,), obstacles, page, crossed_squarely)[0] + bends, kind="stable")
    paths, bends = varied(where, order[:_KEPT])
    cost = costs(paths[None], (wire,), obstacles, page, crossed_squarely)[0] + bends
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
    every = [*icons, *names]
    obstacles = np.array(every)
    obstacles[: len(icons)] += (-2, -2, 2, 2)
    centers = [box.center for box in icons]
    straight = np.array([(centers[wire[0]], centers[wire[1]]) for wire in wires])
    blocked = blocked_wires(wires, straight, obstacles)
    drawn: set[frozenset[int]] = set()
    out: list[np.ndarray] = [np.empty((0, 2))] * len(wires)
    bowed: list[int] = []
    hard: list[tuple[int, float]] = []
    for i, wire in enumerate(wires):
        if wire.source == wire.target:
            out[i] = np.array(looped(icons[wire.source]))
            continue
        pair = frozenset(wire[:2])
        if blocked[i] or pair in drawn:
            bowed.append(i)
        else:
            ends = centers[wire.source], centers[wire.target]
            out[i] = np.array(straight_clipped(*ends, wire, icons, names))
        drawn.add(pair)
    if bowed:
        best, least_bad = _best_bows(straight[bowed], [wires[i] for i in bowed], obstacles, page)
        for i, path, bad in zip(bowed, best.tolist(), least_bad.tolist(), strict=True):
            out[i] = np.array(ends_clipped(_without_repeats(list(map(tuple, path))), wires[i], icons, names))
            if bad > _FINE:
                hard.append((i, bad))
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
