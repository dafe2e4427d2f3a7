"""Stages of lines."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from vlsm_jax.synth.industries import Industry, Station
from vlsm_jax.twin import Connection

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


PLANS = {"linear": linear_plan, "parallel": parallel_plan}
