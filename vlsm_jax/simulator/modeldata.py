"""What belongs to the model as a whole: its dates, its units, its parameters and performance measures.

The start date of a model is what the script set with `function_s(getmodelunit(START_TIME_NODE), "setDateTime", date)`.
There is no other, since FlexSim takes the day on which a model is made. A stop date sets the stop time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from vlsm_jax.flexscript import Fault, Unsupported
from vlsm_jax.flexscript.datetimes import DateTime
from vlsm_jax.flexscript.diagnostics import did_you_mean
from vlsm_jax.flexscript.values import copied, describe, to_float, to_int, to_text
from vlsm_jax.flexscript.vocabulary import DOUBLE, VARIANT, Command, Members
from vlsm_jax.simulator import codenodes
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.world import World

# --- Units and dates --------------------------------------------------------------------------------------------------

_START, _STOP, _WARMUP = "StartTime", "StopTime", "WarmupTime"
_NODES = {80: _START, 81: _STOP, 82: _WARMUP}
_FOLDER = "ModelUnits"


def model_unit(world: World, kind: Any) -> Any:
    """`getmodelunit(...)`: lengths and times are in metres and seconds, so every multiple is 1; nodes hold dates."""
    name = _NODES.get(to_int(kind))
    if name is None:
        return 1
    folder = world.tree.tools.child(_FOLDER) or world.add_node(world.tree.tools, _FOLDER)
    return folder.child(name) or world.add_node(folder, name)


def function_s(world: World, node: Any, name: Any, *arguments: Any) -> Any:
    """`function_s(node, "setDateTime", date)` of a node that `getmodelunit` gave; else the code of that name runs."""
    is_unit = isinstance(node, Node) and node.parent is not None and node.parent.name == _FOLDER
    if not is_unit:
        return codenodes.call_variable(world, node, name, *arguments)
    if name != "setDateTime" or not arguments:
        message = f"function_s({describe(name)}) is not supported"
        raise Unsupported(message, code="unsupported command", hint="use properties")
    if type(arguments[0]) is not DateTime:
        raise Fault(f"setDateTime needs a DateTime, not {describe(arguments[0])}", code="argument")
    node.value = arguments[0]
    start = _date(world, _START)
    stop = _date(world, _STOP)
    if start is not None and stop is not None and stop.seconds > start.seconds:
        world.stop_time = stop.seconds - start.seconds
    if node.name == _WARMUP:
        world.warn("unsupported", "the warm-up date has no effect", "give the warm-up time to the run")
    return 1


def _date(world: World, name: str) -> DateTime | None:
    folder = world.tree.tools.child(_FOLDER)
    node = folder.child(name) if folder is not None else None
    return node.value if node is not None and type(node.value) is DateTime else None


def start_date(world: World) -> DateTime:
    """`Model.startDateTime`; raises `Unsupported` where the script gave none."""
    date = _date(world, _START)
    if date is None:
        hint = 'function_s(getmodelunit(START_TIME_NODE), "setDateTime", DateTime("2030-01-01 00:00:00"))'
        raise Unsupported("the model has no start date", hint=f"set one: {hint}")
    return date


def date_of(world: World, seconds: Any) -> DateTime:
    """`Model.getDateTime(time)`."""
    return DateTime(start_date(world).seconds + to_float(seconds))


def date_now(world: World) -> DateTime:
    """`Model.dateTime`."""
    return date_of(world, world.clock.now if world.clock is not None else 0.0)


def time_of(world: World, date: Any = None) -> float:
    """`Model.getTime(date)`: seconds of model time; now, without a date."""
    if date is None:
        return world.clock.now if world.clock is not None else 0.0
    if type(date) is not DateTime:
        raise Fault(f"Model.getTime() needs a DateTime, not {describe(date)}", code="argument")
    return date.seconds - start_date(world).seconds


# --- Parameters -------------------------------------------------------------------------------------------------------


class Parameters(NamedTuple):
    """`Model.parameters` or `Model.performanceMeasures`: values by name."""

    world: World
    what: str
    values: dict[str, Any]


class Parameter(NamedTuple):
    """`Model.parameters["P"]`, with its `name` and `value`."""

    table: Parameters
    name: str


def _read(table: Parameters, name: Any) -> Any:
    text = to_text(name)
    if text not in table.values:
        hint = did_you_mean(text, table.values) or f"assign it first: Model.{table.what}.{text} = ..."
        raise Fault(f"Model.{table.what} has no {text!r}", code="missing parameter", hint=hint)
    return table.values[text]


def _write(table: Parameters, name: Any, value: Any) -> None:
    text, world = to_text(name)[:200], table.world
    if text not in table.values:
        message = f"Model.{table.what} has no {text!r} yet; it is added"
        world.warn("parameter", message, "in FlexSim it must stand in a table of the model before a script sets it")
        world.tree.count_node()
    table.values[text] = copied(value)


def members() -> dict[type, Members]:
    """Returns what stands behind the dot and in the brackets of parameters."""
    table = Members(
        {"length": lambda table: len(table.values)},
        {},
        {},
        missing=_read,
        assign_missing=_write,
        index=lambda table, name: Parameter(table, to_text(name)),
        set_index=_write,
    )
    one = Members(
        {"name": lambda one: one.name, "value": lambda one: _read(*one)},
        {"value": lambda one, value: _write(*one, value)},
    )
    return {Parameters: table, Parameter: one}


# --- Vocabulary -------------------------------------------------------------------------------------------------------


def methods() -> Mapping[str, Command]:
    """Returns the methods of `Model.` that are about dates."""
    return {
        "getTime": Command(time_of, DOUBLE, 0, 1, True),
        "getDateTime": Command(date_of, VARIANT, 1, 1, True),
    }


def properties() -> Mapping[str, Command]:
    """Returns the properties of `Model.` that are about dates and parameters."""
    return {
        "dateTime": Command(date_now, VARIANT, 0, 0, True),
        "startDateTime": Command(start_date, VARIANT, 0, 0, True),
        "nextStopDateTime": Command(lambda world: date_of(world, world.stop_time or 0.0), VARIANT, 0, 0, True),
        "warmupDateTime": Command(lambda world: date_of(world, 0.0), VARIANT, 0, 0, True),
        "parameters": Command(lambda world: Parameters(world, "parameters", world.parameters), VARIANT, 0, 0, True),
        "performanceMeasures": Command(
            lambda world: Parameters(world, "performanceMeasures", world.measures), VARIANT, 0, 0, True
        ),
    }


def table() -> Mapping[str, Command]:
    """Returns the old commands by name."""
    return {
        "getmodelunit": Command(model_unit, VARIANT, 1, 1, True),
        "getmodelunitnum": Command(model_unit, VARIANT, 1, 1, True),
        "function_s": Command(function_s, VARIANT, 2, 20, True),
    }
