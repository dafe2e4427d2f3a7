"""Keys of factories up to isomorphism: the same whatever objects are called and in whatever order they are listed.

Colours are refined as Weisfeiler and Lehman have it (1968): every object's colour takes in the colours at its ports
until no more objects are told apart. Isomorphic factories always get the same key. Different ones may, rarely; for
keeping splits apart that errs on the safe side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from vlsm_jax.twin import Twin, TwinObject, format_value

FLOW = ("Source", "Queue", "Processor", "Combiner", "Separator", "MultiProcessor", "Sink", "StraightConveyor", "Rack")
"""Classes through which items flow from port to port."""


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _refined(colors: dict[str, str], neighbours: Mapping[str, Sequence[Sequence[str]]], ordered: bool) -> str:
    """Returns one key for coloured nodes with lists of neighbours; `ordered` keeps the order of a list."""
    kinds = len(set(colors.values()))
    while True:
        arrange = list if ordered else sorted
        colors = {
            name: _digest(
                "|".join([color, *(",".join(arrange([colors[n] for n in group])) for group in neighbours[name])])
            )
            for name, color in colors.items()
        }
        refined = len(set(colors.values()))
        if refined == kinds:
            return _digest(",".join(sorted(colors.values())))
        kinds = refined


def topology_key(twin: Twin) -> str:
    """Returns the key of the shape of the flow: 16 hex digits.

    The shape is the directed graph of the wires between objects of the classes in `FLOW`. Names, classes, parameters,
    locations, port order and who carries or operates do not matter: a chain of four is one shape.
    """
    flow = {obj.name for obj in twin.objects if obj.cls in FLOW}
    outputs: dict[str, list[str]] = {name: [] for name in flow}
    inputs: dict[str, list[str]] = {name: [] for name in flow}
    for wire in twin.connections:
        if wire.port == "A" and wire.source in flow and wire.target in flow:
            outputs[wire.source].append(wire.target)
            inputs[wire.target].append(wire.source)
    return _refined(dict.fromkeys(flow, ""), {name: (outputs[name], inputs[name]) for name in flow}, ordered=False)


def is_chain(twin: Twin) -> bool:
    """Whether the flow is one row: every object of it has at most one input and one output."""
    ports = twin.ports
    return all(
        len(ports[obj.name].outputs) <= 1 and len(ports[obj.name].inputs) <= 1
        for obj in twin.objects
        if obj.cls in FLOW
    )


def _color(obj: TwinObject) -> str:
    return ";".join([obj.cls, *(f"{key}={format_value(value)}" for key, value in obj.parameters.items())])


def factory_key(twin: Twin) -> str:
    """Returns the key of a Twin without its names and locations: 16 hex digits.

    Equal for two Twins of the same classes, parameters, connections and port orders, whatever objects are called and
    wherever they stand.
    """
    ports = twin.ports
    return _refined(
        {obj.name: _digest(_color(obj)) for obj in twin.objects},
        {name: (p.outputs, p.inputs, p.centers) for name, p in ports.items()},
        ordered=True,
    )
