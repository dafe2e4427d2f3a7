"""Properties: what `setProperty`, `setvarnum` and their kin accept, and the one form in which a setting is kept."""

from __future__ import annotations

import math
from typing import Any

from vlsm_jax.flexscript.diagnostics import did_you_mean
from vlsm_jax.flexscript.faults import Fault, Unsupported
from vlsm_jax.flexscript.tables import Table
from vlsm_jax.flexscript.values import Color, Vec3, describe, to_number, to_text, truth
from vlsm_jax.simulator import changing, codebody, tables
from vlsm_jax.simulator.constants import state_number
from vlsm_jax.simulator.library import TOOL, ClassInfo, PropertyInfo
from vlsm_jax.simulator.tools import Tool, groups_of, set_members, set_tools_of, tools_of
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.world import MAX_NAME, World
from vlsm_jax.twin import Code, Distribution, ParameterValue

TRIGGERS = "Triggers."
TRIGGER_NAMES = frozenset((
    "OnCreation", "OnEntry", "OnExit", "OnReset", "OnMessage", "OnDraw", "OnProcessFinish", "OnSetupFinish",
    "OnEndCollecting", "OnRunStart", "OnResourceAvailable", "OnLoad", "OnUnload", "OnReceiveTaskSequence",
    "OnContinue", "OnStop", "OnResume", "OnEndDwellTime",
))  # fmt: skip

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
    info = cls.properties.get(name)
    if info is None and name.startswith(TRIGGERS) and name.removeprefix(TRIGGERS) in TRIGGER_NAMES:
        return PropertyInfo(name, "code")
    return info


def set_property(world: World, node: Node, name: str, value: Any) -> None:
    """Sets a property of an object. An unknown property or option is a warning and changes nothing."""
    cls = node.cls
    if cls is None:
        raise Fault(f"{node.name!r} is a plain node and has no property {name}", code="unknown property")
    runs = world.clock is not None
    if runs and (name == "Name" or name in _PLACES or name in _NOT_KEPT or isinstance(node, Tool)):
        raise Unsupported(f"setting {name} while the model runs is not supported", hint="set it before the run")
    if name in _PLACES:
        getattr(node, _PLACES[name]).assign(value)
        return
    if name == "Name":
        world.rename(node, value)
        return
    info = property_info(cls, name)
    if info is None:
        message = f"{cls.name} has no property {name[:MAX_NAME]!r}"
        if not world.dialect.unknown_properties:
            raise Fault(message, code="unknown property", hint=_property_hint(cls, name))
        world.warn("unknown property", f"{message}; nothing is set", lambda: _property_hint(cls, name))
        return
    if (info.kind in _OWN_KINDS or name in _NOT_KEPT) and _set_elsewhere(world, node, info, value):
        return
    setting = to_setting(world, node, info, value)
    if setting is not None and runs:
        changing.change(world, node, name, setting)
    elif setting is not None:
        node.settings[name] = setting


_OWN_KINDS = frozenset(("table", "members", "state", "states"))
_NOT_KEPT = frozenset(("MTBFMTTRs", "TimeTables", "Groups", "Class", "Classes", "Container"))


def _set_elsewhere(world: World, node: Node, info: PropertyInfo, value: Any) -> bool:
    """Sets what is no setting of the object itself; returns whether there is nothing more to do."""
    name = info.name
    if info.kind == "table":
        world.open_tables.pop((node, name), None)
        return False
    if info.kind == "members" and isinstance(node, Tool):
        set_members(world, node, value)
    elif name in ("Class", "Classes", "Container"):
        world.warn("value", f"{name} of {node.name} cannot be set; nothing is set")
    elif name in _NOT_KEPT:
        set_tools_of(world, node, name.removesuffix("s"), value)
    else:
        return False
    return True


def _property_hint(cls: ClassInfo, name: str) -> str:
    if name in TRIGGER_NAMES:
        return f"did you mean {TRIGGERS}{name}?"
    if name in cls.variables:
        return f"{name} is an old variable: use setvarnum, or the property {cls.variables[name]}"
    return did_you_mean(name, [*cls.properties, *(TRIGGERS + trigger for trigger in TRIGGER_NAMES)])


def to_setting(world: World, node: Node, info: PropertyInfo, value: Any) -> ParameterValue | None:
    """Returns a script's value in the form in which it is kept, None (with a warning) where it cannot be."""
    kind = info.kind
    if kind == "enum":
        return _option(world, node, info, value)
    if kind == "bool":
        return _flag(world, node, info, value)
    if kind in _OWN_KINDS:
        return _table(world, node, info, value) if kind == "table" else _states(world, node, info, value)
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
    if type(value) is dict and kind == "value":
        return tables.write_rows([[to_text(key), entry] for key, entry in value.items()])
    if isinstance(value, Node) and kind in ("any", "value"):
        return _reference(world, node, info, value)
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
        message = f"{info.name} of {node.name} is a bare expression"
        hint = "FlexSim takes the text as a code body: write return ...;"
        if not world.dialect.bare_expressions:
            raise Fault(message, code="bare expression", hint=hint)
        world.warn("bare expression", message, hint)
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


def _table(world: World, node: Node, info: PropertyInfo, value: Any) -> ParameterValue | None:
    rows = tables.to_rows(value, info)
    if rows is not None:
        return tables.write_rows(rows)
    if isinstance(value, str) and codebody.understand(value).value == Code(value):
        return Code(value)
    what = f"{info.name} of {node.name}"
    columns = ", ".join(info.columns)
    world.warn(
        "value",
        f"{what} is a table and cannot be set to {describe(value)}; nothing is set",
        f"give its rows: [[{columns}], ...]" if columns else "give its rows: [[...], ...]",
    )
    return None


def _reference(world: World, node: Node, info: PropertyInfo, target: Node) -> ParameterValue | None:
    """A property that was given an object: code that finds it, for that is what the property holds in FlexSim."""
    if target.cls is None or target.is_library:
        world.warn("value", f"{info.name} of {node.name} is set to {target.name!r}, no object; nothing is set")
        return None
    name = target.name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return Code(f'return Model.find("{name}");')


def _states(world: World, node: Node, info: PropertyInfo, value: Any) -> ParameterValue | None:
    values = value if type(value) is list else [value]
    numbers = [state_number(v) if isinstance(v, str) else int(to_number(v)) for v in values]
    if None in numbers or (info.kind == "state" and len(numbers) != 1):
        message = f"{info.name} of {node.name} cannot be set to {describe(value)}; nothing is set"
        world.warn("value", message, "give the number or the name of a state, such as STATE_BREAKDOWN")
        return None
    return numbers[0] if info.kind == "state" else tuple(numbers)


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
    if name in _READ_ONLY and cls.role != TOOL:
        return _READ_ONLY[name](world, node)
    info = property_info(cls, name)
    if info is None:
        message = f"{cls.name} has no property {name[:MAX_NAME]!r}"
        if not world.dialect.unknown_properties:
            raise Fault(message, code="unknown property", hint=_property_hint(cls, name))
        world.warn("unknown property", f"{message}; the result is Null", lambda: _property_hint(cls, name))
        return None
    if info.kind == "members":
        return list(node.members) if isinstance(node, Tool) else []
    if info.kind == "table":
        rows = table_rows(world, node, info)
        if rows is not None:
            world.machine.charge(len(rows) // 2)
            new = _rows_of_ports(node, info, len(rows))
            return [*(list(row) for row in rows), *new]
    value = node.settings.get(name, cls.default(name))
    return to_script(value)


_READ_ONLY = {
    "InObjects": lambda world, node: [wire.source for wire in node.inputs],
    "OutObjects": lambda world, node: [wire.target for wire in node.outputs],
    "CenterObjects": lambda world, node: [wire.other(node) for wire in node.centers],
    "NetworkNodes": lambda world, node: world.tree.attached(node),
    "MTBFMTTRs": lambda world, node: tools_of(world, node, "MTBFMTTR"),
    "TimeTables": lambda world, node: tools_of(world, node, "TimeTable"),
    "Groups": groups_of,
    "Container": lambda world, node: node.parent,
}


def table_rows(world: World, node: Node, info: PropertyInfo) -> tables.Rows | None:
    """Returns the rows of a table property, as they are now; None where it holds code. Changing them has no effect."""
    table = world.open_tables.get((node, info.name))
    if table is not None:
        return tables.rows_with_headers(table, info)
    value = node.settings.get(info.name, node.cls.default(info.name))
    return [] if value is None else tables.read_rows(value)


def open_table(world: World, node: Node, info: PropertyInfo) -> Table:
    """Returns a table property for work on its cells; what is changed is written back when the script has ended.

    A Combiner's component list has one row per input port from the second on.

    Raises:
      Fault: the property holds code.
    """
    key = node, info.name
    table = world.open_tables.get(key)
    if table is None:
        rows = table_rows(world, node, info)
        if rows is None:
            raise Fault(f"{info.name} of {node.name} holds code", code="value", hint="set it to an array of rows")
        table = tables.table_of_rows(
            rows,
            info,
            name=f"{info.name} of {node.name}",
            read_only=world.clock is not None or node.is_library,
            changed=lambda: world.changed_tables.add(key),
        )
        if world.clock is not None:
            return table
        world.open_tables[key] = table
    if info.name == "ComponentsList":
        for row in _rows_of_ports(node, info, len(table.rows)):
            table.rows.append(row)
            table.row_headers.append("")
        for n in range(len(table.rows)):
            table.row_headers[n] = table.row_headers[n] or f"From Input Port {n + 2}"
    return table


def _rows_of_ports(node: Node, info: PropertyInfo, count: int) -> list[list]:
    """Returns what a component list of so many rows lacks: one row per input port of a Combiner from the second on."""
    missing = len(node.inputs) - 1 - count if info.name == "ComponentsList" else 0
    return [[tables.new_cell(info, n) for n in range(1, len(info.columns) + 1)] for _ in range(missing)]


def close_tables(world: World) -> None:
    """Writes every table that the script has changed back into its property."""
    for node, name in world.changed_tables:
        table = world.open_tables.get((node, name))
        if table is not None:
            node.settings[name] = tables.write_rows(tables.rows_with_headers(table, node.cls.properties[name]))
    world.changed_tables.clear()
    world.open_tables.clear()


def to_script(value: ParameterValue | None) -> Any:
    """Returns a kept setting as a script value."""
    if isinstance(value, Distribution):
        arguments = ", ".join(str(a) for a in value.arguments)
        return f"return {value.name}({arguments}, getstream(current));"
    if isinstance(value, Code):
        return value.text
    return list(value) if isinstance(value, tuple) else value


# --- Variables: the old names of properties ---------------------------------------------------------------------------


_SIMULATED = frozenset(("sendtocontinuous", "pullcontinuous"))
"""Variables without a property that a run looks at."""


def variable_info(world: World, node: Node, variable: Any) -> PropertyInfo | None:
    """Returns what stands behind an old variable name; None, with a warning, when there is nothing.

    The name of a variable without a property is its own.
    """
    cls = node.cls
    if cls is None:
        raise Fault(f"{node.name!r} is a plain node and has no variables", code="unknown property")
    if not isinstance(variable, str):
        raise Unsupported("variables by number are not supported", hint="use the variable's name")
    name = cls.variables.get(variable)
    if name is not None:
        # A variable whose property the class does not have, such as a Source's maxcontent, is there all the same.
        return property_info(cls, name) or PropertyInfo(name, "value")
    if variable in cls.plain_variables or (node, variable) in world.variables:
        return PropertyInfo(variable, "value")
    message = f"{cls.name} has no variable {variable[:MAX_NAME]!r}; nothing is set or read"
    world.warn("unknown variable", message, lambda: _variable_hint(cls, variable))
    return None


def has_variable(world: World, node: Node, variable: str) -> bool:
    """Whether an object has a variable of that name."""
    cls = node.cls
    known = variable in cls.variables or variable in cls.plain_variables
    return known or (node, variable) in world.variables


def _variable_hint(cls: ClassInfo, variable: str) -> str:
    if variable not in cls.properties:
        return did_you_mean(variable, [*cls.variables, *cls.plain_variables])
    name = cls.variable_of.get(variable)
    return f"use setProperty, or the variable {name}" if name else "use setProperty"


def set_variable(world: World, node: Node, variable: Any, value: Any) -> None:
    """Sets a variable by its old name."""
    info = variable_info(world, node, variable)
    if info is None:
        return
    if info.name == variable:
        if variable not in _SIMULATED and value != node.cls.plain_variables.get(variable, value):
            world.warn("unused", f"{variable} of {node.name} is kept, but has no effect here")
        world.variables[node, variable] = value
    elif property_info(node.cls, info.name) is None:
        world.warn("unused", f"{variable} of {node.name} has no effect: a {node.cls.name} has no {info.name}")
    else:
        set_property(world, node, info.name, value)


def get_variable(world: World, node: Node, variable: Any) -> Any:
    """Reads a variable by its old name; an option comes as its number."""
    info = variable_info(world, node, variable)
    if info is None:
        return None
    if info.name == variable:
        return world.variables.get((node, variable), node.cls.plain_variables.get(variable, 0))
    if property_info(node.cls, info.name) is None:
        return 0
    value = get_property(world, node, info.name)
    return info.options.get(value, value) if isinstance(value, str) and info.options else value
