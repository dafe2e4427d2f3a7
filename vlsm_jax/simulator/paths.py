"""Paths in the tree, as `find` and `node` take them.

A path is a row of steps: `Name`, `a/b`, `Name~2` (the second of that name), `..` (the parent), `?Name` (the first of
that name at any depth), `"a quoted name"`, a rank, `>` (from the tree of objects to the attributes of one:
`Queue1>variables/maxcontent`), `+` behind a step (on to the node that the value there points at or names), and at the
front `MODEL:/` or `MAIN:/`. `@` and `VIEW:/` lead to views, and there are none here.
"""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

from vlsm_jax.simulator.library import find_class, tools
from vlsm_jax.simulator.tree import Node, Tree

_STEP = re.compile(r'([/>]?)("[^"]*"|[^/>"]+)')
_NUMBERED = re.compile(r"(.+)~(\d{1,9})")
_DEFAULT_NAME = re.compile(r"([A-Za-z]+)(\d{1,6})")
_ROOT = re.compile(r"(MAIN|MODEL|VIEW):/?(.*)", re.DOTALL)
_PROJECT = re.compile(r"project/(model|library)(?:/(.*))?", re.DOTALL)

FOLDERS = ("variables", "labels", "spatial", "visual", "stats")
"""The folders of an object's attributes that scripts can reach."""

MAX_DEPTH = 3
"""How deep an attribute lies below its folder at most: the variable of a table, a row, a cell."""


class Step(NamedTuple):
    """One step of a path: a separator ("", "/" or ">"), a name, and which node of that name."""

    separator: str
    name: str
    number: int
    quoted: bool


class Attribute:
    """A node of the attributes of an object: a folder such as `variables`, an entry, or a row or cell of a table there.

    It holds nothing: reading and writing its value reads and writes the object's property, label or place. Two
    attributes of the same place are equal.

    Attributes:
      owner: the object.
      folder: one of `FOLDERS`.
      steps: names or ranks below the folder; empty for the folder itself.
      world: the world that reading and writing goes through.
    """

    __slots__ = ("folder", "owner", "steps", "world")

    def __init__(self, owner: Node, folder: str, steps: tuple[str, ...] = (), world: Any = None):
        self.world = world
        self.owner = owner
        self.folder = folder
        self.steps = steps

    @property
    def name(self) -> str:
        """The entry within the folder, empty for the folder itself."""
        return self.steps[0] if self.steps else ""

    def child(self, name: str) -> Attribute:
        """Returns the attribute of that name below this one, whether or not there is anything."""
        return Attribute(self.owner, self.folder, (*self.steps, name), self.world)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Attribute) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple:
        return id(self.owner), self.folder, self.steps

    def __str__(self) -> str:
        return f"{self.owner.path()}>{'/'.join((self.folder, *self.steps))}"


class Missing:
    """What `node()` returns for a path that leads nowhere: not NULL, but `objectexists` says 0 (FlexSim's SAFEREF).

    Attributes:
      path: what was looked for.
    """

    __slots__ = ("path",)

    def __init__(self, path: str):
        self.path = path

    def __str__(self) -> str:
        return f"a node that does not exist ({self.path!r})"


@functools.lru_cache(maxsize=1024)
def steps(path: str) -> tuple[Step, ...] | None:
    """Splits a path; None when it has no steps or is not well formed."""
    found: list[Step] = []
    end = 0
    for match in _STEP.finditer(path):
        if match.start() != end:
            return None
        end = match.end()
        text = match[2]
        if text.startswith('"'):
            found.append(Step(match[1], text[1:-1], 1, True))
            continue
        numbered = _NUMBERED.fullmatch(text)
        name, number = (numbered[1], int(numbered[2])) if numbered else (text, 1)
        found.append(Step(match[1], name, number, False))
    return tuple(found) if found and end == len(path) else None


def find(tree: Tree, start: Any, path: str, world: Any = None) -> Any:
    """Returns the node or attribute at a path from `start`, None when there is none.

    Args:
      tree: where absolute paths begin.
      start: a node or an attribute.
      path: see the module.
      world: handed to attributes, for reading and writing them.
    """
    if isinstance(start, Node):
        plain = start.child(path)
        if plain is not None:
            return plain
        if start.is_library:
            parts = steps(path)
            return library_entry(start, parts) if parts else start if path == "/" else None
        if start is tree.main and _PROJECT.fullmatch(path.lstrip("/")):
            return _from_root(tree, "MAIN", path.lstrip("/"), world)
    if ":" in path:
        root = _ROOT.fullmatch(path)
        if root is not None:
            return _from_root(tree, root[1], root[2], world)
    parts = steps(path)
    if parts is None:
        return start if path in ("/", "") else None
    node: Any = start
    for step in parts:
        node = _walk(tree, node, step, world)
        if node is None:
            return None
    return node


def _from_root(tree: Tree, name: str, rest: str, world: Any) -> Any:
    root = {"MODEL": tree.model, "MAIN": tree.main}.get(name)
    if name == "MAIN":
        project = _PROJECT.fullmatch(rest)
        if project is not None:
            root, rest = (tree.model if project[1] == "model" else tree.library), project[2] or ""
    if root is None:
        return None
    return find(tree, root, rest, world) if rest else root


def _walk(tree: Tree, node: Any, step: Step, world: Any) -> Any:
    found = _plain_walk(node, step, world)
    if not step.name.endswith("+") or step.quoted:
        return found
    if found is None or (isinstance(found, Attribute) and not world.has_attribute(found)):
        before = node if step.name == "+" else _plain_walk(node, step._replace(name=step.name[:-1]), world)
        return _follow(tree, before, world)
    return found


def _plain_walk(node: Any, step: Step, world: Any) -> Any:
    if step.separator == ">":
        return _attribute(node, step, world) if isinstance(node, Node) else None
    if isinstance(node, Attribute):
        return _below_attribute(node, step)
    if step.name == ".." and not step.quoted:
        return node.parent
    if step.name.startswith("?") and not step.quoted:
        return _search(node, step.name[1:], step.number)
    child = node.child(step.name, step.number)
    if child is None and step.number == 1 and step.name.isdigit() and not step.quoted:
        rank = int(step.name[:9])
        return node.children[rank - 1] if 1 <= rank <= len(node.children) else None
    return child


def _follow(tree: Tree, node: Any, world: Any) -> Any:
    """`+`: the node that a value points at, or the one at the path from the model that it holds as text."""
    if node is None:
        return None
    value = world.read_attribute(node) if isinstance(node, Attribute) else node.value
    if isinstance(value, str) and "+" not in value:
        return find(tree, tree.model, value, world)
    return value if isinstance(value, (Node, Attribute)) else None


def _attribute(node: Node, step: Step, world: Any) -> Attribute | None:
    if node.cls is None or step.name not in FOLDERS:
        return None
    return Attribute(node, step.name, (), world)


def _below_attribute(attribute: Attribute, step: Step) -> Any:
    if step.name == ".." and not step.quoted:
        if not attribute.steps:
            return attribute.owner
        return Attribute(attribute.owner, attribute.folder, attribute.steps[:-1], attribute.world)
    return attribute.child(step.name) if len(attribute.steps) < MAX_DEPTH else None


def _search(node: Node, name: str, number: int) -> Node | None:
    for below in node.below():
        if below.name == name:
            number -= 1
            if number == 0:
                return below
    return None


def library_entry(library: Node, parts: tuple[Step, ...]) -> Node | None:
    """Returns the library's entry for a path such as `?Source` or `/AGV/ControlPoint`; only its last step counts."""
    name = parts[-1].name.removeprefix("?")
    info = find_class(name) or tools().get(name)
    if info is None:
        return None
    entry = library.child(info.name)
    if entry is None:
        entry = Node(info.name, info)
        entry.is_library = True
        library.add(entry)
    return entry


def by_default_name(model: Node, path: str) -> Node | None:
    """Returns the object that drag-and-drop would have named so: `Source1` is the first unnamed Source."""
    match = _DEFAULT_NAME.fullmatch(path)
    info = find_class(match[1]) if match else None
    if match is None or info is None:
        return None
    number = int(match[2])
    for node in model.children:
        if node.cls is info and node.default_name and node.name == info.name:
            number -= 1
            if number == 0:
                return node
    return None
