"""Methods, properties, namespaces and constructors of the language's own types, put together from their modules."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from vlsm_jax.flexscript import arrays, coroutines, datetimes, host, lists, maps, tablecommands, texts
from vlsm_jax.flexscript.conversions import to_float, to_int, to_number
from vlsm_jax.flexscript.tables import Table
from vlsm_jax.flexscript.vectors import Color, Components, Vec2, Vec3, Vec4, made
from vlsm_jax.flexscript.vocabulary import (
    ARRAY,
    COLOR,
    DATETIME,
    DOUBLE,
    VARIANT,
    VEC2,
    VEC3,
    VEC4,
    Command,
    Members,
    Namespace,
    TypeSpec,
)

# --- Vectors and colors -----------------------------------------------------------------------------------------------


def new_vec3(*values: Any) -> Vec3:
    """`Vec3(x, y, z)`, or a copy of a vector or an array."""
    return made(Vec3, values)


def new_color(*values: Any) -> Color:
    """`Color(r, g, b, a)` with components from 0 to 1, or a copy."""
    return made(Color, values)


def _component_getters(names: str) -> dict:
    def getter(name: str):
        return lambda value: getattr(value, name)

    return {name: getter(name) for name in names}


def _component_setters(names: str) -> dict:
    def setter(name: str):
        return lambda value, number: setattr(value, name, to_number(number))

    return {name: setter(name) for name in names}


def _vector_members(kind: type[Components], name: str) -> Members:
    methods = {
        "clone": Command(kind.copy, name, 0, 0),
        "copy": Command(kind.copy, name, 0, 0),
        "dot": Command(kind.dot, DOUBLE, 1, 1),
        "lerp": Command(kind.lerp, name, 2, 2),
        "angle": Command(kind.angle, DOUBLE, 1, 1),
        "toArray": Command(list, ARRAY, 0, 0),
    }
    if kind is Vec2:
        methods["rotate"] = Command(Vec2.rotate, name, 1, 2)
    elif kind is Vec3:
        methods["cross"] = Command(Vec3.cross, name, 1, 1)
    figures = {"magnitude": kind.magnitude, "normalized": kind.normalized}
    return Members({**_component_getters(kind.names), **figures}, _component_setters(kind.names), methods)


PALETTE = {
    "red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0), "orange": (1, 0.5, 0),
    "purple": (0.5, 0, 0.5), "lime": (0.5, 1, 0), "pink": (1, 0.5, 0.75), "gray": (0.5, 0.5, 0.5),
    "teal": (0, 0.5, 0.5), "aqua": (0, 1, 1), "brown": (0.5, 0.25, 0), "lightBlue": (0.5, 0.75, 1),
    "silver": (0.75, 0.75, 0.75), "white": (1, 1, 1), "black": (0, 0, 0),
}  # fmt: skip


def color_by_number(number: Any) -> Color:
    """A color for a number, the same one each time."""
    names = tuple(PALETTE)
    return Color(*PALETTE[names[to_int(number) % len(names)]])


def _random_color(world: Any) -> Color:
    """`Color.random()`: from the world's draws, so that a run depends on its seed alone; else always the same one."""
    draw = host.offered(world, "random_number")
    return Color(*(to_float(draw()) if draw is not None else 0.5 for _ in "rgb"))


def _from_palette(value: Any, palette: Any = None) -> Color:
    return color_by_number(value if isinstance(value, (int, float)) else sum(map(ord, str(value)[:200])))


def _to_color(value: Any) -> Color:
    if value is None:
        return Color()
    color = Color()
    color.assign(value)
    return color


def _to_vector(kind: type[Components]) -> Callable[[Any], Any]:
    def coerce(value: Any) -> Any:
        vector = kind()
        if value is not None:
            vector.assign(value)
        return vector

    return coerce


# --- Numbers ----------------------------------------------------------------------------------------------------------


def variant_type(value: Any) -> int:
    """`getvartype(value)`: the number of `VAR_TYPE_NUMBER` and its kin."""
    if value is None:
        return 0
    if isinstance(value, (int, float)):
        return 1
    return {str: 2, list: 4, dict: 5}.get(type(value), 3)


def _to_num(value: Any) -> float:
    return texts.text_number(value) if isinstance(value, str) else to_float(value)


# --- Tables of everything ---------------------------------------------------------------------------------------------


def types() -> Mapping[str, TypeSpec]:
    """Returns the types of this module and of those that it puts together."""
    vectors = {kind.type_name: TypeSpec(kind.type_name, kind, _to_vector(kind)) for kind in (Vec2, Vec3, Vec4)}
    return {
        **arrays.types(), **maps.types(), **datetimes.types(), **coroutines.types(), **lists.types(), **vectors,
        "Color": TypeSpec(COLOR, Color, _to_color),
        "Table": TypeSpec("Table", lambda: None),
    }  # fmt: skip


def tables() -> tuple[Mapping[type, Members], Mapping[str, Namespace], Mapping[str, Command]]:
    """Returns the members by type, the namespaces, and the constructors and old commands."""
    members = {
        str: texts.members(),
        list: arrays.members(),
        **maps.members(),
        datetimes.DateTime: datetimes.members(),
        **tablecommands.members(),
        **lists.members(),
        Vec2: _vector_members(Vec2, VEC2),
        Vec3: _vector_members(Vec3, VEC3),
        Vec4: _vector_members(Vec4, VEC4),
        Color: Members(
            _component_getters("rgba"),
            _component_setters("rgba"),
            {
                "lerp": Command(Color.lerp, COLOR, 2, 2),
                "clone": Command(Color.copy, COLOR, 0, 0),
                "toArray": Command(list, ARRAY, 0, 0),
            },
        ),
    }
    named_colors = {name: Command(functools.partial(Color, *rgb), COLOR, 0, 0) for name, rgb in PALETTE.items()}
    color_methods = {
        "byNumber": Command(color_by_number, COLOR, 1, 1),
        "random": Command(_random_color, COLOR, 0, 0, True),
        "fromPalette": Command(_from_palette, COLOR, 1, 2),
    }
    namespaces = {
        "string": texts.namespace(),
        "Color": Namespace(color_methods, named_colors),
        "DateTime": datetimes.namespace(),
        "Table": tablecommands.namespace(),
        "Delay": coroutines.namespace(),
        "Event": coroutines.event_namespace(),
    }
    commands = {
        **texts.commands(),
        **arrays.commands(),
        **datetimes.commands(),
        **tablecommands.commands(),
        **lists.commands(),
        **coroutines.commands(),
        "Map": Command(dict, "Map", 0, 0),
        "Vec2": Command(lambda *v: made(Vec2, v), VEC2, 0, 2),
        "Vec3": Command(new_vec3, VEC3, 0, 3),
        "Vec4": Command(lambda *v: made(Vec4, v), VEC4, 0, 4),
        "Color": Command(new_color, COLOR, 0, 4),
        "int": Command(to_int, "int", 1, 1),
        "double": Command(to_float, DOUBLE, 1, 1),
        "tonum": Command(_to_num, DOUBLE, 1, 1),
        "anum": Command(_to_num, DOUBLE, 1, 1),
        "Variant": Command(lambda value=None: value, VARIANT, 0, 1),
        "getvartype": Command(variant_type, "int", 1, 1),
    }
    return members, namespaces, commands


KINDS = {
    "string": str, "Array": list, "Map": dict, VEC2: Vec2, VEC3: Vec3, VEC4: Vec4, COLOR: Color, "Table": Table,
    "List": lists.List, DATETIME: datetimes.DateTime,
}  # fmt: skip
"""The Python type behind each static type, whose methods are known before the script runs."""
