"""The simulator's vocabulary: what FlexScript may name of the tree, its objects, ports, labels and items."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from vlsm_jax.flexscript import Fault, Vocabulary, core_vocabulary
from vlsm_jax.flexscript.members import new_color
from vlsm_jax.flexscript.values import Color, Vec3, describe, to_int, to_number, to_text
from vlsm_jax.flexscript.vocabulary import (
    ARRAY,
    DOUBLE,
    INT,
    NODE,
    OBJECT,
    STRING,
    VARIANT,
    VEC3,
    Command,
    Members,
    Namespace,
    TypeSpec,
)
from vlsm_jax.simulator import (
    attributes,
    codenodes,
    commands,
    connecting,
    labels,
    live,
    loops,
    modeldata,
    run_commands,
    task_commands,
    tools,
    treecommands,
)
from vlsm_jax.simulator.constants import constants
from vlsm_jax.simulator.library import DISPATCHER, FIXED_RESOURCE, TASK_EXECUTER
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.task import TaskSequence
from vlsm_jax.simulator.paths import Attribute, Missing
from vlsm_jax.simulator.properties import get_property, set_property
from vlsm_jax.simulator.tools import Group, Tool
from vlsm_jax.simulator.tree import AutomaticNode, GoneNode, Node
from vlsm_jax.simulator.world import World, gone_fault, node_of, object_of

# --- Types ------------------------------------------------------------------------------------------------------------

_NODE_LIKE = (Node, Item, Attribute, Missing, TaskSequence, labels.Label)


def _to_node(value: Any) -> Any:
    if value is None or isinstance(value, _NODE_LIKE):
        return value
    if type(value) is list and value and isinstance(value[0], _NODE_LIKE):
        return value[0]
    if isinstance(value, (int, float)) and value == 0:
        return None
    raise Fault(f"expected a node, got {describe(value)}", code="type")


def _to_object(value: Any) -> Any:
    node = _to_node(value)
    if isinstance(node, (Attribute, Missing, labels.Label)) or (isinstance(node, Node) and node.cls is None):
        raise Fault(
            "invalid cast exception", code="type", hint=f"{node} is no object; declare the variable as treenode"
        )
    return node


def _to_group(value: Any) -> Any:
    node = _to_node(value)
    if node is None or isinstance(node, Group):
        return node
    raise Fault("invalid cast exception", code="type", hint=f"{node} is no group")


def _has_role(*roles: str) -> Callable[[Any], bool]:
    """Returns the test of `x.is(Dispatcher)` and its kin."""
    return lambda value: isinstance(value, Node) and value.cls is not None and value.cls.role in roles


def _no_value() -> None:
    return None


# --- Nodes ------------------------------------------------------------------------------------------------------------


def _part(name: str) -> Callable[[Node], Any]:
    read = {"location": Node.location, "size": Node.size, "rotation": Node.rotation, "color": Node.color}[name].fget
    return lambda node: read(node)


def _assign_part(name: str) -> Callable[[Node, Any], None]:
    read = _part(name)
    return lambda node, value: read(node).assign(value)


def _set_rank(node: Node, rank: Any) -> None:
    node.set_rank(to_int(rank))


class Subnodes:
    """`node.subnodes`: the children, from 1, or by name."""

    __slots__ = ("node",)

    def __init__(self, node: Node):
        self.node = node


def _subnode(subnodes: Subnodes, index: Any) -> Any:
    node = subnodes.node
    if node.live is not None:
        return live.item_at(node.live, index)
    if isinstance(index, str):
        return node.child(index)
    at = to_int(index)
    if not 1 <= at <= len(node.children):
        raise Fault(
            "Array index out of bounds", code="array index", hint=f"{node.name!r} has {len(node.children)} subnodes"
        )
    return node.children[at - 1]


def _subnode_count(subnodes: Subnodes) -> int:
    node = subnodes.node
    return len(node.live.items) if node.live is not None else len(node.children)


def _add_subnode(world: World, subnodes: Subnodes, name: Any = "") -> Node:
    return world.add_node(subnodes.node, to_text(name)[:200])


def _assert_subnode(world: World, subnodes: Subnodes, name: Any, value: Any = None) -> Node:
    found = subnodes.node.child(to_text(name))
    if found is None:
        found = _add_subnode(world, subnodes, name)
        found.value = value
    return found


def _set_parent(node: Node, parent: Any) -> None:
    treecommands.move(treecommands.changeable(node, "up"), node_of(parent, "up"))


def _edge(at: int) -> Callable[[Node], Any]:
    return lambda node: node.children[at] if node.children else None


def _to_string_value(node: Node) -> Any:
    return node.value


def _set_value(node: Node, value: Any) -> None:
    node.value = value


def _node_members() -> Members:
    getters: dict[str, Callable[[Node], Any]] = {
        "name": lambda node: node.name,
        "value": _to_string_value,
        "first": _edge(0),
        "last": _edge(-1),
        "next": lambda node: node.sibling(1),
        "prev": lambda node: node.sibling(-1),
        "up": lambda node: node.parent,
        "rank": lambda node: node.rank,
        "subnodes": Subnodes,
        "inObjects": lambda node: connecting.PortList(node, node.inputs),
        "outObjects": lambda node: connecting.PortList(node, node.outputs),
        "centerObjects": lambda node: connecting.PortList(node, node.centers),
        "labels": labels.Labels,
        "stats": live.Statistics,
        "flags": live.Flags,
        "dataType": treecommands.data_type,
    }
    setters: dict[str, Callable[[Node, Any], None]] = {
        "name": treecommands.rename,
        "rank": _set_rank,
        "value": _set_value,
        "up": _set_parent,
    }
    for part in ("location", "size", "rotation", "color"):
        getters[part] = _part(part)
        setters[part] = _assign_part(part)
    methods = {
        "setLocation": Command(commands.set_location, NODE, 1, 7, True),
        "setSize": Command(commands._set_part("size"), NODE, 1, 3, True),
        "setRotation": Command(commands._set_part("rotation"), NODE, 1, 3, True),
        "getLocation": Command(_get_location, VEC3, 0, 3),
        "setProperty": Command(_set_property, VARIANT, 2, 2, True),
        "getProperty": Command(_get_property, VARIANT, 1, 2, True),
        "setVariable": Command(_set_variable, VARIANT, 2, 2, True),
        "getVariable": Command(_get_variable, VARIANT, 1, 1, True),
        "find": Command(lambda world, node, path: world.find(node, path), NODE, 1, 1, True),
        "destroy": Command(treecommands.destroy, INT, 0, 0, True),
        "copy": Command(_copy, OBJECT, 0, 2, True),
        "is": Command(lambda node, *kind: int(node.cls is not None), INT, 0, 1),
        "as": Command(lambda node, *kind: _to_object(node), OBJECT, 0, 1),
        "evaluate": Command(codenodes.evaluate, VARIANT, 0, 20, True),
        "getPath": Command(lambda node, *root: node.path(), STRING, 0, 1),
        "setName": Command(commands.set_name, NODE, 1, 1, True),
        "attr": Command(_no_attribute, NODE, 1, 1),
    }
    return Members(getters, setters, methods, missing=labels.read, assign_missing=labels.assign)


def _no_attribute(node: Node, name: Any) -> None:
    return None


def _get_location(node: Node, *factors: Any) -> Vec3:
    fx, fy, fz = (*map(to_number, factors), 0, 0, 0)[:3]
    place, size = node.location, node.size
    return Vec3(place.x + fx * size.x, place.y - fy * size.y, place.z + fz * size.z)


def _set_property(world: World, node: Node, name: Any, value: Any) -> Any:
    set_property(world, node, name if type(name) is str else to_text(name), value)
    return node


def _get_property(world: World, node: Node, name: Any, flags: Any = 0) -> Any:
    return get_property(world, object_of(node, "getProperty()"), to_text(name))


def _set_variable(world: World, node: Node, name: Any, value: Any) -> Any:
    commands.set_variable(world, object_of(node, "setVariable()"), name, value)
    return node


def _get_variable(world: World, node: Node, name: Any) -> Any:
    return commands.get_variable(world, object_of(node, "getVariable()"), name)


def _copy(world: World, node: Node, container: Any = None, flags: Any = 0) -> Node:
    if container is None or container == 0:
        parent = world.tree.model if node.is_library or node.parent is None else node.parent
        return world.create_copy(node, parent)
    return world.create_copy(node, node_of(container, "copy()"))


# --- Items, ports, labels, attributes ---------------------------------------------------------------------------------


def _item_color(item: Item) -> Color:
    if item.color is None:
        item.color = Color(1, 1, 1)
    return item.color


def _set_item_name(item: Item, name: Any) -> None:
    item.name = to_text(name)[:200]


def _item_members() -> Members:
    return Members(
        {
            "name": lambda item: item.name,
            "labels": labels.Labels,
            "color": _item_color,
            "up": lambda item: item.holder.node if item.holder is not None else None,
            "rank": lambda item: live.rank_of(item),
            "size": lambda item: Vec3(0.61, 0.61, 0.3),
            "location": lambda item: Vec3(),
            "rotation": lambda item: Vec3(),
            "stats": live.ItemStatistics,
        },
        {
            "name": _set_item_name,
            "color": lambda item, value: _item_color(item).assign(new_color(value)),
            "size": lambda item, value: None,
            "location": lambda item, value: None,
            "rotation": lambda item, value: None,
        },
        {},
        missing=labels.read,
        assign_missing=labels.assign,
    )


def _port_members() -> Members:
    return Members(
        {"length": lambda ports: len(ports.wires)},
        {},
        {"toArray": Command(lambda ports: ports.objects(), ARRAY, 0, 0)},
        index=connecting.object_at,
    )


def _set_label_value(label: labels.Label, value: Any) -> None:
    labels.assign(label.owner, label.name, value)


def _label_members() -> tuple[Members, Members]:
    all_labels = Members(
        {"length": lambda all_labels: len(labels.holder_of(all_labels.owner))},
        {},
        {"assert": Command(labels.assert_label, NODE, 1, 2)},
        missing=lambda all_labels, name: labels.read(all_labels.owner, name),
        assign_missing=lambda all_labels, name, value: labels.assign(all_labels.owner, name, value),
        index=labels.label_at,
    )
    label = Members(
        {"value": lambda label: labels.read(label.owner, label.name), "name": lambda label: label.name},
        {"value": _set_label_value},
        {
            "evaluate": Command(codenodes.evaluate, VARIANT, 0, 20, True),
            "destroy": Command(labels.remove, INT, 0, 0),
        },
    )
    return all_labels, label


def _attribute_members() -> tuple[Members, Members]:
    """`obj.find(">variables/maxcontent").value` reads and writes the property behind it; and what is below."""

    def edge(at: int) -> Callable[[Attribute], Any]:
        def read(attribute: Attribute) -> Any:
            found = attributes.children(attribute.world, attribute)
            return found[at] if found else None

        return read

    attribute = Members(
        {
            "name": lambda attribute: attribute.steps[-1] if attribute.steps else attribute.folder,
            "up": lambda attribute: attribute.world.find(attribute, ".."),
            "value": lambda attribute: attributes.read(attribute.world, attribute),
            "subnodes": attributes.AttributeNodes,
            "first": edge(0),
            "last": edge(-1),
            "dataType": treecommands.data_type,
        },
        {"value": lambda attribute, value: attributes.write(attribute.world, attribute, value)},
        {
            "find": Command(lambda world, attribute, path: world.find(attribute, path), NODE, 1, 1, True),
            "destroy": Command(treecommands.destroy_attribute, INT, 0, 0, True),
            "evaluate": Command(codenodes.evaluate, VARIANT, 0, 20, True),
            "is": Command(lambda attribute, *kind: 0, INT, 0, 1),
            "getPath": Command(lambda attribute, *root: str(attribute), STRING, 0, 1),
        },
    )
    below = Members(
        {"length": lambda nodes: len(attributes.children(nodes.attribute.world, nodes.attribute))},
        {},
        {
            "add": Command(attributes.add_child, NODE, 0, 1, True),
            "assert": Command(attributes.assert_child, NODE, 1, 2, True),
            "clear": Command(attributes.clear, INT, 0, 0, True),
            "toArray": Command(lambda nodes: attributes.children(nodes.attribute.world, nodes.attribute), ARRAY, 0, 0),
        },
        index=attributes.child_at,
    )
    return attribute, below


class _NoMethods(dict):
    """Every method of a node that does not exist, or does no more: calling it raises."""

    def get(self, name: str, default: Any = None) -> Command:
        return Command(lambda node, *arguments: _absent(node, f"{name}()"), VARIANT, 0, 20)


def _absent(node: Missing | GoneNode, name: str) -> None:
    return _missing(node, name) if isinstance(node, Missing) else _gone(node, name)


def _gone(node: GoneNode, name: str, *value: Any) -> Any:
    raise gone_fault(node, name)


def _missing(missing: Missing, name: str, *value: Any) -> Any:
    hint = "node() did not find it; test with objectexists()"
    raise Fault(f"{name} of {missing}", code="null reference", hint=hint)


# --- Namespaces -------------------------------------------------------------------------------------------------------


def _namespaces() -> dict[str, Namespace]:
    model = Namespace(
        {
            "find": Command(lambda world, path: world.find(world.tree.model, path), NODE, 1, 1, True),
            **modeldata.methods(),
        },
        {
            "time": Command(commands.now, DOUBLE, 0, 0, True),
            "statisticalTime": Command(commands.statistical_time, DOUBLE, 0, 0, True),
            "nextStopTime": Command(lambda world: world.stop_time or 0.0, DOUBLE, 0, 0, True),
            "warmupTime": Command(lambda world: world.warmup, DOUBLE, 0, 0, True),
            **modeldata.properties(),
        },
    )
    objects = Namespace({"create": Command(_create, OBJECT, 1, 1, True)})
    tool_nodes = Namespace(
        {
            "create": Command(tools.create_tool, NODE, 1, 2, True),
            "get": Command(tools.find_tool, NODE, 2, 2, True),
        }
    )
    return {"Model": model, "Object": objects, "Tools": tool_nodes}


def _create(world: World, name: Any) -> Node:
    if not isinstance(name, str):
        raise Fault(f"Object.create() takes the name of a class, not {describe(name)}", code="argument")
    return world.create_by_name(name)


_ELSEWHERE = frozenset((
    "assertSubnode", "assertAttribute", "assertLabel", "getTableValue", "executeCode", "dispatch",
    "getState", "moveToLocation", "pull", "push", "getSubnode", "addEventListener",
))  # fmt: skip


@functools.cache
def vocabulary() -> Vocabulary:
    """Returns the language's vocabulary with everything that belongs to the tree and to a running model."""
    all_labels, label = _label_members()
    attribute, below_attribute = _attribute_members()
    members = _node_members()
    node = TypeSpec(NODE, _no_value, _to_node)
    obj = TypeSpec(OBJECT, _no_value, _to_object)
    classes_as_types = {
        "Dispatcher": dataclasses.replace(obj, accepts=_has_role(DISPATCHER, TASK_EXECUTER)),
        "TaskExecuter": dataclasses.replace(obj, accepts=_has_role(TASK_EXECUTER)),
        "FixedResource": dataclasses.replace(obj, accepts=_has_role(FIXED_RESOURCE)),
        "Conveyor.Item": obj,
    }
    whole = core_vocabulary().extended(
        commands=commands.table(),
        constants=constants(),
        namespaces=_namespaces(),
        types={
            "treenode": node,
            "Object": obj,
            "Token": obj,
            "Group": TypeSpec("Group", _no_value, _to_group),
            **classes_as_types,
        },
        members={
            Node: members,
            AutomaticNode: members,
            GoneNode: Members({}, {}, _NoMethods(), missing=_gone, assign_missing=_gone),
            Tool: members,
            Group: tools.group_members(members),
            Item: _item_members(),
            Attribute: attribute,
            attributes.AttributeNodes: below_attribute,
            Missing: Members({}, {}, _NoMethods(), missing=_missing, assign_missing=_missing),
            **modeldata.members(),
            connecting.PortList: _port_members(),
            labels.Labels: all_labels,
            labels.Label: label,
            Subnodes: Members(
                {"length": _subnode_count},
                {},
                {
                    "add": Command(_add_subnode, NODE, 0, 1, True),
                    "assert": Command(_assert_subnode, NODE, 1, 2, True),
                    "clear": Command(
                        lambda world, subnodes: treecommands.clear_contents(world, subnodes.node), INT, 0, 0, True
                    ),
                    "toArray": Command(lambda subnodes: list(subnodes.node.children), ARRAY, 0, 0),
                },
                index=_subnode,
            ),
            **live.members(),
        },
        kinds={NODE: Node, OBJECT: Node, "Group": Group},
        loops=loops.table(),
        elsewhere=_ELSEWHERE,
        hints={
            "current": "declare it first: Object current = ownerobject(c);",
            "item": "declare it first: Object item = param(1);",
        },
    )
    return run_commands.extend(task_commands.extend(whole))
