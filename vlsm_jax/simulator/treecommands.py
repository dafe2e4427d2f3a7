"""The old commands on nodes as such: ranks, copies, moves, data, sub-nodes, labels, variables and groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vlsm_jax.flexscript import Fault, Unsupported
from vlsm_jax.flexscript.values import to_float, to_int, to_number, to_text
from vlsm_jax.flexscript.vocabulary import DOUBLE, INT, NODE, OBJECT, STRING, Command
from vlsm_jax.simulator import attributes, labels
from vlsm_jax.simulator.library import DISPATCHER, TASK_EXECUTER
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.paths import Attribute, Missing, Step, library_entry
from vlsm_jax.simulator.tools import Group, add_member, find_tool, remove_member
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.world import World, node_of, object_of, refuse_duplicate

# --- Classes ----------------------------------------------------------------------------------------------------------


def is_class_type(world: World, node: Any, kind: Any) -> int:
    """`isclasstype(object, class)`: by the name of its class or of one that it derives from, or by CLASSTYPE number."""
    cls = node.cls if isinstance(node, Node) else None
    if cls is None:
        return 0
    if not isinstance(kind, str):
        return int(bool(_class_types(node) & to_int(kind)))
    name = kind.split("::")[-1]
    return int(name == cls.name or name in cls.groups)


def _class_types(node: Node) -> int:
    by_role = {
        "fixed resource": 2 | 4, TASK_EXECUTER: 2 | 8 | 16, DISPATCHER: 2 | 8, "network": 2 | 128, "visual": 2 | 256,
        "conveyor": 2 | 512, "tool": 0x800 if node.cls.name == "MTBFMTTR" else 0,
    }  # fmt: skip
    return by_role.get(node.cls.role, 2) | (64 if node.cls.name in ("Processor", "Combiner", "Separator") else 0)


def class_object(world: World, node: Any) -> Node | None:
    """`classobject(object)`: the entry of its class in the library."""
    cls = object_of(node, "classobject()").cls
    return library_entry(world.tree.library, (Step("", cls.name, 1, False),))


# --- Structure --------------------------------------------------------------------------------------------------------


def changeable(value: Any, what: str) -> Node:
    """Returns a node that a script may change; raises `Fault` for roots, the library and what is no node."""
    node = node_of(value, what)
    if node.is_library or node.parent is None:
        raise Fault(f"{what} cannot change {node.name!r}", code="argument")
    return node


def set_rank(world: World, node: Any, rank: Any) -> Any:
    """`setrank(node, rank)`."""
    changeable(node, "setrank()").set_rank(to_int(rank))
    return node


def swap_ranks(world: World, parent: Any, first: Any, second: Any) -> int:
    """`swapnoderanks(parent, a, b)`."""
    children = node_of(parent, "swapnoderanks()").children
    a, b = to_int(first), to_int(second)
    if not (1 <= a <= len(children) and 1 <= b <= len(children)):
        raise Fault("Array index out of bounds", code="array index", hint=f"there are {len(children)} subnodes")
    children[a - 1], children[b - 1] = children[b - 1], children[a - 1]
    return 1


def transfer(world: World, node: Any, container: Any) -> Any:
    """`transfernode(node, container)`: the node becomes the last child of the container."""
    target, parent = changeable(node, "transfernode()"), node_of(container, "transfernode()")
    if world.clock is not None:
        raise Unsupported("moving nodes while the model runs is not supported")
    move(target, parent)
    return node


def move(node: Node, parent: Node) -> None:
    """Moves a node below another one; raises `Fault` where that cannot be."""
    if parent.is_library or node.automatic or (node.cls is None and node.name == "Tools"):
        raise Fault(f"{node.name!r} cannot be moved into {parent.name!r}", code="argument")
    try:
        node.move(parent)
    except ValueError as error:
        raise Fault(str(error), code="argument") from None


def insert_into(world: World, container: Any) -> Any:
    """`nodeinsertinto(container)`: a new plain node at the end."""
    if isinstance(container, Attribute):
        return attributes.add_child(world, attributes.AttributeNodes(container))
    return world.add_node(node_of(container, "nodeinsertinto()"))


def insert_after(world: World, node: Any) -> Node:
    """`nodeinsertafter(node)`: a new plain node behind that one."""
    before = changeable(node, "nodeinsertafter()")
    added = world.add_node(before.parent)  # type: ignore[arg-type]
    added.set_rank(before.rank + 1)
    return added


def assert_subnode(world: World, container: Any, name: Any, data: Any = 0) -> Any:
    """`assertsubnode(container, name, type)`: the child of that name, created where it is missing."""
    if isinstance(container, Attribute):
        return attributes.assert_child(world, attributes.AttributeNodes(container), name)
    node, text = node_of(container, "assertsubnode()"), to_text(name)
    found = node.child(text)
    if found is None:
        found = world.add_node(node, text)
        found.value = _fresh(data)
    return found


_NUMBER, _STRING, _POINTER, _OBJECT = 1, 2, 3, 4


def _fresh(data: Any) -> Any:
    return {_NUMBER: 0, _STRING: ""}.get(to_int(data))


def add_data(world: World, node: Any, data: Any) -> Any:
    """`nodeadddata(node, type)`: makes a node hold a number or a string."""
    if not isinstance(node, Attribute):
        changeable(node, "nodeadddata()").value = _fresh(data)
    return node


def point_at(world: World, node: Any, target: Any) -> Any:
    """`nodepoint(a, b)`: makes a node point at another one."""
    if isinstance(node, Attribute):
        attributes.write(world, node, target)
    else:
        changeable(node, "nodepoint()").value = target
    return node


def data_type(value: Any) -> int:
    """`node.dataType`: 1 number, 2 string, 3 pointer, 4 object, 0 nothing."""
    if isinstance(value, Attribute):
        value = value.world.read_attribute(value)
    elif isinstance(value, Node):
        if value.cls is not None:
            return _OBJECT
        value = value.value
    if isinstance(value, (int, float)):
        return _NUMBER
    if isinstance(value, str):
        return _STRING
    return 0 if value is None else _POINTER


def clear_contents(world: World, node: Any) -> int:
    """`clearcontents(node)`: destroys what is below a node."""
    if isinstance(node, Attribute):
        return attributes.clear(world, attributes.AttributeNodes(node))
    parent = node_of(node, "clearcontents()")
    if parent is world.tree.tools or parent.is_library:
        raise Fault(f"{parent.name!r} cannot be cleared", code="argument")
    for child in reversed(parent.children[:]):
        if child is not world.tree.tools:
            destroy(world, child)
    return 1


def destroy(world: World, node: Any) -> int:
    """`destroyobject(node)`."""
    if isinstance(node, Attribute):
        return destroy_attribute(world, node)
    target = node_of(node, "destroyobject()")
    if target.parent is None or target.is_library or target is world.tree.tools:
        raise Fault(f"{target.name!r} cannot be destroyed", code="argument")
    if world.clock is not None:
        raise Unsupported("destroying objects while the model runs is not supported")
    world.tree.destroy(target)
    return 1


def destroy_attribute(world: World, attribute: Attribute) -> int:
    """Destroys a label, a row of a table or a place among members; raises `Fault` for any other attribute."""
    steps = attribute.steps
    if attribute.folder == "labels" and steps:
        return int(labels.holder_of(attribute.owner).pop(steps[0], None) is not None)
    if len(steps) == 2 and steps[1].isdigit():
        tool = attributes.members_of(world, attribute)
        if tool is not None:
            return remove_member(world, tool, int(steps[1][:9]))
        table = attributes.table_at(world, Attribute(attribute.owner, attribute.folder, steps[:1], world))
        if table is not None:
            table.delete_row(int(steps[1][:9]))
            return 1
    raise Fault(f"{attribute} cannot be destroyed here", code="unsupported")


def rename(node: Node, name: Any) -> None:
    """`node.name = ...`; an empty name changes nothing."""
    text = to_text(name)[:200]
    is_tools = node.name == "Tools" and node.cls is None and node.parent is not None and node.parent.parent is None
    if node.is_library or node.parent is None or is_tools:
        raise Fault(f"{node.name!r} cannot be renamed", code="argument")
    if text:
        refuse_duplicate(node, text)
        node.rename(text)


# --- Labels, variables and values -------------------------------------------------------------------------------------


def label_node(world: World, owner: Any, name: Any) -> Any:
    """`label(object, name)`: the node of a label, NULL where there is none."""
    text = to_text(name)
    if isinstance(name, (int, float)):
        names = list(labels.holder_of(owner))
        at = to_int(name)
        text = names[at - 1] if 1 <= at <= len(names) else ""
    if text not in labels.holder_of(owner):
        return None
    return Attribute(owner, "labels", (text,), world) if isinstance(owner, Node) else labels.Label(owner, text)


def assert_label(world: World, owner: Any, name: Any, data: Any = 1) -> Any:
    """`assertlabel(object, name, type)`."""
    if to_text(name) not in labels.holder_of(owner):
        labels.assign(owner, to_text(name), _fresh(data))
    return label_node(world, owner, name)


def delete_label(world: World, owner: Any, name: Any) -> int:
    """`dellabel(object, name)`."""
    return int(labels.holder_of(owner).pop(to_text(name), None) is not None)


def assert_variable(world: World, node: Any, name: Any, data: Any = 1) -> Attribute:
    """`assertvariable(object, name, type)`: a variable, created as one of the object's own where it is missing."""
    return attributes.assert_variable(world, object_of(node, "assertvariable()"), to_text(name), _fresh(data))


def variable_node(world: World, node: Any, variable: Any) -> Any:
    """`getvarnode(object, variable)`: reading and writing it is reading and writing the variable."""
    owner = object_of(node, "getvarnode()")
    if not isinstance(variable, str):
        raise Unsupported("variables by number are not supported", hint="use the variable's name")
    attribute = Attribute(owner, "variables", (variable,), world)
    return attribute if attributes.variable_info(world, owner, variable) is not None else None


def increase(world: World, node: Any, amount: Any) -> float:
    """`inc(node, amount)`."""
    if isinstance(node, Attribute):
        value = to_number(world.read_attribute(node)) + to_number(amount)
        attributes.write(world, node, value)
    else:
        target = changeable(node, "inc()")
        target.value = value = to_number(target.value) + to_number(amount)
    return to_float(value)


def to_node(world: World, value: Any) -> Any:
    """`tonode(thing)`: a node as itself, anything else as NULL."""
    if isinstance(value, (Node, Attribute, Missing, Item)):
        return value
    return value[0] if isinstance(value, list) and value and isinstance(value[0], Node) else None


# --- Groups -----------------------------------------------------------------------------------------------------------


def group(world: World, name: Any) -> Any:
    """`Group("Name")`: a group by name or number, or one that is given as a node."""
    if isinstance(name, Group):
        return name
    if isinstance(name, Node):
        raise Fault(f"{name.name!r} is no group", code="type")
    return find_tool(world, "Group", name)


def _group_command(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(world: World, name: Any, *arguments: Any) -> Any:
        found = group(world, name)
        return function(world, found, *arguments) if found is not None else 0

    return run


def _member(world: World, found: Group, number: Any) -> Any:
    at = to_int(number)
    return found.members[at - 1] if 1 <= at <= len(found.members) else None


def _bound(function: Callable[..., Any], result: str, minimum: int, maximum: int) -> Command:
    return Command(function, result, minimum, maximum, True)


def table() -> Mapping[str, Command]:
    """Returns the commands by name."""
    return {
        "isclasstype": _bound(is_class_type, INT, 2, 2),
        "classobject": _bound(class_object, OBJECT, 1, 1),
        "setrank": _bound(set_rank, NODE, 2, 2),
        "getrank": _bound(lambda world, node: node_of(node, "getrank()").rank, INT, 1, 1),
        "swapnoderanks": _bound(swap_ranks, INT, 3, 3),
        "transfernode": _bound(transfer, NODE, 2, 2),
        "transfernodeobj": _bound(transfer, NODE, 2, 2),
        "nodeinsertinto": _bound(insert_into, NODE, 1, 1),
        "nodeinsertafter": _bound(insert_after, NODE, 1, 1),
        "assertsubnode": _bound(assert_subnode, NODE, 2, 3),
        "nodeadddata": _bound(add_data, NODE, 2, 2),
        "nodedeldata": _bound(lambda world, node: add_data(world, node, 0), NODE, 1, 1),
        "nodepoint": _bound(point_at, NODE, 2, 2),
        "getdatatype": Command(data_type, INT, 1, 1),
        "clearcontents": _bound(clear_contents, INT, 1, 1),
        "destroyobject": _bound(destroy, INT, 1, 1),
        "label": _bound(label_node, NODE, 2, 2),
        "assertlabel": _bound(assert_label, NODE, 2, 3),
        "dellabel": _bound(delete_label, INT, 2, 2),
        "assertvariable": _bound(assert_variable, NODE, 2, 3),
        "getvarnode": _bound(variable_node, NODE, 2, 2),
        "var_s": _bound(variable_node, NODE, 2, 2),
        "inc": _bound(increase, DOUBLE, 2, 2),
        "tonode": _bound(to_node, NODE, 1, 1),
        "tonum": Command(lambda value: to_number(value), DOUBLE, 1, 1),
        "nodetopath": _bound(lambda world, node, *flag: f"/{node_of(node, 'nodetopath()').path()}", STRING, 1, 2),
        "nodetomodelpath": _bound(model_path, STRING, 1, 2),
        "Group": _bound(group, "Group", 1, 1),
        "groupaddmember": _bound(_group_command(add_member), INT, 2, 2),
        "groupremovemember": _bound(_group_command(remove_member), INT, 2, 2),
        "groupnummembers": _bound(_group_command(lambda world, found: len(found.members)), INT, 1, 1),
        "groupmember": _bound(_group_command(_member), OBJECT, 2, 2),
    }


def model_path(world: World, node: Any, *flag: Any) -> str:
    """`nodetomodelpath(node)`: the path from the model down."""
    return node_of(node, "nodetomodelpath()").path().partition("/")[2]
