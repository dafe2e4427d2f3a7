"""Spots: the objects of a factory with their neighbours, while it is made or examined, and what each can do."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from vlsm_jax.simulator import classes
from vlsm_jax.synth.distributions import mean_of
from vlsm_jax.synth.industries import Station
from vlsm_jax.synth.layouts import OUTSIDE
from vlsm_jax.twin import Code, Distribution, ParameterValue, Twin, TwinObject

DEFAULT_PROCESS_TIME = 10
"""Seconds a station takes where nothing was set."""

BOX: Final[float] = 0.61
"""Metres of a conveyor that an item takes."""

WORKERS: Final[frozenset[str]] = frozenset({"Processor", "Combiner", "Separator", "MultiProcessor"})
"""Classes that work on items, and take only as many as they can work on."""

CONVEYORS: Final[frozenset[str]] = frozenset({"StraightConveyor", "CurvedConveyor"})


class Spot:
    """One object while a factory is made or examined.

    Attributes:
      cls: FlexSim class.
      name: of the object.
      parameters: property name to value.
      outs, ins: the objects of the flow at its ports, in port order.
      centers: those at its center ports; of a Dispatcher and its team, `team` holds the members.
      team: members of a Dispatcher.
      location: in metres.
      rate: items that enter per second; what is counted at a Combiner are batches.
      contents: items inside of an item that leaves.
      sent: items that leave per second.
      station: the table row that it was made of, None where there is none.
      role: "line", "supply" (parts for a Combiner), "scrap" or "rework".
      family: kind of its times, "" where it has none: "constant" or the name of a distribution.
    """

    __slots__ = (
        *("centers", "cls", "contents", "family", "ins", "location", "name", "outs", "parameters", "rate", "role"),
        *("sent", "station", "team"),
    )

    def __init__(self, cls: str, name: str, parameters: Mapping[str, ParameterValue] | None = None):
        self.cls = cls
        self.name = name
        self.parameters = {} if parameters is None else parameters
        self.outs: list[Spot] = []
        self.ins: list[Spot] = []
        self.centers: list[Spot] = []
        self.team: list[Spot] = []
        self.location = (0.0, 0.0, 0.0)
        self.rate = self.sent = self.contents = 0.0
        self.station: Station | None = None
        self.role = "line"
        self.family = ""


def spots_of(twin: Twin) -> list[Spot]:
    """Returns the objects of a Twin with their neighbours."""
    spots = {}
    for obj in twin.objects:
        spot = spots[obj.name] = Spot(obj.cls, obj.name, obj.parameters)
        spot.location = obj.location
    for wire in twin.connections:
        a, b = spots[wire.source], spots[wire.target]
        if wire.port == "S":
            a.centers.append(b)
            b.centers.append(a)
        elif a.cls in OUTSIDE:
            a.team.append(b)
        elif b.cls not in OUTSIDE:
            a.outs.append(b)
            b.ins.append(a)
    return list(spots.values())


def unlink(spots: Iterable[Spot]) -> None:
    """Lets objects go of each other, for good: so they are freed at once, and nobody has to look for their cycles."""
    for spot in spots:
        spot.outs, spot.ins, spot.centers, spot.team = [], [], [], []


# --- Single objects ---------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def table_rows(text: str) -> tuple[tuple, ...]:
    """Returns the rows of a table that is written as an array of arrays of numbers and strings."""
    return tuple(tuple(row) if isinstance(row, list) else (row,) for row in json.loads(text))


def component_quantities(parameters: Mapping[str, ParameterValue], ports: int) -> list[int]:
    """Returns how many items each input port of a Combiner gives to a batch, the first port included."""
    value = parameters.get("ComponentsList")
    rows = table_rows(value.text) if isinstance(value, Code) else ()
    return ([1, *(int(row[-1]) for row in rows)] + [1] * ports)[:ports]


def seconds_per_item(cls: str, parameters: Mapping[str, ParameterValue]) -> float:
    """Returns the mean seconds that a station sets up and works for one item, or a Combiner for one batch."""
    if cls == "MultiProcessor":
        table = parameters.get("ProcessTable")
        if not isinstance(table, Code):
            return DEFAULT_PROCESS_TIME
        return sum(float(row[1]) for row in table_rows(table.text))
    return mean_of(parameters.get("ProcessTime", DEFAULT_PROCESS_TIME)) + mean_of(parameters.get("SetupTime", 0))


def places_of(cls: str, parameters: Mapping[str, ParameterValue]) -> int:
    """Returns how many items a station works on side by side."""
    return int(parameters.get("MaxContent", 1)) if cls == "Processor" else 1


def capacity(obj: TwinObject | Spot) -> float:
    """Returns how many items per second an object can pass on; infinite for what takes no time."""
    if obj.cls in CONVEYORS:
        return float(obj.parameters.get("Speed", 1)) / BOX
    if obj.cls not in WORKERS:
        return math.inf
    seconds = seconds_per_item(obj.cls, obj.parameters)
    return places_of(obj.cls, obj.parameters) / seconds if seconds > 0 else math.inf


def shares(spot: Spot) -> list[float] | None:
    """Returns which share of its items goes to each output; None where they go to the first that has room."""
    count = len(spot.outs)
    choice = spot.parameters.get("SendToPort")
    if choice is None or count < 2:
        return [1.0] if count == 1 else None
    out = [0.0] * count
    if isinstance(choice, Distribution) and choice.name == "bernoulli":
        percent, first, second = choice.arguments
        out[int(first) - 1] += percent / 100
        out[int(second) - 1] += 1 - percent / 100
    elif isinstance(choice, Distribution) and choice.name == "duniform":
        low, high = (int(a) for a in choice.arguments)
        for port in range(low, high + 1):
            out[port - 1] += 1 / (high - low + 1)
    elif isinstance(choice, (int, float)) and 1 <= choice <= count:
        out[int(choice) - 1] = 1.0
    else:
        raise ValueError(f"SendToPort of {spot.name!r} is {choice}; its shares are not known")
    return out


def in_flow_order(spots: Sequence[Spot]) -> list[Spot]:
    """Returns the objects of the flow in its direction: but for what goes back, each comes after what feeds it."""
    seen: set[Spot] = set()
    order: list[Spot] = []
    flow = [spot for spot in reversed(spots) if spot.cls not in OUTSIDE]
    for root in (*(spot for spot in flow if not spot.ins), *flow):
        if root in seen:
            continue
        seen.add(root)
        stack = [(root, reversed(root.outs))]
        while stack:
            spot, rest = stack[-1]
            for target in rest:
                if target not in seen:
                    seen.add(target)
                    stack.append((target, reversed(target.outs)))
                    break
            else:
                stack.pop()
                order.append(spot)
    order.reverse()
    return order


@functools.cache
def size_of(cls: str) -> tuple[float, float, float]:
    """Returns the size of the objects of a class in metres, 1 each where it is not known."""
    info = classes().get(cls)
    return info.size if info is not None else (1, 1, 1)
