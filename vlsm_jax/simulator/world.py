"""The world of one script: its tree, its warnings, and what creating, connecting and setting mean in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from vlsm_jax.flexscript import (
    CompiledCode,
    Diagnostic,
    Dialect,
    Fault,
    Machine,
    Severity,
    Vocabulary,
    compile_expression,
    compile_program,
    parse,
    parse_expression,
)
from vlsm_jax.flexscript.diagnostics import SourceText, did_you_mean
from vlsm_jax.flexscript.values import describe, to_text
from vlsm_jax.simulator import paths
from vlsm_jax.simulator.library import ClassInfo, classes, find_class
from vlsm_jax.simulator.tree import Node, Tree

MAX_WARNINGS = 200
MAX_NAME = 200


@dataclasses.dataclass(frozen=True)
class Budget:
    """Limits that keep any script from hanging or filling the machine.

    Attributes:
      steps: turns of loops times statements in their bodies, over building and running.
      nodes: nodes and connections in the tree.
      events: events of one replication.
      wall_seconds: wall-clock time of one call of `build` or `run`.
      items: flow items in the model at one time.
      text: characters of a script.
    """

    steps: int = 2_000_000
    nodes: int = 20_000
    events: int = 20_000_000
    wall_seconds: float = 60.0
    items: int = 1_000_000
    text: int = 1_000_000


class World:
    """What the commands of a script act on.

    Attributes:
      tree: the node tree.
      machine: runs the script.
      dialect: choices where the sources are silent.
      warnings: findings that do not stop the script.
      stop_time: what the script gave `stoptime`, None when it did not.
      clock: the running model, None while the script builds.
      draws: random numbers for distributions that scripts call.
    """

    def __init__(self, budget: Budget, dialect: Dialect, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        self.budget = budget
        self.dialect = dialect
        self.tree = Tree(max_nodes=budget.nodes)
        self.machine = Machine(self, steps=budget.steps, wall_seconds=budget.wall_seconds)
        self.warnings: list[Diagnostic] = []
        self._warned: set[tuple] = set()
        self.stop_time: float | None = None
        self.run_speed = 4.0
        self.clock: Any = None
        self.draws: Any = None

    # --- Findings -----------------------------------------------------------------------------------------------------

    def warn(self, code: str, message: str, hint: str | Callable[[], str] = "") -> None:
        """Notes a warning at the command that runs; the same one is noted once per place.

        Args:
          code: as in `Diagnostic`.
          message: as in `Diagnostic`.
          hint: as in `Diagnostic`, or a function that gives it, called only when the warning is noted.
        """
        machine = self.machine
        key = (code, message, machine.at)
        if len(self.warnings) >= MAX_WARNINGS or key in self._warned:
            return
        self._warned.add(key)
        hint = hint() if callable(hint) else hint
        if machine.source is None:
            self.warnings.append(Diagnostic(code, Severity.WARNING, message, hint=hint))
            return
        diagnostic = machine.source.diagnostic(code, message, machine.at, hint=hint, severity=Severity.WARNING)
        self.warnings.append(diagnostic)

    def compile_text(self, text: str, label: str) -> CompiledCode:
        """Compiles FlexScript that a script made; a lone expression returns its value."""
        if ";" not in text:
            expression = parse_expression(text)
            if expression is not None:
                source = SourceText(text, label)
                return compile_expression(expression, source, self.vocabulary, self.machine, self.dialect)
        return compile_program(parse(text, label), self.vocabulary, self.machine, self.dialect)

    # --- Creation -----------------------------------------------------------------------------------------------------

    def create(self, info: ClassInfo, container: Node | None = None) -> Node:
        """Puts a new object into the model, or into a container within it."""
        if self.clock is not None:
            raise Fault("objects cannot be created while the model runs", code="unsupported")
        self.tree.count_node()
        container = container or self.tree.model
        name = info.name
        if not self.dialect.bare_class_names:
            number = 1
            while container.child(f"{name}{number}"):
                number += 1
            name = f"{name}{number}"
        node = Node(name, info)
        container.add(node)
        node.default_name = True
        return node

    def create_by_name(self, name: str) -> Node:
        """`Object.create(name)`; raises `Fault` when there is no such class."""
        info = find_class(name)
        if info is None:
            hint = did_you_mean(name, classes())
            raise Fault(f"there is no class {name!r} in the library", code="unknown class", hint=hint)
        return self.create(info)

    def create_copy(self, original: Node, container: Node) -> Node:
        """Returns a copy of an object, with its settings and without its connections."""
        if original.cls is None:
            raise Fault("only objects can be copied", code="unsupported")
        copy = self.create(original.cls, container)
        if not original.is_library:
            copy.settings.update(original.settings)
            copy.labels.update(original.labels)
            for part in ("location", "size", "rotation"):
                getattr(copy, part).assign(getattr(original, part))
            copy.color.assign(original.color)
        return copy

    def rename(self, node: Node, name: Any) -> None:
        """Gives an object a name; an empty one is ignored with a warning."""
        text = to_text(name)[:MAX_NAME]
        if not text:
            self.warn("name", f"an empty name for {node.name} is ignored", "give it a non-empty string")
            return
        node.rename(text)

    # --- Search -------------------------------------------------------------------------------------------------------

    def find(self, start: Node, path: Any) -> Node | paths.Attribute | None:
        """Finds a node by path; a path that leads nowhere gives NULL, as in FlexSim, and a warning."""
        if not isinstance(path, str):
            raise Fault(f"a path is a string, not {describe(path)}", code="argument")
        path = path.removeprefix("MODEL:/") if path.startswith("MODEL:/") else path
        model = self.tree.model
        node = paths.find(start, path)
        if node is None and start is model and self.dialect.numbered_fallback and self.dialect.bare_class_names:
            node = paths.by_default_name(model, path)
            if node is not None:
                self.warn(
                    "default name", f"{path!r} is found by its default name only", "name every object: x.name = ..."
                )
                return node
        if node is None:
            self._warn_not_found(start, path)
        elif isinstance(node, paths.Attribute):
            node.world = self
        elif node.default_name and not node.is_library:
            self.warn("default name", f"{path!r} is found by its default name only", "name every object: x.name = ...")
        return node

    def _warn_not_found(self, start: Node, path: str) -> None:
        shown = path[:MAX_NAME]
        if start.is_library:
            message = f"the library has no {shown!r}; the result is NULL"
            self.warn("not found", message, lambda: did_you_mean(shown.lstrip("/?"), classes()))
        else:
            message = f"{shown!r} was not found; the result is NULL"
            self.warn("not found", message, lambda: did_you_mean(shown, start.names()[:2000]))


def node_of(value: Any, what: str) -> Node:
    """Returns a value as a node; raises `Fault` with `what` was attempted when it is NULL or none."""
    if type(value) is Node:
        return value
    if type(value) is list and value and type(value[0]) is Node:
        return value[0]
    if value is None:
        raise Fault(f"{what} of NULL", code="null reference", hint="the object was not found, or never assigned")
    raise Fault(f"{what} needs an object, not {describe(value)}", code="type")


def object_of(value: Any, what: str) -> Node:
    """Returns a value as an object, a node with a class; raises `Fault` otherwise."""
    node = node_of(value, what)
    if node.cls is None:
        raise Fault(f"{what} needs an object, {node.name!r} is a plain node", code="type")
    return node
