"""What a table of an industry is made of, and a short way to write each kind of station."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

Range = tuple[float, float]
"""Lowest and highest plausible value."""

StationClass = Literal["Processor", "Queue", "Combiner", "Separator", "MultiProcessor", "Rack"]


class Component(NamedTuple):
    """What a Combiner adds to the item of the line.

    Attributes:
      name: what it is, in the singular: "Busbar".
      supply: name of the Source it comes from: "Busbar Supply".
      quantity: fewest and most that go to one item.
    """

    name: str
    supply: str
    quantity: tuple[int, int] = (1, 1)


class Step(NamedTuple):
    """One process of a MultiProcessor: its name, and the lowest and highest plausible mean time in seconds."""

    name: str
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Station:
    """One step of a line.

    Attributes:
      name: as an engineer writes it, without the number of the lane.
      cls: "Processor" for a step that works on items, "Queue" for one where they wait, "Combiner" where parts are
        added, "Separator" where one item becomes several or is unpacked, "MultiProcessor" for several processes at
        one machine, "Rack" for storage.
      seconds: lowest and highest plausible mean process time per item; (0, 0) for a Queue and a Rack; the sums over
        `steps` for a MultiProcessor.
      setup: lowest and highest plausible setup time per item in seconds, None where there is none.
      places: how many items it may hold: at work together in a Processor, waiting in a Queue or a Rack.
      lifo: whether items may be taken last in, first out (stacks, magazines).
      components: what a Combiner adds, one entry per input port from the second on; () for the rest.
      mode: CombineMode ("Pack", "Join", "Batch") or SeparateMode ("Split", "Unpack"); "" for the rest. An "Unpack"
        undoes a "Pack" that stands earlier in the table.
      quantity: fewest and most items that one item becomes at a "Split"; None for the rest.
      steps: the processes of a MultiProcessor, in order; () for the rest.
      batches: sizes in which a Queue may collect items for what comes next; () where it does not.
      inspects: whether items may be sent back or scrapped after it.
      yields: lowest and highest plausible share that passes in percent where it inspects, None for the rest.
      attended: whether an operator may work at it.
    """

    name: str
    cls: StationClass
    seconds: Range = (0, 0)
    setup: Range | None = None
    places: tuple[int, ...] = (1,)
    lifo: bool = False
    components: tuple[Component, ...] = ()
    mode: Literal["", "Pack", "Join", "Batch", "Split", "Unpack"] = ""
    quantity: tuple[int, int] | None = None
    steps: tuple[Step, ...] = ()
    batches: tuple[int, ...] = ()
    inspects: bool = False
    yields: tuple[int, int] | None = None
    attended: bool = False


@dataclasses.dataclass(frozen=True)
class Industry:
    """The vocabulary of one industry. Names are unique within it, whatever they stand for.

    Attributes:
      key: how it is named in data sets and splits.
      title: how it is named in prose, after "a" or "an" as its first letter has it.
      item: what flows, in the plural.
      sources: names for where items come from.
      sinks: names for where they go.
      stations: in process order.
      rejects: names for the Sinks of scrap.
      reworks: names for the stations that put items right again.
      buffers: names for Queues that may stand before any station.
      conveyors: names for conveyors between any two stations.
      operators, transporters, agvs, robots, cranes, executers, dispatchers: names for the Operators, Transporters,
        AGVs, Robots, Cranes, other TaskExecuters and Dispatchers of the floor.
    """

    key: str
    title: str
    item: str
    sources: tuple[str, ...]
    sinks: tuple[str, ...]
    stations: tuple[Station, ...]
    rejects: tuple[str, ...] = ("Scrap Bin", "Reject Bin")
    reworks: tuple[str, ...] = ("Rework Station", "Repair Bench")
    buffers: tuple[str, ...] = ("Process Buffer", "Input Buffer", "Waiting Area")
    conveyors: tuple[str, ...] = ("Belt Conveyor", "Transfer Conveyor")
    operators: tuple[str, ...] = ("Operator", "Line Operator", "Technician")
    transporters: tuple[str, ...] = ("Forklift", "Transporter")
    agvs: tuple[str, ...] = ("AGV", "Shuttle AGV")
    robots: tuple[str, ...] = ("Handling Robot", "Robot Arm")
    cranes: tuple[str, ...] = ("Bridge Crane", "Gantry Crane")
    executers: tuple[str, ...] = ("TaskExecuter", "Material Handler")
    dispatchers: tuple[str, ...] = ("Dispatcher", "Transport Control")


# --- Short forms in which the tables are written ----------------------------------------------------------------------


def processor(
    name: str,
    low: float,
    high: float,
    *,
    setup: Range | None = None,
    places: tuple[int, ...] = (1,),
    attended: bool = False,
) -> Station:
    """Returns a Processor that takes `low` to `high` seconds."""
    return Station(name, "Processor", (low, high), setup, places, attended=attended)


def inspection(
    name: str,
    low: float,
    high: float,
    yields: tuple[int, int],
    *,
    setup: Range | None = None,
    places: tuple[int, ...] = (1,),
    attended: bool = False,
) -> Station:
    """Returns a Processor after which `yields` percent pass and the others go back or are scrapped."""
    return Station(name, "Processor", (low, high), setup, places, inspects=True, yields=yields, attended=attended)


def queue(name: str, *places: int, lifo: bool = False, batches: tuple[int, ...] = ()) -> Station:
    """Returns a Queue with room for one of `places` items."""
    return Station(name, "Queue", places=places or (10, 20, 25, 50), lifo=lifo, batches=batches)


def rack(name: str, *places: int) -> Station:
    """Returns a Rack with room for one of `places` items."""
    return Station(name, "Rack", places=places or (50, 100, 200))


def combiner(
    name: str,
    low: float,
    high: float,
    *components: Component,
    mode: Literal["Pack", "Join", "Batch"] = "Join",
    setup: Range | None = None,
    attended: bool = False,
) -> Station:
    """Returns a Combiner that adds `components` to the item of the line."""
    return Station(name, "Combiner", (low, high), setup, components=components, mode=mode, attended=attended)


def split(name: str, low: float, high: float, quantity: tuple[int, int], *, attended: bool = False) -> Station:
    """Returns a Separator that makes `quantity` items of one."""
    return Station(name, "Separator", (low, high), mode="Split", quantity=quantity, attended=attended)


def unpack(name: str, low: float, high: float, *, attended: bool = False) -> Station:
    """Returns a Separator that takes out what a Combiner packed earlier."""
    return Station(name, "Separator", (low, high), mode="Unpack", attended=attended)


def multiprocessor(name: str, *steps: tuple[str, float, float], attended: bool = False) -> Station:
    """Returns a MultiProcessor; `steps` are (name, low, high) with times in seconds."""
    rows = tuple(Step(*step) for step in steps)
    seconds = (sum(step.low for step in rows), sum(step.high for step in rows))
    return Station(name, "MultiProcessor", seconds, steps=rows, attended=attended)
