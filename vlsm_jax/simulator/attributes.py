"""The attributes of objects, as `object.find(">variables/maxcontent")` reaches them: what is there, its value, changes.

Five folders are known: `variables` (properties by their old names, tables with rows and cells, members of tools),
`labels`, `spatial` (`spatialx` ... `spatialsz` ... `spatialrz`), `visual` (`color`) and `stats`.
"""

from __future__ import annotations

from typing import Any

from vlsm_jax.flexscript import Fault
from vlsm_jax.flexscript.tables import Table
from vlsm_jax.flexscript.values import to_float, to_int, to_text
from vlsm_jax.simulator import labels, live
from vlsm_jax.simulator.library import PropertyInfo
from vlsm_jax.simulator.paths import Attribute
from vlsm_jax.simulator.properties import (
    get_variable,
    has_variable,
    open_table,
    set_variable,
    variable_info,
)
from vlsm_jax.simulator.tools import Tool, add_member, remove_member, set_members
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.world import World

_SPATIAL = {
    f"spatial{letter}{axis}": (part, axis)
    for part, letter in (("location", ""), ("size", "s"), ("rotation", "r"))
    for axis in "xyz"
}
_STATISTICS = ("input", "output", "content", "staytime")


def exists(world: World, attribute: Attribute) -> bool:
    """Whether there is anything at an attribute path."""
    owner, steps = attribute.owner, attribute.steps
    if not steps:
        return True
    name = steps[0]
    if attribute.folder == "variables":
        if not has_variable(world, owner, name):
            return False
        return len(steps) == 1 or _entry_exists(world, attribute)
    if len(steps) > 1:
        return False
    if attribute.folder == "labels":
        return name in labels.holder_of(owner)
    return name in {"spatial": _SPATIAL, "visual": ("color",), "stats": _STATISTICS}[attribute.folder]


def _entry_exists(world: World, attribute: Attribute) -> bool:
    name, entry = attribute.steps[0], attribute.steps[1]
    if members_of(world, attribute) is not None:
        return len(attribute.steps) == 2 and entry.isdigit() and 1 <= int(entry[:9]) <= len(attribute.owner.members)
    table = table_at(world, Attribute(attribute.owner, attribute.folder, (name,), world))
    if table is None:
        return False
    try:
        cell = _cell(world, attribute)
        if cell is None:
            table.row(int(entry[:9]) if entry.isdigit() else entry)
        else:
            table.get(*cell[1:])
    except Fault:
        return False
    return True


def members_of(world: World, attribute: Attribute) -> Tool | None:
    """Returns the tool whose members an attribute is, or is among; None for any other attribute."""
    if attribute.folder != "variables" or not attribute.steps or not isinstance(attribute.owner, Tool):
        return None
    info = variable_info(world, attribute.owner, attribute.name)
    return attribute.owner if info is not None and info.kind == "members" else None


def table_of(world: World, attribute: Attribute) -> PropertyInfo | None:
    """Returns the table property that an attribute stands for, None where it is no table."""
    if attribute.folder != "variables" or len(attribute.steps) != 1:
        return None
    info = variable_info(world, attribute.owner, attribute.name)
    return info if info is not None and info.kind == "table" else None


def read(world: World, attribute: Attribute) -> Any:
    """Reads the variable, cell, label, coordinate or statistic that an attribute path names."""
    owner, folder, steps = attribute.owner, attribute.folder, attribute.steps
    if not steps:
        return None
    name = steps[0]
    if folder == "variables":
        return get_variable(world, owner, name) if len(steps) == 1 else _read_entry(world, attribute)
    if folder == "labels":
        return labels.holder_of(owner).get(name)
    if folder == "spatial" and name in _SPATIAL:
        part, axis = _SPATIAL[name]
        return to_float(getattr(getattr(owner, part), axis))
    if folder == "visual" and name == "color":
        return owner.color
    if folder == "stats" and name in _STATISTICS:
        return _statistic(world, owner, name)
    raise Fault(f"{attribute} has no value here", code="unsupported")


def _statistic(world: World, owner: Node, name: str) -> Any:
    members = world.vocabulary.members
    every = live.Statistics(owner)
    statistic = members[type(every)].getters[name](every)
    return members[type(statistic)].getters["value"](statistic)


def write(world: World, attribute: Attribute, value: Any) -> None:
    """Writes the variable, cell, label or coordinate that an attribute path names."""
    owner, folder, steps = attribute.owner, attribute.folder, attribute.steps
    name = steps[0] if steps else ""
    if owner.is_library:
        raise Fault("entries of the library cannot be changed", code="argument")
    if folder == "variables" and len(steps) == 1:
        set_variable(world, owner, name, value)
    elif folder == "variables" and steps:
        _write_entry(world, attribute, value)
    elif folder == "labels" and name:
        labels.assign(owner, name, value)
    elif folder == "spatial" and name in _SPATIAL:
        part, axis = _SPATIAL[name]
        setattr(getattr(owner, part), axis, to_float(value))
    elif folder == "visual" and name == "color":
        owner.color.assign(value)
    else:
        raise Fault(f"{attribute} cannot be written here", code="unsupported")


def _read_entry(world: World, attribute: Attribute) -> Any:
    tool = members_of(world, attribute)
    if tool is not None:
        return tool.members[int(attribute.steps[1][:9]) - 1] if _entry_exists(world, attribute) else None
    cell = _cell(world, attribute)
    if cell is None:
        return None
    table, row, column = cell
    return table.get(row, column)


def _write_entry(world: World, attribute: Attribute, value: Any) -> None:
    tool, cell = members_of(world, attribute), _cell(world, attribute)
    if tool is not None:
        if _entry_exists(world, attribute):
            remove_member(world, tool, int(attribute.steps[1][:9]))
        add_member(world, tool, value)
    elif cell is not None:
        table, row, column = cell
        table.set(row, column, value)
    else:
        raise Fault(f"{attribute} cannot be written here", code="unsupported")


# --- Tables -----------------------------------------------------------------------------------------------------------


def table_at(world: World, attribute: Attribute) -> Table | None:
    """Returns the table that stands at an attribute, for work on its cells; None where there is none."""
    info = table_of(world, attribute)
    return None if info is None else open_table(world, attribute.owner, info)


def _cell(world: World, attribute: Attribute) -> tuple[Table, Any, Any] | None:
    """Returns the table, row and column of an attribute that is a cell, None for any other."""
    if len(attribute.steps) != 3:
        return None
    table = table_at(world, Attribute(attribute.owner, attribute.folder, attribute.steps[:1], world))
    if table is None:
        return None
    row, column = (int(step[:9]) if step.isdigit() else step for step in attribute.steps[1:])
    return table, row, column


# --- What is below ----------------------------------------------------------------------------------------------------


class AttributeNodes:
    """`attribute.subnodes`: what is below a folder, a table, a row or a list of members, from 1 or by name."""

    __slots__ = ("attribute",)

    def __init__(self, attribute: Attribute):
        self.attribute = attribute


def children(world: World, attribute: Attribute) -> list[Attribute]:
    """Returns the attributes below one, in order."""
    owner, steps = attribute.owner, attribute.steps
    if steps:
        tool = members_of(world, attribute)
        table = (
            table_at(world, Attribute(owner, attribute.folder, steps[:1], world))
            if tool is None and len(steps) < 3
            else None
        )
        if tool is not None:
            count = len(tool.members) if len(steps) == 1 else 0
        elif table is not None:
            count = len(table.rows) if len(steps) == 1 else len(table.col_headers)
        else:
            count = 0
        world.machine.charge(count // 4)
        return [attribute.child(str(n)) for n in range(1, count + 1)]
    if attribute.folder == "labels":
        names = list(labels.holder_of(owner))
    elif attribute.folder == "variables":
        names = [*owner.cls.variables, *owner.cls.plain_variables]
    else:
        names = list({"spatial": _SPATIAL, "visual": ("color",), "stats": _STATISTICS}[attribute.folder])
    return [attribute.child(name) for name in names]


def child_at(nodes: AttributeNodes, index: Any) -> Attribute | None:
    """`attribute.subnodes[n]` or `["name"]`; a number beyond the last raises `Fault`, an unknown name gives NULL."""
    attribute = nodes.attribute
    if isinstance(index, str):
        child = attribute.child(index)
        return child if len(child.steps) <= 3 and exists(attribute.world, child) else None
    found = children(attribute.world, attribute)
    at = to_int(index)
    if not 1 <= at <= len(found):
        hint = f"{attribute} has {len(found)} subnodes"
        raise Fault("Array index out of bounds", code="array index", hint=hint)
    return found[at - 1]


def add_child(world: World, nodes: AttributeNodes, name: Any = "") -> Attribute:
    """`attribute.subnodes.add()`: a new row of a table, the place of a new member, or a label."""
    attribute = nodes.attribute
    tool, table = members_of(world, attribute), table_at(world, attribute)
    if len(attribute.steps) == 1 and tool is not None:
        return attribute.child(str(len(tool.members) + 1))
    if table is not None:
        world.machine.charge(1 + len(table.col_headers) // 4)
        table.add_row()
        return attribute.child(str(len(table.rows)))
    if attribute.folder == "labels" and not attribute.steps and to_text(name):
        labels.assign(attribute.owner, to_text(name), 0)
        return attribute.child(to_text(name))
    raise Fault(f"nothing can be added below {attribute} here", code="unsupported")


def clear(world: World, nodes: AttributeNodes) -> int:
    """`attribute.subnodes.clear()`: takes away all rows, members or labels."""
    attribute = nodes.attribute
    tool, table = members_of(world, attribute), table_at(world, attribute)
    if tool is not None and len(attribute.steps) == 1:
        set_members(world, tool, [])
    elif table is not None:
        table.set_size(0, len(table.col_headers))
    elif attribute.folder == "labels" and not attribute.steps:
        labels.holder_of(attribute.owner).clear()
    else:
        raise Fault(f"{attribute} cannot be cleared here", code="unsupported")
    return 1


def assert_child(world: World, nodes: AttributeNodes, name: Any, value: Any = 0) -> Attribute:
    """`attribute.subnodes.assert("name", value)`: a label or a variable, created where it is missing."""
    attribute, text = nodes.attribute, to_text(name)
    if attribute.steps or attribute.folder not in ("labels", "variables"):
        raise Fault(f"nothing can be added below {attribute} here", code="unsupported")
    if attribute.folder == "variables":
        return assert_variable(world, attribute.owner, text, value)
    child = attribute.child(text)
    if not exists(world, child):
        labels.assign(attribute.owner, text, value)
    return child


def assert_variable(world: World, owner: Any, name: str, value: Any = 0) -> Attribute:
    """`assertvariable(object, name, type)`: a variable, created as one of the object's own where it is missing."""
    if owner.is_library:
        raise Fault("entries of the library cannot be changed", code="argument")
    if not has_variable(world, owner, name):
        world.tree.count_node()
        world.variables[owner, name] = value
    return Attribute(owner, "variables", (name,), world)
