"""Flow graphs: which stations of an industry stand on a floor, and how items get from one to the other.

A floor starts as a row of steps in process order. Some of them are widened to parallel lanes, some put side by side as
branches, of which an item takes one; then comes what real floors add: further Sources and Sinks, supplies of parts,
loops of rework, scrap, conveyors and buffers. The number of objects is given and met exactly: what each addition costs
is set aside before the row is drawn, and what is left over at the end becomes buffers.
"""

from __future__ import annotations

import dataclasses
import itertools

from vlsm_jax.synth.additions import (
    Part,
    add_buffer,
    add_buffer_behind,
    add_conveyor,
    add_rework,
    add_scrap,
    add_supplies,
)
from vlsm_jax.synth.dice import Dice
from vlsm_jax.synth.floor import Floor, connect
from vlsm_jax.synth.industries import Industry, Station
from vlsm_jax.synth.layouts import CONVEYOR, PARALLEL, natural_key
from vlsm_jax.synth.spots import WORKERS

MOST_LANES = 6


# --- What is to be on the floor ---------------------------------------------------------------------------------------


@dataclasses.dataclass
class _Wishes:
    """What was chosen before the row is drawn, and what is set aside for it.

    Attributes:
      steps: number of a table row to the objects that the step takes with what belongs to it.
      parts: number of a Combiner's row to what it adds.
      sources, sinks: how many there are.
      branches: how many groups of steps are put side by side.
      loops: objects set aside for each loop of rework: 0 to 2.
      scraps: how many stations throw something away.
      conveyors: how many there are.
    """

    steps: dict[int, int] = dataclasses.field(default_factory=dict)
    parts: dict[int, list[Part]] = dataclasses.field(default_factory=dict)
    sources: int = 1
    sinks: int = 1
    branches: int = 0
    loops: list[int] = dataclasses.field(default_factory=list)
    scraps: int = 0
    conveyors: int = 0

    def cost(self) -> int:
        """Returns the objects that are spoken for."""
        return sum(self.steps.values()) + self.sources + self.sinks + sum(self.loops) + self.scraps + self.conveyors


_KINDS: dict[str, float] = {
    "merge": 1.0,
    "split": 1.2,
    "branches": 1.4,
    "rework": 1.7,
    "scrap": 1.2,
    "assembly": 1.5,
    "disassembly": 1.2,
    "batching": 1.0,
    "multiprocess": 1.0,
    "conveyor": 0.8,
    "storage": 0.9,
}
"""What may be added, with its weight. Branches part and join, scrap parts."""

_NEEDS = {"branches": ("split", "merge"), "scrap": ("split",)}


def _wish(floor: Floor, count: int) -> _Wishes:
    dice, table = floor.dice, floor.industry.stations
    wishes = _Wishes()
    if floor.layout == CONVEYOR:
        wishes.conveyors = max(1, round((count - 2) * dice.between(0.25, 0.45)))
    rows: dict[str, list[int]] = {}
    for number, station in enumerate(table):
        if station.cls != "Queue" or station.batches:
            rows.setdefault(station.cls, []).append(number)
    kinds = [kind for kind in _KINDS if floor.allowed.issuperset(_NEEDS.get(kind, (kind,)))]
    if not kinds:
        return wishes
    weights = [_KINDS[kind] for kind in kinds]
    # One thing at least has to be left for the row itself: a station, or a lane each of two.
    most = count - (2 if floor.layout == PARALLEL else 1)
    for _ in range(dice.whole(0 if count < 6 else 1 + count // 12, min(9, 2 + count // 4))):
        kind = dice.weighted(kinds, weights)
        left = most - wishes.cost()
        if left <= 0:
            break
        if kind == "merge":
            wishes.sources += dice.whole(1, min(2, left))
        elif kind == "split":
            wishes.sinks += dice.whole(1, min(2, left)) if wishes.sinks == 1 else 0
        elif kind == "branches":
            wishes.branches += left > 2
        elif kind == "rework":
            wishes.loops.append(min(left, dice.whole(0, 2) if left > 2 else 1))
        elif kind == "scrap":
            wishes.scraps += 1
        elif kind == "conveyor":
            wishes.conveyors += dice.whole(1, min(3, left))
        else:
            _wish_step(wishes, kind, rows, table, most, "assembly" in kinds, dice)
    return wishes


def _wish_step(
    wishes: _Wishes,
    kind: str,
    rows: dict[str, list[int]],
    table: tuple[Station, ...],
    most: int,
    assembles: bool,
    dice: Dice,
) -> None:
    """Sets a step aside that has a kind of its own, where at most so many objects may be spoken for in all."""
    left = most - wishes.cost()
    cls = {
        "assembly": "Combiner", "disassembly": "Separator", "batching": "Queue", "multiprocess": "MultiProcessor",
        "storage": "Rack",
    }[kind]  # fmt: skip
    free = [number for number in rows.get(cls, ()) if number not in wishes.steps]
    if not free:
        return
    number = dice.pick(free)
    station = table[number]
    cost = 1
    if cls == "Queue":  # a batch is made for a station that takes it
        following = next((n for n in range(number + 1, len(table)) if table[n].cls == "Processor"), None)
        if following is None or left < 2:
            return
        wishes.steps.setdefault(following, 1)
    elif cls == "Combiner":
        _wish_assembly(wishes, number, station, left, dice)
        return
    elif cls == "Separator":
        cost = 2  # what comes out waits in a Queue
        packs = [row for row in range(number) if table[row].mode == "Pack"]
        if station.mode == "Unpack" and packs and packs[-1] not in wishes.parts and assembles:
            _wish_assembly(wishes, packs[-1], table[packs[-1]], left - cost, dice)
            left = most - wishes.cost()
        if station.mode == "Unpack" and (not packs or packs[-1] not in wishes.parts):
            return
    if cost <= left:
        wishes.steps[number] = cost


def _wish_assembly(wishes: _Wishes, number: int, station: Station, left: int, dice: Dice) -> None:
    parts = []
    for component in station.components[: dice.whole(1, len(station.components))]:
        quantity = dice.whole(*component.quantity)
        # Several parts of an empty line would have to come one by one while the item waits for them.
        parts.append(Part(component, quantity, quantity > 1 or dice.chance(0.35)))
    cost = 1 + sum(1 + part.ready for part in parts)
    if cost <= left:
        wishes.steps[number] = cost
        wishes.parts[number] = parts


# --- The row ----------------------------------------------------------------------------------------------------------

Segment = list[list[list[Station]]]
"""What stands side by side: a step is one branch of one station, lanes are branches alike."""


def _draw_rows(floor: Floor, wishes: _Wishes, count: int) -> list[int]:
    """Returns `count` numbers of table rows in order, those wished among them, with a station that works."""
    dice, table = floor.dice, floor.industry.stations
    chosen = set(wishes.steps)
    works = [n for n, s in enumerate(table) if s.cls == "Processor" and n not in chosen]
    waits = [n for n, s in enumerate(table) if s.cls == "Queue" and n not in chosen and not s.batches]
    more = max(0, count - len(chosen))
    queues = dice.whole(0, min(len(waits), more // 2))
    chosen.update(dice.some(works, more - queues))
    chosen.update(dice.some(waits, min(queues, count - len(chosen))))
    return sorted(chosen)


def _lanes(floor: Floor, room: int) -> tuple[int, int]:
    """Returns how many lanes there are and how long they are, for at most so many objects."""
    dice = floor.dice
    most = min(MOST_LANES, room)
    lanes = dice.weighted(range(2, most + 1), (0.4, 0.28, 0.16, 0.09, 0.07)[: most - 1])
    depth = dice.whole(1, max(1, min(5, room // lanes)))
    return lanes, depth


def draw_flow(dice: Dice, industry: Industry, layout: str, count: int, allowed: frozenset[str]) -> Floor | None:
    """Returns a floor of exactly `count` objects of the flow, wired but without parameters; None where one try failed.

    Args:
      dice: what chance comes from.
      industry: where stations and names come from.
      layout: key of a layout.
      count: objects, at least as many as the layout needs.
      allowed: features that may occur.
    """
    floor = Floor(dice, industry, layout, allowed)
    wishes = _wish(floor, count)
    room = count - wishes.cost() + len(wishes.steps)  # steps of the row, lanes counted one by one
    lanes = depth = 0
    own_sources = own_sinks = False
    if layout == PARALLEL:
        free = room - len(wishes.steps)
        own_sources = wishes.sources == 1 and dice.chance(0.2)
        own_sinks = wishes.sinks == 1 and dice.chance(0.2)
        ends = own_sources + own_sinks
        most = (free + ends) // (1 + ends)
        if most < 2:
            own_sources = own_sinks = False
            ends, most = 0, free
        if most < 2:
            return None
        lanes, depth = _lanes(floor, most)
        room -= (lanes - 1) * (depth + ends)
        while depth > 1 and room < max(depth, len(wishes.steps) + 1):
            depth -= 1
            room += lanes - 1
    rows = _draw_rows(floor, wishes, room)
    segments = _arrange(floor, wishes, rows, lanes, depth, own_sources, own_sinks)
    if segments is None:
        return None
    _wire(floor, wishes, segments, lanes if own_sources else 0, lanes if own_sinks else 0)
    for spot in [s for s in floor.spots if s.cls == "Combiner" and len(s.ins) > 1]:
        # Items of the line come through its first port alone.
        meeting = floor.add("Queue", floor.name(industry.buffers))
        for other in spot.ins:
            other.outs[other.outs.index(spot)] = meeting
        meeting.ins, meeting.outs, spot.ins = spot.ins, [spot], [meeting]
    add_supplies(floor, wishes.parts)
    for spot in [s for s in floor.spots if s.cls == "Separator"]:
        if len(spot.outs) > 1 or spot.outs[0].cls not in ("Queue", "Sink", "Rack"):
            add_buffer_behind(floor, spot)
    for cost in wishes.loops:
        add_rework(floor, cost)
    for _ in range(wishes.scraps):
        add_scrap(floor)
    for _ in range(wishes.conveyors):
        add_conveyor(floor)
    while len(floor.spots) < count:
        if not add_buffer(floor):
            return None
    if layout == CONVEYOR and not any(spot.cls == "StraightConveyor" for spot in floor.spots):
        return None
    return floor if len(floor.spots) == count else None


def _arrange(
    floor: Floor, wishes: _Wishes, rows: list[int], lanes: int, depth: int, own_sources: bool, own_sinks: bool
) -> list[Segment] | None:
    """Returns the row as segments: single steps, lanes, branches; never two wide ones next to each other."""
    dice, table = floor.dice, floor.industry.stations
    stations = [table[number] for number in rows]
    wide = [False] * len(stations)
    segments: dict[int, Segment] = {}  # first step to what stands there
    lengths: dict[int, int] = {}

    if lanes:
        if len(stations) < depth:
            return None
        starts = [
            start for start in range(len(stations) - depth + 1)
            if any(s.cls in WORKERS for s in stations[start : start + depth])
            and not any(s.cls == "Separator" for s in stations[start : start + depth])
            and not any(s.cls == "Combiner" for s in stations[start + depth : start + depth + 1])
            and (not own_sources or start == 0)
            and (not own_sinks or start + depth == len(stations))
        ]  # fmt: skip
        if not starts:
            return None
        start = dice.pick(starts)
        segments[start] = [stations[start : start + depth]] * lanes
        lengths[start] = depth
        wide[start : start + depth] = [True] * depth
    for _ in range(wishes.branches):
        length = dice.whole(1, min(5, len(stations) - 1))
        starts = [
            start for start in range(len(stations) - length + 1)
            if not any(wide[max(0, start - 1) : start + length + 1])
            and not any(s.cls in ("Combiner", "Separator") or s.batches for s in stations[start : start + length])
            and any(s.cls in WORKERS for s in stations[start : start + length])
            and not any(s.cls == "Combiner" for s in stations[start + length : start + length + 1])
        ]  # fmt: skip
        if not starts:
            continue
        start = dice.pick(starts)
        part = stations[start : start + length]
        if length >= 3 and dice.chance(0.3):
            a, b = sorted(dice.some(range(1, length), 2))
            ways = [part[:a], part[a:b], part[b:]]
        else:
            cut = dice.whole(0 if start else 1, length - 1) if length > 1 else 0
            ways = [part[:cut], part[cut:]]
        # An empty way passes the others by, and needs an object at each end.
        if not all(ways) and (start == 0 or len(stations) < 2):
            continue
        if any(way and not any(s.cls in WORKERS for s in way) for way in ways):
            continue
        segments[start] = sorted(ways, key=len, reverse=True) if not all(ways) else ways
        lengths[start] = length
        wide[start : start + length] = [True] * length
        floor.features.update(("split", "merge"))
    out, at = [], 0
    while at < len(stations):
        out.append(segments.get(at, [[stations[at]]]))
        at += lengths.get(at, 1)
    return out


def _wire(floor: Floor, wishes: _Wishes, segments: list[Segment], own_sources: int, own_sinks: int) -> None:
    dice, industry = floor.dice, floor.industry
    if own_sources:
        base = floor.name(industry.sources)
        ends = [floor.add("Source", base) for _ in range(own_sources)]
    else:
        # In the order in which the grid rule puts them, so that lanes are numbered from top to bottom.
        names = sorted((floor.name(industry.sources) for _ in range(wishes.sources)), key=natural_key)
        ends = [floor.add("Source", name) for name in names]
    first = True
    for segment in segments:
        heads, tails = [], []
        for way in segment:
            spots = [floor.add(station.cls, station.name, station) for station in way]
            for a, b in itertools.pairwise(spots):
                connect(a, b)
            heads.append(spots[0] if spots else None)
            tails.append(spots[-1] if spots else None)
        if first and len(ends) > 1 and len(ends) != len(heads):
            # Sources that do not match what follows meet in a Queue, or in the only step.
            if len(heads) > 1:
                meeting = floor.add("Queue", floor.name(industry.buffers))
                for end in ends:
                    connect(end, meeting)
                ends = [meeting]
            floor.features.add("merge")
        if len(ends) == len(heads) and len(heads) > 1:
            for end, head in zip(ends, heads, strict=True):
                connect(end, head)
        else:
            for end in ends:
                for head in heads:
                    if head is not None:
                        connect(end, head)
            if len(heads) > 1:
                floor.choosers.update(ends)
        through = [end for end in ends for head in heads if head is None]
        ends = [tail for tail in tails if tail is not None] + through
        first = False
    if own_sinks:
        base = floor.name(industry.sinks)
        for end in ends:
            connect(end, floor.add("Sink", base))
        return
    sinks = [floor.add("Sink", floor.name(industry.sinks)) for _ in range(wishes.sinks)]
    if len(sinks) > 1 and len(ends) == len(sinks) and dice.chance(0.7):
        for end, sink in zip(ends, sinks, strict=True):
            connect(end, sink)
    elif len(sinks) > 1 and len(ends) > 1:
        # Lanes that would all choose between several Sinks meet first.
        meeting = floor.add("Queue", floor.name(industry.buffers))
        for end in ends:
            connect(end, meeting)
        for sink in sinks:
            connect(meeting, sink)
        floor.choosers.add(meeting)
    else:
        for end in ends:
            for sink in sinks:
                connect(end, sink)
        if len(sinks) > 1:
            floor.choosers.update(ends)
    if len(sinks) > 1:
        floor.features.add("split")
