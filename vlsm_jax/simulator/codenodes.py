"""Code that stands in nodes: labels, variables and nodes whose text scripts execute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlsm_jax.flexscript import CompiledCode, Fault
from vlsm_jax.flexscript.values import describe, to_int, to_text
from vlsm_jax.flexscript.vocabulary import VARIANT, Command
from vlsm_jax.simulator import attributes, labels
from vlsm_jax.simulator.paths import Attribute
from vlsm_jax.simulator.properties import get_variable
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.world import World, object_of

MAX_KEPT = 500
"""So many texts stay compiled per world."""


def compiled(world: World, text: Any, label: str) -> CompiledCode:
    """Returns the code of a text; raises `Fault` where it does not compile."""
    if not isinstance(text, str):
        raise Fault(f"{label} needs code, not {describe(text)}", code="argument")
    kept = world.kept_code
    code = kept.get((text, label))
    if code is None:
        world.machine.charge(1 + len(text) // 4)
        code = world.compile_text(text, label)
        if len(kept) >= MAX_KEPT:
            kept.clear()
        kept[text, label] = code
    if not code.ok:
        first = next(d for d in code.diagnostics if d.severity.value == "error")
        raise Fault(f"{label}: {first.message}", code=first.code, hint=first.hint)
    return code


def text_of(world: World, node: Any, what: str) -> Any:
    """Returns what stands in a node, a variable or a label; raises `Fault` for anything else."""
    if isinstance(node, Attribute):
        return attributes.read(world, node)
    if isinstance(node, labels.Label):
        return labels.read(node.owner, node.name)
    if isinstance(node, Node):
        return node.value
    if node is None:
        raise Fault(f"{what} of NULL", code="null reference", hint="the node was not found, or never assigned")
    raise Fault(f"{what} needs a node, not {describe(node)}", code="type")


def evaluate(world: World, node: Any, *parameters: Any) -> Any:
    """`nodefunction(node, p1, ...)`, `node.evaluate(p1, ...)`: runs the code of a node; a number is its own value."""
    value = text_of(world, node, "evaluate()")
    if not isinstance(value, str):
        return value
    return compiled(world, value, "the code of a node").run(node, parameters)


def execute_node(world: World, node: Any, code: Any = None, instance: Any = None, *data: Any) -> Any:
    """`executefsnode(node, c, i, eventdata)`: runs the code of a node with `c` and `i` as given."""
    value = text_of(world, node, "executefsnode()")
    if not isinstance(value, str):
        return value
    return compiled(world, value, "executefsnode").run(code if code is not None else node, data[:1], instance)


def call_variable(world: World, node: Any, name: Any, *parameters: Any) -> Any:
    """`function_s(object, "name", ...)`: runs the code of a variable of that name, or of a label."""
    target = object_of(node, "function_s()")
    wanted = to_text(name)
    if wanted in target.labels:
        value: Any = target.labels[wanted]
    else:
        value = get_variable(world, target, wanted)
    if not isinstance(value, str):
        return value
    return compiled(world, value, f"{wanted} of {target.name!r}").run(target, parameters)


def call_numbered(world: World, node: Any, index: Any, *parameters: Any) -> Any:
    """`function_n(object, n, ...)`: runs the code of the n-th label."""
    target = object_of(node, "function_n()")
    at = to_int(index)
    if not 1 <= at <= len(target.labels):
        hint = f"{target.name!r} has {len(target.labels)} labels"
        raise Fault("Array index out of bounds", code="array index", hint=hint)
    return call_variable(world, target, list(target.labels)[at - 1], *parameters)


def table() -> Mapping[str, Command]:
    """Returns the commands by name."""
    return {
        "nodefunction": Command(evaluate, VARIANT, 1, 11, True),
        "executefsnode": Command(execute_node, VARIANT, 2, 5, True),
        "function_s": Command(call_variable, VARIANT, 2, 20, True),
        "function_n": Command(call_numbered, VARIANT, 2, 20, True),
        "userfunction_s": Command(call_variable, VARIANT, 2, 20, True),
        "userfunction_n": Command(call_numbered, VARIANT, 2, 20, True),
    }
