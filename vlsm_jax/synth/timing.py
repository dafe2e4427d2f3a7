"""Which family of times follows which along the flow, and drawing families so that some pairs do not occur."""

from __future__ import annotations

from collections.abc import Sequence

from vlsm_jax.synth.dice import Dice
from vlsm_jax.synth.distributions import ARRIVALS, CONSTANT, SERVICES
from vlsm_jax.synth.spots import Spot, in_flow_order, spots_of
from vlsm_jax.twin import Distribution, Twin

Pair = tuple[str, str]
"""The family of an object, and that of one that items reach from it with no other timed object between."""

_PROPERTY = {"Source": "InterArrivalTime", "Processor": "ProcessTime", "Combiner": "ProcessTime"} | {
    "Separator": "ProcessTime"
}
_ARRIVAL_WEIGHTS = (0.2, 0.35, 0.15, 0.15, 0.15)


def is_timed(spot: Spot) -> bool:
    """Whether an object has one time of its own; those of a MultiProcessor, several constants, do not count."""
    return spot.cls in _PROPERTY


def followers(spot: Spot) -> list[Spot]:
    """Returns the timed objects that items reach from an object before any other, in port order."""
    out: list[Spot] = []
    seen = {spot}
    stack = list(reversed(spot.outs))
    while stack:
        other = stack.pop()
        if is_timed(other):
            if other not in out:
                out.append(other)
        elif other not in seen:
            seen.add(other)
            stack.extend(reversed(other.outs))
    return out


def timing_pairs(twin: Twin) -> frozenset[Pair]:
    """Returns the pairs of families of consecutive timed objects along the flow, arrivals included.

    A family is "constant" or the name of a distribution. Timed are Sources, Processors, Combiners and Separators whose
    time is set; objects without a time between two of them do not separate them.
    """
    spots = in_flow_order(spots_of(twin))
    for spot in spots:
        value = spot.parameters.get(_PROPERTY.get(spot.cls, ""))
        spot.family = "" if value is None else value.name if isinstance(value, Distribution) else CONSTANT
    return frozenset(
        (spot.family, other.family) for spot in spots if spot.family for other in followers(spot) if other.family
    )


def draw_families(order: Sequence[Spot], alike: Sequence[Sequence[Spot]], avoid: frozenset[Pair], dice: Dice) -> bool:
    """Sets the family of every timed object, in the order of the flow; says whether it found one for all of them.

    Args:
      order: the objects of the flow, each behind what feeds it.
      alike: groups of objects that have one family in common.
      avoid: pairs that must not occur.
      dice: what chance comes from.
    """
    group = {spot: members for members in alike for spot in members}
    behind: dict[Spot, list[Spot]] = {}
    before: dict[Spot, list[Spot]] = {}
    if avoid:
        for spot in order:
            if is_timed(spot):
                behind[spot] = followers(spot)
                for other in behind[spot]:
                    before.setdefault(other, []).append(spot)
    for spot in order:
        if spot.family or not is_timed(spot):
            continue
        members = group.get(spot, (spot,))
        if spot.cls == "Source":
            families, weights = ARRIVALS, _ARRIVAL_WEIGHTS
        else:
            families, weights = SERVICES, ()
        if avoid:
            earlier = {other.family for member in members for other in before.get(member, ())}
            later = {other.family for member in members for other in behind.get(member, ())}
            itself = any(other in members for member in members for other in behind.get(member, ()))
            barred = {second for first, second in avoid if first in earlier}
            barred |= {first for first, second in avoid if second in later or (itself and first == second)}
            left = [number for number, family in enumerate(families) if family not in barred]
            if not left:
                return False
            families, weights = [families[i] for i in left], [weights[i] for i in left] if weights else ()
        family = dice.weighted(families, weights) if weights else dice.pick(families)
        for member in members:
            member.family = family
    return True
