"""Keys of factories up to isomorphism: the same whatever objects are called and in whatever order they are listed.

Colours are refined as Weisfeiler and Lehman have it (1968): every object's colour takes in the colours at its ports
until no more objects are told apart. Isomorphic factories always get the same key. Different ones may, rarely; for
keeping splits apart that errs on the safe side.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

from vlsm_jax.twin import Twin, TwinObject, format_value

FLOW = ("Source", "Queue", "Processor", "Combiner", "Separator", "MultiProcessor", "Sink", "StraightConveyor", "Rack")
"""Classes through which items flow from port to port."""

Links = Sequence[Sequence[int]]
"""Of each node, the numbers of others."""


@functools.lru_cache(maxsize=1 << 15)
def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _refined(colors: list[str], sides: Sequence[Links], ordered: bool) -> str:
    """Returns one key for coloured nodes, linked on several sides; `ordered` keeps the order of the links of a side."""
    kinds = len(set(colors))
    while True:
        texts = colors
        for side in sides:
            texts = [
                f"{text}|{colors[links[0]]}"
                if len(links) == 1
                else f"{text}|{','.join([colors[n] for n in links] if ordered else sorted([colors[n] for n in links]))}"
                for text, links in zip(texts, side, strict=True)
            ]
        colors = [_digest(text) for text in texts]
        refined = len(set(colors))
        if refined == kinds:
            return _digest(",".join(sorted(colors)))
        kinds = refined


@functools.lru_cache(maxsize=1 << 13)
def shape_key(outputs: tuple[tuple[int, ...], ...]) -> str:
    """Returns the key of the shape of a flow, see `topology_key`, from the numbers of what each object feeds."""
    inputs: list[list[int]] = [[] for _ in outputs]
    for source, targets in enumerate(outputs):
        for target in targets:
            inputs[target].append(source)
    return _refined([""] * len(outputs), (outputs, inputs), ordered=False)


def topology_key(twin: Twin) -> str:
    """Returns the key of the shape of the flow: 16 hex digits.

    The shape is the directed graph of the wires between objects of the classes in `FLOW`. Names, classes, parameters,
    locations, port order and who carries or operates do not matter: a chain of four is one shape.
    """
    number: dict[str, int] = {}
    for obj in twin.objects:
        if obj.cls in FLOW:
            number[obj.name] = len(number)
    outputs: list[list[int]] = [[] for _ in number]
    for wire in twin.connections:
        if wire.port == "A" and wire.source in number and wire.target in number:
            outputs[number[wire.source]].append(number[wire.target])
    return shape_key(tuple(map(tuple, outputs)))


def is_chain(twin: Twin) -> bool:
    """Whether the flow is one row: every object of it has at most one input and one output."""
    ports = twin.ports
    return all(
        len(ports[obj.name].outputs) <= 1 and len(ports[obj.name].inputs) <= 1
        for obj in twin.objects
        if obj.cls in FLOW
    )


def _color(obj: TwinObject) -> str:
    return ";".join([obj.cls, *[f"{key}={format_value(value)}" for key, value in obj.parameters.items()]])


def factory_key(twin: Twin) -> str:
    """Returns the key of a Twin without its names and locations: 16 hex digits.

    Equal for two Twins of the same classes, parameters, connections and port orders, whatever objects are called and
    wherever they stand.
    """
    number = {obj.name: k for k, obj in enumerate(twin.objects)}
    outputs: list[list[int]] = [[] for _ in number]
    inputs: list[list[int]] = [[] for _ in number]
    centers: list[list[int]] = [[] for _ in number]
    for wire in twin.connections:
        source, target = number[wire.source], number[wire.target]
        if wire.port == "A":
            outputs[source].append(target)
            inputs[target].append(source)
        else:
            centers[source].append(target)
            centers[target].append(source)
    return _refined([_digest(_color(obj)) for obj in twin.objects], (outputs, inputs, centers), ordered=True)
