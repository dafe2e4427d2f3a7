"""Paths in the tree: `Name`, `Name~2`, `a/b`, `..`, `?Name`, `"quoted name"`, `Queue1>variables/maxcontent`, a rank."""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

from vlsm_jax.simulator.library import find_class
from vlsm_jax.simulator.tree import Node

_STEP = re.compile(r'([/>]?)("[^"]*"|[^/>"]+)')
_NUMBERED = re.compile(r"(.+)~(\d{1,9})")
_DEFAULT_NAME = re.compile(r"([A-Za-z]+)(\d{1,6})")


class Step(NamedTuple):
    """One step of a path: a separator ("", "/" or ">"), a name, and which node of that name."""

    separator: str
    name: str
    number: int
    quoted: bool


class Attribute:
    """A node of the attribute tree of an object: `variables`, `labels`, or one entry of them.

    It holds nothing: reading and writing its value reads and writes the object's property or label.

    Attributes:
      owner: the object.
      folder: "variables", "labels", "spatial" or "" for the attribute root.
      name: the entry within the folder, empty for the folder itself.
      world: the world that reading and writing goes through.
    """

    __slots__ = ("folder", "name", "owner", "world")

    def __init__(self, owner: Node, folder: str, name: str = "", world: Any = None):
        self.world = world
        self.owner = owner
        self.folder = folder
        self.name = name

    def __str__(self) -> str:
        return f"{self.owner.path()}>{self.folder}" + (f"/{self.name}" if self.name else "")


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


def find(start: Node, path: str) -> Node | Attribute | None:
    """Returns the node at a path from `start`, None when there is none."""
    plain = start.child(path)
    if plain is not None:
        return plain
    parts = steps(path)
    if parts is None:
        return start if path == "/" else None
    if start.is_library:
        return library_entry(start, parts)
    node: Any = start
    for step in parts:
        node = _walk(node, step)
        if node is None:
            return None
    return node


def _walk(node: Any, step: Step) -> Any:
    if step.separator == ">":
        return _attribute(node, step) if isinstance(node, Node) else None
    if isinstance(node, Attribute):
        return Attribute(node.owner, node.folder, step.name) if not node.name else None
    if step.name == ".." and not step.quoted:
        return node.parent
    if step.name.startswith("?") and not step.quoted:
        return _search(node, step.name[1:], step.number)
    child = node.child(step.name, step.number)
    if child is None and step.number == 1 and step.name.isdigit() and not step.quoted:
        rank = int(step.name[:9])
        return node.children[rank - 1] if 1 <= rank <= len(node.children) else None
    return child


def _attribute(node: Node, step: Step) -> Attribute | None:
    if node.cls is None or step.name not in ("variables", "labels", "spatial", "visual", "stats"):
        return None
    return Attribute(node, step.name)


def _search(node: Node, name: str, number: int) -> Node | None:
    for below in node.below():
        if below.name == name:
            number -= 1
            if number == 0:
                return below
    return None


def library_entry(library: Node, parts: tuple[Step, ...]) -> Node | None:
    """Returns the library's entry for a path such as `?Source` or `/AGV/ControlPoint`; only its last step counts."""
    info = find_class(parts[-1].name.removeprefix("?"))
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
        if node.cls is info and node.default_name:
            number -= 1
            if number == 0:
                return node
    return None
