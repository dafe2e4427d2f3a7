"""The vocabulary that belongs to the language itself, before any world adds its own."""

from __future__ import annotations

import functools
from typing import Any

from vlsm_jax.flexscript import mathematics, members
from vlsm_jax.flexscript.faults import Fault
from vlsm_jax.flexscript.values import (
    INT_MAX,
    Color,
    Vec3,
    describe,
    to_array,
    to_float,
    to_int,
    to_text,
)
from vlsm_jax.flexscript.vocabulary import (
    ARRAY,
    COLOR,
    DOUBLE,
    INT,
    MAP,
    STRING,
    VARIANT,
    VEC3,
    LoopSpec,
    Namespace,
    TypeSpec,
    Vocabulary,
)


def _nothing() -> None:
    return None


def _to_map(value: Any) -> dict | None:
    if value is None or isinstance(value, dict):
        return value
    raise Fault(f"expected a Map, got {describe(value)}", code="type")


def _to_vector(value: Any) -> Vec3:
    return Vec3() if value is None else members.new_vec3(value)


def _to_color(value: Any) -> Color:
    return Color() if value is None else members.new_color(value)


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
    """Returns types, operators' companions, `Math` and the members of strings, arrays, maps, vectors and colors."""
    old_math, math_methods, math_properties = mathematics.tables()
    by_type, namespaces, commands = members.tables()
    array = TypeSpec(ARRAY, list, to_array)
    return Vocabulary(
        commands={**old_math, **commands},
        constants={
            "NULL": None, "nullvar": None, "true": 1, "false": 0, "TRUE": 1, "FALSE": 0, "INT_MAX": INT_MAX,
        },
        namespaces={**namespaces, "Math": Namespace(math_methods, math_properties)},
        types={
            "int": TypeSpec(INT, int, to_int),
            "double": TypeSpec(DOUBLE, float, to_float),
            "string": TypeSpec(STRING, str, to_text),
            "Variant": TypeSpec(VARIANT, _nothing),
            "var": TypeSpec(VARIANT, _nothing),
            "Array": array, "intarray": array, "doublearray": array, "stringarray": array, "treenodearray": array,
            "Map": TypeSpec(MAP, dict, _to_map),
            "Vec3": TypeSpec(VEC3, Vec3, _to_vector),
            "Color": TypeSpec(COLOR, Color, _to_color),
        },
        members=by_type,
        kinds={STRING: str, ARRAY: list, MAP: dict, VEC3: Vec3, COLOR: Color},
        loops={"iterate": LoopSpec("count", DOUBLE, _count, 3)},
    )  # fmt: skip
