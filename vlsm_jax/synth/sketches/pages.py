"""Where things go on the page of a sketch: icons, names, lines between icons.

Geometry only; nothing is drawn here, so that tests can ask whether names overlap. Objects keep the order of their
locations in x and y; distances follow from the room that names need. A row of more columns than a page takes is folded
into bands.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from vlsm_jax.synth.sketches.connectors import connect
from vlsm_jax.synth.sketches.geometry import Box, SketchError, boxes
from vlsm_jax.synth.sketches.lettering import LINE_HEIGHT, Lettering, wraps
from vlsm_jax.synth.sketches.routes import route
from vlsm_jax.synth.sketches.spacing import Apart, folded, grouped, ranks, spaced, stretched
from vlsm_jax.synth.sketches.tracks import Wire
from vlsm_jax.twin import Twin, TwinObject

SMALLEST_LETTERS = 9
"""Font size in pixels below which a name cannot be read."""


MARGIN = Box(7, 7, 7, 7)


@dataclasses.dataclass(frozen=True)
class Sheet:
    """What a painter asks of a layout.

    Attributes:
      lettering: in which names are written.
      extent: width and height of the icon of an object, in icon sizes.
      margin: how much of the page stays empty on each side, in pixels.
      framed: names stand inside a frame with the icon, and lines end at the frame; given up where there is no room.
      stepped: lines have right angles.
      shake: how far an icon may be from where it should be, in pixels.
    """

    lettering: Lettering
    extent: Callable[[TwinObject], tuple[float, float]]
    margin: Box = MARGIN
    framed: bool = False
    stepped: bool = False
    shake: float = 1.3


class Label(NamedTuple):
    """A name: its lines of words, the size of its letters in pixels and the rectangle they fill."""

    lines: tuple[tuple[str, ...], ...]
    font_size: int
    box: Box


class Arrow(NamedTuple):
    """The line of a connection: points [K, 2] from source to target; `flow` where items pass, else of center ports."""

    path: np.ndarray
    flow: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Page:
    """A laid-out sketch.

    Attributes:
      size: (width, height).
      icons: the rectangle of each icon, by object name.
      labels: the name of each object, by object name.
      frames: what lines end at, by object name: the icon, or the frame around icon and name.
      framed: whether names stand in frames.
      arrows: one per connection of the Twin, in its order.
    """

    size: tuple[int, int]
    icons: Mapping[str, Box]
    labels: Mapping[str, Label]
    frames: Mapping[str, Box]
    framed: bool
    arrows: tuple[Arrow, ...]


@dataclasses.dataclass(frozen=True)
class _Try:
    """One way to make room.

    Attributes:
      letters: font size in pixels.
      lines: of a name, at most.
      alternate: the names of every other column stand above their icons.
      staggered: every other column stands half a row lower.
      bands: into how many the columns are folded.
      packed: every object is a column of its own: lanes are given up for room.
      icons: smallest icon size in pixels.
    """

    letters: int
    lines: int
    alternate: bool = False
    staggered: bool = False
    bands: int = 1
    packed: bool = False
    icons: float = 18.0

    @property
    def shape(self) -> tuple[int, bool, bool, int, bool]:
        """Everything but the size of letters and icons."""
        return self.lines, self.alternate, self.staggered, self.bands, self.packed


_GAP = 3.0  # Between icon and name.
_APART = 5.0  # Between what must not touch.
_ROOM = 18.0  # Between what stands below each other, where there is room for a line.
_LINE = 8.0  # What is linked is so much further apart.
_FRAMES_APART = 17.0  # Beside each other: an arrow and its shaft.
_FRAME = 4.0  # Between what is framed and the frame.
_WIDEST_PITCH, _HIGHEST_PITCH = 0.34, 0.36  # Of the page.
_LONGEST_WHEN_TIGHT = 1.4  # Of a conveyor, in icon sizes.
_HOPE = 1.1  # How much larger letters are tried than would fit if all of a page were as large as its letters are.


@functools.lru_cache(maxsize=64)
def _tries(first: int) -> tuple[_Try, ...]:
    out = [_Try(first, 1), _Try(first, 2)]
    out += [_Try(size, lines) for size in (*range(first - 2, 10, -2), 10) for lines in (1, 2, 3)]
    out += [_Try(11, 2, alternate=True), _Try(10, 3, alternate=True)]
    out += [_Try(size, lines, staggered=True) for size, lines in ((11, 2), (10, 2), (10, 3))]
    out += [_Try(size, lines, bands=bands) for bands in (2, 3) for size, lines in ((11, 2), (10, 2), (10, 3))]
    for tight in (18.0, 15.0):
        out += [_Try(9, lines, icons=tight) for lines in (1, 2, 3)]
        out += [_Try(9, lines, staggered=True, icons=tight) for lines in (2, 3)]
        out += [_Try(9, lines, bands=bands, icons=tight) for bands in (2, 3, 4) for lines in (2, 3)]
        out += [_Try(9, lines, staggered=True, bands=2, icons=tight) for lines in (2, 3)]
    out += [
        _Try(letters, lines, packed=True, bands=n) for letters in (10, 9) for n in (3, 4, 5, 6, 7) for lines in (2, 3)
    ]
    return tuple(out)


def _apart(half: np.ndarray, top: np.ndarray, bottom: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Returns [N, N]: how far the second object must be right of the first, so that no part of them meets.

    Args:
      half: [P, N], half the width of each of P parts of every object.
      top, bottom: [P, N], where the parts are on the page.
      margin: [N, N], alike either way: how far apart parts must be upright, not to be beside each other.
    """
    above = top[:, None, :, None] < bottom[None, :, None, :] + margin  # [P, P, N, N]
    meet = above & above.transpose(1, 0, 3, 2)
    return (meet * (half[:, None, :, None] + half[None, :, None, :])).max((0, 1))


class _Grid(NamedTuple):
    """Columns and rows of a page.

    Attributes:
      column, row: ranks [N].
      columns, rows: who is in each.
      behind: [N, N], whether the second is in a column behind that of the first.
      below: pairs of objects of one column that stand one below the other.
      crowd: the objects of the fullest column.
    """

    column: np.ndarray
    row: np.ndarray
    columns: list[list[int]]
    rows: list[list[int]]
    behind: np.ndarray
    below: list[tuple[int, int]]
    crowd: int

    @classmethod
    def of(cls, column: np.ndarray, row: np.ndarray) -> _Grid:
        """Returns the grid of ranks [N]; no two objects have both in common."""
        columns, order = grouped(column), row.tolist()
        below = [pair for group in columns for pair in itertools.pairwise(sorted(group, key=order.__getitem__))]
        behind = column[:, None] < column
        return cls(column, row, columns, grouped(row), behind, below, max([len(group) for group in columns]))


class _Layout:
    """The search for room on one page."""

    def __init__(self, twin: Twin, written: Mapping[str, str], sheet: Sheet, size: tuple[int, int]):
        self.twin, self.sheet, self.size = twin, sheet, size
        texts = [written.get(obj.name, obj.name) for obj in twin.objects]
        self.wrapped = list(zip(*(wraps(sheet.lettering, text) for text in texts), strict=True))  # By number of lines.
        self.widths = np.array([[w.width for w in way] for way in self.wrapped])
        self.heights = np.array([[len(w.lines) for w in way] for way in self.wrapped])
        self.extent_x, self.extent_y = np.array([sheet.extent(obj) for obj in twin.objects]).T.copy()
        self.tight_x, self.tallest = np.minimum(self.extent_x, _LONGEST_WHEN_TIGHT), float(self.extent_y.max())
        self.column = ranks([obj.location[0] for obj in twin.objects])
        places = [(-obj.location[1], obj.location[0]) for obj in twin.objects]
        # Those that stand in one place follow each other.
        stood: Counter[tuple[float, float]] = Counter()
        rows = []
        for place in places:
            rows.append((place[0], stood[place]))
            stood[place] += 1
        self.row = ranks(rows)
        self.levels: dict[tuple[int, bool, bool], tuple[list[int], list[list[float]]]] = {}
        self.grids: dict[tuple[int, bool, bool], _Grid] = {}
        self.fitting: dict[tuple, float] = {}
        index = {obj.name: i for i, obj in enumerate(twin.objects)}
        ends = [(index[wire.source], index[wire.target]) for wire in twin.connections]
        self.links = {*ends, *[(b, a) for a, b in ends]}
        self.linked = np.zeros((len(places), len(places)))
        if ends:
            a, b = np.array(ends).T
            self.linked[a, b] = self.linked[b, a] = 1.0

    @functools.cached_property
    def order(self) -> np.ndarray:
        """Where each object comes when the flow is followed from its start, each branch to its end: [N]."""
        index = {obj.name: i for i, obj in enumerate(self.twin.objects)}
        following: list[list[int]] = [[] for _ in index]
        fed = set()
        for wire in self.twin.connections:
            following[index[wire.source]].append(index[wire.target])
            if wire.port == "A":
                fed.add(index[wire.target])
        by_place = np.lexsort((self.row, self.column)).tolist()
        seen: dict[int, int] = {}
        for root in sorted(by_place, key=lambda i: i in fed or not following[i]):
            stack = [root]
            while stack:
                i = stack.pop()
                if i not in seen:
                    seen[i] = len(seen)
                    stack += reversed(following[i])
        return np.array([seen[i] for i in range(len(index))])

    def search(self, first: int, height: float, roominess: float) -> tuple[_Try, int, Mapping] | None:
        """Returns the first try that has room, the height of the page and everything's place; None if there is none."""
        area = (self.widths[-1] * self.heights[-1]).sum() * LINE_HEIGHT * SMALLEST_LETTERS**2
        if area > self.size[0] * height:  # The names alone, as small as can be, are larger than the page.
            return None
        self.fitting.clear()  # What does not fit into frames may fit without.
        for attempt in _tries(first):
            if self.sheet.framed and attempt.letters < 10:
                break  # Frames take room that small letters do not make up for.
            if attempt.alternate and self.sheet.framed:
                continue  # Frames are level whichever end of them the name is at.
            if attempt.letters > self.fitting.get(attempt.shape, 99) * _HOPE or self._too_wide(attempt):
                continue
            placed = self.place(attempt, height, roominess)
            if placed is not None:
                return attempt, *placed
        return None

    def _grid(self, bands: int, packed: bool, staggered: bool) -> _Grid:
        """Returns the columns and rows of a try."""
        found = self.grids.get((bands, packed, staggered))
        if found is not None:
            return found
        column, row = (self.order, np.zeros_like(self.row)) if packed else (self.column, self.row)
        if bands > 1:
            column, row = folded(column, row, bands)
        if staggered:
            row = ranks((2 * row + column % 2).tolist())
        grid = self.grids[bands, packed, staggered] = _Grid.of(column, row)
        return grid

    def _too_wide(self, attempt: _Try) -> bool:
        """Whether names that are level do not fit beside each other: most tries fail by that, quickly."""
        parted = attempt.alternate or attempt.staggered  # Names of every other column are not level with the rest.
        key = attempt.bands, attempt.packed, parted
        if key not in self.levels:
            grid = self._grid(attempt.bands, attempt.packed, False)
            level = 2 * grid.row + grid.column % 2 if parted else grid.row
            self.levels[key] = np.bincount(level).tolist(), [np.bincount(level, w).tolist() for w in self.widths]
        counts, widths = self.levels[key]
        margin, pad = self.sheet.margin, _FRAME if self.sheet.framed else 0.0
        room = self.size[0] - margin.left - margin.right + _APART
        each = _APART + 2 + 2 * pad
        return any(
            w * attempt.letters + n * each > room for w, n in zip(widths[attempt.lines - 1], counts, strict=True)
        )

    def _note(self, attempt: _Try, part: float) -> None:
        """Notes which letters might fit, when there is room for no more than a part of what a try needs."""
        self.fitting[attempt.shape] = attempt.letters * part

    def place(self, attempt: _Try, height: float, roominess: float) -> tuple[int, Mapping] | None:
        """Returns the height of the page and everything's place on it, None when there is no room."""
        sheet, (width, _) = self.sheet, self.size
        margin, letters = sheet.margin, attempt.letters
        line = _LINE if letters > SMALLEST_LETTERS else 0.3 * _LINE
        grid = self._grid(attempt.bands, attempt.packed, attempt.staggered)
        columns, rows = len(grid.columns), len(grid.rows)
        wide, high = width - margin.left - margin.right, height - margin.top - margin.bottom
        widths = self.widths[attempt.lines - 1] * letters
        pad = _FRAME if sheet.framed else 0.0
        label_half = widths / 2 + 1
        label_high = self.heights[attempt.lines - 1] * (letters * LINE_HEIGHT) + 1

        extent_x = self.tight_x if letters <= 10 else self.extent_x
        upright = (high / grid.crowd - float(label_high.max()) - _GAP - _APART - 2 * pad) / self.tallest
        side = min(0.6 * wide / (columns + 0.5), upright, 46.0 * max(width / 512, 0.6))
        side = max(side, attempt.icons)
        icon_half, icon_high = extent_x * (side / 2), self.extent_y * (side / 2)
        near = icon_high + _GAP + label_high
        up, down = icon_high + pad, near + pad
        above = np.zeros(len(widths), bool)
        if attempt.alternate:
            above = grid.column % 2 == 1
            up, down = np.where(above, down, up), np.where(above, up, down)
        # --- Upright: objects of one column below each other -------------------------------------------------------
        if np.bincount(grid.column, up + down + _APART).max() > high + _APART:
            return None
        ups, downs, row, links = up.tolist(), down.tolist(), grid.row.tolist(), self.links
        pairs = [(row[a], row[b], downs[a] + ups[b], line * ((a, b) in links)) for a, b in grid.below]

        def upright(apart: float, more: float) -> Apart:
            out: list[list[tuple[int, float]]] = [[] for _ in range(rows)]
            for a, b, distance, between in pairs:
                out[b].append((a, distance + apart + more * between))
            return out

        # Tries that are staggered are short of room in any case.
        found = spaced(
            upright(_APART, 1.0),
            (max(downs) + max(ups) + _APART) / 2 if attempt.staggered else 4.0,
            [max([ups[i] for i in group]) for group in grid.rows],
            [max([downs[i] for i in group]) for group in grid.rows],
            high,
            0.0 if attempt.staggered else 0.7,
            lambda: (upright(_ROOM, 0.0), 0.6 * high / (rows + 1)),
        )
        if found.positions is None:
            self._note(attempt, high / found.total)
            return None
        page_height = height
        if roominess:
            page_height = min(max(found.total * roominess + margin.top + margin.bottom, width / 3), height)
        stretch = page_height - margin.top - margin.bottom
        y = stretched(found, stretch, max(_HIGHEST_PITCH * stretch * rows / found.total, 1.0))[grid.row] + margin.top
        # --- Across: whatever is level with something else beside it -----------------------------------------------
        label_top = np.where(above, y - near, y + icon_high + _GAP) if attempt.alternate else y + (icon_high + _GAP)
        widest, between = np.maximum(icon_half, label_half), line * self.linked
        if sheet.framed:
            half, top, bottom = widest + (pad + _FRAMES_APART / 2), y - up, y + down
            apart = _apart(half[None], top[None], bottom[None], 3.0 + between)
        else:
            half = np.array((icon_half + _APART, label_half + _APART / 2))
            top, bottom = np.array((y - icon_high, label_top)), np.array((y + icon_high, label_top + label_high))
            apart = _apart(half, top, bottom, 3.0 + between)
        level = np.abs(y[:, None] - y) < icon_high[:, None] + icon_high
        apart = np.maximum(apart, level * (icon_half[:, None] + icon_half + (2 * pad + 7) + 1.5 * between))
        step = 4.0
        first, second = ((apart > step) & grid.behind).nonzero()
        across: list[list[tuple[int, float]]] = [[] for _ in range(columns)]
        for a, b, distance in zip(
            grid.column[first].tolist(), grid.column[second].tolist(), apart[first, second].tolist(), strict=True
        ):
            across[b].append((a, distance))
        reaches = (widest + (pad + 1)).tolist()
        reach = [max([reaches[i] for i in group]) for group in grid.columns]
        found = spaced(across, step, reach, reach, wide, 0.8, lambda: (across, max(step, 0.85 * wide / (columns + 1))))
        if found.positions is None:
            self._note(attempt, wide / found.total)
            return None
        x = stretched(found, wide, max(_WIDEST_PITCH * wide * columns / found.total, 1.0))[grid.column] + margin.left
        return int(page_height), {
            "x": x,
            "y": y,
            "icon": (icon_half, icon_high),
            "label": (label_half, label_high, label_top - y),
            "lines": [w.lines for w in self.wrapped[attempt.lines - 1]],
        }


def lay_out(
    twin: Twin,
    rng: np.random.Generator,
    size: tuple[int, int],
    sheet: Sheet,
    written: Mapping[str, str] | None = None,
) -> Page:
    """Returns where everything of a Twin goes on a page.

    Names do not overlap each other, icons do not overlap icons or names, and everything is on the page.

    Args:
      twin: its locations give the order on the page, y upwards.
      rng: chooses the size of letters and the height of the page, and moves icons a little, as a hand would.
      size: width and greatest height in pixels; the page is as flat as three to one where that is enough.
      sheet: how it is to be drawn.
      written: what is written where it is not the name.

    Raises:
      SketchError: there are more objects or longer names than the page has room for.
    """
    width, height = size
    first = max(round((15 - int(rng.integers(4))) * min(width / 512, 1.6)), SMALLEST_LETTERS)
    roominess = float(rng.uniform(1.2, 1.7)) if rng.random() < 0.55 else 0.0
    count = len(twin.objects)
    shakes = rng.uniform(-sheet.shake, sheet.shake, (2, count))
    if not count:
        return Page(size, {}, {}, {}, sheet.framed, ())
    layout = _Layout(twin, written or {}, sheet, size)
    found = layout.search(first, height, roominess)
    if found is None and sheet.framed:
        sheet = layout.sheet = dataclasses.replace(sheet, framed=False)
        found = layout.search(SMALLEST_LETTERS + 1, height, roominess)
    if found is None:
        raise SketchError(
            f"{count} objects and their names do not fit on a page of {width} x {height}; shorten the names or draw "
            "on a larger page"
        )
    attempt, page_height, at = found
    x, y = at["x"] + shakes[0], at["y"] + shakes[1]
    (iw, ih), (lw, lh, offset) = at["icon"], at["label"]
    icons = boxes(x - iw, y - ih, x + iw, y + ih)
    top = y + offset
    names = boxes(x - lw, top, x + lw, top + lh)
    frames = icons
    if sheet.framed:
        frames = [a.around(b).grown(_FRAME) for a, b in zip(icons, names, strict=True)]
    index = {obj.name: i for i, obj in enumerate(twin.objects)}
    wires = [Wire(index[w.source], index[w.target], w.port == "A") for w in twin.connections]
    inner = Box(sheet.margin.left, sheet.margin.top, width - sheet.margin.right, page_height - sheet.margin.bottom)
    paths = (connect if sheet.stepped else route)(wires, frames, frames if sheet.framed else names, inner.grown(3))
    keys = list(index)
    return Page(
        (width, page_height),
        dict(zip(keys, icons, strict=True)),
        {key: Label(lines, attempt.letters, box) for key, lines, box in zip(keys, at["lines"], names, strict=True)},
        dict(zip(keys, frames, strict=True)),
        sheet.framed,
        tuple(Arrow(path, wire.flow) for path, wire in zip(paths, wires, strict=True)),
    )
