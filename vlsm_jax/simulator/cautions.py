"""What FlexSim accepts in silence and a modeller would regret, found in a model that is built but has not run.

Every caution is a function of the `Model` that yields findings; `CAUTIONS` lists them. A finding says what is wrong and
what to do, and stands where the object was created. A model that is as its maker meant it gives none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from vlsm_jax.flexscript import Diagnostic, Severity
from vlsm_jax.simulator import tables
from vlsm_jax.simulator.library import CONVEYOR, CONVEYOR_POINT, DISPATCHER, TASK_EXECUTER
from vlsm_jax.simulator.tools import Tool
from vlsm_jax.simulator.tree import Node
from vlsm_jax.twin import Code, Distribution, ParameterValue


class Model(NamedTuple):
    """A built model.

    Attributes:
      objects: in the order of the tree.
      names: a unique name for each.
      reached: those that items can reach, Sources included.
    """

    objects: tuple[Node, ...]
    names: Mapping[Node, str]
    reached: frozenset[Node]


class Use(NamedTuple):
    """A setting by which an object asks for task executers.

    Attributes:
      setting: 1 to ask.
      reference: the property that says whom; by default the first center port.
      what: for a message.
    """

    setting: str
    reference: str
    what: str


USES = (
    Use("UseTransport", "TransportRef", "a transport"),
    Use("UseProcessOperators", "OperatorRef", "operators"),
    Use("UseSetupOperators", "OperatorRef", "operators"),
    Use("UseOperators", "OperatorRef", "operators"),
)


def finding(node: Node, code: str, message: str, hint: str = "", severity: Severity = Severity.WARNING) -> Diagnostic:
    """Returns a diagnostic at the place where a node was created."""
    source, at = node.place or (None, None)
    if source is None or at is None:
        return Diagnostic(code, severity, message, hint=hint)
    return source.diagnostic(code, message, at, hint=hint, severity=severity)


def flows(node: Node) -> bool:
    """Whether items can be sent to a node."""
    return node.cls is not None and node.cls.carries_items and node.cls.name != "Source"


def is_executer(node: Node) -> bool:
    """Whether a node is a task executer or a dispatcher."""
    return node.cls is not None and node.cls.role in (TASK_EXECUTER, DISPATCHER)


def setting(node: Node, name: str) -> ParameterValue | None:
    """Returns what a script set, else the default."""
    value = node.settings.get(name)
    return value if value is not None else node.cls.default(name)


# --- Flow -------------------------------------------------------------------------------------------------------------


def unreachable(model: Model) -> Iterator[Diagnostic]:
    """Objects that no item can reach."""
    for node in model.objects:
        if node.cls.carries_items and node not in model.reached:
            message = f"no item can reach {model.names[node]!r} ({node.cls.name})"
            yield finding(node, "unreachable", message, "connect it behind a Source")


def dead_ends(model: Model) -> Iterator[Diagnostic]:
    """Objects that items cannot leave."""
    for node in model.objects:
        if node in model.reached and node.cls.name != "Sink" and not any(flows(w.target) for w in node.outputs):
            message = f"items cannot leave {model.names[node]!r} ({node.cls.name})"
            yield finding(node, "dead end", message, "connect it to another object")


def ports_beyond(model: Model) -> Iterator[Diagnostic]:
    """Port numbers that are constant, or drawn from a range, and larger than the number of ports."""
    for node in model.objects:
        if node not in model.reached:
            continue
        for name, ports, side in (("SendToPort", node.outputs, "output"), ("PullStrategy", node.inputs, "input")):
            value = node.settings.get(name)
            highest = _highest(value) if value is not None else 0
            if highest > len(ports):
                count = f"{len(ports)} {side} port{'s' * (len(ports) != 1)}"
                message = f"{name} of {model.names[node]!r} gives port {highest:g}; the object has {count}"
                numbers = " or ".join(map(str, range(1, len(ports) + 1))) if len(ports) < 3 else f"1 to {len(ports)}"
                yield finding(node, "port", message, f"use {numbers or 'no port'}, or 0 for any port")


def _highest(value: ParameterValue) -> float:
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, Distribution) and value.name in ("duniform", "uniform") and len(value.arguments) == 2:
        return max(value.arguments)
    return 0


def batches(model: Model) -> Iterator[Diagnostic]:
    """Queues that wait for more items than they can hold."""
    for node in model.objects:
        if node.cls.name != "Queue" or not node.settings.get("DoBatching"):
            continue
        batch, room = setting(node, "BatchSize"), setting(node, "MaxContent")
        if isinstance(batch, (int, float)) and isinstance(room, (int, float)) and batch > room:
            message = f"BatchSize {batch} of {model.names[node]!r} is more than its MaxContent {room}"
            yield finding(node, "batch", f"{message}; no batch is ever complete", "raise MaxContent")


def one_batch_at_a_time(model: Model) -> Iterator[Diagnostic]:
    """Combiners and Separators with a capacity, which has no effect on them."""
    for node in model.objects:
        is_one = node.cls.name in ("Combiner", "Separator") and node.settings.get("MaxContent", 1) != 1
        if is_one and node in model.reached:
            message = f"MaxContent of {model.names[node]!r} has no effect: a {node.cls.name} handles one batch"
            yield finding(node, "unused", f"{message} at a time", "leave it out")


def components(model: Model) -> Iterator[Diagnostic]:
    """Combiners whose list asks for components at input ports that are not there."""
    for node in model.objects:
        rows = tables.read_rows(node.settings.get("ComponentsList")) if node.cls.name == "Combiner" else None
        if rows and len(rows) > max(0, len(node.inputs) - 1) and node in model.reached:
            message = f"ComponentsList of {model.names[node]!r} has {len(rows)} rows for {len(node.inputs)} input ports"
            yield finding(node, "components", message, "it has a row per input port from the second on")


def arrival_columns(model: Model) -> Iterator[Diagnostic]:
    """Columns of an arrival table beyond its own that have no name, so that they become no label."""
    for node in model.objects:
        for name in ("ArrivalSchedule", "ArrivalSequence"):
            value = node.settings.get(name)
            info = node.cls.properties.get(name) if value is not None else None
            rows = tables.read_rows(value) if info is not None else None
            if not rows:
                continue
            own = info.columns
            named = len(rows[0]) if tables.has_headers(rows, len(own)) else len(own)
            if max(map(len, rows)) > named:
                message = f"column {named + 1} of {name} of {model.names[node]!r} has no name; it becomes no label"
                headers = ", ".join(f'"{column}"' for column in (*own, "Label"))
                yield finding(node, "value", message, f"name it with setColHeader, or give a first row [{headers}]")


# --- Values -----------------------------------------------------------------------------------------------------------


def negative_times(model: Model) -> Iterator[Diagnostic]:
    """Times that are constant and below zero."""
    for node in model.objects:
        for name, value in node.settings.items():
            if isinstance(value, (int, float)) and value < 0 and name.endswith("Time") and name in node.cls.properties:
                message = f"{name} of {model.names[node]!r} is {value:g}; a time below 0 counts as 0"
                yield finding(node, "negative time", message, "set a time of 0 or more")


def labels_for_properties(model: Model) -> Iterator[Diagnostic]:
    """Labels named as a property that is left at its default, while no code reads the label: `x.ProcessTime = 3`."""
    codes: list[str] | None = None
    for node in model.objects:
        for label in node.labels:
            name = node.cls.variables.get(label, label)
            if name not in node.cls.properties or name in node.settings:
                continue
            if codes is None:
                codes = [v.text for each in model.objects for v in each.settings.values() if isinstance(v, Code)]
            if not any(label in text for text in codes):
                message = f"{label} is a label of {model.names[node]!r}; its property {name} is not set"
                yield finding(node, "label", message, f'use setProperty("{name}", ...)')


# --- Task executers ---------------------------------------------------------------------------------------------------


def without_executer(model: Model) -> Iterator[Diagnostic]:
    """Objects that ask for a transport or operators and have nobody at their center ports."""
    for node in model.objects:
        uses = [use for use in USES if node.settings.get(use.setting) and use.setting in node.cls.properties]
        if not uses or any(is_executer(wire.other(node)) for wire in node.centers):
            continue
        for use in uses:
            if not _by_center_port(setting(node, use.reference)):
                continue
            name = model.names[node]
            message = f"{use.setting} of {name!r} is 1, but no task executer or dispatcher is at its center ports"
            hint = f'connect {use.what}: contextdragconnection({name}, operator, "S")'
            yield finding(node, "no executer", message, hint)


def _by_center_port(reference: ParameterValue | None) -> bool:
    if isinstance(reference, Code):
        return "centerObjects" in reference.text or "centerobject" in reference.text
    return reference is None


def unused_executers(model: Model) -> Iterator[Diagnostic]:
    """Task executers and dispatchers at a center port of an object that does not use them."""
    for node in model.objects:
        if not node.cls.carries_items or not node.centers or _asks(node):
            continue
        for wire in node.centers:
            other = wire.other(node)
            if is_executer(other):
                what, whom = f"{model.names[node]!r} ({node.cls.name})", f"{model.names[other]!r} ({other.cls.name})"
                known = [use.setting for use in USES if use.setting in node.cls.properties]
                hint = f"set {' or '.join(known)} to 1" if known else "connect it to the object that items leave"
                yield finding(node, "unused executer", f"{what} is connected to {whom} and does not use it", hint)


def _asks(node: Node) -> bool:
    """Whether an object uses task executers, by a setting or by code that mentions center ports."""
    if any(node.settings.get(use.setting) for use in USES):
        return True
    if any(len(row) > 2 and row[2] for row in tables.read_rows(node.settings.get("ProcessTable")) or ()):
        return True
    return any(
        isinstance(value, Code) and ("center" in value.text or "dispatch" in value.text or "task" in value.text.lower())
        for value in node.settings.values()
    )


def idle_executers(model: Model) -> Iterator[Diagnostic]:
    """Task executers and dispatchers that are connected to nothing, and dispatchers without a team."""
    texts: list[str] | None = None
    for node in model.objects:
        if not is_executer(node):
            continue
        name, cls = model.names[node], node.cls.name
        if not node.centers and not node.inputs and not node.outputs:
            if texts is None:
                texts = [v.text for each in model.objects for v in each.settings.values() if isinstance(v, Code)]
            if any(name in text or "tasksequence" in text.lower() for text in texts):
                continue
            hint = 'connect the object that needs it: contextdragconnection(object, executer, "S")'
            yield finding(node, "idle executer", f"{name!r} ({cls}) is connected to nothing that gives it work", hint)
        elif cls == "Dispatcher" and not any(is_executer(wire.target) for wire in node.outputs):
            hint = 'connect its task executers: contextdragconnection(dispatcher, executer, "A")'
            yield finding(node, "no team", f"the Dispatcher {name!r} has no task executer to give work to", hint)


# --- Tools ------------------------------------------------------------------------------------------------------------


def tools_without_effect(model: Model) -> Iterator[Diagnostic]:
    """Breakdowns and time tables without members, time tables without rows."""
    for tool in _tools(model):
        if tool.cls.name not in ("MTBFMTTR", "TimeTable") or not setting(tool, "Enabled"):
            continue
        if not tool.members:
            message = f"{tool.name!r} ({tool.cls.name}) has no members"
            yield finding(tool, "tool", message, 'tool.setProperty("Members", [object, ...])')
        elif tool.cls.name == "TimeTable" and not tables.read_rows(tool.settings.get("Table")):
            message = f"the TimeTable {tool.name!r} has no rows"
            yield finding(tool, "tool", message, 'tool.setProperty("Table", [[time, state, duration], ...])')


def _tools(model: Model) -> Iterator[Tool]:
    node: Node | None = model.objects[0] if model.objects else None
    while node is not None and node.parent is not None:
        node = node.parent
    folder = node.child("Tools") if node is not None else None
    for below in folder.below() if folder is not None else ():
        if isinstance(below, Tool):
            yield below


# --- Conveyors --------------------------------------------------------------------------------------------------------


def conveyor_points(model: Model) -> Iterator[Diagnostic]:
    """Decision points, stations and photo eyes: they can be placed and connected, and have no effect on the flow."""
    if not any(node.cls.role == CONVEYOR for node in model.reached):
        return
    for node in model.objects:
        if node.cls.role == CONVEYOR_POINT:
            message = f"{model.names[node]!r} is a {node.cls.name}, which is not simulated: items pass it by"
            yield finding(node, "unsupported", message, "process the items in an object behind the conveyor")


def sizes_on_belts(model: Model) -> Iterator[Diagnostic]:
    """Items other than a Box in a model with conveyors: their size decides how many fit, and is not established."""
    if not any(node.cls.role == CONVEYOR for node in model.reached):
        return
    for node in model.reached:
        kind = node.settings.get("FlowItemClass", "Box")
        if node.cls.name == "Source" and kind != "Box":
            message = f"{model.names[node]!r} makes a {kind}, whose size is not established: that of a Box is assumed"
            yield finding(node, "assumed", message, "set item.size in its OnCreation")


def transfer_settings(model: Model) -> Iterator[Diagnostic]:
    """What is set at the transfers of a conveyor, which hand items on as soon as they can."""
    for node in model.objects:
        if node.cls.role != CONVEYOR or node not in model.reached:
            continue
        for wire in (*node.inputs, *node.outputs):
            transfer = wire.transfer
            if transfer is not None and transfer.parent is node and transfer.settings:
                settings = ", ".join(transfer.settings)
                message = f"{settings} of {transfer.name!r} of {model.names[node]!r} has no effect: it is not simulated"
                yield finding(node, "unsupported", message)


CAUTIONS: tuple[Callable[[Model], Iterator[Diagnostic]], ...] = (
    unreachable,
    dead_ends,
    ports_beyond,
    batches,
    one_batch_at_a_time,
    components,
    arrival_columns,
    negative_times,
    labels_for_properties,
    without_executer,
    unused_executers,
    idle_executers,
    tools_without_effect,
    conveyor_points,
    sizes_on_belts,
    transfer_settings,
)
