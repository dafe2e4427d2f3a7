"""What can be said of a model before it runs: which objects items can reach, and what keeps it from running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vlsm_jax.flexscript import Diagnostic, Severity
from vlsm_jax.simulator.cautions import CAUTIONS, Model, finding, flows
from vlsm_jax.simulator.simulation import CREATORS
from vlsm_jax.simulator.tree import Node


class Wiring(NamedTuple):
    """The flow of a model.

    Attributes:
      reached: objects that items can reach from a Source, Sources included, in the order of the tree.
      has_flow: whether a Sink is reachable from a Source.
      runnable: whether every reachable object can be simulated.
      diagnostics: findings, each where the object that it is about was created.
    """

    reached: tuple[Node, ...]
    has_flow: bool
    runnable: bool
    diagnostics: tuple[Diagnostic, ...]


def examine(objects: Sequence[Node], names: Mapping[Node, str]) -> Wiring:
    """Follows the flow from every Source and reports what a run would stumble over."""
    carriers = [node for node in objects if node.cls.carries_items]
    sources = [node for node in carriers if node.cls.name == "Source"]
    reached = _reach(sources)
    findings: list[Diagnostic] = []
    has_flow = any(node.cls.name == "Sink" for node in reached)
    if not has_flow:
        findings.append(_no_path(sources, carriers))
    order = tuple(node for node in carriers if node in reached)
    obstacles = _obstacles(order, names)
    findings.extend(obstacles)
    model = Model(tuple(objects), names, frozenset(reached))
    for caution in CAUTIONS:
        findings.extend(caution(model))
    return Wiring(order, has_flow, not obstacles, tuple(findings))


def _reach(sources: Sequence[Node]) -> set[Node]:
    reached = set(sources)
    stack = list(sources)
    while stack:
        node = stack.pop()
        if node.cls.name == "Sink":
            continue
        for wire in node.outputs:
            if wire.target not in reached and flows(wire.target):
                reached.add(wire.target)
                stack.append(wire.target)
    return reached


def _no_path(sources: Sequence[Node], carriers: Sequence[Node]) -> Diagnostic:
    if not sources:
        message, hint = "the model has no Source", 'create one: Object.create("Source")'
    elif not any(node.cls.name == "Sink" for node in carriers):
        message, hint = "the model has no Sink", 'create one: Object.create("Sink")'
    else:
        message = "no Sink can be reached from a Source"
        hint = 'connect the objects in the direction of the flow: contextdragconnection(from, to, "A")'
    return Diagnostic("wiring", Severity.ERROR, message, hint=hint)


def _obstacles(reached: Sequence[Node], names: Mapping[Node, str]) -> list[Diagnostic]:
    """Returns what of the reachable objects cannot be simulated yet."""
    found = []
    for node in reached:
        name, cls = names[node], node.cls.name
        if cls not in CREATORS:
            message = f"{name!r} is a {cls}; objects of this class can be built, but not run yet"
            found.append(finding(node, "unsupported class", message, severity=Severity.ERROR))
    return found
