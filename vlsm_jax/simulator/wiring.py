"""What can be said of a model before it runs: which objects items can reach, and what keeps it from running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vlsm_jax.flexscript import Diagnostic, Severity
from vlsm_jax.simulator.tree import Node

SIMULATED = frozenset(("Source", "Queue", "Processor", "Combiner", "Separator", "Sink"))
"""Classes whose behaviour is simulated. Objects of others can be built, named, set and connected."""

_NEEDS_EXECUTERS = ("UseTransport", "UseProcessOperators", "UseSetupOperators")


class Wiring(NamedTuple):
    """The flow of a model.

    Attributes:
      reached: objects that items can reach from a Source, Sources included, in the order of the tree.
      has_flow: whether a Sink is reachable from a Source.
      runnable: whether every reachable object can be simulated.
      diagnostics: findings.
    """

    reached: tuple[Node, ...]
    has_flow: bool
    runnable: bool
    diagnostics: tuple[Diagnostic, ...]


def examine(objects: Sequence[Node], names: Mapping[Node, str]) -> Wiring:
    """Follows the flow from every Source and reports what a run would stumble over."""
    findings: list[Diagnostic] = []

    def note(code: str, message: str, hint: str = "", severity: Severity = Severity.WARNING) -> None:
        findings.append(Diagnostic(code, severity, message, hint=hint))

    carriers = [node for node in objects if node.cls.carries_items]
    sources = [node for node in carriers if node.cls.name == "Source"]
    reached = _reach(sources)
    has_flow = any(node.cls.name == "Sink" for node in reached)
    if not has_flow:
        _no_path(note, sources, carriers)
    runnable = True
    for node in carriers:
        name, cls = names[node], node.cls.name
        if node not in reached:
            note("unreachable", f"no item can reach {name!r} ({cls})", "connect it behind a Source")
            continue
        if cls not in SIMULATED:
            runnable = False
            message = f"{name!r} is a {cls}; objects of this class can be built, but not run yet"
            note("unsupported class", message, "", Severity.ERROR)
            continue
        for setting in _NEEDS_EXECUTERS:
            if node.settings.get(setting):
                runnable = False
                message = f"{setting} of {name!r} needs task executers, which cannot be run yet"
                note("unsupported class", message, f"set {setting} to 0", Severity.ERROR)
        if cls != "Sink" and not any(_flows(wire.target) for wire in node.outputs):
            note("dead end", f"items cannot leave {name!r} ({cls})", "connect it to another object")
        if cls == "Queue":
            _check_batch(note, node, name)
        if cls in ("Combiner", "Separator") and node.settings.get("MaxContent", 1) != 1:
            note("unused", f"MaxContent of {name!r} has no effect: a {cls} handles one batch at a time")
    order = tuple(node for node in carriers if node in reached)
    return Wiring(order, has_flow, runnable, tuple(findings))


def _flows(node: Node) -> bool:
    return node.cls is not None and node.cls.carries_items and node.cls.name != "Source"


def _reach(sources: Sequence[Node]) -> set[Node]:
    reached = set(sources)
    stack = list(sources)
    while stack:
        node = stack.pop()
        if node.cls.name == "Sink":
            continue
        for wire in node.outputs:
            if wire.target not in reached and _flows(wire.target):
                reached.add(wire.target)
                stack.append(wire.target)
    return reached


def _no_path(note, sources: Sequence[Node], carriers: Sequence[Node]) -> None:
    if not sources:
        message, hint = "the model has no Source", 'create one: Object.create("Source")'
    elif not any(node.cls.name == "Sink" for node in carriers):
        message, hint = "the model has no Sink", 'create one: Object.create("Sink")'
    else:
        message = "no Sink can be reached from a Source"
        hint = 'connect the objects in the direction of the flow: contextdragconnection(from, to, "A")'
    note("wiring", message, hint, Severity.ERROR)


def _check_batch(note, node: Node, name: str) -> None:
    if not node.settings.get("DoBatching"):
        return
    batch = node.settings.get("BatchSize", node.cls.default("BatchSize"))
    room = node.settings.get("MaxContent", node.cls.default("MaxContent"))
    if isinstance(batch, (int, float)) and isinstance(room, (int, float)) and batch > room:
        note("batch", f"BatchSize {batch} of {name!r} is more than its MaxContent {room}; no batch is ever complete")
