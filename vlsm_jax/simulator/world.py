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
    Unsupported,
    Vocabulary,
    compile_expression,
    compile_program,
    parse,
    parse_expression,
)
from vlsm_jax.flexscript.coroutines import no_model
from vlsm_jax.flexscript.diagnostics import SourceText, did_you_mean
from vlsm_jax.flexscript.tables import Table
from vlsm_jax.flexscript.values import describe, to_text
from vlsm_jax.simulator import paths
from vlsm_jax.simulator.labels import copied_labels
from vlsm_jax.simulator.library import ClassInfo, classes, find_class, tools
from vlsm_jax.simulator.tables import rows_with_headers, write_rows
from vlsm_jax.simulator.tools import add_automatic, all_tools, automatic_named, create_tool
from vlsm_jax.simulator.tree import Node, Tree

MAX_WARNINGS = 200
MAX_NAME = 200


@dataclasses.dataclass(frozen=True)
class Budget:
    """Limits that keep any script from hanging or filling the machine.

    Attributes:
      steps: turns of loops times statements in their bodies, over building and one replication.
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
      binding: what settings mean in the running model, None while the script builds.
      warmup: when the statistics of the running model begin anew.
      counted_from: when they last did.
      draws: random numbers for distributions that scripts call.
      open_tables: table properties that the script works on, by object and property.
      changed_tables: those of them that it has changed.
      variables: values of old variables that stand for no property, by object and name.
      parameters: values of `Model.parameters`, by name.
      measures: values of `Model.performanceMeasures`, by name.
      kept_code: code of nodes that scripts execute, compiled, by text and label.
    """

    def __init__(self, budget: Budget, dialect: Dialect, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        self.budget = budget
        self.dialect = dialect
        self.tree = Tree(max_nodes=budget.nodes)
        if not dialect.duplicate_names:
            self.tree.model.flags[_UNIQUE_NAMES] = 1
        self.machine = Machine(self, steps=budget.steps, wall_seconds=budget.wall_seconds)
        self.warnings: list[Diagnostic] = []
        self._warned: set[tuple] = set()
        self.stop_time: float | None = None
        self.run_speed = 4.0
        self.clock: Any = None
        self.binding: Any = None
        self.warmup = 0.0
        self.counted_from = 0.0
        self.draws: Any = None
        self.open_tables: dict[tuple[Node, str], Table] = {}
        self.changed_tables: set[tuple[Node, str]] = set()
        self.variables: dict[tuple[Node, str], Any] = {}
        self.parameters: dict[str, Any] = {}
        self.measures: dict[str, Any] = {}
        self.kept_code: dict[tuple[str, str], CompiledCode] = {}

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

    def place(self) -> tuple[SourceText | None, int | None]:
        """Returns where the command that runs stands: its text and the offset in it."""
        return self.machine.source, self.machine.at

    def dismantle(self) -> None:
        """Breaks the cycles of references, once nobody needs the world any more.

        So it is freed at once. Finding the cycles of many short runs takes the garbage collector a twentieth of their
        time.
        """
        self.tree.dismantle()
        self.machine.world = self.draws = None
        self.open_tables.clear()
        self.variables.clear()
        self.kept_code.clear()

    # --- What the language asks of the world --------------------------------------------------------------------------

    def suspend(self, delay: float, resume: Callable[[Any], None]) -> None:
        """Resumes code that waits, after a delay in seconds; raises `Fault` while no model runs."""
        if self.clock is None:
            raise no_model()
        self.clock.after(delay, resume)

    def random_number(self) -> float:
        """The next number from 0 to 1 of the stream that scripts draw from."""
        key = ("uniform", 0, (0.0, 1.0))
        values = self.draws.samplers.get(key)
        return next(values) if values is not None else self.draws.draw(*key)

    # --- Creation -----------------------------------------------------------------------------------------------------

    def create(self, info: ClassInfo, container: Node | None = None) -> Node:
        """Puts a new object into the model, or into a container within it."""
        if self.clock is not None:
            raise Fault("objects cannot be created while the model runs", code="unsupported")
        self.tree.count_node()
        container = container or self.tree.model
        name = info.name
        if not self.dialect.bare_class_names:
            name = self.free_name(container, name, 1)
        node = Node(name, info)
        container.add(node)
        node.default_name = True
        machine = self.machine
        node.place = (machine.source, machine.at)
        if info.role != "fixed resource":
            add_automatic(self.tree, node)
        return node

    def free_name(self, container: Node, stem: str, number: int) -> str:
        """Returns the first of `stem1`, `stem2`, ... from a number on that no child of a container bears."""
        first = number
        while container.child(f"{stem}{number}"):
            number += 1
        self.machine.charge((number - first) // 8)
        return f"{stem}{number}"

    def create_by_name(self, name: str) -> Node:
        """`Object.create(name)`; raises `Fault` when there is no such class."""
        info = find_class(name)
        if info is None:
            if name in tools():
                self.warn("tool", f"{name} is a tool, no object", f'write Tools.create("{name}")')
                return create_tool(self, name)
            hint = did_you_mean(name, classes())
            raise Fault(f"there is no class {name!r} in the library", code="unknown class", hint=hint)
        return self.create(info)

    def create_copy(self, original: Node, container: Node, same_name: bool = False) -> Node:
        """Returns a copy of an object or node with its settings, labels and what is in it, without its connections.

        A copy of a named object takes the name with the next free number, `Oven2` for one of `Oven`, unless it shall
        keep the same name. The number is an assumption: FlexSim is only known to append something.
        """
        if original.is_library:
            return self.create(original.cls, container) if original.cls else self._copy_node(original, container)
        if container.is_within(original):
            raise Fault(f"{original.name!r} cannot be copied into itself", code="argument")
        copy = self._copy_node(original, container)
        if original.cls is not None and not original.default_name and not same_name:
            copy.rename(self.free_name(container, original.name.rstrip("0123456789") or original.name, 2))
            copy.default_name = True
        return copy

    def _copy_node(self, original: Node, container: Node) -> Node:
        if original.automatic or (original.cls is not None and original.cls.role == "tool"):
            raise Unsupported(f"copying {original.name!r} is not supported")
        if original.cls is not None:
            copy = self.create(original.cls, container)
            copy.settings.update(original.settings)
            for part in ("location", "size", "rotation"):
                getattr(copy, part).assign(getattr(original, part))
            copy.color.assign(original.color)
            for node, name in self.changed_tables:
                if node is original:
                    table = self.open_tables[node, name]
                    copy.settings[name] = write_rows(rows_with_headers(table, node.cls.properties[name]))
            for (node, name), value in list(self.variables.items()):
                if node is original:
                    self.variables[copy, name] = value
        else:
            copy = self.add_node(container)
        copy.labels.update(copied_labels(self.machine, original.labels))
        copy.value = original.value
        if original.name != copy.name:
            copy.rename(original.name)
        copy.default_name = original.default_name
        for child in list(original.children):
            if not child.automatic:
                self._copy_node(child, copy)
        return copy

    def add_node(self, container: Node, name: str = "") -> Node:
        """Puts a new plain node at the end of a node's children."""
        if container.is_library:
            raise Fault("the library cannot be changed", code="argument")
        if self.clock is not None:
            raise Unsupported("adding nodes while the model runs is not supported")
        self.tree.count_node()
        node = Node(name)
        container.add(node)
        return node

    def rename(self, node: Node, name: Any) -> None:
        """Gives an object a name; an empty one is ignored with a warning."""
        text = to_text(name)[:MAX_NAME]
        if not text:
            self.warn("name", f"an empty name for {node.name} is ignored", "give it a non-empty string")
            return
        if node is self.tree.tools:
            raise Fault(f"{node.name!r} cannot be renamed", code="argument")
        refuse_duplicate(node, text)
        node.rename(text)

    # --- Search -------------------------------------------------------------------------------------------------------

    def find(self, start: Node | paths.Attribute, path: Any) -> Node | paths.Attribute | None:
        """Finds a node by path; a path that leads nowhere gives NULL, as in FlexSim, and a warning."""
        if not isinstance(path, str):
            raise Fault(f"a path is a string, not {describe(path)}", code="argument")
        node = paths.find(self.tree, start, path, self)
        if type(node) is paths.Attribute and not self.has_attribute(node):
            node = None
        if node is None:
            node = self._find_otherwise(start, path)
        elif type(node) is Node and node.default_name and not node.is_library:
            self.warn("default name", f"{path!r} is found by its default name only", _NAME_EVERY_OBJECT)
        return node

    def _find_otherwise(self, start: Node | paths.Attribute, path: str) -> Node | None:
        """Returns what goes by a name that it does not bear: a default name, or an automatic navigator."""
        model, dialect = self.tree.model, self.dialect
        if start is model:
            automatic = automatic_named(self.tree, path)
            if automatic is not None:
                return automatic
        if start is model and dialect.numbered_fallback and dialect.bare_class_names:
            node = paths.by_default_name(model, path)
            if node is not None:
                self.warn("default name", f"{path!r} is found by its default name only", _NAME_EVERY_OBJECT)
                return node
        self._warn_not_found(start, path)
        return None

    def has_attribute(self, attribute: paths.Attribute) -> bool:
        """Whether there is anything at the path of an attribute."""
        from vlsm_jax.simulator import attributes  # attributes know the world, and so come in late

        return attributes.exists(self, attribute)

    def read_attribute(self, attribute: paths.Attribute) -> Any:
        """Returns the value of an attribute; raises `Fault` where it has none."""
        from vlsm_jax.simulator import attributes

        return attributes.read(self, attribute)

    def find_table(self, reference: Any) -> Table | None:
        """Returns a global table by name or number, or the table at a node; None where there is none."""
        from vlsm_jax.simulator import attributes

        if isinstance(reference, paths.Attribute):
            return attributes.table_at(self, reference)
        if isinstance(reference, Node):
            return reference.value if isinstance(reference.value, Table) else None
        found = all_tools(self.tree, "GlobalTable")
        if isinstance(reference, str):
            named = next((tool for tool in found if tool.name == reference), None)
            if named is None:
                node = paths.find(self.tree, self.tree.model, reference, self)
                return None if node is None else self.find_table(node)
            return named.value
        if isinstance(reference, (int, float)):
            at = int(reference) if reference == reference else 0
            return found[at - 1].value if 1 <= at <= len(found) else None
        return None

    def _warn_not_found(self, start: Node | paths.Attribute, path: str) -> None:
        shown = path[:MAX_NAME]
        if isinstance(start, Node) and start.is_library:
            message = f"the library has no {shown!r}; the result is NULL"
            self.warn("not found", message, lambda: did_you_mean(shown.lstrip("/?"), classes()))
            return
        message = f"{shown!r} was not found; the result is NULL"
        if shown.startswith("VIEW:") or "@" in shown:
            self.warn("not found", message, "there are no views here")
        elif "$flexscript$" in shown:
            self.warn("not found", message, "compiled code has no node here: read the value of the node itself")
        elif isinstance(start, Node):
            self.warn("not found", message, lambda: self._suggest(start, shown))
        else:
            self.warn("not found", message)

    def _suggest(self, start: Node, path: str) -> str:
        """Returns "did you mean ...?" for the first step of a path that leads nowhere."""
        owner, folder, variable = path.rpartition(">variables/")
        if folder:
            node = paths.find(self.tree, start, owner, self) if owner else start
            return did_you_mean(variable, node.cls.variables) if isinstance(node, Node) and node.cls else ""
        return did_you_mean(path.partition("/")[0] or path, start.names()[:2000])


_NAME_EVERY_OBJECT = "name every object: x.name = ..."


_UNIQUE_NAMES = "unique names"


def refuse_duplicate(node: Node, name: str) -> None:
    """Raises `Fault` when another object of the model bears that name and the dialect does not allow it."""
    if _UNIQUE_NAMES in node.parent.flags:  # type: ignore[union-attr]
        other = node.parent.child(name)  # type: ignore[union-attr]
        if other is not None and other is not node:
            raise Fault(f"another object is named {name!r}", code="duplicate name", hint="choose another name")


def gone_fault(node: Node, what: str) -> Fault:
    """Returns the fault of using an object that was destroyed."""
    message = f"{what} of {node.name!r}, which was destroyed"
    return Fault(message, code="null reference", hint="test with objectexists()")


def node_of(value: Any, what: str) -> Node:
    """Returns a value as a node; raises `Fault` with `what` was attempted when it is NULL or none."""
    if type(value) is Node:
        return value
    if type(value) is list and value and isinstance(value[0], Node):
        return value[0]
    if isinstance(value, Node):
        if value.is_gone:
            raise gone_fault(value, what)
        return value
    if isinstance(value, paths.Missing):
        hint = "node() did not find it; test with objectexists()"
        raise Fault(f"{what} of {value}", code="null reference", hint=hint)
    if value is None:
        raise Fault(f"{what} of NULL", code="null reference", hint="the object was not found, or never assigned")
    raise Fault(f"{what} needs an object, not {describe(value)}", code="type")


def object_of(value: Any, what: str) -> Node:
    """Returns a value as an object, a node with a class; raises `Fault` otherwise."""
    node = node_of(value, what)
    if node.cls is None:
        raise Fault(f"{what} needs an object, {node.name!r} is a plain node", code="type")
    return node
