"""What is added to a floor: supplies of parts, loops of rework, scrap, conveyors and buffers.

Whatever is added to one of several lanes would have to be added to all of them, so that it goes to steps that stand in
one lane first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vlsm_jax.synth.floor import Floor, connect, insert_before, insert_between
from vlsm_jax.synth.industries import Component
from vlsm_jax.synth.layouts import U_SHAPED
from vlsm_jax.synth.spots import WORKERS, Spot
from vlsm_jax.twin import Code, Distribution

LOOP_ROOM = (100, 150, 200, 250, 500)
"""MaxContent of a Queue that items come back to: where it were full, what waits to come back would block the loop."""

_BEHIND = 6
"""Steps at most from an inspection back to where rework begins."""


class Part(NamedTuple):
    """What a Combiner of a floor adds.

    Attributes:
      component: what it is.
      quantity: how many of it go to one item.
      ready: whether a Queue holds it ready.
    """

    component: Component
    quantity: int
    ready: bool


def add_supplies(floor: Floor, parts_of: Mapping[int, Sequence[Part]]) -> None:
    """Supplies Combiners, by the number of their table row, with their parts; those in several lanes share them."""
    table = floor.industry.stations
    for number, parts in parts_of.items():
        combiners = [spot for spot in floor.spots if spot.station is table[number]]
        for component, _, ready in parts if combiners else ():
            source = end = floor.add("Source", component.supply, role="supply")
            if ready:
                end = floor.add("Queue", f"{component.name} Buffer", role="supply")
                connect(source, end)
            for combiner in combiners:
                connect(end, combiner)
        for combiner in combiners:
            rows = ", ".join(f"[{part.quantity}]" for part in parts)
            combiner.parameters["ComponentsList"] = Code(f"[{rows}]")


def add_buffer_behind(floor: Floor, spot: Spot) -> None:
    """Lets what comes out of a Separator wait in a Queue, so that the next item is not held up."""
    new = floor.add("Queue", floor.name(floor.industry.buffers))
    for other in spot.outs:
        other.ins[other.ins.index(spot)] = new
    new.outs, spot.outs, new.ins = spot.outs, [new], [spot]
    if spot in floor.choosers:
        floor.choosers.discard(spot)
        floor.choosers.add(new)


def _is_loop_step(spot: Spot) -> bool:
    plain = spot.cls in ("Processor", "MultiProcessor", "StraightConveyor") or (
        spot.cls == "Queue" and not (spot.station is not None and spot.station.batches)
    )
    return plain and spot.role == "line"


def _several(floor: Floor) -> set[int]:
    """Returns the steps that stand in several lanes: what comes to one of them would have to come to all."""
    seen: set[int] = set()
    out: set[int] = set()
    for spot in floor.spots:
        if spot.station is not None and spot.role == "line":
            (out if id(spot.station) in seen else seen).add(id(spot.station))
    return out


def _singles_first(floor: Floor, spots: list[Spot]) -> list[Spot]:
    """Returns those of the objects that stand in one lane only; all of them where none does."""
    several = _several(floor)
    return [spot for spot in spots if id(spot.station) not in several] or spots


def _inspections(floor: Floor) -> list[Spot]:
    """Returns the stations after which items may part, inspections first."""
    found = [
        spot for spot in floor.spots
        if spot.cls == "Processor" and spot.role == "line" and len(spot.outs) == 1 and spot not in floor.choosers
    ]  # fmt: skip
    mixed = floor.dice.some(found, len(found))
    several = _several(floor)
    return sorted(mixed, key=lambda spot: (id(spot.station) in several, not spot.station.inspects))


def add_rework(floor: Floor, cost: int) -> bool:
    """Sends what an inspection finds bad back to a Queue before it, over a station for rework or directly."""
    dice = floor.dice
    for spot in _inspections(floor):
        chain = [spot]
        while len(chain) < _BEHIND:
            ins = chain[-1].ins
            if len(ins) != 1 or len(ins[0].outs) != 1 or not _is_loop_step(ins[0]):
                break
            chain.append(ins[0])
        queues = [s for s in chain if s.cls == "Queue"]
        used = 0
        if queues:
            target = dice.pick(queues)
        elif cost:
            begin = dice.pick([s for s in chain if s.cls in WORKERS])
            target = floor.add("Queue", floor.name(floor.industry.buffers))
            insert_before(begin, target)
            used = 1
        else:
            continue
        if used < cost:
            station = floor.add("Processor", floor.name(floor.industry.reworks), role="rework")
            station.station = spot.station
            connect(spot, station)
            connect(station, target)
            used += 1
            if used < cost:
                connect(station, floor.add("Sink", floor.name(floor.industry.rejects), role="scrap"))
                station.parameters["SendToPort"] = Distribution("bernoulli", (dice.pick((70, 75, 80, 85, 90)), 1, 2))
        else:
            connect(spot, target)
        _pass_most(floor, spot)
        target.parameters["MaxContent"] = dice.pick(LOOP_ROOM)
        floor.features.add("rework")
        return True
    return False


def _pass_most(floor: Floor, spot: Spot) -> None:
    """Lets the yield of an inspection go to port 1, the rest to port 2."""
    station = spot.station
    low, high = station.yields if station is not None and station.yields is not None else (88, 97)
    spot.parameters["SendToPort"] = Distribution("bernoulli", (floor.dice.whole(low, high), 1, 2))


def add_scrap(floor: Floor) -> None:
    """Throws away what an inspection finds bad."""
    for spot in _inspections(floor):
        if spot.outs[0].role != "scrap":
            connect(spot, floor.add("Sink", floor.name(floor.industry.rejects), role="scrap"))
            _pass_most(floor, spot)
            floor.features.add("split")
            return


def add_conveyor(floor: Floor) -> None:
    """Puts a conveyor between two objects of the line, of which the first feeds nothing else."""
    free = [
        spot for spot in floor.spots
        if len(spot.outs) == 1 and spot.role == "line" and spot.cls != "StraightConveyor"
        and spot.outs[0].cls != "StraightConveyor" and spot.outs[0].role == "line"
        and spot.cls != "Separator"
    ]  # fmt: skip
    if floor.layout == U_SHAPED:  # conveyors run along x, so they stand on the way out
        free = [spot for spot in free if len(spot.ins) == 0 or (len(spot.ins) == 1 and not spot.ins[0].ins)]
    if free:
        spot = floor.dice.pick(_singles_first(floor, free))
        insert_between(spot, spot.outs[0], floor.add("StraightConveyor", floor.name(floor.industry.conveyors)))
        floor.features.add("conveyor")


def add_buffer(floor: Floor) -> bool:
    """Puts a Queue before a station that has none, else anywhere before a station; says whether it could."""
    bare = [
        spot for spot in floor.spots
        if spot.cls in WORKERS and spot.ins and all(other.cls != "Queue" for other in spot.ins[:1])
    ]  # fmt: skip
    choice = bare or [spot for spot in floor.spots if (spot.cls in WORKERS or spot.cls == "Sink") and spot.ins]
    if not choice:
        return False
    insert_before(
        floor.dice.pick(_singles_first(floor, choice)), floor.add("Queue", floor.name(floor.industry.buffers))
    )
    return True
