"""What stands in the folder Tools: groups, global tables, lists, breakdowns (MTBFMTTR), time tables and navigators.

Tools are no objects of the Twin. `Tools.create(type)` makes one and `Tools.get(type, name)` finds it, as in FlexSim; it
stands at `Tools/<folder>/<name>`, in a folder named after its type, and is numbered: `MTBFMTTR1`. What FlexSim does not
document is this emulator's own: the names of the folders, and the properties of MTBFMTTR and TimeTable, which are in
`library.json`. Members are given with `setProperty("Members", [a, b])`, `contextdragconnection(tool, object, "A")`, the
variable `members`, or from the object's side with its properties `MTBFMTTRs` and `TimeTables`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from vlsm_jax.flexscript import Fault, Unsupported
from vlsm_jax.flexscript.diagnostics import did_you_mean
from vlsm_jax.flexscript.tables import Table
from vlsm_jax.flexscript.values import describe, to_int, truth
from vlsm_jax.flexscript.vocabulary import ARRAY, INT, Command, Members
from vlsm_jax.simulator.library import tool_folder, tools, unsupported_tools
from vlsm_jax.simulator.tree import AutomaticNode, Node, Tree

if TYPE_CHECKING:
    from vlsm_jax.simulator.world import World

MAX_MEMBERS = 20_000

MEMBERS = "Members"


class Tool(Node):
    """A tool. Its class has the role "tool", and its settings are read as those of an object are."""

    __slots__ = ()

    @property
    def members(self) -> tuple[Node, ...]:
        """The objects that a group, a breakdown or a time table is about, without those that were destroyed."""
        return tuple(node for node in self.settings.get(MEMBERS, ()) if not node.is_gone)  # type: ignore[union-attr]


class Group(Tool):
    """A group of objects, with the methods of FlexSim's class Group."""

    __slots__ = ()


def create_tool(world: World, kind: Any, subtype: Any = "") -> Tool:
    """`Tools.create(type, subtype)`; raises `Fault` for a type that there is not, `Unsupported` for one not done."""
    info = tools().get(kind) if isinstance(kind, str) else None
    if info is None or info.name in AUTOMATIC:
        if kind in unsupported_tools():
            raise Unsupported(f"the tool {kind} is not supported", hint="remove it")
        supported = [name for name in tools() if name not in AUTOMATIC]
        hint = (isinstance(kind, str) and did_you_mean(kind, supported)) or f"use one of: {', '.join(supported)}"
        raise Fault(f"there is no tool {kind!r}", code="unknown class", hint=hint)
    if world.clock is not None:
        raise Unsupported("tools cannot be created while the model runs")
    folder = _folder(world.tree, info.name)
    world.tree.count_node()
    number = len(folder.children) + 1
    while folder.child(f"{info.name}{number}"):
        number += 1
    tool = (Group if info.name == "Group" else Tool)(f"{info.name}{number}", info)
    folder.add(tool)
    if info.name == "GlobalTable":
        tool.value = Table([[0]], name=tool.name)
    tool.default_name = True
    tool.place = world.place()
    return tool


def _folder(tree: Tree, kind: str) -> Node:
    name = tool_folder(kind)
    folder = tree.tools.child(name)
    if folder is None:
        folder = Node(name)
        tree.tools.add(folder)
    return folder


def all_tools(tree: Tree, kind: str) -> list[Tool]:
    """Returns the tools of a type: `all_tools(tree, "MTBFMTTR")` gives the breakdowns of the model."""
    folder = tree.tools.child(tool_folder(kind))
    return [node for node in folder.children if isinstance(node, Tool)] if folder else []


def find_tool(world: World, kind: Any, name: Any) -> Tool | None:
    """`Tools.get(type, name)`: a tool by name or number, NULL with a warning where there is none."""
    if not isinstance(kind, str) or kind not in tools():
        raise Fault(f"there is no tool {kind!r}", code="unknown class", hint=f"use one of: {', '.join(tools())}")
    found = all_tools(world.tree, kind)
    if isinstance(name, str):
        tool = next((tool for tool in found if tool.name == name), None)
    else:
        at = to_int(name)
        tool = found[at - 1] if 1 <= at <= len(found) else None
    if tool is None:
        names = [tool.name for tool in found]
        hint = did_you_mean(name, names) if isinstance(name, str) else ""
        hint = hint or f'create it: Tools.create("{kind}")'
        world.warn("not found", f"there is no {kind} {describe(name)}; the result is NULL", hint)
    return tool


# --- Members ----------------------------------------------------------------------------------------------------------


def _member(world: World, tool: Tool, value: Any) -> Node | None:
    if isinstance(value, str):
        value = world.find(world.tree.model, value)
    if isinstance(value, Node) and value.cls is not None and not value.is_library:
        return value
    world.warn("member", f"{describe(value)} cannot be a member of {tool.name!r}", "members are objects of the model")
    return None


def add_member(world: World, tool: Tool, value: Any) -> int:
    """`group.addMember(object)` and its kin: 1 where the object is new, 0 with a warning where it is not."""
    member = _member(world, tool, value)
    if member is None:
        return 0
    world.machine.charge(1 + len(tool.members) // 4)
    if member in tool.members:
        world.warn("member", f"{member.name!r} is a member of {tool.name!r} already")
        return 0
    if len(tool.members) >= MAX_MEMBERS:
        raise Fault(f"{tool.name!r} has more than {MAX_MEMBERS} members", code="budget")
    tool.settings[MEMBERS] = (*tool.members, member)  # type: ignore[assignment]
    return 1


def remove_member(world: World, tool: Tool, value: Any) -> int:
    """`group.removeMember(object)`: by object or by number; 0 with a warning where there is no such member."""
    members = tool.members
    if isinstance(value, (int, float)):
        at = to_int(value)
        value = members[at - 1] if 1 <= at <= len(members) else None
    if value not in members:
        world.warn("member", f"{describe(value)} is no member of {tool.name!r}; nothing is removed")
        return 0
    tool.settings[MEMBERS] = tuple(member for member in members if member is not value)  # type: ignore[assignment]
    return 1


def set_members(world: World, tool: Tool, value: Any) -> None:
    """Makes an array of objects, or a single one, the members of a tool."""
    if isinstance(value, Group) and not isinstance(tool, Group):
        value = flat_members(value)
    values = value if isinstance(value, list) else [] if value is None or value == 0 else [value]
    found = [_member(world, tool, each) for each in values[:MAX_MEMBERS]]
    unique = dict.fromkeys(member for member in found if member is not None)
    tool.settings[MEMBERS] = tuple(unique)  # type: ignore[assignment]


def tools_of(world: World, node: Node, kind: str) -> list[Tool]:
    """`object.getProperty("MTBFMTTRs")` and "TimeTables": the tools of a type of which an object is a member."""
    found = all_tools(world.tree, kind)
    world.machine.charge(sum(len(tool.members) // 4 for tool in found))
    return [tool for tool in found if node in tool.members]


def set_tools_of(world: World, node: Node, kind: str, value: Any) -> None:
    """`object.setProperty("MTBFMTTRs", [tool])`: the object joins these tools and leaves the others of the type."""
    values = value if isinstance(value, list) else [value]
    wanted = [find_tool(world, kind, each) if isinstance(each, str) else each for each in values]
    for tool in all_tools(world.tree, kind):
        is_member = node in tool.members
        if tool in wanted and not is_member:
            add_member(world, tool, node)
        elif tool not in wanted and is_member:
            remove_member(world, tool, node)


def groups_of(world: World, node: Node) -> list[Tool]:
    """`object.getProperty("Groups")`: the groups of which an object is a member."""
    return tools_of(world, node, "Group")


def flat_members(group: Group) -> list[Node]:
    """`group.toFlatArray()`: the members, those of groups within the group in place of these."""
    found: dict[Node, None] = {}
    seen = {group}
    stack: list[Node] = list(reversed(group.members))
    while stack:
        node = stack.pop()
        if not isinstance(node, Group):
            found[node] = None
        elif node not in seen:
            seen.add(node)
            stack.extend(reversed(node.members))
    return list(found)


def group_members(node: Members) -> Members:
    """Returns what stands behind the dot and in the brackets of a group: what a node has, and the methods of Group."""
    return dataclasses.replace(
        node,
        getters={**node.getters, "length": lambda group: len(group.members)},
        methods={
            **node.methods,
            "addMember": Command(add_member, INT, 1, 1, True),
            "removeMember": Command(remove_member, INT, 1, 1, True),
            "isMember": Command(_is_member, INT, 1, 2),
            "indexOf": Command(_index_of, INT, 1, 1),
            "toFlatArray": Command(flat_members, ARRAY, 0, 0),
            "toArray": Command(lambda group: list(group.members), ARRAY, 0, 0),
        },
        index=_member_at,
    )


def _index_of(group: Group, value: Any) -> int:
    members = group.members
    return members.index(value) + 1 if value in members else 0


def _is_member(group: Group, value: Any, recursive: Any = 0) -> int:
    return int(value in (flat_members(group) if truth(recursive) else group.members))


def _member_at(group: Group, index: Any) -> Node:
    at, members = to_int(index), group.members
    if not 1 <= at <= len(members):
        hint = f"{group.name!r} has {len(members)} member{'s' * (len(members) != 1)}"
        raise Fault("Array index out of bounds", code="array index", hint=hint)
    return members[at - 1]


# --- Navigators -------------------------------------------------------------------------------------------------------

AUTOMATIC = ("DefaultNavigator", "DefaultNetworkNavigator", "AGVNetwork", "ConveyorSystem")
"""Tools that FlexSim adds by itself with the first object that needs them."""

_NEEDS = {"task executer": "DefaultNavigator", "conveyor": "ConveyorSystem", "conveyor point": "ConveyorSystem"}


def add_automatic(tree: Tree, node: Node) -> None:
    """Adds the navigator or system that a new object needs, once per model.

    Where FlexSim puts them is not established; here they stand in Tools/Navigators, so that ranks in the model are
    those of the user's own objects, and `Model.find("DefaultNavigator")` finds them all the same.
    """
    kind = _NEEDS.get(node.cls.role)
    if node.cls.role == "network":
        kind = "AGVNetwork" if node.cls.namespace == "AGV" else "DefaultNetworkNavigator"
    if kind is not None:
        folder = _folder(tree, kind)
        if folder.child(kind) is None:
            folder.add(AutomaticNode(kind, tools()[kind]))


def automatic_named(tree: Tree, name: str) -> Node | None:
    """Returns the automatic tool of that name, None where there is none."""
    folder = tree.tools.child("Navigators")
    return folder.child(name) if folder is not None else None
