"""How busy a factory gets: its traffic equations, solved without running it.

Rates. What leaves an object goes on to its outputs by their shares; an object gets the sum of what comes in. Where
items come back to be worked on again this is a system of linear equations; sweeps along the flow solve it, each of them
adding one more round of the loops. A Combiner takes the rate of its first input, a Separator gives several items for
one. Supplies give what their Combiner needs, however fast they could.

Loads. A station's load is its rate times the seconds of an item, over its places. An executer's is the rate of its
trips or calls times their seconds, over the members of its team. Below 1 all keep up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from vlsm_jax.synth.distributions import mean_of
from vlsm_jax.synth.spots import (
    CONVEYORS,
    WORKERS,
    Spot,
    capacity,
    component_quantities,
    in_flow_order,
    shares,
    spots_of,
    unlink,
)
from vlsm_jax.synth.trips import duties_of, executer_loads
from vlsm_jax.twin import Distribution, ParameterValue, Twin

_SWEEPS = 300
_SETTLED = 1e-13


# --- Rates ------------------------------------------------------------------------------------------------------------


def solve_rates(order: Sequence[Spot], arrivals: Mapping[Spot, float]) -> None:
    """Sets `rate`, `sent` and `contents` of objects in the order of the flow, for arrivals per second at Sources.

    Where items go to the first output with room, equal shares are taken.
    """
    place = {spot: number for number, spot in enumerate(order)}
    inward: list[list[tuple[int, float, int]]] = [[] for _ in order]  # (from, share, input port)
    ports: dict[Spot, int] = dict.fromkeys(order, 0)
    loops = False
    for number, spot in enumerate(order):
        given = shares(spot)
        for port, target in enumerate(spot.outs):
            share = given[port] if given is not None else 1 / len(spot.outs)
            # Input ports count for Combiners alone, which take the first as the one of the line.
            first = 0 if target.cls != "Combiner" or target.ins[0] is spot else 1
            inward[place[target]].append((number, share, first))
            ports[target] += 1
            loops = loops or place[target] <= number
    sent, contents = [0.0] * len(order), [0.0] * len(order)
    rates = [arrivals.get(spot, 0.0) for spot in order]
    own = list(rates)
    combines = {spot: component_quantities(spot.parameters, len(spot.ins)) for spot in order if spot.cls == "Combiner"}
    for _ in range(_SWEEPS if loops else 1):
        change = 0.0
        for number, spot in enumerate(order):
            rate, full = own[number], 0.0
            for other, share, side in inward[number]:
                flow = sent[other] * share
                if not side:
                    rate += flow
                    full += flow * contents[other]
            inside = full / rate if rate > 0 else 0.0
            rates[number] = rate
            cls, parameters = spot.cls, spot.parameters
            leaving = rate
            if cls == "Combiner":
                added = sum(combines[spot]) - 1
                mode = parameters.get("CombineMode", "Pack")
                inside = inside + added if mode == "Pack" else inside
                leaving = rate * (1 + added) if mode == "Batch" else rate
            elif cls == "Separator":
                quantity = parameters.get("SeparateQty")
                if parameters.get("SeparateMode", "Unpack") == "Split":
                    leaving = rate * _mean_quantity(quantity)
                else:
                    taken = inside if quantity is None else min(inside, _mean_quantity(quantity))
                    leaving, inside = rate * (1 + taken), 0.0
            change = max(change, abs(leaving - sent[number]))
            sent[number], contents[number] = leaving, inside
        if change <= _SETTLED * max(sent, default=0.0):
            break
    for number, spot in enumerate(order):
        spot.rate, spot.sent, spot.contents = rates[number], sent[number], contents[number]
    for spot, quantities in combines.items():
        for supply, quantity in zip(spot.ins[1:], quantities[1:], strict=True):
            _hold_back(supply, spot, quantity, quantities)


def _mean_quantity(value: ParameterValue | None) -> float:
    if isinstance(value, Distribution) and value.name == "duniform":
        return sum(value.arguments) / 2
    return 2.0 if value is None else float(value)


def _hold_back(supply: Spot, combiner: Spot, quantity: int, quantities: Sequence[int]) -> None:
    """Gives a line of parts the rate at which its Combiners use them up, where that is lower."""
    needed = sum(
        combiner.rate * quantity if other is combiner else other.rate * _quantity_from(other, supply)
        for other in supply.outs
    )
    spot = supply
    while spot.sent > needed:
        spot.rate = needed if spot.sent == spot.rate else spot.rate * needed / spot.sent
        spot.sent = needed
        if len(spot.ins) != 1 or len(spot.ins[0].outs) != 1:
            return
        spot, needed = spot.ins[0], spot.rate


def _quantity_from(spot: Spot, supply: Spot) -> int:
    if spot.cls != "Combiner":
        return 1
    quantities = component_quantities(spot.parameters, len(spot.ins))
    return sum(q for q, other in zip(quantities, spot.ins, strict=True) if other is supply)


def arrivals_of(spots: Sequence[Spot]) -> dict[Spot, float]:
    """Returns the items per second that every Source makes."""
    return {s: 1 / mean_of(s.parameters.get("InterArrivalTime", 10)) for s in spots if s.cls == "Source"}


def rates(twin: Twin) -> dict[str, float]:
    """Returns how many items enter each object of the flow per second; for a Combiner, how many batches it makes."""
    spots = spots_of(twin)
    order = in_flow_order(spots)
    solve_rates(order, arrivals_of(order))
    unlink(spots)
    return {spot.name: spot.rate for spot in order}


# --- Loads ------------------------------------------------------------------------------------------------------------


def station_loads(order: Sequence[Spot]) -> dict[Spot, float]:
    """Returns a bound of the load of every station and conveyor; rates have been solved.

    Objects that share what comes, the first one free getting the item, have a load in common, which bounds their mean
    but not each of them. What follows such an object in a line of its own counts with the most that it lets through.
    """
    out = {spot: spot.rate / capacity(spot) for spot in order if spot.cls in WORKERS or spot.cls in CONVEYORS}
    ceiling: dict[Spot, float] = {}
    for spot in order:
        if len(spot.outs) > 1 and "SendToPort" not in spot.parameters and all(s.cls in WORKERS for s in spot.outs):
            offered = sum(target.rate for target in spot.outs)
            together = sum(capacity(target) for target in spot.outs)
            for target in spot.outs:
                if len(target.ins) == 1:
                    out[target] = offered / together if together < math.inf else 0.0
                    ceiling[target] = min(offered, capacity(target))
    for head, most in ceiling.items():
        spot = head
        while len(spot.outs) == 1 and len(spot.outs[0].ins) == 1 and spot.rate > 0:
            most *= spot.sent / spot.rate
            spot = spot.outs[0]
            if spot in out:
                out[spot] = most / capacity(spot)
    return out


def utilisations(twin: Twin) -> dict[str, float]:
    """Returns how busy every station, conveyor, operator and carrier gets: below 1 it keeps up.

    The load is the share of the time that the places of a station are worked at, or that an executer does something,
    the ways to its work included. Members of a team, and stations of which the first one free takes the item, get the
    load that they have in common; a station behind one of these counts with the most that can come.

    Raises:
      ValueError: a duration whose mean, or a SendToPort whose shares are not known.
    """
    spots = spots_of(twin)
    order = in_flow_order(spots)
    arrivals = arrivals_of(order)
    solve_rates(order, arrivals)
    loads = station_loads(order)
    loads.update(executer_loads(duties_of(order)))
    return {spot.name: load for spot, load in loads.items()}
