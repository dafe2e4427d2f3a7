"""The vocabulary that belongs to the language itself, before any world adds its own."""

from __future__ import annotations

import functools
from typing import Any

from vlsm_jax.flexscript import mathematics, members
from vlsm_jax.flexscript.conversions import INT_MAX, to_float, to_int, to_text
from vlsm_jax.flexscript.faults import Fault
from vlsm_jax.flexscript.vocabulary import (
    DOUBLE,
    INT,
    STRING,
    VARIANT,
    LoopSpec,
    Namespace,
    TypeSpec,
    Vocabulary,
)

_OPAQUE = (
    "AGV", "AGV.Path", "AGV.ControlPoint", "AGV.TravelPath", "Event", "Http.Request", "Http.Response", "Object.Event",
    "Storage.Bay", "Storage.Item", "Storage.Level", "Storage.Object", "Storage.Slot", "Storage.System", "TaskSequence",
    "TaskSequence.Task", "Token", "TrackedVariable", "Conveyor", "Conveyor.Item", "List.Entry",
)  # fmt: skip
"""Types whose values only a world can make: a variable of them keeps any value."""


def _nothing() -> None:
    return None


def _count(start: Any, end: Any, step: Any):
    """The values of `count` in `iterate(start, end, step) { ... }`."""
    at, last, by = to_float(start), to_float(end), to_float(step)
    if by == 0:
        raise Fault("iterate with a step of 0 never ends", code="argument")
    while (at <= last) if by > 0 else (at >= last):
        yield at
        at += by


@functools.cache
def core_vocabulary() -> Vocabulary:
    """Returns the types of the language with their members, `Math`, and the commands that need no world."""
    old_math, math_methods, math_properties = mathematics.tables()
    by_type, namespaces, commands = members.tables()
    types = {
        "int": TypeSpec(INT, int, to_int),
        "double": TypeSpec(DOUBLE, float, to_float),
        "string": TypeSpec(STRING, str, to_text),
        "Variant": TypeSpec(VARIANT, _nothing),
        "var": TypeSpec(VARIANT, _nothing),
        **dict.fromkeys(_OPAQUE, TypeSpec(VARIANT, _nothing)),
        **members.types(),
    }
    return Vocabulary(
        commands={**old_math, **commands},
        constants={
            "NULL": None, "nullvar": None, "true": 1, "false": 0, "TRUE": 1, "FALSE": 0, "INT_MAX": INT_MAX,
            "VAR_TYPE_NULL": 0, "VAR_TYPE_NUMBER": 1, "VAR_TYPE_STRING": 2, "VAR_TYPE_NODE": 3, "VAR_TYPE_ARRAY": 4,
            "VAR_TYPE_MAP": 5, "PI": 3.141592653589793,
        },
        namespaces={**namespaces, "Math": Namespace(math_methods, math_properties)},
        types=types,
        members=by_type,
        kinds=members.KINDS,
        loops={"iterate": LoopSpec("count", DOUBLE, _count, 3)},
    )  # fmt: skip
