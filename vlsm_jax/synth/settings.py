"""Settings of the objects of a floor: times, places, batches, and how items choose between several outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from vlsm_jax.synth.dice import Dice
from vlsm_jax.synth.distributions import Duration, draw_duration, round_number
from vlsm_jax.synth.floor import Floor
from vlsm_jax.synth.spots import WORKERS, Spot
from vlsm_jax.twin import Code, Distribution, ParameterValue

PLACEMENTS = ("Stack Vertically", "Horizontal Line", "Stack Inside Queue")
STACK_HEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 1)
BUFFER_ROOM = (10, 15, 20, 25, 30, 50)
BELT_SPEEDS = (0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.75, 0.8, 1)
BELT_LENGTHS = (3, 4, 5, 6, 7, 8)
WAITS = (120, 180, 240, 300, 600)
PERCENTS = (20, 25, 30, 35, 40, 50, 60, 65, 70, 75, 80)

Settings = dict[str, ParameterValue]


def _service(spot: Spot, dice: Dice) -> Duration:
    low, high = spot.station.seconds
    mean = dice.between(low, high) * (dice.between(0.7, 1.3) if spot.role == "rework" else 1)
    return draw_duration(spot.family, mean, dice)


def _setup(spot: Spot, dice: Dice) -> Settings:
    setup = spot.station.setup if spot.role == "line" else None
    return {"SetupTime": round_number(dice.between(*setup))} if setup is not None and dice.chance(0.65) else {}


def _processor(spot: Spot, dice: Dice) -> Settings:
    out: Settings = {"ProcessTime": _service(spot, dice), **_setup(spot, dice)}
    places = dice.pick(spot.station.places) if spot.role == "line" else 1
    if places > 1:
        out["MaxContent"] = places
    return out


def _combiner(spot: Spot, dice: Dice) -> Settings:
    return {"ProcessTime": _service(spot, dice), **_setup(spot, dice), "CombineMode": spot.station.mode or "Join"}


def _separator(spot: Spot, dice: Dice) -> Settings:
    out: Settings = {"ProcessTime": _service(spot, dice), **_setup(spot, dice), "SeparateMode": spot.station.mode}
    if spot.station.mode == "Split":
        out["SeparateQty"] = dice.whole(*(spot.station.quantity or (2, 2)))
    return out


def _multiprocessor(spot: Spot, dice: Dice) -> Settings:
    rows = (f'["{step.name}", {round_number(dice.between(step.low, step.high))}, 0]' for step in spot.station.steps)
    return {"ProcessTable": Code(f"[{', '.join(rows)}]")}


def _queue(spot: Spot, dice: Dice) -> Settings:
    station = spot.station
    places = dice.pick(station.places if station is not None else BUFFER_ROOM)
    out: Settings = {"MaxContent": places}
    if station is not None and station.batches:
        batch = dice.pick(station.batches)
        out |= {"DoBatching": 1, "BatchSize": batch, "MaxContent": max(places, 3 * batch)}
        if dice.chance(0.3):
            out["MaxBatchTime"] = dice.pick(WAITS)
    elif dice.chance(0.4):
        out["ItemPlacement"] = dice.pick(PLACEMENTS)
        if dice.chance(0.5):
            out["StackBaseZ"] = dice.pick(STACK_HEIGHTS)
    if station is not None and station.lifo and not station.batches and dice.chance(0.3):
        out["LIFO"] = 1
    return out


def _rack(spot: Spot, dice: Dice) -> Settings:
    return {"MaxContent": dice.pick(spot.station.places)}


def _conveyor(spot: Spot, dice: Dice) -> Settings:
    return {"Speed": dice.pick(BELT_SPEEDS), "HorizontalLength": dice.pick(BELT_LENGTHS)}


DRAW: Mapping[str, Callable[[Spot, Dice], Settings]] = MappingProxyType(
    {
        "Processor": _processor,
        "Combiner": _combiner,
        "Separator": _separator,
        "MultiProcessor": _multiprocessor,
        "Queue": _queue,
        "Rack": _rack,
        "StraightConveyor": _conveyor,
    }
)
"""What draws the settings of a class. Sources follow from the rest of the floor, and Sinks have none."""


def draw_settings(spots: Sequence[Spot], alike: Sequence[Sequence[Spot]], dice: Dice) -> None:
    """Sets the parameters of all objects but Sources; those of a group get the same ones. What is set already stays."""
    group = {spot: members for members in alike for spot in members}
    drawn: dict[Spot, Settings] = {}
    for spot in spots:
        draw = DRAW.get(spot.cls)
        if draw is None:
            continue
        first = group.get(spot, (spot,))[0]
        if first not in drawn:
            drawn[first] = draw(first, dice)
        spot.parameters = {**drawn[first], **spot.parameters}


def draw_choices(floor: Floor) -> list[Spot]:
    """Sets how items choose where several ways part; returns the objects that leave it to which way is free first.

    An item may go to the first of several stations that is free; where a way begins with a Queue, the first would take
    all of them, so that chance has to choose.
    """
    dice, pooled = floor.dice, []
    for spot in floor.spots:
        count = len(spot.outs)
        if count < 2 or "SendToPort" in spot.parameters or spot.role == "supply":
            continue
        lanes = spot.outs[0].station is not None and all(o.station is spot.outs[0].station for o in spot.outs)
        if lanes and all(other.cls in WORKERS and len(other.ins) == 1 for other in spot.outs) and dice.chance(0.6):
            pooled.append(spot)
        elif count == 2 and not lanes:
            percent = dice.pick((80, 85, 90, 95)) if spot.outs[1].cls == "Sink" else dice.pick(PERCENTS)
            spot.parameters["SendToPort"] = Distribution("bernoulli", (percent, 1, 2))
        else:
            spot.parameters["SendToPort"] = Distribution("duniform", (1, count))
    return pooled


def choose_evenly(spot: Spot) -> None:
    """Lets chance choose between the outputs of an object, each as often."""
    spot.parameters["SendToPort"] = Distribution("duniform", (1, len(spot.outs)))
