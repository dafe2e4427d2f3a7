"""Where things go on the page of a sketch: icons, names under them, arrows between them.

Geometry only, in pixels from the upper left corner, y downwards; nothing is drawn here, so that tests can ask whether
names overlap. Objects keep the order of their locations in x and y; distances are stretched to fill the page.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import ImageFont

from vlsm_jax.twin import Twin

Point = tuple[float, float]


class SketchError(ValueError):
    """A Twin that cannot be drawn on a page of the wanted size; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Box:
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


@dataclasses.dataclass(frozen=True)
class Label:
    """A name: its lines, the size of its letters in pixels and the rectangle they fill."""

    lines: tuple[str, ...]
    font_size: int
    box: Box


@dataclasses.dataclass(frozen=True)
class Arrow:
    """A wire from `start` to `end`; with a head where items flow, dashed where center ports are joined."""

    start: Point
    end: Point
    flow: bool = True

    def head(self, length: float) -> tuple[Point, Point, Point]:
        """Returns the tip and the two ends of the strokes of an arrow head."""
        angle = math.atan2(self.end[1] - self.start[1], self.end[0] - self.start[0])
        wings = (angle + math.pi - 0.42, angle + math.pi + 0.42)
        first, second = ((self.end[0] + length * math.cos(a), self.end[1] + length * math.sin(a)) for a in wings)
        return self.end, first, second


@dataclasses.dataclass(frozen=True)
class Page:
    """A laid-out sketch.

    Attributes:
      size: (width, height).
      icons: the rectangle of each icon by object name.
      labels: the name of each object, by object name.
      arrows: one per connection of the Twin, in its order; an object wired to itself has none.
    """

    size: tuple[int, int]
    icons: Mapping[str, Box]
    labels: Mapping[str, Label]
    arrows: tuple[Arrow, ...]


HEAD_LENGTH = 8.0
SCALE = 2
"""Pages are drawn this many times larger than they come out; letters are measured at the size they are drawn at."""

_MARGIN = 6
_GAP = 3
_FIRST_CHOICES = ((14, 11, (0,)), (14, 11, (0, 1)), (10, 8, (0,)), (10, 7, (0, 1)), (7, 6, (0, 1, 2)))
"""(largest, smallest font size, levels below the icon that names take in turn), in order of preference."""

_MOST_LINES = 3
_PARTS = re.compile(r"[^\s-]+-(?=\S)|\S+\s+\d+\s*$|\S+\s*|\s+")
"""What is kept on one line: a word, its first half up to a hyphen, or the last word with the number of the lane."""

LINE_HEIGHT = 1.2
"""From line to line, in font sizes."""


def _length(text: str, font: ImageFont.FreeTypeFont) -> float:
    return font.getlength(text) / SCALE


def _wrap(name: str, font: ImageFont.FreeTypeFont, width: float) -> list[str] | None:
    """Returns a name in lines no wider than `width`, broken at blanks and after hyphens, else None."""
    lines: list[str] = []
    for part in _PARTS.findall(name.replace("\n", " ")):
        joined = (lines[-1] if lines else "") + part
        if lines and _length(joined.rstrip(), font) <= width:
            lines[-1] = joined
        elif _length(part.rstrip(), font) <= width:
            lines.append(part)
        else:
            return None
    lines = [line.rstrip() for line in lines]
    return lines if len(lines) <= _MOST_LINES else None


def _spread(values: Sequence[float], low: float, high: float, pitch: float) -> dict[float, float]:
    """Maps coordinates linearly onto [low, high], centred, with neighbours at most `pitch` apart."""
    distinct = sorted(set(values))
    middle = (low + high) / 2
    if len(distinct) == 1:
        return {distinct[0]: middle}
    extent = distinct[-1] - distinct[0]
    nearest = min(b - a for a, b in itertools.pairwise(distinct))
    scale = min((high - low) / extent, pitch / nearest)
    center = (distinct[0] + distinct[-1]) / 2
    return {value: middle + (value - center) * scale for value in distinct}


def _pitch(positions: Mapping[float, float]) -> float:
    ordered = sorted(positions.values())
    return min((b - a for a, b in itertools.pairwise(ordered)), default=math.inf)


def _labels(
    twin: Twin, icons: Mapping[str, Box], order: Mapping[str, int], pitch: float, page: Box
) -> dict[str, Label] | None:
    for largest, smallest, levels in _FIRST_CHOICES:
        for size in range(largest, smallest - 1, -1):
            found = _labels_of_size(twin, icons, order, pitch, page, size, levels)
            if found is not None:
                return found
    return None


def _labels_of_size(
    twin: Twin,
    icons: Mapping[str, Box],
    order: Mapping[str, int],
    pitch: float,
    page: Box,
    size: int,
    levels: tuple[int, ...],
) -> dict[str, Label] | None:
    """Returns labels of one font size; None when a name does not fit, or meets another, an icon or the edge."""
    font = ImageFont.load_default(size * SCALE)
    height = size * LINE_HEIGHT
    width = min(len(levels) * pitch - 2 * _GAP, page.right - page.left, 150)
    out: dict[str, Label] = {}
    for obj in twin.objects:
        icon = icons[obj.name]
        room = 2 * min(icon.center[0] - page.left, page.right - icon.center[0]) - 4
        narrowest = max((_length(part.rstrip(), font) for part in _PARTS.findall(obj.name)), default=0)
        lines = None
        for wanted in (min(width, room), min(width, narrowest), width):
            lines = lines or _wrap(obj.name, font, wanted)
        if lines is None:
            return None
        half = max((_length(line, font) for line in lines), default=0) / 2 + 2
        x = min(max(icon.center[0], page.left + half), page.right - half)
        # A name may shift sideways at the edge of the page, but not away from its icon.
        if abs(x - icon.center[0]) > half:
            return None
        top = icon.bottom + _GAP + levels[order[obj.name] % len(levels)] * (2 * height + 1)
        box = Box(x - half, top, x + half, top + height * len(lines) + 2)
        if not box.within(page):
            return None
        out[obj.name] = Label(tuple(lines), size, box)
    for name, label in out.items():
        near = label.box.grown(_GAP / 2)
        for other, icon in icons.items():
            if other != name and (near.overlaps(icon) or near.overlaps(out[other].box.grown(_GAP / 2))):
                return None
    return out


def _crossing(start: Point, end: Point, box: Box) -> tuple[float, float] | None:
    """Returns at which fractions the segment enters and leaves the box, None when it misses it (Liang-Barsky)."""
    enter, leave = 0.0, 1.0
    for p0, p1, low, high in (
        (start[0], end[0], box.left, box.right),
        (start[1], end[1], box.top, box.bottom),
    ):
        delta = p1 - p0
        if delta == 0:
            if not low <= p0 <= high:
                return None
            continue
        a, b = sorted(((low - p0) / delta, (high - p0) / delta))
        enter, leave = max(enter, a), min(leave, b)
    return (enter, leave) if enter <= leave else None


def _arrow(start: Point, end: Point, behind: Sequence[Box], ahead: Sequence[Box], flow: bool) -> Arrow:
    """Returns the part of the segment that lies outside the icon and name at either end."""
    first, last = 0.0, 1.0
    for box in behind:
        crossing = _crossing(start, end, box)
        if crossing is not None:
            first = max(first, crossing[1])
    for box in ahead:
        crossing = _crossing(start, end, box)
        if crossing is not None:
            last = min(last, crossing[0])
    if last - first < 0.05:  # Icon or name of one end reach over those of the other: draw between the icons alone.
        first, last = 0.35, 0.65

    def at(t: float) -> Point:
        return start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t

    return Arrow(at(first), at(last), flow)


def _clear_of(arrow: Arrow, names: Sequence[Box]) -> Arrow:
    """Returns the arrow, drawn back until its head lies on no name; as it was when that would leave too little."""
    length = math.dist(arrow.start, arrow.end)
    for back in range(0, int(length - 2 * HEAD_LENGTH), 3):
        t = 1 - back / length
        end = tuple(a + (b - a) * t for a, b in zip(arrow.start, arrow.end, strict=True))
        shorter = dataclasses.replace(arrow, end=end)
        if not any(name.covers(point) for name in names for point in shorter.head(HEAD_LENGTH)):
            return shorter
    return arrow


def lay_out(twin: Twin, rng: np.random.Generator, size: tuple[int, int] = (512, 341)) -> Page:
    """Returns where everything of a Twin goes on a page.

    Names do not overlap each other, icons do not overlap icons or names, and everything is on the page.

    Args:
      twin: its locations are scaled to the page, y upwards.
      rng: moves icons a little, as a hand would.
      size: width and height in pixels.

    Raises:
      SketchError: objects stand so close, or names are so long, that they would overlap on a page of this size.
    """
    width, height = size
    page = Box(_MARGIN, _MARGIN, width - _MARGIN, height - _MARGIN)
    if not twin.objects:
        return Page(size, {}, {}, ())
    columns = len({obj.location[0] for obj in twin.objects})
    side = min(max(0.6 * width / (columns + 0.5), 20), 48)
    half_width, half_height = side / 2, side * 0.42
    edge = _MARGIN + half_width + 8
    drift = height * 0.08 * rng.uniform(-1, 1)
    xs = _spread([obj.location[0] for obj in twin.objects], edge, width - edge, width / 3.2)
    ys = _spread([-obj.location[1] for obj in twin.objects], edge + 4, height - edge - 36, height / 3)
    if len(ys) == 1:
        ys = {key: value + drift for key, value in ys.items()}
    pitch = _pitch(xs)

    shake = min(3.0, pitch / 20)
    icons: dict[str, Box] = {}
    for obj in twin.objects:
        x = xs[obj.location[0]] + rng.uniform(-shake, shake)
        y = ys[-obj.location[1]] + rng.uniform(-2, 2)
        icons[obj.name] = Box(x - half_width, y - half_height, x + half_width, y + half_height)
    boxes = list(icons.items())
    for i, (name, box) in enumerate(boxes):
        for other, there in boxes[:i]:
            if box.overlaps(there):
                raise SketchError(
                    f"objects {other!r} and {name!r} would overlap on a page of {width} x {height}; "
                    "give them locations further apart or draw on a larger page"
                )
    ranks = {x: i for i, x in enumerate(sorted(xs))}
    order = {obj.name: ranks[obj.location[0]] for obj in twin.objects}
    labels = _labels(twin, icons, order, min(pitch - 2 * shake, width), page)
    if labels is None:
        raise SketchError(
            f"the names of {len(twin.objects)} objects do not fit on a page of {width} x {height}; "
            "shorten them or draw on a larger page"
        )
    names = [label.box for label in labels.values()]
    arrows = tuple(
        _clear_of(
            _arrow(
                icons[w.source].center,
                icons[w.target].center,
                (icons[w.source].grown(2), labels[w.source].box.grown(1)),
                (icons[w.target].grown(2), labels[w.target].box.grown(1)),
                w.port == "A",
            ),
            names,
        )
        for w in twin.connections
        if w.source != w.target
    )
    return Page(size, icons, labels, arrows)
