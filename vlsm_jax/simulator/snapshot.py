"""What scripts can change in a model while it runs, kept before the first replication so that each begins alike.

Properties are not in it: a run remembers those that it changes (`Binding.restore`). Nor are new or destroyed nodes,
since the tree keeps its nodes during a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from vlsm_jax.flexscript.arrays import deep_copy
from vlsm_jax.flexscript.tables import Table
from vlsm_jax.simulator.tree import Node, Wire

if TYPE_CHECKING:
    from vlsm_jax.simulator.world import World


class _KeptNode(NamedTuple):
    node: Node
    name: str
    default_name: bool
    children: list[Node]
    wires: tuple[list[Wire], list[Wire], list[Wire]]
    parts: dict[str, Any]
    flags: dict[str, Any]
    labels: dict[str, Any]
    value: Any


class _KeptTable(NamedTuple):
    table: Table
    rows: list[list]
    row_headers: list[str]
    col_headers: list[str]


class Snapshot:
    """The state of a model between its runs. Arrays and maps that two labels share are shared in every replication."""

    def __init__(self, world: World):
        self._world = world
        copies: dict[int, Any] = {}
        nodes = [world.tree.model, *world.tree.model.below()]
        self._nodes = [
            _KeptNode(
                node, node.name, node.default_name, list(node.children),
                (list(node.inputs), list(node.outputs), list(node.centers)),
                {name: part.copy() for name, part in node._parts.items()}, dict(node.flags),
                deep_copy(node.labels, copies), deep_copy(node.value, copies),
            )
            for node in nodes
        ]  # fmt: skip
        self._values = [
            (values, deep_copy(values, copies)) for values in (world.variables, world.parameters, world.measures)
        ]
        kept = [*(kept.labels for kept in self._nodes), *(kept.value for kept in self._nodes)]
        self._tables = [
            _KeptTable(table, deep_copy(table.rows, copies), list(table.row_headers), list(table.col_headers))
            for table in _tables_within([*kept, *(values for _, values in self._values)])
        ]
        self._attachments = list(world.tree.attachments)

    def restore(self) -> None:
        """Sets the model back to what it was when the snapshot was taken."""
        copies: dict[int, Any] = {}
        for kept in self._nodes:
            node = kept.node
            node.name = kept.name
            node.default_name = kept.default_name
            node.inputs[:], node.outputs[:], node.centers[:] = kept.wires
            node._parts = {name: part.copy() for name, part in kept.parts.items()}
            node.flags = dict(kept.flags)
            node.labels = deep_copy(kept.labels, copies)
            node.value = deep_copy(kept.value, copies)
        for kept in self._nodes:
            kept.node.set_children(kept.children)
        for values, before in self._values:
            values.clear()
            values.update(deep_copy(before, copies))
        for kept in self._tables:
            kept.table.rows = deep_copy(kept.rows, copies)
            kept.table.row_headers = list(kept.row_headers)
            kept.table.col_headers = list(kept.col_headers)
        self._world.tree.attachments[:] = self._attachments


def _tables_within(values: Iterable[Any]) -> Iterator[Table]:
    """Yields every table among values, and within their arrays, maps and tables, once."""
    seen: set[int] = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if not isinstance(value, (list, dict, Table)) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Table):
            yield value
            value = value.rows
        waiting.extend(value.values() if isinstance(value, dict) else value)
