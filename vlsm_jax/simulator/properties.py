"""Properties: what `setProperty`, `setvarnum` and their kin accept, and the one form in which a setting is kept."""

from __future__ import annotations

import math
from typing import Any

from vlsm_jax.flexscript.diagnostics import did_you_mean
from vlsm_jax.flexscript.faults import Fault, Unsupported
from vlsm_jax.flexscript.values import Color, Vec3, describe, format_number, to_array, to_number, truth
from vlsm_jax.simulator import codebody
from vlsm_jax.simulator.library import ClassInfo, PropertyInfo
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.world import MAX_NAME, World
from vlsm_jax.twin import Code, Distribution, ParameterValue

TRIGGERS = "Triggers."
TRIGGER_NAMES = frozenset((
    "OnCreation", "OnEntry", "OnExit", "OnReset", "OnMessage", "OnDraw", "OnProcessFinish", "OnSetupFinish",
    "OnEndCollecting", "OnRunStart", "OnResourceAvailable", "OnLoad", "OnUnload", "OnReceiveTaskSequence",
    "OnContinue", "OnStop", "OnResume",
))  # fmt: skip

_MAX_ROWS, _MAX_COLUMNS = 1000, 50
_PLACES = {"Location": "location", "Size": "size", "Rotation": "rotation", "Color": "color"}
_UNITS = {
    "ms": 0.001, "s": 1, "sec": 1, "second": 1, "seconds": 1, "min": 60, "minute": 60, "minutes": 60, "h": 3600,
    "hr": 3600, "hour": 3600, "hours": 3600, "d": 86400, "day": 86400, "days": 86400, "wk": 604800, "week": 604800,
    "mm": 0.001, "cm": 0.01, "m": 1, "km": 1000, "in": 0.0254, "ft": 0.3048, "yd": 0.9144,
    "m/s": 1, "m/min": 1 / 60, "ft/s": 0.3048, "ft/min": 0.3048 / 60, "mm/s": 0.001, "km/h": 1 / 3.6,
    "m/s^2": 1, "m/s/s": 1, "deg": 1,
}  # fmt: skip


def property_info(cls: ClassInfo, name: str) -> PropertyInfo | None:
    """Returns what a class knows of a property, triggers included; None when it has no such property."""
    if name.startswith(TRIGGERS):
        return PropertyInfo(name, "code") if name.removeprefix(TRIGGERS) in TRIGGER_NAMES else None
    return cls.properties.get(name)


def set_property(world: World, node: Node, name: str, value: Any) -> None:
    """Sets a property of an object. An unknown property or option is a warning and changes nothing."""
    cls = node.cls
    if cls is None:
        raise Fault(f"{node.name!r} is a plain node and has no property {name}", code="unknown property")
    if world.clock is not None:
        raise Unsupported(f"setting {name} while the model runs is not supported", hint="set it before the run")
    if name == "Name":
        world.rename(node, value)
        return
    if name in _PLACES:
        getattr(node, _PLACES[name]).assign(value)
        return
    info = property_info(cls, name)
    if info is None:
        message = f"{cls.name} has no property {name[:MAX_NAME]!r}; nothing is set"
        world.warn("unknown property", message, lambda: _property_hint(cls, name))
        return
    setting = to_setting(world, node, info, value)
    if setting is not None:
        node.settings[name] = setting


def _property_hint(cls: ClassInfo, name: str) -> str:
    if name in TRIGGER_NAMES:
        return f"did you mean {TRIGGERS}{name}?"
    return did_you_mean(name, [*cls.properties, *(TRIGGERS + trigger for trigger in TRIGGER_NAMES)])


def to_setting(world: World, node: Node, info: PropertyInfo, value: Any) -> ParameterValue | None:
    """Returns a script's value in the form in which it is kept, None (with a warning) where it cannot be."""
    kind = info.kind
    if kind == "enum":
        return _option(world, node, info, value)
    if kind == "bool":
        return _flag(world, node, info, value)
    if isinstance(value, str):
        if kind == "code":
            return Code(value)
        return _code(world, node, info, value)
    if isinstance(value, (int, float)):
        return _finite(world, node, info, value)
    if type(value) is list and kind in ("unit", "any", "number", "value"):
        return _with_unit(world, node, info, value)
    if type(value) is list and value and all(isinstance(v, (int, float)) and math.isfinite(v) for v in value):
        return tuple(value)
    if isinstance(value, (Vec3, Color)):
        return tuple(value)
    if kind == "table" and type(value) is list:
        return Code(_table_text(value))
    if value is None:
        world.warn("value", f"{info.name} of {node.name} is set to NULL; nothing is set")
    else:
        world.warn("unsupported", f"{info.name} of {node.name} cannot be set to {describe(value)} here; nothing is set")
    return None


def _flag(world: World, node: Node, info: PropertyInfo, value: Any) -> ParameterValue | None:
    if isinstance(value, str):
        body = codebody.understand(value).value
        value = (
            body if isinstance(body, (int, float)) else {"true": 1, "yes": 1, "false": 0, "no": 0}.get(value.lower())
        )
        if value is None:
            world.warn("value", f"{info.name} of {node.name} is 0 or 1; nothing is set")
            return None
    return int(truth(value))


def _finite(world: World, node: Node, info: PropertyInfo, value: int | float) -> ParameterValue | None:
    if not math.isfinite(value):
        world.warn("value", f"{info.name} of {node.name} is set to {value}; nothing is set")
        return None
    return int(value) if isinstance(value, bool) else value


def _option(world: World, node: Node, info: PropertyInfo, value: Any) -> ParameterValue | None:
    options = info.options
    if isinstance(value, str):
        if not options or value in options:
            return value
        body = codebody.understand(value).value
        if isinstance(body, (int, float)):
            value = body
        else:
            message = f"{info.name} has no option {describe(value)}; nothing is set"
            world.warn(
                "unknown option", message, lambda: did_you_mean(value, options) or f"use one of: {', '.join(options)}"
            )
            return None
    number = to_number(value)
    if not options:
        return _finite(world, node, info, number)
    for option, code in options.items():
        if code == number:
            return option
    hint = f"use one of: {', '.join(f'{code} ({option})' for option, code in options.items())}"
    world.warn("unknown option", f"{info.name} has no option {describe(value)}; nothing is set", hint)
    return None


def _code(world: World, node: Node, info: PropertyInfo, text: str) -> ParameterValue:
    if info.kind == "value" and info.name in ("TravelSequence", "Visualization", "AddressScheme"):
        return text
    body = codebody.understand(text)
    if body.bare and not isinstance(body.value, (int, float)):
        if isinstance(body.value, Code) and not _looks_like_code(text):
            return text
        world.warn(
            "bare expression",
            f"{info.name} of {node.name} is a bare expression",
            "FlexSim takes the text as a code body: write return ...;",
        )
    return body.value


def _looks_like_code(text: str) -> bool:
    """Whether a text is meant to be evaluated, and is not a name such as an animation's."""
    return any(char in text for char in "(+*=.[") or ";" in text


def _with_unit(world: World, node: Node, info: PropertyInfo, value: list) -> ParameterValue | None:
    if len(value) == 2 and isinstance(value[1], str):
        factor = _UNITS.get(value[1])
        if factor is None:
            message = f"{info.name} of {node.name}: unknown unit, {describe(value[1])}; nothing is set"
            world.warn("unit", message, lambda: did_you_mean(value[1], _UNITS))
            return None
        amount = value[0]
        if isinstance(amount, str):
            amount = codebody.understand(amount).value
        if isinstance(amount, (int, float)):
            return _finite(world, node, info, amount * factor if factor != 1 else amount)
        if factor == 1:
            return amount
        if isinstance(amount, Distribution) and amount.name in ("uniform", "triangular", "normal", "exponential"):
            # Every argument of these is a duration, so a change of unit is a change of every argument.
            return Distribution(amount.name, tuple(a * factor for a in amount.arguments))
        world.warn("unsupported", f"{info.name} of {node.name}: code with a unit is not supported; nothing is set")
        return None
    if len(value) == 1 and isinstance(value[0], (int, float)):
        return _finite(world, node, info, value[0])
    if value and all(isinstance(v, (int, float)) and math.isfinite(v) for v in value):
        return tuple(value)
    world.warn("value", f"{info.name} of {node.name} takes a number, code, or [value, unit]; nothing is set")
    return None


def _table_text(rows: list) -> str:
    """The rows of a table as the FlexScript literal that gives them."""

    def cell(value: Any) -> str:
        if isinstance(value, str):
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return format_number(to_number(value))

    def row(values: Any) -> str:
        return "[" + ", ".join(map(cell, to_array(values)[:_MAX_COLUMNS])) + "]"

    return "[" + ", ".join(map(row, rows[:_MAX_ROWS])) + "]"


def get_property(world: World, node: Node, name: str) -> Any:
    """Reads a property as a script value: a number, an option's number, text of code, or a vector."""
    cls = node.cls
    if cls is None:
        raise Fault(f"{node.name!r} is a plain node and has no property {name}", code="unknown property")
    if name == "Name":
        return node.name
    if name == "Class":
        return cls.name
    if name in _PLACES:
        return getattr(node, _PLACES[name]).copy()
    info = property_info(cls, name)
    if info is None:
        message = f"{cls.name} has no property {name[:MAX_NAME]!r}; the result is Null"
        world.warn("unknown property", message, lambda: _property_hint(cls, name))
        return None
    value = node.settings.get(name, cls.default(name))
    return to_script(value)


def to_script(value: ParameterValue | None) -> Any:
    """Returns a kept setting as a script value."""
    if isinstance(value, Distribution):
        arguments = ", ".join(str(a) for a in value.arguments)
        return f"return {value.name}({arguments}, getstream(current));"
    if isinstance(value, Code):
        return value.text
    return list(value) if isinstance(value, tuple) else value


# --- Variables: the old names of properties ---------------------------------------------------------------------------


def variable_property(world: World, node: Node, variable: Any) -> str | None:
    """Returns the property behind an old variable name; None, with a warning, when there is none."""
    cls = node.cls
    if cls is None:
        raise Fault(f"{node.name!r} is a plain node and has no variables", code="unknown property")
    if not isinstance(variable, str):
        raise Unsupported("variables by number are not supported", hint="use the variable's name")
    name = cls.variables.get(variable)
    if name is None:
        message = f"{cls.name} has no variable {variable[:MAX_NAME]!r}; nothing is set or read"
        world.warn("unknown variable", message, lambda: _variable_hint(cls, variable))
    return name


def _variable_hint(cls: ClassInfo, variable: str) -> str:
    if variable not in cls.properties:
        return did_you_mean(variable, cls.variables)
    name = cls.variable_of.get(variable)
    return f"use setProperty, or the variable {name}" if name else "use setProperty"


def set_variable(world: World, node: Node, variable: Any, value: Any) -> None:
    """Sets a variable by its old name."""
    name = variable_property(world, node, variable)
    if name is not None:
        set_property(world, node, name, value)


def get_variable(world: World, node: Node, variable: Any) -> Any:
    """Reads a variable by its old name; an option comes as its number."""
    name = variable_property(world, node, variable)
    if name is None:
        return None
    value = get_property(world, node, name)
    info = node.cls.properties.get(name)
    return info.options.get(value, value) if info and isinstance(value, str) and info.options else value
