"""Layouts, and the rule that says where objects stand.

The grid rule. A script sets locations, but a prompt need not give them: they follow from the connections.
  column: the number of steps on the longest path from where items enter (wires back against the flow do not count);
    x = 10 * column. A line that joins in later (objects in a row from an entry on, up to one with several inputs)
    stands right in front of where it joins, not at the far left.
  row: the objects of one column stand below each other in port order, that of their predecessors first, centred on
    y = 0 and 8 apart: one object at y = 0, two at 4 and -4, three at 8, 0 and -8. Objects where items enter come first,
    ordered by name, numbers by value.
  z = 0.

Who carries or operates, and dispatchers, stand outside of the flow:
  Those at center ports of the flow stand in a row 8 below its lowest object; those that only dispatchers give work to
    (or others of them) in the next row, 8 below, and so on.
  x is that of the object served: the first one, column by column and from top to bottom. Where that place is taken,
    they stand 10 to the right of each other, in this order. Whoever serves nobody stands in the first row from x = 0.

The U shape: the first half of the columns, rounded up, goes out as in the grid rule; the others come back, below it.
  Of n columns, column c of the way back has x = 10 * (n - 1 - c), so that the last one ends below the first.
  Those outside of the flow stand inside of the U, in rows below the way out; the highest object of the way back is 8
    below the last of these rows, and 16 below the way out where there are none.

`grid_locations` computes the rule. Nothing stands on anything else: no object is longer than 10 or wider than 8.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from vlsm_jax.twin import Twin

COLUMN_PITCH = 10
ROW_PITCH = 8

OUTSIDE: frozenset[str] = frozenset(
    {
        *("Operator", "TaskExecuter", "Transporter", "AGV", "Robot", "Crane", "ASRSvehicle", "Elevator", "BasicTE"),
        "Dispatcher",
    }
)
"""Classes of objects outside of the flow."""

Location = tuple[float, float, float]
Links = Mapping[str, Sequence[str]]
"""Names by name."""


@functools.lru_cache(maxsize=4096)
def natural_key(name: str) -> tuple:
    """Returns a sort key by which "Line 2" comes before "Line 10"."""
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d+)", name))


# --- Columns ----------------------------------------------------------------------------------------------------------


def _forward(outputs: Links, roots: Iterable[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Returns the objects in an order in which the flow goes, and the wires without those that close a loop.

    Wires are followed from the roots in port order; one that leads to an object that is being followed closes a loop.
    """
    forward: dict[str, list[str]] = {}
    done: list[str] = []
    active: set[str] = set()
    for root in roots:
        if root in forward:
            continue
        forward[root] = []
        active.add(root)
        stack = [(root, iter(outputs[root]))]
        while stack:
            name, rest = stack[-1]
            for target in rest:
                if target in active:
                    continue
                forward[name].append(target)
                if target not in forward:
                    forward[target] = []
                    active.add(target)
                    stack.append((target, iter(outputs[target])))
                    break
            else:
                stack.pop()
                active.discard(name)
                done.append(name)
    done.reverse()
    return done, forward


def flow_columns(inputs: Links, outputs: Links) -> list[list[str]]:
    """Returns names column by column, each from top to bottom, by the grid rule; both mappings name every object."""
    entries = [name for name, before in inputs.items() if not before]
    if len(entries) > 1:
        entries.sort(key=natural_key)
    order, forward = _forward(outputs, entries)
    if len(order) < len(inputs):
        # A loop that nothing enters has no entry: its first name stands in for one.
        order, forward = _forward(outputs, [*entries, *sorted(inputs, key=natural_key)])
    column = dict.fromkeys(order, 0)
    for name in order:
        following = column[name] + 1
        for target in forward[name]:
            if column[target] < following:
                column[target] = following
    if len(entries) > 1:
        for entry in entries:
            _move_to_where_it_joins(entry, column, inputs, forward)

    columns: list[list[str]] = [[] for _ in range(max(column.values(), default=-1) + 1)]
    fed = {target for targets in forward.values() for target in targets}
    roots = entries if len(fed) + len(entries) == len(order) else sorted(set(order) - fed, key=natural_key)
    for name in (*roots, *(name for name in order if name in fed)):
        columns[column[name]].append(name)
    # Position in reading order, column by column; a column is sorted by the first wire that leads to each object.
    first_wire: dict[str, tuple[int, int]] = {}
    position = 0
    for members in columns:
        if len(members) > 1:
            members.sort(key=lambda name: first_wire.get(name, (-1, 0)))
        for name in members:
            for port, target in enumerate(forward[name]):
                first_wire.setdefault(target, (position, port))
            position += 1
    return columns


def _move_to_where_it_joins(entry: str, column: dict[str, int], inputs: Links, forward: Links) -> None:
    line = [entry]
    targets = forward[entry]
    while len(targets) == 1 and len(inputs[targets[0]]) == 1:
        line.append(targets[0])
        targets = forward[targets[0]]
    if not targets:
        return
    shift = min(column[target] for target in targets) - 1 - column[line[-1]]
    for name in line if shift > 0 else ():
        column[name] += shift


# --- Locations --------------------------------------------------------------------------------------------------------


def locate(
    columns: Sequence[Sequence[str]], centers: Links, outside: Sequence[str], *, folded: bool = False
) -> dict[str, Location]:
    """Returns where objects stand.

    Args:
      columns: the objects of the flow, as `flow_columns` has them.
      centers: of every object in `outside`, all that it is wired to, in port order and inputs before outputs.
      outside: the objects outside of the flow.
      folded: whether the flow comes back in a U shape.
    """
    out: dict[str, Location] = {}
    turn = (len(columns) + 1) // 2 if folded else len(columns)
    bottom = _stand(columns[:turn], 0, out)
    rows = _rows_outside(columns, centers, outside)
    if turn < len(columns):
        # Those outside stand inside the U, whose width depends on how many rows they need.
        back = columns[turn:][::-1]
        top = bottom - ROW_PITCH * (max(1, len(rows)) + 1)
        _stand(back, top - (max(map(len, back)) - 1) * ROW_PITCH // 2, out)
    for level, row in enumerate(rows):
        y, free = bottom - ROW_PITCH * (level + 1), 0
        # Sorted is stable: whoever serves the same object keeps the order of the row.
        for name, served in sorted(row, key=lambda entry: out[entry[1]][0] if entry[1] else 0):
            x = max(free, out[served][0] if served else 0)
            out[name] = (x, y, 0)
            free = x + COLUMN_PITCH
    return out


def _stand(columns: Sequence[Sequence[str]], centre: int, out: dict[str, Location]) -> int:
    """Puts columns side by side from x = 0, centred on y; returns the y of the lowest object."""
    bottom = centre
    for number, members in enumerate(columns):
        x, y = COLUMN_PITCH * number, centre + (len(members) - 1) * ROW_PITCH // 2
        for name in members:
            out[name] = (x, y, 0)
            y -= ROW_PITCH
        bottom = min(bottom, y + ROW_PITCH)
    return bottom


def _rows_outside(
    columns: Sequence[Sequence[str]], centers: Links, outside: Sequence[str]
) -> list[list[tuple[str, str]]]:
    """Returns who stands outside of the flow, row by row, each with whom it serves ("" for nobody)."""
    if not outside:
        return []
    reading = {name: place for place, name in enumerate(name for column in columns for name in column)}
    left = sorted(outside, key=natural_key)
    rows: list[list[tuple[str, str]]] = []
    above: Mapping[str, int] = reading
    while left:
        row = []
        for name in left:
            served = [(above[other], other) for other in centers[name] if other in above]
            if served:
                row.append((min(served), name))
        if not row:
            rows[:1] = [[*(rows[0] if rows else ()), *((name, "") for name in left)]]
            break
        # Of those who serve the same, the one at the lower port comes first where names do not tell.
        row.sort(key=lambda entry: entry[0][0])
        rows.append([(name, served) for (_, served), name in row])
        above = {name: place for place, (_, name) in enumerate(row)}
        left = [name for name in left if name not in above]
    return rows


def grid_locations(twin: Twin, layout: str = "") -> dict[str, Location]:
    """Returns where every object of a Twin stands by the rule of this module, in metres.

    Args:
      twin: its classes, names and connections decide; its own locations do not matter.
      layout: key of its layout; only "u_shaped" has a rule of its own.
    """
    ports = twin.ports
    outside = [obj.name for obj in twin.objects if obj.cls in OUTSIDE]
    if not outside:
        inputs: Links = {name: port.inputs for name, port in ports.items()}
        outputs: Links = {name: port.outputs for name, port in ports.items()}
        return locate(flow_columns(inputs, outputs), {}, (), folded=layout == U_SHAPED)
    apart = set(outside)
    inputs = {name: [n for n in port.inputs if n not in apart] for name, port in ports.items() if name not in apart}
    outputs = {name: [n for n in port.outputs if n not in apart] for name, port in ports.items() if name not in apart}
    centers = {name: (*ports[name].centers, *ports[name].inputs, *ports[name].outputs) for name in outside}
    return locate(flow_columns(inputs, outputs), centers, outside, folded=layout == U_SHAPED)


# --- Layouts ----------------------------------------------------------------------------------------------------------

LINEAR, U_SHAPED, PARALLEL, CONVEYOR = "linear", "u_shaped", "parallel", "conveyor"


@dataclasses.dataclass(frozen=True)
class Layout:
    """A kind of layout.

    Attributes:
      key: how it is named in data sets and splits.
      share: of sampled factories.
      fewest: objects of the smallest flow of this kind.
      locations: where the objects of such a factory stand.
    """

    key: str
    share: float
    fewest: int
    locations: Callable[[Twin], dict[str, Location]]


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        layout.key: layout
        for layout in (
            Layout(LINEAR, 0.303, 3, grid_locations),
            Layout(U_SHAPED, 0.303, 4, lambda twin: grid_locations(twin, U_SHAPED)),
            Layout(PARALLEL, 0.303, 4, grid_locations),
            Layout(CONVEYOR, 0.091, 4, grid_locations),
        )
    }
)
"""Every layout by its key. Conveyors are as frequent as in the paper, which does not tell the others apart."""


def layout(key: str) -> Layout:
    """Returns the layout named `key`; raises `ValueError` listing those there are."""
    try:
        return LAYOUTS[key]
    except KeyError:
        raise ValueError(f"there is no layout {key!r}; choose one of {', '.join(LAYOUTS)}") from None
