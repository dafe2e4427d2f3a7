"""A drawing of what a candidate builds, marked where it departs from the reference.

Geometry only: `lay_out` places boxes and bends wires, the page's template turns them into SVG and colours them by
status. FlexSim's x runs right and its y runs up; SVG's y runs down.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from vlsm_jax.twin import Connection, PortLetter, Twin, diff, wires

BOX_WIDTH = 104.0
BOX_HEIGHT = 50.0
GAP_X = 34.0
GAP_Y = 26.0
MARGIN = 18.0
MAX_WIDTH = 1500.0
MAX_HEIGHT = 760.0
LABEL_LENGTH = 14

Point = tuple[float, float]


class Status(enum.Enum):
    """How an object or a wire of the drawing relates to the reference."""

    SAME = "same"
    CHANGED = "changed"
    MISSING = "missing"
    EXTRA = "extra"


@dataclasses.dataclass(frozen=True)
class Box:
    """One object; `x`, `y` is the centre in pixels, `label` its name in one or two lines, `note` what a hover says."""

    name: str
    cls: str
    label: tuple[str, ...]
    x: float
    y: float
    status: Status
    note: str


@dataclasses.dataclass(frozen=True)
class Wire:
    """One connection as a quadratic Bezier curve, in pixels, cut off at the boxes it joins; drawn `count` times."""

    start: Point
    control: Point
    end: Point
    port: PortLetter
    status: Status
    note: str
    count: int = 1

    @property
    def path(self) -> str:
        """The curve as the `d` of an SVG path."""
        (x0, y0), (x1, y1), (x2, y2) = self.start, self.control, self.end
        return f"M{x0:.1f} {y0:.1f}Q{x1:.1f} {y1:.1f} {x2:.1f} {y2:.1f}"

    @property
    def middle(self) -> Point:
        """The point half-way along the curve."""
        return _bezier(self.start, self.control, self.end, 0.5)


@dataclasses.dataclass(frozen=True)
class Drawing:
    """Boxes and wires in a frame of `width` by `height` pixels."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]


def lay_out(reference: Twin, candidate: Twin | None) -> Drawing:
    """Places the candidate's objects and wires, and those of the reference that it lacks.

    Objects stand where their location says, scaled until no two overlap. Where that is too wide, or locations coincide,
    columns and rows keep the order of the locations; where most coincide, objects stand in the order of the flow.

    Args:
      candidate: None where the script built nothing: all of the reference is missing.
    """
    candidate = candidate or Twin()
    objects = {obj.name: obj for obj in (*reference.objects, *candidate.objects)}  # the candidate's where both have it
    if not objects:
        return Drawing(2 * MARGIN, 2 * MARGIN, (), ())
    drawn = _wire_statuses(reference, candidate)
    flow = [(wire.source, wire.target) for wire, _ in drawn if wire.port == "A"]
    places = _places({name: (obj.location[0], -obj.location[1]) for name, obj in objects.items()}, flow)
    left = min(x for x, _ in places.values()) - BOX_WIDTH / 2 - MARGIN
    top = min(y for _, y in places.values()) - BOX_HEIGHT / 2 - MARGIN
    places = {name: (x - left, y - top) for name, (x, y) in places.items()}
    notes = _object_notes(reference, candidate)
    boxes = tuple(
        Box(name, obj.cls, _label(name), *places[name], *notes.get(name, (Status.SAME, f"{obj.cls} {name}")))
        for name, obj in objects.items()
    )
    lines = tuple(_bend(drawn, places))
    points = [(x + dx, y + dy) for x, y in places.values() for dx, dy in _CORNERS]
    points += [_bezier(line.start, line.control, line.end, t / 8) for line in lines for t in range(9)]
    # A bent wire may leave the frame of the boxes on any side.
    shift_x, shift_y = (MARGIN - min(MARGIN, *(p[axis] for p in points)) for axis in (0, 1))
    if shift_x or shift_y:
        boxes = tuple(dataclasses.replace(box, x=box.x + shift_x, y=box.y + shift_y) for box in boxes)
        lines = tuple(
            dataclasses.replace(
                line,
                **{
                    end: (p[0] + shift_x, p[1] + shift_y)
                    for end in ("start", "control", "end")
                    for p in [getattr(line, end)]
                },
            )
            for line in lines
        )
    width = max(p[0] for p in points) + shift_x + MARGIN
    height = max(p[1] for p in points) + shift_y + MARGIN
    return Drawing(width, height, boxes, lines)


# --- What differs -----------------------------------------------------------------------------------------------------


def _wire_statuses(reference: Twin, candidate: Twin) -> list[tuple[Connection, Status]]:
    mine, theirs = Counter(wires(reference)), Counter(wires(candidate))
    parts = ((mine & theirs, Status.SAME), (mine - theirs, Status.MISSING), (theirs - mine, Status.EXTRA))
    return [(wire, status) for counts, status in parts for wire in counts.elements()]


def _object_notes(reference: Twin, candidate: Twin) -> Mapping[str, tuple[Status, str]]:
    notes: dict[str, tuple[Status, str]] = {}
    for difference in diff(reference, candidate):
        # Another location shows by itself, and port order belongs to the wires.
        if difference.kind in ("missing object", "extra object", "class", "parameter"):
            name = difference.where
            if difference.kind == "parameter":
                # "<object>.<parameter>", where either may hold a dot: the longest name that fits is the object's.
                name = max((n for n in reference.by_name if name.startswith(f"{n}.")), key=len)
            status = {"missing object": Status.MISSING, "extra object": Status.EXTRA}.get(
                difference.kind, Status.CHANGED
            )
            text = f"{notes[name][1]}\n{difference}" if name in notes else str(difference)
            notes[name] = (status, text)
    return notes


def _label(name: str) -> tuple[str, ...]:
    if len(name) <= LABEL_LENGTH:
        return (name,)
    # Break at the gap nearest to the middle, if there is one; what still does not fit is cut and stays in the note.
    gaps = [i for i, character in enumerate(name) if character in " _-" and 0 < i < len(name) - 1]
    cut = min(gaps, key=lambda i: abs(i - len(name) / 2), default=LABEL_LENGTH - 1)
    lines = (name[:cut].strip(), name[cut:].strip(" "))
    return tuple(line if len(line) <= LABEL_LENGTH else line[: LABEL_LENGTH - 1] + "…" for line in lines if line)


# --- Where the boxes stand --------------------------------------------------------------------------------------------


def _places(locations: Mapping[str, Point], flow: Sequence[tuple[str, str]]) -> dict[str, Point]:
    step_x, step_y = BOX_WIDTH + GAP_X, BOX_HEIGHT + GAP_Y
    distinct = set(locations.values())
    if len(distinct) < len(locations) * 2 / 3:
        return _in_order_of_flow(list(locations), flow)
    if len(distinct) == len(locations):
        scale = 0.0
        for (ax, ay), (bx, by) in itertools.combinations(distinct, 2):
            dx, dy = abs(ax - bx), abs(ay - by)
            scale = max(scale, min(step_x / dx if dx else math.inf, step_y / dy if dy else math.inf))
        span_x, span_y = (max(p[axis] for p in distinct) - min(p[axis] for p in distinct) for axis in (0, 1))
        if span_x * scale <= MAX_WIDTH and span_y * scale <= MAX_HEIGHT:
            return {name: (x * scale, y * scale) for name, (x, y) in locations.items()}
    for parts in (40, 20, 10, 6):
        columns = _ranks([x for x, _ in locations.values()], parts)
        if max(columns) * step_x <= MAX_WIDTH:
            break
    rows = _ranks([y for _, y in locations.values()], 12)
    taken: set[tuple[int, int]] = set()
    places = {}
    for name, column, row in zip(locations, columns, rows, strict=True):
        while (column, row) in taken:
            row += 1
        taken.add((column, row))
        places[name] = (column * step_x, row * step_y)
    return places


def _ranks(values: Sequence[float], parts: int) -> list[int]:
    """Numbers the values by size, those closer than a part of their range alike."""
    tolerance = (max(values) - min(values)) / parts
    ranks: dict[float, int] = {}
    start, rank = None, -1
    for value in sorted(set(values)):
        if start is None or value - start > tolerance:
            start, rank = value, rank + 1
        ranks[value] = rank
    return [ranks[value] for value in values]


def _in_order_of_flow(names: Sequence[str], flow: Iterable[tuple[str, str]]) -> dict[str, Point]:
    following: dict[str, list[str]] = {name: [] for name in names}
    fed: set[str] = set()
    for source, target in flow:
        following[source].append(target)
        fed.add(target)
    layers: dict[str, int] = {}
    wired = [name for name in names if following[name] or name in fed]
    # Breadth first from what nothing feeds; a loop that nothing feeds starts at its first object.
    for root in [name for name in wired if name not in fed] + wired:
        queue = [root] if root not in layers else []
        layers.setdefault(root, 0)
        while queue:
            name = queue.pop(0)
            for target in following[name]:
                if target not in layers:
                    layers[target] = layers[name] + 1
                    queue.append(target)
    step_x, step_y = BOX_WIDTH + GAP_X, BOX_HEIGHT + GAP_Y
    columns: dict[int, list[str]] = {}
    for name, layer in layers.items():
        columns.setdefault(layer, []).append(name)
    tallest = max((len(column) for column in columns.values()), default=0)
    places = {
        name: (layer * step_x, (row - (len(column) - 1) / 2 + (tallest - 1) / 2) * step_y)
        for layer, column in columns.items()
        for row, name in enumerate(column)
    }
    per_row = max(len(columns), 6)
    for i, name in enumerate(name for name in names if name not in layers):
        places[name] = (i % per_row * step_x, (tallest + i // per_row) * step_y)
    return places


# --- How the wires run ------------------------------------------------------------------------------------------------

_CORNERS = [(dx * BOX_WIDTH / 2, dy * BOX_HEIGHT / 2) for dx in (-1, 1) for dy in (-1, 1)]
_BENDS = (0.0, 0.7, -0.7, 1.3, -1.3, 2.0, -2.0, 3.0, -3.0)  # sideways, in box heights
ARROW_GAP = 2.0


def _bend(drawn: Sequence[tuple[Connection, Status]], places: Mapping[str, Point]) -> Iterable[Wire]:
    counts = Counter((w.source, w.target, w.port, status) for w, status in drawn)
    ends = {frozenset((w.source, w.target)): set() for w, _ in drawn}
    for wire, status in dict.fromkeys(drawn):
        together = ends[frozenset((wire.source, wire.target))]
        start, end = places[wire.source], places[wire.target]
        note = f"{wire}" + ("" if status is Status.SAME else f": {status.value}")
        count = counts[wire.source, wire.target, wire.port, status]
        if wire.source == wire.target:
            x, y = start
            loop = ((x - 18, y - BOX_HEIGHT / 2), (x, y - BOX_HEIGHT / 2 - 44), (x + 18, y - BOX_HEIGHT / 2))
            yield Wire(*loop, wire.port, status, note, count)
            continue
        others = [place for name, place in places.items() if name not in (wire.source, wire.target)]
        # Of several wires between the same two objects, each takes a bend of its own.
        bends = [bend for bend in _BENDS if bend not in together and (not together or bend)]
        best = min(bends or _BENDS, key=lambda bend: (_hits(start, _control(start, end, bend), end, others), abs(bend)))
        # The way back sees the same curve from the other side.
        together.update((best, -best))
        control = _control(start, end, best)
        yield Wire(*_cut(start, control, end), wire.port, status, note, count)


def _control(start: Point, end: Point, bend: float) -> Point:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy) or 1.0
    # A quadratic curve reaches half-way to its control point.
    offset = 2 * bend * BOX_HEIGHT
    return ((start[0] + end[0]) / 2 - dy / length * offset, (start[1] + end[1]) / 2 + dx / length * offset)


def _bezier(start: Point, control: Point, end: Point, t: float) -> Point:
    a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
    return (a * start[0] + b * control[0] + c * end[0], a * start[1] + b * control[1] + c * end[1])


def _inside(point: Point, box: Point, margin: float = 0.0) -> bool:
    return abs(point[0] - box[0]) <= BOX_WIDTH / 2 + margin and abs(point[1] - box[1]) <= BOX_HEIGHT / 2 + margin


def _hits(start: Point, control: Point, end: Point, boxes: Sequence[Point]) -> int:
    points = [_bezier(start, control, end, i / 16) for i in range(1, 16)]
    return sum(any(_inside(point, box, 4.0) for point in points) for box in boxes)


def _cut(start: Point, control: Point, end: Point) -> tuple[Point, Point, Point]:
    """Returns the part of the curve between the borders of the boxes around its two ends."""
    t0 = _leaves(start, control, end)
    t1 = 1 - _leaves(end, control, start, ARROW_GAP)
    if t0 >= t1:
        return start, control, end
    # De Casteljau: the control point of the part is the blossom at both parameters.
    middle = tuple(
        (1 - t0) * (1 - t1) * start[k] + ((1 - t0) * t1 + t0 * (1 - t1)) * control[k] + t0 * t1 * end[k] for k in (0, 1)
    )
    return _bezier(start, control, end, t0), (middle[0], middle[1]), _bezier(start, control, end, t1)


def _leaves(start: Point, control: Point, end: Point, margin: float = 0.0) -> float:
    """Returns the parameter at which a curve that begins in the middle of a box leaves it; 1 where it never does."""
    steps = 32
    outside = next(
        (i for i in range(steps + 1) if not _inside(_bezier(start, control, end, i / steps), start, margin)), 0
    )
    if not outside:
        return 1.0
    low, high = (outside - 1) / steps, outside / steps
    for _ in range(10):
        middle = (low + high) / 2
        if _inside(_bezier(start, control, end, middle), start, margin):
            low = middle
        else:
            high = middle
    return high
