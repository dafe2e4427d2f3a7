"""Detours: the ways around with right angles from one icon to another, as templates.

A template names the places that the points of a path take their coordinates from; all paths of a wire are one look-up
in the array of its places. Each template exists in variants that leave and enter the icons aside of their middles, so
that a line which arrives and one that leaves need not lie on each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from vlsm_jax.synth.sketches.geometry import Box

POINTS = 6
"""Of every path, the last one repeated."""

_ASIDE, _SMALL = 0.28, 7.0  # Of an icon, and in pixels at most: how far from its middle a line may meet it.
_AWAY = 12.0  # From an icon to a line that turns beside it: there must be room for an arrow head.

# Places: x and y of both middles, each followed by the ports aside; then x beside the icons, x between them, levels,
# and x beside all that stands between.
_X0, _X1, _Y0, _Y1 = 0, 3, 6, 9
_BESIDE_START, _BESIDE_END, _BETWEEN = (12, 13), (14, 15), (16, 17, 18)
_LEVELS, _SIDES = (19, 20, 21, 22, 23), (24, 25)
_BEND, _OFF_MIDDLE = 0.3, 0.12
_RARELY = {17: 0.3, 18: 0.3}  # Lines turn half way between icons where they can.


def _templates() -> tuple[list[list[tuple[int, int]]], list[float]]:
    """Returns the templates, each a list of places (x, y), and how bad their bends are."""
    out = [[(_X0, _Y0), (_X1, _Y0), (_X1, _Y1)], [(_X0, _Y0), (_X0, _Y1), (_X1, _Y1)]]
    for x in (*_BETWEEN, *_BESIDE_START, *_BESIDE_END, *_SIDES):
        out.append([(_X0, _Y0), (x, _Y0), (x, _Y1), (_X1, _Y1)])
    for y in _LEVELS:
        out.append([(_X0, _Y0), (_X0, y), (_X1, y), (_X1, _Y1)])
    for x, y in itertools.product(_BESIDE_START, _LEVELS):
        out.append([(_X0, _Y0), (x, _Y0), (x, y), (_X1, y), (_X1, _Y1)])
    for x, y in itertools.product(_BESIDE_END, _LEVELS):
        out.append([(_X0, _Y0), (_X0, y), (x, y), (x, _Y1), (_X1, _Y1)])
    for a, b, y in itertools.product(_BESIDE_START, _BESIDE_END, _LEVELS):
        out.append([(_X0, _Y0), (a, _Y0), (a, y), (b, y), (b, _Y1), (_X1, _Y1)])
    bends = [_BEND * (len(path) - 2 + _RARELY.get(path[1][0], 0)) for path in out]
    return [path + path[-1:] * (POINTS - len(path)) for path in out], bends


def _varied() -> tuple[np.ndarray, np.ndarray]:
    """Returns the templates as indices of places [T, V, POINTS, 2], and how bad each is by itself [T, V]."""
    paths, bends = _templates()
    base = np.array(paths)
    sides = list(itertools.product(range(3), range(3)))
    out = np.empty((len(base), len(sides), *base.shape[1:]), int)
    for v, (start, end) in enumerate(sides):
        add = np.zeros(_SIDES[-1] + 1, int)
        add[[_X0, _Y0]], add[[_X1, _Y1]] = start, end
        out[:, v] = base + add[base]
    aside = _OFF_MIDDLE * np.array([(start > 0) + (end > 0) for start, end in sides])
    return out, np.array(bends)[:, None] + aside


_TEMPLATES, _BADNESS = _varied()


def middles(start: Box, end: Box) -> tuple[float, float, float, float]:
    """Returns the middles (x0, y0, x1, y1) of two icons, alike in what differs by less than a line can show."""
    (x0, y0), (x1, y1) = start.center, end.center
    return x0, y0, x0 if abs(x1 - x0) < 2 else x1, y0 if abs(y1 - y0) < 2 else y1


def _levels(start: Box, end: Box, boxes: Sequence[Box], page: Box, nudge: float) -> list[float]:
    """Returns heights just above and just below everything that stands between two icons, near ones first."""
    low, high = min(start.left, end.left), max(start.right, end.right)
    top, bottom = min(start.top, end.top), max(start.bottom, end.bottom)
    between = [(up, down) for left, up, right, down in boxes if left < high and right > low]
    out = []
    for reach in (0.0, 0.5):
        room = reach * (page.bottom - page.top) + 2
        near = [(up, down) for up, down in between if up < bottom + room and down > top - room]
        out += [min(near)[0] - 6 - nudge, max([down for _, down in near]) + 6 + nudge]
    return [min(max(level, page.top + 2), page.bottom - 2) for level in out]


def _sides(start: Box, end: Box, boxes: Sequence[Box], page: Box, nudge: float) -> tuple[float, float]:
    """Returns x just left and just right of everything that stands between two icons, from the upper to the lower."""
    top, bottom = min(start.top, end.top), max(start.bottom, end.bottom)
    low, high = min(start.left, end.left) - 2, max(start.right, end.right) + 2
    near = [(a, b) for a, up, b, down in boxes if up < bottom and down > top and a < high and b > low]
    left, right = min(near)[0] - 6 - nudge, max([b for _, b in near]) + 6 + nudge
    return max(left, page.left), min(right, page.right)


def places(
    start: Box, end: Box, names: tuple[Box, Box], every: Sequence[Box], page: Box, nudge: float, shift: float
) -> list[float]:
    """Returns the coordinates that templates refer to.

    Args:
      start, end: icons.
      names: of these.
      every: icons and names of all objects.
      page: where lines may run.
      nudge, shift: by how much lines around others, and those beside and between the icons are moved, in pixels: not
        all wires want the same place.
    """
    x0, y0, x1, y1 = middles(start, end)
    out = []
    for at, size in (
        (x0, start.right - start.left),
        (x1, end.right - end.left),
        (y0, start.bottom - start.top),
        (y1, end.bottom - end.top),
    ):
        aside = min(_ASIDE * size, _SMALL)
        out += (at, at - aside, at + aside)
    away = _AWAY + abs(shift)
    for box in (start, end):
        out += (max(box.left - away, page.left), min(box.right + away, page.right))
    a, b = (start.right, end.left) if x1 > x0 else (start.left, end.right)
    out += [a + (b - a) * t + shift for t in (0.5, 0.3, 0.7)]
    heights = _levels(start, end, every, page, nudge)
    upper, below = (0, end.top) if start.top <= end.top else (1, start.top)
    above = max((start, end)[upper].bottom, names[upper].bottom)
    middle = (above + below) / 2 + shift if below > above else heights[0]
    return [*out, *heights, middle, *_sides(start, end, every, page, nudge)]


def extent(places: list[float]) -> Box:
    """Returns how far paths by some places may go."""
    x = places[:_Y0] + places[_BESIDE_START[0] : _LEVELS[0]] + places[_SIDES[0] :]
    y = places[_Y0 : _BESIDE_START[0]] + places[_LEVELS[0] : _SIDES[0]]
    return Box(min(x), min(y), max(x), max(y))


_MIDDLES, _MIDDLE_BADNESS = _TEMPLATES[:, 0].copy(), _BADNESS[:, 0].copy()
SIMPLE = int((_MIDDLE_BADNESS < 2.5 * _BEND).sum())
"""So many templates come first that have two bends at most."""


def plain(places: list[float], chosen: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """Returns one path [T, POINTS, 2] per template, between the middles, and how bad each is by itself [T]."""
    return np.array(places)[_MIDDLES[chosen]], _MIDDLE_BADNESS[chosen]


def varied(places: list[float], chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns all variants of some templates, as `plain`."""
    return np.array(places)[_TEMPLATES[chosen]].reshape(-1, POINTS, 2), _BADNESS[chosen].ravel()
