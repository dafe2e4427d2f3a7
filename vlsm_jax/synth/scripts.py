"""Writing a Twin as FlexScript, in one of several code styles, so that the script builds exactly that Twin."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from vlsm_jax.synth.literals import (
    STREAM_END_VARIABLE,
    count_distributions,
    declare_stream_end,
    string_literal,
    value_literal,
)
from vlsm_jax.synth.loops import write_loop
from vlsm_jax.twin import Twin, format_number


class ScriptStyle(enum.Enum):
    """How a script is laid out."""

    LOOP = "loop"
    """One loop over tables of names and classes, parameters and connections chosen inside it."""
    STRAIGHT = "straight"
    """One block per object without any loop, then the connections."""


Writer = Callable[[Twin, np.random.Generator], str]


_SHORT = MappingProxyType({"Processor": "proc"})


def variable_names(twin: Twin) -> dict[str, str]:
    """Returns a FlexScript variable for each object name: its class and a number, such as "queue2" or "proc3"."""
    counts: dict[str, int] = {}
    out = {}
    for obj in twin.objects:
        letters = _SHORT.get(obj.cls) or "".join(c for c in obj.cls if c.isascii() and c.isalpha()) or "object"
        word = letters[0].lower() + letters[1:]
        counts[word] = counts.get(word, 0) + 1
        out[obj.name] = f"{word}{counts[word]}"
    return out


def write_straight(twin: Twin, rng: np.random.Generator) -> str:
    """Returns a script with one block per object, then one line per connection."""
    del rng  # There is one way to write it.
    variables = variable_names(twin)
    stream_end = STREAM_END_VARIABLE if count_distributions(twin) > 1 else None
    lines = [declare_stream_end()] if stream_end else []
    for obj in twin.objects:
        variable = variables[obj.name]
        x, y, z = (format_number(c) for c in obj.location)
        lines.append(f"Object {variable} = Object.create({string_literal(obj.cls)});")
        lines.append(f"{variable}.name = {string_literal(obj.name)};")
        lines.append(f"{variable}.setLocation({x}, {y}, {z});")
        lines.extend(
            f"{variable}.setProperty({string_literal(key)}, {value_literal(value, stream_end)});"
            for key, value in obj.parameters.items()
        )
    lines.extend(
        f'contextdragconnection({variables[w.source]}, {variables[w.target]}, "{w.port}");' for w in twin.connections
    )
    return "\n".join(lines) + "\n"


WRITERS: Mapping[ScriptStyle, Writer] = MappingProxyType(
    {ScriptStyle.LOOP: write_loop, ScriptStyle.STRAIGHT: write_straight}
)
"""The writer of every style."""


def write_script(twin: Twin, style: ScriptStyle, rng: np.random.Generator) -> str:
    """Returns FlexScript that builds `twin`: `vlsm_jax.simulator.build(write_script(twin, style, rng)).twin == twin`.

    Holds for every Twin: names and options are escaped, locations may be anywhere, connections are drawn in an order
    that gives every object the same ports in the same order. Object variables are kept, so that no name is looked up.

    Args:
      twin: what to build.
      style: how the script is laid out.
      rng: chooses between idioms within a style; it is advanced.
    """
    return WRITERS[style](twin, rng)
