"""Sampling factories: an industry, a layout, a flow, people and carriers, and a pace that all of them keep up with.

Everything is drawn so that it fits, rather than drawn and thrown away: the flow has as many objects as it is to have,
families of times are drawn along it, and arrivals are set last, to what the busiest place allows by the traffic
equations (`vlsm_jax.synth.loads`), the time that places wait for carriers and operators included.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np

from vlsm_jax.synth.automation import SHARES, Crew, draw_crews, staff
from vlsm_jax.synth.dice import Dice
from vlsm_jax.synth.distributions import draw_duration, mean_of
from vlsm_jax.synth.factory import AUTOMATION, FEATURES, Factory
from vlsm_jax.synth.floor import Floor
from vlsm_jax.synth.industries import INDUSTRIES, Industry
from vlsm_jax.synth.industries import industry as industry_named
from vlsm_jax.synth.isomorphism import shape_key
from vlsm_jax.synth.layouts import CONVEYOR, LAYOUTS, U_SHAPED, flow_columns, locate
from vlsm_jax.synth.layouts import layout as layout_named
from vlsm_jax.synth.loads import solve_rates, station_loads
from vlsm_jax.synth.settings import choose_evenly, draw_choices, draw_settings
from vlsm_jax.synth.spots import CONVEYORS, Spot, capacity, in_flow_order, places_of, unlink
from vlsm_jax.synth.timing import Pair, draw_families, timing_pairs
from vlsm_jax.synth.topologies import draw_flow
from vlsm_jax.synth.trials import check_run, horizon
from vlsm_jax.synth.trips import Duty, duties_of, waits
from vlsm_jax.twin import Connection, Twin, TwinObject

__all__ = [
    "FEWEST",
    "HIGHEST_LOAD",
    "MOST",
    "Refuses",
    "Sampled",
    "Wants",
    "check_choices",
    "check_run",
    "horizon",
    "sample_factory",
    "sample_unless",
    "timing_pairs",
]

FEWEST, MOST = 3, 40
"""Objects of the smallest and of the largest factory."""

HIGHEST_LOAD: Final = 0.93
"""Upper bound of the load of a sampled station."""

BUSIEST_LOAD: Final = (0.5, 0.86)
"""Between these the busiest place is aimed at, before round numbers."""

ARRIVALS_TRIED: Final = 4
"""Of one floor, until the factory is one that is wanted."""

PACES: Final = 4
"""Steps in which the pace and the waits that follow from it are brought together."""

BUSIEST_EXECUTER: Final = 0.68
"""Aimed at for operators and carriers: who is busier lets everybody wait."""

LAST_LANE: Final = 1.04
"""The load of lanes that share their work, over what they could carry with one lane less."""

NUMBERINGS: Final = (" {}", " {}", " {}", "{}", "_{}", "-{}")
TRIES: Final = 40

_SIZES = range(FEWEST, MOST + 1)
_MODE = 8.2
_SIZE_SUMS = list(accumulate(((n - 1.5) / _MODE) ** 1.45 * np.exp(-(n - 1.5) * 1.45 / _MODE) for n in _SIZES))
"""Of a gamma distribution with its mode at 9.7 objects; the median is 13 to 14."""

_LAYOUT_KEYS, _LAYOUT_SHARES = list(LAYOUTS), [layout.share for layout in LAYOUTS.values()]


def _draw_size(dice: Dice, fewest: int, most: int) -> int:
    low = _SIZE_SUMS[fewest - FEWEST - 1] if fewest > FEWEST else 0.0
    high = _SIZE_SUMS[most - FEWEST]
    return _SIZES[min(bisect_right(_SIZE_SUMS, dice.between(low, high)), most - FEWEST)]


class Sampled(NamedTuple):
    """A factory and the `topology_key` of its Twin."""

    factory: Factory
    topology: str


Refuses = Callable[[str, bool], bool]
"""Whether a flow is of no use, from its `topology_key` and whether it `is_chain`."""


Wants = Callable[[Twin], bool]
"""Whether a Twin is of use."""


class _RefusedError(Exception):
    """What was drawn is of no use."""


def sample_factory(
    rng: np.random.Generator,
    *,
    industry: str | None = None,
    layout: str | None = None,
    automation: str | None = None,
    fewest: int = FEWEST,
    most: int = MOST,
    features: tuple[str, ...] | None = None,
    avoid_pairs: frozenset[Pair] = frozenset(),
) -> Factory:
    """Returns a factory of `fewest` to `most` objects, drawn from `rng` alone, in which nothing starves.

    Every station is busy less than `HIGHEST_LOAD` of the time by the traffic equations, normal distributions have a
    mean of at least four standard deviations, and locations follow the rule of the layout.

    Args:
      rng: the only source of chance; it is advanced.
      industry: key of an industry, None for any.
      layout: key of a layout, None for any that the size allows.
      automation: one of `AUTOMATION`, None for any that size and features allow.
      fewest: number of objects at least.
      most: number of objects at most; `FEWEST` to `MOST`, and what layout and automation need.
      features: which of `FEATURES` may occur, None for all. The lanes of a parallel layout and the conveyors of a
        conveyor layout are there in any case; carriers need "transport".
      avoid_pairs: families that do not follow each other along the flow, as in `timing_pairs`.

    Raises:
      ValueError: a key that does not exist, or limits within which there is no such factory.
      RuntimeError: none was found in `TRIES` times `TRIES` tries.
    """
    choices = {"industry": industry, "layout": layout, "automation": automation, "features": features}
    limits = {"fewest": fewest, "most": most, "avoid_pairs": avoid_pairs}
    sampled = sample_unless(lambda topology, chain: False, lambda twin: True, rng, **choices, **limits)
    assert sampled is not None  # Nothing was refused.
    return sampled.factory


def sample_unless(
    refuses: Refuses,
    wants: Wants,
    rng: np.random.Generator,
    *,
    industry: str | None = None,
    layout: str | None = None,
    automation: str | None = None,
    fewest: int = FEWEST,
    most: int = MOST,
    features: tuple[str, ...] | None = None,
    avoid_pairs: frozenset[Pair] = frozenset(),
) -> Sampled | None:
    """Returns what `sample_factory` does, or None as soon as it is clear that it is of no use, which saves the rest.

    Args:
      refuses: which flows are of no use; none of their objects gets a setting.
      wants: which Twins are of use. Where one is not, only its arrivals are drawn again, a few times.
      rng: the only source of chance.
      **: see `sample_factory`.
    """
    check_choices(layout, automation, features, fewest, most)
    allowed = frozenset(FEATURES if features is None else features)
    dice = Dice(rng)
    table = industry_named(industry) if industry else dice.pick(tuple(INDUSTRIES.values()))
    for _ in range(TRIES):
        count = _draw_size(dice, fewest, most)
        level = automation or _draw_automation(dice, count, LAYOUTS[layout].fewest if layout else FEWEST, allowed)
        room = count - (level != "manual")
        kind = layout or _draw_layout(dice, room, allowed)
        if room < LAYOUTS[kind].fewest:
            continue  # an automation or a layout was asked for that takes more
        # The same again first: what comes out hard is not to be rare for it.
        for _ in range(TRIES):
            try:
                made = _draw_factory(dice, table, kind, level, count, allowed, avoid_pairs, refuses, wants)
            except _RefusedError:
                return None
            if made is not None:
                return made
    limits = f"{fewest} to {most} objects, industry {table.key!r}, layout {layout!r}, automation {automation!r}"
    raise RuntimeError(f"no factory was found in {TRIES} times {TRIES} tries: {limits}, features {sorted(allowed)}")


def check_choices(
    layout: str | None, automation: str | None, features: tuple[str, ...] | None, fewest: int, most: int
) -> None:
    """Raises `ValueError` for what `sample_factory` cannot be asked: see there."""
    if not FEWEST <= fewest <= most <= MOST:
        raise ValueError(f"fewest is {fewest} and most is {most}; expected {FEWEST} <= fewest <= most <= {MOST}")
    if automation is not None and automation not in AUTOMATION:
        raise ValueError(f"there is no automation {automation!r}; choose one of {', '.join(AUTOMATION)}")
    for feature in features or ():
        if feature not in FEATURES:
            raise ValueError(f"there is no feature {feature!r}; choose of {', '.join(FEATURES)}")
    carried = automation not in (None, "manual", "operator")
    if carried and features is not None and "transport" not in features:
        raise ValueError(f"automation {automation!r} carries items, and the feature 'transport' is not allowed")
    least = (layout_named(layout).fewest if layout is not None else FEWEST) + (automation not in (None, "manual"))
    if most < least:
        raise ValueError(f"most is {most}; layout {layout!r} with automation {automation!r} takes {least} objects")


def _draw_automation(dice: Dice, count: int, flow: int, allowed: frozenset[str]) -> str:
    if count <= flow:
        return "manual"
    levels = [k for k in AUTOMATION if k in ("manual", "operator") or "transport" in allowed]
    return dice.weighted(levels, [SHARES[level] for level in levels])


def _draw_layout(dice: Dice, room: int, allowed: frozenset[str]) -> str:
    shares = [
        share if LAYOUTS[key].fewest <= room and (key != CONVEYOR or "conveyor" in allowed) else 0.0
        for key, share in zip(_LAYOUT_KEYS, _LAYOUT_SHARES, strict=True)
    ]
    return dice.weighted(_LAYOUT_KEYS, shares)


# --- One try ----------------------------------------------------------------------------------------------------------


def _draw_factory(
    dice: Dice,
    table: Industry,
    layout: str,
    automation: str,
    count: int,
    allowed: frozenset[str],
    avoid: frozenset[Pair],
    refuses: Refuses,
    wants: Wants,
) -> Sampled | None:
    crews = draw_crews(dice, automation, count, allowed)
    flow = count - sum(crew.objects for crew in crews)
    while flow < LAYOUTS[layout].fewest:
        flow += crews.pop().objects
        if not crews:
            return None
    floor = draw_flow(dice, table, layout, flow, allowed)
    if floor is None:
        return None
    try:
        return _furnish(floor, crews, automation, avoid, refuses, wants)
    finally:
        unlink(floor.spots)


def _furnish(
    floor: Floor,
    crews: Sequence[Crew],
    automation: str,
    avoid: frozenset[Pair],
    refuses: Refuses,
    wants: Wants,
) -> Sampled | None:
    """Returns the factory of a flow, with settings, people, places and a pace; None where it does not come out."""
    dice = floor.dice
    order = in_flow_order(floor.spots)
    number = {spot: k for k, spot in enumerate(order)}
    topology = shape_key(tuple([tuple([number[other] for other in spot.outs]) for spot in order]))
    if refuses(topology, all(len(spot.outs) <= 1 and len(spot.ins) <= 1 for spot in order)):
        raise _RefusedError
    alike = _alike(floor)
    if not draw_families(order, alike, avoid, dice):
        return None
    draw_settings(order, alike, dice)
    pooled = draw_choices(floor)
    people = staff(floor, order, crews)
    if people is None:
        return None
    _name(dice, [*order, *people])
    if not _locate(floor, people):
        return None
    for _ in range(ARRIVALS_TRIED):
        if not _set_pace(order, alike, pooled, dice):
            return None
        twin = _twin(floor, people)
        if wants(twin):
            return Sampled(Factory(twin, floor.industry.key, floor.layout, automation, _features(floor)), topology)
    raise _RefusedError


def _alike(floor: Floor) -> list[list[Spot]]:
    """Returns the groups of objects with equal settings: those of one step in several lanes, and their own Sources."""
    if floor.dice.chance(0.15):
        return []
    groups: dict[tuple, list[Spot]] = {}
    for spot in floor.spots:
        if spot.role == "line" and (spot.station is not None or spot.cls == "Source"):
            groups.setdefault((id(spot.station), spot.name), []).append(spot)
    return [members for members in groups.values() if len(members) > 1]


def _name(dice: Dice, spots: Sequence[Spot]) -> None:
    """Numbers the objects of one name, in their order."""
    numbering = dice.pick(NUMBERINGS)
    groups: dict[str, list[Spot]] = {}
    for spot in spots:
        groups.setdefault(spot.name, []).append(spot)
    for name, members in groups.items():
        if len(members) > 1:
            for number, spot in enumerate(members):
                spot.name = name + numbering.format(number + 1)


def _locate(floor: Floor, people: Sequence[Spot]) -> bool:
    """Sets locations; False where a U shape came out so that a conveyor would run backwards."""
    inputs = {spot.name: [other.name for other in spot.ins] for spot in floor.spots}
    outputs = {spot.name: [other.name for other in spot.outs] for spot in floor.spots}
    centers: dict[str, list[str]] = {}
    for spot in people:
        centers.setdefault(spot.name, []).extend(other.name for other in spot.centers)
        for member in spot.team:
            centers[spot.name].append(member.name)
            centers.setdefault(member.name, []).append(spot.name)
    columns = flow_columns(inputs, outputs)
    places = locate(columns, centers, [spot.name for spot in people], folded=floor.layout == U_SHAPED)
    for spot in (*floor.spots, *people):
        spot.location = places[spot.name]
    # From here on the objects are in reading order.
    reading = {name: place for place, name in enumerate(name for column in columns for name in column)}
    floor.spots.sort(key=lambda spot: reading[spot.name])
    if floor.layout != U_SHAPED:
        return True
    # Conveyors run along +x; what comes back runs the other way.
    return all(spot.outs[0].location[0] > spot.location[0] for spot in floor.spots if spot.cls in CONVEYORS)


def _features(floor: Floor) -> tuple[str, ...]:
    found = set(floor.features)
    for spot in floor.spots:
        if spot.cls == "Queue" and "DoBatching" in spot.parameters:
            found.add("batching")
        elif spot.cls in _FEATURE_OF:
            found.add(_FEATURE_OF[spot.cls])
    return tuple(feature for feature in FEATURES if feature in found)


_FEATURE_OF = {
    "Combiner": "assembly",
    "Separator": "disassembly",
    "MultiProcessor": "multiprocess",
    "StraightConveyor": "conveyor",
    "Rack": "storage",
}


def _twin(floor: Floor, people: Sequence[Spot]) -> Twin:
    spots = (*floor.spots, *people)
    objects = tuple(TwinObject(spot.cls, spot.name, spot.location, spot.parameters) for spot in spots)
    return Twin(objects, tuple(_wires(floor, people)))


def _wires(floor: Floor, people: Sequence[Spot]) -> list[Connection]:
    """Returns the connections in an order that gives every object its ports in their order."""
    out: list[Connection] = []
    nexts = dict.fromkeys(floor.spots, 0)
    taken = dict.fromkeys(floor.spots, 0)
    left = sum(len(spot.outs) for spot in floor.spots)
    while left:
        before = left
        for spot in floor.spots:
            outs = spot.outs
            # A wire can be drawn when it is the next one at both of its ends.
            while nexts[spot] < len(outs) and outs[nexts[spot]].ins[taken[outs[nexts[spot]]]] is spot:
                target = outs[nexts[spot]]
                out.append(Connection(spot.name, target.name))
                nexts[spot] += 1
                taken[target] += 1
                left -= 1
        if left == before:
            raise RuntimeError(f"the ports of {floor.spots[0].name!r} and others cannot be drawn in any order")
    for spot in people:
        out.extend(Connection(spot.name, member.name) for member in spot.team)
    for spot in people:
        out.extend(Connection(user.name, spot.name, "S") for user in spot.centers)
    return out


# --- Pace -------------------------------------------------------------------------------------------------------------


class _Work(NamedTuple):
    """What there is to do: of each place that takes time its load, and how much more for each second it is held."""

    loads: dict[Spot, float]
    more: dict[Spot, float]
    pooled: Sequence[Spot]
    people: float

    @classmethod
    def of(cls, order: Sequence[Spot], pooled: Sequence[Spot], duties: Sequence[Duty]) -> _Work:
        """Returns the work of a floor whose rates have been solved."""
        loads, more = {}, {}
        for spot in order:
            most = capacity(spot)
            if most < float("inf"):
                loads[spot] = spot.rate / most
                more[spot] = spot.rate / places_of(spot.cls, spot.parameters)
        people = max([duty.load for duty in duties], default=0.0)
        return cls(loads, more, pooled, people * (BUSIEST_LOAD[1] / BUSIEST_EXECUTER))

    def busiest(self, held: Mapping[Spot, float]) -> float:
        """Returns the highest load, of executers in relation to what is aimed at for them.

        Args:
          held: for how many seconds per item places are taken beyond the work.
        """
        loads, more = dict(self.loads), self.more
        for spot, seconds in held.items():
            if spot in loads:
                loads[spot] += more[spot] * seconds
        for spot in self.pooled:
            mean = sum([loads[other] for other in spot.outs]) / len(spot.outs)
            for other in spot.outs:
                loads[other] = mean
        return max(self.people, max(loads.values(), default=0.0))


def _set_pace(order: Sequence[Spot], alike: Sequence[Sequence[Spot]], pooled: list[Spot], dice: Dice) -> bool:
    """Sets the arrivals of all Sources so that the busiest place has the load that is aimed at."""
    sources = [spot for spot in order if spot.cls == "Source"]
    lines = [spot for spot in sources if spot.role != "supply"]
    same = len(lines) == 1 or any(len(members) == len(lines) and lines[0] in members for members in alike)
    weights = {spot: 1.0 if same else dice.pick((0.5, 0.75, 1.0, 1.0)) for spot in lines}
    # Supplies as fast as one likes: what their Combiner takes is what they give.
    unit = dict.fromkeys(sources, 1e6) | {spot: w / sum(weights.values()) for spot, w in weights.items()}
    solve_rates(order, unit)
    aim = dice.between(*BUSIEST_LOAD)
    duties = duties_of(order)
    work = _Work.of(order, pooled, duties)
    mean = work.busiest({}) / aim
    for _ in range(PACES if duties else 0):
        # The busier executers are, the longer one waits for them, and the slower it must go.
        mean = (mean + work.busiest(waits(duties, 1 / mean)) / aim) / 2
    shared = None
    for spot in lines:
        if same and shared is not None:
            spot.parameters["InterArrivalTime"] = shared
            continue
        wanted = mean / unit[spot]
        shared = draw_duration(spot.family, wanted, dice)
        while mean_of(shared) < wanted * 0.97:
            wanted *= 1.04
            shared = draw_duration(spot.family, wanted, dice)
        spot.parameters["InterArrivalTime"] = shared
    if same:
        # All that was found for one item a second goes as much slower as its Sources do.
        pace = 1 / (unit[lines[0]] * mean_of(shared))
        for spot in order:
            spot.rate *= pace
            spot.sent *= pace
    else:
        arrivals = dict.fromkeys(sources, 1e6)
        arrivals |= {spot: 1 / mean_of(spot.parameters["InterArrivalTime"]) for spot in lines}
        solve_rates(order, arrivals)
    for spot in list(pooled):
        if not _lanes_have_work(spot):
            pooled.remove(spot)
            choose_evenly(spot)
    loads = station_loads(order)
    if any(load > HIGHEST_LOAD for load in loads.values()):
        # A lane behind the first one that is free could get too much: chance gives each its share.
        for spot in pooled:
            choose_evenly(spot)
        pooled.clear()
        loads = station_loads(order)
        if any(load > HIGHEST_LOAD for load in loads.values()):
            return False
    for spot in sources:
        if spot.role == "supply":
            _set_supply(spot, dice)
    return True


def _set_supply(spot: Spot, dice: Dice) -> None:
    """Lets parts come faster than they are used up: a Queue holds them ready, or the Source itself one at a time."""
    faster = dice.between(1.15, 1.5) if spot.outs[0].cls == "Queue" else dice.between(2, 3)
    wanted = 1 / (spot.rate * faster)
    arrival = draw_duration(spot.family, wanted, dice)
    while mean_of(arrival) * spot.rate > 0.92:
        wanted *= 0.95
        arrival = draw_duration(spot.family, wanted, dice)
    spot.parameters["InterArrivalTime"] = arrival


def _lanes_have_work(spot: Spot) -> bool:
    """Whether every lane is needed where the first free one of several stations takes the item.

    The last lane gets an item when all others are busy. With regular arrivals that happens only when the others could
    not carry the load alone, so that is asked for.
    """
    capacities = [capacity(other) for other in spot.outs]
    offered = sum(other.rate for other in spot.outs)
    return offered >= LAST_LANE * (sum(capacities) - min(capacities))
