"""The names of the industries as a model knows them that was trained on their factories (`known_names.json`)."""

from __future__ import annotations

from typing import Any

from vlsm_jax.synth.industries import industry
from vlsm_jax.synth.splits import Split, industries_of


def known_names(split: Split = Split.TRAIN) -> dict[str, Any]:
    """Returns the vocabularies of a split's industries, as `vlsm_jax.data.known_names` reads them from a file."""
    return {"vocabularies": [_vocabulary(key) for key in industries_of(split)]}


def _vocabulary(key: str) -> dict[str, Any]:
    names = industry(key)
    sinks = (*names.sinks[:1], *names.rejects, *names.sinks[1:])  # a line that has two Sinks has one for scrap
    components = [component for station in names.stations for component in station.components]
    supply_buffers = dict.fromkeys(f"{component.name} Buffer" for component in components)
    others = {
        "Source": names.sources,
        "Sink": sinks,
        "Processor": names.reworks,
        "Queue": (*names.buffers, *supply_buffers),
        "StraightConveyor": names.conveyors,
        "Operator": names.operators,
        "Transporter": names.transporters,
        "AGV": names.agvs,
        "Robot": names.robots,
        "Crane": names.cranes,
        "TaskExecuter": names.executers,
        "Dispatcher": names.dispatchers,
        "step": [step.name for station in names.stations for step in station.steps],
    }
    return {
        "stations": [[s.name, s.cls, *(component.supply for component in s.components)] for s in names.stations],
        "others": {cls: list(of) for cls, of in others.items()},
    }
