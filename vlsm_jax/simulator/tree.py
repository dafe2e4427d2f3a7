"""The node tree: objects with names, places, ports, labels and settings, as far as scripts see and change it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from vlsm_jax.flexscript import OutOfBudget
from vlsm_jax.flexscript.values import Color, Vec3
from vlsm_jax.simulator.library import ClassInfo
from vlsm_jax.twin import ParameterValue


@dataclasses.dataclass(eq=False, slots=True)
class Wire:
    """One connection. Its two ends list it among their ports.

    Attributes:
      number: in the order of drawing, over the whole model.
      source: where it was drawn from.
      target: where it was drawn to.
      port: "A" from an output to an input, "S" between center ports.
      transfer: the EntryTransfer, ExitTransfer or Transfer that FlexSim puts between a conveyor and its neighbour;
        None for every other wire.
    """

    number: int
    source: Node
    target: Node
    port: str
    transfer: Node | None = None

    def other(self, node: Node) -> Node:
        """Returns the end that is not `node`."""
        return self.target if node is self.source else self.source


class Node:
    """One node of the tree. An object of the model is a node with a class.

    Attributes:
      name: need not be unique; further ones of a name are found as `Name~2`.
      cls: the class of an object, None for a plain node or a folder.
      parent: None for a root or a destroyed node.
      children: by rank.
      value: the data of a plain node.
      location, size, rotation, color: of an object.
      inputs, outputs, centers: wires in port order.
      labels: by name.
      settings: property name to the value that a script set.
      default_name: whether the name is still the one that creation gave.
      place: the source text and the offset of the command that created the node, None for what no script made.
      automatic: whether the node came into being as part of another, as a transfer does; no object of the Twin.
      is_gone: whether the node was destroyed.
      is_library: whether this is an entry of the library, not an object of the model.
      live: the running counterpart during a run, else None.
      flags: of the tree view; kept, without effect.
    """

    __slots__ = (
        "_index", "_parts", "centers", "children", "cls", "default_name", "flags", "inputs", "is_library",
        "labels", "live", "name", "outputs", "parent", "place", "settings", "value",
    )  # fmt: skip

    automatic = False
    is_gone = False

    def __init__(self, name: str, cls: ClassInfo | None = None):
        self.name = name
        self.cls = cls
        self.parent: Node | None = None
        self.children: list[Node] = []
        self._index: dict[str, list[Node]] = {}
        self.value: Any = None
        self._parts: dict[str, Vec3 | Color] = {}
        self.inputs: list[Wire] = []
        self.outputs: list[Wire] = []
        self.centers: list[Wire] = []
        self.labels: dict[str, Any] = {}
        self.settings: dict[str, ParameterValue] = {}
        self.default_name = False
        self.place: tuple[Any, int | None] | None = None
        self.is_library = False
        self.live: Any = None
        self.flags: dict[str, Any] = {}

    def __str__(self) -> str:
        return self.path()

    # --- Place --------------------------------------------------------------------------------------------------------

    @property
    def location(self) -> Vec3:
        """The upper-left corner, in metres; changing its components moves the object."""
        return self._parts.get("location") or self._part("location")

    @property
    def size(self) -> Vec3:
        """Extent along x, -y and z, in metres."""
        return self._parts.get("size") or self._part("size")

    @property
    def rotation(self) -> Vec3:
        """Degrees about x, y and z."""
        return self._part("rotation")

    @property
    def color(self) -> Color:
        """Components from 0 to 1."""
        return self._part("color")

    def _part(self, name: str) -> Any:
        part = self._parts.get(name)
        if part is None:
            part = self._parts[name] = self._default_part(name)
        return part

    def _default_part(self, name: str) -> Vec3 | Color:
        if name == "color":
            return Color(1, 1, 1)
        return Vec3(*self.cls.size) if name == "size" and self.cls else Vec3()

    def changed_part(self, name: str) -> tuple | None:
        """Returns the components of size, rotation or color where a script changed them, else None."""
        part = self._parts.get(name)
        if part is None or tuple(part) == tuple(self._default_part(name)):
            return None
        return tuple(part)

    # --- Tree ---------------------------------------------------------------------------------------------------------

    def add(self, child: Node) -> None:
        """Puts a node at the end of the children."""
        child.parent = self
        self.children.append(child)
        self._index.setdefault(child.name, []).append(child)

    def remove(self, child: Node) -> None:
        """Takes a child out."""
        self.children.remove(child)
        self._index[child.name].remove(child)
        child.parent = None

    def child(self, name: str, number: int = 1) -> Node | None:
        """Returns the n-th child of a name, None when there are fewer."""
        named = self._index.get(name, ())
        return named[number - 1] if 1 <= number <= len(named) else None

    def named(self, name: str) -> list[Node]:
        """Returns the children of a name."""
        return self._index.get(name, [])

    def names(self) -> list[str]:
        """Returns the names among the children."""
        return [name for name, nodes in self._index.items() if nodes]

    def rename(self, name: str) -> None:
        """Gives the node another name."""
        parent = self.parent
        if parent is not None:
            parent._index[self.name].remove(self)
            parent._index.setdefault(name, []).append(self)
        self.name = name
        self.default_name = False

    def set_children(self, children: Iterable[Node]) -> None:
        """Puts children back into an order, under the names that they have now."""
        self.children[:] = children
        self._index = {}
        for child in self.children:
            child.parent = self
            self._index.setdefault(child.name, []).append(child)

    def set_rank(self, rank: int) -> None:
        """Moves the node among its siblings; ranks count from 1 and are cut to the range there is."""
        siblings = self.parent.children if self.parent else []
        if siblings:
            siblings.remove(self)
            siblings.insert(max(0, min(rank - 1, len(siblings))), self)

    @property
    def rank(self) -> int:
        """The place among the siblings, from 1; 0 without a parent."""
        return self.parent.children.index(self) + 1 if self.parent else 0

    def sibling(self, step: int) -> Node | None:
        """Returns the next (1) or previous (-1) node of the same parent, None at the end."""
        if self.parent is None:
            return None
        at = self.rank - 1 + step
        return self.parent.children[at] if 0 <= at < len(self.parent.children) else None

    def below(self) -> Iterator[Node]:
        """Yields every node below this one, depth first, without the node itself."""
        stack = list(reversed(self.children))
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))

    def is_within(self, ancestor: Node) -> bool:
        """Whether the node is the ancestor itself or lies below it."""
        node: Node | None = self
        while node is not None:
            if node is ancestor:
                return True
            node = node.parent
        return False

    def move(self, parent: Node) -> None:
        """Makes the node the last child of another parent; raises `ValueError` when that lies within the node."""
        if parent.is_within(self):
            raise ValueError(f"{self.name!r} cannot be moved into itself")
        if self.parent is not None:
            self.parent.remove(self)
        parent.add(self)

    def path(self) -> str:
        """Returns names from the root down, with slashes."""
        names = []
        node: Node | None = self
        while node is not None:
            names.append(node.name)
            node = node.parent
        return "/".join(reversed(names))


class AutomaticNode(Node):
    """A node that FlexSim adds by itself: a transfer between a conveyor and its neighbour, or a navigator."""

    __slots__ = ()

    automatic = True


class GoneNode(Node):
    """What a node becomes when it is destroyed, so that whoever still refers to it finds nothing there any more."""

    __slots__ = ()

    is_gone = True


class Tree:
    """The model, the library, and the count of nodes and wires against a budget.

    Attributes:
      model: the root of the model; its first child is the folder Tools.
      tools: the folder Tools: tables, groups, breakdowns, time tables and navigators, none of them part of the Twin.
      library: the root of the library; its entries come into being when they are asked for.
      main: the root of everything else; empty here.
      attachments: wires between an object and a node of a travel network. They are no ports of the object, so that no
        item is sent along them.
    """

    def __init__(self, *, max_nodes: int):
        self.model = Node("model")
        self.library = Node("library")
        self.library.is_library = True
        self.main = Node("MAIN")
        self.max_nodes = max_nodes
        self.node_count = 0
        self._wire_numbers = itertools.count()
        self.attachments: list[Wire] = []
        self.tools = Node("Tools")
        self.model.add(self.tools)

    def count_node(self) -> None:
        """Takes one node or wire from the budget; raises `OutOfBudget` when none is left."""
        self.node_count += 1
        if self.node_count > self.max_nodes:
            raise OutOfBudget(
                f"the model has more than {self.max_nodes} nodes and connections", hint="raise Budget.nodes"
            )

    def objects(self) -> list[Node]:
        """Returns the objects of the model, containers before what they contain; Tools and what is automatic not."""
        found: list[Node] = []
        for top in self.model.children:
            if top.cls is not None:
                if not top.automatic:
                    found.append(top)
            elif top is self.tools:
                continue
            if top.children:
                found.extend(node for node in top.below() if node.cls is not None and not node.automatic)
        return found

    def connect(self, source: Node, target: Node, port: str, *, attaches: bool = False) -> Wire:
        """Draws a wire; both ends get it as their last port, unless it only attaches an object to a travel network."""
        self.count_node()
        wire = Wire(next(self._wire_numbers), source, target, port)
        if attaches:
            self.attachments.append(wire)
        elif port == "A":
            source.outputs.append(wire)
            target.inputs.append(wire)
        else:
            source.centers.append(wire)
            if target is not source:
                target.centers.append(wire)
        return wire

    def disconnect(self, wire: Wire) -> None:
        """Removes a wire; later ports move up."""
        flow = wire.port == "A"
        ends = (wire.source.outputs, wire.target.inputs) if flow else (wire.source.centers, wire.target.centers)
        for ports in (*ends, self.attachments):
            if wire in ports:
                ports.remove(wire)
        if wire.transfer is not None:
            _vanish(wire.transfer)

    def find_wire(self, source: Node, target: Node, port: str) -> Wire | None:
        """Returns the last wire drawn between two nodes, None when there is none."""
        for wire in reversed(source.outputs if port == "A" else source.centers):
            if wire.other(source) is target:
                return wire
        if port == "A" and self.attachments:
            ends = {source, target}
            return next((wire for wire in reversed(self.attachments) if {wire.source, wire.target} == ends), None)
        return None

    def attached(self, node: Node) -> list[Node]:
        """Returns the network nodes at which an object stands, or the objects that stand at a network node."""
        return [wire.other(node) for wire in self.attachments if node in (wire.source, wire.target)]

    def wires(self) -> list[Wire]:
        """Returns the wires among the objects of the model, in the order of drawing."""
        found = {wire.number: wire for node in self.objects() for wire in (*node.outputs, *node.centers)}
        found.update((wire.number, wire) for wire in self.attachments)
        return [found[number] for number in sorted(found)]

    def dismantle(self) -> None:
        """Takes all nodes apart, for good: nothing refers to another one any more."""
        for node in (self.model, *self.model.below()):
            node.parent = node.live = None
            node.children, node._index = [], {}
            node.inputs, node.outputs, node.centers = [], [], []
        self.attachments.clear()

    def destroy(self, node: Node) -> None:
        """Removes a node with everything below it and every wire at it; none of them has a parent afterwards."""
        gone = [node, *node.below()]
        for each in gone:
            attached = [wire for wire in self.attachments if each in (wire.source, wire.target)]
            for wire in (*each.inputs, *each.outputs, *each.centers, *attached):
                self.disconnect(wire)
        for each in reversed(gone):
            _vanish(each)


def _vanish(node: Node) -> None:
    if node.parent is not None:
        node.parent.remove(node)
    node.__class__ = GoneNode
