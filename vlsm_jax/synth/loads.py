"""How busy stations get: the traffic equations of a line, as bounds that hold without running it."""

from __future__ import annotations

import math

from vlsm_jax.synth.distributions import mean_of
from vlsm_jax.synth.layouts import grid_columns
from vlsm_jax.twin import Distribution, Twin, TwinObject

DEFAULT_PROCESS_TIME = 10
"""Seconds a Processor takes where nothing was set."""


def capacity(obj: TwinObject) -> float:
    """Returns how many items per second an object can pass on; infinite for what takes no time."""
    if obj.cls != "Processor":
        return math.inf
    seconds = mean_of(obj.parameters.get("ProcessTime", DEFAULT_PROCESS_TIME))
    seconds += mean_of(obj.parameters.get("SetupTime", 0))
    return float(obj.parameters.get("MaxContent", 1)) / seconds if seconds > 0 else math.inf


def _chooses_at_random(obj: TwinObject) -> bool:
    choice = obj.parameters.get("SendToPort")
    return isinstance(choice, Distribution) and choice.name == "duniform"


def utilisations(twin: Twin) -> dict[str, float]:
    """Returns a bound of the load of every Processor: below 1 it keeps up, 1 and more where a queue would grow.

    The load is the share of the time that the places of a Processor are taken. The rate into an object is the sum over
    its inputs, and never more than all Sources that feed it. An object that chooses an output at random (SendToPort
    duniform) splits its rate evenly. One that gives to the first free of several may give the first all that it can
    take: such heads of lanes get their common load, which bounds their mean but not each of them, and what follows
    each of them counts with the most that its head lets through. Loops are cut as in the grid rule.

    Raises:
      ValueError: a duration whose mean is not known.
    """
    rate: dict[str, float] = {}
    fed: dict[str, frozenset[str]] = {}
    pooled: dict[str, float] = {}
    arrivals = {
        obj.name: 1 / mean_of(obj.parameters.get("InterArrivalTime", 10)) for obj in twin.objects if obj.cls == "Source"
    }
    placed: set[str] = set()
    for column in grid_columns(twin):
        for name in column:
            before = [b for b in twin.ports[name].inputs if b in placed]
            own = frozenset((name,)) if name in arrivals else frozenset()
            fed[name] = own.union(*(fed[b] for b in before))
            total = sum(arrivals[source] for source in fed[name])
            inflow = arrivals.get(name, 0.0)
            for b in before:
                outputs = twin.ports[b].outputs
                if len(outputs) == 1:
                    inflow += rate[b]
                elif _chooses_at_random(twin.by_name[b]):
                    inflow += rate[b] / len(outputs)
                else:
                    together = sum(capacity(twin.by_name[o]) for o in outputs)
                    pooled[name] = pooled.get(name, 0.0) + (rate[b] / together if together < math.inf else 0.0)
                    inflow += min(rate[b], capacity(twin.by_name[name]))
            rate[name] = min(inflow, total)
        placed.update(column)
    return {
        obj.name: pooled.get(obj.name, rate[obj.name] / capacity(obj)) for obj in twin.objects if obj.cls == "Processor"
    }
