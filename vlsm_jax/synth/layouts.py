"""Layouts: how stations are wired, and the rule that says where objects stand.

A line is a row of *stages*; each stage has one object, or one object per parallel lane. Between two stages an object
feeds its own lane, fans out to all lanes, or all lanes feed the one that follows. Wires are drawn stage by stage and
lane by lane, so output and input ports count lanes from 1.

The grid rule. A script sets locations, but a prompt need not give them: they follow from the connections.
  column: the number of steps on the longest path from where items enter (wires back against the flow do not count);
    x = 10 * column.
  row: the objects of one column stand below each other in port order, that of their predecessors first, centred on
    y = 0 and 8 apart: one object at y = 0, two at 4 and -4, three at 8, 0 and -8.
  z = 0. Objects where items enter are ordered by name, numbers by value. `grid_locations` computes the rule.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from vlsm_jax.synth.industries import Industry, Station
from vlsm_jax.twin import Connection, Twin

COLUMN_PITCH = 10
ROW_PITCH = 8

Location = tuple[float, float, float]


# --- The grid rule ----------------------------------------------------------------------------------------------------


def natural_key(name: str) -> tuple:
    """Returns a sort key by which "Line 2" comes before "Line 10"."""
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d+)", name))


def _forward_edges(successors: Mapping[str, tuple[str, ...]], roots: list[str]) -> dict[str, list[str]]:
    """Returns the edges left when those that close a loop, in port order from the roots, are taken out."""
    forward: dict[str, list[str]] = {name: [] for name in successors}
    done: set[str] = set()
    active: set[str] = set()
    for root in roots:
        if root in done:
            continue
        stack = [(root, iter(successors[root]))]
        active.add(root)
        while stack:
            name, rest = stack[-1]
            for target in rest:
                if target in active:
                    continue
                forward[name].append(target)
                if target not in done:
                    active.add(target)
                    stack.append((target, iter(successors[target])))
                    break
            else:
                stack.pop()
                active.discard(name)
                done.add(name)
    return forward


def grid_columns(twin: Twin) -> list[list[str]]:
    """Returns the names of the objects column by column, each column from top to bottom, by the grid rule."""
    successors = {name: ports.outputs for name, ports in twin.ports.items()}
    names = sorted(successors, key=natural_key)
    entries = [name for name in names if not twin.ports[name].inputs]
    # A loop that nothing enters has no entry: its first name stands in for one.
    forward = _forward_edges(successors, [*entries, *names])
    waiting = dict.fromkeys(names, 0)
    for targets in forward.values():
        for target in targets:
            waiting[target] += 1
    column = dict.fromkeys(names, 0)
    ready = [name for name in names if waiting[name] == 0]
    while ready:
        name = ready.pop()
        for target in forward[name]:
            column[target] = max(column[target], column[name] + 1)
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)

    columns: list[list[str]] = [[] for _ in range(max(column.values(), default=-1) + 1)]
    for name in names:
        columns[column[name]].append(name)
    # Position in reading order, column by column; a column is sorted by the first wire that leads to each object.
    first_wire: dict[str, tuple[int, int]] = {}
    position = 0
    for members in columns:
        members.sort(key=lambda name: first_wire.get(name, (-1, 0)))
        for name in members:
            for port, target in enumerate(forward[name]):
                first_wire.setdefault(target, (position, port))
            position += 1
    return columns


def grid_locations(twin: Twin) -> dict[str, Location]:
    """Returns where every object of a Twin stands by the grid rule of this module, in model units."""
    out: dict[str, Location] = {}
    for column, members in enumerate(grid_columns(twin)):
        for row, name in enumerate(members):
            y = ROW_PITCH * ((len(members) - 1) / 2 - row)
            out[name] = (COLUMN_PITCH * column, int(y) if y == int(y) else y, 0)
    return out


# --- Stages -----------------------------------------------------------------------------------------------------------

SOURCE = "Source"
SINK = "Sink"


@dataclasses.dataclass(frozen=True)
class Stage:
    """One step of a line: a station, or where items enter or leave, in one object or one per lane.

    Attributes:
      cls: FlexSim class of its objects.
      name: without the number of the lane.
      lanes: how many objects stand in it.
      station: the table row it was taken from; None for a Source or a Sink.
    """

    cls: str
    name: str
    lanes: int = 1
    station: Station | None = None


Plan = tuple[Stage, ...]


def object_names(plan: Plan, numbering: str) -> list[list[str]]:
    """Returns the names of the objects of each stage; `numbering` such as " {}" is appended where a stage has lanes."""
    return [
        [stage.name] if stage.lanes == 1 else [stage.name + numbering.format(lane + 1) for lane in range(stage.lanes)]
        for stage in plan
    ]


def plan_connections(names: list[list[str]]) -> list[Connection]:
    """Returns the wires between consecutive stages, lane by lane; raises `ValueError` when lanes do not match."""
    out = []
    for before, after in itertools.pairwise(names):
        if len(before) == len(after):
            out.extend(Connection(a, b) for a, b in zip(before, after, strict=True))
        elif len(before) == 1 or len(after) == 1:
            out.extend(Connection(a, b) for a in before for b in after)
        else:
            raise ValueError(f"a stage of {len(before)} lanes cannot feed one of {len(after)}; use equal numbers or 1")
    return out


def _pick_stations(industry: Industry, rng: np.random.Generator, count: int) -> list[Station]:
    """Returns `count` stations in process order: at least one Processor, no Queue without a neighbour it serves."""
    table = industry.stations
    processors = [i for i, s in enumerate(table) if s.cls == "Processor"]
    queues = [i for i, s in enumerate(table) if s.cls == "Queue"]
    chosen: set[int] = set()
    # Queues first, each with a Processor that stands next to it in the table, then Processors at random.
    for queue in rng.permutation(queues)[: int(rng.integers(0, count // 2 + 1))]:
        neighbours = [i for i in (queue - 1, queue + 1) if i in processors]
        beside = int(rng.choice(neighbours))
        if len(chosen | {int(queue), beside}) <= count:
            chosen |= {int(queue), beside}
    rest = [i for i in processors if i not in chosen]
    chosen.update(int(i) for i in rng.choice(rest, size=count - len(chosen), replace=False))
    return [table[i] for i in sorted(chosen)]


def _stage(station: Station, lanes: int) -> Stage:
    return Stage(station.cls, station.name, lanes, station)


def _ends(industry: Industry, rng: np.random.Generator) -> tuple[str, str]:
    return str(rng.choice(industry.sources)), str(rng.choice(industry.sinks))


def linear_plan(industry: Industry, rng: np.random.Generator) -> Plan:
    """Returns one line: a Source, 2 to 7 stations, a Sink."""
    source, sink = _ends(industry, rng)
    stations = _pick_stations(industry, rng, int(rng.integers(2, 8)))
    return (Stage(SOURCE, source), *(_stage(s, 1) for s in stations), Stage(SINK, sink))


def parallel_plan(industry: Industry, rng: np.random.Generator, most: int = 12) -> Plan:
    """Returns 2 to 4 parallel lanes, `most` objects at most, with Source, Sink and stations beside them shared or not.

    Lanes that share what feeds them either start with Processors, of which the first free one takes the item, or with
    Queues, between which the feeding object has to choose.
    """
    source, sink = _ends(industry, rng)
    lanes = int(rng.choice((2, 3, 4), p=(0.65, 0.25, 0.10)))
    shared_source, shared_sink = bool(rng.random() < 0.85), bool(rng.random() < 0.85)
    room = most - (1 if shared_source else lanes) - (1 if shared_sink else lanes)
    depth = int(rng.integers(1, room // lanes + 1)) if room > lanes else 1
    room -= lanes * depth
    before = int(shared_source and room > 0 and rng.random() < 0.3)
    after = int(shared_sink and room - before > 0 and rng.random() < 0.3)
    stations = _pick_stations(industry, rng, before + depth + after)
    in_lanes = stations[before : before + depth]
    # Lanes that only wait do no work: one step of each must be a Processor.
    if all(s.cls == "Queue" for s in in_lanes):
        return parallel_plan(industry, rng, most)
    return (
        Stage(SOURCE, source, 1 if shared_source else lanes),
        *(_stage(s, 1) for s in stations[:before]),
        *(_stage(s, lanes) for s in in_lanes),
        *(_stage(s, 1) for s in stations[before + depth :]),
        Stage(SINK, sink, 1 if shared_sink else lanes),
    )


@dataclasses.dataclass(frozen=True)
class Layout:
    """A kind of layout.

    Attributes:
      key: how it is named in data sets and splits.
      plan: draws the stages of one factory.
      locations: where the objects of such a factory stand.
    """

    key: str
    plan: Callable[[Industry, np.random.Generator], Plan]
    locations: Callable[[Twin], dict[str, Location]]


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        layout.key: layout
        for layout in (
            Layout("linear", linear_plan, grid_locations),
            Layout("parallel", parallel_plan, grid_locations),
        )
    }
)
"""Every layout by its key."""


def layout(key: str) -> Layout:
    """Returns the layout named `key`; raises `ValueError` listing those there are."""
    try:
        return LAYOUTS[key]
    except KeyError:
        raise ValueError(f"there is no layout {key!r}; choose one of {', '.join(LAYOUTS)}") from None
